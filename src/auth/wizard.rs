//! Procedures of several steps: to sign in, to enrol a factor, to turn one off.
//!
//! A wizard is durable, found by a secret name, bound to who opened it, and over with its last step:
//! the step that judges the code ends it.

use super::challenge::{Message, StartError, Started, VerifyError};
use super::enrol::{EnrolError, NewFactor};
use super::ports::{
    Advance, Attempt, Authority, Deeds, FactorKind, FactorSet, FactorValue, NewSession, Passed,
    Purpose, Stage, StoreError, Wizard, WizardKind,
};
use super::sign_in::{SignInContext, SignInError};
use super::tokens::{Drawn, IssueTo};
use super::{Asker, Auth, Caller, subject};
use crate::digest::Binding;
use crate::entropy;
use crate::event::EventKind;
use crate::factor::one_time;
use crate::factor::phone::Phone;
use crate::factor::totp::TotpSecret;
use crate::gate::session::{Holder, Session};
use crate::id::UserId;
use crate::secret::Secret;
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
}

/// What a sign-in asks next.
#[derive(Clone, Debug)]
pub enum Next {
    /// Nothing: the user has no factor, these are the tokens (no session is verified).
    Done(Box<Drawn>),
    /// A code of this factor; one that is sent has been sent.
    Code(FactorKind),
    /// Which of several factors to use.
    Choose,
}

/// A wizard that was opened with a token.
#[derive(Clone, Debug)]
pub struct Opened {
    pub name: String,
    /// The new authenticator's key.
    pub key: Option<TotpSecret>,
}

impl Auth {
    /// Opens a sign-in; its name.
    pub async fn open_sign_in(&self, at: Place<'_>) -> Result<String, WizardError> {
        let name = self.wizard_name()?;
        let wizard = self.new_wizard(&name, WizardKind::SignIn, at.realm);
        let wizard = Wizard {
            device_label: at.device_label.map(str::to_owned),
            ..wizard
        };
        self.open(wizard, at.address).await?;
        Ok(name)
    }

    /// The sign-in's first step: a user's name or mail address, and the password.
    pub async fn sign_in_password(
        &self,
        at: Place<'_>,
        name: &str,
        who: Who<'_>,
        password: &Secret,
        issue: &IssueTo<'_>,
    ) -> Result<Next, WizardError> {
        let wizard = self.sign_in_wizard(at, name).await?;
        if wizard.stage != Stage::Opened {
            return Err(WizardError::OtherStep);
        }
        let user = match who {
            Who::Name(name) => self.store.user_by_name(at.realm, name).await?,
            Who::Email(email) => self.store.user_by_email(at.realm, email).await?,
        };
        let context = SignInContext {
            realm: at.realm,
            keys: issue.keys,
            device: issue.device.unwrap_or_default(),
            route: at.route,
            address: at.address,
        };
        let user = self
            .judge_password(context, who.typed(), user, password)
            .await?;
        let factors = self.factors(user.id).await?;
        match (factors.phone(), factors.totp()) {
            (None, None) => {
                let holder = Holder::limited(user.id, user.name, None);
                let drawn = self.draw(issue, &holder, false).await?;
                let then = Deeds {
                    issue: Some(drawn.issue.clone()),
                    ..Deeds::default()
                };
                let now = self.clock.now();
                if !self.store.finish_wizard(wizard.digest, then, now).await? {
                    return Err(WizardError::NotFound);
                }
                self.emit_sign_in(context, EventKind::SignedIn, Some(user.id), "password");
                Ok(Next::Done(Box::new(drawn)))
            }
            (Some(_), Some(_)) => {
                self.advance(&wizard, Stage::Choose, Some(user.id), None)
                    .await?;
                Ok(Next::Choose)
            }
            (Some(_), None) => self.ask_code(at, &wizard, user.id, FactorKind::Sms).await,
            (None, Some(_)) => self.ask_code(at, &wizard, user.id, FactorKind::Totp).await,
        }
    }

    /// The sign-in's second step: which factor to use. Again, it sends another code.
    pub async fn sign_in_choose(
        &self,
        at: Place<'_>,
        name: &str,
        kind: FactorKind,
    ) -> Result<Next, WizardError> {
        let wizard = self.sign_in_wizard(at, name).await?;
        let user = wizard.user.ok_or(WizardError::OtherStep)?;
        self.ask_code(at, &wizard, user, kind).await
    }

    /// The sign-in's last step: the tokens, and the access token's session.
    pub async fn sign_in_code(
        &self,
        at: Place<'_>,
        name: &str,
        kind: FactorKind,
        code: &str,
        issue: &IssueTo<'_>,
    ) -> Result<(Drawn, Session), WizardError> {
        let wizard = self.sign_in_wizard(at, name).await?;
        let user = wizard.user.ok_or(WizardError::OtherStep)?;
        if wizard.stage != Stage::Code || wizard.factor != Some(kind) {
            return Err(WizardError::OtherStep);
        }
        let found = self.store.user(user).await?.ok_or(WizardError::NotFound)?;
        let holder = Holder::limited(user, found.name, None);
        let drawn = self.draw(issue, &holder, true).await?;
        let now = self.clock.now();
        let longest = now.after(self.settings.load().sessions.lifetime);
        let session = NewSession {
            key: drawn.pair,
            token: drawn.issue.access.digest,
            user,
            device_label: at.device_label.map(str::to_owned),
            verified_at: now,
            expires_at: drawn.access_expires_at.min(longest),
        };
        let then = Deeds {
            issue: Some(drawn.issue.clone()),
            sessions: vec![session],
            ..Deeds::default()
        };
        let asker = self.asker_of(at, user);
        let passed = self
            .judge_step(asker, &wizard, kind, code, Authority::Verified, then)
            .await?;
        let session = passed.sessions.into_iter().next();
        Ok((drawn, session.ok_or(WizardError::Unavailable)?))
    }

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
        };
        if let Some(key) = &key {
            wizard.stage = Stage::Code;
            let value = FactorValue::Totp(key.clone());
            let new = new_factor(&wizard, value);
            self.propose(caller, new).await?;
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
            WizardKind::Disable => {
                self.may_disable(caller, kind).await?;
                Authority::Verified
            }
            _ => return Err(WizardError::NotFound),
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
        self.may_enrol(caller, false).await?;
        Ok(factors)
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
            authority,
            then,
        };
        let now = self.clock.now();
        Ok(self.judge(asker, attempt, now).await?)
    }

    /// Sends the code of a factor, where one is sent, and waits for it.
    async fn ask_code(
        &self,
        at: Place<'_>,
        wizard: &Wizard,
        user: UserId,
        kind: FactorKind,
    ) -> Result<Next, WizardError> {
        let factors = self.factors(user).await?;
        let enrolled = factors.of(kind).ok_or(WizardError::NotEnabled)?;
        if kind != FactorKind::Totp {
            // Before the step: if it cannot be sent, the client may ask again.
            let message = Message {
                user,
                to: enrolled.value.clone(),
                bound_to: wizard.digest.into(),
                purpose: Purpose::Verify,
                replaces_others: false,
            };
            self.send(self.asker_of(at, user), message).await?;
        }
        self.advance(wizard, Stage::Code, Some(user), Some(kind))
            .await?;
        Ok(Next::Code(kind))
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

    /// The open sign-in of that name, if this device may go on with it.
    async fn sign_in_wizard(&self, at: Place<'_>, name: &str) -> Result<Wizard, WizardError> {
        let digest = self.keys.wizard(name);
        let found = self.store.wizard(digest, self.clock.now()).await?;
        found
            .filter(|wizard| wizard.kind == WizardKind::SignIn && wizard.realm == at.realm)
            .filter(|wizard| {
                let opener = wizard.device_label.as_deref();
                opener.is_none() || opener == at.device_label
            })
            .ok_or(WizardError::NotFound)
    }

    /// The open wizard of that name, if the caller's token has opened it.
    async fn of_caller(&self, caller: &Caller, name: &str) -> Result<Wizard, WizardError> {
        let digest = self.keys.wizard(name);
        let found = self.store.wizard(digest, self.clock.now()).await?;
        found
            .filter(|wizard| wizard.token == Some(caller.token))
            .filter(|wizard| wizard.user == Some(caller.holder.user))
            .ok_or(WizardError::NotFound)
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
        let opener = subject::address(&self.keys, address);
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

/// Beside what the user has already.
fn new_factor(wizard: &Wizard, value: FactorValue) -> NewFactor {
    NewFactor {
        value,
        bound_to: wizard.digest.into(),
        replaces_others: false,
        sudo: false,
    }
}

/// Who signs in, as typed.
#[derive(Clone, Copy)]
pub enum Who<'a> {
    Name(&'a str),
    Email(&'a str),
}

impl<'a> Who<'a> {
    fn typed(self) -> &'a str {
        match self {
            Self::Name(text) | Self::Email(text) => text,
        }
    }
}
