//! Unknown tokens, tokens that have just come to be, and a store that is down.

use super::*;

#[tokio::test]
async fn garbage_is_asked_for_once_in_a_while() {
    let world = World::new();
    let question = world.asks("garbage", None);
    for _ in 0..50 {
        assert_eq!(
            refusal(world.decide(&question).await),
            Refusal::UnknownToken
        );
    }
    assert_eq!(world.calls(), (1, 0));
    world.clock.advance(10);
    assert_eq!(
        refusal(world.decide(&question).await),
        Refusal::UnknownToken
    );
    assert_eq!(world.calls(), (2, 0));
}

#[tokio::test]
async fn a_token_that_comes_to_be_is_known_at_once() {
    let world = World::new();
    let mut question = world.asks("t", None);
    question.demand = Requirement::Token.into();
    assert_eq!(
        refusal(world.decide(&question).await),
        Refusal::UnknownToken
    );
    world.holds("t", ANN, None, None);
    world.gate.token_issued(world.keys.token("t"));
    assert!(matches!(
        grant(world.decide(&question).await),
        Grant::Token(_)
    ));
}

#[tokio::test]
async fn a_token_that_comes_to_be_while_its_miss_is_on_its_way_is_known_at_once() {
    let world = World::new();
    let mut question = world.asks("t", None);
    question.demand = Requirement::Token.into();
    let (gate, token) = (Arc::clone(&world.gate), world.keys.token("t"));
    let issued = move || gate.token_issued(token);
    then(&world.script.after_holder, issued);
    assert_eq!(
        refusal(world.decide(&question).await),
        Refusal::UnknownToken
    );
    world.holds("t", ANN, None, None);
    assert!(matches!(
        grant(world.decide(&question).await),
        Grant::Token(_)
    ));
}

#[tokio::test]
async fn nobody_joins_a_question_from_before_a_token_was_issued() {
    let world = Arc::new(World::new());
    world.script.open.forget_permits(1_000);
    let early = tokio::spawn({
        let world = Arc::clone(&world);
        async move { world.decide(&world.asks("t", None)).await }
    });
    while world.gate.flights.aboard() < 1 {
        tokio::task::yield_now().await;
    }
    world.holds("t", ANN, None, None);
    world.session(1, "t", None, ANN);
    world.gate.token_issued(world.keys.token("t"));
    let late = tokio::spawn({
        let world = Arc::clone(&world);
        async move { world.decide(&world.asks("t", None)).await }
    });
    while world.gate.flights.aboard() < 2 {
        tokio::task::yield_now().await;
    }
    world.script.open.add_permits(1_000);
    assert_eq!(refusal(early.await.unwrap()), Refusal::UnknownToken);
    assert!(is_session(late.await.unwrap()));
}

#[tokio::test]
async fn a_store_that_is_down_refuses_strangers_and_keeps_friends() {
    let world = World::new();
    world.holds("t", ANN, None, None);
    world.holds("u", ANN, None, None);
    world.session(1, "t", None, ANN);
    assert!(is_session(world.decide(&world.asks("t", None)).await));
    world.script.down.store(true, Ordering::SeqCst);
    assert!(is_session(world.decide(&world.asks("t", None)).await));
    for token in ["u", "garbage"] {
        for requirement in [TWO_FACTOR, Requirement::Token, Requirement::SuccessToken] {
            let mut question = world.asks(token, None);
            question.demand = requirement.into();
            assert_eq!(refusal(world.decide(&question).await), Refusal::Unavailable);
        }
    }
    // Nothing of it is kept.
    world.script.down.store(false, Ordering::SeqCst);
    world.session(2, "u", None, ANN);
    assert!(is_session(world.decide(&world.asks("u", None)).await));
}
