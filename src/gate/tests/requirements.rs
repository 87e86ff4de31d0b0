//! What needs no session: open and closed paths, and those for which a token is enough.

use super::*;

#[tokio::test]
async fn open_closed_and_tokenless_requests_ask_nobody() {
    let world = World::new();
    world.holds("t", ANN, None, None);
    world.session(1, "t", None, ANN);
    for presented in [
        None,
        Some(Presented {
            token: "t",
            device: None,
        }),
    ] {
        let mut question = world.question(presented);
        question.demand = Requirement::Nothing.into();
        assert!(matches!(grant(world.decide(&question).await), Grant::Open));
        assert!(matches!(
            grant(world.gate.admit(&question).await),
            Grant::Open
        ));
        question.demand = Requirement::Deny.into();
        assert_eq!(refusal(world.decide(&question).await), Refusal::Denied);
        assert_eq!(refusal(world.gate.admit(&question).await), Refusal::Denied);
    }
    for requirement in [TWO_FACTOR, Requirement::Token] {
        let mut question = world.question(None);
        question.demand = requirement.into();
        assert_eq!(refusal(world.decide(&question).await), Refusal::NoToken);
        assert_eq!(refusal(world.gate.admit(&question).await), Refusal::NoToken);
    }
    assert_eq!(world.calls(), (0, 0));
}

#[tokio::test]
async fn a_token_is_enough_only_where_the_path_says_so() {
    let world = World::new();
    world.holds("t", ANN, None, None);
    let mut question = world.asks("t", None);
    question.demand = Requirement::Token.into();
    assert!(
        matches!(grant(world.decide(&question).await), Grant::Token(holder) if holder.user == ANN)
    );
    assert_eq!(world.calls(), (1, 0));
    assert_eq!(world.gate.sweep().0, 0, "a token alone is not kept");
    question.demand = TWO_FACTOR.into();
    assert!(needs_second_factor(world.decide(&question).await, false));
    question.demand = Requirement::SuccessToken.into();
    assert!(needs_second_factor(world.decide(&question).await, false));
    world.session(1, "t", None, ANN);
    question.demand = TWO_FACTOR.into();
    assert!(is_session(world.decide(&question).await));
    question.demand = Requirement::Token.into();
    assert!(
        is_session(world.decide(&question).await),
        "a session is more"
    );
    question.demand = Requirement::SuccessToken.into();
    let refused = refusal(world.decide(&question).await);
    assert!(
        matches!(refused, Refusal::SuccessTokenRequired { holder: Some(holder) } if holder.user == ANN)
    );
}
