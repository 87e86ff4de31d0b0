//! The maps and the steps on them. Not thread-safe by itself: the engine's lock is around it.

use super::browsers::KeptBrowser;
use super::failures::KeptCounter;
use super::families::Kept;
use super::grants::Waiting;
use super::no_such;
use super::passkeys::KeptPasskey;
use super::shares::KeptShare;
use super::wizards::Opened;
use crate::auth::ports::{
    AuditLine, BackupCodes, Change, FactorKind, NewSession, NewSuccess, NewUser, Purpose,
    Revocation, Said, SendLimit, SendRequest, SigningKey, StoreError, Stored, Token, User, Which,
};
use crate::clock::Timestamp;
use crate::digest::{
    Binding, GrantDigest, RecipientDigest, SessionKey, SubjectDigest, SuccessDigest, TokenDigest,
    WizardDigest,
};
use crate::gate::session::{Factor, Holder, Session, Terms};
use crate::id::{BrowserId, PasskeyId, SendId, SessionId, ShareId, UserId};
use crate::store::rules::{self, Ceremony, Challenge, Cutoffs, FactorRow, Window};
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) last: LastIds,
    pub(super) users: BTreeMap<UserId, User>,
    pub(super) tokens: HashMap<TokenDigest, Token>,
    pub(super) sessions: HashMap<SessionKey, Record>,
    pub(super) feed: Vec<(Revocation, Timestamp)>,
    pub(super) challenges: HashMap<(Binding, Purpose), Challenge>,
    pub(super) factors: BTreeMap<(UserId, FactorKind), KeptFactor>,
    pub(super) passkeys: BTreeMap<PasskeyId, KeptPasskey>,
    pub(super) ceremonies: HashMap<(Binding, Purpose), Ceremony>,
    pub(super) browsers: BTreeMap<BrowserId, KeptBrowser>,
    pub(super) backup: BTreeMap<UserId, BackupCodes>,
    /// Oldest first.
    pub(super) changes: Vec<(UserId, Change)>,
    pub(super) wizards: HashMap<WizardDigest, Opened>,
    pub(super) grants: HashMap<GrantDigest, Waiting>,
    pub(super) success: HashMap<SuccessDigest, NewSuccess>,
    pub(super) sends: BTreeMap<SendId, Sent>,
    /// In the order in which lists of them are handed out.
    pub(super) failures: BTreeMap<SubjectDigest, KeptCounter>,
    pub(super) shares: BTreeMap<ShareId, KeptShare>,
    /// Oldest first.
    pub(super) audit: Vec<AuditLine>,
    pub(super) kept: Kept,
    /// Oldest first.
    pub(super) signing_keys: Vec<SigningKey>,
}

/// The last number given out of each kind.
#[derive(Debug, Default)]
pub(super) struct LastIds {
    pub(super) user: i64,
    pub(super) session: i64,
    pub(super) send: i64,
    pub(super) share: i64,
    pub(super) revocation: i64,
    pub(super) challenge: i64,
    pub(super) factor: i64,
    pub(super) change: i64,
    pub(super) wizard: i64,
    pub(super) passkey: i64,
    pub(super) ceremony: i64,
    pub(super) audit: i64,
    pub(super) browser: i64,
}

#[derive(Debug)]
pub(super) struct KeptFactor {
    pub(super) row: FactorRow,
    /// The time step of an authenticator's last right code.
    pub(super) last_step: Option<i64>,
}

#[derive(Debug)]
pub(super) struct Record {
    pub(super) id: SessionId,
    pub(super) new: NewSession,
    pub(super) factor: Factor,
    pub(super) last_seen_at: Timestamp,
    pub(super) longest_pause_secs: u32,
}

#[derive(Debug)]
pub(super) struct Sent {
    pub(super) user: UserId,
    pub(super) recipient: RecipientDigest,
    pub(super) prefix: String,
    pub(super) at: Timestamp,
}

/// The next number of a kind.
pub(super) fn next(last: &mut i64) -> i64 {
    *last += 1;
    *last
}

impl State {
    pub(super) fn user_named(&self, realm: &str, name: &str) -> Option<&User> {
        self.users
            .values()
            .find(|user| user.realm == realm && user.name == name)
    }

    pub(super) fn insert_user(&mut self, new: NewUser, said: Said, now: Timestamp) -> UserId {
        let id = UserId(next(&mut self.last.user));
        let user = User {
            id,
            realm: new.realm,
            name: new.name,
            phone: new.phone,
            email: new.email,
            password_hash: new.password_hash,
            can_edit_users: new.can_edit_users,
            groups: rules::in_order(new.groups),
            said,
            created_at: now,
        };
        self.users.insert(id, user);
        id
    }

    /// Puts a user into these groups and no others. If that is news, the feed has everybody look at this
    /// user's sessions anew: they go on.
    pub(super) fn put_groups(&mut self, id: UserId, groups: Vec<String>, now: Timestamp) {
        let groups = rules::in_order(groups);
        let Some(user) = self.users.get_mut(&id) else {
            return;
        };
        if user.groups != groups {
            user.groups = groups;
            self.announce(Which::User(id), now);
        }
    }

    /// An error if there is no such user.
    pub(super) fn must_exist(&self, user: Option<UserId>) -> Stored<()> {
        match user {
            Some(user) if !self.users.contains_key(&user) => Err(no_such("user")),
            _ => Ok(()),
        }
    }

    /// An error if a token has no such user, or its share is another's.
    pub(super) fn check_token(&self, token: &Token) -> Stored<()> {
        self.must_exist(Some(token.user))?;
        let share = token.share.map(|share| self.shares.get(&share));
        let is_of = |share: &KeptShare| share.users.contains(&token.user);
        if share.is_some_and(|share| !share.is_some_and(is_of)) {
            return Err(no_such("share"));
        }
        Ok(())
    }

    /// Inserts a token or renews it. Sessions that another user had with it end.
    pub(super) fn put_token(&mut self, token: Token) {
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
        self.end_born(token.digest, Some(token.user), token.issued_at);
        if let Some(share) = token.share {
            self.make_room(share);
        }
        self.leave_family(token.digest);
        self.tokens.insert(token.digest, token);
    }

    /// Deletes the oldest tokens issued from a share that opened nothing yet, if there are too many.
    /// What was counted as a device stays.
    fn make_room(&mut self, share: ShareId) {
        let opened: HashSet<_> = self.sessions.values().map(|held| held.new.token).collect();
        let is_spare = |token: &&Token| {
            let of_share = token.share == Some(share) && token.issued_pair.is_some();
            of_share
                && !self.is_kin(token)
                && !opened.contains(&token.digest)
                && !self.is_counted(share, token.digest)
        };
        let mut spare: Vec<_> = self
            .tokens
            .values()
            .filter(is_spare)
            .map(|token| (Reverse(token.issued_at), token.digest))
            .collect();
        spare.sort_unstable_by_key(|(issued_at, _)| *issued_at);
        for (_, digest) in spare.into_iter().skip(rules::SHARE_TOKENS_MAX - 1) {
            self.tokens.remove(&digest);
        }
    }

    /// The token with its real end, if that lies ahead: a share's token ends with its share.
    pub(super) fn live_token(
        &self,
        digest: TokenDigest,
        now: Timestamp,
    ) -> Option<(&Token, Timestamp)> {
        let token = self.tokens.get(&digest)?;
        let ends_at = self.end_of(token);
        (ends_at > now).then_some((token, ends_at))
    }

    pub(super) fn end_of(&self, token: &Token) -> Timestamp {
        let share = token.share.and_then(|share| self.shares.get(&share));
        [
            token.expires_at,
            share.and_then(|share| share.new.expires_at),
        ]
        .into_iter()
        .flatten()
        .min()
        .unwrap_or(Timestamp(i64::MAX))
        .min(self.end_of_kin(token))
    }

    pub(super) fn holder(&self, token: &Token) -> Option<Holder> {
        let holder = self.verified_holder(token)?;
        Some(match self.is_uncounted(token) {
            true => holder.uncounted(),
            false => holder,
        })
    }

    /// The holder as a session has it, which has counted its device.
    fn verified_holder(&self, token: &Token) -> Option<Holder> {
        let user = self.users.get(&token.user)?;
        let original = Self::sealed_original(token);
        Some(Holder {
            user: token.user,
            name: user.name.as_str().into(),
            terms: Terms::of(token.scope.as_deref(), original, user.groups.clone()),
        })
    }

    /// The session, if it has not ended: it does not outlive its token.
    pub(super) fn live_session(&self, record: &Record, now: Timestamp) -> Option<Session> {
        let (token, token_ends_at) = self.live_token(record.new.token, now)?;
        let expires_at = token_ends_at.min(record.new.expires_at);
        if token.user != record.new.user || expires_at <= now {
            return None;
        }
        Some(Session {
            id: record.id,
            holder: self.verified_holder(token)?,
            factor: record.factor,
            verified_at: record.new.verified_at,
            expires_at,
            last_seen_at: record.last_seen_at,
            longest_pause_secs: record.longest_pause_secs,
        })
    }

    /// Makes the pair's session under a new number; an older one ends, and the feed says so.
    pub(super) fn put_session(
        &mut self,
        new: NewSession,
        factor: Factor,
        now: Timestamp,
    ) -> Stored<Session> {
        let mut record = Record {
            id: SessionId(self.last.session + 1),
            factor,
            last_seen_at: new.verified_at,
            longest_pause_secs: 0,
            new,
        };
        let session = self
            .live_session(&record, now)
            .ok_or(StoreError::Damaged("session"))?;
        record.id = SessionId(next(&mut self.last.session));
        self.keep_proof(&record.new, factor);
        let (token, instead_of) = (record.new.token, record.new.instead_of);
        let mut old: Vec<_> = self
            .sessions
            .insert(record.new.key, record)
            .into_iter()
            .collect();
        let replaced = instead_of.filter(|key| {
            let held = self.sessions.get(key);
            held.is_some_and(|held| held.new.token == token && held.id != session.id)
        });
        old.extend(replaced.and_then(|key| self.sessions.remove(&key)));
        old.sort_unstable_by_key(|old| old.id);
        for old in old {
            self.announce(Which::Session(old.id), now);
        }
        Ok(session)
    }

    pub(super) fn announce(&mut self, which: Which, now: Timestamp) {
        let seq = next(&mut self.last.revocation);
        self.feed.push((Revocation { seq, which }, now));
    }

    /// Ends sessions, with a line in the feed; returns how many of them were live.
    pub(super) fn end(&mut self, which: Which, now: Timestamp) -> u64 {
        let ends = |record: &Record| which.concerns(record.id, record.new.user);
        let ended = self
            .sessions
            .values()
            .filter(|record| ends(record) && self.live_session(record, now).is_some())
            .count();
        self.drop_proofs(which);
        self.sessions.retain(|_, record| !ends(record));
        self.announce(which, now);
        ended as u64
    }

    /// When the `max`-th newest send that counts against the limit was made.
    pub(super) fn full_since(
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

    pub(super) fn rows(&self) -> usize {
        self.tokens.len()
            + self.sessions.len()
            + self.feed.len()
            + self.challenges.len()
            + self.wizards.len()
            + self.ceremonies.len()
            + self.browsers.len()
            + self.grants.len()
            + self.success.len()
            + self.sends.len()
            + self.failures.len()
            + self.audit.len()
            + self.signing_keys.len()
            + self.kept_rows()
    }

    pub(super) fn purge(&mut self, now: Timestamp) -> u64 {
        let keep = Cutoffs::at(now);
        let before = self.rows();
        let (tokens, shares) = (&mut self.tokens, &self.shares);
        tokens.retain(|_, token| {
            let share = token.share.and_then(|share| shares.get(&share));
            let ends = [
                token.expires_at,
                share.and_then(|share| share.new.expires_at),
            ];
            ends.into_iter().flatten().all(|at| at >= keep.tokens)
        });
        self.purge_families(keep.tokens);
        let tokens = &self.tokens;
        self.signing_keys
            .retain(|key| key.ends_at.is_none_or(|end| end >= keep.tokens));
        self.sessions.retain(|_, record| {
            record.new.expires_at > now && tokens.contains_key(&record.new.token)
        });
        self.challenges
            .retain(|_, pending| pending.expires_at >= keep.challenges);
        self.wizards
            .retain(|_, opened| opened.wizard.expires_at > now);
        self.ceremonies.retain(|_, one| one.is_open(now));
        self.purge_browsers(now);
        self.grants
            .retain(|_, waiting| waiting.grant.expires_at > now);
        self.success.retain(|_, success| success.expires_at > now);
        self.sends.retain(|_, sent| sent.at >= keep.sends);
        // The newest line stays, so that the head of the feed never goes back.
        let head = self.last.revocation;
        self.feed
            .retain(|(line, at)| *at >= keep.revocations || line.seq == head);
        self.failures
            .retain(|_, kept| kept.touched_at >= keep.failures || kept.counter.locked);
        self.audit.retain(|line| line.at >= keep.audit);
        (before - self.rows()) as u64
    }
}
