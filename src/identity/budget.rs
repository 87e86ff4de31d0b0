//! So many in a time and no more: what keeps garbage from making us hammer somebody else. Pure.

use crate::clock::Timestamp;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

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

#[cfg(test)]
mod tests {
    use super::*;

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
