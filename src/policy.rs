//! (Route, method, path) → what the path asks. Pure; first matching rule wins.

use crate::config::model::{Requirement, Route};
use http::Method;

/// The requirement of a request; of two paths (WebDAV's COPY and MOVE), the stricter one.
#[must_use]
pub fn required(
    route: &Route,
    method: &Method,
    path: &str,
    destination: Option<&str>,
) -> Requirement {
    let _ = (route, method, path, destination);
    todo!()
}
