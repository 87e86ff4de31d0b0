//! What confirming and turning off a factor does.

use super::for_every_engine;
use crate::auth::ports::{
    Attempt, Attempted, Authority, Deeds, Disable, FactorKind, FactorValue, NewChallenge, Purpose,
    Try,
};
use crate::gate::session::Factor;
use crate::id::UserId;
use crate::store::fixture::{Fixture, NOW, after, mail, passed, sms, totp};
use std::sync::Arc;

for_every_engine![
    a_new_authenticator_is_confirmed_by_its_own_challenge,
    an_unconfirmed_authenticator_loses_tries,
    the_token_alone_confirms_the_first_factor_only,
    an_address_of_the_profile_counts_where_mail_is_sent,
    a_confirmed_factor_can_take_the_place_of_all_others,
    a_new_value_voids_codes_on_their_way_to_the_old_one,
    a_code_can_turn_a_factor_off,
    an_enrolment_says_what_it_confirms,
    one_of_fifty_first_factors_wins,
];

/// A user that the profile gives nothing of.
async fn plain(f: &Fixture, name: &str) -> UserId {
    let mut user = f.new_user(name);
    (user.phone, user.email) = (None, None);
    f.store.create_user(user, NOW).await.unwrap().unwrap()
}

async fn kinds(f: &Fixture, user: UserId) -> Vec<FactorKind> {
    let factors = f.store.factors(user).await.unwrap();
    factors
        .enrolled
        .iter()
        .map(|one| one.value.kind())
        .collect()
}

async fn propose(f: &Fixture, user: UserId, value: FactorValue) -> Vec<Try> {
    let is_totp = value.kind() == FactorKind::Totp;
    let challenge = f.enrolment(user, "t", value, "111111");
    let id = f.store.put_challenge(challenge).await.unwrap();
    vec![if is_totp {
        f.new_totp("t", id, Some(7))
    } else {
        f.sent("t", Purpose::Enrol, "111111")
    }]
}

fn first(f: &Fixture, user: UserId, tries: Vec<Try>, email_counts: bool) -> Attempt {
    Attempt {
        authority: Authority::First { email_counts },
        ..f.bare(Some(user), tries)
    }
}

async fn a_new_authenticator_is_confirmed_by_its_own_challenge(f: Fixture) {
    let (ann, bob) = (plain(&f, "ann").await, plain(&f, "bob").await);
    let old = f.enrolment(ann, "t", totp("first"), "");
    let old = f.store.put_challenge(old).await.unwrap();
    let new = f.enrolment(ann, "t", totp("second"), "");
    let new = f.store.put_challenge(new).await.unwrap();
    assert_ne!(old, new);
    let pending = f.store.pending(f.binding("t"), Purpose::Enrol, NOW).await;
    let pending = pending.unwrap().unwrap();
    assert_eq!((pending.id, pending.user), (new, Some(ann)));
    assert_eq!(pending.value, Some(totp("second")));
    assert!(!pending.has_code && !pending.replaces_others);
    assert_eq!(pending.expires_at, after(600));

    let never = Attempted::NeverSent;
    let stale = vec![f.new_totp("t", old, Some(7))];
    assert_eq!(f.try_all(ann, stale).await, never, "of the old secret");
    let right = || vec![f.new_totp("t", new, Some(7))];
    assert_eq!(f.try_all(bob, right()).await, never, "another's");
    let elsewhere = vec![f.new_totp("u", new, Some(7))];
    assert_eq!(f.try_all(ann, elsewhere).await, never);
    assert!(kinds(&f, ann).await.is_empty(), "not verified yet");

    let confirmed = passed(f.try_all(ann, right()).await);
    assert_eq!(
        (confirmed.factor, confirmed.has_enrolled),
        (Factor::Totp, true)
    );
    let factors = f.store.factors(ann).await.unwrap();
    let FactorValue::Totp(secret) = totp("second") else {
        unreachable!()
    };
    assert_eq!(factors.totp().map(|(_, it)| it), Some(&secret));
    assert_eq!(f.try_all(ann, right()).await, Attempted::Gone, "used");
    let pending = f.store.pending(f.binding("t"), Purpose::Enrol, NOW).await;
    assert!(pending.unwrap().is_none());
}

async fn an_unconfirmed_authenticator_loses_tries(f: Fixture) {
    let ann = plain(&f, "ann").await;
    let challenge = NewChallenge {
        attempts: 2,
        ..f.enrolment(ann, "t", totp("secret"), "")
    };
    let id = f.store.put_challenge(challenge).await.unwrap();
    let wrong = || vec![f.new_totp("t", id, None)];
    for _ in 0..2 {
        let tried = f.try_all(ann, wrong()).await;
        assert_eq!(tried, Attempted::Wrong { left: None }, "none was sent");
    }
    assert_eq!(f.try_all(ann, wrong()).await, Attempted::Gone);
    let right = vec![f.new_totp("t", id, Some(7))];
    assert_eq!(f.try_all(ann, right).await, Attempted::Gone);
    assert!(kinds(&f, ann).await.is_empty());
}

async fn the_token_alone_confirms_the_first_factor_only(f: Fixture) {
    let ann = plain(&f, "ann").await;
    let tries = propose(&f, ann, totp("first")).await;
    let attempt = first(&f, ann, tries, true);
    passed(f.store.attempt(attempt, NOW).await.unwrap());
    assert_eq!(kinds(&f, ann).await, [FactorKind::Totp]);

    for value in [totp("second"), sms("+4599999999"), mail("x@example.org")] {
        let tries = propose(&f, ann, value).await;
        for expected in [Attempted::Forbidden, Attempted::Gone] {
            let attempt = first(&f, ann, tries.clone(), true);
            let tried = f.store.attempt(attempt, NOW).await.unwrap();
            assert_eq!(tried, expected, "and the enrolment is void");
        }
    }
    assert_eq!(kinds(&f, ann).await, [FactorKind::Totp]);
    // Not counted: five failures would have blocked this.
    let tries = propose(&f, ann, sms("+4599999999")).await;
    passed(f.try_all(ann, tries).await);
    assert_eq!(kinds(&f, ann).await, [FactorKind::Sms, FactorKind::Totp]);
}

async fn an_address_of_the_profile_counts_where_mail_is_sent(f: Fixture) {
    let mut user = f.new_user("ann");
    user.phone = None;
    let ann = f.store.create_user(user, NOW).await.unwrap().unwrap();
    assert_eq!(kinds(&f, ann).await, [FactorKind::Email]);
    let tries = propose(&f, ann, totp("secret")).await;
    let attempt = first(&f, ann, tries, true);
    let tried = f.store.attempt(attempt, NOW).await.unwrap();
    assert_eq!(tried, Attempted::Forbidden);
    let tries = propose(&f, ann, totp("secret")).await;
    let attempt = first(&f, ann, tries, false);
    passed(f.store.attempt(attempt, NOW).await.unwrap());

    // A number always counts.
    let mut user = f.new_user("bob");
    user.email = None;
    let bob = f.store.create_user(user, NOW).await.unwrap().unwrap();
    let tries = propose(&f, bob, totp("secret")).await;
    let attempt = first(&f, bob, tries, false);
    let tried = f.store.attempt(attempt, NOW).await.unwrap();
    assert_eq!(tried, Attempted::Forbidden);
}

async fn a_confirmed_factor_can_take_the_place_of_all_others(f: Fixture) {
    let ann = f.user("ann").await;
    f.give_backup_codes(ann, 1, &["11111111"]).await;
    f.enrol(ann, totp("secret"), 1).await;
    f.send_code(ann, "v", "222222").await;
    let challenge = NewChallenge {
        replaces_others: true,
        ..f.enrolment(ann, "t", mail("new@example.org"), "111111")
    };
    f.store.put_challenge(challenge).await.unwrap();
    let tries = vec![f.sent("t", Purpose::Enrol, "111111")];
    let right = passed(f.try_all(ann, tries).await);
    assert_eq!(right.backup_codes_left, 1, "they are no factor");
    assert_eq!(kinds(&f, ann).await, [FactorKind::Email]);
    let factors = f.store.factors(ann).await.unwrap();
    assert_eq!(
        Some(mail("new@example.org")),
        factors.of(FactorKind::Email).map(|it| it.value.clone())
    );
    let sent = vec![f.sent("v", Purpose::Verify, "222222")];
    assert_eq!(
        f.try_all(ann, sent).await,
        Attempted::Gone,
        "sent to the phone"
    );
    let lines = super::factors::log(&f, ann).await;
    let expected = [
        (FactorKind::Totp, true),
        (FactorKind::Email, true),
        (FactorKind::Sms, false),
        (FactorKind::Totp, false),
    ];
    assert_eq!(lines[..2], expected[..2]);
    for line in &expected[2..] {
        assert!(lines[2..].contains(line), "{line:?}");
    }
    assert_eq!(lines.len(), 4);
}

async fn a_new_value_voids_codes_on_their_way_to_the_old_one(f: Fixture) {
    let ann = f.user("ann").await;
    f.send_code(ann, "t", "222222").await;
    let by_mail = NewChallenge {
        factor: FactorKind::Email,
        ..f.challenge(ann, "u", "333333")
    };
    f.store.put_challenge(by_mail).await.unwrap();
    f.enrol(ann, sms("+4599999999"), 0).await;
    let sent = vec![f.sent("t", Purpose::Verify, "222222")];
    assert_eq!(f.try_all(ann, sent).await, Attempted::Gone);
    passed(
        f.try_all(ann, vec![f.sent("u", Purpose::Verify, "333333")])
            .await,
    );
}

async fn a_code_can_turn_a_factor_off(f: Fixture) {
    let ann = f.user("ann").await;
    let challenge = NewChallenge {
        purpose: Purpose::Disable,
        code: Some(f.code(f.binding("t"), Purpose::Disable, "111111")),
        ..f.challenge(ann, "t", "111111")
    };
    f.store.put_challenge(challenge).await.unwrap();
    f.send_code(ann, "v", "222222").await;
    let attempt = |code: &str| Attempt {
        then: Deeds {
            disable: Some(FactorKind::Sms),
            ..Deeds::default()
        },
        ..f.bare(Some(ann), vec![f.sent("t", Purpose::Disable, code)])
    };
    let wrong = f.store.attempt(attempt("000000"), NOW).await.unwrap();
    assert_eq!(wrong, Attempted::Wrong { left: Some(4) });
    assert_eq!(kinds(&f, ann).await, [FactorKind::Sms, FactorKind::Email]);
    passed(f.store.attempt(attempt("111111"), NOW).await.unwrap());
    assert_eq!(kinds(&f, ann).await, [FactorKind::Email]);
    assert_eq!(
        super::factors::log(&f, ann).await,
        [(FactorKind::Sms, false)]
    );
    let sent = vec![f.sent("v", Purpose::Verify, "222222")];
    assert_eq!(f.try_all(ann, sent).await, Attempted::Gone);
    assert!(
        !f.store
            .disable(ann, Disable::One(FactorKind::Sms), NOW)
            .await
            .unwrap()
    );
}

async fn an_enrolment_says_what_it_confirms(f: Fixture) {
    let ann = f.user("ann").await;
    let whole = f.enrolment(ann, "t", sms("+4599999999"), "111111");
    let broken = [
        NewChallenge {
            value: None,
            ..whole.clone()
        },
        NewChallenge {
            user: None,
            ..whole.clone()
        },
        NewChallenge {
            factor: FactorKind::Totp,
            ..whole.clone()
        },
        NewChallenge {
            purpose: Purpose::Verify,
            ..whole.clone()
        },
        NewChallenge {
            user: Some(UserId(99)),
            ..whole.clone()
        },
    ];
    for challenge in broken {
        assert!(f.store.put_challenge(challenge).await.is_err());
    }
    assert!(f.store.put_challenge(whole).await.is_ok());
}

async fn one_of_fifty_first_factors_wins(f: Fixture) {
    let ann = plain(&f, "ann").await;
    let f = Arc::new(f);
    let mut attempts = Vec::new();
    for n in 0..50 {
        let token = format!("t{n}");
        let challenge = f.enrolment(ann, &token, totp(&token), "");
        let id = f.store.put_challenge(challenge).await.unwrap();
        let tries = vec![f.new_totp(&token, id, Some(7))];
        attempts.push(first(&f, ann, tries, true));
    }
    let tries = attempts.into_iter().map(|attempt| {
        let f = f.clone();
        tokio::spawn(async move { f.store.attempt(attempt, NOW).await.unwrap() })
    });
    let mut right = 0;
    for tried in tries.collect::<Vec<_>>() {
        match tried.await.unwrap() {
            Attempted::Right(_) => right += 1,
            other => assert_eq!(other, Attempted::Forbidden),
        }
    }
    assert_eq!(right, 1);
    assert_eq!(super::factors::log(&f, ann).await.len(), 1);
}
