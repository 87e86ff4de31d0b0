//! Asks a backend whose a token is, for tokens that were issued before Vestibule came.

use crate::clock::Clock;
use crate::config::model::{Config, Learn, Upstream};
use crate::gate::Unavailable;
use crate::identity::learn;
use crate::identity::witness::{LearnedToken, Probe};
use crate::secret::Secret;
use async_trait::async_trait;
use std::sync::Arc;
use std::time::Duration;

/// The largest profile that is read.
const PROFILE_BYTES_MAX: usize = 64 << 10;
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// One `learn` identity's backend.
pub(super) struct UpstreamProbe {
    client: reqwest::Client,
    url: String,
    learn: Learn,
    phone_region: Option<String>,
    clock: Arc<dyn Clock>,
}

impl UpstreamProbe {
    /// The probe of an identity, if it has one and a route.
    pub(super) fn new(
        config: &Config,
        identity: &str,
        learn: &Learn,
        clock: Arc<dyn Clock>,
    ) -> Result<Option<Self>, reqwest::Error> {
        let route = config
            .routes
            .iter()
            .find(|route| route.identity == identity);
        let (Some(path), Some(route)) = (&learn.probe, route) else {
            return Ok(None);
        };
        let upstream = config.upstreams.get(&route.upstream);
        let Some(url) = upstream.and_then(|upstream| url(upstream, path)) else {
            return Ok(None);
        };
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .timeout(PROBE_TIMEOUT)
            .build()?;
        Ok(Some(Self {
            client,
            url,
            learn: learn.clone(),
            phone_region: route.phone_region.clone(),
            clock,
        }))
    }
}

fn url(upstream: &Upstream, path: &str) -> Option<String> {
    let server = upstream.servers.first()?;
    let scheme = if upstream.tls.is_some() {
        "https"
    } else {
        "http"
    };
    Some(format!("{scheme}://{server}{path}"))
}

#[async_trait]
impl Probe for UpstreamProbe {
    async fn probe(&self, realm: &str, token: &str) -> Result<Option<LearnedToken>, Unavailable> {
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
        let region = self.phone_region.as_deref();
        Ok(
            learn::parse_profile(&self.learn, &body).map(|profile| LearnedToken {
                realm: realm.to_owned(),
                token: Secret::new(token),
                user: profile.user,
                phone: profile
                    .phone
                    .as_deref()
                    .and_then(|raw| super::learner::readable(raw, region)),
                email: profile.email,
                device: None,
                expires_at: self
                    .learn
                    .lifetime
                    .map(|lifetime| self.clock.now().after(lifetime)),
            }),
        )
    }
}
