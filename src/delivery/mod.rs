//! Brings codes to people: SMS providers in order, with failover that never sends twice knowingly,
//! and a mail server.
//!
//! The next provider is asked only if the one before surely did not take the message (no connection,
//! an error answer). Where nobody can tell (no answer in time, a connection lost after the message
//! was written) nobody is asked again, and the message counts as not sent: one code too few can be
//! asked for anew, two codes confuse and cost. Logs name provider, outcome and the answer's status,
//! never a number, an address or a text.

mod client;
mod outbox;
pub mod reach;
mod sms_http;
mod smtp;
mod twilio;

use crate::auth::{Deliver, DeliveryError};
use crate::config::model;
use crate::factor::email::EmailAddress;
use crate::factor::one_time::Mail;
use crate::factor::phone::Phone;
use crate::secret::Secret;
use crate::steps::{self, Kind, Step};
use async_trait::async_trait;
use outbox::Outbox;
use sms_http::SmsHttp;
use smtp::Smtp;
use std::sync::Arc;
use std::time::Instant;
use twilio::Twilio;

/// Is told (provider, outcome) of every attempt. Outcomes: `accepted`, `refused`, `unreachable`,
/// and where it is unclear what became of the message, `timeout` and `lost`.
pub type Observer = Arc<dyn Fn(&'static str, &'static str) + Send + Sync>;

/// A provider cannot be set up from its configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SetupError {
    #[error(
        "delivery.sms[{at}]: the url is not an absolute http or https URL: write one like https://sms.example.org/send"
    )]
    Url { at: usize },
    #[error(
        "delivery.sms[{at}]: header {header} of {total} has a name that HTTP does not allow: correct it"
    )]
    Header {
        at: usize,
        header: usize,
        total: usize,
    },
    #[error("delivery.sms[{at}]: the HTTP client cannot start: check the system's CA certificates")]
    Client { at: usize },
    #[error("delivery.email: `from` is not an address that mail can come from: correct it")]
    Sender,
    #[error(
        "delivery.email: TLS cannot start: check the system's CA certificates, or name the server's in `ca`"
    )]
    MailTls,
}

/// The mail server's name where SMS providers have theirs.
const SMTP: &str = "smtp";

/// The configured providers.
pub struct Providers {
    sms: Arc<[Sms]>,
    email: Option<Arc<Smtp>>,
    outbox: Outbox,
    /// Of its own: a mail server that hangs must not hold SMS up.
    mail_outbox: Outbox,
    observer: Observer,
}

/// One SMS provider.
enum Sms {
    Twilio(Twilio),
    Http(SmsHttp),
}

/// What became of one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attempt {
    Accepted,
    /// There was no connection: surely not taken.
    Unreachable,
    /// Surely not taken; the answer's status, if there was an answer.
    Refused(Option<u16>),
    /// Surely not taken, and no other provider should try: the number or address is bad or has opted
    /// out.
    BadRecipient(u16),
    /// Nobody can tell whether it was taken: no clear answer in time.
    Timeout,
    /// Nobody can tell whether it was taken: the connection broke.
    Lost,
}

impl Providers {
    /// The providers of a validated config.
    pub fn new(config: &model::Delivery, observer: Observer) -> Result<Self, SetupError> {
        let sms = config
            .sms
            .iter()
            .enumerate()
            .map(|(at, provider)| match provider {
                model::SmsProvider::Twilio(twilio) => Twilio::new(twilio, at).map(Sms::Twilio),
                model::SmsProvider::Http(http) => SmsHttp::new(http, at).map(Sms::Http),
            })
            .collect::<Result<_, _>>()?;
        let email = config.email.as_ref().map(Smtp::new).transpose()?;
        Ok(Self {
            sms,
            email: email.map(Arc::new),
            outbox: Outbox::default(),
            mail_outbox: Outbox::default(),
            observer,
        })
    }

    /// The labels of all providers in the metrics.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        let mail = self.email.as_ref().map(|_| SMTP);
        self.sms.iter().map(Sms::name).chain(mail)
    }
}

#[async_trait]
impl Deliver for Providers {
    async fn sms(&self, to: &Phone, text: &Secret) -> Result<&'static str, DeliveryError> {
        if self.sms.is_empty() {
            return Err(DeliveryError::NotConfigured);
        }
        let began = Instant::now();
        let place = self.outbox.place().await?;
        let (sms, observer) = (Arc::clone(&self.sms), Arc::clone(&self.observer));
        let (to, text) = (to.clone(), text.clone());
        // A task of its own: a caller that goes away must not cut a message in half.
        let sending = tokio::spawn(async move {
            let _place = place;
            in_order(&sms, &to, &text, &observer).await
        });
        let sent = sending.await.unwrap_or(Err(DeliveryError::NotAccepted));
        note(began, "send sms", &sent);
        sent
    }

    async fn email(&self, to: &Secret, message: &Mail) -> Result<&'static str, DeliveryError> {
        let smtp = self.email.clone().ok_or(DeliveryError::NotConfigured)?;
        let to = EmailAddress::parse(to.expose()).map_err(|_| DeliveryError::BadRecipient)?;
        let began = Instant::now();
        let place = self.mail_outbox.place().await?;
        let (message, observer) = (message.clone(), Arc::clone(&self.observer));
        // A task of its own, as above.
        let sending = tokio::spawn(async move {
            let _place = place;
            let attempt = smtp.send(&to, &message).await;
            attempt.tell(SMTP, &observer);
            match attempt {
                Attempt::Accepted => Ok(SMTP),
                Attempt::BadRecipient(_) => Err(DeliveryError::BadRecipient),
                Attempt::Unreachable | Attempt::Refused(_) | Attempt::Timeout | Attempt::Lost => {
                    Err(DeliveryError::NotAccepted)
                }
            }
        });
        let sent = sending.await.unwrap_or(Err(DeliveryError::NotAccepted));
        note(began, "send email", &sent);
        sent
    }
}

/// Tells whoever traces the request how long it waited for a message, and who took it.
fn note(began: Instant, name: &'static str, sent: &Result<&'static str, DeliveryError>) {
    steps::note(|| Step {
        kind: Kind::Client,
        failed: sent.is_err(),
        facts: sent
            .iter()
            .map(|provider| ("vestibule.provider", (*provider).into()))
            .collect(),
        ..Step::since(began, name)
    });
}

/// Asks one provider after the other until one accepts or it would no longer be safe to go on.
async fn in_order(
    providers: &[Sms],
    to: &Phone,
    text: &Secret,
    observer: &Observer,
) -> Result<&'static str, DeliveryError> {
    for provider in providers {
        let name = provider.name();
        let attempt = provider.send(to, text).await;
        attempt.tell(name, observer);
        match attempt {
            Attempt::Accepted => return Ok(name),
            Attempt::Unreachable | Attempt::Refused(_) => {}
            Attempt::BadRecipient(_) => return Err(DeliveryError::BadRecipient),
            Attempt::Timeout | Attempt::Lost => break,
        }
    }
    Err(DeliveryError::NotAccepted)
}

impl Sms {
    fn name(&self) -> &'static str {
        match self {
            Self::Twilio(_) => "twilio",
            Self::Http(_) => "http",
        }
    }

    async fn send(&self, to: &Phone, text: &Secret) -> Attempt {
        match self {
            Self::Twilio(twilio) => twilio.send(to, text).await,
            Self::Http(http) => http.send(to, text).await,
        }
    }
}

impl Attempt {
    /// The label in the metrics.
    fn outcome(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Unreachable => "unreachable",
            Self::Refused(_) | Self::BadRecipient(_) => "refused",
            Self::Timeout => "timeout",
            Self::Lost => "lost",
        }
    }

    /// Tells the metrics and the log.
    fn tell(self, provider: &'static str, observer: &Observer) {
        let outcome = self.outcome();
        observer(provider, outcome);
        let status = match self {
            Self::Refused(status) => status,
            Self::BadRecipient(status) => Some(status),
            Self::Accepted | Self::Unreachable | Self::Timeout | Self::Lost => None,
        };
        if self == Self::Accepted {
            tracing::debug!(provider, outcome, "message handed over");
        } else {
            tracing::warn!(provider, outcome, status, "message not handed over");
        }
    }
}

#[cfg(test)]
mod tests;
