//! Time-based one-time passwords (RFC 6238): SHA-1, 6 digits, 30 seconds, as every authenticator
//! app does it. Pure: the time and the randomness come in, what was accepted is the store's to keep.

use crate::clock::Timestamp;
use crate::entropy::{Entropy, NoEntropy};
use crate::secret::Secret;
use std::fmt;
use zeroize::Zeroizing;

/// A shared secret. Wiped when it is dropped, masked in `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct TotpSecret(Zeroizing<Vec<u8>>);

impl fmt::Debug for TotpSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TotpSecret(***)")
    }
}

/// Why a text is no secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSecret {
    #[error("the key must be base32: letters A to Z and digits 2 to 7")]
    NotBase32,
    #[error("the key is too short: it must have at least 16 characters")]
    TooShort,
    #[error("the key is too long")]
    TooLong,
}

impl TotpSecret {
    /// 160 random bits, as RFC 4226 section 4 recommends.
    pub fn generate(_entropy: &dyn Entropy) -> Result<Self, NoEntropy> {
        todo!()
    }

    /// Reads base32 (RFC 4648) in either case, with or without padding, spaces and hyphens: 80 bits
    /// at least.
    pub fn parse(_text: &str) -> Result<Self, BadSecret> {
        todo!()
    }

    /// As it was stored.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(Zeroizing::new(bytes.to_vec()))
    }

    /// As it is stored, sealed.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// For people and apps: base32 in upper case, without padding.
    #[must_use]
    pub fn base32(&self) -> Secret {
        todo!()
    }

    /// The time step (RFC 6238's T) whose code this is, of those at most `window` steps away from
    /// now: the latest of them. Compared in constant time.
    #[must_use]
    pub fn step_of(&self, _code: &str, _now: Timestamp, _window: u32) -> Option<i64> {
        todo!()
    }

    /// `otpauth://totp/Issuer:account?secret=…&issuer=…`, as authenticator apps scan it.
    #[must_use]
    pub fn uri(&self, _issuer: &str, _account: &str) -> Secret {
        todo!()
    }
}

/// A PNG image of a text as a QR code; `None` if it does not fit into one.
#[must_use]
pub fn qr_png(_text: &Secret) -> Option<Vec<u8>> {
    todo!()
}
