//! Groups of users, and who is told when they change.

use super::for_every_engine;
use crate::auth::ports::{LearnedUser, Said, UserChange, Which};
use crate::factor::phone::Phone;
use crate::id::UserId;
use crate::secret::Secret;
use crate::store::fixture::{Fixture, NOW, REALM, after};
use std::sync::Arc;

for_every_engine![
    a_users_groups_are_kept_in_order_and_replaced_whole,
    a_holder_and_a_session_say_their_users_groups,
    a_change_is_told_once_and_ends_no_session,
    a_word_about_groups_replaces_them_and_silence_does_not,
    an_older_word_about_groups_does_not_replace_a_newer_one,
    an_older_word_does_not_give_the_second_factor_away,
    the_operators_word_counts_like_any_other,
    a_word_from_the_future_gives_way,
    who_said_what_is_known_is_kept,
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
        groups: groups.map(texts),
        said: Said {
            at: after(said),
            by: None,
        },
    };
    f.store.learn_user(learned, after(100)).await.unwrap()
}

/// A word on all of ann: which number and address, which group, said so many seconds after the start.
async fn learn_all(f: &Fixture, n: u8, said: i64, now: i64) -> UserId {
    let learned = LearnedUser {
        realm: REALM.to_owned(),
        name: "ann".to_owned(),
        phone: Phone::from_e164(&format!("+451111111{n}")),
        email: Some(Secret::new(format!("{n}@example.org"))),
        groups: Some(vec![n.to_string()]),
        said: Said {
            at: after(said),
            by: Some(f.digest(&n.to_string())),
        },
    };
    f.store.learn_user(learned, after(now)).await.unwrap()
}

/// The number, the address and the groups that are known of ann, and who is found by the address.
async fn known(f: &Fixture, ann: UserId) -> (String, String, String) {
    let user = f.store.user(ann).await.unwrap().unwrap();
    let email = user.email.unwrap();
    let by_email = f.store.user_by_email(REALM, email.expose()).await.unwrap();
    assert_eq!(by_email.map(|user| user.id), Some(ann));
    (
        user.phone.unwrap().e164().to_owned(),
        email.expose().to_owned(),
        user.groups.join(" "),
    )
}

fn all(n: u8) -> (String, String, String) {
    (
        format!("+451111111{n}"),
        format!("{n}@example.org"),
        n.to_string(),
    )
}

async fn an_older_word_does_not_give_the_second_factor_away(f: Fixture) {
    let ann = learn_all(&f, 1, 50, 100).await;
    for (n, said, wanted) in [(2, 49, 1), (2, 51, 2), (1, 50, 2), (3, 51, 3), (4, 0, 3)] {
        assert_eq!(learn_all(&f, n, said, 100).await, ann);
        assert_eq!(known(&f, ann).await, all(wanted), "{n} {said}");
    }
    // A word that says less leaves the rest, and is the newest of all the same.
    learn(&f, Some(&["5"]), 60).await;
    let (phone, email, _) = all(3);
    assert_eq!(known(&f, ann).await, (phone, email, "5".to_owned()));
    learn_all(&f, 6, 59, 100).await;
    assert_eq!(known(&f, ann).await.2, "5");
    // One that says nothing is none.
    learn(&f, None, 70).await;
    learn_all(&f, 6, 65, 100).await;
    assert_eq!(known(&f, ann).await, all(6));
}

async fn the_operators_word_counts_like_any_other(f: Fixture) {
    let ann = learn_all(&f, 1, 50, 100).await;
    let set = async |change: UserChange, at: i64| {
        let set = f.store.change_user(ann, change, after(at)).await;
        assert!(set.unwrap());
    };
    let phone = || UserChange {
        phone: Some(Phone::from_e164("+4522222222")),
        ..UserChange::default()
    };
    set(phone(), 60).await;
    learn_all(&f, 3, 59, 100).await;
    let (_, email, groups) = all(1);
    assert_eq!(
        known(&f, ann).await,
        ("+4522222222".to_owned(), email, groups)
    );
    learn_all(&f, 4, 61, 100).await;
    assert_eq!(known(&f, ann).await, all(4), "the issuer's next word");
    let email = UserChange {
        email: Some(Some(Secret::new("own@example.org"))),
        ..UserChange::default()
    };
    set(email, 70).await;
    learn_all(&f, 5, 69, 100).await;
    assert_eq!(known(&f, ann).await.1, "own@example.org");
    // What tokens do not say is no word on what they do.
    let other = UserChange {
        can_edit_users: Some(true),
        ..UserChange::default()
    };
    set(other, 90).await;
    learn_all(&f, 6, 80, 100).await;
    assert_eq!(known(&f, ann).await, all(6));
    // However far ahead a word is, the operator's replaces it, and is of the moment.
    learn_all(&f, 7, 300, 100).await;
    set(phone(), 100).await;
    learn_all(&f, 8, 99, 100).await;
    assert_eq!(known(&f, ann).await.0, "+4522222222");
    learn_all(&f, 8, 101, 101).await;
    assert_eq!(known(&f, ann).await, all(8));
}

async fn a_word_from_the_future_gives_way(f: Fixture) {
    let ann = learn_all(&f, 1, 1_000, 100).await;
    learn_all(&f, 2, 50, 699).await;
    assert_eq!(known(&f, ann).await, all(2), "the clock was wrong then");
    learn_all(&f, 1, 1_000, 1_000).await;
    // An issuer's clock may be ahead, and its words are in order still.
    learn_all(&f, 3, 999, 700).await;
    assert_eq!(known(&f, ann).await, all(1));
    learn_all(&f, 3, 999, 699).await;
    assert_eq!(known(&f, ann).await, all(3));
}

async fn who_said_what_is_known_is_kept(f: Fixture) {
    let ann = learn_all(&f, 1, 50, 100).await;
    let said = async || f.store.user(ann).await.unwrap().unwrap().said;
    let by = |n: &str, at: i64| Said {
        at: after(at),
        by: Some(f.digest(n)),
    };
    assert_eq!(said().await, by("1", 50));
    learn_all(&f, 2, 50, 100).await;
    assert_eq!(said().await, by("2", 50));
    learn_all(&f, 1, 49, 100).await;
    learn(&f, None, 70).await;
    assert_eq!(said().await, by("2", 50));
    f.set_groups(ann, Vec::new(), after(80)).await.unwrap();
    let operator = Said {
        at: after(80),
        by: None,
    };
    assert_eq!(said().await, operator);
    let mut nobody = f.new_user("nobody");
    (nobody.phone, nobody.email) = (None, None);
    let nobody = f.store.create_user(nobody, NOW).await.unwrap().unwrap();
    let nobody = f.store.user(nobody).await.unwrap().unwrap();
    assert_eq!(nobody.said, Said::NOTHING);
}

async fn an_older_word_about_groups_does_not_replace_a_newer_one(f: Fixture) {
    // Of somebody of whom nothing was said, any word counts.
    let mut new = f.new_user("ann");
    (new.groups, new.phone, new.email) = (Vec::new(), None, None);
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
