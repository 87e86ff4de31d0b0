//! One typed code and everything that it may be.

use super::for_every_engine;
use crate::auth::lockout::Blocked;
use crate::auth::ports::{Attempt, Attempted, BackupCodes, NewChallenge, Purpose, Try, Which};
use crate::gate::session::Factor;
use crate::id::{FactorId, UserId};
use crate::store::fixture::{Fixture, NOW, POLICY, after, passed, totp};
use std::sync::Arc;

for_every_engine![
    a_step_of_an_authenticator_is_good_once_and_never_again,
    an_authenticator_is_its_own_users_and_of_its_own_number,
    a_backup_code_is_good_once,
    a_new_set_of_backup_codes_replaces_the_old_one,
    a_reset_overtakes_backup_codes_that_were_on_their_way,
    the_first_that_it_is_counts,
    a_wrong_code_counts_once_and_costs_every_challenge_a_try,
    a_right_code_costs_the_other_challenges_nothing,
    what_was_right_before_is_no_guess,
    nobodys_challenge_answers_like_one_and_is_never_right,
    a_challenge_without_a_code_is_not_compared,
    backup_codes_pass_a_lock_and_no_delay,
    guessing_backup_codes_in_a_lock_is_delayed,
    an_attempt_without_tries_finds_nothing,
    a_code_is_for_one_purpose,
    the_token_must_be_the_users,
    one_of_fifty_steps_wins,
    one_of_fifty_backup_codes_wins,
];

fn step(factor: FactorId, step: i64) -> Vec<Try> {
    let step = Some(step);
    vec![Try::Totp { factor, step }]
}

fn backup(f: &Fixture, code: &str) -> Vec<Try> {
    let code = f.backup_code(code);
    vec![Try::Backup { code }]
}

const WRONG: Attempted = Attempted::Wrong { left: None };

async fn a_step_of_an_authenticator_is_good_once_and_never_again(f: Fixture) {
    let ann = f.user("ann").await;
    let factor = f.enrol(ann, totp("secret of ann's"), 100).await;
    assert_eq!(f.try_all(ann, step(factor, 100)).await, WRONG, "confirmed");
    assert_eq!(f.try_all(ann, step(factor, 99)).await, WRONG);
    let right = passed(f.try_all(ann, step(factor, 101)).await);
    assert_eq!((right.factor, right.has_enrolled), (Factor::Totp, false));
    assert!(right.sessions.is_empty());
    assert_eq!(f.try_all(ann, step(factor, 101)).await, WRONG);
    passed(f.try_all(ann, step(factor, 105)).await);
    assert_eq!(f.try_all(ann, step(factor, 104)).await, WRONG);
    let none = vec![Try::Totp { factor, step: None }];
    assert_eq!(f.try_all(ann, none).await, WRONG);
}

async fn an_authenticator_is_its_own_users_and_of_its_own_number(f: Fixture) {
    let (ann, bob) = (f.user("ann").await, f.user("bob").await);
    let old = f.enrol(ann, totp("first secret"), 100).await;
    assert_eq!(f.try_all(bob, step(old, 101)).await, Attempted::NeverSent);
    let nobodys = f.bare(None, step(old, 101));
    let nobodys = f.store.attempt(nobodys, NOW).await.unwrap();
    assert_eq!(nobodys, Attempted::NeverSent);
    let new = f.enrol(ann, totp("second secret"), 50).await;
    assert!(new > old);
    // Reckoned with the old secret, while the new one was confirmed.
    assert_eq!(f.try_all(ann, step(old, 101)).await, Attempted::NeverSent);
    passed(f.try_all(ann, step(new, 51)).await);
    let phone = f
        .enrol(ann, crate::store::fixture::sms("+4599999999"), 0)
        .await;
    assert_eq!(f.try_all(ann, step(phone, 1)).await, Attempted::NeverSent);
}

async fn a_backup_code_is_good_once(f: Fixture) {
    let (ann, bob) = (f.user("ann").await, f.user("bob").await);
    f.give_backup_codes(ann, 1, &["11111111", "22222222"]).await;
    assert_eq!(f.try_all(bob, backup(&f, "11111111")).await, WRONG);
    let right = passed(f.try_all(ann, backup(&f, "11111111")).await);
    assert_eq!(right.factor, Factor::BackupCode);
    assert_eq!(right.backup_codes_left, 1);
    assert_eq!(f.try_all(ann, backup(&f, "11111111")).await, WRONG);
    assert_eq!(f.store.factors(ann).await.unwrap().backup_codes_left, 1);
    let right = passed(f.try_all(ann, backup(&f, "22222222")).await);
    assert_eq!(right.backup_codes_left, 0);
    assert_eq!(f.store.backup_salt(ann).await.unwrap(), Some([1; 16]));
}

async fn a_new_set_of_backup_codes_replaces_the_old_one(f: Fixture) {
    let ann = f.user("ann").await;
    assert_eq!(f.store.backup_salt(ann).await.unwrap(), None);
    f.give_backup_codes(ann, 1, &["11111111", "22222222"]).await;
    f.give_backup_codes(ann, 2, &["33333333"]).await;
    assert_eq!(f.store.backup_salt(ann).await.unwrap(), Some([2; 16]));
    assert_eq!(f.store.factors(ann).await.unwrap().backup_codes_left, 1);
    assert_eq!(f.try_all(ann, backup(&f, "11111111")).await, WRONG);
    passed(f.try_all(ann, backup(&f, "33333333")).await);
    let nobody = BackupCodes {
        salt: [3; 16],
        codes: Vec::new(),
    };
    let unknown = f.store.put_backup_codes(UserId(99), nobody, 0, NOW).await;
    assert!(unknown.is_err());
}

async fn a_reset_overtakes_backup_codes_that_were_on_their_way(f: Fixture) {
    let (ann, bob) = (f.user("ann").await, f.user("bob").await);
    let codes = BackupCodes {
        salt: [3; 16],
        codes: vec![f.backup_code("11111111")],
    };
    let since = f.store.feed_head().await.unwrap();
    let subject = f.user_subject(ann);
    f.store.reset_user(ann, subject, NOW).await.unwrap();
    let put = async |user, since| {
        let put = f.store.put_backup_codes(user, codes.clone(), since, NOW);
        put.await.unwrap()
    };
    assert!(!put(ann, since).await);
    assert_eq!(f.store.backup_salt(ann).await.unwrap(), None);
    assert!(put(bob, since).await, "somebody else");
    let since = f.store.feed_head().await.unwrap();
    assert!(put(ann, since).await, "verified after it");
    f.store.revoke(Which::All, NOW).await.unwrap();
    assert!(!put(ann, since).await);
}

async fn the_first_that_it_is_counts(f: Fixture) {
    let ann = f.user("ann").await;
    let factor = f.enrol(ann, totp("secret"), 100).await;
    f.send_code(ann, "t", "123456").await;
    let sent = f.sent("t", Purpose::Verify, "123456");
    let both = vec![step(factor, 101).remove(0), sent.clone()];
    assert_eq!(passed(f.try_all(ann, both).await).factor, Factor::Totp);
    let other_way = vec![sent, step(factor, 102).remove(0)];
    let right = passed(f.try_all(ann, other_way).await);
    assert_eq!(right.factor, Factor::Sms, "the sent code was not spent");
    passed(f.try_all(ann, step(factor, 102)).await);
}

/// A code for the pair's enrolment and its verification at once.
fn both(f: &Fixture, code: &str) -> Vec<Try> {
    vec![
        f.sent("t", Purpose::Enrol, code),
        f.sent("t", Purpose::Verify, code),
    ]
}

async fn put_both(f: &Fixture, user: UserId) {
    let phone = crate::store::fixture::sms("+4599999999");
    let enrolment = NewChallenge {
        attempts: 2,
        ..f.enrolment(user, "t", phone, "111111")
    };
    f.store.put_challenge(enrolment).await.unwrap();
    f.send_code(user, "t", "222222").await;
}

async fn a_wrong_code_counts_once_and_costs_every_challenge_a_try(f: Fixture) {
    let ann = f.user("ann").await;
    put_both(&f, ann).await;
    let pending = async |purpose| {
        let pending = f.store.pending(f.binding("t"), purpose, NOW).await;
        pending.unwrap().is_some()
    };
    let wrong = |left| Attempted::Wrong { left: Some(left) };
    assert_eq!(f.try_all(ann, both(&f, "000000")).await, wrong(4));
    assert!(pending(Purpose::Enrol).await);
    assert_eq!(f.try_all(ann, both(&f, "000000")).await, wrong(3));
    assert!(!pending(Purpose::Enrol).await && pending(Purpose::Verify).await);
    assert_eq!(f.try_all(ann, both(&f, "000000")).await, wrong(2));
    // Twice the same challenge loses one try.
    let twice = [both(&f, "000001"), both(&f, "000002")].concat();
    assert_eq!(f.try_all(ann, twice).await, wrong(1));
    let subjects = [f.user_subject(ann), f.address_subject()];
    assert_eq!(f.store.blocked(&subjects, NOW).await.unwrap(), None);
    assert_eq!(f.try_all(ann, both(&f, "000000")).await, wrong(0));
    let delayed = Some(Blocked::Delayed {
        retry_after_secs: 30,
    });
    assert_eq!(f.store.blocked(&subjects, NOW).await.unwrap(), delayed);
}

async fn a_right_code_costs_the_other_challenges_nothing(f: Fixture) {
    let ann = f.user("ann").await;
    put_both(&f, ann).await;
    for _ in 0..3 {
        f.send_code(ann, "t", "222222").await;
        let right = passed(f.try_all(ann, both(&f, "222222")).await);
        assert!(!right.has_enrolled);
    }
    let right = passed(f.try_all(ann, both(&f, "111111")).await);
    assert!(right.has_enrolled, "the enrolment still had its two tries");
}

async fn what_was_right_before_is_no_guess(f: Fixture) {
    let ann = f.user("ann").await;
    let factor = f.enrol(ann, totp("secret"), 100).await;
    f.send_code(ann, "t", "123456").await;
    passed(
        f.try_all(ann, vec![f.sent("t", Purpose::Verify, "123456")])
            .await,
    );
    let again = |code: &str| {
        let none = Try::Totp { factor, step: None };
        vec![f.sent("t", Purpose::Verify, code), none]
    };
    for _ in 0..6 {
        assert_eq!(f.try_all(ann, again("123456")).await, Attempted::Gone);
    }
    assert_eq!(f.try_all(ann, again("000000")).await, WRONG);
    let alone = vec![f.sent("t", Purpose::Verify, "000000")];
    assert_eq!(f.try_all(ann, alone).await, Attempted::Gone);
}

async fn nobodys_challenge_answers_like_one_and_is_never_right(f: Fixture) {
    let ann = f.user("ann").await;
    let decoy = NewChallenge {
        user: None,
        ..f.challenge(ann, "t", "123456")
    };
    let no_code = NewChallenge {
        code: None,
        bound_to: f.binding("u"),
        ..decoy.clone()
    };
    for challenge in [decoy, no_code] {
        f.store.put_challenge(challenge).await.unwrap();
    }
    let attempt = |token: &str, code: &str| {
        let tries = vec![f.sent(token, Purpose::Verify, code)];
        f.bare(None, tries)
    };
    let tried = async |attempt: Attempt| f.store.attempt(attempt, NOW).await.unwrap();
    for left in (0..4).rev() {
        let left = Some(left + 1);
        let wrong = tried(attempt("t", "123456")).await;
        assert_eq!(wrong, Attempted::Wrong { left }, "even if it is equal");
    }
    let wrong = tried(attempt("u", "123456")).await;
    assert_eq!(wrong, Attempted::Wrong { left: Some(4) });
    let blocked = tried(attempt("t", "123456")).await;
    assert!(matches!(blocked, Attempted::Blocked(_)), "counted like any");
    let other = f.bare(Some(ann), vec![f.sent("t", Purpose::Verify, "123456")]);
    assert_eq!(tried(other).await, Attempted::NeverSent);
    f.store
        .succeeded(&[f.user_subject(UserId(0))])
        .await
        .unwrap();
    let last = tried(attempt("t", "123456")).await;
    assert_eq!(last, Attempted::Wrong { left: Some(0) });
    assert_eq!(tried(attempt("t", "123456")).await, Attempted::Gone);
}

async fn a_challenge_without_a_code_is_not_compared(f: Fixture) {
    let ann = f.user("ann").await;
    let proposed = NewChallenge {
        code: None,
        ..f.enrolment(ann, "t", crate::store::fixture::sms("+4599999999"), "")
    };
    f.store.put_challenge(proposed).await.unwrap();
    let tries = || vec![f.sent("t", Purpose::Enrol, "123456")];
    assert_eq!(f.try_all(ann, tries()).await, Attempted::NeverSent);
    let late = f.bare(Some(ann), tries());
    let late = f.store.attempt(late, after(600)).await.unwrap();
    assert_eq!(late, Attempted::Gone, "told from what never was");
}

/// Counts failures of a user until its account is locked.
async fn lock(f: &Fixture, user: UserId) {
    let mut at_once = POLICY;
    at_once.lock_at = 1;
    at_once.delay_every = 0;
    let subject = [(f.user_subject(user), at_once)];
    f.fail(subject, NOW).await.unwrap();
}

async fn backup_codes_pass_a_lock_and_no_delay(f: Fixture) {
    let ann = f.user("ann").await;
    f.give_backup_codes(ann, 1, &["11111111", "22222222"]).await;
    f.send_code(ann, "t", "123456").await;
    lock(&f, ann).await;
    let locked = Attempted::Blocked(Blocked::Locked);
    let sent = f.sent("t", Purpose::Verify, "123456");
    assert_eq!(f.try_all(ann, vec![sent.clone()]).await, locked);
    let mixed = [vec![sent], backup(&f, "11111111")].concat();
    assert_eq!(f.try_all(ann, mixed).await, locked);
    passed(f.try_all(ann, backup(&f, "11111111")).await);
    let subject = [f.user_subject(ann)];
    assert_eq!(f.store.blocked(&subject, NOW).await.unwrap(), None, "freed");

    for _ in 0..5 {
        let counted = [(subject[0], POLICY)];
        f.fail(counted, NOW).await.unwrap();
    }
    lock(&f, ann).await;
    let delayed = Attempted::Blocked(Blocked::Delayed {
        retry_after_secs: 30,
    });
    assert_eq!(f.try_all(ann, backup(&f, "22222222")).await, delayed);
    let later = f.bare(Some(ann), backup(&f, "22222222"));
    passed(f.store.attempt(later, after(30)).await.unwrap());
}

async fn guessing_backup_codes_in_a_lock_is_delayed(f: Fixture) {
    let ann = f.user("ann").await;
    f.give_backup_codes(ann, 1, &["11111111"]).await;
    lock(&f, ann).await;
    // The lock was the first failure.
    for _ in 0..4 {
        assert_eq!(f.try_all(ann, backup(&f, "00000000")).await, WRONG);
    }
    let delayed = |retry_after_secs| Attempted::Blocked(Blocked::Delayed { retry_after_secs });
    assert_eq!(f.try_all(ann, backup(&f, "11111111")).await, delayed(30));
    for _ in 0..5 {
        let guess = f.bare(Some(ann), backup(&f, "00000000"));
        assert_eq!(f.store.attempt(guess, after(30)).await.unwrap(), WRONG);
    }
    let right = f.bare(Some(ann), backup(&f, "11111111"));
    let second = f.store.attempt(right, after(30)).await.unwrap();
    assert_eq!(second, delayed(60), "twice as long");
    let subject = [f.user_subject(ann)];
    let block = f.store.blocked(&subject, after(30)).await.unwrap();
    assert_eq!(block, Some(Blocked::Locked));
}

async fn an_attempt_without_tries_finds_nothing(f: Fixture) {
    let ann = f.user("ann").await;
    assert_eq!(f.try_all(ann, Vec::new()).await, Attempted::NeverSent);
    lock(&f, ann).await;
    let locked = Attempted::Blocked(Blocked::Locked);
    assert_eq!(f.try_all(ann, Vec::new()).await, locked);
}

async fn a_code_is_for_one_purpose(f: Fixture) {
    let ann = f.user("ann").await;
    for purpose in [Purpose::Disable, Purpose::Confirm] {
        let challenge = NewChallenge {
            purpose,
            code: Some(f.code(f.binding("t"), purpose, "123456")),
            ..f.challenge(ann, "t", "123456")
        };
        let id = f.store.put_challenge(challenge).await.unwrap();
        let verify = vec![f.sent("t", Purpose::Verify, "123456")];
        assert_eq!(f.try_all(ann, verify).await, Attempted::NeverSent);
        let totp = vec![f.new_totp("t", id, Some(1))];
        assert_eq!(f.try_all(ann, totp).await, Attempted::NeverSent);
    }
    for purpose in [Purpose::Disable, Purpose::Confirm] {
        let right = f.try_all(ann, vec![f.sent("t", purpose, "123456")]).await;
        assert!(!passed(right).has_enrolled);
    }
}

async fn the_token_must_be_the_users(f: Fixture) {
    let (ann, _) = (f.holder("ann", "t").await, f.holder("bob", "u").await);
    f.send_code(ann, "t", "123456").await;
    let with = |user, token: &str| Attempt {
        token: Some(f.digest(token)),
        ..f.bare(user, vec![f.sent("t", Purpose::Verify, "123456")])
    };
    for (user, token) in [(Some(ann), "u"), (Some(ann), "unknown"), (None, "t")] {
        let tried = f.store.attempt(with(user, token), NOW).await.unwrap();
        assert_eq!(tried, Attempted::Gone, "{user:?} {token}");
    }
    passed(f.store.attempt(with(Some(ann), "t"), NOW).await.unwrap());
}

/// How many of fifty attempts at once are right, the others being wrong.
async fn right_of_fifty(f: Fixture, user: UserId, one: Try) -> usize {
    let f = Arc::new(f);
    let tries = (0..50).map(|_| {
        let (f, one) = (f.clone(), one.clone());
        tokio::spawn(async move {
            let mut attempt = f.bare(Some(user), vec![one]);
            attempt.subjects.user.policy.delay_every = 0;
            attempt.subjects.address.policy.delay_every = 0;
            f.store.attempt(attempt, NOW).await.unwrap()
        })
    });
    let mut right = 0;
    for tried in tries.collect::<Vec<_>>() {
        match tried.await.unwrap() {
            Attempted::Right(_) => right += 1,
            other => assert_eq!(other, WRONG),
        }
    }
    right
}

async fn one_of_fifty_steps_wins(f: Fixture) {
    let ann = f.user("ann").await;
    let factor = f.enrol(ann, totp("secret"), 100).await;
    let one = step(factor, 101).remove(0);
    assert_eq!(right_of_fifty(f, ann, one).await, 1);
}

async fn one_of_fifty_backup_codes_wins(f: Fixture) {
    let ann = f.user("ann").await;
    f.give_backup_codes(ann, 1, &["11111111"]).await;
    let one = backup(&f, "11111111").remove(0);
    assert_eq!(right_of_fifty(f, ann, one).await, 1);
}
