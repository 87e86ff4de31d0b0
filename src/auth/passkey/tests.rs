//! Passkeys through the use cases: whose they are, where they count, and what their answers do.

mod clients;

use super::*;
use crate::auth::Standing;
use crate::auth::challenge::{Accept, StartError, Typed};
use crate::auth::enrol::Removed;
use crate::auth::fixture::{START, World};
use crate::auth::ports::{FactorKind, Factors as _, Sessions as _};
use crate::event::EventKind;
use crate::factor::passkey::soft::{Soft, UP, UV};
use crate::gate::session::Factor;
use std::sync::Arc;

const ORIGIN: &str = "https://files.example.org";
const SITE: Site<'_> = Site {
    host: "files.example.org",
    origin: ORIGIN,
    service: "Files",
};
const ELSEWHERE: Site<'_> = Site {
    host: "media.example.org",
    origin: "https://media.example.org",
    service: "Media",
};

fn becomes(caller: &Caller) -> Becomes {
    Becomes {
        pair: caller.pair,
        device_label: None,
        remember: None,
    }
}

fn at(standing: Standing, caller: &Caller) -> Caller {
    Caller {
        standing,
        ..caller.clone()
    }
}

async fn register(
    world: &World,
    caller: &Caller,
    soft: &Soft,
    name: &str,
) -> Result<Verified, PasskeyError> {
    let asked = world.auth.ask_new_passkey(caller, SITE, true).await?;
    let answer = soft.create(&asked);
    let becomes = becomes(caller);
    world
        .auth
        .take_new_passkey(caller, SITE, &answer, name, becomes)
        .await
}

async fn verify(world: &World, caller: &Caller, soft: &Soft) -> Result<Verified, PasskeyError> {
    let asked = world.auth.ask_passkey(caller, SITE).await?;
    let answer = soft.get(&asked);
    world
        .auth
        .verify_passkey(caller, SITE, &answer, becomes(caller))
        .await
}

/// A user with a passkey and nothing else, and a pair that is not verified.
async fn with_passkey(world: &World) -> (Caller, Soft) {
    let ann = world.bare_user("ann").await;
    let sudo = at(Standing::Sudo, &world.caller(ann, "first").await);
    let soft = Soft::new(ORIGIN);
    register(world, &sudo, &soft, "Phone").await.unwrap();
    world.events.take();
    (world.caller(ann, "second").await, soft)
}

fn err(result: Result<Verified, PasskeyError>) -> PasskeyError {
    result.map(|_| "a verified pair").unwrap_err()
}

#[tokio::test]
async fn a_passkey_is_registered_and_verifies_another_device() {
    let world = World::new();
    let ann = world.bare_user("ann").await;
    let sudo = at(Standing::Sudo, &world.caller(ann, "first").await);
    let mut soft = Soft::new(ORIGIN);
    let new = register(&world, &sudo, &soft, " Phone ").await.unwrap();
    assert!(new.passed.has_enrolled);
    assert_eq!(new.session.factor, Factor::Passkey);
    let passkey = || "passkey".to_owned();
    let expected = [
        (EventKind::Enrolled, passkey()),
        (EventKind::Verified, passkey()),
    ];
    assert_eq!(world.events.take(), expected);

    let other = world.caller(ann, "second").await;
    soft.sign_count += 1;
    let verified = verify(&world, &other, &soft).await.unwrap();
    assert_eq!(verified.session.factor, Factor::Passkey);
    assert!(!verified.passed.has_enrolled);
    assert_eq!(world.events.take(), [(EventKind::Verified, passkey())]);
    let factors = world.auth.factors(ann).await.unwrap();
    assert_eq!(factors.passkeys[0].name, "Phone");
    assert_eq!(factors.passkeys[0].last_used_at, Some(START));
    assert!(factors.has_only_passkeys() && !factors.is_empty());
    let live = world.store.live_sessions(START).await.unwrap();
    assert_eq!(live, 2);
}

#[tokio::test]
async fn who_may_register_is_who_may_change_factors() {
    let world = World::new();
    let (ann, soft) = with_passkey(&world).await;
    let other = Soft::new(ORIGIN);
    let not_verified = PasskeyError::Enrol(EnrolError::NotVerified);
    for standing in [Standing::Token, Standing::Verified] {
        let weak = at(standing, &ann);
        assert_eq!(
            err(register(&world, &weak, &other, "x").await),
            not_verified
        );
    }
    // Who began it in sudo mode, and lost that before the answer.
    let sudo = at(Standing::Sudo, &ann);
    let asked = world.auth.ask_new_passkey(&sudo, SITE, true);
    let answer = other.create(&asked.await.unwrap());
    let late = Caller {
        self_enrolment: true,
        ..ann.clone()
    };
    let taken = world
        .auth
        .take_new_passkey(&late, SITE, &answer, "x", becomes(&late));
    let forbidden = PasskeyError::Verify(VerifyError::Forbidden);
    assert_eq!(err(taken.await), forbidden);

    let bob = world.bare_user("bob").await;
    let bob = world.caller(bob, "bob's").await;
    let none = PasskeyError::Enrol(EnrolError::NoSelfEnrolment);
    assert_eq!(err(register(&world, &bob, &other, "x").await), none);
    let bob = Caller {
        self_enrolment: true,
        ..bob
    };
    // The same authenticator under another user is no new passkey.
    let wrong = PasskeyError::Verify(VerifyError::Wrong { left: None });
    assert_eq!(err(register(&world, &bob, &soft, "x").await), wrong);
    register(&world, &bob, &other, "his own").await.unwrap();
    let second = Soft::new(ORIGIN);
    assert_eq!(
        err(register(&world, &bob, &second, "x").await),
        not_verified
    );
}

#[tokio::test]
async fn an_answer_counts_once_for_its_own_pair_and_time() {
    let world = World::new();
    let (ann, mut soft) = with_passkey(&world).await;
    soft.sign_count += 1;
    let gone = PasskeyError::Verify(VerifyError::Gone);
    let asked = world.auth.ask_passkey(&ann, SITE).await.unwrap();
    let answer = soft.get(&asked);
    let answered = async |caller: &Caller| {
        let becomes = becomes(caller);
        world
            .auth
            .verify_passkey(caller, SITE, &answer, becomes)
            .await
    };
    let elsewhere = world.caller(ann.holder.user, "third").await;
    assert_eq!(err(answered(&elsewhere).await), gone, "of another pair");
    let bob = world.bare_user("bob").await;
    let mut bob = world.caller(bob, "bob's").await;
    bob.pair = ann.pair;
    assert_eq!(err(answered(&bob).await), gone, "of another user");
    answered(&ann).await.unwrap();
    assert_eq!(err(answered(&ann).await), gone, "a replay");

    let asked = world.auth.ask_passkey(&ann, SITE).await.unwrap();
    let late = soft.get(&asked);
    world.advance(300);
    let taken = world.auth.verify_passkey(&ann, SITE, &late, becomes(&ann));
    assert_eq!(err(taken.await), gone, "five minutes");
}

#[tokio::test]
async fn of_fifty_answers_at_once_one_verifies() {
    let world = Arc::new(World::new());
    let (ann, mut soft) = with_passkey(&world).await;
    soft.sign_count += 1;
    let asked = world.auth.ask_passkey(&ann, SITE).await.unwrap();
    let answer = Arc::new(soft.get(&asked));
    let tasks: Vec<_> = (0..50)
        .map(|_| {
            let (world, ann) = (Arc::clone(&world), ann.clone());
            let answer = Arc::clone(&answer);
            tokio::spawn(async move {
                let becomes = becomes(&ann);
                world
                    .auth
                    .verify_passkey(&ann, SITE, &answer, becomes)
                    .await
                    .is_ok()
            })
        })
        .collect();
    let mut won = 0;
    for task in tasks {
        won += usize::from(task.await.unwrap());
    }
    assert_eq!(won, 1);
}

#[tokio::test]
async fn what_is_refused_is_audited_and_counted() {
    let world = World::new();
    let (ann, mut soft) = with_passkey(&world).await;
    let refused = |what: &str| [(EventKind::Refused, format!("passkey wrong: {what}"))];
    let wrong = PasskeyError::Verify(VerifyError::Wrong { left: None });

    soft.flags = UP;
    soft.sign_count = 2;
    assert_eq!(err(verify(&world, &ann, &soft).await), wrong);
    assert_eq!(world.events.take(), refused("user not verified"));
    soft.flags = UP | UV;
    soft.origin = "https://evil.example".to_owned();
    assert_eq!(err(verify(&world, &ann, &soft).await), wrong);
    assert_eq!(world.events.take(), refused("of another site"));
    soft.origin = ORIGIN.to_owned();
    soft.handle = Some(vec![1; 32]);
    assert_eq!(err(verify(&world, &ann, &soft).await), wrong);
    assert_eq!(world.events.take(), refused("of another user"));

    let handle = world.auth.keys.user_handle(ann.holder.user.0);
    soft.handle = Some(handle.to_vec());
    soft.sign_count = 1;
    let copied = PasskeyError::Verify(VerifyError::Copied);
    assert_eq!(err(verify(&world, &ann, &soft).await), copied);
    assert_eq!(world.events.take(), refused("counter went back"));
    assert_eq!(err(verify(&world, &ann, &soft).await), copied);

    // Five in a row: nobody is asked before the delay is over.
    let delayed = PasskeyError::Blocked(Blocked::Delayed {
        retry_after_secs: 30,
    });
    soft.sign_count = 2;
    assert_eq!(err(verify(&world, &ann, &soft).await), delayed);
    world.advance(30);
    verify(&world, &ann, &soft).await.unwrap();
}

#[tokio::test]
async fn a_passkey_is_offered_on_its_own_host_and_counts_everywhere() {
    let world = World::new();
    let (ann, soft) = with_passkey(&world).await;
    let asked = world.auth.ask_passkey(&ann, ELSEWHERE).await;
    assert_eq!(asked.unwrap_err(), PasskeyError::None);
    // Who has it is not somebody without a factor there.
    let visitor = Caller {
        self_enrolment: true,
        ..ann.clone()
    };
    let begun = world.auth.ask_new_passkey(&visitor, ELSEWHERE, true).await;
    let not_verified = PasskeyError::Enrol(EnrolError::NotVerified);
    assert_eq!(begun.unwrap_err(), not_verified);
    // An answer for this host is none for the other.
    let asked = world.auth.ask_passkey(&ann, SITE).await.unwrap();
    let answer = soft.get(&asked);
    let moved = world
        .auth
        .verify_passkey(&ann, ELSEWHERE, &answer, becomes(&ann));
    assert_eq!(
        err(moved.await),
        PasskeyError::Verify(VerifyError::Wrong { left: None })
    );

    let sudo = at(Standing::Sudo, &ann);
    for origin in ["http://files.example.org", "https://192.0.2.7"] {
        let site = Site { origin, ..SITE };
        let begun = world.auth.ask_new_passkey(&sudo, site, true).await;
        assert_eq!(begun.unwrap_err(), PasskeyError::NotHere, "{origin}");
    }
}

#[tokio::test]
async fn passkeys_are_named_removed_and_reset() {
    let world = World::new();
    let (ann, _) = with_passkey(&world).await;
    let sudo = at(Standing::Sudo, &ann);
    register(&world, &sudo, &Soft::new(ORIGIN), "Key")
        .await
        .unwrap();
    let user = ann.holder.user;
    let passkeys = async || world.store.factors(user).await.unwrap().passkeys;
    let [phone, key] = &passkeys().await[..] else {
        panic!("two")
    };
    let renamed = async |caller: &Caller, id, name: &str| {
        world.auth.rename_passkey(caller, id, name, true).await
    };
    assert_eq!(renamed(&sudo, key.id, " My key ").await, Ok(()));
    assert_eq!(renamed(&sudo, key.id, "").await, Err(PasskeyError::BadName));
    let nobodys = renamed(&sudo, PasskeyId(99), "x").await;
    assert_eq!(nobodys, Err(PasskeyError::NoSuchPasskey));
    let not_verified = Err(PasskeyError::Enrol(EnrolError::NotVerified));
    assert_eq!(renamed(&ann, key.id, "x").await, not_verified);
    assert_eq!(passkeys().await[1].name, "My key");

    world.events.take();
    let removed = async |id| world.auth.remove_factor(&sudo, id).await.unwrap();
    assert_eq!(removed(phone.id).await, Removed::Yes);
    assert_eq!(removed(phone.id).await, Removed::WasOff);
    assert_eq!(removed(key.id).await, Removed::LastStays);
    let off = [(EventKind::Disabled, "passkey".to_owned())];
    assert_eq!(world.events.take(), off);

    let (auth, store) = (&world.auth, &world.store);
    crate::auth::enrol::reset_user(&**store, &auth.keys, user, START)
        .await
        .unwrap();
    assert!(passkeys().await.is_empty());
}

#[tokio::test]
async fn codes_are_told_that_there_is_nothing_to_send() {
    let world = World::new();
    let (ann, _) = with_passkey(&world).await;
    for kind in FactorKind::ALL {
        let started = world.auth.start(&ann, kind).await;
        assert_eq!(started.unwrap_err(), StartError::NoRecipient, "{kind:?}");
    }
    let typed = Typed {
        code: "123456",
        accept: Accept::Factor,
        pair: ann.pair,
        device_label: None,
        issue: None,
    };
    let verified = world.auth.verify(&ann, typed).await;
    assert_eq!(verified.map(drop), Err(VerifyError::NeverSent));
}

#[tokio::test]
async fn a_store_that_does_not_answer_lets_nobody_in() {
    let world = World::new();
    let (ann, soft) = with_passkey(&world).await;
    for verb in ["factors", "put_ceremony", "ceremony", "attempt", "blocked"] {
        world.store.break_verb(Some(verb));
        let error = err(verify(&world, &ann, &soft).await);
        let unavailable = [
            PasskeyError::Unavailable,
            PasskeyError::Verify(VerifyError::Unavailable),
        ];
        assert!(unavailable.contains(&error), "{verb}: {error:?}");
    }
    world.store.break_verb(None);
    let live = world.store.sessions(None, START).await.unwrap();
    assert_eq!(live.len(), 1, "the one that registered it");
}

#[tokio::test]
async fn one_network_begins_so_many_ceremonies() {
    let world = World::new();
    let (caller, _) = with_passkey(&world).await;
    // Registering has taken one.
    for _ in 1..CEREMONIES_MAX {
        world.auth.ask_passkey(&caller, SITE).await.unwrap();
    }
    let other_pair = world.caller(caller.holder.user, "third").await;
    for caller in [&caller, &other_pair] {
        let error = world.auth.ask_passkey(caller, SITE).await.unwrap_err();
        assert!(matches!(error, PasskeyError::TooOften { .. }), "{error}");
    }
    let elsewhere = Caller {
        address: "198.51.100.7".parse().unwrap(),
        ..other_pair
    };
    world.auth.ask_passkey(&elsewhere, SITE).await.unwrap();
    world.advance(CEREMONY_LIFETIME.as_secs());
    world.auth.ask_passkey(&caller, SITE).await.unwrap();
}
