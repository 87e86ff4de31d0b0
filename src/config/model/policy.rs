//! What paths ask of whom.

use ipnet::IpNet;
use std::time::Duration;

/// Bytes of the longest name of a group.
const GROUP_BYTES_MAX: usize = 256;

/// Groups that one user can be in.
pub const GROUPS_MAX: usize = 1_000;

/// Whether this can be the name of a group: names are compared letter by letter.
#[must_use]
pub fn is_group(name: &str) -> bool {
    (1..=GROUP_BYTES_MAX).contains(&name.len())
        && name.trim() == name
        && !name.chars().any(char::is_control)
}

/// One line of a route's policy: it matches what all of its conditions match. Empty lists match
/// everything.
#[derive(Clone, Debug)]
pub struct Rule {
    pub methods: Vec<http::Method>,
    /// A path ending in `/` matches everything below it (and itself without the slash); another matches itself.
    pub paths: Vec<String>,
    /// Where the client's address must be. In the form of their own family: none is IPv4-mapped.
    pub networks: Vec<IpNet>,
    pub people: People,
    pub require: Requirement,
    /// Where it stands in the file; 0: it is from nowhere.
    pub line: usize,
}

impl Rule {
    /// A rule that asks this of everything.
    #[must_use]
    pub fn of(require: Requirement) -> Self {
        Self {
            methods: Vec::new(),
            paths: Vec::new(),
            networks: Vec::new(),
            people: People::All,
            require,
            line: 0,
        }
    }
}

/// Whom a rule is for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum People {
    #[default]
    All,
    /// Users of the route's identity, by name.
    Users(Vec<String>),
    /// Whoever is in any of these groups.
    Groups(Vec<String>),
}

/// What a path asks of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requirement {
    /// Open to all.
    Nothing,
    /// A known token.
    Token,
    /// A verified (token, device) pair; if given, verified no longer ago than `within`, and since then
    /// never without a request for longer than `max_idle`.
    TwoFactor {
        within: Option<Duration>,
        max_idle: Option<Duration>,
    },
    /// A one-use success token besides the verified pair.
    SuccessToken,
    /// Closed to all.
    Deny,
}

impl Requirement {
    /// A verified pair, whenever it was verified.
    pub const TWO_FACTOR: Self = Self::TwoFactor {
        within: None,
        max_idle: None,
    };
}
