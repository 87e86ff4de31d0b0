//! The identities whose tokens others issue: signed tokens, and those that an issuer is asked about.

use super::Lift;
use super::syntax;
use crate::config::model::{Claims, Introspection, Jwt, JwtKeys, PemKey, VerificationAlgorithm};
use crate::config::raw;
use crate::config::tree::At;
use crate::secret::Secret;
use std::time::Duration;

const REFRESH: Duration = Duration::from_secs(300);
/// A key that its issuer has withdrawn may go on for so long.
const REFRESH_MAX: Duration = Duration::from_secs(86_400);
/// Clocks that differ by more are to be mended.
const LEEWAY_MAX: Duration = Duration::from_secs(300);
/// A token that its issuer has withdrawn may go on for so long.
const CACHE_MAX: Duration = Duration::from_secs(3600);

impl Lift<'_> {
    pub(super) fn jwt(&mut self, raw: &raw::Jwt, at: At<'_>) -> Option<Jwt> {
        let keys = self.jwt_keys(raw, at);
        let keys = keys.or_else(|| self.stand_in(JwtKeys::Pem(Vec::new())));
        let issuer = self.text(
            raw.issuer.as_ref(),
            at.key("issuer"),
            "write what `iss` is in the issuer's tokens",
        );
        let audience = self.text(
            raw.audience.as_ref(),
            at.key("audience"),
            "write this service's name at the issuer, or its tokens for others would be taken too",
        );
        let algorithms = self.algorithms(raw.algorithms.as_deref(), at.key("algorithms"));
        let leeway = self.at_most(raw.leeway.0, LEEWAY_MAX, at.key("leeway"));
        let claims = self.claims(&raw.claims, at.key("claims"));
        let algorithms = algorithms?;
        if let (Some(JwtKeys::Pem(keys)), Some(listed)) = (&keys, &raw.keys)
            && keys.len() == listed.len()
        {
            for (index, key) in keys.iter().enumerate() {
                if !algorithms.contains(&key.algorithm) {
                    let text =
                        "no token is taken with it: add it to `algorithms`, or remove the key";
                    self.error(at.key("keys").index(index).key("algorithm"), text);
                }
            }
        }
        Some(Jwt {
            keys: keys?,
            issuer: issuer?,
            audience: audience?,
            algorithms,
            leeway: leeway?,
            claims: claims?,
        })
    }

    fn jwt_keys(&mut self, raw: &raw::Jwt, at: At<'_>) -> Option<JwtKeys> {
        match (&raw.jwks, &raw.keys) {
            (Some(jwks), None) => self.jwks(jwks, at.key("jwks")),
            (None, Some(keys)) => self.pem_keys(keys, at.key("keys")),
            (None, None) if self.is_pruned(at.key("jwks")) || self.is_pruned(at.key("keys")) => {
                None
            }
            _ => {
                self.error(
                    at,
                    "write where the issuer's keys are: either `jwks: {url: …}` or `keys: […]`",
                );
                None
            }
        }
    }

    fn jwks(&mut self, raw: &raw::Jwks, at: At<'_>) -> Option<JwtKeys> {
        match (&raw.url, &raw.file) {
            (Some(url), None) => {
                let valid = self.checked(syntax::issuer_url(url), at.key("url"));
                let at_refresh = at.key("refresh");
                let refresh = raw.refresh.map(|period| self.period(period, at_refresh));
                let refresh = self.at_most(refresh.unwrap_or(REFRESH), REFRESH_MAX, at_refresh);
                valid?;
                Some(JwtKeys::Url {
                    url: url.clone(),
                    refresh: refresh?,
                })
            }
            (None, Some(file)) => {
                if raw.refresh.is_some() {
                    let text = "goes with `url` only: a file is read again at a reload";
                    self.error(at.key("refresh"), text);
                }
                self.key_set(file, at.key("file")).map(JwtKeys::Set)
            }
            (None, None) if self.is_incomplete(at) => None,
            _ => {
                self.error(at, "write either `url: https://…` or `file: PATH`");
                None
            }
        }
    }

    /// The text of a JWK set. Whether its keys can be used is for whoever uses them to say.
    fn key_set(&mut self, path: &str, at: At<'_>) -> Option<String> {
        let text = self.key_text(path, at)?;
        let set = serde_json::from_str::<serde_json::Value>(&text);
        let keys = set
            .as_ref()
            .ok()
            .and_then(|set| set.get("keys")?.as_array());
        match keys {
            Some(keys) if !keys.is_empty() => Some(text),
            _ => {
                self.error(
                    at,
                    format!("{path}: is no JWK set with a key, like {{\"keys\": [{{…}}]}}"),
                );
                None
            }
        }
    }

    fn pem_keys(&mut self, raw: &[raw::PemKey], at: At<'_>) -> Option<JwtKeys> {
        let mend = "write at least one, like {file: issuer.pem, algorithm: RS256}";
        let raw = self.filled(Some(raw), at, mend)?;
        let keys: Vec<_> = raw
            .iter()
            .enumerate()
            .map(|(index, key)| self.pem_key(key, at.index(index)))
            .collect();
        keys.into_iter().collect::<Option<_>>().map(JwtKeys::Pem)
    }

    fn pem_key(&mut self, raw: &raw::PemKey, at: At<'_>) -> Option<PemKey> {
        let at_file = at.key("file");
        let file = self.required(raw.file.as_ref(), at_file, "name a PEM file");
        let pem = file.and_then(|file| {
            let pem = self.key_text(file, at_file)?;
            let is_public = pem.contains("-----BEGIN PUBLIC KEY-----");
            if !is_public {
                let text = format!(
                    "{file}: is no public key in PEM: `openssl pkey -in KEY -pubout` writes one"
                );
                self.error(at_file, text);
            }
            is_public.then_some(pem)
        });
        let at_algorithm = at.key("algorithm");
        let algorithm = self.required(
            raw.algorithm.as_ref(),
            at_algorithm,
            "write one, like RS256",
        );
        let algorithm = algorithm.and_then(|name| self.algorithm(name, at_algorithm));
        if raw.kid.as_ref().is_some_and(String::is_empty) {
            self.error(
                at.key("kid"),
                "is empty: write the `kid`, or remove the key",
            );
        }
        Some(PemKey {
            pem: pem?,
            algorithm: algorithm?,
            kid: raw.kid.clone(),
        })
    }

    fn key_text(&mut self, path: &str, at: At<'_>) -> Option<String> {
        let (path, content) = self.content(path, at)?;
        let text = String::from_utf8(content);
        text.map_err(|_| self.error(at, format!("{} is not a text", path.display())))
            .ok()
    }

    fn algorithms(
        &mut self,
        raw: Option<&[String]>,
        at: At<'_>,
    ) -> Option<Vec<VerificationAlgorithm>> {
        let raw = self.filled(raw, at, "write what the issuer signs with, like [RS256]")?;
        let lifted: Vec<_> = raw
            .iter()
            .enumerate()
            .map(|(index, name)| self.algorithm(name, at.index(index)))
            .collect();
        lifted.into_iter().collect()
    }

    fn algorithm(&mut self, name: &str, at: At<'_>) -> Option<VerificationAlgorithm> {
        let known = VerificationAlgorithm::from_name(name);
        if known.is_none() {
            let why = match name.to_ascii_uppercase().as_str() {
                "NONE" => "a token without a signature proves nothing".to_owned(),
                "HS256" | "HS384" | "HS512" => {
                    "whoever can verify such a token can also make one".to_owned()
                }
                _ => "it is not one of the known algorithms".to_owned(),
            };
            let all = VerificationAlgorithm::ALL
                .map(VerificationAlgorithm::as_str)
                .join(", ");
            self.error(at, format!("{name:?}: {why}: write some of {all}"));
        }
        known
    }

    pub(super) fn introspection(
        &mut self,
        raw: &raw::Introspection,
        at: At<'_>,
    ) -> Option<Introspection> {
        let at_url = at.key("url");
        let mend = "write the issuer's introspection endpoint (RFC 7662)";
        let url = self.required(raw.url.as_ref(), at_url, mend);
        let url = url.filter(|url| self.checked(syntax::issuer_url(url), at_url).is_some());
        let client = self.client(raw.client.as_ref(), at.key("client"));
        let cache = self.period(raw.cache, at.key("cache"));
        let cache = self.at_most(cache, CACHE_MAX, at.key("cache"));
        let at_audience = at.key("audience");
        let audience = raw.audience.as_ref();
        let mend = "write this service's name at the issuer";
        let audience = audience.map(|text| self.text(Some(text), at_audience, mend));
        if audience.is_none() && !self.is_pruned(at_audience) {
            let text =
                "without `audience`, tokens that were issued for other services are taken too";
            self.warn(at, text);
        }
        let claims = self.claims(&raw.claims, at.key("claims"));
        let (client_id, client_secret) = client?;
        Some(Introspection {
            url: url?.clone(),
            client_id,
            client_secret,
            cache: cache?,
            audience: audience.flatten(),
            is_live: raw.live,
            claims: claims?,
        })
    }

    fn client(&mut self, raw: Option<&raw::Client>, at: At<'_>) -> Option<(String, Secret)> {
        let raw = self.required(raw, at, "write {id: …, secret: {file: PATH}}")?;
        let id = self.text(raw.id.as_ref(), at.key("id"), "the issuer knows it");
        let at_secret = at.key("secret");
        let secret = self.required(raw.secret.as_ref(), at_secret, "write {file: PATH}");
        let secret = secret.and_then(|secret| {
            self.warn_of_plain(secret, at_secret);
            self.secret(secret, at_secret)
        });
        let secret = secret.or_else(|| self.stand_in(Secret::new("")));
        Some((id?, secret?))
    }

    fn claims(&mut self, raw: &raw::Claims, at: At<'_>) -> Option<Claims> {
        let mut complete = true;
        let all = [
            (Some(&raw.user), "user"),
            (raw.phone.as_ref(), "phone"),
            (raw.email.as_ref(), "email"),
            (raw.groups.as_ref(), "groups"),
        ];
        for (name, key) in all {
            if name.is_some_and(String::is_empty) {
                self.error(at.key(key), "is empty: write the name of a claim");
                complete = false;
            }
        }
        if raw.phone.is_none() && !self.is_pruned(at.key("phone")) {
            self.warn(
                at,
                "without `phone`, nobody of this issuer has a number that a code could be sent to",
            );
        }
        complete.then(|| Claims {
            user: raw.user.clone(),
            phone: raw.phone.clone(),
            email: raw.email.clone(),
            groups: raw.groups.clone(),
        })
    }

    /// A text that must be there and not empty.
    fn text(&mut self, text: Option<&String>, at: At<'_>, mend: &str) -> Option<String> {
        let text = self.required(text, at, mend)?;
        if text.is_empty() {
            self.error(at, format!("is empty: {mend}"));
            return None;
        }
        Some(text.clone())
    }

    fn at_most(&mut self, span: Duration, most: Duration, at: At<'_>) -> Option<Duration> {
        if span > most {
            let text = format!("must be at most {}", crate::config::values::Period(most));
            self.error(at, text);
        }
        (span <= most).then_some(span)
    }
}
