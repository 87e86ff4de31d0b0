//! Head → route → identity → policy → gate: whether one request is forwarded, answered or refused.
//!
//! Decides nothing itself: it asks each component in its turn and keeps what forwarding needs.

mod case;
mod decide;
mod place;

use self::case::Case;
use self::place::place;
use super::exchange::{Ctx, Forward, problem};
use super::forward::Outgoing;
use super::forward_auth::Unfit;
use super::proxy::{Gateway, Snapshot};
use super::upstream::Flow;
use super::watch::{self, Watch};
use super::{access, body, bridge, forward, head, headers};
use crate::gate::{Checked, Decision, Grant, Permit, Refusal};
use crate::local::table::Endpoint;
use crate::local::{Call, Offer, Reply, refusal};
use crate::observe::metrics::Outcome;
use crate::request::{Peer, RequestHead};
use crate::route::Route;
use crate::steps;
use http::{HeaderValue, StatusCode};
use pingora::http::RequestHeader;
use pingora::proxy::Session;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

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
}
