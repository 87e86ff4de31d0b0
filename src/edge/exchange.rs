//! One request's state, and what both lanes do with it: what the upstream is told, what its answer
//! loses, what a failure is answered with.
//!
//! Nothing here reads or writes a connection, and nothing decides who may pass: see `admit`.

use super::body::Meter;
use super::forward::Outgoing;
use super::forward_auth::Unfit;
use super::harden::BadHead;
use super::proxy::{Gateway, Snapshot, TRIES_MAX};
use super::stall::Pulse;
use super::tunnel::Tunnel;
use super::upstream::{Flow, Upstream};
use super::watch::Watch;
use super::{failure, forward, head, headers};
use crate::gate::Permit;
use crate::id::UserId;
use crate::local::{Reply, refusal};
use crate::observe::metrics::Outcome;
use crate::observe::traces::Trace;
use crate::request::Client;
use crate::route::Route;
use http::header::{ACCEPT_ENCODING, CONTENT_TYPE, EXPECT, HOST};
use http::{HeaderName, HeaderValue, StatusCode};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::{Error, ErrorType, Result};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

const DESTINATION: HeaderName = HeaderName::from_static("destination");

/// One request's state.
pub(crate) struct Ctx {
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) bad_head: Option<BadHead>,
    pub(super) client: Option<Client>,
    pub(super) route: Option<Arc<Route>>,
    pub(super) upstream: Option<Arc<Upstream>>,
    pub(super) permit: Option<Permit>,
    pub(super) forward: Forward,
    pub(super) watch: Option<Box<Watch>>,
    /// The page that may read Vestibule's own answer.
    pub(super) origin: Option<HeaderValue>,
    pub(super) user: Option<UserId>,
    /// For the log, where the path that was sent must not or cannot be shown.
    pub(super) shown_path: Option<String>,
    /// What a proxy has asked about, as it would have been forwarded.
    pub(super) original: Option<Box<RequestHeader>>,
    /// Why its question was none that can be answered.
    pub(super) unfit: Option<Unfit>,
    pub(super) outcome: Outcome,
    pub(super) meter: Meter,
    pub(super) pulse: Option<Arc<Pulse>>,
    pub(super) tunnel: Option<Box<Tunnel>>,
    /// Servers asked so far.
    pub(super) tries: usize,
    pub(super) began: Instant,
    pub(super) asked_upstream: Option<Instant>,
    pub(super) upstream_took: Option<Duration>,
    /// Which of the upstream's servers was asked last.
    pub(super) server: Option<SocketAddr>,
    /// Where there are traces.
    pub(super) trace: Option<Arc<Trace>>,
}

/// How a permitted request is forwarded.
#[derive(Default)]
pub(super) struct Forward {
    /// Path and query, where they differ from what was sent.
    pub(super) target: Option<Vec<u8>>,
    pub(super) host: Option<HeaderValue>,
    /// The canonical path of WebDAV's `Destination`.
    pub(super) destination: Option<HeaderValue>,
    /// The device's opaque name.
    pub(super) device: Option<String>,
    /// In the place of the token, and beside it.
    pub(super) outgoing: Outgoing,
    /// A WebSocket or an event stream: silence is no failure.
    pub(super) flow: Flow,
}

impl Ctx {
    /// Of a request that has just come.
    pub(super) fn new(snapshot: Arc<Snapshot>) -> Self {
        Self {
            meter: Meter::new(None, snapshot.config.timeouts.body),
            snapshot,
            bad_head: None,
            client: None,
            route: None,
            upstream: None,
            permit: None,
            forward: Forward::default(),
            watch: None,
            origin: None,
            user: None,
            shown_path: None,
            original: None,
            unfit: None,
            outcome: Outcome::Failed,
            pulse: None,
            tunnel: None,
            tries: 0,
            began: Instant::now(),
            asked_upstream: None,
            upstream_took: None,
            server: None,
            trace: None,
        }
    }
}

/// An answer of Vestibule's own to a failure.
pub(super) fn problem(status: StatusCode, detail: &str) -> Reply {
    refusal::problem(status, status.canonical_reason().unwrap_or("Error"), detail)
}

/// A request that must not get this far did: it is ended, whatever went wrong before.
pub(super) fn internal(context: &'static str) -> Box<Error> {
    Error::explain(ErrorType::InternalError, context).into_in()
}

impl Gateway {
    /// Turns the client's head into the one for the upstream. Hop-by-hop headers are the lane's part.
    pub(super) fn tell_upstream(&self, request: &mut RequestHeader, ctx: &Ctx) -> Result<()> {
        let (Some(permit), Some(upstream), Some(route), Some(client), Some(host)) = (
            &ctx.permit,
            &ctx.upstream,
            &ctx.route,
            ctx.client,
            &ctx.forward.host,
        ) else {
            return Err(internal("a request without its permit"));
        };
        if let Some(target) = &ctx.forward.target {
            request.set_raw_path(target)?;
        }
        match &upstream.config().host {
            Some(own) => request.insert_header(HOST, own.as_str())?,
            None => request.insert_header(HOST, host.clone())?,
        }
        // What was matched, not what was written.
        request.remove_header(&DESTINATION);
        if let Some(destination) = &ctx.forward.destination {
            request.insert_header(DESTINATION, destination.clone())?;
        }
        headers::drop_unjudged(request, permit.grant(), &route.config.credentials);
        forward::place_token(request, &ctx.forward.outgoing, &route.config)?;
        if ctx.watch.is_some() {
            // The answer must be readable here, and the body is.
            request.remove_header(&ACCEPT_ENCODING);
            request.remove_header(&EXPECT);
        }
        let told = headers::Told {
            client,
            host,
            grant: permit.grant(),
            device: ctx.forward.device.as_deref(),
            assertion: ctx.forward.outgoing.header(&route.config),
        };
        ctx.tell_trace(request)?;
        headers::rewrite_request(request, &told, &upstream.config().headers)
    }

    /// Takes the head of the upstream's answer, final or not, and makes it fit for the client.
    pub(super) fn hear_upstream(&self, response: &mut ResponseHeader, ctx: &mut Ctx) -> Result<()> {
        let status = response.status;
        if let Some(watch) = &mut ctx.watch {
            watch.response_head(status, &response.headers);
            let is_refusal = matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
            // Told of the head, so that a body too long to be watched is no way around the count.
            if is_refusal && let Some(guess) = &watch.exchange().guess {
                self.learner.refused(guess.clone());
            }
        }
        if status == StatusCode::SWITCHING_PROTOCOLS || !status.is_informational() {
            let took = ctx.asked_upstream.map(|asked| asked.elapsed());
            ctx.upstream_took = took;
            if let Some(upstream) = &ctx.upstream {
                self.metrics.upstream(upstream.name(), took);
            }
            ctx.note_upstream(Some(status));
        }
        headers::clean_response(response)
    }

    /// The upstream failed, before or after it was connected.
    pub(super) fn upstream_failed(&self, ctx: &Ctx) {
        if let Some(upstream) = &ctx.upstream {
            self.metrics.upstream(upstream.name(), None);
        }
        ctx.note_upstream(None);
    }

    /// A server could not be reached: whether another one is to be tried.
    pub(super) fn not_reached(&self, server: &SocketAddr, ctx: &Ctx) -> bool {
        self.upstream_failed(ctx);
        ctx.upstream.as_ref().is_some_and(|upstream| {
            upstream.skip(server, self.clock.now());
            ctx.tries < upstream.size().min(TRIES_MAX)
        })
    }

    /// An answer of Vestibule's own, ready to be written: a page where a browser meets a problem.
    pub(super) fn own_answer(
        &self,
        outcome: Outcome,
        mut reply: Reply,
        request: &RequestHeader,
        ctx: &mut Ctx,
    ) -> Reply {
        ctx.outcome = outcome;
        let settings = self.local.auth.settings.load();
        let placed = ctx.route.as_deref();
        let placed = placed.map(|route| (route, settings.service_name.as_str()));
        let asked = (&request.method, &request.headers);
        if let Some(page) = refusal::page(&reply, asked, placed, &ctx.snapshot.config.portal) {
            return page;
        }
        // Pages are for those who look at them, not for the scripts of other origins.
        if let Some(origin) = ctx.origin.take().filter(|_| !is_page(&reply)) {
            head::expose_to(&mut reply, origin);
        }
        reply
    }

    /// What the client is told of a failure; `None` where it has had an answer's head already, or
    /// has gone. The connection ends either way.
    pub(super) fn failure_answer(
        &self,
        error: &Error,
        is_answered: bool,
        request: &RequestHeader,
        ctx: &mut Ctx,
    ) -> Option<Reply> {
        let Some((status, detail)) = failure::told(error).filter(|_| !is_answered) else {
            ctx.outcome = Outcome::Failed;
            return None;
        };
        let outcome = if status.is_server_error() {
            Outcome::Failed
        } else {
            Outcome::BadRequest
        };
        Some(self.own_answer(outcome, problem(status, detail), request, ctx))
    }
}

fn is_page(reply: &Reply) -> bool {
    let kind = reply.headers().get(CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"))
}
