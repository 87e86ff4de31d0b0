//! Requirements that depend on who asks.

use super::*;
use crate::config::model::{self, People, Rule};
use crate::policy::required;
use crate::policy::tests::{route, target};

/// A route that asks a token, and `requirement` of the group `staff`.
fn of_staff(requirement: Requirement) -> model::Route {
    let mut route = route(vec![Rule {
        people: People::Groups(vec!["staff".to_owned()]),
        ..Rule::of(requirement)
    }]);
    route.require = Requirement::Token;
    route
}

fn asks<'a>(world: &'a World, route: &'a model::Route, token: &'a str) -> Question<'a> {
    Question {
        demand: required(target(route, "/a/b")),
        ..world.asks(token, None)
    }
}

/// Puts the holder of a token into these groups, and tells the gate as the feed does.
fn join(world: &World, token: &str, user: UserId, groups: &[&str]) {
    let mut holders = world.script.holders.lock().unwrap();
    holders.insert(token.to_owned(), (member(user, groups), None));
    drop(holders);
    world.gate.forget(Which::User(user));
}

#[tokio::test]
async fn nobody_gets_in_for_being_unknown() {
    let world = World::new();
    for requirement in [
        Requirement::Token,
        TWO_FACTOR,
        Requirement::SuccessToken,
        Requirement::Deny,
    ] {
        for require in [Requirement::Nothing, Requirement::Token] {
            let mut route = of_staff(requirement);
            route.require = require;
            let question = asks(&world, &route, "unknown");
            assert_eq!(
                refusal(world.decide(&question).await),
                Refusal::UnknownToken
            );
            let anonymous = Question {
                presented: None,
                success_token: Some("3929dfe8-161a-428c-9c71-fde728fe7285"),
                ..question
            };
            assert_eq!(refusal(world.decide(&anonymous).await), Refusal::NoToken);
            world.script.down.store(true, Ordering::SeqCst);
            let stranger = asks(&world, &route, "another");
            assert_eq!(refusal(world.decide(&stranger).await), Refusal::Unavailable);
            world.script.down.store(false, Ordering::SeqCst);
        }
    }
}

#[tokio::test]
async fn each_is_asked_what_the_rules_ask_of_them() {
    let world = World::new();
    join(&world, "a", ANN, &["guests", "staff"]);
    join(&world, "b", BOB, &["guests"]);
    let strict = of_staff(TWO_FACTOR);
    let ann = asks(&world, &strict, "a");
    let bob = asks(&world, &strict, "b");
    assert!(needs_second_factor(world.decide(&ann).await, false));
    assert!(matches!(grant(world.decide(&bob).await), Grant::Token(_)));
    world.session(1, "a", None, ANN);
    world.session(2, "b", None, BOB);
    for _ in ["from the store", "from memory"] {
        assert!(is_session(world.decide(&ann).await));
        assert!(is_session(world.decide(&bob).await), "a session is more");
    }
    let closed = of_staff(Requirement::Deny);
    let ann = asks(&world, &closed, "a");
    assert_eq!(refusal(world.decide(&ann).await), Refusal::Denied);
    assert!(is_session(world.decide(&asks(&world, &closed, "b")).await));
    // Behind a rule for people, `none` is a token's.
    let mut open = of_staff(TWO_FACTOR);
    open.require = Requirement::Nothing;
    assert!(is_session(world.decide(&asks(&world, &open, "b")).await));
}

#[tokio::test]
async fn a_group_that_somebody_joins_counts_for_hot_sessions() {
    let world = World::new();
    join(&world, "a", ANN, &[]);
    world.session(1, "a", None, ANN);
    let closed = of_staff(Requirement::Deny);
    let question = asks(&world, &closed, "a");
    assert!(is_session(world.decide(&question).await));
    assert!(matches!(world.gate.check(&question), Checked::Decided(_)));
    join(&world, "a", ANN, &["staff"]);
    for _ in ["from the store", "from memory"] {
        assert_eq!(refusal(world.decide(&question).await), Refusal::Denied);
    }
    join(&world, "a", ANN, &["Staff"]);
    assert!(is_session(world.decide(&question).await));
}

/// The groups are those of the holder whom the decision is about, also if they change on the way.
#[tokio::test]
async fn a_group_that_changes_on_the_way_is_no_way_in() {
    let world = Arc::new(World::new());
    join(&world, "a", ANN, &[]);
    world.session(1, "a", None, ANN);
    let closed = of_staff(Requirement::Deny);
    let question = asks(&world, &closed, "a");
    let (gate, script) = (Arc::clone(&world.gate), Arc::clone(&world.script));
    // The store has said who it is; before the gate has it, she joins.
    then(&world.script.after_session, move || {
        let mut holders = script.holders.lock().unwrap();
        holders.insert("a".to_owned(), (member(ANN, &["staff"]), None));
        drop(holders);
        gate.forget(Which::User(ANN));
    });
    assert_eq!(refusal(world.decide(&question).await), Refusal::Denied);
    assert_eq!(refusal(world.decide(&question).await), Refusal::Denied);
}

#[tokio::test]
async fn a_success_token_is_spent_for_those_of_whom_it_is_asked() {
    let world = World::new();
    join(&world, "a", ANN, &["staff"]);
    join(&world, "b", BOB, &[]);
    world.session(1, "a", None, ANN);
    let route = of_staff(Requirement::SuccessToken);
    let good = "3929dfe8-161a-428c-9c71-fde728fe7285";
    for token in ["a", "b"] {
        let user = if token == "a" { ANN } else { BOB };
        let good_with = (Some(token.to_owned()), holder(user, None));
        let mut successes = world.script.successes.lock().unwrap();
        successes.insert(format!("{good}{token}"), good_with);
    }
    let (of_ann, of_bob) = (format!("{good}a"), format!("{good}b"));
    let without = asks(&world, &route, "a");
    for _ in ["from the store", "from memory"] {
        let refused = refusal(world.decide(&without).await);
        assert!(matches!(refused, Refusal::SuccessTokenRequired { .. }));
    }
    let with = Question {
        success_token: Some(&of_ann),
        ..without
    };
    assert!(is_session(world.decide(&with).await));
    let again = refusal(world.decide(&with).await);
    assert!(matches!(again, Refusal::SuccessTokenRequired { .. }));
    let bob = Question {
        success_token: Some(&of_bob),
        ..asks(&world, &route, "b")
    };
    assert!(matches!(grant(world.decide(&bob).await), Grant::Token(_)));
    assert!(world.script.successes.lock().unwrap().contains_key(&of_bob));
}
