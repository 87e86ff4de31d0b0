//! Bounds on HTTP/2 connections and on what Pingora's server may do.
//!
//! The defaults of `h2` are made for clients that behave. These are for a public address: the
//! rapid reset (CVE-2023-44487), `CONTINUATION` flood (CVE-2024-27316), `MadeYouReset`
//! (CVE-2025-8671) and slow-consumer classes all end at a number below.

use crate::config::model::{Connections, Timeouts};
use pingora::apps::HttpServerOptions;
use pingora::protocols::http::v2::server::{H2Options, default_h2_options};

const STREAMS_MAX: u32 = 128;
/// One upload may have this much on its way: 1 MiB fills 100 Mbit/s at 80 ms.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
/// What all streams of a connection may have on their way together; bounds its memory.
const CONNECTION_WINDOW_BYTES: u32 = 4 << 20;
/// Answer bytes a stream may hold while its client does not take them.
const SEND_BUFFER_BYTES: usize = 256 << 10;
/// Streams that the client reset before they were accepted; more ends the connection.
const PENDING_RESETS_MAX: usize = 20;
/// Streams that were reset here because the client broke the protocol; more ends the connection.
const LOCAL_ERROR_RESETS_MAX: usize = 256;

/// For [`pingora::proxy::HttpProxy::h2_options`]. Read once: a reload does not change it.
#[must_use]
pub fn h2_options(connections: &Connections) -> H2Options {
    let mut options = default_h2_options();
    options
        .max_concurrent_streams(STREAMS_MAX)
        .initial_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buffer_size(SEND_BUFFER_BYTES)
        .max_header_list_size(u32::try_from(connections.head_bytes_max).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(PENDING_RESETS_MAX)
        .max_local_error_reset_streams(Some(LOCAL_ERROR_RESETS_MAX));
    options
}

/// For [`pingora::proxy::HttpProxy::server_options`]: no HTTP/2 without TLS, no CONNECT.
#[must_use]
pub fn server_options(timeouts: &Timeouts) -> HttpServerOptions {
    let mut options = HttpServerOptions::default();
    options.h2c = false;
    options.allow_connect_method_proxying = false;
    options.h2_idle_timeout = Some(timeouts.keepalive);
    options
}
