//! The phases of a request, in Pingora's order: harden, judge, forward, watch, log.
//!
//! No request reaches [`ProxyHttp::upstream_peer`] without a [`crate::gate::Permit`] in its context, and the
//! upstream gives out no address without one. What may pass is decided in `admit`.

use super::access::Ended;
use super::admit::Verdict;
use super::body::{self, Meter};
use super::bridge;
use super::exchange::{Ctx, internal, problem};
use super::forward_auth::Complaints;
use super::harden;
use super::lane::Lane;
use super::listen::Apps;
use super::stall::{Pulse, Watched};
use super::tunnel::{self, Opener, Tunnel};
use super::upstream::Upstreams;
use super::watch::Learner;
use crate::clock::Clock;
use crate::config::model::Config;
use crate::digest::DigestKeys;
use crate::gate::{Gate, Grant};
use crate::local::{Local, Reply};
use crate::observe::metrics::{Metrics, Outcome};
use crate::observe::traces::Tracer;
use crate::route::Routes;
use crate::steps;
use arc_swap::ArcSwap;
use async_trait::async_trait;
use bytes::Bytes;
use http::StatusCode;
use pingora::apps::HttpServerOptions;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::modules::http::HttpModules;
use pingora::protocols::http::v2::server::H2Options;
use pingora::proxy::{FailToProxy, HttpProxy, ProxyHttp, ProxyWarnLogContext, Session};
use pingora::server::configuration::ServerConf;
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorSource, ErrorType, Result};
use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Servers tried for one request. A request that has sent a body is never tried again.
pub(super) const TRIES_MAX: usize = 3;

/// One config with everything that is made from it. A request keeps the one it began with.
#[derive(Debug)]
pub struct Snapshot {
    pub config: Config,
    pub routes: Routes,
    pub upstreams: Upstreams,
    /// Where there are traces. Whoever makes a snapshot sets it.
    pub tracer: Option<Tracer>,
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
            tracer: None,
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

/// The applications for the accept loop, and the lane beside the clients' one. `h2_options` and `server_options` are
/// read once: a reload does not change them.
#[must_use]
pub fn build(
    gateway: Gateway,
    h2_options: H2Options,
    server_options: HttpServerOptions,
) -> Apps<Watched> {
    let threads = match gateway.snapshots.load().config.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        threads => threads,
    };
    let conf = Arc::new(ServerConf {
        threads,
        max_retries: TRIES_MAX,
        ..ServerConf::default()
    });
    let gateway = Arc::new(gateway);
    let app = |door| {
        let gateway = Arc::clone(&gateway);
        let mut proxy = HttpProxy::new(Phases { gateway, door }, Arc::clone(&conf));
        proxy.h2_options = Some(h2_options.clone());
        proxy.server_options = Some(server_options.clone());
        proxy.handle_init_modules();
        Arc::new(Watched::new(Arc::new(proxy)))
    };
    Apps {
        clients: app(Door::Clients),
        lane: Some(Lane::new(Arc::clone(&gateway))),
        proxies: app(Door::Proxies(Complaints::default())),
    }
}

impl Gateway {
    async fn answer(
        &self,
        session: &mut Session,
        ctx: &mut Ctx,
        outcome: Outcome,
        reply: Reply,
    ) -> Result<()> {
        let reply = self.own_answer(outcome, reply, session.req_header(), ctx);
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
                let answer = self.local.answer(endpoint, call);
                let reply = steps::within(ctx.steps(), answer).await;
                self.answer(session, ctx, Outcome::Local, reply).await
            }
            Err(bad) => {
                let reply = problem(bad.status(), &bad.to_string());
                self.answer(session, ctx, Outcome::BadRequest, reply).await
            }
        }
    }
}

/// The gateway in Pingora's phases.
pub(crate) struct Phases {
    gateway: Arc<Gateway>,
    door: Door,
}

/// Who comes in, by the listener.
enum Door {
    Clients,
    /// Other proxies, with their questions.
    Proxies(Complaints),
}

impl Phases {
    /// Watches over what an answer opens, if somebody had to be let through for it.
    fn open_tunnel(&self, session: &Session, status: StatusCode, ctx: &Ctx) -> Option<Box<Tunnel>> {
        let permit = ctx.permit.as_ref()?;
        if matches!(permit.grant(), Grant::Open) {
            return None;
        }
        let opener = Opener {
            request: session.req_header().clone(),
            address: bridge::address(session)?,
            tls: bridge::is_tls(session),
        };
        let (gateway, snapshot) = (Arc::clone(&self.gateway), Arc::clone(&ctx.snapshot));
        Some(Tunnel::open(gateway, snapshot, opener, status))
    }
}

impl Deref for Phases {
    type Target = Gateway;

    fn deref(&self) -> &Gateway {
        &self.gateway
    }
}

#[async_trait]
impl ProxyHttp for Phases {
    type CTX = Ctx;

    fn new_ctx(&self) -> Ctx {
        let mut ctx = Ctx::new(self.snapshots.load_full());
        ctx.pulse = Pulse::current();
        ctx
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
        if let Door::Proxies(complaints) = &self.door {
            self.consult(session, ctx, complaints).await?;
            return Ok(true);
        }
        match self.judge(session, ctx).await {
            Verdict::Forward => {
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
                self.answer(session, ctx, outcome, *reply).await?;
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
        let peer = upstream.peer(permit, self.clock.now(), ctx.forward.flow);
        let peer = peer.map_err(|none| {
            Error::because(ErrorType::HTTPStatus(503), "choosing a server", none)
        })?;
        ctx.server = peer._address.as_inet().copied();
        Ok(peer)
    }

    async fn upstream_request_filter(
        &self,
        _session: &mut Session,
        request: &mut RequestHeader,
        ctx: &mut Ctx,
    ) -> Result<()> {
        self.tell_upstream(request, ctx)
    }

    async fn request_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        end_of_stream: bool,
        ctx: &mut Ctx,
    ) -> Result<()> {
        if session.was_upgraded() {
            if let (Some(tunnel), Some(piece)) = (&mut ctx.tunnel, body) {
                tunnel.bytes_in += piece.len();
            }
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
        if response.status == StatusCode::SWITCHING_PROTOCOLS {
            session.set_read_timeout(None);
        }
        self.hear_upstream(response, ctx)?;
        if tunnel::is_opened_by(response) {
            ctx.tunnel = self.open_tunnel(session, response.status, ctx);
        }
        Ok(())
    }

    fn response_body_filter(
        &self,
        _session: &mut Session,
        body: &mut Option<Bytes>,
        end_of_stream: bool,
        ctx: &mut Ctx,
    ) -> Result<Option<Duration>> {
        if let (Some(tunnel), Some(piece)) = (&mut ctx.tunnel, &body) {
            tunnel.bytes_out += piece.len();
        }
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
        let server = peer._address.as_inet();
        error.set_retry(server.is_some_and(|server| self.not_reached(server, ctx)));
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
        if *error.esource() == ErrorSource::Upstream {
            self.upstream_failed(ctx);
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
        let mut error_code = 0;
        let asked = session.req_header();
        if let Some(reply) = self.failure_answer(error, is_answered, asked, ctx) {
            error_code = reply.status().as_u16();
            session.set_keepalive(None);
            // A client that is gone by now needs no answer.
            let _ = bridge::write(session, reply).await;
        }
        FailToProxy {
            error_code,
            can_reuse_downstream: false,
        }
    }

    async fn logging(&self, session: &mut Session, error: Option<&Error>, ctx: &mut Ctx) {
        let ended = Ended {
            request: session.req_header(),
            status: session.response_written().map(|head| head.status.as_u16()),
            bytes_in: session.body_bytes_read(),
            bytes_out: session.body_bytes_sent(),
            error,
        };
        self.log(&ended, ctx);
        ctx.tunnel = None;
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
