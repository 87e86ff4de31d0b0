//! What is SQLite's alone: the file, its key, other processes, and what breaks off.

mod opening;
mod schemas;
mod sealed;

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

/// Runs SQL on the file behind the store's back.
async fn run(path: &Path, sql: &'static str) {
    let options = options(path).create_if_missing(true);
    let mut conn = options.connect().await.unwrap();
    sqlx::raw_sql(sql).execute(&mut conn).await.unwrap();
    sqlx::Connection::close(conn).await.unwrap();
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

fn big_event() -> Event {
    Event {
        kind: EventKind::Verified,
        user: None,
        route: "x".repeat(100_000),
        address: None,
        detail: String::new(),
        uid: None,
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
