//! What every engine must do: one suite, run for each of them.

use super::fixture::{Fixture, NOW, PHONE, POLICY, REALM, WIDE, after};
use crate::auth::lockout::Blocked;
use crate::auth::ports::{
    Attempted, LearnedUser, NewShare, Reserved, SendLimit, SendRequest, Which,
};
use crate::clock::Timestamp;
use crate::event::{Event, EventKind};
use crate::factor::phone::Phone;
use crate::id::{SessionId, ShareId, UserId};
use crate::secret::Secret;
use std::sync::Arc;
use std::time::Duration;

macro_rules! for_every_engine {
    ($($test:ident),+ $(,)?) => {
        mod memory {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test(super::Fixture::memory().await).await;
            })+
        }
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test(super::Fixture::sqlite().await).await;
            })+
        }
    };
}

for_every_engine![
    users_are_unique_in_their_realm,
    a_learned_user_is_renewed_and_keeps_what_is_not_said,
    tokens_expire_and_renew,
    a_token_needs_its_user_and_its_share,
    a_token_that_changes_hands_leaves_no_session_behind,
    a_right_code_verifies_once,
    a_new_session_of_a_pair_has_a_new_number_and_ends_the_old_one,
    a_session_ends_at_its_end_and_with_its_token,
    no_session_for_a_token_that_has_ended,
    never_sent_gone_and_blocked_are_not_counted,
    the_fifth_wrong_code_voids_the_challenge_and_delays_the_user,
    a_new_code_does_not_reset_the_count,
    a_success_frees_the_user_and_not_the_address,
    an_address_alone_can_be_delayed,
    a_code_is_for_its_own_pair_and_user,
    sends_are_limited_and_the_longest_wait_is_told,
    each_limit_counts_its_own,
    a_released_send_does_not_count,
    revoking_ends_what_it_names_and_is_always_told,
    touching_never_goes_back,
    failures_lock_and_are_forgiven,
    a_share_is_a_user_with_a_scoped_token,
    a_revoked_share_takes_everything_with_it,
    a_reset_forgets_the_second_factor,
    events_come_back_newest_first,
    purging_keeps_what_is_needed,
    one_of_fifty_right_codes_wins,
    five_of_fifty_sends_are_granted,
    fifty_sign_ins_make_one_user,
];

async fn users_are_unique_in_their_realm(f: Fixture) {
    let ann = f.user("ann").await;
    let again = f.store.create_user(f.new_user("ann"), NOW).await.unwrap();
    assert_eq!(again, None);
    let mut elsewhere = f.new_user("ann");
    elsewhere.realm = "other".to_owned();
    let other = f.store.create_user(elsewhere, NOW).await.unwrap().unwrap();
    assert_ne!(ann, other);
    let reserved = f.store.create_user(f.new_user("share:1"), NOW).await;
    assert_eq!(reserved.unwrap(), None);

    let user = f.store.user(ann).await.unwrap().unwrap();
    let expected = f.new_user("ann");
    assert_eq!(user.phone, expected.phone);
    assert_eq!(user.email, expected.email);
    assert_eq!(user.password_hash, expected.password_hash);
    assert!(user.can_edit_users);
    assert_eq!((user.realm.as_str(), user.created_at), (REALM, NOW));
    let by_name = f.store.user_by_name(REALM, "ann").await.unwrap();
    assert_eq!(by_name, Some(user));
    assert_eq!(f.store.user_by_name(REALM, "bob").await.unwrap(), None);
    assert_eq!(f.store.user(UserId(99)).await.unwrap(), None);
    let ids: Vec<_> = f
        .store
        .users()
        .await
        .unwrap()
        .iter()
        .map(|u| u.id)
        .collect();
    assert_eq!(ids, [ann, other]);
}

fn learned(phone: Option<&str>, email: Option<&str>) -> LearnedUser {
    LearnedUser {
        realm: REALM.to_owned(),
        name: "ann".to_owned(),
        phone: phone.and_then(|phone| Phone::from_e164(phone).ok()),
        email: email.map(Secret::new),
    }
}

async fn a_learned_user_is_renewed_and_keeps_what_is_not_said(f: Fixture) {
    let id = f.store.learn_user(learned(Some(PHONE), None), NOW).await;
    let id = id.unwrap();
    let renewed = learned(None, Some("ann@example.org"));
    assert_eq!(f.store.learn_user(renewed, after(1)).await.unwrap(), id);
    let user = f.store.user(id).await.unwrap().unwrap();
    assert_eq!(user.phone.as_ref().map(|p| p.e164()), Some(PHONE));
    assert_eq!(user.email, Some(Secret::new("ann@example.org")));
    assert!(user.password_hash.is_none() && !user.can_edit_users);
    assert_eq!(user.created_at, NOW);

    let moved = learned(Some("+4587654321"), None);
    f.store.learn_user(moved, after(2)).await.unwrap();
    let user = f.store.user(id).await.unwrap().unwrap();
    assert_eq!(user.phone.as_ref().map(|p| p.e164()), Some("+4587654321"));
}

async fn tokens_expire_and_renew(f: Fixture) {
    let ann = f.user("ann").await;
    let mut token = f.token(ann, "t");
    token.expires_at = Some(after(10));
    f.store.put_token(token.clone()).await.unwrap();
    let (found, holder) = f
        .store
        .token(token.digest, after(9))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(found, token);
    assert_eq!(
        (holder.user, &*holder.name, holder.scope),
        (ann, "ann", None)
    );
    assert_eq!(f.store.token(token.digest, after(10)).await.unwrap(), None);

    token.expires_at = Some(after(20));
    token.issued_pair = None;
    token.scope = Some("/a/".to_owned());
    f.store.put_token(token.clone()).await.unwrap();
    let (found, holder) = f
        .store
        .token(token.digest, after(19))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(found, token);
    assert_eq!(holder.scope.as_deref(), Some("/a/"));
    let unknown = f.store.token(f.digest("other"), NOW).await.unwrap();
    assert_eq!(unknown, None);
}

async fn a_token_needs_its_user_and_its_share(f: Fixture) {
    let ann = f.user("ann").await;
    assert!(f.store.put_token(f.token(UserId(99), "t")).await.is_err());
    let mut token = f.token(ann, "t");
    token.share = Some(ShareId(99));
    assert!(f.store.put_token(token.clone()).await.is_err());
    let (share, _) = f.store.create_share(new_share(&f, "s"), NOW).await.unwrap();
    token.share = Some(share);
    assert!(f.store.put_token(token).await.is_err(), "another's share");
    assert_eq!(f.store.token(f.digest("t"), NOW).await.unwrap(), None);
}

async fn a_token_that_changes_hands_leaves_no_session_behind(f: Fixture) {
    let ann = f.holder("ann", "t").await;
    let bob = f.user("bob").await;
    let session = f.verify(ann, "t").await;
    f.store.put_token(f.token(ann, "t")).await.unwrap();
    assert!(f.store.session(f.pair("t"), NOW).await.unwrap().is_some());
    f.store.put_token(f.token(bob, "t")).await.unwrap();
    assert_eq!(f.store.session(f.pair("t"), NOW).await.unwrap(), None);
    let lines = f.store.revocations_after(0).await.unwrap();
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0].which, Which::Session(session.id));
}

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
    assert_eq!(session.holder.scope.as_deref(), Some("/a/"));
    assert_eq!(f.store.session(key, after(100)).await.unwrap(), None);
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
    assert!(matches!(verified, Attempted::Verified(_)));
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
            Attempted::Wrong { left }
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
        Attempted::Wrong { left: 4 }
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
    assert!(matches!(verified, Attempted::Verified(_)));
    // One more failure would be the fifth for both.
    f.store
        .failed(&[(user, POLICY), (address, POLICY)], NOW)
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
        f.store.failed(&address, NOW).await.unwrap();
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
    assert_eq!(f.try_code(bob, "t", "123456").await, Attempted::NeverSent);
    let verified = f.try_code(ann, "t", "123456").await;
    assert!(matches!(verified, Attempted::Verified(_)));
}

async fn granted(f: &Fixture, request: &SendRequest, now: Timestamp) -> Option<(SendLimit, u64)> {
    match f.store.reserve_send(request.clone(), now).await.unwrap() {
        Reserved::Yes(_) => None,
        Reserved::No {
            limit,
            retry_after_secs,
        } => Some((limit, retry_after_secs)),
    }
}

async fn sends_are_limited_and_the_longest_wait_is_told(f: Fixture) {
    let request = f.send_request(f.user("ann").await);
    for at in [0, 30, 60, 90, 120] {
        assert_eq!(granted(&f, &request, after(at)).await, None, "at {at}");
        if at < 120 {
            let soon = granted(&f, &request, after(at + 10)).await;
            assert_eq!(soon, Some((SendLimit::Resend, 20)));
        }
    }
    // Five in the hour: the first of them leaves at 3600. Longer than the 29 s of the resend limit.
    let sixth = granted(&f, &request, after(121)).await;
    assert_eq!(sixth, Some((SendLimit::User, 3479)));
    let last_moment = granted(&f, &request, after(3599)).await;
    assert_eq!(last_moment, Some((SendLimit::User, 1)));
    assert_eq!(granted(&f, &request, after(3600)).await, None);
    let next = granted(&f, &request, after(3600)).await;
    assert_eq!(next, Some((SendLimit::Resend, 30)));
}

async fn each_limit_counts_its_own(f: Fixture) {
    let (ann, bob) = (f.user("ann").await, f.user("bob").await);
    let mut first = f.send_request(ann);
    first.limits.resend_after = Duration::ZERO;
    first.limits.per_user_per_hour = 3;
    first.limits.per_number_per_hour = 2;
    first.limits.per_prefix_per_minute = 4;
    first.limits.per_gateway_per_minute = 5;
    let other_number = SendRequest {
        recipient: f.keys.recipient("+4599999999"),
        ..first.clone()
    };
    let other_user = SendRequest {
        user: bob,
        ..other_number.clone()
    };
    let abroad = SendRequest {
        user: UserId(77),
        recipient: f.keys.recipient("+461"),
        prefix: "46".to_owned(),
        ..first.clone()
    };
    assert_eq!(granted(&f, &first, NOW).await, None);
    assert_eq!(granted(&f, &first, NOW).await, None);
    assert_eq!(
        granted(&f, &first, NOW).await,
        Some((SendLimit::Number, 3600))
    );
    assert_eq!(granted(&f, &other_number, NOW).await, None);
    assert_eq!(
        granted(&f, &other_number, NOW).await,
        Some((SendLimit::User, 3600))
    );
    assert_eq!(granted(&f, &other_user, NOW).await, None);
    let fifth_here = SendRequest {
        user: UserId(78),
        recipient: f.keys.recipient("+451"),
        ..first.clone()
    };
    assert_eq!(
        granted(&f, &fifth_here, NOW).await,
        Some((SendLimit::Prefix, 60))
    );
    assert_eq!(granted(&f, &abroad, NOW).await, None);
    assert_eq!(
        granted(&f, &abroad, NOW).await,
        Some((SendLimit::Gateway, 60))
    );
    assert_eq!(granted(&f, &abroad, after(60)).await, None);
    let mut closed = abroad;
    closed.limits.per_prefix_per_minute = 0;
    assert_eq!(
        granted(&f, &closed, after(9999)).await,
        Some((SendLimit::Prefix, 60))
    );
}

async fn a_released_send_does_not_count(f: Fixture) {
    let request = f.send_request(f.user("ann").await);
    let Reserved::Yes(id) = f.store.reserve_send(request.clone(), NOW).await.unwrap() else {
        panic!("the first send is refused")
    };
    assert!(granted(&f, &request, NOW).await.is_some());
    f.store.release_send(id).await.unwrap();
    f.store.release_send(id).await.unwrap();
    assert_eq!(granted(&f, &request, NOW).await, None);
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

async fn touching_never_goes_back(f: Fixture) {
    let ann = f.holder("ann", "t").await;
    let session = f.verify(ann, "t").await;
    let seen = |secs| [(session.id, after(secs)), (SessionId(99), after(secs))];
    f.store.touch(&seen(50)).await.unwrap();
    f.store.touch(&seen(20)).await.unwrap();
    f.store.touch(&[]).await.unwrap();
    let session = f.store.session(f.pair("t"), NOW).await.unwrap().unwrap();
    assert_eq!(session.last_seen_at, after(50));
}

async fn failures_lock_and_are_forgiven(f: Fixture) {
    let (a, b) = (
        f.keys.subject("account", "a"),
        f.keys.subject("account", "b"),
    );
    let mut strict = POLICY;
    strict.lock_at = 7;
    for _ in 0..5 {
        f.store
            .failed(&[(a, strict), (b, POLICY)], NOW)
            .await
            .unwrap();
    }
    let delayed = Some(Blocked::Delayed {
        retry_after_secs: 30,
    });
    assert_eq!(f.store.blocked(&[a, b], NOW).await.unwrap(), delayed);
    assert_eq!(f.store.blocked(&[a, b], after(30)).await.unwrap(), None);
    for _ in 0..2 {
        f.store.failed(&[(a, strict)], NOW).await.unwrap();
    }
    assert_eq!(
        f.store.blocked(&[b, a], NOW).await.unwrap(),
        Some(Blocked::Locked)
    );
    let unknown = f.keys.subject("account", "c");
    assert_eq!(f.store.blocked(&[unknown], NOW).await.unwrap(), None);
    f.store.succeeded(&[a, b]).await.unwrap();
    assert_eq!(f.store.blocked(&[a, b], NOW).await.unwrap(), None);
    f.store.failed(&[(a, strict)], NOW).await.unwrap();
    assert_eq!(f.store.blocked(&[a], NOW).await.unwrap(), None);
}

fn new_share(f: &Fixture, token: &str) -> NewShare {
    NewShare {
        realm: REALM.to_owned(),
        token: f.digest(token),
        path: "/dir/".to_owned(),
        phone: Phone::from_e164(PHONE).ok(),
        email: Some(Secret::new("ann@example.org")),
        expires_at: Some(after(1000)),
    }
}

async fn a_share_is_a_user_with_a_scoped_token(f: Fixture) {
    let made = f.store.create_share(new_share(&f, "s"), NOW).await.unwrap();
    let (id, user) = made;
    let (token, holder) = f.store.token(f.digest("s"), NOW).await.unwrap().unwrap();
    assert_eq!((token.share, token.user), (Some(id), user));
    assert_eq!(*holder.name, *format!("share:{id}"));
    assert_eq!(holder.scope.as_deref(), Some("/dir/"));
    let named = f.store.user_by_name(REALM, &holder.name).await.unwrap();
    assert_eq!(named.map(|user| user.id), Some(user));

    let shares = f.store.shares().await.unwrap();
    assert_eq!(shares.len(), 1);
    assert_eq!((shares[0].id, shares[0].user), made);
    assert_eq!(
        (shares[0].path.as_str(), shares[0].realm.as_str()),
        ("/dir/", REALM)
    );
    assert_eq!(shares[0].phone.as_ref().map(|p| p.e164()), Some(PHONE));
    assert_eq!(shares[0].email, Some(Secret::new("ann@example.org")));
    assert_eq!(
        (shares[0].created_at, shares[0].expires_at),
        (NOW, Some(after(1000)))
    );

    // A token issued from it ends with it, whatever its own end.
    let mut issued = f.token(user, "i");
    issued.share = Some(id);
    issued.expires_at = Some(after(9999));
    f.store.put_token(issued).await.unwrap();
    let session = f.verify(user, "i").await;
    assert_eq!(session.expires_at, after(1000));
    for digest in [f.digest("i"), f.digest("s")] {
        assert!(f.store.token(digest, after(999)).await.unwrap().is_some());
        assert_eq!(f.store.token(digest, after(1000)).await.unwrap(), None);
    }
    assert_eq!(
        f.store.session(f.pair("i"), after(1000)).await.unwrap(),
        None
    );
}

async fn a_revoked_share_takes_everything_with_it(f: Fixture) {
    let (id, user) = f.store.create_share(new_share(&f, "s"), NOW).await.unwrap();
    let (kept, _) = f
        .store
        .create_share(new_share(&f, "kept"), NOW)
        .await
        .unwrap();
    let mut issued = f.token(user, "i");
    issued.share = Some(id);
    f.store.put_token(issued).await.unwrap();
    f.verify(user, "i").await;
    f.send_code(user, "i", "111111").await;

    assert!(f.store.revoke_share(id, NOW).await.unwrap());
    assert!(!f.store.revoke_share(id, NOW).await.unwrap());
    for digest in [f.digest("i"), f.digest("s")] {
        assert_eq!(f.store.token(digest, NOW).await.unwrap(), None);
    }
    assert_eq!(f.store.session(f.pair("i"), NOW).await.unwrap(), None);
    assert_eq!(f.try_code(user, "i", "111111").await, Attempted::NeverSent);
    assert_eq!(f.store.user(user).await.unwrap(), None);
    let lines = f.store.revocations_after(0).await.unwrap();
    assert_eq!(lines.last().map(|line| line.which), Some(Which::User(user)));
    let shares = f.store.shares().await.unwrap();
    assert_eq!(shares.iter().map(|s| s.id).collect::<Vec<_>>(), [kept]);
    let (next, next_user) = f.store.create_share(new_share(&f, "n"), NOW).await.unwrap();
    assert!(
        next > kept && next_user > user,
        "numbers are not used again"
    );
}

async fn a_reset_forgets_the_second_factor(f: Fixture) {
    let ann = f.holder("ann", "t").await;
    let bob = f.holder("bob", "u").await;
    f.verify(ann, "t").await;
    f.verify(bob, "u").await;
    f.send_code(ann, "t", "222222").await;
    let subject = f.user_subject(ann);
    for _ in 0..5 {
        f.store.failed(&[(subject, POLICY)], NOW).await.unwrap();
    }
    f.store.reset_user(ann, subject, NOW).await.unwrap();
    assert_eq!(f.store.blocked(&[subject], NOW).await.unwrap(), None);
    assert_eq!(f.try_code(ann, "t", "222222").await, Attempted::Gone);
    assert_eq!(f.store.session(f.pair("t"), NOW).await.unwrap(), None);
    assert!(f.store.session(f.pair("u"), NOW).await.unwrap().is_some());
    let lines = f.store.revocations_after(0).await.unwrap();
    assert_eq!(lines.last().map(|line| line.which), Some(Which::User(ann)));
}

fn event(kind: EventKind, detail: &str) -> Event {
    Event {
        kind,
        user: Some(UserId(7)),
        route: "files".to_owned(),
        address: Some([192, 0, 2, 1].into()),
        detail: detail.to_owned(),
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
    assert_eq!(
        f.store.recent(2).await.unwrap(),
        [third.clone(), second.clone()]
    );
    assert_eq!(f.store.recent(9).await.unwrap(), [third, second, first]);
}

async fn purging_keeps_what_is_needed(f: Fixture) {
    let day = 24 * 3600;
    f.store.ping().await.unwrap();
    let ann = f.holder("ann", "t").await;
    let mut short = f.token(ann, "short");
    short.expires_at = Some(after(3600));
    f.store.put_token(short).await.unwrap();
    f.verify(ann, "t").await;
    f.send_code(ann, "short", "333333").await;
    let request = f.send_request(ann);
    assert_eq!(granted(&f, &request, NOW).await, None);
    let (plain, locked) = (f.user_subject(ann), f.address_subject());
    let mut at_once = POLICY;
    at_once.lock_at = 1;
    f.store
        .failed(&[(plain, POLICY), (locked, at_once)], NOW)
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
            Attempted::Verified(_) => verified += 1,
            other => assert_eq!(other, Attempted::Gone),
        }
    }
    assert_eq!(verified, 1);
    assert_eq!(f.store.sessions(None, NOW).await.unwrap().len(), 1);
}

async fn five_of_fifty_sends_are_granted(f: Fixture) {
    let mut request = f.send_request(f.user("ann").await);
    request.limits.resend_after = Duration::ZERO;
    let f = Arc::new(f);
    let asked = (0..50).map(|_| {
        let (f, request) = (f.clone(), request.clone());
        tokio::spawn(async move { granted(&f, &request, NOW).await.is_none() })
    });
    let mut yes = 0;
    for asked in asked.collect::<Vec<_>>() {
        yes += usize::from(asked.await.unwrap());
    }
    assert_eq!(yes, 5);
}

async fn fifty_sign_ins_make_one_user(f: Fixture) {
    let f = Arc::new(f);
    let sign_ins = (0..50).map(|_| {
        let f = f.clone();
        tokio::spawn(async move { f.store.learn_user(learned(Some(PHONE), None), NOW).await })
    });
    let mut ids = Vec::new();
    for sign_in in sign_ins.collect::<Vec<_>>() {
        ids.push(sign_in.await.unwrap().unwrap());
    }
    ids.dedup();
    assert_eq!(ids.len(), 1);
    assert_eq!(f.store.users().await.unwrap().len(), 1);
}
