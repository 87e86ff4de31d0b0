//! The use cases every dialect shares, over ports that the store and delivery implement.

pub mod assertion;
pub mod backend;
pub mod basic;
pub mod browsers;
pub mod challenge;
pub mod confirm;
pub mod crowd;
pub mod enrol;
mod failures;
#[cfg(test)]
pub(crate) mod fixture;
pub mod grants;
pub mod lockout;
pub mod passkey;
pub mod ports;
pub mod sessions;
pub mod share;
pub mod sign_in;
pub mod signing;
pub mod subject;
pub mod tokens;
pub mod wizard;

use crate::clock::Clock;
use crate::config::model;
use crate::digest::{DigestKeys, SessionKey, SubjectDigest, TokenDigest};
use crate::entropy::Entropy;
use crate::event::Events;
use crate::factor::one_time::Mail;
use crate::factor::phone::Phone;
use crate::gate::session::Holder;
use crate::id::UserId;
use crate::secret::Secret;
use crate::words::Words;
use arc_swap::ArcSwap;
use async_trait::async_trait;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// What became of a message that was handed to [`Deliver`].
#[derive(Debug, thiserror::Error, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryError {
    /// No provider is configured for this kind of message.
    #[error("no provider is configured")]
    NotConfigured,
    /// Every provider refused or could not be reached; nothing was sent.
    #[error("no provider accepted the message")]
    NotAccepted,
    /// The provider says that this recipient cannot be reached (a bad or blocked number or address).
    #[error("the recipient cannot be reached")]
    BadRecipient,
    /// The outbox is full.
    #[error("the outbox is full")]
    Busy,
}

/// Brings codes to people.
#[async_trait]
pub trait Deliver: Send + Sync {
    /// Hands `text` over to the first SMS provider that accepts it; returns that provider's name.
    async fn sms(&self, to: &Phone, text: &Secret) -> Result<&'static str, DeliveryError>;
    /// Hands `message` over to the mail server; returns its name in the metrics. A text that is no
    /// address that can be sent to is a [`DeliveryError::BadRecipient`].
    async fn email(&self, to: &Secret, message: &Mail) -> Result<&'static str, DeliveryError>;
}

/// What the use cases read of the config; swapped at a reload.
#[derive(Clone, Debug)]
pub struct Settings {
    pub sessions: model::Sessions,
    pub codes: model::Codes,
    pub limits: model::Limits,
    pub lockout: model::Lockout,
    /// How recent a verification must be for the most sensitive changes.
    pub sudo: Duration,
    pub tokens: model::Tokens,
    /// Whether mail can be sent: only then an address is a factor.
    pub sends_mail: bool,
    /// Whether messages can be sent: pages do not offer what cannot work.
    pub sends_sms: bool,
    /// What people know the service by, on pages and in messages, e.g. `Files`.
    pub service_name: String,
}

/// The use cases, with everything they need passed in.
pub struct Auth {
    pub store: Arc<dyn ports::Store>,
    pub keys: DigestKeys,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
    pub signer: Arc<signing::Signer>,
    pub deliver: ArcSwap<Box<dyn Deliver>>,
    pub events: Arc<dyn Events>,
    pub settings: ArcSwap<Settings>,
    /// argon2id at work at once; further sign-ins wait for their turn.
    pub hashing: Arc<tokio::sync::Semaphore>,
    /// Sign-ins that a backend is judging, by whom they count for.
    pub guesses: crowd::Crowd<SubjectDigest>,
    pub passwords: basic::Passwords,
    pub look_ups: grants::LookUps,
    pub exchanges: share::Exchanges,
    pub ceremonies: passkey::Ceremonies,
}

/// How far a caller has shown who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// By its token alone.
    Token,
    /// Its pair is verified.
    Verified,
    /// Its pair was verified within `sudo`.
    Sudo,
}

/// Where something is asked, and about whom: for the audit and the counters.
#[derive(Clone, Debug)]
pub struct Asker {
    pub user: Option<UserId>,
    /// Whom wrong codes count against: the user, or who stands for one.
    pub subject: SubjectDigest,
    pub route: String,
    pub address: IpAddr,
}

/// Who asks a use case: a known token on a device, over a route.
#[derive(Clone, Debug)]
pub struct Caller {
    pub holder: Holder,
    pub token: TokenDigest,
    /// The (token, device) pair that asks.
    pub pair: SessionKey,
    /// The device's opaque label, if one was named.
    pub device_label: Option<String>,
    pub standing: Standing,
    /// Whether the route lets users enrol their first factor by themselves.
    pub self_enrolment: bool,
    pub route: String,
    pub address: IpAddr,
    /// What the client calls itself ([`crate::identity::client`]).
    pub client: String,
    /// In which language it asks to be answered.
    pub words: Words,
}

impl Caller {
    /// Whether the caller came by a share link: for the recipient that the link names and for nobody
    /// else. Such a caller changes nothing about who that is.
    #[must_use]
    pub fn is_guest(&self) -> bool {
        self.holder.scope().is_some()
    }

    /// The same for the audit and the counters.
    #[must_use]
    pub fn asker(&self, keys: &DigestKeys) -> Asker {
        Asker {
            user: Some(self.holder.user),
            subject: subject::user(keys, self.holder.user),
            route: self.route.clone(),
            address: self.address,
        }
    }

    /// What a person recognises the caller's session by.
    #[must_use]
    pub fn whence(&self) -> ports::Whence {
        ports::Whence {
            address: self.address,
            client: self.client.clone(),
        }
    }
}
