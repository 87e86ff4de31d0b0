//! Passkeys, and the ceremonies that register and ask for them.

use super::Memory;
use super::state::{State, next};
use crate::auth::ports::{
    Answer, Answers, Ceremony, FactorKind, NewCeremony, NewPasskey, Passkey, Passkeys, Proof,
    Purpose, Stored, Try,
};
use crate::clock::Timestamp;
use crate::digest::{Binding, PasskeyDigest};
use crate::factor::passkey::OF_USER_MAX;
use crate::id::{CeremonyId, PasskeyId, UserId};
use crate::store::rules::{self, Verdict};
use async_trait::async_trait;

/// A passkey with whose it is.
#[derive(Debug)]
pub(super) struct KeptPasskey {
    user: UserId,
    digest: PasskeyDigest,
    passkey: Passkey,
}

impl State {
    pub(super) fn passkeys_of(&self, user: UserId) -> Vec<Passkey> {
        let kept = self.passkeys.values().filter(|kept| kept.user == user);
        kept.map(|kept| kept.passkey.clone()).collect()
    }

    pub(super) fn judge_passkey(
        &self,
        user: Option<UserId>,
        answers: Answers,
        proof: &Answer<Proof>,
        now: Timestamp,
    ) -> Verdict {
        let ceremony = self.ceremonies.get(&(answers.bound_to, Purpose::Verify));
        let kept = proof.as_ref().ok();
        let kept = kept.and_then(|proof| self.passkeys.get(&proof.passkey));
        let kept = kept.filter(|kept| Some(kept.user) == user);
        let last = kept.map(|kept| kept.passkey.sign_count);
        rules::judge_passkey(user, ceremony, (answers, proof), last, now)
    }

    pub(super) fn judge_new_passkey(
        &self,
        user: Option<UserId>,
        answers: Answers,
        new: &Answer<NewPasskey>,
        now: Timestamp,
    ) -> Verdict {
        let ceremony = self.ceremonies.get(&(answers.bound_to, Purpose::Enrol));
        let mut kept = self.passkeys.values();
        let of_user = kept.clone().filter(|kept| Some(kept.user) == user);
        let has_room = of_user.count() < OF_USER_MAX;
        let new_digest = new.as_ref().ok().map(|new| new.digest);
        let is_known = kept.any(|kept| Some(kept.digest) == new_digest);
        rules::judge_new_passkey(user, ceremony, (answers, new), (has_room, is_known), now)
    }

    /// Adds a passkey, with a line in the log.
    pub(super) fn add_passkey(&mut self, user: UserId, new: NewPasskey, now: Timestamp) {
        let id = PasskeyId(next(&mut self.last.passkey));
        let passkey = Passkey {
            id,
            host: new.host,
            name: new.name,
            credential: new.credential,
            sign_count: new.sign_count,
            created_at: now,
            last_used_at: None,
        };
        let digest = new.digest;
        let kept = KeptPasskey {
            user,
            digest,
            passkey,
        };
        self.passkeys.insert(id, kept);
        self.log_change(user, FactorKind::Passkey, true, now);
    }

    /// Notes that a passkey was used.
    pub(super) fn use_passkey(&mut self, proof: Proof, now: Timestamp) {
        if let Some(kept) = self.passkeys.get_mut(&proof.passkey) {
            kept.passkey.credential = proof.credential;
            kept.passkey.sign_count = proof.sign_count;
            kept.passkey.last_used_at = Some(now);
        }
    }

    pub(super) fn passkey_ids(&self, user: UserId) -> Vec<PasskeyId> {
        let kept = self.passkeys.iter().filter(|(_, kept)| kept.user == user);
        kept.map(|(id, _)| *id).collect()
    }

    /// Removes passkeys of a user, with a line in the log for each.
    pub(super) fn remove_passkeys(&mut self, user: UserId, ids: &[PasskeyId], now: Timestamp) {
        if !ids.is_empty() {
            // Which of them was used, nobody knows.
            self.forget_browsers_by(user, FactorKind::Passkey);
        }
        for id in ids {
            self.passkeys.remove(id);
            self.log_change(user, FactorKind::Passkey, false, now);
        }
    }

    /// Forgets a user's passkeys, without a word.
    pub(super) fn forget_passkeys(&mut self, user: UserId) {
        self.passkeys.retain(|_, kept| kept.user != user);
    }

    pub(super) fn forget_ceremonies(&mut self, user: UserId) {
        self.ceremonies.retain(|_, one| one.user != user);
    }

    /// Ends the ceremonies that were answered.
    pub(super) fn end_ceremonies(&mut self, tries: &[Try]) {
        for ended in tries.iter().filter_map(Try::ceremony) {
            self.ceremonies.retain(|_, one| one.id != ended);
        }
    }
}

#[async_trait]
impl Passkeys for Memory {
    async fn put_ceremony(&self, new: NewCeremony) -> Stored<CeremonyId> {
        let mut state = self.lock()?;
        state.must_exist(Some(new.user))?;
        let id = CeremonyId(next(&mut state.last.ceremony));
        let ceremony = rules::Ceremony {
            id,
            user: new.user,
            state: new.state,
            expires_at: new.expires_at,
        };
        let slot = (new.bound_to, new.purpose);
        state.ceremonies.insert(slot, ceremony);
        let of_user = state.ceremonies.values().filter(|one| one.user == new.user);
        if of_user.clone().count() > rules::CEREMONIES_OF_USER_MAX {
            let oldest = of_user.map(|one| one.id).min();
            state.ceremonies.retain(|_, one| Some(one.id) != oldest);
        }
        Ok(id)
    }

    async fn ceremony(
        &self,
        bound_to: Binding,
        purpose: Purpose,
        now: Timestamp,
    ) -> Stored<Option<Ceremony>> {
        let state = self.lock()?;
        let ceremony = state.ceremonies.get(&(bound_to, purpose));
        let open = ceremony.filter(|ceremony| ceremony.is_open(now));
        Ok(open.cloned().map(rules::Ceremony::into_pending))
    }

    async fn rename_passkey(&self, user: UserId, id: PasskeyId, name: &str) -> Stored<bool> {
        let mut state = self.lock()?;
        let kept = state.passkeys.get_mut(&id);
        let Some(kept) = kept.filter(|kept| kept.user == user) else {
            return Ok(false);
        };
        name.clone_into(&mut kept.passkey.name);
        Ok(true)
    }
}
