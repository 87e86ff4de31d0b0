//! Clients that cannot show a page, let in by a passkey of their user.

use super::*;
use crate::auth::fixture::REALM;
use crate::auth::grants::{Refused, readable};
use crate::auth::ports::Whence;

const FROM: &str = "192.0.2.1";

/// The grant of the caller's pair.
async fn grant_of(world: &World, caller: &Caller) -> Grant {
    let refused = Refused {
        user: caller.holder.user,
        token: caller.token,
        pair: caller.pair,
        device_label: None,
        whence: Whence {
            address: "198.51.100.7".parse().unwrap(),
            client: "rclone".to_owned(),
        },
        host: SITE.host,
        route: "files",
    };
    let told = world.auth.offer_grant(refused).await.unwrap();
    let from = FROM.parse().unwrap();
    let code = readable(told.text.expose());
    world
        .auth
        .waiting_client(REALM, &code, from)
        .await
        .unwrap()
        .0
}

async fn ask(world: &World, grant: &Grant) -> Result<Value, PasskeyError> {
    let from = FROM.parse().unwrap();
    world.auth.ask_passkey_for_grant(grant, SITE, from).await
}

async fn answer(world: &World, grant: &Grant, answer: &Value) -> Result<Passed, PasskeyError> {
    let from = FROM.parse().unwrap();
    let approving = world
        .auth
        .approve_grant_by_passkey(grant, SITE, answer, from);
    approving.await
}

async fn is_in(world: &World, caller: &Caller) -> bool {
    let now = world.auth.clock.now();
    let session = world.auth.store.session(caller.pair, now).await.unwrap();
    session.is_some()
}

#[tokio::test]
async fn a_passkey_lets_a_client_in_once() {
    let world = World::new();
    let (client, mut soft) = with_passkey(&world).await;
    let grant = grant_of(&world, &client).await;
    soft.sign_count += 1;
    let said = soft.get(&ask(&world, &grant).await.unwrap());
    assert!(!is_in(&world, &client).await);
    let passed = answer(&world, &grant, &said).await.unwrap();
    assert_eq!(passed.factor, Factor::Passkey);
    assert_eq!(passed.sessions.len(), 1);
    assert!(is_in(&world, &client).await);
    let told = "passkey for a client".to_owned();
    assert_eq!(world.events.take(), [(EventKind::Verified, told)]);
    // Neither the answer nor the user code is good again.
    let again = answer(&world, &grant, &said).await;
    assert_eq!(again.unwrap_err(), VerifyError::Gone.into());
    soft.sign_count += 1;
    let said = soft.get(&ask(&world, &grant).await.unwrap());
    let again = answer(&world, &grant, &said).await;
    assert_eq!(again.unwrap_err(), VerifyError::Gone.into());
}

#[tokio::test]
async fn of_fifty_answers_one_lets_it_in() {
    let world = Arc::new(World::new());
    let (client, mut soft) = with_passkey(&world).await;
    let grant = grant_of(&world, &client).await;
    soft.sign_count += 1;
    let said = soft.get(&ask(&world, &grant).await.unwrap());
    let tasks: Vec<_> = (0..50)
        .map(|_| {
            let (world, grant, said) = (Arc::clone(&world), grant.clone(), said.clone());
            tokio::spawn(async move { answer(&world, &grant, &said).await.is_ok() })
        })
        .collect();
    let mut right = 0;
    for task in tasks {
        right += usize::from(task.await.unwrap());
    }
    assert_eq!(right, 1);
}

#[tokio::test]
async fn an_answer_is_bound_to_the_client_that_it_was_asked_for() {
    let world = World::new();
    let (client, mut soft) = with_passkey(&world).await;
    let other = world.caller(client.holder.user, "third").await;
    let (one, two) = (
        grant_of(&world, &client).await,
        grant_of(&world, &other).await,
    );
    soft.sign_count += 1;
    let said = soft.get(&ask(&world, &one).await.unwrap());
    let swapped = answer(&world, &two, &said).await;
    assert_eq!(swapped.unwrap_err(), VerifyError::Gone.into());
    // Asked for both, each takes its own alone; a wrong answer counts, and ends its question.
    ask(&world, &two).await.unwrap();
    let swapped = answer(&world, &two, &said).await;
    assert_eq!(
        swapped.unwrap_err(),
        VerifyError::Wrong { left: None }.into()
    );
    // Nor does a browser's own pair take it.
    let own = world
        .auth
        .verify_passkey(&other, SITE, &said, becomes(&other));
    assert_eq!(err(own.await), VerifyError::Gone.into());
    assert!(!is_in(&world, &other).await);
    answer(&world, &one, &said).await.unwrap();
    assert!(is_in(&world, &client).await && !is_in(&world, &other).await);
}

#[tokio::test]
async fn who_has_none_here_or_is_locked_is_not_asked() {
    let world = World::new();
    let (client, soft) = with_passkey(&world).await;
    let grant = grant_of(&world, &client).await;
    let from = FROM.parse().unwrap();
    let elsewhere = world.auth.ask_passkey_for_grant(&grant, ELSEWHERE, from);
    assert_eq!(elsewhere.await.unwrap_err(), PasskeyError::None);
    // A stranger's passkey, and one whose counter stands still.
    let asked = ask(&world, &grant).await.unwrap();
    let strange = answer(&world, &grant, &Soft::new(ORIGIN).get(&asked)).await;
    assert_eq!(
        strange.unwrap_err(),
        VerifyError::Wrong { left: None }.into()
    );
    let asked = ask(&world, &grant).await.unwrap();
    let copied = answer(&world, &grant, &soft.get(&asked)).await;
    assert_eq!(copied.unwrap_err(), VerifyError::Copied.into());
    world.set(|settings| settings.lockout.delay_every = 1);
    let asked = ask(&world, &grant).await.unwrap();
    let wrong = answer(&world, &grant, &Soft::new(ORIGIN).get(&asked)).await;
    wrong.unwrap_err();
    let blocked = ask(&world, &grant).await.unwrap_err();
    assert!(matches!(blocked, PasskeyError::Blocked(_)), "{blocked:?}");
    assert!(!is_in(&world, &client).await);
}
