//! The second factors of users, and the log of their changes.

use super::Memory;
use super::state::{KeptFactor, State, next};
use crate::auth::ports::{
    BackupCodes, Change, ChangePage, ChangeQuery, Disable, Enrolled, FactorKind, FactorSet,
    FactorValue, Factors, Purpose, Stored, Which,
};
use crate::clock::Timestamp;
use crate::id::{ChangeId, FactorId, UserId};
use crate::store::rules::{self, FactorRow};
use async_trait::async_trait;

impl State {
    pub(super) fn enrolled(&self, user: UserId) -> Vec<Enrolled> {
        let rows = FactorKind::ALL
            .iter()
            .filter_map(|kind| self.factors.get(&(user, *kind)))
            .map(|kept| kept.row.clone())
            .collect();
        let profile = self.users.get(&user);
        rules::enrolled(
            rows,
            profile.and_then(|user| user.phone.clone()),
            profile.and_then(|user| user.email.clone()),
        )
    }

    pub(super) fn backup_codes_left(&self, user: UserId) -> u32 {
        let codes = self.backup.get(&user).map_or(0, |set| set.codes.len());
        u32::try_from(codes).unwrap_or(u32::MAX)
    }

    /// Turns a kind on, or off for good: `value` is what it stands on from now on.
    pub(super) fn set_factor(
        &mut self,
        user: UserId,
        kind: FactorKind,
        value: Option<FactorValue>,
        last_step: Option<i64>,
        now: Timestamp,
    ) {
        self.log_change(user, kind, value.is_some(), now);
        let id = FactorId(next(&mut self.last.factor));
        let row = FactorRow { id, kind, value };
        self.factors
            .insert((user, kind), KeptFactor { row, last_step });
        self.forget_browsers_by(user, kind);
        // Codes on their way to what the kind stood on are good for nothing any more.
        for challenge in self.challenges.values_mut() {
            let is_of_kind = challenge.user == Some(user) && challenge.factor == kind;
            if is_of_kind && challenge.purpose != Purpose::Enrol {
                challenge.is_pending = false;
            }
        }
    }

    /// Turns factors off; returns whether any was on.
    pub(super) fn turn_off(&mut self, user: UserId, which: Disable, now: Timestamp) -> bool {
        let factors = self.enrolled(user);
        let off = rules::turned_off(which, &factors, &self.passkey_ids(user));
        for kind in &off.kinds {
            self.set_factor(user, *kind, None, None, now);
        }
        self.remove_passkeys(user, &off.passkeys, now);
        if off.backup_codes {
            self.backup.remove(&user);
        }
        off.has_any()
    }

    pub(super) fn log_change(
        &mut self,
        user: UserId,
        kind: FactorKind,
        is_enabled: bool,
        at: Timestamp,
    ) {
        let change = Change {
            id: ChangeId(next(&mut self.last.change)),
            kind,
            is_enabled,
            at,
        };
        self.changes.push((user, change));
    }

    /// Forgets what the user enrolled and turned off, with lines for what that turns on or off.
    pub(super) fn reset_factors(&mut self, user: UserId, now: Timestamp) {
        let before = self.enrolled(user);
        self.factors.retain(|(owner, _), _| *owner != user);
        for (kind, is_on) in rules::changed_kinds(&before, &self.enrolled(user)) {
            self.log_change(user, kind, is_on, now);
        }
        self.remove_passkeys(user, &self.passkey_ids(user), now);
        self.backup.remove(&user);
        for challenge in self.challenges.values_mut() {
            challenge.is_pending &= challenge.user != Some(user);
        }
        self.forget_steps(user);
    }

    /// Removes everything about the second factor of a user who is removed.
    pub(super) fn forget_user(&mut self, user: UserId) {
        self.factors.retain(|(owner, _), _| *owner != user);
        self.forget_passkeys(user);
        self.backup.remove(&user);
        self.changes.retain(|(owner, _)| *owner != user);
        self.challenges
            .retain(|_, challenge| challenge.user != Some(user));
        self.forget_steps(user);
    }

    fn forget_steps(&mut self, user: UserId) {
        self.forget_ceremonies(user);
        self.forget_browsers(user);
        self.wizards
            .retain(|_, opened| opened.wizard.user != Some(user));
        self.success.retain(|_, success| success.user != user);
        self.grants.retain(|_, waiting| waiting.grant.user != user);
    }
}

fn matches(query: &ChangeQuery, change: &Change) -> bool {
    query.kinds.contains(&change.kind)
        && query.is_enabled.is_none_or(|on| on == change.is_enabled)
        && query.from.is_none_or(|from| from <= change.at)
        && query.to.is_none_or(|to| change.at <= to)
}

/// Whether this has ended a user's sessions. But for one: whose codes are made is not known here.
fn is_over(which: Which, user: UserId) -> bool {
    match which {
        Which::All => true,
        Which::User(one) | Which::UserBut(one, _) => one == user,
        Which::Session(_) => false,
    }
}

#[async_trait]
impl Factors for Memory {
    async fn factors(&self, user: UserId) -> Stored<FactorSet> {
        let state = self.lock()?;
        Ok(FactorSet {
            enrolled: state.enrolled(user),
            passkeys: state.passkeys_of(user),
            backup_codes_left: state.backup_codes_left(user),
        })
    }

    async fn disable(&self, user: UserId, which: Disable, now: Timestamp) -> Stored<bool> {
        Ok(self.lock()?.turn_off(user, which, now))
    }

    async fn put_backup_codes(
        &self,
        user: UserId,
        codes: BackupCodes,
        since: i64,
        _now: Timestamp,
    ) -> Stored<bool> {
        let mut state = self.lock()?;
        state.must_exist(Some(user))?;
        let mut later = state.feed.iter().filter(|(line, _)| line.seq > since);
        if later.any(|(line, _)| is_over(line.which, user)) {
            return Ok(false);
        }
        state.backup.insert(user, codes);
        Ok(true)
    }

    async fn backup_salt(&self, user: UserId) -> Stored<Option<[u8; 16]>> {
        Ok(self.lock()?.backup.get(&user).map(|set| set.salt))
    }

    async fn changes(&self, user: UserId, query: ChangeQuery) -> Stored<ChangePage> {
        let state = self.lock()?;
        let mut found: Vec<_> = state
            .changes
            .iter()
            .filter(|(owner, change)| *owner == user && matches(&query, change))
            .map(|(_, change)| change.clone())
            .collect();
        found.sort_by_key(|change| (change.at, change.id));
        if query.newest_first {
            found.reverse();
        }
        let page = found.iter().skip(query.offset as usize);
        Ok(ChangePage {
            total: found.len() as u64,
            changes: page.take(query.limit as usize).cloned().collect(),
        })
    }

    async fn change(&self, user: UserId, id: ChangeId) -> Stored<Option<Change>> {
        let state = self.lock()?;
        let mut own = state.changes.iter().filter(|(owner, _)| *owner == user);
        Ok(own
            .find(|(_, change)| change.id == id)
            .map(|(_, change)| change.clone()))
    }
}
