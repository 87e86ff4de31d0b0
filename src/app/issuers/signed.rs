//! Verifies signed tokens with the keys of their issuer, which come from the config or are fetched.

use super::fetch::Client;
use super::jwks::Fetched;
use super::{Base, learned};
use crate::clock::Clock;
use crate::config::model::{Jwt, JwtKeys};
use crate::gate::Unavailable;
use crate::identity::claims::{Refused, Word};
use crate::identity::jwt::{self, KeyError, KeySet};
use crate::identity::witness::{LearnedToken, Probe};
use async_trait::async_trait;
use std::sync::Arc;
use std::time::Duration;

/// A token is verified again after so long: then a key that was withdrawn ends it.
const RECHECK: Duration = Duration::from_secs(60);

/// One `jwt` identity.
pub(super) struct Verifier {
    rules: Jwt,
    phone_region: Option<String>,
    clock: Arc<dyn Clock>,
    keys: Keys,
}

enum Keys {
    Fixed(KeySet),
    Fetched(Fetched),
}

impl Verifier {
    pub(super) fn new(
        rules: Jwt,
        phone_region: Option<String>,
        client: Client,
        base: &Base,
    ) -> Result<Self, KeyError> {
        let clock = Arc::clone(&base.clock);
        let keys = match &rules.keys {
            JwtKeys::Set(text) => Keys::Fixed(KeySet::from_jwks(text.as_bytes())?),
            JwtKeys::Pem(keys) => Keys::Fixed(KeySet::from_pem(keys)?),
            JwtKeys::Url { url, refresh } => Keys::Fetched(Fetched::start(
                url.clone(),
                *refresh,
                client,
                Arc::clone(&clock),
            )),
        };
        Ok(Self {
            rules,
            phone_region,
            clock,
            keys,
        })
    }

    /// Once with the keys at hand, and again if the token's key may be a new one.
    async fn verify(&self, token: &str) -> Result<Result<Word, Refused>, Unavailable> {
        let verify = |keys: &KeySet| jwt::verify(&self.rules, keys, token, self.clock.now());
        match &self.keys {
            Keys::Fixed(keys) => Ok(verify(keys)),
            Keys::Fetched(fetched) => {
                let held = fetched.current().await?;
                let verified = verify(&held.keys);
                if verified != Err(Refused::UnknownKey) {
                    return Ok(verified);
                }
                let newer = fetched.newer_than(&held).await;
                Ok(newer.map_or(verified, |newer| verify(&newer.keys)))
            }
        }
    }
}

#[async_trait]
impl Probe for Verifier {
    async fn probe(&self, realm: &str, token: &str) -> Result<Option<LearnedToken>, Unavailable> {
        match self.verify(token).await? {
            Ok(word) => {
                let region = self.phone_region.as_deref();
                Ok(Some(learned(realm, token, word, region)))
            }
            Err(refused) => {
                tracing::debug!(realm, %refused, "a token is refused");
                Ok(None)
            }
        }
    }

    fn recheck(&self) -> Option<Duration> {
        Some(RECHECK)
    }
}
