//! Tokens that were unknown a moment ago: garbage is refused without asking the store again.
//!
//! A fixed table of slots, each one atomic number, so that no flood can make it grow and no reader
//! waits. A newcomer takes the slot of whoever was there. Its word is good for [`TTL_SECS`].

use crate::digest::TokenDigest;
use std::sync::atomic::{AtomicU64, Ordering};

/// How long a token stays unknown without being asked for again.
const TTL_SECS: u32 = 10;

/// 256 KiB. Of 32,768 garbage tokens within [`TTL_SECS`], some share a slot and are asked for twice.
const SLOTS: usize = 1 << 15;

/// The low bits of a slot hold the second in which it ends, the others a piece of the digest. An
/// end lies at most [`TTL_SECS`] ahead, so that it is told apart modulo 194 days.
const END_BITS: u32 = 24;
const END_MASK: u32 = (1 << END_BITS) - 1;

/// The table.
pub(super) struct Negative {
    slots: Box<[AtomicU64]>,
}

impl Negative {
    pub(super) fn new() -> Self {
        Self {
            slots: (0..SLOTS).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// Whether the token was unknown less than [`TTL_SECS`] ago.
    pub(super) fn contains(&self, token: &TokenDigest, now: u32) -> bool {
        let Some((slot, print)) = self.place(token) else {
            return false;
        };
        let held = slot.load(Ordering::SeqCst);
        // The low half holds the end; what does not fit is cut off on purpose.
        let left = (held as u32).wrapping_sub(now) & END_MASK;
        held >> END_BITS == print && (1..=TTL_SECS).contains(&left)
    }

    /// Notes that the token is unknown, as the store said when `changes` stood at `asked_at`.
    ///
    /// If it has moved on, a token may have come to be meanwhile, perhaps this one: the note is taken
    /// back. [`Negative::forget`] runs after `changes` has moved, so that one of the two sees the other.
    pub(super) fn record(&self, token: &TokenDigest, now: u32, changes: &AtomicU64, asked_at: u64) {
        let Some((slot, print)) = self.place(token) else {
            return;
        };
        let end = now.wrapping_add(TTL_SECS) & END_MASK;
        let note = print << END_BITS | u64::from(end);
        slot.store(note, Ordering::SeqCst);
        if changes.load(Ordering::SeqCst) != asked_at {
            // If another note is there by now, this one has gone already.
            let _ = slot.compare_exchange(note, 0, Ordering::SeqCst, Ordering::SeqCst);
        }
    }

    /// The token has come to be. Call it after `changes` has moved.
    pub(super) fn forget(&self, token: &TokenDigest) {
        if let Some((slot, _)) = self.place(token) {
            slot.store(0, Ordering::SeqCst);
        }
    }

    /// The token's slot and the 40 bits that tell it from others there: never 0, as an empty slot is.
    fn place(&self, token: &TokenDigest) -> Option<(&AtomicU64, u64)> {
        let [a, b, c, d, e, f, g, ..] = token.0;
        let slot = self
            .slots
            .get(usize::from(u16::from_le_bytes([a, b])) % SLOTS)?;
        let print = u64::from_le_bytes([c, d, e, f, g, 0, 0, 0]);
        Some((slot, print | 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u32 = 1_795_317_694;

    fn token(n: u64) -> TokenDigest {
        TokenDigest(*blake3::hash(&n.to_le_bytes()).as_bytes())
    }

    #[test]
    fn a_note_lasts_its_time_and_no_longer() {
        let (cache, changes) = (Negative::new(), AtomicU64::new(3));
        cache.record(&token(1), NOW, &changes, 3);
        assert!(cache.contains(&token(1), NOW));
        assert!(cache.contains(&token(1), NOW + 9));
        assert!(!cache.contains(&token(1), NOW + 10));
        assert!(!cache.contains(&token(1), NOW - 1), "the clock went back");
        assert!(!cache.contains(&token(2), NOW));
    }

    #[test]
    fn a_note_across_the_wrap_of_its_clock_lasts_as_long() {
        let (cache, changes) = (Negative::new(), AtomicU64::new(0));
        let now = (1 << END_BITS) - 4;
        cache.record(&token(1), now, &changes, 0);
        assert!(cache.contains(&token(1), now + 9));
        assert!(!cache.contains(&token(1), now + 10));
    }

    #[test]
    fn an_empty_slot_matches_no_token() {
        let cache = Negative::new();
        assert!((0..20).all(|now| !cache.contains(&TokenDigest([0; 32]), now)));
        assert!((0..20).all(|back| !cache.contains(&TokenDigest([0; 32]), END_MASK - back)));
    }

    #[test]
    fn an_issued_token_is_forgotten() {
        let (cache, changes) = (Negative::new(), AtomicU64::new(0));
        cache.record(&token(1), NOW, &changes, 0);
        changes.fetch_add(1, Ordering::SeqCst);
        cache.forget(&token(1));
        assert!(!cache.contains(&token(1), NOW));
    }

    #[test]
    fn a_note_that_something_overtook_is_taken_back() {
        let (cache, changes) = (Negative::new(), AtomicU64::new(0));
        // The store said "unknown" at 0; then the token came to be; only now is the miss noted.
        changes.fetch_add(1, Ordering::SeqCst);
        cache.forget(&token(1));
        cache.record(&token(1), NOW, &changes, 0);
        assert!(!cache.contains(&token(1), NOW));
    }

    #[test]
    fn a_flood_does_not_grow_it() {
        let (cache, changes) = (Negative::new(), AtomicU64::new(0));
        for n in 0..200_000 {
            cache.record(&token(n), NOW, &changes, 0);
        }
        assert_eq!(cache.slots.len(), SLOTS);
        let held = (0..200_000)
            .filter(|n| cache.contains(&token(*n), NOW))
            .count();
        assert!(held <= SLOTS && held > SLOTS / 2, "{held}");
    }
}
