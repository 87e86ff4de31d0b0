//! Files of older schemas, brought to the newest.

use super::*;

/// A file as the first schema made it, with a user, a share, a session and a code on its way.
async fn first_schema(path: &Path) {
    let data_key = [5; 32];
    let sealed = Vault::new(&[1; 32], Arc::new(OsEntropy)).seal("meta.data_key", &data_key);
    let keys = DigestKeys::derive(&data_key);
    let vault = Vault::new(keys.seal_key(), Arc::new(OsEntropy));
    let options = options(path).create_if_missing(true);
    let mut conn = options.connect().await.unwrap();
    let schema = include_str!("../../migrations/0001_init.sql");
    sqlx::raw_sql(schema).execute(&mut conn).await.unwrap();
    let marks = "PRAGMA application_id = 0x56455354; PRAGMA user_version = 1";
    sqlx::raw_sql(marks).execute(&mut conn).await.unwrap();
    sqlx::query("INSERT INTO meta (id, data_key) VALUES (1, ?1)")
        .bind(sealed.unwrap())
        .execute(&mut conn)
        .await
        .unwrap();
    for (name, address) in [("ann", Some("Ann@Example.org")), ("bob", None)] {
        let seal = |column: &str, text: &str| {
            let place = format!("{column}/{}/{REALM}/{name}", REALM.len());
            vault.seal(&place, text.as_bytes()).unwrap()
        };
        sqlx::query(
            "INSERT INTO users (realm, name, phone, email, can_edit_users, created_at)
             VALUES (?1, ?2, ?3, ?4, 0, 1800000000)",
        )
        .bind(REALM)
        .bind(name)
        .bind(seal("users.phone", PHONE))
        .bind(address.map(|address| seal("users.email", address)))
        .execute(&mut conn)
        .await
        .unwrap();
    }
    let pair = keys.realm(REALM).session("t", Some("phone"));
    sqlx::query(
        "INSERT INTO tokens (digest, user_id, issued_pair, issued_at) VALUES (?1, 1, ?2, 1);
         INSERT INTO sessions (key, token, user_id, factor, verified_at, expires_at, last_seen_at)
         VALUES (?2, ?1, 1, 'sms', 1799996000, 1800003600, 1800000000);
         INSERT INTO challenges (pair, purpose, user_id, factor, code, state, attempts_left,
                                 created_at, expires_at)
         VALUES (?2, 'verify', 1, 'sms', ?1, 'pending', 5, 1800000000, 1800000600)",
    )
    .bind(&keys.realm(REALM).token("t").0[..])
    .bind(&pair.0[..])
    .execute(&mut conn)
    .await
    .unwrap();
    sqlx::Connection::close(conn).await.unwrap();
}

#[tokio::test]
async fn a_file_of_the_first_schema_is_brought_to_the_newest() {
    let f = Fixture::sqlite_after(first_schema).await;
    let ann = f.store.user_by_name(REALM, "ann").await.unwrap().unwrap();
    assert_eq!(ann.phone.as_ref().map(|phone| phone.e164()), Some(PHONE));
    let found = f.store.user_by_email(REALM, "ann@example.org").await;
    assert_eq!(found.unwrap(), Some(ann.clone()));
    let session = f.store.session(f.pair("t"), NOW).await.unwrap().unwrap();
    assert_eq!(session.holder.user, ann.id);
    assert_eq!(session.longest_pause_secs, 4_000, "as long as it can be");
    assert_eq!(ann.groups, [""; 0]);
    assert_eq!(ann.said.at, NOW, "no word from before");
    let factors = f.store.factors(ann.id).await.unwrap();
    let values: Vec<_> = factors.enrolled.iter().map(|one| &one.value).collect();
    assert_eq!(values, [&sms(PHONE), &mail("Ann@Example.org")]);

    let pending = f.store.pending(f.binding("t"), Purpose::Verify, NOW).await;
    assert!(pending.unwrap().is_none(), "codes are asked for again");
    assert!(f.verify(ann.id, "t").await.id > session.id);
    f.enrol(ann.id, totp("secret"), 1).await;
    let again = f.second().await;
    assert!(again.store.factors(ann.id).await.unwrap().totp().is_some());
}

/// A file as the third schema made it: that of the first with a share, somebody who opened it on two
/// devices, and a user who was there and is gone.
async fn third_schema(path: &Path) {
    first_schema(path).await;
    let keys = DigestKeys::derive(&[5; 32]);
    let vault = Vault::new(keys.seal_key(), Arc::new(OsEntropy));
    let options = options(path);
    let mut conn = options.connect().await.unwrap();
    for schema in [
        include_str!("../../migrations/0002_factors.sql"),
        include_str!("../../migrations/0003_tokens.sql"),
        "PRAGMA user_version = 3",
        "INSERT INTO shares (id, path, created_at, expires_at)
         VALUES (7, '/dir/', 1800000000, 1800001000), (8, '/old/', 1700000000, 1700000001);
         INSERT INTO users (id, realm, name, can_edit_users, share_id, created_at)
         VALUES (8, 'files', 'share:8', 0, 8, 1), (90, 'files', 'gone', 0, NULL, 1);
         DELETE FROM users WHERE id = 90;
         INSERT INTO factors (user_id, kind, confirmed_at) VALUES (1, 'sms', 1);
         INSERT INTO backup_sets (user_id, salt, created_at) VALUES (1, x'00', 1)",
    ] {
        sqlx::raw_sql(schema).execute(&mut conn).await.unwrap();
    }
    let place = format!("users.phone/{}/{REALM}/share:7", REALM.len());
    sqlx::query(
        "INSERT INTO users (id, realm, name, phone, can_edit_users, share_id, created_at)
         VALUES (7, ?1, 'share:7', ?2, 0, 7, 1)",
    )
    .bind(REALM)
    .bind(vault.seal(&place, PHONE.as_bytes()).unwrap())
    .execute(&mut conn)
    .await
    .unwrap();
    let realm = keys.realm(REALM);
    for (token, issued_pair) in [
        ("link", None),
        ("own", Some(realm.session("own", Some("d")))),
    ] {
        let (digest, pair) = (realm.token(token), realm.session(token, Some("d")));
        sqlx::query(
            "INSERT INTO tokens (digest, user_id, issued_pair, scope, share_id, issued_at)
             VALUES (?1, 7, ?2, '/dir/', 7, 1);
             INSERT INTO sessions (key, token, user_id, factor, verified_at, expires_at, last_seen_at)
             VALUES (?3, ?1, 7, 'sms', 1800000000, 1800000900, 1800000000)",
        )
        .bind(&digest.0[..])
        .bind(issued_pair.map(|pair| pair.0.to_vec()))
        .bind(&pair.0[..])
        .execute(&mut conn)
        .await
        .unwrap();
    }
    sqlx::Connection::close(conn).await.unwrap();
}

#[tokio::test]
async fn a_share_of_the_third_schema_keeps_its_one_recipient() {
    let f = Fixture::sqlite_after(third_schema).await;
    let shares = f.store.shares().await.unwrap();
    assert_eq!(shares.len(), 2);
    let found = f.store.share_of_link(f.digest("link"), NOW).await.unwrap();
    let share = found.unwrap();
    assert_eq!((share.id, share.path.as_str()), (ShareId(7), "/dir/"));
    let [one] = &share.recipients[..] else {
        panic!("one")
    };
    assert_eq!((one.user, one.devices), (UserId(7), 2));
    assert_eq!(one.last_opened_at, Some(NOW));
    assert_eq!(one.contact.phone.as_ref().map(|it| it.e164()), Some(PHONE));
    for token in ["link", "own"] {
        let (token, _) = f.store.token(f.digest(token), NOW).await.unwrap().unwrap();
        assert_eq!((token.share, token.user), (Some(ShareId(7)), UserId(7)));
        // The one that it has already.
        f.send_code(UserId(7), "own", "111111").await;
        passed(f.try_code(UserId(7), "own", "111111").await);
    }
    assert_eq!(f.store.shares().await.unwrap()[0].devices(), 2);

    let kept = f.store.factors(UserId(1)).await.unwrap();
    assert_eq!(
        kept.enrolled.len(),
        1,
        "the number is turned off, the address is not"
    );
    assert!(
        f.store.backup_salt(UserId(1)).await.is_err(),
        "it was not lost"
    );
    let next = f.user("cid").await;
    assert_eq!(next, UserId(91), "no number means something else later");
    let ended = f.store.revoke_share(ShareId(7), NOW).await.unwrap();
    assert_eq!(ended, [UserId(7)]);
    assert!(
        f.store
            .token(f.digest("link"), NOW)
            .await
            .unwrap()
            .is_none()
    );
    assert!(f.store.user(UserId(1)).await.unwrap().is_some());
}
