//! Why the operator's API did not do something, as a sentence that says how to mend it, and as
//! problem+json (RFC 9457).

use crate::auth::ports::StoreError;
use crate::config::model::GROUPS_MAX;
use crate::entropy::NoEntropy;
use crate::factor::phone::PhoneError;
use crate::id::{SessionId, ShareId, UserId};
use crate::identity::accounts::HashError;
use crate::request::Malformed;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// Why an operator's request was not done. `Display` says how to mend it.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    #[error("only root and the gateway's own user may use the admin socket")]
    NotOperator,
    #[error("there is no such path here: GET /v1/openapi.json lists all")]
    NoSuchPath,
    #[error("the path does not take this method: the header Allow lists those that it takes")]
    NoSuchMethod,
    #[error("the body is larger than 64 KiB: send less")]
    TooLarge,
    #[error("the request cannot be read: {0}")]
    Unreadable(String),
    #[error("the body does not fit: {0}")]
    BadBody(String),
    #[error("the query does not fit: {0}")]
    BadQuery(String),
    #[error("`limit` is from 1 to {max}")]
    BadLimit { max: u32 },
    #[error("there is no user `{0}`: `vestibule user list` shows who there is")]
    NoSuchUser(String),
    #[error("`{user}` may be any of {candidates}: write `id:` and the number, or add --identity")]
    ManySuchUsers { user: String, candidates: String },
    #[error("identity `{identity}` has a user `{name}` already: choose another name")]
    UserExists { identity: String, name: String },
    #[error(
        "`{0}` cannot be a user's name: use 1 to 256 characters, not only digits, and no `share:` \
         at its start"
    )]
    BadName(String),
    #[error("the phone number is not usable: {0}")]
    Phone(#[from] PhoneError),
    #[error("the email address is not usable: write it like anna@example.org")]
    Email,
    #[error("the password is {0}")]
    BadPassword(&'static str),
    #[error("identity `{0}` has its passwords elsewhere: change this one there")]
    NoPasswordsHere(String),
    #[error("the request changes nothing: name a phone, an email, a password or can_edit_users")]
    NoChange,
    #[error(
        "user {0} stands for a recipient of a share link, and goes with it: `vestibule share list` \
         shows which, `vestibule share revoke` ends it"
    )]
    ShareRecipient(UserId),
    #[error("the user has no factor `{0}`: `vestibule factor list` shows which there are")]
    NoSuchFactor(String),
    #[error("`{0}` cannot be a group's name: use 1 to 256 bytes, without spaces around them")]
    BadGroup(String),
    #[error("a user can be in {GROUPS_MAX} groups at most")]
    TooManyGroups,
    #[error(
        "identity `{0}` takes groups from its tokens (`groups` in the config): change them there"
    )]
    GroupsOfIssuer(String),
    #[error("`{0}` stands for whoever has a share link: nobody of them is in a group")]
    GroupsOfShare(String),
    #[error("two recipients have the same number or address ({0}): name each person once")]
    SameRecipient(String),
    #[error("a share link is for {max} people at most, not for {named}: make several links")]
    TooManyRecipients { named: usize, max: usize },
    #[error("`devices_max` is at least 1; leave it out for any number")]
    NoDevices,
    #[error("`lifetime_secs` is at least 1; leave it out for a link without an end")]
    NoLifetime,
    #[error("the config has no identity `{0}`: use one of those under `identities`")]
    NoSuchIdentity(String),
    #[error(
        "identity `{0}` has its users from elsewhere: only an `accounts` identity takes new ones"
    )]
    NotAccounts(String),
    #[error(
        "the config has no `accounts` identity: add one, e.g. `identities: {{local: {{accounts: {{}}}}}}`"
    )]
    NoAccounts,
    #[error("the config has several `accounts` identities ({0}): say which with --identity")]
    SeveralAccounts(String),
    #[error(
        "no route with identity `{0}` takes a token from its path: give one the credential \
         `{{path: \"/share/{{token}}\"}}`"
    )]
    NoShareRoute(String),
    #[error("`{0}` is not a path: write it as in the share's URLs, like /photos/")]
    NotAPath(String),
    #[error("`{path}` cannot be shared: {cause}")]
    BadPath { path: String, cause: Malformed },
    #[error("there is no share {0}: `vestibule share list` shows which there are")]
    NoSuchShare(ShareId),
    #[error("there is no live session {0}: `vestibule session list` shows which there are")]
    NoSuchSession(SessionId),
    #[error(
        "there is no live session of a device `{0}`: `vestibule session list` shows which there are"
    )]
    NoSuchDevice(String),
    #[error(
        "no identity knows this token: it has ended, was never seen here, or is not the whole token"
    )]
    NoSuchToken,
    #[error("this is the link of share {0}: end it with `vestibule share revoke {0}`")]
    ShareLink(ShareId),
    #[error("nobody is delayed or locked under `{0}`: `vestibule lockout list` shows who is")]
    NoSuchLockout(String),
    #[error("say who is freed by one of `user` and `address`")]
    NotUserOrAddress,
    #[error("`{0}` is not an address: write it like 192.0.2.1 or 2001:db8::1")]
    NotAnAddress(String),
    #[error("`{0}` is not a moment: write it like 2026-11-22T03:21:34Z")]
    NotAMoment(String),
    #[error("{max} readers follow the audit trail already: end one of them")]
    TooManyFollowers { max: usize },
    #[error("the reader was too slow: ask again with after={after}")]
    TooSlow { after: i64 },
    #[error("the gateway stops: ask again when it runs, with `after` and the last id")]
    Stopping,
    #[error("`{0}` is not a number: lists show those that there are")]
    NotANumber(String),
    #[error(
        "say whose sessions end by one of `user`, `device`, `token` and `all`, and by no other"
    )]
    NotOneChoice,
    #[error("no gateway runs here whose numbers could be shown: start it")]
    NoGateway,
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    NoEntropy(#[from] NoEntropy),
    #[error(transparent)]
    Hash(#[from] HashError),
}

impl OperatorError {
    /// The status, and what it is about.
    #[must_use]
    pub fn status(&self) -> (StatusCode, &'static str) {
        match self {
            Self::NotOperator => (StatusCode::FORBIDDEN, "Not an operator"),
            Self::NoSuchPath => (StatusCode::NOT_FOUND, "No such path"),
            Self::NoSuchMethod => (StatusCode::METHOD_NOT_ALLOWED, "No such method"),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "Too large"),
            Self::Unreadable(_) => (StatusCode::BAD_REQUEST, "Not readable"),
            Self::NoSuchUser(_)
            | Self::NoSuchFactor(_)
            | Self::NoSuchShare(_)
            | Self::NoSuchSession(_)
            | Self::NoSuchDevice(_)
            | Self::NoSuchToken
            | Self::NoSuchLockout(_) => (StatusCode::NOT_FOUND, "Not found"),
            Self::UserExists { .. } => (StatusCode::CONFLICT, "Taken"),
            Self::ShareRecipient(_) | Self::ShareLink(_) => (StatusCode::CONFLICT, "Of a share"),
            Self::TooManyFollowers { .. } => (StatusCode::TOO_MANY_REQUESTS, "Too many readers"),
            Self::TooSlow { .. } => (StatusCode::REQUEST_TIMEOUT, "Too slow"),
            Self::Stopping => (StatusCode::SERVICE_UNAVAILABLE, "Stopping"),
            Self::Store(_) => (StatusCode::SERVICE_UNAVAILABLE, "The store does not answer"),
            Self::NoGateway => (StatusCode::SERVICE_UNAVAILABLE, "No gateway"),
            Self::NoEntropy(_) | Self::Hash(HashError::NoEntropy) => {
                (StatusCode::SERVICE_UNAVAILABLE, "No random bytes")
            }
            Self::BadBody(_)
            | Self::BadQuery(_)
            | Self::BadLimit { .. }
            | Self::ManySuchUsers { .. }
            | Self::BadName(_)
            | Self::Phone(_)
            | Self::Email
            | Self::BadGroup(_)
            | Self::TooManyGroups
            | Self::GroupsOfIssuer(_)
            | Self::GroupsOfShare(_)
            | Self::BadPassword(_)
            | Self::NoPasswordsHere(_)
            | Self::NoChange
            | Self::NotUserOrAddress
            | Self::NotAnAddress(_)
            | Self::NotAMoment(_)
            | Self::SameRecipient(_)
            | Self::TooManyRecipients { .. }
            | Self::NoDevices
            | Self::NoLifetime
            | Self::NoSuchIdentity(_)
            | Self::NotAccounts(_)
            | Self::NoAccounts
            | Self::SeveralAccounts(_)
            | Self::NoShareRoute(_)
            | Self::NotAPath(_)
            | Self::BadPath { .. }
            | Self::NotANumber(_)
            | Self::NotOneChoice
            | Self::Hash(HashError::Unhashable) => {
                (StatusCode::UNPROCESSABLE_ENTITY, "Cannot be taken")
            }
        }
    }

    /// The part of the request that has to change, where one has.
    #[must_use]
    pub fn place(&self) -> Option<&'static str> {
        Some(match self {
            Self::BadQuery(_) => "query",
            Self::BadLimit { .. } => "query/limit",
            Self::BadBody(_) | Self::TooLarge | Self::NotOneChoice | Self::NoChange => "body",
            Self::NotUserOrAddress | Self::NotAMoment(_) => "query",
            Self::NotAnAddress(_) => "query/address",
            Self::NoSuchFactor(_) => "factor",
            Self::NoSuchDevice(_) => "body/device",
            Self::NoSuchToken | Self::ShareLink(_) => "body/token",
            Self::NoSuchUser(_) | Self::ManySuchUsers { .. } => "user",
            Self::UserExists { .. } | Self::BadName(_) => "body/name",
            Self::Phone(_) => "body/phone",
            Self::Email => "body/email",
            Self::BadPassword(_) | Self::NoPasswordsHere(_) => "body/password",
            Self::SameRecipient(_) | Self::TooManyRecipients { .. } => "body/recipients",
            Self::NoDevices => "body/devices_max",
            Self::NoLifetime => "body/lifetime_secs",
            Self::NoSuchIdentity(_) | Self::NotAccounts(_) | Self::SeveralAccounts(_) => "identity",
            Self::NoAccounts | Self::NoShareRoute(_) => "config",
            Self::NotAPath(_) | Self::BadPath { .. } => "body/path",
            _ => return None,
        })
    }
}

/// A refusal as it crosses the socket (RFC 9457).
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    #[serde(rename = "type")]
    pub kind: Cow<'static, str>,
    /// What is wrong, in a word or two.
    pub title: Cow<'static, str>,
    pub status: u16,
    /// What is wrong, and how to mend it.
    pub detail: String,
    /// The part of the request, like `body/phone` or `query/limit`, or of the gateway (`config`), that
    /// has to change.
    #[serde(rename = "where", default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Cow<'static, str>>,
}

impl Problem {
    /// Whether the request or the config must change before another try can succeed.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        matches!(self.status, 400 | 405 | 413 | 422)
    }
}

impl From<&OperatorError> for Problem {
    fn from(error: &OperatorError) -> Self {
        let (status, title) = error.status();
        Self {
            kind: "about:blank".into(),
            title: title.into(),
            status: status.as_u16(),
            detail: error.to_string(),
            place: error.place().map(Into::into),
        }
    }
}

impl IntoResponse for OperatorError {
    fn into_response(self) -> Response {
        let problem = Problem::from(&self);
        let status = self.status().0;
        let body = serde_json::to_vec(&problem).unwrap_or_default();
        let kind = [(header::CONTENT_TYPE, "application/problem+json")];
        (status, kind, body).into_response()
    }
}
