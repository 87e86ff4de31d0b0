//! The phases of a request, in Pingora's order: harden, judge, forward, watch, log.
//!
//! No request reaches [`ProxyHttp::upstream_peer`] without a [`Permit`] in its context, and the
//! upstream gives out no address without one. What may pass is decided in `admit`.

use super::admit::Verdict;
use super::body::{self, Meter};
use super::forward::{self, Outgoing};
use super::harden::{self, BadHead};
use super::stall::{Pulse, Watched};
use super::upstream::{Flow, Upstream, Upstreams};
use super::watch::{Learner, Watch};
use super::{bridge, failure, head, headers};
use crate::clock::Clock;
use crate::config::model::Config;
use crate::digest::DigestKeys;
use crate::gate::{Gate, Permit};
use crate::id::UserId;
use crate::local::{Local, Reply, refusal};
use crate::observe::metrics::{Metrics, Outcome};
use crate::request::Client;
use crate::route::{Route, Routes};
use arc_swap::ArcSwap;
use async_trait::async_trait;
use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, EXPECT, HOST};
use http::{HeaderName, HeaderValue, StatusCode};
use pingora::apps::HttpServerOptions;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::modules::http::HttpModules;
use pingora::protocols::http::v2::server::H2Options;
use pingora::proxy::{FailToProxy, HttpProxy, ProxyHttp, ProxyWarnLogContext, Session};
use pingora::server::configuration::ServerConf;
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorSource, ErrorType, Result};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Servers tried for one request. A request that has sent a body is never tried again.
const TRIES_MAX: usize = 3;
const DESTINATION: HeaderName = HeaderName::from_static("destination");

/// One config with everything that is made from it. A request keeps the one it began with.
#[derive(Debug)]
pub struct Snapshot {
    pub config: Config,
    pub routes: Routes,
    pub upstreams: Upstreams,
}

impl Snapshot {
    /// Names of upstreams are not resolved yet: see [`Upstreams::resolve`]. `previous` is the
    /// running one, in a reload.
    #[must_use]
    pub fn new(config: Config, keys: &DigestKeys, previous: Option<&Self>) -> Self {
        Self {
            routes: Routes::new(&config, keys),
            upstreams: Upstreams::new(&config, previous.map(|previous| &previous.upstreams)),
            config,
        }
    }
}

/// Gives a device an opaque name, for upstreams.
pub type DeviceLabel = Box<dyn Fn(&str) -> String + Send + Sync>;

/// The proxy's part that is Vestibule's own.
pub struct Gateway {
    /// Swapped by a reload.
    pub snapshots: Arc<ArcSwap<Snapshot>>,
    pub gate: Arc<Gate>,
    pub local: Arc<Local>,
    pub learner: Arc<dyn Learner>,
    pub device_label: DeviceLabel,
    pub clock: Arc<dyn Clock>,
    pub metrics: Metrics,
}

/// The application for the accept loop. `h2_options` and `server_options` are read once: a reload
/// does not change them.
#[must_use]
pub fn build(
    gateway: Gateway,
    h2_options: H2Options,
    server_options: HttpServerOptions,
) -> Arc<Watched> {
    let threads = match gateway.snapshots.load().config.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        threads => threads,
    };
    let conf = ServerConf {
        threads,
        max_retries: TRIES_MAX,
        ..ServerConf::default()
    };
    let mut proxy = HttpProxy::new(gateway, Arc::new(conf));
    proxy.h2_options = Some(h2_options);
    proxy.server_options = Some(server_options);
    proxy.handle_init_modules();
    Arc::new(Watched::new(Arc::new(proxy)))
}

/// One request's state.
pub struct Ctx {
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
    pub(super) outcome: Outcome,
    meter: Meter,
    pulse: Option<Arc<Pulse>>,
    tries: usize,
    pub(super) began: Instant,
    asked_upstream: Option<Instant>,
    pub(super) upstream_took: Option<Duration>,
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

/// An answer of Vestibule's own to a failure.
pub(super) fn problem(status: StatusCode, detail: &str) -> Reply {
    refusal::problem(status, status.canonical_reason().unwrap_or("Error"), detail)
}

impl Gateway {
    async fn answer(
        &self,
        session: &mut Session,
        ctx: &mut Ctx,
        outcome: Outcome,
        mut reply: Reply,
    ) -> Result<()> {
        ctx.outcome = outcome;
        if let Some(origin) = ctx.origin.take() {
            head::expose_to(&mut reply, origin);
        }
        bridge::write(session, reply)
            .await
            .map_err(|error| error.into_down())
    }

    async fn answer_locally(
        &self,
        session: &mut Session,
        ctx: &mut Ctx,
        endpoint: &'static crate::local::table::Endpoint,
        mut call: crate::local::Call,
    ) -> Result<()> {
        let limit = ctx.snapshot.config.timeouts.body;
        let downstream = &mut session.downstream_session;
        match body::collect(downstream, body::LOCAL_BYTES_MAX, limit).await {
            Ok(body) => {
                call.body = body;
                let reply = self.local.answer(endpoint, call).await;
                self.answer(session, ctx, Outcome::Local, reply).await
            }
            Err(bad) => {
                let reply = problem(bad.status(), &bad.to_string());
                self.answer(session, ctx, Outcome::BadRequest, reply).await
            }
        }
    }
}

/// A request that must not get this far did: it is ended, whatever went wrong before.
pub(super) fn internal(context: &'static str) -> Box<Error> {
    Error::explain(ErrorType::InternalError, context).into_in()
}

#[async_trait]
impl ProxyHttp for Gateway {
    type CTX = Ctx;

    fn new_ctx(&self) -> Ctx {
        let snapshot = self.snapshots.load_full();
        Ctx {
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
            outcome: Outcome::Failed,
            pulse: Pulse::current(),
            tries: 0,
            began: Instant::now(),
            asked_upstream: None,
            upstream_took: None,
        }
    }

    /// None: the default chain would compress, and so break byte ranges and ETags.
    fn init_downstream_modules(&self, _modules: &mut HttpModules) {}

    async fn early_request_filter(&self, session: &mut Session, ctx: &mut Ctx) -> Result<()> {
        let config = &ctx.snapshot.config;
        let downstream = &mut session.downstream_session;
        ctx.bad_head = harden::harden(downstream, &config.timeouts, &config.connections).err();
        Ok(())
    }

    async fn request_filter(&self, session: &mut Session, ctx: &mut Ctx) -> Result<bool> {
        match self.judge(session, ctx).await {
            Verdict::Forward => {
                ctx.outcome = Outcome::Permitted;
                let timeouts = &ctx.snapshot.config.timeouts;
                let route = ctx.route.as_ref().ok_or_else(|| internal("no route"))?;
                ctx.meter = Meter::new(route.config.body_bytes_max, timeouts.body);
                if let (Some(pulse), Some(upstream)) = (&ctx.pulse, &ctx.upstream) {
                    // An upstream that takes its time must not be held against the client.
                    pulse.start(timeouts.body + upstream.config().timeouts.write);
                }
                Ok(false)
            }
            Verdict::Local(endpoint, call) => {
                self.answer_locally(session, ctx, endpoint, *call).await?;
                Ok(true)
            }
            Verdict::Answer(outcome, reply) => {
                self.answer(session, ctx, outcome, reply).await?;
                Ok(true)
            }
        }
    }

    async fn upstream_peer(&self, _session: &mut Session, ctx: &mut Ctx) -> Result<Box<HttpPeer>> {
        let permit = ctx.permit.as_ref().ok_or_else(|| internal("no permit"))?;
        let upstream = ctx
            .upstream
            .as_ref()
            .ok_or_else(|| internal("no upstream"))?;
        ctx.tries += 1;
        ctx.asked_upstream = Some(Instant::now());
        upstream
            .peer(permit, self.clock.now(), ctx.forward.flow)
            .map_err(|none| Error::because(ErrorType::HTTPStatus(503), "choosing a server", none))
    }

    async fn upstream_request_filter(
        &self,
        _session: &mut Session,
        request: &mut RequestHeader,
        ctx: &mut Ctx,
    ) -> Result<()> {
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
        headers::rewrite_request(request, &told, &upstream.config().headers)
    }

    async fn request_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        end_of_stream: bool,
        ctx: &mut Ctx,
    ) -> Result<()> {
        if session.was_upgraded() {
            return Ok(());
        }
        if let Some(piece) = body {
            ctx.meter
                .count(piece.len(), Instant::now())
                .map_err(|bad| {
                    Error::because(
                        ErrorType::HTTPStatus(bad.status().as_u16()),
                        "request body",
                        bad,
                    )
                    .into_down()
                })?;
        }
        if let Some(pulse) = &ctx.pulse {
            if end_of_stream {
                pulse.stop()
            } else {
                pulse.beat()
            }
        }
        Ok(())
    }

    async fn upstream_response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        ctx: &mut Ctx,
    ) -> Result<()> {
        let is_upgrade = response.status == StatusCode::SWITCHING_PROTOCOLS;
        if is_upgrade {
            session.set_read_timeout(None);
        }
        if let Some(watch) = &mut ctx.watch {
            watch.response_head(response.status, &response.headers);
            let is_refusal = matches!(
                response.status,
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN
            );
            // Told of the head, so that a body too long to be watched is no way around the count.
            if is_refusal && let Some(guess) = &watch.exchange().guess {
                self.learner.refused(guess.clone());
            }
        }
        if is_upgrade || !response.status.is_informational() {
            let took = ctx.asked_upstream.map(|asked| asked.elapsed());
            ctx.upstream_took = took;
            if let Some(upstream) = &ctx.upstream {
                self.metrics.upstream(upstream.name(), took);
            }
        }
        headers::clean_response(response)
    }

    fn response_body_filter(
        &self,
        _session: &mut Session,
        body: &mut Option<Bytes>,
        end_of_stream: bool,
        ctx: &mut Ctx,
    ) -> Result<Option<Duration>> {
        if let Some(watch) = &mut ctx.watch
            && let Some(exchange) = watch.response(body, end_of_stream)
        {
            self.learner.learned(exchange);
        }
        Ok(None)
    }

    fn fail_to_connect(
        &self,
        _session: &mut Session,
        peer: &HttpPeer,
        ctx: &mut Ctx,
        mut error: Box<Error>,
    ) -> Box<Error> {
        if let Some(upstream) = &ctx.upstream {
            upstream.skip(peer, self.clock.now());
            self.metrics.upstream(upstream.name(), None);
            error.set_retry(ctx.tries < upstream.size().min(TRIES_MAX));
        }
        error
    }

    fn error_while_proxy(
        &self,
        _peer: &HttpPeer,
        session: &mut Session,
        mut error: Box<Error>,
        ctx: &mut Ctx,
        client_reused: bool,
    ) -> Box<Error> {
        if *error.esource() == ErrorSource::Upstream
            && let Some(upstream) = &ctx.upstream
        {
            self.metrics.upstream(upstream.name(), None);
        }
        // A kept connection may have been closed just then: a request that changes nothing and
        // has sent nothing but its head is tried on a fresh one.
        if session.req_header().method.is_idempotent() && session.is_body_empty() {
            error.retry.decide_reuse(client_reused);
        } else {
            error.set_retry(false);
        }
        error
    }

    async fn fail_to_proxy(
        &self,
        session: &mut Session,
        error: &Error,
        ctx: &mut Ctx,
    ) -> FailToProxy {
        let is_answered = session
            .response_written()
            .is_some_and(|head| !head.status.is_informational());
        let told = failure::told(error).filter(|_| !is_answered);
        let Some((status, detail)) = told else {
            ctx.outcome = Outcome::Failed;
            return FailToProxy {
                error_code: 0,
                can_reuse_downstream: false,
            };
        };
        let outcome = if status.is_server_error() {
            Outcome::Failed
        } else {
            Outcome::BadRequest
        };
        session.set_keepalive(None);
        // A client that is gone by now needs no answer.
        let _ = self
            .answer(session, ctx, outcome, problem(status, detail))
            .await;
        FailToProxy {
            error_code: status.as_u16(),
            can_reuse_downstream: false,
        }
    }

    async fn logging(&self, session: &mut Session, error: Option<&Error>, ctx: &mut Ctx) {
        self.log(session, ctx, error);
    }

    /// Pingora's own lines hold targets and headers as they came: the access line says it all.
    fn suppress_error_log(&self, _session: &Session, _ctx: &Ctx, _error: &Error) -> bool {
        true
    }

    fn suppress_proxy_warn_log(
        &self,
        _session: &Session,
        _ctx: &Ctx,
        _error: &Error,
        _context: ProxyWarnLogContext,
    ) -> bool {
        true
    }

    fn request_summary(&self, session: &Session, _ctx: &Ctx) -> String {
        session.req_header().method.to_string()
    }
}
