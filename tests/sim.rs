//! Random lives of many users on two gateways over one store, against a model that is too naive to
//! be wrong: sign-ins, codes right, wrong and old, devices, browsers that are remembered, share links,
//! revocations, resets, restarts, and time passing. After each step the gates must decide as the model does,
//! rules with a clock (`within`, `max_idle`) and what is polled (`background`) among them.
//!
//! A failure prints the seed and the last steps; `VESTIBULE_SIM_SEED=n` runs that life again.

use arc_swap::ArcSwap;
use async_trait::async_trait;
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

impl Session {
    fn new(id: SessionId, person: usize, (verified_at, ends_at): (u64, u64), now: u64) -> Self {
        Self {
            id,
            person,
            verified_at,
            ends_at,
            seen: (now, now),
            pause: (now - verified_at, now - verified_at),
            born_at: now,
            views: BTreeMap::new(),
        }
    }

    /// The longest pause if `view` is asked now.
    fn pause_now(&self, view: View, now: u64) -> (u64, u64) {
        let last = self.views.get(&view).copied().unwrap_or(self.born_at);
        (
            self.pause.0.max(now - self.seen.1),
            self.pause.1.max(now - last),
        )
    }

    fn may_be_seen(&mut self, view: View, now: u64) {
        self.pause = self.pause_now(view, now);
        self.seen.1 = now;
    }

    fn is_seen(&mut self, view: View, now: u64) {
        self.may_be_seen(view, now);
        self.seen.0 = now;
        self.views.insert(view, now);
    }
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

impl Model {
    fn is_live(&self, token: usize, now: u64) -> bool {
        let token = &self.tokens[token];
        now < token.ends_at && !token.link.is_some_and(|link| self.links[link].revoked)
    }

    /// The pair that a request with this token and device speaks for.
    fn pair(&self, token: usize, device: Device) -> Pair {
        (token, device.or(self.tokens[token].issued_to))
    }

    fn session(&self, pair: Pair, now: u64) -> Live {
        match self.sessions.get(&pair) {
            Some(it) if now < it.ends_at && now < it.seen.0 + IDLE => Live::Yes,
            Some(it) if now < it.ends_at && now < it.seen.1 + IDLE => Live::Either,
            _ => Live::No,
        }
    }

    fn end_sessions(&mut self, ends: impl Fn(&Session) -> bool) {
        self.sessions.retain(|_, session| !ends(session));
    }

    fn forget_browsers(&mut self, forgets: impl Fn(&Browser) -> bool) {
        // Whoever signs in there has the cookie still.
        for browser in self.browsers.iter_mut().filter(|it| forgets(it)) {
            browser.is_known = Live::No;
        }
    }

    /// Somebody ends a session, and with it what is remembered where it came from.
    fn forget_browser_of(&mut self, pair: Pair, now: u64) {
        // One that has ended may be gone from the store.
        let is_known = match self.session(pair, now) {
            Live::Yes => Live::No,
            _ => Live::Either,
        };
        let session = &self.sessions[&pair];
        for browser in &mut self.browsers {
            let is_its = browser.token == pair.0 || browser.verified_at == session.verified_at;
            if browser.person == session.person && is_its {
                browser.is_known = is_known;
            }
        }
    }

    fn is_blocked(&self, whom: &[Whom], now: u64) -> bool {
        let counts = whom.iter().filter_map(|whom| self.counts.get(whom));
        counts.into_iter().any(|it| it.locked || now < it.until)
    }

    fn failed(&mut self, whom: Whom, now: u64) {
        let (every, lock_at) = match whom {
            Whom::Person(_) => (DELAY_EVERY, LOCK_AT),
            Whom::Account(_) => (DELAY_EVERY, u32::MAX),
            Whom::Address => (DELAY_EVERY * ADDRESS_FACTOR, u32::MAX),
        };
        let count = self.counts.entry(whom).or_default();
        count.failures += 1;
        count.touched_at = now;
        count.locked |= count.failures >= lock_at;
        if count.failures.is_multiple_of(every) {
            let doubled = (1..count.failures / every).fold(FIRST_DELAY, |delay, _| delay * 2);
            count.until = now + doubled.min(MAX_DELAY);
        }
    }

    fn may_send(&self, person: usize, number: &str, now: u64) -> bool {
        let prefix = &number[..3];
        let within = |span: u64| self.sends.iter().filter(move |(at, ..)| at + span > now);
        within(RESEND_AFTER).all(|(_, to, _)| *to != person)
            && within(HOUR).filter(|(_, to, _)| *to == person).count() < PER_HOUR
            && within(HOUR).filter(|(.., to)| *to == number).count() < PER_HOUR
            && within(MINUTE).count() < PER_MINUTE
            && within(MINUTE)
                .filter(|(.., to)| to.starts_with(prefix))
                .count()
                < PER_MINUTE - 1
    }
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

async fn open(engine: &Engine, entropy: &Arc<Seeded>) -> (Arc<dyn Store>, DigestKeys) {
    let engine = match engine {
        Engine::Memory => StoreEngine::Memory,
        Engine::Sqlite(path) => StoreEngine::Sqlite(path.clone()),
    };
    let key = Secret::new("c2l4dGVlbiBieXRlcyBhbmQgc2l4dGVlbiBtb3JlLi4=");
    vestibule::store::open(&engine, &key, Arc::clone(entropy) as _)
        .await
        .unwrap()
}

fn auth(
    store: Arc<dyn Store>,
    keys: &DigestKeys,
    clock: &Arc<ManualClock>,
    entropy: &Arc<Seeded>,
    provider: &Arc<Provider>,
) -> Auth {
    let secs = Duration::from_secs;
    let deliver: Box<dyn Deliver> = Box::new(ToProvider(Arc::clone(provider)));
    let signer = Signer::new(
        Arc::clone(&store) as _,
        Arc::clone(clock) as _,
        Arc::clone(entropy) as _,
    );
    Auth {
        store,
        signer: Arc::new(signer),
        keys: keys.clone(),
        clock: Arc::clone(clock) as _,
        entropy: Arc::clone(entropy) as _,
        deliver: ArcSwap::from_pointee(deliver),
        events: Arc::new(NoEvents),
        settings: ArcSwap::from_pointee(Settings {
            sessions: Sessions {
                lifetime: secs(LIFETIME),
                idle: secs(IDLE),
                hot_max: 1_000,
            },
            codes: Codes {
                length: 6,
                lifetime: secs(CODE_LIFETIME),
                attempts: CODE_ATTEMPTS,
                resend_after: secs(RESEND_AFTER),
                totp_window: 1,
            },
            limits: Limits {
                per_user_per_hour: PER_HOUR as u32,
                per_number_per_hour: PER_HOUR as u32,
                per_gateway_per_minute: PER_MINUTE as u32,
                per_prefix_per_minute: PER_MINUTE as u32 - 1,
                countries: Vec::new(),
            },
            lockout: Lockout {
                delay_every: DELAY_EVERY,
                first_delay: secs(FIRST_DELAY),
                max_delay: secs(MAX_DELAY),
                lock_at: LOCK_AT,
                address_factor: ADDRESS_FACTOR,
            },
            sudo: secs(5 * MINUTE),
            sends_mail: false,
            sends_sms: true,
            service_name: "Files".to_owned(),
            tokens: Tokens {
                issuer: "https://files.example.org".to_owned(),
                algorithm: SigningAlgorithm::EdDsa,
                access_lifetime: secs(HOUR),
                refresh_lifetime: secs(30 * DAY),
            },
        }),
        hashing: Arc::new(tokio::sync::Semaphore::new(1)),
        guesses: Default::default(),
        passwords: Passwords::new(Arc::default()),
        look_ups: Default::default(),
        exchanges: Default::default(),
        ceremonies: Default::default(),
    }
}

/// Few and weak rounds: the simulation is not about them.
fn cheap_hash(password: &str) -> Secret {
    use argon2::password_hash::{PasswordHasher as _, phc::PasswordHash};
    let params = argon2::Params::new(8, 1, 1, None).unwrap();
    let hash: PasswordHash = argon2::Argon2::from(params)
        .hash_password_with_salt(password.as_bytes(), b"salt of the test")
        .unwrap();
    Secret::new(hash.to_string())
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

    async fn add_person(&mut self) {
        let number = self.model.people.len();
        let (name, password) = (format!("user{number}"), format!("password{number}"));
        let phone = (!self.dice.one_in(6)).then(|| self.dice.pick(&PHONES));
        let new = NewUser {
            realm: ACCOUNTS.to_owned(),
            name: name.clone(),
            phone: phone.and_then(Phone::from_e164),
            email: None,
            password_hash: Some(cheap_hash(&password)),
            can_edit_users: false,
            groups: Vec::new(),
        };
        let id = self.auth.store.create_user(new, self.clock.now()).await;
        self.model.people.push(Person {
            id: id.unwrap().unwrap(),
            realm: ACCOUNTS,
            name,
            password: Some(password),
            phone,
        });
        self.diary.note(format!("person {number} with {phone:?}"));
    }

    async fn sign_in(&mut self) {
        let with_password = |person: &&Person| person.password.is_some();
        let count = self.model.people.iter().filter(with_password).count();
        if count == 0 {
            return;
        }
        let nth = self.dice.below(count);
        let (number, person) = (self.model.people.iter().enumerate())
            .filter(|(_, person)| person.password.is_some())
            .nth(nth)
            .unwrap();
        let (name, mut password) = (person.name.clone(), person.password.clone().unwrap());
        let is_right = !self.dice.one_in(3);
        if !is_right {
            password.push('!');
        }
        let (now, device) = (self.now(), self.dice.pick(&DEVICES));
        let keys = self.keys.realm(ACCOUNTS);
        let at = self.sign_in_context(&keys, device);
        let got = self
            .auth
            .sign_in(at, &name, &Secret::new(password), |_| {
                Requirement::TWO_FACTOR
            })
            .await;
        self.count("sign in", &got);
        self.diary.note(format!(
            "{name} signs in on {device}: {is_right}: {:?}",
            got.as_ref().err()
        ));

        let account = || Whom::Account(name.clone());
        if self.model.is_blocked(&[account(), Whom::Address], now) {
            assert!(matches!(got, Err(SignInError::TooMany { .. })), "{got:?}");
        } else if is_right {
            let token = got.expect("a right password").token.expose().to_owned();
            self.model.counts.remove(&account());
            self.model.tokens.push(Token {
                text: token,
                person: number,
                issued_to: Some(device),
                scope: None,
                link: None,
                ends_at: u64::MAX,
            });
        } else {
            assert_eq!(got.err(), Some(SignInError::Wrong));
            self.model.failed(account(), now);
            self.model.failed(Whom::Address, now);
        }
    }

    /// A sign-in with the right password in a browser that was remembered at some time.
    async fn sign_in_on_page(&mut self) {
        if self.model.browsers.is_empty() {
            return;
        }
        // Mostly the newest: of the others, most are forgotten.
        let count = self.model.browsers.len();
        let from = match self.dice.one_in(3) {
            true => 0,
            false => count.saturating_sub(3),
        };
        let nth = from + self.dice.below(count - from);
        let secret = self.model.browsers[nth].secret.clone();
        let person = match self.dice.one_in(6) {
            true => self.dice.below(self.model.people.len()),
            false => self.model.browsers[nth].person,
        };
        let Some(password) = self.model.people[person].password.clone() else {
            return;
        };
        let (name, now) = (self.model.people[person].name.clone(), self.now());
        let known = KnownBrowser {
            secret: Secret::new(secret.clone()),
            remember: Remember::For(Duration::from_secs(REMEMBERED)),
            whence: Whence {
                address: ADDRESS,
                client: "Firefox on Linux".to_owned(),
            },
        };
        let (keys, device) = (self.keys.realm(ACCOUNTS), self.dice.pick(&DEVICES));
        let at = self.sign_in_context(&keys, device);
        let password = Secret::new(password);
        let asks = |_: &_| Requirement::TWO_FACTOR;
        let signing_in = self
            .auth
            .sign_in_on_page(at, &name, &password, Some(&known), asks);
        let got = signing_in.await;
        let account = || Whom::Account(name.clone());
        if self.model.is_blocked(&[account(), Whom::Address], now) {
            assert!(matches!(got, Err(SignInError::TooMany { .. })), "{got:?}");
            return;
        }
        let got = got.expect("a right password");
        let is_in = got.session.is_some();
        self.count("remembered", &is_in);
        self.diary
            .note(format!("{name} signs in on {device} in {secret}: {is_in}"));
        self.model.counts.remove(&account());
        let token = self.model.tokens.len();
        self.model.tokens.push(Token {
            text: got.token.expose().to_owned(),
            person,
            issued_to: Some(device),
            scope: None,
            link: None,
            ends_at: now + LIFETIME,
        });
        let browsers = self.model.browsers.iter_mut();
        let mut its = browsers.filter(|it| it.secret == secret && it.person == person);
        let browser = its.next().filter(|it| {
            let cookie = it.used_at + COOKIE_LIFETIME_MAX.as_secs();
            now < it.verified_at + REMEMBERED && now < cookie && it.is_known != Live::No
        });
        let Some(browser) = browser else {
            assert!(!is_in, "nobody remembers that browser");
            return;
        };
        assert!(
            is_in || browser.is_known == Live::Either,
            "it is remembered"
        );
        let Some(session) = got.session else {
            browser.is_known = Live::No;
            return;
        };
        browser.is_known = Live::Yes;
        (browser.token, browser.used_at) = (token, now);
        let ends_at = browser.verified_at + REMEMBERED;
        let times = (browser.verified_at, ends_at.min(now + LIFETIME));
        let said = (session.verified_at.0 as u64, session.expires_at.0 as u64);
        assert_eq!(said, times);
        let session = Session::new(session.id, person, times, now);
        self.model.sessions.insert((token, Some(device)), session);
    }

    /// A sign-in at the backend, watched by one of the gateways.
    async fn learn(&mut self) {
        let name = format!("learned{}", self.dice.below(3));
        let phone = (!self.dice.one_in(3)).then(|| self.dice.pick(&PHONES));
        let device = (!self.dice.one_in(3)).then(|| self.dice.pick(&DEVICES));
        let lifetime = self.dice.one_in(2).then_some(2 * DAY);
        let text = format!("backend-{:x}", self.dice.roll());
        let node = self.dice.below(2);
        let learned = LearnedToken {
            realm: BACKEND.to_owned(),
            token: Secret::new(text.clone()),
            user: name.clone(),
            is_typed: false,
            phone: phone.and_then(Phone::from_e164),
            email: None,
            groups: None,
            said_at: None,
            device: device.map(str::to_owned),
            expires_at: lifetime.map(|secs| self.clock.now().after(Duration::from_secs(secs))),
        };
        self.nodes[node].witness.learned(learned).await.unwrap();
        self.diary.note(format!(
            "{name} signs in at the backend on {device:?}, {phone:?}"
        ));
        let known = self.model.people.iter().position(|it| it.name == name);
        let person = match known {
            Some(person) => {
                let person_phone = &mut self.model.people[person].phone;
                *person_phone = phone.or(*person_phone);
                person
            }
            None => {
                let user = self.auth.store.user_by_name(BACKEND, &name).await;
                self.model.people.push(Person {
                    id: user.unwrap().unwrap().id,
                    realm: BACKEND,
                    name,
                    password: None,
                    phone,
                });
                self.model.people.len() - 1
            }
        };
        let ends_at = lifetime.map_or(u64::MAX, |lifetime| self.now() + lifetime);
        self.model.tokens.push(Token {
            text,
            person,
            issued_to: device,
            scope: None,
            link: None,
            ends_at,
        });
    }

    async fn add_link(&mut self) {
        let text = format!("share-{:x}", self.dice.roll());
        let scope = self.dice.pick(&SCOPES);
        let phone = (!self.dice.one_in(4)).then(|| self.dice.pick(&PHONES));
        let ends_at = match self.dice.one_in(2) {
            true => self.now() + 3 * DAY,
            false => u64::MAX,
        };
        let new = NewShare {
            realm: ACCOUNTS.to_owned(),
            link: self.keys.realm(ACCOUNTS).token(&text),
            path: scope.to_owned(),
            recipients: vec![Contact {
                phone: phone.and_then(Phone::from_e164),
                email: None,
            }],
            devices_max: None,
            expires_at: i64::try_from(ends_at).ok().map(Timestamp),
        };
        let made = self.auth.store.create_share(new, self.clock.now()).await;
        let (id, users) = made.unwrap();
        let user = users[0];
        let (person, link) = (self.model.people.len(), self.model.links.len());
        self.model.people.push(Person {
            id: user,
            realm: ACCOUNTS,
            name: format!("share:{id}"),
            password: None,
            phone,
        });
        self.model.links.push(Link {
            id,
            token: text.clone(),
            person,
            revoked: false,
        });
        self.diary
            .note(format!("link {link} to {scope} with {phone:?}"));
        self.model.tokens.push(Token {
            text,
            person,
            issued_to: None,
            scope: Some(scope),
            link: Some(link),
            ends_at,
        });
    }

    async fn open_link(&mut self) {
        if self.model.links.is_empty() {
            return;
        }
        let link = self.dice.below(self.model.links.len());
        let share = (self.model.tokens.iter())
            .position(|it| it.text == self.model.links[link].token)
            .unwrap();
        let (now, device) = (self.now(), self.dice.pick(&DEVICES));
        let keys = self.keys.realm(ACCOUNTS);
        let at = self.sign_in_context(&keys, device);
        let text = Secret::new(self.model.links[link].token.clone());
        let got = self.auth.open_share(at, &text, |_| Follows::Code).await;
        self.count("open link", &got);
        self.diary
            .note(format!("link {link} on {device}: {:?}", got.as_ref().err()));
        if self.model.is_blocked(&[Whom::Address], now) {
            assert!(
                matches!(
                    got,
                    Err(OpenShareError::SignIn(SignInError::TooMany { .. }))
                ),
                "{got:?}"
            );
        } else if self.model.is_live(share, now) {
            let token = got.expect("a live link").token.expose().to_owned();
            let share = &self.model.tokens[share];
            let (scope, ends_at) = (share.scope, share.ends_at);
            self.model.tokens.push(Token {
                text: token,
                person: self.model.links[link].person,
                issued_to: Some(device),
                scope,
                link: Some(link),
                ends_at,
            });
        } else {
            assert_eq!(got.err(), Some(SignInError::Wrong.into()));
            self.model.failed(Whom::Address, now);
        }
    }

    /// Who a gateway says the caller is; `None` where it does not know the token.
    async fn caller(&mut self, node: usize, token: usize, device: Device) -> Option<Caller> {
        let keys = self.realm_keys(token);
        let known = &self.model.tokens[token];
        let question = Question {
            realm: self.realm_of(token),
            keys: &keys,
            demand: Requirement::Token.into(),
            presented: Some(Presented {
                token: &known.text,
                device,
            }),
            success_token: None,
            path: known.scope.unwrap_or("/"),
            destination: None,
            is_background: false,
        };
        let decision = self.nodes[node].gate.admit(&question).await;
        let is_live = self.model.is_live(token, self.now());
        let holder = match decision {
            Decision::Permit(permit) => match permit.grant() {
                Grant::Token(holder) | Grant::Session { holder, .. } => holder.clone(),
                Grant::Open => panic!("a token was asked for"),
            },
            Decision::Refuse(refusal) => {
                assert!(!is_live, "token {token}: {refusal:?}");
                return None;
            }
        };
        assert!(is_live, "token {token} has ended");
        let (now, pair) = (self.now(), self.model.pair(token, device));
        if let Some(session) = self.model.sessions.get_mut(&pair) {
            session.may_be_seen((node, device), now);
        }
        let (_, device) = pair;
        Some(Caller {
            holder,
            token: keys.token(&self.model.tokens[token].text),
            pair: keys.session(&self.model.tokens[token].text, device),
            device_label: None,
            standing: Standing::Token,
            self_enrolment: false,
            route: "files".to_owned(),
            address: ADDRESS,
            client: "rclone".to_owned(),
            words: Default::default(),
        })
    }

    async fn start(&mut self) {
        let Some(token) = self.any_token() else {
            return;
        };
        let (node, device, now) = (self.dice.below(2), self.any_device(), self.now());
        let Some(caller) = self.caller(node, token, device).await else {
            return;
        };
        let refuses = match self.dice.below(10) {
            0 => Some(DeliveryError::NotAccepted),
            1 => Some(DeliveryError::BadRecipient),
            _ => None,
        };
        *self.provider.refuses.lock().unwrap() = refuses;
        *self.provider.code.lock().unwrap() = None;
        let got = self.auth.start(&caller, FactorKind::Sms).await;
        self.count("start", &got);
        let code = self.provider.code.lock().unwrap().take();
        let pair = self.model.pair(token, device);
        self.diary.note(format!("start {pair:?}: {got:?}"));

        let person = self.model.tokens[token].person;
        let phone = self.model.people[person].phone;
        assert_eq!(
            code.is_some(),
            got.is_ok(),
            "a code was sent, or it was not"
        );
        let Some(phone) = phone else {
            assert_eq!(got.err(), Some(StartError::NoRecipient));
            return;
        };
        if self
            .model
            .is_blocked(&[Whom::Person(person), Whom::Address], now)
        {
            assert!(matches!(got, Err(StartError::Blocked(_))), "{got:?}");
            return;
        }
        if !self.model.may_send(person, phone, now) {
            assert!(matches!(got, Err(StartError::TooMany { .. })), "{got:?}");
            return;
        }
        match refuses {
            Some(DeliveryError::BadRecipient) => {
                assert_eq!(got.err(), Some(StartError::RecipientRefused));
            }
            Some(_) => assert_eq!(got.err(), Some(StartError::NotSent)),
            None => {
                let ends_at = now + CODE_LIFETIME;
                assert_eq!(got.unwrap().expires_at.0 as u64, ends_at);
                self.model.sends.push((now, person, phone));
                let challenge = Challenge {
                    code: code.unwrap(),
                    left: CODE_ATTEMPTS,
                    ends_at,
                    is_pending: true,
                };
                if let Some(old) = self.model.challenges.insert(pair, challenge) {
                    self.model.old_codes.push(old.code);
                }
            }
        }
    }

    /// A code to try on a pair: mostly the right one.
    fn code_for(&mut self, pair: Pair) -> String {
        let right = self.model.challenges.get(&pair).map(|it| it.code.clone());
        match (self.dice.below(10), right) {
            (0..5, Some(code)) => code,
            (5, Some(code)) => format!(" {}-{} ", &code[..3], &code[3..]),
            (6, _) if !self.model.old_codes.is_empty() => {
                let old = self.dice.below(self.model.old_codes.len());
                self.model.old_codes[old].clone()
            }
            (7, _) => "12345x".to_owned(),
            (8, _) => {
                let others: Vec<_> = self.model.challenges.values().collect();
                let code = others.first().map(|it| it.code.clone());
                code.unwrap_or_else(|| "000000".to_owned())
            }
            _ => format!("{:06}", self.dice.below(1_000_000)),
        }
    }

    /// Often the pair that was verified last, or its pauses would all be long; else half of the time one that
    /// was verified at some time.
    fn pair_to_probe(&mut self) -> Option<(usize, Device)> {
        let focus = self.focus.filter(|_| self.dice.one_in(2));
        if let Some((token, device)) = focus {
            return Some((token, self.perhaps_unnamed(token, device)));
        }
        let mut verified: Vec<Pair> = self.model.sessions.keys().copied().collect();
        if !verified.is_empty() && self.dice.one_in(2) {
            verified.sort_unstable();
            let (token, device) = self.dice.pick(&verified);
            return Some((token, self.perhaps_unnamed(token, device)));
        }
        Some((self.any_token()?, self.any_device()))
    }

    /// Without a name, the device that the token was issued to is meant.
    fn perhaps_unnamed(&mut self, token: usize, device: Device) -> Device {
        let is_issued = self.model.tokens[token].issued_to == device;
        device.filter(|_| !is_issued || self.dice.one_in(2))
    }

    /// A pair to try a code on: mostly one that was sent one.
    fn pair_to_verify(&mut self) -> Option<(usize, Device)> {
        let now = self.now();
        let wants_pending = !self.dice.one_in(4);
        // Expired ones are many, and one is like the other.
        let wants_late = self.dice.one_in(10);
        let challenges = self.model.challenges.iter();
        let wanted = challenges
            .filter(|(_, it)| it.is_pending == wants_pending && (now >= it.ends_at) == wants_late);
        let mut pairs: Vec<Pair> = wanted.map(|(pair, _)| *pair).collect();
        pairs.sort_unstable();
        if !pairs.is_empty() && !self.dice.one_in(10) {
            let (token, device) = self.dice.pick(&pairs);
            return Some((token, self.perhaps_unnamed(token, device)));
        }
        Some((self.any_token()?, self.any_device()))
    }

    async fn verify(&mut self) {
        let Some((token, device)) = self.pair_to_verify() else {
            return;
        };
        let (node, now) = (self.dice.below(2), self.now());
        let Some(caller) = self.caller(node, token, device).await else {
            return;
        };
        let pair = self.model.pair(token, device);
        let typed = self.code_for(pair);
        let secret = self.browser_to_remember(pair);
        let before = secret.as_ref().and_then(|_| self.browser_before());
        let becomes = Becomes {
            pair: caller.pair,
            device_label: None,
            remember: secret.clone().map(|secret| ToRemember {
                secret: Secret::new(secret),
                before: before.clone().map(Secret::new),
                remember: Remember::For(Duration::from_secs(REMEMBERED)),
            }),
        };
        let passing = self
            .auth
            .verify_on_page(&caller, (Accept::Factor, &typed), becomes);
        let got = passing.await;
        self.count("verify", &got);
        self.diary
            .note(format!("verify {pair:?} with {typed}: {got:?}"));

        let digits: String = typed.chars().filter(char::is_ascii_digit).collect();
        let person = self.model.tokens[token].person;
        let is_blocked = self
            .model
            .is_blocked(&[Whom::Person(person), Whom::Address], now);
        let challenge = self.model.challenges.get_mut(&pair);
        if typed.contains('x') {
            assert_eq!(got.err(), Some(VerifyError::Malformed));
        } else if is_blocked {
            assert!(matches!(got, Err(VerifyError::Blocked(_))), "{got:?}");
        } else if let Some(challenge) = challenge {
            if !challenge.is_pending || now >= challenge.ends_at {
                assert_eq!(got.err(), Some(VerifyError::Gone));
            } else if challenge.code != digits {
                challenge.left -= 1;
                challenge.is_pending = challenge.left > 0;
                let left = Some(challenge.left);
                assert_eq!(got.err(), Some(VerifyError::Wrong { left }));
                self.model.failed(Whom::Person(person), now);
                self.model.failed(Whom::Address, now);
            } else {
                challenge.is_pending = false;
                let session = got.expect("the right code").session;
                self.verified(node, token, device, session);
                if let Some(secret) = secret {
                    self.remembered(secret, before, token);
                }
            }
        } else {
            assert_eq!(got.err(), Some(VerifyError::NeverSent));
        }
    }

    /// The new secret of a browser in which the box is ticked, now and then. A guest sees none.
    fn browser_to_remember(&mut self, pair: Pair) -> Option<String> {
        let is_account = self.model.tokens[pair.0].scope.is_none();
        (is_account && self.dice.one_in(2)).then(|| format!("browser-{:x}", self.dice.roll()))
    }

    /// Which browser that is, if it was remembered before.
    fn browser_before(&mut self) -> Option<String> {
        let count = self.model.browsers.len();
        (count > 0 && self.dice.one_in(3))
            .then(|| self.model.browsers[self.dice.below(count)].secret.clone())
    }

    fn remembered(&mut self, secret: String, before: Option<String>, token: usize) {
        let now = self.now();
        self.diary
            .note(format!("remembered in {secret}, before {before:?}"));
        self.model
            .forget_browsers(|browser| Some(&browser.secret) == before.as_ref());
        self.model.browsers.push(Browser {
            secret,
            person: self.model.tokens[token].person,
            token,
            verified_at: now,
            used_at: now,
            is_known: Live::Yes,
        });
    }

    fn verified(
        &mut self,
        node: usize,
        token: usize,
        device: Device,
        session: vestibule::gate::session::Session,
    ) {
        let (now, pair) = (self.now(), self.model.pair(token, device));
        let person = self.model.tokens[token].person;
        let ends_at = (now + LIFETIME).min(self.model.tokens[token].ends_at);
        assert_eq!(session.expires_at.0 as u64, ends_at);
        assert_eq!(session.holder.user, self.model.people[person].id);
        let keys = self.realm_keys(token);
        let text = &self.model.tokens[token].text;
        // As the endpoints do: under every key that a request of this pair looks up.
        for device in [pair.1, device] {
            let gate = &self.nodes[node].gate;
            gate.remember(keys.session(text, device), &session);
        }
        self.model.counts.remove(&Whom::Person(person));
        let known = Session::new(session.id, person, (now, ends_at), now);
        self.model.sessions.insert(pair, known);
        self.focus = Some(pair);
    }

    async fn revoke(&mut self) {
        let mut pairs: Vec<Pair> = self.model.sessions.keys().copied().collect();
        pairs.sort_unstable();
        if pairs.is_empty() {
            return;
        }
        let pair = self.dice.pick(&pairs);
        let session = &self.model.sessions[&pair];
        let (id, person, ends_at) = (session.id, session.person, session.ends_at);
        let which = match self.dice.below(8) {
            0 => Which::All,
            1..3 => Which::User(self.model.people[person].id),
            3 => Which::UserBut(self.model.people[person].id, id),
            _ => Which::Session(id),
        };
        self.auth
            .store
            .revoke(which, self.clock.now())
            .await
            .unwrap();
        self.diary.note(format!("revoke {which:?}"));
        if matches!(which, Which::UserBut(..)) && self.now() >= ends_at {
            // Nobody acts by a session that has ended.
            return;
        }
        match which {
            Which::All => self.model.forget_browsers(|_| true),
            Which::User(_) | Which::UserBut(..) => self
                .model
                .forget_browsers(|browser| browser.person == person),
            Which::Session(_) => self.model.forget_browser_of(pair, self.now()),
        }
        self.model.end_sessions(|session| match which {
            Which::All => true,
            Which::User(_) => session.person == person,
            Which::Session(_) => session.id == id,
            Which::UserBut(..) => session.person == person && session.id != id,
        });
    }

    async fn revoke_link(&mut self) {
        if self.model.links.is_empty() {
            return;
        }
        let nth = self.dice.below(self.model.links.len());
        let link = &mut self.model.links[nth];
        let (id, person, was_there) = (link.id, link.person, !link.revoked);
        link.revoked = true;
        let done = self.auth.store.revoke_share(id, self.clock.now()).await;
        self.diary.note(format!("revoke link {nth}"));
        assert_eq!(!done.unwrap().is_empty(), was_there);
        self.model.end_sessions(|session| session.person == person);
        let tokens = &self.model.tokens;
        let challenges = &mut self.model.challenges;
        challenges.retain(|(token, _), _| tokens[*token].person != person);
    }

    async fn reset(&mut self) {
        if self.model.people.is_empty() {
            return;
        }
        // Mostly somebody who has a code to lose.
        let person = match self.pair_to_verify() {
            Some((token, _)) if !self.dice.one_in(4) => self.model.tokens[token].person,
            _ => self.dice.below(self.model.people.len()),
        };
        let id = self.model.people[person].id;
        let subject = subject::user(&self.keys, id);
        let now = self.clock.now();
        self.auth.store.reset_user(id, subject, now).await.unwrap();
        self.diary.note(format!("reset person {person}"));
        self.model.end_sessions(|session| session.person == person);
        self.model
            .forget_browsers(|browser| browser.person == person);
        self.model.counts.remove(&Whom::Person(person));
        for (pair, challenge) in &mut self.model.challenges {
            if self.model.tokens[pair.0].person == person {
                challenge.is_pending = false;
            }
        }
    }

    /// Both gateways end and start again; what is in the store is all they have.
    async fn restart(&mut self) {
        self.diary.note("restart".to_owned());
        if matches!(self.engine, Engine::Sqlite(_)) {
            let (store, keys) = open(&self.engine, &self.entropy).await;
            self.keys = keys;
            let (clock, entropy) = (&self.clock, &self.entropy);
            self.auth = auth(store, &self.keys, clock, entropy, &self.provider);
        }
        self.start_nodes().await;
    }

    async fn upkeep(&mut self) {
        let now = self.now();
        self.auth.store.purge(self.clock.now()).await.unwrap();
        for node in &self.nodes {
            node.gate.sweep();
        }
        self.diary.note("upkeep".to_owned());
        let challenges = &mut self.model.challenges;
        challenges.retain(|_, challenge| challenge.ends_at >= now - 30 * DAY);
        let counts = &mut self.model.counts;
        counts.retain(|_, count| count.locked || count.touched_at >= now - 90 * DAY);
    }

    fn pass_time(&mut self) {
        let span = match self.dice.below(20) {
            0..10 => SECOND * (1 + self.dice.below(45) as u64),
            10..16 => MINUTE * (1 + self.dice.below(15) as u64),
            16..19 => 10 * MINUTE * (1 + self.dice.below(60) as u64),
            _ => self
                .dice
                .pick(&[HOUR, 5 * HOUR, DAY, 4 * DAY, 11 * DAY, 40 * DAY]),
        };
        self.clock.advance(Duration::from_secs(span));
        self.is_away = self.dice.one_in(3);
        self.diary.note(format!("{span} s pass"));
    }

    // ---- what runs beside the requests

    async fn catch_up(&mut self) {
        for node in &mut self.nodes {
            for line in self.auth.store.revocations_after(node.feed).await.unwrap() {
                node.gate.forget(line.which);
                node.feed = node.feed.max(line.seq);
            }
        }
    }

    async fn save_seen(&self) {
        for node in &self.nodes {
            let seen = node.gate.take_seen();
            if !seen.is_empty() {
                self.auth.store.touch(&seen).await.unwrap();
            }
        }
    }

    // ---- the comparison

    async fn probe(&mut self, token: usize, device: Device) {
        let (node, path) = (self.dice.below(2), self.dice.pick(&PATHS));
        let within = [None, None, Some(5 * MINUTE)];
        let max_idle = [None, Some(30), Some(2 * MINUTE), Some(2 * HOUR)];
        let requirement = match self.dice.below(4) {
            0 => Requirement::Token,
            _ => Requirement::TwoFactor {
                within: self.dice.pick(&within).map(Duration::from_secs),
                max_idle: self.dice.pick(&max_idle).map(Duration::from_secs),
            },
        };
        let is_background = self.is_away || self.dice.one_in(8);
        let keys = self.realm_keys(token);
        let question = Question {
            realm: self.realm_of(token),
            keys: &keys,
            demand: requirement.into(),
            presented: Some(Presented {
                token: &self.model.tokens[token].text,
                device,
            }),
            success_token: None,
            path,
            destination: None,
            is_background,
        };
        let gate = &self.nodes[node].gate;
        let decision = match gate.check(&question) {
            Checked::Decided(decision) => decision,
            Checked::Ask => gate.admit(&question).await,
        };
        let pair = self.model.pair(token, device);
        let got = Answer::of(&decision);
        let expected = self.expected((node, device), pair, requirement, path);
        assert!(
            expected.contains(&got),
            "gate {node}, token {token}, {device:?}, {requirement:?}, {path}, {is_background}: {got:?} \
             is not one of {expected:?}"
        );
        if let Decision::Permit(permit) = &decision
            && let Grant::Token(holder) | Grant::Session { holder, .. } = permit.grant()
        {
            self.is_of(token, holder);
        }
        let view = (!is_background).then_some((node, device));
        self.seen(view, pair, requirement, got);
        let asked = match requirement {
            Requirement::Token => "token",
            Requirement::TwoFactor {
                within: None,
                max_idle: Some(_),
            } => "idle",
            _ => "session",
        };
        self.count(asked, &got);
        if expected.len() > 1 {
            self.count("unsure", &got);
        }
    }

    fn is_of(&self, token: usize, holder: &Holder) {
        let token = &self.model.tokens[token];
        let person = &self.model.people[token.person];
        assert_eq!((holder.user, &*holder.name), (person.id, &*person.name));
        assert_eq!(holder.scope(), token.scope);
    }

    /// The answers that the model allows: one, but where it cannot know when a session was seen.
    fn expected(
        &self,
        view: View,
        pair: Pair,
        requirement: Requirement,
        path: &str,
    ) -> Vec<Answer> {
        let now = self.now();
        if !self.model.is_live(pair.0, now) {
            return vec![Answer::UnknownToken];
        }
        if !in_scope(self.model.tokens[pair.0].scope, path) {
            return vec![Answer::OutOfScope];
        }
        let Requirement::TwoFactor { within, max_idle } = requirement else {
            return vec![Answer::Permit];
        };
        let with_session = || {
            let session = &self.model.sessions[&pair];
            let age = now - session.verified_at;
            let (least, most) = session.pause_now(view, now);
            let meets = |pause| max_idle.is_none_or(|max_idle| pause <= max_idle.as_secs());
            let is_recent = within.is_none_or(|within| age <= within.as_secs());
            match (is_recent && meets(least), meets(most)) {
                (false, _) => vec![Answer::NotFresh],
                (true, true) => vec![Answer::Permit],
                (true, false) => vec![Answer::Permit, Answer::NotFresh],
            }
        };
        match self.model.session(pair, now) {
            Live::Yes => with_session(),
            Live::No => vec![Answer::NotVerified],
            Live::Either => [with_session(), vec![Answer::NotVerified]].concat(),
        }
    }

    /// Follows what the question did to the session's last-seen time. What is no use of it was seen by no
    /// view.
    fn seen(&mut self, view: Option<View>, pair: Pair, requirement: Requirement, got: Answer) {
        let (now, live) = (self.now(), self.model.session(pair, self.now()));
        let needs_session = matches!(requirement, Requirement::TwoFactor { .. });
        let Some(session) = self.model.sessions.get_mut(&pair) else {
            return;
        };
        match (live, got, view) {
            (Live::No, ..) | (_, Answer::UnknownToken, _) => {}
            (Live::Either, Answer::NotVerified, _) => session.seen.1 = session.seen.0,
            (.., None) => {}
            (Live::Either, Answer::OutOfScope, Some(view)) => session.may_be_seen(view, now),
            (.., Some(view)) if needs_session => session.is_seen(view, now),
            (.., Some(view)) => session.may_be_seen(view, now),
        }
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
