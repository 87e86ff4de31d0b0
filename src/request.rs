//! The one canonical form of a request: what is matched is what is forwarded.
//!
//! [`RequestHead::read`] turns the bytes of a request head into a form in which no two spellings
//! mean the same resource, and refuses what stays ambiguous. It decides nothing else: it knows no
//! route, no token and no policy. RFC 3986 section 6 (normalisation), RFC 9112 section 3 (targets).

use http::{HeaderMap, Method};
use std::borrow::Cow;
use std::net::IpAddr;

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
    /// The canonical path of WebDAV's `Destination` (RFC 4918 section 10.3), on the same host.
    pub destination: Option<Cow<'a, str>>,
    /// The path keeps an encoded `/`: only for routes with `encoded_slashes: keep`.
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
    #[error("to be written")]
    Todo,
}

impl<'a> RequestHead<'a> {
    /// Reads a head as the HTTP parser left it. `target` is the raw path and query as sent
    /// (`uri` may have lost bytes); `uri` gives the authority of HTTP/2 and absolute-form requests.
    pub fn read(
        method: &'a Method,
        uri: &'a http::Uri,
        target: &'a [u8],
        headers: &'a HeaderMap,
        peer: Peer<'_>,
    ) -> Result<Self, Malformed> {
        let _ = (method, uri, target, headers, peer);
        todo!()
    }
}

/// Who sent the request, after trusted proxies have been believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    pub address: IpAddr,
    /// Whether the client's own connection is TLS (here, or as a trusted proxy says).
    pub tls: bool,
}
