//! The shapes of the YAML file, as they are written: defaults are here, checks are in [`lift`](super::lift).
//!
//! Nothing is required by a shape itself (what must be there is an `Option` that [`lift`](super::lift)
//! asks for), so that one wrong value never hides another. The documentation of these fields is what
//! the published JSON Schema says to people's editors.

mod delivery;
mod identities;
mod portal;
mod tokens;
mod traces;

pub(super) use delivery::{Delivery, Email, HttpSms, SmsMethod, SmsProvider, Twilio};
pub(super) use identities::{Claims, Client, Identity, Introspection, Jwks, Jwt, Learn, PemKey};
pub(super) use portal::{Palette, Portal};
pub(super) use tokens::{Forward, ForwardToken, SigningAlgorithm, Tokens};
pub(super) use traces::Traces;

use super::values::{Credential, Period, Remember, SecretSource, UpstreamTls};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The configuration of Vestibule, a second factor in front of a file server.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "vestibule.yaml")]
pub(super) struct Config {
    /// The addresses that clients connect to.
    #[schemars(required)]
    pub(super) listeners: Option<Vec<Listener>>,
    #[serde(default)]
    pub(super) timeouts: Timeouts,
    #[serde(default)]
    pub(super) connections: Connections,
    #[serde(default)]
    pub(super) admin: Admin,
    /// Proxies in front of Vestibule: networks whose `X-Forwarded-For`, `-Proto` and `-Host` are believed.
    #[serde(default)]
    #[schemars(extend("examples" = [["127.0.0.1/32", "10.0.0.0/8"]]))]
    pub(super) trusted_proxies: Vec<String>,
    #[schemars(required)]
    pub(super) store: Option<Store>,
    #[serde(default)]
    pub(super) sessions: Sessions,
    #[serde(default)]
    pub(super) codes: Codes,
    #[serde(default)]
    pub(super) limits: Limits,
    #[serde(default)]
    pub(super) lockout: Lockout,
    /// For how long after a verification the most sensitive settings may be changed.
    #[serde(default = "sudo")]
    pub(super) sudo: Period,
    #[serde(default)]
    pub(super) tokens: Tokens,
    #[serde(default)]
    pub(super) delivery: Delivery,
    /// How a token becomes a user, by a name of your own.
    #[schemars(required)]
    pub(super) identities: Option<BTreeMap<String, Identity>>,
    /// The backends, by a name of your own.
    #[schemars(required)]
    pub(super) upstreams: Option<BTreeMap<String, Upstream>>,
    /// The virtual hosts.
    #[schemars(required)]
    pub(super) routes: Option<Vec<Route>>,
    #[serde(default)]
    pub(super) portal: Portal,
    #[serde(default)]
    pub(super) log: Log,
    pub(super) traces: Option<Traces>,
    /// Worker threads; 0: one for each core.
    #[serde(default)]
    pub(super) threads: u16,
}

fn sudo() -> Period {
    Period::secs(600)
}

/// An address that clients connect to.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Listener {
    /// An IP address and a port.
    #[schemars(required, extend("examples" = ["0.0.0.0:8443", "127.0.0.1:8080", "[::]:8443"]))]
    pub(super) address: Option<String>,
    /// Speak TLS here. Without it, only a proxy on the same machine should connect.
    pub(super) tls: Option<Tls>,
    /// Answer other proxies that ask whether they may forward a request (nginx `auth_request`, Traefik `forwardAuth`,
    /// Caddy `forward_auth`, Envoy `ext_authz`), and nothing else. Only those in `trusted_proxies` may ask.
    #[serde(default)]
    pub(super) forward_auth: bool,
}

/// TLS towards clients (1.2 and 1.3).
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Tls {
    /// The name a client asks for (SNI) picks one of them, the first is the default. Read again at a reload.
    #[schemars(required)]
    pub(super) certificates: Option<Vec<Certificate>>,
}

/// A certificate with its key.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Certificate {
    /// A PEM file: the certificate, then those between it and the root.
    #[schemars(required)]
    pub(super) cert: Option<String>,
    /// A PEM file: the private key.
    #[schemars(required)]
    pub(super) key: Option<String>,
}

/// What a client may take its time for.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Timeouts {
    /// From the first byte of a request to the end of its head; also the TLS handshake.
    pub(super) head: Period,
    /// The longest pause between two pieces of a request body.
    pub(super) body: Period,
    /// The longest idle time between two requests on one connection.
    pub(super) keepalive: Period,
    /// The longest pause while the client does not take what is sent to it.
    pub(super) write: Period,
    /// How long requests in flight may go on after SIGTERM.
    pub(super) drain: Period,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            head: Period::secs(10),
            body: Period::secs(60),
            keepalive: Period::secs(75),
            write: Period::secs(60),
            drain: Period::secs(30),
        }
    }
}

/// Bounds on what clients may hold open or send.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Connections {
    /// Open client connections over all listeners; further ones wait in the kernel's queue.
    pub(super) max: u32,
    /// Of these, how many one client address may hold (IPv6: one /64); further ones are closed at
    /// once. Trusted proxies may hold all.
    pub(super) per_address_max: u32,
    /// Bytes of a request's start line and headers; more is answered 431.
    pub(super) head_bytes_max: u32,
    /// Header fields of a request; more is answered 431.
    pub(super) headers_max: u32,
}

impl Default for Connections {
    fn default() -> Self {
        Self {
            max: 16_384,
            per_address_max: 1_024,
            head_bytes_max: 32_768,
            headers_max: 100,
        }
    }
}

/// The operator's doors.
#[derive(Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Admin {
    /// Where `/metrics`, `/healthz` and `/readyz` are. Without it, they are nowhere.
    #[schemars(extend("examples" = ["127.0.0.1:9180"]))]
    pub(super) address: Option<String>,
    /// The socket through which the command line speaks to the running gateway.
    #[schemars(extend("examples" = ["/run/vestibule/admin.sock"]))]
    pub(super) socket: Option<String>,
}

/// Where sessions, users and factors are kept.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Store {
    /// `sqlite:PATH`, or `memory:` for trials, which forgets everything at the end.
    #[schemars(required, extend("examples" = ["sqlite:/var/lib/vestibule/vestibule.db", "memory:"]))]
    pub(super) url: Option<String>,
    /// 32 bytes in base64, made by `vestibule key generate`. Keep a copy apart from the store's: without it the store is unreadable.
    #[schemars(required)]
    pub(super) key: Option<SecretSource>,
}

/// How long a verified (token, device) pair stays verified.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Sessions {
    /// Since the verification.
    pub(super) lifetime: Period,
    /// Since the last request.
    pub(super) idle: Period,
    /// Sessions kept in memory at most; the others are read from the store when they come.
    pub(super) hot_max: u32,
}

impl Default for Sessions {
    fn default() -> Self {
        Self {
            lifetime: Period::secs(90 * 86_400),
            idle: Period::secs(30 * 86_400),
            hot_max: 1_000_000,
        }
    }
}

/// One-time codes.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Codes {
    /// Digits of a code.
    #[schemars(range(min = 4, max = 10))]
    pub(super) length: u8,
    /// How long a code is good.
    pub(super) lifetime: Period,
    /// Wrong codes until a challenge is void.
    pub(super) attempts: u32,
    /// The shortest time between two codes for a user.
    pub(super) resend_after: Period,
    /// Codes of an authenticator app: how many steps of 30 s its clock may be off, either way.
    #[schemars(range(max = 10))]
    pub(super) totp_window: u32,
}

impl Default for Codes {
    fn default() -> Self {
        Self {
            length: 6,
            lifetime: Period::secs(600),
            attempts: 5,
            resend_after: Period::secs(30),
            totp_window: 1,
        }
    }
}

/// How many codes are sent.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Limits {
    pub(super) per_user_per_hour: u32,
    pub(super) per_number_per_hour: u32,
    pub(super) per_gateway_per_minute: u32,
    /// For each country's prefix: what SMS pumping runs into.
    pub(super) per_prefix_per_minute: u32,
    /// Countries whose numbers are sent to (ISO 3166 alpha-2); empty: any.
    #[schemars(extend("examples" = [["DK", "NO", "SE"]]))]
    pub(super) countries: Vec<String>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            per_user_per_hour: 5,
            per_number_per_hour: 5,
            per_gateway_per_minute: 60,
            per_prefix_per_minute: 20,
            countries: Vec::new(),
        }
    }
}

/// What consecutive wrong codes (and passwords) cost.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Lockout {
    /// A delay at every so many wrong codes in a row.
    pub(super) delay_every: u32,
    /// The first delay; each further one is twice as long.
    pub(super) first_delay: Period,
    pub(super) max_delay: Period,
    /// So many wrong codes in a row lock the user until an operator helps; 0: never.
    pub(super) lock_at: u32,
    /// For a client address, the counts above are multiplied by this.
    pub(super) address_factor: u32,
}

impl Default for Lockout {
    fn default() -> Self {
        Self {
            delay_every: 5,
            first_delay: Period::secs(30),
            max_delay: Period::secs(3600),
            lock_at: 100,
            address_factor: 10,
        }
    }
}

/// A backend.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Upstream {
    /// `host:port`, used in turn.
    #[schemars(required, extend("examples" = [["127.0.0.1:5000"]]))]
    pub(super) servers: Option<Vec<String>>,
    pub(super) tls: Option<UpstreamTls>,
    #[serde(default)]
    pub(super) timeouts: UpstreamTimeouts,
    /// Headers set on every forwarded request, in place of the client's.
    #[serde(default)]
    #[schemars(extend("examples" = [{"authorization": {"file": "backend.auth"}}]))]
    pub(super) headers: BTreeMap<String, SecretSource>,
    /// The `Host` that is sent; without it, the client's.
    pub(super) host: Option<String>,
}

/// What a backend may take its time for.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct UpstreamTimeouts {
    pub(super) connect: Period,
    /// The longest pause between two pieces of the answer; WebSockets and event streams have none.
    pub(super) read: Period,
    pub(super) write: Period,
    /// How long an unused connection is kept; keep it below the backend's own.
    pub(super) idle: Period,
}

impl Default for UpstreamTimeouts {
    fn default() -> Self {
        Self {
            connect: Period::secs(3),
            read: Period::secs(60),
            write: Period::secs(60),
            idle: Period::secs(30),
        }
    }
}

/// A virtual host in front of an upstream.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Route {
    /// A name of your own, for logs and metrics.
    #[schemars(required)]
    pub(super) name: Option<String>,
    /// Without port: a name, `*.` and a domain, or `*`. An exact name wins over `*.`, and that over `*`.
    #[schemars(required, extend("examples" = [["files.example.org"]]))]
    pub(super) hosts: Option<Vec<String>>,
    /// A name of `upstreams`.
    #[schemars(required)]
    pub(super) upstream: Option<String>,
    /// A name of `identities`.
    #[schemars(required)]
    pub(super) identity: Option<String>,
    /// Where a request may carry its token.
    #[serde(default = "credentials")]
    pub(super) credentials: Vec<Credential>,
    /// The documented 2FA APIs that are answered here.
    #[serde(default)]
    pub(super) dialects: Vec<Dialect>,
    /// What paths ask; the first rule that matches wins.
    #[serde(default)]
    pub(super) rules: Vec<Rule>,
    /// What the other paths ask.
    #[serde(default)]
    pub(super) require: Require,
    /// With `two_factor`, as in a rule.
    pub(super) within: Option<Period>,
    /// With `two_factor`, as in a rule.
    pub(super) max_idle: Option<Period>,
    /// With `two_factor`, as in a rule.
    #[schemars(with = "Option<Assurance>")]
    pub(super) assurance: Option<String>,
    /// Requests that do not count as use of a session (an app that polls): they are let through by it, and it
    /// idles out all the same.
    #[serde(default)]
    pub(super) background: Vec<Background>,
    /// Whether a browser in which somebody has passed the second factor, and has ticked that it be remembered,
    /// is asked for it when the same user signs in there anew: `never` is remembered, or for a time like `30d`,
    /// or `forever`. Where users are Vestibule's own (`accounts`).
    #[serde(default)]
    pub(super) remember: Remember,
    /// Whether a user without a second factor may set the first one up with the token alone. Without
    /// it, such users wait for the operator.
    #[serde(default)]
    pub(super) self_enrolment: bool,
    /// The country (ISO 3166 alpha-2) in which a phone number without `+` is read.
    #[schemars(extend("examples" = ["DK"]))]
    pub(super) phone_region: Option<String>,
    #[serde(default)]
    pub(super) forward: Forward,
    /// What tokens of this route are signed with, in place of `tokens.algorithm`.
    pub(super) token_algorithm: Option<SigningAlgorithm>,
    pub(super) cors: Option<Cors>,
    /// What becomes of a path with an encoded `/` (`%2F`): answered 400, or kept for a backend that needs it.
    #[serde(default)]
    pub(super) encoded_slashes: EncodedSlashes,
    /// Whether pages of the backend may install service workers. One for the whole host sees and changes
    /// all that happens on Vestibule's own pages: `allow` it only where nobody can upload a script.
    #[serde(default)]
    pub(super) service_workers: ServiceWorkers,
    /// Bytes of a request body; more is answered 413. Without it, the upstream decides.
    pub(super) body_bytes_max: Option<u64>,
}

fn credentials() -> Vec<Credential> {
    vec![Credential::Bearer]
}

#[derive(Clone, Copy, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum EncodedSlashes {
    #[default]
    Refuse,
    Keep,
}

#[derive(Clone, Copy, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum ServiceWorkers {
    #[default]
    Refuse,
    Allow,
}

#[derive(Clone, Copy, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Dialect {
    IoGates,
    Ziik,
    B2Core,
    Conduit,
}

/// A line of a route's policy. It matches what all of its conditions match; one that is left out matches
/// everything.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Rule {
    #[schemars(extend("examples" = [["DELETE"]]))]
    pub(super) methods: Option<Vec<String>>,
    /// A path that ends in `/` matches everything below it, another matches itself alone.
    #[schemars(extend("examples" = [["/public/"]]))]
    pub(super) paths: Option<Vec<String>>,
    /// Where the client's address is, once `trusted_proxies` have been believed. An address proves little.
    #[schemars(extend("examples" = [["10.0.0.0/8", "fd00::/8"]]))]
    pub(super) networks: Option<Vec<String>>,
    /// Users of the route's identity, letter by letter. A token is asked for, to know.
    #[schemars(extend("examples" = [["anna"]]))]
    pub(super) users: Option<Vec<String>>,
    /// Whoever is in one of these groups, letter by letter. A token is asked for, to know.
    #[schemars(extend("examples" = [["staff"]]))]
    pub(super) groups: Option<Vec<String>>,
    #[schemars(required)]
    pub(super) require: Option<Require>,
    /// With `two_factor`: the verification must not be older than this.
    pub(super) within: Option<Period>,
    /// With `two_factor`: since the verification, there must not have been a longer time without a request.
    pub(super) max_idle: Option<Period>,
    /// With `two_factor`: the times of an assurance level of NIST SP 800-63B-4. A shorter `within` or
    /// `max_idle` beside it holds.
    #[schemars(with = "Option<Assurance>")]
    pub(super) assurance: Option<String>,
}

/// When a second factor is asked for again, by the assurance levels of NIST SP 800-63B-4: aal1 is
/// `within: 30d` (section 2.1.3), aal2 is `within: 24h` and `max_idle: 1h` (section 2.2.3). Of what else a
/// level asks, nothing is judged.
#[derive(JsonSchema)]
#[schemars(extend("enum" = ["aal1", "aal2"]))]
struct Assurance(#[expect(dead_code, reason = "gives the schema its type")] String);

/// Requests that programs make by themselves. Without `methods`, all of them.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Background {
    #[schemars(extend("examples" = [["GET"]]))]
    pub(super) methods: Option<Vec<String>>,
    /// A path that ends in `/` matches everything below it, another matches itself alone.
    #[schemars(required, extend("examples" = [["/api/notifications"]]))]
    pub(super) paths: Option<Vec<String>>,
}

/// What a path asks.
#[derive(Clone, Copy, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(super) enum Require {
    /// Nothing: open to all.
    None,
    /// A known token.
    Token,
    /// A (token, device) pair that has passed its second factor.
    #[default]
    TwoFactor,
    /// A one-use success token besides the verified pair.
    SuccessToken,
    /// Closed to all.
    Deny,
}

/// Pages of other origins that may call this host.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Cors {
    #[schemars(required, extend("examples" = [["https://app.example.org"]]))]
    pub(super) origins: Option<Vec<String>>,
}

/// The log on standard error.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Log {
    /// One JSON object a line, in place of text for people.
    pub(super) json: bool,
    /// `error`, `warn`, `info`, `debug` or `trace`, also for a part: `info,vestibule::store=debug`.
    pub(super) level: String,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            json: false,
            level: "info".to_owned(),
        }
    }
}
