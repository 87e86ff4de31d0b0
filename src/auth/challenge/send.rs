//! A code on its way: reserve → send → store.

use super::{StartError, Started, to_its_end};
use crate::auth::ports::{
    FactorKind, FactorValue, NewChallenge, Purpose, Reserved, SendLimits, SendRequest, Store,
};
use crate::auth::{Asker, Auth, Deliver, DeliveryError, Settings, subject};
use crate::clock::Clock;
use crate::digest::{Binding, DigestKeys};
use crate::entropy;
use crate::event::{EventKind, Events};
use crate::factor::one_time::Wording;
use crate::factor::phone::Phone;
use crate::id::UserId;
use crate::secret::Secret;
use crate::words::Words;
use std::sync::Arc;

/// What the limit by prefix counts for mail.
const MAIL_PREFIX: &str = "email";
/// The same for mail that somebody without a token asked for.
const STRANGERS_MAIL_PREFIX: &str = "email, unauthorized";

/// A code to be sent, and what it will be good for.
pub(in crate::auth) struct Message {
    pub(in crate::auth) user: UserId,
    /// With [`Purpose::Enrol`] it is also what the code confirms.
    pub(in crate::auth) to: FactorValue,
    pub(in crate::auth) bound_to: Binding,
    pub(in crate::auth) purpose: Purpose,
    pub(in crate::auth) replaces_others: bool,
    /// It lets a program in, perhaps another's: the message says so.
    pub(in crate::auth) is_for_program: bool,
    /// Of who asks for it, and so reads it.
    pub(in crate::auth) words: Words,
}

impl Auth {
    /// Sends one code and makes it the pending challenge of its binding and purpose.
    ///
    /// Nothing of an older pending code is touched before a provider has accepted the new one.
    pub(in crate::auth) async fn send(
        &self,
        asker: Asker,
        message: Message,
    ) -> Result<Started, StartError> {
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
    pub(in crate::auth) fn send_behind(&self, asker: Asker, message: Message, code: Secret) {
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
            FactorValue::Email(to) => Ok(Self::Mail { to: to.clone() }),
            FactorValue::Totp(_) => Err(StartError::NoRecipient),
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

    fn kind(&self) -> FactorKind {
        match self {
            Self::Phone { .. } => FactorKind::Sms,
            Self::Mail { .. } => FactorKind::Email,
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
    asker: Asker,
    message: Message,
    recipient: Recipient,
    code: Secret,
}

impl Sending {
    /// What is asked of the limits. A stranger who names somebody's address has limits apart from
    /// that user's own, and could keep the user from getting any code otherwise.
    fn request(&self) -> SendRequest {
        let limits = send_limits(&self.settings);
        let (user, address) = (self.message.user, self.recipient.address());
        if self.asker.subject == subject::user(&self.keys, user) {
            return SendRequest {
                user,
                recipient: self.keys.recipient(address),
                prefix: self.recipient.prefix().to_owned(),
                limits,
            };
        }
        SendRequest {
            user: subject::strangers_to(user),
            recipient: self.keys.recipient(&format!("unauthorized/{address}")),
            prefix: STRANGERS_MAIL_PREFIX.to_owned(),
            limits,
        }
    }

    /// Reserve → send.
    async fn hand_over(&self) -> Result<(), StartError> {
        let kind = self.recipient.kind().as_str();
        let request = self.request();
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
        let code = self.code.expose();
        let wording = Wording {
            words: self.message.words,
            service: &self.settings.service_name,
            lifetime: self.settings.codes.lifetime,
        };
        match &self.recipient {
            Recipient::Phone { to, .. } => {
                let text = match self.message.is_for_program {
                    true => wording.client_message(code),
                    false => wording.message(code),
                };
                self.deliver.sms(to, &text).await
            }
            Recipient::Mail { to } => {
                let mail = match self.message.is_for_program {
                    true => wording.client_mail(code),
                    false => wording.mail(code),
                };
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
            masked_recipient: self.message.to.masked().unwrap_or_default(),
        })
    }

    fn emit(&self, kind: EventKind, detail: &str) {
        self.asker.emit(&*self.events, kind, detail);
    }
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
