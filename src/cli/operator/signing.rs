//! The keys that tokens are signed with, as operators replace them.

use super::output::{KeyLine, Output};
use super::{Operator, OperatorError};
use crate::auth::ports::SigningAlgorithm;
use crate::config::model::Config;
use crate::event::EventKind;

impl Operator {
    /// New keys for every algorithm that the config names.
    pub(super) async fn key_rotate(&self, at_once: bool) -> Result<Output, OperatorError> {
        let config = self.config.load_full();
        let tokens = &config.tokens;
        let longest = tokens.access_lifetime.max(tokens.refresh_lifetime);
        let mut lines = Vec::new();
        for algorithm in SigningAlgorithm::ALL {
            if !is_used(&config, algorithm) {
                continue;
            }
            let rotated = self.signer.rotate(algorithm, at_once, longest).await?;
            let detail = format!("a new {} key", algorithm.as_str());
            self.emit(EventKind::Rotated, None, detail);
            lines.push(KeyLine {
                kid: rotated.kid,
                algorithm: algorithm.as_str().to_owned(),
                signs_from: rotated.signs_from.iso8601(),
                others_end_at: rotated.others_end_at.iso8601(),
            });
        }
        Ok(Output::KeysRotated(lines))
    }
}

fn is_used(config: &Config, algorithm: SigningAlgorithm) -> bool {
    let mut of_routes = config.routes.iter().map(|route| route.token_algorithm);
    config.tokens.algorithm == algorithm || of_routes.any(|own| own == algorithm)
}
