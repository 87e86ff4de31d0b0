//! Backup codes: ten codes of eight digits, written as `dddd dddd`, each good once.
//!
//! Eight digits are few, so what is stored is slow to guess and useless without the store's key:
//! argon2id (RFC 9106) with a salt for the set and a secret pepper.

use super::one_time;
use crate::digest::CodeDigest;
use crate::entropy::{self, Entropy, NoEntropy};
use crate::secret::Secret;
use argon2::{Algorithm, Argon2, Params, Version};

/// Codes in a set.
pub const CODES: usize = 10;

/// Digits of a code.
pub const DIGITS: usize = 8;
/// Draws for a set: a source that gives no ten different codes in so many is none.
const DRAWS_MAX: usize = 100;

/// OWASP's Password Storage Cheat Sheet: 19 MiB, 2 passes, 1 lane.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// A new set, as it is shown once: `dddd dddd`, no two alike.
pub fn generate(entropy: &dyn Entropy) -> Result<Vec<Secret>, NoEntropy> {
    let mut codes = Vec::with_capacity(CODES);
    for _ in 0..DRAWS_MAX {
        let digits = Secret::new(entropy::digits(entropy, DIGITS)?);
        let (left, right) = digits.expose().split_at(DIGITS / 2);
        let code = Secret::new(format!("{left} {right}"));
        if !codes.contains(&code) {
            codes.push(code);
        }
        if codes.len() == CODES {
            return Ok(codes);
        }
    }
    Err(NoEntropy)
}

/// A typed code as its eight digits: white space and hyphens dropped. `None` if it is not one.
#[must_use]
pub fn normalise(typed: &str) -> Option<Secret> {
    one_time::normalise(typed).filter(|digits| digits.expose().len() == DIGITS)
}

/// The stored form of a code that [`normalise`] has read. Takes tens of milliseconds and 19 MiB:
/// never call it on an I/O thread. `None` if there is not that much memory.
#[must_use]
pub fn digest(code: &Secret, salt: &[u8; 16], pepper: &[u8; 32]) -> Option<CodeDigest> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).ok()?;
    let argon2 =
        Argon2::new_with_secret(pepper, Algorithm::Argon2id, Version::V0x13, params).ok()?;
    let mut out = [0; 32];
    argon2
        .hash_password_into(code.expose().as_bytes(), salt, &mut out)
        .ok()?;
    Some(CodeDigest(out))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::OsEntropy;
    use std::collections::HashSet;
    use std::sync::atomic::{AtomicU8, Ordering};

    #[test]
    fn ten_codes_are_made_and_no_two_are_alike() {
        let codes = generate(&OsEntropy).unwrap();
        let texts: HashSet<&str> = codes.iter().map(Secret::expose).collect();
        assert_eq!(texts.len(), CODES);
        for text in texts {
            let (left, right) = text.split_once(' ').unwrap();
            for half in [left, right] {
                assert_eq!(half.len(), 4, "{text}");
                assert!(half.bytes().all(|byte| byte.is_ascii_digit()), "{text}");
            }
            assert!(normalise(text).is_some());
        }
    }

    /// Draws the same digits twice each: `00000000`, `00000000`, `11111111`, …
    #[derive(Debug, Default)]
    struct Twice(AtomicU8);

    impl Entropy for Twice {
        fn fill(&self, out: &mut [u8]) -> Result<(), NoEntropy> {
            out.fill(self.0.fetch_add(1, Ordering::SeqCst) / 2);
            Ok(())
        }
    }

    #[derive(Debug)]
    struct Always(u8);

    impl Entropy for Always {
        fn fill(&self, out: &mut [u8]) -> Result<(), NoEntropy> {
            out.fill(self.0);
            Ok(())
        }
    }

    #[test]
    fn a_code_that_was_drawn_before_is_drawn_anew() {
        let codes = generate(&Twice::default()).unwrap();
        let expected: Vec<_> = (0..10)
            .map(|digit| Secret::new(format!("{0} {0}", digit.to_string().repeat(4))))
            .collect();
        assert_eq!(codes, expected);
        assert!(generate(&Always(7)).is_err(), "and not for ever");
    }

    #[test]
    fn codes_are_read_as_people_type_them() {
        for typed in ["12345678", "1234 5678", " 1234-5678\t", "12 34 56 78"] {
            let code = normalise(typed).unwrap();
            assert_eq!(code.expose(), "12345678", "{typed:?}");
        }
        for typed in ["", "1234567", "123456789", "1234 567x", "１２３４５６７８"] {
            assert_eq!(normalise(typed), None, "{typed:?}");
        }
    }

    #[test]
    fn the_stored_form_depends_on_code_salt_and_pepper() {
        let code = Secret::new("12345678");
        let digest = |code: &Secret, salt, pepper| digest(code, &[salt; 16], &[pepper; 32]);
        let stored = digest(&code, 1, 2).unwrap();
        assert_eq!(digest(&code, 1, 2), Some(stored));
        for other in [
            digest(&Secret::new("12345679"), 1, 2),
            digest(&code, 3, 2),
            digest(&code, 1, 3),
        ] {
            assert_ne!(other.unwrap(), stored);
        }
    }
}
