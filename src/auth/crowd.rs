//! How many of something each of many holds at once: connections of an address, guesses at an
//! account.
//!
//! It never waits, and keeps nothing of those that hold nothing.

use dashmap::DashMap;
use std::hash::Hash;
use std::sync::Arc;

/// Seats taken, by holder; a holder of none has no entry. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Crowd<K: Eq + Hash>(Arc<DashMap<K, usize>>);

/// One seat, until it is dropped.
#[derive(Debug)]
pub struct Seat<K: Eq + Hash> {
    crowd: Crowd<K>,
    holder: K,
}

impl<K: Eq + Hash> Default for Crowd<K> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K: Eq + Hash + Copy> Crowd<K> {
    /// `None`: this holder has `max` seats (at least 1) already.
    #[must_use]
    pub fn seat(&self, holder: K, max: usize) -> Option<Seat<K>> {
        let mut held = self.0.entry(holder).or_insert(0);
        if *held >= max.max(1) {
            return None;
        }
        *held += 1;
        drop(held);
        Some(Seat {
            crowd: Self(Arc::clone(&self.0)),
            holder,
        })
    }
}

impl<K: Eq + Hash> Drop for Seat<K> {
    fn drop(&mut self) {
        let held = self.crowd.0.get_mut(&self.holder);
        if let Some(mut held) = held {
            *held = held.saturating_sub(1);
        }
        // Looked at again under the entry's lock: somebody may have taken a seat just now.
        self.crowd.0.remove_if(&self.holder, |_, held| *held == 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_holds_so_many() {
        let crowd = Crowd::default();
        let first = crowd.seat('a', 2).unwrap();
        let second = crowd.seat('a', 2).unwrap();
        assert!(crowd.seat('a', 2).is_none());
        let other = crowd.seat('b', 2).unwrap();
        drop(first);
        let third = crowd.seat('a', 2).unwrap();
        assert!(crowd.seat('a', 2).is_none());
        drop((second, other, third));
        assert!(crowd.0.is_empty(), "what is left holds memory");
    }

    #[test]
    fn many_at_once_get_no_more_than_there_are() {
        let crowd = Crowd::default();
        for _ in 0..20 {
            let seats = std::thread::scope(|scope| {
                let takers = [(); 8].map(|()| {
                    scope.spawn(|| {
                        let take = |_| crowd.seat('a', 5);
                        (0..200).flat_map(take).collect::<Vec<_>>()
                    })
                });
                takers.map(|taker| taker.join().unwrap())
            });
            assert_eq!(seats.iter().flatten().count(), 5);
        }
        assert!(crowd.0.is_empty());
    }
}
