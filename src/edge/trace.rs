//! What a request's trace says: the request as a span, the decision and each server that was asked as
//! spans below it. Where there are no traces, each of these functions is a branch.
//!
//! Names are of this program or of the config; a client chooses the host that it asks for, and no other
//! word. A path can be a link that opens a folder, a query holds tokens, and an address is a person's:
//! none of them is told.

use super::access::Ended;
use super::admit::Asked;
use super::exchange::Ctx;
use crate::observe::traces::Tracer;
use crate::steps::{Fact, Kind, Step, Steps};
use http::{HeaderName, HeaderValue, Method, StatusCode, Version};
use pingora::http::RequestHeader;
use std::borrow::Cow;
use std::net::IpAddr;
use std::time::Instant;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Methods that go by their names: those of HTTP and of WebDAV. A client may make up any other.
const METHODS: [&str; 16] = [
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "PATCH",
    "DELETE",
    "OPTIONS",
    "PROPFIND",
    "PROPPATCH",
    "MKCOL",
    "COPY",
    "MOVE",
    "LOCK",
    "UNLOCK",
    "REPORT",
    "SEARCH",
];

impl Ctx {
    /// Begins the request's trace, if there are any: the one that a trusted proxy says, or a new one. A
    /// client cannot choose to be traced.
    pub(super) fn begin_trace(&mut self, asked: &Asked<'_>) {
        if let Some(tracer) = &self.snapshot.tracer {
            let is_trusted = is_trusted(&self.snapshot.config.trusted_proxies, asked.address);
            self.trace = begin(tracer, asked.request, is_trusted);
        }
    }

    /// Where what is done for this request notes its steps.
    pub(super) fn steps(&self) -> Option<Steps> {
        self.trace.as_ref()?.steps().cloned()
    }

    fn note(&self, step: impl FnOnce() -> Step) {
        if let Some(steps) = self.trace.as_ref().and_then(|trace| trace.steps()) {
            steps.push(step());
        }
    }

    /// The gate has decided.
    pub(super) fn note_decision(&self, began: Instant) {
        self.note(|| Step::since(began, "gate"));
    }

    /// A server of the upstream has answered with this status, or failed.
    pub(super) fn note_upstream(&self, status: Option<StatusCode>) {
        self.note(|| {
            let began = self.asked_upstream.unwrap_or_else(Instant::now);
            let mut facts: Vec<Fact> = Vec::new();
            if let Some(upstream) = &self.upstream {
                facts.push(("vestibule.upstream", upstream.name().to_owned().into()));
            }
            if let Some(server) = self.server {
                facts.push(("server.address", server.ip().to_string().into()));
                facts.push(("server.port", server.port().into()));
            }
            if let Some(status) = status {
                facts.push(("http.response.status_code", status.as_u16().into()));
            }
            Step {
                kind: match status {
                    Some(_) => Kind::Upstream,
                    None => Kind::Client,
                },
                failed: status.is_none_or(|status| status.is_server_error()),
                facts,
                ..Step::since(began, "upstream")
            }
        });
    }

    /// Tells the upstream which trace it works for, where there are traces: its own word of a client's
    /// would join what belongs to nobody.
    pub(super) fn tell_trace(&self, request: &mut RequestHeader) -> pingora::Result<()> {
        let Some(trace) = &self.trace else {
            return Ok(());
        };
        if !trace.is_continued() {
            request.remove_header(&TRACESTATE);
        }
        request.insert_header(TRACEPARENT, trace.traceparent())
    }

    /// The request is over.
    pub(super) fn end_trace(&self, ended: &Ended<'_>, status: u16) {
        if let Some(trace) = &self.trace {
            trace.end(|| self.root(ended, status));
        }
    }

    /// The request's own span (OpenTelemetry semantic conventions, "HTTP server").
    fn root(&self, ended: &Ended<'_>, status: u16) -> Step {
        // Of a question, what was asked about.
        let request = self.original.as_deref().unwrap_or(ended.request);
        let method = method(&request.method);
        let mut facts: Vec<Fact> = vec![
            ("http.request.method", method.into()),
            ("http.response.status_code", status.into()),
            ("network.protocol.version", version(request.version).into()),
            ("http.request.body.size", ended.bytes_in.into()),
            ("http.response.body.size", ended.bytes_out.into()),
            ("vestibule.outcome", self.outcome.as_str().into()),
        ];
        if self.original.is_some() {
            facts.push(("vestibule.forwarded_by", "proxy".into()));
        }
        if let Some(client) = self.client {
            let scheme = if client.tls { "https" } else { "http" };
            facts.push(("url.scheme", scheme.into()));
        }
        let mut name = Cow::Borrowed(method);
        if let Some(route) = &self.route {
            let route = &route.config.name;
            name = format!("{method} {route}").into();
            facts.push(("http.route", route.clone().into()));
            let host = self.forward.host.as_ref().map(HeaderValue::to_str);
            if let Some(Ok(host)) = host {
                facts.push(("server.address", without_port(host).to_owned().into()));
            }
        }
        if let Some(error) = ended.error {
            facts.push(("error.type", error.etype().as_str().to_owned().into()));
        }
        Step {
            name,
            failed: status >= 500,
            facts,
            ..Step::since(self.began, "request")
        }
    }
}

fn begin(
    tracer: &Tracer,
    request: &RequestHeader,
    is_trusted: bool,
) -> Option<std::sync::Arc<crate::observe::traces::Trace>> {
    let mut sent = request.headers.get_all(TRACEPARENT).iter();
    let one = match (sent.next(), sent.next()) {
        (Some(one), None) if is_trusted => Some(one.as_bytes()),
        _ => None,
    };
    tracer.begin(one)
}

fn is_trusted(proxies: &[ipnet::IpNet], peer: IpAddr) -> bool {
    proxies.iter().any(|net| net.contains(&peer))
}

fn method(method: &Method) -> &'static str {
    let known = METHODS.iter().find(|known| **known == method.as_str());
    known.copied().unwrap_or("_OTHER")
}

fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        _ => "1.1",
    }
}

/// `[::1]:80` → `[::1]`.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_makes_up_names_no_span() {
        assert_eq!(method(&Method::GET), "GET");
        let made_up = Method::from_bytes(b"TOKEN-4711").unwrap();
        assert_eq!(method(&made_up), "_OTHER");
    }

    #[test]
    fn a_host_is_told_without_its_port() {
        let hosts = [
            ("files.example", "files.example"),
            ("files.example:8443", "files.example"),
            ("[::1]:80", "[::1]"),
            ("[::1]", "[::1]"),
        ];
        for (host, name) in hosts {
            assert_eq!(without_port(host), name, "{host}");
        }
    }
}
