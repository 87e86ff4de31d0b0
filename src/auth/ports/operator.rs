//! What operators alone ask of a store: lists in parts, changes to users, who is locked out, the audit
//! trail.

use super::{SessionRow, Stored, User, async_trait};
use crate::auth::lockout::Counter;
use crate::auth::subject::Who;
use crate::clock::Timestamp;
use crate::digest::SubjectDigest;
use crate::event::{Event, EventKind};
use crate::factor::phone::Phone;
use crate::id::{SessionId, UserId};
use crate::secret::Secret;
use std::net::IpAddr;

/// What changes about a user. `None` stays as it is; `Some(None)` is taken away.
#[derive(Clone, Debug, Default)]
pub struct UserChange {
    pub phone: Option<Option<Phone>>,
    pub email: Option<Option<Secret>>,
    /// A PHC string.
    pub password_hash: Option<Option<Secret>>,
    pub can_edit_users: Option<bool>,
    /// These and no others.
    pub groups: Option<Vec<String>>,
}

/// Which live sessions, newest first.
#[derive(Clone, Debug)]
pub struct SessionQuery {
    pub user: Option<UserId>,
    /// Those of any of these labels; none: of any device or none.
    pub devices: Vec<String>,
    /// Only those with a smaller number.
    pub before: Option<SessionId>,
    pub limit: u32,
}

/// A session that has ended, and whose it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    pub id: SessionId,
    pub user: UserId,
    /// The device's label.
    pub device: String,
}

/// The beginning of the digest under which failures are counted: what a lockout is called.
pub type LockoutId = [u8; 8];

/// Somebody who is delayed or locked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lockout {
    pub subject: SubjectDigest,
    pub counter: Counter,
    /// `None`: a code was asked for under a typed address, or an older version has counted.
    pub who: Option<Who>,
}

impl Lockout {
    /// What it is called.
    #[must_use]
    pub fn id(&self) -> LockoutId {
        let [a, b, c, d, e, f, g, h, ..] = self.subject.0;
        [a, b, c, d, e, f, g, h]
    }
}

/// Which events, newest first.
#[derive(Clone, Debug)]
pub struct AuditQuery {
    pub user: Option<UserId>,
    pub kind: Option<EventKind>,
    pub address: Option<IpAddr>,
    /// Inclusive.
    pub since: Option<Timestamp>,
    /// Exclusive.
    pub until: Option<Timestamp>,
    /// Only those with a smaller number.
    pub before: Option<i64>,
    pub limit: u32,
}

impl AuditQuery {
    /// The newest of all.
    #[must_use]
    pub fn newest(limit: u32) -> Self {
        Self {
            user: None,
            kind: None,
            address: None,
            since: None,
            until: None,
            before: None,
            limit,
        }
    }

    /// Whether an event is asked for.
    #[must_use]
    pub fn takes(&self, line: &AuditLine) -> bool {
        let event = &line.event;
        self.user.is_none_or(|user| event.user == Some(user))
            && self.kind.is_none_or(|kind| event.kind == kind)
            && self.address.is_none_or(|it| event.address == Some(it))
            && self.since.is_none_or(|since| line.at >= since)
            && self.until.is_none_or(|until| line.at < until)
            && self.before.is_none_or(|before| line.id < before)
    }
}

/// An event of the audit trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditLine {
    /// Strictly rising, never used again.
    pub id: i64,
    pub at: Timestamp,
    pub event: Event,
}

/// What operators alone ask for.
#[async_trait]
pub trait Oversight: Send + Sync {
    /// Users with a larger number, by number.
    async fn users_after(&self, after: UserId, limit: u32) -> Stored<Vec<User>>;
    /// Changes a user, in one step: codes on their way to a number or address that changes are void, and browsers
    /// forgotten that were remembered for one; a password that changes ends the user's tokens and sessions, with a
    /// line in the feed. Groups that are news are one line of the feed, too, which has everybody look at the user's
    /// sessions anew ([`Which::User`](super::Which)), though they go on. Returns whether there is such a user, who
    /// stands for no recipient of a share.
    async fn change_user(&self, id: UserId, change: UserChange, now: Timestamp) -> Stored<bool>;
    /// Removes a user with all that is the user's: tokens, sessions (with a line in the feed), factors,
    /// procedures under way, and the counters of `subjects`, in one step. Returns whether there was
    /// such a user, who stands for no recipient of a share.
    async fn remove_user(
        &self,
        id: UserId,
        subjects: &[SubjectDigest],
        now: Timestamp,
    ) -> Stored<bool>;
    /// Live sessions, newest first.
    async fn find_sessions(&self, query: SessionQuery, now: Timestamp) -> Stored<Vec<SessionRow>>;
    /// Ends the sessions of devices of any of these labels, each with a line in the feed, in one step.
    /// Returns those that were live, by number.
    async fn revoke_devices(
        &self,
        labels: &[String],
        user: Option<UserId>,
        now: Timestamp,
    ) -> Stored<Vec<Ended>>;
    /// Who is delayed or locked, by the digest, after the one of that name.
    async fn lockouts(
        &self,
        after: Option<LockoutId>,
        limit: u32,
        now: Timestamp,
    ) -> Stored<Vec<Lockout>>;
    /// Sets counters to zero; returns how many were not.
    async fn clear_lockouts(&self, subjects: &[SubjectDigest]) -> Stored<u64>;
    /// Sets the counter of that name to zero; returns it as it was, if there was one.
    async fn clear_lockout(&self, id: LockoutId) -> Stored<Option<Lockout>>;
    /// Events, newest first.
    async fn search_audit(&self, query: AuditQuery) -> Stored<Vec<AuditLine>>;
    /// Events with a larger number, oldest first.
    async fn audit_after(&self, after: i64, limit: u32) -> Stored<Vec<AuditLine>>;
    /// The number of the newest event; 0: there is none.
    async fn audit_head(&self) -> Stored<i64>;
}
