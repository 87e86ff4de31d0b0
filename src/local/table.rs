//! Every local endpoint, in one const list that dispatch, tests and documentation iterate.

use crate::config::model::Dialect;
use crate::route::Route;

/// Where an endpoint is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Where {
    /// On every route.
    Everywhere,
    /// On routes whose `dialects` name it.
    Dialect(Dialect),
    /// On routes whose identity is `accounts`.
    Accounts,
}

/// Which handler answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handler {
    IoGatesAuthToken,
    IoGatesTwoFactorSms,
    PortalChallenge,
}

/// One endpoint.
#[derive(Clone, Copy, Debug)]
pub struct Endpoint {
    /// As `Allow` lists them; HEAD is added where GET changes nothing.
    pub methods: &'static [&'static str],
    /// `{name}` stands for one segment.
    pub path: &'static str,
    pub place: Where,
    pub handler: Handler,
}

/// Every local endpoint.
pub const ENDPOINTS: &[Endpoint] = &[
    Endpoint {
        methods: &["POST"],
        path: "/api/authtoken",
        place: Where::Accounts,
        handler: Handler::IoGatesAuthToken,
    },
    Endpoint {
        methods: &["GET", "POST"],
        path: "/api/apiauth/twofactorsms/{token}",
        place: Where::Dialect(Dialect::IoGates),
        handler: Handler::IoGatesTwoFactorSms,
    },
    Endpoint {
        methods: &["GET", "HEAD", "POST"],
        path: "/.vestibule/challenge",
        place: Where::Everywhere,
        handler: Handler::PortalChallenge,
    },
];

/// The endpoint of a canonical path on a route; its methods are not looked at. Unknown paths under
/// `/.vestibule/` are the caller's to refuse with 404: nothing there is ever forwarded.
#[must_use]
pub fn find(route: &Route, path: &str) -> Option<&'static Endpoint> {
    let _ = (route, path);
    todo!()
}
