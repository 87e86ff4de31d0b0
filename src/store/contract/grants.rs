//! Clients that wait until a person lets them in.

use super::for_every_engine;
use crate::auth::ports::{Attempt, Attempted, Grant, Purpose, Room, Try, UserCode, Whence};
use crate::clock::Timestamp;
use crate::digest::{Binding, GrantDigest};
use crate::id::UserId;
use crate::secret::Secret;
use crate::store::fixture::{Fixture, NOW, after, passed, whence};
use std::sync::Arc;

for_every_engine![
    a_pair_has_one_code_while_it_lives,
    a_grant_is_found_as_it_was_made,
    what_one_user_has_waiting_is_bounded,
    a_right_code_makes_the_session_and_ends_the_grant,
    a_grant_that_is_over_makes_no_session,
    a_refused_grant_is_over_and_so_are_its_codes,
    a_grant_ends_with_its_token_and_its_user,
    one_of_fifty_opens_the_grant,
    one_of_fifty_approvals_makes_the_session,
];

const ROOM: Room = Room {
    of_user: 3,
    of_network: 2,
};

fn code(f: &Fixture, text: &str) -> GrantDigest {
    f.keys.grant(text)
}

fn grant(f: &Fixture, user: UserId, token: &str, text: &str) -> Grant {
    Grant {
        code: code(f, text),
        pair: f.pair(token),
        token: f.digest(token),
        user,
        device_label: Some("fedcba9876543210".to_owned()),
        whence: whence(),
        host: "files.example.org".to_owned(),
        route: "files".to_owned(),
        asked_at: NOW,
        expires_at: after(600),
    }
}

/// The code that is told, if one is.
async fn open_at(f: &Fixture, grant: Grant, text: &str, now: Timestamp) -> Option<UserCode> {
    let opened = f.store.open_grant(grant, Secret::new(text), ROOM, now);
    opened.await.unwrap()
}

async fn open(f: &Fixture, user: UserId, token: &str, text: &str) -> Option<String> {
    let told = open_at(f, grant(f, user, token, text), text, NOW).await?;
    assert_eq!(told.expires_at, after(600));
    Some(told.text.expose().to_owned())
}

async fn is_live(f: &Fixture, text: &str) -> bool {
    let found = f.store.grant(code(f, text), after(599)).await.unwrap();
    found.is_some()
}

/// An approval by a code that was sent for the grant.
fn approval(f: &Fixture, user: UserId, token: &str, text: &str, typed: &str) -> Attempt {
    let bound_to = Binding::from(code(f, text));
    let sent = Try::Sent {
        bound_to,
        purpose: Purpose::Grant,
        code: f.code(bound_to, Purpose::Grant, typed),
    };
    Attempt {
        tries: vec![sent],
        grant: Some(code(f, text)),
        ..f.attempt(user, token, typed)
    }
}

async fn send(f: &Fixture, user: UserId, text: &str, sent: &str) {
    let bound_to = Binding::from(code(f, text));
    let challenge = crate::auth::ports::NewChallenge {
        bound_to,
        purpose: Purpose::Grant,
        code: Some(f.code(bound_to, Purpose::Grant, sent)),
        ..f.challenge(user, "t", sent)
    };
    f.store.put_challenge(challenge).await.unwrap();
}

async fn approve(f: &Fixture, user: UserId, text: &str, typed: &str, now: Timestamp) -> Attempted {
    let attempt = approval(f, user, "t", text, typed);
    f.store.attempt(attempt, now).await.unwrap()
}

async fn a_pair_has_one_code_while_it_lives(f: Fixture) {
    let ann = f.holder("ann", "t").await;
    assert_eq!(open(&f, ann, "t", "FIRST").await.as_deref(), Some("FIRST"));
    assert_eq!(open(&f, ann, "t", "OTHER").await.as_deref(), Some("FIRST"));
    assert!(!is_live(&f, "OTHER").await);
    let later = Grant {
        expires_at: after(1_200),
        ..grant(&f, ann, "t", "NEXT")
    };
    let told = open_at(&f, later, "NEXT", after(600)).await.unwrap();
    assert_eq!(told.text.expose(), "NEXT");
    let first = f.store.grant(code(&f, "FIRST"), after(600)).await.unwrap();
    assert!(first.is_none());
    // Another user who comes to hold the pair's token is told another code.
    let bob = f.user("bob").await;
    let told = open_at(&f, grant(&f, bob, "t", "BOBS"), "BOBS", after(601)).await;
    assert!(told.is_none_or(|told| told.text.expose() != "NEXT"));
}

async fn a_grant_is_found_as_it_was_made(f: Fixture) {
    let ann = f.holder("ann", "t").await;
    for (token, device_label) in [("t", Some("fedcba9876543210".to_owned())), ("u", None)] {
        let stored = f.store.put_token(f.token(ann, token)).await;
        stored.unwrap();
        let made = Grant {
            device_label,
            ..grant(&f, ann, token, token)
        };
        open_at(&f, made.clone(), token, NOW).await.unwrap();
        let found = f.store.grant(made.code, after(599)).await.unwrap();
        assert_eq!(found, Some(made.clone()));
        assert!(
            f.store
                .grant(made.code, after(600))
                .await
                .unwrap()
                .is_none()
        );
    }
    assert!(!is_live(&f, "unknown").await);
    let nobodys = grant(&f, UserId(99), "x", "x");
    let opened = f.store.open_grant(nobodys, Secret::new("x"), ROOM, NOW);
    assert!(opened.await.is_err());
}

async fn what_one_user_has_waiting_is_bounded(f: Fixture) {
    let ann = f.holder("ann", "a").await;
    let from = |address: &str, token: &str| Grant {
        whence: Whence {
            address: address.parse().unwrap(),
            ..whence()
        },
        ..grant(&f, ann, token, token)
    };
    for token in ["a", "b"] {
        assert!(open(&f, ann, token, token).await.is_some());
    }
    let (near, far, farther) = ("192.0.2.1", "2001:db8::1", "2001:db8:0:1::1");
    assert!(open_at(&f, from(near, "c"), "c", NOW).await.is_none());
    assert!(open_at(&f, from(far, "c"), "c", NOW).await.is_some());
    for address in [near, far, farther] {
        let told = open_at(&f, from(address, "d"), "d", NOW).await;
        assert!(told.is_none(), "{address}");
    }
    assert_eq!(open(&f, ann, "a", "x").await.as_deref(), Some("a"));
    let bob = f.holder("bob", "e").await;
    assert!(open(&f, bob, "e", "e").await.is_some());
    let later = Grant {
        expires_at: after(1_200),
        ..grant(&f, ann, "d", "d")
    };
    assert!(open_at(&f, later, "d", after(600)).await.is_some());
}

async fn a_right_code_makes_the_session_and_ends_the_grant(f: Fixture) {
    let ann = f.holder("ann", "t").await;
    open(&f, ann, "t", "CODE").await.unwrap();
    send(&f, ann, "CODE", "123456").await;
    let wrong = approve(&f, ann, "CODE", "654321", NOW).await;
    assert_eq!(wrong, Attempted::Wrong { left: Some(4) });
    assert!(is_live(&f, "CODE").await);
    let made = passed(approve(&f, ann, "CODE", "123456", NOW).await);
    assert_eq!(made.sessions.len(), 1);
    assert!(f.store.session(f.pair("t"), NOW).await.unwrap().is_some());
    assert!(!is_live(&f, "CODE").await);
    send(&f, ann, "CODE", "123456").await;
    let again = approve(&f, ann, "CODE", "123456", NOW).await;
    assert_eq!(again, Attempted::Gone);
    assert_eq!(open(&f, ann, "t", "NEW").await.as_deref(), Some("NEW"));
}

async fn a_grant_that_is_over_makes_no_session(f: Fixture) {
    let ann = f.holder("ann", "t").await;
    let bob = f.holder("bob", "b").await;
    open(&f, ann, "t", "CODE").await.unwrap();
    send(&f, ann, "CODE", "123456").await;
    let late = approve(&f, ann, "CODE", "123456", after(600)).await;
    assert_eq!(late, Attempted::Gone);
    // Nor for anybody else, whatever code is theirs.
    send(&f, bob, "CODE", "123456").await;
    let theirs = Attempt {
        grant: Some(code(&f, "CODE")),
        ..approval(&f, bob, "b", "CODE", "123456")
    };
    let attempted = f.store.attempt(theirs, NOW).await.unwrap();
    assert_eq!(attempted, Attempted::Gone);
    assert!(f.store.session(f.pair("t"), NOW).await.unwrap().is_none());
    assert!(f.store.session(f.pair("b"), NOW).await.unwrap().is_none());
    assert!(is_live(&f, "CODE").await);
}

async fn a_refused_grant_is_over_and_so_are_its_codes(f: Fixture) {
    let ann = f.holder("ann", "t").await;
    open(&f, ann, "t", "CODE").await.unwrap();
    send(&f, ann, "CODE", "123456").await;
    let refuse = async |text, now| {
        let refused = f.store.refuse_grant(code(&f, text), after(120), now);
        refused.await.unwrap()
    };
    assert!(!refuse("OTHER", NOW).await);
    assert!(!refuse("CODE", after(600)).await);
    assert!(refuse("CODE", after(1)).await);
    assert!(!refuse("CODE", after(1)).await, "once");
    assert!(!is_live(&f, "CODE").await);
    let tried = approve(&f, ann, "CODE", "123456", NOW).await;
    assert_eq!(tried, Attempted::Gone);
    assert_eq!(
        open(&f, ann, "t", "NEW").await,
        None,
        "no other for a while"
    );
    let later = Grant {
        expires_at: after(1_200),
        ..grant(&f, ann, "t", "NEW")
    };
    let early = open_at(&f, later.clone(), "NEW", after(119)).await;
    assert!(early.is_none());
    assert!(open_at(&f, later, "NEW", after(120)).await.is_some());
}

async fn a_grant_ends_with_its_token_and_its_user(f: Fixture) {
    let ann = f.holder("ann", "t").await;
    open(&f, ann, "t", "CODE").await.unwrap();
    let ends = crate::auth::ports::Token {
        expires_at: Some(after(10)),
        ..f.token(ann, "t")
    };
    f.store.put_token(ends).await.unwrap();
    let found = async |now| f.store.grant(code(&f, "CODE"), now).await.unwrap();
    assert!(found(after(9)).await.is_some());
    assert!(found(after(10)).await.is_none());
    f.store.put_token(f.token(ann, "t")).await.unwrap();
    assert!(found(after(10)).await.is_some());
    let reset = f.store.reset_user(ann, f.user_subject(ann), NOW).await;
    reset.unwrap();
    assert!(found(NOW).await.is_none());
    open(&f, ann, "t", "NEXT").await.unwrap();
    let before = f.store.purge(after(599)).await.unwrap();
    let purged = f.store.purge(after(600)).await.unwrap();
    assert!((before, purged) == (0, 1), "{before} {purged}");
    let (share, users) = f
        .store
        .create_share(f.new_share("link"), NOW)
        .await
        .unwrap();
    open(&f, users[0], "link", "SHARE").await.unwrap();
    assert!(!f.store.revoke_share(share, NOW).await.unwrap().is_empty());
    assert!(!is_live(&f, "SHARE").await);
}

async fn one_of_fifty_opens_the_grant(f: Fixture) {
    let ann = f.holder("ann", "t").await;
    let f = Arc::new(f);
    let tasks: Vec<_> = (0..50)
        .map(|n| {
            let f = Arc::clone(&f);
            tokio::spawn(async move { open(&f, ann, "t", &format!("CODE{n}")).await })
        })
        .collect();
    let mut told = std::collections::BTreeSet::new();
    for task in tasks {
        told.insert(task.await.unwrap().unwrap());
    }
    assert_eq!(told.len(), 1, "{told:?}");
}

async fn one_of_fifty_approvals_makes_the_session(f: Fixture) {
    let ann = f.holder("ann", "t").await;
    open(&f, ann, "t", "CODE").await.unwrap();
    send(&f, ann, "CODE", "123456").await;
    let f = Arc::new(f);
    let tasks: Vec<_> = (0..50)
        .map(|_| {
            let f = Arc::clone(&f);
            tokio::spawn(async move { approve(&f, ann, "CODE", "123456", NOW).await })
        })
        .collect();
    let mut right = 0;
    for task in tasks {
        match task.await.unwrap() {
            Attempted::Right(_) => right += 1,
            other => assert_eq!(other, Attempted::Gone),
        }
    }
    assert_eq!(right, 1);
    assert_eq!(f.store.live_sessions(NOW).await.unwrap(), 1);
}
