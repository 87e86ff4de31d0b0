//! Wizards and success tokens.

use super::for_every_engine;
use crate::auth::ports::{
    Advance, Attempt, Attempted, Deeds, FactorKind, NewChallenge, NewSuccess, Purpose, Stage,
    Wizard, WizardKind,
};
use crate::digest::{Binding, SuccessDigest, TokenDigest};
use crate::id::UserId;
use crate::secret::Secret;
use crate::store::fixture::{Fixture, NOW, REALM, after, passed, totp};
use crate::store::rules;
use std::sync::Arc;

for_every_engine![
    a_wizard_is_found_as_it_was_opened,
    a_wizard_goes_on_from_where_it_stands,
    a_taken_wizard_is_over,
    wizards_of_one_opener_are_bounded,
    codes_of_wizards_that_were_dropped_are_gone,
    enrolments_of_one_user_are_bounded,
    a_wizard_that_asks_no_code_ends_once,
    a_right_code_ends_its_wizard,
    a_code_makes_all_its_sessions_or_none,
    a_success_token_is_good_once_and_as_it_was_made,
    a_success_token_with_a_token_has_that_tokens_holder,
    wizards_and_success_tokens_are_purged,
    one_of_fifty_gets_the_wizard,
    one_of_fifty_takes_the_step,
    one_of_fifty_spends_the_success_token,
];

/// Comparable, for a wizard has a secret in it.
fn told(wizard: Option<&Wizard>) -> String {
    let shown = wizard.and_then(|wizard| wizard.shown.as_ref());
    format!("{wizard:?} {:?}", shown.map(|shown| shown.expose()))
}

async fn open(f: &Fixture, name: &str) -> bool {
    let found = f.store.wizard(f.wizard_digest(name), NOW).await;
    found.unwrap().is_some()
}

async fn a_wizard_is_found_as_it_was_opened(f: Fixture) {
    let ann = f.user("ann").await;
    let full = Wizard {
        kind: WizardKind::Image,
        stage: Stage::Code,
        user: Some(ann),
        factor: Some(FactorKind::Totp),
        token: Some(f.digest("t")),
        device_label: Some("fedcba9876543210".to_owned()),
        subject: Some(f.user_subject(ann)),
        shown: Some(Secret::new("otpauth://totp/x")),
        ..f.wizard("full")
    };
    for wizard in [full, f.wizard("plain")] {
        f.open_wizard(wizard.clone()).await;
        let found = f.store.wizard(wizard.digest, after(599)).await.unwrap();
        assert_eq!(told(found.as_ref()), told(Some(&wizard)));
        let late = f.store.wizard(wizard.digest, after(600)).await.unwrap();
        assert!(late.is_none());
    }
    assert!(!open(&f, "unknown").await);
    let nobodys = Wizard {
        user: Some(UserId(99)),
        ..f.wizard("nobody's")
    };
    let opened = f.store.open_wizard(nobodys, f.address_subject(), NOW).await;
    assert!(opened.is_err());
}

fn advance(f: &Fixture, from: Stage, to: Stage) -> Advance {
    Advance {
        digest: f.wizard_digest("w"),
        from,
        to,
        user: None,
        factor: None,
    }
}

async fn a_wizard_goes_on_from_where_it_stands(f: Fixture) {
    let ann = f.user("ann").await;
    f.open_wizard(f.wizard("w")).await;
    let step = async |step: Advance| f.store.advance_wizard(step, NOW).await.unwrap();
    assert!(!step(advance(&f, Stage::Choose, Stage::Code)).await);
    let chosen = Advance {
        user: Some(ann),
        ..advance(&f, Stage::Opened, Stage::Choose)
    };
    assert!(step(chosen.clone()).await);
    assert!(!step(chosen).await, "it does not stand there any more");
    let coded = Advance {
        factor: Some(FactorKind::Email),
        ..advance(&f, Stage::Choose, Stage::Code)
    };
    assert!(step(coded).await);
    assert!(step(advance(&f, Stage::Code, Stage::Code)).await);
    let wizard = f.store.wizard(f.wizard_digest("w"), NOW).await.unwrap();
    let expected = Wizard {
        stage: Stage::Code,
        user: Some(ann),
        factor: Some(FactorKind::Email),
        ..f.wizard("w")
    };
    assert_eq!(told(wizard.as_ref()), told(Some(&expected)));
    let late = advance(&f, Stage::Code, Stage::Choose);
    assert!(!f.store.advance_wizard(late, after(600)).await.unwrap());
    let nobodys = Advance {
        user: Some(UserId(99)),
        ..advance(&f, Stage::Code, Stage::Choose)
    };
    assert!(f.store.advance_wizard(nobodys, NOW).await.is_err());
}

async fn a_taken_wizard_is_over(f: Fixture) {
    for name in ["w", "late"] {
        f.open_wizard(f.wizard(name)).await;
    }
    let (w, late) = (f.wizard_digest("w"), f.wizard_digest("late"));
    let taken = f.store.take_wizard(w, NOW).await.unwrap();
    assert_eq!(told(taken.as_ref()), told(Some(&f.wizard("w"))));
    assert!(f.store.take_wizard(w, NOW).await.unwrap().is_none());
    assert!(!open(&f, "w").await);
    assert!(
        f.store
            .take_wizard(late, after(600))
            .await
            .unwrap()
            .is_none()
    );
    let step = advance(&f, Stage::Opened, Stage::Code);
    assert!(!f.store.advance_wizard(step, NOW).await.unwrap());
}

async fn wizards_of_one_opener_are_bounded(f: Fixture) {
    let other = f.keys.subject("address", "192.0.2.2");
    let theirs = f.store.open_wizard(f.wizard("theirs"), other, NOW).await;
    theirs.unwrap();
    let mut signed_in = f.wizard("signed in");
    signed_in.token = Some(f.digest("t"));
    let user = f.keys.subject("user", "1");
    let opened = f.store.open_wizard(signed_in.clone(), user, NOW).await;
    opened.unwrap();
    for n in 0..rules::WIZARDS_OF_OPENER_MAX {
        f.open_wizard(f.wizard(&format!("w{n}"))).await;
    }
    assert!(open(&f, "w0").await, "as many as there may be");
    f.open_wizard(f.wizard("last")).await;
    assert!(!open(&f, "w0").await, "one too many");
    for kept in ["theirs", "signed in", "w1", "w99", "last"] {
        assert!(open(&f, kept).await, "{kept}");
    }
    for n in 0..rules::WIZARDS_OF_OPENER_MAX {
        let digest = f.wizard_digest(&format!("s{n}"));
        let wizard = Wizard {
            digest,
            ..signed_in.clone()
        };
        f.store.open_wizard(wizard, user, NOW).await.unwrap();
    }
    assert!(!open(&f, "signed in").await, "a token is no way around");
    for kept in ["theirs", "s0", "s99", "w1", "last"] {
        assert!(open(&f, kept).await, "{kept}");
    }
}

async fn codes_of_wizards_that_were_dropped_are_gone(f: Fixture) {
    let ann = f.holder("ann", "t").await;
    let bound_to = |n: usize| Binding::from(f.wizard_digest(&format!("w{n}")));
    for n in 0..=rules::WIZARDS_OF_OPENER_MAX {
        f.open_wizard(f.wizard(&format!("w{n}"))).await;
        let mailed = NewChallenge {
            bound_to: bound_to(n),
            ..f.challenge(ann, "t", "123456")
        };
        f.store.put_challenge(mailed).await.unwrap();
    }
    let is_held = async |n| {
        let held = f.store.pending(bound_to(n), Purpose::Verify, NOW).await;
        held.unwrap().is_some()
    };
    assert!(!is_held(0).await, "its wizard was one too many");
    assert!(is_held(1).await && is_held(rules::WIZARDS_OF_OPENER_MAX).await);
}

async fn enrolments_of_one_user_are_bounded(f: Fixture) {
    let (ann, bob) = (f.holder("ann", "t").await, f.holder("bob", "u").await);
    f.send_code(ann, "t", "123456").await;
    let bound_to = |n: usize| Binding::from(f.wizard_digest(&format!("device {n}")));
    let propose = async |user, n| {
        let proposed = NewChallenge {
            bound_to: bound_to(n),
            ..f.enrolment(user, "t", totp("secret"), "123456")
        };
        f.store.put_challenge(proposed).await.unwrap();
    };
    propose(bob, 1_000).await;
    for n in 0..=rules::ENROLMENTS_OF_USER_MAX {
        propose(ann, n).await;
    }
    let is_held = async |n| {
        let held = f.store.pending(bound_to(n), Purpose::Enrol, NOW).await;
        held.unwrap().is_some()
    };
    assert!(!is_held(0).await, "one too many");
    for kept in [1, rules::ENROLMENTS_OF_USER_MAX, 1_000] {
        assert!(is_held(kept).await, "{kept}");
    }
    let sent = f.store.pending(f.binding("t"), Purpose::Verify, NOW).await;
    assert!(sent.unwrap().is_some(), "a code that was sent is none");
}

async fn a_wizard_that_asks_no_code_ends_once(f: Fixture) {
    let ann = f.holder("ann", "t").await;
    f.open_wizard(f.wizard("w")).await;
    let w = f.wizard_digest("w");
    let with_session = Deeds {
        sessions: vec![f.new_session(ann, "t")],
        ..Deeds::default()
    };
    let with_success = Deeds {
        success: Some(success(&f, ann, "x", None)),
        ..Deeds::default()
    };
    for then in [with_session, with_success] {
        assert!(f.store.finish_wizard(w, then, NOW).await.is_err());
    }
    assert_eq!(f.store.live_sessions(NOW).await.unwrap(), 0);
    let finish = async |now| {
        f.store
            .finish_wizard(w, Deeds::default(), now)
            .await
            .unwrap()
    };
    assert!(!finish(after(600)).await);
    assert!(finish(NOW).await);
    assert!(!finish(NOW).await);
    assert!(!open(&f, "w").await);
}

async fn a_right_code_ends_its_wizard(f: Fixture) {
    let ann = f.holder("ann", "t").await;
    f.open_wizard(f.wizard("w")).await;
    f.send_code(ann, "t", "123456").await;
    let attempt = |code: &str, wizard: &str| Attempt {
        wizard: Some(f.wizard_digest(wizard)),
        ..f.attempt(ann, "t", code)
    };
    let tried = async |attempt| f.store.attempt(attempt, NOW).await.unwrap();
    assert_eq!(tried(attempt("123456", "unknown")).await, Attempted::Gone);
    let late = f.store.attempt(attempt("123456", "w"), after(600)).await;
    assert_eq!(late.unwrap(), Attempted::Gone);
    let wrong = tried(attempt("000000", "w")).await;
    assert_eq!(wrong, Attempted::Wrong { left: Some(4) });
    assert!(open(&f, "w").await);
    assert_eq!(
        passed(tried(attempt("123456", "w")).await).sessions.len(),
        1
    );
    assert!(!open(&f, "w").await);
    f.send_code(ann, "t", "123456").await;
    assert_eq!(tried(attempt("123456", "w")).await, Attempted::Gone);
}

async fn a_code_makes_all_its_sessions_or_none(f: Fixture) {
    let ann = f.holder("ann", "t").await;
    f.store.put_token(f.token(ann, "u")).await.unwrap();
    let bob = f.holder("bob", "b").await;
    let with = |sessions| Attempt {
        then: Deeds {
            sessions,
            success: Some(success(&f, ann, "s", None)),
            ..Deeds::default()
        },
        ..f.attempt(ann, "t", "123456")
    };
    f.open_wizard(f.wizard("w")).await;
    f.send_code(ann, "t", "123456").await;
    for bad in [
        f.new_session(ann, "unknown"),
        f.new_session(ann, "b"),
        f.new_session(bob, "u"),
    ] {
        let mut attempt = with(vec![f.new_session(ann, "t"), bad]);
        attempt.wizard = Some(f.wizard_digest("w"));
        assert!(f.store.attempt(attempt, NOW).await.is_err());
    }
    assert_eq!(f.store.live_sessions(NOW).await.unwrap(), 0);
    assert!(open(&f, "w").await);
    assert!(spend(&f, "s", None).await.is_none());

    let made = with(vec![f.new_session(ann, "u"), f.new_session(ann, "t")]);
    let made = passed(f.store.attempt(made, NOW).await.unwrap()).sessions;
    for (session, token) in made.iter().zip(["u", "t"]) {
        let stored = f.store.session(f.pair(token), NOW).await.unwrap();
        assert_eq!(stored.as_ref(), Some(session));
    }
    assert_eq!(made.len(), 2);
    assert_ne!(made[0].id, made[1].id);
    assert_eq!(spend(&f, "s", None).await, Some(ann));
}

fn success(f: &Fixture, user: UserId, name: &str, token: Option<TokenDigest>) -> NewSuccess {
    NewSuccess {
        digest: f.keys.success(name),
        user,
        token,
        expires_at: after(300),
    }
}

/// Makes a success token by a code.
async fn succeed(f: &Fixture, success: NewSuccess) {
    let user = success.user;
    f.send_code(user, "confirming", "123456").await;
    let attempt = Attempt {
        then: Deeds {
            success: Some(success),
            ..Deeds::default()
        },
        ..f.bare(
            Some(user),
            vec![f.sent("confirming", Purpose::Verify, "123456")],
        )
    };
    passed(f.store.attempt(attempt, NOW).await.unwrap());
}

async fn spend(f: &Fixture, name: &str, token: Option<TokenDigest>) -> Option<UserId> {
    let digest = f.keys.success(name);
    let holder = f.store.spend_success(REALM, digest, token, NOW).await;
    holder.unwrap().map(|holder| holder.user)
}

async fn a_success_token_is_good_once_and_as_it_was_made(f: Fixture) {
    let ann = f.holder("ann", "t").await;
    succeed(&f, success(&f, ann, "s", None)).await;
    let digest: SuccessDigest = f.keys.success("s");
    let elsewhere = f.store.spend_success("other", digest, None, NOW).await;
    assert_eq!(elsewhere.unwrap(), None);
    let late = f.store.spend_success(REALM, digest, None, after(300)).await;
    assert_eq!(late.unwrap(), None);
    assert_eq!(spend(&f, "s", Some(f.digest("t"))).await, None);
    assert_eq!(spend(&f, "unknown", None).await, None);
    let holder = f.store.spend_success(REALM, digest, None, after(299)).await;
    let holder = holder.unwrap().unwrap();
    assert_eq!((holder.user, &*holder.name), (ann, "ann"));
    assert_eq!(holder.terms, None);
    assert_eq!(spend(&f, "s", None).await, None);
}

async fn a_success_token_with_a_token_has_that_tokens_holder(f: Fixture) {
    let ann = f.user("ann").await;
    let mut token = f.token(ann, "t");
    token.scope = Some("/dir/".to_owned());
    f.store.put_token(token).await.unwrap();
    f.store.put_token(f.token(ann, "u")).await.unwrap();
    let of_token = Some(f.digest("t"));
    for name in ["s", "moved"] {
        succeed(&f, success(&f, ann, name, of_token)).await;
    }
    for other in [None, Some(f.digest("u")), Some(f.digest("unknown"))] {
        assert_eq!(spend(&f, "s", other).await, None, "{other:?}");
    }
    let digest = f.keys.success("s");
    let holder = f.store.spend_success(REALM, digest, of_token, NOW).await;
    let holder = holder.unwrap().unwrap();
    assert_eq!((holder.user, holder.scope()), (ann, Some("/dir/")));
    assert_eq!(spend(&f, "s", of_token).await, None);

    let bob = f.user("bob").await;
    f.store.put_token(f.token(bob, "t")).await.unwrap();
    assert_eq!(spend(&f, "moved", of_token).await, None, "another's now");
}

async fn wizards_and_success_tokens_are_purged(f: Fixture) {
    let ann = f.user("ann").await;
    f.open_wizard(f.wizard("w")).await;
    succeed(&f, success(&f, ann, "s", None)).await;
    assert_eq!(f.store.purge(after(299)).await.unwrap(), 0);
    assert_eq!(f.store.purge(after(300)).await.unwrap(), 1);
    assert_eq!(f.store.purge(after(600)).await.unwrap(), 1);
    assert!(!open(&f, "w").await);
}

async fn one_of_fifty_gets_the_wizard(f: Fixture) {
    f.open_wizard(f.wizard("w")).await;
    let w = f.wizard_digest("w");
    let f = Arc::new(f);
    let tries = (0..50).map(|n| {
        let f = f.clone();
        tokio::spawn(async move {
            if n % 2 == 0 {
                f.store.take_wizard(w, NOW).await.unwrap().is_some()
            } else {
                let then = Deeds::default();
                f.store.finish_wizard(w, then, NOW).await.unwrap()
            }
        })
    });
    let mut won = 0;
    for tried in tries.collect::<Vec<_>>() {
        won += usize::from(tried.await.unwrap());
    }
    assert_eq!(won, 1);
}

async fn one_of_fifty_takes_the_step(f: Fixture) {
    f.open_wizard(f.wizard("w")).await;
    let f = Arc::new(f);
    let tries = (0..50).map(|_| {
        let f = f.clone();
        let step = advance(&f, Stage::Opened, Stage::Code);
        tokio::spawn(async move { f.store.advance_wizard(step, NOW).await.unwrap() })
    });
    let mut won = 0;
    for tried in tries.collect::<Vec<_>>() {
        won += usize::from(tried.await.unwrap());
    }
    assert_eq!(won, 1);
}

async fn one_of_fifty_spends_the_success_token(f: Fixture) {
    let ann = f.user("ann").await;
    succeed(&f, success(&f, ann, "s", None)).await;
    let f = Arc::new(f);
    let tries = (0..50).map(|_| {
        let f = f.clone();
        tokio::spawn(async move { spend(&f, "s", None).await.is_some() })
    });
    let mut won = 0;
    for tried in tries.collect::<Vec<_>>() {
        won += usize::from(tried.await.unwrap());
    }
    assert_eq!(won, 1);
}
