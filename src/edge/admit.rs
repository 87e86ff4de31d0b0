//! Head → route → identity → policy → gate: whether one request is forwarded, answered or refused.
//!
//! Decides nothing itself: it asks each component in its turn and keeps what forwarding needs.

use super::exchange::{Ctx, Forward, problem};
use super::forward::Outgoing;
use super::forward_auth::{self, Unfit};
use super::proxy::{Gateway, Snapshot};
use super::upstream::Flow;
use super::watch::{self, Watch};
use super::{access, body, bridge, forward, head, headers};
use crate::auth::sign_in::{SignInContext, SignInError};
use crate::config::model::{Learn, Requirement};
use crate::gate::session::in_scope;
use crate::gate::{Checked, Decision, Grant, Known, Permit, Presented, Question, Refusal};
use crate::identity::network::NetworkName;
use crate::identity::{basic, credential, device, success};
use crate::local::table::{self, Endpoint};
use crate::local::{Call, Offer, Reply, refusal};
use crate::observe::metrics::Outcome;
use crate::policy::{self, Demand, Target};
use crate::request::{Line, Peer, RequestHead};
use crate::route::Route;
use crate::steps;
use http::header::ALLOW;
use http::{HeaderValue, Method, StatusCode};
use pingora::http::RequestHeader;
use pingora::proxy::Session;
use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

/// The methods that are ever forwarded beside WebDAV's, for the answer to those that never are.
const ALLOWED: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/// What becomes of a request.
pub(super) enum Verdict {
    /// It has its permit: see [`Ctx`].
    Forward,
    /// It is for a local endpoint; its body is not read yet.
    Local(&'static Endpoint, Box<Call>),
    Answer(Outcome, Box<Reply>),
}

fn refused(status: StatusCode, detail: &str) -> Verdict {
    let outcome = if status == StatusCode::FORBIDDEN {
        Outcome::Denied
    } else {
        Outcome::BadRequest
    };
    Verdict::Answer(outcome, Box::new(problem(status, detail)))
}

/// A request as it came, by whichever lane.
pub(super) struct Asked<'a> {
    pub(super) request: &'a RequestHeader,
    pub(super) address: IpAddr,
    pub(super) tls: bool,
    pub(super) has_body: bool,
    pub(super) carrier: Carrier,
}

/// Who takes a permitted request to its upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Carrier {
    /// Vestibule, which answers what is for itself.
    Here,
    /// Another proxy, which only asks whether it may: see [`super::forward_auth`].
    Proxy,
}

/// What a request presents, and what it is asked for.
pub(super) struct Case<'h> {
    head: &'h RequestHead<'h>,
    route: &'h Arc<Route>,
    device: Option<Cow<'h, str>>,
    /// Stands for the device of who named none and sent a password: whoever has learned it must not
    /// be in as soon as its owner has let one client in.
    network: Option<NetworkName>,
    token: Option<Cow<'h, str>>,
    success_token: Option<&'h str>,
    demand: Demand<'h>,
    is_background: bool,
    sign_in: Option<&'h Learn>,
    /// Not a request, but a look after one that goes on.
    is_look: bool,
}

impl Case<'_> {
    /// The device that a session is of.
    fn device(&self) -> Option<&str> {
        let named = self.device.as_deref();
        named.or(self.network.as_ref().map(NetworkName::as_str))
    }

    fn question(&self) -> Question<'_> {
        Question {
            realm: &self.route.config.identity,
            keys: &self.route.keys,
            demand: self.demand,
            success_token: self.success_token,
            presented: self.token.as_deref().map(|token| Presented {
                token,
                device: self.device(),
            }),
            path: &self.head.path,
            destination: self.head.destination.as_deref(),
            is_background: self.is_background,
        }
    }

    /// Whether memory alone can settle it: no sign-in to be counted, no link to be read, nothing to
    /// be signed.
    fn is_plain(&self) -> bool {
        let is_link = |token: &str| head::behind_share(self.route, self.head, token).is_some();
        self.sign_in.is_none()
            && !forward::signs(&self.route.config)
            && !self.token.as_deref().is_some_and(is_link)
    }

    /// The device's opaque name, for the upstream of somebody who was let through.
    fn device_label(&self, gateway: &Gateway, grant: &Grant) -> Option<String> {
        let device = headers::holder(grant).and(self.device());
        device.map(&gateway.device_label)
    }
}

impl Gateway {
    pub(super) async fn judge(&self, session: &mut Session, ctx: &mut Ctx) -> Verdict {
        if let Some(bad) = ctx.bad_head {
            return refused(bad.status(), &bad.to_string());
        }
        let has_body = !session.is_body_empty();
        let Some(address) = bridge::address(session) else {
            return refused(StatusCode::BAD_REQUEST, "the connection has no address");
        };
        let tls = bridge::is_tls(session);
        let asked = Asked {
            request: session.req_header(),
            address,
            tls,
            has_body,
            carrier: Carrier::Here,
        };
        ctx.begin_trace(&asked);
        let steps = ctx.steps();
        if let Err(verdict) = steps::within(steps.clone(), self.decide_slowly(&asked, ctx)).await {
            return verdict;
        }
        let allowed = steps::within(steps, self.allow_sign_in(session, ctx)).await;
        allowed.err().unwrap_or(Verdict::Forward)
    }

    /// Asks whoever must be asked.
    pub(super) async fn decide_slowly(
        &self,
        asked: &Asked<'_>,
        ctx: &mut Ctx,
    ) -> Result<(), Verdict> {
        let (head, route) = self.read(asked, ctx)?;
        let case = self.case(&head, &route)?;
        if case.sign_in.is_some() && asked.carrier == Carrier::Proxy {
            return Err(Unfit::SignIn.verdict(ctx));
        }
        let began = Instant::now();
        let (decision, mounted) = self.decide_with_share(&case.question(), &case).await;
        self.metrics.gate(began.elapsed());
        ctx.note_decision(began);
        match decision {
            Decision::Refuse(refusal) => {
                ctx.user = access::user(&refusal);
                let methods = match ctx.user {
                    Some(user) => self.local.methods(user).await,
                    None => Vec::new(),
                };
                let presented = case.question().presented;
                let offer = self.local.offer(&refusal, &head, &route, presented).await;
                let reply = self.refusal(&refusal, &head, &route, (&methods, offer.as_ref()));
                Err(Verdict::Answer(access::outcome(&refusal), Box::new(reply)))
            }
            Decision::Permit(permit) => {
                let outgoing = self.outgoing_of(&case, permit.grant()).await?;
                self.permitted(&case, permit, mounted, outgoing, asked, ctx);
                Ok(())
            }
        }
    }

    /// Decides from memory alone, for an upstream over plain TCP: true if the request has its permit,
    /// and `ctx` with it. False says nothing about the request: [`Self::judge`] has to, with a `Ctx` of
    /// its own.
    pub(super) fn decide_at_once(&self, asked: &Asked<'_>, ctx: &mut Ctx) -> bool {
        let Ok((head, route)) = self.read(asked, ctx) else {
            return false;
        };
        let is_plain = ctx.upstream.as_ref().is_some_and(|to| to.is_plain());
        if !is_plain {
            return false;
        }
        let case = match self.case(&head, &route) {
            Ok(case) if case.is_plain() => case,
            Ok(_) | Err(_) => return false,
        };
        let began = Instant::now();
        let Checked::Decided(Decision::Permit(permit)) = self.gate.check(&case.question()) else {
            return false;
        };
        if forward::stands_for_another(permit.grant()) {
            return false;
        }
        self.metrics.gate(began.elapsed());
        ctx.note_decision(began);
        self.permitted(&case, permit, None, Outgoing::default(), asked, ctx);
        true
    }

    fn refusal(
        &self,
        refusal: &Refusal,
        head: &RequestHead<'_>,
        route: &Route,
        (methods, offer): (&[&str], Option<&Offer>),
    ) -> Reply {
        let service = &self.local.auth.settings.load().service_name;
        refusal::reply(refusal, head, route, methods, service, offer)
    }

    /// Opens and signs what a permitted request carries up.
    async fn outgoing_of(&self, case: &Case<'_>, grant: &Grant) -> Result<Outgoing, Verdict> {
        let device = case.device_label(self, grant);
        let outgoing = self.outgoing(case.route, grant, case.token.as_deref(), device.as_deref());
        outgoing.await.map_err(|error| {
            tracing::error!(%error, "what an upstream is to be told could not be signed");
            let reply = self.refusal(&Refusal::Unavailable, case.head, case.route, (&[], None));
            Verdict::Answer(Outcome::Failed, Box::new(reply))
        })
    }

    /// The canonical head and its route, and all that is settled without a token.
    fn read<'a>(
        &self,
        asked: &Asked<'a>,
        ctx: &mut Ctx,
    ) -> Result<(RequestHead<'a>, Arc<Route>), Verdict> {
        let peer = Peer {
            address: asked.address,
            tls: asked.tls,
            trusted_proxies: &ctx.snapshot.config.trusted_proxies,
        };
        let request = asked.request;
        let (method, uri) = (&request.method, &request.uri);
        let head = RequestHead::read(method, uri, request.raw_path(), &request.headers, peer)
            .map_err(|malformed| refused(StatusCode::BAD_REQUEST, &malformed.to_string()))?;
        ctx.client = Some(head.client);
        ctx.forward.host = head::forwarded_host(&head, uri).ok();
        let route = ctx.snapshot.routes.find(&head.host).map(Arc::clone);
        let Some(route) = route else {
            let detail = "no site of this name is served here";
            return Err(refused(StatusCode::NOT_FOUND, detail));
        };
        ctx.route = Some(Arc::clone(&route));
        let upstream = ctx.snapshot.upstreams.get(&route.config.upstream);
        ctx.upstream = upstream.map(Arc::clone);
        ctx.origin = head::allowed_origin(head.headers, &route);
        match place(&head, &route, ctx, (uri.path(), asked.carrier)) {
            Some(verdict) => Err(verdict),
            None => Ok((head, route)),
        }
    }

    /// What the policy asks of this request, and what it presents.
    fn case<'h>(
        &self,
        head: &'h RequestHead<'h>,
        route: &'h Arc<Route>,
    ) -> Result<Case<'h>, Verdict> {
        let device = device::find(head, None)
            .map_err(|bad| refused(StatusCode::BAD_REQUEST, &bad.to_string()))?;
        if head.client.is_proxy && policy::knows_networks(&route.config) {
            // By the proxy's own address, everybody behind it would be in its network.
            let detail = "what is asked here depends on where the client is, and the proxy did not say: have it \
                          send X-Forwarded-For";
            return Err(refused(StatusCode::BAD_REQUEST, detail));
        }
        let mut demand = policy::required(target(head, route));
        // Whoever signs in has no token yet, and is nobody until then.
        let is_denied = demand.of(policy::NOBODY) == Requirement::Deny;
        let sign_in = watch::sign_in(route, head);
        if sign_in.is_some() {
            demand = match is_denied {
                true => Requirement::Deny.into(),
                false => Requirement::Nothing.into(),
            };
        }
        let sign_in = sign_in.filter(|_| !is_denied);
        let token = match demand {
            Demand::Fixed(Requirement::Nothing | Requirement::Deny) => None,
            _ => credential::find(&route.config.credentials, head)
                .map_err(|bad| refused(StatusCode::BAD_REQUEST, &bad.to_string()))?,
        };
        if token.is_some() && head::is_forged(head, route) {
            let detail = "a page of another origin may change nothing here: its origin is not in cors.origins";
            return Err(refused(StatusCode::FORBIDDEN, detail));
        }
        let success_token = match demand {
            Demand::Fixed(Requirement::Nothing | Requirement::Deny) => None,
            _ => success::find(head)
                .map_err(|bad| refused(StatusCode::BAD_REQUEST, &bad.to_string()))?,
        };
        let is_alone = device.is_none() && token.as_deref().is_some_and(basic::is_basic);
        let network = is_alone.then(|| NetworkName::of(head.client.address));
        Ok(Case {
            head,
            route,
            device,
            network,
            token,
            success_token,
            demand,
            is_background: policy::is_background(&route.config, head.method, &head.path),
            sign_in,
            is_look: false,
        })
    }

    /// Whether a request that goes on would be let through now; the permit is for nothing else. By
    /// the config that it began with.
    pub(super) async fn look(&self, asked: &Asked<'_>, config: &Arc<Snapshot>) -> Option<Permit> {
        let mut ctx = Ctx::new(Arc::clone(config));
        let (head, route) = self.read(asked, &mut ctx).ok()?;
        let mut case = self.case(&head, &route).ok()?;
        case.is_look = true;
        match self.decide_with_share(&case.question(), &case).await {
            (Decision::Permit(permit), _) => Some(permit),
            (Decision::Refuse(_), _) => None,
        }
    }

    /// Keeps what forwarding needs.
    fn permitted(
        &self,
        case: &Case<'_>,
        permit: Permit,
        mounted: Option<String>,
        outgoing: Outgoing,
        asked: &Asked<'_>,
        ctx: &mut Ctx,
    ) {
        let (head, route) = (case.head, case.route);
        ctx.user = headers::holder(permit.grant()).map(|holder| holder.user);
        ctx.watch = case
            .sign_in
            .map(|learn| Box::new(Watch::new(route, learn, head, case.device.as_deref())));
        let path = mounted.as_deref().unwrap_or(&head.path);
        let destination = head.destination.as_deref();
        // A body that stalls is only noticed by the upstream's silence.
        let flow = if !asked.has_body && head.is_websocket_upgrade() {
            Flow::Upgrade
        } else if !asked.has_body && head::wants_events(head.headers) {
            Flow::Events
        } else {
            Flow::Bounded
        };
        let original = outgoing.original.as_ref();
        ctx.forward = Forward {
            target: head::target(route, path, head.query, original, asked.request.raw_path()),
            host: ctx.forward.host.take(),
            destination: destination.and_then(|path| HeaderValue::from_str(path).ok()),
            device: case.device_label(self, permit.grant()),
            outgoing,
            flow,
        };
        ctx.outcome = Outcome::Permitted;
        ctx.permit = Some(permit);
    }

    /// Reads a sign-in for the backend whole, and asks whether its account and its address may try
    /// another password there.
    async fn allow_sign_in(&self, session: &mut Session, ctx: &mut Ctx) -> Result<(), Verdict> {
        let (Some(watch), Some(route)) = (&mut ctx.watch, &ctx.route) else {
            return Ok(());
        };
        let downstream = &mut session.downstream_session;
        // Pingora forwards out of this buffer what was read before.
        downstream.enable_retry_buffering();
        let limit = ctx.snapshot.config.timeouts.body;
        let body = body::collect(downstream, watch::HELD_MAX, limit).await;
        let body = body.map_err(|bad| refused(bad.status(), &bad.to_string()))?;
        let names = watch.request(body);
        let names = names.map_err(|many| refused(StatusCode::BAD_REQUEST, &many.to_string()))?;
        let (auth, to) = (&self.local.auth, watch.exchange());
        let guess = auth.may_try_backend(&to.realm, &names, &to.route, to.address);
        let guess = guess.await.map_err(|error| {
            let reply = crate::local::iogates::sign_in_refused(error, route);
            Verdict::Answer(Outcome::Denied, Box::new(reply))
        })?;
        watch.allow(guess);
        Ok(())
    }

    async fn decide(&self, question: &Question<'_>, case: &Case<'_>) -> Decision {
        if case.is_look {
            return match self.admit_password(case).await {
                Ok(()) => self.gate.look(question).await,
                Err(refusal) => Decision::Refuse(refusal),
            };
        }
        if let Checked::Decided(decision) = self.gate.check(question) {
            return decision;
        }
        match self.admit_password(case).await {
            Ok(()) => self.gate.admit(question).await,
            Err(refusal) => Decision::Refuse(refusal),
        }
    }

    /// Has a name and a password verified where they stand for a token that memory does not know.
    async fn admit_password(&self, case: &Case<'_>) -> Result<(), Refusal> {
        let token = case.token.as_deref();
        let Some(token) = token.filter(|token| basic::is_basic(token)) else {
            return Ok(());
        };
        let at = SignInContext {
            realm: &case.route.config.identity,
            keys: &case.route.keys,
            device: case.device(),
            route: &case.route.config.name,
            address: case.head.client.address,
        };
        let admitted = self.local.auth.admit_basic(at, token).await;
        admitted.map_err(|error| match error {
            SignInError::Wrong => Refusal::UnknownToken,
            SignInError::Closed => Refusal::Denied,
            SignInError::TooMany { retry_after_secs } => Refusal::TooManyTries { retry_after_secs },
            SignInError::Unavailable => Refusal::Unavailable,
        })
    }

    /// The decision and, for a share link of Vestibule's own (`/share/{token}/rest`), the path
    /// below the share's directory that is forwarded in the link's place. That path is asked
    /// about like any other, under the stricter policy of both.
    async fn decide_with_share(
        &self,
        question: &Question<'_>,
        case: &Case<'_>,
    ) -> (Decision, Option<String>) {
        let (head, route) = (case.head, case.route);
        let token = question.presented.map(|presented| presented.token);
        let behind = token.and_then(|token| Some((token, head::behind_share(route, head, token)?)));
        let Some((token, rest)) = behind else {
            return (self.decide(question, case).await, None);
        };
        // A success token is spent on the path that is meant, not on the link, and that path says whether
        // the session is used.
        let link = Question {
            demand: question.demand.without_spending(),
            is_background: true,
            ..*question
        };
        let decision = self.decide(&link, case).await;
        let scope = match &decision {
            Decision::Permit(permit) => {
                headers::holder(permit.grant()).and_then(|holder| holder.scope().map(str::to_owned))
            }
            // A link stands outside its own directory until it is read as what it means.
            Decision::Refuse(Refusal::OutOfScope) => {
                match self.local.witness.holder(question.realm, token).await {
                    Ok(Known::Yes { holder, .. }) => holder.scope().map(str::to_owned),
                    Ok(Known::No) => None,
                    Err(_) => return (Decision::Refuse(Refusal::Unavailable), None),
                }
            }
            Decision::Refuse(_) => None,
        };
        let Some(scope) = scope else {
            return match decision {
                Decision::Permit(_) => (self.decide(question, case).await, None),
                decision => (decision, None),
            };
        };
        let path = format!("{scope}{rest}");
        if question.destination.is_some() || !in_scope(Some(&scope), &path) {
            return (Decision::Refuse(Refusal::OutOfScope), None);
        }
        let inside = Target {
            path: &path,
            destination: Some(question.path),
            ..target(head, route)
        };
        let inside = Question {
            demand: policy::required(inside),
            path: &path,
            is_background: policy::is_background(&route.config, head.method, &path),
            ..*question
        };
        (self.decide(&inside, case).await, Some(path))
    }
}

/// What the rules look at.
fn target<'h>(head: &'h RequestHead<'_>, route: &'h Route) -> Target<'h> {
    Target {
        route: &route.config,
        method: head.method,
        path: &head.path,
        destination: head.destination.as_deref(),
        address: head.client.address,
    }
}

/// What is settled without a token: methods, ambiguous paths, preflights, Vestibule's own paths,
/// foreign WebSockets, service workers, bodies that are too large as announced.
fn place(
    head: &RequestHead<'_>,
    route: &Arc<Route>,
    ctx: &mut Ctx,
    (sent, carrier): (&str, Carrier),
) -> Option<Verdict> {
    let endpoint = table::find(route, &head.path);
    ctx.shown_path = head::shown_path(route, &head.path, endpoint, sent);
    if *head.method == Method::CONNECT || *head.method == Method::TRACE {
        let mut reply = problem(
            StatusCode::METHOD_NOT_ALLOWED,
            "this method is never forwarded",
        );
        reply
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static(ALLOWED));
        return Some(Verdict::Answer(Outcome::BadRequest, Box::new(reply)));
    }
    if let Err(malformed) = head.check_encoded_slashes(route.config.encoded_slashes) {
        return Some(refused(StatusCode::BAD_REQUEST, &malformed.to_string()));
    }
    let own = match carrier {
        Carrier::Here => answered_here(head, route, ctx, endpoint),
        // A preflight is a request like any other: an answer that a proxy takes for leave is none.
        Carrier::Proxy => {
            let is_own = endpoint.is_some() || route.own_path(&head.path).is_some();
            let unfit = match is_own {
                true => Some(Unfit::OwnPath),
                false => {
                    (!forward_auth::is_forwarded_as_judged(sent, head)).then_some(Unfit::Rewritten)
                }
            };
            unfit.map(|unfit| unfit.verdict(ctx))
        }
    };
    if own.is_some() {
        return own;
    }
    if head.is_websocket_upgrade() && !head::websocket_origin_is_ok(head, route) {
        let detail = "this page may not open a WebSocket here: its origin is not in cors.origins";
        return Some(refused(StatusCode::FORBIDDEN, detail));
    }
    if !route.config.service_workers && head.signs.service_worker != Line::Absent {
        let detail = "no service worker may be installed here: it could read and change the pages on which people \
                      sign in (the operator can set service_workers: allow)";
        return Some(refused(StatusCode::FORBIDDEN, detail));
    }
    let is_too_large = |max| body::declared_length(head.headers).is_some_and(|len| len > max);
    if route.config.body_bytes_max.is_some_and(is_too_large) {
        let detail = "the request body is too large";
        return Some(refused(StatusCode::PAYLOAD_TOO_LARGE, detail));
    }
    None
}

/// Preflights, and Vestibule's own paths.
fn answered_here(
    head: &RequestHead<'_>,
    route: &Arc<Route>,
    ctx: &Ctx,
    endpoint: Option<&'static Endpoint>,
) -> Option<Verdict> {
    if let Some(reply) = head::preflight(head, ctx.origin.as_ref()) {
        return Some(Verdict::Answer(Outcome::Local, Box::new(reply)));
    }
    if let Some(endpoint) = endpoint {
        return Some(Verdict::Local(
            endpoint,
            Box::new(bridge::call(head, route)),
        ));
    }
    route
        .own_path(&head.path)
        .map(|_| refused(StatusCode::NOT_FOUND, "there is nothing at this address"))
}
