//! Passkeys on pages: the challenge page asks for one, and `/.vestibule/passkeys` is where people add,
//! name and remove them.
//!
//! Without script there are none: a script puts the question (JSON, the answer to a form's `ask`) to
//! the browser, and sends the form with the browser's answer in a field. Everything else is as on every
//! page.

use super::super::{Call, Local, Reply, encode, origin};
use super::cookie;
use super::form::Visit;
use super::said::{self, Alert, Stop};
use super::visitor::{Arrival, Device};
use crate::auth::Caller;
use crate::auth::challenge::{Becomes, Verified, VerifyError};
use crate::auth::passkey::PasskeyError;
use crate::auth::ports::Passkey;
use crate::factor::passkey::Site;
use crate::gate::Presented;
use http::header::ORIGIN;
use http::{Method, StatusCode};
use serde_json::{Value, json};

/// Where a call's passkeys are for.
pub(super) struct Place {
    host: String,
    origin: String,
    service: String,
}

impl Place {
    pub(super) fn site(&self) -> Site<'_> {
        Site {
            host: &self.host,
            origin: &self.origin,
            service: &self.service,
        }
    }

    /// Whether browsers have passkeys here at all.
    pub(super) fn has_passkeys(&self) -> bool {
        self.site().has_passkeys()
    }

    /// Whether this passkey is offered here.
    pub(super) fn offers(&self, passkey: &Passkey) -> bool {
        passkey.host == self.host && self.has_passkeys()
    }
}

/// A browser that goes on under a new name.
struct Renamed<'a> {
    presented: Presented<'a>,
    /// The new name, if it goes by a cookie.
    fresh: Option<&'a str>,
    becomes: Becomes,
}

impl Local {
    /// Where the passkeys of this call are for.
    pub(super) fn passkey_place(&self, visit: &Visit<'_>) -> Place {
        let call = visit.call;
        // A form's own is one of ours: that has been checked, whatever a proxy does to `Host`.
        let said = call.headers.get(ORIGIN).and_then(|it| it.to_str().ok());
        let said = said.filter(|_| call.method == Method::POST);
        Place {
            host: call.host.clone(),
            origin: said.map_or_else(|| origin::of_head(&call.head()), str::to_owned),
            service: visit.frame.name().to_owned(),
        }
    }

    /// What the browser of a visitor to the challenge page is to ask for.
    pub(super) async fn ask_passkey(&self, visit: &Visit<'_>, caller: &Caller) -> Reply {
        let place = self.passkey_place(visit);
        let asked = self.auth.ask_passkey(caller, place.site()).await;
        answer(visit, asked)
    }

    /// Judges a passkey's answer on the challenge page, and leads on.
    pub(super) async fn confirm_passkey(
        &self,
        visit: &Visit<'_>,
        arrival: &Arrival,
        caller: &Caller,
    ) -> Result<Result<Reply, Alert>, Stop> {
        let (place, said) = (self.passkey_place(visit), said(visit)?);
        let Some(said) = said else {
            return Ok(Err(no_script()));
        };
        let fresh = self.fresh_device(arrival)?;
        let to = self.renamed_as(visit.call, arrival, fresh.as_deref());
        let verifying = self
            .auth
            .verify_passkey(caller, place.site(), &said, to.becomes.clone());
        match verifying.await {
            Ok(verified) => {
                let reply = said::go_to(&arrival.return_to);
                Ok(Ok(self.goes_on(visit.call, to, &verified, reply).await))
            }
            Err(error) => Ok(Err(error.into())),
        }
    }

    /// A new name for a browser that goes by a cookie. A device that the address itself names stays:
    /// the way back names it again.
    fn fresh_device(&self, arrival: &Arrival) -> Result<Option<String>, Stop> {
        match arrival.device {
            Device::Named(_) => Ok(None),
            Device::Cookie(_) | Device::None => self.new_device().map(Some),
        }
    }

    fn renamed_as<'a>(
        &self,
        call: &Call,
        arrival: &'a Arrival,
        fresh: Option<&'a str>,
    ) -> Renamed<'a> {
        let presented = Presented {
            token: &arrival.token,
            device: fresh.or(arrival.device.name()),
        };
        let label = presented.device;
        Renamed {
            presented,
            fresh,
            becomes: Becomes {
                pair: call.route.keys.session(presented.token, presented.device),
                device_label: label.map(|device| self.auth.keys.device_label(device)),
            },
        }
    }

    /// The gate knows the pair, and the browser its new name.
    async fn goes_on(
        &self,
        call: &Call,
        to: Renamed<'_>,
        verified: &Verified,
        reply: Reply,
    ) -> Reply {
        self.remember(call, to.presented, to.becomes.pair, &verified.session)
            .await;
        match to.fresh {
            Some(device) => cookie::set_device(reply, call, device, self.cookie_secs()),
            None => reply,
        }
    }
}

/// What the browser has answered; `None` if no script has asked it.
fn said(visit: &Visit<'_>) -> Result<Option<Value>, Stop> {
    let said = visit.field("answer")?;
    if said.is_empty() {
        return Ok(None);
    }
    let said = serde_json::from_str(&said);
    said.map(Some).map_err(|error| Stop::malformed(&error))
}

fn no_script() -> Alert {
    Alert::new(StatusCode::BAD_REQUEST, "passkey-no-script")
}

/// The question for a script, or a sentence for it to show.
fn answer(visit: &Visit<'_>, asked: Result<Value, PasskeyError>) -> Reply {
    match asked {
        Ok(question) => encode::json(StatusCode::OK, &question),
        Err(error) => {
            let alert = Alert::from(error);
            let text = alert.text(visit.frame.words()).to_string();
            let reply = encode::json(alert.status, &json!({ "error": text }));
            alert.on(reply, &visit.call.route, None)
        }
    }
}

impl From<PasskeyError> for Alert {
    fn from(error: PasskeyError) -> Self {
        let (status, key) = match error {
            PasskeyError::NotHere => (StatusCode::BAD_REQUEST, "passkey-not-here"),
            PasskeyError::None => (StatusCode::NOT_FOUND, "passkey-none-here"),
            PasskeyError::TooMany => (StatusCode::CONFLICT, "passkey-too-many"),
            PasskeyError::BadName => (StatusCode::BAD_REQUEST, "passkey-bad-name"),
            PasskeyError::NoSuchPasskey => (StatusCode::NOT_FOUND, "passkey-no-such"),
            PasskeyError::Verify(VerifyError::Wrong { .. }) => {
                (StatusCode::UNAUTHORIZED, "passkey-wrong")
            }
            PasskeyError::Verify(VerifyError::Gone) => (StatusCode::FORBIDDEN, "passkey-late"),
            // A page leads on to where people can show more before it comes to this.
            PasskeyError::Enrol(_) | PasskeyError::Verify(VerifyError::Forbidden) => {
                (StatusCode::FORBIDDEN, "passkey-not-verified")
            }
            PasskeyError::Blocked(blocked) => return blocked.into(),
            PasskeyError::Verify(error) => return error.into(),
            PasskeyError::Unavailable => return Self::unavailable(),
        };
        Self::new(status, key)
    }
}
