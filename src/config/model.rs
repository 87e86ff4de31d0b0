//! The validated configuration: what the rest of the program reads.
//!
//! Every value here has been checked by `lift`; nothing downstream parses text again.
//! Durations are `std::time::Duration`, paths are absolute or relative to the config file.

mod background;
mod codes;
mod delivery;
mod identity;
mod policy;
mod portal;
mod route;

pub use background::{Background, Remember};
pub use codes::{Codes, Limits, Lockout, Sessions, SigningAlgorithm, Tokens};
pub use delivery::{Delivery, HttpSms, Login, Sender, SmsProvider, Smtp, SmtpTls, Twilio};
pub use identity::{
    Claims, Identity, Introspection, Jwt, JwtKeys, Learn, PemKey, VerificationAlgorithm,
};
pub use policy::{GROUPS_MAX, People, Requirement, Rule, is_group};
pub use portal::{Color, Colors, Logo, LogoKind, OwnCookie, Palette, Portal, Support};
pub use route::{CredentialSource, Dialect, Forward, ForwardToken, Route};

use crate::secret::Secret;
use ipnet::IpNet;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// The whole configuration file.
#[derive(Clone, Debug)]
pub struct Config {
    pub listeners: Vec<Listener>,
    pub timeouts: Timeouts,
    pub connections: Connections,
    pub admin: Admin,
    /// Peers whose `X-Forwarded-*` are believed.
    pub trusted_proxies: Vec<IpNet>,
    pub store: Store,
    pub sessions: Sessions,
    pub codes: Codes,
    pub limits: Limits,
    pub lockout: Lockout,
    pub sudo: Duration,
    pub tokens: Tokens,
    pub delivery: Delivery,
    pub identities: BTreeMap<String, Identity>,
    pub upstreams: BTreeMap<String, Upstream>,
    pub routes: Vec<Route>,
    pub portal: Portal,
    pub log: Log,
    /// Where traces go; `None`: there are none.
    pub traces: Option<Traces>,
    /// Worker threads; 0 means one per core.
    pub threads: usize,
}

/// What decides what is asked of a request: no secret and no file is in it, but what stands in the place of
/// an issuer's keys where those could not be read.
#[derive(Clone, Debug)]
pub struct Policy {
    pub sessions: Sessions,
    pub identities: BTreeMap<String, Identity>,
    pub routes: Vec<Route>,
    pub portal: Portal,
}

/// One address that clients connect to.
#[derive(Clone, Debug)]
pub struct Listener {
    pub address: SocketAddr,
    pub tls: Option<Tls>,
    pub forward_auth: bool,
}

/// The certificates of a listener; the client's SNI picks one, the first is the default.
#[derive(Clone, Debug)]
pub struct Tls {
    pub certificates: Vec<Certificate>,
}

/// A PEM chain and its PEM key.
#[derive(Clone, Debug)]
pub struct Certificate {
    pub cert: PathBuf,
    pub key: PathBuf,
}

/// What a client may take its time for.
#[derive(Clone, Debug)]
pub struct Timeouts {
    /// From the first byte of a request (or the accept) to the end of its head; also the TLS handshake.
    pub head: Duration,
    /// The longest pause between two pieces of a request body.
    pub body: Duration,
    /// The longest idle time between two requests on one connection.
    pub keepalive: Duration,
    /// The longest pause while the client does not take what is sent to it.
    pub write: Duration,
    /// How long requests in flight may go on after SIGTERM.
    pub drain: Duration,
}

/// Bounds on what clients may hold open or send.
#[derive(Clone, Debug)]
pub struct Connections {
    /// Open client connections over all listeners; further ones wait in the kernel's queue.
    pub max: usize,
    /// Of these, how many one client address may hold (IPv6: one /64); further ones are closed.
    pub per_address_max: usize,
    /// Bytes of a request head (start line and headers); more is 431.
    pub head_bytes_max: usize,
    /// Header fields of a request; more is 431.
    pub headers_max: usize,
}

/// The operator's listeners.
#[derive(Clone, Debug)]
pub struct Admin {
    pub address: Option<SocketAddr>,
    pub socket: Option<PathBuf>,
}

/// Where durable state lives.
#[derive(Clone, Debug)]
pub struct Store {
    pub engine: StoreEngine,
    /// 32 bytes in base64: seals the data key.
    pub key: Secret,
}

/// The storage engines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreEngine {
    /// `sqlite:/path/to/file.db`
    Sqlite(PathBuf),
    /// `memory:`, for tests and trials: forgets everything at the end.
    Memory,
}

/// A backend.
#[derive(Clone, Debug)]
pub struct Upstream {
    /// `host:port`, used in turn.
    pub servers: Vec<String>,
    pub tls: Option<UpstreamTls>,
    pub timeouts: UpstreamTimeouts,
    /// Set on every forwarded request, replacing the client's.
    pub headers: Vec<(http::HeaderName, Secret)>,
    /// The `Host` sent upstream; `None`: the client's.
    pub host: Option<String>,
}

/// TLS towards a backend. There is no way to switch verification off.
#[derive(Clone, Debug)]
pub struct UpstreamTls {
    /// The name asked for and verified; never empty.
    pub server_name: String,
}

/// What a backend may take its time for.
#[derive(Clone, Copy, Debug)]
pub struct UpstreamTimeouts {
    pub connect: Duration,
    /// The longest pause between two pieces of the answer; WebSockets and event streams have none.
    pub read: Duration,
    pub write: Duration,
    /// How long an unused connection is kept; keep it below the backend's own.
    pub idle: Duration,
}

/// Traces for an OpenTelemetry collector.
#[derive(Clone, Debug, PartialEq)]
pub struct Traces {
    /// Where spans are posted to (OTLP over HTTP): absolute, http or https.
    pub url: String,
    /// The collector's own headers.
    pub headers: Vec<(http::HeaderName, Secret)>,
    /// The share of requests that are traced, 0 to 1.
    pub sample: f64,
    /// `service.name`.
    pub service_name: String,
}

/// The log's shape.
#[derive(Clone, Debug)]
pub struct Log {
    pub json: bool,
    /// An `EnvFilter` directive, e.g. `info`.
    pub level: String,
}
