//! Where users and their tokens come from.

use crate::secret::Secret;
use std::time::Duration;

/// How a token becomes a user.
#[derive(Clone, Debug)]
pub enum Identity {
    /// Watch the upstream's own sign-in.
    Learn(Learn),
    /// Users and share links in Vestibule's own store.
    Accounts,
    /// Verify tokens that another has signed (RFC 7519).
    Jwt(Jwt),
    /// Ask the issuer about each token (RFC 7662).
    Introspection(Introspection),
}

/// Signed tokens of one issuer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Jwt {
    pub keys: JwtKeys,
    /// What `iss` must be.
    pub issuer: String,
    /// What `aud` must be, or hold.
    pub audience: String,
    /// Never empty. What a token's own header asks for beyond these is refused.
    pub algorithms: Vec<VerificationAlgorithm>,
    /// By how much `nbf` and `iat` may lie in the future.
    pub leeway: Duration,
    pub claims: Claims,
}

/// Where an issuer's public keys come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JwtKeys {
    /// A JWK set (RFC 7517) that is fetched, and again after `refresh` at the latest.
    Url { url: String, refresh: Duration },
    /// A JWK set, as text.
    Set(String),
    /// Keys one by one.
    Pem(Vec<PemKey>),
}

/// A public key in PEM, and the one algorithm it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PemKey {
    pub pem: String,
    pub algorithm: VerificationAlgorithm,
    pub kid: Option<String>,
}

/// The signatures (RFC 7518, RFC 8037) that are taken: all of them with a public key, so that nobody
/// who can verify a token can also make one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum VerificationAlgorithm {
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    EdDsa,
}

impl VerificationAlgorithm {
    pub const ALL: [Self; 9] = [
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Es256,
        Self::Es384,
        Self::EdDsa,
    ];

    /// The name in a token's header.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
        }
    }

    /// The algorithm of that name; case counts.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str() == name)
    }
}

/// The claims that say who a token's user is, by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    pub user: String,
    pub phone: Option<String>,
    pub email: Option<String>,
    /// `None`: the operator says who is in which group.
    pub groups: Option<String>,
}

/// An issuer that is asked about each token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Introspection {
    pub url: String,
    pub client_id: String,
    pub client_secret: Secret,
    /// How long its word is good.
    pub cache: Duration,
    /// What `aud` must be, or hold, if given.
    pub audience: Option<String>,
    /// It looks the user up for each answer, instead of saying what it knew when the token was issued.
    pub is_live: bool,
    pub claims: Claims,
}

/// The exchange that is watched: where its endpoint is, and JSON pointers (RFC 6901) into its answer.
#[derive(Clone, Debug)]
pub struct Learn {
    pub endpoint: String,
    pub token: String,
    pub user: String,
    pub phone: Option<String>,
    pub email: Option<String>,
    /// `None`: the operator says who is in which group.
    pub groups: Option<String>,
    /// Asked once, with the bearer token, for a token that was issued before Vestibule came.
    pub probe: Option<String>,
    /// The profile pointers above are relative to the sign-in answer; the probe's answer is the
    /// profile itself, or has the same shape: both are tried.
    pub lifetime: Option<Duration>,
}
