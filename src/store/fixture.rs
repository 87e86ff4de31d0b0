//! What the store's tests share: an opened store, and short words for its verbs.

use super::open;
use crate::auth::lockout::LockoutPolicy;
use crate::auth::ports::{
    Attempt, Attempted, NewChallenge, NewSession, NewUser, Purpose, Reserved, SendLimit,
    SendLimits, SendRequest, Store, Subjects, Token,
};
use crate::clock::Timestamp;
use crate::config::model::StoreEngine;
use crate::digest::{DigestKeys, SessionKey, SubjectDigest, TokenDigest};
use crate::entropy::OsEntropy;
use crate::factor::phone::Phone;
use crate::gate::session::{Factor, Session};
use crate::id::UserId;
use crate::secret::Secret;
use base64::Engine as _;
use std::path::PathBuf;
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
/// The address's bounds: as in the product, wider.
pub(super) const WIDE: LockoutPolicy = LockoutPolicy {
    delay_every: 50,
    lock_at: 1_000,
    ..POLICY
};

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

    pub(super) async fn sqlite() -> Self {
        Self::in_dir(Arc::new(tempfile::tempdir().unwrap())).await
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

    pub(super) fn user_subject(&self, user: UserId) -> SubjectDigest {
        self.keys.subject("user", &user.to_string())
    }

    pub(super) fn address_subject(&self) -> SubjectDigest {
        self.keys.subject("address", "192.0.2.1")
    }

    pub(super) fn challenge(&self, user: UserId, token: &str, code: &str) -> NewChallenge {
        let pair = self.pair(token);
        NewChallenge {
            pair,
            user,
            purpose: Purpose::Verify,
            factor: Factor::Sms,
            code: self.keys.code(pair, Purpose::Verify.as_str(), code),
            attempts: 5,
            created_at: NOW,
            expires_at: after(600),
        }
    }

    pub(super) async fn send_code(&self, user: UserId, token: &str, code: &str) {
        let challenge = self.challenge(user, token, code);
        self.store.put_challenge(challenge).await.unwrap();
    }

    pub(super) fn attempt(&self, user: UserId, token: &str, code: &str) -> Attempt {
        let pair = self.pair(token);
        Attempt {
            pair,
            purpose: Purpose::Verify,
            user,
            code: self.keys.code(pair, Purpose::Verify.as_str(), code),
            subjects: Subjects {
                user: (self.user_subject(user), POLICY),
                address: (self.address_subject(), WIDE),
            },
            session: NewSession {
                key: pair,
                token: self.digest(token),
                user,
                factor: Factor::Sms,
                device_label: Some("fedcba9876543210".to_owned()),
                verified_at: NOW,
                expires_at: after(3600),
            },
        }
    }

    pub(super) async fn try_code(&self, user: UserId, token: &str, code: &str) -> Attempted {
        let attempt = self.attempt(user, token, code);
        self.store.attempt(attempt, NOW).await.unwrap()
    }

    /// The session of a pair that has just been verified.
    pub(super) async fn verify(&self, user: UserId, token: &str) -> Session {
        self.send_code(user, token, "123456").await;
        match self.try_code(user, token, "123456").await {
            Attempted::Verified(session) => session,
            other => panic!("not verified: {other:?}"),
        }
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
