//! What confirms an enrolment, and what ends it before.

use super::*;

#[tokio::test]
async fn a_new_number_is_confirmed_by_the_code_that_went_there() {
    let world = World::new();
    let user = world.user("ann", "pw", Some(PHONE)).await;
    let ann = standing(&world.caller(user, "phone").await, Standing::Verified);
    world.set(|settings| settings.limits.countries = vec!["SE".to_owned()]);
    let refused = world.auth.send_enrolment(&ann, new(&ann, phone(OTHER)));
    assert_eq!(
        refused.await.unwrap_err(),
        EnrolError::Start(StartError::RecipientRefused)
    );
    world.set(|_| {});
    let started = world.auth.send_enrolment(&ann, new(&ann, phone(OTHER)));
    let started = started.await.unwrap();
    assert_eq!(started.masked_recipient, "+45******21");
    assert_eq!(started.expires_at, Timestamp(START.0 + 600));
    assert_eq!(world.inbox.last().0, OTHER);
    // The limits are the user's and the new number's own.
    let again = world.auth.send_enrolment(&ann, new(&ann, phone(OTHER)));
    assert!(matches!(
        again.await,
        Err(EnrolError::Start(StartError::TooMany { .. }))
    ));
    let eve = standing(
        &world.caller(world.bare_user("eve").await, "eve").await,
        Standing::Verified,
    );
    world.set(|settings| settings.limits.per_number_per_hour = 1);
    let same = world.auth.send_enrolment(&eve, new(&eve, phone(OTHER)));
    assert!(matches!(
        same.await,
        Err(EnrolError::Start(StartError::TooMany { .. }))
    ));

    world.set(|_| {});

    // A wrong one costs a try; the code is good for nothing else, and for no other pair.
    let typed = world.inbox.code();
    assert_eq!(
        error(&world, &ann, &world.inbox.wrong_code(), Accept::Enrolment).await,
        VerifyError::Wrong { left: Some(4) }
    );
    assert_eq!(
        error(&world, &ann, &typed, Accept::Factor).await,
        VerifyError::NeverSent
    );
    let laptop = standing(&world.caller(user, "laptop").await, Standing::Verified);
    assert_eq!(
        error(&world, &laptop, &typed, Accept::Enrolment).await,
        VerifyError::NeverSent
    );
    let verified = verify(&world, &ann, &typed, Accept::Enrolment).await;
    assert_eq!(verified.unwrap().session.factor, Factor::Sms);
    let factors = world.auth.factors(user).await.unwrap();
    assert_eq!(factors.phone().map(Phone::e164), Some(OTHER));
    world.advance(31);
    world.auth.start(&ann, FactorKind::Sms).await.unwrap();
    assert_eq!(world.inbox.last().0, OTHER);
}

#[tokio::test]
async fn an_address_is_confirmed_by_mail() {
    let world = World::new();
    let bob = bob(&world).await;
    let value = FactorValue::Email(Secret::new("bob@example.org"));
    let started = world.auth.send_enrolment(&bob, new(&bob, value)).await;
    assert_eq!(started.unwrap().masked_recipient, "b****@example.org");
    assert_eq!(world.inbox.last().0, "bob@example.org");
    let typed = world.inbox.code();
    let verified = verify(&world, &bob, &typed, Accept::Enrolment).await;
    assert_eq!(verified.unwrap().session.factor, Factor::Email);
    // Mail is turned off: what the user enrolled goes on protecting.
    world.set(|settings| settings.sends_mail = false);
    assert_eq!(
        world.auth.may_enrol(&bob, false).await,
        Err(EnrolError::NotVerified)
    );
    let totp = new(
        &bob,
        FactorValue::Totp(world.auth.new_totp_secret().unwrap()),
    );
    assert_eq!(
        world.auth.propose(&bob, totp).await,
        Err(EnrolError::NotVerified)
    );
}

#[tokio::test]
async fn an_address_of_the_profile_is_a_factor_where_mail_is_sent() {
    let world = World::new();
    let user = world.user("ann", "pw", None).await;
    let ann = Caller {
        self_enrolment: true,
        ..world.caller(user, "phone").await
    };
    assert_eq!(kinds(&world, user).await, [FactorKind::Email]);
    assert_eq!(
        world.auth.may_enrol(&ann, false).await,
        Err(EnrolError::NotVerified)
    );
    world.set(|settings| settings.sends_mail = false);
    assert_eq!(kinds(&world, user).await, []);
    enrolled(&world, &ann).await;
    assert_eq!(kinds(&world, user).await, [FactorKind::Totp]);
}

#[tokio::test]
async fn an_enrolment_ends_after_its_hour_and_after_too_many_wrong_codes() {
    let world = World::new();
    let bob = bob(&world).await;
    let secret = world.auth.new_totp_secret().unwrap();
    let totp = || new(&bob, FactorValue::Totp(secret.clone()));
    world.auth.propose(&bob, totp()).await.unwrap();
    world.advance(3600);
    let typed = code(&world, &secret);
    assert_eq!(
        error(&world, &bob, &typed, Accept::Enrolment).await,
        VerifyError::Gone
    );
    world.auth.propose(&bob, totp()).await.unwrap();
    let wrong = wrong(&world, &secret);
    for _ in 0..5 {
        assert!(matches!(
            error(&world, &bob, &wrong, Accept::Enrolment).await,
            VerifyError::Wrong { .. }
        ));
    }
    world.advance(30);
    let typed = code(&world, &secret);
    assert_eq!(
        error(&world, &bob, &typed, Accept::Enrolment).await,
        VerifyError::Gone
    );
    // A number that no code went to is confirmed by none.
    let number = new(&bob, phone(PHONE));
    world.auth.propose(&bob, number).await.unwrap();
    assert_eq!(
        error(&world, &bob, "000000", Accept::Enrolment).await,
        VerifyError::NeverSent
    );
    assert_eq!(kinds(&world, bob.holder.user).await, []);
}

#[tokio::test]
async fn a_setting_can_replace_all_others() {
    let world = World::new();
    let user = world.user("ann", "pw", Some(PHONE)).await;
    let ann = standing(&world.caller(user, "phone").await, Standing::Verified);
    let secret = world.auth.new_totp_secret().unwrap();
    let replacing = NewFactor {
        replaces_others: true,
        ..new(&ann, FactorValue::Totp(secret.clone()))
    };
    world.auth.propose(&ann, replacing).await.unwrap();
    let before = [FactorKind::Sms, FactorKind::Email];
    assert_eq!(kinds(&world, user).await, before, "until it is confirmed");
    let typed = code(&world, &secret);
    verify(&world, &ann, &typed, Accept::Enrolment)
        .await
        .unwrap();
    assert_eq!(kinds(&world, user).await, [FactorKind::Totp]);
    assert_eq!(
        world.auth.start(&ann, FactorKind::Sms).await.unwrap_err(),
        StartError::NoRecipient
    );
}
