//! What an HTTP/1 head must look like before a parser may see it: a request's before either lane's,
//! an answer's before the lean lane's.
//!
//! Pingora is lenient where a gateway must not be: it takes bare line feeds, mends illegal request
//! lines, drops `Content-Length` beside `Transfer-Encoding`, and reads up to 1 MiB. [`HeadScan`]
//! walks over the bytes once, as they come, and stops at the first thing two parsers could read in
//! two ways. It never decides what a header means. RFC 9112 sections 2.2, 3, 5 and 6.

/// Bounds on one request head.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeadBounds {
    pub(crate) bytes_max: usize,
    pub(crate) headers_max: usize,
}

/// How far a head has been read. One value per head.
#[derive(Debug, Default)]
pub(crate) struct HeadScan {
    /// The first line is a status line, which is its parser's to judge.
    is_answer: bool,
    /// Where the line that is not complete yet begins.
    line_start: usize,
    /// Bytes looked at.
    scanned: usize,
    lines: usize,
    framing: Framing,
}

/// The headers that say what follows the head.
#[derive(Debug, Default)]
struct Framing {
    content_length: bool,
    transfer_encoding: bool,
    upgrade: bool,
}

/// What is known after another look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scanned {
    /// No end yet.
    More,
    /// The head is this long, blank line included.
    Complete {
        len: usize,
        /// Neither a body nor another protocol can follow: the next byte begins the next request.
        bodiless: bool,
    },
}

/// Why a head is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadHead {
    #[error("a line ends without CR LF")]
    BareLineFeed,
    #[error("a CR stands alone")]
    BareCarriageReturn,
    #[error("a header is folded over two lines")]
    FoldedHeader,
    #[error("the request line is not `METHOD target HTTP/1.x`")]
    RequestLine,
    #[error("the request target holds a # fragment: leave it out, it is for the client alone")]
    Fragment,
    #[error("the protocol version is not HTTP/1.0 or HTTP/1.1")]
    Version,
    #[error("Content-Length stands beside Transfer-Encoding")]
    TwoFramings,
    #[error("Transfer-Encoding is not exactly `chunked`")]
    TransferCoding,
    #[error(
        "the head is larger than connections.head_bytes_max or has more headers than connections.headers_max"
    )]
    TooLarge,
    #[error("the head took longer than timeouts.head")]
    TooSlow,
}

impl BadHead {
    /// The status line's code and reason.
    pub(crate) fn status(self) -> (u16, &'static str) {
        match self {
            Self::TooSlow => (408, "Request Timeout"),
            Self::TooLarge => (431, "Request Header Fields Too Large"),
            Self::TransferCoding => (501, "Not Implemented"),
            Self::Version => (505, "HTTP Version Not Supported"),
            Self::BareLineFeed
            | Self::BareCarriageReturn
            | Self::FoldedHeader
            | Self::RequestLine
            | Self::Fragment
            | Self::TwoFramings => (400, "Bad Request"),
        }
    }
}

impl HeadScan {
    /// For the head of an upstream's answer.
    pub(crate) fn answer() -> Self {
        Self {
            is_answer: true,
            ..Self::default()
        }
    }

    /// Looks at what has come since the last call. `bytes` begins with the request line (empty
    /// lines before it are the caller's to drop) and only grows between calls.
    pub(crate) fn advance(&mut self, bytes: &[u8], bounds: HeadBounds) -> Result<Scanned, BadHead> {
        loop {
            let rest = bytes.get(self.scanned..).unwrap_or_default();
            let Some(at) = rest.iter().position(|byte| *byte == b'\n') else {
                self.scanned = bytes.len();
                return if bytes.len() > bounds.bytes_max {
                    Err(BadHead::TooLarge)
                } else {
                    Ok(Scanned::More)
                };
            };
            let end = self.scanned + at + 1;
            if end > bounds.bytes_max {
                return Err(BadHead::TooLarge);
            }
            let line = bytes.get(self.line_start..end).unwrap_or_default();
            let line = line.strip_suffix(b"\r\n").ok_or(BadHead::BareLineFeed)?;
            self.line_start = end;
            self.scanned = end;
            if line.is_empty() && self.lines > 0 {
                return self.framing.complete(end);
            }
            self.line(line, bounds)?;
        }
    }

    fn line(&mut self, line: &[u8], bounds: HeadBounds) -> Result<(), BadHead> {
        if line.contains(&b'\r') {
            return Err(BadHead::BareCarriageReturn);
        }
        self.lines += 1;
        if self.lines == 1 {
            return if self.is_answer {
                Ok(())
            } else {
                request_line(line)
            };
        }
        if line.starts_with(b" ") || line.starts_with(b"\t") {
            return Err(BadHead::FoldedHeader);
        }
        if self.lines - 1 > bounds.headers_max {
            return Err(BadHead::TooLarge);
        }
        self.framing.header(line)
    }
}

impl Framing {
    fn header(&mut self, line: &[u8]) -> Result<(), BadHead> {
        // A line without a colon is the parser's to refuse.
        let colon = line.iter().position(|byte| *byte == b':');
        let Some((name, value)) = colon.and_then(|at| line.split_at_checked(at)) else {
            return Ok(());
        };
        if name.eq_ignore_ascii_case(b"content-length") {
            self.content_length = true;
        } else if name.eq_ignore_ascii_case(b"upgrade") {
            self.upgrade = true;
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            let coding = value.get(1..).unwrap_or_default().trim_ascii();
            // A second one would be joined to a list, `chunked, chunked`.
            if self.transfer_encoding || !coding.eq_ignore_ascii_case(b"chunked") {
                return Err(BadHead::TransferCoding);
            }
            self.transfer_encoding = true;
        }
        Ok(())
    }

    fn complete(&self, len: usize) -> Result<Scanned, BadHead> {
        if self.content_length && self.transfer_encoding {
            return Err(BadHead::TwoFramings);
        }
        let bodiless = !(self.content_length || self.transfer_encoding || self.upgrade);
        Ok(Scanned::Complete { len, bodiless })
    }
}

/// Three words with one space between them: Pingora would escape a target with spaces in it.
fn request_line(line: &[u8]) -> Result<(), BadHead> {
    let mut words = line.split(|byte| *byte == b' ');
    let (method, target, version) = (words.next(), words.next(), words.next());
    let whole = |word: Option<&[u8]>| {
        word.is_some_and(|word| !word.is_empty() && !word.iter().any(u8::is_ascii_control))
    };
    if !whole(method) || !whole(target) || words.next().is_some() {
        return Err(BadHead::RequestLine);
    }
    // Pingora's parser drops it: something else would be deleted than what was named.
    if target.is_some_and(|target| target.contains(&b'#')) {
        return Err(BadHead::Fragment);
    }
    match version {
        Some(b"HTTP/1.1" | b"HTTP/1.0") => Ok(()),
        Some(other) if other.starts_with(b"HTTP/") => Err(BadHead::Version),
        _ => Err(BadHead::RequestLine),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: HeadBounds = HeadBounds {
        bytes_max: 256,
        headers_max: 4,
    };

    fn scan(head: &str) -> Result<Scanned, BadHead> {
        let whole = HeadScan::default().advance(head.as_bytes(), BOUNDS);
        // However the bytes are cut, the verdict is the same.
        let mut scan = HeadScan::default();
        let mut dribbled = Ok(Scanned::More);
        for end in 1..=head.len() {
            dribbled = scan.advance(&head.as_bytes()[..end], BOUNDS);
            if dribbled != Ok(Scanned::More) {
                break;
            }
        }
        assert_eq!(whole, dribbled, "{head:?}");
        whole
    }

    fn complete(head: &str, bodiless: bool) {
        let len = head.len();
        assert_eq!(scan(head), Ok(Scanned::Complete { len, bodiless }));
    }

    #[test]
    fn plain_heads_pass() {
        complete("GET / HTTP/1.1\r\nHost: a\r\n\r\n", true);
        complete("GET / HTTP/1.0\r\n\r\n", true);
        complete("PUT /f HTTP/1.1\r\ncontent-length: 3\r\n\r\n", false);
        complete(
            "PUT /f HTTP/1.1\r\nTransfer-Encoding: Chunked \r\n\r\n",
            false,
        );
        complete("GET /w HTTP/1.1\r\nUpgrade: websocket\r\n\r\n", false);
        complete("GET /sm\u{f8}r HTTP/1.1\r\n\r\n", true);
    }

    #[test]
    fn the_head_ends_at_its_blank_line() {
        let two = "GET / HTTP/1.1\r\n\r\nGET /next HTTP/1.1\r\n\r\n";
        assert_eq!(
            scan(two),
            Ok(Scanned::Complete {
                len: 18,
                bodiless: true
            })
        );
    }

    #[test]
    fn ambiguous_heads_are_refused() {
        for (head, why) in [
            ("GET / HTTP/1.1\nHost: a\r\n\r\n", BadHead::BareLineFeed),
            ("GET / HTTP/1.1\r\nHost: a\n\r\n", BadHead::BareLineFeed),
            ("GET / HTTP/1.1\r\nHost: a\r\n\n", BadHead::BareLineFeed),
            (
                "GET / HTTP/1.1\r\nA: b\rC: d\r\n\r\n",
                BadHead::BareCarriageReturn,
            ),
            (
                "GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n",
                BadHead::FoldedHeader,
            ),
            ("GET / HTTP/1.1\r\n\tA: b\r\n\r\n", BadHead::FoldedHeader),
            ("GET /a b HTTP/1.1\r\n\r\n", BadHead::RequestLine),
            ("GET  / HTTP/1.1\r\n\r\n", BadHead::RequestLine),
            ("GET /\r\n\r\n", BadHead::RequestLine),
            ("DELETE /a/#b HTTP/1.1\r\n\r\n", BadHead::Fragment),
            ("GET /\u{1} HTTP/1.1\r\n\r\n", BadHead::RequestLine),
            ("PRI * HTTP/2.0\r\n\r\n", BadHead::Version),
            ("GET / HTTP/1.2\r\n\r\n", BadHead::Version),
            (
                "POST / HTTP/1.1\r\nContent-Length: 1\r\nTRANSFER-ENCODING: chunked\r\n\r\n",
                BadHead::TwoFramings,
            ),
            (
                "POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
                BadHead::TransferCoding,
            ),
            (
                "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
                BadHead::TransferCoding,
            ),
        ] {
            assert_eq!(scan(head), Err(why), "{head:?}");
        }
    }

    #[test]
    fn bounds_hold() {
        let fill = |len: usize| format!("GET / HTTP/1.1\r\nA: {}\r\n\r\n", "x".repeat(len));
        let frame = fill(0).len();
        complete(&fill(256 - frame), true);
        assert_eq!(scan(&fill(257 - frame)), Err(BadHead::TooLarge));
        // Also without any line end, so that nothing grows past the bound.
        assert_eq!(scan(&"x".repeat(257)), Err(BadHead::TooLarge));
        complete(
            &format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(4)),
            true,
        );
        let five = format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(5));
        assert_eq!(scan(&five), Err(BadHead::TooLarge));
    }
}
