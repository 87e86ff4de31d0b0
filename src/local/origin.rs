//! The origin (RFC 6454) under which a client reaches Vestibule: scheme, host and port.

use super::Call;
use crate::request::RequestHead;
use http::header::{HOST, ORIGIN};
use http::{HeaderMap, HeaderName, HeaderValue};

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The origin as a URL without a path, e.g. `https://files.example.org:8443`.
pub(super) fn of_head(head: &RequestHead<'_>) -> String {
    let port = port(head.headers, &head.host).unwrap_or_default();
    format!("{}://{}{port}", scheme(head.client.tls), head.host)
}

/// Whether a form was sent by a page of this origin, as far as its browser says (Fetch Metadata,
/// RFC 6454 section 7). Clients that say nothing are none that a foreign page could make send.
pub(super) fn is_own(call: &Call) -> bool {
    let head = call.head();
    let header = |name| call.headers.get(name).map(HeaderValue::to_str);
    let site_is_own = match header(FETCH_SITE) {
        None => true,
        Some(Ok(site)) => matches!(site, "same-origin" | "none"),
        Some(Err(_)) => false,
    };
    let origin_is_own = match header(ORIGIN) {
        None => true,
        Some(Ok(origin)) => is_origin(origin, &head),
        Some(Err(_)) => false,
    };
    site_is_own && origin_is_own
}

/// Whether a page of another origin made a browser send this, as far as the browser says, and none of
/// those in `allowed`. Browsers that say of which site it is are believed over an `Origin` that they may
/// leave out of a form (`null`, under `Referrer-Policy: no-referrer`).
pub(crate) fn is_foreign(head: &RequestHead<'_>, allowed: &[String]) -> bool {
    let mut origins = head.headers.get_all(ORIGIN).iter();
    let origin = origins.next();
    if origins.next().is_some() {
        return true;
    }
    let is_allowed = |origin: &HeaderValue| allowed.iter().any(|it| it.as_bytes() == origin);
    if origin.is_some_and(is_allowed) {
        return false;
    }
    let mut sites = head.headers.get_all(FETCH_SITE).iter().peekable();
    if sites.peek().is_some() {
        return !sites.all(|site| site == "same-origin" || site == "none");
    }
    origin.is_some_and(|it| !it.to_str().is_ok_and(|it| is_origin(it, head)))
}

fn is_origin(origin: &str, head: &RequestHead<'_>) -> bool {
    let Some((scheme_sent, authority)) = origin.split_once("://") else {
        return false;
    };
    let Some(port_sent) = authority.strip_prefix(&*head.host) else {
        return false;
    };
    scheme_sent == scheme(head.client.tls)
        && match port(head.headers, &head.host) {
            Some(port) => port_sent == port,
            // The port was not said (a proxy's own `Host` came in its place): any will do.
            None => is_port(port_sent),
        }
}

fn scheme(tls: bool) -> &'static str {
    if tls { "https" } else { "http" }
}

/// The port the client wrote behind its host: `""`, `":8443"`, or `None` where `Host` is missing
/// or somebody else's.
fn port<'h>(headers: &'h HeaderMap, host: &str) -> Option<&'h str> {
    let written = headers.get(HOST)?.to_str().ok()?;
    let (name, port) = written.split_at_checked(host.len())?;
    (name.eq_ignore_ascii_case(host) && is_port(port)).then_some(port)
}

fn is_port(text: &str) -> bool {
    text.is_empty()
        || text
            .strip_prefix(':')
            .is_some_and(|port| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()))
}
