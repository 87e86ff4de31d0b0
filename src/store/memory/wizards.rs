//! Wizards and success tokens.

use super::Memory;
use super::state::{State, next};
use crate::auth::ports::{Advance, Deeds, Purpose, StoreError, Stored, Wizard, Wizards};
use crate::clock::Timestamp;
use crate::digest::{Binding, SubjectDigest, SuccessDigest, TokenDigest, WizardDigest};
use crate::gate::session::Holder;
use crate::id::UserId;
use crate::store::rules::{self, Challenge};
use async_trait::async_trait;

/// A wizard with what bounds it.
#[derive(Debug)]
pub(super) struct Opened {
    /// Rises with every wizard.
    number: i64,
    opener: SubjectDigest,
    pub(super) wizard: Wizard,
}

impl State {
    pub(super) fn is_open(&self, wizard: WizardDigest, now: Timestamp) -> bool {
        self.wizards
            .get(&wizard)
            .is_some_and(|opened| opened.wizard.expires_at > now)
    }

    /// Drops the oldest of these wizards, if there are too many.
    fn bound_wizards(&mut self, these: impl Fn(&Opened) -> bool, max: usize) {
        let mut spare: Vec<_> = self
            .wizards
            .values()
            .filter(|opened| these(opened))
            .map(|opened| (opened.number, opened.wizard.digest))
            .collect();
        let Some(excess) = spare.len().checked_sub(max).filter(|excess| *excess > 0) else {
            return;
        };
        spare.sort_unstable_by_key(|(number, _)| *number);
        for (_, digest) in spare.into_iter().take(excess) {
            self.wizards.remove(&digest);
            // Who opens them without a token must not fill memory with their codes either.
            let bound_to = Binding::from(digest);
            self.challenges.retain(|(other, _), _| *other != bound_to);
        }
    }

    /// Drops a user's oldest enrolment, if there is one too many.
    pub(super) fn bound_enrolments(&mut self, user: Option<UserId>) {
        let of_user = |one: &&Challenge| one.user == user && one.purpose == Purpose::Enrol;
        let enrolments = self.challenges.values().filter(of_user);
        if enrolments.clone().count() > rules::ENROLMENTS_OF_USER_MAX {
            let oldest = enrolments.map(|one| one.id).min();
            self.challenges.retain(|_, one| Some(one.id) != oldest);
        }
    }

    /// Spends a success token, if it is good.
    fn spend(
        &mut self,
        realm: &str,
        digest: SuccessDigest,
        token: Option<TokenDigest>,
        now: Timestamp,
    ) -> Option<Holder> {
        let success = self.success.get(&digest)?;
        let user = self.users.get(&success.user)?;
        if success.expires_at <= now || success.token != token || user.realm != realm {
            return None;
        }
        let holder = match token {
            None => Holder::limited(user.id, user.name.as_str(), None),
            Some(token) => {
                let (token, _) = self.live_token(token, now)?;
                self.holder(token).filter(|_| token.user == success.user)?
            }
        };
        self.success.remove(&digest);
        Some(holder)
    }
}

#[async_trait]
impl Wizards for Memory {
    async fn open_wizard(
        &self,
        wizard: Wizard,
        opener: SubjectDigest,
        _now: Timestamp,
    ) -> Stored<()> {
        let mut state = self.lock()?;
        state.must_exist(wizard.user)?;
        let opened = Opened {
            number: next(&mut state.last.wizard),
            opener,
            wizard,
        };
        let has_token = opened.wizard.token.is_some();
        state.wizards.insert(opened.wizard.digest, opened);
        let of_opener = |opened: &Opened| opened.opener == opener;
        state.bound_wizards(of_opener, rules::WIZARDS_OF_OPENER_MAX);
        if !has_token {
            let without_token = |opened: &Opened| opened.wizard.token.is_none();
            state.bound_wizards(without_token, rules::WIZARDS_MAX);
        }
        Ok(())
    }

    async fn wizard(&self, digest: WizardDigest, now: Timestamp) -> Stored<Option<Wizard>> {
        let state = self.lock()?;
        let opened = state.wizards.get(&digest);
        Ok(opened
            .filter(|opened| opened.wizard.expires_at > now)
            .map(|opened| opened.wizard.clone()))
    }

    async fn advance_wizard(&self, step: Advance, now: Timestamp) -> Stored<bool> {
        let mut state = self.lock()?;
        let stands_there = state.wizards.get(&step.digest).is_some_and(|opened| {
            opened.wizard.stage == step.from && opened.wizard.expires_at > now
        });
        if !stands_there {
            return Ok(false);
        }
        state.must_exist(step.user)?;
        if let Some(opened) = state.wizards.get_mut(&step.digest) {
            let wizard = &mut opened.wizard;
            wizard.stage = step.to;
            wizard.user = step.user.or(wizard.user);
            wizard.factor = step.factor.or(wizard.factor);
        }
        Ok(true)
    }

    async fn take_wizard(&self, digest: WizardDigest, now: Timestamp) -> Stored<Option<Wizard>> {
        let mut state = self.lock()?;
        if !state.is_open(digest, now) {
            return Ok(None);
        }
        let taken = state.wizards.remove(&digest);
        Ok(taken.map(|opened| opened.wizard))
    }

    async fn finish_wizard(
        &self,
        digest: WizardDigest,
        then: Deeds,
        now: Timestamp,
    ) -> Stored<bool> {
        if !rules::asks_no_code(&then) {
            return Err(StoreError::Damaged("end of a wizard"));
        }
        let mut state = self.lock()?;
        if !state.is_open(digest, now) {
            return Ok(false);
        }
        if let Some(issue) = &then.issue {
            state.check_token(&issue.access)?;
            state.put_token(issue.access.clone());
            state.issue(issue, None, now)?;
        }
        state.wizards.remove(&digest);
        Ok(true)
    }

    async fn spend_success(
        &self,
        realm: &str,
        digest: SuccessDigest,
        token: Option<TokenDigest>,
        now: Timestamp,
    ) -> Stored<Option<Holder>> {
        Ok(self.lock()?.spend(realm, digest, token, now))
    }
}
