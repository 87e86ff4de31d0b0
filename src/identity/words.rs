//! What issuers have said of tokens, for as long as their word is good.
//!
//! In memory alone and bounded: after a restart, or when there was no room, the issuer is asked again.
//! It remembers, and asks nobody itself.

use super::budget::Budget;
use super::witness::Probe;
use crate::clock::Timestamp;
use crate::digest::TokenDigest;
use dashmap::DashMap;
use std::sync::Arc;
use std::time::Duration;

/// Tokens of one issuer whose word is remembered.
const VOUCHED_MAX: usize = 200_000;
/// Tokens that an issuer did not stand by, and for how long they are not asked about again.
const DENIED_MAX: usize = 50_000;
const DENIED_FOR: Duration = Duration::from_secs(10);

/// One issuer: whom to ask, and what it has said.
pub(super) struct Source {
    pub(super) probe: Arc<dyn Probe>,
    vouched: Words,
    denied: Words,
    strangers: Option<Budget>,
}

impl Source {
    pub(super) fn new(probe: Arc<dyn Probe>) -> Self {
        let per_second = probe.strangers_per_second();
        Self {
            probe,
            vouched: Words::new(VOUCHED_MAX),
            denied: Words::new(DENIED_MAX),
            strangers: per_second.map(|max| Budget::new(max, Duration::from_secs(1))),
        }
    }

    /// What the issuer said of the token, if its word is good still.
    pub(super) fn recall(&self, token: &TokenDigest, is_stored: bool, now: Timestamp) -> Recalled {
        if let Some(left) = self.vouched.left(token, now).filter(|_| is_stored) {
            return Recalled::Vouched(left);
        }
        if self.denied.left(token, now).is_some() {
            return Recalled::Denied;
        }
        let budget = self.strangers.as_ref().filter(|_| !is_stored);
        match budget.is_none_or(|budget| budget.take(now)) {
            true => Recalled::Ask,
            false => Recalled::TooMany,
        }
    }

    pub(super) fn vouch(&self, token: TokenDigest, now: Timestamp, for_: Duration) {
        self.denied.forget(&token);
        self.vouched.note(token, now, for_);
    }

    pub(super) fn deny(&self, token: TokenDigest, now: Timestamp) {
        self.vouched.forget(&token);
        self.denied.note(token, now, DENIED_FOR);
    }
}

/// What is remembered of a token.
pub(super) enum Recalled {
    /// Its issuer stands by it, for so long.
    Vouched(Duration),
    /// Its issuer did not stand by it a moment ago.
    Denied,
    /// Nothing that is good still.
    Ask,
    /// Nothing, and there are too many such tokens now for all of them to be asked about.
    TooMany,
}

/// Words by token: when each was given, and for how long.
#[derive(Debug)]
pub(super) struct Words {
    held: DashMap<TokenDigest, (Timestamp, Duration)>,
    max: usize,
}

impl Words {
    pub(super) fn new(max: usize) -> Self {
        Self {
            held: DashMap::new(),
            max,
        }
    }

    /// The rest of the word's time, never 0. A clock that has gone back ends it.
    pub(super) fn left(&self, token: &TokenDigest, now: Timestamp) -> Option<Duration> {
        let (given_at, for_) = *self.held.get(token)?;
        let age = Duration::from_secs(now.secs_since(given_at));
        let left = for_.checked_sub(age).filter(|left| !left.is_zero());
        left.filter(|_| now >= given_at)
    }

    pub(super) fn note(&self, token: TokenDigest, now: Timestamp, for_: Duration) {
        if self.held.len() >= self.max {
            self.held
                .retain(|_, (given_at, for_)| given_at.after(*for_) > now);
        }
        if self.held.len() >= self.max {
            // Every other one: those are asked about again.
            let mut is_kept = false;
            self.held.retain(|_, _| {
                is_kept = !is_kept;
                is_kept
            });
        }
        self.held.insert(token, (now, for_));
    }

    pub(super) fn forget(&self, token: &TokenDigest) {
        self.held.remove(token);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(n: u64) -> TokenDigest {
        TokenDigest(*blake3::hash(&n.to_le_bytes()).as_bytes())
    }

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn a_word_lasts_its_time_and_no_longer() {
        let words = Words::new(10);
        words.note(token(1), Timestamp(100), MINUTE);
        let left = |now| words.left(&token(1), Timestamp(now));
        assert_eq!(left(100), Some(MINUTE));
        assert_eq!(left(159), Some(Duration::from_secs(1)));
        assert_eq!(left(160), None);
        assert_eq!(left(99), None, "the clock has gone back");
        assert_eq!(words.left(&token(2), Timestamp(100)), None);
        words.forget(&token(1));
        assert_eq!(left(100), None);
    }

    #[test]
    fn a_flood_does_not_grow_it_and_leaves_about_half() {
        let words = Words::new(1_000);
        for n in 0..10_000 {
            words.note(token(n), Timestamp(100), MINUTE);
            assert!(words.held.len() <= 1_000);
        }
        assert!(words.held.len() >= 500);
        assert!(
            words.left(&token(9_999), Timestamp(100)).is_some(),
            "the newest"
        );
        // What has run out goes first.
        for n in 10_000..11_000 {
            words.note(token(n), Timestamp(200), MINUTE);
        }
        let fresh = |n: &u64| words.left(&token(*n), Timestamp(200)).is_some();
        assert_eq!((10_000..11_000).filter(fresh).count(), 1_000);
    }
}
