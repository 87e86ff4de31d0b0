//! So many in a time and no more: what keeps garbage from making us hammer somebody else. Pure.

use crate::clock::Timestamp;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Of how many keys a [`Budgets`] remembers what they spent; while there are as many, further ones
/// get nothing.
const KEYS_MAX: usize = 100_000;

/// At most `max` in each span of `per`, counted from the first in it.
#[derive(Debug)]
pub struct Budget {
    max: u32,
    per: Duration,
    /// When the span began, and how many were in it.
    spent: Mutex<(Timestamp, u32)>,
}

impl Budget {
    /// All of it is there.
    #[must_use]
    pub fn new(max: u32, per: Duration) -> Self {
        Self {
            max,
            per,
            spent: Mutex::new((Timestamp(i64::MIN), 0)),
        }
    }

    /// Takes one; whether there was one.
    pub fn take(&self, now: Timestamp) -> bool {
        let mut spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, count) = *spent;
        // A clock that has gone back begins a new span: it must not close this one for long.
        if now < since || now >= since.after(self.per) {
            *spent = (now, 1);
            return self.max > 0;
        }
        let is_left = count < self.max;
        *spent = (since, count.saturating_add(u32::from(is_left)));
        is_left
    }

    /// Whether there is one to be taken.
    pub fn is_left(&self, now: Timestamp) -> bool {
        let spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, count) = *spent;
        now < since || now >= since.after(self.per) || count < self.max
    }
}

/// A budget for each of many. Their spans begin and end together, so that nothing of the last one is
/// kept.
#[derive(Debug)]
pub struct Budgets<K> {
    max: u32,
    per: Duration,
    /// When the span began, and how many each has left.
    left: Mutex<(Timestamp, HashMap<K, u32>)>,
}

impl<K: Eq + Hash> Budgets<K> {
    /// At most `max` for each key in each span of `per`.
    #[must_use]
    pub fn new(max: u32, per: Duration) -> Self {
        Self {
            max,
            per,
            left: Mutex::new((Timestamp(i64::MIN), HashMap::new())),
        }
    }

    /// Takes one, or says in how many seconds there will be one.
    pub fn take(&self, key: K, now: Timestamp) -> Result<(), u64> {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, of) = &mut *left;
        let end = since.after(self.per);
        // As above: a clock that has gone back begins a new span.
        if now < *since || now >= end {
            (*since, *of) = (now, HashMap::new());
        }
        let retry_after_secs = since.after(self.per).secs_since(now).max(1);
        if of.len() >= KEYS_MAX && !of.contains_key(&key) {
            return Err(retry_after_secs);
        }
        let left = of.entry(key).or_insert(self.max);
        *left = left.checked_sub(1).ok_or(retry_after_secs)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_own() {
        let budgets = Budgets::new(2, Duration::from_secs(30));
        let mut taken = Vec::new();
        for (key, now) in [
            ('a', 1_000),
            ('a', 1_010),
            ('a', 1_010),
            ('b', 1_029),
            ('a', 1_029),
            ('a', 1_030),
            ('a', 500),
        ] {
            taken.push(budgets.take(key, Timestamp(now)));
        }
        let as_expected = [Ok(()), Ok(()), Err(20), Ok(()), Err(1), Ok(()), Ok(())];
        assert_eq!(taken, as_expected);
    }

    #[test]
    fn memory_is_bounded() {
        let budgets = Budgets::new(1, Duration::from_secs(30));
        for key in 0..KEYS_MAX {
            assert_eq!(budgets.take(key, Timestamp(0)), Ok(()));
        }
        assert_eq!(budgets.take(KEYS_MAX, Timestamp(10)), Err(20));
        assert_eq!(budgets.take(KEYS_MAX, Timestamp(30)), Ok(()));
    }

    #[test]
    fn there_are_so_many_in_a_span() {
        let budget = Budget::new(3, Duration::from_secs(30));
        let taken = |now| (0..10).filter(|_| budget.take(Timestamp(now))).count();
        assert!(budget.is_left(Timestamp(1_000)));
        assert_eq!(taken(1_000), 3);
        assert!(!budget.is_left(Timestamp(1_029)) && budget.is_left(Timestamp(1_030)));
        assert_eq!(taken(1_029), 0);
        assert_eq!(taken(1_030), 3);
        assert_eq!(taken(500), 3, "the clock has gone back");
        assert_eq!(taken(501), 0);
    }
}
