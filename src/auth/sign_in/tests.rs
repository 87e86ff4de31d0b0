//! Passwords: right, wrong, throttled, and with a store that fails.

use super::*;
use crate::auth::fixture::{ASKS, Door, REALM};

impl Door {
    async fn sign_in(&self, name: &str, password: &str) -> Result<SignedIn, SignInError> {
        let at = self.at("192.0.2.1");
        self.world
            .auth
            .sign_in(at, name, &Secret::new(password), ASKS)
            .await
    }
}

#[tokio::test]
async fn a_password_gives_a_token_for_the_device() {
    let door = Door::of_ann(Some("phone")).await;
    let signed_in = door.sign_in("ann", "right").await.unwrap();
    assert_eq!(signed_in.user.name, "ann");
    assert_eq!(signed_in.token.expose().len(), 43);
    let token = door.stored(signed_in.token.expose()).await.unwrap();
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
    let door = Door::of_ann(Some("phone")).await;
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
    let door = Door::of_ann(Some("phone")).await;
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
    let events = door.world.events.take().into_iter();
    let locks: Vec<_> = events
        .filter(|(kind, _)| *kind == EventKind::Locked)
        .collect();
    let told = "address: too many failures".to_owned();
    assert_eq!(
        locks,
        [(EventKind::Locked, told)],
        "each delay is told of once"
    );
    let elsewhere = door.at("198.51.100.1");
    let password = Secret::new("right");
    assert!(
        door.world
            .auth
            .sign_in(elsewhere, "ann", &password, ASKS)
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn an_account_is_delayed_and_never_locked() {
    let door = Door::of_ann(Some("phone")).await;
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
    let door = Door::of_ann(Some("phone")).await;
    let auth = std::sync::Arc::clone(&door.world.auth);
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..40 {
        let (auth, keys) = (std::sync::Arc::clone(&auth), door.keys.clone());
        tasks.spawn(async move {
            let at = SignInContext {
                realm: REALM,
                keys: &keys,
                device: Some("phone"),
                route: "files",
                address: "192.0.2.1".parse().unwrap(),
            };
            auth.sign_in(at, "ann", &Secret::new("wrong"), ASKS)
                .await
                .err()
        });
    }
    let results = tasks.join_all().await;
    let evaluated = results.iter().filter(|it| **it == Some(SignInError::Wrong));
    assert_eq!(evaluated.count(), 5);
}

#[tokio::test]
async fn a_store_that_fails_issues_nothing() {
    let door = Door::of_ann(Some("phone")).await;
    for verb in ["blocked", "user_by_name", "succeeded", "put_token"] {
        door.world.store.break_verb(Some(verb));
        let error = door.sign_in("ann", "right").await.unwrap_err();
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
