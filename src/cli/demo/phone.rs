//! The demo's phone and mailbox: what is sent is shown on the terminal.

use super::DemoError;
use crate::auth::{Deliver, DeliveryError};
use crate::cli::say;
use crate::factor::one_time::Mail;
use crate::factor::phone::Phone;
use crate::secret::Secret;
use async_trait::async_trait;
use axum::http::StatusCode;
use axum::{Json, Router};
use std::net::SocketAddr;
use std::sync::Arc;

#[derive(serde::Deserialize)]
struct Sms {
    to: String,
    text: String,
}

/// Takes what the SMS provider posts: on a free port, for as long as the runtime runs.
pub(super) async fn start() -> Result<SocketAddr, DemoError> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .map_err(DemoError::Phone)?;
    let address = listener.local_addr().map_err(DemoError::Phone)?;
    let router = Router::new().route("/sms", axum::routing::post(receive));
    tokio::spawn(axum::serve(listener, router).into_future());
    Ok(address)
}

async fn receive(Json(sms): Json<Sms>) -> StatusCode {
    say(&format!("SMS to {}: {}\n", sms.to, sms.text));
    StatusCode::OK
}

/// Shows mail in place of the mail server that the demo's config names; messages go their way.
pub(super) struct Mailbox {
    pub(super) sms: Arc<Box<dyn Deliver>>,
}

#[async_trait]
impl Deliver for Mailbox {
    async fn sms(&self, to: &Phone, text: &Secret) -> Result<&'static str, DeliveryError> {
        self.sms.sms(to, text).await
    }

    async fn email(&self, to: &Secret, mail: &Mail) -> Result<&'static str, DeliveryError> {
        let (to, text) = (to.expose(), mail.text.expose());
        let text: Vec<_> = text.lines().filter(|line| !line.is_empty()).collect();
        say(&format!("Mail to {to}: {}\n", text.join(" ")));
        Ok("terminal")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_phone_takes_what_the_provider_posts() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let phone = start().await.unwrap();
        let sms = serde_json::json!({"to": "+4520123456", "text": "is\nyour code"});
        let answer = reqwest::Client::new()
            .post(format!("http://{phone}/sms"))
            .json(&sms)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 200);
    }
}
