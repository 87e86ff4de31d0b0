//! Seals what the store must be able to read back: phone numbers, email addresses, authenticator
//! secrets, what a wizard shows, the data key.
//!
//! XChaCha20-Poly1305 with a random nonce of 192 bits. The associated data says where a value
//! belongs, so that one copied to another row or column does not open. Sealed form: one version
//! byte, the nonce, ciphertext and tag. It never says why something did not open.

use crate::entropy::{self, Entropy, NoEntropy};
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use std::fmt;
use std::sync::Arc;
use zeroize::Zeroizing;

const VERSION: u8 = 1;
const NONCE_BYTES: usize = 24;

/// Seals and opens under one key.
pub(crate) struct Vault {
    cipher: XChaCha20Poly1305,
    entropy: Arc<dyn Entropy>,
}

impl fmt::Debug for Vault {
    // The cipher holds the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vault(***)")
    }
}

/// Why a value could not be sealed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SealError {
    #[error(transparent)]
    NoEntropy(#[from] NoEntropy),
    #[error("the value is too long to be sealed")]
    TooLong,
}

impl Vault {
    pub(crate) fn new(key: &[u8; 32], entropy: Arc<dyn Entropy>) -> Self {
        Self {
            cipher: XChaCha20Poly1305::new(key.into()),
            entropy,
        }
    }

    /// `plain`, sealed for the place that `place` names.
    pub(crate) fn seal(&self, place: &str, plain: &[u8]) -> Result<Vec<u8>, SealError> {
        let nonce = entropy::bytes::<NONCE_BYTES>(&*self.entropy)?;
        let payload = Payload {
            msg: plain,
            aad: place.as_bytes(),
        };
        let sealed = self
            .cipher
            .encrypt(&XNonce::from(nonce), payload)
            .map_err(|_| SealError::TooLong)?;
        Ok([&[VERSION], &nonce[..], &sealed].concat())
    }

    /// What was sealed for `place`; `None` if it was not, or not under this key.
    pub(crate) fn open(&self, place: &str, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (&version, rest) = sealed.split_first()?;
        let (nonce, msg) = rest.split_first_chunk::<NONCE_BYTES>()?;
        if version != VERSION {
            return None;
        }
        let payload = Payload {
            msg,
            aad: place.as_bytes(),
        };
        self.cipher
            .decrypt(&XNonce::from(*nonce), payload)
            .ok()
            .map(Zeroizing::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::OsEntropy;

    fn vault(key: u8) -> Vault {
        Vault::new(&[key; 32], Arc::new(OsEntropy))
    }

    #[test]
    fn what_was_sealed_opens_in_its_place_only() {
        let sealed = vault(1).seal("users.phone/1", b"+4512345678").unwrap();
        assert_eq!(
            vault(1).open("users.phone/1", &sealed).as_deref(),
            Some(&b"+4512345678".to_vec())
        );
        assert!(vault(2).open("users.phone/1", &sealed).is_none(), "key");
        assert!(vault(1).open("users.phone/2", &sealed).is_none(), "place");
    }

    #[test]
    fn no_changed_byte_and_no_cut_goes_unseen() {
        let sealed = vault(1).seal("x", b"secret").unwrap();
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(vault(1).open("x", &changed).is_none(), "byte {at}");
            assert!(vault(1).open("x", &sealed[..at]).is_none(), "cut at {at}");
        }
    }

    #[test]
    fn equal_values_are_sealed_differently() {
        let vault = vault(1);
        let (a, b) = (vault.seal("x", b"same"), vault.seal("x", b"same"));
        assert_ne!(a.unwrap(), b.unwrap());
    }
}
