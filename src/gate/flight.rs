//! Single flight: however many ask the same question at the same time, the store is asked once.
//!
//! Whoever comes first asks; the others wait for that answer. If the one who asks goes away (its
//! client hung up), the next in line asks in its stead. Nothing outlives those who wait for it.

use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::OnceCell;

/// As many different questions are under way as there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooMany;

/// Questions under way, by what they ask.
pub(crate) struct Flights<K: Eq + Hash + Copy, T: Clone> {
    under_way: Mutex<HashMap<K, Flight<T>>>,
    max: usize,
}

struct Flight<T> {
    answer: Arc<OnceCell<T>>,
    aboard: usize,
}

impl<K: Eq + Hash + Copy, T: Clone> Flights<K, T> {
    pub(crate) fn new(max: usize) -> Self {
        Self {
            under_way: Mutex::new(HashMap::new()),
            max,
        }
    }

    /// The answer to `key`: another's, if one is being sought, else what `ask` gives.
    pub(crate) async fn share<F>(&self, key: K, ask: impl FnOnce() -> F) -> Result<T, TooMany>
    where
        F: Future<Output = T>,
    {
        let seat = self.board(key)?;
        // A dropped initialiser hands its turn to the next waiter.
        Ok(seat.answer.get_or_init(ask).await.clone())
    }

    fn board(&self, key: K) -> Result<Seat<'_, K, T>, TooMany> {
        let mut under_way = self.lock();
        if under_way.len() >= self.max && !under_way.contains_key(&key) {
            return Err(TooMany);
        }
        let flight = under_way.entry(key).or_insert_with(|| Flight {
            answer: Arc::new(OnceCell::new()),
            aboard: 0,
        });
        flight.aboard += 1;
        Ok(Seat {
            flights: self,
            key,
            answer: Arc::clone(&flight.answer),
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, Flight<T>>> {
        // Each change under the lock is a single step: a poisoned map is still a whole one.
        self.under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// How many wait for the answer to `key`.
    #[cfg(test)]
    pub(super) fn aboard(&self) -> usize {
        self.lock().values().map(|flight| flight.aboard).sum()
    }
}

/// One who waits. Leaving is in `Drop`, so that a request whose client hung up leaves too.
struct Seat<'a, K: Eq + Hash + Copy, T: Clone> {
    flights: &'a Flights<K, T>,
    key: K,
    answer: Arc<OnceCell<T>>,
}

impl<K: Eq + Hash + Copy, T: Clone> Drop for Seat<'_, K, T> {
    fn drop(&mut self) {
        let mut under_way = self.flights.lock();
        let Some(flight) = under_way.get_mut(&self.key) else {
            return;
        };
        // A later flight of the same key is not ours to end.
        if !Arc::ptr_eq(&flight.answer, &self.answer) {
            return;
        }
        flight.aboard -= 1;
        // With the answer there, newcomers must ask anew.
        if flight.aboard == 0 || flight.answer.initialized() {
            under_way.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::sync::Notify;

    #[tokio::test]
    async fn a_cancelled_leader_strands_nobody_and_leaves_nothing() {
        let flights = Arc::new(Flights::<u8, u8>::new(8));
        let leader = tokio::spawn({
            let flights = Arc::clone(&flights);
            async move { flights.share(1, std::future::pending).await }
        });
        while flights.aboard() < 1 {
            tokio::task::yield_now().await;
        }
        let follower = tokio::spawn({
            let flights = Arc::clone(&flights);
            async move { flights.share(1, || async { 7 }).await }
        });
        while flights.aboard() < 2 {
            tokio::task::yield_now().await;
        }
        leader.abort();
        assert_eq!(follower.await.ok(), Some(Ok(7)));
        assert!(flights.lock().is_empty());
    }

    #[tokio::test]
    async fn all_cancelled_leaves_nothing() {
        let flights = Arc::new(Flights::<u8, u8>::new(8));
        for _ in 0..3 {
            let asks = flights.share(1, std::future::pending);
            tokio::select! { biased; _ = asks => {}, () = std::future::ready(()) => {} }
        }
        assert!(flights.lock().is_empty());
    }

    #[tokio::test]
    async fn one_question_more_than_may_be_is_turned_away_but_joining_is_not() {
        let flights = Arc::new(Flights::<u8, u8>::new(2));
        let go = Arc::new(Notify::new());
        let asked = Arc::new(AtomicUsize::new(0));
        let mut waiting = Vec::new();
        for key in [1, 2, 2] {
            let (flights, go, asked) = (flights.clone(), go.clone(), asked.clone());
            waiting.push(tokio::spawn(async move {
                let ask = || async {
                    asked.fetch_add(1, Ordering::SeqCst);
                    go.notified().await;
                    key
                };
                flights.share(key, ask).await
            }));
        }
        while flights.aboard() < 3 {
            tokio::task::yield_now().await;
        }
        assert_eq!(flights.share(3, || async { 3 }).await, Err(TooMany));
        go.notify_one();
        go.notify_one();
        for (waiter, key) in waiting.into_iter().zip([1, 2, 2]) {
            assert_eq!(waiter.await.ok(), Some(Ok(key)));
        }
        assert_eq!(asked.load(Ordering::SeqCst), 2);
        assert_eq!(flights.share(3, || async { 3 }).await, Ok(3));
    }
}
