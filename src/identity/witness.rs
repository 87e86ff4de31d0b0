//! Answers the gate's questions from the store, and keeps what a watched sign-in taught.
//!
//! A learned token is known from the moment [`StoreWitness::learned`] returns: a request that comes
//! before it is on disk waits for that. If it cannot be stored, it stays unknown (fail closed).
//! Tokens from before Vestibule's time are asked for once, through a [`Probe`]. Tokens that others issue
//! are asked for again when their issuer's word has run out: a token that it does not stand by any more
//! is unknown, and its sessions open nothing; one that it cannot be asked about is refused. A name and a
//! password are known as long as they were found to be right a while ago; nobody is asked about them here.

use super::basic::{self, Checked};
use super::words::{Recalled, Source};
use crate::auth::ports::{LearnedUser, Said, Store, StoreError, Token};
use crate::clock::{Clock, Timestamp};
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
    /// The upstream has not said the name: it is what a client typed, perhaps one of several
    /// spellings that the upstream takes.
    pub is_typed: bool,
    pub phone: Option<Phone>,
    pub email: Option<Secret>,
    /// In order, each once; `None`: whose word this is does not say.
    pub groups: Option<Vec<String>>,
    /// When whose word this is said all that; `None`: when the token was first seen.
    pub said_at: Option<Timestamp>,
    /// The device that signed in, if it named itself.
    pub device: Option<String>,
    /// The token's end; `None`: as long as the upstream takes it.
    pub expires_at: Option<Timestamp>,
}

/// Asks an upstream whose token this is. Owned here, implemented where HTTP is spoken.
#[async_trait]
pub trait Probe: Send + Sync {
    /// What the upstream says of the token; `None` if it does not take it.
    async fn probe(&self, realm: &str, token: &str) -> Result<Option<LearnedToken>, Unavailable>;

    /// How long its word is good, until it is asked again; `None`: for good.
    fn recheck(&self) -> Option<Duration> {
        None
    }

    /// About how many tokens that the store does not know it may be asked in a second, where asking
    /// costs somebody else something; `None`: any number. With [`Probe::recheck`] only.
    fn strangers_per_second(&self) -> Option<u32> {
        None
    }
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
    passwords: Arc<Checked>,
    sources: ArcSwap<HashMap<String, Arc<Source>>>,
    pending: Arc<Pending>,
}

/// Tokens that somebody is storing or asking for now, each with what will come of it.
type Pending = DashMap<TokenDigest, watch::Receiver<Outcome>>;

/// What is known of the token. `None`: broken off, or not over yet.
type Outcome = Option<Result<Known, Unavailable>>;

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

    fn end(self, outcome: Result<Known, Unavailable>) {
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
        Ok(outcome) => outcome.clone(),
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
        passwords: Arc<Checked>,
    ) -> Arc<Self> {
        Arc::new(Self {
            store,
            keys,
            clock,
            on_issued,
            passwords,
            sources: ArcSwap::default(),
            pending: Arc::default(),
        })
    }

    /// The probes from now on, at start and after a reload. What one has said is remembered if it is
    /// there still.
    pub fn set_probes(&self, probes: Probes) {
        let held = self.sources.load();
        let sources = probes.into_iter().map(|(realm, probe)| {
            let held = held
                .get(&realm)
                .filter(|held| Arc::ptr_eq(&held.probe, &probe));
            let source = held.map_or_else(|| Arc::new(Source::new(probe)), Arc::clone);
            (realm, source)
        });
        self.sources.store(Arc::new(sources.collect()));
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
            turn.end(match kept {
                Ok(()) => witness.stored(token, None).await,
                Err(_) => Err(Unavailable),
            });
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
            groups: learned.groups.clone(),
            said: self.said(learned, now),
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
            expires_at: learned.expires_at,
        };
        self.store.put_token(token).await?;
        (self.on_issued)(digest);
        Ok(())
    }

    /// Of when the word of a token is.
    fn said(&self, learned: &LearnedToken, now: Timestamp) -> Said {
        let token = learned.token.expose();
        Said {
            at: learned.said_at.unwrap_or(now),
            by: Some(self.keys.realm(&learned.realm).token(token)),
        }
    }

    /// What the store holds of a token.
    async fn find(&self, token: TokenDigest) -> Result<Option<(Token, Holder)>, Unavailable> {
        let found = self.store.token(token, self.clock.now()).await;
        found.map_err(|error| unavailable(&error))
    }

    /// What the store knows of a token, said to hold for `fresh_for`.
    async fn stored(
        &self,
        token: TokenDigest,
        fresh_for: Option<Duration>,
    ) -> Result<Known, Unavailable> {
        let found = self.find(token).await?;
        Ok(known(found, fresh_for, self.clock.now()))
    }

    /// What the store knows of a token, or else the realm's probe, whose word is kept.
    async fn ask(&self, realm: &str, token: &str) -> Result<Known, Unavailable> {
        let digest = self.keys.realm(realm).token(token);
        let found = self.find(digest).await?;
        let now = self.clock.now();
        if basic::is_basic(token) {
            let left = self.passwords.left(&digest, now);
            return Ok(left.map_or(Known::No, |left| known(found, Some(left), now)));
        }
        let Some(source) = self.sources.load().get(realm).cloned() else {
            return Ok(known(found, None, now));
        };
        let good_for = source.probe.recheck();
        if good_for.is_some()
            && let Some((token, holder)) = &found
            && token.born.is_some()
        {
            let word = self.word_on_original(realm, token, holder).await?;
            return Ok(word.map_or(Known::No, |fresh_for| known(found, fresh_for, now)));
        }
        match good_for {
            None if found.is_some() => return Ok(known(found, None, now)),
            None => {}
            Some(_) => match source.recall(&digest, found.is_some(), now) {
                Recalled::Vouched(left) => return Ok(known(found, Some(left), now)),
                Recalled::Denied => return Ok(Known::No),
                Recalled::Ask => {}
                Recalled::TooMany => return Err(Unavailable),
            },
        }
        let Some(learned) = source.probe.probe(realm, token).await? else {
            if good_for.is_some() {
                source.deny(digest, now);
            }
            return Ok(Known::No);
        };
        // Of this token and no other, whatever the probe calls it.
        let first_seen_at = found.as_ref().map(|(token, _)| token.issued_at);
        let learned = LearnedToken {
            realm: realm.to_owned(),
            token: Secret::new(token),
            said_at: learned.said_at.or(first_seen_at),
            ..learned
        };
        let kept = self.keep_news(&learned, found).await;
        kept.map_err(|error| unavailable(&error))?;
        let Some(good_for) = good_for else {
            return self.stored(digest, None).await;
        };
        // Since before it was asked: the answer may have been under way for a while.
        source.vouch(digest, now, good_for);
        let under_way = Duration::from_secs(self.clock.now().secs_since(now));
        let left = good_for.saturating_sub(under_way);
        self.stored(digest, Some(left)).await
    }

    /// How long the word holds on the token that this one stands for: its issuer knows that one
    /// alone. `None`: it does not stand by it.
    async fn word_on_original(
        &self,
        realm: &str,
        token: &Token,
        holder: &Holder,
    ) -> Result<Option<Option<Duration>>, Unavailable> {
        let sealed = holder.terms.as_ref().and_then(|it| it.original.as_ref());
        let original = sealed.and_then(|sealed| self.store.original(token.digest, sealed));
        let Some(original) = original else {
            return Err(unavailable(&StoreError::Damaged("original token")));
        };
        // No deeper than this: nothing stands for a token that stands for another.
        Ok(match self.holder(realm, original.expose()).await? {
            Known::Yes { fresh_for, .. } => Some(fresh_for),
            Known::No => None,
        })
    }

    /// Stores what was learned, unless the store holds just that: a word that is renewed every minute
    /// must not be written every minute. Nor is one that is older than what is known.
    async fn keep_news(
        &self,
        learned: &LearnedToken,
        found: Option<(Token, Holder)>,
    ) -> Result<(), StoreError> {
        let Some((token, _)) = found.filter(|(_, holder)| *holder.name == *learned.user) else {
            return self.keep(learned).await;
        };
        let Some(user) = self.store.user(token.user).await? else {
            return self.keep(learned).await;
        };
        let now = self.clock.now();
        let mut news = learned.clone();
        if !user.said.gives_way_again_to(&self.said(learned, now), now) {
            (news.phone, news.email, news.groups) = (None, None, None);
        }
        // A missing one keeps the old, as in `learn_user`.
        let has_phone = news.phone.is_none() || news.phone == user.phone;
        let has_email = news.email.is_none() || news.email == user.email;
        let has_groups = news
            .groups
            .as_ref()
            .is_none_or(|groups| *groups == user.groups);
        let is_known = has_phone && has_email && has_groups;
        match is_known && token.expires_at == news.expires_at {
            true => Ok(()),
            false => self.keep(&news).await,
        }
    }
}

/// What a stored token means. Its word does not hold beyond its end.
fn known(found: Option<(Token, Holder)>, fresh_for: Option<Duration>, now: Timestamp) -> Known {
    let Some((token, holder)) = found else {
        return Known::No;
    };
    let left = |end: Timestamp| Duration::from_secs(end.secs_since(now));
    let end = token.expires_at.map_or(Duration::MAX, left);
    Known::Yes {
        holder,
        issued_pair: token.issued_pair,
        fresh_for: fresh_for.map(|fresh_for| fresh_for.min(end)),
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
                    turn.end(known.clone());
                    return known;
                }
                Err(waiting) => {
                    if let Some(known) = outcome(waiting).await {
                        return known;
                    }
                }
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
    use crate::auth::ports::{Born, Oversight as _, Tokens as _, UserChange, Users as _};
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
        let witness = StoreWitness::new(
            store.clone(),
            keys.clone(),
            clock.clone(),
            on_issued,
            Arc::default(),
        );
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
            is_typed: false,
            phone: Phone::from_e164("+4512345678"),
            email: None,
            groups: None,
            said_at: None,
            device: Some("phone".to_owned()),
            expires_at: Some(Timestamp(1_060)),
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

    const MINUTE: Duration = Duration::from_secs(60);

    /// An issuer of tokens whose word is good for a minute.
    struct Issuer {
        asked: AtomicUsize,
        says: Mutex<Result<Option<LearnedToken>, Unavailable>>,
    }

    #[async_trait]
    impl Probe for Issuer {
        async fn probe(&self, _: &str, _: &str) -> Result<Option<LearnedToken>, Unavailable> {
            self.asked.fetch_add(1, Ordering::SeqCst);
            self.says.lock().unwrap().clone()
        }

        fn recheck(&self) -> Option<Duration> {
            Some(MINUTE)
        }

        fn strangers_per_second(&self) -> Option<u32> {
            Some(5)
        }
    }

    impl Issuer {
        fn says(&self, says: Result<Option<LearnedToken>, Unavailable>) {
            *self.says.lock().unwrap() = says;
        }

        fn asked(&self) -> usize {
            self.asked.load(Ordering::SeqCst)
        }
    }

    fn vouched() -> LearnedToken {
        LearnedToken {
            device: None,
            expires_at: Some(Timestamp(10_000)),
            ..ann("t")
        }
    }

    fn issuer(s: &Setup) -> Arc<Issuer> {
        let issuer = Arc::new(Issuer {
            asked: AtomicUsize::new(0),
            says: Mutex::new(Ok(Some(vouched()))),
        });
        let probe: Arc<dyn Probe> = issuer.clone();
        s.witness.set_probes([("files".to_owned(), probe)].into());
        issuer
    }

    async fn ask(s: &Setup, token: &str) -> Result<Known, Unavailable> {
        s.witness.holder("files", token).await
    }

    /// Whether the token is known now, and for how many seconds.
    async fn fresh_for(s: &Setup) -> Option<u64> {
        match ask(s, "t").await.unwrap() {
            Known::Yes { fresh_for, .. } => Some(fresh_for.unwrap().as_secs()),
            Known::No => None,
        }
    }

    #[tokio::test]
    async fn an_issuers_word_is_renewed_when_it_has_run_out() {
        let s = setup();
        let issuer = issuer(&s);
        assert_eq!(fresh_for(&s).await, Some(60));
        s.clock.advance(Duration::from_secs(59));
        assert_eq!(fresh_for(&s).await, Some(1));
        assert_eq!(issuer.asked(), 1);
        s.clock.advance(Duration::from_secs(1));
        assert_eq!(fresh_for(&s).await, Some(60));
        assert_eq!(issuer.asked(), 2);
    }

    #[tokio::test]
    async fn a_word_that_brings_nothing_new_is_not_written() {
        let s = setup();
        let issuer = issuer(&s);
        assert_eq!(fresh_for(&s).await, Some(60));
        // Whatever is kept, is told of.
        let kept = || s.issued.lock().unwrap().len();
        assert_eq!(kept(), 1);
        for _ in 0..3 {
            s.clock.advance(MINUTE);
            assert_eq!(fresh_for(&s).await, Some(60));
        }
        // A claim that is left out keeps what there was.
        issuer.says(Ok(Some(LearnedToken {
            phone: None,
            ..vouched()
        })));
        s.clock.advance(MINUTE);
        assert_eq!(fresh_for(&s).await, Some(60));
        assert_eq!((kept(), issuer.asked()), (1, 5));
        let phone = Phone::from_e164("+4587654321");
        issuer.says(Ok(Some(LearnedToken {
            phone: phone.clone(),
            ..vouched()
        })));
        s.clock.advance(MINUTE);
        assert_eq!(fresh_for(&s).await, Some(60));
        assert_eq!(kept(), 2);
        let user = s.store.user_by_name("files", "ann").await.unwrap().unwrap();
        assert_eq!(user.phone, phone);
    }

    #[tokio::test]
    async fn a_token_from_before_says_nothing_of_its_users_groups() {
        let s = setup();
        let issuer = issuer(&s);
        let says = |token: &str, said: Option<i64>, group: &str| LearnedToken {
            token: Secret::new(token),
            groups: Some(vec![group.to_owned()]),
            said_at: said.map(Timestamp),
            ..vouched()
        };
        let groups = async || {
            let user = s.store.user_by_name("files", "ann").await;
            user.unwrap().unwrap().groups
        };
        let kept = || s.issued.lock().unwrap().len();
        // Issued before the one that was seen first, and seen again each minute: nobody writes that.
        for (token, said, group, wanted) in [
            ("new", Some(900), "barred", "barred"),
            ("old", Some(800), "staff", "barred"),
            ("newer", Some(950), "guests", "guests"),
        ] {
            issuer.says(Ok(Some(says(token, said, group))));
            ask(&s, token).await.unwrap();
            assert_eq!(groups().await, [wanted], "{token}");
        }
        let before = kept();
        issuer.says(Ok(Some(says("old", Some(800), "staff"))));
        for _ in 0..3 {
            s.clock.advance(MINUTE);
            ask(&s, "old").await.unwrap();
        }
        assert_eq!(
            (groups().await, kept()),
            (vec!["guests".to_owned()], before)
        );
        // One that does not say when it was issued is of the time when it was first seen.
        issuer.says(Ok(Some(says("silent", None, "silent"))));
        ask(&s, "silent").await.unwrap();
        assert_eq!(groups().await, ["silent"]);
        s.clock.advance(MINUTE);
        issuer.says(Ok(Some(says("newest", Some(1_200), "staff"))));
        ask(&s, "newest").await.unwrap();
        issuer.says(Ok(Some(says("silent", None, "silent"))));
        s.clock.advance(MINUTE);
        ask(&s, "silent").await.unwrap();
        assert_eq!(groups().await, ["staff"]);
    }

    #[tokio::test]
    async fn a_token_from_before_does_not_bring_its_users_old_number_back() {
        let s = setup();
        let issuer = issuer(&s);
        let says = |token: &str, said: i64, n: u8| LearnedToken {
            token: Secret::new(token),
            phone: Phone::from_e164(&format!("+451111111{n}")),
            email: Some(Secret::new(format!("{n}@example.org"))),
            groups: Some(vec![n.to_string()]),
            said_at: Some(Timestamp(said)),
            ..vouched()
        };
        let known = async || {
            let user = s.store.user_by_name("files", "ann").await.unwrap().unwrap();
            let email = user.email.unwrap().expose().to_owned();
            (user.phone.unwrap().e164().to_owned(), email, user.groups)
        };
        let all = |n: u8| {
            let (phone, email) = (format!("+451111111{n}"), format!("{n}@example.org"));
            (phone, email, vec![n.to_string()])
        };
        let kept = || s.issued.lock().unwrap().len();
        for (token, said, n, wanted) in [
            ("old", 800, 1, 1),
            ("new", 900, 2, 2),
            ("older", 700, 3, 2),
            // Of the same second, what is heard for the first time counts.
            ("twin", 900, 4, 4),
        ] {
            issuer.says(Ok(Some(says(token, said, n))));
            ask(&s, token).await.unwrap();
            assert_eq!(known().await, all(wanted), "{token}");
        }
        // And what has been heard does not come back, nor is it written, though its end moves.
        let before = kept();
        for (token, said, n) in [("old", 800, 1), ("older", 700, 3), ("new", 900, 2)] {
            for end in [10_000, 10_000, 11_000] {
                s.clock.advance(MINUTE);
                issuer.says(Ok(Some(LearnedToken {
                    expires_at: Some(Timestamp(end)),
                    ..says(token, said, n)
                })));
                ask(&s, token).await.unwrap();
                assert_eq!(known().await, all(4), "{token}");
            }
        }
        assert_eq!(kept(), before + 3, "each one's new end");
        // Whose word is known can say it anew: the config may read other claims now.
        s.clock.advance(MINUTE);
        issuer.says(Ok(Some(says("twin", 900, 5))));
        ask(&s, "twin").await.unwrap();
        assert_eq!(known().await, all(5));
    }

    #[tokio::test]
    async fn a_word_from_the_future_pins_nobody() {
        let s = setup();
        let issuer = issuer(&s);
        let says = |token: &str, group: &str| {
            issuer.says(Ok(Some(LearnedToken {
                token: Secret::new(token),
                groups: Some(vec![group.to_owned()]),
                said_at: Some(s.clock.now()),
                ..vouched()
            })));
        };
        let groups = async || {
            let user = s.store.user_by_name("files", "ann").await;
            user.unwrap().unwrap().groups
        };
        says("t", "first");
        ask(&s, "t").await.unwrap();
        // Somebody whose clock was a day ahead has written this.
        let user = s.store.user_by_name("files", "ann").await.unwrap().unwrap();
        let change = UserChange {
            groups: Some(vec!["pinned".to_owned()]),
            ..UserChange::default()
        };
        let tomorrow = s.clock.now().after(Duration::from_secs(86_400));
        s.store
            .change_user(user.id, change, tomorrow)
            .await
            .unwrap();
        s.clock.advance(MINUTE);
        says("t", "second");
        ask(&s, "t").await.unwrap();
        assert_eq!(groups().await, ["second"]);
    }

    #[tokio::test]
    async fn a_token_that_its_issuer_took_back_is_unknown_however_well_it_is_stored() {
        let s = setup();
        let issuer = issuer(&s);
        assert_eq!(fresh_for(&s).await, Some(60));
        issuer.says(Ok(None));
        s.clock.advance(Duration::from_secs(59));
        assert_eq!(
            fresh_for(&s).await,
            Some(1),
            "its word was good for a minute"
        );
        s.clock.advance(Duration::from_secs(1));
        assert_eq!(fresh_for(&s).await, None);
        // And is not asked about for a while, by whatever way it comes.
        for _ in 0..10 {
            assert_eq!(fresh_for(&s).await, None);
        }
        assert_eq!(issuer.asked(), 2);
        s.clock.advance(Duration::from_secs(10));
        assert_eq!(fresh_for(&s).await, None);
        assert_eq!(issuer.asked(), 3);
        issuer.says(Ok(Some(vouched())));
        s.clock.advance(Duration::from_secs(10));
        assert_eq!(fresh_for(&s).await, Some(60), "a mistake of the issuer's");
    }

    #[tokio::test]
    async fn an_issuer_that_cannot_be_asked_is_waited_for() {
        let s = setup();
        let issuer = issuer(&s);
        assert_eq!(fresh_for(&s).await, Some(60));
        issuer.says(Err(Unavailable));
        s.clock.advance(Duration::from_secs(59));
        assert_eq!(fresh_for(&s).await, Some(1));
        s.clock.advance(Duration::from_secs(1));
        assert_eq!(ask(&s, "t").await.err(), Some(Unavailable));
        issuer.says(Ok(Some(vouched())));
        assert_eq!(fresh_for(&s).await, Some(60), "at once");
    }

    #[tokio::test]
    async fn a_word_does_not_hold_beyond_the_tokens_end() {
        let s = setup();
        let issuer = issuer(&s);
        issuer.says(Ok(Some(LearnedToken {
            expires_at: Some(Timestamp(1_020)),
            ..vouched()
        })));
        assert_eq!(fresh_for(&s).await, Some(20));
        s.clock.advance(Duration::from_secs(20));
        issuer.says(Ok(None));
        assert_eq!(fresh_for(&s).await, None);
    }

    #[tokio::test]
    async fn a_flood_of_strangers_does_not_reach_the_issuer_and_shuts_nobody_out_who_is_known() {
        let s = setup();
        let issuer = issuer(&s);
        assert_eq!(fresh_for(&s).await, Some(60));
        issuer.says(Ok(None));
        let mut refused = 0;
        for n in 0..100 {
            refused += usize::from(ask(&s, &format!("garbage {n}")).await.is_err());
        }
        assert_eq!((issuer.asked(), refused), (5, 96));
        issuer.says(Ok(Some(vouched())));
        s.clock.advance(MINUTE);
        for n in 0..100 {
            let _ = ask(&s, &format!("more garbage {n}")).await;
        }
        assert_eq!(fresh_for(&s).await, Some(60));
    }

    #[tokio::test]
    async fn those_who_ask_at_once_get_the_issuers_one_answer() {
        let s = setup();
        let issuer = issuer(&s);
        assert_eq!(fresh_for(&s).await, Some(60));
        issuer.says(Ok(None));
        s.clock.advance(MINUTE);
        let asking: Vec<_> = (0..10)
            .map(|_| {
                let witness = s.witness.clone();
                tokio::spawn(async move { witness.holder("files", "t").await })
            })
            .collect();
        for asking in asking {
            assert!(matches!(asking.await.unwrap(), Ok(Known::No)));
        }
        assert_eq!(issuer.asked(), 2);
    }

    #[tokio::test]
    async fn a_token_that_stands_for_another_is_as_good_as_the_word_on_that_one() {
        let s = setup();
        let issuer = issuer(&s);
        assert_eq!(fresh_for(&s).await, Some(60));
        let realm = s.keys.realm("files");
        let (root, _) = s
            .store
            .token(realm.token("t"), Timestamp(1_000))
            .await
            .unwrap()
            .unwrap();
        let ours = Token {
            digest: realm.token("ours"),
            born: Some(Born {
                of: root.digest,
                original: Secret::new("t"),
            }),
            ..root
        };
        s.store.put_token(ours).await.unwrap();
        s.clock.advance(Duration::from_secs(20));
        let Known::Yes {
            holder, fresh_for, ..
        } = ask(&s, "ours").await.unwrap()
        else {
            panic!("our own token is unknown");
        };
        assert_eq!((&*holder.name, fresh_for.unwrap().as_secs()), ("ann", 40));
        assert_eq!(issuer.asked(), 1, "it knows nothing of ours");

        s.clock.advance(MINUTE);
        issuer.says(Err(Unavailable));
        assert_eq!(ask(&s, "ours").await.err(), Some(Unavailable));
        issuer.says(Ok(None));
        s.clock.advance(MINUTE);
        assert!(matches!(ask(&s, "ours").await, Ok(Known::No)));
    }

    #[tokio::test]
    async fn a_reload_forgets_the_word_of_an_issuer_that_changed() {
        let s = setup();
        let first = issuer(&s);
        assert_eq!(fresh_for(&s).await, Some(60));
        let same: Arc<dyn Probe> = first.clone();
        s.witness.set_probes([("files".to_owned(), same)].into());
        assert_eq!(fresh_for(&s).await, Some(60));
        assert_eq!(first.asked(), 1);
        let other = issuer(&s);
        assert_eq!(fresh_for(&s).await, Some(60));
        assert_eq!((first.asked(), other.asked()), (1, 1));
    }
}
