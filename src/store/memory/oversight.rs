//! What operators alone ask for.

use super::Memory;
use super::state::State;
use crate::auth::ports::{
    AuditLine, AuditQuery, Ended, FactorKind, Lockout, LockoutId, Oversight, Purpose, SessionQuery,
    SessionRow, Stored, User, UserChange, Which,
};
use crate::clock::Timestamp;
use crate::digest::SubjectDigest;
use crate::id::UserId;
use crate::store::rules;
use async_trait::async_trait;
use std::cmp::Reverse;

impl State {
    /// Live sessions, newest first.
    pub(super) fn session_rows(&self, now: Timestamp) -> Vec<SessionRow> {
        let records = self.sessions.values();
        let mut rows: Vec<_> = records
            .filter_map(|record| {
                Some(SessionRow {
                    session: self.live_session(record, now)?,
                    realm: self.users.get(&record.new.user)?.realm.clone(),
                    device_label: record.new.device_label.clone(),
                    whence: Some(record.new.whence.clone()),
                })
            })
            .collect();
        rows.sort_unstable_by_key(|row| Reverse(row.session.id));
        rows
    }

    /// Ends the tokens and sessions of a user; one line in the feed says so.
    fn end_all_of(&mut self, user: UserId, now: Timestamp) {
        self.forget_browsers_of(Which::User(user));
        self.end(Which::User(user), now);
        self.end_families_of(user, now);
        self.tokens.retain(|_, token| token.user != user);
    }

    /// Codes on their way to what a factor of a user stood on are good for nothing any more.
    fn void_kind(&mut self, user: UserId, kind: FactorKind) {
        for challenge in self.challenges.values_mut() {
            let is_of_kind = challenge.user == Some(user) && challenge.factor == kind;
            if is_of_kind && challenge.purpose != Purpose::Enrol {
                challenge.is_pending = false;
            }
        }
    }

    /// Whether there is such a user, who stands for no recipient of a share.
    fn is_plain(&self, id: UserId) -> bool {
        let user = self.users.get(&id);
        user.is_some_and(|user| !user.name.starts_with(rules::SHARE_USER_PREFIX))
    }
}

fn is_of_device(row: &SessionRow, labels: &[String]) -> bool {
    let label = row.device_label.as_ref();
    label.is_some_and(|label| labels.contains(label))
}

#[async_trait]
impl Oversight for Memory {
    async fn users_after(&self, after: UserId, limit: u32) -> Stored<Vec<User>> {
        let state = self.lock()?;
        let users = state.users.values().filter(|user| user.id > after);
        Ok(users.take(limit as usize).cloned().collect())
    }

    async fn change_user(&self, id: UserId, change: UserChange, now: Timestamp) -> Stored<bool> {
        let mut state = self.lock()?;
        if !state.is_plain(id) {
            return Ok(false);
        }
        if change.phone.is_some() {
            state.void_kind(id, FactorKind::Sms);
            state.forget_browsers_by(id, FactorKind::Sms);
        }
        if change.email.is_some() {
            state.void_kind(id, FactorKind::Email);
            state.forget_browsers_by(id, FactorKind::Email);
        }
        if change.password_hash.is_some() {
            state.end_all_of(id, now);
        }
        let is_word = rules::is_word(&change);
        if let Some(user) = state.users.get_mut(&id) {
            if is_word {
                user.said = rules::by_operator(now);
            }
            user.phone = change.phone.unwrap_or(user.phone.take());
            user.email = change.email.unwrap_or(user.email.take());
            user.password_hash = change.password_hash.unwrap_or(user.password_hash.take());
            user.can_edit_users = change.can_edit_users.unwrap_or(user.can_edit_users);
        }
        if let Some(groups) = change.groups {
            state.put_groups(id, groups, now);
        }
        Ok(true)
    }

    async fn remove_user(
        &self,
        id: UserId,
        subjects: &[SubjectDigest],
        now: Timestamp,
    ) -> Stored<bool> {
        let mut state = self.lock()?;
        if !state.is_plain(id) {
            return Ok(false);
        }
        state.end_all_of(id, now);
        state.forget_user(id);
        state.users.remove(&id);
        for subject in subjects {
            state.failures.remove(subject);
        }
        Ok(true)
    }

    async fn find_sessions(&self, query: SessionQuery, now: Timestamp) -> Stored<Vec<SessionRow>> {
        let mut rows = self.lock()?.session_rows(now);
        rows.retain(|row| {
            let session = &row.session;
            query.user.is_none_or(|user| session.holder.user == user)
                && (query.devices.is_empty() || is_of_device(row, &query.devices))
                && query.before.is_none_or(|before| session.id < before)
        });
        rows.truncate(query.limit as usize);
        Ok(rows)
    }

    async fn revoke_devices(
        &self,
        labels: &[String],
        user: Option<UserId>,
        now: Timestamp,
    ) -> Stored<Vec<Ended>> {
        let mut state = self.lock()?;
        let rows = state.session_rows(now);
        let of_user = |row: &&SessionRow| user.is_none_or(|it| row.session.holder.user == it);
        let rows = rows.iter().filter(of_user);
        let rows = rows.filter(|row| is_of_device(row, labels));
        let ended = rows.map(|row| Ended {
            id: row.session.id,
            user: row.session.holder.user,
            device: row.device_label.clone().unwrap_or_default(),
        });
        let mut ended: Vec<_> = ended.collect();
        ended.sort_unstable_by_key(|one| one.id);
        for one in &ended {
            state.forget_browsers_of(Which::Session(one.id));
            state.end(Which::Session(one.id), now);
        }
        Ok(ended)
    }

    async fn lockouts(
        &self,
        after: Option<LockoutId>,
        limit: u32,
        now: Timestamp,
    ) -> Stored<Vec<Lockout>> {
        let state = self.lock()?;
        let all = state.failures.iter().map(|(subject, kept)| Lockout {
            subject: *subject,
            counter: kept.counter,
            who: kept.who.clone(),
        });
        let blocked = all.filter(|it| it.counter.blocked(now).is_some());
        let later = blocked.filter(|it| after.is_none_or(|after| it.id() > after));
        Ok(later.take(limit as usize).collect())
    }

    async fn clear_lockouts(&self, subjects: &[SubjectDigest]) -> Stored<u64> {
        let mut state = self.lock()?;
        let removed = subjects.iter().filter_map(|it| state.failures.remove(it));
        Ok(removed.count() as u64)
    }

    async fn clear_lockout(&self, id: LockoutId) -> Stored<Option<Lockout>> {
        let mut state = self.lock()?;
        let named = |subject: &&SubjectDigest| subject.0.starts_with(&id);
        let Some(subject) = state.failures.keys().find(named).copied() else {
            return Ok(None);
        };
        let kept = state.failures.remove(&subject);
        Ok(kept.map(|kept| Lockout {
            subject,
            counter: kept.counter,
            who: kept.who,
        }))
    }

    async fn search_audit(&self, query: AuditQuery) -> Stored<Vec<AuditLine>> {
        let state = self.lock()?;
        let newest = state.audit.iter().rev().filter(|line| query.takes(line));
        Ok(newest.take(query.limit as usize).cloned().collect())
    }

    async fn audit_after(&self, after: i64, limit: u32) -> Stored<Vec<AuditLine>> {
        let state = self.lock()?;
        let later = state.audit.iter().filter(|line| line.id > after);
        Ok(later.take(limit as usize).cloned().collect())
    }

    async fn audit_head(&self) -> Stored<i64> {
        Ok(self.lock()?.last.audit)
    }
}
