//! Answers the gate's questions from the store, and keeps what a watched sign-in taught.
//!
//! A learned token is known from the moment [`StoreWitness::learned`] returns: a request that comes
//! before it is on disk waits for that. If it cannot be stored, it stays unknown (fail closed).
//! Tokens from before Vestibule's time are asked for once, through a [`Probe`].

use crate::auth::ports::{LearnedUser, Store, StoreError, Token};
use crate::clock::Clock;
use crate::digest::{DigestKeys, SessionKey, TokenDigest};
use crate::factor::phone::Phone;
use crate::gate::session::{Holder, Session};
use crate::gate::{Known, Unavailable, Witness};
use crate::secret::Secret;
use arc_swap::ArcSwap;
use async_trait::async_trait;
use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What an upstream's own sign-in, or a probe, said.
#[derive(Clone, Debug)]
pub struct LearnedToken {
    /// The identity's name.
    pub realm: String,
    pub token: Secret,
    /// The user's name at the upstream.
    pub user: String,
    pub phone: Option<Phone>,
    pub email: Option<Secret>,
    /// The device that signed in, if it named itself.
    pub device: Option<String>,
    /// How long the token is good for; `None`: as long as the upstream takes it.
    pub lifetime: Option<Duration>,
}

/// Asks an upstream whose token this is. Owned here, implemented where HTTP is spoken.
#[async_trait]
pub trait Probe: Send + Sync {
    /// What the upstream says of the token; `None` if it does not take it.
    async fn probe(&self, realm: &str, token: &str) -> Result<Option<LearnedToken>, Unavailable>;
}

/// The probes, by the identity's name.
pub type Probes = HashMap<String, Arc<dyn Probe>>;

/// Told of each token that comes to be known, so that nobody goes on holding it for unknown.
pub type OnIssued = Arc<dyn Fn(TokenDigest) + Send + Sync>;

/// The gate's witness over the store.
pub struct StoreWitness {
    store: Arc<dyn Store>,
    keys: DigestKeys,
    clock: Arc<dyn Clock>,
    on_issued: OnIssued,
    probes: ArcSwap<Probes>,
    pending: Arc<Pending>,
}

/// Tokens that somebody is storing or asking for now, each with what will come of it.
type Pending = DashMap<TokenDigest, watch::Receiver<Outcome>>;

/// `Ok`: what is known of the token is in the store. `None`: broken off, or not over yet.
type Outcome = Option<Result<(), Unavailable>>;

/// One's own entry in [`Pending`]: it goes, and whoever waits goes on, however its owner ends.
struct Turn {
    pending: Arc<Pending>,
    token: TokenDigest,
    outcome: watch::Sender<Outcome>,
}

impl Turn {
    /// Takes the turn, over an earlier one if there is one: a sign-in is newer than what is known.
    fn take(pending: &Arc<Pending>, token: TokenDigest) -> Self {
        let (turn, waiting) = Self::new(pending, token);
        pending.insert(token, waiting);
        turn
    }

    /// Takes the turn if it is free; otherwise what to wait for.
    fn try_take(
        pending: &Arc<Pending>,
        token: TokenDigest,
    ) -> Result<Self, watch::Receiver<Outcome>> {
        match pending.entry(token) {
            Entry::Occupied(taken) => Err(taken.get().clone()),
            Entry::Vacant(free) => {
                let (turn, waiting) = Self::new(pending, token);
                free.insert(waiting);
                Ok(turn)
            }
        }
    }

    fn new(pending: &Arc<Pending>, token: TokenDigest) -> (Self, watch::Receiver<Outcome>) {
        let (outcome, waiting) = watch::channel(None);
        let turn = Self {
            pending: pending.clone(),
            token,
            outcome,
        };
        (turn, waiting)
    }

    fn end(self, outcome: Result<(), Unavailable>) {
        self.outcome.send_replace(Some(outcome));
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let own = self.outcome.subscribe();
        self.pending
            .remove_if(&self.token, |_, waiting| waiting.same_channel(&own));
    }
}

/// Waits until whoever has the turn is done.
async fn outcome(mut waiting: watch::Receiver<Outcome>) -> Outcome {
    match waiting.wait_for(Option::is_some).await {
        Ok(outcome) => *outcome,
        // Dropped without a word.
        Err(_) => None,
    }
}

impl StoreWitness {
    /// A witness without probes; see [`StoreWitness::set_probes`].
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        keys: DigestKeys,
        clock: Arc<dyn Clock>,
        on_issued: OnIssued,
    ) -> Arc<Self> {
        Arc::new(Self {
            store,
            keys,
            clock,
            on_issued,
            probes: ArcSwap::default(),
            pending: Arc::default(),
        })
    }

    /// The probes from now on, at start and after a reload.
    pub fn set_probes(&self, probes: Probes) {
        self.probes.store(Arc::new(probes));
    }

    /// Takes note of a token at once, and stores it in a task of its own. The handle ends when the
    /// token is on disk, or could not be stored (which is logged).
    pub fn learned(self: &Arc<Self>, learned: LearnedToken) -> JoinHandle<()> {
        let token = self
            .keys
            .realm(&learned.realm)
            .token(learned.token.expose());
        let turn = Turn::take(&self.pending, token);
        // It may have been tried, and found unknown, before.
        (self.on_issued)(token);
        let witness = self.clone();
        tokio::spawn(async move {
            let kept = witness.keep(&learned).await;
            if let Err(error) = &kept {
                tracing::error!(realm = learned.realm, %error, "a learned token could not be stored");
            }
            turn.end(kept.map_err(|_| Unavailable));
        })
    }

    /// Stores a user and a token.
    async fn keep(&self, learned: &LearnedToken) -> Result<(), StoreError> {
        let now = self.clock.now();
        let keys = self.keys.realm(&learned.realm);
        let token = learned.token.expose();
        let user = LearnedUser {
            realm: learned.realm.clone(),
            name: learned.user.clone(),
            phone: learned.phone.clone(),
            email: learned.email.clone(),
        };
        let user = self.store.learn_user(user, now).await?;
        let device = learned.device.as_deref();
        let digest = keys.token(token);
        let token = Token {
            digest,
            user,
            issued_pair: device.map(|device| keys.session(token, Some(device))),
            scope: None,
            share: None,
            born: None,
            issued_at: now,
            expires_at: learned.lifetime.map(|lifetime| now.after(lifetime)),
        };
        self.store.put_token(token).await?;
        (self.on_issued)(digest);
        Ok(())
    }

    /// What the store knows of a token.
    async fn stored(&self, token: TokenDigest) -> Result<Known, Unavailable> {
        let found = self.store.token(token, self.clock.now()).await;
        match found.map_err(|error| unavailable(&error))? {
            None => Ok(Known::No),
            Some((token, holder)) => Ok(Known::Yes {
                holder,
                issued_pair: token.issued_pair,
            }),
        }
    }

    /// What the store knows of a token, or else the realm's probe, whose word is kept.
    async fn ask(&self, realm: &str, token: &str) -> Result<Known, Unavailable> {
        let digest = self.keys.realm(realm).token(token);
        let known = self.stored(digest).await?;
        let Some(probe) = self.probes.load().get(realm).cloned() else {
            return Ok(known);
        };
        if matches!(known, Known::Yes { .. }) {
            return Ok(known);
        }
        let Some(learned) = probe.probe(realm, token).await? else {
            return Ok(Known::No);
        };
        // Of this token and no other, whatever the probe calls it.
        let learned = LearnedToken {
            realm: realm.to_owned(),
            token: Secret::new(token),
            ..learned
        };
        let kept = self.keep(&learned).await;
        kept.map_err(|error| unavailable(&error))?;
        self.stored(digest).await
    }
}

fn unavailable(error: &StoreError) -> Unavailable {
    tracing::error!(%error, "the gate's question could not be answered");
    Unavailable
}

#[async_trait]
impl Witness for StoreWitness {
    async fn holder(&self, realm: &str, token: &str) -> Result<Known, Unavailable> {
        let digest = self.keys.realm(realm).token(token);
        loop {
            match Turn::try_take(&self.pending, digest) {
                Ok(turn) => {
                    let known = self.ask(realm, token).await;
                    turn.end(known.as_ref().map(|_| ()).map_err(|error| *error));
                    return known;
                }
                Err(waiting) => match outcome(waiting).await {
                    Some(Ok(())) => return self.stored(digest).await,
                    Some(Err(error)) => return Err(error),
                    None => {}
                },
            }
        }
    }

    async fn session(&self, key: SessionKey) -> Result<Option<Session>, Unavailable> {
        let found = self.store.session(key, self.clock.now()).await;
        found.map_err(|error| unavailable(&error))
    }

    async fn spend_success(
        &self,
        realm: &str,
        success: &str,
        token: Option<&str>,
    ) -> Result<Option<Holder>, Unavailable> {
        let digest = self.keys.success(success);
        let token = token.map(|token| self.keys.realm(realm).token(token));
        let now = self.clock.now();
        let spent = self.store.spend_success(realm, digest, token, now).await;
        spent.map_err(|error| unavailable(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::ports::Users as _;
    use crate::clock::{ManualClock, Timestamp};
    use crate::store::memory::Memory;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::sync::Semaphore;

    struct Setup {
        witness: Arc<StoreWitness>,
        store: Arc<Memory>,
        keys: DigestKeys,
        clock: Arc<ManualClock>,
        issued: Arc<Mutex<Vec<TokenDigest>>>,
    }

    fn setup() -> Setup {
        let store = Arc::new(Memory::default());
        let keys = DigestKeys::derive(&[7; 32]);
        let clock = Arc::new(ManualClock::at(Timestamp(1_000)));
        let issued = Arc::new(Mutex::new(Vec::new()));
        let told = issued.clone();
        let on_issued: OnIssued = Arc::new(move |token| told.lock().unwrap().push(token));
        let witness = StoreWitness::new(store.clone(), keys.clone(), clock.clone(), on_issued);
        Setup {
            witness,
            store,
            keys,
            clock,
            issued,
        }
    }

    fn ann(token: &str) -> LearnedToken {
        LearnedToken {
            realm: "files".to_owned(),
            token: Secret::new(token),
            user: "ann".to_owned(),
            phone: Phone::from_e164("+4512345678"),
            email: None,
            device: Some("phone".to_owned()),
            lifetime: Some(Duration::from_secs(60)),
        }
    }

    fn name(known: &Known) -> Option<&str> {
        match known {
            Known::Yes { holder, .. } => Some(&holder.name),
            Known::No => None,
        }
    }

    // One thread: the task that stores cannot have run before the question is asked.
    #[tokio::test]
    async fn a_learned_token_is_known_at_once() {
        let s = setup();
        let storing = s.witness.learned(ann("t"));
        assert!(!storing.is_finished());
        let known = s.witness.holder("files", "t").await.unwrap();
        assert_eq!(name(&known), Some("ann"));
        let realm = s.keys.realm("files");
        let Known::Yes { issued_pair, .. } = known else {
            panic!("unknown")
        };
        assert_eq!(issued_pair, Some(realm.session("t", Some("phone"))));
        storing.await.unwrap();
        assert!(s.issued.lock().unwrap().contains(&realm.token("t")));
        assert!(s.witness.pending.is_empty());

        let user = s.store.user_by_name("files", "ann").await.unwrap().unwrap();
        assert_eq!(user.phone, ann("t").phone);
        let elsewhere = s.witness.holder("other", "t").await.unwrap();
        assert_eq!(name(&elsewhere), None, "of another realm");
        s.clock.advance(Duration::from_secs(60));
        let late = s.witness.holder("files", "t").await.unwrap();
        assert_eq!(name(&late), None, "its lifetime is over");
    }

    #[tokio::test]
    async fn what_cannot_be_stored_is_not_known() {
        let s = setup();
        s.store.break_off();
        let storing = s.witness.learned(ann("t"));
        assert_eq!(
            s.witness.holder("files", "t").await.err(),
            Some(Unavailable)
        );
        storing.await.unwrap();
        assert!(s.witness.pending.is_empty());
        assert_eq!(
            s.witness.holder("files", "t").await.err(),
            Some(Unavailable)
        );
        let key = s.keys.realm("files").session("t", None);
        assert_eq!(s.witness.session(key).await, Err(Unavailable));
    }

    /// Counts questions and answers each when a permit is given.
    struct Upstream {
        asked: AtomicUsize,
        may_answer: Semaphore,
        answer: Result<Option<LearnedToken>, Unavailable>,
    }

    #[async_trait]
    impl Probe for Upstream {
        async fn probe(&self, _: &str, _: &str) -> Result<Option<LearnedToken>, Unavailable> {
            self.asked.fetch_add(1, Ordering::SeqCst);
            let _permit = self.may_answer.acquire().await;
            self.answer.clone()
        }
    }

    fn upstream(s: &Setup, answer: Result<Option<LearnedToken>, Unavailable>) -> Arc<Upstream> {
        let upstream = Arc::new(Upstream {
            asked: AtomicUsize::new(0),
            may_answer: Semaphore::new(0),
            answer,
        });
        let probe: Arc<dyn Probe> = upstream.clone();
        s.witness.set_probes([("files".to_owned(), probe)].into());
        upstream
    }

    type Asking = JoinHandle<Result<Known, Unavailable>>;

    /// Questions that all wait for the one answer.
    async fn ask_at_once(s: &Setup, upstream: &Upstream, n: usize) -> Vec<Asking> {
        let ask = |_| {
            let witness = s.witness.clone();
            tokio::spawn(async move { witness.holder("files", "old").await })
        };
        let asking = (0..n).map(ask).collect();
        while upstream.asked.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        asking
    }

    #[tokio::test]
    async fn an_old_token_is_asked_for_once_and_kept() {
        let s = setup();
        // Whatever the probe calls it, it is kept as the token that was asked for.
        let upstream = upstream(&s, Ok(Some(ann("another"))));
        let asking = ask_at_once(&s, &upstream, 5).await;
        upstream.may_answer.add_permits(9);
        for asking in asking {
            let known = asking.await.unwrap().unwrap();
            assert_eq!(name(&known), Some("ann"));
        }
        let again = s.witness.holder("files", "old").await.unwrap();
        assert_eq!(name(&again), Some("ann"));
        assert_eq!(upstream.asked.load(Ordering::SeqCst), 1);
        s.witness.set_probes(Probes::new());
        let another = s.witness.holder("files", "another").await.unwrap();
        assert_eq!(name(&another), None);
    }

    #[tokio::test]
    async fn a_token_the_upstream_does_not_take_is_unknown() {
        let s = setup();
        let upstream = upstream(&s, Ok(None));
        let asking = ask_at_once(&s, &upstream, 5).await;
        upstream.may_answer.add_permits(9);
        for asking in asking {
            assert_eq!(name(&asking.await.unwrap().unwrap()), None);
        }
        assert_eq!(upstream.asked.load(Ordering::SeqCst), 1);
        let elsewhere = s.witness.holder("other", "old").await.unwrap();
        assert_eq!(name(&elsewhere), None);
        assert_eq!(upstream.asked.load(Ordering::SeqCst), 1, "not its realm");
    }

    #[tokio::test]
    async fn an_upstream_that_cannot_answer_makes_no_token_unknown() {
        let s = setup();
        let upstream = upstream(&s, Err(Unavailable));
        let asking = ask_at_once(&s, &upstream, 5).await;
        upstream.may_answer.add_permits(9);
        for asking in asking {
            assert_eq!(asking.await.unwrap().err(), Some(Unavailable));
        }
    }

    #[tokio::test]
    async fn a_question_that_breaks_off_is_asked_again_by_who_waits() {
        let s = setup();
        let upstream = upstream(&s, Ok(Some(ann("old"))));
        let mut asking = ask_at_once(&s, &upstream, 2).await;
        asking.remove(0).abort();
        upstream.may_answer.add_permits(9);
        let known = asking.remove(0).await.unwrap().unwrap();
        assert_eq!(name(&known), Some("ann"));
        assert_eq!(upstream.asked.load(Ordering::SeqCst), 2);
        assert!(s.witness.pending.is_empty());
    }
}
