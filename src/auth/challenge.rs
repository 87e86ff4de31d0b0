//! Start and verify a code.
//!
//! Both run to their end in a task of their own: a client that hangs up in the middle leaves no
//! place in the limits that nobody gives back, no code that was sent and not stored, and no wrong
//! code that was counted and not audited.

use super::lockout::{Blocked, LockoutPolicy};
use super::ports::{
    Attempt, Attempted, Authority, Deeds, FactorKind, FactorValue, NewChallenge, NewSession,
    Passed, Purpose, Reserved, SendLimits, SendRequest, Store, StoreError, Subjects, Try,
};
use super::tokens::{Drawn, IssueTo};
use super::{Asker, Auth, Caller, Deliver, DeliveryError, Settings, Standing, subject};
use crate::clock::{Clock, Timestamp};
use crate::digest::{Binding, DigestKeys, SessionKey};
use crate::entropy;
use crate::event::{Event, EventKind, Events};
use crate::factor::email::EmailAddress;
use crate::factor::phone::Phone;
use crate::factor::{backup, one_time};
use crate::gate::session::Session;
use crate::id::UserId;
use crate::secret::Secret;
use std::sync::Arc;

/// What the limit by prefix counts for mail.
const MAIL_PREFIX: &str = "email";

/// A code is on its way.
#[derive(Clone, Debug)]
pub struct Started {
    pub sent_at: Timestamp,
    pub expires_at: Timestamp,
    /// `+45******78`
    pub masked_recipient: String,
}

/// Why no code was sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// The user has no such factor, or none that a code could be sent to.
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
    /// `left`: more tries on the code that was sent, if one was.
    #[error("the code is wrong")]
    Wrong { left: Option<u32> },
    #[error("the code has expired or was used")]
    Gone,
    #[error("no code was sent")]
    NeverSent,
    /// An enrolment that the caller may not confirm (any more).
    #[error("verify your second factor first")]
    Forbidden,
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

/// What a typed code may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accept {
    /// The code that was sent to the pair, or one of the user's authenticator.
    Factor,
    /// That, or the code of the pair's pending enrolment.
    FactorOrEnrolment,
    /// The code of the pair's pending enrolment.
    Enrolment,
    /// A backup code.
    Backup,
}

/// A code that a caller typed.
#[derive(Clone, Debug)]
pub struct Typed<'a> {
    pub code: &'a str,
    pub accept: Accept,
    /// The pair that becomes verified: the caller's, except where a browser's device cookie changes.
    pub pair: SessionKey,
    pub device_label: Option<String>,
    /// Tokens that a right code issues.
    pub issue: Option<IssueTo<'a>>,
}

/// A right code, and what came of it.
#[derive(Clone, Debug)]
pub struct Verified {
    pub passed: Passed,
    /// Of the pair, for the gate to remember.
    pub session: Session,
    /// The issued tokens, with the session of the access token.
    pub issued: Option<(Drawn, Session)>,
}

/// A code to be sent, and what it will be good for.
pub(super) struct Message {
    pub(super) user: UserId,
    /// With [`Purpose::Enrol`] it is also what the code confirms.
    pub(super) to: FactorValue,
    pub(super) bound_to: Binding,
    pub(super) purpose: Purpose,
    pub(super) replaces_others: bool,
}

impl Auth {
    /// Sends a code of one of the user's factors to verify the caller's pair.
    pub async fn start(&self, caller: &Caller, kind: FactorKind) -> Result<Started, StartError> {
        let factors = self.factors(caller.holder.user).await?;
        let enrolled = factors.of(kind).ok_or(StartError::NoRecipient)?;
        let message = Message {
            user: caller.holder.user,
            to: enrolled.value.clone(),
            bound_to: caller.pair.into(),
            purpose: Purpose::Verify,
            replaces_others: false,
        };
        self.send(caller.asker(&self.keys), message).await
    }

    /// Sends one code and makes it the pending challenge of its binding and purpose.
    ///
    /// Nothing of an older pending code is touched before a provider has accepted the new one.
    pub(super) async fn send(&self, asker: Asker, message: Message) -> Result<Started, StartError> {
        let settings = self.settings.load_full();
        let address = subject::address(&self.keys, asker.address);
        let subjects = [asker.subject, address];
        if let Some(blocked) = self.store.blocked(&subjects, self.clock.now()).await? {
            return Err(StartError::Blocked(blocked));
        }
        let code = entropy::digits(&*self.entropy, settings.codes.length)
            .map(Secret::new)
            .map_err(|_| StartError::Unavailable)?;
        let sending = self.sending(asker, message, code)?;
        let sent = to_its_end(async move {
            sending.hand_over().await?;
            sending.store_challenge().await
        });
        sent.await.unwrap_or(Err(StartError::Unavailable))
    }

    /// Sends a code whose challenge is stored already, behind the answer: nobody can tell from it
    /// whether there was anything to be sent.
    pub(super) fn send_behind(&self, asker: Asker, message: Message, code: Secret) {
        if let Ok(sending) = self.sending(asker, message, code) {
            tokio::spawn(async move {
                if let Err(error) = sending.hand_over().await {
                    tracing::warn!(%error, "a code was not sent");
                }
            });
        }
    }

    fn sending(&self, asker: Asker, message: Message, code: Secret) -> Result<Sending, StartError> {
        let settings = self.settings.load_full();
        Ok(Sending {
            store: Arc::clone(&self.store),
            deliver: self.deliver.load_full(),
            events: Arc::clone(&self.events),
            clock: Arc::clone(&self.clock),
            keys: self.keys.clone(),
            recipient: Recipient::of(&message.to, &settings)?,
            asker,
            settings,
            message,
            code,
        })
    }

    /// The session that a right code makes for the caller's pair. It does not outlive the token that
    /// it stands on: a share link has an end.
    pub(super) async fn session_of(&self, caller: &Caller) -> Result<NewSession, VerifyError> {
        let now = self.clock.now();
        let live = self.store.token(caller.token, now).await?;
        let (token, _) = live.ok_or(VerifyError::NeverSent)?;
        let longest = now.after(self.settings.load().sessions.lifetime);
        Ok(NewSession {
            key: caller.pair,
            token: caller.token,
            user: caller.holder.user,
            device_label: caller.device_label.clone(),
            verified_at: now,
            expires_at: token.expires_at.map_or(longest, |end| end.min(longest)),
        })
    }

    /// Verifies a code that the caller typed, and with it the pair.
    pub async fn verify(&self, caller: &Caller, typed: Typed<'_>) -> Result<Verified, VerifyError> {
        let tries = self.tries(caller, &typed).await?;
        let now = self.clock.now();
        let session = NewSession {
            key: typed.pair,
            device_label: typed.device_label.clone(),
            ..self.session_of(caller).await?
        };
        let drawn = match &typed.issue {
            Some(to) => Some(self.draw(to, &caller.holder, true).await?),
            None => None,
        };
        let of_access = drawn.as_ref().map(|drawn| NewSession {
            key: drawn.pair,
            token: drawn.issue.access.digest,
            expires_at: drawn.access_expires_at.min(session.expires_at),
            ..session.clone()
        });
        let attempt = Attempt {
            user: Some(caller.holder.user),
            tries,
            subjects: self.subjects(&caller.asker(&self.keys)),
            token: Some(caller.token),
            wizard: None,
            authority: self.confirms_by(caller),
            then: Deeds {
                issue: drawn.as_ref().map(|drawn| drawn.issue.clone()),
                sessions: [Some(session), of_access].into_iter().flatten().collect(),
                ..Deeds::default()
            },
        };
        let passed = self.judge(caller.asker(&self.keys), attempt, now).await?;
        let mut sessions = passed.sessions.iter().cloned();
        let session = sessions.next().ok_or(VerifyError::Unavailable)?;
        let issued = drawn.zip(sessions.next());
        Ok(Verified {
            passed,
            session,
            issued,
        })
    }

    /// Judges an attempt, with its audit, even if the client hangs up.
    pub(super) async fn judge(
        &self,
        asker: Asker,
        attempt: Attempt,
        now: Timestamp,
    ) -> Result<Passed, VerifyError> {
        let judge = Judge {
            store: Arc::clone(&self.store),
            events: Arc::clone(&self.events),
            asker,
        };
        to_its_end(judge.run(attempt, now))
            .await
            .unwrap_or(Err(VerifyError::Unavailable))
    }

    /// Whom a wrong code counts against.
    pub(super) fn subjects(&self, asker: &Asker) -> Subjects {
        let lockout = self.settings.load().lockout;
        Subjects {
            user: (asker.subject, LockoutPolicy::for_user(&lockout)),
            address: (
                subject::address(&self.keys, asker.address),
                LockoutPolicy::for_address(&lockout),
            ),
        }
    }

    /// By what right the caller confirms an enrolment. Without self-enrolment there is nothing
    /// pending that the token alone could confirm.
    fn confirms_by(&self, caller: &Caller) -> Authority {
        match caller.standing {
            Standing::Token => Authority::First {
                email_counts: self.settings.load().sends_mail,
            },
            Standing::Verified | Standing::Sudo => Authority::Verified,
        }
    }

    async fn tries(&self, caller: &Caller, typed: &Typed<'_>) -> Result<Vec<Try>, VerifyError> {
        if typed.accept == Accept::Backup {
            return self.try_backup(caller.holder.user, typed.code).await;
        }
        let code = one_time::normalise(typed.code).ok_or(VerifyError::Malformed)?;
        let bound_to = Binding::from(caller.pair);
        let mut tries = Vec::new();
        if matches!(typed.accept, Accept::Enrolment | Accept::FactorOrEnrolment) {
            tries.extend(self.try_enrolment(bound_to, &code).await?);
        }
        if matches!(typed.accept, Accept::Factor | Accept::FactorOrEnrolment) {
            tries.push(self.try_sent(bound_to, Purpose::Verify, &code));
            tries.extend(self.try_totp(caller.holder.user, &code).await?);
        }
        Ok(tries)
    }

    /// The code may be the one that was sent.
    pub(super) fn try_sent(&self, bound_to: Binding, purpose: Purpose, code: &Secret) -> Try {
        Try::Sent {
            bound_to,
            purpose,
            code: self.keys.code(bound_to, purpose.as_str(), code.expose()),
        }
    }

    /// The code may be one of the user's authenticator, if there is one.
    pub(super) async fn try_totp(
        &self,
        user: UserId,
        code: &Secret,
    ) -> Result<Option<Try>, StoreError> {
        let factors = self.store.factors(user).await?;
        let window = self.settings.load().codes.totp_window;
        Ok(factors.totp().map(|(factor, secret)| Try::Totp {
            factor,
            step: secret.step_of(code.expose(), self.clock.now(), window),
        }))
    }

    /// The code may be that of a pending enrolment, if there is one.
    pub(super) async fn try_enrolment(
        &self,
        bound_to: Binding,
        code: &Secret,
    ) -> Result<Option<Try>, StoreError> {
        let now = self.clock.now();
        let window = self.settings.load().codes.totp_window;
        let pending = self.store.pending(bound_to, Purpose::Enrol, now).await?;
        Ok(match pending {
            Some(pending) => Some(match &pending.value {
                Some(FactorValue::Totp(secret)) => Try::NewTotp {
                    bound_to,
                    challenge: pending.id,
                    step: secret.step_of(code.expose(), now, window),
                },
                _ => self.try_sent(bound_to, Purpose::Enrol, code),
            }),
            // Told apart from a code that was never sent: it may have expired.
            None => Some(self.try_sent(bound_to, Purpose::Enrol, code)),
        })
    }

    async fn try_backup(&self, user: UserId, code: &str) -> Result<Vec<Try>, VerifyError> {
        let code = backup::normalise(code).ok_or(VerifyError::Malformed)?;
        let Some(salt) = self.store.backup_salt(user).await? else {
            return Ok(Vec::new());
        };
        let place = Arc::clone(&self.hashing).acquire_owned().await;
        let _place = place.map_err(|_| VerifyError::Unavailable)?;
        let pepper = *self.keys.backup_pepper();
        let hashed = tokio::task::spawn_blocking(move || backup::digest(&code, &salt, &pepper));
        let hashed = hashed.await.map_err(|_| VerifyError::Unavailable)?;
        let code = hashed.ok_or(VerifyError::Unavailable)?;
        Ok(vec![Try::Backup { code }])
    }
}

/// Where a code goes: checked against what the config allows.
enum Recipient {
    Phone { to: Phone, prefix: String },
    Mail { to: Secret },
}

impl Recipient {
    fn of(value: &FactorValue, settings: &Settings) -> Result<Self, StartError> {
        match value {
            FactorValue::Sms(phone) => Ok(Self::Phone {
                to: phone.clone(),
                prefix: allowed_prefix(phone, &settings.limits.countries)?,
            }),
            FactorValue::Email(to) if settings.sends_mail => Ok(Self::Mail { to: to.clone() }),
            FactorValue::Email(_) | FactorValue::Totp(_) => Err(StartError::NoRecipient),
        }
    }

    fn address(&self) -> &str {
        match self {
            Self::Phone { to, .. } => to.e164(),
            Self::Mail { to } => to.expose(),
        }
    }

    fn prefix(&self) -> &str {
        match self {
            Self::Phone { prefix, .. } => prefix,
            Self::Mail { .. } => MAIL_PREFIX,
        }
    }

    fn masked(&self) -> String {
        match self {
            Self::Phone { to, .. } => to.masked(),
            Self::Mail { to } => masked_mail(to),
        }
    }

    fn kind(&self) -> FactorKind {
        match self {
            Self::Phone { .. } => FactorKind::Sms,
            Self::Mail { .. } => FactorKind::Email,
        }
    }
}

fn masked_mail(address: &Secret) -> String {
    EmailAddress::parse(address.expose()).map_or_else(|_| "***".to_owned(), |it| it.masked())
}

/// Reserve → send → store, with everything it needs, so that it can outlive its request.
struct Sending {
    store: Arc<dyn Store>,
    deliver: Arc<Box<dyn Deliver>>,
    events: Arc<dyn Events>,
    clock: Arc<dyn Clock>,
    keys: DigestKeys,
    settings: Arc<Settings>,
    asker: Asker,
    message: Message,
    recipient: Recipient,
    code: Secret,
}

impl Sending {
    /// Reserve → send.
    async fn hand_over(&self) -> Result<(), StartError> {
        let kind = self.recipient.kind().as_str();
        let request = SendRequest {
            user: self.message.user,
            recipient: self.keys.recipient(self.recipient.address()),
            prefix: self.recipient.prefix().to_owned(),
            limits: send_limits(&self.settings),
        };
        let place = match self.store.reserve_send(request, self.clock.now()).await? {
            Reserved::Yes(place) => place,
            Reserved::No {
                retry_after_secs, ..
            } => {
                self.emit(EventKind::Refused, &format!("{kind} limited"));
                return Err(StartError::TooMany { retry_after_secs });
            }
        };
        if let Err(error) = self.deliver().await {
            // What no provider accepted does not count. If this fails too, the place is kept,
            // which errs on the side of sending less.
            if let Err(error) = self.store.release_send(place).await {
                tracing::error!(%error, "a place in the sending limits could not be given back");
            }
            self.emit(EventKind::Refused, &format!("{kind} not sent"));
            return Err(match error {
                DeliveryError::BadRecipient => StartError::RecipientRefused,
                DeliveryError::NotConfigured | DeliveryError::NotAccepted | DeliveryError::Busy => {
                    StartError::NotSent
                }
            });
        }
        self.emit(EventKind::Challenged, kind);
        Ok(())
    }

    async fn deliver(&self) -> Result<&'static str, DeliveryError> {
        let (code, service) = (self.code.expose(), &self.settings.service_name);
        let lifetime = self.settings.codes.lifetime;
        match &self.recipient {
            Recipient::Phone { to, .. } => {
                let text = one_time::message(code, service, lifetime);
                self.deliver.sms(to, &text).await
            }
            Recipient::Mail { to } => {
                let mail = one_time::mail(code, service, lifetime);
                self.deliver.email(to, &mail).await
            }
        }
    }

    async fn store_challenge(&self) -> Result<Started, StartError> {
        let Message {
            bound_to, purpose, ..
        } = self.message;
        let now = self.clock.now();
        let expires_at = now.after(self.settings.codes.lifetime);
        let code = self
            .keys
            .code(bound_to, purpose.as_str(), self.code.expose());
        let challenge = NewChallenge {
            bound_to,
            purpose,
            user: Some(self.message.user),
            factor: self.recipient.kind(),
            code: Some(code),
            value: (purpose == Purpose::Enrol).then(|| self.message.to.clone()),
            replaces_others: self.message.replaces_others,
            attempts: self.settings.codes.attempts,
            created_at: now,
            expires_at,
        };
        self.store.put_challenge(challenge).await?;
        Ok(Started {
            sent_at: now,
            expires_at,
            masked_recipient: self.recipient.masked(),
        })
    }

    fn emit(&self, kind: EventKind, detail: &str) {
        self.asker.emit(&*self.events, kind, detail);
    }
}

/// One attempt and its audit, with everything it needs, so that it can outlive its request.
struct Judge {
    store: Arc<dyn Store>,
    events: Arc<dyn Events>,
    asker: Asker,
}

impl Judge {
    async fn run(self, attempt: Attempt, now: Timestamp) -> Result<Passed, VerifyError> {
        let user = attempt.subjects.user.0;
        match self.store.attempt(attempt, now).await? {
            Attempted::Right(passed) => {
                let factor = passed.factor.as_str();
                if passed.has_enrolled {
                    self.emit(EventKind::Enrolled, factor);
                }
                self.emit(EventKind::Verified, factor);
                Ok(passed)
            }
            Attempted::Wrong { left } => {
                self.emit(EventKind::Refused, "wrong code");
                // Only the failure that meets the bound is evaluated: later ones are `Blocked`.
                if let Ok(Some(Blocked::Locked)) = self.store.blocked(&[user], now).await {
                    self.emit(EventKind::Locked, "wrong codes");
                }
                Err(VerifyError::Wrong { left })
            }
            Attempted::Gone => {
                self.emit(EventKind::Refused, "code expired");
                Err(VerifyError::Gone)
            }
            Attempted::Forbidden => {
                self.emit(EventKind::Refused, "enrolment not allowed");
                Err(VerifyError::Forbidden)
            }
            Attempted::NeverSent => Err(VerifyError::NeverSent),
            Attempted::Blocked(blocked) => Err(VerifyError::Blocked(blocked)),
        }
    }

    fn emit(&self, kind: EventKind, detail: &str) {
        self.asker.emit(&*self.events, kind, detail);
    }
}

impl Asker {
    /// An event about this asker.
    pub(super) fn emit(&self, events: &dyn Events, kind: EventKind, detail: &str) {
        events.emit(Event {
            kind,
            user: self.user,
            route: self.route.clone(),
            address: Some(self.address),
            detail: detail.to_owned(),
        });
    }
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

#[cfg(any())]
mod tests;
