//! Consecutive failures.

use super::Memory;
use super::state::State;
use crate::auth::lockout::{Blocked, Counter, longer};
use crate::auth::ports::{Counted, Failures, Stored};
use crate::auth::subject::Who;
use crate::clock::Timestamp;
use crate::digest::SubjectDigest;
use async_trait::async_trait;

/// A counter, and who is behind it.
#[derive(Debug, Default)]
pub(super) struct KeptCounter {
    pub(super) counter: Counter,
    pub(super) touched_at: Timestamp,
    pub(super) who: Option<Who>,
}

impl State {
    pub(super) fn longest_block(
        &self,
        subjects: &[SubjectDigest],
        now: Timestamp,
    ) -> Option<Blocked> {
        subjects
            .iter()
            .filter_map(|subject| self.failures.get(subject))
            .fold(None, |longest, kept| {
                longer(longest, kept.counter.blocked(now))
            })
    }

    /// Whether a subject is delayed, locked or not.
    pub(super) fn delayed(&self, subject: SubjectDigest, now: Timestamp) -> Option<Blocked> {
        self.failures.get(&subject)?.counter.delayed(now)
    }

    pub(super) fn add_failure(&mut self, counted: &Counted, now: Timestamp) {
        let kept = self.failures.entry(counted.subject).or_default();
        kept.counter = kept.counter.failed(&counted.policy, now);
        kept.touched_at = now;
        if counted.who.is_some() {
            kept.who.clone_from(&counted.who);
        }
    }
}

#[async_trait]
impl Failures for Memory {
    async fn blocked(&self, subjects: &[SubjectDigest], now: Timestamp) -> Stored<Option<Blocked>> {
        Ok(self.lock()?.longest_block(subjects, now))
    }

    async fn delayed(&self, subjects: &[SubjectDigest], now: Timestamp) -> Stored<Option<u64>> {
        let state = self.lock()?;
        let counters = subjects.iter().filter_map(|it| state.failures.get(it));
        Ok(counters
            .filter_map(|kept| kept.counter.delay_secs(now))
            .max())
    }

    async fn failed(&self, counted: &[Counted], now: Timestamp) -> Stored<()> {
        let mut state = self.lock()?;
        for one in counted {
            state.add_failure(one, now);
        }
        Ok(())
    }

    async fn succeeded(&self, subjects: &[SubjectDigest]) -> Stored<()> {
        let mut state = self.lock()?;
        for subject in subjects {
            state.failures.remove(subject);
        }
        Ok(())
    }
}
