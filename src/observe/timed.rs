//! A store that times every verb. It adds nothing else: verbs and answers pass through unchanged.

use super::metrics::Metrics;
use crate::auth::lockout::{Blocked, LockoutPolicy};
use crate::auth::ports::{
    Attempt, Attempted, AuditTrail, Challenges, Failures, LearnedUser, NewChallenge, NewShare,
    NewUser, Reserved, Revocation, SendRequest, SessionRow, Sessions, Share, Shares, Store, Stored,
    Token, Tokens, Upkeep, User, Users, Which,
};
use crate::clock::Timestamp;
use crate::digest::{SessionKey, SubjectDigest, TokenDigest};
use crate::event::Event;
use crate::gate::session::{Holder, Session};
use crate::id::{SendId, SessionId, ShareId, UserId};
use async_trait::async_trait;
use std::sync::Arc;
use std::time::Instant;

/// A store and the metrics its verbs are timed into, each under its own name.
#[derive(Clone)]
pub struct Timed {
    store: Arc<dyn Store>,
    metrics: Metrics,
}

impl Timed {
    /// Times the verbs of `store` into `metrics`.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, metrics: Metrics) -> Self {
        Self { store, metrics }
    }

    async fn time<T>(
        &self,
        verb: &'static str,
        answer: impl Future<Output = Stored<T>>,
    ) -> Stored<T> {
        let began = Instant::now();
        let answer = answer.await;
        self.metrics.store(verb, began.elapsed(), answer.is_ok());
        answer
    }
}

/// Writes each port's impl out: every verb calls the inner store's, timed.
macro_rules! timed {
    ($($port:ident { $(fn $verb:ident($($arg:ident: $of:ty),*) -> $out:ty;)+ })+) => {$(
        #[async_trait]
        impl $port for Timed {$(
            async fn $verb(&self, $($arg: $of),*) -> Stored<$out> {
                self.time(stringify!($verb), self.store.$verb($($arg),*)).await
            }
        )+}
    )+};
}

timed! {
    Users {
        fn create_user(user: NewUser, now: Timestamp) -> Option<UserId>;
        fn user(id: UserId) -> Option<User>;
        fn user_by_name(realm: &str, name: &str) -> Option<User>;
        fn users() -> Vec<User>;
        fn learn_user(user: LearnedUser, now: Timestamp) -> UserId;
    }
    Tokens {
        fn put_token(token: Token) -> ();
        fn token(digest: TokenDigest, now: Timestamp) -> Option<(Token, Holder)>;
    }
    Sessions {
        fn session(key: SessionKey, now: Timestamp) -> Option<Session>;
        fn touch(seen: &[(SessionId, Timestamp)]) -> ();
        fn revoke(which: Which, now: Timestamp) -> u64;
        fn sessions(user: Option<UserId>, now: Timestamp) -> Vec<SessionRow>;
        fn live_sessions(now: Timestamp) -> u64;
        fn revocations_after(seq: i64) -> Vec<Revocation>;
        fn feed_head() -> i64;
    }
    Challenges {
        fn reserve_send(request: SendRequest, now: Timestamp) -> Reserved;
        fn release_send(id: SendId) -> ();
        fn put_challenge(challenge: NewChallenge) -> ();
        fn attempt(attempt: Attempt, now: Timestamp) -> Attempted;
    }
    Failures {
        fn blocked(subjects: &[SubjectDigest], now: Timestamp) -> Option<Blocked>;
        fn failed(subjects: &[(SubjectDigest, LockoutPolicy)], now: Timestamp) -> ();
        fn succeeded(subjects: &[SubjectDigest]) -> ();
    }
    Shares {
        fn create_share(share: NewShare, now: Timestamp) -> (ShareId, UserId);
        fn shares() -> Vec<Share>;
        fn revoke_share(id: ShareId, now: Timestamp) -> bool;
    }
    AuditTrail {
        fn append(events: &[(Timestamp, Event)]) -> ();
        fn recent(limit: u32) -> Vec<(Timestamp, Event)>;
    }
    Upkeep {
        fn ping() -> ();
        fn purge(now: Timestamp) -> u64;
        fn reset_user(user: UserId, subject: SubjectDigest, now: Timestamp) -> ();
    }
}
