//! Whether a server can be reached, found out without asking it for anything: no message, no sign-in
//! and no secret goes out. For `vestibule doctor`.

use super::{Providers, Sms};
use crate::clock::Timestamp;
use reqwest::header::DATE;
use reqwest::{Client, RequestBuilder, Response, Url};
use std::error::Error;

/// An HTTP server has answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answered {
    pub status: u16,
    /// What its clock shows.
    pub date: Option<Timestamp>,
    /// Its certificate was verified.
    pub is_tls: bool,
}

/// Why a server was not reached.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreached(pub String);

impl Unreached {
    /// The innermost reason: what is around it says that a request failed.
    pub(crate) fn because(error: &(dyn Error + 'static)) -> Self {
        let mut reason = error;
        while let Some(source) = reason.source() {
            reason = source;
        }
        Self(reason.to_string())
    }
}

/// Sends a request; any answer will do.
pub(crate) async fn answer(request: RequestBuilder) -> Result<Response, Unreached> {
    request.send().await.map_err(unreached)
}

/// Without the URL, whose query may hold a key.
pub(crate) fn unreached(error: reqwest::Error) -> Unreached {
    match error.is_timeout() {
        true => Unreached("no answer in time".to_owned()),
        false => Unreached::because(&error.without_url()),
    }
}

impl From<&Response> for Answered {
    fn from(answer: &Response) -> Self {
        let date = answer.headers().get(DATE);
        Self {
            status: answer.status().as_u16(),
            date: date.and_then(|date| Timestamp::from_http_date(date.to_str().ok()?)),
            is_tls: answer.url().scheme() == "https",
        }
    }
}

impl Providers {
    /// Asks the server of the `at`-th SMS provider for its front page.
    pub async fn reach_sms(&self, at: usize) -> Result<Answered, Unreached> {
        match self.sms.get(at) {
            Some(Sms::Twilio(twilio)) => front_page(twilio.address()).await,
            Some(Sms::Http(http)) => front_page(http.address()).await,
            None => Err(Unreached("it is not configured".to_owned())),
        }
    }

    /// Connects to the mail server, under TLS and signed in as the config says, and leaves.
    pub async fn reach_mail(&self) -> Result<(), Unreached> {
        match &self.email {
            Some(smtp) => smtp.reach().await,
            None => Err(Unreached("it is not configured".to_owned())),
        }
    }
}

async fn front_page((client, url): (&Client, &Url)) -> Result<Answered, Unreached> {
    let mut url = url.clone();
    url.set_path("/");
    url.set_query(None);
    // A name and a password in it would be sent. Neither can fail on a URL with a host.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    let answer = answer(client.head(url)).await?;
    Ok(Answered::from(&answer))
}
