//! Why the operator's API did not do something, as a sentence that says how to mend it, and as
//! problem+json (RFC 9457).

use super::code::Code;
use crate::auth::ports::StoreError;
use crate::config::model::GROUPS_MAX;
use crate::entropy::NoEntropy;
use crate::factor::phone::PhoneError;
use crate::id::{SessionId, ShareId, UserId};
use crate::identity::accounts::HashError;
use crate::request::Malformed;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// The part of a request that has to change: `body/phone`, `query/limit`, `path/user`.
pub type Place = Cow<'static, str>;

/// Where a request names a user, with an `identity` that tells namesakes apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Naming {
    /// The identity is in the query then.
    Path,
    Query,
    Body,
}

impl Naming {
    fn user(self) -> &'static str {
        match self {
            Self::Path => "path/user",
            Self::Query => "query/user",
            Self::Body => "body/user",
        }
    }

    fn identity(self) -> &'static str {
        match self {
            Self::Path | Self::Query => "query/identity",
            Self::Body => "body/identity",
        }
    }
}

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
    #[error("the {part} cannot be read: {cause}")]
    Unreadable { part: &'static str, cause: String },
    #[error("{place} does not fit: {cause}")]
    DoesNotFit { place: Place, cause: String },
    #[error("`limit` is from 1 to {max}")]
    BadLimit { max: u32 },
    #[error("there is no user `{user}`: `vestibule user list` shows who there is")]
    NoSuchUser { user: String, named: Naming },
    #[error(
        "`{user}` may be any of {candidates}: write `id:` and the number, or name the `identity`"
    )]
    AmbiguousUser {
        user: String,
        candidates: String,
        named: Naming,
    },
    #[error("identity `{identity}` has a user `{name}` already: choose another name")]
    NameTaken { identity: String, name: String },
    #[error(
        "`{0}` cannot be a user's name: use 1 to 256 characters, not only digits, and no `share:` \
         at its start"
    )]
    BadName(String),
    #[error("the phone number is not usable: {cause}")]
    Phone { place: Place, cause: PhoneError },
    #[error("the email address is not usable: write it like anna@example.org")]
    Email { place: Place },
    #[error("the password is {0}")]
    BadPassword(&'static str),
    #[error("identity `{0}` has its passwords elsewhere: change this one there")]
    PasswordsElsewhere(String),
    #[error(
        "the request changes nothing: name a phone, an email, a password, can_edit_users or groups"
    )]
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
    GroupsElsewhere(String),
    #[error("two recipients have the same number or address ({shown}): name each person once")]
    SameRecipient { place: Place, shown: String },
    #[error("a share link is for {max} people at most, not for {named}: make several links")]
    TooManyRecipients { named: usize, max: usize },
    #[error("`devices_max` is at least 1; leave it out for any number")]
    NoDevices,
    #[error("`lifetime_secs` is at least 1; leave it out for a link without an end")]
    NoLifetime,
    #[error("the config has no identity `{identity}`: use one of those under `identities`")]
    NoSuchIdentity { identity: String, named: Naming },
    #[error(
        "identity `{0}` has its users from elsewhere: only an `accounts` identity takes new ones"
    )]
    UsersElsewhere(String),
    #[error(
        "the config has no `accounts` identity: add one, e.g. `identities: {{local: {{accounts: {{}}}}}}`"
    )]
    NoAccounts,
    #[error("the config has several `accounts` identities ({0}): name the `identity`")]
    AmbiguousIdentity(String),
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
    #[error("name one of {0}, and no other")]
    NotOneChoice(&'static str),
    #[error("`{text}` is not an address: write it like 192.0.2.1 or 2001:db8::1")]
    NotAnAddress { place: &'static str, text: String },
    #[error("`{text}` is not a moment: write it like 2026-11-22T03:21:34Z")]
    NotAMoment { place: &'static str, text: String },
    #[error("{max} readers follow the audit trail already: end one of them")]
    TooManyFollowers { max: usize },
    #[error("the reader was too slow: ask again with after={after}")]
    TooSlow { after: i64 },
    #[error("the gateway stops: ask again when it runs, with `after` and the last id")]
    Stopping,
    #[error("`{0}` is not a number: lists show those that there are")]
    NotANumber(String),
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
    /// What programs tell it by.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Unreadable { .. } => Code::Unreadable,
            Self::NotOperator => Code::NotOperator,
            Self::NoSuchPath => Code::NoSuchPath,
            Self::NoSuchUser { .. } => Code::NoSuchUser,
            Self::NoSuchFactor(_) => Code::NoSuchFactor,
            Self::NoSuchShare(_) => Code::NoSuchShare,
            Self::NoSuchSession(_) => Code::NoSuchSession,
            Self::NoSuchDevice(_) => Code::NoSuchDevice,
            Self::NoSuchToken => Code::NoSuchToken,
            Self::NoSuchLockout(_) => Code::NoSuchLockout,
            Self::NoSuchMethod => Code::NoSuchMethod,
            Self::TooSlow { .. } => Code::TooSlow,
            Self::NameTaken { .. } => Code::NameTaken,
            Self::ShareRecipient(_) => Code::ShareRecipient,
            Self::ShareLink(_) => Code::ShareLink,
            Self::TooLarge => Code::TooLarge,
            Self::AmbiguousUser { .. } => Code::AmbiguousUser,
            Self::AmbiguousIdentity(_) => Code::AmbiguousIdentity,
            Self::NoSuchIdentity { .. } => Code::NoSuchIdentity,
            Self::PasswordsElsewhere(_) | Self::GroupsElsewhere(_) | Self::UsersElsewhere(_) => {
                Code::KeptElsewhere
            }
            Self::NoAccounts | Self::NoShareRoute(_) => Code::NotConfigured,
            Self::TooManyFollowers { .. } => Code::TooManyFollowers,
            Self::Store(_) => Code::StoreDown,
            Self::NoEntropy(_) | Self::Hash(HashError::NoEntropy) => Code::NoEntropy,
            Self::NoGateway => Code::NoGateway,
            Self::Stopping => Code::Stopping,
            Self::DoesNotFit { .. }
            | Self::BadLimit { .. }
            | Self::BadName(_)
            | Self::Phone { .. }
            | Self::Email { .. }
            | Self::BadGroup(_)
            | Self::TooManyGroups
            | Self::BadPassword(_)
            | Self::NoChange
            | Self::NotAnAddress { .. }
            | Self::NotAMoment { .. }
            | Self::SameRecipient { .. }
            | Self::TooManyRecipients { .. }
            | Self::NoDevices
            | Self::NoLifetime
            | Self::NotAPath(_)
            | Self::BadPath { .. }
            | Self::NotANumber(_)
            | Self::NotOneChoice(_)
            | Self::Hash(HashError::Unhashable) => Code::Invalid,
        }
    }

    /// The part of the request that has to change, where one has.
    #[must_use]
    pub fn place(&self) -> Option<Place> {
        Some(match self {
            Self::DoesNotFit { place, .. }
            | Self::Phone { place, .. }
            | Self::Email { place }
            | Self::SameRecipient { place, .. } => place.clone(),
            Self::NotAnAddress { place, .. } | Self::NotAMoment { place, .. } => (*place).into(),
            Self::Unreadable { part, .. } => (*part).into(),
            Self::NoSuchUser { named, .. } | Self::AmbiguousUser { named, .. } => {
                named.user().into()
            }
            Self::NoSuchIdentity { named, .. } => named.identity().into(),
            _ => self.fixed_place()?.into(),
        })
    }

    /// Of those that can be about one part alone.
    fn fixed_place(&self) -> Option<&'static str> {
        Some(match self {
            Self::NoSuchPath => "path",
            Self::BadLimit { .. } => "query/limit",
            Self::TooLarge | Self::NotOneChoice(_) | Self::NoChange => "body",
            Self::ShareRecipient(_) => "path/user",
            Self::NoSuchFactor(_) => "path/factor",
            Self::NoSuchShare(_)
            | Self::NoSuchSession(_)
            | Self::NoSuchLockout(_)
            | Self::NotANumber(_) => "path/id",
            Self::NoSuchDevice(_) => "body/device",
            Self::NoSuchToken | Self::ShareLink(_) => "body/token",
            Self::NameTaken { .. } | Self::BadName(_) => "body/name",
            Self::BadPassword(_)
            | Self::PasswordsElsewhere(_)
            | Self::Hash(HashError::Unhashable) => "body/password",
            Self::BadGroup(_) | Self::TooManyGroups | Self::GroupsElsewhere(_) => "body/groups",
            Self::TooManyRecipients { .. } => "body/recipients",
            Self::NoDevices => "body/devices_max",
            Self::NoLifetime => "body/lifetime_secs",
            Self::UsersElsewhere(_) | Self::AmbiguousIdentity(_) => "body/identity",
            Self::NoAccounts | Self::NoShareRoute(_) => "config",
            Self::NotAPath(_) | Self::BadPath { .. } => "body/path",
            _ => return None,
        })
    }
}

/// A refusal as it crosses the socket (RFC 9457).
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// Always `about:blank`: `code` says more.
    #[serde(rename = "type")]
    pub kind: Cow<'static, str>,
    /// The status in words.
    pub title: Cow<'static, str>,
    pub status: u16,
    /// What it is, for programs. A later version may have more of them, and gives none of these another meaning.
    #[schemars(with = "Code")]
    pub code: Cow<'static, str>,
    /// What is wrong, and how to mend it, for people.
    pub detail: String,
    /// The part of the request that has to change, like `body/phone`, `query/limit` or `path/user`; `config`:
    /// the gateway's config has to.
    #[serde(rename = "where", default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub place: Option<Place>,
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
        let code = error.code();
        let status = code.status();
        Self {
            kind: "about:blank".into(),
            title: status.canonical_reason().unwrap_or_default().into(),
            status: status.as_u16(),
            code: code.as_str().into(),
            detail: error.to_string(),
            place: error.place(),
        }
    }
}

impl IntoResponse for OperatorError {
    fn into_response(self) -> Response {
        let problem = Problem::from(&self);
        let status = self.code().status();
        let body = serde_json::to_vec(&problem).unwrap_or_default();
        let kind = [(header::CONTENT_TYPE, "application/problem+json")];
        (status, kind, body).into_response()
    }
}
