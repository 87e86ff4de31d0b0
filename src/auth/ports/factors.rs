//! The second factors of users, and the log of their changes.

use super::passkeys::Passkey;
use super::{Stored, async_trait};
use crate::clock::Timestamp;
use crate::digest::CodeDigest;
use crate::factor::email::EmailAddress;
use crate::factor::phone::Phone;
use crate::factor::totp::TotpSecret;
use crate::gate::session::Factor;
use crate::id::{ChangeId, FactorId, PasskeyId, UserId};
use crate::secret::Secret;

/// The factors that users enrol and turn off by themselves. A user has at most one of each kind, but
/// any number of passkeys: they are in a list of their own ([`FactorSet::passkeys`]), and have no
/// [`FactorValue`].
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum FactorKind {
    Sms,
    Totp,
    Email,
    Passkey,
}

impl FactorKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Sms, Self::Totp, Self::Email, Self::Passkey];

    /// The same as a session knows it.
    #[must_use]
    pub fn factor(self) -> Factor {
        match self {
            Self::Sms => Factor::Sms,
            Self::Totp => Factor::Totp,
            Self::Email => Factor::Email,
            Self::Passkey => Factor::Passkey,
        }
    }

    /// The name in the store: that of [`Factor::as_str`].
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.factor().as_str()
    }

    /// The kind of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// What a factor stands on. Sealed in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FactorValue {
    Sms(Phone),
    Totp(TotpSecret),
    /// An email address.
    Email(Secret),
}

impl FactorValue {
    /// Which factor it makes.
    #[must_use]
    pub fn kind(&self) -> FactorKind {
        match self {
            Self::Sms(_) => FactorKind::Sms,
            Self::Totp(_) => FactorKind::Totp,
            Self::Email(_) => FactorKind::Email,
        }
    }
}

impl FactorValue {
    /// Where its codes go, masked for people; `None`: those of an app go nowhere.
    #[must_use]
    pub fn masked(&self) -> Option<String> {
        match self {
            Self::Sms(phone) => Some(phone.masked()),
            Self::Totp(_) => None,
            Self::Email(address) => Some(
                EmailAddress::parse(address.expose())
                    .map_or_else(|_| "***".to_owned(), |address| address.masked()),
            ),
        }
    }
}

/// A verified factor of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enrolled {
    /// A new one whenever the user enrols the kind again. `None`: the operator or the learned
    /// profile gave it (its value is [`super::User::phone`] or [`super::User::email`]).
    pub id: Option<FactorId>,
    pub value: FactorValue,
}

impl Enrolled {
    /// Whether it is a factor here: an address that the operator or the profile gave is one only
    /// where mail can be sent (`email_counts`); what the user enrolled goes on protecting.
    #[must_use]
    pub fn counts(&self, email_counts: bool) -> bool {
        email_counts || self.id.is_some() || self.value.kind() != FactorKind::Email
    }
}

/// The verified factors of a user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FactorSet {
    /// In the user's order, the default first: what was enrolled last comes first, what the
    /// operator or the profile gave comes after, phone before address. A kind that the user
    /// enrolled or turned off is never taken from the profile.
    pub enrolled: Vec<Enrolled>,
    /// Oldest first.
    pub passkeys: Vec<Passkey>,
    /// Backup codes that are not spent. They are no factor by themselves.
    pub backup_codes_left: u32,
}

impl FactorSet {
    /// Whether there is no factor at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.enrolled.is_empty() && self.passkeys.is_empty()
    }

    /// Whether passkeys are all there is: nothing that a code could be typed of.
    #[must_use]
    pub fn has_only_passkeys(&self) -> bool {
        self.enrolled.is_empty() && !self.passkeys.is_empty()
    }

    /// The kinds that there are, in the user's order, passkeys last.
    pub fn kinds(&self) -> impl Iterator<Item = FactorKind> {
        let passkey = (!self.passkeys.is_empty()).then_some(FactorKind::Passkey);
        let enrolled = self.enrolled.iter().map(|one| one.value.kind());
        enrolled.chain(passkey)
    }

    /// The factor of a kind; none for passkeys.
    #[must_use]
    pub fn of(&self, kind: FactorKind) -> Option<&Enrolled> {
        self.enrolled.iter().find(|one| one.value.kind() == kind)
    }

    /// The number that codes go to.
    #[must_use]
    pub fn phone(&self) -> Option<&Phone> {
        self.enrolled.iter().find_map(|one| match &one.value {
            FactorValue::Sms(phone) => Some(phone),
            FactorValue::Totp(_) | FactorValue::Email(_) => None,
        })
    }

    /// The authenticator's secret, with the number of its enrolment.
    #[must_use]
    pub fn totp(&self) -> Option<(FactorId, &TotpSecret)> {
        self.enrolled.iter().find_map(|one| match &one.value {
            FactorValue::Totp(secret) => Some((one.id?, secret)),
            FactorValue::Sms(_) | FactorValue::Email(_) => None,
        })
    }

    /// The address that codes go to.
    #[must_use]
    pub fn email(&self) -> Option<&Secret> {
        self.enrolled.iter().find_map(|one| match &one.value {
            FactorValue::Email(address) => Some(address),
            FactorValue::Sms(_) | FactorValue::Totp(_) => None,
        })
    }
}

/// Which factors are turned off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disable {
    One(FactorKind),
    /// All of them, and the backup codes.
    All,
    /// One that its user takes away. The last one that counts (see [`Enrolled::counts`]) stays,
    /// unless `last_too`; with it go the backup codes.
    Own {
        target: Target,
        last_too: bool,
        email_counts: bool,
    },
}

impl Disable {
    /// Whether it is about that kind.
    #[must_use]
    pub fn covers(self, kind: FactorKind) -> bool {
        match self {
            Self::One(one) => one == kind,
            Self::Own { target, .. } => target == Target::Kind(kind),
            Self::All => true,
        }
    }

    /// Whether it is about that passkey.
    #[must_use]
    pub fn covers_passkey(self, id: PasskeyId) -> bool {
        let is_it = matches!(self, Self::Own { target: Target::Passkey(one), .. } if one == id);
        is_it || self.covers(FactorKind::Passkey)
    }
}

/// One thing that a user takes away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The factor of a kind; all passkeys.
    Kind(FactorKind),
    Passkey(PasskeyId),
}

impl From<FactorKind> for Target {
    fn from(kind: FactorKind) -> Self {
        Self::Kind(kind)
    }
}

impl From<PasskeyId> for Target {
    fn from(id: PasskeyId) -> Self {
        Self::Passkey(id)
    }
}

impl Target {
    /// What kind of factor it is.
    #[must_use]
    pub fn kind(self) -> FactorKind {
        match self {
            Self::Kind(kind) => kind,
            Self::Passkey(_) => FactorKind::Passkey,
        }
    }
}

/// A set of backup codes, all hashed under one salt.
#[derive(Clone, Debug)]
pub struct BackupCodes {
    pub salt: [u8; 16],
    pub codes: Vec<CodeDigest>,
}

/// One line of the log of changes: a factor was turned on or off. Each passkey has its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub id: ChangeId,
    pub kind: FactorKind,
    pub is_enabled: bool,
    pub at: Timestamp,
}

/// Which lines of a user's log, and how many of them.
#[derive(Clone, Debug)]
pub struct ChangeQuery {
    /// Of these kinds only.
    pub kinds: Vec<FactorKind>,
    pub is_enabled: Option<bool>,
    /// Inclusive bounds.
    pub from: Option<Timestamp>,
    pub to: Option<Timestamp>,
    /// Newest first; lines of one second by their number.
    pub newest_first: bool,
    pub offset: u32,
    pub limit: u32,
}

/// A page of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangePage {
    /// Lines that match, on all pages.
    pub total: u64,
    pub changes: Vec<Change>,
}

/// Factors and backup codes. What confirms a factor is [`super::Codes::attempt`].
#[async_trait]
pub trait Factors: Send + Sync {
    /// The verified factors of a user; none for an unknown one.
    async fn factors(&self, user: UserId) -> Stored<FactorSet>;
    /// Turns factors off: pending challenges of theirs are void (not an enrolment, which is about
    /// what comes), each that was on gets a line in the log. A kind that was on stays off whatever
    /// the profile says later. Returns whether any was on.
    async fn disable(&self, user: UserId, which: Disable, now: Timestamp) -> Stored<bool>;
    /// Makes these the user's backup codes, in place of all older ones; unless the feed says after its
    /// line `since` that all of the user's sessions have ended, and with them the right to make codes.
    /// Returns whether it did.
    async fn put_backup_codes(
        &self,
        user: UserId,
        codes: BackupCodes,
        since: i64,
        now: Timestamp,
    ) -> Stored<bool>;
    /// The salt of the user's backup codes.
    async fn backup_salt(&self, user: UserId) -> Stored<Option<[u8; 16]>>;
    /// A page of the user's log of changes.
    async fn changes(&self, user: UserId, query: ChangeQuery) -> Stored<ChangePage>;
    /// One line of the user's own log.
    async fn change(&self, user: UserId, id: ChangeId) -> Stored<Option<Change>>;
}
