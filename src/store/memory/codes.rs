//! Challenges, the limits on sending them, and the step that judges a code.

use super::Memory;
use super::state::{Sent, State, next};
use crate::auth::lockout::{Blocked, longer};
use crate::auth::ports::{
    Attempt, Attempted, Codes, Deeds, Disable, FactorKind, NewChallenge, NewSession, Passed,
    Pending, Purpose, Reserved, SendRequest, StoreError, Stored, Try,
};
use crate::clock::Timestamp;
use crate::digest::Binding;
use crate::gate::session::{Factor, Session};
use crate::id::{ChallengeId, SendId, UserId};
use crate::store::rules::{self, By, Challenge, Judged, Right, Verdict};
use async_trait::async_trait;

impl State {
    fn attempt(&mut self, attempt: &Attempt, now: Timestamp) -> Stored<Attempted> {
        if let Some(blocked) = self.block_of(attempt, now) {
            return Ok(Attempted::Blocked(blocked));
        }
        if !self.may_ask(attempt, now) {
            return Ok(Attempted::Gone);
        }
        let first = attempt.then.sessions.first();
        if first.is_some_and(|first| !self.has_room(first)) {
            return Ok(Attempted::Full);
        }
        let tries = attempt.tries.iter();
        let verdicts = tries.map(|one| self.judge(attempt.user, one, now));
        let attempted = match rules::judge(verdicts.collect()) {
            Judged::NeverSent => return Ok(Attempted::NeverSent),
            Judged::Gone => return Ok(Attempted::Gone),
            Judged::Wrong { missed, left } => {
                for missed in missed {
                    if let Some(challenge) = self.same(&missed.challenge) {
                        challenge.attempts_left = missed.left;
                        challenge.is_pending = missed.left > 0;
                    }
                }
                self.count_failure(attempt, now);
                Attempted::Wrong { left }
            }
            Judged::WentBack => {
                self.count_failure(attempt, now);
                Attempted::WentBack
            }
            Judged::Right(right) => self.accept(attempt, right, now)?,
        };
        self.end_ceremonies(&attempt.tries);
        Ok(attempted)
    }

    fn count_failure(&mut self, attempt: &Attempt, now: Timestamp) {
        self.add_failure(&attempt.subjects.user, now);
        self.add_failure(&attempt.subjects.address, now);
    }

    fn block_of(&self, attempt: &Attempt, now: Timestamp) -> Option<Blocked> {
        let (user, address) = (
            attempt.subjects.user.subject,
            attempt.subjects.address.subject,
        );
        if rules::only_backup(attempt) {
            let of_address = self.longest_block(&[address], now);
            return longer(self.delayed(user, now), of_address);
        }
        self.longest_block(&[user, address], now)
    }

    fn may_ask(&self, attempt: &Attempt, now: Timestamp) -> bool {
        let is_own = |digest| {
            let live = self.live_token(digest, now);
            live.is_some_and(|(token, _)| Some(token.user) == attempt.user)
        };
        attempt.token.is_none_or(is_own)
            && attempt
                .wizard
                .is_none_or(|wizard| self.is_open(wizard, now))
            && attempt
                .grant
                .is_none_or(|grant| self.is_granting(grant, attempt.user, now))
    }

    fn judge(&self, user: Option<UserId>, one: &Try, now: Timestamp) -> Verdict {
        let challenge = |bound_to, purpose| self.challenges.get(&(bound_to, purpose)).cloned();
        match one {
            Try::Sent {
                bound_to,
                purpose,
                code,
            } => rules::judge_sent(user, challenge(*bound_to, *purpose), code, now),
            Try::NewTotp {
                bound_to,
                challenge: id,
                step,
            } => {
                let challenge = challenge(*bound_to, Purpose::Enrol);
                rules::judge_new_totp(user, challenge, *id, *step, now)
            }
            Try::Totp { factor, step } => {
                let mut kept = self.factors.iter();
                let kept = kept.find(|((owner, _), kept)| {
                    let is_totp = kept.row.kind == FactorKind::Totp && kept.row.value.is_some();
                    Some(*owner) == user && kept.row.id == *factor && is_totp
                });
                let last_step = kept.map(|(_, kept)| kept.last_step);
                rules::judge_totp(user, *factor, last_step, *step)
            }
            Try::Backup { code } => {
                let set = user.and_then(|user| self.backup.get(&user));
                let unspent = set.map_or(&[][..], |set| &set.codes);
                rules::judge_backup(user, unspent, *code)
            }
            Try::Passkey { answers, proof } => self.judge_passkey(user, *answers, proof, now),
            Try::NewPasskey { answers, passkey } => {
                self.judge_new_passkey(user, *answers, passkey, now)
            }
        }
    }

    /// The stored challenge that was judged.
    fn same(&mut self, judged: &Challenge) -> Option<&mut Challenge> {
        self.challenges
            .get_mut(&(judged.bound_to, judged.purpose))
            .filter(|challenge| challenge.id == judged.id)
    }

    /// Does what a right code is good for.
    fn accept(&mut self, attempt: &Attempt, right: Right, now: Timestamp) -> Stored<Attempted> {
        let (user, factor) = (right.user, right.factor());
        let has_enrolled = right.has_enrolled();
        let has_passkeys = !self.passkeys_of(user).is_empty();
        let factors = self.enrolled(user);
        if has_enrolled && !rules::may_enrol(attempt.authority, &factors, has_passkeys) {
            if let Some(challenge) = right.challenge().and_then(|judged| self.same(judged)) {
                challenge.is_pending = false;
            }
            return Ok(Attempted::Forbidden);
        }
        self.check(&attempt.then, now)?;
        self.spend_code(right, now);
        let sessions = self.act(user, factor, &attempt.then, now)?;
        if let Some(wizard) = attempt.wizard {
            self.wizards.remove(&wizard);
        }
        if let Some(grant) = attempt.grant {
            self.grants.remove(&grant);
        }
        self.failures.remove(&attempt.subjects.user.subject);
        Ok(Attempted::Right(Passed {
            factor,
            has_enrolled,
            sessions,
            backup_codes_left: self.backup_codes_left(user),
        }))
    }

    /// The deeds must not break off half-way: an error if one of them cannot be done.
    fn check(&self, then: &Deeds, now: Timestamp) -> Stored<()> {
        let issued = then.issue.as_ref().map(|issue| &issue.access);
        if let Some(token) = issued {
            self.check_token(token)?;
        }
        self.must_exist(then.success.as_ref().map(|success| success.user))?;
        let may_be_made = |new: &NewSession| {
            let token = issued.filter(|token| token.digest == new.token);
            let token = token.or_else(|| self.tokens.get(&new.token));
            token.is_some_and(|token| {
                let ends_at = self.end_of(token).min(new.expires_at);
                token.user == new.user && ends_at > now
            })
        };
        if then.sessions.iter().all(may_be_made) {
            Ok(())
        } else {
            Err(StoreError::Damaged("session"))
        }
    }

    /// What was right is never right again; an enrolment is confirmed.
    fn spend_code(&mut self, right: Right, now: Timestamp) {
        let user = right.user;
        match right.by {
            By::Challenge(judged, step) => {
                if let Some(challenge) = self.same(&judged) {
                    challenge.is_pending = false;
                }
                if judged.purpose == Purpose::Enrol {
                    self.confirm(user, *judged, step, now);
                }
            }
            By::Totp(factor, step) => {
                let mut kept = self.factors.values_mut();
                if let Some(kept) = kept.find(|kept| kept.row.id == factor) {
                    kept.last_step = Some(step);
                }
            }
            By::Backup(code) => {
                if let Some(set) = self.backup.get_mut(&user) {
                    set.codes.retain(|one| *one != code);
                }
            }
            By::Passkey(proof) => self.use_passkey(*proof, now),
            By::NewPasskey(new) => self.add_passkey(user, *new, now),
        }
    }

    fn confirm(&mut self, user: UserId, enrolment: Challenge, step: Option<i64>, now: Timestamp) {
        let kind = enrolment.factor;
        self.set_factor(user, kind, enrolment.value, step, now);
        if enrolment.replaces_others {
            let others = self.passkey_ids(user);
            let off = rules::turned_off(Disable::All, &self.enrolled(user), &others);
            for other in off.kinds {
                if other != kind {
                    self.set_factor(user, other, None, None, now);
                }
            }
            self.remove_passkeys(user, &off.passkeys, now);
        }
    }

    fn act(
        &mut self,
        user: UserId,
        factor: Factor,
        then: &Deeds,
        now: Timestamp,
    ) -> Stored<Vec<Session>> {
        if let Some(issue) = &then.issue {
            self.put_token(issue.access.clone());
        }
        let mut sessions = Vec::new();
        for new in &then.sessions {
            sessions.push(self.put_session(new.clone(), factor, now)?);
        }
        if let Some(first) = then.sessions.first() {
            self.opened(first, now);
        }
        if let Some(issue) = &then.issue {
            let verified = rules::longest(&then.sessions).and_then(|(at, new)| {
                let session = sessions.get(at)?.clone();
                let expires_at = new.expires_at;
                Some(Session {
                    expires_at,
                    ..session
                })
            });
            self.issue(issue, verified.as_ref(), now)?;
        }
        if let Some(kind) = then.disable {
            self.turn_off(user, Disable::One(kind), now);
        }
        if let Some(success) = &then.success {
            self.success.insert(success.digest, success.clone());
        }
        if let Some(browser) = &then.remember
            && factor.can_be_remembered()
        {
            self.remember((user, factor), browser, now);
        }
        Ok(sessions)
    }
}

#[async_trait]
impl Codes for Memory {
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

    async fn put_challenge(&self, new: NewChallenge) -> Stored<ChallengeId> {
        if !rules::is_whole(&new) {
            return Err(StoreError::Damaged("challenge"));
        }
        let mut state = self.lock()?;
        state.must_exist(new.user)?;
        let id = ChallengeId(next(&mut state.last.challenge));
        let challenge = Challenge {
            id,
            bound_to: new.bound_to,
            purpose: new.purpose,
            user: new.user,
            factor: new.factor,
            code: new.code,
            value: new.value,
            replaces_others: new.replaces_others,
            is_pending: true,
            attempts_left: new.attempts,
            expires_at: new.expires_at,
        };
        let slot = (new.bound_to, new.purpose);
        state.challenges.insert(slot, challenge);
        if new.purpose == Purpose::Enrol {
            state.bound_enrolments(new.user);
        }
        Ok(id)
    }

    async fn pending(
        &self,
        bound_to: Binding,
        purpose: Purpose,
        now: Timestamp,
    ) -> Stored<Option<Pending>> {
        let state = self.lock()?;
        let challenge = state.challenges.get(&(bound_to, purpose));
        let open = challenge.filter(|challenge| challenge.is_open(now));
        Ok(open.cloned().map(Challenge::into_pending))
    }

    async fn attempt(&self, attempt: Attempt, now: Timestamp) -> Stored<Attempted> {
        self.lock()?.attempt(&attempt, now)
    }
}
