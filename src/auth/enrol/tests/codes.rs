//! The codes of an authenticator, and the one count of wrong codes that all factors share.

use super::*;

#[tokio::test]
async fn an_authenticators_code_is_good_once_on_any_device() {
    let world = World::new();
    let bob = bob(&world).await;
    let laptop = world.caller(bob.holder.user, "laptop").await;
    let secret = world.auth.new_totp_secret().unwrap();
    let totp = FactorValue::Totp(secret.clone());
    world.auth.propose(&bob, new(&bob, totp)).await.unwrap();
    let typed = code(&world, &secret);
    verify(&world, &bob, &typed, Accept::Enrolment)
        .await
        .unwrap();
    let used = VerifyError::Wrong { left: None };
    // What confirmed the enrolment is spent, everywhere.
    assert_eq!(error(&world, &laptop, &typed, Accept::Factor).await, used);

    world.advance(30);
    let older = code(&world, &secret);
    world.advance(30);
    let newer = code(&world, &secret);
    let verified = verify(&world, &laptop, &newer, Accept::Factor).await;
    assert_eq!(verified.unwrap().session.factor, Factor::Totp);
    for caller in [&bob, &laptop] {
        for typed in [&newer, &older] {
            assert_eq!(error(&world, caller, typed, Accept::Factor).await, used);
        }
    }
    world.advance(30);
    let spaced = code(&world, &secret);
    let spaced = format!("{} {}", &spaced[..3], &spaced[3..]);
    let next = verify(&world, &bob, &spaced, Accept::Factor).await;
    assert!(next.is_ok());
}

#[tokio::test]
async fn a_clock_may_be_off_by_the_window() {
    let world = World::new();
    let secret = enrolled(&world, &bob(&world).await).await;
    let bob = world
        .caller(
            world
                .store
                .user_by_name(REALM, "bob")
                .await
                .unwrap()
                .unwrap()
                .id,
            "phone",
        )
        .await;
    for (window, off, is_right) in [
        (0, 0, true),
        (0, 30, false),
        (1, 30, true),
        (1, 60, false),
        (2, 60, true),
    ] {
        world.advance(600);
        world.set(|settings| settings.codes.totp_window = window);
        let ahead = secret.code_at(Timestamp(world.clock.now().0 + off));
        let verified = verify(&world, &bob, &ahead, Accept::Factor).await;
        assert_eq!(verified.is_ok(), is_right, "{window} {off}");
    }
}

#[tokio::test]
async fn of_many_equal_authenticator_codes_at_once_one_wins() {
    let world = World::new();
    let bob = bob(&world).await;
    let secret = enrolled(&world, &bob).await;
    let mut tasks = tokio::task::JoinSet::new();
    world.set(|settings| settings.lockout.delay_every = 0);
    for task in 0..50 {
        let caller = world
            .caller(bob.holder.user, &format!("device {task}"))
            .await;
        let (auth, typed) = (Arc::clone(&world.auth), code(&world, &secret));
        tasks.spawn(async move {
            let typed = Typed {
                code: &typed,
                accept: Accept::Factor,
                pair: caller.pair,
                device_label: None,
                issue: None,
            };
            auth.verify(&caller, typed).await.is_ok()
        });
    }
    let wins = tasks.join_all().await.into_iter().filter(|won| *won);
    assert_eq!(wins.count(), 1);
}

#[tokio::test]
async fn wrong_codes_of_all_factors_are_one_count() {
    let world = World::new();
    let user = world.user("ann", "pw", Some(PHONE)).await;
    let phone = standing(&world.caller(user, "phone").await, Standing::Verified);
    let secret = enrolled(&world, &phone).await;
    let laptop = world.caller(user, "laptop").await;
    let wrong = wrong(&world, &secret);
    for _ in 0..2 {
        let error = error(&world, &phone, &wrong, Accept::Factor).await;
        assert_eq!(error, VerifyError::Wrong { left: None });
    }
    world.auth.start(&laptop, FactorKind::Sms).await.unwrap();
    let sent = world.inbox.code();
    // Neither the number's code nor the app's.
    let neither = if sent == wrong { "999999" } else { &wrong };
    for left in [4, 3] {
        let error = error(&world, &laptop, neither, Accept::Factor).await;
        assert_eq!(error, VerifyError::Wrong { left: Some(left) });
    }
    let backup = error(&world, &laptop, "0000 0000", Accept::Backup).await;
    assert_eq!(backup, VerifyError::Wrong { left: None });
    let delayed = VerifyError::Blocked(Blocked::Delayed {
        retry_after_secs: 30,
    });
    let right = code(&world, &secret);
    assert_eq!(error(&world, &phone, &right, Accept::Factor).await, delayed);
    assert_eq!(error(&world, &laptop, &sent, Accept::Factor).await, delayed);
    let methods: Vec<_> = world.events.take().into_iter().map(|(_, it)| it).collect();
    assert_eq!(
        methods,
        [
            "totp wrong code",
            "totp wrong code",
            "sms",
            "sms wrong code",
            "sms wrong code",
            "backup_code wrong code"
        ]
    );
    // A new code does not reset it; a right one does.
    world.advance(30);
    let right = code(&world, &secret);
    assert!(verify(&world, &phone, &right, Accept::Factor).await.is_ok());
    world.advance(30);
    for _ in 0..4 {
        error(&world, &phone, &wrong, Accept::Factor).await;
    }
    let right = code(&world, &secret);
    assert!(verify(&world, &phone, &right, Accept::Factor).await.is_ok());
}

#[tokio::test]
async fn a_lock_holds_for_every_factor_until_a_backup_code() {
    let world = World::new();
    let user = world.user("ann", "pw", Some(PHONE)).await;
    let ann = standing(&world.caller(user, "phone").await, Standing::Verified);
    let secret = enrolled(&world, &ann).await;
    let codes = world.auth.new_backup_codes(&ann, false).await.unwrap();
    world.auth.start(&ann, FactorKind::Sms).await.unwrap();
    let sent = world.inbox.code();
    world.set(|settings| {
        settings.lockout.lock_at = 3;
        settings.lockout.delay_every = 0;
    });
    world.events.take();
    let wrong = wrong(&world, &secret);
    for _ in 0..3 {
        error(&world, &ann, &wrong, Accept::Factor).await;
    }
    let locked = VerifyError::Blocked(Blocked::Locked);
    let right = code(&world, &secret);
    for typed in [&right, &sent] {
        assert_eq!(error(&world, &ann, typed, Accept::Factor).await, locked);
    }
    assert_eq!(
        world.auth.start(&ann, FactorKind::Sms).await.unwrap_err(),
        StartError::Blocked(Blocked::Locked)
    );
    // In the locked state a wrong backup code is wrong, and a right one is the way out.
    for _ in 0..2 {
        let wrong = error(&world, &ann, "0000-0000", Accept::Backup).await;
        assert_eq!(wrong, VerifyError::Wrong { left: None });
    }
    let freed = verify(&world, &ann, codes[3].expose(), Accept::Backup).await;
    let freed = freed.unwrap();
    assert_eq!(freed.session.factor, Factor::BackupCode);
    assert_eq!(freed.passed.backup_codes_left, 9);
    assert!(verify(&world, &ann, &right, Accept::Factor).await.is_ok());
    let locks = world.events.take();
    let locks = locks.iter().filter(|(kind, _)| *kind == EventKind::Locked);
    assert_eq!(locks.count(), 1, "the lock is audited once");
}

#[test]
fn the_image_names_the_service_and_the_user() {
    let world = World::new();
    let secret = TotpSecret::from_bytes(b"12345678901234567890");
    assert_eq!(
        world.auth.totp_uri(&secret, "ann").expose(),
        "otpauth://totp/Files:ann?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Files"
    );
}
