//! Twilio's Messages API, version 2010-04-01: `POST /2010-04-01/Accounts/{sid}/Messages.json`.

use super::client;
use super::{Attempt, SetupError};
use crate::config::model;
use crate::factor::phone::Phone;
use crate::secret::Secret;
use reqwest::{Client, Url};

/// Error codes that speak of the recipient: not a number, not a mobile, opted out, a region that is
/// not allowed, not reachable from this sender.
const BAD_RECIPIENT: [u64; 5] = [21211, 21614, 21610, 21408, 21612];

/// An account at Twilio.
pub(super) struct Twilio {
    client: Client,
    url: Url,
    account_sid: String,
    auth_token: Secret,
    /// `From`, or `MessagingServiceSid`.
    sender: (&'static str, String),
}

/// Twilio's error answer; it has more fields.
#[derive(serde::Deserialize)]
struct Problem {
    code: u64,
}

impl Twilio {
    /// `at` is the provider's place in the config.
    pub(super) fn new(config: &model::Twilio, at: usize) -> Result<Self, SetupError> {
        let base = config.url.trim_end_matches('/');
        let sid = &config.account_sid;
        let url = client::url(
            &format!("{base}/2010-04-01/Accounts/{sid}/Messages.json"),
            at,
        )?;
        let sender = if config.from.starts_with("MG") {
            "MessagingServiceSid"
        } else {
            "From"
        };
        Ok(Self {
            client: client::build(config.timeout, at)?,
            url,
            account_sid: sid.clone(),
            auth_token: config.auth_token.clone(),
            sender: (sender, config.from.clone()),
        })
    }

    /// Where messages go.
    pub(super) fn address(&self) -> (&Client, &Url) {
        (&self.client, &self.url)
    }

    /// Asks Twilio to take one message.
    pub(super) async fn send(&self, to: &Phone, text: &Secret) -> Attempt {
        let (sender, from) = &self.sender;
        let request = self
            .client
            .post(self.url.clone())
            .basic_auth(&self.account_sid, Some(self.auth_token.expose()))
            .form(&[("To", to.e164()), (*sender, from), ("Body", text.expose())]);
        let response = match client::send(request).await {
            Ok(response) => response,
            Err(attempt) => return attempt,
        };
        let status = response.status();
        let attempt = client::judge(status);
        if matches!(attempt, Attempt::Refused(_)) {
            let problem = serde_json::from_slice::<Problem>(&client::body(response).await);
            if problem.is_ok_and(|problem| BAD_RECIPIENT.contains(&problem.code)) {
                return Attempt::BadRecipient(status.as_u16());
            }
        }
        attempt
    }
}
