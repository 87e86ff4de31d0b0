//! Prometheus metrics with closed label sets: no label ever holds what a client sent.

use crate::event::EventKind;
use std::time::Duration;

/// How a request ended, for metrics and the access line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Forwarded with a permit.
    Permitted,
    /// Answered by a local endpoint.
    Local,
    /// Refused: a second factor (or a fresh one) is asked for.
    Challenged,
    /// Refused: no token or an unknown one.
    Unauthenticated,
    /// Refused by policy or scope.
    Denied,
    /// Malformed, too large, too slow, no such host.
    BadRequest,
    /// The store or the upstream failed.
    Failed,
}

impl Outcome {
    /// The label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Permitted => "permitted",
            Self::Local => "local",
            Self::Challenged => "challenged",
            Self::Unauthenticated => "unauthenticated",
            Self::Denied => "denied",
            Self::BadRequest => "bad_request",
            Self::Failed => "failed",
        }
    }
}

/// All metrics of one process. Cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    _todo: (),
}

impl Metrics {
    /// A fresh registry.
    pub fn new() -> Result<Self, prometheus::Error> {
        Ok(Self { _todo: () })
    }
    /// One request has ended. `route` is a configured name, or `-`.
    pub fn request(&self, route: &str, outcome: Outcome, status: u16) {
        let _ = (route, outcome, status);
    }
    /// The gate took this long (fast and slow path alike).
    pub fn gate(&self, took: Duration) {
        let _ = took;
    }
    /// An upstream gave its response head after this long, or failed.
    pub fn upstream(&self, upstream: &str, took: Option<Duration>) {
        let _ = (upstream, took);
    }
    /// An event of the audit trail has happened.
    pub fn event(&self, kind: EventKind, detail: &str) {
        let _ = (kind, detail);
    }
    /// A challenge of a method has met an outcome (`sent`, `verified`, `wrong`, `expired`, `limited`, `failed`).
    pub fn challenge(&self, method: &'static str, outcome: &'static str) {
        let _ = (method, outcome);
    }
    /// A provider took (`accepted`) or did not take (`refused`, `timeout`, `unreachable`) a message.
    pub fn sms(&self, provider: &'static str, outcome: &'static str) {
        let _ = (provider, outcome);
    }
    /// A store verb took this long, and whether it failed.
    pub fn store(&self, verb: &'static str, took: Duration, ok: bool) {
        let _ = (verb, took, ok);
    }
    /// Gauges read from the hot map: entries, and evictions since the start.
    pub fn hot_map(&self, entries: usize, evictions: u64) {
        let _ = (entries, evictions);
    }
    /// Live sessions in the store.
    pub fn sessions(&self, live: u64) {
        let _ = live;
    }
    /// Open client connections.
    pub fn connections(&self, open: i64) {
        let _ = open;
    }
    /// The exposition text (version 0.0.4).
    pub fn render(&self) -> Result<String, prometheus::Error> {
        Ok(String::new())
    }
}
