//! The origin (RFC 6454) under which a client reaches Vestibule: scheme, host and port.

use super::Call;
use crate::request::RequestHead;
use http::HeaderMap;
use http::header::{HOST, ORIGIN};

/// The origin as a URL without a path, e.g. `https://files.example.org:8443`.
pub(super) fn of_head(head: &RequestHead<'_>) -> String {
    let port = port(head.headers, &head.host).unwrap_or_default();
    format!("{}://{}{port}", scheme(head.client.tls), head.host)
}

/// Whether a form was sent by a page of this origin, as far as its browser says (Fetch Metadata,
/// RFC 6454 section 7). Clients that say nothing are none that a foreign page could make send.
pub(super) fn is_own(call: &Call) -> bool {
    let header = |name| call.headers.get(name).map(http::HeaderValue::to_str);
    let site_is_own = match header(http::HeaderName::from_static("sec-fetch-site")) {
        None => true,
        Some(Ok(site)) => matches!(site, "same-origin" | "none"),
        Some(Err(_)) => false,
    };
    let origin_is_own = match header(ORIGIN) {
        None => true,
        Some(Ok(origin)) => is_origin(origin, call),
        Some(Err(_)) => false,
    };
    site_is_own && origin_is_own
}

fn is_origin(origin: &str, call: &Call) -> bool {
    let Some((scheme_sent, authority)) = origin.split_once("://") else {
        return false;
    };
    let Some(port_sent) = authority.strip_prefix(call.host.as_str()) else {
        return false;
    };
    scheme_sent == scheme(call.tls)
        && match port(&call.headers, &call.host) {
            Some(port) => port_sent == port,
            // The port was not said (a proxy's own `Host` came in its place): any will do.
            None => is_port(port_sent),
        }
}

fn scheme(tls: bool) -> &'static str {
    if tls { "https" } else { "http" }
}

/// The port the client wrote behind its host: `""`, `":8443"`, or `None` where `Host` is missing
/// or somebody else's.
fn port<'h>(headers: &'h HeaderMap, host: &str) -> Option<&'h str> {
    let written = headers.get(HOST)?.to_str().ok()?;
    let (name, port) = written.split_at_checked(host.len())?;
    (name.eq_ignore_ascii_case(host) && is_port(port)).then_some(port)
}

fn is_port(text: &str) -> bool {
    text.is_empty()
        || text
            .strip_prefix(':')
            .is_some_and(|port| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()))
}
