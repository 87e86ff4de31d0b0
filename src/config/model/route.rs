//! Which requests go where, by whose word, and what is told there.

use super::{Background, Remember, Requirement, Rule, SigningAlgorithm};

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
