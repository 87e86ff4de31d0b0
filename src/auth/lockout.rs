//! What consecutive failures cost: a delay at every n-th, doubling, and a lock in the end. Pure.
//!
//! The lock does not end the delays: backup codes are taken in the locked state too, and guessing
//! them there is as slow as guessing was before.
//!
//! NIST SP 800-63B section 5.2.2 (rate limiting).

use crate::clock::Timestamp;
use crate::config::model::Lockout;
use std::time::Duration;

/// The bounds for one kind of subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LockoutPolicy {
    /// A delay at every n-th consecutive failure.
    pub delay_every: u32,
    pub first_delay: Duration,
    pub max_delay: Duration,
    /// Locked from this count on; 0: never locked.
    pub lock_at: u32,
}

impl LockoutPolicy {
    /// The bounds for a user's wrong codes.
    #[must_use]
    pub fn for_user(config: &Lockout) -> Self {
        Self {
            delay_every: config.delay_every,
            first_delay: config.first_delay,
            max_delay: config.max_delay,
            lock_at: config.lock_at,
        }
    }

    /// The bounds for an account name's wrong passwords: never locked. Anybody can type a name, so
    /// a lock would let a stranger shut its owner out for good; the delays alone leave a guesser
    /// 24 tries a day.
    #[must_use]
    pub fn for_account(config: &Lockout) -> Self {
        Self {
            lock_at: 0,
            ..Self::for_user(config)
        }
    }

    /// The bounds for a client address: wider, since many people may share one, and never locked,
    /// since no operator can tell whom that would hit.
    #[must_use]
    pub fn for_address(config: &Lockout) -> Self {
        Self {
            delay_every: config
                .delay_every
                .saturating_mul(config.address_factor.max(1)),
            ..Self::for_account(config)
        }
    }
}

/// Why a code or password is not evaluated now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blocked {
    /// Until a moment that is this many seconds off (at least 1).
    Delayed { retry_after_secs: u64 },
    /// Until an operator or a backup code frees the subject.
    Locked,
}

/// A subject's durable counter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counter {
    /// Consecutive failures.
    pub failures: u32,
    /// No evaluation before this moment.
    pub delayed_until: Timestamp,
    pub locked: bool,
}

impl Counter {
    /// Whether the subject is blocked at `now`.
    #[must_use]
    pub fn blocked(&self, now: Timestamp) -> Option<Blocked> {
        if self.locked {
            return Some(Blocked::Locked);
        }
        self.delayed(now)
    }

    /// Whether the subject is delayed at `now`, locked or not: what a backup code has to wait for.
    #[must_use]
    pub fn delayed(&self, now: Timestamp) -> Option<Blocked> {
        self.delay_secs(now)
            .map(|retry_after_secs| Blocked::Delayed { retry_after_secs })
    }

    /// For how many seconds.
    #[must_use]
    pub fn delay_secs(&self, now: Timestamp) -> Option<u64> {
        Some(self.delayed_until.secs_since(now)).filter(|left| *left > 0)
    }

    /// The counter after one more failure at `now`.
    #[must_use]
    pub fn failed(self, policy: &LockoutPolicy, now: Timestamp) -> Self {
        let failures = self.failures.saturating_add(1);
        let mut next = Self { failures, ..self };
        next.locked |= policy.lock_at > 0 && failures >= policy.lock_at;
        if policy.delay_every > 0 && failures.is_multiple_of(policy.delay_every) {
            let doublings = (failures / policy.delay_every).saturating_sub(1).min(31);
            let delay = policy
                .first_delay
                .saturating_mul(1 << doublings)
                .min(policy.max_delay);
            next.delayed_until = now.after(delay);
        }
        next
    }
}

/// Of two blocks, the one that lasts longer.
#[must_use]
pub fn longer(a: Option<Blocked>, b: Option<Blocked>) -> Option<Blocked> {
    use Blocked::{Delayed, Locked};
    match (a, b) {
        (Some(Locked), _) | (_, Some(Locked)) => Some(Locked),
        (
            Some(Delayed {
                retry_after_secs: a,
            }),
            Some(Delayed {
                retry_after_secs: b,
            }),
        ) => Some(Delayed {
            retry_after_secs: a.max(b),
        }),
        (one, None) => one,
        (None, other) => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: LockoutPolicy = LockoutPolicy {
        delay_every: 5,
        first_delay: Duration::from_secs(30),
        max_delay: Duration::from_secs(3600),
        lock_at: 100,
    };

    #[test]
    fn delays_double_to_the_cap_and_the_hundredth_locks() {
        let now = Timestamp(1_000);
        let mut counter = Counter::default();
        let mut delays = Vec::new();
        for failure in 1..=100_u32 {
            let before = counter.delayed_until;
            counter = counter.failed(&POLICY, now);
            if counter.delayed_until != before || failure.is_multiple_of(5) {
                delays.push(counter.delayed_until.secs_since(now));
            }
            assert_eq!(counter.locked, failure == 100);
        }
        assert_eq!(
            delays.get(..8),
            Some(&[30, 60, 120, 240, 480, 960, 1920, 3600][..])
        );
        assert_eq!((delays.len(), delays.last()), (20, Some(&3600)));
        assert_eq!(counter.blocked(now), Some(Blocked::Locked));
    }

    #[test]
    fn the_lock_does_not_end_the_delays() {
        let strict = LockoutPolicy {
            lock_at: 7,
            ..POLICY
        };
        let fail = |counter: Counter, times: u32, now| {
            (0..times).fold(counter, |counter, _| counter.failed(&strict, now))
        };
        let delayed = |retry_after_secs| Some(Blocked::Delayed { retry_after_secs });
        let locked = fail(Counter::default(), 7, Timestamp(1_000));
        assert_eq!(locked.blocked(Timestamp(1_000)), Some(Blocked::Locked));
        assert_eq!(locked.delayed(Timestamp(1_000)), delayed(30));
        assert_eq!(locked.delayed(Timestamp(1_030)), None);
        let later = fail(locked, 3, Timestamp(2_000));
        assert_eq!(later.blocked(Timestamp(9_000)), Some(Blocked::Locked));
        assert_eq!(later.delayed(Timestamp(2_000)), delayed(60));
        assert_eq!(later.delayed(Timestamp(2_060)), None);
    }

    #[test]
    fn a_delay_ends() {
        let counter = Counter {
            failures: 5,
            delayed_until: Timestamp(130),
            locked: false,
        };
        assert_eq!(
            counter.blocked(Timestamp(100)),
            Some(Blocked::Delayed {
                retry_after_secs: 30
            })
        );
        assert_eq!(counter.blocked(Timestamp(130)), None);
    }
}
