//! The keys that Vestibule signs its tokens with, held ready: made at the first need, published
//! before they sign, kept published until what they signed has ended.
//!
//! Never checks a signature: what Vestibule accepts is what its store knows. Signatures are for those
//! behind it, who find the public keys in the JWKS (RFC 7517).

use super::assertion::Recent;
use super::ports::{SigningAlgorithm, SigningKey, SigningKeys, StoreError, Stored};
use crate::clock::{Clock, Timestamp};
use crate::entropy::{self, Entropy};
use crate::secret::Secret;
use arc_swap::ArcSwap;
use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{Ed25519KeyPair, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::jwk::{Jwk, JwkSet, PublicKeyUse, ThumbprintHash};
use jsonwebtoken::{EncodingKey, Header};
use serde::Serialize;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use zeroize::Zeroizing;

/// How long a new key is published before it signs: longer than others keep a JWKS.
pub const PUBLISHED_BEFORE: Duration = Duration::from_secs(600);

/// Signs, with the keys of the store.
pub struct Signer {
    store: Arc<dyn SigningKeys>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    keys: ArcSwap<Vec<Ready>>,
    /// RSA keys take a second to make: one at a time.
    making: Mutex<()>,
    pub(super) assertions: Recent,
}

/// A key as it is used.
#[derive(Clone)]
struct Ready {
    kid: String,
    algorithm: SigningAlgorithm,
    signs_from: Timestamp,
    ends_at: Option<Timestamp>,
    private: EncodingKey,
    public: Jwk,
}

/// A key has been put in the place of the one before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotated {
    pub kid: String,
    pub algorithm: SigningAlgorithm,
    pub signs_from: Timestamp,
    /// Until when the older ones stay published.
    pub others_end_at: Timestamp,
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signer(***)")
    }
}

impl Signer {
    /// A signer that has not read its keys yet.
    #[must_use]
    pub fn new(
        store: Arc<dyn SigningKeys>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        Self {
            store,
            clock,
            entropy,
            keys: ArcSwap::default(),
            making: Mutex::new(()),
            assertions: Recent::default(),
        }
    }

    /// Reads the keys again: another gateway may have rotated them.
    pub async fn reread(&self) -> Stored<()> {
        let keys = self.store.signing_keys(self.clock.now()).await?;
        let ready: Stored<Vec<_>> = keys.iter().map(ready).collect();
        self.keys.store(Arc::new(ready?));
        Ok(())
    }

    /// The claims as a JWT (RFC 7519), signed with the newest key whose time has come.
    pub async fn sign(
        &self,
        algorithm: SigningAlgorithm,
        claims: &impl Serialize,
    ) -> Stored<Secret> {
        self.ensure(algorithm).await?;
        let now = self.clock.now();
        let keys = self.keys.load();
        let key = current(&keys, algorithm, now).ok_or(StoreError::Damaged("signing key"))?;
        let header = Header {
            kid: Some(key.kid.clone()),
            ..Header::new(name(algorithm))
        };
        let token = jsonwebtoken::encode(&header, claims, &key.private);
        token
            .map(Secret::new)
            .map_err(|_| StoreError::Damaged("signing key"))
    }

    /// The id of the key that signs now.
    #[must_use]
    pub fn kid(&self, algorithm: SigningAlgorithm) -> Option<String> {
        let keys = self.keys.load();
        Some(current(&keys, algorithm, self.clock.now())?.kid.clone())
    }

    /// The public keys that have not ended (RFC 7517 section 5), `algorithm`'s among them.
    pub async fn jwks(&self, algorithm: SigningAlgorithm) -> Stored<JwkSet> {
        self.ensure(algorithm).await?;
        let now = self.clock.now();
        let keys = self.keys.load();
        let live = keys.iter().filter(|key| is_published(key, now));
        Ok(JwkSet {
            keys: live.map(|key| key.public.clone()).collect(),
        })
    }

    /// Puts a new key in the place of the one that signs now. It is published at once; `at_once`: it
    /// signs at once too. The older ones stay published for `overlap` after they have signed last.
    pub async fn rotate(
        &self,
        algorithm: SigningAlgorithm,
        at_once: bool,
        overlap: Duration,
    ) -> Stored<Rotated> {
        let now = self.clock.now();
        let wait = if at_once {
            Duration::ZERO
        } else {
            PUBLISHED_BEFORE
        };
        let key = self.make(algorithm, now.after(wait)).await?;
        let rotated = Rotated {
            kid: key.kid.clone(),
            algorithm,
            signs_from: key.signs_from,
            others_end_at: key.signs_from.after(overlap),
        };
        self.store.rotate_keys(key, rotated.others_end_at).await?;
        self.reread().await?;
        Ok(rotated)
    }

    /// Sees to it that a key of the algorithm can sign now.
    async fn ensure(&self, algorithm: SigningAlgorithm) -> Stored<()> {
        if self.has_current(algorithm) {
            return Ok(());
        }
        let _turn = self.making.lock().await;
        if self.has_current(algorithm) {
            return Ok(());
        }
        self.reread().await?;
        if !self.has_current(algorithm) {
            let key = self.make(algorithm, self.clock.now()).await?;
            // `false`: another gateway was faster, and its key is read now.
            self.store.add_first_key(key).await?;
            self.reread().await?;
        }
        Ok(())
    }

    fn has_current(&self, algorithm: SigningAlgorithm) -> bool {
        current(&self.keys.load(), algorithm, self.clock.now()).is_some()
    }

    async fn make(&self, algorithm: SigningAlgorithm, signs_from: Timestamp) -> Stored<SigningKey> {
        let no_key = || StoreError::Unavailable("a signing key cannot be made".to_owned());
        let pkcs8 = match algorithm {
            SigningAlgorithm::EdDsa => ed25519(&*self.entropy),
            SigningAlgorithm::Rs256 => tokio::task::spawn_blocking(rsa).await.ok().flatten(),
        };
        let private = Secret::new(STANDARD.encode(pkcs8.ok_or_else(no_key)?));
        let (_, public) = pair(algorithm, &private).ok_or_else(no_key)?;
        let kid = public.thumbprint(ThumbprintHash::SHA256);
        Ok(SigningKey {
            kid: kid.map_err(|_| no_key())?,
            algorithm,
            private,
            created_at: self.clock.now(),
            signs_from,
            ends_at: None,
        })
    }
}

/// An Ed25519 key (RFC 8032) as PKCS#8.
fn ed25519(entropy: &dyn Entropy) -> Option<Zeroizing<Vec<u8>>> {
    let seed = Zeroizing::new(entropy::bytes::<32>(entropy).ok()?);
    let pair = Ed25519KeyPair::from_seed_unchecked(&*seed).ok()?;
    let pkcs8 = pair.to_pkcs8v1().ok()?;
    Some(Zeroizing::new(pkcs8.as_ref().to_vec()))
}

/// An RSA key of 2048 bits as PKCS#8. The library draws its primes by itself.
fn rsa() -> Option<Zeroizing<Vec<u8>>> {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).ok()?;
    let pkcs8: Pkcs8V1Der<'static> = pair.as_der().ok()?;
    Some(Zeroizing::new(pkcs8.as_ref().to_vec()))
}

/// The library's key from PKCS#8 in base64, and its public half.
fn pair(algorithm: SigningAlgorithm, pkcs8: &Secret) -> Option<(EncodingKey, Jwk)> {
    let pem = Zeroizing::new(format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
        pkcs8.expose()
    ));
    let private = match algorithm {
        SigningAlgorithm::EdDsa => EncodingKey::from_ed_pem(pem.as_bytes()),
        SigningAlgorithm::Rs256 => EncodingKey::from_rsa_pem(pem.as_bytes()),
    };
    let private = private.ok()?;
    let public = Jwk::from_encoding_key(&private, name(algorithm)).ok()?;
    Some((private, public))
}

fn ready(key: &SigningKey) -> Stored<Ready> {
    let pair = pair(key.algorithm, &key.private);
    let (private, mut public) = pair.ok_or(StoreError::Damaged("signing key"))?;
    public.common.key_id = Some(key.kid.clone());
    public.common.public_key_use = Some(PublicKeyUse::Signature);
    Ok(Ready {
        kid: key.kid.clone(),
        algorithm: key.algorithm,
        signs_from: key.signs_from,
        ends_at: key.ends_at,
        private,
        public,
    })
}

/// The newest key whose time has come. They are in the order in which they were made.
fn current(keys: &[Ready], algorithm: SigningAlgorithm, now: Timestamp) -> Option<&Ready> {
    keys.iter()
        .filter(|key| key.algorithm == algorithm && key.signs_from <= now && is_published(key, now))
        .max_by_key(|key| key.signs_from)
}

fn is_published(key: &Ready, now: Timestamp) -> bool {
    key.ends_at.is_none_or(|end| now < end)
}

fn name(algorithm: SigningAlgorithm) -> jsonwebtoken::Algorithm {
    match algorithm {
        SigningAlgorithm::EdDsa => jsonwebtoken::Algorithm::EdDSA,
        SigningAlgorithm::Rs256 => jsonwebtoken::Algorithm::RS256,
    }
}

#[cfg(test)]
mod tests;
