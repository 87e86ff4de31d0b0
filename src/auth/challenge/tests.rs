//! Codes: whom they are sent to, what they are good for, and what failures leave behind.

use super::*;
use crate::auth::DeliveryError;
use crate::auth::fixture::{Dry, REALM, START, World};
use crate::auth::ports::{Upkeep as _, Users as _};
use crate::clock::Clock as _;
use crate::gate::session::{Factor, Holder};
use std::sync::Arc;
use std::time::Duration;

const PHONE: &str = "+4512345678";

async fn ann(world: &World) -> Caller {
    let user = world.user("ann", "pw", Some(PHONE)).await;
    world.caller(user, "phone").await
}

async fn start(world: &World, caller: &Caller) -> Result<Started, StartError> {
    world.auth.start(caller, FactorKind::Sms).await
}

fn typed<'a>(caller: &Caller, code: &'a str, accept: Accept) -> Typed<'a> {
    Typed {
        code,
        accept,
        pair: caller.pair,
        device_label: None,
        issue: None,
    }
}

async fn verify(world: &World, caller: &Caller, code: &str) -> Result<Session, VerifyError> {
    let typed = typed(caller, code, Accept::Factor);
    let verified = world.auth.verify(caller, typed).await?;
    Ok(verified.session)
}

fn kinds(world: &World) -> Vec<(EventKind, String)> {
    world.events.take()
}

#[tokio::test]
async fn a_code_is_sent_and_verifies_once() {
    let world = World::new();
    let caller = ann(&world).await;
    let started = start(&world, &caller).await.unwrap();
    assert_eq!(started.masked_recipient, "+45******78");
    assert_eq!(started.expires_at, Timestamp(START.0 + 600));
    let (to, text) = world.inbox.last();
    let code = world.inbox.code();
    assert_eq!(to, PHONE);
    assert_eq!(
        text,
        format!("{code} is your code for Files. It expires in 10 minutes.")
    );
    assert_eq!(code.len(), 6);

    let spaced = format!(" {}-{} ", &code[..3], &code[3..]);
    let session = verify(&world, &caller, &spaced).await.unwrap();
    assert_eq!(session.holder.user, caller.holder.user);
    assert_eq!(session.factor, Factor::Sms);
    assert_eq!(session.verified_at, START);
    assert_eq!(
        session.expires_at,
        START.after(Duration::from_secs(90 * 86_400))
    );
    assert_eq!(verify(&world, &caller, &code).await, Err(VerifyError::Gone));
    assert_eq!(
        kinds(&world),
        [
            (EventKind::Challenged, "sms".to_owned()),
            (EventKind::Verified, "sms".to_owned()),
            (EventKind::Refused, "sms expired".to_owned())
        ]
    );
}

#[tokio::test]
async fn a_code_is_good_for_the_pair_it_was_sent_for_alone() {
    let world = World::new();
    let phone = ann(&world).await;
    let laptop = world.caller(phone.holder.user, "laptop").await;
    start(&world, &phone).await.unwrap();
    let code = world.inbox.code();
    assert_eq!(
        verify(&world, &laptop, &code).await,
        Err(VerifyError::NeverSent)
    );
    assert!(verify(&world, &phone, &code).await.is_ok());
}

#[tokio::test]
async fn what_is_sent_is_limited() {
    let world = World::new();
    let caller = ann(&world).await;
    start(&world, &caller).await.unwrap();
    world.advance(10);
    let again = start(&world, &caller).await;
    assert_eq!(
        again.unwrap_err(),
        StartError::TooMany {
            retry_after_secs: 20
        }
    );
    assert_eq!(world.inbox.count(), 1);
    let limited = (EventKind::Refused, "sms limited".to_owned());
    assert_eq!(kinds(&world).last(), Some(&limited));
    // The pending code stays good.
    let code = world.inbox.code();
    assert!(verify(&world, &caller, &code).await.is_ok());
}

#[tokio::test]
async fn nobody_is_sent_to_without_a_number_or_in_another_country() {
    let world = World::new();
    let user = world.user("bob", "pw", None).await;
    let bob = world.caller(user, "phone").await;
    let error = start(&world, &bob).await.unwrap_err();
    assert_eq!(error, StartError::NoRecipient);

    let ann = ann(&world).await;
    world.set(|settings| settings.limits.countries = vec!["SE".to_owned()]);
    let error = start(&world, &ann).await.unwrap_err();
    assert_eq!(error, StartError::RecipientRefused);
    assert_eq!(world.inbox.count(), 0);
    world.set(|settings| settings.limits.countries = vec!["SE".to_owned(), "DK".to_owned()]);
    assert!(start(&world, &ann).await.is_ok());
}

#[tokio::test]
async fn a_send_that_nobody_accepted_does_not_count_and_changes_nothing() {
    let world = World::new();
    let caller = ann(&world).await;
    start(&world, &caller).await.unwrap();
    let older = world.inbox.code();
    world.advance(31);
    world.events.take();
    for (answer, error) in [
        (DeliveryError::NotAccepted, StartError::NotSent),
        (DeliveryError::NotConfigured, StartError::NotSent),
        (DeliveryError::Busy, StartError::NotSent),
        (DeliveryError::BadRecipient, StartError::RecipientRefused),
    ] {
        world.inbox.fail_with(Some(answer));
        assert_eq!(start(&world, &caller).await.unwrap_err(), error);
        assert_eq!(
            kinds(&world),
            [(EventKind::Refused, "sms not sent".to_owned())]
        );
    }
    assert!(verify(&world, &caller, &older).await.is_ok());
    world.inbox.fail_with(None);
    assert!(start(&world, &caller).await.is_ok(), "no wait");
}

#[tokio::test]
async fn a_store_that_fails_is_never_taken_for_a_yes() {
    let world = World::new();
    let caller = ann(&world).await;
    for verb in ["blocked", "factors", "reserve_send"] {
        world.store.break_verb(Some(verb));
        let error = start(&world, &caller).await.unwrap_err();
        assert_eq!(error, StartError::Unavailable, "{verb}");
    }
    assert_eq!(world.inbox.count(), 0);
    world.store.break_verb(None);
    start(&world, &caller).await.unwrap();
    let older = world.inbox.code();

    world.advance(31);
    world.store.break_verb(Some("put_challenge"));
    let error = start(&world, &caller).await.unwrap_err();
    assert_eq!(error, StartError::Unavailable);
    assert_eq!(world.inbox.count(), 2, "it was sent and is not stored");
    let sent_in_vain = world.inbox.code();
    world.store.break_verb(None);
    if sent_in_vain != older {
        assert!(matches!(
            verify(&world, &caller, &sent_in_vain).await,
            Err(VerifyError::Wrong { .. })
        ));
    }
    for verb in ["token", "attempt"] {
        world.store.break_verb(Some(verb));
        assert_eq!(
            verify(&world, &caller, &older).await,
            Err(VerifyError::Unavailable),
            "{verb}"
        );
    }
    world.store.break_verb(None);
    assert!(verify(&world, &caller, &older).await.is_ok());
}

#[tokio::test]
async fn no_entropy_no_code() {
    let world = World::with_entropy(Arc::new(Dry));
    let caller = ann(&world).await;
    let error = start(&world, &caller).await.unwrap_err();
    assert_eq!(error, StartError::Unavailable);
    assert_eq!(world.inbox.count(), 0);
}

#[tokio::test]
async fn a_client_that_hangs_up_leaves_nothing_half_done() {
    let world = World::new();
    let caller = ann(&world).await;
    let hold = Arc::new(tokio::sync::Notify::new());
    *world.inbox.hold.lock().unwrap() = Some(Arc::clone(&hold));
    tokio::select! {
        _ = start(&world, &caller) => panic!("the provider has not answered yet"),
        () = world.inbox.arrived.notified() => {}
    }
    // The request is gone; the provider accepts now.
    hold.notify_one();
    let challenged = async {
        while kinds(&world).is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), challenged)
        .await
        .unwrap();
    let code = world.inbox.code();
    assert!(verify(&world, &caller, &code).await.is_ok());
}

#[tokio::test]
async fn wrong_codes_are_counted_audited_and_void_the_challenge() {
    let world = World::new();
    let caller = ann(&world).await;
    start(&world, &caller).await.unwrap();
    let (code, wrong) = (world.inbox.code(), world.inbox.wrong_code());
    world.events.take();
    for malformed in ["", "12 34 5x", "+1"] {
        assert_eq!(
            verify(&world, &caller, malformed).await,
            Err(VerifyError::Malformed)
        );
    }
    // Another length is a wrong code too.
    let tries = [
        wrong.clone(),
        format!("{code}0"),
        code[..5].to_owned(),
        wrong,
    ];
    for (at, typed) in tries.iter().enumerate() {
        let left = 4 - u32::try_from(at).unwrap();
        assert_eq!(
            verify(&world, &caller, typed).await,
            Err(VerifyError::Wrong { left: Some(left) })
        );
        assert_eq!(
            kinds(&world),
            [(EventKind::Refused, "sms wrong code".to_owned())]
        );
    }
    let last = verify(&world, &caller, &tries[0]).await;
    assert_eq!(last, Err(VerifyError::Wrong { left: Some(0) }));
    let delayed = Blocked::Delayed {
        retry_after_secs: 30,
    };
    assert_eq!(
        verify(&world, &caller, &code).await,
        Err(VerifyError::Blocked(delayed))
    );
    assert_eq!(
        start(&world, &caller).await.unwrap_err(),
        StartError::Blocked(delayed)
    );
    world.advance(30);
    assert_eq!(verify(&world, &caller, &code).await, Err(VerifyError::Gone));
}

#[tokio::test]
async fn the_lock_is_audited_once_and_the_operator_frees_it() {
    let world = World::new();
    world.set(|settings| {
        settings.lockout.lock_at = 2;
        settings.lockout.delay_every = 0;
    });
    let caller = ann(&world).await;
    start(&world, &caller).await.unwrap();
    world.events.take();
    let wrong = world.inbox.wrong_code();
    for _ in 0..2 {
        let error = verify(&world, &caller, &wrong).await.unwrap_err();
        assert!(matches!(error, VerifyError::Wrong { .. }));
    }
    let code = world.inbox.code();
    for _ in 0..2 {
        assert_eq!(
            verify(&world, &caller, &code).await,
            Err(VerifyError::Blocked(Blocked::Locked))
        );
    }
    let locked = kinds(&world)
        .iter()
        .filter(|(kind, _)| *kind == EventKind::Locked)
        .count();
    assert_eq!(locked, 1);

    let user = caller.holder.user;
    let counter = subject::user(&world.auth.keys, user);
    let now = world.clock.now();
    world.store.reset_user(user, counter, now).await.unwrap();
    world.advance(31);
    start(&world, &caller).await.unwrap();
    let code = world.inbox.code();
    assert!(verify(&world, &caller, &code).await.is_ok());
}

#[tokio::test]
async fn an_address_is_delayed_over_many_users_and_never_locked() {
    let world = World::new();
    world.set(|settings| {
        settings.lockout.delay_every = 1;
        settings.lockout.address_factor = 3;
        settings.lockout.lock_at = 1;
    });
    let mut blocked = None;
    for (name, phone) in [
        ("a", "+4512345671"),
        ("b", "+4512345672"),
        ("c", "+4512345673"),
    ] {
        let user = world.user(name, "pw", Some(phone)).await;
        let caller = world.caller(user, name).await;
        start(&world, &caller).await.unwrap();
        let wrong = world.inbox.wrong_code();
        verify(&world, &caller, &wrong).await.unwrap_err();
        blocked = Some(caller);
    }
    let events = world.events.take().into_iter();
    let locks = events.filter(|(kind, _)| *kind == EventKind::Locked);
    let (users, addresses): (Vec<_>, Vec<_>) = locks.partition(|(_, of)| of == "wrong codes");
    assert_eq!(users.len(), 3);
    let told = "address: too many failures".to_owned();
    assert_eq!(addresses, [(EventKind::Locked, told)]);
    let user = world.user("d", "pw", Some("+4512345674")).await;
    let other = world.caller(user, "d").await;
    assert_eq!(
        start(&world, &other).await.unwrap_err(),
        StartError::Blocked(Blocked::Delayed {
            retry_after_secs: 30
        })
    );
    world.advance(30);
    assert!(start(&world, &other).await.is_ok());
    assert_eq!(
        start(&world, &blocked.unwrap()).await.unwrap_err(),
        StartError::Blocked(Blocked::Locked)
    );
}

#[tokio::test]
async fn a_session_ends_with_its_token_and_needs_a_live_one() {
    let world = World::new();
    let keys = world.auth.keys.realm(REALM);
    let end = START.after(Duration::from_secs(3600));
    let (_, user) = world.share("link", Some(PHONE), Some(end)).await;
    let user = world.store.user(user).await.unwrap().unwrap();
    let caller = Caller {
        holder: Holder::limited(user.id, user.name, Some("/dir/")),
        token: keys.token("link"),
        pair: keys.session("link", Some("phone")),
        ..world.caller(user.id, "other").await
    };
    start(&world, &caller).await.unwrap();
    let code = world.inbox.code();
    let session = verify(&world, &caller, &code).await.unwrap();
    assert_eq!(session.expires_at, end);
    assert_eq!(session.holder.scope(), Some("/dir/"));

    world.advance(3590);
    start(&world, &caller).await.unwrap();
    let code = world.inbox.code();
    world.advance(10);
    assert_eq!(
        verify(&world, &caller, &code).await,
        Err(VerifyError::NeverSent)
    );
}

#[tokio::test]
async fn of_many_equal_codes_at_once_one_wins() {
    let world = World::new();
    let caller = ann(&world).await;
    start(&world, &caller).await.unwrap();
    let code = world.inbox.code();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let (auth, caller, code) = (Arc::clone(&world.auth), caller.clone(), code.clone());
        tasks.spawn(async move {
            let typed = typed(&caller, &code, Accept::Factor);
            auth.verify(&caller, typed).await.map(|_| ())
        });
    }
    let results = tasks.join_all().await;
    assert_eq!(results.iter().filter(|it| it.is_ok()).count(), 1);
    let gone = results.iter().filter(|it| **it == Err(VerifyError::Gone));
    assert_eq!(gone.count(), 49);
}
