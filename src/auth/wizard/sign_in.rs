//! The sign-in: a password, then a code of one of the user's factors.

use super::{Place, WizardError};
use crate::auth::challenge::Message;
use crate::auth::ports::{
    Authority, Deeds, FactorKind, NewSession, Purpose, Stage, User, Whence, Wizard, WizardKind,
};
use crate::auth::sign_in::SignInContext;
use crate::auth::tokens::{Drawn, IssueTo};
use crate::auth::{Auth, subject};
use crate::config::model::Requirement;
use crate::event::EventKind;
use crate::gate::session::{Holder, Session};
use crate::id::UserId;
use crate::secret::Secret;

/// What a sign-in asks next.
#[derive(Clone, Debug)]
pub enum Next {
    /// Nothing: the user has no factor, or is asked for none. These are the tokens (no session is verified).
    Done(Box<Drawn>),
    /// A code of this factor; one that is sent has been sent.
    Code(FactorKind),
    /// Which of several factors to use.
    Choose,
}

/// Who signs in, as typed.
#[derive(Clone, Copy)]
pub enum Who<'a> {
    Name(&'a str),
    Email(&'a str),
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

    /// The sign-in's first step: a user's name or email address, and the password. `most` says what the
    /// route asks of the user at the most.
    pub async fn sign_in_password(
        &self,
        at: Place<'_>,
        name: &str,
        who: Who<'_>,
        password: &Secret,
        issue: &IssueTo<'_>,
        most: impl FnOnce(&User) -> Requirement,
    ) -> Result<Next, WizardError> {
        let wizard = self.sign_in_wizard(at, name).await?;
        if wizard.stage != Stage::Opened {
            return Err(WizardError::OtherStep);
        }
        let (typed, user) = match who {
            Who::Name(name) => {
                let user = self.store.user_by_name(at.realm, name).await?;
                (name.to_owned(), user)
            }
            // Counted as it is found: another case of its letters is no other address.
            Who::Email(email) => {
                let user = self.store.user_by_email(at.realm, email).await?;
                (subject::mailbox(email), user)
            }
        };
        let context = SignInContext {
            realm: at.realm,
            keys: issue.keys,
            device: issue.device,
            route: at.route,
            address: at.address,
        };
        let judging = self.judge_password(context, &typed, user, password);
        let user = judging.await?;
        let most = most(&user);
        self.is_open(context, &user, most)?;
        if matches!(most, Requirement::Nothing | Requirement::Token) {
            return self.without_code(context, &wizard, user, issue).await;
        }
        let factors = self.factors(user.id).await?;
        match (factors.phone(), factors.totp()) {
            (None, None) => self.without_code(context, &wizard, user, issue).await,
            (Some(_), Some(_)) => {
                let step = self.advance(&wizard, Stage::Choose, Some(user.id), None);
                step.await.map(|()| Next::Choose)
            }
            (Some(_), None) => self.ask_code(at, &wizard, user.id, FactorKind::Sms).await,
            (None, Some(_)) => self.ask_code(at, &wizard, user.id, FactorKind::Totp).await,
        }
    }

    /// Ends the sign-in of a user who has no factor to ask for, or is asked for none: with tokens, and no
    /// session.
    async fn without_code(
        &self,
        at: SignInContext<'_>,
        wizard: &Wizard,
        user: User,
        issue: &IssueTo<'_>,
    ) -> Result<Next, WizardError> {
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
        self.emit_sign_in(at, EventKind::SignedIn, Some(user.id), "password");
        Ok(Next::Done(Box::new(drawn)))
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
            whence: Whence {
                address: at.address,
                client: at.client.to_owned(),
            },
            instead_of: None,
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
                is_for_program: false,
                words: at.words,
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
}
