//! Passkeys (WebAuthn), and the ceremonies that register and ask for them.

use super::codes::Purpose;
use super::{Stored, async_trait};
use crate::clock::Timestamp;
use crate::digest::{Binding, PasskeyDigest};
use crate::factor::passkey::Unfit;
use crate::id::{CeremonyId, PasskeyId, UserId};
use crate::secret::Secret;

/// A passkey of a user, who may have several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passkey {
    pub id: PasskeyId,
    /// The host that it is for (WebAuthn's RP ID): browsers offer it nowhere else.
    pub host: String,
    /// What its user calls it.
    pub name: String,
    /// As [`crate::factor::passkey`] writes it. Sealed in the store.
    pub credential: Secret,
    /// The authenticator's signature counter when it was last used; 0: it does not count.
    pub sign_count: u32,
    pub created_at: Timestamp,
    pub last_used_at: Option<Timestamp>,
}

/// A passkey to be added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPasskey {
    /// No two passkeys have the same.
    pub digest: PasskeyDigest,
    pub host: String,
    pub name: String,
    pub credential: Secret,
    pub sign_count: u32,
}

/// A right answer of a passkey.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    pub passkey: PasskeyId,
    /// As it is now.
    pub credential: Secret,
    /// What its authenticator has counted. Right only if it is more than what the store has, or if
    /// both are 0.
    pub sign_count: u32,
}

/// A ceremony to be begun: the one of its binding and purpose, in place of an earlier one.
#[derive(Clone, Debug)]
pub struct NewCeremony {
    pub bound_to: Binding,
    /// [`Purpose::Enrol`]: a passkey is to be registered. [`Purpose::Verify`]: one is asked for.
    pub purpose: Purpose,
    pub user: UserId,
    /// What the answer is judged by. Sealed in the store.
    pub state: Secret,
    pub expires_at: Timestamp,
}

/// A ceremony that waits for its answer. Whatever that is, it ends with it.
#[derive(Clone, Debug)]
pub struct Ceremony {
    pub id: CeremonyId,
    pub user: UserId,
    pub state: Secret,
}

/// The ceremony of an answer, in a [`super::Try`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answers {
    pub bound_to: Binding,
    pub ceremony: CeremonyId,
}

/// What an answer came to: `Err` says why it is none, for the audit.
pub type Answer<T> = Result<Box<T>, Unfit>;

/// Passkeys and their ceremonies. Passkeys are read by [`super::Factors::factors`], added and used
/// by [`super::Codes::attempt`], removed by [`super::Factors::disable`].
#[async_trait]
pub trait Passkeys: Send + Sync {
    /// Begins a ceremony. Of one user's, only the newest hundred are kept.
    async fn put_ceremony(&self, ceremony: NewCeremony) -> Stored<CeremonyId>;
    /// The ceremony of a binding and purpose that waits for its answer.
    async fn ceremony(
        &self,
        bound_to: Binding,
        purpose: Purpose,
        now: Timestamp,
    ) -> Stored<Option<Ceremony>>;
    /// Gives a user's passkey another name; `false` if there is none of that number.
    async fn rename_passkey(&self, user: UserId, id: PasskeyId, name: &str) -> Stored<bool>;
}
