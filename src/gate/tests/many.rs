//! Many requests at the same moment.

use super::*;

#[tokio::test]
async fn a_hundred_at_once_ask_the_store_once() {
    let world = Arc::new(World::new());
    world.holds("t", ANN, None, None);
    world.session(1, "t", None, ANN);
    world.script.open.forget_permits(1_000);
    let waiting: Vec<_> = (0..100)
        .map(|_| {
            let world = Arc::clone(&world);
            tokio::spawn(async move { world.gate.admit(&world.asks("t", None)).await })
        })
        .collect();
    while world.gate.flights.aboard() < 100 {
        tokio::task::yield_now().await;
    }
    world.script.open.add_permits(1_000);
    for waiter in waiting {
        assert!(is_session(waiter.await.unwrap()));
    }
    assert_eq!(world.calls(), (1, 1));
    assert_eq!(world.gate.flights.aboard(), 0);
}

#[tokio::test]
async fn each_of_many_at_once_is_judged_by_its_own_question() {
    let world = Arc::new(World::new());
    world.holds("t", ANN, Some("/a/"), None);
    world.session(1, "t", None, ANN);
    world.script.open.forget_permits(1_000);
    let waiting = ["/a/b", "/x"].map(|path| {
        let world = Arc::clone(&world);
        tokio::spawn(async move {
            let mut question = world.asks("t", None);
            question.path = path;
            world.gate.admit(&question).await
        })
    });
    while world.gate.flights.aboard() < 2 {
        tokio::task::yield_now().await;
    }
    world.script.open.add_permits(1_000);
    let [inside, outside] = waiting;
    assert!(is_session(inside.await.unwrap()));
    assert_eq!(refusal(outside.await.unwrap()), Refusal::OutOfScope);
    assert_eq!(world.calls(), (1, 1));
}

#[tokio::test]
async fn a_flood_of_sessions_stays_within_the_bound_and_everyone_gets_in() {
    let world = World::with_room_for(64);
    for n in 0..1_000 {
        let token = n.to_string();
        world.holds(&token, ANN, None, None);
        world.session(n, &token, None, ANN);
        assert!(is_session(world.decide(&world.asks(&token, None)).await));
        assert!(world.gate.map.len() <= 64);
        if n % 10 == 0 {
            world.clock.advance(1);
        }
    }
    let (entries, evicted) = world.gate.sweep();
    assert_eq!(entries as u64 + evicted, 1_000);
    assert!(is_session(world.decide(&world.asks("0", None)).await));
}

/// Threads read, remember and revoke at the same time; whoever is revoked last must be gone.
#[test]
fn revocation_wins_against_many_threads() {
    let world = World::with_room_for(512);
    let sessions: Vec<_> = (0..600)
        .map(|n| {
            let token = n.to_string();
            let session = world.session(n, &token, None, UserId(n % 7));
            (world.key(&token, None), token, session)
        })
        .collect();
    world.clock.advance(1);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for (key, token, session) in &sessions {
                    world.gate.remember(*key, session);
                    let _ = world.gate.check(&world.asks(token, None));
                }
            });
        }
        scope.spawn(|| {
            for user in 0..7 {
                world.gate.forget(Which::User(UserId(user)));
            }
        });
    });
    let held = sessions
        .iter()
        .filter(|(_, token, _)| world.asks_memory(token, None))
        .count();
    assert_eq!(held, 0, "every one was verified before the revocation");
}
