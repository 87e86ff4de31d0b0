//! Codes, and what wrong ones cost.

use super::for_every_engine;
use crate::auth::lockout::Blocked;
use crate::auth::ports::{Attempted, Purpose, Which};
use crate::id::UserId;
use crate::store::fixture::{Fixture, NOW, POLICY, REALM, WIDE, after, passed};
use std::sync::Arc;

for_every_engine![
    a_right_code_verifies_once,
    no_session_for_a_token_that_has_ended,
    never_sent_gone_and_blocked_are_not_counted,
    the_fifth_wrong_code_voids_the_challenge_and_delays_the_user,
    a_new_code_does_not_reset_the_count,
    a_success_frees_the_user_and_not_the_address,
    an_address_alone_can_be_delayed,
    a_code_is_for_its_own_pair_and_user,
    failures_lock_and_are_forgiven,
    a_reset_forgets_the_second_factor,
    one_of_fifty_right_codes_wins,
];

async fn a_right_code_verifies_once(f: Fixture) {
    let ann = f.holder("ann", "t").await;
    let session = f.verify(ann, "t").await;
    assert_eq!((session.holder.user, &*session.holder.name), (ann, "ann"));
    assert_eq!((session.verified_at, session.last_seen_at), (NOW, NOW));
    assert_eq!(session.expires_at, after(3600));
    let stored = f.store.session(f.pair("t"), NOW).await.unwrap();
    assert_eq!(stored, Some(session.clone()));
    assert_eq!(f.try_code(ann, "t", "123456").await, Attempted::Gone);

    let rows = f.store.sessions(Some(ann), NOW).await.unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].session, session);
    assert_eq!(rows[0].realm, REALM);
    assert_eq!(rows[0].device_label.as_deref(), Some("fedcba9876543210"));
    let none = f.store.sessions(Some(UserId(99)), NOW).await.unwrap();
    assert!(none.is_empty());
}

async fn no_session_for_a_token_that_has_ended(f: Fixture) {
    let ann = f.user("ann").await;
    let bob = f.user("bob").await;
    f.send_code(ann, "t", "123456").await;
    assert_eq!(f.try_code(ann, "t", "123456").await, Attempted::Gone);
    let mut token = f.token(ann, "t");
    token.expires_at = Some(NOW);
    f.store.put_token(token).await.unwrap();
    assert_eq!(f.try_code(ann, "t", "123456").await, Attempted::Gone);
    f.store.put_token(f.token(bob, "t")).await.unwrap();
    assert_eq!(f.try_code(ann, "t", "123456").await, Attempted::Gone);
    assert_eq!(f.store.session(f.pair("t"), NOW).await.unwrap(), None);
}

async fn never_sent_gone_and_blocked_are_not_counted(f: Fixture) {
    let ann = f.holder("ann", "t").await;
    for _ in 0..6 {
        assert_eq!(f.try_code(ann, "t", "000000").await, Attempted::NeverSent);
    }
    f.send_code(ann, "t", "123456").await;
    let late = f.attempt(ann, "t", "123456");
    for code in ["123456", "000000"] {
        let late = f.attempt(ann, "t", code);
        assert_eq!(
            f.store.attempt(late, after(600)).await.unwrap(),
            Attempted::Gone
        );
    }
    let verified = f.store.attempt(late, after(599)).await.unwrap();
    passed(verified);
    for _ in 0..6 {
        assert_eq!(f.try_code(ann, "t", "000000").await, Attempted::Gone);
    }
    let subjects = [f.user_subject(ann), f.address_subject()];
    assert_eq!(f.store.blocked(&subjects, NOW).await.unwrap(), None);
}

async fn the_fifth_wrong_code_voids_the_challenge_and_delays_the_user(f: Fixture) {
    let ann = f.holder("ann", "t").await;
    f.send_code(ann, "t", "123456").await;
    for left in (0..5).rev() {
        assert_eq!(
            f.try_code(ann, "t", "000000").await,
            Attempted::Wrong { left: Some(left) }
        );
    }
    let delayed = Attempted::Blocked(Blocked::Delayed {
        retry_after_secs: 30,
    });
    assert_eq!(f.try_code(ann, "t", "123456").await, delayed);
    let right = f.attempt(ann, "t", "123456");
    let after_delay = f.store.attempt(right, after(30)).await.unwrap();
    assert_eq!(after_delay, Attempted::Gone);
    assert_eq!(f.store.session(f.pair("t"), NOW).await.unwrap(), None);
}

async fn a_new_code_does_not_reset_the_count(f: Fixture) {
    let ann = f.holder("ann", "t").await;
    f.store.put_token(f.token(ann, "u")).await.unwrap();
    f.send_code(ann, "t", "123456").await;
    f.send_code(ann, "u", "123456").await;
    for token in ["t", "u", "t", "u"] {
        let tried = f.try_code(ann, token, "000000").await;
        assert!(matches!(tried, Attempted::Wrong { .. }));
    }
    f.send_code(ann, "t", "654321").await;
    assert_eq!(
        f.try_code(ann, "t", "123456").await,
        Attempted::Wrong { left: Some(4) }
    );
    assert!(matches!(
        f.try_code(ann, "t", "654321").await,
        Attempted::Blocked(_)
    ));
}

async fn a_success_frees_the_user_and_not_the_address(f: Fixture) {
    let ann = f.holder("ann", "t").await;
    let (user, address) = (f.user_subject(ann), f.address_subject());
    f.send_code(ann, "t", "123456").await;
    for _ in 0..4 {
        f.try_code(ann, "t", "000000").await;
    }
    let verified = f.try_code(ann, "t", "123456").await;
    passed(verified);
    // One more failure would be the fifth for both.
    f.fail([(user, POLICY), (address, POLICY)], NOW)
        .await
        .unwrap();
    assert_eq!(f.store.blocked(&[user], NOW).await.unwrap(), None);
    assert!(f.store.blocked(&[address], NOW).await.unwrap().is_some());
}

async fn an_address_alone_can_be_delayed(f: Fixture) {
    let ann = f.holder("ann", "t").await;
    f.send_code(ann, "t", "123456").await;
    let address = [(f.address_subject(), WIDE)];
    for _ in 0..50 {
        f.fail(address, NOW).await.unwrap();
    }
    assert!(matches!(
        f.try_code(ann, "t", "123456").await,
        Attempted::Blocked(Blocked::Delayed { .. })
    ));
}

async fn a_code_is_for_its_own_pair_and_user(f: Fixture) {
    let ann = f.holder("ann", "t").await;
    let bob = f.holder("bob", "u").await;
    f.send_code(ann, "t", "123456").await;
    assert_eq!(f.try_code(bob, "u", "123456").await, Attempted::NeverSent);
    assert_eq!(f.try_code(bob, "t", "123456").await, Attempted::Gone);
    let anns = vec![f.sent("t", Purpose::Verify, "123456")];
    assert_eq!(f.try_all(bob, anns).await, Attempted::NeverSent);
    let verified = f.try_code(ann, "t", "123456").await;
    passed(verified);
}

async fn failures_lock_and_are_forgiven(f: Fixture) {
    let (a, b) = (
        f.keys.subject("account", "a"),
        f.keys.subject("account", "b"),
    );
    let mut strict = POLICY;
    strict.lock_at = 7;
    for _ in 0..5 {
        f.fail([(a, strict), (b, POLICY)], NOW).await.unwrap();
    }
    let delayed = Some(Blocked::Delayed {
        retry_after_secs: 30,
    });
    assert_eq!(f.store.blocked(&[a, b], NOW).await.unwrap(), delayed);
    assert_eq!(f.store.blocked(&[a, b], after(30)).await.unwrap(), None);
    for _ in 0..2 {
        f.fail([(a, strict)], NOW).await.unwrap();
    }
    assert_eq!(
        f.store.blocked(&[b, a], NOW).await.unwrap(),
        Some(Blocked::Locked)
    );
    let unknown = f.keys.subject("account", "c");
    assert_eq!(f.store.blocked(&[unknown], NOW).await.unwrap(), None);
    f.store.succeeded(&[a, b]).await.unwrap();
    assert_eq!(f.store.blocked(&[a, b], NOW).await.unwrap(), None);
    f.fail([(a, strict)], NOW).await.unwrap();
    assert_eq!(f.store.blocked(&[a], NOW).await.unwrap(), None);
}

async fn a_reset_forgets_the_second_factor(f: Fixture) {
    let ann = f.holder("ann", "t").await;
    let bob = f.holder("bob", "u").await;
    f.verify(ann, "t").await;
    f.verify(bob, "u").await;
    f.send_code(ann, "t", "222222").await;
    let subject = f.user_subject(ann);
    for _ in 0..5 {
        f.fail([(subject, POLICY)], NOW).await.unwrap();
    }
    f.store.reset_user(ann, subject, NOW).await.unwrap();
    assert_eq!(f.store.blocked(&[subject], NOW).await.unwrap(), None);
    assert_eq!(f.try_code(ann, "t", "222222").await, Attempted::Gone);
    assert_eq!(f.store.session(f.pair("t"), NOW).await.unwrap(), None);
    assert!(f.store.session(f.pair("u"), NOW).await.unwrap().is_some());
    let lines = f.store.revocations_after(0).await.unwrap();
    assert_eq!(lines.last().map(|line| line.which), Some(Which::User(ann)));
}

async fn one_of_fifty_right_codes_wins(f: Fixture) {
    let ann = f.holder("ann", "t").await;
    f.send_code(ann, "t", "123456").await;
    let f = Arc::new(f);
    let tries = (0..50).map(|_| {
        let f = f.clone();
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
    assert_eq!(f.store.sessions(None, NOW).await.unwrap().len(), 1);
}
