//! A code that was typed on a page: judged, and then the browser goes on under a new name.

use super::super::{Call, Local, Reply};
use super::cookie;
use super::visitor::{Arrival, Device};
use crate::auth::Caller;
use crate::auth::challenge::{Accept, Typed, Verified, VerifyError};
use crate::gate::Presented;

/// What a right code has led to.
pub(super) struct Passed {
    pub(super) verified: Verified,
    /// The browser's new name, if it goes by a cookie.
    device: Option<String>,
}

impl Local {
    /// Verifies a code and with it the browser's pair. A device that is a cookie changes: one that
    /// somebody planted beforehand is worth nothing afterwards.
    pub(super) async fn pass(
        &self,
        call: &Call,
        arrival: &Arrival,
        caller: &Caller,
        code: &str,
        accept: Accept,
    ) -> Result<Passed, VerifyError> {
        // A device that the address itself names stays: the way back names it again.
        let fresh = match arrival.device {
            Device::Named(_) => None,
            Device::Cookie(_) | Device::None => {
                let device = self.new_device().map_err(|_| VerifyError::Unavailable)?;
                Some(device)
            }
        };
        let presented = Presented {
            token: &arrival.token,
            device: fresh.as_deref().or(arrival.device.name()),
        };
        let pair = call.route.keys.session(presented.token, presented.device);
        let label = presented.device.map(|it| self.auth.keys.device_label(it));
        let typed = Typed {
            code,
            accept,
            pair,
            device_label: label,
            issue: None,
        };
        let verified = self.auth.verify(caller, typed).await?;
        self.remember(call, presented, pair, &verified.session)
            .await;
        Ok(Passed {
            verified,
            device: fresh,
        })
    }

    /// Gives the browser its new name with an answer.
    pub(super) fn renamed(&self, call: &Call, reply: Reply, passed: &Passed) -> Reply {
        match &passed.device {
            Some(device) => cookie::set_device(reply, call, device, self.cookie_secs()),
            None => reply,
        }
    }
}
