//! The B2Core dialect: its "Two-factor authentication". Errors are `{code, message, errors?}`.

use super::{Call, Local, Reply, encode};
use http::StatusCode;
use serde_json::json;

/// The calls of the document, and the opening of the sign-in wizard that it stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    SignIn,
    Choose,
    Google,
    Sms,
    Challenge,
    UnauthorizedChallenge,
    Methods,
    UnknownMethod,
    EnableWizard,
    DisableWizard,
    Wizard,
    Changes,
    Change,
}

/// An error of this dialect that comes before any handler.
pub(super) fn message(status: StatusCode, text: &str) -> Reply {
    encode::json(status, &json!({ "code": status.as_u16(), "message": text }))
}

impl Local {
    pub(super) async fn b2core(&self, _step: Step, _call: &Call) -> Reply {
        todo!()
    }
}
