//! The ioGates dialect: its "Auth Token API" and "Two Factor Auth API". Every error is
//! `{"message": …}`, with the statuses of `Failure::status`.

use super::decode::{BadBody, BadField, Fields};
use super::target::{self, Target};
use super::{Call, Local, Reply, encode};
use crate::auth::challenge::{Accept, StartError, Typed, VerifyError};
use crate::auth::lockout::Blocked;
use crate::auth::ports::FactorKind;
use crate::auth::sign_in::{SignInContext, SignInError, SignedIn};
use crate::auth::{Caller, Standing};
use crate::config::model::{CredentialSource, Requirement, Route};
use crate::gate::{Presented, Unavailable};
use crate::identity::credential::{self, BadCredential};
use crate::identity::device::{self, BadDevice};
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

/// Why a call is refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Body(#[from] BadBody),
    #[error(transparent)]
    Field(#[from] BadField),
    #[error(transparent)]
    Device(#[from] BadDevice),
    #[error(transparent)]
    Credential(#[from] BadCredential),
    #[error("`deviceId` is missing: send the same one with every call of this installation")]
    NoDevice,
    #[error("send `username` and `password`, or a share `URL`")]
    NoSignIn,
    #[error("send either `username` and `password`, or a share `URL`, not both")]
    BothSignIns,
    #[error("wrong user name, password or share URL")]
    WrongSignIn,
    #[error("send the token as `Authorization: Bearer`")]
    NoToken,
    #[error("the token is unknown or has ended: sign in again")]
    UnknownToken,
    #[error("the token in the path is not the bearer token: send the same one in both places")]
    TokensDiffer,
    #[error("no mobile number is known for you: ask who gave you this access to add one")]
    NoNumber,
    #[error(
        "no mobile number is known for you: send a code of your authenticator app as `authcode`"
    )]
    OnlyAuthenticator,
    #[error("codes cannot be sent to your mobile number: ask who gave you this access")]
    NumberRefused,
    #[error("`authcode` must be the digits of a code")]
    CodeMalformed,
    #[error("{}", wrong_code(*.left))]
    CodeWrong { left: Option<u32> },
    #[error("the code has expired or was used: ask for a new one")]
    CodeGone,
    #[error("no code was sent for this token and device: ask for one")]
    CodeNeverSent,
    #[error("locked after too many wrong codes: ask who runs this service to unlock you")]
    Locked,
    #[error("too many tries: wait {retry_after_secs} seconds")]
    TooMany { retry_after_secs: u64 },
    #[error("the message could not be sent: try again in a minute")]
    NotSent,
    #[error("this cannot be checked now: try again in a few seconds")]
    Unavailable,
}

fn wrong_code(left: Option<u32>) -> String {
    match left {
        None => "wrong code".to_owned(),
        Some(0) => "wrong code, and it is void now: ask for a new one".to_owned(),
        Some(1) => "wrong code: 1 try left".to_owned(),
        Some(left) => format!("wrong code: {left} tries left"),
    }
}

impl Failure {
    fn status(&self) -> StatusCode {
        match self {
            Self::Body(_)
            | Self::Field(_)
            | Self::Device(_)
            | Self::Credential(_)
            | Self::NoDevice
            | Self::NoSignIn
            | Self::BothSignIns
            | Self::NoNumber
            | Self::OnlyAuthenticator
            | Self::NumberRefused
            | Self::CodeMalformed => StatusCode::BAD_REQUEST,
            Self::WrongSignIn
            | Self::NoToken
            | Self::UnknownToken
            | Self::TokensDiffer
            | Self::CodeWrong { .. } => StatusCode::UNAUTHORIZED,
            Self::CodeGone | Self::Locked => StatusCode::FORBIDDEN,
            Self::CodeNeverSent => StatusCode::NOT_FOUND,
            Self::TooMany { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::NotSent | Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The error code of RFC 6750 or RFC 9470 for a 401.
    fn error_code(&self) -> Option<&'static str> {
        match self {
            Self::UnknownToken | Self::TokensDiffer => Some("invalid_token"),
            Self::CodeWrong { .. } => Some("insufficient_user_authentication"),
            _ => None,
        }
    }

    fn retry_after_secs(&self) -> Option<u64> {
        match self {
            Self::TooMany { retry_after_secs } => Some(*retry_after_secs),
            Self::NotSent => Some(encode::RETRY_SEND_SECS),
            Self::Unavailable => Some(encode::RETRY_STORE_SECS),
            _ => None,
        }
    }

    fn reply(&self, route: &crate::route::Route) -> Reply {
        let mut reply = message(self.status(), &self.to_string());
        if self.status() == StatusCode::UNAUTHORIZED {
            reply = encode::www_authenticate(reply, route, self.error_code());
        }
        match self.retry_after_secs() {
            Some(secs) => encode::retry_after(reply, secs),
            None => reply,
        }
    }
}

impl From<Unavailable> for Failure {
    fn from(_: Unavailable) -> Self {
        Self::Unavailable
    }
}

impl From<Blocked> for Failure {
    fn from(blocked: Blocked) -> Self {
        match blocked {
            Blocked::Delayed { retry_after_secs } => Self::TooMany { retry_after_secs },
            Blocked::Locked => Self::Locked,
        }
    }
}

/// The answer to a sign-in that is not forwarded to the backend, in the words of our own.
#[must_use]
pub fn sign_in_refused(error: SignInError, route: &crate::route::Route) -> Reply {
    Failure::from(error).reply(route)
}

impl From<SignInError> for Failure {
    fn from(error: SignInError) -> Self {
        match error {
            SignInError::Wrong => Self::WrongSignIn,
            SignInError::TooMany { retry_after_secs } => Self::TooMany { retry_after_secs },
            SignInError::Unavailable => Self::Unavailable,
        }
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        match error {
            StartError::NoRecipient => Self::NoNumber,
            StartError::RecipientRefused => Self::NumberRefused,
            StartError::TooMany { retry_after_secs } => Self::TooMany { retry_after_secs },
            StartError::Blocked(blocked) => blocked.into(),
            StartError::NotSent => Self::NotSent,
            StartError::Unavailable => Self::Unavailable,
        }
    }
}

impl From<VerifyError> for Failure {
    fn from(error: VerifyError) -> Self {
        match error {
            VerifyError::Malformed => Self::CodeMalformed,
            VerifyError::Wrong { left } => Self::CodeWrong { left },
            VerifyError::Gone => Self::CodeGone,
            VerifyError::NeverSent | VerifyError::Forbidden => Self::CodeNeverSent,
            VerifyError::Blocked(blocked) => blocked.into(),
            VerifyError::Unavailable => Self::Unavailable,
        }
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
            Err(failure) => failure.reply(&call.route),
        }
    }

    async fn auth_token(&self, call: &Call) -> Result<SignedIn, Failure> {
        let fields = Fields::body(call)?;
        let in_body = fields.text("deviceId")?;
        let head = call.head();
        let device = device::find(&head, in_body.as_deref())?.ok_or(Failure::NoDevice)?;
        let at = SignInContext {
            realm: &call.route.config.identity,
            keys: &call.route.keys,
            device: &device,
            route: &call.route.config.name,
            address: call.address,
        };
        // The document has clients send the unused form as null; others leave it empty.
        let given = |name| -> Result<_, BadField> {
            Ok(fields.text(name)?.filter(|text| !text.is_empty()))
        };
        let signed_in = match (given("username")?, given("password")?, given("URL")?) {
            (Some(name), Some(password), None) => {
                let password = Secret::new(password.into_owned());
                self.auth.sign_in(at, &name, &password).await?
            }
            (None, None, Some(url)) => {
                let token = share_token(call, &url).ok_or(Failure::WrongSignIn)?;
                self.auth.open_share(at, &token).await?
            }
            (_, _, Some(_)) => return Err(Failure::BothSignIns),
            (_, _, None) => return Err(Failure::NoSignIn),
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
            .unwrap_or_else(|failure| failure.reply(&call.route))
    }

    async fn two_factor(&self, call: &Call) -> Result<Reply, Failure> {
        let head = call.head();
        let token = credential::find(&[CredentialSource::Bearer], &head)?;
        let token = token.ok_or(Failure::NoToken)?;
        let in_path = target::last_segment(&call.path);
        if !bool::from(in_path.as_bytes().ct_eq(token.as_bytes())) {
            return Err(Failure::TokensDiffer);
        }
        let body = Fields::body(call)?;
        let device_in_body = body.text("deviceId")?.map(std::borrow::Cow::into_owned);
        let device = device::find(&head, device_in_body.as_deref())?;
        let presented = Presented {
            token: &token,
            device: device.as_deref(),
        };
        let caller = self.caller(call, presented).await?;
        let caller = caller.ok_or(Failure::UnknownToken)?;
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
        let verified = self.auth.verify(&caller, typed).await?;
        self.remember(call, presented, caller.pair, &verified.session)
            .await;
        Ok(message(StatusCode::OK, "Code accepted"))
    }

    async fn start(&self, call: &Call, caller: &Caller, fresh: bool) -> Result<Reply, Failure> {
        let needed =
            asks_second_factor(&call.route.config) && (fresh || caller.standing == Standing::Token);
        if !needed {
            return Ok(started("No code is needed", None));
        }
        let started_at = match self.auth.start(caller, FactorKind::Sms).await {
            Err(StartError::NoRecipient) if self.has_authenticator(caller).await? => {
                return Err(Failure::OnlyAuthenticator);
            }
            started_at => started_at?,
        };
        let text = format!("A code was sent to {}", started_at.masked_recipient);
        Ok(started(&text, Some(started_at.expires_at.iso8601())))
    }

    async fn has_authenticator(&self, caller: &Caller) -> Result<bool, Failure> {
        let factors = self.auth.factors(caller.holder.user).await;
        let factors = factors.map_err(|error| {
            tracing::error!(%error, "a challenge could not be started");
            Failure::Unavailable
        })?;
        Ok(factors.totp().is_some())
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

/// Whether any path of the route asks for a second factor.
fn asks_second_factor(route: &Route) -> bool {
    route
        .rules
        .iter()
        .map(|rule| rule.require)
        .chain([route.require])
        .any(|require| match require {
            Requirement::TwoFactor { .. } | Requirement::SuccessToken => true,
            Requirement::Nothing | Requirement::Token | Requirement::Deny => false,
        })
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
