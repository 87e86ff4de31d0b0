//! Tokens that are limited to one directory.

use super::*;

#[tokio::test]
async fn a_scoped_token_opens_nothing_else() {
    let world = World::new();
    world.holds("t", ANN, Some("/a/"), None);
    // The store's copy of the scope is missing: the token's own word counts.
    world.session(1, "t", None, ANN);
    let mut question = world.asks("t", None);
    for round in ["store", "memory"] {
        for (path, destination, inside) in [
            ("/x/y", None, false),
            ("/a/b", Some("/x"), false),
            ("/x", Some("/a/b"), false),
            ("/ab", None, false),
            ("/a/b", Some("/a/c"), true),
            ("/a/b", None, true),
        ] {
            for requirement in [TWO_FACTOR, Requirement::Token] {
                (question.path, question.destination) = (path, destination);
                question.demand = requirement.into();
                let decision = world.decide(&question).await;
                match inside {
                    true => assert!(matches!(decision, Decision::Permit(_)), "{round} {path}"),
                    false => assert_eq!(refusal(decision), Refusal::OutOfScope, "{round} {path}"),
                }
            }
        }
    }
    assert!(world.asks_memory("t", None));
}

#[tokio::test]
async fn a_scoped_token_without_a_session_is_limited_too() {
    let world = World::new();
    world.holds("t", ANN, Some("/x/"), None);
    let mut question = world.asks("t", None);
    question.demand = Requirement::Token.into();
    assert_eq!(refusal(world.decide(&question).await), Refusal::OutOfScope);
}

#[tokio::test]
async fn where_devices_are_counted_a_token_alone_opens_nothing() {
    let world = World::new();
    world.holds_uncounted("t", ANN, "/a/");
    let mut question = world.asks("t", None);
    for requirement in [Requirement::Token, TWO_FACTOR, Requirement::SuccessToken] {
        question.demand = requirement.into();
        assert!(needs_second_factor(world.decide(&question).await, false));
        let looked = world.gate.look(&question).await;
        assert!(needs_second_factor(looked, false), "{requirement:?}");
    }
    question.demand = Requirement::Nothing.into();
    assert!(matches!(grant(world.decide(&question).await), Grant::Open));
    // A code counts it, for good.
    let session = world.session(1, "t", None, ANN);
    world.gate.remember(world.key("t", None), &session);
    question.demand = Requirement::Token.into();
    assert!(is_session(world.decide(&question).await));
    world.holds("t", ANN, Some("/a/"), None);
    world.ends_in_store("t", None);
    world.gate.forget(Which::All);
    assert!(matches!(
        grant(world.decide(&question).await),
        Grant::Token(_)
    ));
}
