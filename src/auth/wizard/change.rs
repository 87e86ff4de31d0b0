//! A caller's wizards: to enrol a factor, and to turn one off.

use super::WizardError;
use crate::auth::challenge::{Message, Started};
use crate::auth::enrol::{EnrolError, NewFactor};
use crate::auth::ports::{
    Authority, Deeds, FactorKind, FactorSet, FactorValue, Purpose, Stage, Wizard, WizardKind,
};
use crate::auth::{Auth, Caller, Standing};
use crate::digest::Binding;
use crate::factor::phone::Phone;
use crate::factor::totp::TotpSecret;
use crate::gate::session::Session;

/// A wizard that was opened with a token.
#[derive(Clone, Debug)]
pub struct Opened {
    pub name: String,
    /// The new authenticator's key.
    pub key: Option<TotpSecret>,
}

impl Auth {
    /// Opens the enrolment of a factor: of an authenticator with its new key.
    pub async fn open_enable(
        &self,
        caller: &Caller,
        realm: &str,
        kind: FactorKind,
    ) -> Result<Opened, WizardError> {
        self.may_enrol(caller, false).await?;
        let name = self.wizard_name()?;
        let mut wizard = self.callers_wizard(&name, WizardKind::Enable, realm, caller, kind);
        let key = match kind {
            FactorKind::Totp => Some(self.new_totp_secret()?),
            FactorKind::Sms | FactorKind::Email => None,
            // There is no code to be typed.
            FactorKind::Passkey => return Err(WizardError::NotEnabled),
        };
        if let Some(key) = &key {
            wizard.stage = Stage::Code;
            let value = FactorValue::Totp(key.clone());
            self.propose(caller, new_factor(&wizard, value)).await?;
        }
        self.open(wizard, caller.address).await?;
        Ok(Opened { name, key })
    }

    /// The step of an enrolment that names the number. Again, it sends another code.
    pub async fn enable_phone(
        &self,
        caller: &Caller,
        name: &str,
        phone: Phone,
    ) -> Result<Started, WizardError> {
        let wizard = self.of_caller(caller, name).await?;
        if wizard.kind != WizardKind::Enable || wizard.factor != Some(FactorKind::Sms) {
            return Err(WizardError::OtherStep);
        }
        let new = new_factor(&wizard, FactorValue::Sms(phone));
        let started = self.send_enrolment(caller, new).await?;
        self.advance(&wizard, Stage::Code, None, None).await?;
        Ok(started)
    }

    /// Opens the end of a factor: for a number, the code is sent.
    pub async fn open_disable(
        &self,
        caller: &Caller,
        realm: &str,
        kind: FactorKind,
    ) -> Result<Opened, WizardError> {
        let factors = self.may_disable(caller, kind).await?;
        let name = self.wizard_name()?;
        let wizard = self.callers_wizard(&name, WizardKind::Disable, realm, caller, kind);
        let wizard = Wizard {
            stage: Stage::Code,
            ..wizard
        };
        let bound_to = Binding::from(wizard.digest);
        self.open(wizard, caller.address).await?;
        if let Some(phone) = factors.phone().filter(|_| kind == FactorKind::Sms) {
            let message = Message {
                is_for_program: false,
                words: caller.words,
                user: caller.holder.user,
                to: FactorValue::Sms(phone.clone()),
                bound_to,
                purpose: Purpose::Disable,
                replaces_others: false,
            };
            self.send(caller.asker(&self.keys), message).await?;
        }
        Ok(Opened { name, key: None })
    }

    /// The last step of an enrolment or of a factor's end: its code. `key`: the authenticator's, as
    /// the client says it. The caller's pair is verified by it.
    pub async fn finish(
        &self,
        caller: &Caller,
        name: &str,
        code: &str,
        key: Option<&str>,
    ) -> Result<Session, WizardError> {
        let wizard = self.of_caller(caller, name).await?;
        let kind = wizard.factor.ok_or(WizardError::NotFound)?;
        if wizard.stage != Stage::Code {
            return Err(WizardError::OtherStep);
        }
        let authority = match wizard.kind {
            WizardKind::Enable => {
                self.may_enrol(caller, false).await?;
                caller.confirms_by(self.settings.load().sends_mail)
            }
            _ => {
                self.may_disable(caller, kind).await?;
                Authority::Verified
            }
        };
        if wizard.kind == WizardKind::Enable && kind == FactorKind::Totp {
            self.same_key(caller, wizard.digest.into(), key).await?;
        }
        let then = Deeds {
            sessions: vec![self.session_of(caller).await?],
            disable: (wizard.kind == WizardKind::Disable).then_some(kind),
            ..Deeds::default()
        };
        let asker = caller.asker(&self.keys);
        let passed = self
            .judge_step(asker, &wizard, kind, code, authority, then)
            .await?;
        let session = passed.sessions.into_iter().next();
        session.ok_or(WizardError::Unavailable)
    }

    /// Turning a factor off asks for a verified pair, and for the factor.
    async fn may_disable(
        &self,
        caller: &Caller,
        kind: FactorKind,
    ) -> Result<FactorSet, WizardError> {
        let factors = self.factors(caller.holder.user).await?;
        if factors.of(kind).is_none() {
            return Err(WizardError::NotEnabled);
        }
        match caller.standing {
            Standing::Verified | Standing::Sudo => {
                self.may_enrol(caller, false).await?;
                Ok(factors)
            }
            Standing::Token => Err(EnrolError::NotVerified.into()),
        }
    }

    async fn same_key(
        &self,
        caller: &Caller,
        bound_to: Binding,
        key: Option<&str>,
    ) -> Result<(), WizardError> {
        let pending = self.pending_enrolment(caller, bound_to).await?;
        let said = key.and_then(|key| TotpSecret::parse(key).ok());
        match pending.map(|pending| pending.value) {
            Some(FactorValue::Totp(secret)) if said.as_ref() == Some(&secret) => Ok(()),
            Some(_) => Err(WizardError::WrongKey),
            None => Err(WizardError::NotFound),
        }
    }

    /// The open wizard of that name to change a factor, if the caller's token has opened it.
    async fn of_caller(&self, caller: &Caller, name: &str) -> Result<Wizard, WizardError> {
        let digest = self.keys.wizard(name);
        let found = self.store.wizard(digest, self.clock.now()).await?;
        found
            .filter(|wizard| matches!(wizard.kind, WizardKind::Enable | WizardKind::Disable))
            .filter(|wizard| wizard.token == Some(caller.token))
            .filter(|wizard| wizard.user == Some(caller.holder.user))
            .ok_or(WizardError::NotFound)
    }
}

fn new_factor(wizard: &Wizard, value: FactorValue) -> NewFactor {
    NewFactor {
        value,
        bound_to: wizard.digest.into(),
        replaces_others: false,
        sudo: false,
    }
}
