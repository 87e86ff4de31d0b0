//! Requests to issuers: bounded in time and size, never redirected, counted.

use super::Base;
use crate::gate::Unavailable;
use crate::observe::metrics::{IssuerOutcome, Metrics};
use reqwest::{RequestBuilder, Response};
use std::time::Duration;

/// From the first name looked up to the last byte of an answer.
const TIMEOUT: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// The way to one identity's issuer.
#[derive(Clone)]
pub(in crate::app) struct Client {
    pub(in crate::app) http: reqwest::Client,
    identity: String,
    metrics: Metrics,
}

impl Client {
    pub(in crate::app) fn new(identity: &str, base: &Base) -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder()
            // Wherever it led would be believed in the issuer's place.
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            .user_agent(concat!("vestibule/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self {
            http,
            identity: identity.to_owned(),
            metrics: base.metrics.clone(),
        })
    }

    /// Sends a request. An answer of any status comes back; without one, the issuer is unavailable.
    pub(super) async fn send(&self, request: RequestBuilder) -> Result<Response, Unavailable> {
        request
            .send()
            .await
            .map_err(|error| self.unreachable(error))
    }

    /// The whole body, if it has no more than `bytes_max`.
    pub(super) async fn body(
        &self,
        mut answer: Response,
        bytes_max: usize,
    ) -> Result<Vec<u8>, Unavailable> {
        let mut body = Vec::new();
        loop {
            let piece = answer
                .chunk()
                .await
                .map_err(|error| self.unreachable(error))?;
            let Some(piece) = piece else {
                return Ok(body);
            };
            if body.len() + piece.len() > bytes_max {
                return Err(self.unusable("the answer is too large"));
            }
            body.extend_from_slice(&piece);
        }
    }

    /// The issuer has answered, and said this.
    pub(super) fn answered(&self, outcome: IssuerOutcome) {
        self.metrics.issuer(&self.identity, outcome);
    }

    /// The issuer has answered, but not what it was asked.
    pub(super) fn unusable(&self, why: &str) -> Unavailable {
        tracing::error!(
            identity = self.identity,
            why,
            "the issuer's answer cannot be used"
        );
        self.answered(IssuerOutcome::Unusable);
        Unavailable
    }

    fn unreachable(&self, error: reqwest::Error) -> Unavailable {
        // Without the URL, whose query may hold a key; never with what was sent.
        let error = error.without_url();
        tracing::error!(identity = self.identity, %error, "the issuer does not answer");
        self.answered(IssuerOutcome::Unreachable);
        Unavailable
    }
}
