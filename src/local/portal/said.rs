//! What the challenge page says when something goes wrong: one table from error to status and
//! sentence. Never whether a user exists, never what the client sent.

use super::super::{Call, Reply, encode};
use super::page::notice;
use crate::auth::challenge::{StartError, VerifyError};
use crate::auth::lockout::Blocked;
use crate::factor::one_time;
use crate::gate::Unavailable;
use http::StatusCode;
use std::time::Duration;

/// Why a visitor gets no challenge page.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Stop {
    #[error("The form came from another page. Open the link that you were sent once more.")]
    Foreign,
    #[error("Your browser's request cannot be taken: {0}.")]
    Malformed(String),
    #[error("Open the link that you were sent, or sign in, and you will come back here.")]
    NoToken,
    #[error(
        "The link or sign-in that brought you here is not known or has ended. Ask for a new one."
    )]
    UnknownToken,
    #[error("Your browser did not send our cookie back. Let this site set cookies and try again.")]
    NoCookie,
    #[error("This cannot be checked now. Try again in a few seconds.")]
    Unavailable,
}

impl From<Unavailable> for Stop {
    fn from(_: Unavailable) -> Self {
        Self::Unavailable
    }
}

impl Stop {
    pub(super) fn reply(&self, call: &Call) -> Reply {
        let (status, title, error) = match self {
            Self::Foreign => (StatusCode::FORBIDDEN, "This form cannot be taken", None),
            Self::Malformed(_) => (StatusCode::BAD_REQUEST, "This cannot be read", None),
            Self::NoToken => (StatusCode::UNAUTHORIZED, "We do not know you yet", None),
            Self::UnknownToken => (
                StatusCode::UNAUTHORIZED,
                "We do not know you any more",
                Some("invalid_token"),
            ),
            Self::NoCookie => (StatusCode::BAD_REQUEST, "Cookies are needed", None),
            Self::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "Not now", None),
        };
        let reply = notice(status, title, &self.to_string());
        match status {
            StatusCode::UNAUTHORIZED => encode::www_authenticate(reply, &call.route, error),
            StatusCode::SERVICE_UNAVAILABLE => encode::retry_after(reply, encode::RETRY_STORE_SECS),
            _ => reply,
        }
    }
}

/// What went wrong while the page goes on, as a status and a sentence.
pub(super) struct Alert {
    pub(super) status: StatusCode,
    pub(super) text: String,
    pub(super) retry_after_secs: Option<u64>,
}

impl Alert {
    fn new(status: StatusCode, text: &str) -> Self {
        Self {
            status,
            text: text.to_owned(),
            retry_after_secs: None,
        }
    }

    fn wait(status: StatusCode, text: &str, secs: u64) -> Self {
        // Whole minutes are rounded up: trying again too early would be refused.
        let shown = if secs < 120 {
            secs
        } else {
            secs.div_ceil(60) * 60
        };
        let span = one_time::readable(Duration::from_secs(shown));
        Self {
            status,
            text: text.replace("{}", &span),
            retry_after_secs: Some(secs),
        }
    }
}

impl From<Blocked> for Alert {
    fn from(blocked: Blocked) -> Self {
        match blocked {
            Blocked::Delayed { retry_after_secs } => Self::wait(
                StatusCode::TOO_MANY_REQUESTS,
                "There were too many wrong codes. Wait {} and try again.",
                retry_after_secs,
            ),
            Blocked::Locked => Self::new(
                StatusCode::FORBIDDEN,
                "Your codes are locked after too many wrong ones. Ask whoever runs this service to unlock you.",
            ),
        }
    }
}

const UNCHECKED: &str = "This cannot be checked now. Try again in {}.";

impl From<StartError> for Alert {
    fn from(error: StartError) -> Self {
        match error {
            StartError::NoRecipient => Self::new(
                StatusCode::BAD_REQUEST,
                "There is nothing that a code could be sent to.",
            ),
            StartError::RecipientRefused => Self::new(
                StatusCode::BAD_REQUEST,
                "Codes cannot be sent to your number. Ask whoever gave you this access.",
            ),
            StartError::TooMany { retry_after_secs } => Self::wait(
                StatusCode::TOO_MANY_REQUESTS,
                "Wait {} before you ask for another code. One that you already have is still good.",
                retry_after_secs,
            ),
            StartError::Blocked(blocked) => blocked.into(),
            StartError::NotSent => Self::wait(
                StatusCode::SERVICE_UNAVAILABLE,
                "The code could not be sent. Try again in {}.",
                encode::RETRY_SEND_SECS,
            ),
            StartError::Unavailable => Self::wait(
                StatusCode::SERVICE_UNAVAILABLE,
                UNCHECKED,
                encode::RETRY_STORE_SECS,
            ),
        }
    }
}

impl From<VerifyError> for Alert {
    fn from(error: VerifyError) -> Self {
        match error {
            VerifyError::Malformed => {
                Self::new(StatusCode::BAD_REQUEST, "Type the digits of the code.")
            }
            VerifyError::Wrong { left: Some(0) } => Self::new(
                StatusCode::UNAUTHORIZED,
                "The code is wrong, and no longer good after this many tries. Send a new one.",
            ),
            VerifyError::Wrong { left: None } => Self::new(
                StatusCode::UNAUTHORIZED,
                "The code is wrong. Wait for the next one of your app and try again.",
            ),
            VerifyError::Wrong { left: Some(_) } => Self::new(
                StatusCode::UNAUTHORIZED,
                "The code is wrong. Look at the newest message and try again.",
            ),
            VerifyError::Copied => Self::new(
                StatusCode::UNAUTHORIZED,
                "This passkey may have been copied. Use another factor, and remove it.",
            ),
            VerifyError::Gone => Self::new(
                StatusCode::FORBIDDEN,
                "The code has expired or was used. Send a new one.",
            ),
            VerifyError::NeverSent | VerifyError::Forbidden => Self::new(
                StatusCode::NOT_FOUND,
                "No code was sent to you yet. Send one first.",
            ),
            VerifyError::Blocked(blocked) => blocked.into(),
            VerifyError::Unavailable => Self::wait(
                StatusCode::SERVICE_UNAVAILABLE,
                UNCHECKED,
                encode::RETRY_STORE_SECS,
            ),
        }
    }
}
