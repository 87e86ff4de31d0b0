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
