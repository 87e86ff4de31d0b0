//! Users and tokens.

use super::for_every_engine;
use crate::auth::ports::{LearnedUser, Said, Which};
use crate::factor::phone::Phone;
use crate::id::{ShareId, UserId};
use crate::secret::Secret;
use crate::store::fixture::{Fixture, NOW, PHONE, REALM, after};
use std::sync::Arc;

for_every_engine![
    users_are_unique_in_their_realm,
    a_learned_user_is_renewed_and_keeps_what_is_not_said,
    a_name_is_found_in_any_case,
    tokens_expire_and_renew,
    a_token_needs_its_user_and_its_share,
    a_token_that_changes_hands_leaves_no_session_behind,
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
        .users_after(UserId(0), 100)
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
        phone: phone.and_then(Phone::from_e164),
        email: email.map(Secret::new),
        groups: None,
        said: Said { at: NOW, by: None },
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

async fn a_name_is_found_in_any_case(f: Fixture) {
    let big = f.user("Ann").await;
    let in_any_case = async |name: &str| {
        let found = f.store.user_in_any_case(REALM, name).await;
        found.unwrap().map(|user| user.id)
    };
    assert_eq!(in_any_case("aNN").await, Some(big));
    let small = f.user("ann").await;
    for (name, wanted) in [
        ("aNN", Some(big)),
        ("Ann", Some(big)),
        ("ann", Some(small)),
        ("anna", None),
        ("a%", None),
    ] {
        assert_eq!(in_any_case(name).await, wanted, "{name}");
    }
    let elsewhere = f.store.user_in_any_case("other", "ann").await;
    assert_eq!(elsewhere.unwrap(), None);
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
        (holder.user, &*holder.name, holder.scope()),
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
    assert_eq!(holder.scope(), Some("/a/"));
    let unknown = f.store.token(f.digest("other"), NOW).await.unwrap();
    assert_eq!(unknown, None);
}

async fn a_token_needs_its_user_and_its_share(f: Fixture) {
    let ann = f.user("ann").await;
    assert!(f.store.put_token(f.token(UserId(99), "t")).await.is_err());
    let mut token = f.token(ann, "t");
    token.share = Some(ShareId(99));
    assert!(f.store.put_token(token.clone()).await.is_err());
    let (share, _) = f.share(f.new_share("s")).await;
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
    assert_eq!(f.store.users_after(UserId(0), 100).await.unwrap().len(), 1);
}
