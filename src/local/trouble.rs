//! What can go wrong in a call of any dialect, in one set of words. Each dialect has its own shape
//! for it, and says where its status or its words are others.

use super::decode::{BadBody, BadField};
use super::{Reply, encode};
use crate::auth::challenge::{StartError, VerifyError};
use crate::auth::enrol::{EnrolError, ResetError};
use crate::auth::lockout::Blocked;
use crate::auth::ports::StoreError;
use crate::auth::share::OpenShareError;
use crate::auth::sign_in::SignInError;
use crate::auth::wizard::WizardError;
use crate::gate::Unavailable;
use crate::identity::credential::BadCredential;
use crate::identity::device::BadDevice;
use crate::route::Route;
use http::StatusCode;

/// Why a call is refused. Its text is for people: what was wrong, and what to do.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Trouble {
    #[error(transparent)]
    Body(#[from] BadBody),
    #[error(transparent)]
    Device(#[from] BadDevice),
    #[error(transparent)]
    Credential(#[from] BadCredential),
    /// A field that is missing or cannot be taken.
    #[error("{text}")]
    Field { name: &'static str, text: String },
    #[error("send the token as `Authorization: Bearer`")]
    NoToken,
    #[error("the token is unknown or has ended: sign in again")]
    UnknownToken,
    #[error("the token in the path is not the bearer token: send the same one in both places")]
    TokensDiffer,
    #[error("wrong user name, email address or password")]
    WrongSignIn,
    #[error("verify your second factor first: this would change what protects you")]
    NotVerified,
    #[error("a second factor can only be set up for you by who runs this service: ask them")]
    NoSelfEnrolment,
    #[error("only who shared this link can change its second factor: ask them")]
    Shared,
    #[error("you may not change other users: ask who runs this service")]
    NotAllowed,
    /// No path of the route is open to the user.
    #[error("this service is closed to you: ask who runs it")]
    Closed,
    #[error("{0}")]
    NotFound(&'static str),
    /// The user has no such factor, or nothing is pending.
    #[error("{0}")]
    Nothing(&'static str),
    #[error("codes cannot be sent there: use another number, or ask who runs this service")]
    RecipientRefused,
    #[error("{}", wrong_code(*.left))]
    CodeWrong { left: Option<u32> },
    #[error(
        "this passkey counts backwards, so it may have been copied: use another factor, and remove it"
    )]
    PasskeyCopied,
    #[error("the code has expired or was used: ask for a new one")]
    CodeGone,
    #[error("this share link has been opened on all the devices it is good for: ask for a new one")]
    ShareFull,
    #[error("this share link is for several people: open it in a browser, which asks who you are")]
    SeveralRecipients,
    #[error("locked after too many wrong codes: ask who runs this service to unlock you")]
    Locked,
    #[error("too many tries: wait {retry_after_secs} seconds")]
    TooMany { retry_after_secs: u64 },
    #[error("the message could not be sent: try again in a minute")]
    NotSent,
    #[error("this cannot be checked now: try again in a few seconds")]
    Unavailable,
}

/// What a client without a browser is told of a user who has nothing that a code could be sent to or
/// typed of.
pub(super) const ONLY_PASSKEYS: Trouble = Trouble::Nothing(
    "your second factor is a passkey, which only a browser can ask for: open the portal_url that a \
     refused request names",
);

fn wrong_code(left: Option<u32>) -> String {
    match left {
        None => "wrong code: look at the newest one and try again".to_owned(),
        Some(0) => "wrong code, and it is void now: ask for a new one".to_owned(),
        Some(1) => "wrong code: 1 try left".to_owned(),
        Some(left) => format!("wrong code: {left} tries left"),
    }
}

impl Trouble {
    /// A field that is not there.
    pub(super) fn missing(name: &'static str) -> Self {
        Self::field(name, format!("`{name}` is missing"))
    }

    /// A field that cannot be taken.
    pub(super) fn field(name: &'static str, text: impl Into<String>) -> Self {
        Self::Field {
            name,
            text: text.into(),
        }
    }

    /// The status in HTTP's own sense.
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::Body(_)
            | Self::Device(_)
            | Self::Credential(_)
            | Self::Field { .. }
            | Self::SeveralRecipients
            | Self::RecipientRefused => StatusCode::BAD_REQUEST,
            Self::NoToken
            | Self::UnknownToken
            | Self::TokensDiffer
            | Self::WrongSignIn
            | Self::PasskeyCopied
            | Self::CodeWrong { .. } => StatusCode::UNAUTHORIZED,
            Self::NotVerified
            | Self::NoSelfEnrolment
            | Self::Shared
            | Self::NotAllowed
            | Self::Closed
            | Self::Locked
            | Self::ShareFull
            | Self::CodeGone => StatusCode::FORBIDDEN,
            Self::NotFound(_) | Self::Nothing(_) => StatusCode::NOT_FOUND,
            Self::TooMany { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::NotSent | Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// What its answer has besides the dialect's own body.
    pub(super) fn dress(&self, reply: Reply, route: &Route) -> Reply {
        let reply = match reply.status() {
            StatusCode::UNAUTHORIZED => encode::www_authenticate(reply, route, self.error_code()),
            _ => reply,
        };
        match self.retry_after_secs() {
            Some(secs) => encode::retry_after(reply, secs),
            None => reply,
        }
    }

    /// The error code of RFC 6750 or RFC 9470 for a 401.
    fn error_code(&self) -> Option<&'static str> {
        match self {
            Self::UnknownToken | Self::TokensDiffer => Some("invalid_token"),
            Self::CodeWrong { .. } | Self::PasskeyCopied => {
                Some("insufficient_user_authentication")
            }
            _ => None,
        }
    }

    /// When to try again.
    fn retry_after_secs(&self) -> Option<u64> {
        match self {
            Self::TooMany { retry_after_secs } => Some(*retry_after_secs),
            Self::NotSent => Some(encode::RETRY_SEND_SECS),
            Self::Unavailable => Some(encode::RETRY_STORE_SECS),
            _ => None,
        }
    }
}

impl From<BadField> for Trouble {
    fn from(error: BadField) -> Self {
        Self::field(error.name(), error.to_string())
    }
}

impl From<Unavailable> for Trouble {
    fn from(_: Unavailable) -> Self {
        Self::Unavailable
    }
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "a call could not be answered");
        Self::Unavailable
    }
}

impl From<Blocked> for Trouble {
    fn from(blocked: Blocked) -> Self {
        match blocked {
            Blocked::Delayed { retry_after_secs } => Self::TooMany { retry_after_secs },
            Blocked::Locked => Self::Locked,
        }
    }
}

impl From<StartError> for Trouble {
    fn from(error: StartError) -> Self {
        match error {
            StartError::NoRecipient => {
                Self::Nothing("no number is known for you: set up a second factor first")
            }
            StartError::RecipientRefused => Self::RecipientRefused,
            StartError::TooMany { retry_after_secs } => Self::TooMany { retry_after_secs },
            StartError::Blocked(blocked) => blocked.into(),
            StartError::NotSent => Self::NotSent,
            StartError::Unavailable => Self::Unavailable,
        }
    }
}

/// `VerifyError::Malformed` is about a field, whose name the dialect knows: see `Local::verified`.
impl From<VerifyError> for Trouble {
    fn from(error: VerifyError) -> Self {
        match error {
            VerifyError::Malformed => Self::field("code", "the code must be a row of digits"),
            VerifyError::Wrong { left } => Self::CodeWrong { left },
            VerifyError::Copied => Self::PasskeyCopied,
            VerifyError::Gone => Self::CodeGone,
            VerifyError::NeverSent => Self::Nothing("there is nothing to verify: ask for a code"),
            VerifyError::Forbidden => Self::NotVerified,
            VerifyError::Full => Self::ShareFull,
            VerifyError::Blocked(blocked) => blocked.into(),
            VerifyError::Unavailable => Self::Unavailable,
        }
    }
}

impl From<SignInError> for Trouble {
    fn from(error: SignInError) -> Self {
        match error {
            SignInError::Wrong => Self::WrongSignIn,
            SignInError::Closed => Self::Closed,
            SignInError::TooMany { retry_after_secs } => Self::TooMany { retry_after_secs },
            SignInError::Unavailable => Self::Unavailable,
        }
    }
}

impl From<OpenShareError> for Trouble {
    fn from(error: OpenShareError) -> Self {
        match error {
            OpenShareError::NoSuchRecipient | OpenShareError::SeveralRecipients => {
                Self::SeveralRecipients
            }
            OpenShareError::Full => Self::ShareFull,
            OpenShareError::Start(error) => error.into(),
            OpenShareError::SignIn(error) => error.into(),
        }
    }
}

impl From<WizardError> for Trouble {
    fn from(error: WizardError) -> Self {
        match error {
            WizardError::NotFound => {
                Self::NotFound("there is no such procedure (any more): begin again")
            }
            WizardError::OtherStep => Self::field("uuid", "this procedure waits for another step"),
            WizardError::NotEnabled => Self::Nothing("this method is not enabled"),
            WizardError::WrongKey => Self::field("key", "the key is not the one of this procedure"),
            WizardError::Password(error) => error.into(),
            WizardError::Start(error) => error.into(),
            WizardError::Code(error) => error.into(),
            WizardError::Enrol(error) => error.into(),
            WizardError::Unavailable => Self::Unavailable,
        }
    }
}

impl From<ResetError> for Trouble {
    fn from(error: ResetError) -> Self {
        match error {
            ResetError::NotVerified => Self::NotVerified,
            ResetError::NotAllowed => Self::NotAllowed,
            ResetError::NoSuchUser => Self::NotFound("there is no such user"),
            ResetError::Unavailable => Self::Unavailable,
        }
    }
}

impl From<EnrolError> for Trouble {
    fn from(error: EnrolError) -> Self {
        match error {
            EnrolError::NotVerified => Self::NotVerified,
            EnrolError::NoSelfEnrolment => Self::NoSelfEnrolment,
            EnrolError::Shared => Self::Shared,
            EnrolError::Start(error) => error.into(),
            EnrolError::Unavailable => Self::Unavailable,
        }
    }
}
