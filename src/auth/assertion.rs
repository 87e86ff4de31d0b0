//! What Vestibule tells an upstream under its signature: who asked, and how they were verified.
//!
//! One is signed for many requests: it is good for a minute, and used for half of one. A backend must
//! therefore not take a `jti` that it has seen for a replay.

use super::Auth;
use super::ports::{SigningAlgorithm, Stored};
use crate::clock::Timestamp;
use crate::gate::session::Factor;
use crate::id::UserId;
use crate::secret::Secret;
use dashmap::DashMap;
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;

const LIFETIME: Duration = Duration::from_secs(60);
/// How long a signed one is used again.
const KEPT: Duration = Duration::from_secs(30);
/// Signed ones kept at most; then all are dropped, and are signed again as they are asked for.
const KEPT_MAX: usize = 10_000;

/// Who asked.
#[derive(Clone, Copy, Debug)]
pub struct Asserted<'a> {
    pub user: UserId,
    pub name: &'a str,
    /// How and when the pair was verified; `None`: the path asked for its token alone.
    pub proof: Option<(Factor, Timestamp)>,
    /// The device's opaque label.
    pub device: Option<&'a str>,
    /// Whom it is for.
    pub audience: &'a str,
    pub algorithm: SigningAlgorithm,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: String,
    name: &'a str,
    aud: &'a str,
    iat: i64,
    exp: i64,
    jti: String,
    /// RFC 8176 has no names for most of these: they are Vestibule's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    amr: Option<[&'static str; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_time: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<&'a str>,
}

/// What makes two assertions the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    user: UserId,
    proof: Option<(Factor, Timestamp)>,
    device: Option<String>,
    audience: String,
    kid: String,
}

/// What was signed a moment ago.
#[derive(Debug, Default)]
pub(super) struct Recent(DashMap<Key, (Timestamp, Arc<Secret>)>);

impl Recent {
    fn get(&self, key: &Key, now: Timestamp) -> Option<Arc<Secret>> {
        let kept = self.0.get(key)?;
        let (signed_at, token) = kept.value();
        // A clock that was set back must not keep one in use.
        let is_recent = *signed_at <= now && now < signed_at.after(KEPT);
        is_recent.then(|| Arc::clone(token))
    }

    fn put(&self, key: Key, now: Timestamp, token: Arc<Secret>) {
        if self.0.len() >= KEPT_MAX {
            self.0.retain(|_, (at, _)| now < at.after(KEPT));
        }
        if self.0.len() >= KEPT_MAX {
            self.0.clear();
        }
        self.0.insert(key, (now, token));
    }
}

impl Auth {
    /// The assertion for one request, as a JWT.
    pub async fn assertion(&self, about: &Asserted<'_>) -> Stored<Arc<Secret>> {
        let now = self.clock.now();
        let key = |kid| Key {
            user: about.user,
            proof: about.proof,
            device: about.device.map(str::to_owned),
            audience: about.audience.to_owned(),
            kid,
        };
        let recent = &self.signer.assertions;
        if let Some(kid) = self.signer.kid(about.algorithm)
            && let Some(token) = recent.get(&key(kid), now)
        {
            return Ok(token);
        }
        let token = self.sign_assertion(about, now).await?;
        if let Some(kid) = self.signer.kid(about.algorithm) {
            recent.put(key(kid), now, Arc::clone(&token));
        }
        Ok(token)
    }

    async fn sign_assertion(&self, about: &Asserted<'_>, now: Timestamp) -> Stored<Arc<Secret>> {
        let settings = self.settings.load_full();
        let claims = Claims {
            iss: &settings.tokens.issuer,
            sub: about.user.to_string(),
            name: about.name,
            aud: about.audience,
            iat: now.0,
            exp: now.after(LIFETIME).0,
            jti: self.jti()?,
            amr: about.proof.map(|(factor, _)| [factor.as_str()]),
            auth_time: about.proof.map(|(_, verified_at)| verified_at.0),
            device: about.device,
        };
        let token = self.signer.sign(about.algorithm, &claims).await?;
        Ok(Arc::new(token))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::fixture::World;

    fn about() -> Asserted<'static> {
        Asserted {
            user: UserId(7),
            name: "ann",
            proof: Some((Factor::Totp, Timestamp(1_799_999_000))),
            device: Some("0123456789abcdef"),
            audience: "files",
            algorithm: SigningAlgorithm::EdDsa,
        }
    }

    fn claims(token: &Secret) -> serde_json::Value {
        let data = jsonwebtoken::dangerous::insecure_decode(token.expose());
        data.unwrap().claims
    }

    #[tokio::test]
    async fn it_says_who_asked_and_how_they_were_verified() {
        let world = World::new();
        let token = world.auth.assertion(&about()).await.unwrap();
        let mut said = claims(&token);
        assert_eq!(said["jti"].take().as_str().map(str::len), Some(22));
        let now = world.auth.clock.now().0;
        let expected = serde_json::json!({
            "iss": "https://files.example.org", "sub": "7", "name": "ann", "aud": "files",
            "iat": now, "exp": now + 60, "jti": null, "amr": ["totp"],
            "auth_time": 1_799_999_000, "device": "0123456789abcdef",
        });
        assert_eq!(said, expected);
        let bare = Asserted {
            proof: None,
            device: None,
            ..about()
        };
        let said = claims(&world.auth.assertion(&bare).await.unwrap());
        for absent in ["amr", "auth_time", "device"] {
            assert!(said.get(absent).is_none(), "{absent}");
        }
    }

    #[tokio::test]
    async fn one_is_used_for_half_a_minute_by_the_same_asker_alone() {
        let world = World::new();
        let first = world.auth.assertion(&about()).await.unwrap();
        world.advance(29);
        assert_eq!(world.auth.assertion(&about()).await.unwrap(), first);
        let others = [
            Asserted {
                user: UserId(8),
                ..about()
            },
            Asserted {
                proof: None,
                ..about()
            },
            Asserted {
                proof: Some((Factor::Sms, Timestamp(1_799_999_000))),
                ..about()
            },
            Asserted {
                device: None,
                ..about()
            },
            Asserted {
                audience: "media",
                ..about()
            },
        ];
        for other in others {
            assert_ne!(
                world.auth.assertion(&other).await.unwrap(),
                first,
                "{other:?}"
            );
        }
        world.advance(1);
        assert_ne!(world.auth.assertion(&about()).await.unwrap(), first);
    }

    #[tokio::test]
    async fn a_new_key_is_used_at_once_and_what_is_kept_is_bounded() {
        let world = World::new();
        let first = world.auth.assertion(&about()).await.unwrap();
        let day = Duration::from_secs(86_400);
        let rotated = world.auth.signer.rotate(SigningAlgorithm::EdDsa, true, day);
        let kid = rotated.await.unwrap().kid;
        let next = world.auth.assertion(&about()).await.unwrap();
        assert_ne!(next, first);
        let header = jsonwebtoken::decode_header(next.expose()).unwrap();
        assert_eq!(header.kid, Some(kid));

        let recent = Recent::default();
        let token = Arc::new(Secret::new("t"));
        for user in 0..=KEPT_MAX {
            let key = Key {
                user: UserId(i64::try_from(user).unwrap()),
                proof: None,
                device: None,
                audience: String::new(),
                kid: String::new(),
            };
            recent.put(key, Timestamp(5), Arc::clone(&token));
        }
        assert_eq!(recent.0.len(), 1);
    }
}
