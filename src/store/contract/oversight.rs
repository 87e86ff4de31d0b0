//! What operators alone ask for.

use super::for_every_engine;
use crate::auth::lockout::Blocked;
use crate::auth::ports::{
    Attempted, AuditQuery, Counted, Disable, Ended, FactorKind, NewSession, Purpose, SessionQuery,
    UserChange, Which,
};
use crate::auth::subject::Who;
use crate::clock::Timestamp;
use crate::event::{Event, EventKind};
use crate::factor::phone::Phone;
use crate::id::{SessionId, UserId};
use crate::secret::Secret;
use crate::store::fixture::{Fixture, NOW, POLICY, REALM, after, passed, sms};
use std::net::IpAddr;

for_every_engine![
    users_come_in_parts,
    a_change_is_what_was_named_and_nothing_else,
    a_new_number_voids_the_codes_on_their_way_to_the_old_one,
    a_new_password_ends_tokens_and_sessions,
    a_removed_user_leaves_nothing_behind,
    recipients_of_shares_are_neither_changed_nor_removed,
    of_fifty_removals_one_wins,
    sessions_are_found_by_user_and_device_in_parts,
    a_devices_sessions_end_with_a_line_each,
    lockouts_say_who_until_when_and_how_often,
    a_cleared_subject_begins_anew,
    fifty_who_clear_one_clear_it_once,
    events_are_found_by_what_they_say,
    events_are_read_on_from_a_number,
];

async fn users_come_in_parts(f: Fixture) {
    let mut ids = Vec::new();
    for name in ["ann", "bob", "cid"] {
        ids.push(f.user(name).await);
    }
    let part = async |after: UserId, limit| {
        let users = f.store.users_after(after, limit).await.unwrap();
        users.iter().map(|user| user.id).collect::<Vec<_>>()
    };
    assert_eq!(part(UserId(0), 2).await, ids[..2]);
    assert_eq!(part(ids[1], 2).await, ids[2..]);
    assert_eq!(part(ids[2], 2).await, []);
}

async fn a_change_is_what_was_named_and_nothing_else(f: Fixture) {
    let ann = f.user("ann").await;
    let before = f.store.user(ann).await.unwrap().unwrap();
    let nothing = UserChange::default();
    assert!(f.store.change_user(ann, nothing, NOW).await.unwrap());
    assert_eq!(f.store.user(ann).await.unwrap().unwrap(), before);
    let change = UserChange {
        phone: Some(Phone::from_e164("+4587654321")),
        email: Some(Some(Secret::new("New@example.org"))),
        can_edit_users: Some(true),
        ..UserChange::default()
    };
    assert!(f.store.change_user(ann, change, NOW).await.unwrap());
    let changed = f.store.user(ann).await.unwrap().unwrap();
    assert_eq!(changed.phone.as_ref().unwrap().e164(), "+4587654321");
    assert_eq!(changed.password_hash, before.password_hash);
    assert!(changed.can_edit_users);
    let found = f.store.user_by_email(REALM, "new@example.org").await;
    assert_eq!(found.unwrap().unwrap().id, ann);
    let taken = UserChange {
        phone: Some(None),
        email: Some(None),
        ..UserChange::default()
    };
    assert!(f.store.change_user(ann, taken, NOW).await.unwrap());
    let left = f.store.user(ann).await.unwrap().unwrap();
    assert_eq!((left.phone, left.email), (None, None));
    let found = f.store.user_by_email(REALM, "new@example.org").await;
    assert_eq!(found.unwrap(), None);
    let nobody = f.store.change_user(UserId(99), UserChange::default(), NOW);
    assert!(!nobody.await.unwrap());
}

async fn a_new_number_voids_the_codes_on_their_way_to_the_old_one(f: Fixture) {
    let ann = f.holder("ann", "t").await;
    f.send_code(ann, "t", "111111").await;
    let change = UserChange {
        phone: Some(Phone::from_e164("+4587654321")),
        ..UserChange::default()
    };
    f.store.change_user(ann, change, NOW).await.unwrap();
    let pending = f.store.pending(f.binding("t"), Purpose::Verify, NOW).await;
    assert!(pending.unwrap().is_none());
    assert!(!matches!(
        f.try_code(ann, "t", "111111").await,
        Attempted::Right(_)
    ));
}

async fn a_new_password_ends_tokens_and_sessions(f: Fixture) {
    let ann = f.holder("ann", "t").await;
    let bob = f.holder("bob", "u").await;
    f.verify(ann, "t").await;
    let of_bob = f.verify(bob, "u").await;
    let head = f.store.feed_head().await.unwrap();
    let change = UserChange {
        password_hash: Some(Some(Secret::new("$argon2id$new"))),
        ..UserChange::default()
    };
    f.store.change_user(ann, change, NOW).await.unwrap();
    assert_eq!(f.store.token(f.digest("t"), NOW).await.unwrap(), None);
    assert_eq!(f.store.session(f.pair("t"), NOW).await.unwrap(), None);
    let told = f.store.revocations_after(head).await.unwrap();
    assert_eq!(told[0].which, Which::User(ann));
    let left = f.store.session(f.pair("u"), NOW).await.unwrap().unwrap();
    assert_eq!(left.id, of_bob.id);
}

async fn a_removed_user_leaves_nothing_behind(f: Fixture) {
    let ann = f.holder("ann", "t").await;
    f.verify(ann, "t").await;
    f.enrol(ann, sms("+4587654321"), 0).await;
    f.give_backup_codes(ann, 1, &["one"]).await;
    f.register(ann, "key").await;
    f.send_code(ann, "t", "111111").await;
    let locked = f.user_subject(ann);
    let mut at_once = POLICY;
    at_once.lock_at = 1;
    f.fail([(locked, at_once)], NOW).await.unwrap();
    let head = f.store.feed_head().await.unwrap();

    assert!(f.store.remove_user(ann, &[locked], NOW).await.unwrap());
    assert_eq!(f.store.user(ann).await.unwrap(), None);
    assert_eq!(f.store.user_by_name(REALM, "ann").await.unwrap(), None);
    assert_eq!(f.store.token(f.digest("t"), NOW).await.unwrap(), None);
    assert_eq!(f.store.session(f.pair("t"), NOW).await.unwrap(), None);
    assert!(f.store.factors(ann).await.unwrap().is_empty());
    assert_eq!(f.store.blocked(&[locked], NOW).await.unwrap(), None);
    let pending = f.store.pending(f.binding("t"), Purpose::Verify, NOW).await;
    assert!(pending.unwrap().is_none());
    let told = f.store.revocations_after(head).await.unwrap();
    assert!(told.iter().any(|line| line.which == Which::User(ann)));

    assert!(!f.store.remove_user(ann, &[], NOW).await.unwrap(), "again");
    let namesake = f.user("ann").await;
    assert!(namesake > ann, "a number is never used again");
    assert!(f.store.factors(namesake).await.unwrap().passkeys.is_empty());
}

async fn recipients_of_shares_are_neither_changed_nor_removed(f: Fixture) {
    let (_, user) = f.share(f.new_share("link")).await;
    let before = f.store.user(user).await.unwrap();
    let change = UserChange {
        phone: Some(None),
        ..UserChange::default()
    };
    assert!(!f.store.change_user(user, change, NOW).await.unwrap());
    assert!(!f.store.remove_user(user, &[], NOW).await.unwrap());
    assert_eq!(f.store.user(user).await.unwrap(), before);
}

async fn of_fifty_removals_one_wins(f: Fixture) {
    let ann = f.holder("ann", "t").await;
    f.verify(ann, "t").await;
    let racers: Vec<_> = (0..50)
        .map(|n| {
            let store = f.store.clone();
            tokio::spawn(async move {
                match n % 2 {
                    0 => store.remove_user(ann, &[], NOW).await.unwrap(),
                    _ => {
                        let off = Disable::One(FactorKind::Sms);
                        store.disable(ann, off, NOW).await.ok();
                        false
                    }
                }
            })
        })
        .collect();
    let mut won = 0;
    for racer in racers {
        won += u32::from(racer.await.unwrap());
    }
    assert_eq!(won, 1);
}

/// Ann's on a laptop and a phone, Bob's on a phone.
async fn three_sessions(f: &Fixture) -> ([UserId; 2], Vec<SessionId>) {
    let ann = f.holder("ann", "t").await;
    let bob = f.holder("bob", "v").await;
    f.store.put_token(f.token(ann, "u")).await.unwrap();
    let mut ids = Vec::new();
    for (user, token, device) in [
        (ann, "t", "laptop"),
        (ann, "u", "phone"),
        (bob, "v", "phone"),
    ] {
        f.send_code(user, token, "123456").await;
        let mut attempt = f.attempt(user, token, "123456");
        attempt.then.sessions = vec![NewSession {
            device_label: Some(device.to_owned()),
            ..f.new_session(user, token)
        }];
        let attempted = f.store.attempt(attempt, NOW).await.unwrap();
        ids.push(passed(attempted).sessions[0].id);
    }
    ([ann, bob], ids)
}

async fn sessions_are_found_by_user_and_device_in_parts(f: Fixture) {
    let ([ann, _], ids) = three_sessions(&f).await;
    let all = SessionQuery {
        user: None,
        devices: Vec::new(),
        before: None,
        limit: 9,
    };
    let find = async |query: SessionQuery, now| {
        let rows = f.store.find_sessions(query, now).await.unwrap();
        rows.iter().map(|row| row.session.id).collect::<Vec<_>>()
    };
    let newest: Vec<_> = ids.iter().rev().copied().collect();
    assert_eq!(find(all.clone(), NOW).await, newest);
    assert_eq!(find(all.clone(), after(3600)).await, [], "over");
    let first = SessionQuery {
        limit: 2,
        ..all.clone()
    };
    assert_eq!(find(first, NOW).await, newest[..2]);
    let rest = SessionQuery {
        before: Some(newest[1]),
        ..all.clone()
    };
    assert_eq!(find(rest, NOW).await, newest[2..]);
    let phones = SessionQuery {
        devices: vec!["phone".to_owned(), "tablet".to_owned()],
        ..all.clone()
    };
    assert_eq!(find(phones.clone(), NOW).await, newest[..2]);
    let hers = SessionQuery {
        user: Some(ann),
        ..phones
    };
    assert_eq!(find(hers, NOW).await, [ids[1]]);
}

async fn a_devices_sessions_end_with_a_line_each(f: Fixture) {
    let ([ann, bob], ids) = three_sessions(&f).await;
    let head = f.store.feed_head().await.unwrap();
    let phone = ["phone".to_owned(), "other".to_owned()];
    let revoke = async |user| f.store.revoke_devices(&phone, user, NOW).await.unwrap();
    let ended = |id, user| Ended {
        id,
        user,
        device: "phone".to_owned(),
    };
    assert_eq!(revoke(Some(ann)).await, [ended(ids[1], ann)]);
    assert_eq!(revoke(Some(ann)).await, []);
    assert_eq!(revoke(None).await, [ended(ids[2], bob)]);
    let told = f.store.revocations_after(head).await.unwrap();
    let told: Vec<_> = told.iter().map(|line| line.which).collect();
    assert_eq!(told, [Which::Session(ids[1]), Which::Session(ids[2])]);
    let left = f.store.sessions(None, NOW).await.unwrap();
    assert_eq!(left.len(), 1);
    // Nothing is ended that names no device.
    let none = f.store.revoke_devices(&[], None, NOW).await.unwrap();
    assert_eq!(none, []);
}

fn counted(f: &Fixture, who: Who) -> Counted {
    who.counted(&f.keys, POLICY)
}

async fn lockouts_say_who_until_when_and_how_often(f: Fixture) {
    let network = Who::Network("2001:db8::".parse().unwrap());
    let account = Who::Account {
        realm: REALM.to_owned(),
        name: "Ann or nobody".to_owned(),
    };
    for _ in 0..5 {
        for who in [&network, &account] {
            let counted = [counted(&f, who.clone())];
            f.store.failed(&counted, NOW).await.unwrap();
        }
    }
    let mut at_once = POLICY;
    at_once.lock_at = 1;
    f.fail([(f.user_subject(UserId(7)), at_once)], NOW)
        .await
        .unwrap();
    let near = [counted(&f, Who::User(UserId(8)))];
    f.store.failed(&near, NOW).await.unwrap();

    let found = f.store.lockouts(None, 9, NOW).await.unwrap();
    assert_eq!(
        found.len(),
        3,
        "one who only came near is not locked out: {found:?}"
    );
    let of = |who: Option<&Who>| found.iter().find(|it| it.who.as_ref() == who).unwrap();
    for who in [&network, &account] {
        let counter = of(Some(who)).counter;
        assert_eq!((counter.failures, counter.locked), (5, false));
        assert_eq!(counter.delayed_until, after(30));
    }
    let locked = of(None);
    assert_eq!(locked.subject, f.user_subject(UserId(7)));
    assert!(locked.counter.locked);

    let first = f.store.lockouts(None, 2, NOW).await.unwrap();
    assert_eq!(first, found[..2]);
    let rest = f.store.lockouts(Some(first[1].id()), 2, NOW).await.unwrap();
    assert_eq!(rest, found[2..]);
    let later = f.store.lockouts(None, 9, after(30)).await.unwrap();
    assert_eq!(later.len(), 1, "delays end, the lock does not");
}

async fn a_cleared_subject_begins_anew(f: Fixture) {
    let (user, address) = (f.user_subject(UserId(7)), f.address_subject());
    let mut at_once = POLICY;
    at_once.lock_at = 1;
    f.fail([(user, at_once), (address, at_once)], NOW)
        .await
        .unwrap();
    let locked = Some(Blocked::Locked);
    assert_eq!(f.store.clear_lockouts(&[user]).await.unwrap(), 1);
    assert_eq!(f.store.clear_lockouts(&[user]).await.unwrap(), 0);
    assert_eq!(f.store.blocked(&[user], NOW).await.unwrap(), None);
    assert_eq!(f.store.blocked(&[address], NOW).await.unwrap(), locked);
    let [one] = &f.store.lockouts(None, 9, NOW).await.unwrap()[..] else {
        panic!("one")
    };
    assert_eq!(f.store.clear_lockout([0; 8]).await.unwrap(), None);
    let cleared = f.store.clear_lockout(one.id()).await.unwrap();
    assert_eq!(cleared.as_ref(), Some(one), "as it was");
    assert_eq!(f.store.blocked(&[address], NOW).await.unwrap(), None);
}

async fn fifty_who_clear_one_clear_it_once(f: Fixture) {
    let who = counted(&f, Who::User(UserId(7)));
    let mut at_once = who.clone();
    at_once.policy.lock_at = 1;
    f.store.failed(&[at_once], NOW).await.unwrap();
    let id = f.store.lockouts(None, 1, NOW).await.unwrap()[0].id();
    let racers = (0..50).map(|_| {
        let store = f.store.clone();
        tokio::spawn(async move { store.clear_lockout(id).await.unwrap() })
    });
    let mut cleared = 0;
    for racer in racers.collect::<Vec<_>>() {
        cleared += usize::from(racer.await.unwrap().is_some());
    }
    assert_eq!(cleared, 1);
}

fn event(kind: EventKind, user: i64, address: &str) -> Event {
    Event {
        kind,
        user: Some(UserId(user)).filter(|user| user.0 > 0),
        route: "files".to_owned(),
        address: address.parse().ok(),
        detail: "sms".to_owned(),
    }
}

/// Five events, a second apart.
async fn five_events(f: &Fixture) -> Vec<(Timestamp, Event)> {
    let events = vec![
        (NOW, event(EventKind::Challenged, 7, "192.0.2.1")),
        (after(1), event(EventKind::Verified, 7, "192.0.2.1")),
        (after(2), event(EventKind::Refused, 0, "2001:db8::1")),
        (after(3), event(EventKind::Verified, 8, "192.0.2.1")),
        (after(4), event(EventKind::Revoked, 7, "none")),
    ];
    f.store.append(&events[..2]).await.unwrap();
    f.store.append(&events[2..]).await.unwrap();
    events
}

async fn events_are_found_by_what_they_say(f: Fixture) {
    let events = five_events(&f).await;
    let find = async |query: AuditQuery| {
        let lines = f.store.search_audit(query.clone()).await.unwrap();
        assert!(lines.iter().all(|line| query.takes(line)));
        assert!(lines.windows(2).all(|pair| pair[0].id > pair[1].id));
        let found = lines.into_iter().map(|line| (line.at, line.event));
        let at = |one| events.iter().position(|it| *it == one).unwrap();
        found.map(at).collect::<Vec<_>>()
    };
    let all = AuditQuery::newest(9);
    assert_eq!(find(all.clone()).await, [4, 3, 2, 1, 0]);
    let of = |change: fn(&mut AuditQuery)| {
        let mut query = AuditQuery::newest(9);
        change(&mut query);
        find(query)
    };
    assert_eq!(of(|it| it.user = Some(UserId(7))).await, [4, 1, 0]);
    assert_eq!(of(|it| it.kind = Some(EventKind::Verified)).await, [3, 1]);
    let address: fn(&mut AuditQuery) = |it| it.address = Some([192, 0, 2, 1].into());
    assert_eq!(of(address).await, [3, 1, 0]);
    let v6: fn(&mut AuditQuery) = |it| it.address = "2001:db8:0::1".parse::<IpAddr>().ok();
    assert_eq!(of(v6).await, [2]);
    assert_eq!(of(|it| it.since = Some(after(3))).await, [4, 3]);
    assert_eq!(of(|it| it.until = Some(after(3))).await, [2, 1, 0]);
    let both: fn(&mut AuditQuery) = |it| {
        it.user = Some(UserId(7));
        it.kind = Some(EventKind::Verified);
    };
    assert_eq!(of(both).await, [1]);
    assert!(of(|it| it.user = Some(UserId(9))).await.is_empty());

    // New events do not move what comes in parts.
    let first = f.store.search_audit(AuditQuery::newest(2)).await.unwrap();
    f.store.append(&events[..1]).await.unwrap();
    let next = AuditQuery {
        before: first.last().map(|line| line.id),
        ..AuditQuery::newest(2)
    };
    assert_eq!(find(next).await, [2, 1]);
}

async fn events_are_read_on_from_a_number(f: Fixture) {
    assert_eq!(f.store.audit_head().await.unwrap(), 0);
    let events = five_events(&f).await;
    let head = f.store.audit_head().await.unwrap();
    let (mut seen, mut after) = (Vec::new(), 0);
    loop {
        let lines = f.store.audit_after(after, 2).await.unwrap();
        let Some(last) = lines.last() else { break };
        after = last.id;
        seen.extend(lines.into_iter().map(|line| (line.at, line.event)));
    }
    assert_eq!((seen, after), (events, head));
}
