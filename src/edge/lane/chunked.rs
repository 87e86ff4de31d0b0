//! Takes the chunked coding off a body (RFC 9112 section 7.1). Pure: it looks at bytes and says which
//! of them are the body's own.
//!
//! Extensions and trailers are read past, within bounds, and dropped: nothing of the upstream's own
//! framing reaches the client.

use super::answer::Step;

/// Bytes of one chunk's extensions, or of all trailers.
const IGNORED_MAX: usize = 8 << 10;

/// Where in the coding the next byte stands.
#[derive(Debug, Default)]
pub(super) struct Chunked {
    at: At,
    /// Bytes read past since the last chunk's data.
    ignored: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// In the digits of a size; `None` before the first.
    Size(Option<u64>),
    /// Behind the digits: spaces or extensions until the CR.
    Extension {
        size: u64,
        named: bool,
    },
    /// Behind the CR of a size's line.
    SizeEnd(u64),
    Data(u64),
    /// Behind a chunk's data.
    DataCr,
    DataLf,
    /// At the beginning of a line of trailers.
    Trailers,
    Trailer,
    TrailerLf,
    LastLf,
    End,
}

impl Default for At {
    fn default() -> Self {
        Self::Size(None)
    }
}

/// Why the coding cannot be followed any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadChunk {
    #[error("a chunk's size is not a hexadecimal number that fits")]
    Size,
    #[error("a line of the chunked coding does not end as it should")]
    Line,
    #[error("a chunk's extensions, or the trailers, are too long")]
    TooLong,
}

impl Chunked {
    pub(super) fn step(&mut self, bytes: &[u8]) -> Result<Step, BadChunk> {
        for (framing, byte) in bytes.iter().enumerate() {
            if let At::Data(left) = self.at {
                let rest = bytes.len() - framing;
                let data = rest.min(usize::try_from(left).unwrap_or(usize::MAX));
                let left = left - data as u64;
                self.ignored = 0;
                self.at = if left == 0 {
                    At::DataCr
                } else {
                    At::Data(left)
                };
                let end = false;
                return Ok(Step { framing, data, end });
            }
            self.at = self.after(*byte)?;
            if self.at == At::End {
                return Ok(Step {
                    framing: framing + 1,
                    data: 0,
                    end: true,
                });
            }
        }
        Ok(Step {
            framing: bytes.len(),
            ..Step::default()
        })
    }

    fn after(&mut self, byte: u8) -> Result<At, BadChunk> {
        match (self.at, byte) {
            (At::Size(Some(size)), b'\r') => Ok(At::SizeEnd(size)),
            (At::Size(Some(size)), b' ' | b'\t' | b';') => {
                let named = byte == b';';
                Ok(At::Extension { size, named })
            }
            (At::Size(size), _) => {
                let digit = char::from(byte).to_digit(16).ok_or(BadChunk::Size)?;
                let size = size.unwrap_or(0).checked_mul(16);
                let size = size.ok_or(BadChunk::Size)? + u64::from(digit);
                // Leading zeros without an end are no number either.
                self.ignore(1)?;
                Ok(At::Size(Some(size)))
            }
            (At::Extension { size, .. }, b'\r') => Ok(At::SizeEnd(size)),
            (At::Extension { size, named }, _) => {
                let is_fine = match byte {
                    b' ' | b'\t' | b';' => true,
                    _ => named && !byte.is_ascii_control(),
                };
                self.ignore(1)?;
                let named = named || byte == b';';
                let next = At::Extension { size, named };
                is_fine.then_some(next).ok_or(BadChunk::Line)
            }
            (At::SizeEnd(0), b'\n') => Ok(At::Trailers),
            (At::SizeEnd(size), b'\n') => Ok(At::Data(size)),
            (At::DataCr, b'\r') => Ok(At::DataLf),
            (At::DataLf, b'\n') => Ok(At::Size(None)),
            (At::Trailers, b'\r') => Ok(At::LastLf),
            (At::LastLf, b'\n') => Ok(At::End),
            (At::Trailer, b'\r') => Ok(At::TrailerLf),
            (At::TrailerLf, b'\n') => Ok(At::Trailers),
            (At::Trailers | At::Trailer, _) if byte != b'\n' && byte != 0 => {
                self.ignore(1)?;
                Ok(At::Trailer)
            }
            _ => Err(BadChunk::Line),
        }
    }

    fn ignore(&mut self, bytes: usize) -> Result<(), BadChunk> {
        self.ignored += bytes;
        if self.ignored > IGNORED_MAX {
            return Err(BadChunk::TooLong);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The body's own bytes and what follows its end, or why it breaks off. The pieces are of `cut`
    /// bytes each.
    fn decode(coded: &[u8], cut: usize) -> Result<(Vec<u8>, Option<Vec<u8>>), BadChunk> {
        let mut chunked = Chunked::default();
        let (mut body, mut input) = (Vec::new(), Vec::new());
        let mut pieces = coded.chunks(cut);
        loop {
            let step = chunked.step(&input)?;
            input.drain(..step.framing);
            body.extend(input.drain(..step.data));
            if step.end {
                input.extend(pieces.flatten());
                return Ok((body, Some(input)));
            }
            if input.is_empty() {
                match pieces.next() {
                    Some(piece) => input.extend_from_slice(piece),
                    None => return Ok((body, None)),
                }
            }
        }
    }

    fn whole(coded: &str) -> Result<(String, Option<String>), BadChunk> {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let mut verdicts = (1..=coded.len().max(1)).map(|cut| decode(coded.as_bytes(), cut));
        let first = verdicts.next().unwrap();
        // However the bytes come, the verdict is the same.
        for verdict in verdicts {
            assert_eq!(verdict, first, "{coded:?}");
        }
        first.map(|(body, rest)| (text(body), rest.map(text)))
    }

    #[test]
    fn chunks_are_joined_and_the_end_is_found() {
        for (coded, body, rest) in [
            ("0\r\n\r\n", "", ""),
            ("5\r\nhello\r\n0\r\n\r\n", "hello", ""),
            ("0005\r\nhello\r\n00\r\n\r\nHTTP/1.1", "hello", "HTTP/1.1"),
            (
                "A\r\n0123456789\r\nb\r\n\r\n0\r\n\r\nabcd\r\n0\r\n\r\n",
                "0123456789\r\n0\r\n\r\nabcd",
                "",
            ),
            ("2;a\r\nhi\r\n1 ; b=\"c\"\r\n!\r\n0;x\r\n\r\n", "hi!", ""),
            ("2 \t\r\nhi\r\n0\r\nA: b\r\nC: d\r\n\r\nX", "hi", "X"),
        ] {
            let expected = (body.to_owned(), Some(rest.to_owned()));
            assert_eq!(whole(coded), Ok(expected), "{coded:?}");
        }
    }

    #[test]
    fn what_breaks_off_has_no_end() {
        let coded = "5;x\r\nhello\r\n0\r\nA: b\r\n\r\n";
        for len in 0..coded.len() {
            let (_, rest) = whole(&coded[..len]).unwrap();
            assert_eq!(rest, None, "{:?}", &coded[..len]);
        }
        assert_eq!(whole(coded).unwrap().1, Some(String::new()));
    }

    #[test]
    fn a_coding_that_two_readers_could_read_in_two_ways_is_refused() {
        for (coded, why) in [
            ("\r\n", BadChunk::Size),
            ("\n", BadChunk::Size),
            (" 5\r\nhello", BadChunk::Size),
            ("+5\r\nhello", BadChunk::Size),
            ("-5\r\nhello", BadChunk::Size),
            ("0x5\r\nhello", BadChunk::Size),
            ("5_0\r\nhello", BadChunk::Size),
            (";x\r\n", BadChunk::Size),
            ("g\r\n", BadChunk::Size),
            ("10000000000000000\r\n", BadChunk::Size),
            ("fffffffffffffffff\r\n", BadChunk::Size),
            ("5\nhello", BadChunk::Size),
            ("5 5\r\nhello", BadChunk::Line),
            ("5\rhello", BadChunk::Line),
            ("5;a\nhello", BadChunk::Line),
            ("5;a\r\rhello", BadChunk::Line),
            ("5;\u{0}\r\nhello", BadChunk::Line),
            ("5\r\nhello0\r\n\r\n", BadChunk::Line),
            ("5\r\nhello\n0\r\n\r\n", BadChunk::Line),
            ("5\r\nhello\r0\r\n\r\n", BadChunk::Line),
            ("0\r\n\n", BadChunk::Line),
            ("0\r\n\rX", BadChunk::Line),
            ("0\r\nA: b\n\r\n", BadChunk::Line),
            ("0\r\nA: b\rC: d\r\n\r\n", BadChunk::Line),
        ] {
            assert_eq!(whole(coded), Err(why), "{coded:?}");
        }
    }

    proptest! {
        #[test]
        fn what_was_coded_comes_back_however_it_is_cut(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..8),
            rest in prop::collection::vec(any::<u8>(), 0..8),
            cut in 1_usize..50,
        ) {
            let mut coded = Vec::new();
            for chunk in &chunks {
                coded.extend(format!("{:x}\r\n", chunk.len()).bytes());
                coded.extend(chunk);
                coded.extend(b"\r\n");
            }
            coded.extend(b"0\r\n\r\n");
            coded.extend(&rest);
            let (body, left) = decode(&coded, cut).unwrap();
            prop_assert_eq!(body, chunks.concat());
            prop_assert_eq!(left, Some(rest));
        }

        #[test]
        fn no_more_is_taken_than_there_is(
            bytes in "[0-9a-f;\\r\\n \\x00x]{0,60}",
        ) {
            let mut chunked = Chunked::default();
            let mut rest = bytes.as_bytes();
            while let Ok(step) = chunked.step(rest) {
                let taken = step.framing + step.data;
                prop_assert!(taken <= rest.len());
                if step.end || taken == 0 {
                    break;
                }
                rest = &rest[taken..];
            }
        }
    }

    #[test]
    fn what_is_dropped_is_bounded() {
        let long = "x".repeat(IGNORED_MAX);
        for coded in [
            format!("5;{long}\r\nhello"),
            format!("0\r\nA: {long}\r\n\r\n"),
            format!("0\r\n{}\r\n", "A: b\r\n".repeat(IGNORED_MAX / 4 + 1)),
            "0".repeat(IGNORED_MAX + 1),
        ] {
            assert_eq!(decode(coded.as_bytes(), 4096), Err(BadChunk::TooLong));
        }
        // Of one chunk, not of all of them.
        let many = format!("1;{}\r\n!\r\n", "x".repeat(1000)).repeat(100);
        let (body, _) = decode(format!("{many}0\r\n\r\n").as_bytes(), 4096).unwrap();
        assert_eq!(body.len(), 100);
    }
}
