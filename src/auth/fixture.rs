//! What tests of the use cases and of the endpoints over them stand on: the in-memory store with
//! verbs that can be made to fail, an inbox, a recorder of events and a clock moved by hand.

use super::basic::Passwords;
use super::challenge::{Accept, Typed};
use super::enrol::NewFactor;
use super::lockout::Blocked;
use super::ports::*;
use super::sign_in::SignInContext;
use super::signing::Signer;
use super::wizard::Place;
use super::{Auth, Caller, Deliver, DeliveryError, Settings, Standing};
use crate::clock::{Clock as _, ManualClock, Timestamp};
use crate::config::model;
use crate::digest::{
    Binding, DigestKeys, GrantDigest, RealmKeys, RefreshDigest, SessionKey, SubjectDigest,
    SuccessDigest, TokenDigest, WizardDigest,
};
use crate::entropy::{Entropy, OsEntropy};
use crate::event::{Event, EventKind, Events};
use crate::factor::one_time::Mail;
use crate::factor::phone::Phone;
use crate::factor::totp::TotpSecret;
use crate::gate::session::{Holder, Session};
use crate::id::{
    BrowserId, CeremonyId, ChallengeId, ChangeId, PasskeyId, SendId, SessionId, ShareId, UserId,
};
use crate::secret::{Sealed, Secret};
use crate::store::memory::Memory;
use crate::words::Words;
use arc_swap::ArcSwap;
use async_trait::async_trait;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;

/// The clock's time at the start of every test.
pub(crate) const START: Timestamp = Timestamp(1_800_000_000);
pub(crate) const REALM: &str = "local";
/// A route that asks everybody for a second factor.
pub(crate) const ASKS: fn(&User) -> model::Requirement = |_| model::Requirement::TWO_FACTOR;

/// Where somebody without a token comes from.
pub(crate) fn here() -> Place<'static> {
    Place {
        realm: REALM,
        route: "files",
        address: IpAddr::from([192, 0, 2, 1]),
        device_label: None,
        client: "rclone",
        words: Words::default(),
    }
}

/// The store, with one verb at a time that does not answer.
#[derive(Default)]
pub(crate) struct FaultyStore {
    inner: Memory,
    broken: Mutex<Option<&'static str>>,
}

impl FaultyStore {
    /// From now on this verb fails; `None`: none does.
    pub(crate) fn break_verb(&self, verb: Option<&'static str>) {
        *self.broken.lock().unwrap() = verb;
    }

    fn try_verb(&self, verb: &'static str) -> Stored<&Memory> {
        if *self.broken.lock().unwrap() == Some(verb) {
            return Err(StoreError::Unavailable("broken by the test".to_owned()));
        }
        Ok(&self.inner)
    }
}

macro_rules! faulty {
    ($($port:ident { $(fn $verb:ident($($arg:ident: $of:ty),*) -> $out:ty;)+ })+) => {$(
        #[async_trait]
        impl $port for FaultyStore {$(
            async fn $verb(&self, $($arg: $of),*) -> Stored<$out> {
                self.try_verb(stringify!($verb))?.$verb($($arg),*).await
            }
        )+}
    )+};
}

store_verbs!(faulty);

impl Originals for FaultyStore {
    fn original(&self, digest: TokenDigest, sealed: &Sealed) -> Option<Secret> {
        self.inner.original(digest, sealed)
    }
}

/// Takes every message, or answers as it was told.
#[derive(Default)]
pub(crate) struct Inbox {
    messages: Mutex<Vec<(String, String)>>,
    answer: Mutex<Option<DeliveryError>>,
    /// While set, a message waits here before it is taken.
    pub(crate) hold: Mutex<Option<Arc<Notify>>>,
    pub(crate) arrived: Notify,
}

impl Inbox {
    pub(crate) fn fail_with(&self, error: Option<DeliveryError>) {
        *self.answer.lock().unwrap() = error;
    }

    pub(crate) fn count(&self) -> usize {
        self.messages.lock().unwrap().len()
    }

    /// The recipient and the text of the newest message.
    pub(crate) fn last(&self) -> (String, String) {
        self.messages.lock().unwrap().last().unwrap().clone()
    }

    /// The newest code.
    pub(crate) fn code(&self) -> String {
        let (_, text) = self.last();
        text.split(' ').next().unwrap().to_owned()
    }

    /// A code of the same length that is not the newest one.
    pub(crate) fn wrong_code(&self) -> String {
        let code = self.code();
        let last = if code.ends_with('0') { "1" } else { "0" };
        format!("{}{last}", &code[..code.len() - 1])
    }
}

impl Inbox {
    fn keep(&self, to: &str, text: &Secret) -> Result<&'static str, DeliveryError> {
        let message = (to.to_owned(), text.expose().to_owned());
        self.messages.lock().unwrap().push(message);
        Ok("inbox")
    }
}

pub(crate) struct ToInbox(pub(crate) Arc<Inbox>);

#[async_trait]
impl Deliver for ToInbox {
    async fn sms(&self, to: &Phone, text: &Secret) -> Result<&'static str, DeliveryError> {
        self.put(to.e164(), text).await
    }

    async fn email(&self, to: &Secret, mail: &Mail) -> Result<&'static str, DeliveryError> {
        self.put(to.expose(), &mail.text).await
    }
}

impl ToInbox {
    async fn put(&self, to: &str, text: &Secret) -> Result<&'static str, DeliveryError> {
        let hold = self.0.hold.lock().unwrap().clone();
        if let Some(hold) = hold {
            self.0.arrived.notify_one();
            hold.notified().await;
        }
        if let Some(error) = *self.0.answer.lock().unwrap() {
            return Err(error);
        }
        self.0.keep(to, text)
    }
}

/// Keeps every event.
#[derive(Default)]
pub(crate) struct Recorder(Mutex<Vec<Event>>);

impl Events for Recorder {
    fn emit(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

impl Recorder {
    /// The kinds and details since the last call.
    pub(crate) fn take(&self) -> Vec<(EventKind, String)> {
        let events = std::mem::take(&mut *self.0.lock().unwrap());
        events.into_iter().map(|it| (it.kind, it.detail)).collect()
    }
}

/// A source that has run dry.
#[derive(Debug)]
pub(crate) struct Dry;

impl Entropy for Dry {
    fn fill(&self, _out: &mut [u8]) -> Result<(), crate::entropy::NoEntropy> {
        Err(crate::entropy::NoEntropy)
    }
}

/// The use cases, and hold of what they stand on.
pub(crate) struct World {
    pub(crate) auth: Arc<Auth>,
    pub(crate) store: Arc<FaultyStore>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) events: Arc<Recorder>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with_entropy(Arc::new(OsEntropy))
    }

    pub(crate) fn with_entropy(entropy: Arc<dyn Entropy>) -> Self {
        let store = Arc::new(FaultyStore::default());
        let clock = Arc::new(ManualClock::at(START));
        let inbox = Arc::new(Inbox::default());
        let events = Arc::new(Recorder::default());
        let deliver: Box<dyn Deliver> = Box::new(ToInbox(Arc::clone(&inbox)));
        let signer = Signer::new(
            Arc::clone(&store) as _,
            Arc::clone(&clock) as _,
            Arc::clone(&entropy),
        );
        let auth = Arc::new(Auth {
            store: Arc::clone(&store) as _,
            keys: DigestKeys::derive(&[3; 32]),
            clock: Arc::clone(&clock) as _,
            entropy,
            signer: Arc::new(signer),
            deliver: ArcSwap::from_pointee(deliver),
            events: Arc::clone(&events) as _,
            settings: ArcSwap::from_pointee(settings()),
            hashing: Arc::new(tokio::sync::Semaphore::new(1)),
            guesses: Default::default(),
            passwords: Passwords::new(Arc::default()),
            look_ups: Default::default(),
            exchanges: Default::default(),
            ceremonies: Default::default(),
        });
        Self {
            auth,
            store,
            clock,
            inbox,
            events,
        }
    }

    /// Changes the settings.
    pub(crate) fn set(&self, change: impl FnOnce(&mut Settings)) {
        let mut settings = settings();
        change(&mut settings);
        self.auth.settings.store(Arc::new(settings));
    }

    pub(crate) fn advance(&self, secs: u64) {
        self.clock.advance(Duration::from_secs(secs));
    }

    /// A user with a password and perhaps a number.
    pub(crate) async fn user(&self, name: &str, password: &str, phone: Option<&str>) -> UserId {
        let user = NewUser {
            realm: REALM.to_owned(),
            name: name.to_owned(),
            phone: phone.map(|phone| Phone::parse(phone, None).unwrap()),
            email: Some(Secret::new("ann@example.org")),
            password_hash: Some(cheap_hash(password)),
            can_edit_users: false,
            groups: Vec::new(),
        };
        let id = self.store.create_user(user, START).await.unwrap();
        id.unwrap()
    }

    /// A user without a second factor.
    pub(crate) async fn bare_user(&self, name: &str) -> UserId {
        let user = NewUser {
            realm: REALM.to_owned(),
            name: name.to_owned(),
            phone: None,
            email: None,
            password_hash: None,
            can_edit_users: false,
            groups: Vec::new(),
        };
        let id = self.store.create_user(user, START).await.unwrap();
        id.unwrap()
    }

    /// Enrols an authenticator for a user. Its codes from `START` on are not spent.
    pub(crate) async fn authenticator(&self, user: UserId) -> TotpSecret {
        let secret = self.auth.new_totp_secret().unwrap();
        let caller = Caller {
            standing: Standing::Verified,
            ..self.caller(user, "enrolment").await
        };
        let new = NewFactor {
            value: FactorValue::Totp(secret.clone()),
            bound_to: caller.pair.into(),
            replaces_others: false,
            sudo: false,
        };
        self.auth.propose(&caller, new).await.unwrap();
        let earlier = secret.code_at(START.before(Duration::from_secs(30)));
        let typed = Typed {
            code: &earlier,
            accept: Accept::Enrolment,
            pair: caller.pair,
            device_label: None,
            issue: None,
        };
        self.auth.verify(&caller, typed).await.unwrap();
        secret
    }

    /// A caller with a token of the user on a device of that name; no more has been shown yet.
    pub(crate) async fn caller(&self, user: UserId, device: &str) -> Caller {
        let keys = self.auth.keys.realm(REALM);
        let token = format!("token-of-{device}");
        let (digest, pair) = (keys.token(&token), keys.session(&token, Some(device)));
        let stored = Token {
            digest,
            user,
            issued_pair: Some(pair),
            scope: None,
            share: None,
            born: None,
            issued_at: START,
            expires_at: None,
        };
        self.store.put_token(stored).await.unwrap();
        Caller {
            holder: Holder::limited(user, "ann", None),
            token: digest,
            pair,
            device_label: None,
            standing: Standing::Token,
            self_enrolment: false,
            route: "files".to_owned(),
            address: "192.0.2.1".parse().unwrap(),
            client: "Firefox on Linux".to_owned(),
            words: Words::default(),
        }
    }

    /// A share link to `/dir/`.
    pub(crate) async fn share(
        &self,
        token: &str,
        phone: Option<&str>,
        expires_at: Option<Timestamp>,
    ) -> (ShareId, UserId) {
        let guest = contact(phone, Some("guest@example.org"));
        let (id, users) = self.share_for(token, vec![guest], None, expires_at).await;
        (id, users[0])
    }

    /// The same for these people, on so many devices.
    pub(crate) async fn share_for(
        &self,
        token: &str,
        recipients: Vec<Contact>,
        devices_max: Option<u32>,
        expires_at: Option<Timestamp>,
    ) -> (ShareId, Vec<UserId>) {
        let share = NewShare {
            realm: REALM.to_owned(),
            link: self.auth.keys.realm(REALM).token(token),
            path: "/dir/".to_owned(),
            recipients,
            devices_max,
            expires_at,
        };
        self.store.create_share(share, START).await.unwrap()
    }
}

/// Where one of a share's recipients can be reached.
pub(crate) fn contact(phone: Option<&str>, email: Option<&str>) -> Contact {
    Contact {
        phone: phone.map(|phone| Phone::parse(phone, None).unwrap()),
        email: email.map(Secret::new),
    }
}

/// Few and weak rounds, since tests are not about those.
fn cheap_hash(password: &str) -> Secret {
    use argon2::password_hash::{PasswordHasher, phc::PasswordHash};
    let params = argon2::Params::new(8, 1, 1, None).unwrap();
    let hash: PasswordHash = argon2::Argon2::from(params)
        .hash_password_with_salt(password.as_bytes(), b"salt of the test")
        .unwrap();
    Secret::new(hash.to_string())
}

fn settings() -> Settings {
    const HOUR: Duration = Duration::from_secs(3600);
    Settings {
        sessions: model::Sessions {
            lifetime: 24 * 90 * HOUR,
            idle: 24 * 30 * HOUR,
            hot_max: 1000,
        },
        codes: model::Codes {
            length: 6,
            lifetime: Duration::from_secs(600),
            attempts: 5,
            resend_after: Duration::from_secs(30),
            totp_window: 1,
        },
        limits: model::Limits {
            per_user_per_hour: 5,
            per_number_per_hour: 5,
            per_gateway_per_minute: 60,
            per_prefix_per_minute: 20,
            countries: Vec::new(),
        },
        lockout: model::Lockout {
            delay_every: 5,
            first_delay: Duration::from_secs(30),
            max_delay: HOUR,
            lock_at: 100,
            address_factor: 10,
        },
        sudo: Duration::from_secs(600),
        tokens: model::Tokens {
            issuer: "https://files.example.org".to_owned(),
            algorithm: SigningAlgorithm::EdDsa,
            access_lifetime: HOUR,
            refresh_lifetime: 24 * 30 * HOUR,
        },
        sends_mail: true,
        sends_sms: true,
        service_name: "Files".to_owned(),
    }
}

/// Where ann signs in, on whose device and address the test says.
pub(crate) struct Door {
    pub(crate) world: World,
    pub(crate) keys: RealmKeys,
    device: Option<&'static str>,
}

impl Door {
    /// Hers, whose password is `right`.
    pub(crate) async fn of_ann(device: Option<&'static str>) -> Self {
        let world = World::new();
        world.user("ann", "right", Some("+4512345678")).await;
        let keys = world.auth.keys.realm(REALM);
        Self {
            world,
            keys,
            device,
        }
    }

    pub(crate) fn at(&self, address: &str) -> SignInContext<'_> {
        SignInContext {
            realm: REALM,
            keys: &self.keys,
            device: self.device,
            route: "files",
            address: address.parse().unwrap(),
        }
    }

    pub(crate) async fn stored(&self, token: &str) -> Option<Token> {
        let digest = self.keys.token(token);
        let now = self.world.clock.now();
        let found = self.world.store.token(digest, now).await.unwrap();
        found.map(|(token, _)| token)
    }
}
