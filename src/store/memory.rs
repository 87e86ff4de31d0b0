//! The engine that forgets: for tests, trials and `memory:`. Same verbs, same answers, no disk.
//!
//! One lock around plain maps; each verb takes it once, so each is one atomic step.

use crate::auth::lockout::{Blocked, Counter, LockoutPolicy, longer};
use crate::auth::ports::{
    Attempt, Attempted, AuditTrail, Challenges, Failures, LearnedUser, NewChallenge, NewSession,
    NewShare, NewUser, Purpose, Reserved, Revocation, SendLimit, SendRequest, SessionRow, Sessions,
    Share, Shares, StoreError, Stored, Token, Tokens, Upkeep, User, Users, Which,
};
use crate::clock::Timestamp;
use crate::digest::{RecipientDigest, SessionKey, SubjectDigest, TokenDigest};
use crate::event::Event;
use crate::gate::session::{Holder, Session};
use crate::id::{SendId, SessionId, ShareId, UserId};
use crate::store::rules::{self, Cutoffs, Judged, Pending, Window};
use async_trait::async_trait;
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard};

/// The engine.
#[derive(Debug, Default)]
pub struct Memory(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    last: LastIds,
    users: BTreeMap<UserId, User>,
    tokens: HashMap<TokenDigest, Token>,
    sessions: HashMap<SessionKey, Record>,
    feed: Vec<(Revocation, Timestamp)>,
    challenges: HashMap<(SessionKey, Purpose), Pending>,
    sends: BTreeMap<SendId, Sent>,
    failures: HashMap<SubjectDigest, (Counter, Timestamp)>,
    shares: BTreeMap<ShareId, Share>,
    audit: Vec<(Timestamp, Event)>,
}

/// The last number given out of each kind.
#[derive(Debug, Default)]
struct LastIds {
    user: i64,
    session: i64,
    send: i64,
    share: i64,
    revocation: i64,
}

#[derive(Debug)]
struct Record {
    id: SessionId,
    new: NewSession,
    last_seen_at: Timestamp,
}

#[derive(Debug)]
struct Sent {
    user: UserId,
    recipient: RecipientDigest,
    prefix: String,
    at: Timestamp,
}

fn next(last: &mut i64) -> i64 {
    *last += 1;
    *last
}

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

impl State {
    fn user_named(&self, realm: &str, name: &str) -> Option<&User> {
        self.users
            .values()
            .find(|user| user.realm == realm && user.name == name)
    }

    fn insert_user(&mut self, new: NewUser, now: Timestamp) -> UserId {
        let id = UserId(next(&mut self.last.user));
        let user = User {
            id,
            realm: new.realm,
            name: new.name,
            phone: new.phone,
            email: new.email,
            password_hash: new.password_hash,
            can_edit_users: new.can_edit_users,
            created_at: now,
        };
        self.users.insert(id, user);
        id
    }

    /// Inserts a token or renews it. Sessions that another user had with it end.
    fn put_token(&mut self, token: Token) {
        let mut others: Vec<_> = self
            .sessions
            .values()
            .filter(|record| record.new.token == token.digest && record.new.user != token.user)
            .map(|record| record.id)
            .collect();
        others.sort_unstable();
        for id in others {
            self.end(Which::Session(id), token.issued_at);
        }
        self.tokens.insert(token.digest, token);
    }

    /// The token with its real end, if that lies ahead: a share's token ends with its share.
    fn live_token(&self, digest: TokenDigest, now: Timestamp) -> Option<(&Token, Timestamp)> {
        let token = self.tokens.get(&digest)?;
        let share = token.share.and_then(|share| self.shares.get(&share));
        let ends_at = [token.expires_at, share.and_then(|share| share.expires_at)]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or(Timestamp(i64::MAX));
        (ends_at > now).then_some((token, ends_at))
    }

    fn holder(&self, token: &Token) -> Option<Holder> {
        Some(Holder {
            user: token.user,
            name: self.users.get(&token.user)?.name.as_str().into(),
            scope: token.scope.as_deref().map(Into::into),
        })
    }

    /// The session, if it has not ended: it does not outlive its token.
    fn live_session(&self, record: &Record, now: Timestamp) -> Option<Session> {
        let (token, token_ends_at) = self.live_token(record.new.token, now)?;
        let expires_at = token_ends_at.min(record.new.expires_at);
        if token.user != record.new.user || expires_at <= now {
            return None;
        }
        Some(Session {
            id: record.id,
            holder: self.holder(token)?,
            factor: record.new.factor,
            verified_at: record.new.verified_at,
            expires_at,
            last_seen_at: record.last_seen_at,
        })
    }

    /// Makes the pair's session under a new number; an older one ends, and the feed says so.
    fn put_session(&mut self, new: NewSession, now: Timestamp) -> Stored<Session> {
        let mut record = Record {
            id: SessionId(self.last.session + 1),
            last_seen_at: new.verified_at,
            new,
        };
        let session = self
            .live_session(&record, now)
            .ok_or(StoreError::Damaged("session"))?;
        record.id = SessionId(next(&mut self.last.session));
        if let Some(old) = self.sessions.insert(record.new.key, record) {
            self.announce(Which::Session(old.id), now);
        }
        Ok(session)
    }

    fn announce(&mut self, which: Which, now: Timestamp) {
        let seq = next(&mut self.last.revocation);
        self.feed.push((Revocation { seq, which }, now));
    }

    /// Ends sessions, with a line in the feed; returns how many of them were live.
    fn end(&mut self, which: Which, now: Timestamp) -> u64 {
        let ends = |record: &Record| match which {
            Which::All => true,
            Which::User(user) => record.new.user == user,
            Which::Session(session) => record.id == session,
        };
        let ended = self
            .sessions
            .values()
            .filter(|record| ends(record) && self.live_session(record, now).is_some())
            .count();
        self.sessions.retain(|_, record| !ends(record));
        self.announce(which, now);
        ended as u64
    }

    /// When the `max`-th newest send that counts against the limit was made.
    fn full_since(
        &self,
        request: &SendRequest,
        window: &Window,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let counts = |sent: &&Sent| match window.limit {
            SendLimit::Resend | SendLimit::User => sent.user == request.user,
            SendLimit::Number => sent.recipient == request.recipient,
            SendLimit::Gateway => true,
            SendLimit::Prefix => sent.prefix == request.prefix,
        };
        let mut times: Vec<_> = self
            .sends
            .values()
            .filter(counts)
            .map(|sent| sent.at)
            .filter(|at| *at > window.since(now))
            .collect();
        times.sort_unstable_by_key(|at| Reverse(*at));
        times.get(window.max.checked_sub(1)? as usize).copied()
    }

    fn longest_block(&self, subjects: &[SubjectDigest], now: Timestamp) -> Option<Blocked> {
        subjects
            .iter()
            .filter_map(|subject| self.failures.get(subject))
            .fold(None, |longest, (counter, _)| {
                longer(longest, counter.blocked(now))
            })
    }

    fn add_failure(&mut self, (subject, policy): &(SubjectDigest, LockoutPolicy), now: Timestamp) {
        let (counter, touched_at) = self.failures.entry(*subject).or_default();
        *counter = counter.failed(policy, now);
        *touched_at = now;
    }

    fn attempt(&mut self, attempt: Attempt, now: Timestamp) -> Stored<Attempted> {
        let (user, address) = (&attempt.subjects.user, &attempt.subjects.address);
        if let Some(blocked) = self.longest_block(&[user.0, address.0], now) {
            return Ok(Attempted::Blocked(blocked));
        }
        let token = self.live_token(attempt.session.token, now);
        let token_is_live = token.is_some_and(|(token, _)| token.user == attempt.user);
        let slot = (attempt.pair, attempt.purpose);
        let challenge = self.challenges.get(&slot);
        match rules::judge(challenge, &attempt, token_is_live, now) {
            Judged::NeverSent => Ok(Attempted::NeverSent),
            Judged::Gone => Ok(Attempted::Gone),
            Judged::Wrong { left } => {
                if let Some(pending) = self.challenges.get_mut(&slot) {
                    pending.attempts_left = left;
                    pending.is_pending = left > 0;
                }
                self.add_failure(user, now);
                self.add_failure(address, now);
                Ok(Attempted::Wrong { left })
            }
            Judged::Right => {
                let session = self.put_session(attempt.session, now)?;
                if let Some(pending) = self.challenges.get_mut(&slot) {
                    pending.is_pending = false;
                }
                self.failures.remove(&attempt.subjects.user.0);
                Ok(Attempted::Verified(session))
            }
        }
    }

    fn rows(&self) -> usize {
        self.tokens.len()
            + self.sessions.len()
            + self.feed.len()
            + self.challenges.len()
            + self.sends.len()
            + self.failures.len()
            + self.audit.len()
    }

    fn purge(&mut self, now: Timestamp) -> u64 {
        let keep = Cutoffs::at(now);
        let before = self.rows();
        let (tokens, shares) = (&mut self.tokens, &self.shares);
        tokens.retain(|_, token| {
            let share = token.share.and_then(|share| shares.get(&share));
            let ends = [token.expires_at, share.and_then(|share| share.expires_at)];
            ends.into_iter().flatten().all(|at| at >= keep.tokens)
        });
        self.sessions.retain(|_, record| {
            record.new.expires_at > now && tokens.contains_key(&record.new.token)
        });
        self.challenges
            .retain(|_, pending| pending.expires_at >= keep.challenges);
        self.sends.retain(|_, sent| sent.at >= keep.sends);
        // The newest line stays, so that the head of the feed never goes back.
        let head = self.last.revocation;
        self.feed
            .retain(|(line, at)| *at >= keep.revocations || line.seq == head);
        self.failures
            .retain(|_, (counter, touched_at)| *touched_at >= keep.failures || counter.locked);
        self.audit.retain(|(at, _)| *at >= keep.audit);
        (before - self.rows()) as u64
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
        Ok(Some(state.insert_user(user, now)))
    }

    async fn user(&self, id: UserId) -> Stored<Option<User>> {
        Ok(self.lock()?.users.get(&id).cloned())
    }

    async fn user_by_name(&self, realm: &str, name: &str) -> Stored<Option<User>> {
        Ok(self.lock()?.user_named(realm, name).cloned())
    }

    async fn users(&self) -> Stored<Vec<User>> {
        Ok(self.lock()?.users.values().cloned().collect())
    }

    async fn learn_user(&self, learned: LearnedUser, now: Timestamp) -> Stored<UserId> {
        let mut state = self.lock()?;
        let id = state
            .user_named(&learned.realm, &learned.name)
            .map(|user| user.id);
        if let Some(user) = id.and_then(|id| state.users.get_mut(&id)) {
            user.phone = learned.phone.or(user.phone.take());
            user.email = learned.email.or(user.email.take());
            return Ok(user.id);
        }
        let new = NewUser {
            realm: learned.realm,
            name: learned.name,
            phone: learned.phone,
            email: learned.email,
            password_hash: None,
            can_edit_users: false,
        };
        Ok(state.insert_user(new, now))
    }
}

#[async_trait]
impl Tokens for Memory {
    async fn put_token(&self, token: Token) -> Stored<()> {
        let mut state = self.lock()?;
        if !state.users.contains_key(&token.user) {
            return Err(no_such("user"));
        }
        let share = token.share.map(|share| state.shares.get(&share));
        if share.is_some_and(|share| share.is_none_or(|share| share.user != token.user)) {
            return Err(no_such("share"));
        }
        state.put_token(token);
        Ok(())
    }

    async fn token(&self, digest: TokenDigest, now: Timestamp) -> Stored<Option<(Token, Holder)>> {
        let state = self.lock()?;
        Ok(state
            .live_token(digest, now)
            .and_then(|(token, _)| Some((token.clone(), state.holder(token)?))))
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

    async fn touch(&self, seen: &[(SessionId, Timestamp)]) -> Stored<()> {
        let seen: HashMap<SessionId, Timestamp> =
            seen.iter().fold(HashMap::new(), |mut latest, (id, at)| {
                let slot = latest.entry(*id).or_insert(*at);
                *slot = (*slot).max(*at);
                latest
            });
        for record in self.lock()?.sessions.values_mut() {
            if let Some(at) = seen.get(&record.id) {
                record.last_seen_at = record.last_seen_at.max(*at);
            }
        }
        Ok(())
    }

    async fn revoke(&self, which: Which, now: Timestamp) -> Stored<u64> {
        Ok(self.lock()?.end(which, now))
    }

    async fn sessions(&self, user: Option<UserId>, now: Timestamp) -> Stored<Vec<SessionRow>> {
        let state = self.lock()?;
        let mut rows: Vec<_> = state
            .sessions
            .values()
            .filter(|record| user.is_none_or(|user| record.new.user == user))
            .filter_map(|record| {
                Some(SessionRow {
                    session: state.live_session(record, now)?,
                    realm: state.users.get(&record.new.user)?.realm.clone(),
                    device_label: record.new.device_label.clone(),
                })
            })
            .collect();
        rows.sort_unstable_by_key(|row| Reverse(row.session.id));
        Ok(rows)
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
impl Challenges for Memory {
    async fn reserve_send(&self, request: SendRequest, now: Timestamp) -> Stored<Reserved> {
        let mut state = self.lock()?;
        let waits = rules::windows(&request).map(|window| {
            let full_since = state.full_since(&request, &window, now);
            (window.limit, window.wait_secs(full_since, now))
        });
        if let Some((limit, retry_after_secs)) = rules::longest_wait(waits) {
            return Ok(Reserved::No {
                limit,
                retry_after_secs,
            });
        }
        let id = SendId(next(&mut state.last.send));
        let sent = Sent {
            user: request.user,
            recipient: request.recipient,
            prefix: request.prefix,
            at: now,
        };
        state.sends.insert(id, sent);
        Ok(Reserved::Yes(id))
    }

    async fn release_send(&self, id: SendId) -> Stored<()> {
        self.lock()?.sends.remove(&id);
        Ok(())
    }

    async fn put_challenge(&self, challenge: NewChallenge) -> Stored<()> {
        let pending = Pending {
            user: challenge.user,
            code: challenge.code,
            is_pending: true,
            attempts_left: challenge.attempts,
            expires_at: challenge.expires_at,
        };
        let slot = (challenge.pair, challenge.purpose);
        self.lock()?.challenges.insert(slot, pending);
        Ok(())
    }

    async fn attempt(&self, attempt: Attempt, now: Timestamp) -> Stored<Attempted> {
        self.lock()?.attempt(attempt, now)
    }
}

#[async_trait]
impl Failures for Memory {
    async fn blocked(&self, subjects: &[SubjectDigest], now: Timestamp) -> Stored<Option<Blocked>> {
        Ok(self.lock()?.longest_block(subjects, now))
    }

    async fn failed(
        &self,
        subjects: &[(SubjectDigest, LockoutPolicy)],
        now: Timestamp,
    ) -> Stored<()> {
        let mut state = self.lock()?;
        for subject in subjects {
            state.add_failure(subject, now);
        }
        Ok(())
    }

    async fn succeeded(&self, subjects: &[SubjectDigest]) -> Stored<()> {
        let mut state = self.lock()?;
        for subject in subjects {
            state.failures.remove(subject);
        }
        Ok(())
    }
}

#[async_trait]
impl Shares for Memory {
    async fn create_share(&self, share: NewShare, now: Timestamp) -> Stored<(ShareId, UserId)> {
        let mut state = self.lock()?;
        let id = ShareId(next(&mut state.last.share));
        let recipient = NewUser {
            realm: share.realm.clone(),
            name: rules::share_user(id),
            phone: share.phone.clone(),
            email: share.email.clone(),
            password_hash: None,
            can_edit_users: false,
        };
        let user = state.insert_user(recipient, now);
        let token = Token {
            digest: share.token,
            user,
            issued_pair: None,
            scope: Some(share.path.clone()),
            share: Some(id),
            issued_at: now,
            expires_at: share.expires_at,
        };
        state.put_token(token);
        let share = Share {
            id,
            user,
            realm: share.realm,
            path: share.path,
            phone: share.phone,
            email: share.email,
            created_at: now,
            expires_at: share.expires_at,
        };
        state.shares.insert(id, share);
        Ok((id, user))
    }

    async fn shares(&self) -> Stored<Vec<Share>> {
        Ok(self.lock()?.shares.values().cloned().collect())
    }

    async fn revoke_share(&self, id: ShareId, now: Timestamp) -> Stored<bool> {
        let mut state = self.lock()?;
        let Some(share) = state.shares.remove(&id) else {
            return Ok(false);
        };
        state.end(Which::User(share.user), now);
        // Its recipient goes with it: nothing else would ever remove that phone number.
        state
            .challenges
            .retain(|_, challenge| challenge.user != share.user);
        state.tokens.retain(|_, token| token.user != share.user);
        state.users.remove(&share.user);
        Ok(true)
    }
}

#[async_trait]
impl AuditTrail for Memory {
    async fn append(&self, events: &[(Timestamp, Event)]) -> Stored<()> {
        self.lock()?.audit.extend_from_slice(events);
        Ok(())
    }

    async fn recent(&self, limit: u32) -> Stored<Vec<(Timestamp, Event)>> {
        let state = self.lock()?;
        let newest = state.audit.iter().rev().take(limit as usize);
        Ok(newest.cloned().collect())
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
        for challenge in state.challenges.values_mut() {
            if challenge.user == user {
                challenge.is_pending = false;
            }
        }
        state.failures.remove(&subject);
        state.end(Which::User(user), now);
        Ok(())
    }
}
