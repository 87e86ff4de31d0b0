//! Enrol a factor, turn one off, make backup codes, reset a user: what may weaken a user, and who
//! may do it.
//!
//! Every use case here asks for the caller's right by itself, so that no dialect can forget it: once
//! a user has a verified factor, only a verified pair may change anything. What confirms an
//! enrolment is a code ([`Auth::verify`]); the store asks for the right once more in that step.

use super::challenge::{Message, StartError, Started};
use super::ports::{
    BackupCodes, Disable, FactorSet, FactorValue, NewChallenge, Pending, Purpose, Store,
    StoreError, Target,
};
use super::{Auth, Caller, Standing, subject};
use crate::clock::Timestamp;
use crate::digest::{Binding, DigestKeys};
use crate::entropy::{self, NoEntropy};
use crate::event::EventKind;
use crate::factor::backup;
use crate::factor::totp::TotpSecret;
use crate::id::UserId;
use crate::secret::Secret;
use std::time::Duration;

/// How long an enrolment waits for its first code where none was sent: to set an app up takes a
/// person a while.
const PROPOSAL_LIFETIME: Duration = Duration::from_secs(3600);

/// Why a factor is not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnrolError {
    /// The user has a verified factor, and the caller's pair is not verified (recently enough).
    #[error("verify your second factor first")]
    NotVerified,
    /// The user has none, and the route does not let users enrol the first one by themselves.
    #[error("a second factor can only be set up by who runs this service")]
    NoSelfEnrolment,
    /// The token is a share link's: whom it asks for a code is for who shared it to say. Its recipient
    /// could give the link on, with a factor of somebody else's.
    #[error("only who shared this link can change its second factor")]
    Shared,
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("the store does not answer")]
    Unavailable,
}

/// Why a user is not reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResetError {
    #[error("verify your second factor first")]
    NotVerified,
    /// The caller may not edit users.
    #[error("you may not edit users")]
    NotAllowed,
    /// Only told to a caller who may edit users.
    #[error("there is no such user")]
    NoSuchUser,
    #[error("the store does not answer")]
    Unavailable,
}

impl From<StoreError> for EnrolError {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "a factor could not be changed");
        Self::Unavailable
    }
}

impl From<NoEntropy> for EnrolError {
    fn from(error: NoEntropy) -> Self {
        tracing::error!(%error, "a factor could not be changed");
        Self::Unavailable
    }
}

impl From<StoreError> for ResetError {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "a user could not be reset");
        Self::Unavailable
    }
}

/// A factor that a caller wants to enrol.
#[derive(Clone, Debug)]
pub struct NewFactor {
    pub value: FactorValue,
    /// What its code will be bound to: the caller's pair, or a wizard.
    pub bound_to: Binding,
    /// Whether the user's other factors are turned off once it is confirmed.
    pub replaces_others: bool,
    /// Whether a verified factor asks for a caller in sudo mode.
    pub sudo: bool,
}

/// What became of a factor that its user wants to remove.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removed {
    Yes,
    WasOff,
    /// It is the last one, and the user could not set another one up.
    LastStays,
}

/// An enrolment that waits for its code.
#[derive(Clone, Debug)]
pub struct PendingEnrolment {
    pub value: FactorValue,
    pub replaces_others: bool,
    pub expires_at: Timestamp,
    /// Until a new code may be asked for, if one was sent. Other limits may ask for more.
    pub resend_after_secs: u64,
}

impl Auth {
    /// The verified factors of a user that count on this gateway: an address from the operator or
    /// the profile does only where mail can be sent.
    pub async fn factors(&self, user: UserId) -> Result<FactorSet, StoreError> {
        let mut factors = self.store.factors(user).await?;
        let sends_mail = self.settings.load().sends_mail;
        factors.enrolled.retain(|one| one.counts(sends_mail));
        Ok(factors)
    }

    /// Whether the caller may change factors now: with a verified pair, or, as long as the user has
    /// no factor and the route allows it, with the token alone. `sudo`: the pair must have been
    /// verified within that time, if there is a factor.
    ///
    /// Only for what comes before a use case of this module: each of those asks by itself.
    pub async fn may_enrol(&self, caller: &Caller, sudo: bool) -> Result<(), EnrolError> {
        if caller.is_guest() {
            return Err(EnrolError::Shared);
        }
        let asked = match sudo {
            true => Standing::Sudo,
            false => Standing::Verified,
        };
        if caller.standing >= asked {
            return Ok(());
        }
        match (self.has_factor(caller).await?, caller.standing) {
            (true, _) => Err(EnrolError::NotVerified),
            (false, Standing::Verified | Standing::Sudo) => Ok(()),
            (false, Standing::Token) if caller.self_enrolment => Ok(()),
            (false, Standing::Token) => Err(EnrolError::NoSelfEnrolment),
        }
    }

    pub(super) async fn has_factor(&self, caller: &Caller) -> Result<bool, StoreError> {
        let factors = self.factors(caller.holder.user).await?;
        Ok(!factors.is_empty())
    }

    /// A new authenticator secret, not stored.
    pub fn new_totp_secret(&self) -> Result<TotpSecret, EnrolError> {
        Ok(TotpSecret::generate(&*self.entropy)?)
    }

    /// Keeps an authenticator's secret, or a number that no code goes to yet, as the pending
    /// enrolment of its binding. Returns when it ends.
    pub async fn propose(&self, caller: &Caller, new: NewFactor) -> Result<Timestamp, EnrolError> {
        self.may_enrol(caller, new.sudo).await?;
        let now = self.clock.now();
        let expires_at = now.after(PROPOSAL_LIFETIME);
        let challenge = NewChallenge {
            bound_to: new.bound_to,
            purpose: Purpose::Enrol,
            user: Some(caller.holder.user),
            factor: new.value.kind(),
            code: None,
            value: Some(new.value),
            replaces_others: new.replaces_others,
            attempts: self.settings.load().codes.attempts,
            created_at: now,
            expires_at,
        };
        self.store.put_challenge(challenge).await?;
        Ok(expires_at)
    }

    /// Sends a code to a number (or address) that is to be enrolled, and makes it the pending
    /// enrolment of its binding.
    pub async fn send_enrolment(
        &self,
        caller: &Caller,
        new: NewFactor,
    ) -> Result<Started, EnrolError> {
        self.may_enrol(caller, new.sudo).await?;
        let message = Message {
            is_for_program: false,
            words: caller.words,
            user: caller.holder.user,
            to: new.value,
            bound_to: new.bound_to,
            purpose: Purpose::Enrol,
            replaces_others: new.replaces_others,
        };
        Ok(self.send(caller.asker(&self.keys), message).await?)
    }

    /// The pending enrolment of `bound_to`, if it is of the caller's user and the caller may
    /// confirm it: its secret is nobody else's business.
    pub async fn pending_enrolment(
        &self,
        caller: &Caller,
        bound_to: Binding,
    ) -> Result<Option<PendingEnrolment>, StoreError> {
        match self.may_enrol(caller, false).await {
            Ok(()) => {}
            Err(EnrolError::Unavailable) => {
                return Err(StoreError::Unavailable("its factors".to_owned()));
            }
            Err(_) => return Ok(None),
        }
        let pending = self.own_pending(caller, bound_to).await?;
        Ok(pending.and_then(|pending| {
            Some(PendingEnrolment {
                value: pending.value?,
                replaces_others: pending.replaces_others,
                expires_at: pending.expires_at,
                resend_after_secs: match pending.has_code {
                    true => self.resend_after_secs(pending.expires_at),
                    false => 0,
                },
            })
        }))
    }

    async fn own_pending(
        &self,
        caller: &Caller,
        bound_to: Binding,
    ) -> Result<Option<Pending>, StoreError> {
        let now = self.clock.now();
        let pending = self.store.pending(bound_to, Purpose::Enrol, now).await?;
        Ok(pending.filter(|pending| pending.user == Some(caller.holder.user)))
    }

    /// Turns factors off, with the audit; returns whether any was on. What waits to be confirmed for
    /// the caller's pair is withdrawn too.
    pub async fn disable(
        &self,
        caller: &Caller,
        which: Disable,
        sudo: bool,
    ) -> Result<bool, EnrolError> {
        // With the token alone nothing is turned off: a first factor may just be on its way.
        if caller.standing == Standing::Token && !self.has_factor(caller).await? {
            self.withdraw(caller, which).await?;
            return Ok(false);
        }
        self.may_enrol(caller, sudo).await?;
        self.withdraw(caller, which).await?;
        let now = self.clock.now();
        let was_on = self.store.disable(caller.holder.user, which, now).await?;
        if was_on {
            let detail = match which {
                Disable::One(kind) => kind.as_str(),
                Disable::Own { target, .. } => target.kind().as_str(),
                Disable::All => "all factors",
            };
            self.emit(caller, EventKind::Disabled, detail);
        }
        Ok(was_on)
    }

    /// Takes one of the caller's own factors away, in sudo mode. The last one goes only where the user
    /// can enrol another one with the token alone, or nobody but the operator could ever let the user
    /// in again; the backup codes go with it.
    pub async fn remove_factor(
        &self,
        caller: &Caller,
        target: impl Into<Target>,
    ) -> Result<Removed, EnrolError> {
        let target = target.into();
        let which = Disable::Own {
            target,
            last_too: caller.self_enrolment,
            email_counts: self.settings.load().sends_mail,
        };
        if self.disable(caller, which, true).await? {
            return Ok(Removed::Yes);
        }
        let factors = self.factors(caller.holder.user).await?;
        let is_on = match target {
            Target::Kind(kind) => factors.kinds().any(|one| one == kind),
            Target::Passkey(id) => factors.passkeys.iter().any(|one| one.id == id),
        };
        Ok(match is_on {
            true => Removed::LastStays,
            false => Removed::WasOff,
        })
    }

    /// Ends the pending enrolment of the caller's pair, if it is of such a kind.
    async fn withdraw(&self, caller: &Caller, which: Disable) -> Result<(), StoreError> {
        let bound_to = Binding::from(caller.pair);
        let pending = self.own_pending(caller, bound_to).await?;
        let Some(pending) = pending.filter(|pending| which.covers(pending.factor)) else {
            return Ok(());
        };
        let now = self.clock.now();
        let over = NewChallenge {
            bound_to,
            purpose: Purpose::Enrol,
            user: pending.user,
            factor: pending.factor,
            code: None,
            value: pending.value,
            replaces_others: false,
            attempts: 0,
            created_at: now,
            expires_at: now,
        };
        self.store.put_challenge(over).await.map(drop)
    }

    /// Makes ten new backup codes in place of the older ones: `dddd dddd`, to be shown once. Only
    /// for a verified pair, whatever factors there are: made with the token alone they would be a
    /// back door into what is enrolled later.
    pub async fn new_backup_codes(
        &self,
        caller: &Caller,
        sudo: bool,
    ) -> Result<Vec<Secret>, EnrolError> {
        if caller.standing == Standing::Token {
            return Err(EnrolError::NotVerified);
        }
        // To hash them takes a while: a reset meanwhile must have the last word.
        let since = self.store.feed_head().await?;
        self.may_enrol(caller, sudo).await?;
        let shown = backup::generate(&*self.entropy)?;
        let salt = entropy::bytes(&*self.entropy)?;
        let bare = shown.iter().map(|code| backup::normalise(code.expose()));
        let bare: Option<Vec<_>> = bare.collect();
        let place = self.place_to_hash().await.ok_or(EnrolError::Unavailable)?;
        let hashed = self.hash_backup(bare.ok_or(EnrolError::Unavailable)?, salt, place);
        let codes = hashed.await.ok_or(EnrolError::Unavailable)?;
        let set = BackupCodes { salt, codes };
        let now = self.clock.now();
        let user = caller.holder.user;
        if !self.store.put_backup_codes(user, set, since, now).await? {
            return Err(EnrolError::NotVerified);
        }
        self.emit(caller, EventKind::Enrolled, "backup codes");
        Ok(shown)
    }

    /// Resets the second factor of another user of the caller's identity, and ends that user's
    /// sessions: the gate has to forget them.
    pub async fn reset(&self, caller: &Caller, user: UserId) -> Result<(), ResetError> {
        if caller.standing < Standing::Verified {
            return Err(ResetError::NotVerified);
        }
        let editor = self.store.user(caller.holder.user).await?;
        let editor = editor.filter(|editor| editor.can_edit_users);
        let editor = editor.ok_or(ResetError::NotAllowed)?;
        let target = self.store.user(user).await?;
        if target.is_none_or(|target| target.realm != editor.realm) {
            return Err(ResetError::NoSuchUser);
        }
        reset_user(&*self.store, &self.keys, user, self.clock.now()).await?;
        let mut asker = caller.asker(&self.keys);
        asker.user = Some(user);
        let detail = format!("second factor, by user {}", editor.id);
        asker.emit(&*self.events, EventKind::Reset, &detail);
        Ok(())
    }

    /// What an authenticator app shows: the service and the user's name.
    #[must_use]
    pub fn totp_uri(&self, secret: &TotpSecret, name: &str) -> Secret {
        secret.uri(&self.settings.load().service_name, name)
    }

    fn emit(&self, caller: &Caller, kind: EventKind, detail: &str) {
        caller.asker(&self.keys).emit(&*self.events, kind, detail);
    }
}

/// Forgets a user's second factor and the counts of wrong codes (of the user, and of whoever named
/// the user's address without a token), and ends the user's sessions. The
/// audit and the gate are the caller's.
pub async fn reset_user(
    store: &dyn Store,
    keys: &DigestKeys,
    user: UserId,
    now: Timestamp,
) -> Result<(), StoreError> {
    let subject = subject::user(keys, user);
    store.reset_user(user, subject, now).await?;
    let known = store.user(user).await?;
    let Some((realm, email)) = known.and_then(|known| Some((known.realm, known.email?))) else {
        return Ok(());
    };
    let unauthorized = subject::unauthorized(keys, &realm, email.expose());
    store.succeeded(&[unauthorized]).await
}

#[cfg(test)]
mod tests;
