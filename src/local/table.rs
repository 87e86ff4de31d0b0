//! Every local endpoint, in one const list that dispatch, tests and documentation iterate.

use super::b2core::Step as B2Core;
use super::conduit::Step as Conduit;
use super::portal::Step as Portal;
use super::tokens::Step as Tokens;
use super::ziik::Step as Ziik;
use crate::config::model::{self, Dialect, Identity};
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
    /// On routes whose identity is `accounts`, where they take a token from the path: share links.
    Shares,
    /// On routes of both: it signs in with a password.
    DialectOfAccounts(Dialect),
}

/// Which handler answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handler {
    IoGatesAuthToken,
    IoGatesTwoFactorSms,
    Ziik(Ziik),
    B2Core(B2Core),
    Conduit(Conduit),
    Tokens(Tokens),
    OpenApi,
    Portal(Portal),
}

/// One endpoint.
#[derive(Clone, Copy, Debug)]
pub struct Endpoint {
    /// As `Allow` lists them; HEAD is added where GET changes nothing.
    pub methods: &'static [&'static str],
    /// `{name}` stands for one segment. The prefix that is configured takes the place of
    /// [`model::Portal::PREFIX`], and that of the route's share links that of [`Where::Shares`]: see
    /// [`Route::address`].
    pub path: &'static str,
    pub place: Where,
    pub handler: Handler,
}

const GET: &[&str] = &["GET", "HEAD"];
/// A GET that sends, draws or spends something.
const GET_ONCE: &[&str] = &["GET"];
const POST: &[&str] = &["POST"];
const PUT: &[&str] = &["PUT"];
/// A page with forms.
const FORM: &[&str] = &["GET", "HEAD", "POST"];

const fn endpoint(
    methods: &'static [&'static str],
    path: &'static str,
    place: Where,
    handler: Handler,
) -> Endpoint {
    Endpoint {
        methods,
        path,
        place,
        handler,
    }
}

const fn ziik(methods: &'static [&'static str], path: &'static str, step: Ziik) -> Endpoint {
    endpoint(
        methods,
        path,
        Where::Dialect(Dialect::Ziik),
        Handler::Ziik(step),
    )
}

const fn b2core(methods: &'static [&'static str], path: &'static str, step: B2Core) -> Endpoint {
    let place = Where::Dialect(Dialect::B2Core);
    endpoint(methods, path, place, Handler::B2Core(step))
}

const fn conduit(methods: &'static [&'static str], path: &'static str, step: Conduit) -> Endpoint {
    let place = Where::Dialect(Dialect::Conduit);
    endpoint(methods, path, place, Handler::Conduit(step))
}

const fn page(
    methods: &'static [&'static str],
    path: &'static str,
    place: Where,
    step: Portal,
) -> Endpoint {
    endpoint(methods, path, place, Handler::Portal(step))
}

/// Every local endpoint. Of two that match a path, the first is it.
pub const ENDPOINTS: &[Endpoint] = &[
    endpoint(
        POST,
        "/api/authtoken",
        Where::Accounts,
        Handler::IoGatesAuthToken,
    ),
    endpoint(
        &["GET", "POST"],
        "/api/apiauth/twofactorsms/{token}",
        Where::Dialect(Dialect::IoGates),
        Handler::IoGatesTwoFactorSms,
    ),
    ziik(&["GET", "HEAD", "PATCH"], "/api/two-factor", Ziik::Settings),
    ziik(GET, "/api/two-factor/qr", Ziik::Qr),
    ziik(GET, "/api/two-factor/secret", Ziik::Secret),
    ziik(POST, "/api/two-factor/send-verification", Ziik::Send),
    ziik(POST, "/api/two-factor/verify", Ziik::Verify),
    ziik(POST, "/api/users/{id}/two-factor/reset", Ziik::Reset),
    endpoint(
        &["GET", "POST"],
        "/api/v2/my/signin",
        Where::DialectOfAccounts(Dialect::B2Core),
        Handler::B2Core(B2Core::SignIn),
    ),
    endpoint(
        POST,
        "/api/v2/my/signin/2fa",
        Where::DialectOfAccounts(Dialect::B2Core),
        Handler::B2Core(B2Core::Choose),
    ),
    b2core(
        &["GET", "POST"],
        "/api/v2/my/2fa/challenge",
        B2Core::Challenge,
    ),
    b2core(
        GET_ONCE,
        "/api/v2/my/2fa/unauthorized/challenge",
        B2Core::UnauthorizedChallenge,
    ),
    b2core(POST, "/api/v2/my/2fa/wizard", B2Core::Wizard),
    b2core(GET, "/api/v2/my/2fa/changes", B2Core::Changes),
    b2core(GET, "/api/v2/my/2fa/changes/{changeId}", B2Core::Change),
    b2core(GET, "/api/v2/my/2fa", B2Core::Methods),
    b2core(
        &["GET", "HEAD", "POST"],
        "/api/v2/my/2fa/google",
        B2Core::Google,
    ),
    b2core(&["GET", "HEAD", "POST"], "/api/v2/my/2fa/sms", B2Core::Sms),
    b2core(GET, "/api/v2/my/2fa/{type}", B2Core::UnknownMethod),
    b2core(
        GET_ONCE,
        "/api/v2/my/2fa/{type}/enable/wizard",
        B2Core::EnableWizard,
    ),
    b2core(
        GET_ONCE,
        "/api/v2/my/2fa/{type}/disable/wizard",
        B2Core::DisableWizard,
    ),
    conduit(PUT, "/authentication/twoFa/enable", Conduit::Enable),
    conduit(
        POST,
        "/authentication/twoFa/enable/verify",
        Conduit::EnableVerify,
    ),
    conduit(POST, "/authentication/twoFa/authorize", Conduit::Authorize),
    conduit(POST, "/authentication/twoFa/verify", Conduit::Verify),
    conduit(
        GET_ONCE,
        "/authentication/twoFa/generate",
        Conduit::Generate,
    ),
    conduit(POST, "/authentication/twoFa/recover", Conduit::Recover),
    conduit(PUT, "/authentication/twoFa/disable", Conduit::Disable),
    conduit(GET_ONCE, "/.vestibule/qr/{name}", Conduit::Image),
    endpoint(
        GET,
        "/.vestibule/jwks.json",
        Where::Everywhere,
        Handler::Tokens(Tokens::Jwks),
    ),
    endpoint(
        POST,
        "/.vestibule/token",
        Where::Everywhere,
        Handler::Tokens(Tokens::Refresh),
    ),
    endpoint(
        GET,
        "/.vestibule/openapi.json",
        Where::Everywhere,
        Handler::OpenApi,
    ),
    page(
        GET,
        "/.vestibule/assets/{name}",
        Where::Everywhere,
        Portal::Asset,
    ),
    page(
        FORM,
        "/.vestibule/challenge",
        Where::Everywhere,
        Portal::Challenge,
    ),
    page(
        FORM,
        "/.vestibule/device",
        Where::Everywhere,
        Portal::Device,
    ),
    page(
        FORM,
        "/.vestibule/account",
        Where::Everywhere,
        Portal::Account,
    ),
    page(GET, "/.vestibule/enrol", Where::Everywhere, Portal::Enrol),
    page(
        FORM,
        "/.vestibule/enrol/{kind}",
        Where::Everywhere,
        Portal::EnrolKind,
    ),
    page(
        FORM,
        "/.vestibule/backup-codes",
        Where::Everywhere,
        Portal::BackupCodes,
    ),
    page(FORM, "/.vestibule/sign-in", Where::Accounts, Portal::SignIn),
    page(
        FORM,
        "/.vestibule/sign-out",
        Where::Accounts,
        Portal::SignOut,
    ),
    page(FORM, "/share/{token}", Where::Shares, Portal::Share),
];

/// The endpoint of a canonical path on a route; its methods are not looked at. Unknown paths under
/// the prefix are the caller's to refuse with 404: nothing there is ever forwarded.
#[must_use]
pub fn find(route: &Route, path: &str) -> Option<&'static Endpoint> {
    let own = route.own_path(path);
    ENDPOINTS.iter().find(|endpoint| {
        let is_it = match endpoint.path.strip_prefix(model::Portal::PREFIX) {
            Some(pattern) => own.is_some_and(|path| matches(pattern, path)),
            None if endpoint.place == Where::Shares => route
                .share_link(path)
                .is_some_and(|link| link.len() == path.len()),
            None => matches(endpoint.path, path),
        };
        is_it && endpoint.is_on(route)
    })
}

impl Endpoint {
    /// Whether it is the same for everybody, and counts nobody's tries.
    #[must_use]
    pub fn is_anybodys(&self) -> bool {
        matches!(
            self.handler,
            Handler::Tokens(Tokens::Jwks) | Handler::OpenApi | Handler::Portal(Portal::Asset)
        )
    }

    pub(super) fn is_on(&self, route: &Route) -> bool {
        match self.place {
            Where::Everywhere => true,
            Where::Dialect(dialect) => route.config.dialects.contains(&dialect),
            Where::Accounts => matches!(route.identity, Identity::Accounts),
            Where::Shares => route.share_prefixes().next().is_some(),
            Where::DialectOfAccounts(dialect) => {
                matches!(route.identity, Identity::Accounts)
                    && route.config.dialects.contains(&dialect)
            }
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
