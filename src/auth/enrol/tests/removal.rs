//! Turning factors off, and what must stay on.

use super::*;

#[tokio::test]
async fn factors_are_turned_off_with_a_line_in_the_audit() {
    let world = World::new();
    let user = world.user("ann", "pw", Some(PHONE)).await;
    let ann = standing(&world.caller(user, "phone").await, Standing::Verified);
    enrolled(&world, &ann).await;
    world.auth.new_backup_codes(&ann, false).await.unwrap();
    world.events.take();
    let one = Disable::One(FactorKind::Totp);
    assert_eq!(world.auth.disable(&ann, one, false).await, Ok(true));
    assert_eq!(world.auth.disable(&ann, one, false).await, Ok(false));
    assert_eq!(
        world.auth.disable(&ann, Disable::All, false).await,
        Ok(true)
    );
    assert_eq!(
        world.events.take(),
        [
            event(EventKind::Disabled, "totp"),
            event(EventKind::Disabled, "all factors")
        ]
    );
    let factors = world.store.factors(user).await.unwrap();
    assert_eq!(factors, FactorSet::default(), "backup codes too");
}

/// Bob in sudo mode, with a phone and an authenticator that he has enrolled.
async fn with_two(world: &World) -> Caller {
    let bob = standing(&bob(world).await, Standing::Sudo);
    let user = bob.holder.user;
    world.authenticator(user).await;
    let sent = world
        .auth
        .send_enrolment(&bob, new(&bob, phone(PHONE)))
        .await;
    sent.unwrap();
    let code = world.inbox.code();
    verify(world, &bob, &code, Accept::Enrolment).await.unwrap();
    world.auth.new_backup_codes(&bob, true).await.unwrap();
    bob
}

#[tokio::test]
async fn a_user_removes_a_factor_in_sudo_mode() {
    let world = World::new();
    let bob = with_two(&world).await;
    for weak in [Standing::Token, Standing::Verified] {
        let weak = standing(&bob, weak);
        let refused = world.auth.remove_factor(&weak, FactorKind::Sms).await;
        assert_eq!(refused, Err(EnrolError::NotVerified));
    }
    let removed = async |kind| world.auth.remove_factor(&bob, kind).await.unwrap();
    assert_eq!(removed(FactorKind::Email).await, Removed::WasOff);
    assert_eq!(removed(FactorKind::Sms).await, Removed::Yes);
    assert_eq!(removed(FactorKind::Sms).await, Removed::WasOff);
    let left = world.auth.factors(bob.holder.user).await.unwrap();
    assert!(left.totp().is_some());
    assert_eq!(left.backup_codes_left, 10);
}

#[tokio::test]
async fn the_last_factor_stays_where_its_user_could_not_enrol_another_one() {
    let world = World::new();
    let bob = with_two(&world).await;
    let user = bob.holder.user;
    let closed = Caller {
        self_enrolment: false,
        ..bob.clone()
    };
    // Both at once: one of them would be the last.
    let (sms, totp) = tokio::join!(
        world.auth.remove_factor(&closed, FactorKind::Sms),
        world.auth.remove_factor(&closed, FactorKind::Totp),
    );
    assert_eq!((sms, totp), (Ok(Removed::Yes), Ok(Removed::LastStays)));
    let left = world.auth.factors(user).await.unwrap();
    assert_eq!((left.enrolled.len(), left.backup_codes_left), (1, 10));
    let totp = world.auth.remove_factor(&bob, FactorKind::Totp).await;
    assert_eq!(totp, Ok(Removed::Yes), "here the user could");
    assert_eq!(
        world.auth.factors(user).await.unwrap(),
        FactorSet::default()
    );
}
