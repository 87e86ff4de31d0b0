//! The ioGates dialect: its "Auth Token API" and "Two Factor Auth API". Every error is
//! `{"message": …}`, with the statuses of `status`.

use super::decode::Fields;
use super::portal;
use super::target::{self, Target};
use super::trouble::{ONLY_PASSKEYS, Trouble};
use super::{Call, Local, Reply, encode};
use crate::auth::challenge::{Accept, StartError, Typed, VerifyError};
use crate::auth::ports::{FactorKind, Share, User};
use crate::auth::sign_in::{SignInContext, SignInError, SignedIn};
use crate::auth::{Caller, Standing};
use crate::config::model::CredentialSource;
use crate::gate::Presented;
use crate::identity::credential;
use crate::identity::device;
use crate::secret::Secret;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use subtle::ConstantTimeEq as _;

/// A gateway in front of any backend cannot know what is left on it, and clients refuse to upload
/// more than this says. So it says the largest whole number that every JSON reader keeps exact
/// (2^53 - 1, RFC 8259 section 6); the backend itself refuses what does not fit.
const STORAGE_UNKNOWN: u64 = (1 << 53) - 1;
/// No limit, as the document says.
const NO_SIZE_LIMIT: u64 = 0;

const NO_NUMBER: Trouble =
    Trouble::Nothing("no mobile number is known for you: ask who gave you this access to add one");
const ONLY_AUTHENTICATOR: Trouble = Trouble::Nothing(
    "no mobile number is known for you: send a code of your authenticator app as `authcode`",
);
const NUMBER_REFUSED: Trouble =
    Trouble::Nothing("codes cannot be sent to your mobile number: ask who gave you this access");
const NEVER_SENT: Trouble =
    Trouble::NotFound("no code was sent for this token and device: ask for one");

/// The status, where it is not the one that `Trouble` has by itself.
fn status(trouble: &Trouble) -> StatusCode {
    match trouble {
        Trouble::Nothing(_) => StatusCode::BAD_REQUEST,
        other => other.status(),
    }
}

/// The words, where they are not those of `Trouble` itself.
fn text(trouble: &Trouble) -> String {
    match trouble {
        Trouble::WrongSignIn => "wrong user name, password or share URL".to_owned(),
        Trouble::CodeWrong { left: None } => "wrong code".to_owned(),
        other => other.to_string(),
    }
}

fn refused(trouble: &Trouble, route: &crate::route::Route) -> Reply {
    trouble.dress(message(status(trouble), &text(trouble)), route)
}

/// The answer to a sign-in that is not forwarded to the backend, in the words of our own.
#[must_use]
pub fn sign_in_refused(error: SignInError, route: &crate::route::Route) -> Reply {
    refused(&error.into(), route)
}

fn not_started(error: StartError) -> Trouble {
    match error {
        StartError::NoRecipient => NO_NUMBER,
        StartError::RecipientRefused => NUMBER_REFUSED,
        other => other.into(),
    }
}

fn not_verified(error: VerifyError) -> Trouble {
    match error {
        VerifyError::Malformed => {
            Trouble::field("authcode", "`authcode` must be the digits of a code")
        }
        VerifyError::NeverSent | VerifyError::Forbidden => NEVER_SENT,
        other => other.into(),
    }
}

/// An answer of this dialect with nothing but a message; errors that come before any handler too.
pub(super) fn message(status: StatusCode, text: &str) -> Reply {
    encode::json(status, &json!({ "message": text }))
}

impl Local {
    /// `POST /api/authtoken`, from Vestibule's own accounts and share links.
    pub(super) async fn iogates_auth_token(&self, call: &Call) -> Reply {
        match self.auth_token(call).await {
            Ok(signed_in) => encode::json(StatusCode::OK, &self.auth_token_body(&signed_in)),
            Err(trouble) => refused(&trouble, &call.route),
        }
    }

    async fn auth_token(&self, call: &Call) -> Result<SignedIn, Trouble> {
        let fields = Fields::body(call)?;
        let in_body = fields.text("deviceId")?;
        let head = call.head();
        let device = device::find(&head, in_body.as_deref())?.ok_or_else(|| {
            let text =
                "`deviceId` is missing: send the same one with every call of this installation";
            Trouble::field("deviceId", text)
        })?;
        let at = SignInContext {
            realm: &call.route.config.identity,
            keys: &call.route.keys,
            device: Some(&device),
            route: &call.route.config.name,
            address: call.address,
        };
        // The document has clients send the unused form as null; others leave it empty.
        let (name, password) = (fields.filled("username")?, fields.filled("password")?);
        let signed_in = match (name, password, fields.filled("URL")?) {
            (Some(name), Some(password), None) => {
                let password = Secret::new(password.into_owned());
                let most = |user: &User| call.most_of(user);
                self.auth.sign_in(at, &name, &password, most).await?
            }
            (None, None, Some(url)) => {
                let token = share_token(call, &url).ok_or(Trouble::WrongSignIn)?;
                let follows = |share: &Share| portal::follows(call, share);
                self.auth.open_share(at, &token, follows).await?
            }
            (_, _, Some(_)) => {
                let text = "send either `username` and `password`, or a share `URL`, not both";
                return Err(Trouble::field("URL", text));
            }
            (_, _, None) => {
                let text = "send `username` and `password`, or a share `URL`";
                return Err(Trouble::field("username", text));
            }
        };
        self.gate
            .token_issued(call.route.keys.token(signed_in.token.expose()));
        Ok(signed_in)
    }

    fn auth_token_body(&self, signed_in: &SignedIn) -> Value {
        let user = &signed_in.user;
        // Whoever holds a share link is not thereby the person it was sent to, so only a password
        // shows the address. The number is never shown: it is what the second factor stands on.
        let email = user.password_hash.as_ref().and(user.email.as_ref());
        json!({
            "token": signed_in.token.expose(),
            "profile": {
                "username": user.name,
                "realname": user.name,
                "accountname": self.auth.settings.load().service_name,
                "email": email.map_or("", Secret::expose),
                "address": null,
                "mobile": null,
                "expires": signed_in.expires_at.map(|at| at.iso8601()),
                "status": "Active",
                "logo": "",
            },
            "max_file_size": NO_SIZE_LIMIT,
            "available_storage": STORAGE_UNKNOWN,
        })
    }

    /// `GET|POST /api/apiauth/twofactorsms/{token}`: without `authcode` sends a code, with it
    /// verifies one.
    pub(super) async fn iogates_two_factor(&self, call: &Call) -> Reply {
        self.two_factor(call)
            .await
            .unwrap_or_else(|trouble| refused(&trouble, &call.route))
    }

    async fn two_factor(&self, call: &Call) -> Result<Reply, Trouble> {
        let head = call.head();
        let token = credential::find(&[CredentialSource::Bearer], &head)?;
        let token = token.ok_or(Trouble::NoToken)?;
        let in_path = target::last_segment(&call.path);
        if !bool::from(in_path.as_bytes().ct_eq(token.as_bytes())) {
            return Err(Trouble::TokensDiffer);
        }
        let body = Fields::body(call)?;
        let device_in_body = body.text("deviceId")?.map(std::borrow::Cow::into_owned);
        let device = device::find(&head, device_in_body.as_deref())?;
        let presented = Presented {
            token: &token,
            device: device.as_deref(),
        };
        let caller = self.caller(call, presented).await?;
        let caller = caller.ok_or(Trouble::UnknownToken)?;
        if call.is_closed_to(&caller.holder) {
            return Err(Trouble::Closed);
        }
        let fields = Fields::query(call).and(body);
        if !fields.has("authcode") {
            let fresh = fields.is_on("fresh");
            return self.start(call, &caller, fresh).await;
        }
        let width = self.auth.settings.load().codes.length;
        let code = fields.digits("authcode", width)?.unwrap_or_default();
        let typed = Typed {
            code: &code,
            accept: Accept::Factor,
            pair: caller.pair,
            device_label: caller.device_label.clone(),
            issue: None,
        };
        let verified = self.auth.verify(&caller, typed).await;
        let verified = verified.map_err(not_verified)?;
        self.remember(call, presented, caller.pair, &verified.session)
            .await;
        Ok(message(StatusCode::OK, "Code accepted"))
    }

    async fn start(&self, call: &Call, caller: &Caller, fresh: bool) -> Result<Reply, Trouble> {
        let is_asked = call.asks_factor(&caller.holder);
        if !fresh && (!is_asked || caller.standing != Standing::Token) {
            return Ok(started("No code is needed", None));
        }
        let started_at = match self.auth.start(caller, FactorKind::Sms).await {
            Err(StartError::NoRecipient) => return Err(self.no_number(caller).await?),
            started_at => started_at.map_err(not_started)?,
        };
        let text = format!("A code was sent to {}", started_at.masked_recipient);
        Ok(started(&text, Some(started_at.expires_at.iso8601())))
    }

    /// What somebody without a number is told.
    async fn no_number(&self, caller: &Caller) -> Result<Trouble, Trouble> {
        let factors = self.auth.factors(caller.holder.user).await?;
        Ok(match (factors.totp(), factors.passkeys.is_empty()) {
            (Some(_), _) => ONLY_AUTHENTICATOR,
            (None, false) => ONLY_PASSKEYS,
            (None, true) => NO_NUMBER,
        })
    }
}

fn started(message: &str, expiry: Option<String>) -> Reply {
    let body = json!({
        "message": message,
        "type": "SMS",
        "auth_required": expiry.is_some(),
        "expiry": expiry,
    });
    encode::json(StatusCode::OK, &body)
}

/// The token of a share URL: whole (then its host must be the route's) or a path. It is read as
/// the request that a browser would make of it, so that both find the same token.
fn share_token(call: &Call, url: &str) -> Option<Secret> {
    let path = target::path_on(&call.route.config.hosts, url)?;
    let places: Vec<_> = call
        .route
        .config
        .credentials
        .iter()
        .filter(|source| matches!(source, CredentialSource::Path(_)))
        .cloned()
        .collect();
    let target = Target::bare(call, &path)?;
    let head = target.head(call, &Method::GET)?;
    let token = credential::find(&places, &head).ok()??;
    Some(Secret::new(token.into_owned()))
}
