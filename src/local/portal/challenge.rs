//! The challenge page: a person passes the second factor in a browser.
//!
//! It offers what the visitor has: codes by message and by mail, those of an authenticator app, and one
//! field for all of them. The page knows its visitor by the request's own credentials or by those in
//! the address to return to, and its pending code is bound to the browser by the device cookie, which
//! changes at verification: a cookie that somebody planted beforehand is worth nothing afterwards.

use super::super::decode::Fields;
use super::super::{Local, Reply, encode};
use super::challenge_url;
use super::form::Visit;
use super::page::{self, Frame};
use super::said::{self, Alert, Stop};
use super::visitor::Arrival;
use crate::auth::challenge::Accept;
use crate::auth::ports::{Enrolled, FactorKind, FactorSet};
use crate::auth::{Caller, Standing};
use askama::Template;
use http::{Method, StatusCode};

/// The page in one of its states.
#[derive(Template)]
#[template(path = "challenge.html")]
struct Page<'a> {
    t: &'a Frame<'a>,
    /// Where its forms are sent to.
    action: &'a str,
    /// What a code can be sent by.
    offers: &'a [Offer],
    /// There is an authenticator app, whose codes need no sending.
    has_app: bool,
    /// What went wrong, as a sentence.
    alert: Option<String>,
    /// A code has just been sent to this masked recipient.
    sent_to: Option<&'a str>,
    /// Shows the field for the code.
    asks_code: bool,
}

/// A way to get a code.
struct Offer {
    kind: FactorKind,
    /// Masked.
    recipient: String,
}

/// What the page shows.
enum State {
    /// The offer to send a code.
    Offer,
    /// A code was sent, to this masked recipient.
    Sent(String),
    /// The last step failed.
    Failed(Alert),
}

/// A factor that a code can be sent by, as the page offers it.
fn offer(enrolled: &Enrolled) -> Option<Offer> {
    let recipient = enrolled.value.masked()?;
    Some(Offer {
        kind: enrolled.value.kind(),
        recipient,
    })
}

impl Local {
    /// `GET|POST /.vestibule/challenge?return_to=/path&fresh=true`.
    pub(super) async fn challenge(&self, visit: &Visit<'_>) -> Result<Reply, Stop> {
        let arrival = Arrival::read(visit.call)?;
        let caller = self.caller(visit.call, arrival.presented()).await?;
        let caller = caller.ok_or(Stop::UnknownToken)?;
        self.enrols_first(visit, &arrival, &caller).await?;
        if visit.call.method == Method::POST {
            return self.act(visit, &arrival, &caller).await;
        }
        // Whoever has passed already goes on, unless a newer factor is asked for.
        if caller.standing >= Standing::Verified && !is_fresh(visit) {
            return Ok(said::go_to(&arrival.return_to));
        }
        self.shown(visit, &arrival, &caller, State::Offer).await
    }

    async fn act(
        &self,
        visit: &Visit<'_>,
        arrival: &Arrival,
        caller: &Caller,
    ) -> Result<Reply, Stop> {
        match visit.field("action")?.as_str() {
            "send" => {
                let factor = visit.fields.text("factor");
                let factor = factor.map_err(|error| Stop::malformed(&error))?;
                let unknown = || Stop::malformed(&"`factor` must be one that the page offers");
                let kind = factor.map(|name| FactorKind::from_name(&name).ok_or_else(unknown));
                self.send(visit, arrival, caller, kind.transpose()?).await
            }
            "verify" => {
                let code = visit.field("code")?;
                self.confirm_code(visit, arrival, caller, &code).await
            }
            _ => Err(Stop::malformed(&"`action` must be `send` or `verify`")),
        }
    }

    /// Sends a code by the factor that was chosen, or the first that codes are sent by.
    async fn send(
        &self,
        visit: &Visit<'_>,
        arrival: &Arrival,
        caller: &Caller,
        chosen: Option<FactorKind>,
    ) -> Result<Reply, Stop> {
        let kind = match chosen {
            Some(kind) => kind,
            None => {
                let factors = self.offered(caller).await?;
                let first = factors.enrolled.iter().find_map(offer);
                first.map_or(FactorKind::Sms, |offer| offer.kind)
            }
        };
        let state = match self.auth.start(caller, kind).await {
            Ok(started) => State::Sent(started.masked_recipient),
            Err(error) => State::Failed(error.into()),
        };
        self.shown(visit, arrival, caller, state).await
    }

    async fn offered(&self, caller: &Caller) -> Result<FactorSet, Stop> {
        let factors = self.auth.factors(caller.holder.user).await;
        factors.map_err(|error| {
            tracing::error!(%error, "the challenge page could not be shown");
            Stop::Unavailable
        })
    }

    async fn confirm_code(
        &self,
        visit: &Visit<'_>,
        arrival: &Arrival,
        caller: &Caller,
        code: &str,
    ) -> Result<Reply, Stop> {
        let call = visit.call;
        match self.pass(call, arrival, caller, code, Accept::Factor).await {
            Ok(passed) => {
                let reply = said::go_to(&arrival.return_to);
                Ok(self.renamed(call, reply, &passed))
            }
            Err(error) => {
                let state = State::Failed(error.into());
                self.shown(visit, arrival, caller, state).await
            }
        }
    }

    async fn shown(
        &self,
        visit: &Visit<'_>,
        arrival: &Arrival,
        caller: &Caller,
        state: State,
    ) -> Result<Reply, Stop> {
        let route = &visit.call.route;
        let factors = self.offered(caller).await?;
        let offers: Vec<_> = factors.enrolled.iter().filter_map(offer).collect();
        let has_app = factors.totp().is_some();
        let alert = match &state {
            State::Failed(alert) => Some(*alert),
            State::Offer | State::Sent(_) => None,
        };
        let html = page::html(
            alert.map_or(StatusCode::OK, |alert| alert.status),
            &Page {
                t: &visit.frame,
                action: &challenge_url(route, &arrival.return_to, is_fresh(visit)),
                offers: &offers,
                has_app,
                alert: alert.map(|alert| alert.text(visit.frame.words()).to_string()),
                sent_to: match &state {
                    State::Sent(recipient) => Some(recipient),
                    State::Offer | State::Failed(_) => None,
                },
                asks_code: has_app || !matches!(state, State::Offer),
            },
        );
        let html = match html.status() {
            StatusCode::UNAUTHORIZED => {
                let error = Some("insufficient_user_authentication");
                encode::www_authenticate(html, route, error)
            }
            _ => html,
        };
        Ok(match alert.and_then(|alert| alert.retry_after_secs) {
            Some(secs) => encode::retry_after(html, secs),
            None => html,
        })
    }
}

/// Whether a second factor is asked for even if one was passed before.
fn is_fresh(visit: &Visit<'_>) -> bool {
    Fields::query(visit.call).is_on("fresh")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::model;
    use crate::digest::DigestKeys;
    use crate::policy::tests::route;
    use crate::route::Route;
    use std::sync::Arc;

    #[test]
    fn what_a_page_shows_is_escaped() {
        let portal = model::Portal {
            support: Some(model::Support::Text("<s>".to_owned())),
            ..model::Portal::default()
        };
        let route = Route {
            config: route(Vec::new()),
            keys: DigestKeys::derive(&[0; 32]).realm("test"),
            identity: model::Identity::Accounts,
            portal: Arc::new(portal),
        };
        let frame = Frame::new(&route, &http::HeaderMap::new(), "<b>");
        let page = Page {
            t: &frame,
            action: "\"><script>",
            offers: &[FactorKind::Sms, FactorKind::Email].map(|kind| Offer {
                kind,
                recipient: "<i>".to_owned(),
            }),
            has_app: true,
            alert: Some("<u>".to_owned()),
            sent_to: Some("<em>"),
            asks_code: true,
        };
        for asks_code in [true, false] {
            let alert = page.alert.clone();
            let html = Page {
                asks_code,
                alert,
                ..page
            }
            .render()
            .unwrap();
            for raw in ["<b>", "<script>", "<i>", "<u>", "<em>", "<s>"] {
                assert!(!html.contains(raw), "{raw}");
            }
            assert!(html.contains("&#60;b&#62;"), "{html}");
        }
    }
}
