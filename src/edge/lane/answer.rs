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
