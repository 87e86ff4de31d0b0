//! Which requests are simple enough for the lane.
//!
//! Reads a head that [`crate::edge::scan`] has found sound. `None` is never a refusal: such a
//! request is Pingora's.

use bytes::Bytes;
use http::header::{
    CONNECTION, EXPECT, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING,
    UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Version};
use pingora::http::RequestHeader;
use pingora::protocols::http::authority::validate_request_authority;
use std::mem::MaybeUninit;

/// Headers in a head; one with more is Pingora's.
const HEADERS_MAX: usize = 64;
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");

/// A request for this lane.
pub(super) struct Plain {
    pub(super) request: RequestHeader,
    /// The client wants the connection closed after the answer.
    pub(super) close: bool,
}

/// Reads a whole head behind which no body comes.
pub(super) fn read(head: &[u8]) -> Option<Plain> {
    if !head.starts_with(b"GET /") && !head.starts_with(b"HEAD /") {
        return None;
    }
    // One copy, which all header values share.
    let head = Bytes::copy_from_slice(head);
    let mut space = [const { MaybeUninit::uninit() }; HEADERS_MAX];
    let mut parsed = httparse::Request::new(&mut []);
    let len = match parsed.parse_with_uninit_headers(&head, &mut space) {
        Ok(httparse::Status::Complete(len)) => len,
        Ok(httparse::Status::Partial) | Err(_) => return None,
    };
    let target = parsed.path?.as_bytes();
    // A target that begins with `//` may be read as another host.
    if len != head.len() || parsed.version != Some(1) || target.starts_with(b"//") {
        return None;
    }
    let count = parsed.headers.len();
    let mut request = RequestHeader::build(parsed.method?, target, Some(count)).ok()?;
    request.set_version(Version::HTTP_11);
    for header in parsed.headers.iter() {
        let name = head.slice_ref(header.name.as_bytes());
        let value = HeaderValue::from_maybe_shared(head.slice_ref(header.value)).ok()?;
        request.append_header(name, value).ok()?;
    }
    validate_request_authority(&request).ok()?;
    let close = closes(&request.headers)?;
    Some(Plain { request, close })
}

/// What `Connection` says; `None` where it says more than that, or the request waits for something.
fn closes(headers: &HeaderMap) -> Option<bool> {
    if headers.contains_key(EXPECT) || headers.contains_key(UPGRADE) {
        return None;
    }
    let mut lines = headers.get_all(CONNECTION).iter();
    let Some(line) = lines.next() else {
        return Some(false);
    };
    if lines.next().is_some() {
        return None;
    }
    let line = line.as_bytes();
    if line.eq_ignore_ascii_case(b"keep-alive") {
        Some(false)
    } else if line.eq_ignore_ascii_case(b"close") {
        Some(true)
    } else {
        None
    }
}

/// Takes out what ends at this hop (RFC 9110 section 7.6.1), as Pingora does. [`read`] has seen to
/// it that `Connection` names no other header.
pub(super) fn drop_hop_by_hop(request: &mut RequestHeader) {
    for name in [
        &KEEP_ALIVE,
        &PROXY_CONNECTION,
        &PROXY_AUTHENTICATE,
        &PROXY_AUTHORIZATION,
        &TE,
        &TRAILER,
        &TRANSFER_ENCODING,
        &CONNECTION,
        &UPGRADE,
        &HTTP2_SETTINGS,
    ] {
        request.remove_header(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close_of(head: &str) -> Option<bool> {
        read(head.as_bytes()).map(|plain| plain.close)
    }

    #[test]
    fn a_plain_head_is_read_whole() {
        let head = "GET /a%20b?x=y HTTP/1.1\r\nHOST: Files\r\nX-a:  b c \t\r\nx-A: d\r\n\r\n";
        let plain = read(head.as_bytes()).unwrap();
        let request = plain.request;
        assert_eq!(request.raw_path(), b"/a%20b?x=y");
        assert_eq!(request.version, Version::HTTP_11);
        assert_eq!(request.headers["host"], "Files");
        let values: Vec<_> = request.headers.get_all("x-a").iter().collect();
        assert_eq!(values, ["b c", "d"]);
        let mut wire = bytes::BytesMut::new();
        request.header_to_h1_wire(&mut wire);
        assert_eq!(&wire[..], b"HOST: Files\r\nX-a: b c\r\nx-A: d\r\n");
    }

    #[test]
    fn the_client_says_whether_it_stays() {
        let with =
            |connection: &str| close_of(&format!("GET / HTTP/1.1\r\nHost: a\r\n{connection}\r\n"));
        assert_eq!(with(""), Some(false));
        assert_eq!(with("Connection: Keep-Alive\r\n"), Some(false));
        assert_eq!(with("Connection: CLOSE\r\n"), Some(true));
        for connection in [
            "Connection: close, keep-alive\r\n",
            "Connection: X-Device-Id\r\n",
            "Connection:\r\n",
            "Connection: close\r\nConnection: close\r\n",
        ] {
            assert_eq!(with(connection), None, "{connection}");
        }
    }

    #[test]
    fn everything_else_is_not_for_this_lane() {
        for head in [
            "POST / HTTP/1.1\r\nHost: a\r\n\r\n",
            "get / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GETS / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET * HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET //a HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.0\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nA : b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nA\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nA: \u{0}\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n\r\nrest",
            "",
        ] {
            assert_eq!(close_of(head), None, "{head:?}");
        }
        let many = "A: b\r\n".repeat(HEADERS_MAX);
        assert_eq!(
            close_of(&format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n")),
            None
        );
    }

    #[test]
    fn what_ends_at_this_hop_is_taken_out() {
        let head = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nKeep-Alive: x\r\nTE: trailers\r\n\
            Trailer: x\r\nProxy-Connection: x\r\nProxy-Authorization: x\r\nProxy-Authenticate: x\r\n\
            HTTP2-Settings: x\r\nAccept: x\r\n\r\n";
        let mut request = read(head.as_bytes()).unwrap().request;
        drop_hop_by_hop(&mut request);
        let left: Vec<_> = request.headers.keys().map(HeaderName::as_str).collect();
        assert_eq!(left, ["host", "accept"]);
    }
}
