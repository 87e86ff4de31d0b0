//! Every dangerous default of the framework, mended in one place, for each request.
//!
//! It also refuses what contradicts itself among parsed headers, HTTP/1's and HTTP/2's alike (RFC 9112
//! sections 3.2 and 6.3); HTTP/1's bytes have been judged by [`super::scan`] before. It never reads
//! a body and never decides who may pass.

use crate::config::model::{Connections, Timeouts};
use http::header::{CONTENT_LENGTH, HOST};
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
    #[error("the request has more than one Content-Length: send one")]
    TwoLengths,
    #[error("the request has more than one Host: send one")]
    TwoHosts,
}

impl BadHead {
    /// The answer's status.
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::TooManyHeaders => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::TwoLengths | Self::TwoHosts => StatusCode::BAD_REQUEST,
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
    check_headers(&session.req_header().headers, connections.headers_max)
}

/// What contradicts itself among the headers, or is too many of them.
pub(super) fn check_headers(headers: &HeaderMap, headers_max: usize) -> Result<(), BadHead> {
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
