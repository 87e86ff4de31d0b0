//! What the edge reads in a request head beside its canonical form: origins, upgrades, and what
//! may be shown of it in a log line. Pure.

use crate::config::model::{CredentialSource, ForwardToken, Identity};
use crate::identity::credential;
use crate::local::table::{ENDPOINTS, Endpoint, Where};
use crate::local::{Reply, origin};
use crate::request::{ENCODED_SLASH, RequestHead};
use crate::route::Route;
use crate::secret::Secret;
use bytes::Bytes;
use http::header::{
    ACCEPT, ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS,
    ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS,
    ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, HOST,
    ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use percent_encoding::percent_decode_str;
use std::borrow::Cow;

/// Whether the answer may be an endless stream of events.
pub(crate) fn wants_events(headers: &HeaderMap) -> bool {
    headers.get_all(ACCEPT).iter().any(|value| {
        value
            .to_str()
            .is_ok_and(|value| value.to_ascii_lowercase().contains("text/event-stream"))
    })
}

/// Whether the page that opens a WebSocket may: it is of this origin, port and all (cookies know no ports),
/// or of a configured one. No `Origin` at all means no browser.
pub(crate) fn websocket_origin_is_ok(head: &RequestHead<'_>, route: &Route) -> bool {
    !origin::is_foreign(head, &route.config.cors_origins)
}

/// Whether a page of elsewhere may have made its visitor's browser send this: it changes something, and is
/// signed by nothing but the cookie of Vestibule's sign-in page. Other tokens are sent by those who know
/// them, or in the backend's own cookie, whose protection is the backend's.
pub(crate) fn is_forged(head: &RequestHead<'_>, route: &Route) -> bool {
    if matches!(*head.method, Method::GET | Method::HEAD | Method::OPTIONS) {
        return false;
    }
    let sources = &route.config.credentials;
    sources.contains(&CredentialSource::OwnCookie)
        && credential::find_elsewhere(sources, head) == Ok(None)
        && origin::is_foreign(head, &route.config.cors_origins)
}

fn is_configured(origin: &HeaderValue, route: &Route) -> bool {
    let configured = route.config.cors_origins.iter();
    configured
        .map(String::as_bytes)
        .any(|known| known == origin.as_bytes())
}

/// The origin that may read Vestibule's own answers on this route.
pub(crate) fn allowed_origin(headers: &HeaderMap, route: &Route) -> Option<HeaderValue> {
    let origin = headers.get(ORIGIN)?;
    is_configured(origin, route).then(|| origin.clone())
}

/// The answer to a CORS preflight (Fetch standard, section 4.8) from an allowed origin. A
/// preflight carries no token, so the policy cannot speak about it.
pub(crate) fn preflight(head: &RequestHead<'_>, origin: Option<&HeaderValue>) -> Option<Reply> {
    let wanted = head.headers.get(ACCESS_CONTROL_REQUEST_METHOD)?;
    if head.method != Method::OPTIONS || origin.is_none() {
        return None;
    }
    let mut reply = Reply::new(Bytes::new());
    *reply.status_mut() = StatusCode::NO_CONTENT;
    let headers = reply.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, wanted.clone());
    if let Some(wanted) = head.headers.get(ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, wanted.clone());
    }
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    headers.append(
        VARY,
        HeaderValue::from_static("Access-Control-Request-Method"),
    );
    headers.append(
        VARY,
        HeaderValue::from_static("Access-Control-Request-Headers"),
    );
    Some(reply)
}

/// Lets the page of an allowed origin read this answer and why it was refused.
pub(crate) fn expose_to(reply: &mut Reply, origin: HeaderValue) {
    let headers = reply.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(
        ACCESS_CONTROL_ALLOW_CREDENTIALS,
        HeaderValue::from_static("true"),
    );
    headers.insert(
        ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static("WWW-Authenticate, Retry-After"),
    );
    headers.append(VARY, HeaderValue::from_static("Origin"));
}

/// The `Host` as the upstream and `X-Forwarded-Host` give it: the canonical name, the port that
/// the client named.
pub(crate) fn forwarded_host(
    head: &RequestHead<'_>,
    uri: &Uri,
) -> Result<HeaderValue, http::header::InvalidHeaderValue> {
    let sent = head.headers.get(HOST);
    if let Some(sent) = sent.filter(|sent| sent.as_bytes() == head.host.as_bytes()) {
        return Ok(sent.clone());
    }
    let sent = sent.and_then(|sent| sent.to_str().ok());
    let authority = sent.or_else(|| uri.authority().map(http::uri::Authority::as_str));
    match authority.and_then(port) {
        Some(port) => HeaderValue::from_str(&format!("{}:{port}", head.host)),
        None => HeaderValue::from_str(&head.host),
    }
}

fn port(authority: &str) -> Option<u16> {
    let (host, port) = authority.rsplit_once(':')?;
    // The last colon of a bare IPv6 address is no port's.
    (!host.contains(':') || host.ends_with(']')).then(|| port.parse().ok())?
}

/// The token in the path and what stands behind it: `/share/{token}` + `/rest`.
fn in_path<'p>(sources: &[CredentialSource], path: &'p str) -> Option<(&'p str, &'p str)> {
    sources.iter().find_map(|source| {
        let CredentialSource::Path(prefix) = source else {
            return None;
        };
        let behind = path.strip_prefix(prefix.as_str())?;
        Some(behind.split_at(behind.find('/').unwrap_or(behind.len())))
    })
}

/// What stands behind the share link that is this path, without its leading `/`: it is read
/// below the share's own directory. Only for Vestibule's own shares.
pub(crate) fn behind_share<'h>(
    route: &'h Route,
    head: &'h RequestHead<'_>,
    token: &str,
) -> Option<&'h str> {
    if !matches!(route.identity, Identity::Accounts) {
        return None;
    }
    let (in_path, rest) = in_path(&route.config.credentials, &head.path)?;
    let is_token = percent_decode_str(in_path)
        .decode_utf8()
        .is_ok_and(|own| own == token);
    is_token.then(|| rest.strip_prefix('/').unwrap_or(""))
}

/// The path without any secret in it, where it differs from `sent`.
pub(crate) fn shown_path(
    route: &Route,
    path: &str,
    endpoint: Option<&Endpoint>,
    sent: &str,
) -> Option<String> {
    if let Some(endpoint) = endpoint {
        return Some(route.address(endpoint.path));
    }
    masked(route, path).or_else(|| (path != sent).then(|| path.to_owned()))
}

/// The path with `***` for a segment that holds a token, or would if it were spelled as it should be.
fn masked(route: &Route, path: &str) -> Option<String> {
    let path = match path.contains(ENCODED_SLASH) {
        true => Cow::Owned(path.replace(ENCODED_SLASH, "/")),
        false => Cow::Borrowed(path),
    };
    let of_route = route
        .config
        .credentials
        .iter()
        .filter_map(|source| match source {
            CredentialSource::Path(prefix) => Some(prefix.as_str()),
            CredentialSource::Bearer
            | CredentialSource::Basic
            | CredentialSource::Cookie(_)
            | CredentialSource::Query(_)
            | CredentialSource::OwnCookie => None,
        });
    // Where share links are, the route itself says.
    let of_endpoints = ENDPOINTS
        .iter()
        .filter(|endpoint| endpoint.place != Where::Shares)
        .filter_map(|endpoint| Some(endpoint.path.split_once("{token}")?.0));
    of_route.chain(of_endpoints).find_map(|prefix| {
        let at = behind(&path, prefix)?;
        let (before, rest) = path.split_at_checked(at)?;
        let (token, rest) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        (!token.is_empty()).then(|| format!("{before}***{rest}"))
    })
}

/// Where a path goes on behind `prefix` (which ends in `/`), letters' case and parameters aside.
fn behind(path: &str, prefix: &str) -> Option<usize> {
    let mut at = 0;
    for wanted in prefix.strip_suffix('/')?.split('/') {
        let rest = path.get(at..)?;
        let (segment, _) = rest.split_once('/')?;
        let name = segment.split(';').next().unwrap_or_default();
        let name = name.split("%3B").next().unwrap_or_default();
        if !name.eq_ignore_ascii_case(wanted) {
            return None;
        }
        at += segment.len() + 1;
    }
    Some(at)
}

/// The target to forward, where it differs from the one that was sent.
pub(crate) fn target(
    route: &Route,
    path: &str,
    query: Option<&str>,
    original: Option<&Secret>,
    sent: &[u8],
) -> Option<Vec<u8>> {
    let cut = query.and_then(|query| with_other_token(route, query, original));
    let query = match &cut {
        Some(cut) if cut.is_empty() => None,
        Some(cut) => Some(cut.as_str()),
        None => query,
    };
    let is_sent = sent
        .strip_prefix(path.as_bytes())
        .is_some_and(|rest| match query {
            Some(query) => rest.strip_prefix(b"?") == Some(query.as_bytes()),
            None => rest.is_empty(),
        });
    if is_sent {
        return None;
    }
    let mut target = Vec::with_capacity(path.len() + 1 + query.map_or(0, str::len));
    target.extend_from_slice(path.as_bytes());
    if let Some(query) = query {
        target.push(b'?');
        target.extend_from_slice(query.as_bytes());
    }
    Some(target)
}

/// The query with `original` for the token, or without it, where the route says so and has one.
fn with_other_token(route: &Route, query: &str, original: Option<&Secret>) -> Option<String> {
    let forward = route.config.forward.token;
    if forward == ForwardToken::Original && original.is_none() {
        return None;
    }
    let sources = route.config.credentials.iter();
    let names: Vec<&str> = sources.filter_map(query_name).collect();
    match (forward, original) {
        (ForwardToken::Original, Some(original)) => {
            super::headers::put_query(query, &names, original)
        }
        _ => super::headers::cut_query(query, &names),
    }
}

fn query_name(source: &CredentialSource) -> Option<&str> {
    match source {
        CredentialSource::Query(name) => Some(name),
        CredentialSource::Bearer
        | CredentialSource::Basic
        | CredentialSource::Cookie(_)
        | CredentialSource::Path(_)
        | CredentialSource::OwnCookie => None,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::config::model;
    use crate::digest::DigestKeys;
    use crate::request::{Client, Signs};

    pub(in crate::edge) fn route(identity: Identity, credentials: Vec<CredentialSource>) -> Route {
        Route {
            config: model::Route {
                name: "files".to_owned(),
                hosts: vec!["files.example.org".to_owned()],
                upstream: "files".to_owned(),
                identity: "local".to_owned(),
                credentials,
                dialects: Vec::new(),
                rules: Vec::new(),
                require: model::Requirement::TWO_FACTOR,
                line: 0,
                background: Vec::new(),
                remember: crate::config::model::Remember::Never,
                self_enrolment: false,
                phone_region: None,
                forward: model::Forward {
                    token: ForwardToken::Original,
                    passwords: true,
                    assertion: false,
                    audience: "files".to_owned(),
                },
                token_algorithm: model::SigningAlgorithm::EdDsa,
                cors_origins: vec!["https://app.example.org".to_owned()],
                encoded_slashes: false,
                service_workers: false,
                body_bytes_max: None,
            },
            keys: DigestKeys::derive(&[7; 32]).realm("local"),
            identity,
            portal: std::sync::Arc::default(),
        }
    }

    pub(in crate::edge) fn head<'a>(
        method: &'a Method,
        path: &'a str,
        headers: &'a HeaderMap,
    ) -> RequestHead<'a> {
        RequestHead {
            method,
            host: "files.example.org".into(),
            path: path.into(),
            query: None,
            headers,
            signs: Signs::read(headers),
            destination: None,
            has_encoded_slash: false,
            client: Client {
                address: [192, 0, 2, 7].into(),
                tls: true,
                is_proxy: false,
            },
        }
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    fn share() -> CredentialSource {
        CredentialSource::Path("/share/".to_owned())
    }

    #[test]
    fn a_foreign_page_opens_no_websocket() {
        let route = route(Identity::Accounts, Vec::new());
        let is_ok = |origins: &[(&'static str, &'static str)]| {
            let headers = headers(origins);
            websocket_origin_is_ok(&head(&Method::GET, "/", &headers), &route)
        };
        assert!(is_ok(&[]), "no browser");
        for origin in [
            "https://files.example.org",
            "https://files.example.org:8443",
            "https://app.example.org",
        ] {
            assert!(is_ok(&[("origin", origin)]), "{origin}");
        }
        let at_port = ("host", "files.example.org:8443");
        assert!(is_ok(&[
            at_port,
            ("origin", "https://files.example.org:8443")
        ]));
        for other in [
            "https://files.example.org",
            "https://files.example.org:9443",
        ] {
            assert!(!is_ok(&[at_port, ("origin", other)]), "{other}");
        }
        for origin in [
            "null",
            "",
            "https://evil.example",
            "https://files.example.org.evil.example",
            "https://evil.example/files.example.org",
            "https://files.example.org@evil.example",
            "https://app.example.org:444",
            "http://app.example.org",
        ] {
            assert!(!is_ok(&[("origin", origin)]), "{origin}");
        }
        let own = ("origin", "https://files.example.org");
        assert!(
            !is_ok(&[own, ("origin", "https://evil.example")]),
            "two origins"
        );
    }

    #[test]
    fn a_preflight_of_an_allowed_page_is_answered_and_no_other() {
        let route = route(Identity::Accounts, Vec::new());
        let ask = |method: &Method, pairs: &[(&'static str, &'static str)]| {
            let headers = headers(pairs);
            let origin = allowed_origin(&headers, &route);
            let mut reply = preflight(&head(method, "/api", &headers), origin.as_ref())?;
            expose_to(&mut reply, origin?);
            Some(reply)
        };
        let wanted = ("access-control-request-method", "PROPFIND");
        let allowed = ("origin", "https://app.example.org");
        let custom = ("access-control-request-headers", "authorization, depth");
        let reply = ask(&Method::OPTIONS, &[allowed, wanted, custom]).unwrap();
        assert_eq!(reply.status(), StatusCode::NO_CONTENT);
        assert_eq!(
            reply.headers()[ACCESS_CONTROL_ALLOW_ORIGIN],
            "https://app.example.org"
        );
        assert_eq!(reply.headers()[ACCESS_CONTROL_ALLOW_METHODS], "PROPFIND");
        assert_eq!(
            reply.headers()[ACCESS_CONTROL_ALLOW_HEADERS],
            "authorization, depth"
        );
        assert_eq!(reply.headers()[ACCESS_CONTROL_ALLOW_CREDENTIALS], "true");
        assert_eq!(reply.headers()[ACCESS_CONTROL_MAX_AGE], "600");
        assert!(
            reply
                .headers()
                .get_all(VARY)
                .iter()
                .any(|value| value == "Origin")
        );
        assert!(
            ask(
                &Method::OPTIONS,
                &[("origin", "https://evil.example"), wanted]
            )
            .is_none()
        );
        assert!(ask(&Method::OPTIONS, &[wanted]).is_none());
        assert!(ask(&Method::OPTIONS, &[allowed]).is_none());
        assert!(ask(&Method::GET, &[allowed, wanted]).is_none());
    }

    #[test]
    fn the_host_is_canonical_and_keeps_its_port() {
        let host = |sent: &'static str, uri: &str| {
            let headers = if sent.is_empty() {
                headers(&[])
            } else {
                headers(&[("host", sent)])
            };
            let head = head(&Method::GET, "/", &headers);
            forwarded_host(&head, &uri.parse().unwrap()).unwrap()
        };
        assert_eq!(host("files.example.org", "/"), "files.example.org");
        assert_eq!(
            host("FILES.example.org.:8443", "/"),
            "files.example.org:8443"
        );
        assert_eq!(
            host("", "https://Files.example.org:8443/"),
            "files.example.org:8443"
        );
        assert_eq!(host("files.example.org:x", "/"), "files.example.org");
        assert_eq!(port("[::1]:80"), Some(80));
        assert_eq!(port("::1"), None);
    }

    #[test]
    fn a_share_is_read_below_its_directory_only_with_its_own_token() {
        let accounts = route(Identity::Accounts, vec![CredentialSource::Bearer, share()]);
        let none = HeaderMap::new();
        let behind = |route: &Route, path: &str, token: &str| {
            let head = head(&Method::GET, path, &none);
            behind_share(route, &head, token).map(str::to_owned)
        };
        assert_eq!(
            behind(&accounts, "/share/tok/a/b", "tok").as_deref(),
            Some("a/b")
        );
        assert_eq!(behind(&accounts, "/share/tok", "tok").as_deref(), Some(""));
        assert_eq!(behind(&accounts, "/share/tok/a", "other"), None);
        assert_eq!(behind(&accounts, "/dir/a", "tok"), None);
        let learn = model::Learn {
            endpoint: "/api/authtoken".to_owned(),
            token: "/token".to_owned(),
            user: "/user".to_owned(),
            phone: None,
            email: None,
            groups: None,
            probe: None,
            lifetime: None,
        };
        let learned = route_with_share(Identity::Learn(learn));
        assert_eq!(
            behind(&learned, "/share/tok/a", "tok"),
            None,
            "the upstream's own"
        );
    }

    fn route_with_share(identity: Identity) -> Route {
        route(identity, vec![share()])
    }

    #[test]
    fn no_token_is_shown_in_a_log_line() {
        let route = route_with_share(Identity::Accounts);
        let shown = |path: &str, sent: &str| shown_path(&route, path, None, sent);
        assert_eq!(
            shown("/share/tok/a", "/share/tok/a").as_deref(),
            Some("/share/***/a")
        );
        assert_eq!(
            shown("/share/tok", "/share/tok").as_deref(),
            Some("/share/***")
        );
        assert_eq!(shown("/a", "/a"), None, "as it was sent");
        assert_eq!(shown("/a", "/x/../a").as_deref(), Some("/a"));
        let local = crate::local::table::ENDPOINTS.get(1).unwrap();
        let path = "/api/apiauth/twofactorsms/tok";
        for (near, wanted) in [
            ("/Share/tok/a", "/Share/***/a"),
            ("/share;x/tok/a", "/share;x/***/a"),
            ("/share%3Bx/tok", "/share%3Bx/***"),
            ("/share%2Ftok/a", "/share/***/a"),
            (
                "/api/apiauth/twofactorsms/tok/",
                "/api/apiauth/twofactorsms/***/",
            ),
            (
                "/API/apiauth/twofactorsms/tok",
                "/API/apiauth/twofactorsms/***",
            ),
        ] {
            assert_eq!(shown(near, near).as_deref(), Some(wanted), "{near}");
        }
        for plain in ["/x/share/tok", "/shared/tok", "/share", "/share/"] {
            assert_eq!(shown(plain, plain), None, "{plain}");
        }
        assert_eq!(
            shown_path(&route, path, Some(local), path).as_deref(),
            Some("/api/apiauth/twofactorsms/{token}")
        );
    }

    #[test]
    fn what_was_matched_is_what_is_forwarded() {
        let mut route = route(
            Identity::Accounts,
            vec![CredentialSource::Query("token".to_owned())],
        );
        let text =
            |target: Option<Vec<u8>>| target.map(|target| String::from_utf8(target).unwrap());
        assert_eq!(target(&route, "/a", None, None, b"/a"), None);
        assert_eq!(target(&route, "/a", Some("b=1"), None, b"/a?b=1"), None);
        assert_eq!(target(&route, "/a", Some(""), None, b"/a?"), None);
        assert_eq!(
            text(target(&route, "/a", None, None, b"/x/../a")).as_deref(),
            Some("/a")
        );
        assert_eq!(
            text(target(&route, "/a", Some("b=1"), None, b"http://h/a?b=1")).as_deref(),
            Some("/a?b=1")
        );
        assert_eq!(
            target(&route, "/a", Some("token=t"), None, b"/a?token=t"),
            None
        );
        route.config.forward.token = ForwardToken::Remove;
        assert_eq!(
            text(target(
                &route,
                "/a",
                Some("token=t&b=1"),
                None,
                b"/a?token=t&b=1"
            ))
            .as_deref(),
            Some("/a?b=1")
        );
        assert_eq!(
            text(target(&route, "/a", Some("token=t"), None, b"/a?token=t")).as_deref(),
            Some("/a")
        );
    }
}
