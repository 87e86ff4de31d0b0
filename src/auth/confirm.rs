//! Confirm one operation by a mailed code: for a success token, which a route can ask for before it
//! forwards, say, a change of the password.
//!
//! Whoever has no token names a mail address. The answer to that, and to every code typed after it,
//! is alike for an address that nobody has, and as fast: the same rows are written for both, and the
//! mail is sent after the answer.

use super::challenge::{Message, StartError, VerifyError};
use super::ports::{
    Attempt, Authority, Deeds, FactorKind, FactorValue, NewChallenge, NewSuccess, Purpose, Stage,
    Try, Wizard, WizardKind,
};
use super::wizard::{Place, WizardError};
use super::{Asker, Auth, Caller, subject};
use crate::clock::Timestamp;
use crate::digest::Binding;
use crate::entropy;
use crate::factor::one_time;
use crate::gate::session::Session;
use crate::id::UserId;
use crate::secret::Secret;
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
        let message = Message {
            user: caller.holder.user,
            to: FactorValue::Email(email.clone()),
            bound_to: wizard.digest.into(),
            purpose: Purpose::Confirm,
            replaces_others: false,
        };
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
        let now = self.clock.now();
        let expires_at = now.after(settings.codes.lifetime);
        let typed = format!("{}/{}", at.realm, email.to_ascii_lowercase());
        let subject = self.keys.subject("unauthorized", &typed);
        let subjects = [subject, subject::address(&self.keys, at.address)];
        if let Some(blocked) = self.store.blocked(&subjects, now).await? {
            return Err(StartError::Blocked(blocked).into());
        }
        let user = self.store.user_by_email(at.realm, email).await?;
        let id = user.as_ref().map_or(UserId(0), |user| user.id);
        let factors = self.factors(id).await?;
        // The address that was typed must be the factor, not only what a profile once said.
        let to = factors
            .email()
            .filter(|factor| factor.expose().eq_ignore_ascii_case(email));
        let user = user.filter(|_| to.is_some()).map(|user| user.id);
        let name = self.wizard_name()?;
        let wizard = Wizard {
            stage: Stage::Code,
            user,
            factor: Some(FactorKind::Email),
            subject: Some(subject),
            expires_at,
            ..self.new_wizard(&name, WizardKind::Challenge, at.realm)
        };
        let bound_to = Binding::from(wizard.digest);
        let code = entropy::digits(&*self.entropy, settings.codes.length);
        let code = Secret::new(code.map_err(|_| WizardError::Unavailable)?);
        let purpose = Purpose::Confirm;
        let challenge = NewChallenge {
            bound_to,
            purpose,
            user,
            factor: FactorKind::Email,
            code: Some(self.keys.code(bound_to, purpose.as_str(), code.expose())),
            value: None,
            replaces_others: false,
            attempts: settings.codes.attempts,
            created_at: now,
            expires_at,
        };
        self.open(wizard, at.address).await?;
        self.store.put_challenge(challenge).await?;
        if let (Some(user), Some(to)) = (user, to) {
            let asker = Asker {
                user: Some(user),
                subject,
                route: at.route.to_owned(),
                address: at.address,
            };
            let message = Message {
                user,
                to: FactorValue::Email(to.clone()),
                bound_to,
                purpose,
                replaces_others: false,
            };
            self.send_behind(asker, message, code);
        }
        Ok(Named {
            name: Secret::new(name),
            expires_at,
        })
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
        let found = self.store.wizard(self.keys.wizard(name), now).await?;
        let wizard = found
            .filter(|wizard| wizard.kind == WizardKind::Challenge && wizard.realm == at.realm)
            .filter(|wizard| {
                wizard.token.is_none() || wizard.token == caller.map(|caller| caller.token)
            })
            .ok_or(WizardError::NotFound)?;
        let caller = caller.filter(|_| wizard.token.is_some());
        let bound_to = Binding::from(wizard.digest);
        let asker = match (caller, wizard.subject) {
            (Some(caller), _) => caller.asker(&self.keys),
            (None, Some(subject)) => Asker {
                user: wizard.user,
                subject,
                route: at.route.to_owned(),
                address: at.address,
            },
            (None, None) => return Err(WizardError::NotFound),
        };
        let token = entropy::uuid(&*self.entropy).map_err(|_| WizardError::Unavailable)?;
        let expires_at = now.after(SUCCESS_LIFETIME);
        let session = match caller {
            Some(caller) => Some(self.session_of(caller).await?),
            None => None,
        };
        let attempt = Attempt {
            user: wizard.user,
            tries: vec![Try::Sent {
                bound_to,
                purpose: Purpose::Confirm,
                code: self
                    .keys
                    .code(bound_to, Purpose::Confirm.as_str(), code.expose()),
            }],
            subjects: self.subjects(&asker),
            token: wizard.token,
            wizard: Some(wizard.digest),
            authority: Authority::Verified,
            then: Deeds {
                sessions: session.into_iter().collect(),
                success: wizard.user.map(|user| NewSuccess {
                    digest: self.keys.success(&token),
                    user,
                    token: wizard.token,
                    expires_at,
                }),
                ..Deeds::default()
            },
        };
        let passed = self.judge(asker, attempt, now).await?;
        Ok(Confirmed {
            success: Named {
                name: Secret::new(token),
                expires_at,
            },
            session: passed.sessions.into_iter().next(),
        })
    }
}
