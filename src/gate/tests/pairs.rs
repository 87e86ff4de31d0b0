//! The (token, device) pair, and what is kept of it in memory.

use super::*;

#[tokio::test]
async fn a_miss_is_asked_once_and_then_memory_knows() {
    let world = World::new();
    world.holds("t", ANN, None, Some("phone"));
    world.session(1, "t", Some("laptop"), ANN);
    let question = world.asks("t", Some("laptop"));
    assert!(matches!(world.gate.check(&question), Checked::Ask));
    assert!(is_session(world.gate.admit(&question).await));
    let Checked::Decided(decision) = world.gate.check(&question) else {
        panic!("memory forgot");
    };
    let Grant::Session {
        holder,
        factor,
        verified_at,
        ..
    } = grant(decision)
    else {
        panic!("no session");
    };
    assert_eq!((holder.user, factor), (ANN, Factor::Sms));
    assert_eq!((&*holder.name, verified_at), ("user 1", Timestamp(START)));
    assert_eq!(world.calls(), (1, 1));
    // The pair that the token was issued to is another pair.
    let other = world.asks("t", Some("phone"));
    assert!(needs_second_factor(world.decide(&other).await, false));
}

#[tokio::test]
async fn a_request_without_a_device_stands_for_the_device_the_token_was_issued_to() {
    let world = World::new();
    world.holds("t", ANN, None, Some("phone"));
    let question = world.asks("t", None);
    let _unnamed = world.session(1, "t", None, ANN);
    assert!(needs_second_factor(world.decide(&question).await, false));
    world.session(2, "t", Some("phone"), ANN);
    assert!(is_session(world.decide(&question).await));
    assert!(world.asks_memory("t", None));

    // Issued anew to another device: the alias must not outlive its 30 seconds.
    world.holds("t", ANN, None, Some("tablet"));
    world.gate.token_issued(world.keys.token("t"));
    world.clock.advance(29);
    assert!(world.asks_memory("t", None));
    world.clock.advance(1);
    assert!(!world.asks_memory("t", None));
    assert!(needs_second_factor(world.decide(&question).await, false));
}

#[tokio::test]
async fn a_session_under_its_own_key_is_no_alias() {
    let world = World::new();
    world.holds("t", ANN, None, None);
    world.session(1, "t", None, ANN);
    assert!(is_session(world.decide(&world.asks("t", None)).await));
    world.clock.advance(31);
    assert!(world.asks_memory("t", None));
}

#[tokio::test]
async fn a_session_of_another_user_than_the_tokens_is_none() {
    let world = World::new();
    world.holds("t", ANN, None, None);
    world.session(1, "t", None, BOB);
    let decision = world.decide(&world.asks("t", None)).await;
    assert!(
        matches!(refusal(decision), Refusal::SecondFactorRequired { holder, .. } if holder.user == ANN)
    );
    assert!(!world.asks_memory("t", None));
}

#[tokio::test]
async fn what_was_remembered_needs_no_store() {
    let world = World::new();
    world.holds("t", ANN, None, Some("phone"));
    let session = world.session(1, "t", Some("phone"), ANN);
    world.gate.remember(world.key("t", Some("phone")), &session);
    assert!(world.asks_memory("t", Some("phone")));
    assert_eq!(world.calls(), (0, 0));
    // The other way to name that device reads through.
    assert!(is_session(world.decide(&world.asks("t", None)).await));
}
