//! Request targets that come inside a call (a share URL, a page to return to), read exactly as
//! the request they stand for would be read.

use super::Call;
use crate::request::{Peer, RequestHead};
use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, Method, Uri};

/// A path and query on the call's own host, with the headers that are taken to come with it.
pub(super) struct Target {
    raw: String,
    uri: Uri,
    pub(super) headers: HeaderMap,
}

impl Target {
    /// A target that comes with no header but the host.
    pub(super) fn bare(call: &Call, raw: &str) -> Option<Self> {
        Self::with(call, raw, HeaderMap::new())
    }

    /// A target that comes with the headers of the call: what its browser sends along with it.
    pub(super) fn like(call: &Call, raw: &str) -> Option<Self> {
        let mut headers = call.headers.clone();
        // Of the call's body, which the target does not have.
        headers.remove(CONTENT_LENGTH);
        headers.remove(TRANSFER_ENCODING);
        Self::with(call, raw, headers)
    }

    fn with(call: &Call, raw: &str, mut headers: HeaderMap) -> Option<Self> {
        if !is_local(raw) {
            return None;
        }
        headers.insert(HOST, HeaderValue::from_str(&call.host).ok()?);
        Some(Self {
            uri: raw.parse().ok()?,
            raw: raw.to_owned(),
            headers,
        })
    }

    /// Its head in canonical form; `None` if it would be refused as malformed.
    pub(super) fn head<'t>(&'t self, call: &Call, method: &'t Method) -> Option<RequestHead<'t>> {
        let peer = Peer {
            address: call.address,
            tls: call.tls,
            trusted_proxies: &[],
        };
        let target = self.raw.as_bytes();
        RequestHead::read(method, &self.uri, target, &self.headers, peer).ok()
    }
}

/// Whether this is an absolute path on this host, and nothing that a browser could take for
/// another host (`//host`, `/\host`) or for two lines of a header.
pub(super) fn is_local(target: &str) -> bool {
    let mut bytes = target.bytes();
    bytes.next() == Some(b'/')
        && !matches!(bytes.next(), Some(b'/' | b'\\'))
        && target
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'\\')
}

/// The path and query of a URL whose host is one of `hosts`; a bare path is taken as it is.
pub(super) fn path_on(hosts: &[String], url: &str) -> Option<String> {
    if url.starts_with('/') {
        return Some(url.to_owned());
    }
    let uri: Uri = url.parse().ok()?;
    if !matches!(uri.scheme_str(), Some("https" | "http")) {
        return None;
    }
    let host = uri.host()?.trim_end_matches('.').to_ascii_lowercase();
    let ours = hosts.iter().any(|pattern| {
        pattern == "*"
            || *pattern == host
            || pattern
                .strip_prefix('*')
                .is_some_and(|suffix| suffix.starts_with('.') && host.ends_with(suffix))
    });
    ours.then(|| uri.path_and_query().map(|path| path.as_str().to_owned()))?
}

/// The last segment of a canonical path, percent-decoded; empty if it does not decode to text.
pub(super) fn last_segment(path: &str) -> String {
    decoded(path.rsplit('/').next().unwrap_or_default())
}

/// The n-th segment of a canonical path (the first is 1), percent-decoded; empty if there is none,
/// or it does not decode to text.
pub(super) fn segment(path: &str, n: usize) -> String {
    decoded(path.split('/').nth(n).unwrap_or_default())
}

fn decoded(segment: &str) -> String {
    percent_encoding::percent_decode_str(segment)
        .decode_utf8()
        .map(std::borrow::Cow::into_owned)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_path_on_this_host_is_local() {
        for good in ["/", "/a/b?c=d&e=%2F", "/a//b", "/.vestibule/challenge"] {
            assert!(is_local(good), "{good}");
        }
        for bad in [
            "",
            "a",
            "//evil.example",
            "/\\evil.example",
            "https://evil.example/",
            "/a\\b",
            "/a\r\nSet-Cookie: x",
            "/a b",
            "/\u{e9}",
            "javascript:alert(1)",
            "\t/a",
            "/\t/evil",
        ] {
            assert!(!is_local(bad), "{bad}");
        }
    }

    #[test]
    fn a_share_url_is_of_this_host_or_a_bare_path() {
        let hosts = ["files.example.org".to_owned(), "*.share.example".to_owned()];
        let path = |url| path_on(&hosts, url);
        assert_eq!(path("/share/t").as_deref(), Some("/share/t"));
        assert_eq!(
            path("https://Files.Example.org:8443/share/t/x?y").as_deref(),
            Some("/share/t/x?y")
        );
        assert_eq!(
            path("http://a.share.example/share/t").as_deref(),
            Some("/share/t")
        );
        for foreign in [
            "https://evil.example/share/t",
            "https://files.example.org.evil.example/share/t",
            "https://share.example/share/t",
            "https://xshare.example/share/t",
            "https://files.example.org@evil.example/share/t",
            "ftp://files.example.org/share/t",
            "share/t",
            "",
        ] {
            assert_eq!(path(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn the_last_segment_is_decoded_once() {
        assert_eq!(last_segment("/api/x/a%2Db"), "a-b");
        assert_eq!(last_segment("/api/x/a%252D"), "a%2D");
        assert_eq!(last_segment("/api/x/%ff"), "");
    }
}
