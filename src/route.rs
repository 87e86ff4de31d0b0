//! Canonical host → route.

use crate::config::model;
use crate::digest::{DigestKeys, RealmKeys};
use std::sync::Arc;

/// A route with what a request needs of it made ready.
#[derive(Debug)]
pub struct Route {
    pub config: model::Route,
    /// The keys of its identity's realm.
    pub keys: RealmKeys,
    /// Its identity.
    pub identity: model::Identity,
}

/// All routes by host: exact names first, then the longest `*.suffix`, then `*`.
#[derive(Debug)]
pub struct Routes {
    _todo: (),
}

impl Routes {
    /// Builds the table from a validated config.
    #[must_use]
    pub fn new(config: &model::Config, keys: &DigestKeys) -> Self {
        let _ = (config, keys);
        todo!()
    }

    /// The route of a canonical host. No allocation.
    #[must_use]
    pub fn find(&self, host: &str) -> Option<&Arc<Route>> {
        let _ = host;
        todo!()
    }

    /// Every route, in the order of the config.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Route>> {
        std::iter::empty()
    }
}
