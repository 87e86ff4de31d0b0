//! The slow path: what memory does not know is asked of the [`Witness`], once per pair at a time.
//!
//! A session goes into the map only if nothing revoked it while it was on its way. What could not be
//! asked is refused and never kept.
//!
//! [`Witness`]: super::Witness

use super::forgotten::Since;
use super::map::{SKEW_SECS_MAX, pause_secs, seconds};
use super::session::{Holder, Session};
use super::{Decision, Gate, Known, Presented, Proof, Question, Refusal, Unavailable, decide};
use crate::clock::Timestamp;
use crate::config::model::Requirement;
use crate::digest::SessionKey;
use crate::policy::Demand;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How long a session found through the token's issued pair is kept under the pair presented. The
/// token may be issued to another device, on any node, without this map being told.
const ALIAS_MAX: Duration = Duration::from_secs(30);

/// Answers thrown away because a revocation overtook them, before the store counts as unavailable.
const OVERTAKEN_MAX: usize = 8;

/// What one flight asks. A change of the world makes a new question: nobody who comes after a token
/// was issued or a session ended gets an answer from before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Asked {
    pair: SessionKey,
    with_session: bool,
    changes: u64,
}

/// What the store says.
#[derive(Clone, Debug)]
pub(super) enum Found {
    Unknown,
    Known {
        holder: Holder,
        /// Of the pair's live session.
        proof: Option<Proof>,
    },
}

/// The session as it is kept in memory for `at_most`, if that is given. What has run out by then is
/// asked for again; the session itself is as long as it was.
pub(super) fn shortened(session: &Session, now: Timestamp, at_most: Option<Duration>) -> Session {
    let end = at_most.map_or(session.expires_at, |span| now.after(span));
    Session {
        expires_at: session.expires_at.min(end),
        ..session.clone()
    }
}

/// How long a session is kept under another pair than its own.
pub(super) fn as_alias(at_most: Option<Duration>) -> Option<Duration> {
    Some(at_most.map_or(ALIAS_MAX, |span| span.min(ALIAS_MAX)))
}

impl Gate {
    pub(super) async fn ask_once(
        &self,
        question: &Question<'_>,
        presented: Presented<'_>,
        key: SessionKey,
    ) -> Decision {
        let token = question.keys.token(presented.token);
        if self.negative.contains(&token, self.moment().now) {
            return Decision::Refuse(Refusal::UnknownToken);
        }
        let asked = Asked {
            pair: key,
            with_session: !matches!(question.demand, Demand::Fixed(Requirement::Token)),
            changes: self.changes.load(Ordering::SeqCst),
        };
        let ask = || self.ask(question, presented, asked);
        match self.flights.share(asked, ask).await {
            Ok(Ok(Found::Known { holder, proof })) => {
                let at = self.moment();
                // By whoever shares the flight and counts: the one who flew may have been background.
                if !question.is_background {
                    self.map.see(&key, at);
                }
                let asked = (question.demand.of(holder.person()), question);
                decide(asked, holder, proof, at)
            }
            Ok(Ok(Found::Unknown)) => Decision::Refuse(Refusal::UnknownToken),
            Ok(Err(Unavailable)) | Err(super::flight::TooMany) => {
                Decision::Refuse(Refusal::Unavailable)
            }
        }
    }

    async fn ask(
        &self,
        question: &Question<'_>,
        presented: Presented<'_>,
        asked: Asked,
    ) -> Result<Found, Unavailable> {
        let mut asked_at = asked.changes;
        for _ in 0..OVERTAKEN_MAX {
            let known = self.witness.holder(question.realm, presented.token).await?;
            let Known::Yes {
                holder,
                issued_pair,
                fresh_for,
            } = known
            else {
                let token = question.keys.token(presented.token);
                let now = self.moment().now;
                self.negative.record(&token, now, &self.changes, asked_at);
                return Ok(Found::Unknown);
            };
            let proof = None;
            if !asked.with_session {
                return Ok(Found::Known { holder, proof });
            }
            let pair = match presented.device {
                Some(_) => asked.pair,
                None => issued_pair.unwrap_or(asked.pair),
            };
            let Some(session) = self.live_session(pair, &holder).await? else {
                return Ok(Found::Known { holder, proof });
            };
            let good_until = self.keep(asked.pair, pair, &session, fresh_for);
            if !self.revoked_since(asked_at, asked.pair, &session) {
                let proof = Some(Proof {
                    id: session.id,
                    factor: session.factor,
                    verified_at: session.verified_at,
                    pause_secs: self.pause_secs(&session),
                    good_until,
                });
                return Ok(Found::Known { holder, proof });
            }
            asked_at = self.changes.load(Ordering::SeqCst);
        }
        Err(Unavailable)
    }

    /// The pair's session, if it is live and of the token's own user. The token says what it opens.
    async fn live_session(
        &self,
        pair: SessionKey,
        holder: &Holder,
    ) -> Result<Option<Session>, Unavailable> {
        let found = self.witness.session(pair).await?;
        let at = self.moment();
        let now = Timestamp(i64::from(at.now));
        let idle = Duration::from_secs(u64::from(at.idle_secs));
        Ok(found
            .filter(|session| session.holder.user == holder.user)
            .filter(|session| session.is_live(now, idle))
            .filter(|session| seconds(session.verified_at) <= at.now.saturating_add(SKEW_SECS_MAX))
            .map(|session| Session {
                holder: holder.clone(),
                ..session
            }))
    }

    /// The longest time without a request to the session, up to now.
    fn pause_secs(&self, session: &Session) -> u32 {
        let last_seen = seconds(session.last_seen_at);
        pause_secs(last_seen, self.moment().now).max(session.longest_pause_secs)
    }

    /// Puts a session that was found under `pair` into the map under the pair that was presented; until
    /// when it is good there.
    fn keep(
        &self,
        presented: SessionKey,
        pair: SessionKey,
        session: &Session,
        fresh_for: Option<Duration>,
    ) -> Timestamp {
        let at = self.moment();
        let now = Timestamp(i64::from(at.now));
        let at_most = match presented == pair {
            true => fresh_for,
            false => as_alias(fresh_for),
        };
        let kept = shortened(session, now, at_most);
        self.map.insert(presented, &kept, at);
        kept.expires_at
    }

    /// Whether the session, just kept, was revoked while it was on its way; then it is kept no more.
    fn revoked_since(&self, asked_at: u64, presented: SessionKey, session: &Session) -> bool {
        let since = Since::Change(asked_at);
        let revoked = self
            .forgotten
            .concerns(since, session.id, session.holder.user);
        if revoked {
            self.map.remove(&presented, session.id);
        }
        revoked
    }
}
