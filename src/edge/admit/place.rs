//! What is settled before any token is looked at.

use super::{Carrier, Verdict, refused};
use crate::edge::exchange::{Ctx, problem};
use crate::edge::forward_auth::{self, Unfit};
use crate::edge::{body, bridge, head};
use crate::local::table::{self, Endpoint};
use crate::observe::metrics::Outcome;
use crate::policy;
use crate::request::{Line, RequestHead};
use crate::route::Route;
use http::header::ALLOW;
use http::{HeaderValue, Method, StatusCode};
use std::sync::Arc;

/// The methods that are ever forwarded beside WebDAV's, for the answer to those that never are.
const ALLOWED: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/// What is settled without a token: methods, ambiguous paths, proxies that hide where their client is, preflights, Vestibule's own paths,
/// foreign WebSockets, service workers, bodies that are too large as announced.
pub(super) fn place(
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
    // By the proxy's own address, everybody behind it would be in its network, for the sign-in as for the files.
    let is_anybodys = endpoint.is_some_and(Endpoint::is_anybodys);
    if head.client.is_proxy && policy::knows_networks(&route.config) && !is_anybodys {
        let detail = "what is asked here depends on where the client is, and the proxy did not say: have it send X-Forwarded-For";
        return Some(refused(StatusCode::BAD_REQUEST, detail));
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
