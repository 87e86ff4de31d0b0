//! The keys that tokens are signed with, as operators replace them.

use super::table::{Endpoint, Resource, endpoint, shape};
use super::wire::{Answer, Body};
use super::{Caller, Operator, Page};
use crate::auth::ports::SigningAlgorithm;
use crate::config::model::Config;
use crate::event::EventKind;
use axum::extract::State;
use axum::{Json, routing};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(super) const RESOURCE: Resource = Resource {
    tag: "Keys",
    about: "What tokens are signed with. (The store's key is another one, which this API never sees.)",
    endpoints: &[Endpoint {
        body: Some(shape::<Rotate>),
        ..endpoint(
            "POST",
            "/v1/keys/rotate",
            "Make new keys: published at once, used ten minutes later. The old ones stay published until what \
             they signed has ended.",
            || routing::post(rotate),
            shape::<Page<KeyLine>>,
        )
    }],
};

/// How keys are replaced.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rotate {
    /// Whether the new keys sign at once: backends that keep the published keys for a while refuse
    /// tokens meanwhile.
    #[serde(default)]
    pub at_once: bool,
}

/// A new key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Key")]
pub struct KeyLine {
    pub kid: String,
    pub algorithm: String,
    pub signs_from: String,
    /// Until when the keys before it stay published.
    pub others_end_at: String,
}

/// New keys for every algorithm that the config names.
async fn rotate(
    State(operator): State<Operator>,
    caller: Caller,
    Body(how): Body<Rotate>,
) -> Answer<Page<KeyLine>> {
    let config = operator.config.load_full();
    let tokens = &config.tokens;
    let longest = tokens.access_lifetime.max(tokens.refresh_lifetime);
    let mut lines = Vec::new();
    for algorithm in SigningAlgorithm::ALL {
        if !is_used(&config, algorithm) {
            continue;
        }
        let rotated = operator
            .signer
            .rotate(algorithm, how.at_once, longest)
            .await?;
        let detail = format!("a new {} key", algorithm.as_str());
        operator.emit(caller, EventKind::Rotated, None, &detail);
        lines.push(KeyLine {
            kid: rotated.kid,
            algorithm: algorithm.as_str().to_owned(),
            signs_from: rotated.signs_from.iso8601(),
            others_end_at: rotated.others_end_at.iso8601(),
        });
    }
    Ok(Json(Page::whole(lines)))
}

fn is_used(config: &Config, algorithm: SigningAlgorithm) -> bool {
    let mut of_routes = config.routes.iter().map(|route| route.token_algorithm);
    config.tokens.algorithm == algorithm || of_routes.any(|own| own == algorithm)
}
