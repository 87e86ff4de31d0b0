//! Backup codes: one set, each of its codes once, and what hashing them may cost.

use super::*;

#[tokio::test]
async fn backup_codes_work_once_each_and_the_newest_set_alone() {
    let world = World::new();
    let user = world.user("ann", "pw", Some(PHONE)).await;
    let token = world.caller(user, "phone").await;
    let ann = standing(&token, Standing::Verified);
    let old = world.auth.new_backup_codes(&ann, false).await.unwrap();
    let new = world.auth.new_backup_codes(&ann, false).await.unwrap();
    assert_eq!((old.len(), new.len()), (10, 10));
    assert_eq!(
        world.events.take(),
        [
            event(EventKind::Enrolled, "backup codes"),
            event(EventKind::Enrolled, "backup codes")
        ]
    );
    if !new.contains(&old[0]) {
        assert_eq!(
            error(&world, &token, old[0].expose(), Accept::Backup).await,
            VerifyError::Wrong { left: None }
        );
    }
    let bare = new[0].expose().replace(' ', "");
    let used = verify(&world, &token, &bare, Accept::Backup).await.unwrap();
    assert_eq!(used.passed.backup_codes_left, 9);
    assert!(!used.passed.has_enrolled);
    assert_eq!(
        error(&world, &token, new[0].expose(), Accept::Backup).await,
        VerifyError::Wrong { left: None }
    );
    for malformed in ["", "1234567", "123456789", "1234 567x"] {
        assert_eq!(
            error(&world, &token, malformed, Accept::Backup).await,
            VerifyError::Malformed
        );
    }
    // It is no code of any factor.
    assert!(
        verify(&world, &token, new[1].expose(), Accept::Factor)
            .await
            .is_err()
    );
}

#[tokio::test]
async fn a_reset_has_the_last_word_on_backup_codes() {
    let world = World::new();
    let user = world.user("ann", "pw", Some(PHONE)).await;
    let thief = standing(&world.caller(user, "stolen").await, Standing::Sudo);
    // The hashing of other people's sign-ins keeps them waiting.
    let busy = Arc::clone(&world.auth.hashing).acquire_owned().await;
    let auth = Arc::clone(&world.auth);
    let making = tokio::spawn(async move { auth.new_backup_codes(&thief, true).await });
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    let (store, keys) = (&*world.store, &world.auth.keys);
    reset_user(store, keys, user, world.clock.now())
        .await
        .unwrap();
    drop(busy);
    assert_eq!(making.await.unwrap(), Err(EnrolError::NotVerified));
    assert_eq!(world.auth.store.backup_salt(user).await.unwrap(), None);
}

#[tokio::test]
async fn fifty_clients_spend_one_backup_code() {
    let world = World::new();
    world.set(|settings| settings.lockout.delay_every = 0);
    let user = world.user("ann", "pw", Some(PHONE)).await;
    let ann = standing(&world.caller(user, "phone").await, Standing::Verified);
    let codes = world.auth.new_backup_codes(&ann, false).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let (auth, caller, code) = (Arc::clone(&world.auth), ann.clone(), codes[0].clone());
        tasks.spawn(async move {
            let typed = Typed {
                code: code.expose(),
                accept: Accept::Backup,
                pair: caller.pair,
                device_label: None,
                issue: None,
            };
            auth.verify(&caller, typed).await.is_ok()
        });
    }
    let wins = tasks.join_all().await.into_iter().filter(|won| *won);
    assert_eq!(wins.count(), 1);
    let left = world.auth.factors(user).await.unwrap().backup_codes_left;
    assert_eq!(left, 9);
}

#[tokio::test]
async fn nothing_is_hashed_for_who_has_to_wait() {
    let world = World::new();
    world.set(|settings| settings.lockout.lock_at = 6);
    let user = world.user("ann", "pw", Some(PHONE)).await;
    let ann = world.caller(user, "phone").await;
    // Also where there are no backup codes, a wrong one is wrong.
    for _ in 0..5 {
        assert_eq!(
            error(&world, &ann, "12345678", Accept::Backup).await,
            VerifyError::Wrong { left: None }
        );
    }
    let all = world.auth.place_to_hash().await.unwrap();
    let delayed = |secs| {
        VerifyError::Blocked(Blocked::Delayed {
            retry_after_secs: secs,
        })
    };
    assert_eq!(
        error(&world, &ann, "12345678", Accept::Backup).await,
        delayed(30)
    );
    drop(all);
    // Locked and delayed at once: the delay counts.
    world.advance(30);
    world.set(|settings| {
        settings.lockout.lock_at = 6;
        settings.lockout.delay_every = 1;
    });
    error(&world, &ann, "12345678", Accept::Backup).await;
    let all = world.auth.place_to_hash().await.unwrap();
    let waiting = error(&world, &ann, "12345678", Accept::Backup).await;
    assert!(matches!(
        waiting,
        VerifyError::Blocked(Blocked::Delayed { .. })
    ));
    // Who comes to a place after the delay began waits too.
    world.advance(3600);
    let auth = Arc::clone(&world.auth);
    let caller = ann.clone();
    let queued = tokio::spawn(async move {
        let typed = Typed {
            code: "12345678",
            accept: Accept::Backup,
            pair: caller.pair,
            device_label: None,
            issue: None,
        };
        auth.verify(&caller, typed).await.map(|_| ())
    });
    tokio::task::yield_now().await;
    use crate::auth::ports::Failures as _;
    let counted = world.auth.subjects(&ann.asker(&world.auth.keys));
    let now = world.clock.now();
    world.store.failed(&[counted.user], now).await.unwrap();
    drop(all);
    let queued = queued.await.unwrap();
    assert!(matches!(
        queued,
        Err(VerifyError::Blocked(Blocked::Delayed { .. }))
    ));
}
