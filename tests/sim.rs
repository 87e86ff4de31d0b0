//! Random lives of many users on two gateways over one store, against a model that is too naive to
//! be wrong: sign-ins, codes right, wrong and old, devices, browsers that are remembered, share links,
//! revocations, resets, restarts, and time passing. After each step the gates must decide as the model does,
//! rules with a clock (`within`, `max_idle`) and what is polled (`background`) among them.
//!
//! A failure prints the seed and the last steps; `VESTIBULE_SIM_SEED=n` runs that life again.

#[path = "sim/codes.rs"]
mod codes;
#[path = "sim/ends.rs"]
mod ends;
#[path = "sim/entering.rs"]
mod entering;
#[path = "sim/gateway.rs"]
mod gateway;
#[path = "sim/model.rs"]
mod model;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use gateway::{auth, cheap_hash, open};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt::Debug;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use vestibule::auth::basic::Passwords;
use vestibule::auth::browsers::{KnownBrowser, ToRemember};
use vestibule::auth::challenge::{Accept, Becomes, StartError, VerifyError};
use vestibule::auth::ports::{
    COOKIE_LIFETIME_MAX, Contact, FactorKind, NewShare, NewUser, Store, Whence, Which,
};
use vestibule::auth::share::{Follows, OpenShareError};
use vestibule::auth::sign_in::{SignInContext, SignInError};
use vestibule::auth::signing::Signer;
use vestibule::auth::{Auth, Caller, Deliver, DeliveryError, Settings, Standing, subject};
use vestibule::clock::{Clock as _, ManualClock, Timestamp};
use vestibule::config::model::{
    Codes, Limits, Lockout, Remember, Requirement, Sessions, SigningAlgorithm, StoreEngine, Tokens,
};
use vestibule::digest::{DigestKeys, RealmKeys};
use vestibule::entropy::{self, Entropy, NoEntropy, OsEntropy};
use vestibule::event::NoEvents;
use vestibule::factor::one_time::Mail;
use vestibule::factor::phone::Phone;
use vestibule::gate::session::{Holder, in_scope};
use vestibule::gate::{Checked, Decision, Gate, Grant, Presented, Question, Refusal};
use vestibule::id::{SessionId, ShareId, UserId};
use vestibule::identity::witness::{LearnedToken, StoreWitness};
use vestibule::secret::Secret;

const SECOND: u64 = 1;
const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

const ACCOUNTS: &str = "files";
const BACKEND: &str = "backend";
const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));
const PHONES: [&str; 3] = ["+4512345678", "+4687654321", "+4523456789"];
const DEVICES: [&str; 3] = ["laptop", "phone", "tablet"];
const SCOPES: [&str; 2] = ["/a/", "/b/c/"];
const PATHS: [&str; 4] = ["/a/x", "/b/c", "/b/cd", "/"];

const LIFETIME: u64 = 60 * DAY;
const IDLE: u64 = 10 * DAY;
const REMEMBERED: u64 = 30 * DAY;
const CODE_LIFETIME: u64 = 10 * MINUTE;
const CODE_ATTEMPTS: u32 = 3;
const RESEND_AFTER: u64 = 30;
const PER_HOUR: usize = 5;
const PER_MINUTE: usize = 4;
const DELAY_EVERY: u32 = 4;
const FIRST_DELAY: u64 = 30;
const MAX_DELAY: u64 = HOUR;
const LOCK_AT: u32 = 14;
const ADDRESS_FACTOR: u32 = 3;

/// SplitMix64: enough for a simulation, and the same everywhere.
#[derive(Debug)]
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.roll() % n as u64) as usize
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

#[derive(Debug)]
struct Seeded(Mutex<Dice>);

impl Entropy for Seeded {
    fn fill(&self, out: &mut [u8]) -> Result<(), NoEntropy> {
        let mut dice = self.0.lock().unwrap();
        out.fill_with(|| dice.roll() as u8);
        Ok(())
    }
}

/// The provider: does as it was told, and keeps the code of what it took.
#[derive(Default)]
struct Provider {
    refuses: Mutex<Option<DeliveryError>>,
    code: Mutex<Option<String>>,
}

struct ToProvider(Arc<Provider>);

#[async_trait]
impl Deliver for ToProvider {
    async fn sms(&self, _to: &Phone, text: &Secret) -> Result<&'static str, DeliveryError> {
        if let Some(error) = *self.0.refuses.lock().unwrap() {
            return Err(error);
        }
        let code = text.expose().split(' ').next().unwrap().to_owned();
        *self.0.code.lock().unwrap() = Some(code);
        Ok("simulated")
    }

    async fn email(&self, _to: &Secret, _mail: &Mail) -> Result<&'static str, DeliveryError> {
        panic!("nobody here has an address")
    }
}

// ---- the model

type Device = Option<&'static str>;
/// A token's number and a device.
type Pair = (usize, Device);
/// A gateway and the device as a request names it: what a map entry stands for. Each counts pauses for
/// itself.
type View = (usize, Device);

struct Person {
    id: UserId,
    realm: &'static str,
    name: String,
    password: Option<String>,
    phone: Option<&'static str>,
}

struct Link {
    id: ShareId,
    token: String,
    person: usize,
    revoked: bool,
}

struct Token {
    text: String,
    person: usize,
    issued_to: Device,
    scope: Option<&'static str>,
    link: Option<usize>,
    ends_at: u64,
}

struct Session {
    id: SessionId,
    person: usize,
    verified_at: u64,
    ends_at: u64,
    /// A question that needs no session may or may not have been seen on it: it was last seen
    /// between these.
    seen: (u64, u64),
    /// The longest time without a request since the verification is between these: the least is what there
    /// was for all views together.
    pause: (u64, u64),
    /// When it was put into the store.
    born_at: u64,
    /// When each view has certainly seen it.
    views: BTreeMap<View, u64>,
}

/// A browser in which somebody has passed the second factor and ticked the box.
struct Browser {
    secret: String,
    person: usize,
    /// That it is remembered by, or that it has signed in last.
    token: usize,
    verified_at: u64,
    used_at: u64,
    is_known: Live,
}

struct Challenge {
    code: String,
    left: u32,
    ends_at: u64,
    is_pending: bool,
}

#[derive(Default)]
struct Count {
    failures: u32,
    until: u64,
    locked: bool,
    touched_at: u64,
}

#[derive(PartialEq, Eq, Hash)]
enum Whom {
    Person(usize),
    Account(String),
    Address,
}

#[derive(Default)]
struct Model {
    people: Vec<Person>,
    links: Vec<Link>,
    tokens: Vec<Token>,
    sessions: HashMap<Pair, Session>,
    browsers: Vec<Browser>,
    challenges: HashMap<Pair, Challenge>,
    old_codes: Vec<String>,
    /// (when, person, number)
    sends: Vec<(u64, usize, &'static str)>,
    counts: HashMap<Whom, Count>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Live {
    Yes,
    No,
    Either,
}

// ---- the gateways

/// One gateway over the store: a map of its own, and its place in the feed.
struct Node {
    gate: Arc<Gate>,
    witness: Arc<StoreWitness>,
    feed: i64,
}

#[derive(Clone)]
enum Engine {
    Memory,
    Sqlite(PathBuf),
}

struct World {
    dice: Dice,
    engine: Engine,
    entropy: Arc<Seeded>,
    clock: Arc<ManualClock>,
    provider: Arc<Provider>,
    keys: DigestKeys,
    auth: Auth,
    nodes: Vec<Node>,
    model: Model,
    diary: Diary,
    /// The pair that was verified last.
    focus: Option<Pair>,
    /// Until time passes, there is nobody but open pages that poll.
    is_away: bool,
    /// How often each answer was given.
    tally: BTreeMap<String, usize>,
}

/// What happened last; says so if the life ends badly.
struct Diary {
    seed: u64,
    lines: VecDeque<String>,
}

impl Drop for Diary {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let lines = self.lines.make_contiguous().join("\n  ");
            eprintln!(
                "the last steps of VESTIBULE_SIM_SEED={}:\n  {lines}",
                self.seed
            );
        }
    }
}

impl Diary {
    fn note(&mut self, line: String) {
        if self.lines.len() == 30 {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }
}

impl World {
    async fn new(seed: u64, engine: Engine) -> Self {
        let entropy = Arc::new(Seeded(Mutex::new(Dice(!seed))));
        let clock = Arc::new(ManualClock::at(Timestamp(1_800_000_000)));
        let provider = Arc::new(Provider::default());
        let (store, keys) = open(&engine, &entropy).await;
        let mut world = Self {
            dice: Dice(seed),
            auth: auth(store, &keys, &clock, &entropy, &provider),
            engine,
            entropy,
            clock,
            provider,
            keys,
            nodes: Vec::new(),
            model: Model::default(),
            diary: Diary {
                seed,
                lines: VecDeque::new(),
            },
            focus: None,
            is_away: false,
            tally: BTreeMap::new(),
        };
        world.start_nodes().await;
        world
    }

    async fn start_nodes(&mut self) {
        self.nodes.clear();
        for _ in 0..2 {
            let feed = self.auth.store.feed_head().await.unwrap();
            let witness = StoreWitness::new(
                Arc::clone(&self.auth.store),
                self.keys.clone(),
                Arc::clone(&self.clock) as _,
                // Every token of this simulation is new when it is issued.
                Arc::new(|_| {}),
                Arc::default(),
            );
            let idle = Duration::from_secs(IDLE);
            let clock = Arc::clone(&self.clock) as _;
            let gate = Arc::new(Gate::new(Arc::clone(&witness) as _, clock, 40, idle));
            self.nodes.push(Node {
                gate,
                witness,
                feed,
            });
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.clock.now().0).unwrap()
    }

    fn realm_of(&self, token: usize) -> &'static str {
        self.model.people[self.model.tokens[token].person].realm
    }

    fn realm_keys(&self, token: usize) -> RealmKeys {
        self.keys.realm(self.realm_of(token))
    }

    fn any_token(&mut self) -> Option<usize> {
        let count = self.model.tokens.len();
        // Mostly the newest, or nobody would ever meet a token twice.
        let from = if self.dice.one_in(4) {
            0
        } else {
            count.saturating_sub(6)
        };
        (count > 0).then(|| from + self.dice.below(count - from))
    }

    fn any_device(&mut self) -> Device {
        let device = self.dice.pick(&DEVICES);
        (!self.dice.one_in(3)).then_some(device)
    }

    fn sign_in_context<'a>(&self, keys: &'a RealmKeys, device: &'a str) -> SignInContext<'a> {
        SignInContext {
            realm: ACCOUNTS,
            keys,
            device: Some(device),
            route: "files",
            address: ADDRESS,
        }
    }

    fn count(&mut self, asked: &str, got: &impl Debug) {
        let got = format!("{got:?}");
        let names = got.split(|c: char| !c.is_alphanumeric());
        // `Ok`, or the error's own name.
        let name = names
            .filter(|name| !matches!(*name, "Err" | "SignIn"))
            .find(|name| !name.is_empty());
        let line = format!("{asked} {}", name.unwrap_or_default());
        *self.tally.entry(line).or_default() += 1;
    }

    // ---- steps

    async fn step(&mut self) {
        match self.dice.below(100) {
            0 => self.add_person().await,
            1..6 => self.sign_in().await,
            6..8 => self.sign_in_on_page().await,
            8..10 => self.learn().await,
            10 => self.add_link().await,
            11..14 => self.open_link().await,
            14..35 => self.start().await,
            35..65 => self.verify().await,
            65..67 => self.revoke().await,
            67 => self.revoke_link().await,
            68..70 => self.reset().await,
            70 => self.restart().await,
            71 => self.upkeep().await,
            _ => self.pass_time(),
        }
        self.catch_up().await;
        for _ in 0..4 {
            if let Some((token, device)) = self.pair_to_probe() {
                self.probe(token, device).await;
            }
        }
        self.save_seen().await;
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Permit,
    UnknownToken,
    OutOfScope,
    NotVerified,
    NotFresh,
}

impl Answer {
    fn of(decision: &Decision) -> Self {
        match decision {
            Decision::Permit(_) => Self::Permit,
            Decision::Refuse(Refusal::UnknownToken) => Self::UnknownToken,
            Decision::Refuse(Refusal::OutOfScope) => Self::OutOfScope,
            Decision::Refuse(Refusal::SecondFactorRequired {
                max_age_secs: None, ..
            }) => Self::NotVerified,
            Decision::Refuse(Refusal::SecondFactorRequired { .. }) => Self::NotFresh,
            Decision::Refuse(refusal) => panic!("nobody asked for {refusal:?}"),
        }
    }
}

/// The lives to be lived: the one that was asked for, or some known ones and a new one.
fn seeds() -> Vec<u64> {
    match std::env::var("VESTIBULE_SIM_SEED") {
        Ok(seed) => vec![seed.parse().expect("VESTIBULE_SIM_SEED is a number")],
        Err(_) => {
            let fresh = u64::from_le_bytes(entropy::bytes(&OsEntropy).unwrap());
            vec![1, 2, 3, fresh]
        }
    }
}

async fn live(seed: u64, engine: Engine, steps: usize) -> World {
    let mut world = World::new(seed, engine).await;
    for _ in 0..3 {
        world.add_person().await;
    }
    for _ in 0..steps {
        world.step().await;
    }
    for token in 0..world.model.tokens.len() {
        for device in [None, Some(DEVICES[0]), Some(DEVICES[1])] {
            world.probe(token, device).await;
        }
    }
    world
}

#[tokio::test]
async fn lives_on_the_memory_store() {
    for seed in seeds() {
        live(seed, Engine::Memory, 2_000).await;
    }
}

#[tokio::test]
async fn lives_on_the_sqlite_store() {
    for seed in seeds() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("vestibule.db");
        live(seed, Engine::Sqlite(file), 300).await;
    }
}

/// Lives in which nobody gets in, or nobody is kept out, would prove nothing.
#[tokio::test]
async fn lives_are_full() {
    let tally = live(1, Engine::Memory, 5_000).await.tally;
    for answer in [
        "sign in Ok",
        "sign in Wrong",
        "sign in TooMany",
        "open link Ok",
        "open link Wrong",
        "start Ok",
        "start NoRecipient",
        "start RecipientRefused",
        "start NotSent",
        "start TooMany",
        "start Blocked",
        "verify Ok",
        "verify Malformed",
        "verify Wrong",
        "verify Gone",
        "verify NeverSent",
        "verify Blocked",
        "token Permit",
        "session Permit",
        "session NotVerified",
        "session NotFresh",
        "idle Permit",
        "idle NotFresh",
        "remembered true",
        "remembered false",
        "session OutOfScope",
        "session UnknownToken",
    ] {
        let times = tally.get(answer).copied().unwrap_or_default();
        assert!(times >= 5, "{answer}: {times} times of {tally:#?}");
    }
}
