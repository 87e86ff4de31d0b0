//! Challenges by mail: what they are good for, and what a stranger learns of them.

use super::*;
use crate::auth::Standing;
use crate::auth::enrol::reset_user;
use crate::auth::fixture::{REALM, START, World, here};
use crate::auth::lockout::Blocked;
use crate::auth::ports::{Sessions as _, Wizards as _};
use crate::clock::Clock as _;
use crate::gate::session::Factor;
use std::sync::Arc;

const KNOWN: &str = "ann@example.org";
const UNKNOWN: &str = "nobody@example.org";

/// Ann, whose only factor is her address.
async fn ann(world: &World) -> Caller {
    let user = world.user("ann", "right", None).await;
    world.caller(user, "phone").await
}

/// Opens a challenge without a token; its name.
async fn open(world: &World, email: &str) -> Result<String, WizardError> {
    let sent = world.inbox.count();
    let opened = world.auth.open_challenge_unauthorized(here(), email).await;
    // The mail goes out behind the answer.
    for _ in 0..100 {
        if world.inbox.count() > sent {
            break;
        }
        tokio::task::yield_now().await;
    }
    opened.map(|named| named.name.expose().to_owned())
}

async fn confirm(
    world: &World,
    caller: Option<&Caller>,
    name: &str,
    code: &str,
) -> Result<Confirmed, WizardError> {
    world.auth.confirm(here(), caller, name, code).await
}

async fn spend(world: &World, success: &Named, caller: Option<&Caller>) -> Option<UserId> {
    let digest = world.auth.keys.success(success.name.expose());
    let (token, now) = (caller.map(|caller| caller.token), world.clock.now());
    let spent = world.store.spend_success(REALM, digest, token, now).await;
    spent.unwrap().map(|holder| holder.user)
}

#[tokio::test]
async fn a_caller_confirms_and_is_verified() {
    let world = World::new();
    let ann = ann(&world).await;
    let opened = world.auth.open_challenge(&ann, REALM).await.unwrap();
    let (name, code) = (opened.name.expose(), world.inbox.code());
    assert_eq!(world.inbox.last().0, KNOWN);
    let confirmed = confirm(&world, Some(&ann), name, &code).await.unwrap();
    let session = confirmed.session.unwrap();
    assert_eq!(session.factor, Factor::Email);
    let stored = world.store.session(ann.pair, START).await.unwrap();
    assert_eq!(stored, Some(session));
    let over = confirm(&world, Some(&ann), name, &code).await;
    assert_eq!(over.unwrap_err(), WizardError::NotFound);

    let other = world.caller(ann.holder.user, "laptop").await;
    for wrong in [None, Some(&other)] {
        assert_eq!(spend(&world, &confirmed.success, wrong).await, None);
    }
    let user = ann.holder.user;
    assert_eq!(
        spend(&world, &confirmed.success, Some(&ann)).await,
        Some(user)
    );
    assert_eq!(spend(&world, &confirmed.success, Some(&ann)).await, None);
}

#[tokio::test]
async fn a_challenge_is_its_openers_and_ends_with_its_code() {
    let world = World::new();
    let ann = ann(&world).await;
    let opened = world.auth.open_challenge(&ann, REALM).await.unwrap();
    let (name, code) = (opened.name.expose(), world.inbox.code());
    let other = world.caller(ann.holder.user, "laptop").await;
    for stranger in [None, Some(&other)] {
        let refused = confirm(&world, stranger, name, &code).await;
        assert_eq!(refused.unwrap_err(), WizardError::NotFound);
    }
    let elsewhere = Place {
        realm: "other",
        ..here()
    };
    let refused = world.auth.confirm(elsewhere, Some(&ann), name, &code).await;
    assert_eq!(refused.unwrap_err(), WizardError::NotFound);
    world.advance(600);
    let late = confirm(&world, Some(&ann), name, &code).await;
    assert_eq!(late.unwrap_err(), WizardError::NotFound);
}

#[tokio::test]
async fn a_success_token_is_good_for_ten_minutes() {
    let world = World::new();
    let ann = ann(&world).await;
    let opened = world.auth.open_challenge(&ann, REALM).await.unwrap();
    let code = world.inbox.code();
    let confirmed = confirm(&world, Some(&ann), opened.name.expose(), &code).await;
    let success = confirmed.unwrap().success;
    assert_eq!(success.expires_at, START.after(SUCCESS_LIFETIME));
    world.advance(SUCCESS_LIFETIME.as_secs());
    assert_eq!(spend(&world, &success, Some(&ann)).await, None);
}

#[tokio::test]
async fn of_fifty_at_once_one_confirms() {
    let world = Arc::new(World::new());
    ann(&world).await;
    let name = open(&world, KNOWN).await.unwrap();
    let code = world.inbox.code();
    let tries: Vec<_> = (0..50)
        .map(|_| {
            let (world, name, code) = (Arc::clone(&world), name.clone(), code.clone());
            tokio::spawn(async move { confirm(&world, None, &name, &code).await.is_ok() })
        })
        .collect();
    let mut wins = 0;
    for tried in tries {
        wins += usize::from(tried.await.unwrap());
    }
    assert_eq!(wins, 1);
}

#[tokio::test]
async fn without_a_token_the_address_says_who_it_is_and_no_session_comes_of_it() {
    let world = World::new();
    let ann = ann(&world).await;
    let name = open(&world, "ANN@Example.org").await.unwrap();
    assert_eq!(world.inbox.last().0, KNOWN, "as it is known, not as typed");
    let code = world.inbox.code();
    // A token beside it changes nothing.
    let confirmed = confirm(&world, Some(&ann), &name, &code).await.unwrap();
    assert_eq!(confirmed.session, None);
    assert_eq!(world.store.live_sessions(START).await.unwrap(), 0);
    assert_eq!(spend(&world, &confirmed.success, Some(&ann)).await, None);
    let user = spend(&world, &confirmed.success, None).await;
    assert_eq!(user, Some(ann.holder.user));
}

#[tokio::test]
async fn an_unknown_address_is_answered_like_a_known_one() {
    let world = World::new();
    ann(&world).await;
    let known = open(&world, KNOWN).await.unwrap();
    let wrong = world.inbox.wrong_code();
    let unknown = open(&world, UNKNOWN).await.unwrap();
    assert_eq!(world.inbox.count(), 1);
    for name in [&known, &unknown] {
        let digest = world.auth.keys.wizard(name);
        let wizard = world.store.wizard(digest, START).await.unwrap().unwrap();
        assert_eq!(wizard.expires_at, START.after(Duration::from_secs(600)));
    }
    for left in [4, 3, 2, 1, 0] {
        for name in [&known, &unknown] {
            let refused = confirm(&world, None, name, &wrong).await.unwrap_err();
            assert_eq!(refused, VerifyError::Wrong { left: Some(left) }.into());
        }
    }
    let delayed = Blocked::Delayed {
        retry_after_secs: 30,
    };
    for (name, email) in [(&known, KNOWN), (&unknown, UNKNOWN)] {
        let refused = confirm(&world, None, name, &wrong).await.unwrap_err();
        assert_eq!(refused, VerifyError::Blocked(delayed).into());
        let refused = open(&world, email).await.unwrap_err();
        assert_eq!(refused, StartError::Blocked(delayed).into());
    }
    world.advance(30);
    for name in [&known, &unknown] {
        let refused = confirm(&world, None, name, &wrong).await.unwrap_err();
        assert_eq!(refused, VerifyError::Gone.into());
    }
}

#[tokio::test]
async fn both_ask_the_store_for_the_same() {
    let world = World::new();
    ann(&world).await;
    let verbs = [
        "blocked",
        "user_by_email",
        "factors",
        "open_wizard",
        "put_challenge",
    ];
    for verb in verbs {
        world.store.break_verb(Some(verb));
        for email in [KNOWN, UNKNOWN] {
            let opened = world.auth.open_challenge_unauthorized(here(), email).await;
            let refused = opened.map(|_| ()).unwrap_err();
            assert_eq!(refused, WizardError::Unavailable, "{verb} {email}");
        }
    }
    // What only a mail needs, is behind the answer.
    for verb in ["reserve_send", "user", "user_by_name", "token", "pending"] {
        world.store.break_verb(Some(verb));
        for email in [KNOWN, UNKNOWN] {
            let opened = world.auth.open_challenge_unauthorized(here(), email).await;
            assert!(opened.is_ok(), "{verb} {email}");
        }
    }
}

#[tokio::test]
async fn limits_and_a_mail_server_that_is_down_are_not_told() {
    let world = World::new();
    ann(&world).await;
    for _ in 0..3 {
        open(&world, KNOWN).await.unwrap();
    }
    assert_eq!(world.inbox.count(), 1, "one in half a minute");
    world.advance(30);
    let down = crate::auth::DeliveryError::NotAccepted;
    world.inbox.fail_with(Some(down));
    open(&world, KNOWN).await.unwrap();
    world.set(|settings| settings.sends_mail = false);
    for email in [KNOWN, UNKNOWN] {
        let refused = open(&world, email).await.unwrap_err();
        assert_eq!(refused, StartError::NotSent.into());
    }
}

#[tokio::test]
async fn a_stranger_does_not_use_up_what_may_be_sent_to_the_user() {
    let world = World::new();
    let ann = ann(&world).await;
    for mails in 1..=7 {
        open(&world, KNOWN).await.unwrap();
        assert_eq!(world.inbox.count(), mails.min(5), "five an hour");
        world.advance(31);
    }
    open(&world, KNOWN).await.unwrap();
    // Neither the pause between two codes nor the five of this hour are the stranger's to take.
    world.auth.open_challenge(&ann, REALM).await.unwrap();
    assert_eq!(world.inbox.count(), 6);
}

#[tokio::test]
async fn a_stranger_locks_nobody_out_and_a_reset_ends_the_strangers_lock() {
    let world = World::new();
    let ann = ann(&world).await;
    world.set(|settings| {
        settings.lockout.lock_at = 5;
        settings.codes.resend_after = Duration::ZERO;
    });
    let name = open(&world, KNOWN).await.unwrap();
    let wrong = world.inbox.wrong_code();
    for _ in 0..5 {
        confirm(&world, None, &name, &wrong).await.unwrap_err();
    }
    let locked = WizardError::from(StartError::Blocked(Blocked::Locked));
    assert_eq!(open(&world, "Ann@Example.org").await.unwrap_err(), locked);
    // Ann herself has a token.
    let opened = world.auth.open_challenge(&ann, REALM).await.unwrap();
    let code = world.inbox.code();
    let confirmed = confirm(&world, Some(&ann), opened.name.expose(), &code).await;
    assert!(confirmed.is_ok());
    assert_eq!(open(&world, KNOWN).await.unwrap_err(), locked);
    let (store, user) = (&*world.store, ann.holder.user);
    reset_user(store, &world.auth.keys, user, world.clock.now())
        .await
        .unwrap();
    assert!(open(&world, KNOWN).await.is_ok());
}

#[tokio::test]
async fn a_shares_recipient_has_no_account_to_recover() {
    let world = World::new();
    world.share("link", None, None).await;
    let name = open(&world, "guest@example.org").await.unwrap();
    assert_eq!(world.inbox.count(), 0);
    let digest = world.auth.keys.wizard(&name);
    let wizard = world.store.wizard(digest, START).await.unwrap().unwrap();
    assert_eq!(wizard.user, None);
}

#[tokio::test]
async fn who_has_no_address_is_told_so_and_a_store_that_fails_confirms_nothing() {
    let world = World::new();
    let bare = world.bare_user("bob").await;
    let bob = Caller {
        standing: Standing::Verified,
        ..world.caller(bare, "bob's").await
    };
    let refused = world.auth.open_challenge(&bob, REALM).await;
    assert_eq!(refused.map(|_| ()).unwrap_err(), WizardError::NotEnabled);
    let ann = ann(&world).await;
    let opened = world.auth.open_challenge(&ann, REALM).await.unwrap();
    let (name, code) = (opened.name.expose(), world.inbox.code());
    world.store.break_verb(Some("attempt"));
    let refused = confirm(&world, Some(&ann), name, &code).await;
    assert_eq!(refused.unwrap_err(), VerifyError::Unavailable.into());
    world.store.break_verb(None);
    assert_eq!(world.store.live_sessions(START).await.unwrap(), 0);
    assert!(confirm(&world, Some(&ann), name, &code).await.is_ok());
}
