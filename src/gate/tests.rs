//! The gate against a scripted store and a clock moved by hand.

use super::session::{Factor, Holder, Session};
use super::*;
use crate::digest::DigestKeys;
use crate::id::UserId;
use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize};
use tokio::sync::Semaphore;

mod model;
mod once;

const START: i64 = 1_795_317_694;
const IDLE: Duration = Duration::from_secs(1_000);
const LIFETIME: i64 = 10_000;
const TWO_FACTOR: Requirement = Requirement::TwoFactor { within: None };
const ANN: UserId = UserId(1);
const BOB: UserId = UserId(2);

/// A clock that also goes back.
struct TestClock(AtomicI64);

impl TestClock {
    fn advance(&self, secs: i64) {
        self.0.fetch_add(secs, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

type Interlude = Box<dyn FnOnce() + Send>;

/// A store in memory that counts its calls. An interlude runs when a call has its answer and before
/// the gate gets it.
struct Script {
    holders: Mutex<HashMap<String, (Holder, Option<SessionKey>)>>,
    sessions: Mutex<HashMap<SessionKey, Session>>,
    /// With the token that each is good with.
    successes: Mutex<HashMap<String, (Option<String>, Holder)>>,
    spend_calls: AtomicUsize,
    down: AtomicBool,
    holder_calls: AtomicUsize,
    session_calls: AtomicUsize,
    after_holder: Mutex<VecDeque<Interlude>>,
    after_session: Mutex<VecDeque<Interlude>>,
    /// Closed: answers wait.
    open: Semaphore,
}

#[async_trait::async_trait]
impl Witness for Script {
    async fn holder(&self, realm: &str, token: &str) -> Result<Known, Unavailable> {
        assert_eq!(realm, "files");
        self.holder_calls.fetch_add(1, Ordering::SeqCst);
        if self.down.load(Ordering::SeqCst) {
            return Err(Unavailable);
        }
        let found = self.holders.lock().unwrap().get(token).cloned();
        let _passed = self.open.acquire().await.unwrap();
        let interlude = self.after_holder.lock().unwrap().pop_front();
        interlude.into_iter().for_each(|run| run());
        Ok(match found {
            Some((holder, issued_pair)) => Known::Yes {
                holder,
                issued_pair,
            },
            None => Known::No,
        })
    }

    async fn session(&self, key: SessionKey) -> Result<Option<Session>, Unavailable> {
        self.session_calls.fetch_add(1, Ordering::SeqCst);
        if self.down.load(Ordering::SeqCst) {
            return Err(Unavailable);
        }
        let found = self.sessions.lock().unwrap().get(&key).cloned();
        let interlude = self.after_session.lock().unwrap().pop_front();
        interlude.into_iter().for_each(|run| run());
        Ok(found)
    }

    async fn spend_success(
        &self,
        realm: &str,
        success: &str,
        token: Option<&str>,
    ) -> Result<Option<Holder>, Unavailable> {
        assert_eq!(realm, "files");
        self.spend_calls.fetch_add(1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        if self.down.load(Ordering::SeqCst) {
            return Err(Unavailable);
        }
        let mut successes = self.successes.lock().unwrap();
        let good_with = |(wanted, _): &(Option<String>, Holder)| wanted.as_deref() == token;
        if !successes.get(success).is_some_and(good_with) {
            return Ok(None);
        }
        Ok(successes.remove(success).map(|(_, holder)| holder))
    }
}

fn then(after: &Mutex<VecDeque<Interlude>>, run: impl FnOnce() + Send + 'static) {
    after.lock().unwrap().push_back(Box::new(run));
}

/// A gate with its store, clock and keys.
struct World {
    gate: Arc<Gate>,
    script: Arc<Script>,
    clock: Arc<TestClock>,
    keys: RealmKeys,
}

impl World {
    fn new() -> Self {
        Self::with_room_for(1_000)
    }

    fn with_room_for(hot_max: usize) -> Self {
        let clock = Arc::new(TestClock(AtomicI64::new(START)));
        let script = Arc::new(Script {
            holders: Mutex::default(),
            sessions: Mutex::default(),
            successes: Mutex::default(),
            spend_calls: AtomicUsize::new(0),
            down: AtomicBool::new(false),
            holder_calls: AtomicUsize::new(0),
            session_calls: AtomicUsize::new(0),
            after_holder: Mutex::default(),
            after_session: Mutex::default(),
            open: Semaphore::new(1_000),
        });
        Self {
            gate: Arc::new(Gate::new(script.clone(), clock.clone(), hot_max, IDLE)),
            script,
            clock,
            keys: DigestKeys::derive(&[7; 32]).realm("files"),
        }
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn key(&self, token: &str, device: Option<&str>) -> SessionKey {
        self.keys.session(token, device)
    }

    fn holds(&self, token: &str, user: UserId, scope: Option<&str>, device: Option<&str>) {
        let holder = holder(user, scope);
        let pair = device.map(|device| self.key(token, Some(device)));
        let mut holders = self.script.holders.lock().unwrap();
        holders.insert(token.to_owned(), (holder, pair));
    }

    /// A session in the store alone.
    fn session(&self, id: i64, token: &str, device: Option<&str>, user: UserId) -> Session {
        let now = self.now();
        let session = Session {
            id: SessionId(id),
            holder: holder(user, None),
            factor: Factor::Sms,
            verified_at: now,
            expires_at: Timestamp(now.0 + LIFETIME),
            last_seen_at: now,
        };
        let mut sessions = self.script.sessions.lock().unwrap();
        sessions.insert(self.key(token, device), session.clone());
        session
    }

    fn ends_in_store(&self, token: &str, device: Option<&str>) {
        let key = self.key(token, device);
        self.script.sessions.lock().unwrap().remove(&key);
    }

    fn question<'a>(&'a self, presented: Option<Presented<'a>>) -> Question<'a> {
        Question {
            realm: "files",
            keys: &self.keys,
            requirement: TWO_FACTOR,
            presented,
            success_token: None,
            path: "/a/b",
            destination: None,
        }
    }

    fn asks<'a>(&'a self, token: &'a str, device: Option<&'a str>) -> Question<'a> {
        self.question(Some(Presented { token, device }))
    }

    /// As the edge does it: memory first, then the store.
    async fn decide(&self, question: &Question<'_>) -> Decision {
        match self.gate.check(question) {
            Checked::Decided(decision) => decision,
            Checked::Ask => self.gate.admit(question).await,
        }
    }

    fn calls(&self) -> (usize, usize) {
        (
            self.script.holder_calls.load(Ordering::SeqCst),
            self.script.session_calls.load(Ordering::SeqCst),
        )
    }

    fn asks_memory(&self, token: &str, device: Option<&str>) -> bool {
        matches!(
            self.gate.check(&self.asks(token, device)),
            Checked::Decided(_)
        )
    }
}

fn holder(user: UserId, scope: Option<&str>) -> Holder {
    Holder {
        user,
        name: format!("user {user}").into(),
        terms: Holder::limited(user, "", scope).terms,
    }
}

fn refusal(decision: Decision) -> Refusal {
    match decision {
        Decision::Refuse(refusal) => refusal,
        Decision::Permit(permit) => panic!("permitted: {permit:?}"),
    }
}

fn grant(decision: Decision) -> Grant {
    match decision {
        Decision::Permit(permit) => permit.grant().clone(),
        Decision::Refuse(refusal) => panic!("refused: {refusal:?}"),
    }
}

fn is_session(decision: Decision) -> bool {
    matches!(grant(decision), Grant::Session { .. })
}

fn needs_second_factor(decision: Decision, is_fresh: bool) -> bool {
    matches!(refusal(decision), Refusal::SecondFactorRequired { fresh, .. } if fresh == is_fresh)
}

// --- what needs no session ---

#[tokio::test]
async fn open_closed_and_tokenless_requests_ask_nobody() {
    let world = World::new();
    world.holds("t", ANN, None, None);
    world.session(1, "t", None, ANN);
    for presented in [
        None,
        Some(Presented {
            token: "t",
            device: None,
        }),
    ] {
        let mut question = world.question(presented);
        question.requirement = Requirement::Nothing;
        assert!(matches!(grant(world.decide(&question).await), Grant::Open));
        assert!(matches!(
            grant(world.gate.admit(&question).await),
            Grant::Open
        ));
        question.requirement = Requirement::Deny;
        assert_eq!(refusal(world.decide(&question).await), Refusal::Denied);
        assert_eq!(refusal(world.gate.admit(&question).await), Refusal::Denied);
    }
    for requirement in [TWO_FACTOR, Requirement::Token] {
        let mut question = world.question(None);
        question.requirement = requirement;
        assert_eq!(refusal(world.decide(&question).await), Refusal::NoToken);
        assert_eq!(refusal(world.gate.admit(&question).await), Refusal::NoToken);
    }
    assert_eq!(world.calls(), (0, 0));
}

#[tokio::test]
async fn a_token_is_enough_only_where_the_path_says_so() {
    let world = World::new();
    world.holds("t", ANN, None, None);
    let mut question = world.asks("t", None);
    question.requirement = Requirement::Token;
    assert!(
        matches!(grant(world.decide(&question).await), Grant::Token(holder) if holder.user == ANN)
    );
    assert_eq!(world.calls(), (1, 0));
    assert_eq!(world.gate.sweep().0, 0, "a token alone is not kept");
    question.requirement = TWO_FACTOR;
    assert!(needs_second_factor(world.decide(&question).await, false));
    question.requirement = Requirement::SuccessToken;
    assert!(needs_second_factor(world.decide(&question).await, false));
    world.session(1, "t", None, ANN);
    question.requirement = TWO_FACTOR;
    assert!(is_session(world.decide(&question).await));
    question.requirement = Requirement::Token;
    assert!(
        is_session(world.decide(&question).await),
        "a session is more"
    );
    question.requirement = Requirement::SuccessToken;
    let refused = refusal(world.decide(&question).await);
    assert!(
        matches!(refused, Refusal::SuccessTokenRequired { holder: Some(holder) } if holder.user == ANN)
    );
}

// --- the pair ---

#[tokio::test]
async fn a_miss_is_asked_once_and_then_memory_knows() {
    let world = World::new();
    world.holds("t", ANN, None, Some("phone"));
    world.session(1, "t", Some("laptop"), ANN);
    let question = world.asks("t", Some("laptop"));
    assert!(matches!(world.gate.check(&question), Checked::Ask));
    assert!(is_session(world.gate.admit(&question).await));
    let Checked::Decided(decision) = world.gate.check(&question) else {
        panic!("memory forgot");
    };
    let Grant::Session {
        holder,
        factor,
        verified_at,
    } = grant(decision)
    else {
        panic!("no session");
    };
    assert_eq!((holder.user, factor), (ANN, Factor::Sms));
    assert_eq!((&*holder.name, verified_at), ("user 1", Timestamp(START)));
    assert_eq!(world.calls(), (1, 1));
    // The pair that the token was issued to is another pair.
    let other = world.asks("t", Some("phone"));
    assert!(needs_second_factor(world.decide(&other).await, false));
}

#[tokio::test]
async fn a_request_without_a_device_stands_for_the_device_the_token_was_issued_to() {
    let world = World::new();
    world.holds("t", ANN, None, Some("phone"));
    let question = world.asks("t", None);
    let _unnamed = world.session(1, "t", None, ANN);
    assert!(needs_second_factor(world.decide(&question).await, false));
    world.session(2, "t", Some("phone"), ANN);
    assert!(is_session(world.decide(&question).await));
    assert!(world.asks_memory("t", None));

    // Issued anew to another device: the alias must not outlive its 30 seconds.
    world.holds("t", ANN, None, Some("tablet"));
    world.gate.token_issued(world.keys.token("t"));
    world.clock.advance(29);
    assert!(world.asks_memory("t", None));
    world.clock.advance(1);
    assert!(!world.asks_memory("t", None));
    assert!(needs_second_factor(world.decide(&question).await, false));
}

#[tokio::test]
async fn a_session_under_its_own_key_is_no_alias() {
    let world = World::new();
    world.holds("t", ANN, None, None);
    world.session(1, "t", None, ANN);
    assert!(is_session(world.decide(&world.asks("t", None)).await));
    world.clock.advance(31);
    assert!(world.asks_memory("t", None));
}

#[tokio::test]
async fn a_session_of_another_user_than_the_tokens_is_none() {
    let world = World::new();
    world.holds("t", ANN, None, None);
    world.session(1, "t", None, BOB);
    let decision = world.decide(&world.asks("t", None)).await;
    assert!(
        matches!(refusal(decision), Refusal::SecondFactorRequired { holder, .. } if holder.user == ANN)
    );
    assert!(!world.asks_memory("t", None));
}

#[tokio::test]
async fn what_was_remembered_needs_no_store() {
    let world = World::new();
    world.holds("t", ANN, None, Some("phone"));
    let session = world.session(1, "t", Some("phone"), ANN);
    world.gate.remember(world.key("t", Some("phone")), &session);
    assert!(world.asks_memory("t", Some("phone")));
    assert_eq!(world.calls(), (0, 0));
    // The other way to name that device reads through.
    assert!(is_session(world.decide(&world.asks("t", None)).await));
}

// --- time ---

#[tokio::test]
async fn a_session_ends_at_its_absolute_end_however_busy() {
    let world = World::new();
    world.holds("t", ANN, None, None);
    world.session(1, "t", None, ANN);
    let question = world.asks("t", None);
    for _ in 0..20 {
        assert!(is_session(world.decide(&question).await));
        world.clock.advance(LIFETIME / 20);
    }
    assert!(needs_second_factor(world.decide(&question).await, false));
}

#[tokio::test]
async fn a_session_idles_out_unless_it_is_seen() {
    let world = World::new();
    world.holds("t", ANN, None, None);
    world.session(1, "t", None, ANN);
    let question = world.asks("t", None);
    assert!(is_session(world.decide(&question).await));
    world.clock.advance(999);
    assert!(world.asks_memory("t", None));
    world.clock.advance(999);
    assert!(world.asks_memory("t", None), "seen in between");
    world.clock.advance(1_000);
    assert!(needs_second_factor(world.decide(&question).await, false));
    assert_eq!(world.gate.sweep(), (0, 0));
}

#[tokio::test]
async fn what_idled_here_but_was_seen_elsewhere_is_live() {
    let world = World::new();
    world.holds("t", ANN, None, None);
    let session = world.session(1, "t", None, ANN);
    world.gate.remember(world.key("t", None), &session);
    world.clock.advance(1_500);
    let mut seen = session.clone();
    seen.last_seen_at = Timestamp(START + 1_400);
    let key = world.key("t", None);
    world.script.sessions.lock().unwrap().insert(key, seen);
    assert!(is_session(world.decide(&world.asks("t", None)).await));
}

#[tokio::test]
async fn a_shorter_idle_time_holds_at_once() {
    let world = World::new();
    let session = world.session(1, "t", None, ANN);
    world.gate.remember(world.key("t", None), &session);
    world.clock.advance(500);
    world.gate.set_idle(Duration::from_secs(500));
    assert!(!world.asks_memory("t", None));
}

#[tokio::test]
async fn within_asks_for_a_recent_verification() {
    let world = World::new();
    world.holds("t", ANN, None, None);
    world.session(1, "t", None, ANN);
    let mut question = world.asks("t", None);
    question.requirement = Requirement::TwoFactor {
        within: Some(Duration::from_secs(600)),
    };
    world.clock.advance(600);
    assert!(is_session(world.decide(&question).await), "from the store");
    assert!(is_session(world.decide(&question).await), "from memory");
    world.clock.advance(1);
    assert!(needs_second_factor(world.decide(&question).await, true));
    assert!(world.asks_memory("t", None), "elsewhere it is still good");

    // Verified anew on another node: this map holds the old time and must not insist on it.
    world.session(1, "t", None, ANN);
    assert!(is_session(world.decide(&question).await));
}

#[tokio::test]
async fn a_clock_that_steps_back_lengthens_nothing() {
    let world = World::new();
    world.holds("t", ANN, None, None);
    let session = world.session(1, "t", None, ANN);
    let mut question = world.asks("t", None);
    question.requirement = Requirement::TwoFactor {
        within: Some(Duration::from_secs(600)),
    };
    world.gate.remember(world.key("t", None), &session);
    world.clock.advance(601);
    assert!(needs_second_factor(world.decide(&question).await, true));
    world.clock.advance(-300);
    assert!(
        needs_second_factor(world.decide(&question).await, true),
        "time stands still"
    );
    // A long step back corrects the clock; what was verified "later" has an unknown age.
    world.clock.advance(-2 * i64::from(STEP_BACK_SECS_MAX));
    assert!(!world.asks_memory("t", None));
    assert!(needs_second_factor(world.decide(&question).await, false));
    world.clock.0.store(START, Ordering::SeqCst);
    assert!(world.asks_memory("t", None), "the clock has caught up");
}

#[tokio::test]
async fn a_clock_that_was_far_ahead_locks_nobody_out() {
    let world = World::new();
    world.clock.advance(1_000_000_000);
    assert!(matches!(
        world.gate.check(&world.asks("t", None)),
        Checked::Ask
    ));
    world.clock.advance(-1_000_000_000);
    let session = world.session(1, "t", None, ANN);
    world.gate.remember(world.key("t", None), &session);
    assert!(world.asks_memory("t", None));
}

#[tokio::test]
async fn sightings_are_for_the_store_once() {
    let world = World::new();
    world.holds("t", ANN, None, None);
    world.session(7, "t", None, ANN);
    world.clock.advance(10);
    world.decide(&world.asks("t", None)).await;
    let seen = [(SessionId(7), Timestamp(START + 10))];
    assert_eq!(world.gate.take_seen(), seen);
    assert_eq!(world.gate.take_seen(), []);
    world.clock.advance(5);
    assert!(world.asks_memory("t", None));
    assert_eq!(
        world.gate.take_seen(),
        [(SessionId(7), Timestamp(START + 15))]
    );
}

// --- scope ---

#[tokio::test]
async fn a_scoped_token_opens_nothing_else() {
    let world = World::new();
    world.holds("t", ANN, Some("/a/"), None);
    // The store's copy of the scope is missing: the token's own word counts.
    world.session(1, "t", None, ANN);
    let mut question = world.asks("t", None);
    for round in ["store", "memory"] {
        for (path, destination, inside) in [
            ("/x/y", None, false),
            ("/a/b", Some("/x"), false),
            ("/x", Some("/a/b"), false),
            ("/ab", None, false),
            ("/a/b", Some("/a/c"), true),
            ("/a/b", None, true),
        ] {
            for requirement in [TWO_FACTOR, Requirement::Token] {
                (question.path, question.destination) = (path, destination);
                question.requirement = requirement;
                let decision = world.decide(&question).await;
                match inside {
                    true => assert!(matches!(decision, Decision::Permit(_)), "{round} {path}"),
                    false => assert_eq!(refusal(decision), Refusal::OutOfScope, "{round} {path}"),
                }
            }
        }
    }
    assert!(world.asks_memory("t", None));
}

#[tokio::test]
async fn a_scoped_token_without_a_session_is_limited_too() {
    let world = World::new();
    world.holds("t", ANN, Some("/x/"), None);
    let mut question = world.asks("t", None);
    question.requirement = Requirement::Token;
    assert_eq!(refusal(world.decide(&question).await), Refusal::OutOfScope);
}

// --- unknown tokens and a store that is down ---

#[tokio::test]
async fn garbage_is_asked_for_once_in_a_while() {
    let world = World::new();
    let question = world.asks("garbage", None);
    for _ in 0..50 {
        assert_eq!(
            refusal(world.decide(&question).await),
            Refusal::UnknownToken
        );
    }
    assert_eq!(world.calls(), (1, 0));
    world.clock.advance(10);
    assert_eq!(
        refusal(world.decide(&question).await),
        Refusal::UnknownToken
    );
    assert_eq!(world.calls(), (2, 0));
}

#[tokio::test]
async fn a_token_that_comes_to_be_is_known_at_once() {
    let world = World::new();
    let mut question = world.asks("t", None);
    question.requirement = Requirement::Token;
    assert_eq!(
        refusal(world.decide(&question).await),
        Refusal::UnknownToken
    );
    world.holds("t", ANN, None, None);
    world.gate.token_issued(world.keys.token("t"));
    assert!(matches!(
        grant(world.decide(&question).await),
        Grant::Token(_)
    ));
}

#[tokio::test]
async fn a_token_that_comes_to_be_while_its_miss_is_on_its_way_is_known_at_once() {
    let world = World::new();
    let mut question = world.asks("t", None);
    question.requirement = Requirement::Token;
    let (gate, token) = (Arc::clone(&world.gate), world.keys.token("t"));
    let issued = move || gate.token_issued(token);
    then(&world.script.after_holder, issued);
    assert_eq!(
        refusal(world.decide(&question).await),
        Refusal::UnknownToken
    );
    world.holds("t", ANN, None, None);
    assert!(matches!(
        grant(world.decide(&question).await),
        Grant::Token(_)
    ));
}

#[tokio::test]
async fn nobody_joins_a_question_from_before_a_token_was_issued() {
    let world = Arc::new(World::new());
    world.script.open.forget_permits(1_000);
    let early = tokio::spawn({
        let world = Arc::clone(&world);
        async move { world.decide(&world.asks("t", None)).await }
    });
    while world.gate.flights.aboard() < 1 {
        tokio::task::yield_now().await;
    }
    world.holds("t", ANN, None, None);
    world.session(1, "t", None, ANN);
    world.gate.token_issued(world.keys.token("t"));
    let late = tokio::spawn({
        let world = Arc::clone(&world);
        async move { world.decide(&world.asks("t", None)).await }
    });
    while world.gate.flights.aboard() < 2 {
        tokio::task::yield_now().await;
    }
    world.script.open.add_permits(1_000);
    assert_eq!(refusal(early.await.unwrap()), Refusal::UnknownToken);
    assert!(is_session(late.await.unwrap()));
}

#[tokio::test]
async fn a_store_that_is_down_refuses_strangers_and_keeps_friends() {
    let world = World::new();
    world.holds("t", ANN, None, None);
    world.holds("u", ANN, None, None);
    world.session(1, "t", None, ANN);
    assert!(is_session(world.decide(&world.asks("t", None)).await));
    world.script.down.store(true, Ordering::SeqCst);
    assert!(is_session(world.decide(&world.asks("t", None)).await));
    for token in ["u", "garbage"] {
        for requirement in [TWO_FACTOR, Requirement::Token, Requirement::SuccessToken] {
            let mut question = world.asks(token, None);
            question.requirement = requirement;
            assert_eq!(refusal(world.decide(&question).await), Refusal::Unavailable);
        }
    }
    // Nothing of it is kept.
    world.script.down.store(false, Ordering::SeqCst);
    world.session(2, "u", None, ANN);
    assert!(is_session(world.decide(&world.asks("u", None)).await));
}

// --- revocation ---

#[tokio::test]
async fn a_revoked_session_is_gone_and_only_that() {
    let world = World::new();
    for (id, token, user) in [(1, "a1", ANN), (2, "a2", ANN), (3, "b", BOB)] {
        world.holds(token, user, None, None);
        world.session(id, token, None, user);
        assert!(is_session(world.decide(&world.asks(token, None)).await));
    }
    world.gate.forget(Which::Session(SessionId(1)));
    let held = ["a1", "a2", "b"].map(|token| world.asks_memory(token, None));
    assert_eq!(held, [false, true, true]);
    world.gate.forget(Which::User(ANN));
    let held = ["a1", "a2", "b"].map(|token| world.asks_memory(token, None));
    assert_eq!(held, [false, false, true]);
    world.gate.forget(Which::All);
    assert!(!world.asks_memory("b", None));
    assert!(
        is_session(world.decide(&world.asks("b", None)).await),
        "the store still has it"
    );
}

/// The race: the store has said "live", and before the gate can keep it the session is revoked.
#[tokio::test]
async fn a_session_revoked_on_its_way_into_the_map_does_not_survive() {
    for which in [Which::Session(SessionId(1)), Which::User(ANN), Which::All] {
        let world = World::new();
        world.holds("t", ANN, None, None);
        world.session(1, "t", None, ANN);
        let (gate, script, key) = (
            Arc::clone(&world.gate),
            Arc::clone(&world.script),
            world.key("t", None),
        );
        then(&world.script.after_session, move || {
            script.sessions.lock().unwrap().remove(&key);
            gate.forget(which);
        });
        let decision = world.decide(&world.asks("t", None)).await;
        assert!(needs_second_factor(decision, false), "{which:?}");
        assert_eq!(world.calls(), (2, 2), "asked again");
        assert!(!world.asks_memory("t", None));
    }
}

#[tokio::test]
async fn anothers_revocation_on_the_way_changes_nothing() {
    let world = World::new();
    world.holds("t", ANN, None, None);
    world.session(1, "t", None, ANN);
    let gate = Arc::clone(&world.gate);
    then(&world.script.after_session, move || {
        gate.forget(Which::User(BOB))
    });
    assert!(is_session(world.decide(&world.asks("t", None)).await));
    assert_eq!(world.calls(), (1, 1));
    assert!(world.asks_memory("t", None));
}

#[tokio::test]
async fn a_pair_that_was_revoked_and_verified_again_on_the_way_is_permitted() {
    let world = World::new();
    world.holds("t", ANN, None, None);
    world.session(1, "t", None, ANN);
    let gate = Arc::clone(&world.gate);
    then(&world.script.after_session, move || {
        gate.forget(Which::User(ANN));
    });
    assert!(is_session(world.decide(&world.asks("t", None)).await));
    assert_eq!(world.calls(), (2, 2));
    assert!(world.asks_memory("t", None));
}

#[tokio::test]
async fn a_session_that_is_revoked_at_every_try_is_not_permitted() {
    let world = World::new();
    world.holds("t", ANN, None, None);
    world.session(1, "t", None, ANN);
    for _ in 0..100 {
        let gate = Arc::clone(&world.gate);
        then(&world.script.after_session, move || gate.forget(Which::All));
    }
    let decision = world.decide(&world.asks("t", None)).await;
    assert_eq!(refusal(decision), Refusal::Unavailable);
    assert!(!world.asks_memory("t", None));
}

#[tokio::test]
async fn a_session_revoked_before_it_is_remembered_is_not() {
    let world = World::new();
    world.holds("t", ANN, None, None);
    let session = world.session(1, "t", None, ANN);
    world.ends_in_store("t", None);
    world.gate.forget(Which::User(ANN));
    world.gate.remember(world.key("t", None), &session);
    assert!(!world.asks_memory("t", None));
    // A later verification is none of that revocation's business.
    world.clock.advance(1);
    let session = world.session(2, "t", None, ANN);
    world.gate.remember(world.key("t", None), &session);
    assert!(world.asks_memory("t", None));
}

// --- many at once ---

#[tokio::test]
async fn a_hundred_at_once_ask_the_store_once() {
    let world = Arc::new(World::new());
    world.holds("t", ANN, None, None);
    world.session(1, "t", None, ANN);
    world.script.open.forget_permits(1_000);
    let waiting: Vec<_> = (0..100)
        .map(|_| {
            let world = Arc::clone(&world);
            tokio::spawn(async move { world.gate.admit(&world.asks("t", None)).await })
        })
        .collect();
    while world.gate.flights.aboard() < 100 {
        tokio::task::yield_now().await;
    }
    world.script.open.add_permits(1_000);
    for waiter in waiting {
        assert!(is_session(waiter.await.unwrap()));
    }
    assert_eq!(world.calls(), (1, 1));
    assert_eq!(world.gate.flights.aboard(), 0);
}

#[tokio::test]
async fn each_of_many_at_once_is_judged_by_its_own_question() {
    let world = Arc::new(World::new());
    world.holds("t", ANN, Some("/a/"), None);
    world.session(1, "t", None, ANN);
    world.script.open.forget_permits(1_000);
    let waiting = ["/a/b", "/x"].map(|path| {
        let world = Arc::clone(&world);
        tokio::spawn(async move {
            let mut question = world.asks("t", None);
            question.path = path;
            world.gate.admit(&question).await
        })
    });
    while world.gate.flights.aboard() < 2 {
        tokio::task::yield_now().await;
    }
    world.script.open.add_permits(1_000);
    let [inside, outside] = waiting;
    assert!(is_session(inside.await.unwrap()));
    assert_eq!(refusal(outside.await.unwrap()), Refusal::OutOfScope);
    assert_eq!(world.calls(), (1, 1));
}

#[tokio::test]
async fn a_flood_of_sessions_stays_within_the_bound_and_everyone_gets_in() {
    let world = World::with_room_for(64);
    for n in 0..1_000 {
        let token = n.to_string();
        world.holds(&token, ANN, None, None);
        world.session(n, &token, None, ANN);
        assert!(is_session(world.decide(&world.asks(&token, None)).await));
        assert!(world.gate.map.len() <= 64);
        if n % 10 == 0 {
            world.clock.advance(1);
        }
    }
    let (entries, evicted) = world.gate.sweep();
    assert_eq!(entries as u64 + evicted, 1_000);
    assert!(is_session(world.decide(&world.asks("0", None)).await));
}

/// Threads read, remember and revoke at the same time; whoever is revoked last must be gone.
#[test]
fn revocation_wins_against_many_threads() {
    let world = World::with_room_for(512);
    let sessions: Vec<_> = (0..600)
        .map(|n| {
            let token = n.to_string();
            let session = world.session(n, &token, None, UserId(n % 7));
            (world.key(&token, None), token, session)
        })
        .collect();
    world.clock.advance(1);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for (key, token, session) in &sessions {
                    world.gate.remember(*key, session);
                    let _ = world.gate.check(&world.asks(token, None));
                }
            });
        }
        scope.spawn(|| {
            for user in 0..7 {
                world.gate.forget(Which::User(UserId(user)));
            }
        });
    });
    let held = sessions
        .iter()
        .filter(|(_, token, _)| world.asks_memory(token, None))
        .count();
    assert_eq!(held, 0, "every one was verified before the revocation");
}
