//! Revocation, above all while a session is on its way into the map.

use super::*;

#[tokio::test]
async fn a_revoked_session_is_gone_and_only_that() {
    let world = World::new();
    for (id, token, user) in [(1, "a1", ANN), (2, "a2", ANN), (3, "b", BOB)] {
        world.holds(token, user, None, None);
        world.session(id, token, None, user);
        assert!(is_session(world.decide(&world.asks(token, None)).await));
    }
    world.gate.forget(Which::Session(SessionId(1)));
    let held = ["a1", "a2", "b"].map(|token| world.asks_memory(token, None));
    assert_eq!(held, [false, true, true]);
    assert!(is_session(world.decide(&world.asks("a1", None)).await));
    world.gate.forget(Which::UserBut(ANN, SessionId(2)));
    let held = ["a1", "a2", "b"].map(|token| world.asks_memory(token, None));
    assert_eq!(held, [false, true, true]);
    world.gate.forget(Which::User(ANN));
    let held = ["a1", "a2", "b"].map(|token| world.asks_memory(token, None));
    assert_eq!(held, [false, false, true]);
    world.gate.forget(Which::All);
    assert!(!world.asks_memory("b", None));
    assert!(
        is_session(world.decide(&world.asks("b", None)).await),
        "the store still has it"
    );
}

/// The race: the store has said "live", and before the gate can keep it the session is revoked.
#[tokio::test]
async fn a_session_revoked_on_its_way_into_the_map_does_not_survive() {
    for which in [
        Which::Session(SessionId(1)),
        Which::UserBut(ANN, SessionId(2)),
        Which::User(ANN),
        Which::All,
    ] {
        let world = World::new();
        world.holds("t", ANN, None, None);
        world.session(1, "t", None, ANN);
        let (gate, script, key) = (
            Arc::clone(&world.gate),
            Arc::clone(&world.script),
            world.key("t", None),
        );
        then(&world.script.after_session, move || {
            script.sessions.lock().unwrap().remove(&key);
            gate.forget(which);
        });
        let decision = world.decide(&world.asks("t", None)).await;
        assert!(needs_second_factor(decision, false), "{which:?}");
        assert_eq!(world.calls(), (2, 2), "asked again");
        assert!(!world.asks_memory("t", None));
    }
}

#[tokio::test]
async fn anothers_revocation_on_the_way_changes_nothing() {
    let world = World::new();
    world.holds("t", ANN, None, None);
    world.session(1, "t", None, ANN);
    let gate = Arc::clone(&world.gate);
    then(&world.script.after_session, move || {
        gate.forget(Which::User(BOB))
    });
    assert!(is_session(world.decide(&world.asks("t", None)).await));
    assert_eq!(world.calls(), (1, 1));
    assert!(world.asks_memory("t", None));
}

#[tokio::test]
async fn a_pair_that_was_revoked_and_verified_again_on_the_way_is_permitted() {
    let world = World::new();
    world.holds("t", ANN, None, None);
    world.session(1, "t", None, ANN);
    let gate = Arc::clone(&world.gate);
    then(&world.script.after_session, move || {
        gate.forget(Which::User(ANN));
    });
    assert!(is_session(world.decide(&world.asks("t", None)).await));
    assert_eq!(world.calls(), (2, 2));
    assert!(world.asks_memory("t", None));
}

#[tokio::test]
async fn a_session_that_is_revoked_at_every_try_is_not_permitted() {
    let world = World::new();
    world.holds("t", ANN, None, None);
    world.session(1, "t", None, ANN);
    for _ in 0..100 {
        let gate = Arc::clone(&world.gate);
        then(&world.script.after_session, move || gate.forget(Which::All));
    }
    let decision = world.decide(&world.asks("t", None)).await;
    assert_eq!(refusal(decision), Refusal::Unavailable);
    assert!(!world.asks_memory("t", None));
}

#[tokio::test]
async fn a_session_revoked_before_it_is_remembered_is_not() {
    let world = World::new();
    world.holds("t", ANN, None, None);
    let session = world.session(1, "t", None, ANN);
    world.ends_in_store("t", None);
    world.gate.forget(Which::User(ANN));
    world.gate.remember(world.key("t", None), &session);
    assert!(!world.asks_memory("t", None));
    // A later verification is none of that revocation's business.
    world.clock.advance(1);
    let session = world.session(2, "t", None, ANN);
    world.gate.remember(world.key("t", None), &session);
    assert!(world.asks_memory("t", None));
}
