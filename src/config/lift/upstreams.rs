//! The backends.

use super::Lift;
use super::delivery::is_secret_name;
use super::syntax;
use crate::config::model::{Upstream, UpstreamTimeouts, UpstreamTls};
use crate::config::raw;
use crate::config::tree::At;
use crate::config::values::{SecretSource, UpstreamTls as RawTls};
use crate::secret::Secret;
use http::HeaderName;
use std::collections::BTreeMap;

/// What the proxy sets itself: one connection's business, or the framing of a message.
const FRAMING: [&str; 9] = [
    "connection",
    "content-length",
    "expect",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

impl Lift<'_> {
    pub(super) fn upstreams(
        &mut self,
        raw: Option<&BTreeMap<String, raw::Upstream>>,
        at: At<'_>,
    ) -> Option<BTreeMap<String, Upstream>> {
        let mend = "write at least one, like `files: {servers: [\"127.0.0.1:5000\"]}`";
        let raw = self.required(raw, at, mend)?;
        let mut upstreams = Some(BTreeMap::new());
        for (name, upstream) in raw {
            let at = at.key(name);
            self.checked(syntax::name(name), at);
            match (self.upstream(upstream, at), &mut upstreams) {
                (Some(lifted), Some(upstreams)) => {
                    upstreams.insert(name.clone(), lifted);
                }
                _ => upstreams = None,
            }
        }
        upstreams
    }

    fn upstream(&mut self, raw: &raw::Upstream, at: At<'_>) -> Option<Upstream> {
        let servers = self.servers(raw.servers.as_deref(), at.key("servers"));
        let at_tls = at.key("tls");
        let tls = match &raw.tls {
            None | Some(RawTls::Off) => Some(None),
            Some(RawTls::Name(name)) => self
                .checked(syntax::server_name(name), at_tls.key("server_name"))
                .map(|server_name| Some(UpstreamTls { server_name })),
            Some(RawTls::On) => servers
                .as_deref()
                .and_then(|servers| self.server_name(servers, at_tls))
                .map(|server_name| Some(UpstreamTls { server_name })),
        };
        let headers = self.headers(&raw.headers, at.key("headers"));
        if let Some(host) = &raw.host
            && host.parse::<http::uri::Authority>().is_err()
        {
            self.error(
                at.key("host"),
                format!("{host:?} is not a host, like files.example.org"),
            );
        }
        let at_timeouts = at.key("timeouts");
        let timeouts = UpstreamTimeouts {
            connect: self.period(raw.timeouts.connect, at_timeouts.key("connect")),
            read: self.period(raw.timeouts.read, at_timeouts.key("read")),
            write: self.period(raw.timeouts.write, at_timeouts.key("write")),
            idle: self.period(raw.timeouts.idle, at_timeouts.key("idle")),
        };
        servers?;
        Some(Upstream {
            servers: raw.servers.clone()?,
            tls: tls?,
            timeouts,
            headers: headers?,
            host: raw.host.clone(),
        })
    }

    /// The hosts of the servers.
    fn servers(&mut self, raw: Option<&[String]>, at: At<'_>) -> Option<Vec<String>> {
        let raw = self.filled(raw, at, "write at least one, like [\"127.0.0.1:5000\"]")?;
        let mut hosts = Some(Vec::new());
        for (index, text) in raw.iter().enumerate() {
            match (
                self.checked(syntax::server(text), at.index(index)),
                &mut hosts,
            ) {
                (Some((host, _)), Some(hosts)) => hosts.push(host),
                _ => hosts = None,
            }
        }
        hosts
    }

    /// The one name that all servers have. An empty one would switch verification off in Pingora.
    fn server_name(&mut self, hosts: &[String], at: At<'_>) -> Option<String> {
        let mend = "write `tls: {server_name: NAME}`, the name in their certificate";
        let (first, others) = hosts.split_first()?;
        if others
            .iter()
            .any(|other| !other.eq_ignore_ascii_case(first))
        {
            self.error(at, format!("the servers have different names: {mend}"));
            return None;
        }
        let name = syntax::server_name(first);
        self.checked(
            name.map_err(|_| format!("the server {first} is an address, not a name: {mend}")),
            at,
        )
    }

    pub(super) fn headers(
        &mut self,
        raw: &BTreeMap<String, SecretSource>,
        at: At<'_>,
    ) -> Option<Vec<(HeaderName, Secret)>> {
        let mut headers = Vec::new();
        for (text, source) in raw {
            let at = at.key(text);
            let name = self.header_name(text, at);
            if is_secret_name(text) {
                self.warn_of_plain(source, at);
            }
            let value = self.secret(source, at);
            if let Some(value) = &value
                && http::HeaderValue::from_str(value.expose()).is_err()
            {
                self.error(
                    at,
                    "the value has characters that a header cannot carry, like a line break",
                );
            }
            headers.extend(name.zip(value));
        }
        (headers.len() == raw.len()).then_some(headers)
    }

    fn header_name(&mut self, text: &str, at: At<'_>) -> Option<HeaderName> {
        let Ok(name) = HeaderName::from_bytes(text.as_bytes()) else {
            self.error(at, format!("{text:?} is not a header name"));
            return None;
        };
        if FRAMING.contains(&name.as_str()) {
            self.error(at, format!("{text} is the proxy's own to set: remove it"));
            return None;
        }
        if name == http::header::HOST {
            self.error(at, "write `host:` beside `headers:` instead");
            return None;
        }
        if name.as_str().replace('_', "-").starts_with("x-vestibule-") {
            self.error(
                at,
                format!("{text}: Vestibule sets these headers itself: remove it"),
            );
            return None;
        }
        Some(name)
    }
}
