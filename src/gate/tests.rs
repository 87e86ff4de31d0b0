//! The gate against a scripted store and a clock moved by hand.

use super::session::{Factor, Holder, Session};
use super::*;
use crate::digest::DigestKeys;
use crate::id::{SessionId, UserId};
use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize};
use tokio::sync::Semaphore;

mod idle;
mod look;
mod many;
mod model;
mod once;
mod pairs;
mod people;
mod requirements;
mod revocation;
mod scope;
mod time;
mod unknown;

const START: i64 = 1_795_317_694;
const IDLE: Duration = Duration::from_secs(1_000);
const LIFETIME: i64 = 10_000;
const TWO_FACTOR: Requirement = Requirement::TWO_FACTOR;
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
    /// How long its word about a token holds.
    fresh_for: Mutex<Option<Duration>>,
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
                fresh_for: *self.fresh_for.lock().unwrap(),
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
            fresh_for: Mutex::default(),
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

    /// A token of a share link whose device is not counted yet.
    fn holds_uncounted(&self, token: &str, user: UserId, scope: &str) {
        let holder = holder(user, Some(scope)).uncounted();
        let mut holders = self.script.holders.lock().unwrap();
        holders.insert(token.to_owned(), (holder, None));
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
            longest_pause_secs: 0,
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
            demand: TWO_FACTOR.into(),
            presented,
            success_token: None,
            path: "/a/b",
            destination: None,
            is_background: false,
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

/// A holder in these groups.
fn member(user: UserId, groups: &[&str]) -> Holder {
    let groups = groups.iter().map(ToString::to_string).collect();
    Holder {
        terms: session::Terms::of(None, None, groups),
        ..holder(user, None)
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
    matches!(
        refusal(decision),
        Refusal::SecondFactorRequired { max_age_secs, .. } if max_age_secs.is_some() == is_fresh
    )
}
