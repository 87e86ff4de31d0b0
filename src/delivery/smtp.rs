//! Mail over SMTP (RFC 5321), step by step, so that it is known at every error whether the server can
//! have the message.
//!
//! Before the server has answered DATA with 354 nothing of the text has been said: whatever fails,
//! surely nothing was sent. After that, only an answer settles it. lettre's own transport does not
//! tell the two apart and has no time limits but for connecting, so its connections are led from here.
//! Nothing of a mail, its address or the sign-in gets into the log.

use super::reach::Unreached;
use super::{Attempt, SMTP, SetupError};
use crate::config::model;
use crate::factor::email::EmailAddress;
use crate::factor::one_time::Mail;
use lettre::address::Address;
use lettre::message::header::{ContentType, HeaderName, HeaderValue, MIME_VERSION_1_0, MessageId};
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{
    AsyncSmtpConnection, Certificate, CertificateStore, Tls, TlsParameters,
};
use lettre::transport::smtp::commands;
use lettre::transport::smtp::{Error, extension::ClientId};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// Connections kept for the next mail. Codes come one by one; more would only be closed unused.
const KEPT_MAX: usize = 4;
/// How long. Below what servers wait for a next command, so that few are found closed.
const KEPT_FOR: Duration = Duration::from_secs(30);
/// "Authentication required" (RFC 4954 section 6): said of us, whatever command it answers.
const AUTHENTICATION_REQUIRED: u16 = 530;
/// "Closing transmission channel" (RFC 5321 section 4.2.3): a kept connection has become too old.
const CLOSING: u16 = 421;

/// A mail server.
pub(super) struct Smtp {
    host: String,
    port: u16,
    tls: Tls,
    /// The sender's domain: a name that is in the DNS, where this machine's own may not be.
    hello: ClientId,
    credentials: Option<Credentials>,
    from: Mailbox,
    timeout: Duration,
    kept: Kept,
}

/// What went wrong before the message itself: surely nothing was sent.
struct Failure {
    step: Step,
    error: Error,
}

/// What is said before the message itself.
#[derive(Clone, Copy, Debug)]
enum Step {
    Connect,
    StartTls,
    SignIn,
    Sender,
    Recipient,
    Data,
}

impl Smtp {
    pub(super) fn new(config: &model::Smtp) -> Result<Self, SetupError> {
        let address: Address = config
            .from
            .address
            .parse()
            .map_err(|_| SetupError::Sender)?;
        let login = config.login.as_ref();
        Ok(Self {
            host: config.host.clone(),
            port: config.port,
            tls: tls(config).map_err(|_| SetupError::MailTls)?,
            hello: ClientId::Domain(address.domain().to_owned()),
            credentials: login.map(|login| {
                Credentials::new(login.username.clone(), login.password.expose().to_owned())
            }),
            from: Mailbox::new(config.from.name.clone(), address),
            timeout: config.timeout,
            kept: Kept::default(),
        })
    }

    /// Asks the server to take one mail. Ends within the configured time, half of which is for all
    /// that comes before the message: its end, where nobody could tell, is never hurried.
    pub(super) async fn send(&self, to: &EmailAddress, mail: &Mail) -> Attempt {
        let Some((to, message)) = self.written(to, mail) else {
            return Attempt::Refused(None);
        };
        let start = Instant::now();
        let mut connection = match timeout_at(start + self.timeout / 2, self.ready(&to)).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(failure)) => {
                failure.log();
                return failure.attempt();
            }
            Err(_) => {
                tracing::warn!(provider = SMTP, "the mail server does not answer in time");
                return Attempt::Unreachable;
            }
        };
        match timeout_at(start + self.timeout, connection.message(&message)).await {
            Ok(Ok(_)) => {
                self.kept.put(connection);
                Attempt::Accepted
            }
            Ok(Err(error)) => match error.status() {
                Some(status) => Attempt::Refused(Some(status.into())),
                None => Attempt::Lost,
            },
            Err(_) => Attempt::Timeout,
        }
    }

    /// Does all that comes before a mail, and leaves.
    pub(super) async fn reach(&self) -> Result<(), Unreached> {
        let end = Instant::now() + self.timeout;
        match timeout_at(end, self.connected()).await {
            Ok(Ok(mut connection)) => {
                // The server has answered all that matters.
                let _ = timeout_at(end, connection.quit()).await;
                Ok(())
            }
            Ok(Err(failure)) => Err(failure.told()),
            Err(_) => Err(Unreached("no answer in time".to_owned())),
        }
    }

    /// The mail as it is sent (RFC 5322), in ASCII; `None` if lettre cannot write it.
    fn written(&self, to: &EmailAddress, mail: &Mail) -> Option<(Address, Vec<u8>)> {
        let to: Address = to.as_str().parse().ok()?;
        let mut message = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to.clone()))
            .subject(mail.subject.as_str())
            .message_id(None)
            .header(MIME_VERSION_1_0)
            .header(ContentType::TEXT_PLAIN)
            .body(mail.text.expose().to_owned())
            .ok()?;
        let headers = message.headers_mut();
        // lettre's own ends in `@localhost`, which filters take for a forgery.
        let (unique, _) = headers.get_raw("Message-ID")?.split_once('@')?;
        let id = format!("{unique}@{}>", self.from.email.domain());
        headers.set(MessageId::from(id));
        // Keeps absence notes from answering (RFC 3834 section 5).
        let name = HeaderName::new_from_ascii_str("Auto-Submitted");
        headers.insert_raw(HeaderValue::new(name, "auto-generated".to_owned()));
        let mut message = message.formatted();
        // The end of data begins with the last line's own end (RFC 5321 section 4.1.1.4).
        if message.ends_with(b"\r\n") {
            message.truncate(message.len() - 2);
        }
        Some((to, message))
    }

    /// A connection on which the server waits for a message to `to`.
    async fn ready(&self, to: &Address) -> Result<AsyncSmtpConnection, Failure> {
        if let Some(kept) = self.kept.take() {
            match self.announce(kept, to).await {
                // Nothing was sent: a new one may be tried, once.
                Err(failure) if failure.is_closed() => {
                    tracing::debug!(provider = SMTP, "a kept connection was closed meanwhile");
                }
                settled => return settled,
            }
        }
        let connection = self.connected().await?;
        self.announce(connection, to).await
    }

    /// A new connection, under TLS and signed in as the config says.
    async fn connected(&self) -> Result<AsyncSmtpConnection, Failure> {
        let implicit = match &self.tls {
            Tls::Wrapper(tls) => Some(tls.clone()),
            Tls::None | Tls::Opportunistic(_) | Tls::Required(_) => None,
        };
        let server = (self.host.as_str(), self.port);
        // Short enough that a name's second address is tried where its first is silent.
        let limit = Some(self.timeout / 4);
        let mut connection =
            AsyncSmtpConnection::connect_tokio1(server, limit, &self.hello, implicit, None)
                .await
                .map_err(|error| Step::Connect.failed(error))?;
        let upgrade = match &self.tls {
            Tls::Required(tls) => Some(tls),
            Tls::Opportunistic(tls) if connection.can_starttls() => Some(tls),
            Tls::None | Tls::Opportunistic(_) | Tls::Wrapper(_) => None,
        };
        if let Some(tls) = upgrade {
            connection
                .starttls(tls.clone(), &self.hello)
                .await
                .map_err(|error| Step::StartTls.failed(error))?;
        }
        if let Some(credentials) = &self.credentials {
            connection
                .auth(DEFAULT_MECHANISMS, credentials)
                .await
                .map_err(|error| Step::SignIn.failed(error))?;
        }
        Ok(connection)
    }

    /// MAIL, RCPT and DATA.
    async fn announce(
        &self,
        mut connection: AsyncSmtpConnection,
        to: &Address,
    ) -> Result<AsyncSmtpConnection, Failure> {
        let from = commands::Mail::new(Some(self.from.email.clone()), Vec::new());
        let told = connection.command(from).await;
        told.map_err(|error| Step::Sender.failed(error))?;
        let told = connection
            .command(commands::Rcpt::new(to.clone(), Vec::new()))
            .await;
        told.map_err(|error| Step::Recipient.failed(error))?;
        let told = connection.command(commands::Data).await;
        told.map_err(|error| Step::Data.failed(error))?;
        Ok(connection)
    }
}

impl Step {
    fn failed(self, error: Error) -> Failure {
        Failure { step: self, error }
    }
}

impl Failure {
    fn status(&self) -> Option<u16> {
        self.error.status().map(u16::from)
    }

    /// Whether the connection is gone, which says nothing of the mail.
    fn is_closed(&self) -> bool {
        self.status() == Some(CLOSING) || self.attempt() == Attempt::Unreachable
    }

    fn attempt(&self) -> Attempt {
        match (self.step, self.status()) {
            (Step::Recipient, Some(status))
                if self.error.is_permanent() && status != AUTHENTICATION_REQUIRED =>
            {
                Attempt::BadRecipient(status)
            }
            (_, Some(status)) => Attempt::Refused(Some(status)),
            // What the server does not offer: STARTTLS, or a way to sign in.
            (_, None) if self.error.is_client() => Attempt::Refused(None),
            (_, None) => Attempt::Unreachable,
        }
    }

    /// A server may repeat an address or a password: its words are told only of the steps before.
    fn is_harmless(&self) -> bool {
        matches!(self.step, Step::Connect | Step::StartTls) || self.error.is_client()
    }

    fn told(&self) -> Unreached {
        let step = match self.step {
            Step::Connect => "the connection failed",
            Step::StartTls => "STARTTLS failed",
            Step::SignIn => "the sign-in failed",
            Step::Sender | Step::Recipient | Step::Data => "the mail was refused",
        };
        let status = self.status().map(|status| format!(" with status {status}"));
        let reason = self.is_harmless().then(|| Unreached::because(&self.error));
        let reason = reason.map(|Unreached(reason)| format!(": {reason}"));
        Unreached(format!(
            "{step}{}{}",
            status.unwrap_or_default(),
            reason.unwrap_or_default()
        ))
    }

    fn log(&self) {
        let Self { step, error } = self;
        let status = self.status();
        let reason = self.is_harmless().then(|| error.to_string());
        tracing::warn!(
            provider = SMTP,
            ?step,
            status,
            reason,
            "the mail server does not take the mail"
        );
    }
}

/// When TLS starts, and who vouches for the server.
fn tls(config: &model::Smtp) -> Result<Tls, Error> {
    match config.tls {
        model::SmtpTls::Implicit => verifying(config).map(Tls::Wrapper),
        model::SmtpTls::StartTls => verifying(config).map(Tls::Required),
        // On this machine itself, where the alternative is no TLS at all.
        model::SmtpTls::IfOffered => TlsParameters::builder(config.host.clone())
            .certificate_store(CertificateStore::None)
            .dangerous_accept_invalid_certs(true)
            .dangerous_accept_invalid_hostnames(true)
            .build()
            .map(Tls::Opportunistic),
    }
}

/// TLS with a server that the system's certificates, or the configured ones, vouch for.
fn verifying(config: &model::Smtp) -> Result<TlsParameters, Error> {
    let mut parameters = TlsParameters::builder(config.host.clone());
    for certificate in &config.ca {
        parameters = parameters.add_root_certificate(Certificate::from_der(certificate.to_vec())?);
    }
    parameters.build()
}

/// Connections that have just carried a mail.
#[derive(Default)]
struct Kept(Mutex<Vec<(Instant, AsyncSmtpConnection)>>);

impl Kept {
    fn take(&self) -> Option<AsyncSmtpConnection> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(since, _)| since.elapsed() < KEPT_FOR);
        kept.pop().map(|(_, connection)| connection)
    }

    fn put(&self, connection: AsyncSmtpConnection) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < KEPT_MAX {
            kept.push((Instant::now(), connection));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// An address that is stored must not turn out to be none when a code is sent to it.
        #[test]
        fn every_address_that_is_read_can_be_sent_to(
            local in "[a-zA-Z0-9!#$%&'*+/=?^_`{|}~-]{1,20}(\\.[a-z0-9-]{1,20}){0,2}",
            domain in "([a-zA-Z0-9]{1,10}(-[a-z0-9]{1,10}){0,2}\\.){0,3}[a-z]{1,10}",
        ) {
            let read = EmailAddress::parse(&format!("{local}@{domain}")).unwrap();
            let address: Address = read.as_str().parse().unwrap();
            prop_assert_eq!(address.to_string(), read.as_str());
        }
    }
}
