//! Head → route → identity → policy → gate: whether one request is forwarded, answered or refused.
//!
//! Decides nothing itself: it asks each component in its turn and keeps what forwarding needs.

use super::proxy::{Ctx, Forward, Gateway, problem};
use super::upstream::Flow;
use super::watch::{self, Watch};
use super::{body, bridge, head, headers};
use crate::config::model::Requirement;
use crate::gate::session::in_scope;
use crate::gate::{Checked, Decision, Known, Permit, Presented, Question, Refusal};
use crate::identity::{credential, device, success};
use crate::local::table::{self, Endpoint};
use crate::local::{Call, Reply, refusal};
use crate::observe::metrics::Outcome;
use crate::policy;
use crate::request::{Peer, RequestHead};
use crate::route::Route;
use http::header::ALLOW;
use http::{HeaderValue, Method, StatusCode};
use pingora::http::RequestHeader;
use pingora::protocols::l4::socket::SocketAddr as PeerAddr;
use pingora::proxy::Session;
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
    Answer(Outcome, Reply),
}

fn refused(status: StatusCode, detail: &str) -> Verdict {
    let outcome = if status == StatusCode::FORBIDDEN {
        Outcome::Denied
    } else {
        Outcome::BadRequest
    };
    Verdict::Answer(outcome, problem(status, detail))
}

impl Gateway {
    pub(super) async fn judge(&self, session: &mut Session, ctx: &mut Ctx) -> Verdict {
        if let Some(bad) = ctx.bad_head {
            return refused(bad.status(), &bad.to_string());
        }
        let has_body = !session.is_body_empty();
        let Some(address) = address(session) else {
            return refused(StatusCode::BAD_REQUEST, "the connection has no address");
        };
        let snapshot = Arc::clone(&ctx.snapshot);
        let tls = session
            .digest()
            .is_some_and(|digest| digest.ssl_digest.is_some());
        let peer = Peer {
            address,
            tls,
            trusted_proxies: &snapshot.config.trusted_proxies,
        };
        let request = session.req_header();
        let (method, uri) = (&request.method, &request.uri);
        let head = match RequestHead::read(method, uri, request.raw_path(), &request.headers, peer)
        {
            Ok(head) => head,
            Err(malformed) => return refused(StatusCode::BAD_REQUEST, &malformed.to_string()),
        };
        ctx.client = Some(head.client);
        ctx.forward.host = head::forwarded_host(&head, uri).ok();
        let Some(route) = snapshot.routes.find(&head.host) else {
            return refused(StatusCode::NOT_FOUND, "no site of this name is served here");
        };
        ctx.route = Some(Arc::clone(route));
        ctx.upstream = snapshot.upstreams.get(&route.config.upstream).cloned();
        ctx.origin = head::allowed_origin(head.headers, route);
        if let Some(verdict) = place(&head, route, ctx, uri.path()) {
            return verdict;
        }
        if let Err(verdict) = self.admit(&head, request, route, ctx).await {
            return verdict;
        }
        // A body that stalls is only noticed by the upstream's silence.
        if !has_body && head.is_websocket_upgrade() {
            ctx.forward.flow = Flow::Upgrade;
        } else if !has_body && head::wants_events(head.headers) {
            ctx.forward.flow = Flow::Events;
        }
        let allowed = self.allow_sign_in(session, ctx).await;
        allowed.err().unwrap_or(Verdict::Forward)
    }

    /// Asks for a permit and, given one, keeps what forwarding needs.
    async fn admit(
        &self,
        head: &RequestHead<'_>,
        request: &RequestHeader,
        route: &Arc<Route>,
        ctx: &mut Ctx,
    ) -> Result<(), Verdict> {
        let sources = &route.config.credentials;
        let device = device::find(head, None)
            .map_err(|bad| refused(StatusCode::BAD_REQUEST, &bad.to_string()))?;
        let destination = head.destination.as_deref();
        let mut requirement = policy::required(&route.config, head.method, &head.path, destination);
        let sign_in = watch::sign_in(route, head).filter(|_| requirement != Requirement::Deny);
        if sign_in.is_some() {
            // Whoever signs in has no token yet.
            requirement = Requirement::Nothing;
        }
        let token = match requirement {
            Requirement::Nothing | Requirement::Deny => None,
            _ => credential::find(sources, head)
                .map_err(|bad| refused(StatusCode::BAD_REQUEST, &bad.to_string()))?,
        };
        let success_token = match requirement {
            Requirement::Nothing | Requirement::Deny => None,
            _ => success::find(head.headers)
                .map_err(|bad| refused(StatusCode::BAD_REQUEST, &bad.to_string()))?,
        };
        let question = Question {
            realm: &route.config.identity,
            keys: &route.keys,
            requirement,
            success_token,
            presented: token.as_deref().map(|token| Presented {
                token,
                device: device.as_deref(),
            }),
            path: &head.path,
            destination,
        };
        let asked = Instant::now();
        let (decision, mounted) = self.decide_with_share(&question, head, route).await;
        self.metrics.gate(asked.elapsed());
        match decision {
            Decision::Refuse(refusal) => {
                ctx.user = user(&refusal);
                let methods = match ctx.user {
                    Some(user) => self.local.methods(user).await,
                    None => Vec::new(),
                };
                let reply = refusal::reply(&refusal, head, route, &methods);
                Err(Verdict::Answer(outcome(&refusal), reply))
            }
            Decision::Permit(permit) => {
                ctx.watch = sign_in
                    .map(|learn| Box::new(Watch::new(route, learn, head, device.as_deref())));
                let path = mounted.as_deref().unwrap_or(&head.path);
                self.prepare(permit, &question, path, (head, request), route, ctx)
                    .await
            }
        }
    }

    /// Keeps what forwarding a permitted request to `path` needs.
    async fn prepare(
        &self,
        permit: Permit,
        question: &Question<'_>,
        path: &str,
        (head, request): (&RequestHead<'_>, &RequestHeader),
        route: &Arc<Route>,
        ctx: &mut Ctx,
    ) -> Result<(), Verdict> {
        ctx.user = headers::holder(permit.grant()).map(|holder| holder.user);
        let device = question.presented.and_then(|presented| presented.device);
        let device = ctx.user.and(device).map(&self.device_label);
        let token = question.presented.map(|presented| presented.token);
        let outgoing = self.outgoing(route, permit.grant(), token, device.as_deref());
        let outgoing = outgoing.await.map_err(|error| {
            tracing::error!(%error, "what an upstream is to be told could not be signed");
            let reply = refusal::reply(&Refusal::Unavailable, head, route, &[]);
            Verdict::Answer(Outcome::Failed, reply)
        })?;
        let original = outgoing.original.as_ref();
        ctx.forward = Forward {
            target: head::target(route, path, head.query, original, request.raw_path()),
            host: ctx.forward.host.take(),
            destination: question
                .destination
                .and_then(|path| HeaderValue::from_str(path).ok()),
            device,
            flow: Flow::Bounded,
            outgoing,
        };
        ctx.permit = Some(permit);
        Ok(())
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
            Verdict::Answer(Outcome::Denied, reply)
        })?;
        watch.allow(guess);
        Ok(())
    }

    async fn decide(&self, question: &Question<'_>) -> Decision {
        match self.gate.check(question) {
            Checked::Decided(decision) => decision,
            Checked::Ask => self.gate.admit(question).await,
        }
    }

    /// The decision and, for a share link of Vestibule's own (`/share/{token}/rest`), the path
    /// below the share's directory that is forwarded in the link's place. That path is asked
    /// about like any other, under the stricter policy of both.
    async fn decide_with_share(
        &self,
        question: &Question<'_>,
        head: &RequestHead<'_>,
        route: &Route,
    ) -> (Decision, Option<String>) {
        let token = question.presented.map(|presented| presented.token);
        let behind = token.and_then(|token| Some((token, head::behind_share(route, head, token)?)));
        let Some((token, rest)) = behind else {
            return (self.decide(question).await, None);
        };
        // A success token is spent on the path that is meant, not on the link.
        let spends = question.requirement == Requirement::SuccessToken;
        let link = match spends {
            true => Question {
                requirement: Requirement::TwoFactor { within: None },
                ..*question
            },
            false => *question,
        };
        let decision = self.decide(&link).await;
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
                Decision::Permit(_) if spends => (self.decide(question).await, None),
                decision => (decision, None),
            };
        };
        let path = format!("{scope}{rest}");
        if question.destination.is_some() || !in_scope(Some(&scope), &path) {
            return (Decision::Refuse(Refusal::OutOfScope), None);
        }
        let required = policy::required(&route.config, head.method, &path, Some(question.path));
        let inside = Question {
            requirement: required,
            path: &path,
            ..*question
        };
        (self.decide(&inside).await, Some(path))
    }
}

/// What is settled without a token: methods, ambiguous paths, preflights, Vestibule's own paths,
/// foreign WebSockets, bodies that are too large as announced.
fn place(head: &RequestHead<'_>, route: &Arc<Route>, ctx: &mut Ctx, sent: &str) -> Option<Verdict> {
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
        return Some(Verdict::Answer(Outcome::BadRequest, reply));
    }
    if let Err(malformed) = head.check_encoded_slashes(route.config.encoded_slashes) {
        return Some(refused(StatusCode::BAD_REQUEST, &malformed.to_string()));
    }
    if let Some(reply) = head::preflight(head, ctx.origin.as_ref()) {
        return Some(Verdict::Answer(Outcome::Local, reply));
    }
    if let Some(endpoint) = endpoint {
        return Some(Verdict::Local(
            endpoint,
            Box::new(bridge::call(head, route)),
        ));
    }
    if head::is_reserved(&head.path) {
        return Some(refused(
            StatusCode::NOT_FOUND,
            "there is nothing at this address",
        ));
    }
    if head.is_websocket_upgrade() && !head::websocket_origin_is_ok(head, route) {
        let detail = "this page may not open a WebSocket here: its origin is not in cors.origins";
        return Some(refused(StatusCode::FORBIDDEN, detail));
    }
    let is_too_large = |max| body::declared_length(head.headers).is_some_and(|len| len > max);
    if route.config.body_bytes_max.is_some_and(is_too_large) {
        let detail = "the request body is too large";
        return Some(refused(StatusCode::PAYLOAD_TOO_LARGE, detail));
    }
    None
}

fn address(session: &Session) -> Option<IpAddr> {
    match session.client_addr()? {
        PeerAddr::Inet(address) => Some(address.ip().to_canonical()),
        PeerAddr::Unix(_) => None,
    }
}

fn outcome(refusal: &Refusal) -> Outcome {
    match refusal {
        Refusal::NoToken | Refusal::UnknownToken => Outcome::Unauthenticated,
        Refusal::SecondFactorRequired { .. } | Refusal::SuccessTokenRequired { .. } => {
            Outcome::Challenged
        }
        Refusal::Denied | Refusal::OutOfScope => Outcome::Denied,
        Refusal::Unavailable => Outcome::Failed,
    }
}

fn user(refusal: &Refusal) -> Option<crate::id::UserId> {
    match refusal {
        Refusal::SecondFactorRequired { holder, .. }
        | Refusal::SuccessTokenRequired {
            holder: Some(holder),
        } => Some(holder.user),
        Refusal::NoToken
        | Refusal::UnknownToken
        | Refusal::SuccessTokenRequired { holder: None }
        | Refusal::Denied
        | Refusal::OutOfScope
        | Refusal::Unavailable => None,
    }
}
