//! Asks an issuer about a token (RFC 7662).

use super::fetch::Client;
use super::learned;
use crate::clock::Clock;
use crate::config::model::Introspection;
use crate::gate::Unavailable;
use crate::identity::claims::Refused;
use crate::identity::introspect;
use crate::identity::witness::{LearnedToken, Probe};
use crate::observe::metrics::IssuerOutcome;
use async_trait::async_trait;
use reqwest::header::ACCEPT;
use reqwest::{RequestBuilder, StatusCode};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

const ANSWER_BYTES_MAX: usize = 64 << 10;
/// Questions under way at once; more wait for their turn.
const AT_ONCE: usize = 32;
/// How long a question waits for its turn.
const TURN_TIMEOUT: Duration = Duration::from_secs(5);
/// Tokens that nobody has vouched for yet, asked about in a second: a flood of garbage is the
/// gateway's to bear, not the issuer's.
const STRANGERS_PER_SECOND: u32 = 50;

/// One `introspection` identity's issuer.
pub(super) struct Introspector {
    rules: Introspection,
    phone_region: Option<String>,
    client: Client,
    clock: Arc<dyn Clock>,
    turns: Semaphore,
}

impl Introspector {
    pub(super) fn new(
        rules: Introspection,
        phone_region: Option<String>,
        client: Client,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            rules,
            phone_region,
            client,
            clock,
            turns: Semaphore::new(AT_ONCE),
        }
    }

    async fn answer(&self, token: &str) -> Result<Vec<u8>, Unavailable> {
        let turn = tokio::time::timeout(TURN_TIMEOUT, self.turns.acquire()).await;
        let Ok(Ok(_turn)) = turn else {
            return Err(self.client.unusable("too many questions are waiting"));
        };
        let request = question(&self.client.http, &self.rules, token);
        let answer = self.client.send(request).await?;
        match answer.status() {
            StatusCode::OK => self.client.body(answer, ANSWER_BYTES_MAX).await,
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(self
                .client
                .unusable("it does not take `client`'s id and secret")),
            status => Err(self.client.unusable(&format!("its status is {status}"))),
        }
    }
}

/// What an issuer is asked about a token.
pub(in crate::app) fn question(
    http: &reqwest::Client,
    rules: &Introspection,
    token: &str,
) -> RequestBuilder {
    // Both are form-encoded before they are joined (RFC 6749 section 2.3.1).
    let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect();
    let (id, secret): (String, String) = (
        encoded(&rules.client_id),
        encoded(rules.client_secret.expose()),
    );
    http.post(&rules.url)
        .basic_auth(id, Some(secret))
        .header(ACCEPT, "application/json")
        .form(&[("token", token), ("token_type_hint", "access_token")])
}

#[async_trait]
impl Probe for Introspector {
    async fn probe(&self, realm: &str, token: &str) -> Result<Option<LearnedToken>, Unavailable> {
        // The answer may have been under way for a while.
        let asked_at = self.clock.now();
        let body = self.answer(token).await?;
        match introspect::read(&self.rules, &body, self.clock.now()) {
            Ok(word) => {
                self.client.answered(IssuerOutcome::Vouched);
                let region = self.phone_region.as_deref();
                let said_at = word.said_at.unwrap_or(asked_at);
                Ok(Some(LearnedToken {
                    said_at: Some(said_at),
                    ..learned(realm, token, word, region)
                }))
            }
            Err(Refused::Malformed) => Err(self.client.unusable("it is not that of RFC 7662")),
            Err(refused) => {
                self.client.answered(IssuerOutcome::Denied);
                tracing::debug!(realm, %refused, "a token is refused");
                Ok(None)
            }
        }
    }

    fn recheck(&self) -> Option<Duration> {
        Some(self.rules.cache)
    }

    fn strangers_per_second(&self) -> Option<u32> {
        Some(STRANGERS_PER_SECOND)
    }
}
