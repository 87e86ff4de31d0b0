//! The head of an upstream's answer, and how its body is framed. RFC 9112 section 6.3.
//!
//! Stricter than Pingora, which mends what it can: two framings, two lengths, a coding besides
//! `chunked` and a switch of protocols nobody asked for are errors here.

use super::chunked::{BadChunk, Chunked};
use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, StatusCode};
use pingora::http::ResponseHeader;
use std::mem::MaybeUninit;

/// Headers of an answer; more are an error.
pub(super) const HEADERS_MAX: usize = 128;

/// The head of a final answer.
#[derive(Debug)]
pub(super) struct Answer {
    /// Says how the body is framed on the client's side.
    pub(super) header: ResponseHeader,
    pub(super) body: Body,
    /// The connection can be kept once the body has been read.
    pub(super) keep: bool,
}

/// What is left of a body on the upstream's side.
#[derive(Debug)]
pub(super) enum Body {
    /// This many bytes.
    Length(u64),
    Chunked(Chunked),
    /// Everything until the upstream closes.
    UntilClose,
}

/// The next bytes of a body: so many that say how it is framed, then so many of its own.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) framing: usize,
    pub(super) data: usize,
    /// Nothing more belongs to it.
    pub(super) end: bool,
}

/// Why the head of an answer is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadAnswer {
    #[error("it is not an HTTP/1 response head")]
    Malformed,
    #[error("its Content-Length is not one decimal number")]
    Length,
    #[error("it switches protocols, which nobody asked for")]
    Switch,
    #[error("its head is larger than 64 KiB or has more than 128 headers")]
    TooLarge,
    #[error("too many interim answers come before it")]
    Interim,
}

/// A head of an answer.
#[derive(Debug)]
pub(super) enum Head {
    /// 1xx: another head follows.
    Interim,
    Final(Box<Answer>),
}

/// Reads one whole head, which [`crate::edge::scan`] has found sound. `is_head`: of the answer to a HEAD.
pub(super) fn read(head: &Bytes, is_head: bool) -> Result<Head, BadAnswer> {
    let mut space = [const { MaybeUninit::uninit() }; HEADERS_MAX];
    let mut parsed = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    match config.parse_response_with_uninit_headers(&mut parsed, head, &mut space) {
        Ok(httparse::Status::Complete(len)) if len == head.len() => {}
        Ok(_) | Err(_) => return Err(BadAnswer::Malformed),
    }
    let code = parsed.code.ok_or(BadAnswer::Malformed)?;
    let mut header = ResponseHeader::build(code, Some(parsed.headers.len() + 2))
        .map_err(|_| BadAnswer::Malformed)?;
    if header.status == StatusCode::SWITCHING_PROTOCOLS {
        return Err(BadAnswer::Switch);
    }
    if header.status.is_informational() {
        return Ok(Head::Interim);
    }
    header
        .set_reason_phrase(parsed.reason)
        .map_err(|_| BadAnswer::Malformed)?;
    for line in parsed.headers.iter() {
        let name = head.slice_ref(line.name.as_bytes());
        let value = HeaderValue::from_maybe_shared(head.slice_ref(line.value))
            .map_err(|_| BadAnswer::Malformed)?;
        header
            .append_header(name, value)
            .map_err(|_| BadAnswer::Malformed)?;
    }
    let is_http11 = parsed.version == Some(1);
    let answer = framed(header, is_http11, is_head)?;
    Ok(Head::Final(Box::new(answer)))
}

fn framed(mut header: ResponseHeader, is_http11: bool, is_head: bool) -> Result<Answer, BadAnswer> {
    let length = length(&header.headers)?;
    // That it is exactly `chunked`, and alone, has been looked at.
    let is_chunked = header.headers.contains_key(TRANSFER_ENCODING);
    let mut keep = is_http11 && !says_close(&header.headers);
    let status = header.status;
    let body = if is_head || status == StatusCode::NOT_MODIFIED {
        Body::Length(0)
    } else if status == StatusCode::NO_CONTENT {
        // It must not announce a body: whether one follows is anyone's guess.
        keep &= !is_chunked && length.unwrap_or(0) == 0;
        header.remove_header(&CONTENT_LENGTH);
        header.remove_header(&TRANSFER_ENCODING);
        Body::Length(0)
    } else if is_chunked {
        Body::Chunked(Chunked::default())
    } else if let Some(length) = length {
        Body::Length(length)
    } else {
        keep = false;
        let chunked = HeaderValue::from_static("chunked");
        header
            .insert_header(TRANSFER_ENCODING, chunked)
            .map_err(|_| BadAnswer::Malformed)?;
        Body::UntilClose
    };
    Ok(Answer { header, body, keep })
}

fn length(headers: &HeaderMap) -> Result<Option<u64>, BadAnswer> {
    let mut lines = headers.get_all(CONTENT_LENGTH).iter();
    let Some(line) = lines.next() else {
        return Ok(None);
    };
    let digits = line.as_bytes();
    // `parse` alone would take a sign.
    if lines.next().is_some() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(BadAnswer::Length);
    }
    let text = line.to_str().map_err(|_| BadAnswer::Length)?;
    text.parse().map(Some).map_err(|_| BadAnswer::Length)
}

fn says_close(headers: &HeaderMap) -> bool {
    headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
        .any(|word| word.trim_ascii().eq_ignore_ascii_case(b"close"))
}

impl Body {
    /// Whether the client gets it in chunks.
    pub(super) fn is_chunked(&self) -> bool {
        !matches!(self, Self::Length(_))
    }

    /// Looks at what has come. An empty [`Step`] asks for more.
    pub(super) fn step(&mut self, bytes: &[u8]) -> Result<Step, BadChunk> {
        match self {
            Self::Length(left) => {
                let data = bytes
                    .len()
                    .min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= data as u64;
                Ok(Step {
                    framing: 0,
                    data,
                    end: *left == 0,
                })
            }
            Self::Chunked(chunked) => chunked.step(bytes),
            Self::UntilClose => Ok(Step {
                data: bytes.len(),
                ..Step::default()
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(head: &str, is_head: bool) -> Result<Head, BadAnswer> {
        read(&Bytes::copy_from_slice(head.as_bytes()), is_head)
    }

    fn answer(head: &str) -> Answer {
        match read_text(head, false) {
            Ok(Head::Final(answer)) => *answer,
            other => panic!("{head:?}: {other:?}"),
        }
    }

    /// How a body is framed: its length, or what stands in its place.
    fn framing(answer: &Answer) -> String {
        match &answer.body {
            Body::Length(length) => length.to_string(),
            Body::Chunked(_) => "chunked".to_owned(),
            Body::UntilClose => "close".to_owned(),
        }
    }

    #[test]
    fn the_head_says_where_the_body_ends_and_what_becomes_of_the_connection() {
        for (head, expected, keep) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", "7", true),
            ("HTTP/1.1 200 OK\r\nContent-Length: 007\r\n\r\n", "7", true),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n",
                "chunked",
                true,
            ),
            ("HTTP/1.1 200 OK\r\n\r\n", "close", false),
            ("HTTP/1.1 404\r\n\r\n", "close", false),
            ("HTTP/1.0 200 OK\r\nContent-Length: 7\r\n\r\n", "7", false),
            (
                "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 7\r\n\r\n",
                "7",
                false,
            ),
            (
                "HTTP/1.1 200 OK\r\nConnection: a, CLOSE\r\nContent-Length: 7\r\n\r\n",
                "7",
                false,
            ),
            (
                "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 7\r\n\r\n",
                "7",
                true,
            ),
            (
                "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n",
                "0",
                true,
            ),
            ("HTTP/1.1 204 No Content\r\n\r\n", "0", true),
            (
                "HTTP/1.1 204 No Content\r\nContent-Length: 7\r\n\r\n",
                "0",
                false,
            ),
            (
                "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n",
                "0",
                false,
            ),
        ] {
            let answer = answer(head);
            assert_eq!(framing(&answer), expected, "{head}");
            assert_eq!(answer.keep, keep, "{head}");
        }
        let until_close = answer("HTTP/1.1 200 OK\r\n\r\n");
        assert_eq!(until_close.header.headers[TRANSFER_ENCODING], "chunked");
        assert!(until_close.body.is_chunked());
        let empty = answer("HTTP/1.1 204 No Content\r\nContent-Length: 7\r\n\r\n");
        assert!(empty.header.headers.is_empty());
    }

    #[test]
    fn the_answer_to_a_head_request_has_no_body_and_says_how_long_it_would_be() {
        for head in [
            "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\n",
        ] {
            let Ok(Head::Final(answer)) = read_text(head, true) else {
                panic!("{head:?}");
            };
            assert_eq!(framing(&answer), "0", "{head}");
            assert!(!answer.body.is_chunked());
            let announced = answer.header.headers.len();
            assert_eq!(announced, usize::from(head.contains(':')), "{head}");
        }
    }

    #[test]
    fn heads_that_cannot_be_believed_are_refused() {
        for (head, why) in [
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
                BadAnswer::Length,
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\n",
                BadAnswer::Length,
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\n",
                BadAnswer::Length,
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n",
                BadAnswer::Length,
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 0x1\r\n\r\n",
                BadAnswer::Length,
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551616\r\n\r\n",
                BadAnswer::Length,
            ),
            (
                "HTTP/1.1 304 Not Modified\r\nContent-Length: x\r\n\r\n",
                BadAnswer::Length,
            ),
            (
                "HTTP/1.1 101 Switching Protocols\r\n\r\n",
                BadAnswer::Switch,
            ),
            ("HTTP/1.1 000 None\r\n\r\n", BadAnswer::Malformed),
            ("HTTP/1.1 99 None\r\n\r\n", BadAnswer::Malformed),
            ("HTTP/2.0 200 OK\r\n\r\n", BadAnswer::Malformed),
            ("HTTP/1.1 200 OK\r\nNo colon\r\n\r\n", BadAnswer::Malformed),
            ("HTTP/1.1 200 OK\r\nSpace : 1\r\n\r\n", BadAnswer::Malformed),
            ("HTTP/1.1 200 OK\r\n: empty\r\n\r\n", BadAnswer::Malformed),
            ("HTTP/1.1 200 OK\r\nA: b\r\n\r\nrest", BadAnswer::Malformed),
            ("HTTP/1.1 200 OK\r\nA: b\r\n", BadAnswer::Malformed),
        ] {
            assert_eq!(read_text(head, false).unwrap_err(), why, "{head:?}");
        }
        let many = format!(
            "HTTP/1.1 200 OK\r\n{}\r\n",
            "A: b\r\n".repeat(HEADERS_MAX + 1)
        );
        assert_eq!(read_text(&many, false).unwrap_err(), BadAnswer::Malformed);
    }

    #[test]
    fn interim_heads_are_no_answer() {
        for head in [
            "HTTP/1.1 100 Continue\r\n\r\n",
            "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n",
        ] {
            assert!(
                matches!(read_text(head, false), Ok(Head::Interim)),
                "{head}"
            );
        }
    }

    #[test]
    fn a_length_takes_its_own_bytes_and_no_more() {
        let mut body = Body::Length(5);
        let step = body.step(b"abc").unwrap();
        assert_eq!((step.data, step.end), (3, false));
        let step = body.step(b"").unwrap();
        assert_eq!((step.data, step.end), (0, false));
        let step = body.step(b"defg").unwrap();
        assert_eq!((step.data, step.end), (2, true));
        assert!(Body::Length(0).step(b"x").unwrap().end);
        assert!(!Body::UntilClose.step(b"x").unwrap().end);
    }
}
