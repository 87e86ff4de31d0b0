//! Asks a backend whose a token is, for tokens that were issued before Vestibule came.

use crate::config::model::{Config, Identity, Learn, Upstream};
use crate::gate::Unavailable;
use crate::identity::learn;
use async_trait::async_trait;
use std::time::Duration;

/// The largest profile that is read.
const PROFILE_BYTES_MAX: usize = 64 << 10;
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// One `learn` identity's backend.
pub(super) struct UpstreamProbe {
    client: reqwest::Client,
    url: String,
    learn: Learn,
}

/// The probes of a config, by identity.
pub(super) fn all(config: &Config) -> Result<Vec<(String, UpstreamProbe)>, reqwest::Error> {
    let mut probes = Vec::new();
    for (name, identity) in &config.identities {
        let Identity::Learn(learn) = identity else { continue };
        let Some(path) = &learn.probe else { continue };
        let route = config.routes.iter().find(|route| &route.identity == name);
        let Some(upstream) = route.and_then(|route| config.upstreams.get(&route.upstream)) else {
            continue;
        };
        let Some(url) = url(upstream, path) else { continue };
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .timeout(PROBE_TIMEOUT)
            .build()?;
        probes.push((name.clone(), UpstreamProbe { client, url, learn: learn.clone() }));
    }
    Ok(probes)
}

fn url(upstream: &Upstream, path: &str) -> Option<String> {
    let server = upstream.servers.first()?;
    let scheme = if upstream.tls.is_some() { "https" } else { "http" };
    Some(format!("{scheme}://{server}{path}"))
}

#[async_trait]
impl Probe for UpstreamProbe {
    async fn probe(&self, token: &str) -> Result<Option<LearnedProfile>, Unavailable> {
        let failed = |error: reqwest::Error| {
            // Without the URL's query and never with the header: only the kind of failure.
            tracing::warn!(error = %error.without_url(), "the backend's profile cannot be asked for");
            Unavailable
        };
        let request = self.client.get(&self.url).bearer_auth(token);
        let mut answer = request.send().await.map_err(failed)?;
        let status = answer.status();
        if status.is_server_error() {
            return Err(Unavailable);
        }
        if !status.is_success() {
            return Ok(None);
        }
        let mut body = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(failed)? {
            if body.len() + piece.len() > PROFILE_BYTES_MAX {
                return Ok(None);
            }
            body.extend_from_slice(&piece);
        }
        Ok(learn::parse_profile(&self.learn, &body))
    }
}
