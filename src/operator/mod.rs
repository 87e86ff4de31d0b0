//! The operator's API: HTTP with JSON over what the gateway keeps, a file for each resource.
//!
//! The command line speaks it to the admin socket of a running gateway, or to this very router in its
//! own process where none runs. One table ([`table::RESOURCES`]) is the router, and the OpenAPI
//! document. It never asks who calls: whoever hands it a request has made sure, and says so with a
//! [`Caller`].

pub mod audit;
pub mod code;
pub mod factors;
pub mod keys;
pub mod lockouts;
pub mod openapi;
pub mod problem;
pub mod sessions;
pub mod shares;
pub mod stats;
pub mod table;
pub mod users;
pub mod wire;

use crate::auth::ports::{Store, User, Which};
use crate::auth::signing::Signer;
use crate::clock::{Clock, Timestamp};
use crate::config::model::{Config, Identity};
use crate::digest::DigestKeys;
use crate::entropy::Entropy;
use crate::event::{Event, EventKind, Events};
use crate::factor::email::masked_name;
use crate::factor::phone::Phone;
use crate::gate::Gate;
use crate::id::UserId;
use crate::observe::metrics::Metrics;
use crate::secret::Secret;
use arc_swap::ArcSwap;
use audit::Followers;
use axum::Router;
use axum::extract::{DefaultBodyLimit, Extension};
use problem::{Naming, OperatorError, Place};
use std::collections::HashMap;
use std::sync::Arc;
use table::RESOURCES;
use wire::BODY_BYTES_MAX;
pub use wire::{Caller, Gone, Page};

/// What the API works with.
#[derive(Clone)]
pub struct Operator {
    pub store: Arc<dyn Store>,
    pub keys: DigestKeys,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
    pub signer: Arc<Signer>,
    pub events: Arc<dyn Events>,
    /// The config in force.
    pub config: Arc<ArcSwap<Config>>,
    /// The running gateway's gate, told at once of sessions that end; others read the feed.
    pub gate: Option<Arc<Gate>>,
    /// Its numbers.
    pub metrics: Option<Metrics>,
}

/// Answers the whole API. Every request must carry a [`Caller`] as an extension.
pub fn router(operator: Operator) -> Router {
    let endpoints = RESOURCES.iter().flat_map(|resource| resource.endpoints);
    endpoints
        .fold(Router::new(), |router, endpoint| {
            router.route(endpoint.path, (endpoint.handler)())
        })
        .fallback(async || OperatorError::NoSuchPath)
        .method_not_allowed_fallback(async || OperatorError::NoSuchMethod)
        .layer(Extension(Followers::default()))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(operator)
}

impl Operator {
    /// The running gateway's map need not wait for the feed.
    fn forget(&self, which: Which) {
        if let Some(gate) = &self.gate {
            gate.forget(which);
        }
    }

    /// What an operator has done is in the audit trail, with the user id of who asked for it.
    fn emit(&self, caller: Caller, kind: EventKind, user: Option<UserId>, detail: &str) {
        self.events.emit(event(caller, kind, user, detail));
    }

    /// The identities that may be meant: the one that is named, or all.
    fn identities(&self, named: Option<&str>, at: Naming) -> Result<Vec<String>, OperatorError> {
        let config = self.config.load();
        match named {
            Some(name) if config.identities.contains_key(name) => Ok(vec![name.to_owned()]),
            Some(name) => Err(OperatorError::NoSuchIdentity {
                identity: name.to_owned(),
                named: at,
            }),
            None => Ok(config.identities.keys().cloned().collect()),
        }
    }

    /// Those of these users that there are.
    async fn people(
        &self,
        ids: impl Iterator<Item = UserId>,
    ) -> Result<HashMap<UserId, User>, OperatorError> {
        let mut people = HashMap::new();
        for id in ids {
            if !people.contains_key(&id)
                && let Some(user) = self.store.user(id).await?
            {
                people.insert(id, user);
            }
        }
        Ok(people)
    }

    /// The `accounts` identity that is meant.
    fn accounts(&self, wanted: Option<&str>) -> Result<String, OperatorError> {
        let config = self.config.load();
        if let Some(name) = wanted {
            return match config.identities.get(name) {
                Some(Identity::Accounts) => Ok(name.to_owned()),
                Some(_) => Err(OperatorError::UsersElsewhere(name.to_owned())),
                None => Err(OperatorError::NoSuchIdentity {
                    identity: name.to_owned(),
                    named: Naming::Body,
                }),
            };
        }
        let accounts: Vec<&str> = config
            .identities
            .iter()
            .filter(|(_, identity)| matches!(identity, Identity::Accounts))
            .map(|(name, _)| name.as_str())
            .collect();
        match accounts.as_slice() {
            [] => Err(OperatorError::NoAccounts),
            [only] => Ok((*only).to_owned()),
            several => Err(OperatorError::AmbiguousIdentity(several.join(", "))),
        }
    }
}

fn event(caller: Caller, kind: EventKind, user: Option<UserId>, detail: &str) -> Event {
    Event {
        kind,
        user,
        route: "operator".to_owned(),
        address: None,
        detail: format!("{detail}, by uid {}", caller.uid),
    }
}

/// A phone number as an operator wrote it there.
fn phone(raw: Option<&Secret>, place: &Place) -> Result<Option<Phone>, OperatorError> {
    let parse = |raw: &Secret| Phone::parse(raw.expose(), None);
    let wrong = |cause| OperatorError::Phone {
        place: place.clone(),
        cause,
    };
    raw.map(parse).transpose().map_err(wrong)
}

/// An email address with something on both sides of its one `@`.
fn email(raw: Option<Secret>) -> Result<Option<Secret>, OperatorError> {
    let Some(address) = raw else {
        return Ok(None);
    };
    let usable = address.expose().len() <= 254
        && !address
            .expose()
            .contains(|c: char| c.is_control() || c.is_whitespace())
        && address
            .expose()
            .split_once('@')
            .is_some_and(|(name, host)| {
                !name.is_empty() && !host.is_empty() && !host.contains('@')
            });
    if usable {
        Ok(Some(address))
    } else {
        Err(OperatorError::Email {
            place: "body/email".into(),
        })
    }
}

/// `a****@example.org`
fn masked_email(address: &Secret) -> String {
    masked_name(address.expose())
}

fn iso(at: Option<Timestamp>) -> Option<String> {
    at.map(Timestamp::iso8601)
}

#[cfg(test)]
pub(crate) mod tests;
