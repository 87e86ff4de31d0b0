//! The B2Core dialect: its "Two-factor authentication". Procedures are wizards found by a `uuid`;
//! their answers are `{code, data, done, uuid, workflow}` with 200 between steps and 202 at the end.
//! Errors are `{code, message}`, for a field `{code, message, errors: {…}}`.

mod challenge;
mod log;
mod sign_in;
mod wizard;

use super::trouble::Trouble;
use super::{Call, Local, Reply, encode};
use crate::auth::ports::FactorKind;
use http::{Method, StatusCode};
use serde_json::{Value, json};

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

const NO_SUCH_METHOD: Trouble =
    Trouble::NotFound("there is no such method: it is `google` or `sms`");

fn status(trouble: &Trouble) -> StatusCode {
    match trouble {
        Trouble::Field { .. }
        | Trouble::Nothing(_)
        | Trouble::RecipientRefused
        | Trouble::CodeWrong { .. }
        | Trouble::CodeGone => StatusCode::UNPROCESSABLE_ENTITY,
        other => other.status(),
    }
}

/// The field that a trouble is about.
fn field(trouble: &Trouble) -> Option<&'static str> {
    match trouble {
        Trouble::Field { name, .. } => Some(name),
        Trouble::RecipientRefused => Some("phone"),
        Trouble::CodeWrong { .. } | Trouble::CodeGone => Some("code"),
        _ => None,
    }
}

/// An error of this dialect that comes before any handler.
pub(super) fn message(status: StatusCode, text: &str) -> Reply {
    encode::json(status, &json!({ "code": status.as_u16(), "message": text }))
}

fn refused(trouble: &Trouble, call: &Call) -> Reply {
    let (status, text) = (status(trouble), trouble.to_string());
    let mut body = json!({ "code": status.as_u16(), "message": text });
    if let (Some(name), Some(members)) = (field(trouble), body.as_object_mut()) {
        members.insert("errors".to_owned(), json!({ name: [text] }));
    }
    trouble.dress(encode::json(status, &body), &call.route)
}

/// A step's answer. `workflow` names the next step.
fn step(status: StatusCode, data: &Value, uuid: &str, workflow: &str) -> Reply {
    let body = json!({
        "code": status.as_u16(),
        "data": data,
        "done": status == StatusCode::ACCEPTED,
        "uuid": uuid,
        "workflow": workflow,
    });
    encode::json(status, &body)
}

/// A factor by its name in this dialect.
fn kind_named(name: &str) -> Result<FactorKind, Trouble> {
    match name {
        "google" => Ok(FactorKind::Totp),
        "sms" => Ok(FactorKind::Sms),
        _ => Err(NO_SUCH_METHOD),
    }
}

impl Local {
    pub(super) async fn b2core(&self, step: Step, call: &Call) -> Reply {
        let is_post = call.method == Method::POST;
        let answer = match step {
            Step::SignIn if is_post => self.b2core_sign_in(call).await,
            Step::SignIn => self.b2core_open_sign_in(call).await,
            Step::Choose => self.b2core_choose(call).await,
            Step::Google if is_post => self.b2core_sign_in_code(call, FactorKind::Totp).await,
            Step::Sms if is_post => self.b2core_sign_in_code(call, FactorKind::Sms).await,
            Step::Google | Step::Sms | Step::UnknownMethod => self.b2core_method(call).await,
            Step::Methods => self.b2core_methods(call).await,
            Step::Challenge if is_post => self.b2core_confirm(call).await,
            Step::Challenge => self.b2core_challenge(call).await,
            Step::UnauthorizedChallenge => self.b2core_challenge_unauthorized(call).await,
            Step::EnableWizard => self.b2core_enable(call).await,
            Step::DisableWizard => self.b2core_disable(call).await,
            Step::Wizard => self.b2core_wizard(call).await,
            Step::Changes => self.b2core_changes(call).await,
            Step::Change => self.b2core_change(call).await,
        };
        answer.unwrap_or_else(|trouble| refused(&trouble, call))
    }
}
