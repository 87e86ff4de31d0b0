//! The Conduit dialect: its "Two-Factor Authentication" guide. Errors are `{name, status, message}`.

use super::{Call, Local, Reply, encode};
use http::StatusCode;
use serde_json::json;

/// The calls of the document, and the image that one of them leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Enable,
    EnableVerify,
    Authorize,
    Verify,
    Generate,
    Recover,
    Disable,
    Image,
}

/// An error of this dialect that comes before any handler.
pub(super) fn message(status: StatusCode, text: &str) -> Reply {
    let name = status.canonical_reason().unwrap_or("Error");
    let body = json!({ "name": name, "status": status.as_u16(), "message": text });
    encode::json(status, &body)
}

impl Local {
    pub(super) async fn conduit(&self, _step: Step, _call: &Call) -> Reply {
        todo!()
    }
}
