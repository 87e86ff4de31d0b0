//! The Ziik dialect: its "Two Factor Settings". A user has one method there, `google` (an
//! authenticator) or `sms`; errors are `{"message": …}`, for a field `{"message": …, "errors": {…}}`.

use super::decode::Fields;
use super::signed::Signed;
use super::trouble::{ONLY_PASSKEYS, Trouble};
use super::{Call, Local, Reply, encode, target};
use crate::auth::Standing;
use crate::auth::challenge::Accept;
use crate::auth::enrol::{NewFactor, PendingEnrolment};
use crate::auth::ports::{Disable, FactorKind, FactorValue};
use crate::factor::phone::Phone;
use crate::factor::totp::{self, TotpSecret};
use crate::gate::session::Which;
use crate::id::UserId;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Method, StatusCode};
use serde_json::{Value, json};

/// The calls of the document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Settings,
    Qr,
    Secret,
    Send,
    Verify,
    Reset,
}

/// There is no key that may be shown as a QR code.
const NO_KEY: Trouble = Trouble::Nothing(
    "no new key waits to be scanned: set the method to `google` with a `secret_key` first",
);
const NOT_SMS: Trouble =
    Trouble::Nothing("your method is not `sms`: set it with your phone number first");

fn status(trouble: &Trouble) -> StatusCode {
    match trouble {
        Trouble::Field { .. }
        | Trouble::RecipientRefused
        | Trouble::CodeWrong { .. }
        | Trouble::CodeGone => StatusCode::UNPROCESSABLE_ENTITY,
        Trouble::Nothing(_) => StatusCode::CONFLICT,
        other => other.status(),
    }
}

/// The field that a trouble is about.
fn field(trouble: &Trouble) -> Option<&'static str> {
    match trouble {
        Trouble::Field { name, .. } => Some(name),
        Trouble::RecipientRefused => Some("phone"),
        Trouble::CodeWrong { .. } | Trouble::CodeGone => Some("key"),
        _ => None,
    }
}

fn refused(trouble: &Trouble, call: &Call) -> Reply {
    let text = trouble.to_string();
    let mut body = json!({ "message": text });
    if let (Some(name), Some(members)) = (field(trouble), body.as_object_mut()) {
        members.insert("errors".to_owned(), json!({ name: [text] }));
    }
    trouble.dress(encode::json(status(trouble), &body), &call.route)
}

/// An answer of this dialect with nothing but a message.
pub(super) fn message(status: StatusCode, text: &str) -> Reply {
    encode::json(status, &json!({ "message": text }))
}

fn data(data: &Value) -> Reply {
    encode::json(StatusCode::OK, &json!({ "data": data }))
}

impl Local {
    pub(super) async fn ziik(&self, step: Step, call: &Call) -> Reply {
        let answer = match step {
            Step::Settings if call.method == Method::PATCH => self.ziik_replace(call).await,
            Step::Settings => self.ziik_settings(call).await,
            Step::Qr => self.ziik_qr(call).await,
            Step::Secret => self.ziik_secret(call).await,
            Step::Send => self.ziik_send(call).await,
            Step::Verify => self.ziik_verify(call).await,
            Step::Reset => self.ziik_reset(call).await,
        };
        answer.unwrap_or_else(|trouble| refused(&trouble, call))
    }

    async fn ziik_settings(&self, call: &Call) -> Result<Reply, Trouble> {
        let by = self.signed(call, &Fields::body(call)?).await?;
        let pending = self.pending(&by).await?;
        let body = match &pending {
            Some(pending) => settings(Some(&pending.value), false, true),
            None => {
                let factors = self.auth.factors(by.caller.holder.user).await?;
                let mut value = factors.enrolled.iter().map(|one| &one.value);
                let value = value.find(|value| method(value).is_some());
                settings(value, true, by.caller.standing > Standing::Token)
            }
        };
        Ok(data(&body))
    }

    /// What this pair has set and not verified yet.
    async fn pending(&self, by: &Signed) -> Result<Option<PendingEnrolment>, Trouble> {
        let bound_to = by.caller.pair.into();
        Ok(self.auth.pending_enrolment(&by.caller, bound_to).await?)
    }

    async fn ziik_replace(&self, call: &Call) -> Result<Reply, Trouble> {
        let body = Fields::body(call)?;
        let by = self.signed(call, &body).await?;
        if !body.has("method") {
            return Err(Trouble::missing("method"));
        }
        let value = match body.text("method")?.as_deref() {
            None | Some("") => None,
            Some("google") => Some(FactorValue::Totp(secret(&body)?)),
            Some("sms") => Some(FactorValue::Sms(phone(&body)?)),
            Some(_) => {
                let text = "the method must be `google`, `sms`, or empty to turn it off";
                return Err(Trouble::field("method", text));
            }
        };
        match value {
            Some(value) => {
                self.auth
                    .propose(&by.caller, new_factor(&by, value))
                    .await?;
            }
            None => {
                self.auth.disable(&by.caller, Disable::All, false).await?;
            }
        }
        Ok(encode::empty(StatusCode::NO_CONTENT))
    }

    async fn ziik_qr(&self, call: &Call) -> Result<Reply, Trouble> {
        let by = self.signed(call, &Fields::body(call)?).await?;
        let pending = self.pending(&by).await?.map(|pending| pending.value);
        let Some(FactorValue::Totp(secret)) = pending else {
            // With a verified factor, an unverified token is not told more than that.
            self.auth.may_enrol(&by.caller, false).await?;
            return Err(NO_KEY);
        };
        let uri = self.auth.totp_uri(&secret, &by.caller.holder.name);
        let image = totp::qr_png(&uri).ok_or(Trouble::Unavailable)?;
        let image = format!("data:image/png;base64,{}", STANDARD.encode(image));
        Ok(data(&json!({ "qr_image": image })))
    }

    async fn ziik_secret(&self, call: &Call) -> Result<Reply, Trouble> {
        self.signed(call, &Fields::body(call)?).await?;
        let secret = self.auth.new_totp_secret()?;
        Ok(data(&json!({ "secret_key": secret.base32().expose() })))
    }

    async fn ziik_send(&self, call: &Call) -> Result<Reply, Trouble> {
        let by = self.signed(call, &Fields::body(call)?).await?;
        match self.pending(&by).await? {
            Some(PendingEnrolment {
                value: value @ FactorValue::Sms(_),
                replaces_others,
                ..
            }) => {
                let new = NewFactor {
                    // As it was set, perhaps in another dialect.
                    replaces_others,
                    ..new_factor(&by, value)
                };
                self.auth.send_enrolment(&by.caller, new).await?;
            }
            Some(_) => return Err(NOT_SMS),
            None => {
                let factors = self.auth.factors(by.caller.holder.user).await?;
                let mut set = factors.enrolled.iter().map(|one| one.value.kind());
                let set = set.find(|kind| *kind != FactorKind::Email);
                if set.is_none() && !factors.passkeys.is_empty() {
                    return Err(ONLY_PASSKEYS);
                }
                if set != Some(FactorKind::Sms) {
                    return Err(NOT_SMS);
                }
                self.auth.start(&by.caller, FactorKind::Sms).await?;
            }
        }
        Ok(encode::empty(StatusCode::NO_CONTENT))
    }

    async fn ziik_verify(&self, call: &Call) -> Result<Reply, Trouble> {
        let body = Fields::body(call)?;
        let by = self.signed(call, &body).await?;
        let code = self.typed_code(&body, "key")?;
        self.verified(call, &by, "key", &code, Accept::FactorOrEnrolment, None)
            .await?;
        Ok(encode::empty(StatusCode::NO_CONTENT))
    }

    async fn ziik_reset(&self, call: &Call) -> Result<Reply, Trouble> {
        let by = self.signed(call, &Fields::body(call)?).await?;
        // What is no number is nobody's; who may know that is judged alike.
        let user = UserId(target::segment(&call.path, 3).parse().unwrap_or(-1));
        self.auth.reset(&by.caller, user).await?;
        self.forget(Which::User(user)).await;
        Ok(encode::empty(StatusCode::NO_CONTENT))
    }
}

/// What replaces the settings once it is verified.
fn new_factor(by: &Signed, value: FactorValue) -> NewFactor {
    NewFactor {
        value,
        bound_to: by.caller.pair.into(),
        replaces_others: true,
        sudo: false,
    }
}

/// The settings as the document shows them. The number is what the second factor stands on, so it
/// is shown to who has passed it, or has just set it.
fn settings(value: Option<&FactorValue>, is_verified: bool, shows_phone: bool) -> Value {
    let (mut key, mut prefix, mut number) = (Value::Null, Value::Null, Value::Null);
    match value {
        Some(FactorValue::Totp(secret)) if !is_verified => key = json!(secret.base32().expose()),
        Some(FactorValue::Sms(phone)) if shows_phone => {
            prefix = integer(phone.prefix());
            number = integer(phone.national());
        }
        _ => {}
    }
    json!({
        "method": value.and_then(method),
        "secret_key": key,
        "phone_prefix": prefix,
        "phone": number,
        "verified": is_verified && value.is_some(),
    })
}

fn method(value: &FactorValue) -> Option<&'static str> {
    match value {
        FactorValue::Totp(_) => Some("google"),
        FactorValue::Sms(_) => Some("sms"),
        FactorValue::Email(_) => None,
    }
}

/// Digits as the integer that the document shows; as text where a zero leads (Italy).
fn integer(digits: &str) -> Value {
    match digits.parse::<u64>() {
        Ok(number) if !digits.starts_with('0') => json!(number),
        _ => json!(digits),
    }
}

fn secret(body: &Fields) -> Result<TotpSecret, Trouble> {
    let text = body.required("secret_key")?;
    TotpSecret::parse(&text).map_err(|error| Trouble::field("secret_key", error.to_string()))
}

fn phone(body: &Fields) -> Result<Phone, Trouble> {
    let digits = |name| -> Result<String, Trouble> { Ok(body.required(name)?.trim().to_owned()) };
    let (prefix, number) = (digits("phone_prefix")?, digits("phone")?);
    // Both are integers in the document, and `phone` stands behind `phone_prefix`.
    if !number.starts_with(|c: char| c.is_ascii_digit() || c == '(') {
        let text = "the phone must be the number without its country code: digits";
        return Err(Trouble::field("phone", text));
    }
    let prefix = prefix.trim_start_matches('+');
    let phone = Phone::parse(&format!("+{prefix}{number}"), None)
        .map_err(|error| Trouble::field("phone", error.to_string()))?;
    if phone.prefix() != prefix {
        let text = "the prefix must be the country code of the number, like 45";
        return Err(Trouble::field("phone_prefix", text));
    }
    Ok(phone)
}
