//! The request that a proxy asks about, put together from what the proxy says of it.
//!
//! Proxies say it in headers of several names, and a client can send any of them too: nginx passes on what
//! its config does not set, Traefik and Caddy set one family and pass the others. So every word about
//! the method, the target, the scheme and the host is read, whoever uses that name, and they must all agree. A proxy that
//! sets one name of each is believed then, and a client that sets another can only have itself refused.
//!
//! Nothing is decided here, and nothing is made canonical: that is for [`crate::request`], as if the
//! client had come directly.

use super::{DESTINATION, Unfit};
use crate::edge::headers;
use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use pingora::http::RequestHeader;

const METHODS: [HeaderName; 2] = [
    HeaderName::from_static("x-forwarded-method"),
    HeaderName::from_static("x-original-method"),
];
const TARGETS: [HeaderName; 3] = [
    HeaderName::from_static("x-forwarded-uri"),
    HeaderName::from_static("x-original-uri"),
    HeaderName::from_static("x-original-url"),
];
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const WEBSOCKET_KEY: HeaderName = HeaderName::from_static("sec-websocket-key");

/// How the question is put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form<'c> {
    /// All that is asked about is in headers.
    Headers,
    /// As Envoy asks: this target and the question's own method and host are the original's.
    Path(&'c [u8]),
}

/// What a proxy has to say of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Method,
    Target,
    Scheme,
    Host,
    Address,
}

impl Part {
    /// The header that says it.
    pub(super) fn header(self) -> &'static str {
        match self {
            Self::Method => "X-Forwarded-Method",
            Self::Target => "X-Forwarded-Uri",
            Self::Scheme => "X-Forwarded-Proto",
            Self::Host => "X-Forwarded-Host",
            Self::Address => "X-Forwarded-For",
        }
    }
}

/// Puts the original head together: as the client sent it, but for `X-Forwarded-Proto` and `-For`, which the
/// proxy says, and which are believed as those of any trusted proxy are.
pub(super) fn read(check: &RequestHeader, form: Form<'_>) -> Result<RequestHeader, Unfit> {
    let said = Said::read(check, form)?;
    let method = said.method.ok_or(Unfit::Missing(Part::Method))?;
    let method = Method::from_bytes(method).map_err(|_| Unfit::Malformed(Part::Method))?;
    let target = said.target.ok_or(Unfit::Missing(Part::Target))?;
    let scheme = said.scheme.ok_or(Unfit::Missing(Part::Scheme))?;
    let host = said.host.ok_or(Unfit::Missing(Part::Host))?;
    if !check.headers.contains_key(FOR) {
        return Err(Unfit::Missing(Part::Address));
    }
    let room = Some(check.headers.len() + 2);
    let bad = |part| move |_| Unfit::Malformed(part);
    let mut original =
        RequestHeader::build_no_case(method, target, room).map_err(bad(Part::Target))?;
    if check.headers.keys().any(headers::is_another_request) {
        return Err(Unfit::Override);
    }
    if form != Form::Headers && values(&check.headers, &DESTINATION).any(may_be_two) {
        return Err(Unfit::Rewritten);
    }
    for (name, value) in &check.headers {
        if !is_of_the_question(name) {
            let kept = original.append_header(name.clone(), value.clone());
            kept.map_err(bad(Part::Target))?;
        }
    }
    let set = original.insert_header(HOST, host);
    set.map_err(bad(Part::Host))?;
    let set = original.insert_header(PROTO, scheme.as_str());
    set.map_err(bad(Part::Scheme))?;
    // `Upgrade` ends at each hop, and few proxies ask with it. No page can leave this one out.
    if original.headers.contains_key(WEBSOCKET_KEY) {
        let set = original.insert_header(UPGRADE, HeaderValue::from_static("websocket"));
        set.map_err(bad(Part::Target))?;
    }
    Ok(original)
}

/// Envoy asks with all lines of a name as one, with commas between them, and forwards them as they came: the second
/// `Destination`, which its server may go by, would be judged as the end of the first one's path. A comma in a name
/// is too common to be refused: what follows is no second one unless it begins like a path or has a scheme's colon. For one
/// that is neither (`internal/b`), envoy.yaml has Envoy keep the first line alone.
fn may_be_two(destination: &[u8]) -> bool {
    let mut parts = destination.split(|byte| *byte == b',');
    parts.next();
    parts.any(|part| part.starts_with(b"/") || part.contains(&b':'))
}

/// What is about the question, or about the original in other words.
fn is_of_the_question(name: &HeaderName) -> bool {
    *name == HOST
        || *name == FORWARDED_HOST
        || *name == PROTO
        || *name == CONTENT_LENGTH
        || *name == TRANSFER_ENCODING
        || METHODS.contains(name)
        || TARGETS.contains(name)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Http,
    Https,
}

impl Scheme {
    /// Traefik writes `ws` and `wss` for WebSockets.
    fn read(text: &[u8]) -> Option<Self> {
        let is = |name: &str| text.eq_ignore_ascii_case(name.as_bytes());
        match () {
            () if is("https") || is("wss") => Some(Self::Https),
            () if is("http") || is("ws") => Some(Self::Http),
            () => None,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// What was said so far, by whomever.
#[derive(Default)]
struct Said<'c> {
    method: Option<&'c [u8]>,
    /// Path and query.
    target: Option<&'c [u8]>,
    scheme: Option<Scheme>,
    /// With its port, if anybody has named it.
    host: Option<&'c [u8]>,
}

impl<'c> Said<'c> {
    fn read(check: &'c RequestHeader, form: Form<'c>) -> Result<Self, Unfit> {
        let mut said = Self::default();
        let headers = &check.headers;
        if let Form::Path(target) = form {
            said.method(check.method.as_str().as_bytes())?;
            said.target(target)?;
            let authority = check.uri.authority().map(|it| it.as_str().as_bytes());
            let hosts = values(headers, &HOST).chain(authority);
            hosts.into_iter().try_for_each(|host| said.host(host))?;
        }
        for name in &METHODS {
            values(headers, name).try_for_each(|method| said.method(method))?;
        }
        for name in &TARGETS {
            values(headers, name).try_for_each(|url| said.url(url))?;
        }
        items(headers, &PROTO).try_for_each(|scheme| said.scheme(scheme))?;
        items(headers, &FORWARDED_HOST).try_for_each(|host| said.host(host))?;
        Ok(said)
    }

    fn method(&mut self, method: &'c [u8]) -> Result<(), Unfit> {
        put(&mut self.method, method, Part::Method)
    }

    /// A fragment is no part of a request's target. Parsers cut it off, and proxies forward it all the same.
    fn target(&mut self, target: &'c [u8]) -> Result<(), Unfit> {
        if target.contains(&b'#') {
            return Err(Unfit::Malformed(Part::Target));
        }
        put(&mut self.target, target, Part::Target)
    }

    /// A path with its query, or a whole URL.
    fn url(&mut self, url: &'c [u8]) -> Result<(), Unfit> {
        if url.starts_with(b"/") || url == b"*" {
            return self.target(url);
        }
        let bad = Unfit::Malformed(Part::Target);
        let at = url.windows(3).position(|it| it == b"://").ok_or(bad)?;
        let (scheme, rest) = url.split_at(at);
        let rest = rest.get(3..).unwrap_or_default();
        let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?'));
        let (host, target) = rest.split_at(end.unwrap_or(rest.len()));
        self.scheme(scheme)?;
        self.host(host)?;
        match target {
            [] => self.target(b"/"),
            [b'/', ..] => self.target(target),
            _ => Err(bad),
        }
    }

    fn scheme(&mut self, text: &[u8]) -> Result<(), Unfit> {
        let scheme = Scheme::read(text).ok_or(Unfit::Malformed(Part::Scheme))?;
        put(&mut self.scheme, scheme, Part::Scheme)
    }

    /// Many proxies leave the port out in one place and not in another: whoever names it is believed.
    fn host(&mut self, host: &'c [u8]) -> Result<(), Unfit> {
        let Some(before) = self.host.replace(host) else {
            return Ok(());
        };
        let ((name, port), (name_before, port_before)) = (with_port(host), with_port(before));
        if port.is_empty() {
            self.host = Some(before);
        }
        let is_port = port == port_before || port.is_empty() || port_before.is_empty();
        match is_port && name.eq_ignore_ascii_case(name_before) {
            true => Ok(()),
            false => Err(Unfit::Conflict(Part::Host)),
        }
    }
}

/// Takes `value` over, which must be what was said before.
fn put<T: Copy + PartialEq>(said: &mut Option<T>, value: T, part: Part) -> Result<(), Unfit> {
    match said.replace(value) {
        Some(before) if before != value => Err(Unfit::Conflict(part)),
        _ => Ok(()),
    }
}

/// A name and what follows it, its colon first. The colons of a bare IPv6 address are no port's.
fn with_port(host: &[u8]) -> (&[u8], &[u8]) {
    let colon = host.iter().rposition(|byte| *byte == b':');
    let split = colon.and_then(|at| host.split_at_checked(at));
    split
        .filter(|(name, _)| !name.contains(&b':') || name.ends_with(b"]"))
        .unwrap_or((host, b""))
}

fn values<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'h [u8]> {
    headers.get_all(name).into_iter().map(HeaderValue::as_bytes)
}

/// The members of a comma-separated list.
fn items<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'h [u8]> {
    values(headers, name)
        .flat_map(|value| value.split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NGINX: &[(&str, &str)] = &[
        ("host", "127.0.0.1:8081"),
        ("x-original-method", "PUT"),
        (
            "x-original-url",
            "https://files.example.org:8443/a%20b?c=d,e",
        ),
        ("x-forwarded-for", "192.0.2.7"),
    ];
    const TRAEFIK: &[(&str, &str)] = &[
        ("host", "vestibule:8081"),
        ("x-forwarded-method", "PUT"),
        ("x-forwarded-uri", "/a%20b?c=d,e"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "files.example.org:8443"),
        ("x-forwarded-for", "192.0.2.7"),
    ];
    const ENVOY: &[(&str, &str)] = &[
        ("host", "files.example.org:8443"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-for", "192.0.2.7"),
        ("content-length", "0"),
    ];
    const SUFFIX: Form<'_> = Form::Path(b"/a%20b?c=d,e");

    fn check(method: &str, headers: &[(&str, &str)]) -> RequestHeader {
        let mut check = RequestHeader::build_no_case(method, b"/asked", None).unwrap();
        for (name, value) in headers {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            check.append_header(name, *value).unwrap();
        }
        check
    }

    fn of(headers: &[(&str, &str)], form: Form<'_>) -> Result<RequestHeader, Unfit> {
        let method = if form == Form::Headers { "GET" } else { "PUT" };
        read(&check(method, headers), form)
    }

    fn with<'a>(
        headers: &[(&'a str, &'a str)],
        more: &[(&'a str, &'a str)],
    ) -> Vec<(&'a str, &'a str)> {
        [headers, more].concat()
    }

    fn without(
        headers: &[(&'static str, &'static str)],
        name: &str,
    ) -> Vec<(&'static str, &'static str)> {
        let mut left = headers.to_vec();
        left.retain(|(known, _)| *known != name);
        left
    }

    #[test]
    fn every_proxys_words_make_the_same_request() {
        let heads = [
            of(NGINX, Form::Headers),
            of(TRAEFIK, Form::Headers),
            of(ENVOY, SUFFIX),
            // All of them at once, agreeing.
            of(&with(TRAEFIK, &NGINX[1..3]), Form::Headers),
        ];
        for head in heads {
            let head = head.unwrap();
            assert_eq!(head.method, "PUT");
            assert_eq!(head.raw_path(), b"/a%20b?c=d,e");
            let mut names: Vec<_> = head.headers.keys().map(HeaderName::as_str).collect();
            names.sort_unstable();
            assert_eq!(names, ["host", "x-forwarded-for", "x-forwarded-proto"]);
            assert_eq!(head.headers["host"], "files.example.org:8443");
            assert_eq!(head.headers["x-forwarded-proto"], "https");
        }
    }

    #[test]
    fn the_authority_of_http2_is_the_host() {
        let mut check = check("PUT", &ENVOY[1..]);
        let uri = "http://files.example.org:8443/asked".parse().unwrap();
        check.set_uri(uri);
        let head = read(&check, SUFFIX).unwrap();
        assert_eq!(head.headers["host"], "files.example.org:8443");
        assert_eq!(head.raw_path(), b"/a%20b?c=d,e");
        let other = HeaderValue::from_static("other.example.org");
        check.insert_header(HOST, other).unwrap();
        let asked = read(&check, SUFFIX);
        assert_eq!(asked.err(), Some(Unfit::Conflict(Part::Host)));
    }

    #[test]
    fn what_a_client_sends_under_another_name_is_refused() {
        use Part::{Host, Method, Scheme, Target};
        let both = with(NGINX, &[("x-forwarded-proto", "https")]);
        for (headers, form) in [
            (&*both, Form::Headers),
            (TRAEFIK, Form::Headers),
            (ENVOY, SUFFIX),
        ] {
            for (name, value, part) in [
                ("x-original-method", "GET", Method),
                ("x-forwarded-method", "GET", Method),
                ("x-forwarded-method", "put", Method),
                ("x-original-uri", "/public/x", Target),
                ("x-forwarded-uri", "/a%20b?c=d,f", Target),
                ("x-forwarded-uri", "/a%20b", Target),
                ("x-original-url", "/a b?c=d,e", Target),
                ("x-original-url", "https://files.example.org/", Target),
                (
                    "x-original-url",
                    "http://files.example.org:8443/a%20b?c=d,e",
                    Scheme,
                ),
                (
                    "x-original-url",
                    "https://other.example.org/a%20b?c=d,e",
                    Host,
                ),
                (
                    "x-original-url",
                    "https://files.example.org:9/a%20b?c=d,e",
                    Host,
                ),
                ("x-forwarded-host", "other.example.org", Host),
                (
                    "x-forwarded-host",
                    "files.example.org, other.example.org",
                    Host,
                ),
                ("x-forwarded-proto", "http", Scheme),
                ("x-forwarded-proto", "https, http", Scheme),
            ] {
                let asked = of(&with(headers, &[(name, value)]), form);
                assert_eq!(asked.err(), Some(Unfit::Conflict(part)), "{name}: {value}");
            }
        }
    }

    #[test]
    fn what_is_not_said_is_asked_for() {
        for (name, part) in [
            ("x-forwarded-method", Part::Method),
            ("x-forwarded-uri", Part::Target),
            ("x-forwarded-proto", Part::Scheme),
            ("x-forwarded-host", Part::Host),
            ("x-forwarded-for", Part::Address),
        ] {
            let asked = of(&without(TRAEFIK, name), Form::Headers);
            assert_eq!(asked.err(), Some(Unfit::Missing(part)), "{name}");
        }
        // The question's own method, path and host say nothing where it is not put by its path.
        assert_eq!(
            of(ENVOY, Form::Headers).err(),
            Some(Unfit::Missing(Part::Method))
        );
        let asked = of(&without(ENVOY, "host"), SUFFIX);
        assert_eq!(asked.err(), Some(Unfit::Missing(Part::Host)));
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        for (name, value, part) in [
            ("x-forwarded-method", "", Part::Method),
            ("x-forwarded-method", "G ET", Part::Method),
            ("x-forwarded-uri", "", Part::Target),
            ("x-forwarded-uri", "a", Part::Target),
            (
                "x-forwarded-uri",
                "https://files.example.org:8443?a",
                Part::Target,
            ),
            ("x-forwarded-uri", "ftp://files.example.org/a", Part::Scheme),
            ("x-forwarded-uri", "/public/x#/../../a", Part::Target),
            (
                "x-forwarded-uri",
                "https://files.example.org:8443/a#b",
                Part::Target,
            ),
            ("x-forwarded-proto", "", Part::Scheme),
            ("x-forwarded-proto", "ftp", Part::Scheme),
        ] {
            let left = without(TRAEFIK, name);
            let asked = of(&with(&left, &[(name, value)]), Form::Headers);
            assert_eq!(asked.err(), Some(Unfit::Malformed(part)), "{name}: {value}");
        }
    }

    #[test]
    fn what_makes_another_request_of_it_behind_the_proxy_is_refused() {
        for name in [
            "x-http-method-override",
            "x-http-method",
            "x-method-override",
            "x_method_override",
            "x-rewrite-url",
            "remote-user",
            "Remote_Groups",
            "x-remote-user",
            "x-forwarded-user",
            "x-forwarded-client-cert",
            "x-forwarded-roles",
            "x-forwarded-path",
            "x-original-path",
            "x-vestibule-roles",
            "x-auth-request-email",
            "x-webauth-user",
            "proxy",
        ] {
            for (headers, form) in [(TRAEFIK, Form::Headers), (ENVOY, SUFFIX)] {
                let asked = of(&with(headers, &[(name, "a")]), form);
                assert_eq!(asked.err(), Some(Unfit::Override), "{name}");
            }
        }
        let fragment = of(ENVOY, Form::Path(b"/public/x#/../a"));
        assert_eq!(fragment.err(), Some(Unfit::Malformed(Part::Target)));
    }

    /// All signs that a name may have (RFC 9110 section 5.6.2) besides letters, digits and `-`.
    #[test]
    fn no_name_that_a_client_must_not_set_passes_in_another_spelling() {
        for sign in "!#$%&'*+.^_`|~".chars() {
            for name in [
                "x-vestibule-user",
                "x-forwarded-for",
                "x-forwarded-host",
                "x-original-url",
                "x-real-ip",
                "x-2fa-success-token",
            ] {
                let name = name.replacen('-', &sign.to_string(), 1);
                let asked = of(&with(TRAEFIK, &[(&name, "a")]), Form::Headers);
                assert_eq!(asked.err(), Some(Unfit::Override), "{name}");
            }
            let harmless = format!("x{sign}trace");
            let asked = of(&with(TRAEFIK, &[(&harmless, "a")]), Form::Headers);
            assert!(asked.is_ok(), "{harmless}");
        }
    }

    #[test]
    fn what_proxies_say_besides_is_no_reason_to_refuse() {
        let traefiks = [
            ("x-forwarded-port", "8443"),
            ("x-forwarded-prefix", "/files"),
            ("x-forwarded-server", "a1b2"),
            ("x-real-ip", "192.0.2.7"),
        ];
        let envoys = [
            ("x-envoy-expected-rq-timeout-ms", "15000"),
            ("x-envoy-internal", "true"),
            ("x-request-id", "0d7e2f"),
        ];
        let others = [
            ("forwarded", "for=192.0.2.7"),
            ("x-forwarded-scheme", "https"),
            ("x-forwarded-ssl", "on"),
            ("x-original-host", "files.example.org"),
            ("true-client-ip", "192.0.2.7"),
            ("via", "2.0 Caddy"),
        ];
        for more in [&traefiks[..], &envoys, &others] {
            let asked = of(&with(TRAEFIK, more), Form::Headers);
            assert!(asked.is_ok(), "{more:?}: {:?}", asked.err());
            let asked = of(&with(ENVOY, more), SUFFIX);
            assert!(asked.is_ok(), "{more:?}: {:?}", asked.err());
        }
        // Whatever a client forges of Vestibule's own words: the answer's come in their place.
        let forged = [("x-vestibule-user", "root"), ("x-2fa-success-token", "a")];
        assert!(of(&with(TRAEFIK, &forged), Form::Headers).is_ok());
    }

    #[test]
    fn two_destinations_in_one_are_refused_where_lines_are_joined() {
        let of_envoy = |destination| {
            let asked = of(&with(ENVOY, &[("destination", destination)]), SUFFIX);
            asked.err()
        };
        for joined in [
            "https://files.example.org/a,/internal/b",
            "https://files.example.org/a,https://files.example.org/internal/b",
            "/public/a,x:/internal/b",
            "/public/a,b,x:/internal/b",
        ] {
            assert_eq!(of_envoy(joined), Some(Unfit::Rewritten), "{joined}");
            // Others send each line as it is, and two are refused for that.
            let others = with(TRAEFIK, &[("destination", joined)]);
            assert!(of(&others, Form::Headers).is_ok(), "{joined}");
        }
        for one in [
            "https://files.example.org:8443/a,%20b",
            "/Smith,%20John/a,b",
        ] {
            assert_eq!(of_envoy(one), None, "{one}");
        }
    }

    #[test]
    fn a_port_may_be_left_out_in_one_place() {
        let named = |host| {
            let more = [("x-forwarded-host", host), ("x-forwarded-proto", "wss")];
            of(&with(NGINX, &more), Form::Headers)
        };
        for host in ["files.example.org", "FILES.example.org:8443"] {
            let head = named(host).unwrap();
            let kept = head.headers["host"].to_str().unwrap().to_ascii_lowercase();
            assert_eq!(kept, "files.example.org:8443", "{host}");
        }
        assert_eq!(with_port(b"[::1]:80"), (&b"[::1]"[..], &b":80"[..]));
        assert_eq!(with_port(b"::1"), (&b"::1"[..], &b""[..]));
    }

    #[test]
    fn a_websocket_is_one_whatever_the_proxy_leaves_out() {
        let key = ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
        let head = of(&with(TRAEFIK, &[key]), Form::Headers).unwrap();
        assert_eq!(head.headers["upgrade"], "websocket");
    }
}
