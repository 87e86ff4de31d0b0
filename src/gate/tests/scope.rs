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
