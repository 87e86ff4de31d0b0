//! A second look at what was let through: as a request would be judged, but no use of the session.

use super::*;

fn until(decision: Decision) -> (SessionId, Timestamp) {
    match grant(decision) {
        Grant::Session { id, good_until, .. } => (id, good_until),
        other => panic!("no session: {other:?}"),
    }
}

#[tokio::test]
async fn a_look_says_whose_session_it_is_and_when_it_ends() {
    let world = World::new();
    world.holds("t", ANN, None, None);
    let session = world.session(1, "t", None, ANN);
    let question = world.asks("t", None);
    let asked = (SessionId(1), session.expires_at);
    // Of the store, then of memory.
    assert_eq!(until(world.gate.look(&question).await), asked);
    let calls = world.calls();
    assert_eq!(until(world.gate.look(&question).await), asked);
    assert_eq!(world.calls(), calls, "memory knew");
}

#[tokio::test]
async fn looking_keeps_no_session_alive() {
    let world = World::new();
    world.holds("t", ANN, None, None);
    world.session(1, "t", None, ANN);
    let question = world.asks("t", None);
    assert!(is_session(world.decide(&question).await));
    world.gate.take_seen();
    for _ in 0..9 {
        world.clock.advance(100);
        assert!(is_session(world.gate.look(&question).await));
    }
    assert_eq!(world.gate.take_seen(), [], "it was not seen");
    world.clock.advance(100);
    assert!(needs_second_factor(world.gate.look(&question).await, false));
}

#[tokio::test]
async fn a_look_after_the_end_finds_the_end() {
    let world = World::new();
    world.holds("t", ANN, None, None);
    world.session(1, "t", None, ANN);
    let question = world.asks("t", None);
    assert!(is_session(world.decide(&question).await));
    let mut endings = world.gate.endings();
    world.ends_in_store("t", None);
    world.gate.forget(Which::User(ANN));
    assert_eq!(endings.recv().await, Ok(Which::User(ANN)));
    assert!(needs_second_factor(world.gate.look(&question).await, false));
    // Verified anew, it is another session of the same pair.
    world.clock.advance(1);
    world.session(2, "t", None, ANN);
    assert_eq!(until(world.gate.look(&question).await).0, SessionId(2));
    // What cannot be asked is not let go on.
    world.gate.forget(Which::Session(SessionId(2)));
    world.script.down.store(true, Ordering::SeqCst);
    let refused = refusal(world.gate.look(&question).await);
    assert_eq!(refused, Refusal::Unavailable);
}

#[tokio::test]
async fn a_look_by_another_name_of_the_pair_or_at_anothers_token_is_due_soon() {
    let world = World::new();
    world.holds("t", ANN, None, Some("phone"));
    world.session(1, "t", Some("phone"), ANN);
    let unnamed = world.asks("t", None);
    let (id, good_until) = until(world.gate.look(&unnamed).await);
    assert_eq!((id, good_until), (SessionId(1), Timestamp(START + 30)));
    *world.script.fresh_for.lock().unwrap() = Some(Duration::from_secs(5));
    let named = world.asks("t", Some("phone"));
    let (_, good_until) = until(world.gate.look(&named).await);
    assert_eq!(good_until, Timestamp(START + 5));
}

#[tokio::test]
async fn a_look_spends_no_success_token() {
    let world = World::new();
    world.holds("t", ANN, None, None);
    world.session(1, "t", None, ANN);
    let of_token = Question {
        demand: Requirement::SuccessToken.into(),
        success_token: Some("once"),
        ..world.asks("t", None)
    };
    assert!(is_session(world.gate.look(&of_token).await));
    let of_nobody = Question {
        presented: None,
        ..of_token
    };
    assert!(matches!(
        grant(world.gate.look(&of_nobody).await),
        Grant::Open
    ));
    assert_eq!(world.script.spend_calls.load(Ordering::SeqCst), 0);
}
