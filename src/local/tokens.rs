//! Vestibule's own tokens: the keys that check them (RFC 7517) and their renewal (RFC 6749 section 6).

use super::decode::{BadField, Fields};
use super::{Call, Local, Reply, encode};
use crate::auth::tokens::{IssueTo, RefreshError, RefreshForm, RefreshedAt};
use crate::gate::Presented;
use crate::identity::{client, device};
use crate::secret::Secret;
use http::StatusCode;
use serde_json::{Value, json};

/// One of the two endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Jwks,
    Refresh,
}

/// Why no new tokens are given (RFC 6749 section 5.2).
enum Refused {
    Request(String),
    GrantType,
    Grant,
    TooMany(u64),
    Unavailable,
}

impl From<BadField> for Refused {
    fn from(bad: BadField) -> Self {
        Self::Request(bad.to_string())
    }
}

impl From<RefreshError> for Refused {
    fn from(error: RefreshError) -> Self {
        match error {
            RefreshError::Invalid => Self::Grant,
            RefreshError::TooMany { retry_after_secs } => Self::TooMany(retry_after_secs),
            RefreshError::Unavailable => Self::Unavailable,
        }
    }
}

impl Refused {
    fn reply(self) -> Reply {
        let bad = StatusCode::BAD_REQUEST;
        match self {
            Self::Request(text) => error(bad, "invalid_request", &text),
            Self::GrantType => error(
                bad,
                "unsupported_grant_type",
                "only `refresh_token` is taken here",
            ),
            Self::Grant => error(
                bad,
                "invalid_grant",
                "the refresh token is not good (any more), or another device's: sign in again",
            ),
            Self::TooMany(secs) => {
                let text = format!("too many tries: wait {secs} seconds");
                let status = StatusCode::TOO_MANY_REQUESTS;
                encode::retry_after(error(status, "temporarily_unavailable", &text), secs)
            }
            Self::Unavailable => unavailable(),
        }
    }
}

/// An answer in the shape of RFC 6749 section 5.2.
pub(super) fn error(status: StatusCode, code: &str, text: &str) -> Reply {
    encode::json(status, &json!({"error": code, "error_description": text}))
}

fn unavailable() -> Reply {
    let text = "this cannot be checked now: try again in a few seconds";
    let status = StatusCode::SERVICE_UNAVAILABLE;
    let reply = error(status, "temporarily_unavailable", text);
    encode::retry_after(reply, encode::RETRY_STORE_SECS)
}

impl Local {
    pub(super) async fn tokens(&self, step: Step, call: &Call) -> Reply {
        match step {
            Step::Jwks => self.jwks(call).await,
            Step::Refresh => match self.refresh(call).await {
                Ok(body) => encode::json(StatusCode::OK, &body),
                Err(refused) => refused.reply(),
            },
        }
    }

    /// The same keys on every route; the route's algorithm has one for sure.
    async fn jwks(&self, call: &Call) -> Reply {
        let jwks = self.auth.signer.jwks(call.route.config.token_algorithm);
        match jwks.await.map(serde_json::to_value) {
            Ok(Ok(keys)) => {
                encode::reply(StatusCode::OK, "application/jwk-set+json", keys.to_string())
            }
            Ok(Err(_)) => unavailable(),
            Err(error) => {
                tracing::error!(%error, "the signing keys could not be read");
                unavailable()
            }
        }
    }

    async fn refresh(&self, call: &Call) -> Result<Value, Refused> {
        let body = Fields::body(call).map_err(|bad| Refused::Request(bad.to_string()))?;
        let missing = |name| Refused::Request(format!("`{name}` is missing"));
        match body.text("grant_type")?.as_deref() {
            None | Some("") => return Err(missing("grant_type")),
            Some("refresh_token") => {}
            Some(_) => return Err(Refused::GrantType),
        }
        let token = body.text("refresh_token")?.filter(|it| !it.is_empty());
        let token = Secret::new(token.ok_or_else(|| missing("refresh_token"))?);
        let in_body = body.text("deviceId")?;
        let head = call.head();
        let device = device::find(&head, in_body.as_deref());
        let device = device.map_err(|bad| Refused::Request(bad.to_string()))?;
        // Signed ones have dots, and go on as signed ones.
        let form = if token.expose().contains('.') {
            RefreshForm::Jwt
        } else {
            RefreshForm::Opaque
        };
        let route = &call.route;
        let to = IssueTo {
            realm: &route.config.identity,
            keys: &route.keys,
            device: device.as_deref(),
            algorithm: route.config.token_algorithm,
            refresh: form,
            stands_for: None,
        };
        let at = RefreshedAt {
            route: &route.config.name,
            address: call.address,
            client: &client::words(&call.headers),
        };
        let new = self.auth.refresh(&to, at, &token).await?;
        let access = new.access.expose();
        self.gate.token_issued(route.keys.token(access));
        if let Some(session) = &new.session {
            let presented = Presented {
                token: access,
                device: device.as_deref(),
            };
            self.remember(call, presented, new.pair, session).await;
        }
        let now = self.auth.clock.now();
        Ok(json!({
            "access_token": access,
            "token_type": "Bearer",
            "expires_in": new.access_expires_at.secs_since(now),
            "refresh_token": new.refresh.expose(),
        }))
    }
}
