//! Families of tokens, and tokens that stand for others.

use super::for_every_engine;
use crate::auth::ports::{Born, Issue, NewSession, Refreshed, Rotation, Seen, Token, Which};
use crate::clock::Timestamp;
use crate::gate::session::Session;
use crate::id::UserId;
use crate::secret::Secret;
use crate::store::fixture::{Fixture, NOW, REALM, after, passed, whence};
use std::sync::Arc;

for_every_engine![
    what_is_issued_stands_for_its_root,
    a_rotation_hands_everything_on,
    of_fifty_refreshes_at_once_one_wins_and_none_survives,
    a_family_ends_in_time_and_with_its_root,
    a_root_that_changes_hands_takes_what_was_born_of_it,
    a_revoked_share_takes_what_was_born_of_it,
    a_dropped_token_takes_its_kin_and_nothing_else,
    a_revoked_session_does_not_come_back,
    what_has_long_ended_is_purged,
];

const DEVICE: &str = "fedcba9876543210";

fn issue(f: &Fixture, access: &Token, refresh: &str) -> Issue {
    Issue {
        access: access.clone(),
        refresh: f.keys.refresh(refresh),
        refresh_expires_at: after(2000),
        family_ends_at: after(5000),
        device_label: Some(DEVICE.to_owned()),
    }
}

/// An access token that stands for `root`.
fn born(f: &Fixture, user: UserId, root: &str, token: &str) -> Token {
    Token {
        scope: Some("/dir/".to_owned()),
        born: Some(Born {
            of: f.digest(root),
            original: Secret::new(root),
        }),
        expires_at: Some(after(600)),
        ..f.token(user, token)
    }
}

/// Verifies `root`, and issues `access` with `refresh` and a session.
async fn verify(f: &Fixture, user: UserId, root: &str, access: &Token, refresh: &str) -> Session {
    f.send_code(user, root, "123456").await;
    let mut attempt = f.attempt(user, root, "123456");
    attempt.then.issue = Some(issue(f, access, refresh));
    let new = NewSession {
        key: access.issued_pair.unwrap(),
        token: access.digest,
        ..f.new_session(user, root)
    };
    attempt.then.sessions.push(new);
    let passed = passed(f.store.attempt(attempt, NOW).await.unwrap());
    passed.sessions.into_iter().nth(1).unwrap()
}

async fn world(f: &Fixture) -> (UserId, Session) {
    let ann = f.holder("ann", "root").await;
    let access = born(f, ann, "root", "access");
    let session = verify(f, ann, "root", &access, "refresh").await;
    (ann, session)
}

async fn rotate(f: &Fixture, old: &str, new: &str, now: Timestamp) -> Refreshed {
    let rotation = Rotation {
        old: f.keys.refresh(old),
        access: f.digest(&format!("access of {new}")),
        pair: f.pair(&format!("access of {new}")),
        access_expires_at: Timestamp(now.0 + 600),
        refresh: f.keys.refresh(new),
        refresh_expires_at: Timestamp(now.0 + 2000),
        whence: whence(),
    };
    f.store.rotate(rotation, now).await.unwrap()
}

async fn is_live(f: &Fixture, token: &str, now: Timestamp) -> bool {
    f.store.token(f.digest(token), now).await.unwrap().is_some()
}

async fn what_is_issued_stands_for_its_root(f: Fixture) {
    let (ann, session) = world(&f).await;
    let (token, holder) = f
        .store
        .token(f.digest("access"), NOW)
        .await
        .unwrap()
        .unwrap();
    let stored = token.born.clone().unwrap();
    assert_eq!(
        (stored.of, stored.original),
        (f.digest("root"), Secret::default())
    );
    assert_eq!((token.user, holder.scope()), (ann, Some("/dir/")));
    let found = f.store.session(f.pair("access"), NOW).await.unwrap();
    assert_eq!(found.as_ref(), Some(&session));
    assert_eq!(session.expires_at, after(600));
    for holder in [&holder, &session.holder] {
        let sealed = holder.terms.as_ref().unwrap().original.clone().unwrap();
        let opened = f.store.original(f.digest("access"), &sealed);
        assert_eq!(opened, Some(Secret::new("root")));
        assert_eq!(f.store.original(f.digest("root"), &sealed), None);
    }
    let (_, plain) = f.store.token(f.digest("root"), NOW).await.unwrap().unwrap();
    assert!(plain.terms.is_none());
    let family = f
        .store
        .family(f.keys.refresh("refresh"), NOW)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (family.user, family.realm.as_str(), family.name.as_str()),
        (ann, REALM, "ann")
    );
    assert_eq!(family.device_label.as_deref(), Some(DEVICE));
    assert_eq!(
        (family.verified_at, family.ends_at),
        (Some(NOW), after(5000))
    );
    assert!(
        f.store
            .family(f.keys.refresh("access"), NOW)
            .await
            .unwrap()
            .is_none()
    );
}

async fn a_rotation_hands_everything_on(f: Fixture) {
    let (_, session) = world(&f).await;
    let seen = Seen {
        id: session.id,
        last_seen_at: after(50),
        longest_pause_secs: 40,
    };
    f.store.touch(&[seen]).await.unwrap();
    let Refreshed::Yes(Some(new)) = rotate(&f, "refresh", "second", after(100)).await else {
        panic!()
    };
    assert_eq!((new.factor, new.verified_at), (session.factor, NOW));
    assert_eq!((new.last_seen_at, new.expires_at), (after(50), after(700)));
    assert_eq!(new.longest_pause_secs, 40);
    assert_ne!(new.id, session.id);
    assert_eq!(new.holder.scope(), Some("/dir/"));
    let sealed = new.holder.terms.as_ref().unwrap().original.clone().unwrap();
    let digest = f.digest("access of second");
    assert_eq!(f.store.original(digest, &sealed), Some(Secret::new("root")));
    let pair = f.pair("access of second");
    assert_eq!(f.store.session(pair, after(100)).await.unwrap(), Some(new));
    let (token, _) = f.store.token(digest, after(100)).await.unwrap().unwrap();
    assert_eq!(
        (token.issued_pair, token.expires_at),
        (Some(pair), Some(after(700)))
    );
    assert!(is_live(&f, "access", after(100)).await);
    assert_eq!(
        rotate(&f, "unknown", "x", after(100)).await,
        Refreshed::Unknown
    );
    // Past its own end a refresh token is nothing, though its family goes on.
    assert_eq!(
        rotate(&f, "second", "third", after(2100)).await,
        Refreshed::Unknown
    );
}

async fn of_fifty_refreshes_at_once_one_wins_and_none_survives(f: Fixture) {
    world(&f).await;
    let before = f.store.feed_head().await.unwrap();
    let f = Arc::new(f);
    let racing: Vec<_> = (0..50)
        .map(|at| {
            let f = Arc::clone(&f);
            tokio::spawn(async move { rotate(&f, "refresh", &format!("r{at}"), after(1)).await })
        })
        .collect();
    let mut won = Vec::new();
    let mut reused = 0;
    for (at, one) in racing.into_iter().enumerate() {
        match one.await.unwrap() {
            Refreshed::Yes(session) => won.push((at, session.unwrap())),
            Refreshed::Reused => reused += 1,
            Refreshed::Unknown => {}
        }
    }
    assert_eq!((won.len(), reused), (1, 1));
    let (at, session) = &won[0];
    for token in ["access".to_owned(), format!("access of r{at}")] {
        assert!(!is_live(&f, &token, after(1)).await, "{token}");
        assert_eq!(
            f.store.session(f.pair(&token), after(1)).await.unwrap(),
            None
        );
    }
    let next = format!("r{at}");
    assert_eq!(rotate(&f, &next, "x", after(1)).await, Refreshed::Unknown);
    assert!(is_live(&f, "root", after(1)).await);
    let feed = f.store.revocations_after(before).await.unwrap();
    let ended: Vec<_> = feed.iter().map(|line| line.which).collect();
    assert_eq!(ended.len(), 2, "{ended:?}");
    assert!(ended.contains(&Which::Session(session.id)));
}

async fn a_family_ends_in_time_and_with_its_root(f: Fixture) {
    let (ann, _) = world(&f).await;
    let refresh = |name: &str| f.keys.refresh(name);
    rotate(&f, "refresh", "second", after(1900)).await;
    rotate(&f, "second", "third", after(3800)).await;
    rotate(&f, "third", "fourth", after(4900)).await;
    assert!(is_live(&f, "access of fourth", after(4999)).await);
    assert!(!is_live(&f, "access of fourth", after(5000)).await);
    assert!(
        f.store
            .family(refresh("fourth"), after(5000))
            .await
            .unwrap()
            .is_none()
    );
    assert_eq!(
        rotate(&f, "fourth", "fifth", after(5000)).await,
        Refreshed::Unknown
    );

    let access = born(&f, ann, "root", "other");
    verify(&f, ann, "root", &access, "other refresh").await;
    let mut shorter = f.token(ann, "root");
    shorter.expires_at = Some(after(300));
    f.store.put_token(shorter).await.unwrap();
    assert!(is_live(&f, "other", after(299)).await);
    assert!(!is_live(&f, "other", after(300)).await);
    let pair = f.pair("other");
    assert_eq!(f.store.session(pair, after(300)).await.unwrap(), None);
    assert_eq!(
        rotate(&f, "other refresh", "x", after(300)).await,
        Refreshed::Unknown
    );
    let expired = rotate(&f, "other refresh", "y", after(299)).await;
    assert!(
        matches!(expired, Refreshed::Yes(Some(_))),
        "nothing was spent: {expired:?}"
    );
}

async fn a_root_that_changes_hands_takes_what_was_born_of_it(f: Fixture) {
    let (_, session) = world(&f).await;
    let bob = f.user("bob").await;
    let before = f.store.feed_head().await.unwrap();
    f.store.put_token(f.token(bob, "root")).await.unwrap();
    assert!(!is_live(&f, "access", NOW).await);
    assert_eq!(f.store.session(f.pair("access"), NOW).await.unwrap(), None);
    assert_eq!(rotate(&f, "refresh", "x", NOW).await, Refreshed::Unknown);
    let feed = f.store.revocations_after(before).await.unwrap();
    assert!(
        feed.iter()
            .any(|line| line.which == Which::Session(session.id))
    );
    // The same user again takes nothing.
    f.store.put_token(f.token(bob, "root")).await.unwrap();
    let access = born(&f, bob, "root", "bobs");
    verify(&f, bob, "root", &access, "bobs refresh").await;
    f.store.put_token(f.token(bob, "root")).await.unwrap();
    assert!(is_live(&f, "bobs", NOW).await);
}

async fn a_revoked_share_takes_what_was_born_of_it(f: Fixture) {
    let mut new = f.new_share("link");
    new.expires_at = Some(after(400));
    let (share, user) = f.share(new).await;
    let mut access = born(&f, user, "link", "access");
    access.share = Some(share);
    verify(&f, user, "link", &access, "refresh").await;
    let Refreshed::Yes(Some(session)) = rotate(&f, "refresh", "second", after(1)).await else {
        panic!()
    };
    assert_eq!(session.expires_at, after(400), "the share's end");
    assert_eq!(
        rotate(&f, "second", "x", after(400)).await,
        Refreshed::Unknown
    );
    let ended = f.store.revoke_share(share, after(2)).await;
    assert_eq!(ended.unwrap(), [user]);
    for token in ["access", "access of second", "link"] {
        assert!(!is_live(&f, token, after(2)).await, "{token}");
    }
    assert_eq!(
        rotate(&f, "second", "x", after(2)).await,
        Refreshed::Unknown
    );
    assert!(f.store.user(user).await.unwrap().is_none());
}

async fn a_dropped_token_takes_its_kin_and_nothing_else(f: Fixture) {
    let (ann, _) = world(&f).await;
    let other = f.holder("bob", "bobs").await;
    let bobs = f.verify(other, "bobs").await;
    f.store.put_token(f.token(ann, "plain")).await.unwrap();
    let plain = f.verify(ann, "plain").await;
    let head = f.store.feed_head().await.unwrap();

    let nothing = f.store.drop_token(f.digest("unknown"), NOW).await.unwrap();
    assert!(nothing.is_empty());
    let ended = f.store.drop_token(f.digest("plain"), NOW).await.unwrap();
    assert_eq!(ended, [plain.id]);
    assert!(!is_live(&f, "plain", NOW).await && is_live(&f, "root", NOW).await);
    assert_eq!(f.store.session(f.pair("plain"), NOW).await.unwrap(), None);

    // What stands for a token ends with it, and can be renewed by nobody.
    let before: Vec<_> = f.store.sessions(Some(ann), NOW).await.unwrap();
    let before: Vec<_> = before.iter().map(|row| row.session.id).collect();
    assert!(!before.is_empty());
    let mut ended = f.store.drop_token(f.digest("root"), NOW).await.unwrap();
    ended.sort_unstable_by(|a, b| b.cmp(a));
    assert_eq!(ended, before);
    assert!(!is_live(&f, "root", NOW).await && !is_live(&f, "access", NOW).await);
    assert!(matches!(
        rotate(&f, "refresh", "second", NOW).await,
        Refreshed::Unknown
    ));
    assert!(f.store.sessions(Some(ann), NOW).await.unwrap().is_empty());
    let again = f.store.drop_token(f.digest("root"), NOW).await.unwrap();
    assert!(again.is_empty());

    let lines = f.store.revocations_after(head).await.unwrap();
    assert_eq!(lines.len(), 1 + before.len());
    let of_bob = |line: &crate::auth::ports::Revocation| line.which.concerns(bobs.id, other);
    assert!(!lines.iter().any(of_bob));
    let bobs = f.store.session(f.pair("bobs"), NOW).await.unwrap();
    assert!(bobs.is_some());
}

async fn a_revoked_session_does_not_come_back(f: Fixture) {
    let (ann, session) = world(&f).await;
    for (at, which) in [
        Which::UserBut(ann, session.id),
        Which::Session(session.id),
        Which::User(ann),
        Which::All,
    ]
    .into_iter()
    .enumerate()
    {
        let (root, token, refresh) = (format!("root{at}"), format!("a{at}"), format!("r{at}"));
        f.store.put_token(f.token(ann, &root)).await.unwrap();
        let access = born(&f, ann, &root, &token);
        let own = verify(&f, ann, &root, &access, &refresh).await;
        let which = match which {
            Which::Session(_) => Which::Session(own.id),
            other => other,
        };
        f.store.revoke(which, NOW).await.unwrap();
        let spared = f.store.family(f.keys.refresh("refresh"), NOW).await;
        let is_spared = spared.unwrap().unwrap().verified_at.is_some();
        assert_eq!(is_spared, at < 2, "{which:?}");
        let family = f
            .store
            .family(f.keys.refresh(&refresh), NOW)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(family.verified_at, None);
        let next = format!("{refresh}'");
        assert_eq!(rotate(&f, &refresh, &next, NOW).await, Refreshed::Yes(None));
        // A new verification of the new token is passed on again.
        f.verify(ann, &format!("access of {next}")).await;
        let last = rotate(&f, &next, &format!("{next}'"), NOW).await;
        assert!(matches!(last, Refreshed::Yes(Some(_))), "{which:?}");
    }
}

async fn what_has_long_ended_is_purged(f: Fixture) {
    let (ann, _) = world(&f).await;
    rotate(&f, "refresh", "second", after(1)).await;
    f.store.purge(after(4000)).await.unwrap();
    assert!(is_live(&f, "access of second", after(1)).await);
    let day = 86_400;
    f.store.purge(after(5000 + day)).await.unwrap();
    let family = f.store.family(f.keys.refresh("second"), after(1)).await;
    assert!(
        !is_live(&f, "access", NOW).await,
        "though it is asked of a time before"
    );
    assert!(is_live(&f, "root", NOW).await);
    // One that ended at that very moment may stay.
    f.store.purge(after(5001 + day)).await.unwrap();
    assert!(family.is_ok());
    let family = f.store.family(f.keys.refresh("second"), after(1)).await;
    assert!(family.unwrap().is_none());
    assert_eq!(f.store.purge(after(5001 + day)).await.unwrap(), 0);
    // No root, no token.
    let stray = born(&f, ann, "nobody's", "stray");
    f.store.put_token(stray).await.unwrap();
    assert!(!is_live(&f, "stray", NOW).await);
    let removed = f.store.purge(after(5001 + day)).await.unwrap();
    assert_eq!(removed, 1);
}

#[tokio::test]
async fn what_is_kept_is_sealed_and_survives_a_restart() {
    let f = Fixture::sqlite().await;
    let root = "root-token-of-ann-4711";
    let ann = f.holder("ann", root).await;
    let access = born(&f, ann, root, "access-token-4711");
    verify(&f, ann, root, &access, "refresh-token-4711").await;
    let key = crate::auth::ports::SigningKey {
        kid: "the-kid".to_owned(),
        algorithm: crate::auth::ports::SigningAlgorithm::EdDsa,
        private: Secret::new("private-key-4711"),
        created_at: NOW,
        signs_from: NOW,
        ends_at: None,
    };
    assert!(f.store.add_first_key(key.clone()).await.unwrap());
    let mut bytes = Vec::new();
    for entry in std::fs::read_dir(f.path().parent().unwrap()).unwrap() {
        bytes.extend(std::fs::read(entry.unwrap().path()).unwrap());
    }
    let holds = |text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
    assert!(holds(b"the-kid"), "the search itself works");
    for secret in [root, "access-token", "refresh-token", "private-key"] {
        assert!(!holds(secret.as_bytes()), "{secret}");
    }
    let again = f.second().await;
    drop(f);
    assert_eq!(again.store.signing_keys(NOW).await.unwrap(), [key]);
    let new = rotate(&again, "refresh-token-4711", "second", after(1)).await;
    let Refreshed::Yes(Some(session)) = new else {
        panic!("{new:?}")
    };
    let sealed = session
        .holder
        .terms
        .as_ref()
        .unwrap()
        .original
        .clone()
        .unwrap();
    let digest = again.digest("access of second");
    assert_eq!(
        again.store.original(digest, &sealed),
        Some(Secret::new(root))
    );
}
