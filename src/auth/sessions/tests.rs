//! Who sees and ends which sessions.

use super::*;
use crate::auth::challenge::{Accept, Typed};
use crate::auth::fixture::{REALM, START, World};
use crate::auth::ports::{Disable, FactorKind, Factors as _, Sessions as _};
use crate::factor::totp::TotpSecret;
use crate::gate::session::Holder;
use crate::id::UserId;

fn with(caller: &Caller, standing: Standing) -> Caller {
    Caller {
        standing,
        ..caller.clone()
    }
}

/// A caller whose pair has passed the user's authenticator, in sudo mode.
async fn verified(world: &World, user: UserId, secret: &TotpSecret, device: &str) -> Caller {
    // A step later each time: no code is good twice.
    world.advance(30);
    let caller = world.caller(user, device).await;
    let typed = Typed {
        code: &secret.code_at(world.auth.clock.now()),
        accept: Accept::Factor,
        pair: caller.pair,
        device_label: None,
        issue: None,
    };
    world.auth.verify(&caller, typed).await.unwrap();
    with(&caller, Standing::Sudo)
}

/// Bob on two devices, and Eve on one; each has an authenticator.
async fn three(world: &World) -> [Caller; 3] {
    let (bob, eve) = (world.bare_user("bob").await, world.bare_user("eve").await);
    let (of_bob, of_eve) = (
        world.authenticator(bob).await,
        world.authenticator(eve).await,
    );
    world.store.revoke(Which::All, START).await.unwrap();
    [
        verified(world, bob, &of_bob, "laptop").await,
        verified(world, bob, &of_bob, "phone").await,
        verified(world, eve, &of_eve, "tablet").await,
    ]
}

async fn ids(world: &World, caller: &Caller) -> Vec<SessionId> {
    let own = world.auth.own_sessions(caller).await.unwrap();
    own.iter().map(|own| own.row.session.id).collect()
}

#[tokio::test]
async fn a_user_sees_the_own_sessions_and_which_is_this_one() {
    let world = World::new();
    let [laptop, phone, tablet] = three(&world).await;
    let own = world.auth.own_sessions(&laptop).await.unwrap();
    let current: Vec<_> = own.iter().map(|own| own.is_current).collect();
    assert_eq!(current, [false, true], "newest first");
    let whence = own[0].row.whence.clone().unwrap();
    assert_eq!(whence, phone.whence());
    assert_eq!(ids(&world, &tablet).await.len(), 1);
    let idle = world.auth.settings.load().sessions.idle;
    world.advance(idle.as_secs());
    assert!(ids(&world, &laptop).await.is_empty(), "idled out");
}

#[tokio::test]
async fn the_token_alone_sees_and_ends_nothing_and_a_verified_pair_ends_nothing_without_sudo() {
    let world = World::new();
    let [laptop, ..] = three(&world).await;
    let id = ids(&world, &laptop).await[0];
    let token = with(&laptop, Standing::Token);
    let seen = world.auth.own_sessions(&token).await;
    assert_eq!(seen.unwrap_err(), SessionsError::NotVerified);
    for standing in [Standing::Token, Standing::Verified] {
        let caller = with(&laptop, standing);
        let ended = world.auth.end_session(&caller, id).await;
        assert_eq!(ended.unwrap_err(), SessionsError::NotVerified);
        let ended = world.auth.end_others(&caller).await;
        assert_eq!(ended.unwrap_err(), SessionsError::NotVerified);
    }
    assert_eq!(ids(&world, &laptop).await.len(), 2);
}

#[tokio::test]
async fn a_foreign_session_is_as_unknown_as_one_that_never_was() {
    let world = World::new();
    let [laptop, phone, tablet] = three(&world).await;
    let foreign = ids(&world, &tablet).await[0];
    for id in [foreign, SessionId(999), SessionId(-1), SessionId(i64::MAX)] {
        let ended = world.auth.end_session(&laptop, id).await;
        assert_eq!(ended.unwrap_err(), SessionsError::NotFound, "{id}");
    }
    assert_eq!(ids(&world, &tablet).await, [foreign]);
    let of_phone = ids(&world, &phone).await[0];
    let ended = world.auth.end_session(&laptop, of_phone).await;
    assert_eq!(ended, Ok(Which::Session(of_phone)));
    let again = world.auth.end_session(&laptop, of_phone).await;
    assert_eq!(again.unwrap_err(), SessionsError::NotFound);
    assert_eq!(ids(&world, &laptop).await.len(), 1);
    let told = (
        EventKind::Revoked,
        format!("session {of_phone}, by its user"),
    );
    assert_eq!(world.events.take().last(), Some(&told));
}

#[tokio::test]
async fn all_others_end_and_of_two_devices_that_end_each_other_one_stays() {
    let world = World::new();
    let [laptop, phone, tablet] = three(&world).await;
    let (by_laptop, by_phone) = tokio::join!(
        world.auth.end_others(&laptop),
        world.auth.end_others(&phone)
    );
    let ended = [by_laptop, by_phone].into_iter().flatten();
    assert_eq!(ended.map(|(_, ended)| ended).sum::<u64>(), 1);
    let now = world.auth.clock.now();
    let bobs = Some(laptop.holder.user);
    assert_eq!(world.store.sessions(bobs, now).await.unwrap().len(), 1);
    assert_eq!(ids(&world, &tablet).await.len(), 1);
}

#[tokio::test]
async fn a_pair_whose_session_has_just_ended_ends_no_others() {
    let world = World::new();
    let [laptop, phone, _] = three(&world).await;
    let of_laptop = ids(&world, &laptop).await[1];
    world.auth.end_session(&phone, of_laptop).await.unwrap();
    let refused = world.auth.end_others(&laptop).await;
    assert_eq!(refused.unwrap_err(), SessionsError::NotVerified);
    assert_eq!(ids(&world, &phone).await.len(), 1);
}

#[tokio::test]
async fn without_a_factor_the_token_is_all_that_can_be_shown() {
    let world = World::new();
    let [laptop, phone, _] = three(&world).await;
    let (user, now) = (laptop.holder.user, world.auth.clock.now());
    let off = Disable::One(FactorKind::Totp);
    assert!(world.store.disable(user, off, now).await.unwrap());
    let token = with(&world.caller(user, "other").await, Standing::Token);
    assert_eq!(ids(&world, &token).await.len(), 2);
    let (which, ended) = world.auth.end_others(&token).await.unwrap();
    assert_eq!((which, ended), (Which::User(user), 2));
    assert!(ids(&world, &phone).await.is_empty());
}

#[tokio::test]
async fn a_share_link_opens_its_recipients_sessions_alone() {
    let world = World::new();
    let [laptop, ..] = three(&world).await;
    let (_, recipient) = world.share("link", Some("+4512345678"), None).await;
    let keys = world.auth.keys.realm(REALM);
    let link = Caller {
        holder: Holder::limited(recipient, "share:1", Some("/dir/")),
        token: keys.token("link"),
        pair: keys.session("link", Some("visitor")),
        standing: Standing::Sudo,
        ..laptop.clone()
    };
    assert!(ids(&world, &link).await.is_empty());
    for id in ids(&world, &laptop).await {
        let ended = world.auth.end_session(&link, id).await;
        assert_eq!(ended.unwrap_err(), SessionsError::NotFound);
    }
    let _ = world.auth.end_others(&link).await;
    assert_eq!(ids(&world, &laptop).await.len(), 2);
}
