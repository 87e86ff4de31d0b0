//! Traces.

use crate::config::values::SecretSource;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Traces for an OpenTelemetry collector. Without this section there are none.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Traces {
    /// Where spans are posted to, as OTLP over HTTP.
    #[schemars(required, extend("examples" = ["http://127.0.0.1:4318/v1/traces"]))]
    pub(in crate::config) otlp: Option<String>,
    /// The share of requests that are traced: from 0 (only those that a trusted proxy has traced already)
    /// to 1 (all).
    #[serde(default = "sample")]
    #[schemars(with = "f64", range(min = 0.0, max = 1.0))]
    pub(in crate::config) sample: String,
    /// What the gateway is called in traces.
    #[serde(default = "service_name")]
    pub(in crate::config) service_name: String,
    /// Headers for the collector.
    #[serde(default)]
    pub(in crate::config) headers: BTreeMap<String, SecretSource>,
}

fn sample() -> String {
    "0.1".to_owned()
}

fn service_name() -> String {
    "vestibule".to_owned()
}
