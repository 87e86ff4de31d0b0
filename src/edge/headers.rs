//! What crosses the gateway in the headers: nothing forged goes up, nothing of ours comes down.
//!
//! The identity headers are always Vestibule's own; whatever a client or an upstream wrote under
//! these names is dropped, however it is spelled. Connection headers (RFC 9110 section 7.6.1) of
//! requests are Pingora's part; those of answers are dropped here.

use crate::config::model::{CredentialSource, OwnCookie};
use crate::gate::Grant;
use crate::gate::session::Holder;
use crate::identity::credential;
use crate::identity::success;
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
const ASSERTION: HeaderName = HeaderName::from_static("x-vestibule-assertion");
const DEVICE: HeaderName = HeaderName::from_static("x-vestibule-device");

/// Names that say who asked, from where or for what: a client's word for them is never forwarded.
const FORGEABLE: [&str; 13] = [
    "forwarded",
    "x-real-ip",
    "x-client-ip",
    "client-ip",
    "true-client-ip",
    "x-cluster-client-ip",
    "x-webauth-user",
    "x-rewrite-url",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "proxy",
    success::HEADER,
];
/// `Remote-User` and its kin are how other gateways name the user, and some backends believe them.
const FORGEABLE_PREFIXES: [&str; 6] = [
    "x-vestibule-",
    "x-forwarded-",
    "x-original-",
    "remote-",
    "x-remote-",
    "x-auth-request-",
];

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

/// What a forward-auth question may have of the forgeable: by these a proxy says what it asks about, or has others (a CDN,
/// a balancer) say where it came from; Vestibule's own are in the place of the client's once it has answered.
const OF_PROXIES: [&str; 26] = [
    "forwarded",
    "x-real-ip",
    "x-client-ip",
    "client-ip",
    "true-client-ip",
    "x-cluster-client-ip",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-method",
    "x-forwarded-uri",
    "x-forwarded-prefix",
    "x-forwarded-server",
    "x-forwarded-scheme",
    "x-forwarded-ssl",
    "x-original-method",
    "x-original-host",
    "x-original-uri",
    "x-original-url",
    "x-vestibule-user",
    "x-vestibule-device",
    "x-vestibule-factor",
    "x-vestibule-verified-at",
    "x-vestibule-assertion",
    success::HEADER,
];

/// Whether a forward-auth question must not have this header: the proxy that asks would forward it, and it makes another
/// request, or another user's, of the one that is judged. In another spelling that is so of every name that a client must
/// not set: the proxy does not drop it, and a backend takes it for the plain one.
pub(crate) fn is_another_request(name: &HeaderName) -> bool {
    is_forgeable(name.as_str()) && !OF_PROXIES.contains(&name.as_str())
}

/// Whether a CGI-like server takes this header for one of `own`, though it is spelled in another way.
pub(crate) fn is_alias(name: &HeaderName, own: &[(HeaderName, Secret)]) -> bool {
    own.iter()
        .any(|(own, _)| own != name && same_name(own.as_str(), name.as_str()))
}

/// Who asked, as the upstream is told.
pub(crate) struct Told<'a> {
    pub(crate) client: Client,
    /// The client's `Host`: canonical, with its port.
    pub(crate) host: &'a HeaderValue,
    pub(crate) grant: &'a Grant,
    /// An opaque name for the device.
    pub(crate) device: Option<&'a str>,
    /// The same under Vestibule's signature.
    pub(crate) assertion: Option<&'a Secret>,
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
    cut_cookies(request, &OwnCookie::NAMES)?;

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
    let Some(holder) = holder(told.grant) else {
        return Ok(());
    };
    let name: Cow<'_, str> = utf8_percent_encode(&holder.name, ESCAPED).into();
    request.insert_header(USER, name.as_ref())?;
    if let Grant::Session {
        factor,
        verified_at,
        ..
    } = told.grant
    {
        request.insert_header(FACTOR, HeaderValue::from_static(factor.as_str()))?;
        request.insert_header(VERIFIED_AT, verified_at.iso8601())?;
    }
    if let Some(device) = told.device {
        request.insert_header(DEVICE, device)?;
    }
    if let Some(assertion) = told.assertion {
        request.insert_header(ASSERTION, super::forward::sensitive(assertion.expose())?)?;
    }
    Ok(())
}

/// Who was let through; `None` for a path that asks for nothing.
pub(crate) fn holder(grant: &Grant) -> Option<&Holder> {
    match grant {
        Grant::Open => None,
        Grant::Token(holder) | Grant::Session { holder, .. } => Some(holder),
    }
}

/// Takes an `Authorization` that nobody has looked at out of a request that was let through for
/// another token: a backend that prefers it would answer as somebody who was never verified.
pub(crate) fn drop_unjudged(
    request: &mut RequestHeader,
    grant: &Grant,
    sources: &[CredentialSource],
) {
    if holder(grant).is_some() && !credential::judges_authorization(sources, &request.headers) {
        request.remove_header(&AUTHORIZATION);
    }
}

/// Takes the client's token out of the headers, in the places where the route reads it.
pub(crate) fn remove_token(
    request: &mut RequestHeader,
    sources: &[CredentialSource],
) -> pingora::Result<()> {
    for source in sources {
        match source {
            CredentialSource::Bearer | CredentialSource::Basic => {
                request.remove_header(&AUTHORIZATION);
            }
            CredentialSource::Cookie(name) => cut_cookies(request, &[name])?,
            // In the target: see `head::target`. A path keeps its token; it means nothing without.
            CredentialSource::Query(_) | CredentialSource::Path(_) => {}
            // Never forwarded: see `rewrite_request`.
            CredentialSource::OwnCookie => {}
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

/// Gives every cookie of this name another value. A value that would end the cookie is left out with
/// it.
pub(crate) fn put_cookie(
    request: &mut RequestHeader,
    name: &str,
    value: &Secret,
) -> pingora::Result<()> {
    let is_it = |pair: &[u8]| {
        let own = pair.split(|byte| *byte == b'=').next().unwrap_or_default();
        own.trim_ascii() == name.as_bytes()
    };
    let values = request.headers.get_all(COOKIE);
    let pairs = || {
        values
            .iter()
            .flat_map(|value| value.as_bytes().split(|byte| *byte == b';'))
            .map(<[u8]>::trim_ascii)
            .filter(|pair| !pair.is_empty())
    };
    if !pairs().any(is_it) {
        return Ok(());
    }
    if value.expose().contains(';') {
        return cut_cookies(request, &[name]);
    }
    let own = format!("{name}={}", value.expose());
    let all: Vec<&[u8]> = pairs()
        .map(|pair| if is_it(pair) { own.as_bytes() } else { pair })
        .collect();
    let mut all = HeaderValue::from_bytes(&all.join(&b"; "[..]))
        .map_err(|_| super::exchange::internal("a cookie that is no header"))?;
    all.set_sensitive(true);
    request.remove_header(&COOKIE);
    request.insert_header(COOKIE, all)
}

/// The query with another value for the parameters of these names; `None` where there are none of
/// them.
pub(crate) fn put_query(query: &str, names: &[&str], value: &Secret) -> Option<String> {
    let name_of = |pair: &str| {
        let (name, _) = form_urlencoded::parse(pair.as_bytes()).next()?;
        names.iter().find(|own| **own == name).copied()
    };
    if !query.split('&').any(|pair| name_of(pair).is_some()) {
        return None;
    }
    let put = |pair: &str| match name_of(pair) {
        None => pair.to_owned(),
        Some(name) => form_urlencoded::Serializer::new(String::new())
            .append_pair(name, value.expose())
            .finish(),
    };
    let all: Vec<String> = query.split('&').map(put).collect();
    Some(all.join("&"))
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

/// An upstream must not set, and so fix, the device or the token.
fn keep_own_cookie(response: &mut ResponseHeader) -> pingora::Result<()> {
    let is_ours = |value: &HeaderValue| {
        let name = value.as_bytes().split(|byte| *byte == b'=').next();
        let name = name.unwrap_or_default().trim_ascii();
        OwnCookie::NAMES.iter().any(|own| name == own.as_bytes())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::gate::session::Factor;
    use crate::id::{SessionId, UserId};

    fn request(pairs: &[(&'static str, &'static str)]) -> RequestHeader {
        let mut request = RequestHeader::build("GET", b"/", None).unwrap();
        for (name, value) in pairs {
            request.append_header(*name, *value).unwrap();
        }
        request
    }

    fn session(name: &str) -> Grant {
        Grant::Session {
            id: SessionId(1),
            holder: Holder {
                user: UserId(1),
                name: name.into(),
                terms: None,
            },
            factor: Factor::Sms,
            verified_at: Timestamp(1_795_317_694),
            good_until: Timestamp(1_795_400_000),
        }
    }

    fn rewrite(request: &mut RequestHeader, grant: &Grant, own: &[(HeaderName, Secret)]) {
        let told = Told {
            client: Client {
                address: "::ffff:192.0.2.7".parse().unwrap(),
                tls: true,
                is_proxy: false,
            },
            host: &HeaderValue::from_static("files.example.org:8443"),
            grant,
            device: Some("00ff"),
            assertion: None,
        };
        rewrite_request(request, &told, own).unwrap();
    }

    fn all(request: &RequestHeader, name: &str) -> Vec<String> {
        let values = request.headers.get_all(name);
        values
            .iter()
            .map(|value| value.to_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn forged_headers_are_dropped_however_they_are_spelled() {
        for name in [
            "X-Vestibule-User",
            "x_vestibule_user",
            "X-Vestibule_Assertion",
            "x.vestibule.user",
            "X~Vestibule~User",
            "X-Forwarded-For",
            "X!Forwarded!For",
            "X_Forwarded_Proto",
            "X-Forwarded-Prefix",
            "Forwarded",
            "X-Real-IP",
            "X_Real-IP",
            "X-Client-IP",
            "True-Client-IP",
            "Remote-User",
            "Remote_Groups",
            "X-Remote-User",
            "X-Auth-Request-Email",
            "X-WebAuth-User",
            "X-Original-URL",
            "X-Original-Method",
            "X-Original-Path",
            "X~Original~Path",
            "X-Rewrite-URL",
            "X-HTTP-Method",
            "X-HTTP-Method-Override",
            "X_Method_Override",
            "Proxy",
            "X-2FA-Success-Token",
            "X_2fa-success_token",
        ] {
            let name: &'static str = name;
            assert!(is_forgeable(name), "{name}");
            let mut forged = request(&[(name, "forged"), ("Accept", "*/*")]);
            rewrite(&mut forged, &Grant::Open, &[]);
            assert!(
                !forged.headers.values().any(|value| value == "forged"),
                "{name} went through"
            );
            assert_eq!(all(&forged, "accept"), ["*/*"]);
        }
        for name in [
            "x-forwarder",
            "x-original",
            "x-vestibul",
            "proxy-x",
            "authorization",
            "x-device-id",
        ] {
            assert!(!is_forgeable(name), "{name}");
        }
    }

    #[test]
    fn the_upstream_is_told_who_asked() {
        let mut told = request(&[
            ("X-Vestibule-User", "root"),
            ("X-Forwarded-For", "10.0.0.1"),
        ]);
        rewrite(&mut told, &session("Zo\u{eb} 100%\r\nX-Evil: 1"), &[]);
        assert_eq!(all(&told, "x-forwarded-for"), ["192.0.2.7"]);
        assert_eq!(all(&told, "x-forwarded-proto"), ["https"]);
        assert_eq!(all(&told, "x-forwarded-host"), ["files.example.org:8443"]);
        assert_eq!(
            all(&told, "x-vestibule-user"),
            ["Zo%C3%AB%20100%25%0D%0AX-Evil:%201"]
        );
        assert_eq!(all(&told, "x-vestibule-factor"), ["sms"]);
        assert_eq!(
            all(&told, "x-vestibule-verified-at"),
            ["2026-11-22T03:21:34+00:00"]
        );
        assert_eq!(all(&told, "x-vestibule-device"), ["00ff"]);
    }

    #[test]
    fn nobody_is_told_of_on_an_open_path() {
        let mut open = request(&[("X-Vestibule-User", "root"), ("X-Vestibule-Device", "d")]);
        rewrite(&mut open, &Grant::Open, &[]);
        for name in [
            "x-vestibule-user",
            "x-vestibule-factor",
            "x-vestibule-device",
        ] {
            assert_eq!(all(&open, name), Vec::<String>::new(), "{name}");
        }
        let holder = Holder {
            user: UserId(1),
            name: "ann".into(),
            terms: None,
        };
        let mut token = request(&[("X-Vestibule-Factor", "totp")]);
        rewrite(&mut token, &Grant::Token(holder), &[]);
        assert_eq!(all(&token, "x-vestibule-user"), ["ann"]);
        assert_eq!(all(&token, "x-vestibule-factor"), Vec::<String>::new());
    }

    #[test]
    fn the_upstreams_own_headers_replace_the_clients() {
        let own = [(HeaderName::from_static("x-api-key"), Secret::new("ours"))];
        let mut replaced = request(&[("X-Api-Key", "theirs"), ("X_Api_Key", "theirs")]);
        rewrite(&mut replaced, &Grant::Open, &own);
        assert_eq!(all(&replaced, "x-api-key"), ["ours"]);
        assert_eq!(all(&replaced, "x_api_key"), Vec::<String>::new());
    }

    #[test]
    fn our_cookie_is_cut_out_and_no_other() {
        let cut = |cookies: &[(&'static str, &'static str)]| {
            let mut request = request(cookies);
            rewrite(&mut request, &Grant::Open, &[]);
            all(&request, "cookie")
        };
        assert_eq!(
            cut(&[("Cookie", "a=1; __Host-vestibule_device=secret; b=x=y")]),
            ["a=1; b=x=y"]
        );
        assert_eq!(
            cut(&[("Cookie", "vestibule_device=secret")]),
            Vec::<String>::new()
        );
        assert_eq!(
            cut(&[(
                "Cookie",
                "__Host-vestibule_token=secret; b=2; vestibule_token=secret"
            )]),
            ["b=2"]
        );
        assert_eq!(
            cut(&[("Cookie", "a=1;b=2 ")]),
            ["a=1;b=2 "],
            "nothing to cut"
        );
        assert_eq!(
            cut(&[("Cookie", "a=vestibule_device")]),
            ["a=vestibule_device"]
        );
        // HTTP/2 sends crumbs; an HTTP/1 upstream expects one header.
        assert_eq!(
            cut(&[
                ("Cookie", "a=1"),
                ("Cookie", "vestibule_device=secret"),
                ("Cookie", "b=2")
            ]),
            ["a=1; b=2"]
        );
    }

    #[test]
    fn the_token_is_removed_from_its_places() {
        let sources = [
            CredentialSource::Bearer,
            CredentialSource::Cookie("IOGATES".to_owned()),
            CredentialSource::Query("token".to_owned()),
        ];
        let mut request = request(&[("Authorization", "Bearer t"), ("Cookie", "a=1; IOGATES=t")]);
        remove_token(&mut request, &sources).unwrap();
        assert_eq!(all(&request, "authorization"), Vec::<String>::new());
        assert_eq!(all(&request, "cookie"), ["a=1"]);
        let cut = |query| cut_query(query, &["token"]);
        assert_eq!(cut("a=1&token=t&b=2&t%6Fken=u").as_deref(), Some("a=1&b=2"));
        assert_eq!(cut("token").as_deref(), Some(""));
        assert_eq!(cut("a=token&tokens=1"), None);
    }

    #[test]
    fn answers_lose_what_only_vestibule_may_say() {
        let mut answer = ResponseHeader::build(200, None).unwrap();
        for (name, value) in [
            ("X-Vestibule-User", "root"),
            ("Set-Cookie", "__Host-vestibule_device=fixed; Path=/"),
            ("Set-Cookie", "vestibule_device=fixed"),
            ("Set-Cookie", "__Host-vestibule_token=fixed; Path=/; Secure"),
            ("Set-Cookie", "vestibule_token=fixed"),
            ("Set-Cookie", "own=1"),
            ("Set-Cookie", "two=2"),
            ("Connection", "keep-alive, X-Hop"),
            ("X-Hop", "1"),
            ("Keep-Alive", "timeout=5"),
            ("Upgrade", "h2c"),
            ("Transfer-Encoding", "chunked"),
            ("Server", "dufs"),
        ] {
            answer.append_header(name, value).unwrap();
        }
        clean_response(&mut answer).unwrap();
        let cookies: Vec<_> = answer.headers.get_all(SET_COOKIE).iter().collect();
        assert_eq!(cookies, ["own=1", "two=2"]);
        let mut left: Vec<_> = answer.headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["server", "set-cookie", "transfer-encoding"]);
    }

    #[test]
    fn a_handshake_keeps_its_upgrade() {
        let mut answer = ResponseHeader::build(101, None).unwrap();
        answer.append_header("Connection", "Upgrade").unwrap();
        answer.append_header("Upgrade", "websocket").unwrap();
        clean_response(&mut answer).unwrap();
        assert_eq!(answer.headers[UPGRADE], "websocket");
        assert_eq!(answer.headers[CONNECTION], "Upgrade");
    }
}
