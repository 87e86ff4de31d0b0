//! Passwords and share links: right, wrong, throttled, and with a store that fails.

use super::*;
use crate::auth::fixture::{REALM, START, World};
use crate::auth::ports::{Shares as _, Tokens as _};
use crate::clock::Clock as _;
use std::time::Duration;

struct Door {
    world: World,
    keys: RealmKeys,
}

impl Door {
    async fn new() -> Self {
        let world = World::new();
        world.user("ann", "right", Some("+4512345678")).await;
        let keys = world.auth.keys.realm(REALM);
        Self { world, keys }
    }

    fn at(&self, address: &str) -> SignInContext<'_> {
        SignInContext {
            realm: REALM,
            keys: &self.keys,
            device: "phone",
            route: "files",
            address: address.parse().unwrap(),
        }
    }

    async fn sign_in(&self, name: &str, password: &str) -> Result<SignedIn, SignInError> {
        let at = self.at("192.0.2.1");
        self.world
            .auth
            .sign_in(at, name, &Secret::new(password))
            .await
    }

    async fn open(&self, token: &str) -> Result<SignedIn, SignInError> {
        let at = self.at("192.0.2.1");
        self.world.auth.open_share(at, &Secret::new(token)).await
    }

    async fn stored(&self, signed_in: &SignedIn) -> Option<Token> {
        let digest = self.keys.token(signed_in.token.expose());
        let now = self.world.clock.now();
        let found = self.world.store.token(digest, now).await.unwrap();
        found.map(|(token, _)| token)
    }
}

#[tokio::test]
async fn a_password_gives_a_token_for_the_device() {
    let door = Door::new().await;
    let signed_in = door.sign_in("ann", "right").await.unwrap();
    assert_eq!(signed_in.user.name, "ann");
    assert_eq!(signed_in.token.expose().len(), 43);
    let token = door.stored(&signed_in).await.unwrap();
    let pair = door.keys.session(signed_in.token.expose(), Some("phone"));
    assert_eq!(token.issued_pair, Some(pair));
    assert_eq!(
        (token.scope, token.share, token.expires_at),
        (None, None, None)
    );
    let again = door.sign_in("ann", "right").await.unwrap();
    assert_ne!(signed_in.token, again.token);
    assert_eq!(
        door.world.events.take(),
        [
            (EventKind::SignedIn, "password".to_owned()),
            (EventKind::SignedIn, "password".to_owned())
        ]
    );
}

#[tokio::test]
async fn every_kind_of_wrong_gets_the_same_answers_and_delays() {
    let door = Door::new().await;
    let (_, user) = door.world.share("link", None, None).await;
    let share_user = format!("share:{}", user.0);
    for name in ["ann", "nobody", share_user.as_str()] {
        for _ in 0..5 {
            let error = door.sign_in(name, "wrong").await.unwrap_err();
            assert_eq!(error, SignInError::Wrong, "{name}");
        }
        // The right password is not even looked at.
        let error = door.sign_in(name, "right").await.unwrap_err();
        let retry_after_secs = 30;
        assert_eq!(error, SignInError::TooMany { retry_after_secs }, "{name}");
    }
    let refused = (EventKind::Refused, "wrong password".to_owned());
    assert_eq!(door.world.events.take(), vec![refused; 15]);
    door.world.advance(30);
    assert!(door.sign_in("ann", "right").await.is_ok());
}

#[tokio::test]
async fn a_success_sets_the_account_back_and_not_the_address() {
    let door = Door::new().await;
    door.world
        .set(|settings| settings.lockout.address_factor = 2);
    for _ in 0..2 {
        for _ in 0..4 {
            let error = door.sign_in("ann", "wrong").await.unwrap_err();
            assert_eq!(error, SignInError::Wrong);
        }
        assert!(door.sign_in("ann", "right").await.is_ok());
    }
    for _ in 0..2 {
        let error = door.sign_in("ann", "wrong").await.unwrap_err();
        assert_eq!(error, SignInError::Wrong);
    }
    // The tenth from this address; the account has only two.
    assert!(matches!(
        door.sign_in("ann", "right").await,
        Err(SignInError::TooMany { .. })
    ));
    let elsewhere = door.at("198.51.100.1");
    let password = Secret::new("right");
    assert!(
        door.world
            .auth
            .sign_in(elsewhere, "ann", &password)
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn an_account_is_delayed_and_never_locked() {
    let door = Door::new().await;
    door.world.set(|settings| {
        settings.lockout.lock_at = 1;
        settings.lockout.delay_every = 1;
    });
    let error = door.sign_in("ann", "wrong").await.unwrap_err();
    assert_eq!(error, SignInError::Wrong);
    door.world.advance(30);
    assert!(door.sign_in("ann", "right").await.is_ok());
}

#[tokio::test]
async fn guesses_sent_at_once_meet_the_delay_that_the_first_ones_earn() {
    let door = Door::new().await;
    let auth = std::sync::Arc::clone(&door.world.auth);
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..40 {
        let (auth, keys) = (std::sync::Arc::clone(&auth), door.keys.clone());
        tasks.spawn(async move {
            let at = SignInContext {
                realm: REALM,
                keys: &keys,
                device: "phone",
                route: "files",
                address: "192.0.2.1".parse().unwrap(),
            };
            auth.sign_in(at, "ann", &Secret::new("wrong")).await.err()
        });
    }
    let results = tasks.join_all().await;
    let evaluated = results.iter().filter(|it| **it == Some(SignInError::Wrong));
    assert_eq!(evaluated.count(), 5);
}

#[tokio::test]
async fn a_share_gives_a_token_limited_to_it() {
    let door = Door::new().await;
    let end = START.after(Duration::from_secs(3600));
    let (share, user) = door.world.share("link", None, Some(end)).await;
    let signed_in = door.open("link").await.unwrap();
    assert_eq!(signed_in.user.id, user);
    assert_eq!(signed_in.expires_at, Some(end));
    assert_ne!(signed_in.token.expose(), "link");
    let token = door.stored(&signed_in).await.unwrap();
    assert_eq!(token.scope.as_deref(), Some("/dir/"));
    assert_eq!((token.share, token.expires_at), (Some(share), Some(end)));

    assert!(door.world.store.revoke_share(share, START).await.unwrap());
    assert!(
        door.stored(&signed_in).await.is_none(),
        "ends with its share"
    );
    assert_eq!(door.open("link").await.unwrap_err(), SignInError::Wrong);
}

#[tokio::test]
async fn unknown_expired_and_other_tokens_open_no_share() {
    let door = Door::new().await;
    let end = START.after(Duration::from_secs(60));
    door.world.share("link", None, Some(end)).await;
    let account = door.sign_in("ann", "right").await.unwrap();
    assert_eq!(door.open("unknown").await.unwrap_err(), SignInError::Wrong);
    assert_eq!(
        door.open(account.token.expose()).await.unwrap_err(),
        SignInError::Wrong
    );
    door.world.advance(60);
    assert_eq!(door.open("link").await.unwrap_err(), SignInError::Wrong);
    for _ in 3..50 {
        assert_eq!(door.open("unknown").await.unwrap_err(), SignInError::Wrong);
    }
    assert!(matches!(
        door.open("unknown").await,
        Err(SignInError::TooMany { .. })
    ));
}

#[tokio::test]
async fn a_store_that_fails_issues_nothing() {
    let door = Door::new().await;
    door.world.share("link", None, None).await;
    for verb in ["blocked", "user_by_name", "succeeded", "put_token"] {
        door.world.store.break_verb(Some(verb));
        let error = door.sign_in("ann", "right").await.unwrap_err();
        assert_eq!(error, SignInError::Unavailable, "{verb}");
    }
    for verb in ["blocked", "token", "user", "put_token"] {
        door.world.store.break_verb(Some(verb));
        let error = door.open("link").await.unwrap_err();
        assert_eq!(error, SignInError::Unavailable, "{verb}");
    }
    door.world.store.break_verb(Some("failed"));
    let error = door.sign_in("ann", "wrong").await.unwrap_err();
    assert_eq!(
        error,
        SignInError::Unavailable,
        "what is not counted is not told"
    );
}
