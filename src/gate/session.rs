//! A verified (token, device) pair, as the gate sees it. Pure.

use crate::clock::Timestamp;
use crate::id::{SessionId, UserId};
use crate::policy::Person;
use crate::secret::Sealed;
use std::sync::Arc;
use std::time::Duration;

/// Which factor verified a pair.
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
#[schemars(rename = "FactorUsed")]
pub enum Factor {
    Sms,
    Totp,
    Email,
    BackupCode,
    Passkey,
}

impl Factor {
    /// The name in headers, answers, metrics and the store.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sms => "sms",
            Self::Totp => "totp",
            Self::Email => "email",
            Self::BackupCode => "backup_code",
            Self::Passkey => "passkey",
        }
    }

    /// Whether a browser may be remembered by it. A backup code stands in for a factor that is out of
    /// reach, and in whose hands that is nobody knows: its user is asked again.
    #[must_use]
    pub fn can_be_remembered(self) -> bool {
        self != Self::BackupCode
    }

    /// The factor of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [
            Self::Sms,
            Self::Totp,
            Self::Email,
            Self::BackupCode,
            Self::Passkey,
        ]
        .into_iter()
        .find(|factor| factor.as_str() == name)
    }
}

/// Whom a token belongs to, and what it opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    pub user: UserId,
    /// The user's name, as told to the upstream.
    pub name: Arc<str>,
    /// What sets this token apart from a plain one; most have nothing.
    pub terms: Option<Arc<Terms>>,
}

/// The terms of a token that is not a plain one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// The canonical path prefix (`/dir/`) a share link's token is limited to.
    pub scope: Option<Box<str>>,
    /// Of a token that Vestibule issued in the place of another: that other one, as the store sealed
    /// it. The upstream is sent what it stands for.
    pub original: Option<Sealed>,
    /// The groups that its user is in.
    pub groups: Vec<String>,
    /// Of a share link that opens on so many devices: that of this token is not among them.
    pub is_uncounted: bool,
}

impl Terms {
    /// The terms of a token that is limited to `scope`, stands for `original`, or whose user is in
    /// `groups`; `None` for a plain one. Who comes by a share link is in no group.
    #[must_use]
    pub fn of(
        scope: Option<&str>,
        original: Option<Sealed>,
        groups: Vec<String>,
    ) -> Option<Arc<Self>> {
        let groups = match scope {
            Some(_) => Vec::new(),
            None => groups,
        };
        let is_plain = scope.is_none() && original.is_none() && groups.is_empty();
        (!is_plain).then(|| {
            Arc::new(Self {
                scope: scope.map(Into::into),
                original,
                groups,
                is_uncounted: false,
            })
        })
    }
}

impl Holder {
    /// A holder whose token is limited to `scope`, if one is given.
    #[must_use]
    pub fn limited(user: UserId, name: impl Into<Arc<str>>, scope: Option<&str>) -> Self {
        Self {
            user,
            name: name.into(),
            terms: Terms::of(scope, None, Vec::new()),
        }
    }

    /// The user, as the policy's rules mean somebody.
    #[must_use]
    pub fn person(&self) -> Person<'_> {
        Person {
            name: &self.name,
            groups: self.terms.as_ref().map_or(&[], |terms| &terms.groups),
        }
    }

    /// The canonical path prefix (`/dir/`) a share link's token is limited to.
    #[must_use]
    pub fn scope(&self) -> Option<&str> {
        self.terms.as_ref()?.scope.as_deref()
    }

    /// The same holder, whose token's device is not counted yet.
    #[must_use]
    pub fn uncounted(mut self) -> Self {
        Arc::make_mut(self.terms.get_or_insert_default()).is_uncounted = true;
        self
    }

    /// Whether the token is of a share link that opens on so many devices, and its own device is not
    /// among them. It opens nothing by itself: a code counts it.
    #[must_use]
    pub fn is_uncounted(&self) -> bool {
        self.terms.as_ref().is_some_and(|terms| terms.is_uncounted)
    }
}

/// A session: this pair has passed its second factor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    pub id: SessionId,
    pub holder: Holder,
    pub factor: Factor,
    pub verified_at: Timestamp,
    /// The absolute end.
    pub expires_at: Timestamp,
    pub last_seen_at: Timestamp,
    /// The longest that there was no request since it was verified, up to `last_seen_at`.
    pub longest_pause_secs: u32,
}

/// What a node has seen of a session, for the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    pub id: SessionId,
    pub last_seen_at: Timestamp,
    /// As in [`Session`].
    pub longest_pause_secs: u32,
}

impl Session {
    /// Whether the session holds at `now`, given the longest idle time.
    #[must_use]
    pub fn is_live(&self, now: Timestamp, idle: Duration) -> bool {
        now < self.expires_at && now < self.last_seen_at.after(idle)
    }
}

/// Which sessions end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Which {
    All,
    User(UserId),
    Session(SessionId),
    /// All of a user's sessions but this one.
    UserBut(UserId, SessionId),
}

impl Which {
    /// Whether it means the session `id` of `user`.
    #[must_use]
    pub fn concerns(self, id: SessionId, user: UserId) -> bool {
        match self {
            Self::All => true,
            Self::User(one) => one == user,
            Self::Session(one) => one == id,
            Self::UserBut(one, spared) => one == user && spared != id,
        }
    }
}

/// Whether `path` lies within `scope` (a canonical prefix ending in `/`).
#[must_use]
pub fn in_scope(scope: Option<&str>, path: &str) -> bool {
    scope.is_none_or(|scope| {
        path.starts_with(scope) || scope.strip_suffix('/').is_some_and(|dir| dir == path)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_ends_at_its_end_and_after_its_idle_time() {
        let session = Session {
            id: SessionId(1),
            holder: Holder {
                user: UserId(1),
                name: "ann".into(),
                terms: None,
            },
            factor: Factor::Sms,
            verified_at: Timestamp(100),
            expires_at: Timestamp(200),
            last_seen_at: Timestamp(150),
            longest_pause_secs: 0,
        };
        let (short, long) = (Duration::from_secs(20), Duration::from_secs(900));
        assert!(session.is_live(Timestamp(169), short));
        assert!(!session.is_live(Timestamp(170), short));
        assert!(session.is_live(Timestamp(199), long));
        assert!(!session.is_live(Timestamp(200), long));
    }

    #[test]
    fn factors_are_found_by_their_names() {
        for factor in [Factor::Sms, Factor::Totp, Factor::BackupCode] {
            assert_eq!(Factor::from_name(factor.as_str()), Some(factor));
        }
        assert_eq!(Factor::from_name("SMS"), None);
    }

    #[test]
    fn scope_is_a_directory_not_a_string_prefix() {
        assert!(in_scope(None, "/x"));
        assert!(in_scope(Some("/a/"), "/a/b"));
        assert!(in_scope(Some("/a/"), "/a"));
        assert!(!in_scope(Some("/a/"), "/ab"));
        assert!(!in_scope(Some("/a/"), "/"));
    }
}
