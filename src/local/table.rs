//! Every local endpoint, in one const list that dispatch, tests and documentation iterate.

use crate::config::model::{Dialect, Identity};
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
    ENDPOINTS
        .iter()
        .find(|endpoint| endpoint.is_on(route) && matches(endpoint.path, path))
}

impl Endpoint {
    fn is_on(&self, route: &Route) -> bool {
        match self.place {
            Where::Everywhere => true,
            Where::Dialect(dialect) => route.config.dialects.contains(&dialect),
            Where::Accounts => matches!(route.identity, Identity::Accounts),
        }
    }
}

/// Segment by segment; `{name}` stands for any one that is not empty.
fn matches(pattern: &str, path: &str) -> bool {
    let mut segments = path.split('/');
    let all = pattern.split('/').all(|want| {
        segments.next().is_some_and(|segment| {
            segment == want || (want.starts_with('{') && !segment.is_empty())
        })
    });
    all && segments.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_for_one_segment() {
        let pattern = "/api/apiauth/twofactorsms/{token}";
        assert!(matches(pattern, "/api/apiauth/twofactorsms/t"));
        for other in [
            "/api/apiauth/twofactorsms",
            "/api/apiauth/twofactorsms/",
            "/api/apiauth/twofactorsms/t/",
            "/api/apiauth/twofactorsms/t/u",
            "/API/apiauth/twofactorsms/t",
            "/x/api/apiauth/twofactorsms/t",
        ] {
            assert!(!matches(pattern, other), "{other}");
        }
    }

    #[test]
    fn head_is_there_where_get_changes_nothing() {
        for endpoint in ENDPOINTS {
            if endpoint.methods.contains(&"HEAD") {
                assert!(endpoint.methods.contains(&"GET"), "{}", endpoint.path);
            }
        }
    }
}
