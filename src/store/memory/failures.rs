//! Consecutive failures.

use super::Memory;
use super::state::State;
use crate::auth::lockout::{Blocked, LockoutPolicy, longer};
use crate::auth::ports::{Failures, Stored};
use crate::clock::Timestamp;
use crate::digest::SubjectDigest;
use async_trait::async_trait;

impl State {
    pub(super) fn longest_block(
        &self,
        subjects: &[SubjectDigest],
        now: Timestamp,
    ) -> Option<Blocked> {
        subjects
            .iter()
            .filter_map(|subject| self.failures.get(subject))
            .fold(None, |longest, (counter, _)| {
                longer(longest, counter.blocked(now))
            })
    }

    /// Whether a subject is delayed, locked or not.
    pub(super) fn delayed(&self, subject: SubjectDigest, now: Timestamp) -> Option<Blocked> {
        let (counter, _) = self.failures.get(&subject)?;
        counter.delayed(now)
    }

    pub(super) fn add_failure(
        &mut self,
        (subject, policy): &(SubjectDigest, LockoutPolicy),
        now: Timestamp,
    ) {
        let (counter, touched_at) = self.failures.entry(*subject).or_default();
        *counter = counter.failed(policy, now);
        *touched_at = now;
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
            .filter_map(|(counter, _)| counter.delay_secs(now))
            .max())
    }

    async fn failed(
        &self,
        subjects: &[(SubjectDigest, LockoutPolicy)],
        now: Timestamp,
    ) -> Stored<()> {
        let mut state = self.lock()?;
        for subject in subjects {
            state.add_failure(subject, now);
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
