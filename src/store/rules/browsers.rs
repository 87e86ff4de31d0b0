//! Who is remembered in which browser, and what comes of it.

use crate::auth::ports::{COOKIE_LIFETIME_MAX, NewSession, Recall};
use crate::clock::Timestamp;
use crate::gate::session::Factor;

/// Browsers that are kept of one user: each costs a row, and whoever passes a factor can have one.
pub(in crate::store) const BROWSERS_OF_USER_MAX: usize = 50;

/// What a browser is remembered with.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct Remembered {
    pub(in crate::store) factor: Factor,
    pub(in crate::store) verified_at: Timestamp,
    pub(in crate::store) until: Option<Timestamp>,
    /// When somebody was last let in by it.
    pub(in crate::store) used_at: Timestamp,
}

impl Remembered {
    pub(in crate::store) fn is_live(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until) && now < self.used_at.after(COOKIE_LIFETIME_MAX)
    }

    /// How long there was perhaps no request since the factor was passed: nobody has kept count.
    pub(in crate::store) fn pause_secs(&self, now: Timestamp) -> u32 {
        u32::try_from(now.secs_since(self.verified_at)).unwrap_or(u32::MAX)
    }

    /// The session that a sign-in in this browser gets: as old as the factor that was passed, and no
    /// longer than that is remembered, by what was promised then and by what holds now.
    pub(in crate::store) fn session(&self, recall: &Recall, now: Timestamp) -> Option<NewSession> {
        let ends_now = recall.remember.ends_at(self.verified_at);
        let ends_at = self.until.into_iter().chain(ends_now).min();
        let is_over = ends_at.is_some_and(|end| end <= now);
        let longest = recall.session.expires_at;
        (self.is_live(now) && !is_over).then(|| NewSession {
            verified_at: self.verified_at,
            expires_at: ends_at.map_or(longest, |end| end.min(longest)),
            ..recall.session.clone()
        })
    }
}
