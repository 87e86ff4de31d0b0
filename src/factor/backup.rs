//! Backup codes: ten codes of eight digits, written as `dddd dddd`, each good once.
//!
//! Eight digits are few, so what is stored is slow to guess and useless without the store's key:
//! argon2id (RFC 9106) with a salt for the set and a secret pepper.

use crate::digest::CodeDigest;
use crate::entropy::{Entropy, NoEntropy};
use crate::secret::Secret;

/// Codes in a set.
pub const CODES: usize = 10;

/// A new set, as it is shown once: `dddd dddd`, no two alike.
pub fn generate(_entropy: &dyn Entropy) -> Result<Vec<Secret>, NoEntropy> {
    todo!()
}

/// A typed code as its eight digits: white space and hyphens dropped. `None` if it is not one.
#[must_use]
pub fn normalise(_typed: &str) -> Option<Secret> {
    todo!()
}

/// The stored form. Takes tens of milliseconds: never call it on an I/O thread.
#[must_use]
pub fn digest(_code: &Secret, _salt: &[u8; 16], _pepper: &[u8; 32]) -> CodeDigest {
    todo!()
}
