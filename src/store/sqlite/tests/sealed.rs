//! What is sealed in the file, and bound to its place there.

use super::*;

/// Makes a success token by a code.
async fn succeed(f: &Fixture, user: UserId, name: &str) {
    f.send_code(user, "v", "99887766").await;
    let mut attempt = f.bare(Some(user), vec![f.sent("v", Purpose::Verify, "99887766")]);
    attempt.then.success = Some(NewSuccess {
        digest: f.keys.success(name),
        user,
        token: None,
        expires_at: after(300),
    });
    passed(f.store.attempt(attempt, NOW).await.unwrap());
}

#[tokio::test]
async fn the_file_holds_nothing_in_the_clear() {
    let f = Fixture::sqlite().await;
    let ann = f.holder("ann", "token-of-ann-4711").await;
    f.send_code(ann, "token-of-ann-4711", "83190274").await;
    let verified = f.try_code(ann, "token-of-ann-4711", "83190274").await;
    passed(verified);
    f.send_code(ann, "token-of-ann-4711", "83190274").await;
    f.store
        .reserve_send(f.send_request(ann), NOW)
        .await
        .unwrap();

    f.enrol(ann, sms("+4531415926"), 0).await;
    f.enrol(ann, mail("Private@example.org"), 0).await;
    f.enrol(ann, totp("the authenticator's secret"), 1).await;
    let pending = f.enrolment(ann, "t", totp("a secret to be confirmed"), "");
    f.store.put_challenge(pending).await.unwrap();
    let pending = f.enrolment(ann, "u", mail("soon@example.org"), "55443322");
    f.store.put_challenge(pending).await.unwrap();
    f.give_backup_codes(ann, 1, &["77665544"]).await;
    let mut wizard = f.wizard("name-of-the-wizard");
    wizard.shown = Some(Secret::new("otpauth://totp/shown-once"));
    wizard.token = Some(f.digest("token-of-ann-4711"));
    f.open_wizard(wizard).await;
    succeed(&f, ann, "name-of-the-success").await;

    let mut bytes = Vec::new();
    for entry in std::fs::read_dir(f.path().parent().unwrap()).unwrap() {
        bytes.extend(std::fs::read(entry.unwrap().path()).unwrap());
    }
    let holds = |text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
    assert!(holds(b"ann"), "the search itself works");
    for secret in [
        "4512345678",
        "12345678",
        "ann@example.org",
        "argon2id",
        "token-of-ann",
        "83190274",
        "31415926",
        "rivate@example.org",
        "the authenticator's secret",
        "a secret to be confirmed",
        "soon@example.org",
        "55443322",
        "77665544",
        "name-of-the-wizard",
        "shown-once",
        "name-of-the-success",
        "Firefox on Linux",
    ] {
        assert!(!holds(secret.as_bytes()), "{secret}");
    }
    let data_key_under_store_key = [1_u8; 32];
    assert!(!holds(&data_key_under_store_key));
    assert!(!holds(f.keys.seal_key()));
}

#[tokio::test]
async fn a_sealed_value_does_not_move_to_another_row_or_column() {
    let f = Fixture::sqlite().await;
    let (ann, bob) = (f.user("ann").await, f.user("bob").await);
    run(
        &f.path(),
        "UPDATE users SET phone = (SELECT phone FROM users WHERE name = 'ann') WHERE name = 'bob';
         UPDATE users SET email = password_hash WHERE name = 'ann'",
    )
    .await;
    let moved = f.store.user(bob).await;
    assert!(matches!(moved, Err(StoreError::Damaged("users.phone"))));
    let moved = f.store.user(ann).await;
    assert!(matches!(moved, Err(StoreError::Damaged("users.email"))));
}

#[tokio::test]
async fn the_mark_of_a_session_is_its_users_and_older_ones_have_none() {
    let f = Fixture::sqlite().await;
    let (ann, bob) = (f.holder("ann", "a").await, f.holder("bob", "b").await);
    f.verify(ann, "a").await;
    f.verify(bob, "b").await;
    let marks = "UPDATE sessions SET whence = (SELECT whence FROM sessions WHERE user_id = 1)";
    run(&f.path(), marks).await;
    assert!(f.store.sessions(Some(ann), NOW).await.is_ok());
    let moved = f.store.sessions(Some(bob), NOW).await;
    assert!(matches!(moved, Err(StoreError::Damaged(_))));
    // The session itself goes on: what it is recognised by decides nothing.
    assert!(f.store.session(f.pair("b"), NOW).await.unwrap().is_some());
    run(&f.path(), "UPDATE sessions SET whence = NULL").await;
    let rows = f.store.sessions(None, NOW).await.unwrap();
    assert_eq!(rows.iter().filter(|row| row.whence.is_none()).count(), 2);
}

#[tokio::test]
async fn a_sealed_factor_does_not_move_to_another_user_or_kind() {
    let f = Fixture::sqlite().await;
    let (ann, bob) = (f.user("ann").await, f.user("bob").await);
    f.enrol(ann, totp("secret of ann's"), 1).await;
    f.enrol(bob, totp("secret of bob's"), 1).await;
    run(
        &f.path(),
        "UPDATE factors SET value = (SELECT value FROM factors WHERE user_id = 1) WHERE user_id = 2",
    )
    .await;
    let moved = f.store.factors(bob).await;
    assert!(matches!(moved, Err(StoreError::Damaged("factors.value"))));
    assert!(f.store.factors(ann).await.is_ok());
    run(
        &f.path(),
        "UPDATE factors SET kind = 'email' WHERE user_id = 1",
    )
    .await;
    let moved = f.store.factors(ann).await;
    assert!(matches!(moved, Err(StoreError::Damaged("factors.value"))));

    let pending = f.enrolment(bob, "t", mail("bob@example.org"), "111111");
    f.store.put_challenge(pending).await.unwrap();
    run(&f.path(), "UPDATE challenges SET user_id = 1").await;
    let moved = f.store.pending(f.binding("t"), Purpose::Enrol, NOW).await;
    assert!(matches!(
        moved,
        Err(StoreError::Damaged("challenges.value"))
    ));
}
