//! Procedures of several steps: to sign in, to enrol a factor, to turn one off.
//!
//! A wizard is durable, found by a secret name, bound to who opened it, and over with its last step:
//! the step that judges the code ends it.

mod change;
mod sign_in;
#[cfg(test)]
mod tests;

pub use change::Opened;
pub use sign_in::{Next, Who};

use super::challenge::{StartError, VerifyError};
use super::enrol::EnrolError;
use super::ports::{
    Advance, Attempt, Authority, Deeds, FactorKind, Passed, Purpose, Stage, StoreError, Wizard,
    WizardKind,
};
use super::sign_in::SignInError;
use super::{Asker, Auth, Caller, subject};
use crate::digest::Binding;
use crate::entropy;
use crate::factor::one_time;
use crate::id::UserId;
use crate::words::Words;
use std::net::IpAddr;
use std::time::Duration;

/// How long a wizard is open.
pub const LIFETIME: Duration = Duration::from_secs(15 * 60);

/// Why a wizard does not go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WizardError {
    /// Unknown, over, or somebody else's: never said which.
    #[error("there is no such procedure (any more): begin again")]
    NotFound,
    /// It waits for another step.
    #[error("this procedure waits for another step")]
    OtherStep,
    /// The user has no such factor.
    #[error("this method is not enabled")]
    NotEnabled,
    /// The key is not the one that the wizard gave out.
    #[error("the key is not the one of this procedure")]
    WrongKey,
    #[error(transparent)]
    Password(#[from] SignInError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Code(#[from] VerifyError),
    #[error(transparent)]
    Enrol(#[from] EnrolError),
    #[error("the store does not answer")]
    Unavailable,
}

impl From<StoreError> for WizardError {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "a step of a wizard could not be taken");
        Self::Unavailable
    }
}

/// Where a wizard without a token is opened and taken on.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    pub realm: &'a str,
    pub route: &'a str,
    pub address: IpAddr,
    /// The opaque label of the device that the call names.
    pub device_label: Option<&'a str>,
    /// What the client calls itself.
    pub client: &'a str,
    /// Of messages with a code.
    pub words: Words,
}

impl Auth {
    async fn judge_step(
        &self,
        asker: Asker,
        wizard: &Wizard,
        kind: FactorKind,
        code: &str,
        authority: Authority,
        then: Deeds,
    ) -> Result<Passed, WizardError> {
        let code = one_time::normalise(code).ok_or(VerifyError::Malformed)?;
        let bound_to = Binding::from(wizard.digest);
        let user = asker.user.ok_or(WizardError::NotFound)?;
        let tries = match (wizard.kind, kind) {
            (WizardKind::Enable, _) => Some(self.try_enrolment(bound_to, &code).await?),
            (_, FactorKind::Totp) => self.try_totp(user, &code).await?,
            (WizardKind::Disable, _) => Some(self.try_sent(bound_to, Purpose::Disable, &code)),
            _ => Some(self.try_sent(bound_to, Purpose::Verify, &code)),
        };
        let attempt = Attempt {
            user: Some(user),
            tries: tries.into_iter().collect(),
            subjects: self.subjects(&asker),
            token: wizard.token,
            wizard: Some(wizard.digest),
            grant: None,
            authority,
            then,
        };
        let now = self.clock.now();
        Ok(self.judge(asker, attempt, now).await?)
    }

    async fn advance(
        &self,
        wizard: &Wizard,
        to: Stage,
        user: Option<UserId>,
        factor: Option<FactorKind>,
    ) -> Result<(), WizardError> {
        let step = Advance {
            digest: wizard.digest,
            from: wizard.stage,
            to,
            user,
            factor,
        };
        match self.store.advance_wizard(step, self.clock.now()).await? {
            true => Ok(()),
            false => Err(WizardError::NotFound),
        }
    }

    pub(super) fn wizard_name(&self) -> Result<String, WizardError> {
        entropy::uuid(&*self.entropy).map_err(|_| WizardError::Unavailable)
    }

    pub(super) fn new_wizard(&self, name: &str, kind: WizardKind, realm: &str) -> Wizard {
        Wizard {
            digest: self.keys.wizard(name),
            kind,
            stage: Stage::Opened,
            realm: realm.to_owned(),
            user: None,
            factor: None,
            token: None,
            device_label: None,
            subject: None,
            shown: None,
            expires_at: self.clock.now().after(LIFETIME),
        }
    }

    pub(super) fn callers_wizard(
        &self,
        name: &str,
        kind: WizardKind,
        realm: &str,
        caller: &Caller,
        factor: FactorKind,
    ) -> Wizard {
        Wizard {
            user: Some(caller.holder.user),
            factor: Some(factor),
            token: Some(caller.token),
            ..self.new_wizard(name, kind, realm)
        }
    }

    pub(super) async fn open(&self, wizard: Wizard, address: IpAddr) -> Result<(), WizardError> {
        let opener = match wizard.user.filter(|_| wizard.token.is_some()) {
            Some(user) => subject::user(&self.keys, user),
            None => subject::address(&self.keys, address),
        };
        let now = self.clock.now();
        Ok(self.store.open_wizard(wizard, opener, now).await?)
    }

    fn asker_of(&self, at: Place<'_>, user: UserId) -> Asker {
        Asker {
            user: Some(user),
            subject: subject::user(&self.keys, user),
            route: at.route.to_owned(),
            address: at.address,
        }
    }
}
