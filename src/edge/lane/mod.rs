//! The lean lane beside Pingora's proxy: plain HTTP/1.1 GETs and HEADs that memory alone permits.
//!
//! Most requests to a file server are these, and Pingora's general machinery (two tasks' worth of
//! channels, copies of both heads, filters) is most of what they would cost. The lane takes a
//! request only if everything about it is simple (`request` says what that is) and the gate
//! permits it at once; else it leaves the head where it lay, and Pingora's lane sees it as if
//! this one were not there. It never refuses: it has no answer of its own but for a failed upstream.
//!
//! It never signs and never opens a sealed token. A request stays Pingora's if its route sends up what Vestibule
//! signs (`forward.assertion`, `forward.token: vestibule`), or if its token stands for another one, which is kept
//! sealed. So do sign-ins that are watched, and requests that spend a success token: memory
//! settles neither.
//!
//! What is decided, told and logged is the same code for both lanes (`admit`, `exchange`, `headers`,
//! `access`); what is here is the moving of bytes. Whatever is doubtful about the framing of an
//! upstream's answer ends its connection, and before the answer has begun it is a 502.

mod answer;
mod chunked;
mod link;
pub(super) mod pool;
mod request;

use super::access::Ended;
use super::admit::{Asked, Carrier};
use super::bridge;
use super::conn::Conn;
use super::exchange::{Ctx, internal};
use super::harden;
use super::proxy::Gateway;
use super::tunnel::{self, Opener};
use super::upstream::{Flow, Target};
use crate::gate::{Grant, Permit};
use answer::Answer;
use bytes::{BufMut, BytesMut};
use http::header::{CONNECTION, DATE};
use http::{HeaderValue, Method};
use link::{Link, down};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::http::date::get_cached_date;
use pingora::protocols::http::v1::client::http_req_header_to_wire;
use pingora::server::ShutdownWatch;
use pingora::{Error, ErrorSource, ErrorType, OrErr as _, Result};
use std::sync::Arc;
use std::time::Instant;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

/// Room for the head of an answer; it grows where that is not enough.
const HEAD_BYTES: usize = 512;

/// The lane. Cheap to clone.
#[derive(Clone)]
pub struct Lane {
    gateway: Arc<Gateway>,
}

/// What became of the request whose head a connection had read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Served {
    /// It is Pingora's; nothing has been touched.
    Not,
    /// Answered whole; the connection may go on.
    Kept,
    /// The connection has ended.
    Ended,
}

/// A request that this lane has taken: it has its permit.
struct Job {
    ctx: Ctx,
    request: RequestHeader,
    /// The connection ends after the answer.
    close: bool,
    sent: Sent,
}

/// What the client has got of the answer.
#[derive(Default)]
struct Sent {
    status: Option<u16>,
    body_bytes: usize,
}

impl Lane {
    pub(super) fn new(gateway: Arc<Gateway>) -> Self {
        Self { gateway }
    }

    /// Serves the request whose head `conn` has just read, if it is one for this lane.
    pub(super) async fn serve<S>(&self, conn: &mut Conn<S>, shutdown: &ShutdownWatch) -> Served
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + Sync,
    {
        let Some(mut job) = self.take(conn) else {
            return Served::Not;
        };
        job.close |= *shutdown.borrow();
        let outcome = self.forward(conn, &mut job).await;
        conn.skip_head();
        let is_whole = match &outcome {
            Ok(()) => true,
            Err(error) if tunnel::is_session_ended(error) => false,
            Err(error) => {
                job.close = true;
                self.fail(conn, &mut job, error).await
            }
        };
        let ended = Ended {
            request: &job.request,
            status: job.sent.status,
            bytes_in: 0,
            bytes_out: job.sent.body_bytes,
            error: outcome.as_ref().err().map(AsRef::as_ref),
        };
        self.gateway.log(&ended, &job.ctx);
        if is_whole && !job.close {
            return Served::Kept;
        }
        if is_whole {
            // The connection ends either way.
            let _ = conn.shutdown().await;
        }
        Served::Ended
    }

    fn take<S>(&self, conn: &Conn<S>) -> Option<Box<Job>>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + Sync,
    {
        let request::Plain { request, close } = request::read(conn.bodiless_head()?)?;
        let mut ctx = Ctx::new(self.gateway.snapshots.load_full());
        let headers_max = ctx.snapshot.config.connections.headers_max;
        harden::check_headers(&request.headers, headers_max).ok()?;
        let asked = Asked {
            request: &request,
            address: conn.peer().ip().to_canonical(),
            tls: conn.is_tls(),
            has_body: false,
            carrier: Carrier::Here,
        };
        ctx.begin_trace(&asked);
        let is_permitted = self.gateway.decide_at_once(&asked, &mut ctx);
        is_permitted.then(|| {
            Box::new(Job {
                ctx,
                request,
                close,
                sent: Sent::default(),
            })
        })
    }

    /// Forwards the request and its answer. After an error the connection must end.
    async fn forward<S>(&self, conn: &mut Conn<S>, job: &mut Job) -> Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + Sync,
    {
        request::drop_hop_by_hop(&mut job.request);
        self.gateway.tell_upstream(&mut job.request, &job.ctx)?;
        let wire = http_req_header_to_wire(&job.request).ok_or_else(|| internal("request line"))?;
        let (mut link, answer, target) = self.ask(conn, job, &wire).await?;
        let Answer {
            mut header,
            mut body,
            keep,
        } = answer;
        self.gateway.hear_upstream(&mut header, &mut job.ctx)?;
        let opener = self.opener(conn, &header, &job.ctx);
        write_head(conn, header, job.close).await?;
        job.sent.status = link.status;
        let pass = link.pass(conn, &mut body, &mut job.sent.body_bytes);
        let passed = match opener {
            None => pass.await,
            Some(opener) => tokio::select! {
                biased;
                passed = pass => passed,
                // Boxed: other exchanges should not carry the room for it.
                () = Box::pin(opener.allowed(&self.gateway, &job.ctx.snapshot)) => {
                    Err(tunnel::session_ended())
                }
            },
        };
        self.count(passed, &job.ctx)?;
        if keep && link.is_clean() {
            target.pool.put(link.into_stream());
        }
        conn.flush().await.map_err(down)
    }

    /// Of an answer that goes on: who asked for it, if somebody had to be let through.
    fn opener<S>(&self, conn: &Conn<S>, answer: &ResponseHeader, ctx: &Ctx) -> Option<Box<Opener>>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + Sync,
    {
        let is_open = |permit: &Permit| matches!(permit.grant(), Grant::Open);
        if !tunnel::is_opened_by(answer) || ctx.permit.as_ref().is_none_or(is_open) {
            return None;
        }
        // The request is what the upstream was told by now; the head lies where it was read.
        let request::Plain { request, .. } = request::read(conn.bodiless_head()?)?;
        Some(Box::new(Opener {
            request,
            address: conn.peer().ip().to_canonical(),
            tls: conn.is_tls(),
        }))
    }

    /// Asks one server after the other until there is the head of an answer.
    async fn ask<S>(
        &self,
        conn: &mut Conn<S>,
        job: &mut Job,
        wire: &[u8],
    ) -> Result<(Link, Answer, Arc<Target>)>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + Sync,
    {
        let ctx = &mut job.ctx;
        let upstream = ctx
            .upstream
            .clone()
            .ok_or_else(|| internal("no upstream"))?;
        let timeouts = &upstream.config().timeouts;
        let silence = (ctx.forward.flow == Flow::Bounded).then_some(timeouts.read);
        let is_head = job.request.method == Method::HEAD;
        let mut may_reuse = true;
        loop {
            let permit = ctx.permit.as_ref().ok_or_else(|| internal("no permit"))?;
            let target = upstream
                .target(permit, self.gateway.clock.now())
                .or_err(ErrorType::HTTPStatus(503), "choosing a server")?;
            ctx.server = Some(target.address);
            ctx.tries += 1;
            ctx.asked_upstream = Some(Instant::now());
            let kept = may_reuse.then(|| target.pool.take()).flatten();
            let is_reused = kept.is_some();
            let stream = match kept {
                Some(stream) => stream,
                None => match pool::connect(&target.address, timeouts.connect).await {
                    Ok(stream) => stream,
                    Err(_) if self.gateway.not_reached(&target.address, ctx) => continue,
                    Err(error) => return Err(error),
                },
            };
            let mut link = Link::new(stream, silence);
            let answer = link.ask(conn, wire, timeouts.write, is_head).await;
            match self.count(answer, ctx) {
                Ok(answer) => return Ok((link, answer, target)),
                // It may have been closed just then, which says nothing of the server.
                Err(error) if is_reused && link.is_stale(&error) => may_reuse = false,
                Err(error) => return Err(error),
            }
        }
    }

    /// Counts it where the upstream failed.
    fn count<T>(&self, result: Result<T>, ctx: &Ctx) -> Result<T> {
        if let Err(error) = &result
            && *error.esource() == ErrorSource::Upstream
        {
            self.gateway.upstream_failed(ctx);
        }
        result
    }

    /// Tells the client of a failure, if its answer has not begun. Whether it was told.
    async fn fail<S>(&self, conn: &mut Conn<S>, job: &mut Job, error: &Error) -> bool
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + Sync,
    {
        if *error.esource() == ErrorSource::Upstream
            && let (ErrorType::InvalidHTTPHeader, Some(cause)) = (error.etype(), &error.cause)
        {
            let upstream = job.ctx.upstream.as_ref().map(|upstream| upstream.name());
            tracing::warn!(upstream, %cause, "an answer of the upstream was refused");
        }
        let is_answered = job.sent.status.is_some();
        let reply = self
            .gateway
            .failure_answer(error, is_answered, &job.request, &mut job.ctx);
        let Some(reply) = reply else {
            // What came before the failure is the client's, if it is still there.
            let _ = conn.flush().await;
            return false;
        };
        let status = reply.status().as_u16();
        let is_head = job.request.method == Method::HEAD;
        let Ok((header, body)) = bridge::encode(reply, is_head) else {
            return false;
        };
        if write_head(conn, header, true).await.is_err() {
            return false;
        }
        job.sent.status = Some(status);
        if !is_head && conn.write_all(&body).await.is_ok() {
            job.sent.body_bytes = body.len();
        }
        conn.flush().await.is_ok()
    }
}

/// Writes the head of an answer, which waits for what follows it.
async fn write_head<S>(conn: &mut Conn<S>, mut header: ResponseHeader, close: bool) -> Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + Sync,
{
    header.insert_header(DATE, get_cached_date())?;
    let connection = if close { "close" } else { "keep-alive" };
    header.insert_header(CONNECTION, HeaderValue::from_static(connection))?;
    let mut head = BytesMut::with_capacity(HEAD_BYTES);
    // Its own version, whatever the upstream's is (RFC 9110 section 6.2).
    head.put_slice(b"HTTP/1.1 ");
    head.put_slice(header.status.as_str().as_bytes());
    head.put_u8(b' ');
    head.put_slice(header.get_reason_phrase().unwrap_or_default().as_bytes());
    head.put_slice(b"\r\n");
    header.header_to_h1_wire(&mut head);
    head.put_slice(b"\r\n");
    conn.write_all(&head).await.map_err(down)
}
