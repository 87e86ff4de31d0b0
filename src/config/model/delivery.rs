//! By whom messages and mails with a code are sent.

use crate::secret::Secret;
use rustls::pki_types::CertificateDer;
use std::time::Duration;

/// How codes reach people.
#[derive(Clone, Debug, Default)]
pub struct Delivery {
    /// Tried in order.
    pub sms: Vec<SmsProvider>,
    pub email: Option<Smtp>,
}

/// An SMS provider.
#[derive(Clone, Debug)]
pub enum SmsProvider {
    Twilio(Twilio),
    Http(HttpSms),
}

/// Twilio's Messages API.
#[derive(Clone, Debug)]
pub struct Twilio {
    pub account_sid: String,
    pub auth_token: Secret,
    /// An E.164 number, or a messaging service (`MG…`).
    pub from: String,
    /// `https://api.twilio.com` unless a test or a proxy stands in.
    pub url: String,
    pub timeout: Duration,
}

/// Any provider with a request per message. `{phone}` and `{text}` are filled into the values of
/// `query`, `form`, `json` and `headers`, each escaped for where it stands.
#[derive(Clone, Debug)]
pub struct HttpSms {
    pub url: String,
    pub method: http::Method,
    pub query: Vec<(String, Secret)>,
    pub form: Vec<(String, Secret)>,
    pub json: Option<Secret>,
    pub headers: Vec<(String, Secret)>,
    pub timeout: Duration,
}

/// A server that takes mail (RFC 5321, RFC 6409).
#[derive(Clone, Debug)]
pub struct Smtp {
    /// A name in lower case, or an address without brackets.
    pub host: String,
    pub port: u16,
    pub tls: SmtpTls,
    pub from: Sender,
    /// Said only under TLS, or to this machine itself.
    pub login: Option<Login>,
    /// For a whole message; half of it for all that comes before the message itself.
    pub timeout: Duration,
    /// What may vouch for the server besides the system's certificates.
    pub ca: Vec<CertificateDer<'static>>,
}

/// When a connection to a mail server is under TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmtpTls {
    /// From its first byte (RFC 8314).
    Implicit,
    /// From a STARTTLS (RFC 3207) that must succeed before anything else is said.
    StartTls,
    /// To this machine itself: where the server offers STARTTLS, whatever its certificate. (Who could
    /// answer in its place could as well not offer it.)
    IfOffered,
}

/// Whom mail comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sender {
    pub name: Option<String>,
    pub address: String,
}

/// A name and a password.
#[derive(Clone, Debug)]
pub struct Login {
    pub username: String,
    pub password: Secret,
}
