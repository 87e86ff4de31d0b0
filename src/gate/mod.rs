//! The gate: a requirement and a session in, a [`Permit`] or a [`Refusal`] out.
//!
//! Only this module can make a [`Permit`], and the edge can forward nothing without one. The fast
//! path ([`Gate::check`]) is one digest and one lookup: no I/O, no lock, no allocation. The slow
//! path ([`Gate::admit`]) asks, through ports, who holds the token and whether the pair has a
//! session, once for however many requests ask at the same time.

pub mod map;
pub mod session;

use crate::auth::ports::Which;
use crate::clock::{Clock, Timestamp};
use crate::config::model::Requirement;
use crate::digest::{RealmKeys, SessionKey, TokenDigest};
use crate::id::SessionId;
use session::{Factor, Holder, Session};
use std::sync::Arc;
use std::time::Duration;

/// Leave to forward one request. It says who asked, for the headers that the upstream is told.
///
/// ```compile_fail
/// let forged = vestibule::gate::Permit { grant: vestibule::gate::Grant::Open };
/// ```
#[derive(Clone, Debug)]
pub struct Permit {
    grant: Grant,
}

/// Why a [`Permit`] was given.
#[derive(Clone, Debug)]
pub enum Grant {
    /// The path asks for nothing.
    Open,
    /// The path asks for a known token; this is its holder.
    Token(Holder),
    /// The pair is verified.
    Session {
        holder: Holder,
        factor: Factor,
        verified_at: Timestamp,
    },
}

impl Permit {
    /// Why it was given.
    #[must_use]
    pub fn grant(&self) -> &Grant {
        &self.grant
    }
}

/// Why a request is not forwarded. Each has one HTTP answer, in `local::refusal`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The path needs a token and the request has none.
    NoToken,
    /// The token is unknown or has ended.
    UnknownToken,
    /// The token is known, the pair is not verified, or not recently enough (`fresh`).
    SecondFactorRequired { holder: Holder, fresh: bool },
    /// A success token is asked for and missing, spent or expired.
    SuccessTokenRequired { holder: Holder },
    /// The policy is `deny`.
    Denied,
    /// The token is limited to another path.
    OutOfScope,
    /// The store cannot be asked, and the pair is not known to the hot map.
    Unavailable,
}

/// The gate's answer.
#[derive(Clone, Debug)]
pub enum Decision {
    Permit(Permit),
    Refuse(Refusal),
}

/// What a request presents, after identity has read it. `device` is `None` where none was named.
#[derive(Clone, Copy, Debug)]
pub struct Presented<'a> {
    pub token: &'a str,
    pub device: Option<&'a str>,
}

/// Who holds a token: three-valued, since "absent" is not "wrong".
#[derive(Clone, Debug)]
pub enum Known {
    /// The holder, and the pair to look up where the request named no device.
    Yes {
        holder: Holder,
        issued_pair: Option<crate::digest::SessionKey>,
    },
    No,
}

/// The port through which the gate learns what its map does not hold. Owned here, implemented
/// by `identity` over the store (and, for learned tokens, the upstream's probe).
#[async_trait::async_trait]
pub trait Witness: Send + Sync + 'static {
    /// Who holds this token of this realm.
    async fn holder(&self, realm: &str, token: &str) -> Result<Known, Unavailable>;
    /// The live session of a pair.
    async fn session(&self, key: crate::digest::SessionKey)
    -> Result<Option<Session>, Unavailable>;
}

/// The port's other side cannot answer now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the store cannot be asked now")]
pub struct Unavailable;

/// What is asked of the gate for one request.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The identity's name and keys.
    pub realm: &'a str,
    pub keys: &'a RealmKeys,
    pub requirement: Requirement,
    pub presented: Option<Presented<'a>>,
    /// Canonical; a scoped token must cover both.
    pub path: &'a str,
    pub destination: Option<&'a str>,
}

/// The fast path's answer.
#[derive(Debug)]
pub enum Checked {
    /// Decided from memory alone.
    Decided(Decision),
    /// Memory does not know: ask with [`Gate::admit`].
    Ask,
}

/// The gate itself: the hot map, the negative cache and the port behind them.
pub struct Gate {
    _todo: (),
}

impl Gate {
    /// A gate with an empty map.
    #[must_use]
    pub fn new(
        witness: Arc<dyn Witness>,
        clock: Arc<dyn Clock>,
        hot_max: usize,
        idle: Duration,
    ) -> Self {
        let _ = (witness, clock, hot_max, idle);
        todo!()
    }

    /// Decides from memory: one digest, one lookup.
    pub fn check(&self, question: &Question<'_>) -> Checked {
        let _ = question;
        todo!()
    }

    /// Decides, asking the store where memory does not know. Single flight per pair.
    pub async fn admit(&self, question: &Question<'_>) -> Decision {
        let _ = question;
        todo!()
    }

    /// A pair has just been verified: the next request finds it in the map.
    pub fn remember(&self, key: SessionKey, session: &Session) {
        let _ = (key, session);
        todo!()
    }

    /// A token has just come to be: forget that it was unknown.
    pub fn token_issued(&self, token: TokenDigest) {
        let _ = token;
        todo!()
    }

    /// Sessions have ended: take them out of the map.
    pub fn forget(&self, which: Which) {
        let _ = which;
        todo!()
    }

    /// The cached sessions can no longer be trusted (the feed was out of sight for too long).
    pub fn forget_all_cached(&self) {
        todo!()
    }

    /// Sessions seen since the last call, with the time, for the store.
    pub fn take_seen(&self) -> Vec<(SessionId, Timestamp)> {
        todo!()
    }

    /// Sweeps what has expired; returns (entries, evicted since start).
    pub fn sweep(&self) -> (usize, u64) {
        todo!()
    }

    /// The longest idle time, after a reload.
    pub fn set_idle(&self, idle: Duration) {
        let _ = idle;
        todo!()
    }
}
