//! Forward-auth: another proxy forwards, and asks here whether it may.
//!
//! A question comes in on a listener of its own, from a trusted proxy. It is turned into the request
//! that it is about (`original`), and that is decided as if the client had sent it here through the same proxy:
//! `admit` reads, judges and refuses it, `exchange` says what its upstream would be told. What is here is
//! only how a proxy asks, and how it is answered: 200 with headers that it copies, or the refusal as
//! its client is to see it. docs/forward-auth.md has the headers and their names.
//!
//! The other proxy forwards what its client sent, byte for byte. What Vestibule would have forwarded
//! in another form is therefore refused, and so is what has to be seen whole or answered here. Nothing is ever forwarded from here.

mod original;

use super::admit::{Asked, Carrier, Verdict};
use super::bridge;
use super::exchange::{Ctx, internal, problem};
use super::headers;
use super::proxy::Gateway;
use crate::clock::Timestamp;
use crate::local::{Reply, refusal};
use crate::observe::metrics::Outcome;
use crate::observe::unanswered::Unanswered;
use crate::request::RequestHead;
use crate::secret::Secret;
use crate::steps;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CACHE_CONTROL, COOKIE, LOCATION};
use http::{HeaderName, HeaderValue, StatusCode};
use original::Form;
pub(crate) use original::Part;
use percent_encoding::percent_decode;
use pingora::http::RequestHeader;
use pingora::proxy::Session;
use std::net::IpAddr;
use std::sync::atomic::{AtomicI64, Ordering};

/// Below the prefix of Vestibule's own paths.
const PATH: &str = "/forward-auth";
/// Of a proxy that can pass on 401 and 403 alone (nginx): a redirect is a 401 with its `Location`.
const REDIRECT_AS_401: &[u8] = b"redirect=401";
/// WebDAV's (RFC 4918 section 10.3).
const DESTINATION: HeaderName = HeaderName::from_static("destination");
/// What Envoy takes out of the request that it forwards. Others can be told to do the same.
const TO_REMOVE: HeaderName = HeaderName::from_static("x-envoy-auth-headers-to-remove");

/// Why a question is not answered, or not as the proxy wants. `Display` is what the asker is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unfit {
    #[error("this address answers the proxies in trusted_proxies alone")]
    UntrustedPeer,
    #[error("the proxy that asks does not say all of the request it asks about: have it send {}", .0.header())]
    Missing(Part),
    #[error("the request is described in two ways that differ (one is {}): the proxy that asks must send one, and drop its client's", .0.header())]
    Conflict(Part),
    #[error("the request that is asked about cannot be read from what the proxy says (as in {})", .0.header())]
    Malformed(Part),
    #[error(
        "this path is Vestibule's own: the proxy must send it to Vestibule, in place of asking about it"
    )]
    OwnPath,
    #[error(
        "Vestibule must see this sign-in: the proxy must send it to Vestibule, in place of asking about it"
    )]
    SignIn,
    #[error(
        "this address must be written anew before it is forwarded, which the proxy that asks cannot do: ask for it in its plain form"
    )]
    Rewritten,
    #[error(
        "a header of this request asks its server for another request, which the proxy that asks would forward: leave out what overrides the method, the address or the user"
    )]
    Override,
}

impl Unfit {
    fn status(self) -> StatusCode {
        match self {
            Self::UntrustedPeer | Self::OwnPath | Self::SignIn => StatusCode::FORBIDDEN,
            Self::Missing(_)
            | Self::Conflict(_)
            | Self::Malformed(_)
            | Self::Rewritten
            | Self::Override => StatusCode::BAD_REQUEST,
        }
    }

    fn reason(self) -> Unanswered {
        match self {
            Self::UntrustedPeer => Unanswered::UntrustedPeer,
            Self::Missing(_) => Unanswered::MissingHeader,
            Self::Conflict(_) => Unanswered::ConflictingHeaders,
            Self::Malformed(_) => Unanswered::MalformedHeader,
            Self::OwnPath => Unanswered::OwnPath,
            Self::SignIn => Unanswered::SignIn,
            Self::Rewritten => Unanswered::Rewritten,
            Self::Override => Unanswered::Override,
        }
    }

    /// The answer; the question is counted as unfit.
    pub(super) fn verdict(self, ctx: &mut Ctx) -> Verdict {
        ctx.unfit = Some(self);
        let outcome = match self.status() {
            StatusCode::FORBIDDEN => Outcome::Denied,
            _ => Outcome::BadRequest,
        };
        let reply = problem(self.status(), &self.to_string());
        Verdict::Answer(outcome, Box::new(reply))
    }
}

/// When each kind of unfit question was last logged, in seconds since 1970: a proxy that asks in a wrong way
/// does so with every request.
#[derive(Default)]
pub(super) struct Complaints([AtomicI64; Unanswered::ALL.len()]);

impl Complaints {
    const PAUSE_SECS: i64 = 60;

    /// Whether this one is to be logged.
    fn is_due(&self, why: Unanswered, now: Timestamp) -> bool {
        self.0.get(why as usize).is_some_and(|last| {
            let before = last.load(Ordering::Relaxed);
            let is_over = before == 0 || now.0.saturating_sub(before) >= Self::PAUSE_SECS;
            let relaxed = Ordering::Relaxed;
            is_over
                && last
                    .compare_exchange(before, now.0, relaxed, relaxed)
                    .is_ok()
        })
    }
}

/// A question as it is put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Put<'c> {
    form: Form<'c>,
    redirect_as_401: bool,
}

impl<'c> Put<'c> {
    /// Reads the question's own target; `None` where it is none.
    fn read(target: &'c [u8], prefix: &str) -> Option<Self> {
        let rest = target.strip_prefix(prefix.as_bytes())?;
        let rest = rest.strip_prefix(PATH.as_bytes())?;
        let put = |form, redirect_as_401| {
            Some(Self {
                form,
                redirect_as_401,
            })
        };
        match rest {
            [] => put(Form::Headers, false),
            [b'/', ..] => put(Form::Path(rest), false),
            // Caddy leaves the original's query there.
            [b'?', query @ ..] => put(Form::Headers, query == REDIRECT_AS_401),
            _ => None,
        }
    }
}

impl Gateway {
    /// Answers a question, and writes the answer.
    pub(super) async fn consult(
        &self,
        session: &mut Session,
        ctx: &mut Ctx,
        complaints: &Complaints,
    ) -> pingora::Result<()> {
        let reply = self
            .advice(session.req_header(), bridge::address(session), ctx)
            .await;
        if let Some(unfit) = ctx.unfit {
            self.complain(unfit, bridge::address(session), complaints);
        }
        bridge::write(session, reply)
            .await
            .map_err(|error| error.into_down())
    }

    fn complain(&self, unfit: Unfit, peer: Option<IpAddr>, complaints: &Complaints) {
        let why = unfit.reason();
        self.metrics.forward_auth_refused(why);
        if complaints.is_due(why, self.clock.now()) {
            let peer = peer.map(tracing::field::display);
            tracing::warn!(peer, reason = why.as_str(), why = %unfit, "a forward-auth question is refused; more of the kind are counted, not logged, for a minute");
        }
    }

    async fn advice(&self, check: &RequestHeader, peer: Option<IpAddr>, ctx: &mut Ctx) -> Reply {
        if let Some(bad) = ctx.bad_head {
            let reply = problem(bad.status(), &bad.to_string());
            return self.own_answer(Outcome::BadRequest, reply, check, ctx);
        }
        let trusted = &ctx.snapshot.config.trusted_proxies;
        let peer = peer.filter(|peer| trusted.iter().any(|net| net.contains(peer)));
        let Some(peer) = peer else {
            return self.told(Unfit::UntrustedPeer.verdict(ctx), check, ctx);
        };
        let snapshot = std::sync::Arc::clone(&ctx.snapshot);
        let put = Put::read(check.raw_path(), &snapshot.config.portal.prefix);
        let Some(put) = put else {
            let detail = "this listener answers forward-auth alone";
            let reply = problem(StatusCode::NOT_FOUND, detail);
            return self.own_answer(Outcome::BadRequest, reply, check, ctx);
        };
        let mut original = match original::read(check, put.form) {
            Ok(original) => original,
            Err(unfit) => return self.told(unfit.verdict(ctx), check, ctx),
        };
        let reply = match self.decide_for_proxy(&mut original, peer, ctx).await {
            Ok(reply) => reply,
            Err(verdict) => with_whole_location(self.told(verdict, &original, ctx), ctx),
        };
        ctx.original = Some(Box::new(original));
        match (put.redirect_as_401, &ctx.route) {
            (true, Some(route)) => refusal::without_redirect(reply, route),
            _ => reply,
        }
    }

    /// Decides about `original`, and turns it into what its upstream is to be sent.
    async fn decide_for_proxy(
        &self,
        original: &mut RequestHeader,
        peer: IpAddr,
        ctx: &mut Ctx,
    ) -> Result<Reply, Verdict> {
        let asked = Asked {
            request: original,
            address: peer,
            tls: false,
            has_body: false,
            carrier: Carrier::Proxy,
        };
        ctx.begin_trace(&asked);
        steps::within(ctx.steps(), self.decide_slowly(&asked, ctx)).await?;
        // A share's path, and a token's place, are known only now.
        if let Some(target) = &ctx.forward.target
            && !is_same_to_all(original.raw_path(), target)
        {
            ctx.permit = None;
            return Err(Unfit::Rewritten.verdict(ctx));
        }
        let names: Vec<HeaderName> = original.headers.keys().cloned().collect();
        // Whoever forwards it says by itself which trace it belongs to.
        let trace = ctx.trace.take();
        let told = self.tell_upstream(original, ctx);
        ctx.trace = trace;
        told.map_err(|_| failed())?;
        let own = ctx.upstream.as_ref().map(|it| &*it.config().headers);
        let own = own.unwrap_or_default();
        // The proxy sets the plain one, and would forward this beside it.
        if names.iter().any(|name| headers::is_alias(name, own)) {
            ctx.permit = None;
            return Err(Unfit::Override.verdict(ctx));
        }
        permitted(original, own, &names).map_err(|_| failed())
    }

    /// A refusal as the client is to see it.
    fn told(&self, verdict: Verdict, original: &RequestHeader, ctx: &mut Ctx) -> Reply {
        let (outcome, reply) = match verdict {
            Verdict::Answer(outcome, reply) => (outcome, *reply),
            // Neither comes of a question: see `admit::place`.
            Verdict::Forward | Verdict::Local(..) => (Outcome::Failed, unexpected()),
        };
        // A 2xx would let the request through.
        let reply = match reply.status().is_success() {
            true => unexpected(),
            false => reply,
        };
        self.own_answer(outcome, reply, original, ctx)
    }
}

fn unexpected() -> Reply {
    problem(
        StatusCode::INTERNAL_SERVER_ERROR,
        "the gateway failed: try again later",
    )
}

fn failed() -> Verdict {
    tracing::error!(error = %internal("forward-auth"), "what an upstream is to be told could not be written");
    Verdict::Answer(Outcome::Failed, Box::new(unexpected()))
}

/// The same with a whole URL in `Location`: some proxies (Traefik) take a path for one of the server that they have
/// asked.
fn with_whole_location(mut reply: Reply, ctx: &Ctx) -> Reply {
    let path = reply
        .headers()
        .get(LOCATION)
        .and_then(|it| it.to_str().ok());
    let host = ctx.forward.host.as_ref().and_then(|it| it.to_str().ok());
    let (Some(path), Some(host), Some(client)) = (path, host, ctx.client) else {
        return reply;
    };
    let scheme = if client.tls { "https" } else { "http" };
    let whole = HeaderValue::from_str(&format!("{scheme}://{host}{path}"));
    if let (true, Ok(whole)) = (path.starts_with('/'), whole) {
        reply.headers_mut().insert(LOCATION, whole);
    }
    reply
}

/// Whether the other proxy forwards what is judged: it forwards the target and the `Destination` as they came.
pub(super) fn is_forwarded_as_judged(sent: &str, head: &RequestHead<'_>) -> bool {
    let is_destination_same = match (head.headers.get(DESTINATION), &head.destination) {
        (Some(sent), Some(judged)) => {
            is_same_to_all(behind_origin(sent.as_bytes()), judged.as_bytes())
        }
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    };
    is_destination_same && is_same_to_all(sent.as_bytes(), head.path.as_bytes())
}

/// The path of a URL, or of a path.
fn behind_origin(url: &[u8]) -> &[u8] {
    if url.starts_with(b"/") {
        return url;
    }
    let authority = url.windows(3).position(|it| it == b"://").map(|at| at + 3);
    let path = authority.and_then(|at| {
        let rest = url.get(at..)?;
        rest.get(rest.iter().position(|byte| *byte == b'/')?..)
    });
    path.unwrap_or_default()
}

/// Whether every server reads both targets as the same: escapes may be spelled differently, and nothing else.
/// A canonical path has no second reading, so that decoding loses none.
fn is_same_to_all(sent: &[u8], canonical: &[u8]) -> bool {
    let parts = |target: &[u8]| {
        let (path, query) = crate::request::split_once(target, b'?');
        let path: Vec<u8> = percent_decode(path).collect();
        (path, query.map(<[u8]>::to_vec))
    };
    parts(sent) == parts(canonical)
}

/// The answer that lets a request through: what its upstream is to be told, for the proxy to copy, and
/// which of the client's headers (`sent`) it must not be sent. The upstream's own headers (`own`) are often its
/// passwords: whoever may ask does not get them, and the proxy that forwards sets them itself.
fn permitted(
    told: &RequestHeader,
    own: &[(HeaderName, Secret)],
    sent: &[HeaderName],
) -> Result<Reply, http::header::InvalidHeaderValue> {
    let is_own = |name: &HeaderName| own.iter().any(|(own, _)| own == name);
    let is_told = |name: &HeaderName| {
        let is_users =
            name.as_str().starts_with("x-vestibule-") || *name == AUTHORIZATION || *name == COOKIE;
        is_users && !is_own(name)
    };
    let mut reply = Reply::new(Bytes::new());
    let headers = reply.headers_mut();
    for (name, value) in told.headers.iter().filter(|(name, _)| is_told(name)) {
        headers.append(name, value.clone());
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let gone: Vec<&str> = sent
        .iter()
        .filter(|name| !told.headers.contains_key(*name) || is_own(name))
        .map(HeaderName::as_str)
        .collect();
    if !gone.is_empty() {
        headers.insert(TO_REMOVE, HeaderValue::from_str(&gone.join(", "))?);
    }
    Ok(reply)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_put_in_one_of_three_ways() {
        let read = |target: &'static [u8]| Put::read(target, "/.vestibule");
        let put = |form, redirect_as_401| {
            Some(Put {
                form,
                redirect_as_401,
            })
        };
        assert_eq!(read(b"/.vestibule/forward-auth"), put(Form::Headers, false));
        let as_401 = read(b"/.vestibule/forward-auth?redirect=401");
        assert_eq!(as_401, put(Form::Headers, true));
        for caddys in [
            &b"/.vestibule/forward-auth?"[..],
            b"/.vestibule/forward-auth?a=b&redirect=401",
        ] {
            assert_eq!(Put::read(caddys, "/.vestibule"), put(Form::Headers, false));
        }
        let envoy = read(b"/.vestibule/forward-auth/a?redirect=401");
        assert_eq!(envoy, put(Form::Path(b"/a?redirect=401"), false));
        for other in [
            &b"/.vestibule/forward-authx"[..],
            b"/.vestibule/x/forward-auth",
            b"/forward-auth",
            b"/.vestibule",
            b"*",
            b"",
        ] {
            assert_eq!(read(other), None, "{}", String::from_utf8_lossy(other));
        }
        assert!(Put::read(b"/door/forward-auth", "/door").is_some());
    }

    #[test]
    fn only_the_spelling_of_escapes_may_differ() {
        for (sent, canonical, same) in [
            ("/a%7eb", "/a~b", true),
            ("/%c3%b8?a", "/%C3%B8?a", true),
            ("/a/../b", "/b", false),
            ("/a/.", "/a/", false),
            ("/..", "/", false),
            ("/a/%2e%2e/b", "/b", false),
            ("//a", "/a", false),
            ("/share/link/a", "/dir/a", false),
            ("/a?token=t&b", "/a?b", false),
            ("/a?token=t", "/a", false),
            ("/a?", "/a", false),
        ] {
            let is_same = is_same_to_all(sent.as_bytes(), canonical.as_bytes());
            assert_eq!(is_same, same, "{sent} {canonical}");
        }
    }

    #[test]
    fn a_destination_is_judged_behind_its_origin() {
        for (url, path) in [
            ("/a", "/a"),
            ("/a://b/c", "/a://b/c"),
            ("https://files.example.org/a/b", "/a/b"),
            ("https://files.example.org//a/../b", "//a/../b"),
            ("https://files.example.org", ""),
            ("files.example.org/a", ""),
        ] {
            assert_eq!(behind_origin(url.as_bytes()), path.as_bytes(), "{url}");
        }
    }

    #[test]
    fn the_upstreams_own_headers_are_nobodys_to_know() {
        let mut told = RequestHeader::build("GET", b"/", None).unwrap();
        for (name, value) in [
            ("authorization", "Basic backends"),
            ("x-api-key", "backends"),
            ("x-vestibule-user", "ann"),
        ] {
            told.append_header(name, value).unwrap();
        }
        let own = ["authorization", "x-api-key"]
            .map(|name| (HeaderName::from_static(name), Secret::new("backends")));
        let sent = [AUTHORIZATION, HeaderName::from_static("x-other")];
        let reply = permitted(&told, &own, &sent).unwrap();
        assert_eq!(reply.headers()["x-vestibule-user"], "ann");
        assert!(!format!("{:?}", reply.headers()).contains("backends"));
        assert_eq!(reply.headers()[TO_REMOVE], "authorization, x-other");
    }

    #[test]
    fn the_log_is_told_of_each_kind_once_a_minute() {
        let complaints = Complaints::default();
        let is_due = |why, at| complaints.is_due(why, Timestamp(at));
        let missing = Unanswered::MissingHeader;
        assert!(is_due(missing, 1_000) && !is_due(missing, 1_000));
        assert!(is_due(Unanswered::OwnPath, 1_001), "another kind");
        assert!(!is_due(missing, 1_059));
        assert!(is_due(missing, 1_060) && !is_due(missing, 1_061));
        let mut all = Unanswered::ALL.into_iter();
        assert!(all.all(|why| is_due(why, 2_000)), "each has its place");
    }
}
