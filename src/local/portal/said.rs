//! What the pages say when something goes wrong: one table from error to status and message. Never
//! whether a user exists, never what the client sent.

use super::super::{Reply, encode};
use super::page::{self, Frame};
use crate::auth::challenge::{StartError, VerifyError};
use crate::auth::lockout::Blocked;
use crate::auth::ports::StoreError;
use crate::auth::sign_in::SignInError;
use crate::gate::Unavailable;
use crate::route::Route;
use crate::words::{Sentence, Words};
use http::StatusCode;
use http::header::LOCATION;

/// A title and what it is about, by their keys.
#[derive(Clone, Copy, Debug)]
pub(in crate::local) struct Notice {
    pub(super) title: &'static str,
    pub(super) detail: &'static str,
}

impl Notice {
    pub(in crate::local) const fn new(title: &'static str, detail: &'static str) -> Self {
        Self { title, detail }
    }
}

/// Why a visitor gets no page.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// The form came from a page of another origin.
    Foreign,
    /// A script asks, which our pages do not: the backend's files are of this origin, too.
    Scripted,
    /// The form was shown to another browser, or to this one under an earlier name.
    StaleForm,
    Malformed(String),
    NotFound,
    NoToken,
    UnknownToken,
    /// Whoever came by a share link has no account.
    ShareOnly,
    /// Every path of the route is closed to the visitor.
    Closed,
    NoCookie,
    /// Only the operator sets up a first factor here.
    NoSelfEnrolment,
    Unavailable,
    /// Another page comes first: its address on this host.
    GoTo(String),
}

impl From<Unavailable> for Stop {
    fn from(_: Unavailable) -> Self {
        Self::Unavailable
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "a page could not be made");
        Self::Unavailable
    }
}

impl Stop {
    /// What cannot be read of the call.
    pub(super) fn malformed(error: &dyn std::fmt::Display) -> Self {
        Self::Malformed(error.to_string())
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Foreign
            | Self::Scripted
            | Self::StaleForm
            | Self::ShareOnly
            | Self::Closed
            | Self::NoSelfEnrolment => StatusCode::FORBIDDEN,
            Self::Malformed(_) | Self::NoCookie => StatusCode::BAD_REQUEST,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::NoToken | Self::UnknownToken => StatusCode::UNAUTHORIZED,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::GoTo(_) => StatusCode::SEE_OTHER,
        }
    }

    fn notice(&self) -> Notice {
        let (title, detail) = match self {
            Self::Foreign => ("said-foreign-title", "said-foreign"),
            Self::Scripted => ("said-scripted-title", "said-scripted"),
            Self::StaleForm => ("said-stale-title", "said-stale"),
            Self::Malformed(_) => ("said-malformed-title", "said-malformed"),
            Self::NotFound => ("said-not-found-title", "said-not-found"),
            Self::NoToken => ("said-no-token-title", "said-no-token"),
            Self::UnknownToken => ("said-unknown-token-title", "said-unknown-token"),
            Self::ShareOnly => ("said-share-only-title", "said-share-only"),
            Self::Closed => ("notice-denied-title", "notice-denied"),
            Self::NoCookie => ("said-no-cookie-title", "said-no-cookie"),
            Self::NoSelfEnrolment => ("said-no-self-enrolment-title", "said-no-self-enrolment"),
            Self::Unavailable | Self::GoTo(_) => ("said-unavailable-title", "said-unavailable"),
        };
        Notice { title, detail }
    }

    pub(super) fn reply(&self, frame: &Frame<'_>, route: &Route) -> Reply {
        if let Self::GoTo(address) = self {
            return go_to(address);
        }
        if let Self::Malformed(error) = self {
            tracing::debug!(error, "a page's request cannot be taken");
        }
        let reply = page::notice(frame, self.status(), self.notice());
        match self {
            Self::NoToken => encode::www_authenticate(reply, route, None),
            Self::UnknownToken => encode::www_authenticate(reply, route, Some("invalid_token")),
            Self::Unavailable => encode::retry_after(reply, encode::RETRY_STORE_SECS),
            _ => reply,
        }
    }
}

/// Leads on to another page, which is asked for with GET.
pub(in crate::local) fn go_to(address: &str) -> Reply {
    let reply = encode::reply(StatusCode::SEE_OTHER, "text/plain; charset=utf-8", "");
    encode::header(reply, LOCATION, address)
}

/// What went wrong while the page goes on, as a status and a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Alert {
    pub(super) status: StatusCode,
    key: &'static str,
    /// When to try again: the message's `$span`.
    pub(super) retry_after_secs: Option<u64>,
    /// How often the code can still be tried: the message's `$left`.
    left: Option<u32>,
}

impl Alert {
    pub(super) fn new(status: StatusCode, key: &'static str) -> Self {
        Self {
            status,
            key,
            retry_after_secs: None,
            left: None,
        }
    }

    pub(super) fn wait(status: StatusCode, key: &'static str, secs: u64) -> Self {
        Self {
            retry_after_secs: Some(secs),
            ..Self::new(status, key)
        }
    }

    /// The store does not answer.
    pub(super) fn unavailable() -> Self {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        Self::wait(status, "said-unchecked", encode::RETRY_STORE_SECS)
    }

    /// The page under this alert's status, with the headers that belong to it.
    pub(super) fn on(self, page: Reply, route: &Route, error: Option<&str>) -> Reply {
        let page = match page.status() {
            StatusCode::UNAUTHORIZED => encode::www_authenticate(page, route, error),
            _ => page,
        };
        match self.retry_after_secs {
            Some(secs) => encode::retry_after(page, secs),
            None => page,
        }
    }

    pub(super) fn text(self, words: Words) -> Sentence {
        let sentence = match self.retry_after_secs {
            Some(secs) => words.say(self.key).with("span", words.span(secs)),
            None => words.say(self.key),
        };
        match self.left {
            Some(left) => sentence.with("left", u64::from(left)),
            None => sentence,
        }
    }

    /// Whether it was what somebody typed, and not when or by whom.
    pub(super) fn is_about_what_was_typed(self) -> bool {
        matches!(
            self.status,
            StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED
        )
    }
}

/// Why nothing was done of what a form asked for.
#[derive(Debug)]
pub(super) enum Halt {
    Stop(Stop),
    /// Said on the form's page.
    Alert(Alert),
}

impl Halt {
    /// Where there is no page to say the sentence on.
    pub(super) fn stop(self) -> Stop {
        self.alert().err().unwrap_or(Stop::Unavailable)
    }

    /// The sentence that the page goes on with.
    pub(super) fn alert(self) -> Result<Alert, Stop> {
        match self {
            Self::Stop(stop) => Err(stop),
            Self::Alert(alert) => Ok(alert),
        }
    }
}

impl From<Stop> for Halt {
    fn from(stop: Stop) -> Self {
        Self::Stop(stop)
    }
}

impl From<StoreError> for Halt {
    fn from(error: StoreError) -> Self {
        Self::Stop(error.into())
    }
}

impl<E: Into<Alert>> From<E> for Halt {
    fn from(error: E) -> Self {
        Self::Alert(error.into())
    }
}

impl From<Blocked> for Alert {
    fn from(blocked: Blocked) -> Self {
        match blocked {
            Blocked::Delayed { retry_after_secs } => Self::wait(
                StatusCode::TOO_MANY_REQUESTS,
                "said-delayed",
                retry_after_secs,
            ),
            Blocked::Locked => Self::new(StatusCode::FORBIDDEN, "said-locked"),
        }
    }
}

impl From<SignInError> for Alert {
    fn from(error: SignInError) -> Self {
        match error {
            SignInError::Wrong => Self::new(StatusCode::UNAUTHORIZED, "said-wrong-password"),
            SignInError::Closed => Self::new(StatusCode::FORBIDDEN, "notice-denied"),
            SignInError::TooMany { retry_after_secs } => Self::wait(
                StatusCode::TOO_MANY_REQUESTS,
                "said-delayed-password",
                retry_after_secs,
            ),
            SignInError::Unavailable => Self::unavailable(),
        }
    }
}

impl From<StartError> for Alert {
    fn from(error: StartError) -> Self {
        match error {
            StartError::NoRecipient => Self::new(StatusCode::BAD_REQUEST, "said-no-recipient"),
            StartError::RecipientRefused => {
                Self::new(StatusCode::BAD_REQUEST, "said-recipient-refused")
            }
            StartError::TooMany { retry_after_secs } => Self::wait(
                StatusCode::TOO_MANY_REQUESTS,
                "said-too-many",
                retry_after_secs,
            ),
            StartError::Blocked(blocked) => blocked.into(),
            StartError::NotSent => Self::wait(
                StatusCode::SERVICE_UNAVAILABLE,
                "said-not-sent",
                encode::RETRY_SEND_SECS,
            ),
            StartError::Unavailable => Self::unavailable(),
        }
    }
}

impl From<VerifyError> for Alert {
    fn from(error: VerifyError) -> Self {
        let (status, key) = match error {
            VerifyError::Malformed => (StatusCode::BAD_REQUEST, "said-no-digits"),
            VerifyError::Wrong { left: Some(0) } => (StatusCode::UNAUTHORIZED, "said-wrong-last"),
            VerifyError::Wrong { left: None } => (StatusCode::UNAUTHORIZED, "said-wrong-app"),
            VerifyError::Wrong { left: Some(left) } => {
                return Self {
                    left: Some(left),
                    ..Self::new(StatusCode::UNAUTHORIZED, "said-wrong")
                };
            }
            VerifyError::Copied => (StatusCode::UNAUTHORIZED, "passkey-copied"),
            VerifyError::Gone => (StatusCode::FORBIDDEN, "said-gone"),
            VerifyError::NeverSent | VerifyError::Forbidden => {
                (StatusCode::NOT_FOUND, "said-never-sent")
            }
            VerifyError::Full => (StatusCode::FORBIDDEN, "share-full"),
            VerifyError::Blocked(blocked) => return blocked.into(),
            VerifyError::Unavailable => return Self::unavailable(),
        };
        Self::new(status, key)
    }
}
