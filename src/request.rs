//! The one canonical form of a request: what is matched is what is forwarded.
//!
//! [`RequestHead::read`] turns the bytes of a request head into a form in which no two spellings
//! mean the same resource, and refuses what stays ambiguous. It decides nothing else: it knows no
//! route, no token and no policy. RFC 3986 section 6 (normalisation), RFC 9112 section 3 (targets).

mod authority;
mod client;
mod framing;
mod lines;
mod path;
mod query;

use authority::{Authority, Scheme};
pub use client::Client;
use http::header::{ACCEPT, AUTHORIZATION, UPGRADE};
use http::{HeaderMap, Method};
use lines::Lines;
pub(crate) use lines::{Line, Signs};
pub use path::canonical_path;
pub(crate) use path::{ENCODED_SLASH, has_other_readings, without_parameters};
pub(crate) use query::may_hold;
use std::borrow::Cow;
use std::net::IpAddr;

const FETCH_MODE: &str = "sec-fetch-mode";
const REQUESTED_WITH: &str = "x-requested-with";

/// A request head in canonical form, borrowing from the head it was read from wherever that was
/// canonical already (then nothing is allocated).
#[derive(Debug)]
pub struct RequestHead<'a> {
    pub method: &'a Method,
    /// Lower case, no trailing dot, no port.
    pub host: Cow<'a, str>,
    /// Starts with `/` (or is `*` for OPTIONS); unreserved characters decoded, dot segments and `//` gone.
    pub path: Cow<'a, str>,
    /// As sent, without the `?`.
    pub query: Option<&'a str>,
    pub headers: &'a HeaderMap,
    /// Of `headers`.
    pub(crate) signs: Signs<'a>,
    /// The canonical path of WebDAV's `Destination` (RFC 4918 section 10.3), on the same host.
    pub destination: Option<Cow<'a, str>>,
    /// The path or the destination keeps an encoded `/`: only for routes with `encoded_slashes: keep`.
    pub has_encoded_slash: bool,
    pub client: Client,
}

/// The connection a request came in on.
#[derive(Clone, Copy, Debug)]
pub struct Peer<'a> {
    pub address: IpAddr,
    pub tls: bool,
    /// Peers whose `X-Forwarded-*` are believed.
    pub trusted_proxies: &'a [ipnet::IpNet],
}

/// Why a request head is refused with 400. `Display` is what the client is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("the request target must be a path that starts with / or a full http or https URL")]
    Target,
    #[error("the request target * goes with OPTIONS only: ask for a path")]
    Asterisk,
    #[error("CONNECT is not served here: ask for a path")]
    Connect,
    #[error("the request target holds a # fragment: leave it out, it is for the client alone")]
    Fragment,
    #[error("the request target is not UTF-8: percent-encode the UTF-8 form of the name")]
    NotUtf8,
    #[error(
        "the request target holds a space or control character: percent-encode spaces and drop the others"
    )]
    ControlByte,
    #[error("the path holds a backslash: use / between names")]
    Backslash,
    #[error("the path holds a % without two hex digits after it: write a plain % as %25")]
    BadEscape,
    #[error("the path is percent-encoded twice: encode it once")]
    DoubleEncoding,
    #[error(
        "the path hides a . or .. segment behind a parameter or an encoded slash: resolve it before sending"
    )]
    DotSegment,
    #[error(
        "the path holds an encoded slash (%2F), which this host does not take: rename the file"
    )]
    EncodedSlash,
    #[error("the Host header is missing: send the name of the server you mean")]
    HostMissing,
    #[error("the Host header is there more than once: send it once")]
    HostTwice,
    #[error("the host name is malformed: send a name or an address, with a port if needed")]
    Host,
    #[error("the Host header and the request target name different hosts: send one name")]
    HostMismatch,
    #[error("Content-Length is there more than once: send it once")]
    LengthTwice,
    #[error("Content-Length is not a number of bytes: send decimal digits")]
    Length,
    #[error("both Content-Length and Transfer-Encoding are there: send one of them")]
    LengthAndCoding,
    #[error("the only Transfer-Encoding taken here is a single chunked")]
    TransferCoding,
    #[error("the Destination header is there more than once: send it once")]
    DestinationTwice,
    #[error("the Destination must be a path, or a URL of this same host, without query")]
    Destination,
    #[error(
        "a proxy sent an X-Forwarded-For that is not a list of addresses: check its configuration"
    )]
    ForwardedFor,
    #[error(
        "a proxy sent an X-Forwarded-Proto other than one http or https: check its configuration"
    )]
    ForwardedProto,
    #[error("a proxy sent an X-Forwarded-Host that is not one host: check its configuration")]
    ForwardedHost,
    #[error(
        "a query parameter that decides access is there twice with different values: send it once"
    )]
    QueryTwice,
}

impl<'a> RequestHead<'a> {
    /// Reads a head as the HTTP parser left it. `target` is the raw path and query as sent
    /// (`uri` may have lost bytes), or a whole absolute-form target; `uri` gives the authority of
    /// HTTP/2 requests.
    pub fn read(
        method: &'a Method,
        uri: &'a http::Uri,
        target: &'a [u8],
        headers: &'a HeaderMap,
        peer: Peer<'_>,
    ) -> Result<Self, Malformed> {
        if method == Method::CONNECT {
            return Err(Malformed::Connect);
        }
        let lines = Lines::read(headers);
        framing::check(&lines)?;
        let target = Target::parse(target)?;
        let asked = asked_authority(uri, &target, lines.host, peer.tls)?;
        let (client, forwarded) = Client::read(headers, peer)?;
        let host = forwarded.unwrap_or(asked);
        let (path, mut has_encoded_slash) = match target.path {
            "*" if method == Method::OPTIONS => (Cow::Borrowed("*"), false),
            "*" => return Err(Malformed::Asterisk),
            path => canonical_path(path)?,
        };
        let destination = match destination(lines.destination, &host, peer)? {
            Some((path, slash)) => {
                has_encoded_slash |= slash;
                Some(path)
            }
            None => None,
        };
        Ok(Self {
            method,
            host: host.host,
            path,
            query: target.query,
            headers,
            signs: lines.signs,
            destination,
            has_encoded_slash,
            client,
        })
    }

    /// Refuses an encoded slash unless the route keeps them.
    pub fn check_encoded_slashes(&self, route_keeps_them: bool) -> Result<(), Malformed> {
        if self.has_encoded_slash && !route_keeps_them {
            return Err(Malformed::EncodedSlash);
        }
        Ok(())
    }

    /// Whether a person's browser asks for a page; see [`is_navigation`].
    #[must_use]
    pub fn is_browser_navigation(&self) -> bool {
        is_navigation(self.method, self.headers)
    }

    /// Whether a browser sent this, as a page or for one: what it is answered must not make it show a
    /// login box of its own.
    #[must_use]
    pub fn is_of_browser(&self) -> bool {
        self.is_browser_navigation()
            || self.headers.contains_key(FETCH_MODE)
            || self.headers.contains_key(REQUESTED_WITH)
    }

    /// Whether the request asks to become a WebSocket (RFC 6455 section 4.1). Wider than the RFC on
    /// purpose, since a check of the `Origin` hangs on it: a server may upgrade without `Connection`.
    #[must_use]
    pub fn is_websocket_upgrade(&self) -> bool {
        self.any_item(UPGRADE, "websocket")
    }

    /// The decoded value of a query parameter; see `query::value`.
    pub fn query_value(&self, name: &str) -> Result<Option<Cow<'a, str>>, Malformed> {
        self.query
            .map_or(Ok(None), |query| query::value(query, name))
    }

    /// Whether a comma-separated header lists `item`, parameters aside.
    fn any_item(&self, name: http::HeaderName, item: &str) -> bool {
        any_item(self.headers, name, item)
    }
}

/// Whether a person's browser asks for a page, so that a redirect or a page is an answer.
/// `Sec-Fetch-Mode` decides where a browser sends it.
#[must_use]
pub fn is_navigation(method: &Method, headers: &HeaderMap) -> bool {
    if *method == Method::HEAD || has_bearer(headers) {
        return false;
    }
    if let Some(mode) = headers.get(FETCH_MODE) {
        return mode.as_bytes() == b"navigate";
    }
    *method == Method::GET
        && !headers.contains_key(REQUESTED_WITH)
        && any_item(headers, ACCEPT, "text/html")
}

fn has_bearer(headers: &HeaderMap) -> bool {
    headers.get_all(AUTHORIZATION).iter().any(|value| {
        let scheme = value.as_bytes().get(..6).unwrap_or_default();
        scheme.eq_ignore_ascii_case(b"bearer")
    })
}

fn any_item(headers: &HeaderMap, name: http::HeaderName, item: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|value| value.split(';').next())
        .any(|value| value.trim().eq_ignore_ascii_case(item))
}

/// How many bytes are looked at without a branch between them: the compiler makes a few instructions
/// of that, if what is asked of each byte has none either (`|` instead of `||`).
const AT_ONCE: usize = 16;

/// Whether every byte is as `is_fine` says: for texts that nearly always are.
pub(crate) fn all_bytes(text: &str, is_fine: impl Fn(u8) -> bool) -> bool {
    let are_fine =
        |some: &[u8; AT_ONCE]| some.iter().fold(true, |fine, byte| fine & is_fine(*byte));
    let (chunks, rest) = text.as_bytes().as_chunks();
    match text.as_bytes().last_chunk() {
        // Overlaps the chunks before, so that nothing is left over.
        Some(last) => chunks.iter().all(are_fine) && are_fine(last),
        None => rest.iter().all(|byte| is_fine(*byte)),
    }
}

/// What stands before the first `byte`, and what behind it if it is there: for bytes that need not be text.
pub(crate) fn split_once(bytes: &[u8], byte: u8) -> (&[u8], Option<&[u8]>) {
    let is_without = |some: &&[u8; AT_ONCE]| some.iter().fold(true, |so, one| so & (*one != byte));
    let (chunks, _) = bytes.as_chunks();
    let passed = AT_ONCE * chunks.iter().take_while(is_without).count();
    let mut rest = bytes.iter().skip(passed);
    let end = rest.position(|one| *one == byte).map(|at| passed + at);
    match end.and_then(|end| bytes.split_at_checked(end)) {
        Some((before, behind)) => (before, behind.get(1..)),
        None => (bytes, None),
    }
}

/// The parts of a request target (RFC 9112 section 3.2).
struct Target<'a> {
    /// Of absolute-form.
    origin: Option<(Scheme, &'a str)>,
    path: &'a str,
    query: Option<&'a str>,
}

impl<'a> Target<'a> {
    fn parse(target: &'a [u8]) -> Result<Self, Malformed> {
        let target = std::str::from_utf8(target).map_err(|_| Malformed::NotUtf8)?;
        if !all_bytes(target, |byte| (byte > b' ') & (byte != 0x7f)) {
            return Err(Malformed::ControlByte);
        }
        if !all_bytes(target, |byte| byte != b'#') {
            return Err(Malformed::Fragment);
        }
        let (before_query, query) = match target.split_once('?') {
            Some((before, query)) => (before, Some(query)),
            None => (target, None),
        };
        if before_query.starts_with('/') || before_query == "*" {
            return Ok(Self {
                origin: None,
                path: before_query,
                query,
            });
        }
        let (scheme, rest) = Scheme::split(before_query).ok_or(Malformed::Target)?;
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        Ok(Self {
            origin: Some((scheme, authority)),
            path: if path.is_empty() { "/" } else { path },
            query,
        })
    }
}

/// The server that was asked for: `Host`, the target's authority, HTTP/2's `:authority`. However
/// many of them are there, they must agree.
fn asked_authority<'a>(
    uri: &'a http::Uri,
    target: &Target<'a>,
    host: Line<'a>,
    tls: bool,
) -> Result<Authority<'a>, Malformed> {
    let host = match host {
        Line::Absent => None,
        Line::Once(line) => Some(line.to_str().map_err(|_| Malformed::Host)?),
        Line::Many => return Err(Malformed::HostTwice),
    };
    let scheme = target.origin.map_or(Scheme::of(tls), |(scheme, _)| scheme);
    let in_target = target.origin.map(|(_, authority)| authority);
    let in_uri = uri.authority().map(http::uri::Authority::as_str);
    let mut asked: Option<Authority<'a>> = None;
    for text in [host, in_target, in_uri].into_iter().flatten() {
        let authority = Authority::parse(text)?;
        if asked
            .as_ref()
            .is_some_and(|before| !before.is_same(&authority, scheme))
        {
            return Err(Malformed::HostMismatch);
        }
        asked = Some(authority);
    }
    asked.ok_or(Malformed::HostMissing)
}

/// The canonical path of `Destination`, and whether it keeps an encoded slash. `host` is the server
/// that was asked for.
fn destination<'a>(
    line: Line<'a>,
    host: &Authority<'_>,
    peer: Peer<'_>,
) -> Result<Option<(Cow<'a, str>, bool)>, Malformed> {
    let line = match line {
        Line::Absent => return Ok(None),
        Line::Once(line) => line,
        Line::Many => return Err(Malformed::DestinationTwice),
    };
    let target = Target::parse(line.as_bytes())?;
    // `//name/` would be a path here and another host elsewhere (RFC 3986 section 4.2).
    if target.query.is_some() || target.path == "*" || target.path.starts_with("//") {
        return Err(Malformed::Destination);
    }
    if let Some((scheme, authority)) = target.origin {
        let named = Authority::parse(authority).map_err(|_| Malformed::Destination)?;
        // Proxies often leave the port out of the host they pass on.
        let is_here = match client::is_trusted(peer, peer.address) {
            true => named.host == host.host,
            false => named.is_same(host, scheme),
        };
        if !is_here {
            return Err(Malformed::Destination);
        }
    }
    canonical_path(target.path).map(Some)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue, Uri};
    use proptest::prelude::*;

    /// Headers of (name, value) pairs, in order.
    pub(crate) fn headers(given: &[(&'static str, &str)]) -> HeaderMap {
        given
            .iter()
            .map(|(name, value)| {
                let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
                (HeaderName::from_static(name), value)
            })
            .collect()
    }

    /// Runs `look` on the head of `METHOD target` with these headers, from an untrusted peer.
    pub(crate) fn with_head<T>(
        method: &str,
        target: &str,
        given: &[(&'static str, &str)],
        look: impl FnOnce(Result<RequestHead<'_>, Malformed>) -> T,
    ) -> T {
        let peer = Peer {
            address: "192.0.2.1".parse().unwrap(),
            tls: true,
            trusted_proxies: &["10.0.0.0/8".parse().unwrap()],
        };
        let method: Method = method.parse().unwrap();
        let headers = headers(given);
        look(RequestHead::read(
            &method,
            &Uri::default(),
            target.as_bytes(),
            &headers,
            peer,
        ))
    }

    fn error(method: &str, target: &str, given: &[(&'static str, &str)]) -> Malformed {
        with_head(method, target, given, |head| head.map(|_| ()).unwrap_err())
    }

    const HOST: (&str, &str) = ("host", "files.example.org");

    #[test]
    fn a_canonical_head_is_borrowed_whole() {
        let given = [HOST, ("destination", "https://files.example.org/b/%C3%B8")];
        with_head("MOVE", "/a/b%20c.txt?x=%zz", &given, |head| {
            let head = head.unwrap();
            assert!(matches!(head.host, Cow::Borrowed("files.example.org")));
            assert!(matches!(head.path, Cow::Borrowed("/a/b%20c.txt")));
            assert!(matches!(head.destination, Some(Cow::Borrowed("/b/%C3%B8"))));
            assert_eq!(head.query, Some("x=%zz"));
            assert!(!head.has_encoded_slash);
            assert_eq!(head.client.address.to_string(), "192.0.2.1");
            assert!(head.client.tls);
        });
    }

    #[test]
    fn targets_of_every_form_are_read() {
        for (method, target, path, query) in [
            ("GET", "/", "/", None),
            ("GET", "/?", "/", Some("")),
            ("GET", "/a?b?c/../d", "/a", Some("b?c/../d")),
            ("GET", "/a/../b?c", "/b", Some("c")),
            ("GET", "https://files.example.org/x/%2e", "/x/", None),
            ("GET", "HTTPS://FILES.example.org:443/x", "/x", None),
            ("GET", "https://files.example.org", "/", None),
            ("GET", "https://files.example.org?q=/", "/", Some("q=/")),
            ("OPTIONS", "*", "*", None),
            ("GET", "/ø", "/%C3%B8", None),
        ] {
            with_head(method, target, &[HOST], |head| {
                let head = head.unwrap_or_else(|why| panic!("{target}: {why}"));
                assert_eq!(head.path, path, "{target}");
                assert_eq!(head.query, query, "{target}");
                assert_eq!(head.host, "files.example.org", "{target}");
            });
        }
    }

    #[test]
    fn ambiguous_targets_are_refused() {
        for (method, target, why) in [
            ("GET", "", Malformed::Target),
            ("GET", "a", Malformed::Target),
            ("GET", "?q", Malformed::Target),
            ("GET", "ftp://files.example.org/", Malformed::Target),
            ("GET", "files.example.org:443", Malformed::Target),
            ("GET", "*", Malformed::Asterisk),
            ("CONNECT", "files.example.org:443", Malformed::Connect),
            ("CONNECT", "/", Malformed::Connect),
            ("GET", "/a#b", Malformed::Fragment),
            ("GET", "/a?b#c", Malformed::Fragment),
            ("GET", "/a b", Malformed::ControlByte),
            ("GET", "/a?b c", Malformed::ControlByte),
            ("GET", "/a?b\nc", Malformed::ControlByte),
            ("GET", "/a\u{7f}", Malformed::ControlByte),
            ("GET", "/a\\..\\b", Malformed::Backslash),
            ("GET", "/a/..;/b", Malformed::DotSegment),
            ("GET", "/%252e%252e/b", Malformed::DoubleEncoding),
            ("GET", "https://other.example.org/", Malformed::HostMismatch),
            (
                "GET",
                "https://files.example.org:8443/",
                Malformed::HostMismatch,
            ),
            (
                "GET",
                "http://files.example.org:443/",
                Malformed::HostMismatch,
            ),
            ("GET", "https://u@files.example.org/", Malformed::Host),
            ("GET", "https:///x", Malformed::Host),
            ("GET", "https://files.example.org\\@other/", Malformed::Host),
        ] {
            assert_eq!(error(method, target, &[HOST]), why, "{method} {target}");
        }
        with_head("GET", "/", &[], |_| ());
    }

    #[test]
    fn the_target_must_be_utf8() {
        let headers = headers(&[HOST]);
        let peer = Peer {
            address: "192.0.2.1".parse().unwrap(),
            tls: false,
            trusted_proxies: &[],
        };
        let uri = Uri::default();
        let read = RequestHead::read(&Method::GET, &uri, b"/\xff", &headers, peer);
        assert_eq!(read.unwrap_err(), Malformed::NotUtf8);
    }

    #[test]
    fn there_is_exactly_one_host() {
        assert_eq!(error("GET", "/", &[]), Malformed::HostMissing);
        assert_eq!(error("GET", "/", &[HOST, HOST]), Malformed::HostTwice);
        assert_eq!(error("GET", "/", &[("host", "")]), Malformed::Host);
        assert_eq!(error("GET", "/", &[("host", "a b")]), Malformed::Host);
        with_head("GET", "/", &[("host", "FILES.Example.org.:8443")], |head| {
            assert_eq!(head.unwrap().host, "files.example.org");
        });
    }

    #[test]
    fn the_authority_of_http2_agrees_with_host() {
        let peer = Peer {
            address: "192.0.2.1".parse().unwrap(),
            tls: true,
            trusted_proxies: &[],
        };
        let uri: Uri = "https://Files.example.org/x".parse().unwrap();
        let read = |given: &[(&'static str, &str)]| {
            let headers = headers(given);
            RequestHead::read(&Method::GET, &uri, b"/x", &headers, peer)
                .map(|head| head.host.into_owned())
        };
        assert_eq!(read(&[]).unwrap(), "files.example.org");
        assert_eq!(
            read(&[("host", "files.example.org:443")]).unwrap(),
            "files.example.org"
        );
        assert_eq!(
            read(&[("host", "other.example.org")]),
            Err(Malformed::HostMismatch)
        );
    }

    #[test]
    fn smuggling_is_refused_before_anything_else_is_read() {
        let given = [
            HOST,
            ("content-length", "1"),
            ("transfer-encoding", "chunked"),
        ];
        assert_eq!(error("POST", "/", &given), Malformed::LengthAndCoding);
    }

    #[test]
    fn the_destination_takes_the_same_form() {
        for (destination, path) in [
            ("/a/../b", "/b"),
            ("https://files.example.org/a//b", "/a/b"),
            ("https://FILES.example.org:443/%61", "/a"),
            ("https://files.example.org", "/"),
        ] {
            with_head(
                "COPY",
                "/x",
                &[HOST, ("destination", destination)],
                |head| {
                    assert_eq!(
                        head.unwrap().destination.as_deref(),
                        Some(path),
                        "{destination}"
                    );
                },
            );
        }
        for (destination, why) in [
            ("https://other.example.org/a", Malformed::Destination),
            ("https://files.example.org:8443/a", Malformed::Destination),
            ("https://u@files.example.org/a", Malformed::Destination),
            ("//files.example.org/a", Malformed::Destination),
            ("/a?b", Malformed::Destination),
            ("*", Malformed::Destination),
            ("", Malformed::Target),
            ("a", Malformed::Target),
            ("ftp://files.example.org/a", Malformed::Target),
            ("/a#b", Malformed::Fragment),
            ("/a b", Malformed::ControlByte),
            ("/a/..;/b", Malformed::DotSegment),
            ("/a%5cb", Malformed::Backslash),
        ] {
            assert_eq!(
                error("COPY", "/x", &[HOST, ("destination", destination)]),
                why,
                "{destination}"
            );
        }
        let twice = [HOST, ("destination", "/a"), ("destination", "/a")];
        assert_eq!(error("COPY", "/x", &twice), Malformed::DestinationTwice);
    }

    #[test]
    fn behind_a_proxy_the_client_and_host_are_those_it_tells() {
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        let peer = Peer {
            address: "10.0.0.1".parse().unwrap(),
            tls: false,
            trusted_proxies: &trusted,
        };
        let uri = Uri::default();
        let headers = headers(&[
            ("host", "inside:8080"),
            ("x-forwarded-host", "Files.example.org"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-for", "203.0.113.5"),
            ("destination", "https://files.example.org:8443/a"),
        ]);
        let head = RequestHead::read(&Method::GET, &uri, b"/", &headers, peer).unwrap();
        assert_eq!(head.host, "files.example.org");
        assert_eq!(head.destination.as_deref(), Some("/a"));
        assert_eq!(head.client.address.to_string(), "203.0.113.5");
        assert!(head.client.tls);
    }

    #[test]
    fn encoded_slashes_need_a_route_that_keeps_them() {
        for (target, destination) in [("/a%2fb", "/x"), ("/a", "/x%2Fy")] {
            with_head(
                "MOVE",
                target,
                &[HOST, ("destination", destination)],
                |head| {
                    let head = head.unwrap();
                    assert_eq!(
                        head.check_encoded_slashes(false),
                        Err(Malformed::EncodedSlash)
                    );
                    assert_eq!(head.check_encoded_slashes(true), Ok(()));
                },
            );
        }
        with_head("GET", "/a", &[HOST], |head| {
            assert_eq!(head.unwrap().check_encoded_slashes(false), Ok(()));
        });
    }

    #[test]
    fn only_people_are_redirected() {
        let html = ("accept", "text/plain, text/html;q=0.9");
        let navigate = ("sec-fetch-mode", "navigate");
        for (method, given, answer) in [
            ("GET", vec![html], true),
            ("GET", vec![navigate], true),
            ("POST", vec![navigate], true),
            ("GET", vec![], false),
            ("GET", vec![("accept", "*/*")], false),
            ("GET", vec![("accept", "application/json")], false),
            ("GET", vec![("accept", "text/htmlx")], false),
            (
                "GET",
                vec![html, ("x-requested-with", "XMLHttpRequest")],
                false,
            ),
            ("GET", vec![html, ("sec-fetch-mode", "cors")], false),
            ("HEAD", vec![html, navigate], false),
            ("PUT", vec![html], false),
            ("POST", vec![html], false),
            ("GET", vec![html, ("authorization", "bearer x")], false),
            ("GET", vec![navigate, ("authorization", "Bearer x")], false),
            ("GET", vec![html, ("authorization", "Basic x")], true),
        ] {
            let mut all = vec![HOST];
            all.extend(given.iter().copied());
            with_head(method, "/", &all, |head| {
                assert_eq!(
                    head.unwrap().is_browser_navigation(),
                    answer,
                    "{method} {given:?}"
                );
            });
        }
    }

    #[test]
    fn websocket_upgrades_are_seen() {
        for (value, answer) in [
            ("websocket", true),
            ("h2c, WebSocket", true),
            ("h2c", false),
        ] {
            with_head("GET", "/", &[HOST, ("upgrade", value)], |head| {
                assert_eq!(head.unwrap().is_websocket_upgrade(), answer, "{value}");
            });
        }
        with_head("GET", "/", &[HOST], |head| {
            assert!(!head.unwrap().is_websocket_upgrade())
        });
    }

    #[test]
    fn a_query_parameter_has_one_value() {
        for (target, answer) in [
            ("/", Ok(None)),
            ("/?", Ok(None)),
            ("/?other=1", Ok(None)),
            ("/?tokens=1", Ok(None)),
            ("/?token", Ok(Some(""))),
            ("/?token=a", Ok(Some("a"))),
            ("/?x=1&token=a%2Bb+c", Ok(Some("a+b c"))),
            ("/?%74oken=a", Ok(Some("a"))),
            ("/?token=a&token=a", Ok(Some("a"))),
            ("/?token=a&token=%61", Ok(Some("a"))),
            ("/?token=a&token=b", Err(Malformed::QueryTwice)),
            ("/?token=a&%74oken=b", Err(Malformed::QueryTwice)),
            ("/?token=&token=b", Err(Malformed::QueryTwice)),
            ("/?token=a&x=1;token=b", Err(Malformed::QueryTwice)),
            ("/?x=1;%74oken=b", Err(Malformed::QueryTwice)),
            ("/?x=1;y=2&token=a", Ok(Some("a"))),
        ] {
            with_head("GET", target, &[HOST], |head| {
                let head = head.unwrap();
                let value = head.query_value("token");
                assert_eq!(
                    value.as_ref().map(Option::as_deref),
                    answer.as_ref().copied(),
                    "{target}"
                );
            });
        }
        with_head("GET", "/?token=abc", &[HOST], |head| {
            let value = head.unwrap().query_value("token");
            assert!(matches!(value, Ok(Some(Cow::Borrowed("abc")))));
        });
    }

    proptest! {
        #[test]
        fn many_bytes_are_looked_at_as_one_by_one(text in "([a-z]|[a-z]{15,17}|ø|;){0,6}") {
            let is_fine = |byte: u8| byte != b';' && byte.is_ascii();
            prop_assert_eq!(all_bytes(&text, is_fine), text.bytes().all(is_fine));
            let split = match text.split_once(';') {
                Some((before, behind)) => (before.as_bytes(), Some(behind.as_bytes())),
                None => (text.as_bytes(), None),
            };
            prop_assert_eq!(split_once(text.as_bytes(), b';'), split);
        }

        #[test]
        fn any_bytes_are_read_or_refused(
            target in proptest::collection::vec(any::<u8>(), 0..60),
            host in "[ -~]{0,30}",
            destination in "[ -~]{0,40}",
        ) {
            let headers = headers(&[("host", &host), ("destination", &destination)]);
            let peer = Peer { address: "192.0.2.1".parse().unwrap(), tls: false, trusted_proxies: &[] };
            let uri = Uri::default();
            let mut rooted = b"/".to_vec();
            rooted.extend(&target);
            for target in [&target, &rooted] {
                let _ = RequestHead::read(&Method::GET, &uri, target, &headers, peer);
            }
        }
    }
}
