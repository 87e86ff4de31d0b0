//! Confirm one operation by a mailed code: for a success token, which a route can ask for before it
//! forwards, say, a change of the password.
//!
//! Whoever has no token names an email address. The answer to that, and to every code typed after it,
//! is alike for an address that nobody has, and as fast: the same rows are written for both, and the
//! mail is sent after the answer.

use super::challenge::{Message, StartError, VerifyError};
use super::ports::{
    Attempt, Authority, Deeds, FactorKind, FactorValue, NewChallenge, NewSuccess, Purpose, Stage,
    Wizard, WizardKind,
};
use super::wizard::{Place, WizardError};
use super::{Asker, Auth, Caller, Settings, subject};
use crate::clock::Timestamp;
use crate::digest::{Binding, SubjectDigest};
use crate::entropy;
use crate::factor::one_time;
use crate::gate::session::Session;
use crate::id::UserId;
use crate::secret::Secret;
use crate::words::Words;
use std::time::Duration;

/// How long a success token is good.
const SUCCESS_LIFETIME: Duration = Duration::from_secs(10 * 60);

/// A name that is good for something until a moment.
#[derive(Clone, Debug)]
pub struct Named {
    pub name: Secret,
    pub expires_at: Timestamp,
}

/// A confirmed operation.
#[derive(Clone, Debug)]
pub struct Confirmed {
    pub success: Named,
    /// Of the pair that asked, if one did: its mail factor has been passed.
    pub session: Option<Session>,
}

impl Auth {
    /// Mails the caller a code.
    pub async fn open_challenge(&self, caller: &Caller, realm: &str) -> Result<Named, WizardError> {
        let factors = self.factors(caller.holder.user).await?;
        let email = factors.email().ok_or(WizardError::NotEnabled)?;
        let name = self.wizard_name()?;
        let kind = WizardKind::Challenge;
        let wizard = self.callers_wizard(&name, kind, realm, caller, FactorKind::Email);
        let user = caller.holder.user;
        let to = (user, email.clone());
        let message = to_confirm(to, wizard.digest.into(), caller.words);
        let started = self.send(caller.asker(&self.keys), message).await?;
        let wizard = Wizard {
            stage: Stage::Code,
            expires_at: started.expires_at,
            ..wizard
        };
        self.open(wizard, caller.address).await?;
        Ok(Named {
            name: Secret::new(name),
            expires_at: started.expires_at,
        })
    }

    /// Mails a code to the user with this address, if there is one.
    pub async fn open_challenge_unauthorized(
        &self,
        at: Place<'_>,
        email: &str,
    ) -> Result<Named, WizardError> {
        let settings = self.settings.load_full();
        if !settings.sends_mail {
            return Err(StartError::NotSent.into());
        }
        let now = self.clock.now();
        let subject = subject::unauthorized(&self.keys, at.realm, email);
        let subjects = [subject, subject::address(&self.keys, at.address)];
        if let Some(blocked) = self.store.blocked(&subjects, now).await? {
            return Err(StartError::Blocked(blocked).into());
        }
        let found = self.with_address(at.realm, email).await?;
        let name = self.wizard_name()?;
        let wizard = Wizard {
            stage: Stage::Code,
            user: found.as_ref().map(|(user, _)| *user),
            factor: Some(FactorKind::Email),
            subject: Some(subject),
            expires_at: now.after(settings.codes.lifetime),
            ..self.new_wizard(&name, WizardKind::Challenge, at.realm)
        };
        let code = entropy::digits(&*self.entropy, settings.codes.length);
        let code = Secret::new(code.map_err(|_| WizardError::Unavailable)?);
        self.open(wizard.clone(), at.address).await?;
        self.store
            .put_challenge(self.mailed(&wizard, &settings, now, &code))
            .await?;
        if let Some((user, to)) = found {
            let message = to_confirm((user, to), wizard.digest.into(), at.words);
            self.send_behind(asker(at, Some(user), subject), message, code);
        }
        Ok(Named {
            name: Secret::new(name),
            expires_at: wizard.expires_at,
        })
    }

    /// The user with this address, and the address as it is known. The one that was typed must be a
    /// factor, not only what a profile once said.
    async fn with_address(
        &self,
        realm: &str,
        typed: &str,
    ) -> Result<Option<(UserId, Secret)>, WizardError> {
        const NOBODY: UserId = UserId(0);
        let user = self.store.user_by_email(realm, typed).await?;
        let user = user.map(|user| user.id);
        // Asked for nobody too: it takes the same time.
        let factors = self.factors(user.unwrap_or(NOBODY)).await?;
        let is_typed =
            |known: &&Secret| subject::mailbox(known.expose()) == subject::mailbox(typed);
        Ok(user.zip(factors.email().filter(is_typed).cloned()))
    }

    /// The challenge of a code that is mailed behind the answer, or to nobody.
    fn mailed(
        &self,
        wizard: &Wizard,
        settings: &Settings,
        now: Timestamp,
        code: &Secret,
    ) -> NewChallenge {
        let bound_to = Binding::from(wizard.digest);
        let purpose = Purpose::Confirm;
        NewChallenge {
            bound_to,
            purpose,
            user: wizard.user,
            factor: FactorKind::Email,
            code: Some(self.keys.code(bound_to, purpose.as_str(), code.expose())),
            value: None,
            replaces_others: false,
            attempts: settings.codes.attempts,
            created_at: now,
            expires_at: wizard.expires_at,
        }
    }

    /// Judges the mailed code of a challenge: the caller's, or one that was opened without a token.
    pub async fn confirm(
        &self,
        at: Place<'_>,
        caller: Option<&Caller>,
        name: &str,
        code: &str,
    ) -> Result<Confirmed, WizardError> {
        let code = one_time::normalise(code).ok_or(VerifyError::Malformed)?;
        let now = self.clock.now();
        let wizard = self.challenge_wizard(at, caller, name, now).await?;
        let caller = caller.filter(|_| wizard.token.is_some());
        let asker = match (caller, wizard.subject) {
            (Some(caller), _) => caller.asker(&self.keys),
            (None, Some(subject)) => asker(at, wizard.user, subject),
            (None, None) => return Err(WizardError::NotFound),
        };
        let session = match caller {
            Some(caller) => Some(self.session_of(caller).await?),
            None => None,
        };
        let token = Secret::new(self.wizard_name()?);
        let success = Named {
            expires_at: now.after(SUCCESS_LIFETIME),
            name: token,
        };
        let attempt = Attempt {
            user: wizard.user,
            tries: vec![self.try_sent(wizard.digest.into(), Purpose::Confirm, &code)],
            subjects: self.subjects(&asker),
            token: wizard.token,
            wizard: Some(wizard.digest),
            grant: None,
            authority: Authority::Verified,
            then: Deeds {
                sessions: session.into_iter().collect(),
                success: self.success_of(&wizard, &success),
                ..Deeds::default()
            },
        };
        let passed = self.judge(asker, attempt, now).await?;
        Ok(Confirmed {
            success,
            session: passed.sessions.into_iter().next(),
        })
    }

    /// The open challenge of that name, if the caller's token has opened it, or none has.
    async fn challenge_wizard(
        &self,
        at: Place<'_>,
        caller: Option<&Caller>,
        name: &str,
        now: Timestamp,
    ) -> Result<Wizard, WizardError> {
        let found = self.store.wizard(self.keys.wizard(name), now).await?;
        let token = caller.map(|caller| caller.token);
        found
            .filter(|wizard| wizard.kind == WizardKind::Challenge && wizard.realm == at.realm)
            .filter(|wizard| wizard.token.is_none() || wizard.token == token)
            .ok_or(WizardError::NotFound)
    }

    /// What a right code issues. Nobody's challenge issues nothing, and no code is right for it.
    fn success_of(&self, wizard: &Wizard, success: &Named) -> Option<NewSuccess> {
        Some(NewSuccess {
            digest: self.keys.success(success.name.expose()),
            user: wizard.user?,
            token: wizard.token,
            expires_at: success.expires_at,
        })
    }
}

/// Whoever has no token, and whom wrong codes count against.
fn asker(at: Place<'_>, user: Option<UserId>, subject: SubjectDigest) -> Asker {
    Asker {
        user,
        subject,
        route: at.route.to_owned(),
        address: at.address,
    }
}

fn to_confirm((user, to): (UserId, Secret), bound_to: Binding, words: Words) -> Message {
    Message {
        is_for_program: false,
        words,
        user,
        to: FactorValue::Email(to),
        bound_to,
        purpose: Purpose::Confirm,
        replaces_others: false,
    }
}

#[cfg(test)]
mod tests;
