//! Randomness as a parameter: the only place that asks the operating system for random bytes.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::fmt;

/// The operating system could not give random bytes. Nothing that needs them may go on.
#[derive(Debug, thiserror::Error)]
#[error("the operating system gave no random bytes")]
pub struct NoEntropy;

/// A source of cryptographically secure random bytes.
pub trait Entropy: Send + Sync + fmt::Debug + 'static {
    /// Fills `out` with random bytes.
    fn fill(&self, out: &mut [u8]) -> Result<(), NoEntropy>;
}

/// The operating system's CSPRNG.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsEntropy;

impl Entropy for OsEntropy {
    fn fill(&self, out: &mut [u8]) -> Result<(), NoEntropy> {
        getrandom::fill(out).map_err(|_| NoEntropy)
    }
}

/// `N` random bytes.
pub fn bytes<const N: usize>(entropy: &dyn Entropy) -> Result<[u8; N], NoEntropy> {
    let mut out = [0; N];
    entropy.fill(&mut out)?;
    Ok(out)
}

/// A URL-safe token of 256 random bits (43 characters).
pub fn token(entropy: &dyn Entropy) -> Result<String, NoEntropy> {
    Ok(URL_SAFE_NO_PAD.encode(bytes::<32>(entropy)?))
}

/// A random UUID (RFC 9562 version 4): 122 random bits.
pub fn uuid(entropy: &dyn Entropy) -> Result<String, NoEntropy> {
    let random = u128::from_be_bytes(bytes::<16>(entropy)?);
    // Four bits say the version (4), two the variant (10).
    let cleared = random & !(0xf000 << 64) & !(0xc000_u128 << 48);
    let uuid = cleared | (0x4000 << 64) | (0x8000_u128 << 48);
    let hex = format!("{uuid:032x}");
    let mut out = String::with_capacity(36);
    for (at, digit) in hex.chars().enumerate() {
        if matches!(at, 8 | 12 | 16 | 20) {
            out.push('-');
        }
        out.push(digit);
    }
    Ok(out)
}

/// A one-time code of `len` decimal digits, each uniform: bytes of 250 and above are thrown away
/// instead of being folded (rejection sampling).
pub fn digits(entropy: &dyn Entropy, len: usize) -> Result<String, NoEntropy> {
    let mut out = String::with_capacity(len);
    while out.len() < len {
        for byte in bytes::<16>(entropy)? {
            if byte < 250 && out.len() < len {
                out.push(char::from(b'0' + byte % 10));
            }
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Replays bytes in order, so that a draw can be predicted.
    #[derive(Debug)]
    struct Replay(std::sync::Mutex<Vec<u8>>);

    impl Entropy for Replay {
        fn fill(&self, out: &mut [u8]) -> Result<(), NoEntropy> {
            let mut left = self.0.lock().map_err(|_| NoEntropy)?;
            if left.len() < out.len() {
                return Err(NoEntropy);
            }
            for slot in out {
                *slot = left.remove(0);
            }
            Ok(())
        }
    }

    #[test]
    fn a_uuid_has_its_version_and_variant() {
        let ones = Replay(std::sync::Mutex::new(vec![0xff; 16]));
        assert_eq!(uuid(&ones).unwrap(), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        let zeros = Replay(std::sync::Mutex::new(vec![0; 16]));
        assert_eq!(
            uuid(&zeros).unwrap(),
            "00000000-0000-4000-8000-000000000000"
        );
    }

    #[test]
    fn digits_reject_the_biased_tail() {
        let mut bytes = vec![250, 255, 0, 9, 10, 249];
        bytes.extend([252; 10]);
        bytes.extend([1; 16]);
        let source = Replay(bytes.into());
        assert_eq!(digits(&source, 6).ok().as_deref(), Some("090911"));
    }

    #[test]
    fn no_entropy_is_an_error_not_a_weak_code() {
        assert!(digits(&Replay(vec![1; 3].into()), 6).is_err());
    }

    #[test]
    fn tokens_differ_and_have_256_bits() {
        let (a, b) = (token(&OsEntropy), token(&OsEntropy));
        assert_eq!(a.as_ref().map(String::len).ok(), Some(43));
        assert_ne!(a.ok(), b.ok());
    }
}
