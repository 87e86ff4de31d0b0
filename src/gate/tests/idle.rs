//! Requirements of a session that was never left alone for long.

use super::*;

const HOUR: i64 = 300;
const BUSY: Requirement = Requirement::TwoFactor {
    within: None,
    max_idle: Some(Duration::from_secs(HOUR as u64)),
};

fn busy(world: &World) -> Question<'_> {
    Question {
        demand: BUSY.into(),
        ..world.asks("t", None)
    }
}

/// What the store is told, as the job does it.
fn save(world: &World) {
    let seen = world.gate.take_seen();
    let mut sessions = world.script.sessions.lock().unwrap();
    for session in sessions.values_mut() {
        for seen in seen.iter().filter(|it| it.id == session.id) {
            session.last_seen_at = seen.last_seen_at;
            session.longest_pause_secs = seen.longest_pause_secs;
        }
    }
}

fn max_age_secs(decision: Decision) -> Option<u64> {
    match refusal(decision) {
        Refusal::SecondFactorRequired { max_age_secs, .. } => max_age_secs,
        other => panic!("{other:?}"),
    }
}

/// A world with a verified pair, in memory or in the store alone.
fn verified(is_in_memory: bool) -> World {
    let world = World::new();
    world.holds("t", ANN, None, None);
    let session = world.session(1, "t", None, ANN);
    if is_in_memory {
        world.gate.remember(world.key("t", None), &session);
    }
    world
}

#[tokio::test]
async fn a_session_in_use_is_enough_and_one_left_alone_is_not() {
    for is_in_memory in [true, false] {
        let world = verified(is_in_memory);
        for _ in 0..5 {
            world.clock.advance(HOUR);
            assert!(is_session(world.decide(&busy(&world)).await));
            save(&world);
        }
        world.clock.advance(HOUR + 1);
        let decision = world.decide(&busy(&world)).await;
        assert_eq!(max_age_secs(decision), Some(HOUR as u64));
        assert!(
            is_session(world.decide(&world.asks("t", None)).await),
            "elsewhere it is still good"
        );
    }
}

#[tokio::test]
async fn asking_again_or_for_something_else_first_helps_nobody() {
    for is_in_memory in [true, false] {
        for is_saved in [true, false] {
            for is_plain_first in [true, false] {
                let world = verified(is_in_memory);
                world.clock.advance(HOUR + 1);
                if is_plain_first {
                    assert!(is_session(world.decide(&world.asks("t", None)).await));
                }
                for _ in 0..3 {
                    let decision = world.decide(&busy(&world)).await;
                    assert!(needs_second_factor(decision, true));
                    if is_saved {
                        save(&world);
                    }
                    world.clock.advance(1);
                    assert!(is_session(world.decide(&world.asks("t", None)).await));
                }
            }
        }
    }
}

#[tokio::test]
async fn what_memory_forgets_makes_nobody_less_idle() {
    let world = verified(true);
    world.clock.advance(HOUR + 1);
    assert!(is_session(world.decide(&world.asks("t", None)).await));
    // A crash, before and after the store was told.
    world.gate.forget(Which::All);
    assert!(needs_second_factor(world.decide(&busy(&world)).await, true));
    save(&world);
    world.gate.forget(Which::All);
    assert!(needs_second_factor(world.decide(&busy(&world)).await, true));
    // What was seen since the store was told last counts as not seen.
    let world = verified(true);
    world.clock.advance(HOUR);
    assert!(is_session(world.decide(&busy(&world)).await));
    world.gate.forget(Which::All);
    world.clock.advance(HOUR);
    assert!(needs_second_factor(world.decide(&busy(&world)).await, true));
}

#[tokio::test]
async fn a_new_verification_begins_anew() {
    let world = verified(true);
    world.clock.advance(HOUR + 1);
    assert!(needs_second_factor(world.decide(&busy(&world)).await, true));
    let session = world.session(2, "t", None, ANN);
    world.gate.remember(world.key("t", None), &session);
    assert!(is_session(world.decide(&busy(&world)).await));
    // The same, where only the store knows of it yet.
    world.clock.advance(HOUR + 1);
    assert!(needs_second_factor(world.decide(&busy(&world)).await, true));
    world.session(3, "t", None, ANN);
    assert!(is_session(world.decide(&busy(&world)).await));
}

#[tokio::test]
async fn of_both_bounds_the_one_that_is_not_met_is_told() {
    let world = verified(true);
    let mut question = busy(&world);
    question.demand = Requirement::TwoFactor {
        within: Some(Duration::from_secs(400)),
        max_idle: Some(Duration::from_secs(300)),
    }
    .into();
    world.clock.advance(200);
    assert!(is_session(world.decide(&question).await));
    save(&world);
    world.clock.advance(201);
    assert_eq!(max_age_secs(world.decide(&question).await), Some(400));
    save(&world);
    world.clock.advance(301);
    assert_eq!(max_age_secs(world.decide(&question).await), Some(300));
}

#[tokio::test]
async fn a_store_that_is_down_makes_nobody_busy() {
    let world = verified(true);
    world.script.down.store(true, Ordering::SeqCst);
    world.clock.advance(HOUR);
    assert!(is_session(world.decide(&busy(&world)).await), "from memory");
    world.clock.advance(HOUR + 1);
    for _ in 0..2 {
        let decision = world.decide(&busy(&world)).await;
        assert_eq!(refusal(decision), Refusal::Unavailable);
    }
    world.script.down.store(false, Ordering::SeqCst);
    assert!(needs_second_factor(world.decide(&busy(&world)).await, true));
}

/// Fifty requests that all end one pause: none of them is the first for another.
#[tokio::test]
async fn of_fifty_at_once_after_a_pause_none_gets_in() {
    for is_in_memory in [true, false] {
        let world = Arc::new(verified(is_in_memory));
        world.clock.advance(HOUR + 1);
        let asking: Vec<_> = (0..50)
            .map(|n| {
                let world = Arc::clone(&world);
                tokio::spawn(async move {
                    let question = match n % 2 {
                        0 => busy(&world),
                        _ => world.asks("t", None),
                    };
                    (n, word_of(world.decide(&question).await))
                })
            })
            .collect();
        for one in asking {
            let (n, word) = one.await.unwrap();
            assert_eq!(word, ["fresh", "session"][n % 2], "{n}");
        }
    }
}

fn word_of(decision: Decision) -> &'static str {
    match decision {
        Decision::Permit(_) => "session",
        Decision::Refuse(Refusal::SecondFactorRequired {
            max_age_secs: Some(_),
            ..
        }) => "fresh",
        Decision::Refuse(_) => "refused",
    }
}
