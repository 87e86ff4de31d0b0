//! What a visitor passes a page with: judged, and then the browser goes on under a new name.

use super::super::{Call, Local, Reply};
use super::cookie;
use super::said::Stop;
use super::visitor::{Arrival, Device};
use crate::auth::Caller;
use crate::auth::challenge::{Accept, Becomes, Typed, Verified, VerifyError};
use crate::gate::Presented;

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
            },
            device: fresh,
        })
    }

    /// Verifies a code that was typed, and with it the browser's pair.
    pub(super) async fn pass(
        &self,
        call: &Call,
        arrival: &Arrival,
        caller: &Caller,
        code: &str,
        accept: Accept,
    ) -> Result<Passed, VerifyError> {
        let onward = self.goes_on_as(call, arrival);
        let onward = onward.map_err(|_| VerifyError::Unavailable)?;
        let typed = Typed {
            code,
            accept,
            pair: onward.becomes.pair,
            device_label: onward.becomes.device_label.clone(),
            issue: None,
        };
        let verified = self.auth.verify(caller, typed).await?;
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
        Passed {
            verified,
            device: onward.device,
        }
    }

    /// Gives the browser its new name with an answer.
    pub(super) fn renamed(&self, call: &Call, reply: Reply, passed: &Passed) -> Reply {
        match &passed.device {
            Some(device) => cookie::set_device(reply, call, device, self.cookie_secs()),
            None => reply,
        }
    }
}
