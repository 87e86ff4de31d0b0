//! The keys that Vestibule signs its tokens with.

use super::{Stored, async_trait};
use crate::clock::Timestamp;
pub use crate::config::model::SigningAlgorithm;
use crate::secret::Secret;

/// A key pair with its times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningKey {
    pub kid: String,
    pub algorithm: SigningAlgorithm,
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
