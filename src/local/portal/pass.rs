//! What a visitor passes a page with: judged, and then the browser goes on under a new name.

use super::super::{Call, Local, Reply};
use super::cookie;
use super::form::Visit;
use super::said::Stop;
use super::visitor::{Arrival, Device};
use crate::auth::Caller;
use crate::auth::browsers::ToRemember;
use crate::auth::challenge::{Accept, Becomes, Verified, VerifyError};
use crate::config::model::Remember;
use crate::entropy;
use crate::gate::Presented;
use crate::secret::Secret;

/// The name under which a browser goes on.
pub(super) struct Onward {
    pub(super) becomes: Becomes,
    /// A new one, if it goes by a cookie.
    device: Option<String>,
}

/// What passing has led to.
pub(super) struct Passed {
    pub(super) verified: Verified,
    /// The browser's new name, if it goes by a cookie.
    device: Option<String>,
    /// The secret by which it is remembered from now on, if it is.
    browser: Option<Secret>,
}

/// Whether this visitor may have the browser remembered: who has signed in at our page, which is where
/// it will be recognised, and passes for this very browser.
pub(super) fn can_be_remembered(call: &Call, arrival: &Arrival, caller: &Caller) -> bool {
    let is_ever = call.route.config.remember != Remember::Never && !caller.is_guest();
    let is_own = cookie::token(call).as_deref() == Some(&arrival.token);
    is_ever && is_own && !matches!(arrival.device, Device::Named(_))
}

/// Whether the box was ticked that asks for it.
pub(super) fn asks_to_remember(visit: &Visit<'_>) -> Result<bool, Stop> {
    Ok(visit.field("remember")? == "yes")
}

impl Local {
    /// The pair that becomes verified. A device that is a cookie changes: one that somebody planted
    /// beforehand is worth nothing afterwards.
    pub(super) fn goes_on_as(&self, call: &Call, arrival: &Arrival) -> Result<Onward, Stop> {
        // A device that the address itself names stays: the way back names it again.
        let fresh = match arrival.device {
            Device::Named(_) => None,
            Device::Cookie(_) | Device::None => Some(self.new_device()?),
        };
        let device = fresh.as_deref().or(arrival.device.name());
        Ok(Onward {
            becomes: Becomes {
                pair: call.route.keys.session(&arrival.token, device),
                device_label: device.map(|device| self.auth.keys.device_label(device)),
                remember: None,
            },
            device: fresh,
        })
    }

    /// The same on the challenge page, where a visitor may tick that the browser be remembered.
    pub(super) fn goes_on_remembered(
        &self,
        visit: &Visit<'_>,
        arrival: &Arrival,
        caller: &Caller,
    ) -> Result<Onward, Stop> {
        let call = visit.call;
        let mut onward = self.goes_on_as(call, arrival)?;
        if asks_to_remember(visit)? && can_be_remembered(call, arrival, caller) {
            let secret = entropy::token(&*self.auth.entropy).map_err(|_| Stop::Unavailable)?;
            onward.becomes.remember = Some(ToRemember {
                secret: Secret::new(secret),
                before: cookie::browser(call),
                remember: call.route.config.remember,
            });
        }
        Ok(onward)
    }

    /// Verifies a code that was typed, and with it the browser's pair.
    pub(super) async fn pass(
        &self,
        call: &Call,
        arrival: &Arrival,
        caller: &Caller,
        onward: Onward,
        typed: (Accept, &str),
    ) -> Result<Passed, VerifyError> {
        let becomes = onward.becomes.clone();
        let verified = self.auth.verify_on_page(caller, typed, becomes).await?;
        Ok(self.passed(call, arrival, onward, verified).await)
    }

    /// Tells the gate of the pair that is verified now.
    pub(super) async fn passed(
        &self,
        call: &Call,
        arrival: &Arrival,
        onward: Onward,
        verified: Verified,
    ) -> Passed {
        let presented = Presented {
            token: &arrival.token,
            device: onward.device.as_deref().or(arrival.device.name()),
        };
        self.remember(call, presented, onward.becomes.pair, &verified.session)
            .await;
        let remember = onward.becomes.remember;
        let remember = remember.filter(|_| verified.passed.factor.can_be_remembered());
        Passed {
            verified,
            device: onward.device,
            browser: remember.map(|new| new.secret),
        }
    }

    /// Gives the browser its new names with an answer.
    pub(super) fn renamed(&self, call: &Call, reply: Reply, passed: &Passed) -> Reply {
        let reply = match &passed.device {
            Some(device) => cookie::set_device(reply, call, device, self.cookie_secs()),
            None => reply,
        };
        match &passed.browser {
            Some(secret) => cookie::set_browser(reply, call, secret),
            None => reply,
        }
    }
}
