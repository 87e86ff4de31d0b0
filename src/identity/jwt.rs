//! Verifies tokens that others have signed: JWTs (RFC 7519) as JWS compact (RFC 7515), by the advice of
//! RFC 8725.
//!
//! Pure: keys and the time are passed in. What a token's own header asks for is never followed: the
//! algorithms are the config's, each key is good for those of its own kind alone, and keys or addresses
//! of keys in a header are not looked at.

use super::claims::{self, ClaimSet, Refused, Word};
use super::credential::TOKEN_BYTES_MAX;
use crate::clock::Timestamp;
use crate::config::model::{Jwt, PemKey, VerificationAlgorithm};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::errors::Error;
use jsonwebtoken::{Algorithm, DecodingKey, crypto};
use serde::Deserialize;
use serde_json::Value;

/// Keys of a set that are looked at; a token that names none is tried with each.
const KEYS_MAX: usize = 32;

/// Bytes of the shortest RSA modulus that is taken (RFC 7518 section 3.3).
const RSA_BYTES_MIN: usize = 256;

/// An issuer's public keys.
#[derive(Clone, Debug)]
pub struct KeySet(Vec<Key>);

#[derive(Clone, Debug)]
struct Key {
    kid: Option<String>,
    /// What it may verify.
    fits: Vec<VerificationAlgorithm>,
    key: DecodingKey,
}

/// Why there is no [`KeySet`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("it is no JWK set (RFC 7517)")]
    NotASet,
    #[error(
        "it has no key that a signature of RSA (2048 bits or more), P-256, P-384 or Ed25519 could be verified with"
    )]
    NoKey,
    #[error("keys[{0}] is not a public key for its algorithm")]
    Pem(usize),
}

/// A JWK (RFC 7517), as far as it is looked at. Private and secret parts are not.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    kid: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl KeySet {
    /// Reads a JWK set. Keys that are for something else, or cannot be read, are passed over.
    pub fn from_jwks(text: &[u8]) -> Result<Self, KeyError> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<Value>,
        }
        let set: Set = serde_json::from_slice(text).map_err(|_| KeyError::NotASet)?;
        let keys = set.keys.into_iter().filter_map(|key| {
            let jwk: Jwk = serde_json::from_value(key).ok()?;
            jwk.key()
        });
        let keys: Vec<Key> = keys.take(KEYS_MAX).collect();
        if keys.is_empty() {
            return Err(KeyError::NoKey);
        }
        Ok(Self(keys))
    }

    /// Reads keys in PEM.
    pub fn from_pem(keys: &[PemKey]) -> Result<Self, KeyError> {
        let key = |(index, pem): (usize, &PemKey)| {
            let bytes = pem.pem.as_bytes();
            let key = match pem.algorithm {
                VerificationAlgorithm::Es256 | VerificationAlgorithm::Es384 => {
                    DecodingKey::from_ec_pem(bytes)
                }
                VerificationAlgorithm::EdDsa => DecodingKey::from_ed_pem(bytes),
                _ => DecodingKey::from_rsa_pem(bytes),
            };
            let key = key.map_err(|_| KeyError::Pem(index))?;
            Ok(Key {
                kid: pem.kid.clone(),
                fits: vec![pem.algorithm],
                key,
            })
        };
        keys.iter()
            .enumerate()
            .map(key)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Whether one of these keys has signed `message`. A token that names a key (`kid`) is tried with
    /// that one, and with those that have no name.
    fn verify(
        &self,
        algorithm: VerificationAlgorithm,
        kid: Option<&str>,
        message: &str,
        signature: &str,
    ) -> Result<(), Refused> {
        let may_be = |key: &&Key| kid.is_none() || key.kid.is_none() || key.kid.as_deref() == kid;
        let fits = |key: &&Key| key.fits.contains(&algorithm);
        let has_signed = |key: &Key| {
            let verified =
                crypto::verify(signature, message.as_bytes(), &key.key, library(algorithm));
            verified.unwrap_or(false)
        };
        if self.0.iter().filter(may_be).filter(fits).any(has_signed) {
            return Ok(());
        }
        let is_named = |key: &&Key| kid.is_some() && key.kid.as_deref() == kid;
        match self.0.iter().find(is_named) {
            Some(key) if fits(&key) => Err(Refused::Signature),
            Some(_) => Err(Refused::Algorithm),
            // It may be a key that has come to be since.
            None => Err(Refused::UnknownKey),
        }
    }
}

impl Jwk {
    fn key(self) -> Option<Key> {
        let is_for_signatures = self.usage.as_deref().is_none_or(|usage| usage == "sig")
            && self
                .key_ops
                .as_ref()
                .is_none_or(|ops| ops.iter().any(|op| op == "verify"));
        if !is_for_signatures {
            return None;
        }
        let (mut fits, key) = self.material()?;
        if let Some(alg) = &self.alg {
            fits.retain(|fit| fit.as_str() == alg);
        }
        (!fits.is_empty()).then_some(Key {
            kid: self.kid,
            fits,
            key: key.ok()?,
        })
    }

    /// The key itself, and what its kind is good for. A shared secret (`oct`) never is.
    fn material(&self) -> Option<(Vec<VerificationAlgorithm>, Result<DecodingKey, Error>)> {
        use VerificationAlgorithm::{
            EdDsa, Es256, Es384, Ps256, Ps384, Ps512, Rs256, Rs384, Rs512,
        };
        let bytes = |text: &str| URL_SAFE_NO_PAD.decode(text).map_or(0, |bytes| bytes.len());
        let curve = |size: usize, algorithm| {
            let (x, y) = (self.x.as_deref()?, self.y.as_deref()?);
            let key = (bytes(x) == size && bytes(y) == size)
                .then(|| DecodingKey::from_ec_components(x, y))?;
            Some((vec![algorithm], key))
        };
        match (self.kty.as_str(), self.crv.as_deref()) {
            ("RSA", _) => {
                let (n, e) = (self.n.as_deref()?, self.e.as_deref()?);
                let key =
                    (bytes(n) >= RSA_BYTES_MIN).then(|| DecodingKey::from_rsa_components(n, e))?;
                Some((vec![Rs256, Rs384, Rs512, Ps256, Ps384, Ps512], key))
            }
            ("EC", Some("P-256")) => curve(32, Es256),
            ("EC", Some("P-384")) => curve(48, Es384),
            ("OKP", Some("Ed25519")) => {
                let x = self.x.as_deref()?;
                Some((vec![EdDsa], DecodingKey::from_ed_components(x)))
            }
            _ => None,
        }
    }
}

/// Verifies a token: its signature, and that it is of this issuer, for this service, and valid now.
/// `leeway` forgives an issuer whose clock is ahead; it makes no token live longer.
pub fn verify(rules: &Jwt, keys: &KeySet, token: &str, now: Timestamp) -> Result<Word, Refused> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(Refused::Malformed);
    }
    let (message, signature) = token.rsplit_once('.').ok_or(Refused::Malformed)?;
    let (header, payload) = message.split_once('.').ok_or(Refused::Malformed)?;
    let header = object(header)?;
    let algorithm = algorithm(rules, &header)?;
    let kid = match header.get("kid") {
        None => None,
        Some(Value::String(kid)) => Some(kid.as_str()),
        Some(_) => return Err(Refused::Malformed),
    };
    keys.verify(algorithm, kid, message, signature)?;
    accept(rules, &object(payload)?, now)
}

/// A part of a token: a JSON object in base64url.
fn object(part: &str) -> Result<ClaimSet, Refused> {
    let bytes = URL_SAFE_NO_PAD
        .decode(part)
        .map_err(|_| Refused::Malformed)?;
    serde_json::from_slice(&bytes).map_err(|_| Refused::Malformed)
}

/// The one of the config's algorithms that the header names, if there is nothing in the header that
/// would make the token mean something else.
fn algorithm(rules: &Jwt, header: &ClaimSet) -> Result<VerificationAlgorithm, Refused> {
    // None is understood here, so whatever stands in it is not (RFC 7515 section 4.1.11).
    if header.contains_key("crit") {
        return Err(Refused::Critical);
    }
    // A token of another kind from the same issuer, as a logout token (RFC 8725 section 3.11).
    if let Some(typ) = header.get("typ") {
        let typ = typ.as_str().ok_or(Refused::Malformed)?.to_ascii_lowercase();
        let kind = typ.strip_prefix("application/").unwrap_or(&typ);
        if kind.ends_with("+jwt") && kind != "at+jwt" {
            return Err(Refused::Malformed);
        }
    }
    let named = header.get("alg").and_then(Value::as_str);
    let mut allowed = rules.algorithms.iter().copied();
    allowed
        .find(|algorithm| Some(algorithm.as_str()) == named)
        .ok_or(Refused::Algorithm)
}

/// Judges claims whose signature is right.
fn accept(rules: &Jwt, claims: &ClaimSet, now: Timestamp) -> Result<Word, Refused> {
    if claims.get("iss").and_then(Value::as_str) != Some(rules.issuer.as_str()) {
        return Err(Refused::Issuer);
    }
    if !claims::is_for(&rules.audience, claims) {
        return Err(Refused::Audience);
    }
    let expires_at = claims::time("exp", claims)?.ok_or(Refused::Malformed)?;
    if expires_at <= now {
        return Err(Refused::Expired);
    }
    let latest = now.after(rules.leeway);
    for name in ["nbf", "iat"] {
        if claims::time(name, claims)?.is_some_and(|start| start > latest) {
            return Err(Refused::NotYet);
        }
    }
    Ok(Word {
        profile: claims::profile(&rules.claims, claims)?,
        expires_at: Some(expires_at),
        said_at: claims::time("iat", claims)?,
    })
}

fn library(algorithm: VerificationAlgorithm) -> Algorithm {
    match algorithm {
        VerificationAlgorithm::Rs256 => Algorithm::RS256,
        VerificationAlgorithm::Rs384 => Algorithm::RS384,
        VerificationAlgorithm::Rs512 => Algorithm::RS512,
        VerificationAlgorithm::Ps256 => Algorithm::PS256,
        VerificationAlgorithm::Ps384 => Algorithm::PS384,
        VerificationAlgorithm::Ps512 => Algorithm::PS512,
        VerificationAlgorithm::Es256 => Algorithm::ES256,
        VerificationAlgorithm::Es384 => Algorithm::ES384,
        VerificationAlgorithm::EdDsa => Algorithm::EdDSA,
    }
}

#[cfg(test)]
mod tests;
