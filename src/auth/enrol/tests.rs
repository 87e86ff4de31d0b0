//! Who may change which factor. What each factor's codes are good for, and backup codes, are in the folder.

mod backup;
mod codes;
mod confirming;
mod first;
mod removal;

use super::*;
use crate::auth::challenge::{Accept, Typed, Verified, VerifyError};
use crate::auth::fixture::{REALM, START, World};
use crate::auth::lockout::Blocked;
use crate::auth::ports::{
    FactorKind, Factors as _, LearnedUser, NewUser, Said, Sessions as _, Users as _,
};
use crate::clock::Clock as _;
use crate::factor::phone::Phone;
use crate::gate::session::Factor;
use std::sync::Arc;

const PHONE: &str = "+4512345678";
const OTHER: &str = "+4587654321";

fn phone(number: &str) -> FactorValue {
    FactorValue::Sms(Phone::parse(number, None).unwrap())
}

fn new(caller: &Caller, value: FactorValue) -> NewFactor {
    NewFactor {
        value,
        bound_to: caller.pair.into(),
        replaces_others: false,
        sudo: false,
    }
}

fn standing(caller: &Caller, standing: Standing) -> Caller {
    Caller {
        standing,
        ..caller.clone()
    }
}

/// A user without a factor, on a route where one may be enrolled with the token alone.
async fn bob(world: &World) -> Caller {
    let user = world.bare_user("bob").await;
    Caller {
        self_enrolment: true,
        ..world.caller(user, "phone").await
    }
}

async fn verify(
    world: &World,
    caller: &Caller,
    code: &str,
    accept: Accept,
) -> Result<Verified, VerifyError> {
    let typed = Typed {
        code,
        accept,
        pair: caller.pair,
        device_label: None,
        issue: None,
    };
    world.auth.verify(caller, typed).await
}

async fn error(world: &World, caller: &Caller, code: &str, accept: Accept) -> VerifyError {
    verify(world, caller, code, accept).await.unwrap_err()
}

fn code(world: &World, secret: &TotpSecret) -> String {
    secret.code_at(world.clock.now())
}

/// A code of none of the steps around now.
fn wrong(world: &World, secret: &TotpSecret) -> String {
    let near: Vec<_> = (-30..=30)
        .map(|step| secret.code_at(Timestamp(world.clock.now().0 + 30 * step)))
        .collect();
    let mut codes = (0..100).map(|code| format!("{code:06}"));
    codes.find(|code| !near.contains(code)).unwrap()
}

/// Enrols an authenticator and leaves its window of codes.
async fn enrolled(world: &World, caller: &Caller) -> TotpSecret {
    let secret = world.auth.new_totp_secret().unwrap();
    let new = new(caller, FactorValue::Totp(secret.clone()));
    world.auth.propose(caller, new).await.unwrap();
    let typed = code(world, &secret);
    let verified = verify(world, caller, &typed, Accept::Enrolment).await;
    assert!(verified.unwrap().passed.has_enrolled);
    world.advance(90);
    world.events.take();
    secret
}

async fn kinds(world: &World, user: UserId) -> Vec<FactorKind> {
    let factors = world.auth.factors(user).await.unwrap();
    factors
        .enrolled
        .iter()
        .map(|one| one.value.kind())
        .collect()
}

fn event(kind: EventKind, detail: &str) -> (EventKind, String) {
    (kind, detail.to_owned())
}

#[tokio::test]
async fn no_unverified_token_weakens_a_verified_factor() {
    let world = World::new();
    let user = world.user("ann", "pw", Some(PHONE)).await;
    let token = Caller {
        self_enrolment: true,
        ..world.caller(user, "phone").await
    };
    let verified = standing(&token, Standing::Verified);
    let sudo = standing(&token, Standing::Sudo);
    let auth = &world.auth;
    let secret = auth.new_totp_secret().unwrap();
    let totp = FactorValue::Totp(secret.clone());
    auth.propose(&verified, new(&verified, totp.clone()))
        .await
        .unwrap();

    for (caller, needs_sudo) in [(&token, false), (&token, true), (&verified, true)] {
        let with = |value| NewFactor {
            sudo: needs_sudo,
            ..new(caller, value)
        };
        let no = EnrolError::NotVerified;
        assert_eq!(auth.may_enrol(caller, needs_sudo).await, Err(no.clone()));
        assert_eq!(
            auth.propose(caller, with(totp.clone())).await,
            Err(no.clone())
        );
        let sent = auth.send_enrolment(caller, with(phone(OTHER))).await;
        assert_eq!(sent.unwrap_err(), no);
        let off = auth.disable(caller, Disable::All, needs_sudo).await;
        assert_eq!(off, Err(no.clone()));
        let codes = auth.new_backup_codes(caller, needs_sudo).await;
        assert_eq!(codes, Err(no));
    }
    let hidden = auth.pending_enrolment(&token, token.pair.into()).await;
    assert!(hidden.unwrap().is_none());
    let typed = code(&world, &secret);
    assert_eq!(
        error(&world, &token, &typed, Accept::Enrolment).await,
        VerifyError::Forbidden
    );
    assert_eq!(world.inbox.count(), 0);
    assert_eq!(
        kinds(&world, user).await,
        [FactorKind::Sms, FactorKind::Email]
    );

    let sudo_only = NewFactor {
        sudo: true,
        ..new(&sudo, totp)
    };
    assert!(auth.propose(&sudo, sudo_only).await.is_ok());
    assert!(auth.new_backup_codes(&sudo, true).await.is_ok());
    assert_eq!(auth.disable(&sudo, Disable::All, true).await, Ok(true));
}

#[tokio::test]
async fn a_pending_enrolment_is_its_own_users_alone() {
    let world = World::new();
    let bob = bob(&world).await;
    let totp = FactorValue::Totp(world.auth.new_totp_secret().unwrap());
    world.auth.propose(&bob, new(&bob, totp)).await.unwrap();
    let eve = world.bare_user("eve").await;
    let eve = Caller {
        self_enrolment: true,
        ..world.caller(eve, "eve").await
    };
    let foreign = world.auth.pending_enrolment(&eve, bob.pair.into()).await;
    assert!(foreign.unwrap().is_none());
}

#[tokio::test]
async fn only_a_verified_editor_resets_users_of_the_same_identity() {
    let world = World::new();
    let user = world.user("ann", "pw", Some(PHONE)).await;
    let ann = standing(&world.caller(user, "phone").await, Standing::Verified);
    enrolled(&world, &ann).await;
    let editor = |realm: &str| NewUser {
        realm: realm.to_owned(),
        name: "editor".to_owned(),
        phone: None,
        email: None,
        password_hash: None,
        can_edit_users: true,
        groups: Vec::new(),
    };
    let create = async |realm: &str| {
        let id = world.store.create_user(editor(realm), START).await;
        let id = id.unwrap().unwrap();
        let caller = world.caller(id, realm).await;
        standing(&caller, Standing::Verified)
    };
    let (own, foreign) = (create(REALM).await, create("other").await);
    let reset = async |caller: &Caller, user| world.auth.reset(caller, user).await;

    let unverified = standing(&own, Standing::Token);
    assert_eq!(reset(&unverified, user).await, Err(ResetError::NotVerified));
    let nobody = UserId(9_999);
    for target in [user, nobody] {
        assert_eq!(reset(&ann, target).await, Err(ResetError::NotAllowed));
    }
    assert_eq!(reset(&own, nobody).await, Err(ResetError::NoSuchUser));
    assert_eq!(reset(&foreign, user).await, Err(ResetError::NoSuchUser));
    assert_eq!(kinds(&world, user).await.len(), 3);
    assert!(
        world
            .store
            .session(ann.pair, START)
            .await
            .unwrap()
            .is_some()
    );

    world.events.take();
    assert_eq!(reset(&own, user).await, Ok(()));
    let after = [FactorKind::Sms, FactorKind::Email];
    assert_eq!(kinds(&world, user).await, after, "what the profile gave");
    assert!(
        world
            .store
            .session(ann.pair, START)
            .await
            .unwrap()
            .is_none()
    );
    let detail = format!("second factor, by user {}", own.holder.user);
    assert_eq!(world.events.take(), [(EventKind::Reset, detail)]);
}

#[tokio::test]
async fn a_store_that_fails_changes_nothing() {
    let world = World::new();
    let bob = bob(&world).await;
    let totp = FactorValue::Totp(world.auth.new_totp_secret().unwrap());
    for verb in ["factors", "put_challenge"] {
        world.store.break_verb(Some(verb));
        let proposed = world.auth.propose(&bob, new(&bob, totp.clone())).await;
        assert_eq!(proposed, Err(EnrolError::Unavailable), "{verb}");
    }
    let verified = standing(&bob, Standing::Verified);
    for (caller, verb) in [
        (&bob, "factors"),
        (&bob, "pending"),
        (&verified, "pending"),
        (&verified, "disable"),
    ] {
        world.store.break_verb(Some(verb));
        let off = world.auth.disable(caller, Disable::All, false).await;
        assert_eq!(off, Err(EnrolError::Unavailable), "{verb}");
    }
    world.store.break_verb(Some("put_backup_codes"));
    assert_eq!(
        world.auth.new_backup_codes(&verified, false).await,
        Err(EnrolError::Unavailable)
    );
    world.store.break_verb(Some("user"));
    assert_eq!(
        world.auth.reset(&verified, bob.holder.user).await,
        Err(ResetError::Unavailable)
    );
    world.store.break_verb(None);
    assert_eq!(world.events.take(), []);
}

#[tokio::test]
async fn who_opens_a_share_link_does_not_change_whom_it_asks() {
    let world = World::new();
    let (_, recipient) = world.share("link", Some(PHONE), None).await;
    let keys = world.auth.keys.realm(REALM);
    let holder = crate::gate::session::Holder::limited(recipient, "share:1", Some("/dir/"));
    let visitor = Caller {
        holder,
        token: keys.token("link"),
        pair: keys.session("link", Some("visitor")),
        self_enrolment: true,
        standing: Standing::Sudo,
        ..bob(&world).await
    };
    let auth = &world.auth;
    let another = new(&visitor, phone(OTHER));
    let refused = [
        auth.propose(&visitor, another.clone()).await.err(),
        auth.send_enrolment(&visitor, another).await.err(),
        auth.disable(&visitor, Disable::All, false).await.err(),
        auth.remove_factor(&visitor, FactorKind::Sms).await.err(),
        auth.new_backup_codes(&visitor, true).await.err(),
    ];
    assert_eq!(refused, [const { Some(EnrolError::Shared) }; 5]);
    let wizard = auth.open_disable(&visitor, REALM, FactorKind::Sms).await;
    assert!(matches!(
        wizard.err(),
        Some(crate::auth::wizard::WizardError::Enrol(EnrolError::Shared))
    ));
    assert_eq!(world.inbox.count(), 0);
}
