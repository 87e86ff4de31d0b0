//! Who visits a page, and where they want to go from there.

use super::super::decode::Fields;
use super::super::target::Target;
use super::super::{Call, Local};
use super::form::Visit;
use super::said::Stop;
use super::{challenge_url, cookie, sign_in_url};
use crate::auth::share::GUEST_PREFIX;
use crate::auth::{Caller, Standing};
use crate::config::model::Identity;
use crate::gate::Presented;
use crate::identity::{credential, device};
use crate::request::RequestHead;
use http::Method;
use percent_encoding::{CONTROLS, utf8_percent_encode};

impl Local {
    /// Who comes to a page that leads on to somewhere else, with a token or by one in the address to
    /// return to, and as whom.
    pub(super) async fn arrived(&self, visit: &Visit<'_>) -> Result<(Arrival, Caller), Stop> {
        self.as_whom(visit.call, Arrival::read(visit.call)).await
    }

    /// Whose token it is. Strangers sign in first, where there is a sign-in.
    async fn as_whom(
        &self,
        call: &Call,
        arrival: Result<Arrival, Stop>,
    ) -> Result<(Arrival, Caller), Stop> {
        let sign_in = |stop| match call.route.identity {
            Identity::Accounts => Stop::GoTo(sign_in_url(&call.route, &here(call))),
            _ => stop,
        };
        let arrival = arrival.map_err(|stop| match stop {
            Stop::NoToken => sign_in(stop),
            stop => stop,
        })?;
        let caller = self.caller(call, arrival.presented()).await?;
        let caller = caller.ok_or_else(|| match arrival.is_by_link(call) {
            // Whoever has a link that has ended has no account to sign in with.
            true => Stop::UnknownToken,
            false => sign_in(Stop::UnknownToken),
        })?;
        match call.is_closed_to(&caller.holder) {
            true => Err(Stop::Closed),
            false => Ok((arrival, caller)),
        }
    }

    /// Who comes to a page that is for accounts, by what the browser itself sends: not for whoever came by a
    /// share link.
    pub(super) async fn arrived_with_account(
        &self,
        visit: &Visit<'_>,
    ) -> Result<(Arrival, Caller), Stop> {
        let arrival = Arrival::at_account(visit.call);
        let (arrival, caller) = self.as_whom(visit.call, arrival).await?;
        match caller.is_guest() {
            true => Err(Stop::ShareOnly),
            false => Ok((arrival, caller)),
        }
    }

    /// Who comes by the address to return to alone, as the account of that token, which has no second factor
    /// yet; `None` is anybody else. There is nothing yet that such a visitor could be robbed of or given.
    pub(super) async fn arrived_without_factor(
        &self,
        call: &Call,
    ) -> Result<Option<(Arrival, Caller)>, Stop> {
        let Ok(arrival) = Arrival::read(call) else {
            return Ok(None);
        };
        let Some(caller) = self.caller(call, arrival.presented()).await? else {
            return Ok(None);
        };
        if caller.is_guest() {
            return Err(Stop::ShareOnly);
        }
        if call.is_closed_to(&caller.holder) {
            return Err(Stop::Closed);
        }
        let factors = self.auth.factors(caller.holder.user).await?;
        Ok(factors.is_empty().then_some((arrival, caller)))
    }

    /// Who visits a page that is for members of at least this standing. Others are led to where they
    /// can show more, and back to this page: strangers to the sign-in, members to the challenge.
    pub(super) async fn member(&self, visit: &Visit<'_>, least: Standing) -> Result<Caller, Stop> {
        let (_, caller) = self.arrived_with_account(visit).await?;
        match caller.standing < least {
            true => Err(step_up(visit.call, least == Standing::Sudo)),
            false => Ok(caller),
        }
    }
}

/// The address of the page that a call is about, to come back to. What a form has sent is gone by
/// then: its page is where it begins anew.
pub(super) fn here(call: &Call) -> String {
    let query = call.query.as_ref().map(|query| format!("?{query}"));
    format!("{}{}", call.path, query.unwrap_or_default())
}

/// Leads to the challenge page, and back to this one. `fresh`: for a code that is typed now.
pub(super) fn step_up(call: &Call, fresh: bool) -> Stop {
    Stop::GoTo(challenge_url(&call.route, &here(call), fresh))
}

/// Whoever comes to be challenged, with a token; whether anybody holds it has not been asked yet.
pub(super) struct Arrival {
    /// A canonical path and query on this host.
    pub(super) return_to: String,
    pub(super) token: String,
    pub(super) device: Device,
    /// The address to return to is where the token is, perhaps: the browser itself may have none.
    pub(super) is_by_address: bool,
}

/// The device somebody comes with.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Device {
    /// The address to return to, or a header, names it: it stays.
    Named(String),
    /// Our own cookie: it changes at verification.
    Cookie(String),
    None,
}

impl Device {
    /// Reads it as it would be read of the request that the visitor returns to.
    pub(super) fn of(call: &Call) -> Result<Self, Stop> {
        let target = return_target(call);
        let head = target.as_ref().and_then(|it| it.head(call, &Method::GET));
        let head = head.unwrap_or_else(|| call.head());
        Self::in_head(&head)
    }

    /// The device that a head names.
    fn in_head(head: &RequestHead<'_>) -> Result<Self, Stop> {
        let bad = |error| Stop::malformed(&error);
        let found = device::find(head, None).map_err(bad)?;
        let named = device::find_elsewhere(head, None).map_err(bad)?;
        Ok(match (named, found) {
            (Some(device), _) => Self::Named(device.into_owned()),
            (None, Some(device)) => Self::Cookie(device.into_owned()),
            (None, None) => Self::None,
        })
    }

    pub(super) fn name(&self) -> Option<&str> {
        match self {
            Self::Named(device) | Self::Cookie(device) => Some(device),
            Self::None => None,
        }
    }
}

impl Arrival {
    /// Reads the token as it would be read of the request that the visitor returns to.
    pub(super) fn read(call: &Call) -> Result<Self, Stop> {
        let target = return_target(call);
        let head = target.as_ref().and_then(|it| it.head(call, &Method::GET));
        let return_to = return_to(call);
        let head = head.unwrap_or_else(|| call.head());
        let token = credential::find(&call.route.config.credentials, &head)
            .map_err(|error| Stop::malformed(&error))?
            .ok_or(Stop::NoToken)?;
        Ok(Self {
            return_to,
            token: token.into_owned(),
            device: Device::of(call)?,
            is_by_address: true,
        })
    }

    /// Reads token and device of what the browser itself sends. An address, of this page or to return to, may
    /// have been written by somebody else, who would have another's phone enrolled on an account of their own.
    fn at_account(call: &Call) -> Result<Self, Stop> {
        let head = RequestHead {
            query: None,
            ..call.head()
        };
        let token = credential::find(&call.route.config.credentials, &head)
            .map_err(|error| Stop::malformed(&error))?
            .ok_or(Stop::NoToken)?;
        Ok(Self {
            return_to: return_to(call),
            token: token.into_owned(),
            device: Device::in_head(&head)?,
            is_by_address: false,
        })
    }

    /// Whether the token came otherwise than by our own cookie, or a share link was exchanged for it.
    fn is_by_link(&self, call: &Call) -> bool {
        let is_own = cookie::token(call).as_deref() == Some(&self.token);
        !is_own || self.token.starts_with(GUEST_PREFIX)
    }

    pub(super) fn presented(&self) -> Presented<'_> {
        Presented {
            token: &self.token,
            device: self.device.name(),
        }
    }
}

/// Where a visitor goes from a page, as its `return_to` says: a canonical path and query on this
/// host. What is anything else is not gone to.
pub(super) fn return_to(call: &Call) -> String {
    let target = return_target(call);
    let head = target.as_ref().and_then(|it| it.head(call, &Method::GET));
    let Some(head) = head else {
        return "/".to_owned();
    };
    let query = head.query.map(|query| format!("?{query}"));
    let path = format!("{}{}", head.path, query.unwrap_or_default());
    // A name in UTF-8 is taken as it is, but may not stand in a header.
    utf8_percent_encode(&path, CONTROLS).to_string()
}

fn return_target(call: &Call) -> Option<Target> {
    let query = Fields::query(call);
    Target::like(call, &query.text("return_to").ok()??)
}
