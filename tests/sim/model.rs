//! What the naive model says of a session and of a pair.

use super::*;

impl Session {
    pub(super) fn new(
        id: SessionId,
        person: usize,
        (verified_at, ends_at): (u64, u64),
        now: u64,
    ) -> Self {
        Self {
            id,
            person,
            verified_at,
            ends_at,
            seen: (now, now),
            pause: (now - verified_at, now - verified_at),
            born_at: now,
            views: BTreeMap::new(),
        }
    }

    /// The longest pause if `view` is asked now.
    pub(super) fn pause_now(&self, view: View, now: u64) -> (u64, u64) {
        let last = self.views.get(&view).copied().unwrap_or(self.born_at);
        (
            self.pause.0.max(now - self.seen.1),
            self.pause.1.max(now - last),
        )
    }

    pub(super) fn may_be_seen(&mut self, view: View, now: u64) {
        self.pause = self.pause_now(view, now);
        self.seen.1 = now;
    }

    pub(super) fn is_seen(&mut self, view: View, now: u64) {
        self.may_be_seen(view, now);
        self.seen.0 = now;
        self.views.insert(view, now);
    }
}

impl Model {
    pub(super) fn is_live(&self, token: usize, now: u64) -> bool {
        let token = &self.tokens[token];
        now < token.ends_at && !token.link.is_some_and(|link| self.links[link].revoked)
    }

    /// The pair that a request with this token and device speaks for.
    pub(super) fn pair(&self, token: usize, device: Device) -> Pair {
        (token, device.or(self.tokens[token].issued_to))
    }

    pub(super) fn session(&self, pair: Pair, now: u64) -> Live {
        match self.sessions.get(&pair) {
            Some(it) if now < it.ends_at && now < it.seen.0 + IDLE => Live::Yes,
            Some(it) if now < it.ends_at && now < it.seen.1 + IDLE => Live::Either,
            _ => Live::No,
        }
    }

    pub(super) fn end_sessions(&mut self, ends: impl Fn(&Session) -> bool) {
        self.sessions.retain(|_, session| !ends(session));
    }

    pub(super) fn forget_browsers(&mut self, forgets: impl Fn(&Browser) -> bool) {
        // Whoever signs in there has the cookie still.
        for browser in self.browsers.iter_mut().filter(|it| forgets(it)) {
            browser.is_known = Live::No;
        }
    }

    /// Somebody ends a session, and with it what is remembered where it came from.
    pub(super) fn forget_browser_of(&mut self, pair: Pair, now: u64) {
        // One that has ended may be gone from the store.
        let is_known = match self.session(pair, now) {
            Live::Yes => Live::No,
            _ => Live::Either,
        };
        let session = &self.sessions[&pair];
        for browser in &mut self.browsers {
            let is_its = browser.token == pair.0 || browser.verified_at == session.verified_at;
            if browser.person == session.person && is_its {
                browser.is_known = is_known;
            }
        }
    }

    pub(super) fn is_blocked(&self, whom: &[Whom], now: u64) -> bool {
        let counts = whom.iter().filter_map(|whom| self.counts.get(whom));
        counts.into_iter().any(|it| it.locked || now < it.until)
    }

    pub(super) fn failed(&mut self, whom: Whom, now: u64) {
        let (every, lock_at) = match whom {
            Whom::Person(_) => (DELAY_EVERY, LOCK_AT),
            Whom::Account(_) => (DELAY_EVERY, u32::MAX),
            Whom::Address => (DELAY_EVERY * ADDRESS_FACTOR, u32::MAX),
        };
        let count = self.counts.entry(whom).or_default();
        count.failures += 1;
        count.touched_at = now;
        count.locked |= count.failures >= lock_at;
        if count.failures.is_multiple_of(every) {
            let doubled = (1..count.failures / every).fold(FIRST_DELAY, |delay, _| delay * 2);
            count.until = now + doubled.min(MAX_DELAY);
        }
    }

    pub(super) fn may_send(&self, person: usize, number: &str, now: u64) -> bool {
        let prefix = &number[..3];
        let within = |span: u64| self.sends.iter().filter(move |(at, ..)| at + span > now);
        within(RESEND_AFTER).all(|(_, to, _)| *to != person)
            && within(HOUR).filter(|(_, to, _)| *to == person).count() < PER_HOUR
            && within(HOUR).filter(|(.., to)| *to == number).count() < PER_HOUR
            && within(MINUTE).count() < PER_MINUTE
            && within(MINUTE)
                .filter(|(.., to)| to.starts_with(prefix))
                .count()
                < PER_MINUTE - 1
    }
}
