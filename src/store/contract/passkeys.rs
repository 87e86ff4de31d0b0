//! Passkeys, and the ceremonies that register and ask for them.

use super::for_every_engine;
use crate::auth::lockout::Blocked;
use crate::auth::ports::{
    Attempt, Attempted, Authority, ChangeQuery, Deeds, Disable, FactorKind, NewChallenge,
    NewPasskey, Passkey, Purpose, Try,
};
use crate::factor::passkey::{OF_USER_MAX, Unfit};
use crate::gate::session::Factor;
use crate::id::{PasskeyId, UserId};
use crate::secret::Secret;
use crate::store::fixture::{Fixture, NOW, PHONE, after, passed, proof, sms};
use crate::store::rules;
use std::sync::Arc;

for_every_engine![
    a_ceremony_is_found_by_its_pair_until_its_end,
    a_registered_passkey_is_there_and_answers,
    an_answer_ends_its_ceremony_right_or_wrong,
    a_ceremony_is_its_own_pairs_users_and_purposes,
    a_counter_moves_on_or_stays_at_nothing,
    a_passkey_is_its_own_users,
    a_passkey_is_registered_once_and_not_too_many,
    a_wrong_answer_counts_like_a_wrong_code,
    the_token_alone_registers_the_first_factor_only,
    passkeys_are_removed_one_or_all,
    a_reset_forgets_passkeys_and_ceremonies,
    a_factor_that_replaces_the_others_replaces_passkeys,
    only_the_newest_ceremonies_of_a_user_are_kept,
    ceremonies_that_are_over_are_swept_up,
    one_of_fifty_answers_wins,
    one_of_fifty_answers_with_one_count_wins,
    one_of_fifty_first_passkeys_wins,
];

const WRONG: Attempted = Attempted::Wrong { left: None };

async fn passkeys(f: &Fixture, user: UserId) -> Vec<Passkey> {
    f.store.factors(user).await.unwrap().passkeys
}

async fn plain(f: &Fixture, name: &str) -> UserId {
    let mut user = f.new_user(name);
    (user.phone, user.email) = (None, None);
    f.store.create_user(user, NOW).await.unwrap().unwrap()
}

/// A passkey that its user takes away, but not as the last factor.
fn own(id: PasskeyId) -> Disable {
    Disable::Own {
        target: id.into(),
        last_too: false,
        email_counts: true,
    }
}

async fn is_open(f: &Fixture, token: &str, purpose: Purpose) -> bool {
    let found = f.store.ceremony(f.binding(token), purpose, NOW).await;
    found.unwrap().is_some()
}

async fn changes(f: &Fixture, user: UserId) -> Vec<(FactorKind, bool)> {
    let query = ChangeQuery {
        kinds: FactorKind::ALL.to_vec(),
        is_enabled: None,
        from: None,
        to: None,
        newest_first: false,
        offset: 0,
        limit: 100,
    };
    let page = f.store.changes(user, query).await.unwrap();
    let lines = page.changes.iter();
    lines.map(|line| (line.kind, line.is_enabled)).collect()
}

async fn a_ceremony_is_found_by_its_pair_until_its_end(f: Fixture) {
    let ann = f.user("ann").await;
    let put = async |state: &str| {
        let mut new = f.ceremony(ann, "t", Purpose::Verify);
        new.state = Secret::new(state);
        f.store.put_ceremony(new).await.unwrap()
    };
    let first = put("first").await;
    let second = put("second").await;
    assert_ne!(first, second);
    let bound_to = f.binding("t");
    let found = f
        .store
        .ceremony(bound_to, Purpose::Verify, after(299))
        .await;
    let found = found.unwrap().unwrap();
    assert_eq!((found.id, found.user), (second, ann));
    assert_eq!(found.state, Secret::new("second"));
    let over = f
        .store
        .ceremony(bound_to, Purpose::Verify, after(300))
        .await;
    assert!(over.unwrap().is_none());
    assert!(!is_open(&f, "t", Purpose::Enrol).await);
    assert!(!is_open(&f, "u", Purpose::Verify).await);
    let nobodys = f.ceremony(UserId(99), "t", Purpose::Enrol);
    assert!(f.store.put_ceremony(nobodys).await.is_err());
}

async fn a_registered_passkey_is_there_and_answers(f: Fixture) {
    let ann = f.holder("ann", "t").await;
    let id = f.register(ann, "Ann's phone").await;
    let expected = Passkey {
        id,
        host: "files.example.org".to_owned(),
        name: "Ann's phone".to_owned(),
        credential: Secret::new("credential of Ann's phone"),
        sign_count: 7,
        created_at: NOW,
        last_used_at: None,
    };
    assert_eq!(passkeys(&f, ann).await, std::slice::from_ref(&expected));
    assert!(f.store.rename_passkey(ann, id, "Phone").await.unwrap());

    let tries = f.answering(ann, "t", proof(id, 9)).await;
    let attempt = Attempt {
        token: Some(f.digest("t")),
        then: Deeds {
            sessions: vec![f.new_session(ann, "t")],
            ..Deeds::default()
        },
        ..f.bare(Some(ann), tries)
    };
    let right = passed(f.store.attempt(attempt, after(60)).await.unwrap());
    assert_eq!((right.factor, right.has_enrolled), (Factor::Passkey, false));
    assert_eq!(right.sessions[0].factor, Factor::Passkey);
    let used = Passkey {
        name: "Phone".to_owned(),
        credential: Secret::new("credential at 9"),
        sign_count: 9,
        last_used_at: Some(after(60)),
        ..expected
    };
    assert_eq!(passkeys(&f, ann).await, [used]);
    assert_eq!(changes(&f, ann).await, [(FactorKind::Passkey, true)]);
}

async fn an_answer_ends_its_ceremony_right_or_wrong(f: Fixture) {
    let ann = f.user("ann").await;
    let id = f.register(ann, "phone").await;
    let right = f.answering(ann, "t", proof(id, 8)).await;
    passed(f.try_all(ann, right.clone()).await);
    assert_eq!(f.try_all(ann, right).await, Attempted::Gone, "a replay");
    let wrong = f.answering(ann, "t", Err(Unfit::BadSignature)).await;
    assert_eq!(f.try_all(ann, wrong.clone()).await, WRONG);
    assert!(!is_open(&f, "t", Purpose::Verify).await);
    assert_eq!(f.try_all(ann, wrong).await, Attempted::Gone);

    let new = f.new_passkey("laptop");
    let wrong = f.registering(ann, "t", Err(Unfit::OtherSite)).await;
    assert_eq!(f.try_all(ann, wrong).await, WRONG);
    assert!(!is_open(&f, "t", Purpose::Enrol).await);
    let right = f.registering(ann, "t", Ok(Box::new(new))).await;
    passed(f.try_all(ann, right.clone()).await);
    assert_eq!(f.try_all(ann, right).await, Attempted::Gone);
    assert_eq!(passkeys(&f, ann).await.len(), 2);
}

async fn a_ceremony_is_its_own_pairs_users_and_purposes(f: Fixture) {
    let (ann, bob) = (f.user("ann").await, f.user("bob").await);
    let id = f.register(ann, "phone").await;
    let tries = f.answering(ann, "t", proof(id, 8)).await;
    let gone = Attempted::Gone;
    assert_eq!(f.try_all(bob, tries.clone()).await, gone, "another's");
    let nobody = f.bare(None, tries.clone());
    assert_eq!(f.store.attempt(nobody, NOW).await.unwrap(), gone);
    let late = f.bare(Some(ann), tries.clone());
    assert_eq!(f.store.attempt(late, after(300)).await.unwrap(), gone);
    let [Try::Passkey { answers, proof }] = &tries[..] else {
        unreachable!()
    };
    let mut elsewhere = *answers;
    elsewhere.bound_to = f.binding("u");
    let moved = |answers| {
        let proof = proof.clone();
        vec![Try::Passkey { answers, proof }]
    };
    assert_eq!(f.try_all(ann, moved(elsewhere)).await, gone);
    // The older one of the pair, after a newer began.
    let newer = f.answering(ann, "t", proof.clone()).await;
    assert_eq!(f.try_all(ann, tries.clone()).await, gone);
    let as_new = vec![Try::NewPasskey {
        answers: *answers,
        passkey: Ok(Box::new(f.new_passkey("laptop"))),
    }];
    assert_eq!(f.try_all(ann, as_new).await, gone);
    passed(f.try_all(ann, newer).await);
}

async fn a_counter_moves_on_or_stays_at_nothing(f: Fixture) {
    let ann = f.user("ann").await;
    let id = f.register(ann, "phone").await;
    let answer = async |id, count| {
        let tries = f.answering(ann, "t", proof(id, count)).await;
        f.try_all(ann, tries).await
    };
    for count in [7, 6, 0] {
        assert_eq!(answer(id, count).await, Attempted::WentBack, "{count}");
    }
    let kept = passkeys(&f, ann).await;
    assert_eq!((kept[0].sign_count, kept[0].last_used_at), (7, None));
    passed(answer(id, 8).await);
    passed(answer(id, u32::MAX).await);
    assert_eq!(answer(id, 9).await, Attempted::WentBack);

    let new = NewPasskey {
        sign_count: 0,
        ..f.new_passkey("synced")
    };
    let tries = f.registering(ann, "t", Ok(Box::new(new))).await;
    passed(f.try_all(ann, tries).await);
    let synced = passkeys(&f, ann).await[1].id;
    for _ in 0..3 {
        passed(answer(synced, 0).await);
    }
    passed(answer(synced, 1).await);
    assert_eq!(answer(synced, 0).await, Attempted::WentBack);
}

async fn a_passkey_is_its_own_users(f: Fixture) {
    let (ann, bob) = (f.user("ann").await, f.user("bob").await);
    let id = f.register(ann, "phone").await;
    f.register(bob, "bob's").await;
    let tries = f.answering(bob, "t", proof(id, 8)).await;
    assert_eq!(f.try_all(bob, tries).await, WRONG);
    let tries = f.answering(bob, "t", proof(PasskeyId(99), 8)).await;
    assert_eq!(f.try_all(bob, tries).await, WRONG);
    assert!(!f.store.rename_passkey(bob, id, "mine").await.unwrap());
    assert!(!f.store.disable(bob, own(id), NOW).await.unwrap());
    assert_eq!(passkeys(&f, ann).await[0].name, "phone");
    assert_eq!(passkeys(&f, ann).await[0].sign_count, 7);
}

async fn a_passkey_is_registered_once_and_not_too_many(f: Fixture) {
    let (ann, bob) = (f.user("ann").await, f.user("bob").await);
    f.register(ann, "phone").await;
    for user in [ann, bob] {
        let same = Ok(Box::new(f.new_passkey("phone")));
        let tries = f.registering(user, "t", same).await;
        assert_eq!(f.try_all(user, tries).await, WRONG);
    }
    for n in 1..OF_USER_MAX {
        f.register(ann, &format!("key {n}")).await;
    }
    let more = Ok(Box::new(f.new_passkey("one more")));
    let tries = f.registering(ann, "t", more).await;
    assert_eq!(f.try_all(ann, tries).await, Attempted::Gone);
    assert_eq!(passkeys(&f, ann).await.len(), OF_USER_MAX);
}

async fn a_wrong_answer_counts_like_a_wrong_code(f: Fixture) {
    let ann = f.user("ann").await;
    let id = f.register(ann, "phone").await;
    for n in 0..5 {
        let answer = match n {
            0 | 1 => Err(Unfit::BadSignature),
            _ => proof(id, 1),
        };
        let tries = f.answering(ann, "t", answer).await;
        let tried = f.try_all(ann, tries).await;
        assert!(matches!(tried, WRONG | Attempted::WentBack), "{tried:?}");
    }
    let delayed = Attempted::Blocked(Blocked::Delayed {
        retry_after_secs: 30,
    });
    let right = f.answering(ann, "t", proof(id, 8)).await;
    assert_eq!(f.try_all(ann, right.clone()).await, delayed);
    assert!(is_open(&f, "t", Purpose::Verify).await, "not evaluated");
    let later = f.bare(Some(ann), right);
    passed(f.store.attempt(later, after(30)).await.unwrap());
    let subject = [f.user_subject(ann)];
    assert_eq!(f.store.blocked(&subject, after(30)).await.unwrap(), None);
    f.send_code(ann, "t", "123456").await;
    let wrong = f
        .try_all(ann, vec![f.sent("t", Purpose::Verify, "0")])
        .await;
    assert_eq!(wrong, Attempted::Wrong { left: Some(4) }, "from nothing");
}

async fn the_token_alone_registers_the_first_factor_only(f: Fixture) {
    let ann = plain(&f, "ann").await;
    let first = async |name: &str| {
        let new = Ok(Box::new(f.new_passkey(name)));
        let attempt = Attempt {
            authority: Authority::First { email_counts: true },
            ..f.bare(Some(ann), f.registering(ann, "t", new).await)
        };
        f.store.attempt(attempt, NOW).await.unwrap()
    };
    assert!(passed(first("phone").await).has_enrolled);
    assert_eq!(first("laptop").await, Attempted::Forbidden);
    assert!(!is_open(&f, "t", Purpose::Enrol).await);
    assert_eq!(passkeys(&f, ann).await.len(), 1);
    // A passkey protects the other factors too.
    let challenge = f.enrolment(ann, "t", sms(PHONE), "111111");
    f.store.put_challenge(challenge).await.unwrap();
    let attempt = Attempt {
        authority: Authority::First { email_counts: true },
        ..f.bare(Some(ann), vec![f.sent("t", Purpose::Enrol, "111111")])
    };
    let phone = f.store.attempt(attempt, NOW).await.unwrap();
    assert_eq!(phone, Attempted::Forbidden);
}

async fn passkeys_are_removed_one_or_all(f: Fixture) {
    let (ann, bob) = (plain(&f, "ann").await, f.user("bob").await);
    for name in ["phone", "laptop", "key"] {
        f.register(ann, name).await;
    }
    f.register(bob, "bob's").await;
    f.give_backup_codes(ann, 1, &["11111111"]).await;
    let names = async || {
        let passkeys = passkeys(&f, ann).await.into_iter();
        passkeys.map(|one| one.name).collect::<Vec<_>>()
    };
    let off = async |which| f.store.disable(ann, which, NOW).await.unwrap();
    let laptop = passkeys(&f, ann).await[1].id;
    let waiting = f.answering(ann, "t", proof(laptop, 8)).await;
    assert!(off(own(laptop)).await);
    assert!(!off(own(laptop)).await);
    assert_eq!(f.try_all(ann, waiting).await, WRONG, "it was removed");
    assert!(!off(Disable::One(FactorKind::Totp)).await);
    assert_eq!(names().await, ["phone", "key"]);
    assert!(off(Disable::One(FactorKind::Passkey)).await);
    assert!(names().await.is_empty());
    assert_eq!(f.store.factors(ann).await.unwrap().backup_codes_left, 1);

    let again = f.register(ann, "laptop").await;
    assert!(again > laptop, "a number means one thing for ever");
    assert!(!off(own(again)).await, "the last factor stays");
    f.enrol(ann, sms(PHONE), 0).await;
    assert!(off(own(again)).await);
    let phone = Disable::Own {
        target: FactorKind::Sms.into(),
        last_too: false,
        email_counts: true,
    };
    assert!(!off(phone).await, "the last one now");
    f.register(ann, "key").await;
    assert!(off(phone).await, "a passkey is a factor too");
    assert_eq!(f.store.factors(ann).await.unwrap().backup_codes_left, 1);
    assert!(off(Disable::All).await);
    assert!(f.store.factors(ann).await.unwrap().is_empty());
    let (on, off) = ((FactorKind::Passkey, true), (FactorKind::Passkey, false));
    let (sms_on, sms_off) = ((FactorKind::Sms, true), (FactorKind::Sms, false));
    let expected = [on, on, on, off, off, off, on, sms_on, off, on, sms_off, off];
    assert_eq!(changes(&f, ann).await, expected);
    assert_eq!(passkeys(&f, bob).await.len(), 1);
}

async fn a_reset_forgets_passkeys_and_ceremonies(f: Fixture) {
    let (ann, bob) = (f.user("ann").await, f.user("bob").await);
    f.register(ann, "phone").await;
    let bobs = f.register(bob, "bob's").await;
    let waiting = f
        .registering(ann, "t", Ok(Box::new(f.new_passkey("new"))))
        .await;
    let other = f.answering(bob, "u", proof(bobs, 8)).await;
    let subject = f.user_subject(ann);
    f.store.reset_user(ann, subject, NOW).await.unwrap();
    assert!(passkeys(&f, ann).await.is_empty());
    let (on, off) = ((FactorKind::Passkey, true), (FactorKind::Passkey, false));
    assert_eq!(changes(&f, ann).await, [on, off]);
    assert_eq!(f.try_all(ann, waiting).await, Attempted::Gone);
    passed(f.try_all(bob, other).await);
    // What was there may be registered anew.
    f.register(ann, "phone").await;
}

async fn a_factor_that_replaces_the_others_replaces_passkeys(f: Fixture) {
    let ann = plain(&f, "ann").await;
    f.register(ann, "phone").await;
    let challenge = NewChallenge {
        replaces_others: true,
        ..f.enrolment(ann, "t", sms(PHONE), "111111")
    };
    f.store.put_challenge(challenge).await.unwrap();
    passed(
        f.try_all(ann, vec![f.sent("t", Purpose::Enrol, "111111")])
            .await,
    );
    let factors = f.store.factors(ann).await.unwrap();
    assert_eq!(factors.kinds().collect::<Vec<_>>(), [FactorKind::Sms]);
}

async fn only_the_newest_ceremonies_of_a_user_are_kept(f: Fixture) {
    let (ann, bob) = (f.user("ann").await, f.user("bob").await);
    let begin = async |user, token: &str| {
        let new = f.ceremony(user, token, Purpose::Verify);
        f.store.put_ceremony(new).await.unwrap();
    };
    begin(bob, "bob's").await;
    for n in 0..=rules::CEREMONIES_OF_USER_MAX {
        begin(ann, &format!("t{n}")).await;
    }
    assert!(!is_open(&f, "t0", Purpose::Verify).await);
    assert!(is_open(&f, "t1", Purpose::Verify).await);
    assert!(is_open(&f, "t1000", Purpose::Verify).await);
    assert!(is_open(&f, "bob's", Purpose::Verify).await);
}

async fn ceremonies_that_are_over_are_swept_up(f: Fixture) {
    let ann = f.user("ann").await;
    for token in ["t", "u"] {
        let new = f.ceremony(ann, token, Purpose::Verify);
        f.store.put_ceremony(new).await.unwrap();
    }
    assert_eq!(f.store.purge(after(299)).await.unwrap(), 0);
    assert_eq!(f.store.purge(after(300)).await.unwrap(), 2);
}

/// Of fifty attempts at once, how many were right, and what the others came to.
async fn race(f: &Arc<Fixture>, attempts: Vec<Attempt>) -> (usize, Vec<Attempted>) {
    let tasks: Vec<_> = attempts
        .into_iter()
        .map(|attempt| {
            let f = Arc::clone(f);
            tokio::spawn(async move { f.store.attempt(attempt, NOW).await.unwrap() })
        })
        .collect();
    let mut lost = Vec::new();
    let mut won = 0;
    for task in tasks {
        match task.await.unwrap() {
            Attempted::Right(_) => won += 1,
            other => lost.push(other),
        }
    }
    (won, lost)
}

async fn one_of_fifty_answers_wins(f: Fixture) {
    let ann = f.user("ann").await;
    let id = f.register(ann, "phone").await;
    let tries = f.answering(ann, "t", proof(id, 8)).await;
    let f = Arc::new(f);
    let attempts = vec![f.bare(Some(ann), tries); 50];
    let (won, lost) = race(&f, attempts).await;
    assert_eq!(won, 1);
    assert!(lost.iter().all(|one| *one == Attempted::Gone), "{lost:?}");
}

async fn one_of_fifty_answers_with_one_count_wins(f: Fixture) {
    let ann = f.user("ann").await;
    let id = f.register(ann, "phone").await;
    let mut attempts = Vec::new();
    for n in 0..50 {
        let tries = f.answering(ann, &format!("t{n}"), proof(id, 8)).await;
        let mut attempt = f.bare(Some(ann), tries);
        attempt.subjects.user.policy.delay_every = 0;
        attempt.subjects.address.policy.delay_every = 0;
        attempts.push(attempt);
    }
    let f = Arc::new(f);
    let (won, lost) = race(&f, attempts).await;
    assert_eq!(won, 1, "two devices with one key");
    assert!(
        lost.iter().all(|one| *one == Attempted::WentBack),
        "{lost:?}"
    );
}

async fn one_of_fifty_first_passkeys_wins(f: Fixture) {
    let ann = plain(&f, "ann").await;
    let mut attempts = Vec::new();
    for n in 0..50 {
        let new = Ok(Box::new(f.new_passkey(&format!("key {n}"))));
        let tries = f.registering(ann, &format!("t{n}"), new).await;
        attempts.push(Attempt {
            authority: Authority::First { email_counts: true },
            ..f.bare(Some(ann), tries)
        });
    }
    let f = Arc::new(f);
    let (won, lost) = race(&f, attempts).await;
    assert_eq!(won, 1);
    assert!(
        lost.iter().all(|one| *one == Attempted::Forbidden),
        "{lost:?}"
    );
    assert_eq!(passkeys(&f, ann).await.len(), 1);
}
