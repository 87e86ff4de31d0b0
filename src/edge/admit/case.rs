//! What a request presents, and what is asked of it: read from its head and the rules alone.

use super::{Verdict, refused};
use crate::config::model::{Learn, Requirement};
use crate::edge::proxy::Gateway;
use crate::edge::{forward, head, headers, watch};
use crate::gate::{Grant, Presented, Question};
use crate::identity::network::NetworkName;
use crate::identity::{basic, credential, device, success};
use crate::policy::{self, Demand, Reach, Target};
use crate::request::RequestHead;
use crate::route::Route;
use http::StatusCode;
use std::borrow::Cow;
use std::sync::Arc;

/// What a request presents, and what it is asked for.
pub(super) struct Case<'h> {
    pub(super) head: &'h RequestHead<'h>,
    pub(super) route: &'h Arc<Route>,
    pub(super) device: Option<Cow<'h, str>>,
    /// Stands for the device of who named none and sent a password: whoever has learned it must not
    /// be in as soon as its owner has let one client in.
    pub(super) network: Option<NetworkName>,
    pub(super) token: Option<Cow<'h, str>>,
    pub(super) success_token: Option<&'h str>,
    pub(super) demand: Demand<'h>,
    pub(super) is_background: bool,
    pub(super) sign_in: Option<&'h Learn>,
    /// Not a request, but a look after one that goes on.
    pub(super) is_look: bool,
}

impl Case<'_> {
    /// The device that a session is of.
    pub(super) fn device(&self) -> Option<&str> {
        let named = self.device.as_deref();
        named.or(self.network.as_ref().map(NetworkName::as_str))
    }

    pub(super) fn question(&self) -> Question<'_> {
        Question {
            realm: &self.route.config.identity,
            keys: &self.route.keys,
            demand: self.demand,
            success_token: self.success_token,
            presented: self.token.as_deref().map(|token| Presented {
                token,
                device: self.device(),
            }),
            path: &self.head.path,
            destination: self.head.destination.as_deref(),
            is_background: self.is_background,
        }
    }

    /// Whether memory alone can settle it: no sign-in to be counted, no link to be read, nothing to
    /// be signed.
    pub(super) fn is_plain(&self) -> bool {
        let is_link = |token: &str| head::behind_share(self.route, self.head, token).is_some();
        self.sign_in.is_none()
            && !forward::signs(&self.route.config)
            && !self.token.as_deref().is_some_and(is_link)
    }

    /// The device's opaque name, for the upstream of somebody who was let through.
    pub(super) fn device_label(&self, gateway: &Gateway, grant: &Grant) -> Option<String> {
        let device = headers::holder(grant).and(self.device());
        device.map(&gateway.device_label)
    }
}

impl Gateway {
    /// What the policy asks of this request, and what it presents.
    pub(super) fn case<'h>(
        &self,
        head: &'h RequestHead<'h>,
        route: &'h Arc<Route>,
    ) -> Result<Case<'h>, Verdict> {
        let device = device::find(head, None)
            .map_err(|bad| refused(StatusCode::BAD_REQUEST, &bad.to_string()))?;
        let mut demand = policy::required(target(head, route));
        // Whoever signs in has no token yet, and is nobody until then.
        let is_denied = demand.of(policy::NOBODY) == Requirement::Deny;
        let sign_in = watch::sign_in(route, head);
        if sign_in.is_some() {
            demand = match is_denied {
                true => Requirement::Deny.into(),
                false => Requirement::Nothing.into(),
            };
        }
        let sign_in = sign_in.filter(|_| !is_denied);
        let token = match demand {
            Demand::Fixed(Requirement::Nothing | Requirement::Deny) => None,
            _ => credential::find(&route.config.credentials, head)
                .map_err(|bad| refused(StatusCode::BAD_REQUEST, &bad.to_string()))?,
        };
        if token.is_some() && head::is_forged(head, route) {
            let detail = "a page of another origin may change nothing here: its origin is not in cors.origins";
            return Err(refused(StatusCode::FORBIDDEN, detail));
        }
        let success_token = match demand {
            Demand::Fixed(Requirement::Nothing | Requirement::Deny) => None,
            _ => success::find(head)
                .map_err(|bad| refused(StatusCode::BAD_REQUEST, &bad.to_string()))?,
        };
        let is_alone = device.is_none() && token.as_deref().is_some_and(basic::is_basic);
        let network = is_alone.then(|| NetworkName::of(head.client.address));
        Ok(Case {
            head,
            route,
            device,
            network,
            token,
            success_token,
            demand,
            is_background: policy::is_background(&route.config, head.method, &head.path),
            sign_in,
            is_look: false,
        })
    }
}

/// What the rules look at.
pub(super) fn target<'h>(head: &'h RequestHead<'_>, route: &'h Route) -> Target<'h> {
    Target {
        route: &route.config,
        method: head.method,
        reach: Reach::of(head.method, head.headers),
        path: &head.path,
        destination: head.destination.as_deref(),
        address: head.client.address,
    }
}
