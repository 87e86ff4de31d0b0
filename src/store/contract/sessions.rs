//! Sessions, the feed of their ends, events and purging.

use super::for_every_engine;
use crate::auth::lockout::Blocked;
use crate::auth::ports::{Attempted, NewSession, Seen, Whence, Which};
use crate::digest::SubjectDigest;
use crate::event::{Event, EventKind};
use crate::id::{SessionId, UserId};
use crate::store::fixture::{Fixture, NOW, POLICY, after, granted, passed, whence};

for_every_engine![
    a_new_session_of_a_pair_has_a_new_number_and_ends_the_old_one,
    a_session_ends_at_its_end_and_with_its_token,
    revoking_ends_what_it_names_and_is_always_told,
    a_session_takes_the_place_of_another_one_of_its_token,
    all_but_one_end_and_only_while_that_one_is_live,
    of_two_that_end_each_other_one_stays,
    a_session_is_known_by_where_and_with_what_it_was_verified,
    touching_never_goes_back,
    events_come_back_newest_first,
    purging_keeps_what_is_needed,
];

async fn a_new_session_of_a_pair_has_a_new_number_and_ends_the_old_one(f: Fixture) {
    let ann = f.holder("ann", "t").await;
    let old = f.verify(ann, "t").await;
    let new = f.verify(ann, "t").await;
    assert!(new.id > old.id);
    let lines = f.store.revocations_after(0).await.unwrap();
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0].which, Which::Session(old.id));
    assert_eq!(
        f.store.revoke(Which::Session(old.id), NOW).await.unwrap(),
        0
    );
    let stored = f.store.session(f.pair("t"), NOW).await.unwrap();
    assert_eq!(stored.map(|s| s.id), Some(new.id));
    assert_eq!(f.store.sessions(None, NOW).await.unwrap().len(), 1);
    assert_eq!(f.store.live_sessions(NOW).await.unwrap(), 1);
}

async fn a_session_ends_at_its_end_and_with_its_token(f: Fixture) {
    let ann = f.holder("ann", "t").await;
    f.verify(ann, "t").await;
    let key = f.pair("t");
    assert!(f.store.session(key, after(3599)).await.unwrap().is_some());
    assert_eq!(f.store.session(key, after(3600)).await.unwrap(), None);
    assert!(
        f.store
            .sessions(None, after(3600))
            .await
            .unwrap()
            .is_empty()
    );

    let mut token = f.token(ann, "t");
    token.expires_at = Some(after(100));
    token.scope = Some("/a/".to_owned());
    f.store.put_token(token).await.unwrap();
    let session = f.store.session(key, NOW).await.unwrap().unwrap();
    assert_eq!(session.expires_at, after(100));
    assert_eq!(session.holder.scope(), Some("/a/"));
    assert_eq!(f.store.session(key, after(100)).await.unwrap(), None);
}

async fn revoking_ends_what_it_names_and_is_always_told(f: Fixture) {
    let ann = f.holder("ann", "a").await;
    let bob = f.holder("bob", "b").await;
    f.store.put_token(f.token(ann, "c")).await.unwrap();
    f.verify(ann, "a").await;
    let second = f.verify(ann, "c").await;
    f.verify(bob, "b").await;
    assert_eq!(f.store.feed_head().await.unwrap(), 0);

    let one = Which::Session(second.id);
    assert_eq!(f.store.revoke(one, NOW).await.unwrap(), 1);
    assert_eq!(f.store.session(f.pair("c"), NOW).await.unwrap(), None);
    assert!(f.store.session(f.pair("a"), NOW).await.unwrap().is_some());
    let all_of_ann = Which::User(ann);
    assert_eq!(f.store.revoke(all_of_ann, NOW).await.unwrap(), 1);
    assert_eq!(f.store.session(f.pair("a"), NOW).await.unwrap(), None);
    assert!(f.store.session(f.pair("b"), NOW).await.unwrap().is_some());
    assert_eq!(
        f.store.revoke(Which::All, after(3600)).await.unwrap(),
        0,
        "expired"
    );
    assert_eq!(f.store.session(f.pair("b"), NOW).await.unwrap(), None);
    let unknown = Which::Session(SessionId(99));
    assert_eq!(f.store.revoke(unknown, NOW).await.unwrap(), 0);

    let lines = f.store.revocations_after(0).await.unwrap();
    let told: Vec<_> = lines.iter().map(|line| line.which).collect();
    assert_eq!(told, [one, all_of_ann, Which::All, unknown]);
    assert!(lines.windows(2).all(|two| two[0].seq < two[1].seq));
    assert_eq!(f.store.feed_head().await.unwrap(), lines[3].seq);
    let rest = f.store.revocations_after(lines[1].seq).await.unwrap();
    assert_eq!(rest, lines[2..]);
}

async fn a_session_takes_the_place_of_another_one_of_its_token(f: Fixture) {
    let (ann, bob) = (f.holder("ann", "a").await, f.holder("bob", "b").await);
    let old = f.verify(ann, "a").await;
    let other = f.verify(bob, "b").await;
    let renewed = async |key: &str, instead_of: &str| {
        f.send_code(ann, "a", "123456").await;
        let mut attempt = f.attempt(ann, "a", "123456");
        attempt.then.sessions[0].key = f.pair(key);
        attempt.then.sessions[0].instead_of = Some(f.pair(instead_of));
        passed(f.store.attempt(attempt, NOW).await.unwrap());
    };
    renewed("a, new device", "a").await;
    // Another token's session is not touched, whatever is asked for.
    renewed("a, newer device", "b").await;
    let rows = f.store.sessions(None, NOW).await.unwrap();
    assert_eq!(rows.len(), 3);
    assert!(rows.iter().any(|row| row.session.id == other.id));
    let lines = f.store.revocations_after(0).await.unwrap();
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0].which, Which::Session(old.id));
    // In its own place: the new one stays.
    renewed("a", "a").await;
    assert!(f.store.session(f.pair("a"), NOW).await.unwrap().is_some());
}

async fn all_but_one_end_and_only_while_that_one_is_live(f: Fixture) {
    let ann = f.holder("ann", "a").await;
    let bob = f.holder("bob", "b").await;
    f.store.put_token(f.token(ann, "c")).await.unwrap();
    f.verify(ann, "a").await;
    let own = f.verify(ann, "c").await;
    let foreign = f.verify(bob, "b").await;
    for nothing in [
        Which::UserBut(ann, foreign.id),
        Which::UserBut(bob, own.id),
        Which::UserBut(ann, SessionId(99)),
    ] {
        assert_eq!(f.store.revoke(nothing, NOW).await.unwrap(), 0);
    }
    let ended = Which::UserBut(ann, own.id);
    assert_eq!(
        f.store.revoke(ended, after(3600)).await.unwrap(),
        0,
        "expired"
    );
    assert_eq!(f.store.feed_head().await.unwrap(), 0, "none was told");
    assert_eq!(f.store.live_sessions(NOW).await.unwrap(), 3);

    assert_eq!(f.store.revoke(ended, NOW).await.unwrap(), 1);
    assert_eq!(f.store.session(f.pair("a"), NOW).await.unwrap(), None);
    for stays in ["b", "c"] {
        let found = f.store.session(f.pair(stays), NOW).await.unwrap();
        assert!(found.is_some(), "{stays}");
    }
    let lines = f.store.revocations_after(0).await.unwrap();
    assert_eq!(lines.iter().map(|it| it.which).collect::<Vec<_>>(), [ended]);
    // Backup codes that any of the user's sessions is just making are not put.
    assert!(!put_backup(&f, ann, 0).await);
    assert!(put_backup(&f, ann, 1).await);
    assert!(put_backup(&f, bob, 0).await);
}

async fn put_backup(f: &Fixture, user: UserId, since: i64) -> bool {
    let codes = crate::auth::ports::BackupCodes {
        salt: [1; 16],
        codes: vec![f.backup_code("12345678")],
    };
    let put = f.store.put_backup_codes(user, codes, since, NOW);
    put.await.unwrap()
}

async fn of_two_that_end_each_other_one_stays(f: Fixture) {
    let ann = f.holder("ann", "a").await;
    f.store.put_token(f.token(ann, "b")).await.unwrap();
    let a = f.verify(ann, "a").await;
    let b = f.verify(ann, "b").await;
    let (by_a, by_b) = tokio::join!(
        f.store.revoke(Which::UserBut(ann, a.id), NOW),
        f.store.revoke(Which::UserBut(ann, b.id), NOW),
    );
    assert_eq!(by_a.unwrap() + by_b.unwrap(), 1);
    assert_eq!(f.store.live_sessions(NOW).await.unwrap(), 1);
}

async fn a_session_is_known_by_where_and_with_what_it_was_verified(f: Fixture) {
    let ann = f.holder("ann", "t").await;
    f.send_code(ann, "t", "123456").await;
    let mut attempt = f.attempt(ann, "t", "123456");
    let other = Whence {
        address: "2001:db8::1".parse().unwrap(),
        client: String::new(),
    };
    attempt.then.sessions.push(NewSession {
        key: f.pair("u"),
        whence: other.clone(),
        ..f.new_session(ann, "t")
    });
    f.store.attempt(attempt, NOW).await.unwrap();
    let rows = f.store.sessions(Some(ann), NOW).await.unwrap();
    let known: Vec<_> = rows.into_iter().filter_map(|row| row.whence).collect();
    assert_eq!(known, [other, whence()]);
}

async fn touching_never_goes_back(f: Fixture) {
    let ann = f.holder("ann", "t").await;
    let session = f.verify(ann, "t").await;
    assert_eq!(session.longest_pause_secs, 0);
    let seen = |secs, longest_pause_secs| {
        [session.id, SessionId(99)].map(|id| Seen {
            id,
            last_seen_at: after(secs),
            longest_pause_secs,
        })
    };
    let stored = async || f.store.session(f.pair("t"), NOW).await.unwrap().unwrap();
    f.store.touch(&seen(50, 30)).await.unwrap();
    f.store.touch(&seen(20, 10)).await.unwrap();
    f.store.touch(&[]).await.unwrap();
    let session = stored().await;
    assert_eq!(session.last_seen_at, after(50));
    assert_eq!(session.longest_pause_secs, 30);
    // Each goes forward by itself, and of several in one go the furthest holds.
    f.store.touch(&seen(50, 35)).await.unwrap();
    assert_eq!(stored().await.longest_pause_secs, 35);
    let several = [seen(90, 1), seen(80, 36)].concat();
    f.store.touch(&several).await.unwrap();
    let session = stored().await;
    assert_eq!(session.last_seen_at, after(90));
    assert_eq!(session.longest_pause_secs, 36);
    // Verified anew, nobody has been away.
    assert_eq!(f.verify(ann, "t").await.longest_pause_secs, 0);
}

fn event(kind: EventKind, detail: &str) -> Event {
    Event {
        kind,
        user: Some(UserId(7)),
        route: "files".to_owned(),
        address: Some([192, 0, 2, 1].into()),
        detail: detail.to_owned(),
        uid: None,
    }
}

async fn events_come_back_newest_first(f: Fixture) {
    let first = (NOW, event(EventKind::Challenged, "sms"));
    let second = (after(1), event(EventKind::Verified, "sms"));
    f.store
        .append(&[first.clone(), second.clone()])
        .await
        .unwrap();
    let third = (after(1), event(EventKind::Revoked, "all"));
    f.store.append(std::slice::from_ref(&third)).await.unwrap();
    assert_eq!(f.recent(2).await, [third.clone(), second.clone()]);
    assert_eq!(f.recent(9).await, [third, second, first]);
}

/// One or two of everything, made at `NOW`; a plain and a locked subject.
async fn fill(f: &Fixture) -> (UserId, SubjectDigest, SubjectDigest) {
    f.store.ping().await.unwrap();
    let ann = f.holder("ann", "t").await;
    let mut short = f.token(ann, "short");
    short.expires_at = Some(after(3600));
    f.store.put_token(short).await.unwrap();
    f.verify(ann, "t").await;
    f.send_code(ann, "short", "333333").await;
    let request = f.send_request(ann);
    assert_eq!(granted(f, &request, NOW).await, None);
    let (plain, locked) = (f.user_subject(ann), f.address_subject());
    let mut at_once = POLICY;
    at_once.lock_at = 1;
    f.fail([(plain, POLICY), (locked, at_once)], NOW)
        .await
        .unwrap();
    f.store
        .append(&[(NOW, event(EventKind::Verified, "sms"))])
        .await
        .unwrap();
    f.store
        .revoke(Which::Session(SessionId(98)), NOW)
        .await
        .unwrap();
    f.store
        .revoke(Which::Session(SessionId(99)), NOW)
        .await
        .unwrap();
    (ann, plain, locked)
}

async fn purging_keeps_what_is_needed(f: Fixture) {
    let day = 24 * 3600;
    let (ann, plain, locked) = fill(&f).await;
    assert_eq!(f.store.purge(NOW).await.unwrap(), 0);
    assert!(f.store.session(f.pair("t"), NOW).await.unwrap().is_some());
    assert_eq!(f.store.purge(after(3600)).await.unwrap(), 1, "the session");
    assert_eq!(
        f.store.purge(after(day + 3599)).await.unwrap(),
        1,
        "the send"
    );
    assert_eq!(
        f.store.purge(after(day + 3601)).await.unwrap(),
        1,
        "the token"
    );
    assert!(f.store.token(f.digest("t"), NOW).await.unwrap().is_some());
    assert_eq!(
        f.store.purge(after(8 * day)).await.unwrap(),
        1,
        "one line of two"
    );
    let head = f.store.feed_head().await.unwrap();
    assert_eq!(head, 2);
    assert_eq!(f.store.revocations_after(0).await.unwrap().len(), 1);
    assert_eq!(
        f.try_code(ann, "short", "333333").await,
        Attempted::Blocked(Blocked::Locked)
    );
    assert_eq!(
        f.store.purge(after(31 * day)).await.unwrap(),
        2,
        "two challenges"
    );
    assert_eq!(
        f.store.purge(after(91 * day)).await.unwrap(),
        1,
        "one counter of two"
    );
    let block = f.store.blocked(&[plain, locked], NOW).await.unwrap();
    assert_eq!(block, Some(Blocked::Locked));
    assert_eq!(
        f.store.purge(after(401 * day)).await.unwrap(),
        1,
        "the event"
    );
    f.store.revoke(Which::All, NOW).await.unwrap();
    assert_eq!(f.store.feed_head().await.unwrap(), 3);
}
