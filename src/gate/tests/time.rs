//! Expiry, idleness, freshness, words that run out, and clocks that step back or are far ahead.

use super::*;

const WITHIN_TEN_MINUTES: Requirement = Requirement::TwoFactor {
    within: Some(Duration::from_secs(600)),
    max_idle: None,
};

#[tokio::test]
async fn a_session_ends_at_its_absolute_end_however_busy() {
    let world = World::new();
    world.holds("t", ANN, None, None);
    world.session(1, "t", None, ANN);
    let question = world.asks("t", None);
    for _ in 0..20 {
        assert!(is_session(world.decide(&question).await));
        world.clock.advance(LIFETIME / 20);
    }
    assert!(needs_second_factor(world.decide(&question).await, false));
}

#[tokio::test]
async fn a_session_idles_out_unless_it_is_seen() {
    let world = World::new();
    world.holds("t", ANN, None, None);
    world.session(1, "t", None, ANN);
    let question = world.asks("t", None);
    assert!(is_session(world.decide(&question).await));
    world.clock.advance(999);
    assert!(world.asks_memory("t", None));
    world.clock.advance(999);
    assert!(world.asks_memory("t", None), "seen in between");
    world.clock.advance(1_000);
    assert!(needs_second_factor(world.decide(&question).await, false));
    // Swept once the store has been told when it was seen.
    assert_eq!(world.gate.take_seen().len(), 1);
    assert_eq!(world.gate.sweep(), (0, 0));
}

#[tokio::test]
async fn polling_is_let_through_and_keeps_no_session_from_idling_out() {
    let world = World::new();
    world.holds("t", ANN, None, None);
    world.session(1, "t", None, ANN);
    let used = world.asks("t", None);
    let polled = Question {
        is_background: true,
        ..used
    };
    assert!(is_session(world.decide(&polled).await), "from the store");
    world.clock.advance(999);
    assert!(is_session(world.decide(&polled).await), "from memory");
    assert_eq!(world.gate.take_seen(), []);
    world.clock.advance(1);
    assert!(needs_second_factor(world.decide(&polled).await, false));
    assert!(needs_second_factor(world.decide(&used).await, false));
}

#[tokio::test]
async fn use_beside_polling_counts() {
    let world = Arc::new(World::new());
    world.holds("t", ANN, None, None);
    world.session(1, "t", None, ANN);
    world.clock.advance(900);
    // Whoever flies to the store for all of them may be one that polls.
    let asking: Vec<_> = (0..50)
        .map(|n| {
            let world = Arc::clone(&world);
            tokio::spawn(async move {
                let question = Question {
                    is_background: n != 30,
                    ..world.asks("t", None)
                };
                assert!(is_session(world.decide(&question).await));
            })
        })
        .collect();
    for asked in asking {
        asked.await.unwrap();
    }
    world.clock.advance(999);
    assert!(world.asks_memory("t", None));
    assert_eq!(world.gate.take_seen().len(), 1);
}

#[tokio::test]
async fn what_idled_here_but_was_seen_elsewhere_is_live() {
    let world = World::new();
    world.holds("t", ANN, None, None);
    let session = world.session(1, "t", None, ANN);
    world.gate.remember(world.key("t", None), &session);
    world.clock.advance(1_500);
    let mut seen = session.clone();
    seen.last_seen_at = Timestamp(START + 1_400);
    let key = world.key("t", None);
    world.script.sessions.lock().unwrap().insert(key, seen);
    assert!(is_session(world.decide(&world.asks("t", None)).await));
}

#[tokio::test]
async fn a_shorter_idle_time_holds_at_once() {
    let world = World::new();
    let session = world.session(1, "t", None, ANN);
    world.gate.remember(world.key("t", None), &session);
    world.clock.advance(500);
    world.gate.set_idle(Duration::from_secs(500));
    assert!(!world.asks_memory("t", None));
}

#[tokio::test]
async fn within_asks_for_a_recent_verification() {
    let world = World::new();
    world.holds("t", ANN, None, None);
    world.session(1, "t", None, ANN);
    let mut question = world.asks("t", None);
    question.demand = WITHIN_TEN_MINUTES.into();
    world.clock.advance(600);
    assert!(is_session(world.decide(&question).await), "from the store");
    assert!(is_session(world.decide(&question).await), "from memory");
    world.clock.advance(1);
    assert!(needs_second_factor(world.decide(&question).await, true));
    assert!(world.asks_memory("t", None), "elsewhere it is still good");

    // Verified anew on another node: this map holds the old time and must not insist on it.
    world.session(1, "t", None, ANN);
    assert!(is_session(world.decide(&question).await));
}

#[tokio::test]
async fn a_clock_that_steps_back_lengthens_nothing() {
    let world = World::new();
    world.holds("t", ANN, None, None);
    let session = world.session(1, "t", None, ANN);
    let mut question = world.asks("t", None);
    question.demand = WITHIN_TEN_MINUTES.into();
    world.gate.remember(world.key("t", None), &session);
    world.clock.advance(601);
    assert!(needs_second_factor(world.decide(&question).await, true));
    world.clock.advance(-300);
    assert!(
        needs_second_factor(world.decide(&question).await, true),
        "time stands still"
    );
    // A long step back corrects the clock; what was verified "later" has an unknown age.
    world.clock.advance(-2 * i64::from(STEP_BACK_SECS_MAX));
    assert!(!world.asks_memory("t", None));
    assert!(needs_second_factor(world.decide(&question).await, false));
    world.clock.0.store(START, Ordering::SeqCst);
    assert!(world.asks_memory("t", None), "the clock has caught up");
}

#[tokio::test]
async fn a_clock_that_was_far_ahead_locks_nobody_out() {
    let world = World::new();
    world.clock.advance(1_000_000_000);
    assert!(matches!(
        world.gate.check(&world.asks("t", None)),
        Checked::Ask
    ));
    world.clock.advance(-1_000_000_000);
    let session = world.session(1, "t", None, ANN);
    world.gate.remember(world.key("t", None), &session);
    assert!(world.asks_memory("t", None));
}

#[tokio::test]
async fn sightings_are_for_the_store_once() {
    let world = World::new();
    world.holds("t", ANN, None, None);
    world.session(7, "t", None, ANN);
    world.clock.advance(10);
    world.decide(&world.asks("t", None)).await;
    let seen = |after: i64, longest_pause_secs| Seen {
        id: SessionId(7),
        last_seen_at: Timestamp(START + after),
        longest_pause_secs,
    };
    assert_eq!(world.gate.take_seen(), [seen(10, 10)]);
    assert_eq!(world.gate.take_seen(), []);
    world.clock.advance(5);
    assert!(world.asks_memory("t", None));
    assert_eq!(world.gate.take_seen(), [seen(15, 10)]);
}

#[tokio::test]
async fn a_session_is_kept_no_longer_than_the_word_about_its_token_holds() {
    let world = World::new();
    *world.script.fresh_for.lock().unwrap() = Some(Duration::from_secs(20));
    world.holds("t", ANN, None, None);
    world.session(1, "t", Some("phone"), ANN);
    let question = world.asks("t", Some("phone"));
    assert!(is_session(world.decide(&question).await));
    world.clock.advance(19);
    assert!(world.asks_memory("t", Some("phone")));
    assert_eq!(world.calls(), (1, 1));
    world.clock.advance(1);
    assert!(!world.asks_memory("t", Some("phone")));
    // Asked again, and kept anew for as long.
    assert!(is_session(world.decide(&question).await));
    assert_eq!(world.calls(), (2, 2));
    world.clock.advance(19);
    assert!(world.asks_memory("t", Some("phone")));

    // The issuer has taken it back: what memory held is over with the word.
    world.script.holders.lock().unwrap().remove("t");
    world.clock.advance(1);
    let decision = world.decide(&question).await;
    assert_eq!(refusal(decision), Refusal::UnknownToken);
}

#[tokio::test]
async fn a_word_that_cannot_be_renewed_opens_nothing() {
    let world = World::new();
    *world.script.fresh_for.lock().unwrap() = Some(Duration::from_secs(20));
    world.holds("t", ANN, None, None);
    world.session(1, "t", None, ANN);
    assert!(is_session(world.decide(&world.asks("t", None)).await));
    world.script.down.store(true, Ordering::SeqCst);
    world.clock.advance(19);
    assert!(is_session(world.decide(&world.asks("t", None)).await));
    world.clock.advance(1);
    let decision = world.decide(&world.asks("t", None)).await;
    assert_eq!(refusal(decision), Refusal::Unavailable);
}

#[tokio::test]
async fn a_verified_pair_is_remembered_as_long_as_the_word_and_an_alias_at_most_as_long() {
    let world = World::new();
    let session = world.session(1, "t", Some("phone"), ANN);
    let word = |secs| Some(Duration::from_secs(secs));
    let (named, unnamed) = (world.key("t", Some("phone")), world.key("t", None));
    world.gate.remember_for(named, &session, word(60));
    world.gate.remember_alias(unnamed, &session, word(60));
    world.clock.advance(29);
    assert!(world.asks_memory("t", None));
    world.clock.advance(1);
    assert!(!world.asks_memory("t", None), "an alias has 30 s");
    world.clock.advance(29);
    assert!(world.asks_memory("t", Some("phone")));
    world.clock.advance(1);
    assert!(!world.asks_memory("t", Some("phone")));
    world.gate.remember_alias(unnamed, &session, word(5));
    world.clock.advance(5);
    assert!(!world.asks_memory("t", None), "the word was shorter");
}

#[tokio::test]
async fn the_last_sighting_under_a_short_word_is_not_lost() {
    let world = World::new();
    *world.script.fresh_for.lock().unwrap() = Some(Duration::from_secs(1));
    world.holds("t", ANN, None, None);
    world.session(1, "t", None, ANN);
    // In the second of its verification, it is no news.
    world.clock.advance(1);
    assert!(is_session(world.decide(&world.asks("t", None)).await));
    let seen_at = world.now();
    world.clock.advance(2);
    world.gate.sweep();
    let seen = world.gate.take_seen();
    assert_eq!(seen.len(), 1);
    assert_eq!((seen[0].id, seen[0].last_seen_at), (SessionId(1), seen_at));
    assert_eq!(world.gate.sweep().0, 0);
}
