//! Hashes and verifies the passwords of Vestibule's own accounts: argon2id (RFC 9106), stored as a
//! PHC string with its own salt and parameters, so that these can be raised without breaking old ones.
//!
//! Both functions take tens of milliseconds and 19 MiB: never call them on an I/O thread.

use crate::entropy::{self, Entropy};
use crate::secret::Secret;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};

/// OWASP's Password Storage Cheat Sheet: 19 MiB, 2 passes, 1 lane.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// Stands in for the hash of a user who does not exist or has no password, so that both answers
/// take the same time. Made up: no password is known for it, and [`verify_password`]'s answer is
/// thrown away besides.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$Zm9yIG5vYm9keSBoZXJl$c28gdGhhdCBib3RoIHRha2UgdGhlIHNhbWUgdGltZSE";

/// Why a password could not be hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    #[error("the operating system gave no random bytes")]
    NoEntropy,
    /// Longer than argon2 takes (4 GiB): cannot happen to what a request or a prompt can carry.
    #[error("the password cannot be hashed")]
    Unhashable,
}

/// The PHC string of a password, with 16 fresh bytes of salt.
pub fn hash_password(password: &Secret, entropy: &dyn Entropy) -> Result<Secret, HashError> {
    let salt = entropy::bytes::<16>(entropy).map_err(|_| HashError::NoEntropy)?;
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(|_| HashError::Unhashable)?;
    let hash: PasswordHash = Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_with_salt(password.expose().as_bytes(), &salt)
        .map_err(|_| HashError::Unhashable)?;
    Ok(Secret::new(hash.to_string()))
}

/// Whether the password is the one that was hashed, in constant time. Where there is no hash, the
/// same work is done and the answer is no.
#[must_use]
pub fn verify_password(password: &Secret, hash: Option<&Secret>) -> bool {
    let phc = hash.map_or(NOBODY, Secret::expose);
    let right = PasswordHash::new(phc).is_ok_and(|parsed| {
        Argon2::default()
            .verify_password(password.expose().as_bytes(), &parsed)
            .is_ok()
    });
    right && hash.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::{NoEntropy, OsEntropy};

    #[test]
    fn a_password_verifies_against_its_own_hash_alone() {
        let password = Secret::new("correct horse");
        let hash = hash_password(&password, &OsEntropy).unwrap();
        assert!(hash.expose().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert!(verify_password(&password, Some(&hash)));
        assert!(!verify_password(&Secret::new("correct horsf"), Some(&hash)));
        assert!(!verify_password(&Secret::new(""), Some(&hash)));
    }

    #[test]
    fn two_hashes_of_one_password_differ() {
        let password = Secret::new("x");
        assert_ne!(
            hash_password(&password, &OsEntropy),
            hash_password(&password, &OsEntropy)
        );
    }

    #[test]
    fn nobody_is_hashed_like_somebody() {
        let parsed = PasswordHash::new(NOBODY).unwrap();
        let params = Params::try_from(&parsed).unwrap();
        assert_eq!(
            (params.m_cost(), params.t_cost(), params.p_cost()),
            (MEMORY_KIB, PASSES, LANES)
        );
        assert_eq!(parsed.hash.map(|hash| hash.len()), Some(32));
        assert!(!verify_password(&Secret::new("anything"), None));
    }

    #[test]
    fn a_damaged_hash_verifies_nothing() {
        for damaged in ["", "plain", "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ"] {
            assert!(!verify_password(
                &Secret::new("plain"),
                Some(&Secret::new(damaged))
            ));
        }
    }

    #[test]
    fn no_entropy_no_hash() {
        #[derive(Debug)]
        struct Dry;
        impl Entropy for Dry {
            fn fill(&self, _out: &mut [u8]) -> Result<(), NoEntropy> {
                Err(NoEntropy)
            }
        }
        assert_eq!(
            hash_password(&Secret::new("x"), &Dry),
            Err(HashError::NoEntropy)
        );
    }
}
