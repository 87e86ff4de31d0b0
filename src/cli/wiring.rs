//! Where the command line meets the parts that other modules offer: one thin function each.

use super::error::CliError;
use super::operator::Operator;
use crate::auth::ports::Store;
use crate::config::model::Config;
use crate::digest::{DigestKeys, SubjectDigest};
use crate::entropy::Entropy;
use crate::factor::phone::{Phone, PhoneError};
use crate::id::UserId;
use crate::observe::admin::Health;
use crate::observe::metrics::Metrics;
use crate::secret::Secret;
use std::path::Path;
use std::sync::Arc;

/// `config::load`: the config and its warnings, or one line for each error.
pub(super) fn load(path: &Path, files: bool) -> Result<(Config, Vec<String>), Vec<String>> {
    let _ = (path, files);
    todo!()
}

/// `config::schema::schema`
pub(super) fn schema() -> String {
    todo!()
}

/// `store::open`
pub(super) async fn open_store(config: &Config) -> Result<(Arc<dyn Store>, DigestKeys), CliError> {
    let _ = &config.store;
    todo!()
}

/// `identity::accounts::hash_password`
pub(super) fn hash_password(password: &Secret, entropy: &dyn Entropy) -> Result<Secret, CliError> {
    let _ = (password, entropy);
    todo!()
}

/// `Phone::parse(raw, None)`
pub(super) fn phone(raw: &str) -> Result<Phone, PhoneError> {
    let _ = raw;
    todo!()
}

/// `request::canonical_path`
pub(super) fn canonical_path(path: &str) -> Result<String, String> {
    // To be replaced by the request module's own.
    if path.starts_with('/') {
        Ok(path.to_owned())
    } else {
        Err("a path starts with `/`".to_owned())
    }
}

/// `auth::subject::user`
pub(super) fn user_subject(keys: &DigestKeys, id: UserId) -> SubjectDigest {
    keys.subject("user", &id.to_string())
}

/// `app::App`
pub(super) struct App;

impl App {
    pub(super) async fn start(config: Config, path: &Path) -> Result<Self, String> {
        let _ = (config, path);
        todo!()
    }

    pub(super) async fn reload(&self, config: Config) -> Result<(), String> {
        let _ = config;
        todo!()
    }

    pub(super) async fn shutdown(&self) {
        todo!()
    }

    pub(super) fn operator(&self) -> Operator {
        todo!()
    }

    pub(super) fn health(&self) -> Arc<Health> {
        todo!()
    }

    pub(super) fn metrics(&self) -> Metrics {
        todo!()
    }
}
