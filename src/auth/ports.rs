//! What the use cases ask of a store, as small traits with compare-and-set verbs.
//!
//! Rules every implementation keeps, proven by one contract suite:
//! - a verb is one atomic step: it has happened whole, and is on disk, when it returns `Ok`;
//! - single-use things are consumed by the verb that reports them as good, never read and then saved;
//! - nothing but keyed digests of tokens, codes and numbers, and sealed phones, addresses and secrets,
//!   is written.

mod browsers;
mod codes;
mod factors;
mod grants;
mod keys;
mod operator;
mod passkeys;
mod shares;
mod verbs;
mod wizards;

pub use browsers::*;
pub use codes::*;
pub use factors::*;
pub use grants::*;
pub use keys::*;
pub use operator::*;
pub use passkeys::*;
pub use shares::*;
pub(crate) use verbs::store_verbs;
pub use wizards::*;

use crate::auth::lockout::{Blocked, LockoutPolicy};
use crate::auth::subject::Who;
use crate::clock::Timestamp;
use crate::digest::{SessionKey, SubjectDigest, TokenDigest};
use crate::event::Event;
use crate::factor::phone::Phone;
use crate::gate::session::{Holder, Session};
pub use crate::gate::session::{Seen, Which};
use crate::id::{SessionId, ShareId, UserId};
use crate::secret::{Sealed, Secret};
use async_trait::async_trait;
use std::time::Duration;

/// The store cannot be asked now, or holds what it should not. Everything fails closed on it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The engine did not answer, or answered with an error (for the log, never for a client).
    #[error("the store does not answer: {0}")]
    Unavailable(String),
    /// A stored value cannot be read back.
    #[error("the store holds a damaged {0}")]
    Damaged(&'static str),
}

/// What every verb returns.
pub type Stored<T> = Result<T, StoreError>;

/// A user of one identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub id: UserId,
    /// The name of the identity in the config.
    pub realm: String,
    /// Unique within the realm. The users of share links are named `share:…`.
    pub name: String,
    pub phone: Option<Phone>,
    pub email: Option<Secret>,
    /// A PHC string (argon2id); `None` for learned users and share links.
    pub password_hash: Option<Secret>,
    pub can_edit_users: bool,
    /// In order, each once. Who stands for a share's recipient is in none.
    pub groups: Vec<String>,
    /// Of when `phone`, `email` and `groups` are; an older word changes nothing.
    pub said: Said,
    pub created_at: Timestamp,
}

/// A user to be made by the operator.
#[derive(Clone, Debug)]
pub struct NewUser {
    pub realm: String,
    pub name: String,
    pub phone: Option<Phone>,
    pub email: Option<Secret>,
    pub password_hash: Option<Secret>,
    pub can_edit_users: bool,
    pub groups: Vec<String>,
}

/// What a watched sign-in said of a user.
#[derive(Clone, Debug)]
pub struct LearnedUser {
    pub realm: String,
    pub name: String,
    pub phone: Option<Phone>,
    pub email: Option<Secret>,
    /// All that the user is in; `None`: it is not for this sign-in to say.
    pub groups: Option<Vec<String>>,
    pub said: Said,
}

impl LearnedUser {
    /// Whether nothing is said but the name.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        self.phone.is_none() && self.email.is_none() && self.groups.is_none()
    }
}

/// Of when a word on a user is, and whose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Said {
    /// Of a signed token, when it was issued.
    pub at: Timestamp,
    /// The token that says so; `None`: the operator, or a sign-in that left none.
    pub by: Option<TokenDigest>,
}

/// How far ahead of our clock a token may have been issued: the longest `leeway`.
const AHEAD_MAX: Duration = Duration::from_secs(300);

impl Said {
    /// Nobody has said anything: any word is newer.
    pub const NOTHING: Self = Self {
        at: Timestamp(0),
        by: None,
    };

    /// Whether another word takes the place of this one. One from the future was said by a clock that was
    /// wrong, and nobody could ever correct it: it gives way to any.
    #[must_use]
    pub fn gives_way_to(&self, other: &Self, now: Timestamp) -> bool {
        other.at >= self.at || self.at > now.after(AHEAD_MAX)
    }

    /// The same where the other one has been heard before: of two words of the same second the one that was
    /// heard first would otherwise come back with each request.
    #[must_use]
    pub fn gives_way_again_to(&self, other: &Self, now: Timestamp) -> bool {
        let is_past = other.at < now;
        let is_rival = other.at == self.at && other.by != self.by;
        self.gives_way_to(other, now) && !(is_rival && is_past)
    }
}

/// Users.
#[async_trait]
pub trait Users: Send + Sync {
    /// Makes a user; `None` if the realm has one of that name, or the name starts with `share:`.
    async fn create_user(&self, user: NewUser, now: Timestamp) -> Stored<Option<UserId>>;
    async fn user(&self, id: UserId) -> Stored<Option<User>>;
    async fn user_by_name(&self, realm: &str, name: &str) -> Stored<Option<User>>;
    /// The user of a realm whose name this is but for the case of ASCII letters. Of several the one
    /// that is spelled so, else the oldest. Never one who stands for a share's recipient.
    async fn user_in_any_case(&self, realm: &str, name: &str) -> Stored<Option<User>>;
    /// The user of a realm with this email address, however its letters are cased. `None` if there
    /// is none, or more than one: an address that two share tells nobody apart. Users who stand for
    /// a share's recipient are not looked at: they have no account.
    async fn user_by_email(&self, realm: &str, email: &str) -> Stored<Option<User>>;
    /// Makes the user or renews phone, address and groups from a sign-in; what is missing keeps the old, and
    /// all does where what is known does not give way ([`Said::gives_way_to`]). New groups are told as in
    /// [`Oversight::change_user`].
    async fn learn_user(&self, user: LearnedUser, now: Timestamp) -> Stored<UserId>;
}

/// A first-factor token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    pub digest: TokenDigest,
    pub user: UserId,
    /// The pair of this token and the device it was issued to, for requests that name no device.
    pub issued_pair: Option<SessionKey>,
    /// A canonical path prefix ending in `/`.
    pub scope: Option<String>,
    pub share: Option<ShareId>,
    /// Of a token that Vestibule issued in the place of another one.
    pub born: Option<Born>,
    pub issued_at: Timestamp,
    pub expires_at: Option<Timestamp>,
}

impl Token {
    /// Whether this is a share link itself, and no token that was given in exchange for it.
    #[must_use]
    pub fn is_link(&self) -> bool {
        self.share.is_some() && self.issued_pair.is_none() && self.born.is_none()
    }
}

/// What a token stands for. It ends with it, and opens what it opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Born {
    /// Never a token that stands for another one itself.
    pub of: TokenDigest,
    /// That token, which an upstream may be sent. Sealed in the store.
    pub original: Secret,
}

/// Tokens.
#[async_trait]
pub trait Tokens: Send + Sync {
    /// Stores a token, or renews the one with that digest (its `issued_pair` becomes the new one).
    /// If its user is another one now, its sessions end, with lines in the feed. An error if there
    /// is no such user, or its share is not that user's.
    async fn put_token(&self, token: Token) -> Stored<()>;
    /// The live token and its holder. Expired tokens are not found; share tokens end with their share.
    /// Of a token that stands for another, [`Born::original`] is not opened (it is empty): the
    /// holder's terms have it sealed.
    async fn token(&self, digest: TokenDigest, now: Timestamp) -> Stored<Option<(Token, Holder)>>;
    /// Ends a token with all that came of it: its family, what stands for it, and their sessions,
    /// each with a line in the feed, in one step. Returns these sessions.
    async fn drop_token(&self, digest: TokenDigest, now: Timestamp) -> Stored<Vec<SessionId>>;
}

/// Opens what a holder's terms have sealed.
pub trait Originals: Send + Sync {
    /// What this token stands for; `None` if the sealed value is not this token's.
    fn original(&self, digest: TokenDigest, sealed: &Sealed) -> Option<Secret>;
}

/// A session with what an operator wants to see.
#[derive(Clone, Debug)]
pub struct SessionRow {
    pub session: Session,
    pub realm: String,
    pub device_label: Option<String>,
    /// `None`: it was made by a version that did not keep it.
    pub whence: Option<Whence>,
}

/// One line of the revocation feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// Strictly rising, never used again.
    pub seq: i64,
    pub which: Which,
}

/// Sessions and the feed of their ends.
#[async_trait]
pub trait Sessions: Send + Sync {
    /// The session of a pair, if it has not ended (absolute end only; the gate judges idleness).
    /// It ends with its token at the latest; its scope is its token's.
    async fn session(&self, key: SessionKey, now: Timestamp) -> Stored<Option<Session>>;
    /// Notes when sessions were last seen, and their longest pause up to then; never moves a time back
    /// nor shortens a pause.
    async fn touch(&self, seen: &[Seen]) -> Stored<()>;
    /// Ends sessions and puts one line into the feed, in one step. Returns how many ended. The browsers
    /// of these sessions are remembered no more ([`Browsers`]).
    /// [`Which::UserBut`] does nothing, and is not told, unless the session that it spares is a live
    /// one of that user: of two that end each other, one stays.
    async fn revoke(&self, which: Which, now: Timestamp) -> Stored<u64>;
    /// Live sessions, newest first.
    async fn sessions(&self, user: Option<UserId>, now: Timestamp) -> Stored<Vec<SessionRow>>;
    /// How many sessions are live.
    async fn live_sessions(&self, now: Timestamp) -> Stored<u64>;
    /// Lines of the feed after `seq`, oldest first, at most 1,000.
    async fn revocations_after(&self, seq: i64) -> Stored<Vec<Revocation>>;
    /// The last number given out in the feed (0: none yet).
    async fn feed_head(&self) -> Stored<i64>;
}

/// Whom consecutive failures are counted against, each with its own bounds.
#[derive(Clone, Debug)]
pub struct Subjects {
    /// The user, or who stands for one where there is none.
    pub user: Counted,
    pub address: Counted,
}

/// Somebody against whom a failure is counted.
#[derive(Clone, Debug)]
pub struct Counted {
    pub subject: SubjectDigest,
    pub policy: LockoutPolicy,
    /// Whose digest it is, for the operator; `None`: it is not known here. Sealed in the store.
    pub who: Option<Who>,
}

/// Consecutive failures, for passwords and share links (codes are counted by [`Codes::attempt`]).
#[async_trait]
pub trait Failures: Send + Sync {
    /// Whether any subject is delayed or locked; the longest block wins.
    async fn blocked(&self, subjects: &[SubjectDigest], now: Timestamp) -> Stored<Option<Blocked>>;
    /// For how many seconds any subject is delayed, locked or not: what a backup code has to wait
    /// for.
    async fn delayed(&self, subjects: &[SubjectDigest], now: Timestamp) -> Stored<Option<u64>>;
    /// Counts one failure against each subject.
    async fn failed(&self, counted: &[Counted], now: Timestamp) -> Stored<()>;
    /// Sets the counters of the subjects to zero.
    async fn succeeded(&self, subjects: &[SubjectDigest]) -> Stored<()>;
}

/// The audit trail.
#[async_trait]
pub trait AuditTrail: Send + Sync {
    /// Appends events in order.
    async fn append(&self, events: &[(Timestamp, Event)]) -> Stored<()>;
}

/// Housekeeping and health.
#[async_trait]
pub trait Upkeep: Send + Sync {
    /// Whether the store can be written to.
    async fn ping(&self) -> Stored<()>;
    /// Removes what has expired and is not asked for again (tokens, sessions, challenges, sends,
    /// wizards, ceremonies, success tokens, grants, remembered browsers). Returns rows removed.
    async fn purge(&self, now: Timestamp) -> Stored<u64>;
    /// Forgets a user's second factor state: enrolled factors and those turned off (what the
    /// operator or the profile gave holds again; the log of changes says what that turns on or off),
    /// passkeys, backup codes, pending challenges and ceremonies, open wizards, success tokens, grants,
    /// remembered browsers,
    /// counters of `subject`, and
    /// sessions with a line in the feed, in one step.
    async fn reset_user(&self, user: UserId, subject: SubjectDigest, now: Timestamp) -> Stored<()>;
}

/// All of it: what an engine implements.
pub trait Store:
    Users
    + Tokens
    + Originals
    + Sessions
    + Factors
    + Codes
    + Passkeys
    + Browsers
    + Wizards
    + Grants
    + Families
    + SigningKeys
    + Failures
    + Shares
    + AuditTrail
    + Oversight
    + Upkeep
    + 'static
{
}

impl<T> Store for T where
    T: Users
        + Tokens
        + Originals
        + Sessions
        + Factors
        + Codes
        + Passkeys
        + Browsers
        + Wizards
        + Grants
        + Families
        + SigningKeys
        + Failures
        + Shares
        + AuditTrail
        + Oversight
        + Upkeep
        + 'static
{
}
