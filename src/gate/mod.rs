//! The gate: a requirement and a session in, a [`Permit`] or a [`Refusal`] out.
//!
//! Only this module can make a [`Permit`], and the edge can forward nothing without one. The fast
//! path ([`Gate::check`]) is one digest and one lookup: no I/O, no lock, no allocation. The slow
//! path ([`Gate::admit`]) asks, through ports, who holds the token and whether the pair has a
//! session, once for however many requests ask at the same time.
//!
//! What memory holds can permit, never refuse for want of a session: a miss, an expired entry or a
//! verification that is not recent enough is asked of the store, which may know a later one.

mod admit;
pub(crate) mod flight;
mod forgotten;
mod look;
mod map;
mod negative;
mod once;
pub mod session;
#[cfg(test)]
mod tests;

use crate::clock::{Clock, Timestamp};
use crate::config::model::Requirement;
use crate::digest::{RealmKeys, SessionKey, TokenDigest};
use crate::id::SessionId;
use crate::policy::Demand;
use admit::{Asked, Found};
use flight::Flights;
use forgotten::{Forgotten, Since, When};
use map::{HotMap, Moment, seconds};
use negative::Negative;
use session::{Factor, Holder, Seen, Session, Which, in_scope};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::broadcast;

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
    /// The path asks for a known token, or for a success token that stands in its place; this is its
    /// holder.
    Token(Holder),
    /// The pair is verified.
    Session {
        id: SessionId,
        holder: Holder,
        factor: Factor,
        verified_at: Timestamp,
        /// When it must be asked about again: at its end, or when the word about its token is too old.
        good_until: Timestamp,
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
    /// The token is known, the pair is not verified, or not recently enough: then `max_age_secs` says
    /// how long ago it may have been (RFC 9470's `max_age`).
    SecondFactorRequired {
        holder: Holder,
        max_age_secs: Option<u64>,
    },
    /// A success token is asked for and missing, spent or expired. `holder`: of the token that was
    /// presented, if one was.
    SuccessTokenRequired { holder: Option<Holder> },
    /// The policy is `deny`.
    Denied,
    /// The token is limited to another path.
    OutOfScope,
    /// The password that came in the token's place was not looked at: wrong ones have earned a wait.
    /// Never the gate's own answer, but that of who knows the token before it.
    TooManyTries { retry_after_secs: u64 },
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
        /// How long this word holds, where another issues the token and must be asked again; `None`:
        /// until the store is told otherwise.
        fresh_for: Option<Duration>,
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
    /// Spends a success token of this realm that is good with `token` (`None`: that was given out to
    /// somebody without a token); of many at once, one gets its holder.
    async fn spend_success(
        &self,
        realm: &str,
        success: &str,
        token: Option<&str>,
    ) -> Result<Option<Holder>, Unavailable>;
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
    pub demand: Demand<'a>,
    pub presented: Option<Presented<'a>>,
    /// Looked at where one is asked for.
    pub success_token: Option<&'a str>,
    /// Canonical; a scoped token must cover both.
    pub path: &'a str,
    pub destination: Option<&'a str>,
    /// A session lets it through, and idles on.
    pub is_background: bool,
}

/// The fast path's answer.
#[derive(Debug)]
pub enum Checked {
    /// Decided from memory alone.
    Decided(Decision),
    /// Memory does not know: ask with [`Gate::admit`].
    Ask,
}

/// A step back of the clock up to this long is not followed: time stands still until the clock has
/// caught up, so that nothing lives longer. A longer one corrects a clock that was wrong before.
const STEP_BACK_SECS_MAX: u32 = 3_600;

/// Different questions asked of the store at once; more are refused as [`Refusal::Unavailable`].
const FLIGHTS_MAX: usize = 4_096;

/// Ends of sessions that [`Gate::endings`] holds for a listener that is slow; one that has missed some
/// is told so.
const ENDINGS_MAX: usize = 256;

/// How a pair was verified, as far as a decision needs it.
#[derive(Clone, Copy, Debug)]
struct Proof {
    id: SessionId,
    factor: Factor,
    verified_at: Timestamp,
    /// The longest time without a request since then, up to this one.
    pause_secs: u32,
    good_until: Timestamp,
}

/// The gate itself: the hot map, the negative cache and the port behind them.
pub struct Gate {
    witness: Arc<dyn Witness>,
    clock: Arc<dyn Clock>,
    map: HotMap,
    negative: Negative,
    flights: Flights<Asked, Result<Found, Unavailable>>,
    forgotten: Forgotten,
    endings: broadcast::Sender<Which>,
    /// Counts what makes an answer of the store that is under way out of date: a token issued, a
    /// pair verified, a session ended.
    changes: AtomicU64,
    /// The latest second that the clock has shown.
    latest: AtomicU32,
    idle_secs: AtomicU32,
}

impl Gate {
    /// A gate with an empty map of at most `hot_max` sessions.
    #[must_use]
    pub fn new(
        witness: Arc<dyn Witness>,
        clock: Arc<dyn Clock>,
        hot_max: usize,
        idle: Duration,
    ) -> Self {
        Self {
            witness,
            clock,
            map: HotMap::new(hot_max),
            negative: Negative::new(),
            flights: Flights::new(FLIGHTS_MAX),
            forgotten: Forgotten::default(),
            endings: broadcast::Sender::new(ENDINGS_MAX),
            changes: AtomicU64::new(0),
            latest: AtomicU32::new(0),
            idle_secs: AtomicU32::new(whole_seconds(idle)),
        }
    }

    /// Decides from memory: one digest, one lookup.
    pub fn check(&self, question: &Question<'_>) -> Checked {
        // Memory cannot spend.
        if matches!(question.demand, Demand::Fixed(Requirement::SuccessToken)) {
            return Checked::Ask;
        }
        let presented = match at_once(question) {
            Ok(presented) => presented,
            Err(decision) => return Checked::Decided(decision),
        };
        let key = question.keys.session(presented.token, presented.device);
        match self.recall(question, &key) {
            Some(decision) => Checked::Decided(decision),
            None => Checked::Ask,
        }
    }

    /// Decides, asking the store where memory does not know. Single flight per pair.
    ///
    /// A session found through the pair that the token was issued to (the request named no device)
    /// is kept for 30 s at most: then it is asked again whether the token is still that device's. One
    /// of a token that others issue is kept no longer than the word about it holds.
    pub async fn admit(&self, question: &Question<'_>) -> Decision {
        match question.demand {
            Demand::Fixed(Requirement::SuccessToken) => self.admit_once(question).await,
            Demand::Fixed(_) => self.admit_pair(question).await,
            Demand::ByPerson(_) => match self.admit_pair(question).await {
                // Of whoever holds this token, one is asked for.
                Decision::Refuse(Refusal::SuccessTokenRequired { .. }) => {
                    self.admit_once(question).await
                }
                decision => decision,
            },
        }
    }

    async fn admit_pair(&self, question: &Question<'_>) -> Decision {
        let presented = match at_once(question) {
            Ok(presented) => presented,
            Err(decision) => return decision,
        };
        let key = question.keys.session(presented.token, presented.device);
        // Another request may have brought the pair into memory since `check`.
        match self.recall(question, &key) {
            Some(decision) => decision,
            None => self.ask_once(question, presented, key).await,
        }
    }

    /// A pair has just been verified, and the store has it: the next request finds it in the map.
    ///
    /// A pair that is verified again must keep its session's id in the store: a node whose map holds
    /// the earlier verification takes it out by that id.
    pub fn remember(&self, key: SessionKey, session: &Session) {
        self.remember_for(key, session, None);
    }

    /// The same, but kept in the map no longer than `at_most`: as long as [`Known::Yes`] says that
    /// the word about its token holds.
    pub fn remember_for(&self, key: SessionKey, session: &Session, at_most: Option<Duration>) {
        self.changes.fetch_add(1, Ordering::SeqCst);
        let at = self.moment();
        let kept = admit::shortened(session, self.clock.now(), at_most);
        self.map.insert(key, &kept, at);
        // It may have been revoked between the store's word and this call.
        let since = Since::Second(seconds(session.verified_at));
        if self
            .forgotten
            .concerns(since, session.id, session.holder.user)
        {
            self.map.remove(&key, session.id);
        }
    }

    /// The same for a request that names no device, where that stands for the pair just verified:
    /// kept no longer than [`Gate::admit`] keeps such a one, since the token may be issued anew to
    /// another device.
    pub fn remember_alias(
        &self,
        unnamed: SessionKey,
        session: &Session,
        at_most: Option<Duration>,
    ) {
        self.remember_for(unnamed, session, admit::as_alias(at_most));
    }

    /// A token has just come to be, and the store has it: forget that it was unknown.
    pub fn token_issued(&self, token: TokenDigest) {
        self.changes.fetch_add(1, Ordering::SeqCst);
        self.negative.forget(&token);
    }

    /// Sessions have ended, and the store knows: take them out of the map. Scans the map (some
    /// 100 ms at a million sessions): call it off the I/O threads.
    pub fn forget(&self, which: Which) {
        let when = When {
            change: self.changes.fetch_add(1, Ordering::SeqCst).wrapping_add(1),
            second: self.moment().now,
        };
        // Noted before the scan: see `forgotten`.
        self.forgotten.note(when, which);
        self.map.forget(which);
        // Told when memory permits none of them any more. An error says that nobody listens.
        let _ = self.endings.send(which);
    }

    /// From now on, which sessions have ended: for what goes on under a session after it was let
    /// through. Who listens and then asks with [`Gate::look`] misses no end.
    #[must_use]
    pub fn endings(&self) -> broadcast::Receiver<Which> {
        self.endings.subscribe()
    }

    /// Sessions seen since the last call, for the store. Scans the map, as `forget`.
    pub fn take_seen(&self) -> Vec<Seen> {
        self.map.take_seen()
    }

    /// Sweeps what has expired; returns (entries, live ones evicted since the start). Scans the map,
    /// as `forget`.
    pub fn sweep(&self) -> (usize, u64) {
        self.map.sweep(self.moment());
        (self.map.len(), self.map.evicted())
    }

    /// The longest idle time, after a reload.
    pub fn set_idle(&self, idle: Duration) {
        self.idle_secs.store(whole_seconds(idle), Ordering::Relaxed);
    }

    fn recall(&self, question: &Question<'_>, key: &SessionKey) -> Option<Decision> {
        let at = self.moment();
        let hot = self.map.get(key, at, !question.is_background)?;
        let requirement = question.demand.of(hot.holder.person());
        // Memory cannot spend. And the pair may have been verified anew on another node, or seen under
        // its device's own key.
        if requirement == Requirement::SuccessToken
            || max_age_secs(requirement, hot.proof, at).is_some()
        {
            return None;
        }
        let asked = (requirement, question);
        Some(decide(asked, hot.holder, Some(hot.proof), at))
    }

    fn moment(&self) -> Moment {
        Moment {
            now: self.now(),
            idle_secs: self.idle_secs.load(Ordering::Relaxed),
        }
    }

    fn now(&self) -> u32 {
        let shown = seconds(self.clock.now());
        let latest = self.latest.load(Ordering::Relaxed);
        match latest.saturating_sub(shown) {
            1..=STEP_BACK_SECS_MAX => latest,
            _ => {
                // Written once a second: every thread reads it.
                if shown != latest {
                    self.latest.store(shown, Ordering::Relaxed);
                }
                shown
            }
        }
    }
}

fn whole_seconds(span: Duration) -> u32 {
    u32::try_from(span.as_secs()).unwrap_or(u32::MAX)
}

/// What needs no session: the decision; else what the request presents.
fn at_once<'a>(question: &Question<'a>) -> Result<Presented<'a>, Decision> {
    match (question.demand, question.presented) {
        (Demand::Fixed(Requirement::Nothing), _) => Err(permit(Grant::Open)),
        (Demand::Fixed(Requirement::Deny), _) => Err(Decision::Refuse(Refusal::Denied)),
        (_, None) => Err(Decision::Refuse(Refusal::NoToken)),
        (_, Some(presented)) => Ok(presented),
    }
}

/// The decision about a known token of which this is asked, and its pair's live session if there is one.
fn decide(
    (requirement, question): (Requirement, &Question<'_>),
    holder: Holder,
    proof: Option<Proof>,
    at: Moment,
) -> Decision {
    if !covers(question, &holder) {
        return Decision::Refuse(Refusal::OutOfScope);
    }
    match (requirement, proof) {
        (Requirement::Nothing, _) => permit(Grant::Open),
        (Requirement::Deny, _) => Decision::Refuse(Refusal::Denied),
        (Requirement::Token, None) if !holder.is_uncounted() => permit(Grant::Token(holder)),
        (Requirement::Token | Requirement::TwoFactor { .. }, None) => {
            let max_age_secs = None;
            Decision::Refuse(Refusal::SecondFactorRequired {
                holder,
                max_age_secs,
            })
        }
        (Requirement::SuccessToken, _) => {
            let holder = Some(holder);
            Decision::Refuse(Refusal::SuccessTokenRequired { holder })
        }
        (Requirement::Token | Requirement::TwoFactor { .. }, Some(proof)) => {
            let max_age_secs = max_age_secs(requirement, proof, at);
            if max_age_secs.is_some() {
                return Decision::Refuse(Refusal::SecondFactorRequired {
                    holder,
                    max_age_secs,
                });
            }
            permit(Grant::Session {
                id: proof.id,
                holder,
                factor: proof.factor,
                verified_at: proof.verified_at,
                good_until: proof.good_until,
            })
        }
    }
}

/// Whether the holder's token opens what is asked for.
fn covers(question: &Question<'_>, holder: &Holder) -> bool {
    let scope = holder.scope();
    let covers = |path: &str| in_scope(scope, path);
    covers(question.path) && question.destination.is_none_or(covers)
}

/// Where the pair was not verified as recently as is asked, or was left alone for too long since: how
/// long ago the verification may be. Whoever was away for longer than that was verified before.
fn max_age_secs(requirement: Requirement, proof: Proof, at: Moment) -> Option<u64> {
    let Requirement::TwoFactor { within, max_idle } = requirement else {
        return None;
    };
    let age_secs = Timestamp(i64::from(at.now)).secs_since(proof.verified_at);
    let exceeded = |most: Option<Duration>, secs: u64| {
        let most_secs = most?.as_secs();
        (secs > most_secs).then_some(most_secs)
    };
    let too_old = exceeded(within, age_secs);
    let too_idle = exceeded(max_idle, u64::from(proof.pause_secs));
    too_old.into_iter().chain(too_idle).min()
}

/// The one place where a [`Permit`] comes to be.
fn permit(grant: Grant) -> Decision {
    Decision::Permit(Permit { grant })
}
