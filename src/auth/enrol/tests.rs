//! Who may change which factor, what each factor's codes are good for, and backup codes.

use super::*;
use crate::auth::challenge::{Accept, Typed, Verified, VerifyError};
use crate::auth::fixture::{REALM, START, World};
use crate::auth::lockout::Blocked;
use crate::auth::ports::{
    FactorKind, Factors as _, LearnedUser, NewUser, Sessions as _, Users as _,
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
async fn the_first_factor_is_enrolled_with_the_token_where_the_route_allows() {
    let world = World::new();
    let bob = bob(&world).await;
    let closed = Caller {
        self_enrolment: false,
        ..bob.clone()
    };
    let secret = world.auth.new_totp_secret().unwrap();
    let totp = |caller: &Caller| new(caller, FactorValue::Totp(secret.clone()));
    let refused = world.auth.propose(&closed, totp(&closed)).await;
    assert_eq!(refused, Err(EnrolError::NoSelfEnrolment));
    let sent = world
        .auth
        .send_enrolment(&closed, new(&closed, phone(PHONE)));
    assert_eq!(sent.await.unwrap_err(), EnrolError::NoSelfEnrolment);
    assert_eq!(world.inbox.count(), 0);

    let ends = world.auth.propose(&bob, totp(&bob)).await;
    assert_eq!(ends, Ok(Timestamp(START.0 + 3600)));
    let bound_to = bob.pair.into();
    let pending = world.auth.pending_enrolment(&bob, bound_to).await.unwrap();
    assert_eq!(pending.unwrap().value, FactorValue::Totp(secret.clone()));
    let hidden = world.auth.pending_enrolment(&closed, bound_to).await;
    assert!(hidden.unwrap().is_none());
    assert_eq!(kinds(&world, bob.holder.user).await, [], "not yet");

    let typed = code(&world, &secret);
    assert_eq!(
        error(&world, &closed, &typed, Accept::Enrolment).await,
        VerifyError::Forbidden
    );
    assert_eq!(
        error(&world, &bob, &typed, Accept::Factor).await,
        VerifyError::NeverSent,
        "it confirms an enrolment only where that is asked for"
    );
    let verified = verify(&world, &bob, &typed, Accept::FactorOrEnrolment).await;
    let verified = verified.unwrap();
    assert!(verified.passed.has_enrolled);
    assert_eq!(verified.session.factor, Factor::Totp);
    let stored = world.store.session(bob.pair, START).await.unwrap();
    assert_eq!(stored, Some(verified.session));
    assert_eq!(kinds(&world, bob.holder.user).await, [FactorKind::Totp]);
    assert_eq!(
        world.events.take(),
        [
            event(EventKind::Enrolled, "totp"),
            event(EventKind::Verified, "totp")
        ]
    );
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
async fn of_two_first_enrolments_one_is_the_first() {
    let world = World::new();
    let bob = bob(&world).await;
    let mut tasks = tokio::task::JoinSet::new();
    for device in ["a", "b", "c", "d"] {
        let caller = Caller {
            self_enrolment: true,
            ..world.caller(bob.holder.user, device).await
        };
        let secret = world.auth.new_totp_secret().unwrap();
        let totp = FactorValue::Totp(secret.clone());
        let proposed = world.auth.propose(&caller, new(&caller, totp)).await;
        proposed.unwrap();
        let typed = code(&world, &secret);
        let auth = Arc::clone(&world.auth);
        tasks.spawn(async move {
            let typed = Typed {
                code: &typed,
                accept: Accept::Enrolment,
                pair: caller.pair,
                device_label: None,
                issue: None,
            };
            auth.verify(&caller, typed).await.map(|_| ())
        });
    }
    let results = tasks.join_all().await;
    let count = |wanted| results.iter().filter(|it| **it == wanted).count();
    assert_eq!(count(Ok(())), 1, "{results:?}");
    assert_eq!(count(Err(VerifyError::Forbidden)), 3, "{results:?}");
    let refused = event(EventKind::Refused, "totp enrolment not allowed");
    assert_eq!(
        world
            .events
            .take()
            .iter()
            .filter(|it| **it == refused)
            .count(),
        3
    );
}

#[tokio::test]
async fn a_number_that_the_profile_gives_meanwhile_ends_a_first_enrolment() {
    let world = World::new();
    let bob = bob(&world).await;
    let secret = world.auth.new_totp_secret().unwrap();
    let totp = new(&bob, FactorValue::Totp(secret.clone()));
    world.auth.propose(&bob, totp).await.unwrap();
    let learned = LearnedUser {
        realm: REALM.to_owned(),
        name: "bob".to_owned(),
        phone: Some(Phone::parse(PHONE, None).unwrap()),
        email: None,
        groups: None,
    };
    world.store.learn_user(learned, START).await.unwrap();
    let typed = code(&world, &secret);
    for _ in 0..2 {
        let refused = verify(&world, &bob, &typed, Accept::Enrolment).await;
        assert!(matches!(
            refused,
            Err(VerifyError::Forbidden | VerifyError::Gone)
        ));
    }
    assert_eq!(kinds(&world, bob.holder.user).await, [FactorKind::Sms]);
}

#[tokio::test]
async fn a_new_number_is_confirmed_by_the_code_that_went_there() {
    let world = World::new();
    let user = world.user("ann", "pw", Some(PHONE)).await;
    let ann = standing(&world.caller(user, "phone").await, Standing::Verified);
    world.set(|settings| settings.limits.countries = vec!["SE".to_owned()]);
    let refused = world.auth.send_enrolment(&ann, new(&ann, phone(OTHER)));
    assert_eq!(
        refused.await.unwrap_err(),
        EnrolError::Start(StartError::RecipientRefused)
    );
    world.set(|_| {});
    let started = world.auth.send_enrolment(&ann, new(&ann, phone(OTHER)));
    let started = started.await.unwrap();
    assert_eq!(started.masked_recipient, "+45******21");
    assert_eq!(started.expires_at, Timestamp(START.0 + 600));
    assert_eq!(world.inbox.last().0, OTHER);
    // The limits are the user's and the new number's own.
    let again = world.auth.send_enrolment(&ann, new(&ann, phone(OTHER)));
    assert!(matches!(
        again.await,
        Err(EnrolError::Start(StartError::TooMany { .. }))
    ));
    let eve = standing(
        &world.caller(world.bare_user("eve").await, "eve").await,
        Standing::Verified,
    );
    world.set(|settings| settings.limits.per_number_per_hour = 1);
    let same = world.auth.send_enrolment(&eve, new(&eve, phone(OTHER)));
    assert!(matches!(
        same.await,
        Err(EnrolError::Start(StartError::TooMany { .. }))
    ));

    world.set(|_| {});

    // A wrong one costs a try; the code is good for nothing else, and for no other pair.
    let typed = world.inbox.code();
    assert_eq!(
        error(&world, &ann, &world.inbox.wrong_code(), Accept::Enrolment).await,
        VerifyError::Wrong { left: Some(4) }
    );
    assert_eq!(
        error(&world, &ann, &typed, Accept::Factor).await,
        VerifyError::NeverSent
    );
    let laptop = standing(&world.caller(user, "laptop").await, Standing::Verified);
    assert_eq!(
        error(&world, &laptop, &typed, Accept::Enrolment).await,
        VerifyError::NeverSent
    );
    let verified = verify(&world, &ann, &typed, Accept::Enrolment).await;
    assert_eq!(verified.unwrap().session.factor, Factor::Sms);
    let factors = world.auth.factors(user).await.unwrap();
    assert_eq!(factors.phone().map(Phone::e164), Some(OTHER));
    world.advance(31);
    world.auth.start(&ann, FactorKind::Sms).await.unwrap();
    assert_eq!(world.inbox.last().0, OTHER);
}

#[tokio::test]
async fn an_address_is_confirmed_by_mail() {
    let world = World::new();
    let bob = bob(&world).await;
    let value = FactorValue::Email(Secret::new("bob@example.org"));
    let started = world.auth.send_enrolment(&bob, new(&bob, value)).await;
    assert_eq!(started.unwrap().masked_recipient, "b****@example.org");
    assert_eq!(world.inbox.last().0, "bob@example.org");
    let typed = world.inbox.code();
    let verified = verify(&world, &bob, &typed, Accept::Enrolment).await;
    assert_eq!(verified.unwrap().session.factor, Factor::Email);
    // Mail is turned off: what the user enrolled goes on protecting.
    world.set(|settings| settings.sends_mail = false);
    assert_eq!(
        world.auth.may_enrol(&bob, false).await,
        Err(EnrolError::NotVerified)
    );
    let totp = new(
        &bob,
        FactorValue::Totp(world.auth.new_totp_secret().unwrap()),
    );
    assert_eq!(
        world.auth.propose(&bob, totp).await,
        Err(EnrolError::NotVerified)
    );
}

#[tokio::test]
async fn an_address_of_the_profile_is_a_factor_where_mail_is_sent() {
    let world = World::new();
    let user = world.user("ann", "pw", None).await;
    let ann = Caller {
        self_enrolment: true,
        ..world.caller(user, "phone").await
    };
    assert_eq!(kinds(&world, user).await, [FactorKind::Email]);
    assert_eq!(
        world.auth.may_enrol(&ann, false).await,
        Err(EnrolError::NotVerified)
    );
    world.set(|settings| settings.sends_mail = false);
    assert_eq!(kinds(&world, user).await, []);
    enrolled(&world, &ann).await;
    assert_eq!(kinds(&world, user).await, [FactorKind::Totp]);
}

#[tokio::test]
async fn an_enrolment_ends_after_its_hour_and_after_too_many_wrong_codes() {
    let world = World::new();
    let bob = bob(&world).await;
    let secret = world.auth.new_totp_secret().unwrap();
    let totp = || new(&bob, FactorValue::Totp(secret.clone()));
    world.auth.propose(&bob, totp()).await.unwrap();
    world.advance(3600);
    let typed = code(&world, &secret);
    assert_eq!(
        error(&world, &bob, &typed, Accept::Enrolment).await,
        VerifyError::Gone
    );
    world.auth.propose(&bob, totp()).await.unwrap();
    let wrong = wrong(&world, &secret);
    for _ in 0..5 {
        assert!(matches!(
            error(&world, &bob, &wrong, Accept::Enrolment).await,
            VerifyError::Wrong { .. }
        ));
    }
    world.advance(30);
    let typed = code(&world, &secret);
    assert_eq!(
        error(&world, &bob, &typed, Accept::Enrolment).await,
        VerifyError::Gone
    );
    // A number that no code went to is confirmed by none.
    let number = new(&bob, phone(PHONE));
    world.auth.propose(&bob, number).await.unwrap();
    assert_eq!(
        error(&world, &bob, "000000", Accept::Enrolment).await,
        VerifyError::NeverSent
    );
    assert_eq!(kinds(&world, bob.holder.user).await, []);
}

#[tokio::test]
async fn a_setting_can_replace_all_others() {
    let world = World::new();
    let user = world.user("ann", "pw", Some(PHONE)).await;
    let ann = standing(&world.caller(user, "phone").await, Standing::Verified);
    let secret = world.auth.new_totp_secret().unwrap();
    let replacing = NewFactor {
        replaces_others: true,
        ..new(&ann, FactorValue::Totp(secret.clone()))
    };
    world.auth.propose(&ann, replacing).await.unwrap();
    let before = [FactorKind::Sms, FactorKind::Email];
    assert_eq!(kinds(&world, user).await, before, "until it is confirmed");
    let typed = code(&world, &secret);
    verify(&world, &ann, &typed, Accept::Enrolment)
        .await
        .unwrap();
    assert_eq!(kinds(&world, user).await, [FactorKind::Totp]);
    assert_eq!(
        world.auth.start(&ann, FactorKind::Sms).await.unwrap_err(),
        StartError::NoRecipient
    );
}

#[tokio::test]
async fn an_authenticators_code_is_good_once_on_any_device() {
    let world = World::new();
    let bob = bob(&world).await;
    let laptop = world.caller(bob.holder.user, "laptop").await;
    let secret = world.auth.new_totp_secret().unwrap();
    let totp = FactorValue::Totp(secret.clone());
    world.auth.propose(&bob, new(&bob, totp)).await.unwrap();
    let typed = code(&world, &secret);
    verify(&world, &bob, &typed, Accept::Enrolment)
        .await
        .unwrap();
    let used = VerifyError::Wrong { left: None };
    // What confirmed the enrolment is spent, everywhere.
    assert_eq!(error(&world, &laptop, &typed, Accept::Factor).await, used);

    world.advance(30);
    let older = code(&world, &secret);
    world.advance(30);
    let newer = code(&world, &secret);
    let verified = verify(&world, &laptop, &newer, Accept::Factor).await;
    assert_eq!(verified.unwrap().session.factor, Factor::Totp);
    for caller in [&bob, &laptop] {
        for typed in [&newer, &older] {
            assert_eq!(error(&world, caller, typed, Accept::Factor).await, used);
        }
    }
    world.advance(30);
    let spaced = code(&world, &secret);
    let spaced = format!("{} {}", &spaced[..3], &spaced[3..]);
    let next = verify(&world, &bob, &spaced, Accept::Factor).await;
    assert!(next.is_ok());
}

#[tokio::test]
async fn a_clock_may_be_off_by_the_window() {
    let world = World::new();
    let secret = enrolled(&world, &bob(&world).await).await;
    let bob = world
        .caller(
            world
                .store
                .user_by_name(REALM, "bob")
                .await
                .unwrap()
                .unwrap()
                .id,
            "phone",
        )
        .await;
    for (window, off, is_right) in [
        (0, 0, true),
        (0, 30, false),
        (1, 30, true),
        (1, 60, false),
        (2, 60, true),
    ] {
        world.advance(600);
        world.set(|settings| settings.codes.totp_window = window);
        let ahead = secret.code_at(Timestamp(world.clock.now().0 + off));
        let verified = verify(&world, &bob, &ahead, Accept::Factor).await;
        assert_eq!(verified.is_ok(), is_right, "{window} {off}");
    }
}

#[tokio::test]
async fn of_many_equal_authenticator_codes_at_once_one_wins() {
    let world = World::new();
    let bob = bob(&world).await;
    let secret = enrolled(&world, &bob).await;
    let mut tasks = tokio::task::JoinSet::new();
    world.set(|settings| settings.lockout.delay_every = 0);
    for task in 0..50 {
        let caller = world
            .caller(bob.holder.user, &format!("device {task}"))
            .await;
        let (auth, typed) = (Arc::clone(&world.auth), code(&world, &secret));
        tasks.spawn(async move {
            let typed = Typed {
                code: &typed,
                accept: Accept::Factor,
                pair: caller.pair,
                device_label: None,
                issue: None,
            };
            auth.verify(&caller, typed).await.is_ok()
        });
    }
    let wins = tasks.join_all().await.into_iter().filter(|won| *won);
    assert_eq!(wins.count(), 1);
}

#[tokio::test]
async fn wrong_codes_of_all_factors_are_one_count() {
    let world = World::new();
    let user = world.user("ann", "pw", Some(PHONE)).await;
    let phone = standing(&world.caller(user, "phone").await, Standing::Verified);
    let secret = enrolled(&world, &phone).await;
    let laptop = world.caller(user, "laptop").await;
    let wrong = wrong(&world, &secret);
    for _ in 0..2 {
        let error = error(&world, &phone, &wrong, Accept::Factor).await;
        assert_eq!(error, VerifyError::Wrong { left: None });
    }
    world.auth.start(&laptop, FactorKind::Sms).await.unwrap();
    let sent = world.inbox.code();
    // Neither the number's code nor the app's.
    let neither = if sent == wrong { "999999" } else { &wrong };
    for left in [4, 3] {
        let error = error(&world, &laptop, neither, Accept::Factor).await;
        assert_eq!(error, VerifyError::Wrong { left: Some(left) });
    }
    let backup = error(&world, &laptop, "0000 0000", Accept::Backup).await;
    assert_eq!(backup, VerifyError::Wrong { left: None });
    let delayed = VerifyError::Blocked(Blocked::Delayed {
        retry_after_secs: 30,
    });
    let right = code(&world, &secret);
    assert_eq!(error(&world, &phone, &right, Accept::Factor).await, delayed);
    assert_eq!(error(&world, &laptop, &sent, Accept::Factor).await, delayed);
    let methods: Vec<_> = world.events.take().into_iter().map(|(_, it)| it).collect();
    assert_eq!(
        methods,
        [
            "totp wrong code",
            "totp wrong code",
            "sms",
            "sms wrong code",
            "sms wrong code",
            "backup_code wrong code"
        ]
    );
    // A new code does not reset it; a right one does.
    world.advance(30);
    let right = code(&world, &secret);
    assert!(verify(&world, &phone, &right, Accept::Factor).await.is_ok());
    world.advance(30);
    for _ in 0..4 {
        error(&world, &phone, &wrong, Accept::Factor).await;
    }
    let right = code(&world, &secret);
    assert!(verify(&world, &phone, &right, Accept::Factor).await.is_ok());
}

#[tokio::test]
async fn a_lock_holds_for_every_factor_until_a_backup_code() {
    let world = World::new();
    let user = world.user("ann", "pw", Some(PHONE)).await;
    let ann = standing(&world.caller(user, "phone").await, Standing::Verified);
    let secret = enrolled(&world, &ann).await;
    let codes = world.auth.new_backup_codes(&ann, false).await.unwrap();
    world.auth.start(&ann, FactorKind::Sms).await.unwrap();
    let sent = world.inbox.code();
    world.set(|settings| {
        settings.lockout.lock_at = 3;
        settings.lockout.delay_every = 0;
    });
    world.events.take();
    let wrong = wrong(&world, &secret);
    for _ in 0..3 {
        error(&world, &ann, &wrong, Accept::Factor).await;
    }
    let locked = VerifyError::Blocked(Blocked::Locked);
    let right = code(&world, &secret);
    for typed in [&right, &sent] {
        assert_eq!(error(&world, &ann, typed, Accept::Factor).await, locked);
    }
    assert_eq!(
        world.auth.start(&ann, FactorKind::Sms).await.unwrap_err(),
        StartError::Blocked(Blocked::Locked)
    );
    // In the locked state a wrong backup code is wrong, and a right one is the way out.
    for _ in 0..2 {
        let wrong = error(&world, &ann, "0000-0000", Accept::Backup).await;
        assert_eq!(wrong, VerifyError::Wrong { left: None });
    }
    let freed = verify(&world, &ann, codes[3].expose(), Accept::Backup).await;
    let freed = freed.unwrap();
    assert_eq!(freed.session.factor, Factor::BackupCode);
    assert_eq!(freed.passed.backup_codes_left, 9);
    assert!(verify(&world, &ann, &right, Accept::Factor).await.is_ok());
    let locks = world.events.take();
    let locks = locks.iter().filter(|(kind, _)| *kind == EventKind::Locked);
    assert_eq!(locks.count(), 1, "the lock is audited once");
}

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

#[tokio::test]
async fn a_first_enrolment_can_be_withdrawn_with_the_token() {
    let world = World::new();
    let bob = bob(&world).await;
    let secret = world.auth.new_totp_secret().unwrap();
    let totp = new(&bob, FactorValue::Totp(secret.clone()));
    world.auth.propose(&bob, totp).await.unwrap();
    let sms = Disable::One(FactorKind::Sms);
    assert_eq!(world.auth.disable(&bob, sms, false).await, Ok(false));
    let pending = world.auth.pending_enrolment(&bob, bob.pair.into()).await;
    assert!(pending.unwrap().is_some(), "of another kind");
    let all = world.auth.disable(&bob, Disable::All, false).await;
    assert_eq!(all, Ok(false));
    let pending = world.auth.pending_enrolment(&bob, bob.pair.into()).await;
    assert!(pending.unwrap().is_none());
    let typed = code(&world, &secret);
    assert_eq!(
        error(&world, &bob, &typed, Accept::Enrolment).await,
        VerifyError::Gone
    );
    assert_eq!(world.events.take(), [event(EventKind::Refused, "expired")]);
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

#[test]
fn the_image_names_the_service_and_the_user() {
    let world = World::new();
    let secret = TotpSecret::from_bytes(b"12345678901234567890");
    assert_eq!(
        world.auth.totp_uri(&secret, "ann").expose(),
        "otpauth://totp/Files:ann?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Files"
    );
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
