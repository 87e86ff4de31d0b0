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
    /// A user set a factor up, or made backup codes.
    Enrolled,
    /// An operator made a user or a share.
    Added,
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
    /// Somebody signed out.
    SignedOut,
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
    pub const ALL: [Self; 15] = [
        Self::Enrolled,
        Self::Added,
        Self::SignedIn,
        Self::Challenged,
        Self::Verified,
        Self::Refused,
        Self::Locked,
        Self::SignedOut,
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
            Self::Added => "added",
            Self::SignedIn => "signed_in",
            Self::Challenged => "challenged",
            Self::Verified => "verified",
            Self::Refused => "refused",
            Self::Locked => "locked",
            Self::SignedOut => "signed_out",
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
    /// Of what an operator did: the Unix user id (uid) of the process that asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_written_as_they_are_named() {
        for kind in EventKind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
    }

    #[test]
    fn only_what_an_operator_did_has_a_uid() {
        let event = Event {
            kind: EventKind::Added,
            user: Some(UserId(3)),
            route: "operator".to_owned(),
            address: None,
            detail: "user".to_owned(),
            uid: Some(1000),
        };
        let text = serde_json::to_string(&event).unwrap();
        assert!(text.contains(r#""uid":1000"#), "{text}");
        assert_eq!(serde_json::from_str::<Event>(&text).unwrap(), event);
        let nobody = Event { uid: None, ..event };
        let text = serde_json::to_string(&nobody).unwrap();
        assert!(!text.contains("uid"), "{text}");
        assert_eq!(serde_json::from_str::<Event>(&text).unwrap(), nobody);
    }
}
