//! Requests that are let through once.

use super::*;

const GOOD: &str = "3929dfe8-161a-428c-9c71-fde728fe7285";

impl World {
    /// A success token in the store, good with `token`.
    fn success(&self, success: &str, token: Option<&str>, user: UserId, scope: Option<&str>) {
        let good_with = token.map(str::to_owned);
        let mut successes = self.script.successes.lock().unwrap();
        successes.insert(success.to_owned(), (good_with, holder(user, scope)));
    }

    fn once<'a>(&'a self, token: Option<&'a str>, success: Option<&'a str>) -> Question<'a> {
        let presented = token.map(|token| Presented {
            token,
            device: None,
        });
        Question {
            demand: Requirement::SuccessToken.into(),
            success_token: success,
            ..self.question(presented)
        }
    }

    fn spend_calls(&self) -> usize {
        self.script.spend_calls.load(Ordering::SeqCst)
    }

    fn is_unspent(&self, success: &str) -> bool {
        self.script.successes.lock().unwrap().contains_key(success)
    }
}

fn needs_success(decision: Decision, user: Option<UserId>) -> bool {
    match refusal(decision) {
        Refusal::SuccessTokenRequired { holder } => holder.map(|it| it.user) == user,
        _ => false,
    }
}

#[tokio::test]
async fn a_verified_pair_is_let_through_once_for_each_success_token() {
    let world = World::new();
    world.holds("t", ANN, None, None);
    world.session(1, "t", None, ANN);
    world.success(GOOD, Some("t"), ANN, None);
    let question = world.once(Some("t"), Some(GOOD));
    assert!(is_session(world.decide(&question).await));
    assert!(needs_success(world.decide(&question).await, Some(ANN)));
    let without = world.once(Some("t"), None);
    assert!(needs_success(world.decide(&without).await, Some(ANN)));
}

#[tokio::test]
async fn memory_never_answers_for_a_success_token() {
    let world = World::new();
    world.holds("t", ANN, None, None);
    let session = world.session(1, "t", None, ANN);
    world.gate.remember(world.key("t", None), &session);
    for token in [Some("t"), None] {
        let question = world.once(token, Some(GOOD));
        assert!(matches!(world.gate.check(&question), Checked::Ask));
    }
}

#[tokio::test]
async fn of_fifty_at_once_one_is_let_through() {
    for token in [Some("t"), None] {
        let world = Arc::new(World::new());
        world.holds("t", ANN, None, None);
        world.session(1, "t", None, ANN);
        world.success(GOOD, token, ANN, None);
        let asking: Vec<_> = (0..50)
            .map(|_| {
                let world = Arc::clone(&world);
                tokio::spawn(async move {
                    let question = world.once(token, Some(GOOD));
                    matches!(world.decide(&question).await, Decision::Permit(_))
                })
            })
            .collect();
        let mut permits = 0;
        for asked in asking {
            permits += usize::from(asked.await.unwrap());
        }
        assert_eq!(permits, 1);
        assert_eq!(world.spend_calls(), 50, "no flight is shared");
    }
}

#[tokio::test]
async fn whoever_is_refused_for_another_reason_keeps_it() {
    let world = World::new();
    world.success(GOOD, Some("t"), ANN, None);
    let question = world.once(Some("t"), Some(GOOD));
    assert_eq!(
        refusal(world.decide(&question).await),
        Refusal::UnknownToken
    );
    world.holds("t", ANN, Some("/other/"), None);
    world.gate.token_issued(world.keys.token("t"));
    assert_eq!(refusal(world.decide(&question).await), Refusal::OutOfScope);
    world.holds("t", ANN, None, None);
    assert!(needs_second_factor(world.decide(&question).await, false));
    world.session(1, "t", None, ANN);
    world.script.down.store(true, Ordering::SeqCst);
    assert_eq!(refusal(world.decide(&question).await), Refusal::Unavailable);
    world.script.down.store(false, Ordering::SeqCst);
    let open = Question {
        demand: TWO_FACTOR.into(),
        ..question
    };
    assert!(is_session(world.decide(&open).await));
    let moved = Question {
        destination: Some("/x"),
        demand: Requirement::Deny.into(),
        ..question
    };
    assert_eq!(refusal(world.decide(&moved).await), Refusal::Denied);
    assert_eq!(world.spend_calls(), 0);
    assert!(is_session(world.decide(&question).await));
}

#[tokio::test]
async fn a_success_token_is_good_with_the_token_that_it_was_given_to() {
    let world = World::new();
    for (token, user) in [("t", ANN), ("u", BOB)] {
        world.holds(token, user, None, None);
        world.session(user.0, token, None, user);
    }
    world.success(GOOD, Some("t"), ANN, None);
    let other = world.once(Some("u"), Some(GOOD));
    assert!(needs_success(world.decide(&other).await, Some(BOB)));
    let nobody = world.once(None, Some(GOOD));
    assert!(needs_success(world.decide(&nobody).await, None));
    assert!(world.is_unspent(GOOD));
    let own = world.once(Some("t"), Some(GOOD));
    assert!(is_session(world.decide(&own).await));
}

#[tokio::test]
async fn without_a_token_it_says_itself_whose_it_is() {
    let world = World::new();
    world.holds("t", ANN, None, None);
    world.session(1, "t", None, ANN);
    world.success(GOOD, None, ANN, None);
    let with = world.once(Some("t"), Some(GOOD));
    assert!(needs_success(world.decide(&with).await, Some(ANN)));
    let missing = world.once(None, None);
    assert!(needs_success(world.decide(&missing).await, None));
    let without = world.once(None, Some(GOOD));
    match grant(world.decide(&without).await) {
        Grant::Token(holder) => assert_eq!(holder.user, ANN),
        other => panic!("{other:?}"),
    }
    assert!(needs_success(world.decide(&without).await, None));
}

#[tokio::test]
async fn without_a_token_neither_scope_nor_a_store_that_is_down_is_passed_over() {
    let world = World::new();
    world.success(GOOD, None, ANN, Some("/other/"));
    let question = world.once(None, Some(GOOD));
    world.script.down.store(true, Ordering::SeqCst);
    assert_eq!(refusal(world.decide(&question).await), Refusal::Unavailable);
    world.script.down.store(false, Ordering::SeqCst);
    assert_eq!(refusal(world.decide(&question).await), Refusal::OutOfScope);
}
