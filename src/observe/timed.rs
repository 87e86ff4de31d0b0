//! A store that times every verb. It adds nothing else: verbs and answers pass through unchanged.

use super::metrics::Metrics;
use crate::auth::lockout::Blocked;
use crate::auth::ports::*;
use crate::clock::Timestamp;
use crate::digest::{
    Binding, GrantDigest, RefreshDigest, SessionKey, SubjectDigest, SuccessDigest, TokenDigest,
    WizardDigest,
};
use crate::event::Event;
use crate::gate::session::{Holder, Session};
use crate::id::{
    BrowserId, CeremonyId, ChallengeId, ChangeId, PasskeyId, SendId, SessionId, ShareId, UserId,
};
use crate::secret::{Sealed, Secret};
use crate::steps::{self, Step};
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
        VERBS.iter().for_each(|verb| metrics.verb_named(verb));
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
        steps::note(|| Step {
            failed: answer.is_err(),
            facts: vec![("db.operation.name", verb.into())],
            ..Step::since(began, "store")
        });
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

crate::auth::ports::store_verbs!(timed);

/// Lists the verbs.
macro_rules! names {
    ($($port:ident { $(fn $verb:ident($($arg:ident: $of:ty),*) -> $out:ty;)+ })+) => {
        &[$($(stringify!($verb)),+),+]
    };
}

/// Every verb of the store.
const VERBS: &[&str] = crate::auth::ports::store_verbs!(names);

impl Originals for Timed {
    fn original(&self, digest: TokenDigest, sealed: &Sealed) -> Option<Secret> {
        self.store.original(digest, sealed)
    }
}
