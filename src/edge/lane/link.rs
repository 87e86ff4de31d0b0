//! One exchange with an upstream, on a connection of its own for as long as it lasts.
//!
//! The body streams through one buffer: nothing is read from the upstream while the client has not
//! taken what was read before. While the upstream is awaited, the client is watched: if it goes,
//! the exchange ends at once.

use super::answer::{self, Answer, BadAnswer, Body, Head};
use crate::edge::conn::{Conn, Stall};
use crate::edge::scan::{BadHead, HeadBounds, HeadScan, Scanned};
use bytes::{Buf, Bytes, BytesMut};
use pingora::{Error, ErrorSource, ErrorType, OrErr as _, Result};
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

/// Read at once while an answer is small.
const SMALL_BYTES: usize = 4 << 10;
/// Read at once when that was not enough.
const BULK_BYTES: usize = 32 << 10;
/// What there must be room for before a read.
const ROOM_BYTES_MIN: usize = 1 << 10;
/// An answer's head; a larger one is an error.
const BOUNDS: HeadBounds = HeadBounds {
    bytes_max: 64 << 10,
    headers_max: answer::HEADERS_MAX,
};
/// Heads before the final one (100, 103, …); more are an error.
const INTERIM_MAX: usize = 16;

/// The client's side of a connection failed.
pub(super) fn down(error: io::Error) -> Box<Error> {
    let kind = match error.kind() {
        io::ErrorKind::TimedOut => ErrorType::WriteTimedout,
        _ => ErrorType::WriteError,
    };
    Error::because(kind, "writing to the client", error).into_down()
}

fn up(kind: ErrorType, context: &'static str) -> Box<Error> {
    Error::explain(kind, context).into_up()
}

fn bad(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Box<Error> {
    Error::because(ErrorType::InvalidHTTPHeader, "the upstream's answer", cause).into_up()
}

fn bad_head(cause: BadHead) -> Box<Error> {
    match cause {
        BadHead::TooLarge => bad(BadAnswer::TooLarge),
        other => bad(other),
    }
}

/// A connection to an upstream while it is used.
pub(super) struct Link {
    stream: TcpStream,
    /// Read and not yet passed on.
    input: BytesMut,
    /// How long the upstream may be silent; `None` for an event stream.
    silence: Option<Stall>,
    /// Something has been read.
    heard: bool,
    /// The last read filled all the room there was.
    is_bulk: bool,
    /// Of the final answer.
    pub(super) status: Option<u16>,
}

impl Link {
    pub(super) fn new(stream: TcpStream, silence: Option<Duration>) -> Self {
        Self {
            stream,
            input: BytesMut::with_capacity(SMALL_BYTES),
            silence: silence.map(Stall::new),
            heard: false,
            is_bulk: false,
            status: None,
        }
    }

    /// Nothing was read past the end of the answer.
    pub(super) fn is_clean(&self) -> bool {
        self.input.is_empty()
    }

    pub(super) fn into_stream(self) -> TcpStream {
        self.stream
    }

    /// Whether a connection that had been kept was found closed: the request was not looked at.
    pub(super) fn is_stale(&self, error: &Error) -> bool {
        !self.heard
            && *error.esource() == ErrorSource::Upstream
            && matches!(
                error.etype(),
                ErrorType::ConnectionClosed | ErrorType::ReadError | ErrorType::WriteError
            )
    }

    /// Sends a request's head and reads the answer's.
    pub(super) async fn ask<S>(
        &mut self,
        conn: &mut Conn<S>,
        request: &[u8],
        write_max: Duration,
        is_head: bool,
    ) -> Result<Answer>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + Sync,
    {
        tokio::time::timeout(write_max, self.stream.write_all(request))
            .await
            .map_err(|_| up(ErrorType::WriteTimedout, "sending the request"))?
            .or_err(ErrorType::WriteError, "sending the request")
            .map_err(|error| error.into_up())?;
        let mut scan = HeadScan::answer();
        let mut interim = 0;
        loop {
            match scan.advance(&self.input, BOUNDS).map_err(bad_head)? {
                Scanned::More => {
                    if self.more(conn).await? == 0 {
                        let context = "the upstream closed before it answered";
                        return Err(up(ErrorType::ConnectionClosed, context));
                    }
                }
                Scanned::Complete { len, .. } => {
                    let head = Bytes::copy_from_slice(self.input.get(..len).unwrap_or_default());
                    self.input.advance(len);
                    if let Head::Final(answer) = answer::read(&head, is_head).map_err(bad)? {
                        self.status = Some(answer.header.status.as_u16());
                        return Ok(*answer);
                    }
                    interim += 1;
                    if interim > INTERIM_MAX {
                        return Err(bad(BadAnswer::Interim));
                    }
                    scan = HeadScan::answer();
                }
            }
        }
    }

    /// Passes the answer's body on to its end; `sent` counts its bytes. The last of them may still
    /// wait to be flushed.
    pub(super) async fn pass<S>(
        &mut self,
        conn: &mut Conn<S>,
        body: &mut Body,
        sent: &mut usize,
    ) -> Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + Sync,
    {
        loop {
            let step = body.step(&self.input).map_err(bad)?;
            self.input.advance(step.framing);
            let data = self.input.get(..step.data).unwrap_or_default();
            if !data.is_empty() {
                write_piece(conn, data, body.is_chunked())
                    .await
                    .map_err(down)?;
                *sent += step.data;
                self.input.advance(step.data);
            }
            if step.end {
                break;
            }
            if self.input.is_empty() && self.more(conn).await? == 0 {
                if matches!(body, Body::UntilClose) {
                    break;
                }
                let context = "the upstream closed before its answer was whole";
                return Err(up(ErrorType::ConnectionClosed, context));
            }
        }
        if body.is_chunked() {
            conn.write_all(b"0\r\n\r\n").await.map_err(down)?;
        }
        Ok(())
    }

    /// Reads once; 0 is the end of the stream.
    async fn more<S>(&mut self, conn: &mut Conn<S>) -> Result<usize>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + Sync,
    {
        if self.is_bulk && self.input.is_empty() && self.input.capacity() < BULK_BYTES {
            self.input = BytesMut::with_capacity(BULK_BYTES);
        }
        // Takes back the room of what has been passed on.
        self.input.reserve(ROOM_BYTES_MIN);
        let read = poll_fn(|cx| self.poll_more(cx, conn)).await?;
        self.heard |= read > 0;
        self.is_bulk = self.input.len() == self.input.capacity();
        Ok(read)
    }

    fn poll_more<S>(&mut self, cx: &mut Context<'_>, conn: &mut Conn<S>) -> Poll<Result<usize>>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + Sync,
    {
        let read = pin!(self.stream.read_buf(&mut self.input)).poll(cx);
        let read = match &mut self.silence {
            Some(silence) => silence.watch(cx, read),
            None => read,
        };
        if let Poll::Ready(read) = read {
            return Poll::Ready(read.map_err(|error| {
                let kind = match error.kind() {
                    io::ErrorKind::TimedOut => ErrorType::ReadTimedout,
                    _ => ErrorType::ReadError,
                };
                Error::because(kind, "reading the answer", error).into_up()
            }));
        }
        // Nothing comes just now: the client gets what there is.
        if let Poll::Ready(Err(error)) = Pin::new(&mut *conn).poll_flush(cx) {
            return Poll::Ready(Err(down(error)));
        }
        if conn.poll_gone(cx).is_ready() {
            let context = "the client has gone";
            let error = Error::explain(ErrorType::ConnectionClosed, context);
            return Poll::Ready(Err(error.into_down()));
        }
        Poll::Pending
    }
}

async fn write_piece<S>(conn: &mut Conn<S>, data: &[u8], in_chunks: bool) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + Sync,
{
    if !in_chunks {
        return conn.write_all(data).await;
    }
    let size = format!("{:x}\r\n", data.len());
    let mut chunk = Buf::chain(size.as_bytes(), data).chain(&b"\r\n"[..]);
    conn.write_all_buf(&mut chunk).await
}
