//! Share links: one person's and several people's, what they open, how they are counted and ended.

use super::for_every_engine;
use crate::auth::ports::{Attempted, Born, Contact, NewShare, Purpose, Share, Token, Which};
use crate::clock::Timestamp;
use crate::digest::TokenDigest;
use crate::factor::phone::Phone;
use crate::id::{ShareId, UserId};
use crate::secret::Secret;
use crate::store::fixture::{Fixture, NOW, PHONE, REALM, after};
use crate::store::rules;
use std::sync::Arc;

for_every_engine![
    a_share_is_a_user_with_a_scoped_token,
    a_link_for_several_is_nobodys_token,
    a_link_is_found_until_it_ends,
    a_link_is_made_once_and_for_somebody,
    devices_are_counted_as_they_are_verified,
    what_is_one_device_is_counted_once,
    a_share_opens_on_so_many_devices,
    fifty_devices_at_once_take_the_last_place_once,
    a_token_that_opens_by_itself_is_counted,
    a_token_says_whether_its_device_is_counted,
    fifty_tokens_at_once_take_the_last_place_once,
    a_link_whose_devices_are_counted_is_no_token,
    a_shares_unused_tokens_are_bounded,
    a_revoked_share_takes_everything_with_it,
    a_revoked_share_ends_all_its_recipients_sessions,
];

fn ending(f: &Fixture, link: &str) -> NewShare {
    NewShare {
        expires_at: Some(after(1000)),
        ..f.new_share(link)
    }
}

/// For a number and an address.
fn for_two(f: &Fixture, link: &str) -> NewShare {
    let by_phone = Contact {
        phone: Phone::from_e164(PHONE),
        email: None,
    };
    let by_mail = Contact {
        phone: None,
        email: Some(Secret::new("bob@example.org")),
    };
    NewShare {
        recipients: vec![by_phone, by_mail],
        ..f.new_share(link)
    }
}

/// A token that was given in exchange for the link.
fn exchanged(f: &Fixture, (share, user): (ShareId, UserId), token: &str) -> Token {
    Token {
        share: Some(share),
        scope: Some("/dir/".to_owned()),
        ..f.token(user, token)
    }
}

async fn the_one(f: &Fixture) -> Share {
    let shares = f.store.shares().await.unwrap();
    assert_eq!(shares.len(), 1);
    shares.into_iter().next().unwrap()
}

async fn a_share_is_a_user_with_a_scoped_token(f: Fixture) {
    let made = f.share(ending(&f, "s")).await;
    let (id, user) = made;
    let (token, holder) = f.store.token(f.digest("s"), NOW).await.unwrap().unwrap();
    assert_eq!((token.share, token.user), (Some(id), user));
    assert_eq!(*holder.name, *format!("share:{id}"));
    assert_eq!(holder.scope(), Some("/dir/"));
    let named = f.store.user_by_name(REALM, &holder.name).await.unwrap();
    assert_eq!(named.map(|user| user.id), Some(user));

    let shares = f.store.shares().await.unwrap();
    assert_eq!(shares.len(), 1);
    assert_eq!((shares[0].id, shares[0].recipients[0].user), made);
    assert_eq!(
        (shares[0].path.as_str(), shares[0].realm.as_str()),
        ("/dir/", REALM)
    );
    assert_eq!(
        shares[0].recipients[0].contact,
        ending(&f, "s").recipients[0]
    );
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

async fn a_link_for_several_is_nobodys_token(f: Fixture) {
    let (id, users) = f.store.create_share(for_two(&f, "s"), NOW).await.unwrap();
    assert_eq!(f.store.token(f.digest("s"), NOW).await.unwrap(), None);
    for (n, user) in users.iter().enumerate() {
        let named = f.store.user(*user).await.unwrap().unwrap();
        assert_eq!(named.name, format!("share:{id}/{}", n + 1));
    }
    let share = f.store.share_of_link(f.digest("s"), NOW).await.unwrap();
    let share = share.unwrap();
    assert_eq!(share, the_one(&f).await);
    let found: Vec<_> = share.recipients.iter().map(|one| one.user).collect();
    assert_eq!(found, users);
    let contacts: Vec<_> = share
        .recipients
        .into_iter()
        .map(|one| one.contact)
        .collect();
    assert_eq!(contacts, for_two(&f, "s").recipients);

    // Each has tokens of the share, and the other's are not theirs.
    for (user, token) in [(users[0], "a"), (users[1], "b")] {
        f.store
            .put_token(exchanged(&f, (id, user), token))
            .await
            .unwrap();
        f.verify(user, token).await;
    }
    f.send_code(users[0], "a", "111111").await;
    assert_eq!(f.try_code(users[1], "a", "111111").await, Attempted::Gone);
}

async fn a_link_is_found_until_it_ends(f: Fixture) {
    let (id, _) = f.share(ending(&f, "s")).await;
    let (forever, _) = f.share(f.new_share("t")).await;
    let find = async |link: TokenDigest, now: Timestamp| {
        let found = f.store.share_of_link(link, now).await.unwrap();
        found.map(|share| share.id)
    };
    assert_eq!(find(f.digest("s"), after(999)).await, Some(id));
    assert_eq!(find(f.digest("s"), after(1000)).await, None);
    assert_eq!(find(f.digest("t"), after(999_999)).await, Some(forever));
    assert_eq!(find(f.digest("u"), NOW).await, None);
    f.store.revoke_share(forever, NOW).await.unwrap();
    assert_eq!(find(f.digest("t"), NOW).await, None);
}

async fn a_link_is_made_once_and_for_somebody(f: Fixture) {
    f.share(f.new_share("s")).await;
    assert!(f.store.create_share(f.new_share("s"), NOW).await.is_err());
    let mut nobodys = f.new_share("t");
    nobodys.recipients.clear();
    assert!(f.store.create_share(nobodys, NOW).await.is_err());
    assert_eq!(f.store.shares().await.unwrap().len(), 1);
    assert_eq!(f.store.users_after(UserId(0), 100).await.unwrap().len(), 1);
}

async fn devices_are_counted_as_they_are_verified(f: Fixture) {
    let (id, users) = f.store.create_share(for_two(&f, "s"), NOW).await.unwrap();
    assert_eq!(
        (
            the_one(&f).await.devices(),
            the_one(&f).await.last_opened_at()
        ),
        (0, None)
    );
    for token in ["a", "b", "c"] {
        f.store
            .put_token(exchanged(&f, (id, users[0]), token))
            .await
            .unwrap();
    }
    assert_eq!(the_one(&f).await.devices(), 0, "a token is no device yet");
    for (token, secs) in [("a", 10), ("b", 20), ("a", 30)] {
        f.send_code(users[0], token, "111111").await;
        let attempt = f.attempt(users[0], token, "222222");
        f.store.attempt(attempt, after(secs)).await.unwrap();
        let attempt = f.attempt(users[0], token, "111111");
        f.store.attempt(attempt, after(secs)).await.unwrap();
    }
    let share = the_one(&f).await;
    let [first, second] = &share.recipients[..] else {
        panic!("two")
    };
    assert_eq!((first.devices, first.last_opened_at), (2, Some(after(30))));
    assert_eq!((second.devices, second.last_opened_at), (0, None));
    assert_eq!(
        (share.devices(), share.last_opened_at()),
        (2, Some(after(30)))
    );
}

async fn what_is_one_device_is_counted_once(f: Fixture) {
    let (id, user) = f.share(f.new_share("link")).await;
    // The link itself is one token on many devices.
    for device in ["phone", "laptop", "phone"] {
        f.send_code(user, "link", "111111").await;
        let mut attempt = f.attempt(user, "link", "111111");
        attempt.then.sessions[0].key = f.keys.realm(REALM).session("link", Some(device));
        f.store.attempt(attempt, NOW).await.unwrap();
    }
    assert_eq!(the_one(&f).await.devices(), 2);
    // What was given in exchange for it is one device's, under whatever name it comes, and what was
    // born of that.
    let mut born = exchanged(&f, (id, user), "born");
    let root = exchanged(&f, (id, user), "root");
    born.born = Some(Born {
        of: root.digest,
        original: Secret::new("root"),
    });
    for token in [root, born] {
        f.store.put_token(token).await.unwrap();
    }
    for (token, device) in [("root", "phone"), ("root", "laptop"), ("born", "phone")] {
        f.send_code(user, token, "111111").await;
        let mut attempt = f.attempt(user, token, "111111");
        attempt.then.sessions[0].key = f.keys.realm(REALM).session(token, Some(device));
        f.store.attempt(attempt, NOW).await.unwrap();
    }
    assert_eq!(the_one(&f).await.devices(), 3);
}

async fn a_share_opens_on_so_many_devices(f: Fixture) {
    let new = NewShare {
        devices_max: Some(2),
        ..for_two(&f, "s")
    };
    let (id, users) = f.store.create_share(new, NOW).await.unwrap();
    for (user, token) in [(users[0], "a"), (users[1], "b"), (users[1], "c")] {
        f.store
            .put_token(exchanged(&f, (id, user), token))
            .await
            .unwrap();
    }
    f.verify(users[0], "a").await;
    assert!(!the_one(&f).await.is_used_up());
    f.verify(users[1], "b").await;
    assert!(the_one(&f).await.is_used_up());

    f.send_code(users[1], "c", "111111").await;
    for code in ["222222", "111111"] {
        let attempted = f.try_code(users[1], "c", code).await;
        assert_eq!(attempted, Attempted::Full, "not even looked at");
    }
    assert_eq!(f.store.session(f.pair("c"), NOW).await.unwrap(), None);
    assert_eq!(the_one(&f).await.devices(), 2);
    // One that is known has its place, whatever became of its session.
    f.store.revoke(Which::All, NOW).await.unwrap();
    f.verify(users[0], "a").await;
    assert_eq!(the_one(&f).await.devices(), 2);
    // It is nothing to others.
    f.holder("ann", "t").await;
    let (_, other) = f.share(f.new_share("other")).await;
    f.verify(other, "other").await;
}

async fn fifty_devices_at_once_take_the_last_place_once(f: Fixture) {
    let new = NewShare {
        devices_max: Some(1),
        ..f.new_share("s")
    };
    let (id, user) = f.share(new).await;
    let f = Arc::new(f);
    for n in 0..50 {
        let token = format!("t{n}");
        f.store
            .put_token(exchanged(&f, (id, user), &token))
            .await
            .unwrap();
        f.send_code(user, &token, "111111").await;
    }
    let tries = (0..50).map(|n| {
        let f = Arc::clone(&f);
        tokio::spawn(async move { f.try_code(user, &format!("t{n}"), "111111").await })
    });
    let (mut right, mut full) = (0, 0);
    for one in tries.collect::<Vec<_>>() {
        match one.await.unwrap() {
            Attempted::Right(_) => right += 1,
            Attempted::Full => full += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((right, full), (1, 49));
    assert_eq!(the_one(&f).await.devices(), 1);
    assert_eq!(f.store.live_sessions(NOW).await.unwrap(), 1);
}

async fn a_token_that_opens_by_itself_is_counted(f: Fixture) {
    let new = NewShare {
        devices_max: Some(2),
        ..for_two(&f, "s")
    };
    let (id, users) = f.store.create_share(new, NOW).await.unwrap();
    let open = async |user, token: &str| {
        let new = exchanged(&f, (id, user), token);
        f.store.open_share(new).await.unwrap()
    };
    assert!(open(users[0], "a").await);
    assert!(open(users[1], "b").await);
    let share = the_one(&f).await;
    let devices: Vec<_> = share.recipients.iter().map(|one| one.devices).collect();
    assert_eq!(
        (devices, share.last_opened_at()),
        (vec![1, 1], Some(NOW)),
        "each on one"
    );
    assert!(!open(users[1], "c").await);
    assert_eq!(f.store.token(f.digest("c"), NOW).await.unwrap(), None);
    // Once a code is asked for, a device that is in has its place.
    f.verify(users[0], "a").await;
    assert_eq!(the_one(&f).await.devices(), 2);

    // Where devices are not bounded, nothing is kept of them before a code.
    let (free, user) = f.share(f.new_share("free")).await;
    let new = exchanged(&f, (free, user), "d");
    assert!(f.store.open_share(new).await.unwrap());
    assert!(f.store.token(f.digest("d"), NOW).await.unwrap().is_some());
    let shares = f.store.shares().await.unwrap();
    assert_eq!(shares[1].devices(), 0);
    // Of a share that is no more, nothing is put.
    f.store.revoke_share(free, NOW).await.unwrap();
    let new = exchanged(&f, (free, user), "e");
    assert!(f.store.open_share(new).await.is_err());
    assert!(f.store.open_share(f.token(user, "f")).await.is_err());
}

async fn a_token_says_whether_its_device_is_counted(f: Fixture) {
    let is_uncounted = async |token: &str| {
        let found = f.store.token(f.digest(token), NOW).await.unwrap();
        found.unwrap().1.is_uncounted()
    };
    let bounded = NewShare {
        devices_max: Some(3),
        ..f.new_share("s")
    };
    let (id, user) = f.share(bounded).await;
    let born_of = |token: &str, root: &str| Token {
        born: Some(Born {
            of: f.digest(root),
            original: Secret::new(root),
        }),
        ..exchanged(&f, (id, user), token)
    };
    for token in ["typed", "other"] {
        f.store
            .put_token(exchanged(&f, (id, user), token))
            .await
            .unwrap();
    }
    f.store.put_token(born_of("born", "typed")).await.unwrap();
    for token in ["typed", "born", "other"] {
        assert!(is_uncounted(token).await, "{token}");
    }
    f.verify(user, "typed").await;
    f.store.revoke(Which::All, NOW).await.unwrap();
    for token in ["typed", "born"] {
        assert!(!is_uncounted(token).await, "{token}: for good");
    }
    assert!(is_uncounted("other").await);
    let at_once = exchanged(&f, (id, user), "at once");
    assert!(f.store.open_share(at_once).await.unwrap());
    assert!(!is_uncounted("at once").await);

    // Where any number of devices may be, none waits; nor does an account's.
    let (free, user) = f.share(f.new_share("free")).await;
    let token = exchanged(&f, (free, user), "any");
    f.store.put_token(token).await.unwrap();
    let ann = f.holder("ann", "t").await;
    assert!(ann > user);
    for token in ["free", "any", "t"] {
        assert!(!is_uncounted(token).await, "{token}");
    }
}

async fn fifty_tokens_at_once_take_the_last_place_once(f: Fixture) {
    let new = NewShare {
        devices_max: Some(1),
        ..f.new_share("s")
    };
    let made = f.share(new).await;
    let f = Arc::new(f);
    let tries = (0..50).map(|n| {
        let f = Arc::clone(&f);
        tokio::spawn(async move {
            let new = exchanged(&f, made, &format!("t{n}"));
            f.store.open_share(new).await.unwrap()
        })
    });
    let mut opened = 0;
    for one in tries.collect::<Vec<_>>() {
        opened += usize::from(one.await.unwrap());
    }
    assert_eq!(opened, 1);
    assert_eq!(the_one(&f).await.devices(), 1);
}

async fn a_link_whose_devices_are_counted_is_no_token(f: Fixture) {
    let new = NewShare {
        devices_max: Some(1),
        ..f.new_share("s")
    };
    f.share(new).await;
    assert_eq!(f.store.token(f.digest("s"), NOW).await.unwrap(), None);
}

async fn a_shares_unused_tokens_are_bounded(f: Fixture) {
    let (id, user) = f.share(ending(&f, "s")).await;
    let put = async |name: &str, secs: i64| {
        let mut issued = f.token(user, name);
        issued.share = Some(id);
        issued.issued_pair = Some(f.pair(name));
        issued.issued_at = Timestamp(NOW.0 + secs);
        f.store.put_token(issued).await.unwrap();
    };
    let lives = async |name: &str| f.store.token(f.digest(name), NOW).await.unwrap().is_some();
    put("verified", 0).await;
    f.verify(user, "verified").await;
    put("first", 1).await;
    put("second", 2).await;
    for n in 0..rules::SHARE_TOKENS_MAX - 2 {
        put(&format!("t{n}"), 3).await;
    }
    assert!(lives("first").await, "as many as there may be");
    put("last", 4).await;
    assert!(!lives("first").await, "one too many");
    for kept in ["s", "verified", "second", "t0", "last"] {
        assert!(lives(kept).await, "{kept}");
    }
    // What was counted as a device has its place, also without a session.
    f.store.revoke(Which::All, NOW).await.unwrap();
    put("newer", 5).await;
    assert!(lives("verified").await);
    assert!(!lives("second").await);
}

async fn a_revoked_share_takes_everything_with_it(f: Fixture) {
    let (id, user) = f.share(ending(&f, "s")).await;
    let (kept, _) = f.share(ending(&f, "kept")).await;
    let mut issued = f.token(user, "i");
    issued.share = Some(id);
    f.store.put_token(issued).await.unwrap();
    f.verify(user, "i").await;
    f.send_code(user, "i", "111111").await;

    assert_eq!(f.store.revoke_share(id, NOW).await.unwrap(), [user]);
    assert!(f.store.revoke_share(id, NOW).await.unwrap().is_empty());
    for digest in [f.digest("i"), f.digest("s")] {
        assert_eq!(f.store.token(digest, NOW).await.unwrap(), None);
    }
    assert_eq!(f.store.session(f.pair("i"), NOW).await.unwrap(), None);
    let sent = vec![f.sent("i", Purpose::Verify, "111111")];
    assert_eq!(f.try_all(user, sent).await, Attempted::NeverSent);
    assert_eq!(f.store.user(user).await.unwrap(), None);
    let lines = f.store.revocations_after(0).await.unwrap();
    assert_eq!(lines.last().map(|line| line.which), Some(Which::User(user)));
    let shares = f.store.shares().await.unwrap();
    assert_eq!(shares.iter().map(|s| s.id).collect::<Vec<_>>(), [kept]);
    let (next, next_user) = f.share(ending(&f, "n")).await;
    assert!(
        next > kept && next_user > user,
        "numbers are not used again"
    );
}

async fn a_revoked_share_ends_all_its_recipients_sessions(f: Fixture) {
    let (id, users) = f.store.create_share(for_two(&f, "s"), NOW).await.unwrap();
    for (user, token) in [(users[0], "a"), (users[1], "b")] {
        f.store
            .put_token(exchanged(&f, (id, user), token))
            .await
            .unwrap();
        f.verify(user, token).await;
    }
    let before = f.store.feed_head().await.unwrap();
    assert_eq!(f.store.revoke_share(id, after(1)).await.unwrap(), users);
    let lines = f.store.revocations_after(before).await.unwrap();
    let which: Vec<_> = lines.iter().map(|line| line.which).collect();
    assert_eq!(which, [Which::User(users[0]), Which::User(users[1])]);
    for token in ["a", "b", "s"] {
        assert_eq!(f.store.token(f.digest(token), NOW).await.unwrap(), None);
        assert_eq!(f.store.session(f.pair(token), NOW).await.unwrap(), None);
    }
    assert!(
        f.store
            .users_after(UserId(0), 100)
            .await
            .unwrap()
            .is_empty()
    );
    assert!(f.store.shares().await.unwrap().is_empty());
}
