//! Browsers that are remembered, through the use cases: for whom, for how long, and until when.

use super::*;
use crate::auth::challenge::{Accept, Becomes, VerifyError};
use crate::auth::fixture::{ASKS, REALM, START, World};
use crate::auth::ports::{FactorKind, Tokens as _};
use crate::auth::sign_in::{SignInContext, SignInError, SignedIn};
use crate::gate::session::{Factor, Which};
use crate::id::UserId;
use std::time::Duration;

const PHONE: &str = "+4512345678";
const DAY: u64 = 86_400;
const MONTH: Remember = Remember::For(Duration::from_secs(30 * DAY));

fn whence() -> Whence {
    Whence {
        address: "192.0.2.9".parse().unwrap(),
        client: "Firefox on Linux".to_owned(),
    }
}

fn to_remember(secret: &str, before: Option<&str>) -> ToRemember {
    ToRemember {
        secret: Secret::new(secret),
        before: before.map(Secret::new),
        remember: MONTH,
    }
}

/// Passes a code that was sent, in a browser that is to be remembered.
async fn pass_in(world: &World, caller: &Caller, new: ToRemember) -> Result<(), VerifyError> {
    world.auth.start(caller, FactorKind::Sms).await.unwrap();
    let becomes = Becomes {
        pair: caller.pair,
        device_label: None,
        remember: Some(new),
    };
    let code = world.inbox.code();
    let typed = (Accept::Factor, code.as_str());
    let passing = world.auth.verify_on_page(caller, typed, becomes).await;
    passing.map(drop)
}

/// Ann, who has passed her second factor in the browser of the secret `s`.
async fn ann(world: &World) -> (UserId, Caller) {
    let user = world.user("ann", "right", Some(PHONE)).await;
    let caller = world.caller(user, "laptop").await;
    pass_in(world, &caller, to_remember("s", None))
        .await
        .unwrap();
    world.events.take();
    (user, caller)
}

async fn sign_in_as(
    world: &World,
    (name, password): (&str, &str),
    secret: &str,
    remember: Remember,
) -> Result<SignedIn, SignInError> {
    let keys = world.auth.keys.realm(REALM);
    let at = SignInContext {
        realm: REALM,
        keys: &keys,
        device: Some("new"),
        route: "files",
        address: "192.0.2.9".parse().unwrap(),
    };
    let known = KnownBrowser {
        secret: Secret::new(secret),
        remember,
        whence: whence(),
    };
    let password = Secret::new(password);
    let signing_in = world
        .auth
        .sign_in_on_page(at, name, &password, Some(&known), ASKS);
    signing_in.await
}

/// Whether Ann is let in without a code.
async fn is_in(world: &World, secret: &str) -> bool {
    let signed_in = sign_in_as(world, ("ann", "right"), secret, MONTH).await;
    signed_in.unwrap().session.is_some()
}

#[tokio::test]
async fn the_same_user_is_let_in_again_by_the_factor_that_was_passed() {
    let world = World::new();
    let (user, _) = ann(&world).await;
    world.advance(29 * DAY);
    let signed_in = sign_in_as(&world, ("ann", "right"), "s", MONTH).await;
    let signed_in = signed_in.unwrap();
    let session = signed_in.session.unwrap();
    assert_eq!(session.holder.user, user);
    assert_eq!((session.factor, session.verified_at), (Factor::Sms, START));
    assert_eq!(
        session.expires_at,
        START.after(Duration::from_secs(30 * DAY))
    );
    let events = world.events.take();
    let told = "password in a remembered browser".to_owned();
    assert_eq!(events, [(EventKind::SignedIn, told)]);
    assert_eq!(world.inbox.count(), 1, "no code was sent");
    world.advance(DAY);
    assert!(!is_in(&world, "s").await);
}

#[tokio::test]
async fn it_takes_the_password_the_secret_and_the_user() {
    let world = World::new();
    ann(&world).await;
    world.user("bob", "bobs", Some("+4587654321")).await;
    let wrong = sign_in_as(&world, ("ann", "wrong"), "s", MONTH).await;
    assert_eq!(wrong.unwrap_err(), SignInError::Wrong);
    assert!(!is_in(&world, "t").await && !is_in(&world, "").await);
    let bob = sign_in_as(&world, ("bob", "bobs"), "s", MONTH).await;
    assert!(bob.unwrap().session.is_none(), "another user");
    let never = sign_in_as(&world, ("ann", "right"), "s", Remember::Never).await;
    assert!(never.unwrap().session.is_none(), "a route that never does");
    assert!(is_in(&world, "s").await);
}

#[tokio::test]
async fn it_takes_a_right_code_that_is_no_backup_code() {
    let world = World::new();
    let user = world.user("ann", "right", Some(PHONE)).await;
    let caller = world.caller(user, "laptop").await;
    let becomes = |secret: &str| Becomes {
        pair: caller.pair,
        device_label: None,
        remember: Some(to_remember(secret, None)),
    };
    world.auth.start(&caller, FactorKind::Sms).await.unwrap();
    let wrong = world.inbox.wrong_code();
    let typed = (Accept::Factor, wrong.as_str());
    let refused = world.auth.verify_on_page(&caller, typed, becomes("s"));
    refused.await.unwrap_err();
    assert!(!is_in(&world, "s").await);
    let verified = Caller {
        standing: Standing::Verified,
        ..caller.clone()
    };
    let codes = world.auth.new_backup_codes(&verified, false).await.unwrap();
    let typed = (Accept::Backup, codes[0].expose());
    let passed = world.auth.verify_on_page(&caller, typed, becomes("s"));
    assert_eq!(passed.await.unwrap().passed.factor, Factor::BackupCode);
    assert!(!is_in(&world, "s").await);
    let told: Vec<_> = world.events.take();
    assert!(told.contains(&(EventKind::Verified, "backup_code".to_owned())));
}

#[tokio::test]
async fn guests_and_programs_are_not_remembered() {
    let world = World::new();
    let (_, guest) = world.share("link", Some(PHONE), None).await;
    let caller = world.caller(guest, "phone").await;
    let caller = Caller {
        holder: crate::gate::session::Holder::limited(guest, "share:1", Some("/dir/")),
        ..caller
    };
    pass_in(&world, &caller, to_remember("s", None))
        .await
        .unwrap();
    let verified = Caller {
        standing: Standing::Verified,
        ..caller
    };
    let kept = world.auth.own_browsers(&verified, Some("s"));
    assert!(kept.await.unwrap().is_empty());
}

#[tokio::test]
async fn a_lock_of_the_codes_locks_out_no_browser() {
    let world = World::new();
    let (user, _) = ann(&world).await;
    world.set(|settings| settings.lockout.lock_at = 3);
    let thief = world.caller(user, "thief").await;
    for _ in 0..3 {
        world.advance(60);
        let typed = (Accept::Factor, "000000");
        let becomes = Becomes {
            pair: thief.pair,
            device_label: None,
            remember: None,
        };
        let _ = world.auth.start(&thief, FactorKind::Sms).await;
        let tried = world.auth.verify_on_page(&thief, typed, becomes).await;
        assert!(tried.is_err());
    }
    let locked = world.auth.start(&thief, FactorKind::Sms).await;
    assert!(locked.is_err());
    assert!(is_in(&world, "s").await);
}

#[tokio::test]
async fn its_user_sees_and_forgets_it() {
    let world = World::new();
    let (user, caller) = ann(&world).await;
    let at = |standing| Caller {
        standing,
        ..caller.clone()
    };
    let unverified = world.auth.own_browsers(&at(Standing::Token), None).await;
    assert_eq!(unverified.unwrap_err(), SessionsError::NotVerified);
    let verified = at(Standing::Verified);
    let own = world.auth.own_browsers(&verified, Some("s"));
    let own = own.await.unwrap();
    let [kept] = &own[..] else { panic!("one") };
    assert!(kept.is_current);
    assert_eq!(kept.browser.factor, Factor::Sms);
    let elsewhere = world.auth.own_browsers(&verified, Some("t"));
    assert!(!elsewhere.await.unwrap()[0].is_current);

    let id = kept.browser.id;
    let forget = async |caller: &Caller| world.auth.forget_browser(caller, id).await;
    let unverified = forget(&at(Standing::Verified)).await;
    assert_eq!(unverified, Err(SessionsError::NotVerified));
    let bob = world.user("bob", "bobs", None).await;
    let bob = Caller {
        standing: Standing::Sudo,
        ..world.caller(bob, "bobs").await
    };
    assert_eq!(forget(&bob).await, Err(SessionsError::NotFound));
    assert!(is_in(&world, "s").await);
    world.events.take();
    assert_eq!(forget(&at(Standing::Sudo)).await, Ok(()));
    let told = format!("remembered browser {id}, by its user");
    assert_eq!(world.events.take(), [(EventKind::Revoked, told)]);
    assert_eq!(
        forget(&at(Standing::Sudo)).await,
        Err(SessionsError::NotFound)
    );
    assert!(!is_in(&world, "s").await);
    let _ = user;
}

#[tokio::test]
async fn ending_sessions_and_resets_forget_it_and_signing_out_does_not() {
    let world = World::new();
    let (user, caller) = ann(&world).await;
    let sudo = Caller {
        standing: Standing::Sudo,
        ..caller.clone()
    };
    let signed_in = sign_in_as(&world, ("ann", "right"), "s", MONTH).await;
    let signed_in = signed_in.unwrap();
    let keys = world.auth.keys.realm(REALM);
    let at = SignInContext {
        realm: REALM,
        keys: &keys,
        device: None,
        route: "files",
        address: "192.0.2.9".parse().unwrap(),
    };
    let token = signed_in.token.expose();
    assert_eq!(world.auth.sign_out(at, token).await.unwrap().len(), 1);
    let signed_in = sign_in_as(&world, ("ann", "right"), "s", MONTH).await;
    let session = signed_in.unwrap().session.unwrap();
    let ended = world.auth.end_session(&sudo, session.id).await.unwrap();
    assert_eq!(ended, Which::Session(session.id));
    assert!(!is_in(&world, "s").await, "its device was ended");

    world.advance(60);
    pass_in(&world, &caller, to_remember("s", None))
        .await
        .unwrap();
    world.auth.end_others(&sudo).await.unwrap();
    assert!(!is_in(&world, "s").await, "even where she is");
    let phone = world.caller(user, "phone").await;
    world.advance(60);
    pass_in(&world, &phone, to_remember("p", None))
        .await
        .unwrap();
    world
        .auth
        .end_others(&Caller {
            standing: Standing::Sudo,
            ..phone.clone()
        })
        .await
        .unwrap();
    assert!(!is_in(&world, "p").await);
    world.advance(60);
    pass_in(&world, &phone, to_remember("p", None))
        .await
        .unwrap();
    assert!(is_in(&world, "p").await);

    let store = &*world.auth.store;
    let reset = crate::auth::enrol::reset_user(store, &world.auth.keys, user, START);
    reset.await.unwrap();
    assert!(!is_in(&world, "p").await, "the operator's reset");
}

#[tokio::test]
async fn a_planted_secret_is_worth_nothing_once_a_factor_is_remembered() {
    let world = World::new();
    let (_, caller) = ann(&world).await;
    world.advance(60);
    let new = to_remember("fresh", Some("s"));
    pass_in(&world, &caller, new).await.unwrap();
    assert!(!is_in(&world, "s").await);
    assert!(is_in(&world, "fresh").await);
}

#[tokio::test]
async fn a_store_that_is_down_signs_nobody_in() {
    let world = World::new();
    ann(&world).await;
    world.store.break_verb(Some("put_token_in"));
    let signed_in = sign_in_as(&world, ("ann", "right"), "s", MONTH).await;
    assert_eq!(signed_in.unwrap_err(), SignInError::Unavailable);
    world.store.break_verb(None);
    let token = world.auth.keys.realm(REALM).token("token-of-laptop");
    assert!(world.store.token(token, START).await.unwrap().is_some());
    assert!(is_in(&world, "s").await);
}
