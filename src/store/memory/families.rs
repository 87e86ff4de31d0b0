//! Families of tokens, and what they stand for.

use super::Memory;
use super::state::{Record, State, next};
use crate::auth::ports::{
    Born, Families, Family, Issue, NewSession, Originals, Refreshed, Rotation, Stored, Token, Which,
};
use crate::clock::Timestamp;
use crate::digest::{RefreshDigest, TokenDigest};
use crate::gate::session::{Factor, Session};
use crate::id::{ShareId, UserId};
use crate::secret::{Sealed, Secret};
use async_trait::async_trait;
use std::collections::{BTreeMap, HashMap};

#[derive(Debug, Default)]
pub(super) struct Kept {
    last: i64,
    families: BTreeMap<i64, KeptFamily>,
    refresh: HashMap<RefreshDigest, Refresh>,
    of_token: HashMap<TokenDigest, i64>,
}

#[derive(Clone, Debug)]
struct KeptFamily {
    user: UserId,
    device_label: Option<String>,
    scope: Option<String>,
    share: Option<ShareId>,
    born: Option<Born>,
    proof: Option<Proof>,
    ends_at: Timestamp,
}

/// How and when the device of a family was verified last.
type Proof = (Factor, Timestamp);

#[derive(Clone, Copy, Debug)]
struct Refresh {
    family: i64,
    is_spent: bool,
    issued_at: Timestamp,
    expires_at: Timestamp,
}

impl State {
    /// Begins a family with an access token that is stored already. `verified`: the session that its
    /// sessions are renewed from.
    pub(super) fn issue(
        &mut self,
        issue: &Issue,
        verified: Option<&Session>,
        now: Timestamp,
    ) -> Stored<()> {
        let id = next(&mut self.kept.last);
        let family = KeptFamily {
            user: issue.access.user,
            device_label: issue.device_label.clone(),
            scope: issue.access.scope.clone(),
            share: issue.access.share,
            born: issue.access.born.clone(),
            proof: verified.map(|session| (session.factor, session.verified_at)),
            ends_at: issue.family_ends_at,
        };
        self.kept.families.insert(id, family);
        self.kept.of_token.insert(issue.access.digest, id);
        let refresh = Refresh {
            family: id,
            is_spent: false,
            issued_at: now,
            expires_at: issue.refresh_expires_at,
        };
        self.kept.refresh.insert(issue.refresh, refresh);
        Ok(())
    }

    /// When a token ends for what it stands for or belongs to: its root, if that is still its user's,
    /// and its family.
    pub(super) fn end_of_kin(&self, token: &Token) -> Timestamp {
        const NEVER: Timestamp = Timestamp(i64::MAX);
        let root_ends = token.born.as_ref().map_or(NEVER, |born| {
            let root = self.tokens.get(&born.of);
            let root = root.filter(|root| root.user == token.user);
            root.map_or(Timestamp(0), |root| root.expires_at.unwrap_or(NEVER))
        });
        let family = self.kept.of_token.get(&token.digest);
        let family_ends = family.map_or(NEVER, |family| {
            let family = self.kept.families.get(family);
            family.map_or(Timestamp(0), |family| family.ends_at)
        });
        root_ends.min(family_ends)
    }

    /// Whether a token stands for another one, or another one for it.
    pub(super) fn is_kin(&self, token: &Token) -> bool {
        let mut all = self.tokens.values().filter_map(|it| it.born.as_ref());
        token.born.is_some() || all.any(|born| born.of == token.digest)
    }

    /// A token that is stored anew is a plain one until it is issued.
    pub(super) fn leave_family(&mut self, token: TokenDigest) {
        self.kept.of_token.remove(&token);
    }

    /// A token as the port gives it out: what it stands for is not opened.
    pub(super) fn unopened(token: &Token) -> Token {
        let mut token = token.clone();
        if let Some(born) = &mut token.born {
            born.original = Secret::default();
        }
        token
    }

    /// A handle to what a token stands for: that stays in here.
    pub(super) fn sealed_original(token: &Token) -> Option<Sealed> {
        let born = token.born.as_ref();
        born.map(|_| Sealed(Box::from(token.digest.0)))
    }

    /// A session was made: what comes after its token begins verified like it.
    pub(super) fn keep_proof(&mut self, new: &NewSession, factor: Factor) {
        let family = self.kept.of_token.get(&new.token);
        let family = family.and_then(|family| self.kept.families.get_mut(family));
        if let Some(family) = family.filter(|family| family.device_label == new.device_label) {
            family.proof = Some((factor, new.verified_at));
        }
    }

    /// Sessions end: no refresh token brings them back.
    pub(super) fn drop_proofs(&mut self, which: Which) {
        let of_session = match which {
            Which::Session(session) | Which::UserBut(_, session) => {
                let mut records = self.sessions.values();
                let record = records.find(|record| record.id == session);
                record.and_then(|record| self.kept.of_token.get(&record.new.token).copied())
            }
            Which::All | Which::User(_) => None,
        };
        for (id, family) in &mut self.kept.families {
            let ends = match which {
                Which::All => true,
                Which::User(user) => family.user == user,
                Which::Session(_) => Some(*id) == of_session,
                Which::UserBut(user, _) => family.user == user && Some(*id) != of_session,
            };
            if ends {
                family.proof = None;
            }
        }
    }

    /// Ends a token with its family, and what was born of it.
    pub(super) fn end_with_kin(&mut self, token: TokenDigest, now: Timestamp) {
        self.end_born(token, None, now);
        match self.kept.of_token.get(&token) {
            Some(family) => self.end_family(*family, now),
            None => self.end_token(token, now),
        }
    }

    /// Ends what was born of a token, for anybody but `spared` (its user now, if it has one).
    pub(super) fn end_born(&mut self, root: TokenDigest, spared: Option<UserId>, now: Timestamp) {
        let is_born = |born: Option<&Born>, of: UserId| {
            Some(of) != spared && born.is_some_and(|born| born.of == root)
        };
        let families = self.kept.families.iter();
        let families: Vec<_> = families
            .filter(|(_, family)| is_born(family.born.as_ref(), family.user))
            .map(|(id, _)| *id)
            .collect();
        for family in families {
            self.end_family(family, now);
        }
        let tokens = self.tokens.values();
        let tokens: Vec<_> = tokens
            .filter(|token| is_born(token.born.as_ref(), token.user))
            .map(|token| token.digest)
            .collect();
        for token in tokens {
            self.end_token(token, now);
        }
    }

    /// Ends the families of a user who goes.
    pub(super) fn end_families_of(&mut self, user: UserId, now: Timestamp) {
        let families = self.kept.families.iter();
        let families: Vec<_> = families
            .filter(|(_, family)| family.user == user)
            .map(|(id, _)| *id)
            .collect();
        for family in families {
            self.end_family(family, now);
        }
    }

    fn end_family(&mut self, family: i64, now: Timestamp) {
        let tokens = self.kept.of_token.iter();
        let tokens: Vec<_> = tokens
            .filter(|(_, of)| **of == family)
            .map(|(token, _)| *token)
            .collect();
        for token in tokens {
            self.end_token(token, now);
        }
        self.kept.refresh.retain(|_, it| it.family != family);
        self.kept.families.remove(&family);
    }

    /// Deletes a token with its sessions.
    fn end_token(&mut self, token: TokenDigest, now: Timestamp) {
        let sessions = self.sessions.values();
        let mut sessions: Vec<_> = sessions
            .filter(|record| record.new.token == token)
            .map(|record| record.id)
            .collect();
        sessions.sort_unstable();
        for session in sessions {
            self.end(Which::Session(session), now);
        }
        self.tokens.remove(&token);
        self.kept.of_token.remove(&token);
    }

    fn live_family(
        &self,
        refresh: RefreshDigest,
        now: Timestamp,
    ) -> Option<(Refresh, &KeptFamily)> {
        let refresh = *self.kept.refresh.get(&refresh)?;
        let family = self.kept.families.get(&refresh.family)?;
        let is_good = refresh.is_spent || now < refresh.expires_at;
        (is_good && now < family.ends_at).then_some((refresh, family))
    }

    fn family(&self, refresh: RefreshDigest, now: Timestamp) -> Option<Family> {
        let (_, family) = self.live_family(refresh, now)?;
        let user = self.users.get(&family.user)?;
        Some(Family {
            user: family.user,
            realm: user.realm.clone(),
            name: user.name.clone(),
            device_label: family.device_label.clone(),
            verified_at: family.proof.map(|(_, verified_at)| verified_at),
            ends_at: family.ends_at,
        })
    }

    fn rotate(&mut self, rotation: &Rotation, now: Timestamp) -> Stored<Refreshed> {
        let Some((refresh, family)) = self.live_family(rotation.old, now) else {
            return Ok(Refreshed::Unknown);
        };
        let family = family.clone();
        if refresh.is_spent {
            self.end_family(refresh.family, now);
            return Ok(Refreshed::Reused);
        }
        let token = Token {
            digest: rotation.access,
            user: family.user,
            issued_pair: Some(rotation.pair),
            scope: family.scope.clone(),
            share: family.share,
            born: family.born.clone(),
            issued_at: now,
            expires_at: Some(rotation.access_expires_at),
        };
        if self.end_of(&token) <= now {
            return Ok(Refreshed::Unknown);
        }
        let used = self.family_used(&refresh);
        self.put_token(token);
        self.kept.of_token.insert(rotation.access, refresh.family);
        let spent = Refresh {
            is_spent: true,
            ..refresh
        };
        let fresh = Refresh {
            issued_at: now,
            expires_at: rotation.refresh_expires_at,
            ..refresh
        };
        self.kept.refresh.insert(rotation.old, spent);
        self.kept.refresh.insert(rotation.refresh, fresh);
        let session = self.renew_session(rotation, &family, used, now)?;
        Ok(Refreshed::Yes(session))
    }

    /// When anything of the family was used last, and the longest pause before that: a refresh alone
    /// keeps no idle session alive.
    fn family_used(&self, refresh: &Refresh) -> (Timestamp, u32) {
        let is_of_family =
            |record: &&Record| self.kept.of_token.get(&record.new.token) == Some(&refresh.family);
        let of_family = || self.sessions.values().filter(is_of_family);
        let seen = of_family().map(|record| record.last_seen_at).max();
        let longest = of_family().map(|record| record.longest_pause_secs).max();
        (seen.unwrap_or(refresh.issued_at), longest.unwrap_or(0))
    }

    fn renew_session(
        &mut self,
        rotation: &Rotation,
        family: &KeptFamily,
        (seen_at, longest_pause_secs): (Timestamp, u32),
        now: Timestamp,
    ) -> Stored<Option<Session>> {
        let Some((factor, verified_at)) = family.proof else {
            return Ok(None);
        };
        let new = NewSession {
            key: rotation.pair,
            token: rotation.access,
            user: family.user,
            device_label: family.device_label.clone(),
            whence: rotation.whence.clone(),
            instead_of: None,
            verified_at,
            expires_at: family.ends_at,
        };
        let mut session = self.put_session(new, factor, now)?;
        if let Some(record) = self.sessions.get_mut(&rotation.pair) {
            record.last_seen_at = seen_at;
            record.longest_pause_secs = longest_pause_secs;
        }
        session.last_seen_at = seen_at;
        session.longest_pause_secs = longest_pause_secs;
        Ok(Some(session))
    }

    pub(super) fn kept_rows(&self) -> usize {
        self.kept.families.len() + self.kept.refresh.len()
    }

    /// Removes what ended before `before`. Tokens whose family is gone go with it.
    pub(super) fn purge_families(&mut self, before: Timestamp) {
        let (tokens, kept) = (&mut self.tokens, &mut self.kept);
        kept.families.retain(|_, family| family.ends_at >= before);
        let families = &kept.families;
        kept.refresh
            .retain(|_, it| it.expires_at >= before && families.contains_key(&it.family));
        tokens.retain(|digest, _| {
            let family = kept.of_token.get(digest);
            family.is_none_or(|family| families.contains_key(family))
        });
        let roots: std::collections::HashSet<_> = tokens.keys().copied().collect();
        tokens.retain(|_, token| {
            let born = token.born.as_ref();
            born.is_none_or(|born| roots.contains(&born.of))
        });
        kept.of_token
            .retain(|digest, _| tokens.contains_key(digest));
    }
}

#[async_trait]
impl Families for Memory {
    async fn family(&self, refresh: RefreshDigest, now: Timestamp) -> Stored<Option<Family>> {
        Ok(self.lock()?.family(refresh, now))
    }

    async fn rotate(&self, rotation: Rotation, now: Timestamp) -> Stored<Refreshed> {
        self.lock()?.rotate(&rotation, now)
    }
}

impl Originals for Memory {
    fn original(&self, digest: TokenDigest, sealed: &Sealed) -> Option<Secret> {
        if *sealed.0 != digest.0 {
            return None;
        }
        let state = self.lock().ok()?;
        let born = state.tokens.get(&digest)?.born.as_ref()?;
        Some(born.original.clone())
    }
}
