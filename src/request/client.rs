//! Who sent the request, believing `X-Forwarded-*` of trusted proxies only.
//!
//! Reads `X-Forwarded-For`, `-Proto` and `-Host`. `Forwarded` (RFC 7239) and `X-Real-IP` are not
//! read from anybody: a proxy that sets one of them and passes a client's own copy of another would
//! let the client choose.

use super::authority::Authority;
use super::{Malformed, Peer};
use http::{HeaderMap, HeaderValue};
use std::net::{IpAddr, SocketAddr};

/// Addresses that are read of `X-Forwarded-For`, from the right.
const HOPS_MAX: usize = 32;

/// Who sent the request, after trusted proxies have been believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    pub address: IpAddr,
    /// Whether the client's own connection is TLS (here, or as a trusted proxy says).
    pub tls: bool,
    /// The address is that of a trusted proxy which did not say for whom it asks: where the client is,
    /// nobody knows.
    pub is_proxy: bool,
}

impl Client {
    /// The client behind `peer`, and the host that a trusted proxy says was asked for.
    pub(super) fn read<'a>(
        headers: &'a HeaderMap,
        peer: Peer<'_>,
    ) -> Result<(Self, Option<Authority<'a>>), Malformed> {
        let address = peer.address.to_canonical();
        if !is_trusted(peer, address) {
            let client = Self {
                address,
                tls: peer.tls,
                is_proxy: false,
            };
            return Ok((client, None));
        }
        let told = forwarded_for(headers, peer)?;
        let client = Self {
            address: told.unwrap_or(address),
            tls: forwarded_proto(headers)?.unwrap_or(peer.tls),
            is_proxy: told.is_none(),
        };
        Ok((client, forwarded_host(headers)?))
    }
}

/// Whether `address` is one of the trusted proxies.
pub(super) fn is_trusted(peer: Peer<'_>, address: IpAddr) -> bool {
    let address = address.to_canonical();
    peer.trusted_proxies
        .iter()
        .any(|net| net.contains(&address))
}

/// The right-most address that is not a trusted proxy's; if all are, the left-most. What stands
/// further left is the client's own word and is not read.
fn forwarded_for(headers: &HeaderMap, peer: Peer<'_>) -> Result<Option<IpAddr>, Malformed> {
    // `GetAll` iterates from both ends, so the last line's last entry comes first.
    let entries = headers
        .get_all("x-forwarded-for")
        .iter()
        .rev()
        .flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
    let mut last = None;
    for (hop, entry) in entries.enumerate() {
        if hop >= HOPS_MAX {
            return Err(Malformed::ForwardedFor);
        }
        let address = std::str::from_utf8(entry)
            .ok()
            .and_then(|entry| address(entry.trim_matches([' ', '\t'])))
            .ok_or(Malformed::ForwardedFor)?;
        last = Some(address);
        if !is_trusted(peer, address) {
            break;
        }
    }
    Ok(last)
}

/// An address as proxies write it: bare, in brackets, or with a port.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(text);
    bare.parse::<IpAddr>()
        .or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip()))
        .ok()
        .map(|address| address.to_canonical())
}

/// The one value of a header of a trusted proxy, however often it stands there.
fn one<'a>(
    headers: &'a HeaderMap,
    name: &'static str,
    bad: Malformed,
) -> Result<Option<&'a str>, Malformed> {
    let mut found: Option<&str> = None;
    for line in headers.get_all(name) {
        for value in HeaderValue::to_str(line).map_err(|_| bad)?.split(',') {
            let value = value.trim_matches([' ', '\t']);
            match found {
                Some(before) if !before.eq_ignore_ascii_case(value) => return Err(bad),
                _ => found = Some(value),
            }
        }
    }
    Ok(found)
}

/// Whether the client's connection was TLS.
fn forwarded_proto(headers: &HeaderMap) -> Result<Option<bool>, Malformed> {
    let bad = Malformed::ForwardedProto;
    match one(headers, "x-forwarded-proto", bad)? {
        None => Ok(None),
        // Traefik writes `ws` and `wss` for WebSockets.
        Some(proto)
            if ["https", "wss"]
                .iter()
                .any(|name| proto.eq_ignore_ascii_case(name)) =>
        {
            Ok(Some(true))
        }
        Some(proto)
            if ["http", "ws"]
                .iter()
                .any(|name| proto.eq_ignore_ascii_case(name)) =>
        {
            Ok(Some(false))
        }
        Some(_) => Err(bad),
    }
}

/// The host the client asked the proxy for.
fn forwarded_host(headers: &HeaderMap) -> Result<Option<Authority<'_>>, Malformed> {
    let bad = Malformed::ForwardedHost;
    one(headers, "x-forwarded-host", bad)?
        .map(|host| Authority::parse(host).map_err(|_| bad))
        .transpose()
}

#[cfg(test)]
mod tests {
    use super::super::tests::headers;
    use super::*;
    use proptest::prelude::*;

    fn read(
        peer: &str,
        given: &[(&'static str, &str)],
    ) -> Result<(String, bool, Option<String>), Malformed> {
        let trusted = ["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        let peer = Peer {
            address: peer.parse().unwrap(),
            tls: false,
            trusted_proxies: &trusted,
        };
        let headers = headers(given);
        let (client, host) = Client::read(&headers, peer)?;
        Ok((
            client.address.to_string(),
            client.tls,
            host.map(|host| host.host.into_owned()),
        ))
    }

    fn address_of(peer: &str, lines: &[&str]) -> Result<String, Malformed> {
        let given: Vec<_> = lines
            .iter()
            .map(|line| ("x-forwarded-for", *line))
            .collect();
        read(peer, &given).map(|(address, _, _)| address)
    }

    #[test]
    fn a_stranger_is_not_believed() {
        let given = [
            ("x-forwarded-for", "192.0.2.1"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "other.example"),
        ];
        assert_eq!(
            read("198.51.100.1", &given),
            Ok(("198.51.100.1".to_owned(), false, None))
        );
        assert_eq!(
            address_of("198.51.100.1", &["junk"]).unwrap(),
            "198.51.100.1"
        );
        let believed = Ok((
            "192.0.2.1".to_owned(),
            true,
            Some("other.example".to_owned()),
        ));
        assert_eq!(read("10.0.0.1", &given), believed);
        assert_eq!(
            read("::ffff:10.0.0.1", &given),
            believed,
            "an IPv4 peer on an IPv6 socket"
        );
    }

    #[test]
    fn the_right_most_untrusted_address_is_the_client() {
        let proxy = "10.0.0.1";
        for (lines, client) in [
            (&[][..], "10.0.0.1"),
            (&["192.0.2.1"], "192.0.2.1"),
            (&["203.0.113.9, 192.0.2.1"], "192.0.2.1"),
            (&["203.0.113.9, 192.0.2.1, 10.0.0.7"], "192.0.2.1"),
            (
                &["203.0.113.9", "192.0.2.1", "10.0.0.7 , 10.0.0.8"],
                "192.0.2.1",
            ),
            (&["10.0.0.3,10.0.0.4"], "10.0.0.3"),
            (&["junk, 192.0.2.1"], "192.0.2.1"),
            (&["192.0.2.1:4711"], "192.0.2.1"),
            (&["[2001:db8::1]:4711"], "2001:db8::1"),
            (&["[2001:db8::1]"], "2001:db8::1"),
            (&["2001:db8::1, fd00::2"], "2001:db8::1"),
            (&["192.0.2.1, ::ffff:10.0.0.2"], "192.0.2.1"),
        ] {
            assert_eq!(address_of(proxy, lines).unwrap(), client, "{lines:?}");
        }
    }

    #[test]
    fn a_proxy_that_names_nobody_is_not_the_client() {
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        let is_proxy = |peer: &str, given: &[(&'static str, &str)]| {
            let peer = Peer {
                address: peer.parse().unwrap(),
                tls: false,
                trusted_proxies: &trusted,
            };
            Client::read(&headers(given), peer).unwrap().0.is_proxy
        };
        let told = [("x-forwarded-for", "192.0.2.1")];
        assert!(is_proxy("10.0.0.1", &[]));
        assert!(is_proxy("::ffff:10.0.0.1", &[("x-real-ip", "192.0.2.1")]));
        assert!(!is_proxy("10.0.0.1", &told));
        assert!(!is_proxy("192.0.2.9", &[]));
        assert!(!is_proxy("192.0.2.9", &told));
    }

    #[test]
    fn what_a_trusted_proxy_garbles_is_refused() {
        let many = ["10.0.0.2"; 33].join(",");
        for bad in [
            "",
            "unknown",
            "192.0.2.1, junk",
            "192.0.2.1,",
            "192.0.2.1, 10.0.0.999",
            &many,
        ] {
            assert_eq!(
                address_of("10.0.0.1", &[bad]),
                Err(Malformed::ForwardedFor),
                "{bad}"
            );
        }
        for bad in ["", "ftp", "https, http"] {
            let answer = read("10.0.0.1", &[("x-forwarded-proto", bad)]);
            assert_eq!(answer, Err(Malformed::ForwardedProto), "{bad}");
        }
        for bad in ["", "a b", "a, b", "u@a"] {
            let answer = read("10.0.0.1", &[("x-forwarded-host", bad)]);
            assert_eq!(answer, Err(Malformed::ForwardedHost), "{bad}");
        }
    }

    #[test]
    fn the_scheme_is_read() {
        for (proto, tls) in [
            ("https", true),
            ("WSS", true),
            ("http", false),
            ("https, https", true),
        ] {
            assert_eq!(
                read("10.0.0.1", &[("x-forwarded-proto", proto)]).unwrap().1,
                tls,
                "{proto}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_line_is_read_or_refused(line in "[ -~]{0,80}") {
            let _ = address_of("10.0.0.1", &[&line]);
        }
    }
}
