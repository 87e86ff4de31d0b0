//! Vestibule's own tokens, and what an upstream receives of a client's.

use crate::config::values::Period;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The tokens that Vestibule signs itself. What they are signed with is at `/.vestibule/jwks.json`.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Tokens {
    /// Who has signed them (`iss`), a URL. Without it, `https://` and the first host of the routes
    /// that has no `*`.
    #[schemars(extend("examples" = ["https://files.example.org"]))]
    pub(in crate::config) issuer: Option<String>,
    pub(in crate::config) algorithm: SigningAlgorithm,
    /// How long an access token is good.
    pub(in crate::config) access_lifetime: Period,
    /// How long a refresh token is good; each is good once.
    pub(in crate::config) refresh_lifetime: Period,
}

impl Default for Tokens {
    fn default() -> Self {
        Self {
            issuer: None,
            algorithm: SigningAlgorithm::default(),
            access_lifetime: Period::secs(3600),
            refresh_lifetime: Period::secs(30 * 86_400),
        }
    }
}

/// What tokens are signed with.
#[derive(Clone, Copy, Default, Deserialize, Serialize, JsonSchema)]
pub(in crate::config) enum SigningAlgorithm {
    /// Ed25519.
    #[default]
    #[serde(rename = "EdDSA")]
    EdDsa,
    /// RSA with SHA-256, for those who know nothing newer.
    #[serde(rename = "RS256")]
    Rs256,
}

/// What the upstream receives.
#[derive(Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Forward {
    /// Where the accounts are Vestibule's own, a password that came as `basic` goes up only if this is
    /// written.
    #[schemars(with = "ForwardToken", default = "ForwardToken::default")]
    pub(in crate::config) token: Option<ForwardToken>,
    /// Say who asked in `X-Vestibule-Assertion` too, signed and good for a minute.
    pub(in crate::config) assertion: bool,
    /// Whom such a token or assertion is for (`aud`); without it, the route's name.
    #[schemars(extend("examples" = ["files-backend"]))]
    pub(in crate::config) audience: Option<String>,
}

#[derive(Clone, Copy, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum ForwardToken {
    /// The client's own token, or the one that its Vestibule token stands for.
    #[default]
    Original,
    /// A token that Vestibule signs for the upstream, as `Authorization: Bearer`.
    Vestibule,
    /// None: the credential is taken out of the request.
    None,
}
