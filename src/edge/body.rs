//! Request bodies: how large, how slow, read whole for a local endpoint, or thrown away.
//!
//! A forwarded body is never held here: [`Meter`] only counts it.

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::{CONTENT_LENGTH, EXPECT};
use pingora::protocols::http::ServerSession;
use std::time::{Duration, Instant};

/// The largest body a local endpoint reads.
pub(crate) const LOCAL_BYTES_MAX: usize = 64 << 10;
/// The slowest upload, as an average once the first `timeouts.body` is over, in bytes a second.
const RATE_MIN: u64 = 256;
/// What is read and thrown away, so that a client that is still sending reads its refusal.
const DISCARDED_BYTES_MAX: u64 = 64 << 20;
const DISCARDING_MAX: Duration = Duration::from_secs(10);
/// A client that has stopped sending for this long has read its refusal, or never will.
const SILENCE_MAX: Duration = Duration::from_secs(2);

/// Why a body is no longer read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadBody {
    #[error("the request body is too large")]
    TooLarge,
    #[error("the request body came too slowly")]
    TooSlow,
    #[error("the request body ended too early")]
    Truncated,
}

/// Counts a body as it is forwarded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Meter {
    received: u64,
    bytes_max: Option<u64>,
    /// How long a body may be slower than [`RATE_MIN`].
    grace: Duration,
    began: Option<Instant>,
}

impl Meter {
    pub(crate) fn new(bytes_max: Option<u64>, grace: Duration) -> Self {
        Self {
            received: 0,
            bytes_max,
            grace,
            began: None,
        }
    }

    /// Counts one piece that came at `now`.
    pub(crate) fn count(&mut self, bytes: usize, now: Instant) -> Result<(), BadBody> {
        self.received = self.received.saturating_add(bytes as u64);
        if self.bytes_max.is_some_and(|max| self.received > max) {
            return Err(BadBody::TooLarge);
        }
        let began = *self.began.get_or_insert(now);
        let late = now.duration_since(began).saturating_sub(self.grace);
        if self.received < late.as_secs().saturating_mul(RATE_MIN) {
            return Err(BadBody::TooSlow);
        }
        Ok(())
    }
}

/// The body's size where the head says it (HTTP/1 without chunks, most of HTTP/2).
pub(crate) fn declared_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Whether the client waits for `100 Continue` (RFC 9110 section 10.1.1).
pub(crate) fn waits_for_continue(headers: &HeaderMap) -> bool {
    headers
        .get(EXPECT)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// Reads a body whole: at most `bytes_max`, for at most `limit` altogether.
pub(crate) async fn collect(
    session: &mut ServerSession,
    bytes_max: usize,
    limit: Duration,
) -> Result<Bytes, BadBody> {
    if declared_length(&session.req_header().headers).is_some_and(|len| len > bytes_max as u64) {
        return Err(BadBody::TooLarge);
    }
    if session.is_body_done() {
        return Ok(Bytes::new());
    }
    if waits_for_continue(&session.req_header().headers) {
        let sent = session.write_continue_response().await;
        sent.map_err(|_| BadBody::Truncated)?;
    }
    tokio::time::timeout(limit, read_all(session, bytes_max))
        .await
        .unwrap_or(Err(BadBody::TooSlow))
}

async fn read_all(session: &mut ServerSession, bytes_max: usize) -> Result<Bytes, BadBody> {
    let mut whole = BytesMut::new();
    loop {
        match session.read_request_body().await {
            Ok(None) => return Ok(whole.freeze()),
            Ok(Some(piece)) if whole.len() + piece.len() > bytes_max => {
                return Err(BadBody::TooLarge);
            }
            Ok(Some(piece)) => whole.extend_from_slice(&piece),
            Err(error) if *error.etype() == pingora::ErrorType::ReadTimedout => {
                return Err(BadBody::TooSlow);
            }
            Err(_) => return Err(BadBody::Truncated),
        }
    }
}

/// Reads a small body that nobody wants before the answer is written, so that the connection
/// can be kept.
pub(crate) async fn swallow_small(session: &mut ServerSession) {
    let headers = &session.req_header().headers;
    let is_small = declared_length(headers).is_some_and(|len| len <= LOCAL_BYTES_MAX as u64);
    if is_small && !waits_for_continue(headers) && !session.is_body_done() {
        // On failure the answer says `Connection: close`, as for any body that is not read.
        let _ = tokio::time::timeout(SILENCE_MAX, session.drain_request_body()).await;
    }
}

/// After an answer to a client that may still be sending: reads on and throws away, within bounds.
/// Closing at once would reset the connection and take the answer with it. The connection is
/// closed afterwards: what follows an unread body is never taken for a request.
pub(crate) async fn discard_rest(session: &mut ServerSession) {
    // HTTP/2 has its own way: the stream is reset with NO_ERROR (RFC 9113 section 8.1).
    if session.is_http2() {
        return;
    }
    let _ = tokio::time::timeout(DISCARDING_MAX, async {
        let mut discarded: u64 = 0;
        while discarded < DISCARDED_BYTES_MAX {
            match tokio::time::timeout(SILENCE_MAX, session.read_request_body()).await {
                Ok(Ok(Some(piece))) => discarded += piece.len() as u64,
                _ => break,
            }
        }
    })
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_over_its_bound_is_refused_at_the_byte() {
        let now = Instant::now();
        let mut meter = Meter::new(Some(10), Duration::from_secs(60));
        assert_eq!(meter.count(10, now), Ok(()));
        assert_eq!(meter.count(1, now), Err(BadBody::TooLarge));
        let mut unbounded = Meter::new(None, Duration::from_secs(60));
        assert_eq!(unbounded.count(usize::MAX, now), Ok(()));
    }

    #[test]
    fn a_trickle_is_refused_and_a_slow_line_is_not() {
        let start = Instant::now();
        let grace = Duration::from_secs(60);
        let mut trickle = Meter::new(None, grace);
        assert_eq!(trickle.count(1, start), Ok(()));
        assert_eq!(trickle.count(1, start + Duration::from_secs(59)), Ok(()));
        assert_eq!(
            trickle.count(1, start + Duration::from_secs(62)),
            Err(BadBody::TooSlow)
        );
        let mut modem = Meter::new(None, grace);
        for second in 0..600 {
            let now = start + Duration::from_secs(second);
            assert_eq!(modem.count(300, now), Ok(()), "after {second} s");
        }
    }

    #[test]
    fn the_head_says_the_length() {
        let mut headers = HeaderMap::new();
        assert_eq!(declared_length(&headers), None);
        headers.insert(CONTENT_LENGTH, http::HeaderValue::from_static("7"));
        assert_eq!(declared_length(&headers), Some(7));
        assert!(!waits_for_continue(&headers));
        headers.insert(EXPECT, http::HeaderValue::from_static("100-Continue"));
        assert!(waits_for_continue(&headers));
    }
}
