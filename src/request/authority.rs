//! The one spelling of a host. Pure; allocates only when the host was not in that spelling.

use super::{Malformed, all_bytes};
use std::borrow::Cow;
use std::io::Write as _;
use std::net::Ipv6Addr;

/// Characters of a host name (RFC 1035 section 2.3.4, in text).
const NAME_MAX: usize = 253;
/// Characters between two dots.
const LABEL_MAX: usize = 63;

/// `host[:port]` (RFC 3986 section 3.2) without user information.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Authority<'a> {
    /// Lower case, no trailing dot; an IPv6 address in brackets and in RFC 5952 form.
    pub(super) host: Cow<'a, str>,
    pub(super) port: Option<u16>,
}

impl<'a> Authority<'a> {
    /// Reads an authority.
    pub(super) fn parse(text: &'a str) -> Result<Self, Malformed> {
        if is_canonical_name(text) {
            let host = Cow::Borrowed(text);
            return Ok(Self { host, port: None });
        }
        Self::parse_any(text)
    }

    fn parse_any(text: &'a str) -> Result<Self, Malformed> {
        let (host, port) = if let Some(rest) = text.strip_prefix('[') {
            let (address, port) = rest.split_once(']').ok_or(Malformed::Host)?;
            (
                ipv6(text, address)?,
                port.strip_prefix(':').or(port.is_empty().then_some("")),
            )
        } else {
            let (name, port) = text.split_once(':').unwrap_or((text, ""));
            (self::name(name)?, Some(port))
        };
        let port = match port.ok_or(Malformed::Host)? {
            // RFC 3986 allows `host:` and calls it the default port.
            "" => None,
            digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                Some(digits.parse().map_err(|_| Malformed::Host)?)
            }
            _ => return Err(Malformed::Host),
        };
        Ok(Self { host, port })
    }

    /// Whether both name one server for `scheme`, whose default port may be there or not.
    pub(super) fn is_same(&self, other: &Self, scheme: Scheme) -> bool {
        let port = |authority: &Self| authority.port.unwrap_or(scheme.default_port());
        self.host == other.host && port(self) == port(other)
    }
}

/// The two schemes a request can come with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    Http,
    Https,
}

impl Scheme {
    /// The scheme of an absolute URI and what follows its `://`.
    pub(super) fn split(uri: &str) -> Option<(Self, &str)> {
        let (name, rest) = uri.split_once("://")?;
        match name {
            _ if name.eq_ignore_ascii_case("http") => Some((Self::Http, rest)),
            _ if name.eq_ignore_ascii_case("https") => Some((Self::Https, rest)),
            _ => None,
        }
    }

    /// The scheme of a connection.
    pub(super) fn of(tls: bool) -> Self {
        if tls { Self::Https } else { Self::Http }
    }

    fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// Whether a text is a host name as [`name`] gives it back, without a port, and not longer than one
/// label may be: nearly every one is.
fn is_canonical_name(text: &str) -> bool {
    let is_of_name = |byte: u8| {
        let is_letter = byte.is_ascii_lowercase() | byte.is_ascii_digit();
        is_letter | (byte == b'-') | (byte == b'_') | (byte == b'.')
    };
    (1..=LABEL_MAX).contains(&text.len())
        && all_bytes(text, is_of_name)
        && !text.starts_with('.')
        && !text.ends_with('.')
        && !text.contains("..")
}

/// Reads a name or an IPv4 address.
fn name(text: &str) -> Result<Cow<'_, str>, Malformed> {
    let name = text.strip_suffix('.').unwrap_or(text);
    let is_label = |label: &[u8]| {
        (1..=LABEL_MAX).contains(&label.len())
            && label
                .iter()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    let mut labels = name.as_bytes().split(|byte| *byte == b'.');
    if name.len() > NAME_MAX || !labels.all(is_label) {
        return Err(Malformed::Host);
    }
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Ok(Cow::Owned(name.to_ascii_lowercase()));
    }
    Ok(Cow::Borrowed(name))
}

/// Reads the address between the brackets of `text`.
fn ipv6<'a>(text: &'a str, address: &str) -> Result<Cow<'a, str>, Malformed> {
    let address: Ipv6Addr = address.parse().map_err(|_| Malformed::Host)?;
    // Long enough for any address with brackets, so that a canonical one is compared on the stack.
    let mut buffer = [0_u8; 64];
    let room = buffer.len();
    let mut free = buffer.as_mut_slice();
    write!(free, "[{address}]").map_err(|_| Malformed::Host)?;
    let used = room - free.len();
    let canonical = buffer.get(..used).unwrap_or_default();
    match text.get(..used) {
        Some(same) if same.as_bytes() == canonical => Ok(Cow::Borrowed(same)),
        _ => Ok(Cow::Owned(format!("[{address}]"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn hosts_have_one_spelling() {
        for (given, host, port) in [
            ("files.example.org", "files.example.org", None),
            ("FILES.Example.ORG.", "files.example.org", None),
            ("files.example.org:8443", "files.example.org", Some(8443)),
            ("files.example.org.:80", "files.example.org", Some(80)),
            ("files:", "files", None),
            ("my_host", "my_host", None),
            ("127.0.0.1:80", "127.0.0.1", Some(80)),
            ("[::1]", "[::1]", None),
            ("[::1]:8080", "[::1]", Some(8080)),
            ("[2001:DB8:0:0::1]", "[2001:db8::1]", None),
        ] {
            let authority = Authority::parse(given).unwrap();
            assert_eq!(authority.host, host, "{given}");
            assert_eq!(authority.port, port, "{given}");
        }
    }

    #[test]
    fn canonical_hosts_are_borrowed() {
        for host in [
            "files.example.org",
            "files.example.org:443",
            "x.",
            "[::1]",
            "[2001:db8::1]:1",
        ] {
            assert!(
                matches!(Authority::parse(host).unwrap().host, Cow::Borrowed(_)),
                "{host}"
            );
        }
    }

    #[test]
    fn bad_hosts_are_refused() {
        let long_label = "a".repeat(64);
        let long_name = "a.".repeat(127) + "a";
        for host in [
            "",
            ".",
            "a..b",
            ".a",
            "a..",
            ":80",
            "a:b",
            "a:99999",
            "a:+80",
            "a:1:2",
            "u@a",
            "a b",
            "a/b",
            "a,b",
            "a%2eb",
            "ø.dk",
            "a\\b",
            "[::1",
            "[::1]x",
            "[::1]x:80",
            "[]",
            "[fe80::1%25eth0]",
            "[127.0.0.1]",
            "::1",
            &long_label,
            &long_name,
        ] {
            assert_eq!(Authority::parse(host), Err(Malformed::Host), "{host}");
        }
    }

    proptest! {
        #[test]
        fn a_canonical_name_is_read_as_any_other(
            text in "([a-cA-C0-9._:-]|[a-c]{14,18}|\\.|[a-c]{62,64}|\\[|ø){0,8}"
        ) {
            prop_assert_eq!(Authority::parse(&text), Authority::parse_any(&text));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "\\PC*") {
            if let Ok(authority) = Authority::parse(&text) {
                let again = Authority::parse(&authority.host).unwrap();
                prop_assert_eq!(&again.host, &authority.host);
            }
        }
    }
}
