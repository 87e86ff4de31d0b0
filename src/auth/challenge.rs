//! Start and verify a one-time code.
//!
//! Both run to their end in a task of their own: a client that hangs up in the middle leaves no
//! place in the limits that nobody gives back, no code that was sent and not stored, and no wrong
//! code that was counted and not audited.

use super::lockout::{Blocked, LockoutPolicy};
use super::ports::{
    Attempt, Attempted, NewChallenge, NewSession, Purpose, Reserved, SendLimits, SendRequest,
    Store, StoreError, Subjects,
};
use super::{Auth, Caller, Deliver, DeliveryError, Settings, subject};
use crate::clock::{Clock, Timestamp};
use crate::config::model;
use crate::digest::{DigestKeys, SessionKey};
use crate::entropy;
use crate::event::{Event, EventKind, Events};
use crate::factor::one_time;
use crate::factor::phone::Phone;
use crate::gate::session::{Factor, Session};
use crate::id::UserId;
use crate::secret::Secret;
use std::sync::Arc;

/// A code is on its way.
#[derive(Clone, Debug)]
pub struct Started {
    pub expires_at: Timestamp,
    /// `+45******78`
    pub masked_recipient: String,
}

/// Why no code was sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    #[error("no phone number is known for this user")]
    NoRecipient,
    #[error("codes cannot be sent to this number")]
    RecipientRefused,
    #[error("wait before asking for another code")]
    TooMany { retry_after_secs: u64 },
    #[error("too many wrong codes")]
    Blocked(Blocked),
    #[error("the code could not be sent")]
    NotSent,
    #[error("the store does not answer")]
    Unavailable,
}

/// Why a code did not verify.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    #[error("the code is not a row of digits")]
    Malformed,
    #[error("the code is wrong")]
    Wrong { left: u32 },
    #[error("the code has expired or was used")]
    Gone,
    #[error("no code was sent")]
    NeverSent,
    #[error("too many wrong codes")]
    Blocked(Blocked),
    #[error("the store does not answer")]
    Unavailable,
}

impl From<StoreError> for StartError {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "a code could not be sent");
        Self::Unavailable
    }
}

impl From<StoreError> for VerifyError {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "a code could not be judged");
        Self::Unavailable
    }
}

impl Auth {
    /// The number a user's codes go to, if one is known.
    pub async fn phone(&self, user: UserId) -> Result<Option<Phone>, StoreError> {
        Ok(self.store.user(user).await?.and_then(|user| user.phone))
    }

    /// Sends one SMS code to the caller's user and makes it the pair's pending challenge.
    ///
    /// Nothing of an older pending code is touched before a provider has accepted the new one.
    pub async fn start_sms(&self, caller: &Caller) -> Result<Started, StartError> {
        let settings = self.settings.load_full();
        let subjects = [
            subject::user(&self.keys, caller.holder.user),
            subject::address(&self.keys, caller.address),
        ];
        if let Some(blocked) = self.store.blocked(&subjects, self.clock.now()).await? {
            return Err(StartError::Blocked(blocked));
        }
        let phone = self.phone(caller.holder.user).await?;
        let phone = phone.ok_or(StartError::NoRecipient)?;
        let prefix = allowed_prefix(&phone, &settings.limits.countries)?;
        let code = entropy::digits(&*self.entropy, settings.codes.length)
            .map(Secret::new)
            .map_err(|_| StartError::Unavailable)?;
        let sending = Sending {
            store: Arc::clone(&self.store),
            deliver: self.deliver.load_full(),
            events: Arc::clone(&self.events),
            clock: Arc::clone(&self.clock),
            keys: self.keys.clone(),
            caller: caller.clone(),
            settings,
            phone,
            prefix,
            code,
        };
        to_its_end(sending.run())
            .await
            .unwrap_or(Err(StartError::Unavailable))
    }

    /// Verifies a code of the caller's pending challenge. `session_key` is the pair that becomes
    /// verified: the caller's, except where a browser's device cookie changes.
    pub async fn verify(
        &self,
        caller: &Caller,
        code: &str,
        session_key: SessionKey,
        session_device_label: Option<String>,
    ) -> Result<Session, VerifyError> {
        let code = one_time::normalise(code).ok_or(VerifyError::Malformed)?;
        let now = self.clock.now();
        // A session must not outlive the token that it stands on: a share link has an end.
        let live = self.store.token(caller.token, now).await?;
        let (token, _) = live.ok_or(VerifyError::NeverSent)?;
        let settings = self.settings.load_full();
        let expires_at = now.after(settings.sessions.lifetime);
        let session = NewSession {
            key: session_key,
            token: caller.token,
            user: caller.holder.user,
            factor: Factor::Sms,
            device_label: session_device_label,
            verified_at: now,
            expires_at: token
                .expires_at
                .map_or(expires_at, |end| end.min(expires_at)),
        };
        let purpose = Purpose::Verify;
        let attempt = Attempt {
            pair: caller.pair,
            purpose,
            user: caller.holder.user,
            code: self.keys.code(caller.pair, purpose.as_str(), code.expose()),
            subjects: self.subjects(caller, &settings.lockout),
            session,
        };
        let judge = Judge {
            store: Arc::clone(&self.store),
            events: Arc::clone(&self.events),
            caller: caller.clone(),
        };
        to_its_end(judge.run(attempt, now))
            .await
            .unwrap_or(Err(VerifyError::Unavailable))
    }

    fn subjects(&self, caller: &Caller, lockout: &model::Lockout) -> Subjects {
        Subjects {
            user: (
                subject::user(&self.keys, caller.holder.user),
                LockoutPolicy::for_user(lockout),
            ),
            address: (
                subject::address(&self.keys, caller.address),
                LockoutPolicy::for_address(lockout),
            ),
        }
    }
}

/// Reserve → send → store, with everything it needs, so that it can outlive its request.
struct Sending {
    store: Arc<dyn Store>,
    deliver: Arc<Box<dyn Deliver>>,
    events: Arc<dyn Events>,
    clock: Arc<dyn Clock>,
    keys: DigestKeys,
    settings: Arc<Settings>,
    caller: Caller,
    phone: Phone,
    prefix: String,
    code: Secret,
}

impl Sending {
    async fn run(self) -> Result<Started, StartError> {
        let request = SendRequest {
            user: self.caller.holder.user,
            recipient: self.keys.recipient(self.phone.e164()),
            prefix: self.prefix.clone(),
            limits: send_limits(&self.settings),
        };
        let place = match self.store.reserve_send(request, self.clock.now()).await? {
            Reserved::Yes(place) => place,
            Reserved::No {
                retry_after_secs, ..
            } => {
                let refused = EventKind::Refused;
                emit(&*self.events, &self.caller, refused, "sms limited");
                return Err(StartError::TooMany { retry_after_secs });
            }
        };
        let text = one_time::message(
            self.code.expose(),
            &self.settings.service_name,
            self.settings.codes.lifetime,
        );
        if let Err(error) = self.deliver.sms(&self.phone, &text).await {
            // What no provider accepted does not count. If this fails too, the place is kept,
            // which errs on the side of sending less.
            if let Err(error) = self.store.release_send(place).await {
                tracing::error!(%error, "a place in the sending limits could not be given back");
            }
            emit(
                &*self.events,
                &self.caller,
                EventKind::Refused,
                "sms not sent",
            );
            return Err(match error {
                DeliveryError::BadRecipient => StartError::RecipientRefused,
                DeliveryError::NotConfigured | DeliveryError::NotAccepted | DeliveryError::Busy => {
                    StartError::NotSent
                }
            });
        }
        self.store_challenge().await
    }

    async fn store_challenge(&self) -> Result<Started, StartError> {
        let purpose = Purpose::Verify;
        let now = self.clock.now();
        let expires_at = now.after(self.settings.codes.lifetime);
        let challenge = NewChallenge {
            pair: self.caller.pair,
            user: self.caller.holder.user,
            purpose,
            factor: Factor::Sms,
            code: self
                .keys
                .code(self.caller.pair, purpose.as_str(), self.code.expose()),
            attempts: self.settings.codes.attempts,
            created_at: now,
            expires_at,
        };
        self.store.put_challenge(challenge).await?;
        emit(&*self.events, &self.caller, EventKind::Challenged, "sms");
        Ok(Started {
            expires_at,
            masked_recipient: self.phone.masked(),
        })
    }
}

/// One attempt and its audit, with everything it needs, so that it can outlive its request.
struct Judge {
    store: Arc<dyn Store>,
    events: Arc<dyn Events>,
    caller: Caller,
}

impl Judge {
    async fn run(self, attempt: Attempt, now: Timestamp) -> Result<Session, VerifyError> {
        let user = attempt.subjects.user.0;
        match self.store.attempt(attempt, now).await? {
            Attempted::Verified(session) => {
                self.emit(EventKind::Verified, "sms");
                Ok(session)
            }
            Attempted::Wrong { left } => {
                self.emit(EventKind::Refused, "sms wrong code");
                // Only the failure that meets the bound is evaluated: later ones are `Blocked`.
                if let Ok(Some(Blocked::Locked)) = self.store.blocked(&[user], now).await {
                    self.emit(EventKind::Locked, "wrong codes");
                }
                Err(VerifyError::Wrong { left })
            }
            Attempted::Gone => {
                self.emit(EventKind::Refused, "sms expired");
                Err(VerifyError::Gone)
            }
            Attempted::NeverSent => Err(VerifyError::NeverSent),
            Attempted::Blocked(blocked) => Err(VerifyError::Blocked(blocked)),
        }
    }

    fn emit(&self, kind: EventKind, detail: &str) {
        emit(&*self.events, &self.caller, kind, detail);
    }
}

fn emit(events: &dyn Events, caller: &Caller, kind: EventKind, detail: &str) {
    events.emit(Event {
        kind,
        user: Some(caller.holder.user),
        route: caller.route.clone(),
        address: Some(caller.address),
        detail: detail.to_owned(),
    });
}

/// Runs `work` to its end even if the caller is dropped. `None` if it panicked or the runtime ends.
async fn to_its_end<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> Option<T> {
    tokio::spawn(work).await.ok()
}

fn send_limits(settings: &Settings) -> SendLimits {
    let limits = &settings.limits;
    SendLimits {
        resend_after: settings.codes.resend_after,
        per_user_per_hour: limits.per_user_per_hour,
        per_number_per_hour: limits.per_number_per_hour,
        per_gateway_per_minute: limits.per_gateway_per_minute,
        per_prefix_per_minute: limits.per_prefix_per_minute,
    }
}

/// The number's country calling code, if its country is one that codes may be sent to. A number
/// that belongs to no country (satellite, international freephone) is refused wherever the
/// countries are limited.
fn allowed_prefix(phone: &Phone, countries: &[String]) -> Result<String, StartError> {
    let allowed = countries.is_empty()
        || phone
            .country()
            .is_some_and(|country| countries.iter().any(|allowed| allowed == country));
    if !allowed {
        return Err(StartError::RecipientRefused);
    }
    Ok(phone.prefix().to_owned())
}

#[cfg(test)]
mod tests;
