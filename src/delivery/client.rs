//! The HTTP client of the providers: one request on one connection, as the config says, and nothing
//! on its own account (no redirect, no retry, no proxy from the environment).

use super::{Attempt, SetupError};
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url};
use std::time::Duration;

/// Bytes that are read of an answer.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// A client whose requests end within `timeout`. `at` is the provider's place in the config.
pub(super) fn build(timeout: Duration, at: usize) -> Result<Client, SetupError> {
    // Another part of the program may have chosen it before; then that one is used.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .tls_backend_rustls()
        .http1_only()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        // A kept connection may be dead already, and then it is unclear what became of the message.
        .pool_max_idle_per_host(0)
        // Before the whole time is over, so that "no connection" is told apart from "no answer".
        .connect_timeout(timeout / 2)
        .timeout(timeout)
        .user_agent(concat!("vestibule/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|_| SetupError::Client { at })
}

/// An absolute http or https URL.
pub(super) fn url(text: &str, at: usize) -> Result<Url, SetupError> {
    Url::parse(text)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        .ok_or(SetupError::Url { at })
}

/// Sends one request; an answer of any status is `Ok`.
pub(super) async fn send(request: RequestBuilder) -> Result<Response, Attempt> {
    request.send().await.map_err(|error| {
        if error.is_builder() {
            Attempt::Refused(None)
        } else if error.is_connect() {
            Attempt::Unreachable
        } else if error.is_timeout() {
            Attempt::Timeout
        } else {
            Attempt::Lost
        }
    })
}

/// What a status says of the message.
pub(super) fn judge(status: StatusCode) -> Attempt {
    if status.is_success() {
        Attempt::Accepted
    } else if status == StatusCode::GATEWAY_TIMEOUT {
        // Somebody on the way handed it on and heard nothing (RFC 9110 section 15.6.5).
        Attempt::Timeout
    } else {
        Attempt::Refused(Some(status.as_u16()))
    }
}

/// The body of an answer, cut off at 64 KiB; what cannot be read is left out.
pub(super) async fn body(mut response: Response) -> Vec<u8> {
    let mut body = Vec::new();
    while let Ok(Some(piece)) = response.chunk().await {
        let room = ANSWER_BYTES_MAX.saturating_sub(body.len());
        body.extend(piece.iter().take(room));
        if room < piece.len() {
            break;
        }
    }
    body
}
