//! The keys that Vestibule signs its tokens with.

use super::{Stored, async_trait};
use crate::clock::Timestamp;
use crate::secret::Secret;

/// A signature algorithm (RFC 7518, RFC 8037).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// Ed25519.
    EdDsa,
    /// RSASSA-PKCS1-v1_5 with SHA-256, for clients that know nothing newer.
    Rs256,
}

impl Algorithm {
    /// The name in the header of a token, in a JWKS and in the store.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EdDsa => "EdDSA",
            Self::Rs256 => "RS256",
        }
    }

    /// The algorithm of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::EdDsa, Self::Rs256]
            .into_iter()
            .find(|one| one.as_str() == name)
    }
}

/// A key pair with its times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningKey {
    pub kid: String,
    pub algorithm: Algorithm,
    /// PKCS#8 in base64. Sealed in the store.
    pub private: Secret,
    pub created_at: Timestamp,
    /// Published at once, used from then on.
    pub signs_from: Timestamp,
    /// Published until then; `None`: no end is set.
    pub ends_at: Option<Timestamp>,
}

/// Signing keys.
#[async_trait]
pub trait SigningKeys: Send + Sync {
    /// Keys that have not ended, oldest first.
    async fn signing_keys(&self, now: Timestamp) -> Stored<Vec<SigningKey>>;
    /// Adds the first key of its algorithm: `false`, and nothing is added, if there is one that has
    /// not ended (two gateways start at once).
    async fn add_first_key(&self, key: SigningKey) -> Stored<bool>;
    /// Adds a key, and sets `others_end_at` as the end of all others of its algorithm that have no
    /// end, in one step.
    async fn rotate_keys(&self, key: SigningKey, others_end_at: Timestamp) -> Stored<()>;
}
