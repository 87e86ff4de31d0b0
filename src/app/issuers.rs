//! Everybody who is asked whose a token is: backends, and issuers of tokens. Made from the config.

mod fetch;
mod introspection;
mod jwks;
mod signed;

use super::probe::UpstreamProbe;
use crate::clock::Clock;
use crate::config::model::{Config, Identity, Introspection, Jwt};
use crate::identity::claims::Word;
use crate::identity::jwt::KeyError;
use crate::identity::witness::{LearnedToken, Probe, Probes};
use crate::observe::metrics::Metrics;
use crate::secret::Secret;
pub(super) use fetch::Client;
use introspection::Introspector;
pub(super) use introspection::question;
use signed::Verifier;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Why an identity cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    #[error("identity `{identity}`: no HTTP client: {source}")]
    Client {
        identity: String,
        source: reqwest::Error,
    },
    #[error("identity `{identity}`: its keys cannot be used: {source}")]
    Keys { identity: String, source: KeyError },
}

/// What issuers are made with.
#[derive(Clone)]
pub(super) struct Base {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) metrics: Metrics,
}

/// What an issuer is made from: as long as it stays the same, so does the issuer.
#[derive(Clone, PartialEq, Eq)]
enum Made {
    Jwt(Jwt, Option<String>),
    Introspection(Introspection, Option<String>),
}

/// The issuers of a config, by identity, and the probes of watched backends.
#[derive(Default)]
pub(super) struct Issuers {
    probes: Probes,
    made: BTreeMap<String, Made>,
}

impl Issuers {
    /// Those of a config. Where nothing changed, those of the config before go on, with the keys they
    /// hold: a reload must not make anybody wait for an issuer.
    pub(super) fn new(
        base: &Base,
        config: &Config,
        before: Option<&Self>,
    ) -> Result<Self, SetupError> {
        let mut all = Self::default();
        for (name, identity) in &config.identities {
            let client = |source| SetupError::Client {
                identity: name.clone(),
                source,
            };
            let route = config.routes.iter().find(|route| &route.identity == name);
            let region = route.and_then(|route| route.phone_region.clone());
            let made = match identity {
                Identity::Accounts => continue,
                Identity::Learn(learn) => {
                    let clock = Arc::clone(&base.clock);
                    let probe = UpstreamProbe::new(config, name, learn, clock).map_err(client)?;
                    let probe = probe.map(|probe| Arc::new(probe) as Arc<dyn Probe>);
                    all.probes.extend(probe.map(|probe| (name.clone(), probe)));
                    continue;
                }
                Identity::Jwt(jwt) => Made::Jwt(jwt.clone(), region),
                Identity::Introspection(rules) => Made::Introspection(rules.clone(), region),
            };
            let probe = match before.and_then(|before| before.unchanged(name, &made)) {
                Some(probe) => probe,
                None => made.probe(base, name)?,
            };
            all.probes.insert(name.clone(), probe);
            all.made.insert(name.clone(), made);
        }
        Ok(all)
    }

    /// The probes, for the witness.
    pub(super) fn probes(&self) -> Probes {
        self.probes.clone()
    }

    fn unchanged(&self, name: &str, made: &Made) -> Option<Arc<dyn Probe>> {
        let before = self.made.get(name).filter(|before| *before == made);
        before.and(self.probes.get(name)).map(Arc::clone)
    }
}

impl Made {
    fn probe(&self, base: &Base, name: &str) -> Result<Arc<dyn Probe>, SetupError> {
        let client = Client::new(name, base).map_err(|source| SetupError::Client {
            identity: name.to_owned(),
            source,
        })?;
        Ok(match self {
            Self::Jwt(rules, region) => {
                let verifier = Verifier::new(rules.clone(), region.clone(), client, base);
                Arc::new(verifier.map_err(|source| SetupError::Keys {
                    identity: name.to_owned(),
                    source,
                })?)
            }
            Self::Introspection(rules, region) => {
                let clock = Arc::clone(&base.clock);
                Arc::new(Introspector::new(
                    rules.clone(),
                    region.clone(),
                    client,
                    clock,
                ))
            }
        })
    }
}

/// What an issuer's word teaches.
fn learned(realm: &str, token: &str, word: Word, region: Option<&str>) -> LearnedToken {
    LearnedToken {
        realm: realm.to_owned(),
        token: Secret::new(token),
        user: word.profile.user,
        is_typed: false,
        phone: word
            .profile
            .phone
            .as_deref()
            .and_then(|raw| super::learner::readable(raw, region)),
        email: word.profile.email,
        groups: word.profile.groups,
        said_at: word.said_at,
        device: None,
        expires_at: word.expires_at,
    }
}

#[cfg(test)]
mod tests;
