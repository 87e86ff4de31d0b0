//! Who opens the challenge page, and where they want to go from there.

use super::super::Call;
use super::super::decode::Fields;
use super::super::target::Target;
use super::said::Stop;
use crate::gate::Presented;
use crate::identity::{credential, device};
use http::Method;
use http::header::COOKIE;
use percent_encoding::{CONTROLS, utf8_percent_encode};

/// A visitor with a token; whether anybody holds it has not been asked yet.
pub(super) struct Visitor {
    /// A canonical path and query on this host.
    pub(super) return_to: String,
    pub(super) token: String,
    pub(super) device: Device,
}

/// The device a visitor comes with.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Device {
    /// The address to return to, or a header, names it: it stays.
    Named(String),
    /// Our own cookie: it changes at verification.
    Cookie(String),
    None,
}

impl Device {
    pub(super) fn name(&self) -> Option<&str> {
        match self {
            Self::Named(device) | Self::Cookie(device) => Some(device),
            Self::None => None,
        }
    }
}

impl Visitor {
    /// Reads token and device as they would be read of the request that the visitor returns to.
    pub(super) fn read(call: &Call) -> Result<Self, Stop> {
        let target = return_target(call);
        let head = target.as_ref().and_then(|it| it.head(call, &Method::GET));
        // What is not a path on this host is not gone to, and says nothing of the visitor.
        let (return_to, head) = match head {
            Some(head) => {
                let query = head.query.map(|query| format!("?{query}"));
                let path = format!("{}{}", head.path, query.unwrap_or_default());
                // A name in UTF-8 is taken as it is, but may not stand in a header.
                (utf8_percent_encode(&path, CONTROLS).to_string(), head)
            }
            None => ("/".to_owned(), call.head()),
        };
        let malformed = |error: &dyn std::fmt::Display| Stop::Malformed(error.to_string());
        let token = credential::find(&call.route.config.credentials, &head)
            .map_err(|error| malformed(&error))?
            .ok_or(Stop::NoToken)?;
        let device = device::find(&head, None).map_err(|error| malformed(&error))?;
        let device = match device {
            None => Device::None,
            Some(device) if is_named(call)? => Device::Named(device.into_owned()),
            Some(device) => Device::Cookie(device.into_owned()),
        };
        Ok(Self {
            return_to,
            token: token.into_owned(),
            device,
        })
    }

    pub(super) fn presented(&self) -> Presented<'_> {
        Presented {
            token: &self.token,
            device: self.device.name(),
        }
    }
}

fn return_target(call: &Call) -> Option<Target> {
    let query = Fields::query(call);
    Target::like(call, &query.text("return_to").ok()??)
}

/// Whether the device is still named once the cookies are left out.
fn is_named(call: &Call) -> Result<bool, Stop> {
    let Some(mut target) = return_target(call) else {
        return Ok(false);
    };
    target.headers.remove(COOKIE);
    let Some(head) = target.head(call, &Method::GET) else {
        return Ok(false);
    };
    device::find(&head, None)
        .map(|device| device.is_some())
        .map_err(|error| Stop::Malformed(error.to_string()))
}
