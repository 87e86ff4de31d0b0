//! Browsers that are remembered for a user.

use super::for_every_engine;
use crate::auth::ports::{
    Attempt, Browser, Deeds, Disable, FactorKind, NewBrowser, NewSession, Recall, Token, Try, Which,
};
use crate::clock::Timestamp;
use crate::config::model::Remember;
use crate::gate::session::{Factor, Session};
use crate::id::{BrowserId, PasskeyId, UserId};
use crate::store::fixture::{Fixture, NOW, after, mail, passed, proof, sms, totp, whence};
use std::sync::Arc;
use std::time::Duration;

for_every_engine![
    a_browser_is_remembered_with_the_factor_that_was_passed_in_it,
    a_session_out_of_a_browser_is_as_old_as_its_factor,
    nobody_is_remembered_longer_than_was_promised_or_holds_now,
    a_browser_is_nobody_elses,
    a_backup_code_is_not_remembered,
    a_new_secret_takes_nobody_elses_with_it,
    a_browser_goes_with_any_session_that_came_of_it,
    a_browser_goes_with_its_factor,
    a_browser_goes_with_the_sessions_that_somebody_ends,
    a_browser_outlives_a_sign_out,
    a_reset_forgets_every_browser,
    one_is_forgotten_by_its_user_alone,
    what_one_user_has_is_bounded,
    what_is_over_is_purged,
    a_broken_sign_in_leaves_nothing,
    fifty_may_sign_in_at_once,
    of_fifty_that_remember_one_row_stays,
];

const DAY: i64 = 86_400;

fn browser(f: &Fixture, secret: &str, token: &str) -> NewBrowser {
    NewBrowser {
        digest: f.keys.browser(secret),
        instead_of: None,
        token: f.digest(token),
        whence: whence(),
        until: Some(after(30 * DAY)),
    }
}

/// Passes a code that was sent, in a browser.
async fn pass_in(f: &Fixture, user: UserId, token: &str, new: NewBrowser) {
    f.send_code(user, token, "123456").await;
    let mut attempt = f.attempt(user, token, "123456");
    attempt.then.remember = Some(new);
    passed(f.store.attempt(attempt, NOW).await.unwrap());
}

/// Ann, who is remembered in the browser of that secret, where she has token `t`.
async fn ann(f: &Fixture, secret: &str) -> UserId {
    let ann = f.holder("ann", "t").await;
    pass_in(f, ann, "t", browser(f, secret, "t")).await;
    ann
}

fn recall(f: &Fixture, token: &Token, secret: &str, now: Timestamp) -> Recall {
    Recall {
        browser: f.keys.browser(secret),
        remember: Remember::Forever,
        session: NewSession {
            key: token.issued_pair.unwrap(),
            token: token.digest,
            expires_at: now.after(Duration::from_secs(90 * 86_400)),
            ..f.new_session(token.user, "")
        },
    }
}

/// Signs in anew, with this token.
async fn sign_in(
    f: &Fixture,
    user: UserId,
    token: &str,
    secret: &str,
    now: Timestamp,
) -> Option<Session> {
    let token = f.token(user, token);
    let recall = recall(f, &token, secret, now);
    let made = f.store.put_token_in(token.clone(), recall, now).await;
    let stored = f.store.token(token.digest, now).await.unwrap();
    assert_eq!(stored.map(|(_, holder)| holder.user), Some(user));
    made.unwrap()
}

async fn browsers(f: &Fixture, user: UserId) -> Vec<Browser> {
    f.store.browsers(user, NOW).await.unwrap()
}

async fn a_browser_is_remembered_with_the_factor_that_was_passed_in_it(f: Fixture) {
    let ann = f.holder("ann", "t").await;
    assert_eq!(browsers(&f, ann).await, []);
    pass_in(&f, ann, "t", browser(&f, "s", "t")).await;
    let endless = NewBrowser {
        until: None,
        ..browser(&f, "other", "t")
    };
    pass_in(&f, ann, "t", endless).await;
    let [newest, first] = &browsers(&f, ann).await[..] else {
        panic!("two")
    };
    assert!(newest.id > first.id);
    assert_eq!(newest.until, None);
    let expected = Browser {
        id: first.id,
        digest: f.keys.browser("s"),
        factor: Factor::Sms,
        verified_at: NOW,
        whence: whence(),
        until: Some(after(30 * DAY)),
    };
    assert_eq!(*first, expected);
    // Nothing but a right code remembers.
    f.send_code(ann, "t", "123456").await;
    let mut wrong = f.attempt(ann, "t", "000000");
    wrong.then.remember = Some(browser(&f, "third", "t"));
    f.store.attempt(wrong, NOW).await.unwrap();
    assert_eq!(browsers(&f, ann).await.len(), 2);
}

async fn a_session_out_of_a_browser_is_as_old_as_its_factor(f: Fixture) {
    let ann = ann(&f, "s").await;
    let now = after(20 * DAY);
    let session = sign_in(&f, ann, "u", "s", now).await.unwrap();
    assert_eq!((session.factor, session.verified_at), (Factor::Sms, NOW));
    assert_eq!(session.last_seen_at, now, "it has not idled");
    let since = u64::from(session.longest_pause_secs);
    assert_eq!(
        since,
        now.secs_since(session.verified_at),
        "it may have before"
    );
    assert_eq!(
        session.expires_at,
        after(30 * DAY),
        "use makes it no longer"
    );
    let found = f.store.session(f.pair("u"), now).await.unwrap();
    assert_eq!(found, Some(session));
    // Again and again, with the same secret.
    let last = sign_in(&f, ann, "v", "s", after(30 * DAY - 1)).await;
    assert_eq!(last.unwrap().verified_at, NOW);
    let [kept] = &f.store.browsers(ann, now).await.unwrap()[..] else {
        panic!("one")
    };
    assert_eq!(kept.verified_at, NOW);
}

async fn nobody_is_remembered_longer_than_was_promised_or_holds_now(f: Fixture) {
    let ann = ann(&f, "s").await;
    assert!(sign_in(&f, ann, "u", "s", after(30 * DAY)).await.is_none());
    let shorter = |days: u64| Remember::For(Duration::from_secs(days * 86_400));
    for (remember, days, ends) in [
        (shorter(10), 9, Some(10)),
        (shorter(10), 10, None),
        (shorter(60), 29, Some(30)),
        (Remember::Never, 1, None),
    ] {
        let (token, now) = (f.token(ann, "u"), after(days * DAY));
        let recall = Recall {
            remember,
            ..recall(&f, &token, "s", now)
        };
        let made = f.store.put_token_in(token, recall, now).await.unwrap();
        let ends = ends.map(|days| after(days * DAY));
        assert_eq!(made.map(|it| it.expires_at), ends, "{remember:?} {days}");
    }
    // Without an end, the session has its own, and the cookie does.
    let bob = f.holder("bob", "b").await;
    let endless = NewBrowser {
        until: None,
        ..browser(&f, "bob's", "b")
    };
    pass_in(&f, bob, "b", endless).await;
    for days in [399, 798, 1197] {
        let now = after(days * DAY);
        let session = sign_in(&f, bob, "c", "bob's", now).await.unwrap();
        assert_eq!(session.expires_at, after((days + 90) * DAY));
        assert_eq!(session.verified_at, NOW);
    }
    let late = after((1197 + 400) * DAY);
    assert!(sign_in(&f, bob, "c", "bob's", late).await.is_none());
}

async fn a_browser_is_nobody_elses(f: Fixture) {
    ann(&f, "s").await;
    let bob = f.holder("bob", "b").await;
    assert!(sign_in(&f, bob, "c", "s", NOW).await.is_none());
    assert!(sign_in(&f, bob, "c", "unknown", NOW).await.is_none());
    assert_eq!(browsers(&f, bob).await, []);
    // Both may be remembered in one.
    pass_in(&f, bob, "b", browser(&f, "s", "b")).await;
    assert!(sign_in(&f, bob, "c", "s", NOW).await.is_some());
    let name = f.store.session(f.pair("c"), NOW).await.unwrap().unwrap();
    assert_eq!(name.holder.user, bob);
}

async fn a_backup_code_is_not_remembered(f: Fixture) {
    let ann = f.holder("ann", "t").await;
    f.give_backup_codes(ann, 1, &["12345678"]).await;
    let attempt = Attempt {
        then: Deeds {
            remember: Some(browser(&f, "s", "t")),
            ..Deeds::default()
        },
        ..f.bare(
            Some(ann),
            vec![Try::Backup {
                code: f.backup_code("12345678"),
            }],
        )
    };
    passed(f.store.attempt(attempt, NOW).await.unwrap());
    assert_eq!(browsers(&f, ann).await, []);
}

async fn a_new_secret_takes_nobody_elses_with_it(f: Fixture) {
    let ann = ann(&f, "s").await;
    let bob = f.holder("bob", "b").await;
    let next = NewBrowser {
        instead_of: Some(f.keys.browser("s")),
        ..browser(&f, "next", "b")
    };
    pass_in(&f, bob, "b", next.clone()).await;
    assert!(sign_in(&f, ann, "u", "s", NOW).await.is_none());
    let by_bobs = sign_in(&f, ann, "u", "next", NOW).await;
    assert!(by_bobs.is_none(), "it is Bob's alone");
    assert_eq!(browsers(&f, ann).await, []);
    assert!(sign_in(&f, bob, "c", "next", NOW).await.is_some());
    // Whoever is remembered anew is so once.
    let again = NewBrowser {
        digest: f.keys.browser("last"),
        instead_of: Some(f.keys.browser("next")),
        until: None,
        ..next
    };
    pass_in(&f, bob, "b", again).await;
    let [kept] = &browsers(&f, bob).await[..] else {
        panic!("one")
    };
    assert_eq!((kept.digest, kept.until), (f.keys.browser("last"), None));
    assert!(sign_in(&f, bob, "c", "next", NOW).await.is_none());
    assert!(sign_in(&f, bob, "c", "last", NOW).await.is_some());
}

/// Whether Ann would be let in by the browser that she is remembered in.
async fn is_in(f: &Fixture, ann: UserId, secret: &str) -> bool {
    sign_in(f, ann, "probe", secret, NOW).await.is_some()
}

async fn a_browser_goes_with_its_factor(f: Fixture) {
    let ann = ann(&f, "s").await;
    // Others come and go.
    f.enrol(ann, totp("12345678901234567890"), 100).await;
    f.enrol(ann, mail("ann@example.com"), 0).await;
    let off = Disable::One(FactorKind::Totp);
    assert!(f.store.disable(ann, off, NOW).await.unwrap());
    assert!(is_in(&f, ann, "s").await);
    f.enrol(ann, sms("+4587654321"), 0).await;
    assert!(!is_in(&f, ann, "s").await, "another number");
    pass_in(&f, ann, "t", browser(&f, "s", "t")).await;
    assert!(is_in(&f, ann, "s").await);
    let off = Disable::One(FactorKind::Sms);
    assert!(f.store.disable(ann, off, NOW).await.unwrap());
    assert!(!is_in(&f, ann, "s").await, "no number");
    let key = f.register(ann, "key").await;
    pass_by_passkey(&f, ann, key).await;
    assert!(is_in(&f, ann, "s").await);
    let off = Disable::Own {
        target: key.into(),
        last_too: true,
        email_counts: true,
    };
    assert!(f.store.disable(ann, off, NOW).await.unwrap());
    assert!(!is_in(&f, ann, "s").await, "no passkey");
}

async fn pass_by_passkey(f: &Fixture, ann: UserId, key: PasskeyId) {
    let tries = f.answering(ann, "t", proof(key, 8)).await;
    let mut attempt = f.bare(Some(ann), tries);
    attempt.then.remember = Some(browser(f, "s", "t"));
    assert_eq!(
        passed(f.store.attempt(attempt, NOW).await.unwrap()).factor,
        Factor::Passkey
    );
}

async fn a_browser_goes_with_the_sessions_that_somebody_ends(f: Fixture) {
    let ann = ann(&f, "s").await;
    let bob = f.holder("bob", "b").await;
    pass_in(&f, bob, "b", browser(&f, "bob's", "b")).await;
    let id = async |token: &str| {
        let found = f.store.session(f.pair(token), NOW).await.unwrap();
        found.unwrap().id
    };
    // Of another of her devices: hers stays.
    f.store.put_token(f.token(ann, "tablet")).await.unwrap();
    f.send_code(ann, "tablet", "123456").await;
    let mut attempt = f.attempt(ann, "tablet", "123456");
    for session in &mut attempt.then.sessions {
        session.verified_at = after(1);
    }
    passed(f.store.attempt(attempt, NOW).await.unwrap());
    let other = Which::Session(id("tablet").await);
    f.store.revoke(other, NOW).await.unwrap();
    assert!(is_in(&f, ann, "s").await);
    // The token that she came with last is that of the browser.
    let own = Which::Session(id("probe").await);
    f.store.revoke(own, NOW).await.unwrap();
    assert!(!is_in(&f, ann, "s").await);

    f.store.put_token(f.token(ann, "t")).await.unwrap();
    for (which, stays) in [
        (Which::UserBut(bob, id("b").await), true),
        (Which::User(bob), true),
        (Which::User(ann), false),
        (Which::All, false),
    ] {
        pass_in(&f, ann, "t", browser(&f, "s", "t")).await;
        f.store.revoke(which, NOW).await.unwrap();
        assert_eq!(is_in(&f, ann, "s").await, stays, "{which:?}");
    }
    // All others of her own: even where she is, somebody else may have been.
    pass_in(&f, ann, "tablet", browser(&f, "tablet's", "tablet")).await;
    pass_in(&f, ann, "t", browser(&f, "s", "t")).await;
    let spared = Which::UserBut(ann, id("t").await);
    f.store.revoke(spared, NOW).await.unwrap();
    assert!(!is_in(&f, ann, "tablet's").await);
    assert!(!is_in(&f, ann, "s").await);
    // By a session that has ended, nothing is ended.
    pass_in(&f, ann, "t", browser(&f, "s", "t")).await;
    f.store.revoke(spared, after(3_601)).await.unwrap();
    assert!(is_in(&f, ann, "s").await);
}

/// Somebody with a copy of the secret signs in, then its owner does, who ends the stranger's session.
async fn a_browser_goes_with_any_session_that_came_of_it(f: Fixture) {
    let ann = ann(&f, "s").await;
    let now = after(DAY);
    let strangers = sign_in(&f, ann, "stranger", "s", now).await.unwrap();
    sign_in(&f, ann, "anns", "s", now).await.unwrap();
    let ended = Which::Session(strangers.id);
    f.store.revoke(ended, now).await.unwrap();
    assert!(sign_in(&f, ann, "again", "s", now).await.is_none());
    let anns = f.store.session(f.pair("anns"), now).await.unwrap();
    assert!(anns.is_some(), "who is in, stays in");
}

async fn a_browser_outlives_a_sign_out(f: Fixture) {
    let ann = ann(&f, "s").await;
    assert_eq!(
        f.store.drop_token(f.digest("t"), NOW).await.unwrap().len(),
        1
    );
    assert!(is_in(&f, ann, "s").await);
    f.store.drop_token(f.digest("probe"), NOW).await.unwrap();
    assert!(is_in(&f, ann, "s").await);
}

async fn a_reset_forgets_every_browser(f: Fixture) {
    let ann = ann(&f, "s").await;
    pass_in(&f, ann, "t", browser(&f, "other", "t")).await;
    let reset = f.store.reset_user(ann, f.user_subject(ann), NOW).await;
    reset.unwrap();
    assert_eq!(browsers(&f, ann).await, []);
    assert!(!is_in(&f, ann, "s").await && !is_in(&f, ann, "other").await);
}

async fn one_is_forgotten_by_its_user_alone(f: Fixture) {
    let ann = ann(&f, "s").await;
    let bob = f.user("bob").await;
    let id = browsers(&f, ann).await[0].id;
    assert!(!f.store.forget_browser(bob, id).await.unwrap());
    assert!(!f.store.forget_browser(ann, BrowserId(99)).await.unwrap());
    assert!(is_in(&f, ann, "s").await);
    assert!(f.store.forget_browser(ann, id).await.unwrap());
    assert!(!f.store.forget_browser(ann, id).await.unwrap(), "once");
    assert!(!is_in(&f, ann, "s").await);
}

async fn what_one_user_has_is_bounded(f: Fixture) {
    let bob = f.holder("bob", "b").await;
    pass_in(&f, bob, "b", browser(&f, "bob's", "b")).await;
    let ann = ann(&f, "0").await;
    for n in 1..55 {
        pass_in(&f, ann, "t", browser(&f, &n.to_string(), "t")).await;
    }
    let kept = browsers(&f, ann).await;
    assert_eq!(kept.len(), 50);
    assert_eq!(kept[49].digest, f.keys.browser("5"), "the oldest have gone");
    assert_eq!(browsers(&f, bob).await.len(), 1);
}

async fn what_is_over_is_purged(f: Fixture) {
    let ann = ann(&f, "s").await;
    let endless = NewBrowser {
        until: None,
        ..browser(&f, "endless", "t")
    };
    pass_in(&f, ann, "t", endless).await;
    let count = async |now| f.store.browsers(ann, now).await.unwrap().len();
    assert_eq!(count(after(30 * DAY - 1)).await, 2);
    assert_eq!(count(after(30 * DAY)).await, 1);
    assert_eq!(count(after(400 * DAY - 1)).await, 1);
    assert_eq!(count(after(400 * DAY)).await, 0);
    // All else is gone before.
    f.store.purge(after(30 * DAY - 1)).await.unwrap();
    assert_eq!(f.store.purge(after(30 * DAY)).await.unwrap(), 1);
    assert_eq!(f.store.browsers(ann, NOW).await.unwrap().len(), 1);
    f.store.purge(after(400 * DAY)).await.unwrap();
    assert_eq!(f.store.browsers(ann, NOW).await.unwrap().len(), 0);
}

async fn a_broken_sign_in_leaves_nothing(f: Fixture) {
    ann(&f, "s").await;
    let nobodys = f.token(UserId(99), "u");
    let recall = recall(&f, &nobodys, "s", NOW);
    let made = f.store.put_token_in(nobodys.clone(), recall, NOW).await;
    assert!(made.is_err());
    let stored = f.store.token(nobodys.digest, NOW).await.unwrap();
    assert!(stored.is_none());
}

async fn fifty_may_sign_in_at_once(f: Fixture) {
    let ann = ann(&f, "s").await;
    let f = Arc::new(f);
    let tasks: Vec<_> = (0..50)
        .map(|n| {
            let f = Arc::clone(&f);
            tokio::spawn(async move { sign_in(&f, ann, &format!("tab {n}"), "s", NOW).await })
        })
        .collect();
    let mut ids = std::collections::BTreeSet::new();
    for task in tasks {
        let session = task.await.unwrap().unwrap();
        assert_eq!(session.verified_at, NOW);
        ids.insert(session.id);
    }
    assert_eq!(ids.len(), 50);
    assert_eq!(browsers(&f, ann).await.len(), 1);
    // Whoever forgets it afterwards has the last word.
    f.store.revoke(Which::User(ann), NOW).await.unwrap();
    assert_eq!(f.store.live_sessions(NOW).await.unwrap(), 0);
    assert!(!is_in(&f, ann, "s").await);
}

async fn of_fifty_that_remember_one_row_stays(f: Fixture) {
    let ann = f.holder("ann", "t").await;
    f.send_code(ann, "t", "123456").await;
    let f = Arc::new(f);
    let tasks: Vec<_> = (0..50)
        .map(|n| {
            let f = Arc::clone(&f);
            tokio::spawn(async move {
                let mut attempt = f.attempt(ann, "t", "123456");
                attempt.then.remember = Some(browser(&f, &format!("tab {n}"), "t"));
                f.store.attempt(attempt, NOW).await.unwrap();
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(browsers(&f, ann).await.len(), 1, "the code was good once");
}
