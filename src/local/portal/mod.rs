//! The challenge page: a person passes the second factor in a browser.
//!
//! GET shows, POST acts; a GET never sends a code. It offers what the visitor has: codes by message
//! and by mail, those of an authenticator app, and one field for all of them. The page knows its visitor by the request's own
//! credentials or by those in the address to return to, and its pending code is bound to the
//! browser by the device cookie, which changes at verification: a cookie that somebody planted
//! beforehand is worth nothing afterwards.

mod page;
mod said;
mod visitor;

pub(super) use page::notice;

use super::decode::Fields;
use super::{Call, Local, Reply, encode, origin};
use crate::auth::Caller;
use crate::auth::challenge::{Accept, Typed};
use crate::auth::ports::{Enrolled, FactorKind, FactorSet};
use crate::entropy;
use crate::gate::Presented;
use crate::identity::device::{COOKIE_PLAIN, COOKIE_TLS};
use http::header::{LOCATION, SET_COOKIE};
use http::{Method, StatusCode};
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};
use said::{Alert, Stop};
use visitor::{Device, Visitor};

/// What stands for itself in the value of a query parameter.
const VALUE: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The address of the challenge page that leads back to `return_to` (a path and query).
pub(super) fn page_url(return_to: &str) -> String {
    // Once for what may not stand in any target, once more to be a parameter's value.
    let target = utf8_percent_encode(return_to, CONTROLS).to_string();
    let value = utf8_percent_encode(&target, VALUE);
    format!("/.vestibule/challenge?return_to={value}")
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
fn offer(enrolled: &Enrolled) -> Option<page::Offer> {
    let recipient = enrolled.value.masked()?;
    Some(page::Offer {
        kind: enrolled.value.kind(),
        recipient,
    })
}

impl Local {
    /// `GET|POST /.vestibule/challenge?return_to=/path`.
    pub(super) async fn portal_challenge(&self, call: &Call) -> Reply {
        let reply = match call.method {
            Method::POST => self.act(call).await,
            _ => self.show(call).await,
        };
        reply.unwrap_or_else(|stop| stop.reply(call))
    }

    async fn show(&self, call: &Call) -> Result<Reply, Stop> {
        let visitor = Visitor::read(call)?;
        let caller = self.known(call, &visitor).await?;
        let reply = self.page(call, &visitor, &caller, State::Offer).await?;
        if visitor.device != Device::None {
            return Ok(reply);
        }
        // The code to come will be bound to this browser.
        let device = self.new_device()?;
        Ok(self.set_device(call, reply, &device))
    }

    async fn act(&self, call: &Call) -> Result<Reply, Stop> {
        if !origin::is_own(call) {
            return Err(Stop::Foreign);
        }
        let visitor = Visitor::read(call)?;
        if visitor.device == Device::None {
            return Err(Stop::NoCookie);
        }
        let malformed = |error: &dyn std::fmt::Display| Stop::Malformed(error.to_string());
        let fields = Fields::body(call).map_err(|error| malformed(&error))?;
        let action = fields.text("action").map_err(|error| malformed(&error))?;
        match action.as_deref() {
            Some("send") => {
                let factor = fields.text("factor").map_err(|error| malformed(&error))?;
                let kind =
                    match factor.as_deref() {
                        None => None,
                        Some(name) => Some(FactorKind::from_name(name).ok_or_else(|| {
                            malformed(&"`factor` must be one that the page offers")
                        })?),
                    };
                self.send(call, &visitor, kind).await
            }
            Some("verify") => {
                let code = fields.text("code").map_err(|error| malformed(&error))?;
                self.confirm(call, &visitor, &code.unwrap_or_default())
                    .await
            }
            _ => Err(malformed(&"`action` must be `send` or `verify`")),
        }
    }

    /// The visitor as a caller, if anybody holds the token.
    async fn known(&self, call: &Call, visitor: &Visitor) -> Result<Caller, Stop> {
        let caller = self.caller(call, visitor.presented()).await?;
        caller.ok_or(Stop::UnknownToken)
    }

    /// Sends a code by the factor that was chosen, or the first that codes are sent by.
    async fn send(
        &self,
        call: &Call,
        visitor: &Visitor,
        chosen: Option<FactorKind>,
    ) -> Result<Reply, Stop> {
        let caller = self.known(call, visitor).await?;
        let kind = match chosen {
            Some(kind) => kind,
            None => {
                let factors = self.offered(&caller).await?;
                let first = factors.enrolled.iter().find_map(offer);
                first.map_or(FactorKind::Sms, |offer| offer.kind)
            }
        };
        let state = match self.auth.start(&caller, kind).await {
            Ok(started) => State::Sent(started.masked_recipient),
            Err(error) => State::Failed(error.into()),
        };
        self.page(call, visitor, &caller, state).await
    }

    async fn offered(&self, caller: &Caller) -> Result<FactorSet, Stop> {
        let factors = self.auth.factors(caller.holder.user).await;
        factors.map_err(|error| {
            tracing::error!(%error, "the challenge page could not be shown");
            Stop::Unavailable
        })
    }

    async fn confirm(&self, call: &Call, visitor: &Visitor, code: &str) -> Result<Reply, Stop> {
        let caller = self.known(call, visitor).await?;
        // A device that the address itself names stays: the way back names it again.
        let fresh = match visitor.device {
            Device::Named(_) => None,
            Device::Cookie(_) | Device::None => Some(self.new_device()?),
        };
        let presented = Presented {
            token: &visitor.token,
            device: fresh.as_deref().or(visitor.device.name()),
        };
        let pair = call.route.keys.session(presented.token, presented.device);
        let label = presented
            .device
            .map(|device| self.auth.keys.device_label(device));
        let typed = Typed {
            code,
            accept: Accept::Factor,
            pair,
            device_label: label,
            issue: None,
        };
        match self.auth.verify(&caller, typed).await {
            Ok(verified) => {
                self.remember(call, presented, pair, &verified.session)
                    .await;
                let reply = encode::reply(StatusCode::SEE_OTHER, "text/plain; charset=utf-8", "");
                let reply = encode::header(reply, LOCATION, &visitor.return_to);
                Ok(match fresh {
                    Some(device) => self.set_device(call, reply, &device),
                    None => reply,
                })
            }
            Err(error) => {
                let state = State::Failed(error.into());
                self.page(call, visitor, &caller, state).await
            }
        }
    }

    async fn page(
        &self,
        call: &Call,
        visitor: &Visitor,
        caller: &Caller,
        state: State,
    ) -> Result<Reply, Stop> {
        let factors = self.offered(caller).await?;
        let offers: Vec<_> = factors.enrolled.iter().filter_map(offer).collect();
        let has_app = factors.totp().is_some();
        let alert = match &state {
            State::Failed(alert) => Some(alert),
            State::Offer | State::Sent(_) => None,
        };
        let html = page::html(
            alert.map_or(StatusCode::OK, |alert| alert.status),
            &page::Challenge {
                service: &self.auth.settings.load().service_name,
                action: &page_url(&visitor.return_to),
                offers: &offers,
                has_app,
                alert: alert.map(|alert| alert.text.as_str()),
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
                encode::www_authenticate(html, &call.route, error)
            }
            _ => html,
        };
        Ok(match alert.and_then(|alert| alert.retry_after_secs) {
            Some(secs) => encode::retry_after(html, secs),
            None => html,
        })
    }

    fn new_device(&self) -> Result<String, Stop> {
        entropy::token(&*self.auth.entropy).map_err(|_| Stop::Unavailable)
    }

    fn set_device(&self, call: &Call, reply: Reply, device: &str) -> Reply {
        let (name, secure) = if call.tls {
            (COOKIE_TLS, "; Secure")
        } else {
            (COOKIE_PLAIN, "")
        };
        let age = self.auth.settings.load().sessions.lifetime.as_secs();
        let cookie =
            format!("{name}={device}; Path=/; Max-Age={age}; HttpOnly; SameSite=Lax{secure}");
        encode::header(reply, SET_COOKIE, &cookie)
    }
}
