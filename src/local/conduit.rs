//! The Conduit dialect: its guide to two-factor authentication. Whatever changes what protects a
//! user asks for sudo mode: a verification that is not older than `sudo`. Errors are
//! `{name, status, message}`.

use super::decode::Fields;
use super::signed::Signed;
use super::trouble::{ONLY_PASSKEYS, Trouble};
use super::{Call, Local, Reply, encode, origin, target};
use crate::auth::challenge::{Accept, Verified};
use crate::auth::enrol::NewFactor;
use crate::auth::ports::{Disable, FactorKind, FactorValue, Stage, Wizard, WizardKind};
use crate::auth::tokens::{IssueTo, RefreshForm};
use crate::auth::{Standing, subject};
use crate::entropy;
use crate::factor::phone::Phone;
use crate::factor::totp;
use crate::secret::Secret;
use http::StatusCode;
use serde_json::{Value, json};
use std::time::Duration;

/// How long the image of a new authenticator's key can be fetched, once.
const IMAGE_LIFETIME: Duration = Duration::from_secs(300);

/// What the document says where there is no second factor, or none any more.
const DISABLED: &str = "2FA disabled";

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

/// An error of this dialect.
pub(super) fn message(status: StatusCode, text: &str) -> Reply {
    let name = status.canonical_reason().unwrap_or("Error");
    let body = json!({ "name": name, "status": status.as_u16(), "message": text });
    encode::json(status, &body)
}

fn refused(trouble: &Trouble, call: &Call) -> Reply {
    let reply = message(trouble.status(), &trouble.to_string());
    trouble.dress(reply, &call.route)
}

fn done(body: &Value) -> Reply {
    encode::json(StatusCode::OK, body)
}

fn says(text: &str) -> Reply {
    done(&json!({ "message": text }))
}

impl Local {
    pub(super) async fn conduit(&self, step: Step, call: &Call) -> Reply {
        let answer = match step {
            Step::Enable => self.conduit_enable(call).await,
            Step::EnableVerify => self.conduit_enable_verify(call).await,
            Step::Authorize => self.conduit_authorize(call).await,
            Step::Verify => self.conduit_verify(call).await,
            Step::Generate => self.conduit_generate(call).await,
            Step::Recover => self.conduit_recover(call).await,
            Step::Disable => self.conduit_disable(call).await,
            Step::Image => self.conduit_image(call).await,
        };
        answer.unwrap_or_else(|trouble| refused(&trouble, call))
    }

    async fn conduit_enable(&self, call: &Call) -> Result<Reply, Trouble> {
        let body = Fields::body(call)?;
        let by = self.signed(call, &body).await?;
        let method = body.text("method")?;
        match method.as_deref() {
            Some("sms") => {
                let value = FactorValue::Sms(phone(call, &body)?);
                let new = new_factor(&by, value);
                self.auth.send_enrolment(&by.caller, new).await?;
                Ok(says("Verification code sent"))
            }
            Some("authenticator") => {
                let url = self.enable_authenticator(call, &by).await?;
                Ok(done(&json!({ "result": url })))
            }
            Some(_) => Err(Trouble::field(
                "method",
                "`method` must be `sms` or `authenticator`",
            )),
            None => Err(Trouble::missing("method")),
        }
    }

    /// Proposes a new key; the URL of its image. A third party's chart service would be handed the
    /// key, so the image is Vestibule's own, and shown once.
    async fn enable_authenticator(&self, call: &Call, by: &Signed) -> Result<String, Trouble> {
        let secret = self.auth.new_totp_secret()?;
        let uri = self.auth.totp_uri(&secret, &by.caller.holder.name);
        let new = new_factor(by, FactorValue::Totp(secret));
        self.auth.propose(&by.caller, new).await?;
        let name = entropy::token(&*self.auth.entropy).map_err(|_| Trouble::Unavailable)?;
        let now = self.auth.clock.now();
        let image = Wizard {
            digest: self.auth.keys.wizard(&name),
            kind: WizardKind::Image,
            stage: Stage::Opened,
            realm: call.route.config.identity.clone(),
            user: Some(by.caller.holder.user),
            factor: Some(FactorKind::Totp),
            token: Some(by.caller.token),
            device_label: None,
            subject: None,
            shown: Some(uri),
            expires_at: now.after(IMAGE_LIFETIME),
        };
        let opener = subject::address(&self.auth.keys, call.address);
        self.auth.store.open_wizard(image, opener, now).await?;
        let origin = origin::of_head(&call.head());
        let path = call.route.address("/.vestibule/qr/");
        Ok(format!("{origin}{path}{name}"))
    }

    /// The image behind that URL. Its name is the secret: an `<img>` can send nothing else.
    async fn conduit_image(&self, call: &Call) -> Result<Reply, Trouble> {
        const GONE: Trouble = Trouble::NotFound(
            "this image was shown already or is too old: enable the method again",
        );
        let name = target::last_segment(&call.path);
        let (digest, now) = (self.auth.keys.wizard(&name), self.auth.clock.now());
        let is_image = |found: &Wizard| {
            found.kind == WizardKind::Image && found.realm == call.route.config.identity
        };
        // Looked at first: another kind of wizard must not end by being asked for here.
        let found = self.auth.store.wizard(digest, now).await?;
        found.filter(is_image).ok_or(GONE)?;
        let taken = self.auth.store.take_wizard(digest, now).await?;
        let uri = taken.and_then(|taken| taken.shown).ok_or(GONE)?;
        let image = totp::qr_png(&uri).ok_or(Trouble::Unavailable)?;
        Ok(encode::reply(StatusCode::OK, "image/png", image))
    }

    async fn conduit_enable_verify(&self, call: &Call) -> Result<Reply, Trouble> {
        let body = Fields::body(call)?;
        let by = self.signed(call, &body).await?;
        let code = self.typed_code(&body, "code")?;
        // Says 403 also where nothing waits. The step that judges the code asks once more.
        self.auth.may_enrol(&by.caller, false).await?;
        self.verified(call, &by, "code", &code, Accept::Enrolment, None)
            .await?;
        Ok(says("2FA enabled"))
    }

    async fn conduit_authorize(&self, call: &Call) -> Result<Reply, Trouble> {
        let body = Fields::body(call)?;
        let by = self.signed(call, &body).await?;
        // Who was verified before asks for sudo mode. Others ask what it takes to be let in.
        let is_asked = by.caller.standing > Standing::Token || call.asks_factor(&by.caller.holder);
        if !is_asked && !Fields::query(call).and(body).is_on("fresh") {
            return Ok(says(DISABLED));
        }
        let factors = self.auth.factors(by.caller.holder.user).await?;
        if factors.has_only_passkeys() {
            return Err(ONLY_PASSKEYS);
        }
        let Some(default) = factors.enrolled.first() else {
            return Ok(says(DISABLED));
        };
        let kind = default.value.kind();
        let (method, text) = match kind {
            FactorKind::Totp => {
                let text = "Check your authenticator app for the code".to_owned();
                ("authenticator", text)
            }
            FactorKind::Sms | FactorKind::Email | FactorKind::Passkey => {
                let sent = self.auth.start(&by.caller, kind).await?;
                let to = sent.masked_recipient;
                let text = format!("A verification code has been sent to {to}");
                (kind.as_str(), text)
            }
        };
        Ok(done(&json!({ "method": method, "message": text })))
    }

    async fn conduit_verify(&self, call: &Call) -> Result<Reply, Trouble> {
        let body = Fields::body(call)?;
        let by = self.signed(call, &body).await?;
        let code = self.typed_code(&body, "code")?;
        let issue = Some(issue_to(call, &by));
        let verified = self
            .verified(call, &by, "code", &code, Accept::Factor, issue)
            .await?;
        Ok(done(&tokens(&verified)?))
    }

    async fn conduit_generate(&self, call: &Call) -> Result<Reply, Trouble> {
        let by = self.in_sudo(call).await?;
        let codes = self.auth.new_backup_codes(&by.caller, true).await?;
        let codes: Vec<_> = codes.iter().map(Secret::expose).collect();
        Ok(done(&json!({ "codes": codes })))
    }

    async fn conduit_recover(&self, call: &Call) -> Result<Reply, Trouble> {
        let body = Fields::body(call)?;
        let by = self.signed(call, &body).await?;
        let code = body.required_digits("code", 8)?;
        let issue = Some(issue_to(call, &by));
        let verified = self
            .verified(call, &by, "code", &code, Accept::Backup, issue)
            .await?;
        let mut answer = tokens(&verified)?;
        let left = verified.passed.backup_codes_left;
        if let Some(members) = answer.as_object_mut() {
            let text = match left {
                1 => "You have 1 back up code left".to_owned(),
                left => format!("You have {left} back up codes left"),
            };
            members.insert("message".to_owned(), json!(text));
        }
        Ok(done(&answer))
    }

    async fn conduit_disable(&self, call: &Call) -> Result<Reply, Trouble> {
        let by = self.in_sudo(call).await?;
        self.auth.disable(&by.caller, Disable::All, true).await?;
        Ok(says(DISABLED))
    }

    /// The caller of what the document keeps for sudo mode, whether there is a factor or not.
    async fn in_sudo(&self, call: &Call) -> Result<Signed, Trouble> {
        let by = self.signed(call, &Fields::body(call)?).await?;
        match by.caller.standing {
            Standing::Sudo => Ok(by),
            Standing::Token | Standing::Verified => Err(Trouble::NotVerified),
        }
    }
}

fn tokens(verified: &Verified) -> Result<Value, Trouble> {
    let (drawn, _) = verified.issued.as_ref().ok_or(Trouble::Unavailable)?;
    Ok(json!({
        "accessToken": drawn.access.expose(),
        "refreshToken": drawn.refresh.expose(),
    }))
}

/// Beside what the user has already.
fn new_factor(by: &Signed, value: FactorValue) -> NewFactor {
    NewFactor {
        value,
        bound_to: by.caller.pair.into(),
        replaces_others: false,
        sudo: true,
    }
}

/// The new tokens stand for the one that asks.
fn issue_to<'a>(call: &'a Call, by: &'a Signed) -> IssueTo<'a> {
    IssueTo {
        realm: &call.route.config.identity,
        keys: &call.route.keys,
        device: by.device.as_deref(),
        algorithm: call.route.config.token_algorithm,
        refresh: RefreshForm::Opaque,
        stands_for: Some(&by.token),
    }
}

/// The document calls it `phone` in its example and `phoneNumber` in the API that it describes.
fn phone(call: &Call, body: &Fields) -> Result<Phone, Trouble> {
    let (phone, number) = (body.text("phone")?, body.text("phoneNumber")?);
    if phone.is_some() && number.is_some() && phone != number {
        return Err(Trouble::field(
            "phone",
            "`phone` and `phoneNumber` differ: send one of them",
        ));
    }
    let text = phone.or(number).filter(|text| !text.is_empty());
    let text = text.ok_or_else(|| Trouble::missing("phone"))?;
    Phone::parse(&text, call.route.config.phone_region.as_deref())
        .map_err(|error| Trouble::field("phone", error.to_string()))
}
