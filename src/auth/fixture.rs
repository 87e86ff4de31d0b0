//! What tests of the use cases and of the endpoints over them stand on: the in-memory store with
//! verbs that can be made to fail, an inbox, a recorder of events and a clock moved by hand.

use super::lockout::{Blocked, LockoutPolicy};
use super::ports::{
    Attempt, Attempted, AuditTrail, Challenges, Failures, LearnedUser, NewChallenge, NewShare,
    NewUser, Reserved, Revocation, SendRequest, SessionRow, Sessions, Share, Shares, StoreError,
    Stored, Token, Tokens, Upkeep, User, Users, Which,
};
use super::{Auth, Deliver, DeliveryError, Settings};
use crate::clock::{ManualClock, Timestamp};
use crate::config::model;
use crate::digest::{DigestKeys, SessionKey, SubjectDigest, TokenDigest};
use crate::entropy::{Entropy, OsEntropy};
use crate::event::{Event, EventKind, Events};
use crate::factor::phone::Phone;
use crate::gate::session::{Holder, Session};
use crate::id::{SendId, SessionId, ShareId, UserId};
use crate::secret::Secret;
use crate::store::memory::Memory;
use arc_swap::ArcSwap;
use async_trait::async_trait;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;

/// The clock's time at the start of every test.
pub(crate) const START: Timestamp = Timestamp(1_800_000_000);
pub(crate) const REALM: &str = "local";

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

#[async_trait]
impl Users for FaultyStore {
    async fn create_user(&self, user: NewUser, now: Timestamp) -> Stored<Option<UserId>> {
        self.inner.create_user(user, now).await
    }
    async fn user(&self, id: UserId) -> Stored<Option<User>> {
        self.try_verb("user")?.user(id).await
    }
    async fn user_by_name(&self, realm: &str, name: &str) -> Stored<Option<User>> {
        self.try_verb("user_by_name")?
            .user_by_name(realm, name)
            .await
    }
    async fn users(&self) -> Stored<Vec<User>> {
        self.inner.users().await
    }
    async fn learn_user(&self, user: LearnedUser, now: Timestamp) -> Stored<UserId> {
        self.inner.learn_user(user, now).await
    }
}

#[async_trait]
impl Tokens for FaultyStore {
    async fn put_token(&self, token: Token) -> Stored<()> {
        self.try_verb("put_token")?.put_token(token).await
    }
    async fn token(&self, digest: TokenDigest, now: Timestamp) -> Stored<Option<(Token, Holder)>> {
        self.try_verb("token")?.token(digest, now).await
    }
}

#[async_trait]
impl Sessions for FaultyStore {
    async fn session(&self, key: SessionKey, now: Timestamp) -> Stored<Option<Session>> {
        self.try_verb("session")?.session(key, now).await
    }
    async fn touch(&self, seen: &[(SessionId, Timestamp)]) -> Stored<()> {
        self.inner.touch(seen).await
    }
    async fn revoke(&self, which: Which, now: Timestamp) -> Stored<u64> {
        self.inner.revoke(which, now).await
    }
    async fn sessions(&self, user: Option<UserId>, now: Timestamp) -> Stored<Vec<SessionRow>> {
        self.inner.sessions(user, now).await
    }
    async fn live_sessions(&self, now: Timestamp) -> Stored<u64> {
        self.inner.live_sessions(now).await
    }
    async fn revocations_after(&self, seq: i64) -> Stored<Vec<Revocation>> {
        self.inner.revocations_after(seq).await
    }
    async fn feed_head(&self) -> Stored<i64> {
        self.inner.feed_head().await
    }
}

#[async_trait]
impl Challenges for FaultyStore {
    async fn reserve_send(&self, request: SendRequest, now: Timestamp) -> Stored<Reserved> {
        self.try_verb("reserve_send")?
            .reserve_send(request, now)
            .await
    }
    async fn release_send(&self, id: SendId) -> Stored<()> {
        self.try_verb("release_send")?.release_send(id).await
    }
    async fn put_challenge(&self, challenge: NewChallenge) -> Stored<()> {
        self.try_verb("put_challenge")?
            .put_challenge(challenge)
            .await
    }
    async fn attempt(&self, attempt: Attempt, now: Timestamp) -> Stored<Attempted> {
        self.try_verb("attempt")?.attempt(attempt, now).await
    }
}

#[async_trait]
impl Failures for FaultyStore {
    async fn blocked(&self, subjects: &[SubjectDigest], now: Timestamp) -> Stored<Option<Blocked>> {
        self.try_verb("blocked")?.blocked(subjects, now).await
    }
    async fn failed(
        &self,
        subjects: &[(SubjectDigest, LockoutPolicy)],
        now: Timestamp,
    ) -> Stored<()> {
        self.try_verb("failed")?.failed(subjects, now).await
    }
    async fn succeeded(&self, subjects: &[SubjectDigest]) -> Stored<()> {
        self.try_verb("succeeded")?.succeeded(subjects).await
    }
}

#[async_trait]
impl Shares for FaultyStore {
    async fn create_share(&self, share: NewShare, now: Timestamp) -> Stored<(ShareId, UserId)> {
        self.inner.create_share(share, now).await
    }
    async fn shares(&self) -> Stored<Vec<Share>> {
        self.inner.shares().await
    }
    async fn revoke_share(&self, id: ShareId, now: Timestamp) -> Stored<bool> {
        self.inner.revoke_share(id, now).await
    }
}

#[async_trait]
impl AuditTrail for FaultyStore {
    async fn append(&self, events: &[(Timestamp, Event)]) -> Stored<()> {
        self.inner.append(events).await
    }
    async fn recent(&self, limit: u32) -> Stored<Vec<(Timestamp, Event)>> {
        self.inner.recent(limit).await
    }
}

#[async_trait]
impl Upkeep for FaultyStore {
    async fn ping(&self) -> Stored<()> {
        self.inner.ping().await
    }
    async fn purge(&self, now: Timestamp) -> Stored<u64> {
        self.inner.purge(now).await
    }
    async fn reset_user(&self, user: UserId, subject: SubjectDigest, now: Timestamp) -> Stored<()> {
        self.inner.reset_user(user, subject, now).await
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

pub(crate) struct ToInbox(pub(crate) Arc<Inbox>);

#[async_trait]
impl Deliver for ToInbox {
    async fn sms(&self, to: &Phone, text: &Secret) -> Result<&'static str, DeliveryError> {
        let hold = self.0.hold.lock().unwrap().clone();
        if let Some(hold) = hold {
            self.0.arrived.notify_one();
            hold.notified().await;
        }
        if let Some(error) = *self.0.answer.lock().unwrap() {
            return Err(error);
        }
        let message = (to.e164().to_owned(), text.expose().to_owned());
        self.0.messages.lock().unwrap().push(message);
        Ok("inbox")
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
        let auth = Arc::new(Auth {
            store: Arc::clone(&store) as _,
            keys: DigestKeys::derive(&[3; 32]),
            clock: Arc::clone(&clock) as _,
            entropy,
            deliver: ArcSwap::from_pointee(deliver),
            events: Arc::clone(&events) as _,
            settings: ArcSwap::from_pointee(settings()),
            hashing: Arc::new(tokio::sync::Semaphore::new(1)),
            guesses: Default::default(),
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
        };
        let id = self.store.create_user(user, START).await.unwrap();
        id.unwrap()
    }

    /// A share link to `/dir/`.
    pub(crate) async fn share(
        &self,
        token: &str,
        phone: Option<&str>,
        expires_at: Option<Timestamp>,
    ) -> (ShareId, UserId) {
        let share = NewShare {
            realm: REALM.to_owned(),
            token: self.auth.keys.realm(REALM).token(token),
            path: "/dir/".to_owned(),
            phone: phone.map(|phone| Phone::parse(phone, None).unwrap()),
            email: Some(Secret::new("guest@example.org")),
            expires_at,
        };
        self.store.create_share(share, START).await.unwrap()
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
        service_name: "Files".to_owned(),
    }
}
