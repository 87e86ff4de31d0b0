//! The wizards that enable and disable a factor.

use super::{kind_named, step};
use crate::auth::challenge::Started;
use crate::auth::ports::FactorKind;
use crate::clock::Timestamp;
use crate::factor::phone::Phone;
use crate::local::decode::Fields;
use crate::local::trouble::Trouble;
use crate::local::{Call, Local, Reply, target};
use http::StatusCode;
use serde_json::{Value, json};

/// The workflow of a wizard that is over.
const OVER: &str = "B2B\\TCA\\Wizards\\Workflow\\TerminateWorkflow";
/// The class of a phone that was sent a code.
const PHONE_RECIPIENT: &str = "B2B\\TCA\\Confirmations\\Recipients\\PhoneRecipient";

impl Local {
    pub(super) async fn b2core_enable(&self, call: &Call) -> Result<Reply, Trouble> {
        let by = self.signed(call, &Fields::body(call)?).await?;
        let kind = kind_named(&target::segment(&call.path, 5))?;
        let realm = &call.route.config.identity;
        let opened = self.auth.open_enable(&by.caller, realm, kind).await?;
        let (data, workflow) = match &opened.key {
            Some(key) => (json!({ "key": key.base32().expose() }), "2fa_google"),
            None => (Value::Null, "2fa_sms_phone_create"),
        };
        Ok(step(StatusCode::OK, &data, &opened.name, workflow))
    }

    pub(super) async fn b2core_disable(&self, call: &Call) -> Result<Reply, Trouble> {
        let by = self.signed(call, &Fields::body(call)?).await?;
        let kind = kind_named(&target::segment(&call.path, 5))?;
        let realm = &call.route.config.identity;
        let opened = self.auth.open_disable(&by.caller, realm, kind).await?;
        let workflow = match kind {
            FactorKind::Totp => "2fa_google",
            FactorKind::Sms | FactorKind::Email | FactorKind::Passkey => "2fa_sms",
        };
        Ok(step(StatusCode::OK, &Value::Null, &opened.name, workflow))
    }

    /// The next step of either: a number, or a code.
    pub(super) async fn b2core_wizard(&self, call: &Call) -> Result<Reply, Trouble> {
        let body = Fields::body(call)?;
        let by = self.signed(call, &body).await?;
        let uuid = body.required("uuid")?;
        if body.has("phone") && !body.has("action") {
            let phone = phone(call, &body)?;
            let started = self.auth.enable_phone(&by.caller, &uuid, phone.clone());
            let data = sent(&started.await?, &phone);
            return Ok(step(StatusCode::OK, &data, &uuid, "phone"));
        }
        if body.required("action")? != "code" {
            return Err(Trouble::field("action", "the action must be `code`"));
        }
        let code = self.typed_code(&body, "code")?;
        let key = body.text("key")?;
        let finishing = self.auth.finish(&by.caller, &uuid, &code, key.as_deref());
        let session = finishing.await?;
        self.remember(call, by.presented(), by.caller.pair, &session)
            .await;
        Ok(step(StatusCode::ACCEPTED, &json!([]), &uuid, OVER))
    }
}

fn phone(call: &Call, body: &Fields) -> Result<Phone, Trouble> {
    Phone::parse(
        &body.required("phone")?,
        call.route.config.phone_region.as_deref(),
    )
    .map_err(|error| Trouble::field("phone", error.to_string()))
}

/// What the document tells of a code that was sent.
fn sent(started: &Started, phone: &Phone) -> Value {
    json!({
        "status": 0,
        "sent": 1,
        "expiredAt": zulu(started.expires_at),
        "sentAt": zulu(started.sent_at),
        "recipient": {
            "class": PHONE_RECIPIENT,
            "phone": phone.e164(),
            "template": "default",
            "data": null,
            "type": 2,
            "method": "phone",
        },
    })
}

/// With microseconds and `Z`, as this one answer of the document has its times.
fn zulu(at: Timestamp) -> String {
    at.iso8601().replace("+00:00", ".000000Z")
}
