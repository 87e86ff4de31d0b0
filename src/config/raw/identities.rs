//! The shapes of `identities`: how a token becomes a user.

use crate::config::model;
use crate::config::values::{Period, SecretSource};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a token becomes a user: one of the keys.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
pub(in crate::config) struct Identity {
    pub(in crate::config) learn: Option<Learn>,
    pub(in crate::config) accounts: Option<Accounts>,
    pub(in crate::config) jwt: Option<Jwt>,
    pub(in crate::config) introspection: Option<Introspection>,
}

/// Watch the backend's own sign-in, and learn from its answer whose the token is.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Learn {
    /// The path of the backend's sign-in.
    #[schemars(required, extend("examples" = ["/api/authtoken"]))]
    pub(in crate::config) endpoint: Option<String>,
    /// Where the token is in the sign-in's JSON answer: a JSON pointer (RFC 6901), as all below.
    #[schemars(required, extend("examples" = ["/token"]))]
    pub(in crate::config) token: Option<String>,
    /// Where the user's name or number is.
    #[schemars(required, extend("examples" = ["/profile/username"]))]
    pub(in crate::config) user: Option<String>,
    /// Where the user's phone number is.
    #[schemars(extend("examples" = ["/profile/mobile"]))]
    pub(in crate::config) phone: Option<String>,
    /// Where the user's email address is.
    #[schemars(extend("examples" = ["/profile/email"]))]
    pub(in crate::config) email: Option<String>,
    /// Where the user's groups are: a text, or a list of them, that says all of them anew, an empty one that
    /// the user is in none. Where there is nothing, they stay. Without it, the operator says:
    /// `vestibule user set --group`.
    #[schemars(extend("examples" = ["/profile/groups"]))]
    pub(in crate::config) groups: Option<String>,
    /// A path of the backend that is asked once for a token that was issued before Vestibule came.
    #[schemars(extend("examples" = ["/api/profile"]))]
    pub(in crate::config) probe: Option<String>,
    /// How long a learned token is remembered; without it, as long as its sessions.
    pub(in crate::config) lifetime: Option<Period>,
}

/// Users and share links in Vestibule's own store: see `vestibule user add` and `vestibule share add`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Accounts {}

/// Verify tokens that another has signed (RFC 7519): access tokens of an OpenID provider, say. `iss`,
/// `aud` and `exp` must be in them.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Jwt {
    /// The issuer's public keys, as a JWK set. Either this or `keys`.
    pub(in crate::config) jwks: Option<Jwks>,
    /// The issuer's public keys, one by one.
    pub(in crate::config) keys: Option<Vec<PemKey>>,
    /// What `iss` must be, letter by letter.
    #[schemars(required, extend("examples" = ["https://login.example.org/"]))]
    pub(in crate::config) issuer: Option<String>,
    /// What `aud` must be, or hold: the name of this service at the issuer.
    #[schemars(required, extend("examples" = ["https://files.example.org"]))]
    pub(in crate::config) audience: Option<String>,
    /// The signatures that are taken.
    #[schemars(required, with = "Vec<VerificationAlgorithm>", extend("examples" = [["RS256"]]))]
    pub(in crate::config) algorithms: Option<Vec<String>>,
    /// By how much `nbf` and `iat` may lie in the future: the issuer's clock may be ahead.
    #[serde(default = "leeway")]
    pub(in crate::config) leeway: Period,
    #[serde(default)]
    pub(in crate::config) claims: Claims,
}

fn leeway() -> Period {
    Period::secs(30)
}

/// A signature with a public key (RFC 7518, RFC 8037).
#[derive(JsonSchema)]
#[schemars(extend("enum" = model::VerificationAlgorithm::ALL.map(model::VerificationAlgorithm::as_str)))]
struct VerificationAlgorithm(#[expect(dead_code, reason = "gives the schema its type")] String);

/// A JWK set (RFC 7517): its address or a file.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("minProperties" = 1))]
pub(in crate::config) struct Jwks {
    /// Fetched at start, again after `refresh`, and when a token names a key that is not in it.
    #[schemars(extend("examples" = ["https://login.example.org/.well-known/jwks.json"]))]
    pub(in crate::config) url: Option<String>,
    /// The longest time between two fetches; the issuer's `Cache-Control` can only shorten it.
    /// Without it, 5m.
    pub(in crate::config) refresh: Option<Period>,
    /// Read at start and at a reload.
    pub(in crate::config) file: Option<String>,
}

/// A public key in a PEM file, and what it is for.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct PemKey {
    /// `-----BEGIN PUBLIC KEY-----`.
    #[schemars(required)]
    pub(in crate::config) file: Option<String>,
    #[schemars(required, with = "VerificationAlgorithm")]
    pub(in crate::config) algorithm: Option<String>,
    /// The `kid` of tokens signed with it; without one, it is tried for every token.
    pub(in crate::config) kid: Option<String>,
}

/// The claims that say who a token's user is, by name.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Claims {
    /// The user's name.
    pub(in crate::config) user: String,
    /// A phone number that codes are sent to. Not taken if the claim `…_verified` beside it is false.
    #[schemars(extend("examples" = ["phone_number"]))]
    pub(in crate::config) phone: Option<String>,
    /// The email address; `…_verified` counts here too.
    #[schemars(extend("examples" = ["email"]))]
    pub(in crate::config) email: Option<String>,
    /// The user's groups: a text, or a list of them, that says all of them anew, an empty one that the user is
    /// in none. By a token without the claim, they stay. Without this, the operator says:
    /// `vestibule user set --group`.
    #[schemars(extend("examples" = ["groups"]))]
    pub(in crate::config) groups: Option<String>,
}

impl Default for Claims {
    fn default() -> Self {
        Self {
            user: "sub".to_owned(),
            phone: None,
            email: None,
            groups: None,
        }
    }
}

/// Ask the issuer about each token (RFC 7662): for tokens that say nothing by themselves, or that
/// must end the moment the issuer says so.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Introspection {
    /// The issuer's introspection endpoint.
    #[schemars(required, extend("examples" = ["https://login.example.org/oauth2/introspect"]))]
    pub(in crate::config) url: Option<String>,
    /// What Vestibule signs in there with.
    #[schemars(required)]
    pub(in crate::config) client: Option<Client>,
    /// How long its word is good: a token that is withdrawn there goes on here for so long at most.
    #[serde(default = "cache")]
    pub(in crate::config) cache: Period,
    /// What `aud` must be, or hold. Without it, any.
    pub(in crate::config) audience: Option<String>,
    /// Whether the issuer looks the user up for each answer. Without it, what it says of the user is of when the
    /// token was issued (`iat`), and an older token's answer does not replace that of a newer one; an answer
    /// without `iat` is of the moment either way.
    #[serde(default)]
    pub(in crate::config) live: bool,
    #[serde(default)]
    pub(in crate::config) claims: Claims,
}

fn cache() -> Period {
    Period::secs(60)
}

/// A client of an OAuth server (RFC 6749 section 2.3.1).
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Client {
    #[schemars(required)]
    pub(in crate::config) id: Option<String>,
    #[schemars(required)]
    pub(in crate::config) secret: Option<SecretSource>,
}
