//! Signing keys.

use super::Memory;
use crate::auth::ports::{SigningKey, SigningKeys, Stored};
use crate::clock::Timestamp;
use async_trait::async_trait;

fn is_live(key: &SigningKey, now: Timestamp) -> bool {
    key.ends_at.is_none_or(|end| now < end)
}

#[async_trait]
impl SigningKeys for Memory {
    async fn signing_keys(&self, now: Timestamp) -> Stored<Vec<SigningKey>> {
        let state = self.lock()?;
        let live = state.signing_keys.iter().filter(|key| is_live(key, now));
        Ok(live.cloned().collect())
    }

    async fn add_first_key(&self, key: SigningKey) -> Stored<bool> {
        let mut state = self.lock()?;
        let is_there = state
            .signing_keys
            .iter()
            .any(|other| other.algorithm == key.algorithm && is_live(other, key.created_at));
        if !is_there {
            state.signing_keys.push(key);
        }
        Ok(!is_there)
    }

    async fn rotate_keys(&self, key: SigningKey, others_end_at: Timestamp) -> Stored<()> {
        let mut state = self.lock()?;
        for other in &mut state.signing_keys {
            if other.algorithm == key.algorithm {
                other.ends_at.get_or_insert(others_end_at);
            }
        }
        state.signing_keys.push(key);
        Ok(())
    }
}
