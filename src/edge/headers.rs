//! What crosses the gateway in the headers: nothing forged goes up, nothing of ours comes down.
//!
//! The identity headers are always Vestibule's own; whatever a client or an upstream wrote under
//! these names is dropped, however it is spelled. Connection headers (RFC 9110 section 7.6.1) of
//! requests are Pingora's part; those of answers are dropped here.

use crate::config::model::CredentialSource;
use crate::gate::session::Holder;
use crate::gate::{Grant, Permit};
use crate::identity::device::{COOKIE_PLAIN, COOKIE_TLS};
use crate::request::Client;
use crate::secret::Secret;
use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, COOKIE, SET_COOKIE, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use pingora::http::{RequestHeader, ResponseHeader};
use std::borrow::Cow;

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const USER: HeaderName = HeaderName::from_static("x-vestibule-user");
const FACTOR: HeaderName = HeaderName::from_static("x-vestibule-factor");
const VERIFIED_AT: HeaderName = HeaderName::from_static("x-vestibule-verified-at");
const DEVICE: HeaderName = HeaderName::from_static("x-vestibule-device");

/// Names that say who asked, from where or for what: a client's word for them is never forwarded.
const FORGEABLE: [&str; 8] = [
    "forwarded",
    "x-real-ip",
    "x-original-url",
    "x-rewrite-url",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "proxy",
];
const FORGEABLE_PREFIXES: [&str; 2] = ["x-vestibule-", "x-forwarded-"];

/// Not visible in a header, or not reversible: `%` itself, and spaces, which parsers trim.
const ESCAPED: &AsciiSet = &CONTROLS.add(b' ').add(b'%');

/// CGI and its kin turn every character that is no letter or digit into `_`: they are all one.
fn fold(byte: u8) -> u8 {
    if byte.is_ascii_alphanumeric() {
        byte.to_ascii_lowercase()
    } else {
        b'-'
    }
}

fn same_name(a: &str, b: &str) -> bool {
    a.len() == b.len() && a.bytes().zip(b.bytes()).all(|(a, b)| fold(a) == fold(b))
}

fn has_prefix(name: &str, prefix: &str) -> bool {
    name.len() >= prefix.len()
        && name
            .bytes()
            .zip(prefix.bytes())
            .all(|(a, b)| fold(a) == fold(b))
}

/// Whether a client must not set this header.
pub(crate) fn is_forgeable(name: &str) -> bool {
    FORGEABLE.iter().any(|forgeable| same_name(name, forgeable))
        || FORGEABLE_PREFIXES
            .iter()
            .any(|prefix| has_prefix(name, prefix))
}

/// Who asked, as the upstream is told.
pub(crate) struct Told<'a> {
    pub(crate) client: Client,
    /// The client's `Host`: canonical, with its port.
    pub(crate) host: &'a HeaderValue,
    pub(crate) permit: &'a Permit,
    /// An opaque name for the device.
    pub(crate) device: Option<&'a str>,
}

/// Drops what a client may have forged, then says who asked, then sets the upstream's own headers.
pub(crate) fn rewrite_request(
    request: &mut RequestHeader,
    told: &Told<'_>,
    own: &[(HeaderName, Secret)],
) -> pingora::Result<()> {
    let dropped: Vec<HeaderName> = request
        .headers
        .keys()
        .filter(|name| {
            is_forgeable(name.as_str())
                || own
                    .iter()
                    .any(|(own, _)| same_name(own.as_str(), name.as_str()))
        })
        .cloned()
        .collect();
    for name in &dropped {
        request.remove_header(name);
    }
    cut_cookies(request, &[COOKIE_TLS, COOKIE_PLAIN])?;

    request.insert_header(FOR, told.client.address.to_canonical().to_string())?;
    let proto = if told.client.tls { "https" } else { "http" };
    request.insert_header(PROTO, HeaderValue::from_static(proto))?;
    request.insert_header(HOST, told.host.clone())?;
    tell_identity(request, told)?;
    for (name, value) in own {
        request.insert_header(name.clone(), value.expose())?;
    }
    Ok(())
}

fn tell_identity(request: &mut RequestHeader, told: &Told<'_>) -> pingora::Result<()> {
    let Some(holder) = holder(told.permit) else {
        return Ok(());
    };
    let name: Cow<'_, str> = utf8_percent_encode(&holder.name, ESCAPED).into();
    request.insert_header(USER, name.as_ref())?;
    if let Grant::Session {
        factor,
        verified_at,
        ..
    } = told.permit.grant()
    {
        request.insert_header(FACTOR, HeaderValue::from_static(factor.as_str()))?;
        request.insert_header(VERIFIED_AT, verified_at.iso8601())?;
    }
    if let Some(device) = told.device {
        request.insert_header(DEVICE, device)?;
    }
    Ok(())
}

/// Who was let through; `None` for a path that asks for nothing.
pub(crate) fn holder(permit: &Permit) -> Option<&Holder> {
    match permit.grant() {
        Grant::Open => None,
        Grant::Token(holder) | Grant::Session { holder, .. } => Some(holder),
    }
}

/// Takes the client's token out of the headers, in the places where the route reads it.
pub(crate) fn remove_token(
    request: &mut RequestHeader,
    sources: &[CredentialSource],
) -> pingora::Result<()> {
    for source in sources {
        match source {
            CredentialSource::Bearer => {
                request.remove_header(&AUTHORIZATION);
            }
            CredentialSource::Cookie(name) => cut_cookies(request, &[name])?,
            // In the target: see `head::target`. A path keeps its token; it means nothing without.
            CredentialSource::Query(_) | CredentialSource::Path(_) => {}
        }
    }
    Ok(())
}

/// Takes the cookies of these names out of `Cookie`, and joins what HTTP/2 split (RFC 9113
/// section 8.2.3). Nothing is rebuilt where nothing is to be done.
pub(crate) fn cut_cookies(request: &mut RequestHeader, names: &[&str]) -> pingora::Result<()> {
    let is_cut = |pair: &&[u8]| {
        let name = pair.split(|byte| *byte == b'=').next().unwrap_or_default();
        names.iter().any(|cut| name.trim_ascii() == cut.as_bytes())
    };
    let pairs = |headers: &HeaderMap| -> Option<Vec<u8>> {
        let values = headers.get_all(COOKIE);
        let all = || {
            values
                .iter()
                .flat_map(|value| value.as_bytes().split(|byte| *byte == b';'))
                .map(<[u8]>::trim_ascii)
                .filter(|pair| !pair.is_empty())
        };
        if values.iter().count() <= 1 && !all().any(|pair| is_cut(&pair)) {
            return None;
        }
        let kept: Vec<&[u8]> = all().filter(|pair| !is_cut(pair)).collect();
        Some(kept.join(&b"; "[..]))
    };
    let Some(kept) = pairs(&request.headers) else {
        return Ok(());
    };
    request.remove_header(&COOKIE);
    if !kept.is_empty() {
        request.insert_header(COOKIE, kept)?;
    }
    Ok(())
}

/// The query without the parameters of these names; `None` where there are none of them.
pub(crate) fn cut_query(query: &str, names: &[&str]) -> Option<String> {
    let is_cut = |pair: &&str| {
        form_urlencoded::parse(pair.as_bytes())
            .next()
            .is_some_and(|(name, _)| names.iter().any(|cut| *cut == name))
    };
    if !query.split('&').any(|pair| is_cut(&pair)) {
        return None;
    }
    let kept: Vec<&str> = query.split('&').filter(|pair| !is_cut(pair)).collect();
    Some(kept.join("&"))
}

/// Drops from an upstream's answer what only Vestibule may say, and what ends at this hop.
pub(crate) fn clean_response(response: &mut ResponseHeader) -> pingora::Result<()> {
    let dropped: Vec<HeaderName> = response
        .headers
        .keys()
        .filter(|name| has_prefix(name.as_str(), "x-vestibule-"))
        .cloned()
        .collect();
    for name in &dropped {
        response.remove_header(name);
    }
    keep_own_cookie(response)?;
    if response.status != http::StatusCode::SWITCHING_PROTOCOLS {
        drop_hop_by_hop(response);
    }
    Ok(())
}

/// An upstream must not set, and so fix, the device cookie.
fn keep_own_cookie(response: &mut ResponseHeader) -> pingora::Result<()> {
    let is_ours = |value: &HeaderValue| {
        let name = value.as_bytes().split(|byte| *byte == b'=').next();
        let name = name.unwrap_or_default().trim_ascii();
        name == COOKIE_TLS.as_bytes() || name == COOKIE_PLAIN.as_bytes()
    };
    if !response.headers.get_all(SET_COOKIE).iter().any(is_ours) {
        return Ok(());
    }
    let kept: Vec<HeaderValue> = response
        .headers
        .get_all(SET_COOKIE)
        .iter()
        .filter(|value| !is_ours(value))
        .cloned()
        .collect();
    response.remove_header(&SET_COOKIE);
    for value in kept {
        response.append_header(SET_COOKIE, value)?;
    }
    Ok(())
}

/// `Transfer-Encoding` and `Content-Length` stay: Pingora frames the answer by them.
fn drop_hop_by_hop(response: &mut ResponseHeader) {
    let nominated: Vec<HeaderName> = response
        .headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| HeaderName::from_bytes(name.trim().as_bytes()).ok())
        .filter(|name| *name != TRANSFER_ENCODING && *name != CONTENT_LENGTH)
        .collect();
    for name in &nominated {
        response.remove_header(name);
    }
    response.remove_header(&CONNECTION);
    response.remove_header(&UPGRADE);
    for name in ["keep-alive", "proxy-connection", "proxy-authenticate", "te"] {
        response.remove_header(name);
    }
}
