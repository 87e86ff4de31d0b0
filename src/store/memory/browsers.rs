//! Browsers that are remembered for a user.

use super::Memory;
use super::state::{State, next};
use crate::auth::ports::{
    Browser, Browsers, FactorKind, NewBrowser, Recall, Stored, Token, Whence, Which,
};
use crate::clock::Timestamp;
use crate::digest::{BrowserDigest, TokenDigest};
use crate::gate::session::{Factor, Session};
use crate::id::{BrowserId, UserId};
use crate::store::rules::{self, Remembered};
use async_trait::async_trait;

/// A browser with whose it is.
#[derive(Debug)]
pub(super) struct KeptBrowser {
    digest: BrowserDigest,
    user: UserId,
    token: TokenDigest,
    whence: Whence,
    remembered: Remembered,
}

impl State {
    /// Remembers a browser for a user who has just passed a factor in it.
    pub(super) fn remember(
        &mut self,
        (user, factor): (UserId, Factor),
        new: &NewBrowser,
        now: Timestamp,
    ) {
        // The others' as well: they do not go on by a secret that one of them alone may know.
        self.browsers.retain(|_, it| {
            Some(it.digest) != new.instead_of && (it.user != user || it.digest != new.digest)
        });
        let id = BrowserId(next(&mut self.last.browser));
        let kept = KeptBrowser {
            digest: new.digest,
            user,
            token: new.token,
            whence: new.whence.clone(),
            remembered: Remembered {
                factor,
                verified_at: now,
                until: new.until,
                used_at: now,
            },
        };
        self.browsers.insert(id, kept);
        let of_user = self.browsers.iter().filter(|(_, it)| it.user == user);
        let newest = of_user.map(|(id, _)| *id).rev();
        let first_gone = newest.skip(rules::BROWSERS_OF_USER_MAX).max();
        self.browsers
            .retain(|id, it| it.user != user || first_gone.is_none_or(|gone| *id > gone));
    }

    /// Forgets the browsers in which this kind of factor was passed.
    pub(super) fn forget_browsers_by(&mut self, user: UserId, kind: FactorKind) {
        self.browsers
            .retain(|_, it| it.user != user || it.remembered.factor != kind.factor());
    }

    pub(super) fn forget_browsers(&mut self, user: UserId) {
        self.browsers.retain(|_, it| it.user != user);
    }

    /// Forgets the browsers of the sessions that somebody ends; they are still there. A session that came
    /// out of a browser is as old as what is remembered there, whoever has signed in by it since. Whoever
    /// ends all sessions but one trusts nothing of before, and is asked in that browser too.
    pub(super) fn forget_browsers_of(&mut self, which: Which) {
        let ended = match which {
            Which::Session(id) => self.sessions.values().find(|record| record.id == id),
            _ => None,
        };
        let ended = ended.map(|record| &record.new);
        self.browsers.retain(|_, it| match which {
            Which::All => false,
            Which::User(user) | Which::UserBut(user, _) => it.user != user,
            Which::Session(_) => !ended.is_some_and(|ended| {
                let is_as_old = it.remembered.verified_at == ended.verified_at;
                it.user == ended.user && (it.token == ended.token || is_as_old)
            }),
        });
    }

    /// The session of a token's user in a browser that is remembered, if it is.
    fn recall(
        &mut self,
        token: &Token,
        recall: &Recall,
        now: Timestamp,
    ) -> Stored<Option<Session>> {
        let is_there = |it: &KeptBrowser| it.digest == recall.browser && it.user == token.user;
        let kept = self.browsers.values().find(|it| is_there(it));
        let Some(kept) = kept.map(|it| it.remembered) else {
            return Ok(None);
        };
        let Some(new) = kept.session(recall, now) else {
            return Ok(None);
        };
        let key = new.key;
        let mut session = self.put_session(new, kept.factor, now)?;
        if let Some(record) = self.sessions.get_mut(&key) {
            record.last_seen_at = now;
            record.longest_pause_secs = kept.pause_secs(now);
        }
        session.last_seen_at = now;
        session.longest_pause_secs = kept.pause_secs(now);
        if let Some(it) = self.browsers.values_mut().find(|it| is_there(it)) {
            it.token = token.digest;
            it.remembered.used_at = now;
        }
        Ok(Some(session))
    }

    pub(super) fn purge_browsers(&mut self, now: Timestamp) {
        self.browsers.retain(|_, it| it.remembered.is_live(now));
    }
}

#[async_trait]
impl Browsers for Memory {
    async fn put_token_in(
        &self,
        token: Token,
        recall: Recall,
        now: Timestamp,
    ) -> Stored<Option<Session>> {
        let mut state = self.lock()?;
        state.check_token(&token)?;
        state.put_token(token.clone());
        state.recall(&token, &recall, now)
    }

    async fn browsers(&self, user: UserId, now: Timestamp) -> Stored<Vec<Browser>> {
        let state = self.lock()?;
        let newest = state.browsers.iter().rev();
        let own = newest.filter(|(_, it)| it.user == user && it.remembered.is_live(now));
        Ok(own
            .map(|(id, it)| Browser {
                id: *id,
                digest: it.digest,
                factor: it.remembered.factor,
                verified_at: it.remembered.verified_at,
                whence: it.whence.clone(),
                until: it.remembered.until,
            })
            .collect())
    }

    async fn forget_browser(&self, user: UserId, id: BrowserId) -> Stored<bool> {
        let mut state = self.lock()?;
        let is_own = state.browsers.get(&id).is_some_and(|it| it.user == user);
        if is_own {
            state.browsers.remove(&id);
        }
        Ok(is_own)
    }
}
