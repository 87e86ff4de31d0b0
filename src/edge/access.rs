//! The access line: one for each request, when it is over. No query, no token, no header is in it.

use super::exchange::Ctx;
use super::proxy::Gateway;
use crate::gate::Refusal;
use crate::id::UserId;
use crate::observe::metrics::Outcome;
use pingora::Error;
use pingora::http::RequestHeader;
use std::time::Duration;

/// The status in the log where the client left before it was answered, as nginx has it.
const CLIENT_GONE: u16 = 499;

/// How a request ended, whichever lane it took.
pub(super) struct Ended<'a> {
    pub(super) request: &'a RequestHeader,
    /// Of the answer, if it has begun.
    pub(super) status: Option<u16>,
    pub(super) bytes_in: usize,
    pub(super) bytes_out: usize,
    pub(super) error: Option<&'a Error>,
}

impl Gateway {
    pub(super) fn log(&self, ended: &Ended<'_>, ctx: &Ctx) {
        let status = ended.status.unwrap_or(CLIENT_GONE);
        let route = ctx
            .route
            .as_ref()
            .map_or("-", |route| route.config.name.as_str());
        self.metrics.request(route, ctx.outcome, status);
        ctx.end_trace(ended, status);
        let request = ctx.original.as_deref().unwrap_or(ended.request);
        let path = match (&ctx.shown_path, &ctx.route) {
            (Some(path), _) => path,
            (None, Some(_)) => request.uri.path(),
            // Malformed or for nobody: it may hold anything.
            (None, None) => "-",
        };
        let host = ctx
            .forward
            .host
            .as_ref()
            .and_then(|host| host.to_str().ok());
        tracing::info!(
            target: "access",
            client = ctx.client.map(|client| tracing::field::display(client.address)),
            method = request.method.as_str(),
            host = host.unwrap_or("-"),
            path,
            status,
            route,
            outcome = ctx.outcome.as_str(),
            // Another proxy forwards it, or does not.
            forward_auth = ctx.original.as_ref().map(|_| true),
            user = ctx.user.map(|user| user.0),
            bytes_in = ended.bytes_in,
            bytes_out = ended.bytes_out,
            duration_ms = millis(ctx.began.elapsed()),
            upstream_ms = ctx.upstream_took.map(millis),
            error = ended.error.map(|error| error.etype().as_str()),
        );
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// What a refusal counts as.
pub(super) fn outcome(refusal: &Refusal) -> Outcome {
    match refusal {
        Refusal::NoToken | Refusal::UnknownToken | Refusal::TooManyTries { .. } => {
            Outcome::Unauthenticated
        }
        Refusal::SecondFactorRequired { .. } | Refusal::SuccessTokenRequired { .. } => {
            Outcome::Challenged
        }
        Refusal::Denied | Refusal::OutOfScope => Outcome::Denied,
        Refusal::Unavailable => Outcome::Failed,
    }
}

/// Whom a refusal concerns.
pub(super) fn user(refusal: &Refusal) -> Option<UserId> {
    match refusal {
        Refusal::SecondFactorRequired { holder, .. }
        | Refusal::SuccessTokenRequired {
            holder: Some(holder),
        } => Some(holder.user),
        Refusal::NoToken
        | Refusal::UnknownToken
        | Refusal::TooManyTries { .. }
        | Refusal::SuccessTokenRequired { holder: None }
        | Refusal::Denied
        | Refusal::OutOfScope
        | Refusal::Unavailable => None,
    }
}
