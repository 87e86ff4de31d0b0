//! Groups of users, and who is told when they change.

use super::for_every_engine;
use crate::auth::ports::{LearnedUser, SaidGroups, Which};
use crate::id::UserId;
use crate::store::fixture::{Fixture, NOW, REALM, after};
use std::sync::Arc;

for_every_engine![
    a_users_groups_are_kept_in_order_and_replaced_whole,
    a_holder_and_a_session_say_their_users_groups,
    a_change_is_told_once_and_ends_no_session,
    a_word_about_groups_replaces_them_and_silence_does_not,
    an_older_word_about_groups_does_not_replace_a_newer_one,
    of_fifty_words_about_groups_at_once_the_newest_stays,
    nobody_with_a_share_link_is_in_a_group,
    fifty_changes_at_once_leave_one_of_them,
];

fn texts(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

async fn groups_of(f: &Fixture, user: UserId) -> Vec<String> {
    f.store.user(user).await.unwrap().unwrap().groups
}

async fn a_users_groups_are_kept_in_order_and_replaced_whole(f: Fixture) {
    let mut new = f.new_user("ann");
    new.groups = texts(&["staff", "admins", "staff", "øl & brød"]);
    let ann = f.store.create_user(new, NOW).await.unwrap().unwrap();
    let all = ["admins", "staff", "øl & brød"];
    assert_eq!(groups_of(&f, ann).await, all);
    let by_name = f.store.user_by_name(REALM, "ann").await.unwrap().unwrap();
    assert_eq!(by_name.groups, all);
    for groups in [&["guests"][..], &[], &["b", "a"]] {
        let set = f.set_groups(ann, texts(groups), NOW).await;
        assert!(set.unwrap());
        let mut wanted = texts(groups);
        wanted.sort();
        assert_eq!(groups_of(&f, ann).await, wanted);
    }
    let nobody = f.set_groups(UserId(99), texts(&["a"]), NOW).await;
    assert!(!nobody.unwrap());
}

async fn a_holder_and_a_session_say_their_users_groups(f: Fixture) {
    let ann = f.holder("ann", "t").await;
    let session = f.verify(ann, "t").await;
    assert_eq!(session.holder.person().groups, [""; 0]);
    f.set_groups(ann, texts(&["staff"]), NOW).await.unwrap();
    let (_, holder) = f.store.token(f.digest("t"), NOW).await.unwrap().unwrap();
    assert_eq!(holder.person().groups, ["staff"]);
    let session = f.store.session(f.pair("t"), NOW).await.unwrap().unwrap();
    assert_eq!(session.holder, holder);
    let rows = f.store.sessions(None, NOW).await.unwrap();
    assert_eq!(rows[0].session.holder, holder);
}

async fn a_change_is_told_once_and_ends_no_session(f: Fixture) {
    let ann = f.holder("ann", "t").await;
    let session = f.verify(ann, "t").await;
    let before = f.store.feed_head().await.unwrap();
    for _ in 0..2 {
        f.set_groups(ann, texts(&["b", "a"]), NOW).await.unwrap();
        f.set_groups(ann, texts(&["a", "b"]), NOW).await.unwrap();
    }
    let lines = f.store.revocations_after(before).await.unwrap();
    let told: Vec<_> = lines.iter().map(|line| line.which).collect();
    assert_eq!(told, [Which::User(ann)]);
    let stored = f.store.session(f.pair("t"), NOW).await.unwrap();
    assert_eq!(stored.map(|it| it.id), Some(session.id));
}

/// What was said of ann so many seconds after the start.
async fn learn(f: &Fixture, groups: Option<&[&str]>, said: i64) -> UserId {
    let learned = LearnedUser {
        realm: REALM.to_owned(),
        name: "ann".to_owned(),
        phone: None,
        email: None,
        groups: groups.map(|names| SaidGroups {
            names: texts(names),
            said_at: after(said),
        }),
    };
    f.store.learn_user(learned, after(100)).await.unwrap()
}

async fn an_older_word_about_groups_does_not_replace_a_newer_one(f: Fixture) {
    // Of somebody of whom nothing was said, any word counts.
    let mut new = f.new_user("ann");
    new.groups = Vec::new();
    let ann = f.store.create_user(new, after(50)).await.unwrap().unwrap();
    learn(&f, None, 60).await;
    for (groups, said, wanted) in [
        (&["staff"][..], 10, &["staff"][..]),
        (&[], 9, &["staff"]),
        (&["guests"], 9, &["staff"]),
        // The same as before, but newer: what comes in between is old.
        (&["staff"], 20, &["staff"]),
        (&["guests"], 15, &["staff"]),
        // Of the same second, the later one counts.
        (&["guests"], 20, &["guests"]),
        (&[], 30, &[]),
        (&["staff"], 29, &[]),
    ] {
        assert_eq!(learn(&f, Some(groups), said).await, ann);
        assert_eq!(groups_of(&f, ann).await, wanted, "{groups:?} {said}");
    }
    let lines = f.store.revocations_after(0).await.unwrap();
    assert_eq!(lines.len(), 3, "of what was not taken, nobody is told");
    // The operator's word is of the moment, whatever the issuer's clock says.
    learn(&f, Some(&["staff"]), 1_000).await;
    let set = f.set_groups(ann, texts(&["guests"]), after(100)).await;
    assert!(set.unwrap());
    assert_eq!(groups_of(&f, ann).await, ["guests"]);
    learn(&f, Some(&["staff"]), 99).await;
    assert_eq!(groups_of(&f, ann).await, ["guests"]);
}

async fn of_fifty_words_about_groups_at_once_the_newest_stays(f: Fixture) {
    let ann = learn(&f, Some(&["w0"]), 0).await;
    let f = Arc::new(f);
    let learning: Vec<_> = (1..=50)
        .map(|n| {
            let f = Arc::clone(&f);
            // In no order of theirs.
            let said = n * 37 % 51;
            tokio::spawn(async move {
                let name = format!("w{said}");
                learn(&f, Some(&[name.as_str()]), said).await
            })
        })
        .collect();
    for one in learning {
        assert_eq!(one.await.unwrap(), ann);
    }
    assert_eq!(groups_of(&f, ann).await, ["w50"]);
}

async fn a_word_about_groups_replaces_them_and_silence_does_not(f: Fixture) {
    let learn = async |groups: Option<&[&str]>| learn(&f, groups, 1).await;
    let ann = learn(Some(&["staff", "admins"])).await;
    assert_eq!(f.store.feed_head().await.unwrap(), 0, "nobody knew her");
    assert_eq!(groups_of(&f, ann).await, ["admins", "staff"]);
    assert_eq!(learn(None).await, ann);
    assert_eq!(learn(Some(&["admins", "staff"])).await, ann);
    assert_eq!(groups_of(&f, ann).await, ["admins", "staff"]);
    assert_eq!(f.store.feed_head().await.unwrap(), 0, "nothing is new");
    learn(Some(&["guests"])).await;
    assert_eq!(groups_of(&f, ann).await, ["guests"]);
    learn(Some(&[])).await;
    assert_eq!(groups_of(&f, ann).await, [""; 0]);
    let lines = f.store.revocations_after(0).await.unwrap();
    let told: Vec<_> = lines.iter().map(|line| line.which).collect();
    assert_eq!(told, [Which::User(ann), Which::User(ann)]);
}

async fn nobody_with_a_share_link_is_in_a_group(f: Fixture) {
    let (_, users) = f
        .store
        .create_share(f.new_share("link"), NOW)
        .await
        .unwrap();
    let set = f.set_groups(users[0], texts(&["staff"]), NOW).await;
    assert!(!set.unwrap());
    assert_eq!(groups_of(&f, users[0]).await, [""; 0]);
    assert_eq!(f.store.feed_head().await.unwrap(), 0);
}

async fn fifty_changes_at_once_leave_one_of_them(f: Fixture) {
    let ann = f.user("ann").await;
    let f = Arc::new(f);
    let setting: Vec<_> = (0..50)
        .map(|n| {
            let f = Arc::clone(&f);
            let groups = vec![format!("a{n}"), format!("b{n}")];
            tokio::spawn(async move { f.set_groups(ann, groups, NOW).await })
        })
        .collect();
    for one in setting {
        assert!(one.await.unwrap().unwrap());
    }
    let groups = groups_of(&f, ann).await;
    let of_one = groups[0].strip_prefix('a').zip(groups[1].strip_prefix('b'));
    assert!(
        of_one.is_some_and(|(a, b)| a == b && groups.len() == 2),
        "{groups:?}"
    );
    assert_eq!(f.store.revocations_after(0).await.unwrap().len(), 50);
}
