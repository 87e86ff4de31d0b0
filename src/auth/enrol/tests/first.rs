//! A first factor, which the token alone may enrol: where, how often, and how it is withdrawn.

use super::*;

#[tokio::test]
async fn the_first_factor_is_enrolled_with_the_token_where_the_route_allows() {
    let world = World::new();
    let bob = bob(&world).await;
    let closed = Caller {
        self_enrolment: false,
        ..bob.clone()
    };
    let secret = world.auth.new_totp_secret().unwrap();
    let totp = |caller: &Caller| new(caller, FactorValue::Totp(secret.clone()));
    let refused = world.auth.propose(&closed, totp(&closed)).await;
    assert_eq!(refused, Err(EnrolError::NoSelfEnrolment));
    let sent = world
        .auth
        .send_enrolment(&closed, new(&closed, phone(PHONE)));
    assert_eq!(sent.await.unwrap_err(), EnrolError::NoSelfEnrolment);
    assert_eq!(world.inbox.count(), 0);

    let ends = world.auth.propose(&bob, totp(&bob)).await;
    assert_eq!(ends, Ok(Timestamp(START.0 + 3600)));
    let bound_to = bob.pair.into();
    let pending = world.auth.pending_enrolment(&bob, bound_to).await.unwrap();
    assert_eq!(pending.unwrap().value, FactorValue::Totp(secret.clone()));
    let hidden = world.auth.pending_enrolment(&closed, bound_to).await;
    assert!(hidden.unwrap().is_none());
    assert_eq!(kinds(&world, bob.holder.user).await, [], "not yet");

    let typed = code(&world, &secret);
    assert_eq!(
        error(&world, &closed, &typed, Accept::Enrolment).await,
        VerifyError::Forbidden
    );
    assert_eq!(
        error(&world, &bob, &typed, Accept::Factor).await,
        VerifyError::NeverSent,
        "it confirms an enrolment only where that is asked for"
    );
    let verified = verify(&world, &bob, &typed, Accept::FactorOrEnrolment).await;
    let verified = verified.unwrap();
    assert!(verified.passed.has_enrolled);
    assert_eq!(verified.session.factor, Factor::Totp);
    let stored = world.store.session(bob.pair, START).await.unwrap();
    assert_eq!(stored, Some(verified.session));
    assert_eq!(kinds(&world, bob.holder.user).await, [FactorKind::Totp]);
    assert_eq!(
        world.events.take(),
        [
            event(EventKind::Enrolled, "totp"),
            event(EventKind::Verified, "totp")
        ]
    );
}

#[tokio::test]
async fn of_two_first_enrolments_one_is_the_first() {
    let world = World::new();
    let bob = bob(&world).await;
    let mut tasks = tokio::task::JoinSet::new();
    for device in ["a", "b", "c", "d"] {
        let caller = Caller {
            self_enrolment: true,
            ..world.caller(bob.holder.user, device).await
        };
        let secret = world.auth.new_totp_secret().unwrap();
        let totp = FactorValue::Totp(secret.clone());
        let proposed = world.auth.propose(&caller, new(&caller, totp)).await;
        proposed.unwrap();
        let typed = code(&world, &secret);
        let auth = Arc::clone(&world.auth);
        tasks.spawn(async move {
            let typed = Typed {
                code: &typed,
                accept: Accept::Enrolment,
                pair: caller.pair,
                device_label: None,
                issue: None,
            };
            auth.verify(&caller, typed).await.map(|_| ())
        });
    }
    let results = tasks.join_all().await;
    let count = |wanted| results.iter().filter(|it| **it == wanted).count();
    assert_eq!(count(Ok(())), 1, "{results:?}");
    assert_eq!(count(Err(VerifyError::Forbidden)), 3, "{results:?}");
    let refused = event(EventKind::Refused, "totp enrolment not allowed");
    assert_eq!(
        world
            .events
            .take()
            .iter()
            .filter(|it| **it == refused)
            .count(),
        3
    );
}

#[tokio::test]
async fn a_number_that_the_profile_gives_meanwhile_ends_a_first_enrolment() {
    let world = World::new();
    let bob = bob(&world).await;
    let secret = world.auth.new_totp_secret().unwrap();
    let totp = new(&bob, FactorValue::Totp(secret.clone()));
    world.auth.propose(&bob, totp).await.unwrap();
    let learned = LearnedUser {
        realm: REALM.to_owned(),
        name: "bob".to_owned(),
        phone: Some(Phone::parse(PHONE, None).unwrap()),
        email: None,
        groups: None,
        said: Said {
            at: START,
            by: None,
        },
    };
    world.store.learn_user(learned, START).await.unwrap();
    let typed = code(&world, &secret);
    for _ in 0..2 {
        let refused = verify(&world, &bob, &typed, Accept::Enrolment).await;
        assert!(matches!(
            refused,
            Err(VerifyError::Forbidden | VerifyError::Gone)
        ));
    }
    assert_eq!(kinds(&world, bob.holder.user).await, [FactorKind::Sms]);
}

#[tokio::test]
async fn a_first_enrolment_can_be_withdrawn_with_the_token() {
    let world = World::new();
    let bob = bob(&world).await;
    let secret = world.auth.new_totp_secret().unwrap();
    let totp = new(&bob, FactorValue::Totp(secret.clone()));
    world.auth.propose(&bob, totp).await.unwrap();
    let sms = Disable::One(FactorKind::Sms);
    assert_eq!(world.auth.disable(&bob, sms, false).await, Ok(false));
    let pending = world.auth.pending_enrolment(&bob, bob.pair.into()).await;
    assert!(pending.unwrap().is_some(), "of another kind");
    let all = world.auth.disable(&bob, Disable::All, false).await;
    assert_eq!(all, Ok(false));
    let pending = world.auth.pending_enrolment(&bob, bob.pair.into()).await;
    assert!(pending.unwrap().is_none());
    let typed = code(&world, &secret);
    assert_eq!(
        error(&world, &bob, &typed, Accept::Enrolment).await,
        VerifyError::Gone
    );
    assert_eq!(world.events.take(), [event(EventKind::Refused, "expired")]);
}
