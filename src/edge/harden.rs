//! Every dangerous default of the framework, mended in one place, for each request.
//!
//! It also refuses the heads that two parsers could read in two ways (RFC 9112 sections 2.2, 5.2
//! and 6.3). It never reads a body and never decides who may pass.

use crate::config::model::{Connections, Timeouts};
use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, StatusCode};
use pingora::protocols::http::ServerSession;
use std::time::Duration;

/// What Pingora itself may read of a body nobody wants, to keep a connection.
const DRAIN: Duration = Duration::from_secs(5);

/// A head that is refused before anything looks at what it asks for. `Display` is what the client
/// is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadHead {
    #[error("the request has too many headers: send fewer")]
    TooManyHeaders,
    #[error("the request has both Content-Length and Transfer-Encoding: send one")]
    TwoFramings,
    #[error("the request has more than one Content-Length: send one")]
    TwoLengths,
    #[error("the request has more than one Host: send one")]
    TwoHosts,
    #[error("a line of the request head ends without CR LF")]
    BareLineFeed,
    #[error("a header of the request is folded over two lines")]
    FoldedHeader,
}

impl BadHead {
    /// The answer's status.
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::TooManyHeaders => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::TwoFramings
            | Self::TwoLengths
            | Self::TwoHosts
            | Self::BareLineFeed
            | Self::FoldedHeader => StatusCode::BAD_REQUEST,
        }
    }
}

/// Sets the bounds of this request; says what is wrong with its head.
pub(crate) fn harden(
    session: &mut ServerSession,
    timeouts: &Timeouts,
    connections: &Connections,
) -> Result<(), BadHead> {
    // `None` was set on purpose (the client said close, or the process is ending): never undone.
    if session.get_keepalive().is_some() {
        session.set_keepalive(Some(timeouts.keepalive.as_secs().max(1)));
    }
    session.set_read_timeout(Some(timeouts.body));
    // No `set_min_send_rate`: it would replace this by as little as one second for a small write.
    session.set_write_timeout(Some(timeouts.write));
    session.set_total_drain_timeout(Some(DRAIN));
    if let Some(http1) = session.as_http1() {
        check_raw(&http1.get_headers_raw_bytes(), &http1.req_header().headers)?;
    }
    check_headers(&session.req_header().headers, connections.headers_max)
}

fn check_headers(headers: &HeaderMap, headers_max: usize) -> Result<(), BadHead> {
    if headers.len() > headers_max {
        return Err(BadHead::TooManyHeaders);
    }
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let is_list = lengths
        .next()
        .is_some_and(|length| length.as_bytes().contains(&b','));
    if is_list || lengths.next().is_some() {
        return Err(BadHead::TwoLengths);
    }
    if headers.get_all(HOST).iter().nth(1).is_some() {
        return Err(BadHead::TwoHosts);
    }
    Ok(())
}

/// What the parser has mended silently, seen in the bytes as they came.
fn check_raw(raw: &[u8], headers: &HeaderMap) -> Result<(), BadHead> {
    let has_transfer_encoding = headers.contains_key(TRANSFER_ENCODING);
    for (number, line) in raw.split_inclusive(|byte| *byte == b'\n').enumerate() {
        if !line.ends_with(b"\r\n") {
            return Err(BadHead::BareLineFeed);
        }
        if number > 0 && (line.starts_with(b" ") || line.starts_with(b"\t")) {
            return Err(BadHead::FoldedHeader);
        }
        if has_transfer_encoding && is_content_length(line) {
            return Err(BadHead::TwoFramings);
        }
    }
    Ok(())
}

fn is_content_length(line: &[u8]) -> bool {
    line.split(|byte| *byte == b':')
        .next()
        .is_some_and(|name| name.trim_ascii().eq_ignore_ascii_case(b"content-length"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    fn raw(head: &str, parsed: &[(&'static str, &'static str)]) -> Result<(), BadHead> {
        check_raw(head.as_bytes(), &headers(parsed))
    }

    #[test]
    fn framing_that_two_parsers_could_read_differently_is_refused() {
        let chunked = [("transfer-encoding", "chunked")];
        // The parser has dropped Content-Length already: only the raw bytes still show it.
        assert_eq!(
            raw(
                "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\ncontent-LENGTH: 3\r\n\r\n",
                &chunked
            ),
            Err(BadHead::TwoFramings)
        );
        assert_eq!(
            raw(
                "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nX-Content-Length: 3\r\n\r\n",
                &chunked
            ),
            Ok(())
        );
        assert_eq!(
            raw("PUT / HTTP/1.1\r\nContent-Length: 3\r\n\r\n", &[]),
            Ok(())
        );
        assert_eq!(
            raw("GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", &[]),
            Err(BadHead::BareLineFeed)
        );
        assert_eq!(
            raw("GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n", &[]),
            Err(BadHead::FoldedHeader)
        );
    }

    #[test]
    fn headers_that_contradict_themselves_are_refused() {
        let check = |pairs: &[_]| check_headers(&headers(pairs), 4);
        assert_eq!(check(&[("host", "a"), ("content-length", "1")]), Ok(()));
        assert_eq!(
            check(&[("host", "a"), ("host", "a")]),
            Err(BadHead::TwoHosts)
        );
        assert_eq!(
            check(&[("content-length", "1"), ("content-length", "1")]),
            Err(BadHead::TwoLengths)
        );
        assert_eq!(
            check(&[("content-length", "1, 1")]),
            Err(BadHead::TwoLengths)
        );
        assert_eq!(check(&[("x", "1"); 4]), Ok(()));
        assert_eq!(check(&[("x", "1"); 5]), Err(BadHead::TooManyHeaders));
        assert_eq!(
            BadHead::TooManyHeaders.status(),
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
        );
        assert_eq!(BadHead::TwoHosts.status(), StatusCode::BAD_REQUEST);
    }
}
