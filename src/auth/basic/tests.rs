//! Names and passwords with every request: right, wrong, tried again, changed, and many at once.

use super::*;
use crate::auth::fixture::{ASKS, Door, REALM, START};
use crate::auth::ports::Users as _;
use crate::identity::witness::LearnedToken;
use crate::secret::Secret;
use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::sync::Mutex;

fn basic(text: &str) -> String {
    format!("Basic {}", STANDARD.encode(text))
}

impl Door {
    async fn admit(&self, text: &str) -> Result<(), SignInError> {
        let at = self.at("192.0.2.1");
        self.world.auth.admit_basic(at, &basic(text)).await
    }

    /// What was emitted, and nothing of it afterwards.
    fn said(&self) -> Vec<String> {
        let events = self.world.events.take();
        events.into_iter().map(|(_, detail)| detail).collect()
    }
}

#[tokio::test]
async fn a_right_password_is_a_token_for_a_while() {
    let door = Door::of_ann(None).await;
    for text in [
        "ann:right",
        "ann@example.org:right",
        "ANN@example.org:right",
    ] {
        door.admit(text).await.unwrap();
        let token = door.stored(&basic(text)).await.unwrap();
        assert_eq!((token.issued_pair, token.scope), (None, None));
    }
    assert_eq!(door.said(), ["basic", "basic", "basic"]);
    // Nothing is hashed, written or said while it counts as right.
    door.world.store.break_verb(Some("token"));
    for secs in [1, 298] {
        door.world.advance(secs);
        assert_eq!(door.admit("ann:right").await, Ok(()));
    }
    door.world.advance(1);
    assert_eq!(door.admit("ann:right").await, Err(SignInError::Unavailable));
    door.world.store.break_verb(None);
    assert_eq!(door.admit("ann:right").await, Ok(()));
    assert!(door.said().is_empty());
}

#[tokio::test]
async fn wrong_passwords_cost_what_they_cost_at_sign_in() {
    let door = Door::of_ann(None).await;
    for (n, name) in ["ann", "nobody"].into_iter().enumerate() {
        for guess in 0..5 {
            let judged = door.admit(&format!("{name}:{guess}")).await;
            assert_eq!(judged, Err(SignInError::Wrong), "{name}");
        }
        let wait = SignInError::TooMany {
            retry_after_secs: 30,
        };
        assert_eq!(
            door.admit(&format!("{name}:right")).await,
            Err(wait.clone())
        );
        let right = Secret::new("right");
        let elsewhere = door.at("192.0.2.9");
        let sign_in = door.world.auth.sign_in(elsewhere, name, &right, ASKS);
        assert_eq!(sign_in.await.unwrap_err(), wait, "one count for both, {n}");
    }
    assert_eq!(door.said(), ["wrong password"; 10]);
    assert!(door.stored(&basic("ann:right")).await.is_none());
    door.world.advance(30);
    assert_eq!(door.admit("ann:right").await, Ok(()));
}

#[tokio::test]
async fn the_same_wrong_password_is_no_new_guess() {
    let door = Door::of_ann(None).await;
    for _ in 0..200 {
        assert_eq!(door.admit("ann:old").await, Err(SignInError::Wrong));
        door.world.advance(7);
    }
    assert_eq!(door.said(), ["wrong password"]);
    assert_eq!(door.admit("ann:right").await, Ok(()));
}

#[tokio::test]
async fn a_password_that_was_right_is_not_kept_out_by_strangers() {
    let door = Door::of_ann(None).await;
    door.admit("ann:right").await.unwrap();
    for guess in 0..5 {
        let _ = door.admit(&format!("ann:{guess}")).await;
    }
    door.world.advance(5 * 60);
    for guess in 5..10 {
        let at = door.at("198.51.100.7");
        let _ = door
            .world
            .auth
            .admit_basic(at, &basic(&format!("ann:{guess}")))
            .await;
    }
    assert!(matches!(
        door.admit("ann:new").await,
        Err(SignInError::TooMany { .. })
    ));
    assert_eq!(door.admit("ann:right").await, Ok(()));
}

#[tokio::test]
async fn malformed_credentials_are_wrong_and_cost_nothing() {
    let door = Door::of_ann(None).await;
    for _ in 0..20 {
        for text in ["ann", ":right", "ann:ri\tght", " ann:right"] {
            assert_eq!(door.admit(text).await, Err(SignInError::Wrong));
        }
    }
    assert!(door.said().is_empty());
    assert_eq!(door.admit("ann:right").await, Ok(()));
}

#[tokio::test]
async fn the_token_is_renewed_while_it_is_used() {
    let door = Door::of_ann(None).await;
    let lifetime = door.world.auth.settings.load().sessions.lifetime;
    door.admit("ann:right").await.unwrap();
    let until = START.after(lifetime * 2);
    assert_eq!(
        door.stored(&basic("ann:right")).await.unwrap().expires_at,
        Some(until)
    );
    door.world.clock.advance(lifetime + lifetime / 2);
    door.admit("ann:right").await.unwrap();
    let renewed = door.stored(&basic("ann:right")).await.unwrap().expires_at;
    assert!(renewed > Some(until));
    assert_eq!(door.said(), ["basic"]);
}

/// A backend with one account, that counts how often it is asked.
struct Backend {
    password: Mutex<Option<&'static str>>,
    asked: Mutex<u32>,
    is_silent: bool,
}

#[async_trait]
impl Probe for Backend {
    async fn probe(&self, realm: &str, token: &str) -> Result<Option<LearnedToken>, Unavailable> {
        *self.asked.lock().unwrap() += 1;
        tokio::task::yield_now().await;
        let password = self.password.lock().unwrap().ok_or(Unavailable)?;
        let is_right = token == basic(&format!("bob:{password}"));
        Ok(is_right.then(|| LearnedToken {
            realm: realm.to_owned(),
            token: Secret::new(token),
            user: "bob".to_owned(),
            is_typed: self.is_silent,
            phone: None,
            email: Some(Secret::new("bob@example.org")),
            groups: None,
            said_at: None,
            device: None,
            expires_at: None,
        }))
    }
}

impl Door {
    async fn to_backend() -> (Self, Arc<Backend>) {
        Self::to(false).await
    }

    /// `is_silent`: the backend does not name the user.
    async fn to(is_silent: bool) -> (Self, Arc<Backend>) {
        let door = Self::of_ann(None).await;
        let backend = Arc::new(Backend {
            password: Mutex::new(Some("right")),
            asked: Mutex::default(),
            is_silent,
        });
        let probe = Arc::clone(&backend) as Arc<dyn Probe>;
        let backends = [(REALM.to_owned(), probe)].into();
        door.world.auth.passwords.set_backends(backends);
        (door, backend)
    }
}

#[tokio::test]
async fn a_backend_says_whose_password_is_right() {
    let (door, backend) = Door::to_backend().await;
    door.admit("bob:right").await.unwrap();
    let user = door.stored(&basic("bob:right")).await.unwrap().user;
    let user = door.world.store.user(user).await.unwrap().unwrap();
    assert_eq!(user.name, "bob");
    assert_eq!(user.email, Some(Secret::new("bob@example.org")));
    // Its own accounts are no accounts of this identity.
    assert_eq!(door.admit("ann:right").await, Err(SignInError::Wrong));
    assert_eq!(*backend.asked.lock().unwrap(), 2);
    assert_eq!(door.said(), ["basic", "wrong password at the backend"]);
}

#[tokio::test]
async fn a_typed_name_is_the_user_who_is_spelled_otherwise() {
    for (is_silent, wanted) in [(true, "Bob"), (false, "bob")] {
        let (door, _) = Door::to(is_silent).await;
        door.world.user("Bob", "other", Some("+4512345679")).await;
        door.admit("bob:right").await.unwrap();
        let user = door.stored(&basic("bob:right")).await.unwrap().user;
        let user = door.world.store.user(user).await.unwrap().unwrap();
        assert_eq!(user.name, wanted, "{is_silent}");
    }
}

#[tokio::test]
async fn a_backend_is_not_asked_by_who_has_to_wait() {
    let (door, backend) = Door::to_backend().await;
    for guess in 0..5 {
        let judged = door.admit(&format!("bob:{guess}")).await;
        assert_eq!(judged, Err(SignInError::Wrong));
    }
    for name in ["bob", "BOB"] {
        let judged = door.admit(&format!("{name}:right")).await;
        assert!(matches!(judged, Err(SignInError::TooMany { .. })), "{name}");
    }
    assert_eq!(*backend.asked.lock().unwrap(), 5);
}

#[tokio::test]
async fn a_changed_password_ends_the_old_one() {
    let (door, backend) = Door::to_backend().await;
    door.admit("bob:right").await.unwrap();
    *backend.password.lock().unwrap() = Some("new");
    assert_eq!(door.admit("bob:right").await, Ok(()), "a while longer");
    door.world.advance(5 * 60);
    assert_eq!(door.admit("bob:right").await, Err(SignInError::Wrong));
    assert_eq!(door.admit("bob:new").await, Ok(()));
    assert_eq!(door.said(), ["basic", "basic"], "the old one is no guess");
}

#[tokio::test]
async fn a_mended_password_gets_in_soon() {
    let (door, backend) = Door::to_backend().await;
    *backend.password.lock().unwrap() = Some("new");
    assert_eq!(door.admit("bob:right").await, Err(SignInError::Wrong));
    *backend.password.lock().unwrap() = Some("right");
    assert_eq!(door.admit("bob:right").await, Err(SignInError::Wrong));
    door.world.advance(10);
    assert_eq!(door.admit("bob:right").await, Ok(()));
}

#[tokio::test]
async fn a_backend_that_is_down_says_nothing_of_a_password() {
    let (door, backend) = Door::to_backend().await;
    *backend.password.lock().unwrap() = None;
    for _ in 0..10 {
        assert_eq!(door.admit("bob:right").await, Err(SignInError::Unavailable));
    }
    *backend.password.lock().unwrap() = Some("right");
    assert_eq!(door.admit("bob:right").await, Ok(()));
}

#[tokio::test]
async fn many_at_once_ask_once() {
    let (door, backend) = Door::to_backend().await;
    let auth = Arc::clone(&door.world.auth);
    let tasks: Vec<_> = (0..50)
        .map(|n| {
            let (auth, keys) = (Arc::clone(&auth), door.keys.clone());
            tokio::spawn(async move {
                let at = SignInContext {
                    realm: REALM,
                    keys: &keys,
                    device: None,
                    route: "files",
                    address: "192.0.2.1".parse().unwrap(),
                };
                let text = if n % 2 == 0 { "bob:right" } else { "bob:wrong" };
                auth.admit_basic(at, &basic(text)).await
            })
        })
        .collect();
    for (n, task) in tasks.into_iter().enumerate() {
        assert_eq!(task.await.unwrap().is_ok(), n % 2 == 0);
    }
    assert_eq!(*backend.asked.lock().unwrap(), 2);
    assert_eq!(door.said().len(), 2);
}
