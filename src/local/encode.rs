//! The frame of every answer: status, type, and the headers that none may lack. The edge sets
//! `Content-Length`, and leaves out the body of an answer to HEAD.

use super::Reply;
use crate::route::Route;
use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_TYPE, HeaderName, RETRY_AFTER, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderValue, Response, StatusCode};

/// When to try again while the store does not answer.
pub(super) const RETRY_STORE_SECS: u64 = 5;
/// When to try again after no provider took a message.
pub(super) const RETRY_SEND_SECS: u64 = 60;

/// An answer that no cache keeps.
pub(super) fn reply(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Reply {
    let mut reply = Response::new(body.into());
    *reply.status_mut() = status;
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    reply
}

/// An answer without a body.
pub(super) fn empty(status: StatusCode) -> Reply {
    let mut reply = Response::new(Bytes::new());
    *reply.status_mut() = status;
    let no_store = HeaderValue::from_static("no-store");
    reply.headers_mut().insert(CACHE_CONTROL, no_store);
    reply
}

/// A JSON answer.
pub(super) fn json(status: StatusCode, body: &serde_json::Value) -> Reply {
    reply(status, "application/json", body.to_string())
}

/// Says when to try again.
pub(super) fn retry_after(mut reply: Reply, secs: u64) -> Reply {
    reply.headers_mut().insert(RETRY_AFTER, secs.max(1).into());
    reply
}

/// Says what kind of credential is missing (RFC 6750 section 3), with its error code if the one
/// that came is not enough.
pub(super) fn www_authenticate(reply: Reply, route: &Route, error: Option<&str>) -> Reply {
    step_up(reply, route, error, None)
}

/// The same, with how long ago the verification may be at most (RFC 9470 section 3).
pub(super) fn step_up(
    mut reply: Reply,
    route: &Route,
    error: Option<&str>,
    max_age_secs: Option<u64>,
) -> Reply {
    let realm = quotable(&route.config.name);
    let error = error.map_or_else(String::new, |code| format!(", error=\"{code}\""));
    let age = max_age_secs.map_or_else(String::new, |secs| format!(", max_age=\"{secs}\""));
    let value = HeaderValue::from_str(&format!("Bearer realm=\"{realm}\"{error}{age}"))
        .unwrap_or(HeaderValue::from_static("Bearer"));
    reply.headers_mut().append(WWW_AUTHENTICATE, value);
    reply
}

/// Asks for a name and a password (RFC 7617 section 2). Clients show `realm` to people. It stands
/// before the other challenges, for clients that read one alone.
pub(super) fn ask_for_password(mut reply: Reply, realm: &str) -> Reply {
    let text = format!("Basic realm=\"{}\", charset=\"UTF-8\"", quotable(realm));
    if let Ok(value) = HeaderValue::from_str(&text) {
        reply.headers_mut().append(WWW_AUTHENTICATE, value);
    }
    reply
}

/// What may stand in a quoted-string (RFC 9110 section 5.6.4): what would have to be escaped is left
/// out.
fn quotable(text: &str) -> String {
    let is_plain = |c: &char| (c.is_ascii_graphic() || *c == ' ') && !matches!(c, '"' | '\\');
    text.chars().filter(is_plain).collect()
}

/// Sets one header to a value made of text that has been checked or encoded; left out if it still
/// cannot stand in a header.
pub(super) fn header(mut reply: Reply, name: HeaderName, value: &str) -> Reply {
    if let Ok(value) = HeaderValue::from_str(value) {
        reply.headers_mut().append(name, value);
    }
    reply
}
