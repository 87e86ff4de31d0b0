//! How long codes, sessions and tokens are good, how many of them are sent, and what wrong ones cost.

use std::time::Duration;

/// How long a verified pair stays verified.
#[derive(Clone, Copy, Debug)]
pub struct Sessions {
    pub lifetime: Duration,
    pub idle: Duration,
    /// Entries the hot map holds at most.
    pub hot_max: usize,
}

/// One-time codes.
#[derive(Clone, Copy, Debug)]
pub struct Codes {
    /// Decimal digits.
    pub length: usize,
    pub lifetime: Duration,
    /// Wrong codes a challenge survives.
    pub attempts: u32,
    pub resend_after: Duration,
    /// Time steps of 30 s before and after now whose authenticator codes are taken.
    pub totp_window: u32,
}

/// How much may be sent.
#[derive(Clone, Debug)]
pub struct Limits {
    pub per_user_per_hour: u32,
    pub per_number_per_hour: u32,
    pub per_gateway_per_minute: u32,
    pub per_prefix_per_minute: u32,
    /// ISO 3166 alpha-2, upper case; empty: any country.
    pub countries: Vec<String>,
}

/// What consecutive failures cost.
#[derive(Clone, Copy, Debug)]
pub struct Lockout {
    pub delay_every: u32,
    pub first_delay: Duration,
    pub max_delay: Duration,
    pub lock_at: u32,
    /// The bounds for one client address are those for a user times this.
    pub address_factor: u32,
}

/// Vestibule's own tokens.
#[derive(Clone, Debug)]
pub struct Tokens {
    /// Who has signed them (`iss`).
    pub issuer: String,
    /// Of routes that do not name one of their own.
    pub algorithm: SigningAlgorithm,
    pub access_lifetime: Duration,
    pub refresh_lifetime: Duration,
}

/// A signature algorithm (RFC 7518, RFC 8037).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SigningAlgorithm {
    /// Ed25519.
    EdDsa,
    /// RSASSA-PKCS1-v1_5 with SHA-256, for clients that know nothing newer.
    Rs256,
}

impl SigningAlgorithm {
    /// Every algorithm.
    pub const ALL: [Self; 2] = [Self::EdDsa, Self::Rs256];

    /// The name in the header of a token, in a JWKS and in the store.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EdDsa => "EdDSA",
            Self::Rs256 => "RS256",
        }
    }

    /// The algorithm of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == name)
    }
}
