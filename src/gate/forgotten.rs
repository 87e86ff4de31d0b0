//! The latest revocations, for whoever was about to cache a session while one ran.
//!
//! A session read from the store may be revoked before it reaches the map. So: revoking notes
//! itself here *before* it scans the map; caching looks here *after* it has inserted. Whichever
//! comes second sees the other, since both take this lock (never on the fast path).

use super::session::Which;
use crate::id::{SessionId, UserId};
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Revocations remembered. Older ones are taken to concern everybody.
const REMEMBERED_MAX: usize = 256;

/// When a revocation happened: on the gate's count of changes, and on its clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct When {
    pub(super) change: u64,
    pub(super) second: u32,
}

/// Since when revocations matter.
#[derive(Clone, Copy, Debug)]
pub(super) enum Since {
    /// After this count of changes.
    Change(u64),
    /// In this second or later.
    Second(u32),
}

impl Since {
    fn covers(self, when: When) -> bool {
        match self {
            Self::Change(change) => when.change > change,
            Self::Second(second) => when.second >= second,
        }
    }
}

/// The latest revocations.
#[derive(Default)]
pub(super) struct Forgotten(Mutex<Log>);

#[derive(Default)]
struct Log {
    latest: VecDeque<(When, Which)>,
    /// The newest that is not in `latest` any more.
    dropped: Option<When>,
}

impl Forgotten {
    pub(super) fn note(&self, when: When, which: Which) {
        let mut log = self.lock();
        if log.latest.len() >= REMEMBERED_MAX {
            log.dropped = log.latest.pop_front().map(|(when, _)| when).or(log.dropped);
        }
        log.latest.push_back((when, which));
    }

    /// Whether the session `id` of `user` may have been revoked since then.
    pub(super) fn concerns(&self, since: Since, id: SessionId, user: UserId) -> bool {
        let log = self.lock();
        log.dropped.is_some_and(|when| since.covers(when))
            || log
                .latest
                .iter()
                .any(|(when, which)| since.covers(*when) && which.concerns(id, user))
    }

    fn lock(&self) -> MutexGuard<'_, Log> {
        // Nothing in here panics half-way, so that a poisoned log is still a whole one.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANN: UserId = UserId(1);
    const BOB: UserId = UserId(2);
    const ONE: SessionId = SessionId(1);

    fn when(n: u64) -> When {
        When {
            change: n,
            second: 1_000 + n as u32,
        }
    }

    #[test]
    fn only_later_revocations_of_the_same_session_matter() {
        let log = Forgotten::default();
        log.note(when(5), Which::User(ANN));
        assert!(log.concerns(Since::Change(4), ONE, ANN));
        assert!(!log.concerns(Since::Change(5), ONE, ANN));
        assert!(!log.concerns(Since::Change(4), ONE, BOB));
        assert!(log.concerns(Since::Second(1_005), ONE, ANN));
        assert!(!log.concerns(Since::Second(1_006), ONE, ANN));
        log.note(when(6), Which::Session(ONE));
        assert!(log.concerns(Since::Change(5), ONE, BOB));
        assert!(!log.concerns(Since::Change(5), SessionId(2), BOB));
        log.note(when(7), Which::All);
        assert!(log.concerns(Since::Change(6), SessionId(2), BOB));
    }

    #[test]
    fn what_was_dropped_is_taken_to_concern_everybody() {
        let log = Forgotten::default();
        for n in 1..=300 {
            log.note(when(n), Which::User(BOB));
        }
        assert!(log.concerns(Since::Change(0), ONE, ANN));
        assert!(!log.concerns(Since::Change(44), ONE, ANN));
        assert!(log.concerns(Since::Change(43), ONE, ANN));
        assert_eq!(log.lock().latest.len(), REMEMBERED_MAX);
    }
}
