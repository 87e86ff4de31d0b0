//! A call with a bearer token that somebody holds, as every dialect's calls for one are read.

use super::decode::{BadField, Fields};
use super::trouble::Trouble;
use super::{Call, Local};
use crate::auth::Caller;
use crate::auth::challenge::{Accept, Typed, Verified, VerifyError};
use crate::auth::tokens::IssueTo;
use crate::config::model::CredentialSource;
use crate::gate::Presented;
use crate::identity::credential;
use crate::identity::device::{self, BadDevice};
use std::borrow::Cow;

/// Who calls, and with what.
pub(super) struct Signed {
    pub(super) token: String,
    /// `None`: none was named.
    pub(super) device: Option<String>,
    pub(super) caller: Caller,
}

impl Signed {
    pub(super) fn presented(&self) -> Presented<'_> {
        Presented {
            token: &self.token,
            device: self.device.as_deref(),
        }
    }
}

impl Local {
    /// The caller by the bearer token, on the device that header, query, body or cookie name.
    pub(super) async fn signed(&self, call: &Call, body: &Fields) -> Result<Signed, Trouble> {
        let head = call.head();
        let token = credential::find(&[CredentialSource::Bearer], &head)?;
        let token = token.ok_or(Trouble::NoToken)?.into_owned();
        let in_body = body.text("deviceId").map_err(|error| match error {
            // The same as two devices in other places.
            BadField::Twice(_) => Trouble::Device(BadDevice::Conflict),
            error @ BadField::NotText(_) => error.into(),
        })?;
        let device = device::find(&head, in_body.as_deref())?;
        let presented = Presented {
            token: &token,
            device: device.as_deref(),
        };
        let caller = self.caller(call, presented).await?;
        let caller = caller.ok_or(Trouble::UnknownToken)?;
        if call.is_closed_to(&caller.holder) {
            return Err(Trouble::Closed);
        }
        let device = device.map(Cow::into_owned);
        Ok(Signed {
            token,
            device,
            caller,
        })
    }

    /// The code typed into `field`, with the leading zeros that JSON's numbers lose.
    pub(super) fn typed_code<'f>(
        &self,
        body: &'f Fields,
        field: &'static str,
    ) -> Result<Cow<'f, str>, Trouble> {
        body.required_digits(field, self.auth.settings.load().codes.length)
    }

    /// Verifies the code typed into `field`, and tells the gate of what it has verified.
    pub(super) async fn verified(
        &self,
        call: &Call,
        by: &Signed,
        field: &'static str,
        code: &str,
        accept: Accept,
        issue: Option<IssueTo<'_>>,
    ) -> Result<Verified, Trouble> {
        let typed = Typed {
            code,
            accept,
            pair: by.caller.pair,
            device_label: by.caller.device_label.clone(),
            issue,
        };
        let verified = self.auth.verify(&by.caller, typed).await;
        let verified = verified.map_err(|error| match error {
            VerifyError::Malformed => Trouble::field(field, "the code must be a row of digits"),
            error => error.into(),
        })?;
        self.remember(call, by.presented(), by.caller.pair, &verified.session)
            .await;
        if let Some((drawn, session)) = &verified.issued {
            self.gate.token_issued(drawn.issue.access.digest);
            let presented = Presented {
                token: drawn.access.expose(),
                device: by.device.as_deref(),
            };
            self.remember(call, presented, drawn.pair, session).await;
        }
        Ok(verified)
    }
}
