//! The hot map: verified pairs in memory, found without a lock and without an allocation.
//!
//! It is a bounded cache over the store, never the truth: what it does not hold is asked for again,
//! and an entry that has expired, idled out or seems to come from the future counts as not held.
//! Reading never evicts and never scans; only an insertion into a full map does.
//!
//! An entry knows the longest pause between two requests since its verification. It grows in the step
//! that notes a request as seen, so that nothing asked for after a long pause hides that there was one.

use super::Proof;
use super::session::{Factor, Holder, Seen, Session, Terms, Which};
use crate::clock::Timestamp;
use crate::digest::SessionKey;
use crate::id::{SessionId, UserId};
use papaya::{Guard as _, HashMap, Operation};
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

/// Seconds by which a session may seem to come from the future (another node's clock). Beyond it the
/// clock has gone back, the session's age is unknown, and it is asked for again.
pub(super) const SKEW_SECS_MAX: u32 = 60;

/// An eviction frees one entry in this many.
const EVICTED_SHARE: usize = 16;

/// Entries looked at to find out which are the oldest. Keys are digests, so that the first ones of
/// the table are a random sample.
const SAMPLE_MAX: usize = 1024;

/// Takes eight bytes of the key as its hash: a keyed digest is uniform, and nobody without the
/// key can aim at a bucket.
#[derive(Clone, Copy, Default)]
struct DigestHasher(u64);

impl Hasher for DigestHasher {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(head) = bytes.first_chunk() {
            self.0 = u64::from_le_bytes(*head);
        }
    }

    fn write_usize(&mut self, _length_prefix: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

#[derive(Clone, Copy, Default)]
struct DigestHashing;

impl BuildHasher for DigestHashing {
    type Hasher = DigestHasher;

    fn build_hasher(&self) -> DigestHasher {
        DigestHasher::default()
    }
}

/// Whole seconds since the epoch, as the map keeps them: until 2106, then everything has expired.
pub(super) fn seconds(at: Timestamp) -> u32 {
    u32::try_from(at.0.max(0)).unwrap_or(u32::MAX)
}

/// The moment at which sessions are judged, and how long they may have idled.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) now: u32,
    pub(super) idle_secs: u32,
}

/// Seconds without a request since the last one. Of a last one that seems to come from the future, the
/// clock has gone back, nobody knows.
pub(super) fn pause_secs(last_seen: u32, now: u32) -> u32 {
    match last_seen > now.saturating_add(SKEW_SECS_MAX) {
        true => u32::MAX,
        false => now.saturating_sub(last_seen),
    }
}

/// What the gate needs of a live session to decide.
#[derive(Clone, Debug)]
pub(super) struct Verified {
    pub(super) holder: Holder,
    pub(super) proof: Proof,
}

/// One entry: 64 bytes, so that with its key (32 bytes) it fills a 96-byte allocation.
struct Hot {
    id: SessionId,
    user: UserId,
    name: Arc<str>,
    terms: Option<Arc<Terms>>,
    verified_at: u32,
    expires_at: u32,
    last_seen: AtomicU32,
    /// Up to `last_seen`.
    longest_pause_secs: AtomicU32,
    factor: Factor,
    /// `last_seen` has moved since it was last taken for the store.
    unsaved: AtomicBool,
}

impl Hot {
    /// The same, in place of what was held under its key: of one session, no sighting is lost.
    fn instead_of(held: Option<&Self>, session: &Session) -> Self {
        let new = Self::new(session);
        if let Some(held) = held.filter(|held| held.id == new.id) {
            // First the time, then the pause up to then: see `Hot::see`.
            let seen = held.last_seen.load(Ordering::Acquire);
            let pause_secs = held.longest_pause_secs.load(Ordering::Relaxed);
            if seen > new.last_seen.fetch_max(seen, Ordering::Relaxed) {
                new.longest_pause_secs
                    .fetch_max(pause_secs, Ordering::Relaxed);
            }
            let unsaved = held.unsaved.load(Ordering::Acquire);
            new.unsaved.store(unsaved, Ordering::Release);
        }
        new
    }

    fn new(session: &Session) -> Self {
        Self {
            id: session.id,
            user: session.holder.user,
            name: Arc::clone(&session.holder.name),
            terms: session.holder.terms.clone(),
            verified_at: seconds(session.verified_at),
            expires_at: seconds(session.expires_at),
            last_seen: AtomicU32::new(seconds(session.last_seen_at)),
            longest_pause_secs: AtomicU32::new(session.longest_pause_secs),
            factor: session.factor,
            unsaved: AtomicBool::new(false),
        }
    }

    fn is_live(&self, at: Moment) -> bool {
        let last_seen = self.last_seen.load(Ordering::Relaxed);
        self.verified_at <= at.now.saturating_add(SKEW_SECS_MAX)
            && at.now < self.expires_at
            && at.now < last_seen.saturating_add(at.idle_secs)
    }

    /// Writes at most once a second: many threads share a busy session's cache line.
    fn see(&self, now: u32) {
        let last_seen = self.last_seen.load(Ordering::Acquire);
        if last_seen == now {
            return;
        }
        let pause_secs = pause_secs(last_seen, now);
        if pause_secs > self.longest_pause_secs.load(Ordering::Relaxed) {
            self.longest_pause_secs
                .fetch_max(pause_secs, Ordering::Relaxed);
        }
        // Whoever reads this time reads that pause.
        self.last_seen.store(now, Ordering::Release);
        self.unsaved.store(true, Ordering::Release);
    }

    fn take_seen(&self) -> Option<Seen> {
        // The first look spares entries that nobody uses a write.
        let taken =
            self.unsaved.load(Ordering::Relaxed) && self.unsaved.swap(false, Ordering::AcqRel);
        taken.then(|| {
            let last_seen = self.last_seen.load(Ordering::Acquire);
            Seen {
                id: self.id,
                last_seen_at: Timestamp(i64::from(last_seen)),
                longest_pause_secs: self.longest_pause_secs.load(Ordering::Relaxed),
            }
        })
    }

    fn verified(&self, now: u32) -> Verified {
        // First the time, then the pause up to then: see `Hot::see`.
        let pause_secs = pause_secs(self.last_seen.load(Ordering::Acquire), now);
        Verified {
            holder: Holder {
                user: self.user,
                name: Arc::clone(&self.name),
                terms: self.terms.clone(),
            },
            proof: Proof {
                id: self.id,
                factor: self.factor,
                verified_at: Timestamp(i64::from(self.verified_at)),
                pause_secs: pause_secs.max(self.longest_pause_secs.load(Ordering::Relaxed)),
                good_until: Timestamp(i64::from(self.expires_at)),
            },
        }
    }
}

/// Verified pairs by key, at most `max` of them (give or take one per thread that inserts).
pub(super) struct HotMap {
    entries: HashMap<SessionKey, Hot, DigestHashing>,
    max: usize,
    /// One inserter makes room; the others go on without caching.
    making_room: AtomicBool,
    evicted: AtomicU64,
}

impl HotMap {
    pub(super) fn new(max: usize) -> Self {
        Self {
            entries: HashMap::with_hasher(DigestHashing),
            max,
            making_room: AtomicBool::new(false),
            evicted: AtomicU64::new(0),
        }
    }

    /// The live session under `key`; `is_use` says that it is seen now.
    pub(super) fn get(&self, key: &SessionKey, at: Moment, is_use: bool) -> Option<Verified> {
        let entries = self.entries.pin();
        let hot = entries.get(key).filter(|hot| hot.is_live(at))?;
        if is_use {
            hot.see(at.now);
        }
        Some(hot.verified(at.now))
    }

    /// The session under `key`, if there is a live one, is seen now.
    pub(super) fn see(&self, key: &SessionKey, at: Moment) {
        let _ = self.get(key, at, true);
    }

    /// Puts a session, as the store has it, under `key`, unless a later verification is there already or
    /// there is no room.
    pub(super) fn insert(&self, key: SessionKey, session: &Session, at: Moment) {
        let guard = self.entries.guard();
        let is_new = !self.entries.contains_key(&key, &guard);
        if is_new && self.len() >= self.max && !self.make_room(at) {
            return;
        }
        let verified_at = seconds(session.verified_at);
        let renew = |held: Option<(&SessionKey, &Hot)>| match held {
            Some((_, held)) if held.verified_at > verified_at && held.is_live(at) => {
                Operation::Abort(())
            }
            held => Operation::Insert(Hot::instead_of(held.map(|(_, held)| held), session)),
        };
        self.entries.compute(key, renew, &guard);
        // As in `retain`: an outgrown table alone is a tenth of the map's memory.
        guard.flush();
    }

    /// Takes the session `id` from under `key`, if it is that session.
    pub(super) fn remove(&self, key: &SessionKey, id: SessionId) {
        // An `Err` says that another session is there by now: it may stay.
        let _ = self.entries.pin().remove_if(key, |_, hot| hot.id == id);
    }

    /// Takes out every session that `which` means. Scans the map.
    pub(super) fn forget(&self, which: Which) {
        self.retain(|hot| !which.concerns(hot.id, hot.user));
    }

    /// Takes out what is not live any more, but for what is still to be told to the store: an entry
    /// may live shorter than it takes until the next [`HotMap::take_seen`]. Scans the map.
    pub(super) fn sweep(&self, at: Moment) {
        self.retain(|hot| hot.is_live(at) || hot.unsaved.load(Ordering::Relaxed));
    }

    /// Sessions seen since the last call. Scans the map.
    pub(super) fn take_seen(&self) -> Vec<Seen> {
        let entries = self.entries.pin();
        entries.values().filter_map(Hot::take_seen).collect()
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Live entries thrown out for lack of room, since the start.
    pub(super) fn evicted(&self) -> u64 {
        self.evicted.load(Ordering::Relaxed)
    }

    /// Keeps what `stays` says. Scans the map.
    fn retain(&self, mut stays: impl FnMut(&Hot) -> bool) {
        let guard = self.entries.guard();
        self.entries.retain(|_, hot| stays(hot), &guard);
        // Frees what was taken out, and a table that was outgrown, now and not with the next ones.
        guard.flush();
    }

    fn make_room(&self, at: Moment) -> bool {
        if self.making_room.swap(true, Ordering::Acquire) {
            return false;
        }
        self.evict(at);
        self.making_room.store(false, Ordering::Release);
        self.len() < self.max
    }

    /// Throws out what has ended, and of the rest the longest unseen: together about one in
    /// [`EVICTED_SHARE`], more only if more has ended.
    fn evict(&self, at: Moment) {
        // What has ended counts as never seen, and so goes first.
        let age_key = |hot: &Hot| match hot.is_live(at) {
            true => hot.last_seen.load(Ordering::Relaxed),
            false => 0,
        };
        let entries = self.entries.pin();
        let mut sample: Vec<u32> = entries.values().take(SAMPLE_MAX).map(age_key).collect();
        drop(entries);
        sample.sort_unstable();
        let Some(&cutoff) = sample.get(sample.len() / EVICTED_SHARE) else {
            return;
        };
        let goal = (self.max / EVICTED_SHARE).max(1);
        let (mut gone, mut evicted) = (0, 0);
        self.retain(|hot| {
            let seen = age_key(hot);
            // Many may have been seen in the cutoff's very second: of those, only as many as needed.
            let goes = seen == 0 || seen < cutoff || (seen == cutoff && gone < goal);
            if goes {
                gone += 1;
                evicted += u64::from(seen != 0);
            }
            !goes
        });
        self.evicted.fetch_add(evicted, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Moment = Moment {
        now: 1_000,
        idle_secs: 500,
    };

    fn key(n: u64) -> SessionKey {
        let mut bytes = [0; 32];
        // Spread like a digest would be.
        bytes[..8].copy_from_slice(&n.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_le_bytes());
        bytes[8..16].copy_from_slice(&n.to_le_bytes());
        SessionKey(bytes)
    }

    fn session(n: i64, verified_at: i64, last_seen_at: i64) -> Session {
        Session {
            id: SessionId(n),
            holder: Holder {
                user: UserId(n % 10),
                name: "ann".into(),
                terms: None,
            },
            factor: Factor::Sms,
            verified_at: Timestamp(verified_at),
            expires_at: Timestamp(5_000),
            last_seen_at: Timestamp(last_seen_at),
            longest_pause_secs: 0,
        }
    }

    fn seen(id: i64, last_seen_at: i64, longest_pause_secs: u32) -> Seen {
        Seen {
            id: SessionId(id),
            last_seen_at: Timestamp(last_seen_at),
            longest_pause_secs,
        }
    }

    fn pause(map: &HotMap, n: u64, now: u32) -> Option<u32> {
        let at = Moment { now, ..AT };
        map.get(&key(n), at, true).map(|held| held.proof.pause_secs)
    }

    #[test]
    fn an_entry_and_its_key_fit_an_allocation_of_96_bytes() {
        assert!(size_of::<Hot>() <= 64, "{}", size_of::<Hot>());
        assert_eq!(size_of::<SessionKey>(), 32);
    }

    #[test]
    fn the_hash_is_the_head_of_the_digest() {
        assert_eq!(
            DigestHashing.hash_one(key(7)),
            7u64.wrapping_mul(0x9E37_79B9_7F4A_7C15)
        );
    }

    #[test]
    fn a_flood_stays_within_the_bound_and_throws_out_the_longest_unseen() {
        let map = HotMap::new(1_600);
        for n in 0..1_600 {
            map.insert(key(n), &session(n as i64, 900, 900 + n as i64 / 16), AT);
        }
        assert_eq!((map.len(), map.evicted()), (1_600, 0));
        map.insert(key(1_600), &session(1_600, 1_000, 1_000), AT);
        let evicted = map.evicted();
        assert!((50..=200).contains(&evicted), "{evicted}");
        assert_eq!(map.len() as u64, 1_601 - evicted);
        assert!(map.get(&key(0), AT, true).is_none(), "the oldest has gone");
        assert!(
            map.get(&key(1_599), AT, true).is_some(),
            "the newest has stayed"
        );
        for n in 1_601..20_000 {
            map.insert(key(n), &session(n as i64, 1_000, 1_000), AT);
            assert!(map.len() <= 1_600);
        }
        assert!(map.get(&key(19_999), AT, true).is_some());
    }

    #[test]
    fn what_has_expired_goes_before_what_is_live() {
        let map = HotMap::new(160);
        for n in 0..160 {
            // One in four idled out long ago, though the others were seen earlier than the newcomer.
            let seen = if n % 4 == 0 { 100 } else { 900 };
            map.insert(key(n), &session(n as i64, 50, seen), AT);
        }
        map.insert(key(999), &session(999, 1_000, 1_000), AT);
        assert_eq!((map.len(), map.evicted()), (121, 0));
    }

    #[test]
    fn a_full_map_under_one_inserter_is_left_alone_by_the_others() {
        let map = HotMap::new(16);
        for n in 0..16 {
            map.insert(key(n), &session(n as i64, 900, 900), AT);
        }
        map.making_room.store(true, Ordering::SeqCst);
        map.insert(key(99), &session(99, 900, 900), AT);
        assert!(map.get(&key(99), AT, true).is_none());
        assert_eq!(map.len(), 16);
        // A renewal needs no room.
        map.insert(key(3), &session(77, 950, 950), AT);
        map.forget(Which::Session(SessionId(77)));
        assert_eq!(map.len(), 15);
    }

    #[test]
    fn a_map_of_no_size_holds_nothing() {
        let map = HotMap::new(0);
        map.insert(key(1), &session(1, 900, 900), AT);
        assert_eq!(map.len(), 0);
    }

    #[test]
    fn an_older_verification_does_not_displace_a_later_one() {
        let map = HotMap::new(10);
        map.insert(key(1), &session(2, 950, 950), AT);
        map.insert(key(1), &session(1, 900, 990), AT);
        let held = map
            .get(&key(1), AT, true)
            .map(|held| held.proof.verified_at);
        assert_eq!(held, Some(Timestamp(950)));
    }

    #[test]
    fn a_later_verification_that_has_ended_makes_way() {
        let map = HotMap::new(10);
        let mut ended = session(2, 950, 950);
        ended.expires_at = Timestamp(1_000);
        map.insert(key(1), &ended, AT);
        map.insert(key(1), &session(1, 900, 990), AT);
        let held = map
            .get(&key(1), AT, true)
            .map(|held| held.proof.verified_at);
        assert_eq!(held, Some(Timestamp(900)));
    }

    #[test]
    fn each_sighting_is_taken_once() {
        let map = HotMap::new(10);
        map.insert(key(1), &session(1, 900, 990), AT);
        assert_eq!(map.take_seen(), []);
        assert!(map.get(&key(1), AT, true).is_some());
        assert_eq!(map.take_seen(), [seen(1, 1_000, 10)]);
        assert!(
            map.get(&key(1), AT, true).is_some(),
            "within the same second"
        );
        assert_eq!(map.take_seen(), []);
        assert!(map.get(&key(1), AT, false).is_some());
    }

    #[test]
    fn what_is_no_use_keeps_nothing_from_idling_out() {
        let map = HotMap::new(10);
        map.insert(key(1), &session(1, 900, 600), AT);
        for now in [1_000, 1_099] {
            let at = Moment { now, ..AT };
            assert!(map.get(&key(1), at, false).is_some(), "{now}");
        }
        let at = Moment { now: 1_100, ..AT };
        assert!(map.get(&key(1), at, false).is_none());
        assert_eq!(map.take_seen(), []);
    }

    #[test]
    fn a_sighting_is_not_lost_to_an_older_word_about_the_same_session() {
        let map = HotMap::new(10);
        map.insert(key(1), &session(1, 900, 950), AT);
        map.see(&key(1), AT);
        map.insert(key(1), &session(1, 900, 950), AT);
        assert_eq!(map.take_seen(), [seen(1, 1_000, 50)]);
        // Another session of the pair begins with its own.
        map.insert(key(1), &session(2, 960, 960), AT);
        assert_eq!(map.take_seen(), []);
        let late = Moment { now: 1_470, ..AT };
        assert!(map.get(&key(1), late, false).is_none());
    }

    #[test]
    fn a_long_pause_is_not_forgotten_by_asking_again() {
        let map = HotMap::new(10);
        map.insert(key(1), &session(1, 900, 990), AT);
        assert_eq!(pause(&map, 1, 1_000), Some(10));
        assert_eq!(pause(&map, 1, 1_000), Some(10), "within the same second");
        // What is no use of it neither ends a pause nor hides one.
        for now in [1_300, 1_399] {
            let at = Moment { now, ..AT };
            let held = map.get(&key(1), at, false);
            let pause_secs = held.map(|held| held.proof.pause_secs);
            assert_eq!(pause_secs, Some(now - 1_000));
        }
        assert_eq!(pause(&map, 1, 1_400), Some(400));
        assert_eq!(pause(&map, 1, 1_400), Some(400));
        assert_eq!(pause(&map, 1, 1_401), Some(400));
        assert_eq!(map.take_seen(), [seen(1, 1_401, 400)]);
        // Verified anew, it begins again.
        map.insert(key(1), &session(2, 1_401, 1_401), AT);
        assert_eq!(pause(&map, 1, 1_403), Some(2));
    }

    #[test]
    fn a_pause_that_the_store_has_not_heard_of_outlives_its_word() {
        let map = HotMap::new(10);
        map.insert(key(1), &session(1, 900, 1_000), AT);
        assert_eq!(pause(&map, 1, 1_400), Some(400));
        let at = Moment { now: 1_400, ..AT };
        map.insert(key(1), &session(1, 900, 1_000), at);
        assert_eq!(pause(&map, 1, 1_401), Some(400));
        // One that knows of later requests, under another key, knows better.
        let mut later = session(1, 900, 1_402);
        later.longest_pause_secs = 30;
        map.insert(key(1), &later, at);
        assert_eq!(pause(&map, 1, 1_410), Some(30));
    }

    #[test]
    fn the_pause_before_a_clock_that_went_back_is_unknown() {
        let map = HotMap::new(10);
        map.insert(key(1), &session(1, 900, 1_060), AT);
        assert_eq!(pause(&map, 1, 1_000), Some(0), "another node's clock");
        map.insert(key(2), &session(2, 900, 1_061), AT);
        assert_eq!(pause(&map, 2, 1_000), Some(u32::MAX));
    }

    /// Many threads meet the end of one pause; none of them may miss it.
    #[test]
    fn fifty_requests_at_once_after_a_pause_all_see_it() {
        let map = HotMap::new(10);
        map.insert(key(1), &session(1, 900, 1_000), AT);
        for round in 1..=20u32 {
            let now = 1_000 + round * 300;
            let start = std::sync::Barrier::new(50);
            let pauses: Vec<_> = std::thread::scope(|scope| {
                let ask = || {
                    start.wait();
                    pause(&map, 1, now)
                };
                let asking: Vec<_> = (0..50).map(|_| scope.spawn(ask)).collect();
                asking.into_iter().map(|one| one.join().unwrap()).collect()
            });
            let expired = now >= 5_000;
            let wanted = (!expired).then_some(300);
            assert!(pauses.iter().all(|it| *it == wanted), "{now}: {pauses:?}");
        }
    }

    #[test]
    fn a_session_from_the_future_is_not_live_but_a_skewed_clock_is_forgiven() {
        let map = HotMap::new(10);
        map.insert(key(1), &session(1, 1_060, 1_060), AT);
        map.insert(key(2), &session(2, 1_061, 1_061), AT);
        assert!(map.get(&key(1), AT, true).is_some());
        assert!(map.get(&key(2), AT, true).is_none());
    }

    #[test]
    fn times_out_of_range_end_sessions_instead_of_wrapping() {
        assert_eq!(seconds(Timestamp(-1)), 0);
        assert_eq!(seconds(Timestamp(i64::MAX)), u32::MAX);
        let map = HotMap::new(10);
        let mut endless = session(1, 900, 900);
        endless.expires_at = Timestamp(i64::MAX);
        map.insert(key(1), &endless, AT);
        let at = |now| Moment {
            now,
            idle_secs: u32::MAX,
        };
        assert!(map.get(&key(1), at(u32::MAX - 1), true).is_some());
        assert!(map.get(&key(1), at(u32::MAX), true).is_none());
    }
}
