//! The validated configuration: what the rest of the program reads.
//!
//! Every value here has been checked by `lift`; nothing downstream parses text again.
//! Durations are `std::time::Duration`, paths are absolute or relative to the config file.

mod background;
mod policy;
mod portal;

pub use background::{Background, Remember};
pub use policy::{GROUPS_MAX, People, Requirement, Rule, is_group};
pub use portal::{Color, Colors, Logo, LogoKind, OwnCookie, Palette, Portal, Support};

use crate::secret::Secret;
use ipnet::IpNet;
use rustls::pki_types::CertificateDer;
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

/// How long a verified pair stays verified.
#[derive(Clone, Copy, Debug)]
pub struct Sessions {
    pub lifetime: Duration,
    pub idle: Duration,
    /// Entries the hot map holds at most.
    pub hot_max: usize,
}

/// One-time codes.
#[derive(Clone, Copy, Debug)]
pub struct Codes {
    /// Decimal digits.
    pub length: usize,
    pub lifetime: Duration,
    /// Wrong codes a challenge survives.
    pub attempts: u32,
    pub resend_after: Duration,
    /// Time steps of 30 s before and after now whose authenticator codes are taken.
    pub totp_window: u32,
}

/// How much may be sent.
#[derive(Clone, Debug)]
pub struct Limits {
    pub per_user_per_hour: u32,
    pub per_number_per_hour: u32,
    pub per_gateway_per_minute: u32,
    pub per_prefix_per_minute: u32,
    /// ISO 3166 alpha-2, upper case; empty: any country.
    pub countries: Vec<String>,
}

/// What consecutive failures cost.
#[derive(Clone, Copy, Debug)]
pub struct Lockout {
    pub delay_every: u32,
    pub first_delay: Duration,
    pub max_delay: Duration,
    pub lock_at: u32,
    /// The bounds for one client address are those for a user times this.
    pub address_factor: u32,
}

/// Vestibule's own tokens.
#[derive(Clone, Debug)]
pub struct Tokens {
    /// Who has signed them (`iss`).
    pub issuer: String,
    /// Of routes that do not name one of their own.
    pub algorithm: SigningAlgorithm,
    pub access_lifetime: Duration,
    pub refresh_lifetime: Duration,
}

/// A signature algorithm (RFC 7518, RFC 8037).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SigningAlgorithm {
    /// Ed25519.
    EdDsa,
    /// RSASSA-PKCS1-v1_5 with SHA-256, for clients that know nothing newer.
    Rs256,
}

impl SigningAlgorithm {
    /// Every algorithm.
    pub const ALL: [Self; 2] = [Self::EdDsa, Self::Rs256];

    /// The name in the header of a token, in a JWKS and in the store.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EdDsa => "EdDSA",
            Self::Rs256 => "RS256",
        }
    }

    /// The algorithm of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == name)
    }
}

/// How codes reach people.
#[derive(Clone, Debug, Default)]
pub struct Delivery {
    /// Tried in order.
    pub sms: Vec<SmsProvider>,
    pub email: Option<Smtp>,
}

/// An SMS provider.
#[derive(Clone, Debug)]
pub enum SmsProvider {
    Twilio(Twilio),
    Http(HttpSms),
}

/// Twilio's Messages API.
#[derive(Clone, Debug)]
pub struct Twilio {
    pub account_sid: String,
    pub auth_token: Secret,
    /// An E.164 number, or a messaging service (`MG…`).
    pub from: String,
    /// `https://api.twilio.com` unless a test or a proxy stands in.
    pub url: String,
    pub timeout: Duration,
}

/// Any provider with a request per message. `{phone}` and `{text}` are filled into the values of
/// `query`, `form`, `json` and `headers`, each escaped for where it stands.
#[derive(Clone, Debug)]
pub struct HttpSms {
    pub url: String,
    pub method: http::Method,
    pub query: Vec<(String, Secret)>,
    pub form: Vec<(String, Secret)>,
    pub json: Option<Secret>,
    pub headers: Vec<(String, Secret)>,
    pub timeout: Duration,
}

/// A server that takes mail (RFC 5321, RFC 6409).
#[derive(Clone, Debug)]
pub struct Smtp {
    /// A name in lower case, or an address without brackets.
    pub host: String,
    pub port: u16,
    pub tls: SmtpTls,
    pub from: Sender,
    /// Said only under TLS, or to this machine itself.
    pub login: Option<Login>,
    /// For a whole message; half of it for all that comes before the message itself.
    pub timeout: Duration,
    /// What may vouch for the server besides the system's certificates.
    pub ca: Vec<CertificateDer<'static>>,
}

/// When a connection to a mail server is under TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmtpTls {
    /// From its first byte (RFC 8314).
    Implicit,
    /// From a STARTTLS (RFC 3207) that must succeed before anything else is said.
    StartTls,
    /// To this machine itself: where the server offers STARTTLS, whatever its certificate. (Who could
    /// answer in its place could as well not offer it.)
    IfOffered,
}

/// Whom mail comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sender {
    pub name: Option<String>,
    pub address: String,
}

/// A name and a password.
#[derive(Clone, Debug)]
pub struct Login {
    pub username: String,
    pub password: Secret,
}

/// How a token becomes a user.
#[derive(Clone, Debug)]
pub enum Identity {
    /// Watch the upstream's own sign-in.
    Learn(Learn),
    /// Users and share links in Vestibule's own store.
    Accounts,
    /// Verify tokens that another has signed (RFC 7519).
    Jwt(Jwt),
    /// Ask the issuer about each token (RFC 7662).
    Introspection(Introspection),
}

/// Signed tokens of one issuer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Jwt {
    pub keys: JwtKeys,
    /// What `iss` must be.
    pub issuer: String,
    /// What `aud` must be, or hold.
    pub audience: String,
    /// Never empty. What a token's own header asks for beyond these is refused.
    pub algorithms: Vec<VerificationAlgorithm>,
    /// By how much `nbf` and `iat` may lie in the future.
    pub leeway: Duration,
    pub claims: Claims,
}

/// Where an issuer's public keys come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JwtKeys {
    /// A JWK set (RFC 7517) that is fetched, and again after `refresh` at the latest.
    Url { url: String, refresh: Duration },
    /// A JWK set, as text.
    Set(String),
    /// Keys one by one.
    Pem(Vec<PemKey>),
}

/// A public key in PEM, and the one algorithm it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PemKey {
    pub pem: String,
    pub algorithm: VerificationAlgorithm,
    pub kid: Option<String>,
}

/// The signatures (RFC 7518, RFC 8037) that are taken: all of them with a public key, so that nobody
/// who can verify a token can also make one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum VerificationAlgorithm {
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    EdDsa,
}

impl VerificationAlgorithm {
    pub const ALL: [Self; 9] = [
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Es256,
        Self::Es384,
        Self::EdDsa,
    ];

    /// The name in a token's header.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
        }
    }

    /// The algorithm of that name; case counts.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str() == name)
    }
}

/// The claims that say who a token's user is, by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    pub user: String,
    pub phone: Option<String>,
    pub email: Option<String>,
    /// `None`: the operator says who is in which group.
    pub groups: Option<String>,
}

/// An issuer that is asked about each token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Introspection {
    pub url: String,
    pub client_id: String,
    pub client_secret: Secret,
    /// How long its word is good.
    pub cache: Duration,
    /// What `aud` must be, or hold, if given.
    pub audience: Option<String>,
    pub claims: Claims,
}

/// The exchange that is watched: where its endpoint is, and JSON pointers (RFC 6901) into its answer.
#[derive(Clone, Debug)]
pub struct Learn {
    pub endpoint: String,
    pub token: String,
    pub user: String,
    pub phone: Option<String>,
    pub email: Option<String>,
    /// `None`: the operator says who is in which group.
    pub groups: Option<String>,
    /// Asked once, with the bearer token, for a token that was issued before Vestibule came.
    pub probe: Option<String>,
    /// The profile pointers above are relative to the sign-in answer; the probe's answer is the
    /// profile itself, or has the same shape: both are tried.
    pub lifetime: Option<Duration>,
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

/// A virtual host in front of one upstream.
#[derive(Clone, Debug)]
pub struct Route {
    pub name: String,
    /// Lower case, without port: `files.example.org`, `*.example.org` or `*`.
    pub hosts: Vec<String>,
    pub upstream: String,
    pub identity: String,
    pub credentials: Vec<CredentialSource>,
    pub dialects: Vec<Dialect>,
    /// First match wins.
    pub rules: Vec<Rule>,
    /// For what no rule matches.
    pub require: Requirement,
    /// Where it stands in the file; 0: it is from nowhere.
    pub line: usize,
    /// What does not count as use of a session.
    pub background: Vec<Background>,
    /// Never anything but [`Remember::Never`] where users sign in elsewhere.
    pub remember: Remember,
    pub self_enrolment: bool,
    /// ISO 3166 alpha-2: how a phone without `+` is read.
    pub phone_region: Option<String>,
    pub forward: Forward,
    /// What tokens of this route are signed with.
    pub token_algorithm: SigningAlgorithm,
    pub cors_origins: Vec<String>,
    pub encoded_slashes: bool,
    /// Whether pages of the backend may install service workers.
    pub service_workers: bool,
    /// Bytes of a request body; more is 413. `None`: as the upstream likes.
    pub body_bytes_max: Option<u64>,
}

/// Where a request may carry its token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CredentialSource {
    /// `Authorization: Bearer` (RFC 6750).
    Bearer,
    /// `Authorization: Basic` (RFC 7617): a name and a password.
    Basic,
    Cookie(String),
    Query(String),
    /// The segment after this prefix: `/share/` for `/share/{token}`.
    Path(String),
    /// The cookie that the sign-in page sets, where the identity is `accounts`: looked at where no
    /// other place has a token. Never forwarded.
    OwnCookie,
}

/// The documented APIs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    IoGates,
    Ziik,
    B2Core,
    Conduit,
}

/// What the upstream receives in the token's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    pub token: ForwardToken,
    /// Whether [`ForwardToken::Original`] means a Basic password too: one of Vestibule's own accounts is
    /// no business of the upstream's.
    pub passwords: bool,
    /// Whether `X-Vestibule-Assertion` is sent.
    pub assertion: bool,
    /// Whom a signed token or assertion is for (`aud`).
    pub audience: String,
}

/// Which token is forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForwardToken {
    /// The client's own, or the one that it stands for.
    Original,
    /// One that is signed for the upstream.
    Vestibule,
    /// None: the credential is removed from the request.
    Remove,
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
