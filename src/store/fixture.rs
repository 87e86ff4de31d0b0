//! What the store's tests share: an opened store, and short words for its verbs.

use super::open;
use crate::auth::lockout::LockoutPolicy;
use crate::auth::ports::{
    Answer, Answers, Attempt, Attempted, AuditQuery, Authority, BackupCodes, Contact, Counted,
    Deeds, FactorKind, FactorValue, NewCeremony, NewChallenge, NewPasskey, NewSession, NewShare,
    NewUser, Passed, Proof, Purpose, Reserved, SendLimit, SendLimits, SendRequest, Stage, Store,
    Stored, Subjects, Token, Try, UserChange, Whence, Wizard, WizardKind,
};
use crate::clock::Timestamp;
use crate::config::model::StoreEngine;
use crate::digest::{
    Binding, CodeDigest, DigestKeys, SessionKey, SubjectDigest, TokenDigest, WizardDigest,
};
use crate::entropy::OsEntropy;
use crate::event::Event;
use crate::factor::phone::Phone;
use crate::factor::totp::TotpSecret;
use crate::gate::session::{Factor, Session};
use crate::id::{FactorId, PasskeyId, ShareId, UserId};
use crate::secret::Secret;
use base64::Engine as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

pub(super) const REALM: &str = "files";
pub(super) const NOW: Timestamp = Timestamp(1_800_000_000);
pub(super) const PHONE: &str = "+4512345678";
pub(super) const POLICY: LockoutPolicy = LockoutPolicy {
    delay_every: 5,
    first_delay: Duration::from_secs(30),
    max_delay: Duration::from_secs(3600),
    lock_at: 100,
};
pub(super) fn whence() -> Whence {
    Whence {
        address: [192, 0, 2, 1].into(),
        client: "Firefox on Linux".to_owned(),
    }
}

/// The address's bounds: as in the product, wider.
pub(super) const WIDE: LockoutPolicy = LockoutPolicy {
    delay_every: 50,
    lock_at: 1_000,
    ..POLICY
};

/// One more failure of nobody in particular.
fn counted(subject: SubjectDigest, policy: LockoutPolicy) -> Counted {
    Counted {
        subject,
        policy,
        who: None,
    }
}

pub(super) fn after(secs: i64) -> Timestamp {
    Timestamp(NOW.0 + secs)
}

/// A store key made of one byte.
pub(super) fn store_key(byte: u8) -> Secret {
    Secret::new(base64::engine::general_purpose::STANDARD.encode([byte; 32]))
}

/// An opened store.
pub(super) struct Fixture {
    pub(super) store: Arc<dyn Store>,
    pub(super) keys: DigestKeys,
    dir: Option<Arc<TempDir>>,
}

impl Fixture {
    pub(super) async fn memory() -> Self {
        let (store, keys) = open(&StoreEngine::Memory, &store_key(1), Arc::new(OsEntropy))
            .await
            .unwrap();
        Self {
            store,
            keys,
            dir: None,
        }
    }

    /// Puts a user into these groups and no others.
    pub(super) async fn set_groups(
        &self,
        user: UserId,
        groups: Vec<String>,
        now: Timestamp,
    ) -> Stored<bool> {
        let change = UserChange {
            groups: Some(groups),
            ..UserChange::default()
        };
        self.store.change_user(user, change, now).await
    }

    pub(super) async fn sqlite() -> Self {
        Self::in_dir(Arc::new(tempfile::tempdir().unwrap())).await
    }

    /// On a file that `prepare` made before the store is opened.
    pub(super) async fn sqlite_after(prepare: impl AsyncFnOnce(&Path)) -> Self {
        let dir = Arc::new(tempfile::tempdir().unwrap());
        prepare(&dir.path().join("vestibule.db")).await;
        Self::in_dir(dir).await
    }

    async fn in_dir(dir: Arc<TempDir>) -> Self {
        let engine = StoreEngine::Sqlite(dir.path().join("vestibule.db"));
        let (store, keys) = open(&engine, &store_key(1), Arc::new(OsEntropy))
            .await
            .unwrap();
        Self {
            store,
            keys,
            dir: Some(dir),
        }
    }

    /// Another handle on the same file, as another process would have.
    pub(super) async fn second(&self) -> Self {
        Self::in_dir(self.dir.clone().unwrap()).await
    }

    pub(super) fn path(&self) -> PathBuf {
        self.dir.as_ref().unwrap().path().join("vestibule.db")
    }

    pub(super) fn new_user(&self, name: &str) -> NewUser {
        NewUser {
            realm: REALM.to_owned(),
            name: name.to_owned(),
            phone: Phone::from_e164(PHONE),
            email: Some(Secret::new("ann@example.org")),
            password_hash: Some(Secret::new("$argon2id$v=19$x")),
            can_edit_users: true,
            groups: Vec::new(),
        }
    }

    pub(super) async fn user(&self, name: &str) -> UserId {
        let made = self.store.create_user(self.new_user(name), NOW).await;
        made.unwrap().unwrap()
    }

    pub(super) fn digest(&self, token: &str) -> TokenDigest {
        self.keys.realm(REALM).token(token)
    }

    pub(super) fn pair(&self, token: &str) -> SessionKey {
        self.keys.realm(REALM).session(token, Some("phone"))
    }

    pub(super) fn token(&self, user: UserId, token: &str) -> Token {
        Token {
            digest: self.digest(token),
            user,
            issued_pair: Some(self.pair(token)),
            scope: None,
            share: None,
            born: None,
            issued_at: NOW,
            expires_at: None,
        }
    }

    /// A user who holds `token`.
    pub(super) async fn holder(&self, name: &str, token: &str) -> UserId {
        let user = self.user(name).await;
        let stored = self.store.put_token(self.token(user, token)).await;
        stored.unwrap();
        user
    }

    /// A share of `/dir/` for one person, whose link is `link`.
    pub(super) fn new_share(&self, link: &str) -> NewShare {
        let guest = Contact {
            phone: Phone::from_e164(PHONE),
            email: Some(Secret::new("ann@example.org")),
        };
        NewShare {
            realm: REALM.to_owned(),
            link: self.digest(link),
            path: "/dir/".to_owned(),
            recipients: vec![guest],
            devices_max: None,
            expires_at: None,
        }
    }

    /// Makes a share for one person.
    pub(super) async fn share(&self, new: NewShare) -> (ShareId, UserId) {
        let (id, users) = self.store.create_share(new, NOW).await.unwrap();
        (id, users[0])
    }

    pub(super) async fn fail<const N: usize>(
        &self,
        subjects: [(SubjectDigest, LockoutPolicy); N],
        now: Timestamp,
    ) -> Stored<()> {
        let counted = subjects.map(|(subject, policy)| counted(subject, policy));
        self.store.failed(&counted, now).await
    }

    /// The newest events.
    pub(super) async fn recent(&self, limit: u32) -> Vec<(Timestamp, Event)> {
        let lines = self.store.search_audit(AuditQuery::newest(limit)).await;
        let lines = lines.unwrap().into_iter();
        lines.map(|line| (line.at, line.event)).collect()
    }

    pub(super) fn user_subject(&self, user: UserId) -> SubjectDigest {
        self.keys.subject("user", &user.to_string())
    }

    pub(super) fn address_subject(&self) -> SubjectDigest {
        self.keys.subject("address", "192.0.2.1")
    }

    pub(super) fn binding(&self, token: &str) -> Binding {
        self.pair(token).into()
    }

    pub(super) fn code(&self, bound_to: Binding, purpose: Purpose, code: &str) -> CodeDigest {
        self.keys.code(bound_to, purpose.as_str(), code)
    }

    pub(super) fn challenge(&self, user: UserId, token: &str, code: &str) -> NewChallenge {
        let bound_to = self.binding(token);
        NewChallenge {
            bound_to,
            user: Some(user),
            purpose: Purpose::Verify,
            factor: FactorKind::Sms,
            code: Some(self.code(bound_to, Purpose::Verify, code)),
            value: None,
            replaces_others: false,
            attempts: 5,
            created_at: NOW,
            expires_at: after(600),
        }
    }

    /// A pending enrolment; of an authenticator, no code is sent.
    pub(super) fn enrolment(
        &self,
        user: UserId,
        token: &str,
        value: FactorValue,
        code: &str,
    ) -> NewChallenge {
        let sent = self.code(self.binding(token), Purpose::Enrol, code);
        NewChallenge {
            purpose: Purpose::Enrol,
            factor: value.kind(),
            code: (value.kind() != FactorKind::Totp).then_some(sent),
            value: Some(value),
            ..self.challenge(user, token, code)
        }
    }

    pub(super) async fn send_code(&self, user: UserId, token: &str, code: &str) {
        let challenge = self.challenge(user, token, code);
        self.store.put_challenge(challenge).await.unwrap();
    }

    pub(super) fn sent(&self, token: &str, purpose: Purpose, code: &str) -> Try {
        let bound_to = self.binding(token);
        Try::Sent {
            bound_to,
            purpose,
            code: self.code(bound_to, purpose, code),
        }
    }

    /// An attempt with nothing but its tries, that makes nothing.
    pub(super) fn bare(&self, user: Option<UserId>, tries: Vec<Try>) -> Attempt {
        let subject = self.user_subject(user.unwrap_or(UserId(0)));
        Attempt {
            user,
            tries,
            subjects: Subjects {
                user: counted(subject, POLICY),
                address: counted(self.address_subject(), WIDE),
            },
            token: None,
            wizard: None,
            grant: None,
            authority: Authority::Verified,
            then: Deeds::default(),
        }
    }

    pub(super) fn new_session(&self, user: UserId, token: &str) -> NewSession {
        NewSession {
            key: self.pair(token),
            token: self.digest(token),
            user,
            device_label: Some("fedcba9876543210".to_owned()),
            whence: whence(),
            instead_of: None,
            verified_at: NOW,
            expires_at: after(3600),
        }
    }

    /// An attempt at a code that was sent to verify a pair.
    pub(super) fn attempt(&self, user: UserId, token: &str, code: &str) -> Attempt {
        Attempt {
            token: Some(self.digest(token)),
            then: Deeds {
                sessions: vec![self.new_session(user, token)],
                ..Deeds::default()
            },
            ..self.bare(Some(user), vec![self.sent(token, Purpose::Verify, code)])
        }
    }

    /// What became of an attempt with these tries alone.
    pub(super) async fn try_all(&self, user: UserId, tries: Vec<Try>) -> Attempted {
        let attempt = self.bare(Some(user), tries);
        self.store.attempt(attempt, NOW).await.unwrap()
    }

    pub(super) async fn try_code(&self, user: UserId, token: &str, code: &str) -> Attempted {
        let attempt = self.attempt(user, token, code);
        self.store.attempt(attempt, NOW).await.unwrap()
    }

    /// The session of a pair that has just been verified.
    pub(super) async fn verify(&self, user: UserId, token: &str) -> Session {
        self.send_code(user, token, "123456").await;
        let passed = passed(self.try_code(user, token, "123456").await);
        passed.sessions.into_iter().next().unwrap()
    }

    /// Enrols a factor by a verified session; an authenticator with a code of `step`.
    pub(super) async fn enrol(&self, user: UserId, value: FactorValue, step: i64) -> FactorId {
        let kind = value.kind();
        let challenge = self.enrolment(user, "enrolling", value, "424242");
        let id = self.store.put_challenge(challenge).await.unwrap();
        let one = match kind {
            FactorKind::Totp => self.new_totp("enrolling", id, Some(step)),
            FactorKind::Sms | FactorKind::Email => self.sent("enrolling", Purpose::Enrol, "424242"),
            FactorKind::Passkey => unreachable!("it has no value"),
        };
        assert!(passed(self.try_all(user, vec![one]).await).has_enrolled);
        let factors = self.store.factors(user).await.unwrap();
        factors.of(kind).unwrap().id.unwrap()
    }

    pub(super) fn ceremony(&self, user: UserId, token: &str, purpose: Purpose) -> NewCeremony {
        NewCeremony {
            bound_to: self.binding(token),
            purpose,
            user,
            state: Secret::new(format!("state of {token}")),
            expires_at: after(300),
        }
    }

    pub(super) fn new_passkey(&self, name: &str) -> NewPasskey {
        NewPasskey {
            digest: self.keys.passkey(REALM, name.as_bytes()),
            host: "files.example.org".to_owned(),
            name: name.to_owned(),
            credential: Secret::new(format!("credential of {name}")),
            sign_count: 7,
        }
    }

    /// The tries with a new passkey, whose ceremony begins here.
    pub(super) async fn registering(
        &self,
        user: UserId,
        token: &str,
        new: Answer<NewPasskey>,
    ) -> Vec<Try> {
        let ceremony = self.ceremony(user, token, Purpose::Enrol);
        let ceremony = self.store.put_ceremony(ceremony).await.unwrap();
        let bound_to = self.binding(token);
        vec![Try::NewPasskey {
            answers: Answers { bound_to, ceremony },
            passkey: new,
        }]
    }

    /// The tries with an answer of a passkey, whose ceremony begins here.
    pub(super) async fn answering(
        &self,
        user: UserId,
        token: &str,
        proof: Answer<Proof>,
    ) -> Vec<Try> {
        let ceremony = self.ceremony(user, token, Purpose::Verify);
        let ceremony = self.store.put_ceremony(ceremony).await.unwrap();
        let bound_to = self.binding(token);
        vec![Try::Passkey {
            answers: Answers { bound_to, ceremony },
            proof,
        }]
    }

    /// Registers a passkey by a verified session.
    pub(super) async fn register(&self, user: UserId, name: &str) -> PasskeyId {
        let new = Ok(Box::new(self.new_passkey(name)));
        let tries = self.registering(user, "registering", new).await;
        let right = passed(self.try_all(user, tries).await);
        assert_eq!((right.factor, right.has_enrolled), (Factor::Passkey, true));
        let factors = self.store.factors(user).await.unwrap();
        factors.passkeys.last().unwrap().id
    }

    pub(super) fn new_totp(
        &self,
        token: &str,
        challenge: crate::id::ChallengeId,
        step: Option<i64>,
    ) -> Try {
        Try::NewTotp {
            bound_to: self.binding(token),
            challenge,
            step,
        }
    }

    /// What is stored of a backup code.
    pub(super) fn backup_code(&self, code: &str) -> CodeDigest {
        self.code(Binding([0; 32]), Purpose::Verify, code)
    }

    pub(super) async fn give_backup_codes(&self, user: UserId, salt: u8, codes: &[&str]) {
        let codes = BackupCodes {
            salt: [salt; 16],
            codes: codes.iter().map(|code| self.backup_code(code)).collect(),
        };
        let put = self.store.put_backup_codes(user, codes, i64::MAX, NOW);
        assert!(put.await.unwrap());
    }

    pub(super) fn wizard_digest(&self, name: &str) -> WizardDigest {
        self.keys.wizard(name)
    }

    /// A wizard that nobody has signed in to open.
    pub(super) fn wizard(&self, name: &str) -> Wizard {
        Wizard {
            digest: self.wizard_digest(name),
            kind: WizardKind::SignIn,
            stage: Stage::Opened,
            realm: REALM.to_owned(),
            user: None,
            factor: None,
            token: None,
            device_label: None,
            subject: None,
            shown: None,
            expires_at: after(600),
        }
    }

    pub(super) async fn open_wizard(&self, wizard: Wizard) {
        let opener = self.address_subject();
        self.store.open_wizard(wizard, opener, NOW).await.unwrap();
    }

    pub(super) fn send_request(&self, user: UserId) -> SendRequest {
        SendRequest {
            user,
            recipient: self.keys.recipient(PHONE),
            prefix: "45".to_owned(),
            limits: SendLimits {
                resend_after: Duration::from_secs(30),
                per_user_per_hour: 5,
                per_number_per_hour: 5,
                per_gateway_per_minute: 60,
                per_prefix_per_minute: 20,
            },
        }
    }
}

/// What a right code came to.
#[track_caller]
pub(super) fn passed(attempted: Attempted) -> Passed {
    match attempted {
        Attempted::Right(passed) => passed,
        other => panic!("not right: {other:?}"),
    }
}

pub(super) fn sms(number: &str) -> FactorValue {
    FactorValue::Sms(Phone::from_e164(number).unwrap())
}

pub(super) fn mail(address: &str) -> FactorValue {
    FactorValue::Email(Secret::new(address))
}

pub(super) fn totp(secret: &str) -> FactorValue {
    FactorValue::Totp(TotpSecret::from_bytes(secret.as_bytes()))
}

/// A right answer of a passkey whose authenticator has counted so far.
pub(super) fn proof(passkey: PasskeyId, sign_count: u32) -> Answer<Proof> {
    Ok(Box::new(Proof {
        passkey,
        credential: Secret::new(format!("credential at {sign_count}")),
        sign_count,
    }))
}

/// `None` if the send is granted, else the limit that was met and the wait.
pub(super) async fn granted(
    f: &Fixture,
    request: &SendRequest,
    now: Timestamp,
) -> Option<(SendLimit, u64)> {
    match f.store.reserve_send(request.clone(), now).await.unwrap() {
        Reserved::Yes(_) => None,
        Reserved::No {
            limit,
            retry_after_secs,
        } => Some((limit, retry_after_secs)),
    }
}
