//! What is SQLite's alone: the file, its key, other processes, and what breaks off.

use super::{Sqlite, options};
use crate::auth::ports::{
    Attempted, AuditTrail as _, NewSuccess, NewUser, Oversight as _, Purpose, StoreError,
    Upkeep as _, Which,
};
use crate::config::model::StoreEngine;
use crate::digest::DigestKeys;
use crate::entropy::OsEntropy;
use crate::event::{Event, EventKind};
use crate::id::{ShareId, UserId};
use crate::secret::Secret;
use crate::store::fixture::{
    Fixture, NOW, PHONE, POLICY, REALM, after, mail, passed, sms, store_key, totp,
};
use crate::store::vault::Vault;
use crate::store::{OpenError, open};
use sqlx::ConnectOptions as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

async fn refusal(path: &Path, key: &Secret) -> OpenError {
    let engine = StoreEngine::Sqlite(path.to_owned());
    match open(&engine, key, Arc::new(OsEntropy)).await {
        Err(error) => {
            assert!(!error.to_string().contains('\n'), "one line");
            error
        }
        Ok(_) => panic!("{} was opened", path.display()),
    }
}

/// Runs SQL on the file behind the store's back.
async fn run(path: &Path, sql: &'static str) {
    let options = options(path).create_if_missing(true);
    let mut conn = options.connect().await.unwrap();
    sqlx::raw_sql(sql).execute(&mut conn).await.unwrap();
    sqlx::Connection::close(conn).await.unwrap();
}

#[tokio::test]
async fn a_wrong_key_is_refused_and_changes_nothing() {
    let f = Fixture::sqlite().await;
    let ann = f.user("ann").await;
    let error = refusal(&f.path(), &store_key(2)).await;
    assert!(matches!(error, OpenError::WrongKey(_)));
    let text = error.to_string();
    assert!(text.contains("store key does not open"), "{text}");
    assert!(text.contains(f.path().to_str().unwrap()), "{text}");
    let user = f.second().await.store.user(ann).await.unwrap().unwrap();
    assert_eq!(user.phone.as_ref().map(|p| p.e164()), Some(PHONE));
}

#[tokio::test]
async fn a_key_that_is_none_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.db");
    for bad in ["", "short", "AAAA", &"A".repeat(88), "not base64 at all!"] {
        let error = refusal(&path, &Secret::new(bad)).await;
        assert!(matches!(error, OpenError::BadKey), "{bad}");
    }
    assert!(!path.exists());
}

#[tokio::test]
async fn what_is_not_our_database_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let key = store_key(1);

    let text = dir.path().join("text.db");
    let content = "these are no pages of a database\n".repeat(99);
    std::fs::write(&text, &content).unwrap();
    assert!(matches!(
        refusal(&text, &key).await,
        OpenError::NotADatabase(_)
    ));
    assert_eq!(std::fs::read_to_string(&text).unwrap(), content);

    assert!(matches!(
        refusal(dir.path(), &key).await,
        OpenError::NotADatabase(_)
    ));

    let foreign = dir.path().join("foreign.db");
    run(&foreign, "CREATE TABLE songs (name TEXT)").await;
    let before = std::fs::read(&foreign).unwrap();
    assert!(matches!(
        refusal(&foreign, &key).await,
        OpenError::Foreign(_)
    ));
    assert_eq!(std::fs::read(&foreign).unwrap(), before);

    let nowhere = dir.path().join("missing/x.db");
    let error = refusal(&nowhere, &key).await;
    assert!(matches!(error, OpenError::NoDirectory(_)));
    assert!(error.to_string().contains("missing does not exist"));

    // Not even root can make a file here.
    let closed = refusal(Path::new("/proc/vestibule.db"), &key).await;
    assert!(matches!(closed, OpenError::NoAccess { .. }));
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let f = Fixture::sqlite().await;
    run(&f.path(), "PRAGMA user_version = 99").await;
    let error = refusal(&f.path(), &store_key(1)).await;
    assert!(matches!(error, OpenError::Newer { found: 99, .. }));
    assert!(error.to_string().contains("newer Vestibule"));
}

#[tokio::test]
async fn the_files_are_for_their_owner_alone() {
    let f = Fixture::sqlite().await;
    f.user("ann").await;
    let mut seen = 0;
    for entry in std::fs::read_dir(f.path().parent().unwrap()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{:?}", entry.path());
        seen += 1;
    }
    assert_eq!(seen, 3, "database, log and its index");
}

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

/// A file as the first schema made it, with a user, a share, a session and a code on its way.
async fn first_schema(path: &Path) {
    let data_key = [5; 32];
    let sealed = Vault::new(&[1; 32], Arc::new(OsEntropy)).seal("meta.data_key", &data_key);
    let keys = DigestKeys::derive(&data_key);
    let vault = Vault::new(keys.seal_key(), Arc::new(OsEntropy));
    let options = options(path).create_if_missing(true);
    let mut conn = options.connect().await.unwrap();
    let schema = include_str!("../migrations/0001_init.sql");
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
        include_str!("../migrations/0002_factors.sql"),
        include_str!("../migrations/0003_tokens.sql"),
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

#[tokio::test]
async fn what_was_told_is_there_after_reopening() {
    let f = Fixture::sqlite().await;
    let ann = f.holder("ann", "t").await;
    let session = f.verify(ann, "t").await;
    let subject = f.user_subject(ann);
    for _ in 0..5 {
        f.fail([(subject, POLICY)], NOW).await.unwrap();
    }
    for _ in 0..3 {
        f.store.revoke(Which::User(ann), NOW).await.unwrap();
    }
    let session = {
        f.store.succeeded(&[subject]).await.unwrap();
        let new = f.verify(ann, "t").await;
        assert!(new.id > session.id);
        for _ in 0..5 {
            f.fail([(subject, POLICY)], NOW).await.unwrap();
        }
        new
    };
    f.store.purge(after(8 * 24 * 3600)).await.unwrap();
    let head = f.store.feed_head().await.unwrap();
    let again = f.second().await;
    drop(f);

    assert_eq!(again.store.feed_head().await.unwrap(), head);
    assert!(
        again
            .store
            .blocked(&[subject], NOW)
            .await
            .unwrap()
            .is_some()
    );
    assert!(
        again
            .store
            .token(again.digest("t"), NOW)
            .await
            .unwrap()
            .is_some()
    );
    again.store.revoke(Which::All, NOW).await.unwrap();
    let lines = again.store.revocations_after(head).await.unwrap();
    assert_eq!(lines.len(), 1);
    assert!(lines[0].seq > head);
    again.store.succeeded(&[subject]).await.unwrap();
    assert!(
        again.verify(ann, "t").await.id > session.id,
        "numbers are not used again"
    );
}

#[tokio::test]
async fn sessions_survive_reopening() {
    let f = Fixture::sqlite().await;
    let ann = f.holder("ann", "t").await;
    let session = f.verify(ann, "t").await;
    let again = f.second().await;
    drop(f);
    let found = again.store.session(again.pair("t"), NOW).await.unwrap();
    assert_eq!(found, Some(session));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_gateways_on_one_file_obey_the_same_rules() {
    let a = Arc::new(Fixture::sqlite().await);
    let b = Arc::new(a.second().await);
    let ann = a.holder("ann", "t").await;
    let head = b.store.feed_head().await.unwrap();
    a.verify(ann, "t").await;
    assert!(b.store.session(b.pair("t"), NOW).await.unwrap().is_some());
    assert_eq!(a.store.revoke(Which::User(ann), NOW).await.unwrap(), 1);
    let lines = b.store.revocations_after(head).await.unwrap();
    assert_eq!(lines.last().map(|line| line.which), Some(Which::User(ann)));

    a.send_code(ann, "t", "123456").await;
    let tries = (0..50).map(|n| {
        let f = if n % 2 == 0 { a.clone() } else { b.clone() };
        tokio::spawn(async move { f.try_code(ann, "t", "123456").await })
    });
    let mut verified = 0;
    for tried in tries.collect::<Vec<_>>() {
        match tried.await.unwrap() {
            Attempted::Right(_) => verified += 1,
            other => assert_eq!(other, Attempted::Gone),
        }
    }
    assert_eq!(verified, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_file_can_be_opened_by_many_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let engine = StoreEngine::Sqlite(dir.path().join("new.db"));
    let opening = (0..8).map(|_| {
        let engine = engine.clone();
        tokio::spawn(async move { open(&engine, &store_key(1), Arc::new(OsEntropy)).await })
    });
    let mut seal_keys = Vec::new();
    for opening in opening.collect::<Vec<_>>() {
        let (store, keys) = opening.await.unwrap().unwrap();
        store.ping().await.unwrap();
        seal_keys.push(*keys.seal_key());
    }
    seal_keys.dedup();
    assert_eq!(seal_keys.len(), 1, "one data key");
}

fn big_event() -> Event {
    Event {
        kind: EventKind::Verified,
        user: None,
        route: "x".repeat(100_000),
        address: None,
        detail: String::new(),
    }
}

#[tokio::test]
async fn a_full_disk_is_an_error_that_passes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("full.db");
    let opened = Sqlite::open(&path, &[1; 32], Arc::new(OsEntropy)).await;
    let (store, _) = opened.unwrap();
    sqlx::raw_sql("PRAGMA max_page_count = 1")
        .execute(&store.writer)
        .await
        .unwrap();
    let full = store
        .append(&[(NOW, big_event()), (NOW, big_event())])
        .await;
    assert!(matches!(full, Err(StoreError::Unavailable(_))));
    assert_eq!(store.audit_head().await.unwrap(), 0, "nothing half-done");
    sqlx::raw_sql("PRAGMA max_page_count = 100000")
        .execute(&store.writer)
        .await
        .unwrap();
    store.append(&[(NOW, big_event())]).await.unwrap();
    assert_eq!(store.audit_after(0, 9).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_verb_that_is_dropped_half_way_happens_whole_or_not_at_all() {
    let f = Fixture::sqlite().await;
    let ann = f.holder("ann", "t").await;
    let mut outcomes = [0, 0];
    for polls in 0..60 {
        f.send_code(ann, "t", "123456").await;
        let before = f.store.session(f.pair("t"), NOW).await.unwrap();
        let attempt = f.attempt(ann, "t", "123456");
        tokio::select! {
            biased;
            done = f.store.attempt(attempt, NOW) => {
                passed(done.unwrap());
            }
            () = async { for _ in 0..polls { tokio::task::yield_now().await } } => {}
        }
        f.store.ping().await.unwrap();
        let session = f.store.session(f.pair("t"), NOW).await.unwrap();
        let happened = session != before;
        outcomes[usize::from(happened)] += 1;
        match f.try_code(ann, "t", "123456").await {
            Attempted::Right(_) => assert!(!happened),
            other => {
                assert_eq!(other, Attempted::Gone);
                assert!(happened);
            }
        }
    }
    assert!(outcomes[0] > 0, "some broke off: {outcomes:?}");
}

#[tokio::test]
async fn wizards_without_a_token_are_bounded_in_all() {
    let f = Fixture::sqlite().await;
    f.open_wizard(f.wizard("oldest")).await;
    let mut signed_in = f.wizard("signed in");
    signed_in.token = Some(f.digest("t"));
    f.open_wizard(signed_in).await;
    f.open_wizard(f.wizard("second")).await;
    // Each from an address of its own.
    run(
        &f.path(),
        "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 99998)
         INSERT INTO wizards (digest, kind, stage, realm, opener, expires_at)
         SELECT randomblob(32), 'sign_in', 'opened', 'files', randomblob(32), 1800000600 FROM n",
    )
    .await;
    let other = f.keys.subject("address", "192.0.2.2");
    let open = async |name: &str| {
        let found = f.store.wizard(f.wizard_digest(name), NOW).await;
        found.unwrap().is_some()
    };
    assert!(open("oldest").await, "as many as there may be");
    for (name, dropped) in [("last", "oldest"), ("very last", "second")] {
        assert!(open(dropped).await);
        let opened = f.store.open_wizard(f.wizard(name), other, NOW).await;
        opened.unwrap();
        assert!(open(name).await && !open(dropped).await, "{name}");
    }
    assert!(open("signed in").await);
}

#[tokio::test]
async fn readers_cannot_write() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("r.db");
    let opened = Sqlite::open(&path, &[1; 32], Arc::new(OsEntropy)).await;
    let (store, _) = opened.unwrap();
    let written = sqlx::query("UPDATE meta SET pings = 9").execute(&store.readers);
    assert!(written.await.is_err());
    store.ping().await.unwrap();
}

#[tokio::test]
async fn commits_are_on_disk_when_they_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s.db");
    let opened = Sqlite::open(&path, &[1; 32], Arc::new(OsEntropy)).await;
    let (store, _) = opened.unwrap();
    let mode: String = sqlx::query_scalar("PRAGMA journal_mode")
        .fetch_one(&store.writer)
        .await
        .unwrap();
    let synchronous: i64 = sqlx::query_scalar("PRAGMA synchronous")
        .fetch_one(&store.writer)
        .await
        .unwrap();
    assert_eq!((mode.as_str(), synchronous), ("wal", 2), "2 is FULL");
}

#[tokio::test]
async fn a_verb_that_fails_leaves_nothing_behind() {
    let f = Fixture::sqlite().await;
    // A user who stands in the way of the share's own.
    run(
        &f.path(),
        "INSERT INTO users (realm, name, can_edit_users, created_at)
         VALUES ('files', 'share:1', 0, 0)",
    )
    .await;
    assert!(f.store.create_share(f.new_share("s"), NOW).await.is_err());
    let shares = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM shares");
    let mut conn = options(&f.path()).connect().await.unwrap();
    assert_eq!(shares.fetch_one(&mut conn).await.unwrap(), 0);
    assert_eq!(f.store.token(f.digest("s"), NOW).await.unwrap(), None);
    let next = NewUser {
        name: "bob".to_owned(),
        ..f.new_user("bob")
    };
    assert!(f.store.create_user(next, NOW).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_gateways_lose_no_count() {
    let a = Arc::new(Fixture::sqlite().await);
    let b = Arc::new(a.second().await);
    let subject = a.keys.subject("account", "ann");
    let mut policy = POLICY;
    policy.delay_every = 0;
    policy.lock_at = 100;
    let failures = (1..policy.lock_at).map(|n| {
        let f = if n % 2 == 0 { a.clone() } else { b.clone() };
        tokio::spawn(async move { f.fail([(subject, policy)], NOW).await })
    });
    for failure in failures.collect::<Vec<_>>() {
        failure.await.unwrap().unwrap();
    }
    assert_eq!(a.store.blocked(&[subject], NOW).await.unwrap(), None);
    b.fail([(subject, policy)], NOW).await.unwrap();
    assert!(a.store.blocked(&[subject], NOW).await.unwrap().is_some());
}
