//! Procedures of several steps, kept under a secret name, and what is good for one use.

use super::codes::{Deeds, Whence};
use super::factors::FactorKind;
use super::{Stored, async_trait};
use crate::clock::Timestamp;
use crate::digest::{SubjectDigest, SuccessDigest, TokenDigest, WizardDigest};
use crate::gate::session::{Holder, Session};
use crate::id::UserId;
use crate::secret::Secret;

/// What a wizard is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WizardKind {
    /// To sign in.
    SignIn,
    /// To enrol a factor.
    Enable,
    /// To turn a factor off.
    Disable,
    /// To confirm an operation by a mailed code, with a token or without.
    Challenge,
    /// An image that is shown once.
    Image,
}

impl WizardKind {
    /// Every kind.
    pub const ALL: [Self; 5] = [
        Self::SignIn,
        Self::Enable,
        Self::Disable,
        Self::Challenge,
        Self::Image,
    ];

    /// The name in the store.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SignIn => "sign_in",
            Self::Enable => "enable",
            Self::Disable => "disable",
            Self::Challenge => "challenge",
            Self::Image => "image",
        }
    }

    /// The kind of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == name)
    }
}

/// Where a wizard stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The first step is awaited.
    Opened,
    /// The password was right; the user has to choose a factor.
    Choose,
    /// A code of the wizard's factor is awaited.
    Code,
}

impl Stage {
    /// Every stage.
    pub const ALL: [Self; 3] = [Self::Opened, Self::Choose, Self::Code];

    /// The name in the store.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Choose => "choose",
            Self::Code => "code",
        }
    }

    /// The stage of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == name)
    }
}

/// A wizard, to be opened or as it stands.
#[derive(Clone, Debug)]
pub struct Wizard {
    pub digest: WizardDigest,
    pub kind: WizardKind,
    pub stage: Stage,
    /// The name of the identity in the config.
    pub realm: String,
    /// Not known before the password; never known for an address that no user has.
    pub user: Option<UserId>,
    pub factor: Option<FactorKind>,
    /// The token that opened it: nobody else may go on.
    pub token: Option<TokenDigest>,
    /// The opaque label of the device that opened it, if one was named.
    pub device_label: Option<String>,
    /// Whom wrong codes count against where there is no user.
    pub subject: Option<SubjectDigest>,
    /// What it shows (an otpauth URI). Sealed in the store.
    pub shown: Option<Secret>,
    pub expires_at: Timestamp,
}

/// A step of a wizard.
#[derive(Clone, Debug)]
pub struct Advance {
    pub digest: WizardDigest,
    /// Where it must stand now.
    pub from: Stage,
    pub to: Stage,
    pub user: Option<UserId>,
    pub factor: Option<FactorKind>,
}

/// Wizards and success tokens.
#[async_trait]
pub trait Wizards: Send + Sync {
    /// Opens a wizard. `opener` bounds what one can pile up: of the wizards of one opener (a user, or
    /// the address of who has no token), only the newest hundred are kept.
    async fn open_wizard(
        &self,
        wizard: Wizard,
        opener: SubjectDigest,
        now: Timestamp,
    ) -> Stored<()>;
    /// An open wizard.
    async fn wizard(&self, digest: WizardDigest, now: Timestamp) -> Stored<Option<Wizard>>;
    /// Takes a step; `false` if the wizard does not stand there (any more).
    async fn advance_wizard(&self, step: Advance, now: Timestamp) -> Stored<bool>;
    /// Ends a wizard; `None` if it is not open. Of many at once, one gets it.
    async fn take_wizard(&self, digest: WizardDigest, now: Timestamp) -> Stored<Option<Wizard>>;
    /// Ends a sign-in that asks no code, and issues its tokens, in one step; `false` if the wizard
    /// is not open. Makes no session: `then.sessions` must be empty.
    async fn finish_wizard(
        &self,
        digest: WizardDigest,
        then: Deeds,
        now: Timestamp,
    ) -> Stored<bool>;
    /// Spends a success token of this realm that is good with `token`; of many at once, one gets its
    /// holder.
    async fn spend_success(
        &self,
        realm: &str,
        digest: SuccessDigest,
        token: Option<TokenDigest>,
        now: Timestamp,
    ) -> Stored<Option<Holder>>;
}

/// What a refresh token is exchanged for.
#[derive(Clone, Debug)]
pub struct Rotation {
    pub old: crate::digest::RefreshDigest,
    pub access: TokenDigest,
    /// The pair of the new access token and the device that asks.
    pub pair: crate::digest::SessionKey,
    pub access_expires_at: Timestamp,
    pub refresh: crate::digest::RefreshDigest,
    pub refresh_expires_at: Timestamp,
    /// Who asks. Not that of the verification: should it be another one, its owner will see it.
    pub whence: Whence,
}

/// A family of tokens, as its live or spent refresh token finds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Family {
    pub user: UserId,
    pub realm: String,
    /// The user's name.
    pub name: String,
    pub device_label: Option<String>,
    /// When the user's second factor was last verified for it; `None`: never.
    pub verified_at: Option<Timestamp>,
    pub ends_at: Timestamp,
}

/// What became of a [`Rotation`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refreshed {
    /// The old refresh token is spent; the session of the new pair, if the family is verified: with
    /// the time and factor of the session that was made last with one of its tokens on its device
    /// and not revoked, seen when the family was, and ending with it.
    Yes(Option<Session>),
    /// The refresh token was spent before. The family is over: its tokens are gone, and its
    /// sessions, with lines in the feed.
    Reused,
    Unknown,
}

/// Families of tokens (RFC 6749 section 6, RFC 9700 section 4.14).
#[async_trait]
pub trait Families: Send + Sync {
    /// The family of a refresh token that is live or spent.
    async fn family(
        &self,
        refresh: crate::digest::RefreshDigest,
        now: Timestamp,
    ) -> Stored<Option<Family>>;
    /// Exchanges a refresh token, in one step.
    async fn rotate(&self, rotation: Rotation, now: Timestamp) -> Stored<Refreshed>;
}
