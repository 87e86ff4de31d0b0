//! What the edge reads in a request head beside its canonical form: origins, upgrades, and what
//! may be shown of it in a log line. Pure.

use crate::config::model::{CredentialSource, ForwardToken, Identity};
use crate::local::Reply;
use crate::local::table::Endpoint;
use crate::request::RequestHead;
use crate::route::Route;
use bytes::Bytes;
use http::header::{
    ACCEPT, ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS,
    ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS,
    ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, HOST,
    ORIGIN, UPGRADE, VARY,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use percent_encoding::percent_decode_str;

/// Where Vestibule's own paths begin: nothing below is ever forwarded.
const RESERVED: &str = "/.vestibule";

/// Whether a path is Vestibule's own, whether or not there is something.
pub(crate) fn is_reserved(path: &str) -> bool {
    path.strip_prefix(RESERVED)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whether the client wants to speak WebSocket (RFC 6455).
pub(crate) fn is_websocket(headers: &HeaderMap) -> bool {
    headers
        .get_all(UPGRADE)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .any(|protocol| protocol.trim_ascii().eq_ignore_ascii_case(b"websocket"))
}

/// Whether the answer may be an endless stream of events.
pub(crate) fn wants_events(headers: &HeaderMap) -> bool {
    headers.get_all(ACCEPT).iter().any(|value| {
        value
            .to_str()
            .is_ok_and(|value| value.to_ascii_lowercase().contains("text/event-stream"))
    })
}

/// Whether the page that opens a WebSocket may: its origin is the host itself or configured. No
/// `Origin` at all means no browser.
pub(crate) fn websocket_origin_is_ok(head: &RequestHead<'_>, route: &Route) -> bool {
    let mut origins = head.headers.get_all(ORIGIN).iter();
    let Some(origin) = origins.next() else {
        return true;
    };
    let is_same_host = || {
        let host = origin
            .to_str()
            .ok()?
            .parse::<Uri>()
            .ok()?
            .host()?
            .to_ascii_lowercase();
        Some(host.trim_end_matches('.') == head.host)
    };
    origins.next().is_none() && (is_configured(origin, route) || is_same_host().unwrap_or(false))
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
struct InPath<'p> {
    prefix: &'p str,
    token: &'p str,
    rest: &'p str,
}

fn in_path<'p>(sources: &'p [CredentialSource], path: &'p str) -> Option<InPath<'p>> {
    sources.iter().find_map(|source| {
        let CredentialSource::Path(prefix) = source else {
            return None;
        };
        let behind = path.strip_prefix(prefix.as_str())?;
        let (token, rest) = behind.split_at(behind.find('/').unwrap_or(behind.len()));
        Some(InPath {
            prefix,
            token,
            rest,
        })
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
    let found = in_path(&route.config.credentials, &head.path)?;
    let is_token = percent_decode_str(found.token)
        .decode_utf8()
        .is_ok_and(|own| own == token);
    is_token.then(|| found.rest.strip_prefix('/').unwrap_or(""))
}

/// The path without any secret in it, where it differs from `sent`.
pub(crate) fn shown_path(
    route: &Route,
    path: &str,
    endpoint: Option<&Endpoint>,
    sent: &str,
) -> Option<String> {
    if let Some(endpoint) = endpoint {
        return Some(endpoint.path.to_owned());
    }
    match in_path(&route.config.credentials, path) {
        Some(found) if !found.token.is_empty() => {
            Some(format!("{}***{}", found.prefix, found.rest))
        }
        _ => (path != sent).then(|| path.to_owned()),
    }
}

/// The target to forward, where it differs from the one that was sent.
pub(crate) fn target(
    route: &Route,
    path: &str,
    query: Option<&str>,
    sent: &[u8],
) -> Option<Vec<u8>> {
    let cut = query.and_then(|query| without_token(route, query));
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

/// The query without the route's token parameters, where the route says so and has one.
fn without_token(route: &Route, query: &str) -> Option<String> {
    match route.config.forward.token {
        ForwardToken::Original => None,
        ForwardToken::Remove => {
            let names: Vec<&str> = route
                .config
                .credentials
                .iter()
                .filter_map(query_name)
                .collect();
            super::headers::cut_query(query, &names)
        }
    }
}

fn query_name(source: &CredentialSource) -> Option<&str> {
    match source {
        CredentialSource::Query(name) => Some(name),
        CredentialSource::Bearer | CredentialSource::Cookie(_) | CredentialSource::Path(_) => None,
    }
}
