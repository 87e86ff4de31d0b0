//! Where the command line meets the parts that other modules offer: one thin function each.

use super::operator::Operator;
use crate::config::model::Config;
use crate::observe::admin::Health;
use crate::observe::metrics::Metrics;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

/// `config::load`: the config, or one line for each error.
pub(super) fn load(path: &Path) -> Result<Config, Vec<String>> {
    let _ = path;
    todo!()
}

/// `config::check`: one line for each warning, or for each error.
pub(super) fn check(path: &Path, files: bool) -> Result<Vec<String>, Vec<String>> {
    let _ = (path, files);
    todo!()
}

/// `config::schema::schema`
pub(super) fn schema() -> String {
    todo!()
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct StartError(String);

/// `app::App`
pub(super) struct App;

impl App {
    pub(super) async fn start(config: Config) -> Result<Self, StartError> {
        let _ = config;
        todo!()
    }

    pub(super) async fn reload(&self, config: Config) -> Result<(), StartError> {
        let _ = config;
        todo!()
    }

    pub(super) async fn shutdown(self) {
        todo!()
    }

    pub(super) fn listening(&self) -> &[SocketAddr] {
        todo!()
    }

    pub(super) fn admin(&self) -> Option<SocketAddr> {
        todo!()
    }

    pub(super) fn operator(&self) -> Operator {
        todo!()
    }

    pub(super) fn health(&self) -> &Arc<Health> {
        todo!()
    }

    pub(super) fn metrics(&self) -> &Metrics {
        todo!()
    }
}
