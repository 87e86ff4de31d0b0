//! What happened, for the audit trail and the log. An event never carries a secret.

use crate::id::UserId;
use std::net::IpAddr;

/// The kinds of events (a closed set: they label metrics).
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// A user, share or factor came to be.
    Enrolled,
    /// A token was issued or learned.
    SignedIn,
    /// A code was sent.
    Challenged,
    /// A pair passed its second factor.
    Verified,
    /// A code, password or link was refused.
    Refused,
    /// A user's counter met its lock, or an address was delayed.
    Locked,
    /// Sessions, a token or a share link were revoked.
    Revoked,
    /// A user's second factor was reset.
    Reset,
    /// Users turned a factor of theirs off.
    Disabled,
    /// A key that tokens are signed with was replaced.
    Rotated,
    /// An operator changed a user's number, address, password, rights or groups.
    Changed,
    /// An operator removed a user, or a factor of one.
    Removed,
    /// An operator cleared a lockout.
    Cleared,
}

impl EventKind {
    /// Every kind.
    pub const ALL: [Self; 13] = [
        Self::Enrolled,
        Self::SignedIn,
        Self::Challenged,
        Self::Verified,
        Self::Refused,
        Self::Locked,
        Self::Revoked,
        Self::Reset,
        Self::Disabled,
        Self::Rotated,
        Self::Changed,
        Self::Removed,
        Self::Cleared,
    ];

    /// The name in the store, the log and the metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enrolled => "enrolled",
            Self::SignedIn => "signed_in",
            Self::Challenged => "challenged",
            Self::Verified => "verified",
            Self::Refused => "refused",
            Self::Locked => "locked",
            Self::Revoked => "revoked",
            Self::Reset => "reset",
            Self::Disabled => "disabled",
            Self::Rotated => "rotated",
            Self::Changed => "changed",
            Self::Removed => "removed",
            Self::Cleared => "cleared",
        }
    }
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Event {
    pub kind: EventKind,
    pub user: Option<UserId>,
    /// The route's name, or `operator`.
    pub route: String,
    pub address: Option<IpAddr>,
    /// A few fixed words, e.g. `sms`, `wrong code`, `share 3`: never what a client sent.
    pub detail: String,
}

/// Takes events; never blocks and never fails the request that caused them.
pub trait Events: Send + Sync {
    /// Hands over one event.
    fn emit(&self, event: Event);
}

/// Drops events, for tests that are not about them.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoEvents;

impl Events for NoEvents {
    fn emit(&self, _event: Event) {}
}
