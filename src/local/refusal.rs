//! One table from refusal to HTTP: the gate's own answers (CONTRACT's last section).

use super::Reply;
use crate::gate::Refusal;
use crate::request::RequestHead;
use crate::route::Route;

/// The answer to a refused request: problem+json (RFC 9457) to an API client, 303 or a page to a
/// browser navigation.
#[must_use]
pub fn reply(refusal: &Refusal, head: &RequestHead<'_>, route: &Route) -> Reply {
    let _ = (refusal, head, route);
    todo!()
}

/// An answer of Vestibule's own that no refusal stands for: `status` with a problem+json body, e.g.
/// 400 for a malformed head, 404 for a host without a route, 413, 502, 503, 504.
#[must_use]
pub fn problem(status: http::StatusCode, title: &str, detail: &str) -> Reply {
    let _ = (status, title, detail);
    todo!()
}
