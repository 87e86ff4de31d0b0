//! The engine that forgets: for tests, trials and `memory:`. Same verbs, same answers, no disk.
//!
//! One lock around plain maps; each verb takes it once, so each is one atomic step.

mod browsers;
mod codes;
mod factors;
mod failures;
mod families;
mod grants;
mod keys;
mod oversight;
mod passkeys;
mod shares;
mod state;
mod wizards;

use crate::auth::ports::{
    AuditLine, AuditTrail, LearnedUser, NewUser, Revocation, Seen, SessionRow, Sessions,
    StoreError, Stored, Token, Tokens, Upkeep, User, Users, Which,
};
use crate::auth::subject;
use crate::clock::Timestamp;
use crate::digest::{SessionKey, SubjectDigest, TokenDigest};
use crate::event::Event;
use crate::gate::session::{Holder, Session};
use crate::id::{SessionId, UserId};
use crate::store::rules;
use async_trait::async_trait;
use state::{State, next};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};

/// The engine.
#[derive(Debug, Default)]
pub struct Memory(Mutex<State>);

fn no_such(what: &str) -> StoreError {
    StoreError::Unavailable(format!("there is no such {what}"))
}

impl Memory {
    /// Makes every later verb fail, as a store that is down does.
    #[cfg(test)]
    pub(crate) fn break_off(&self) {
        let broken = std::thread::scope(|scope| {
            let panicking = scope.spawn(|| {
                let _guard = self.0.lock();
                panic!("broken off by a test");
            });
            panicking.join()
        });
        assert!(broken.is_err());
    }

    fn lock(&self) -> Stored<MutexGuard<'_, State>> {
        // A panic under the lock may have left a step half-done.
        self.0
            .lock()
            .map_err(|_| StoreError::Unavailable("an earlier step broke off".to_owned()))
    }
}

#[async_trait]
impl Users for Memory {
    async fn create_user(&self, user: NewUser, now: Timestamp) -> Stored<Option<UserId>> {
        let mut state = self.lock()?;
        let is_taken = state.user_named(&user.realm, &user.name).is_some();
        if is_taken || user.name.starts_with(rules::SHARE_USER_PREFIX) {
            return Ok(None);
        }
        let said = rules::said_at_first(&user, now);
        Ok(Some(state.insert_user(user, said, now)))
    }

    async fn user(&self, id: UserId) -> Stored<Option<User>> {
        Ok(self.lock()?.users.get(&id).cloned())
    }

    async fn user_by_name(&self, realm: &str, name: &str) -> Stored<Option<User>> {
        Ok(self.lock()?.user_named(realm, name).cloned())
    }

    async fn user_in_any_case(&self, realm: &str, name: &str) -> Stored<Option<User>> {
        let state = self.lock()?;
        let found = state.users.values().filter(|user| {
            user.realm == realm
                && user.name.eq_ignore_ascii_case(name)
                && !user.name.starts_with(rules::SHARE_USER_PREFIX)
        });
        let first = found.min_by_key(|user| (user.name != name, user.id));
        Ok(first.cloned())
    }

    async fn user_by_email(&self, realm: &str, email: &str) -> Stored<Option<User>> {
        let state = self.lock()?;
        let key = subject::mailbox(email);
        let mut found = state.users.values().filter(|user| {
            let is_account =
                user.realm == realm && !user.name.starts_with(rules::SHARE_USER_PREFIX);
            let address = user.email.as_ref().filter(|_| is_account);
            address.is_some_and(|address| subject::mailbox(address.expose()) == key)
        });
        let first = found.next();
        Ok(first.filter(|_| found.next().is_none()).cloned())
    }

    async fn learn_user(&self, learned: LearnedUser, now: Timestamp) -> Stored<UserId> {
        let mut state = self.lock()?;
        let id = state
            .user_named(&learned.realm, &learned.name)
            .map(|user| user.id);
        if let Some(user) = id.and_then(|id| state.users.get_mut(&id)) {
            let id = user.id;
            if learned.is_silent() || !user.said.gives_way_to(&learned.said, now) {
                return Ok(id);
            }
            user.said = learned.said;
            user.phone = learned.phone.or(user.phone.take());
            user.email = learned.email.or(user.email.take());
            if let Some(groups) = learned.groups {
                state.put_groups(id, groups, now);
            }
            return Ok(id);
        }
        let (new, said) = rules::learned_first(learned);
        Ok(state.insert_user(new, said, now))
    }
}

#[async_trait]
impl Tokens for Memory {
    async fn put_token(&self, token: Token) -> Stored<()> {
        let mut state = self.lock()?;
        state.check_token(&token)?;
        state.put_token(token);
        Ok(())
    }

    async fn token(&self, digest: TokenDigest, now: Timestamp) -> Stored<Option<(Token, Holder)>> {
        let state = self.lock()?;
        Ok(state
            .live_token(digest, now)
            .and_then(|(token, _)| Some((State::unopened(token), state.holder(token)?))))
    }

    async fn drop_token(&self, digest: TokenDigest, now: Timestamp) -> Stored<Vec<SessionId>> {
        let mut state = self.lock()?;
        let before = state.feed.len();
        state.end_with_kin(digest, now);
        let lines = state.feed.iter().skip(before);
        let ended = lines.filter_map(|(line, _)| match line.which {
            Which::Session(id) => Some(id),
            Which::All | Which::User(_) | Which::UserBut(..) => None,
        });
        Ok(ended.collect())
    }
}

#[async_trait]
impl Sessions for Memory {
    async fn session(&self, key: SessionKey, now: Timestamp) -> Stored<Option<Session>> {
        let state = self.lock()?;
        Ok(state
            .sessions
            .get(&key)
            .and_then(|record| state.live_session(record, now)))
    }

    async fn touch(&self, seen: &[Seen]) -> Stored<()> {
        let mut by_id: HashMap<SessionId, Vec<&Seen>> = HashMap::new();
        for seen in seen {
            by_id.entry(seen.id).or_default().push(seen);
        }
        for record in self.lock()?.sessions.values_mut() {
            for seen in by_id.get(&record.id).into_iter().flatten() {
                record.last_seen_at = record.last_seen_at.max(seen.last_seen_at);
                let longest = record.longest_pause_secs.max(seen.longest_pause_secs);
                record.longest_pause_secs = longest;
            }
        }
        Ok(())
    }

    async fn revoke(&self, which: Which, now: Timestamp) -> Stored<u64> {
        let mut state = self.lock()?;
        if let Which::UserBut(user, spared) = which {
            let mut records = state.sessions.values();
            let found = records.find(|it| it.id == spared && it.new.user == user);
            if found.is_none_or(|record| state.live_session(record, now).is_none()) {
                return Ok(0);
            }
        }
        state.forget_browsers_of(which);
        Ok(state.end(which, now))
    }

    async fn sessions(&self, user: Option<UserId>, now: Timestamp) -> Stored<Vec<SessionRow>> {
        let state = self.lock()?;
        let mut rows = state.session_rows(now);
        rows.retain(|row| user.is_none_or(|user| row.session.holder.user == user));
        Ok(rows)
    }

    async fn live_sessions(&self, now: Timestamp) -> Stored<u64> {
        Ok(self.sessions(None, now).await?.len() as u64)
    }

    async fn revocations_after(&self, seq: i64) -> Stored<Vec<Revocation>> {
        let state = self.lock()?;
        let lines = state.feed.iter().map(|(line, _)| *line);
        Ok(lines
            .filter(|line| line.seq > seq)
            .take(rules::FEED_LINES_MAX as usize)
            .collect())
    }

    async fn feed_head(&self) -> Stored<i64> {
        Ok(self.lock()?.last.revocation)
    }
}

#[async_trait]
impl AuditTrail for Memory {
    async fn append(&self, events: &[(Timestamp, Event)]) -> Stored<()> {
        let mut state = self.lock()?;
        for (at, event) in events {
            let line = AuditLine {
                id: next(&mut state.last.audit),
                at: *at,
                event: event.clone(),
            };
            state.audit.push(line);
        }
        Ok(())
    }
}

#[async_trait]
impl Upkeep for Memory {
    async fn ping(&self) -> Stored<()> {
        self.lock().map(drop)
    }

    async fn purge(&self, now: Timestamp) -> Stored<u64> {
        Ok(self.lock()?.purge(now))
    }

    async fn reset_user(&self, user: UserId, subject: SubjectDigest, now: Timestamp) -> Stored<()> {
        let mut state = self.lock()?;
        state.reset_factors(user, now);
        state.failures.remove(&subject);
        state.end(Which::User(user), now);
        Ok(())
    }
}
