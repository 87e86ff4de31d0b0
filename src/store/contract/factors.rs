//! The factors of a user, the log of their changes, and users by their address.

use super::for_every_engine;
use crate::auth::ports::{
    Attempted, Change, ChangeQuery, Disable, FactorKind, FactorValue, LearnedUser, Purpose, Said,
    Try,
};
use crate::factor::phone::Phone;
use crate::id::{ChangeId, UserId};
use crate::secret::Secret;
use crate::store::fixture::{Fixture, NOW, PHONE, REALM, after, mail, sms, totp};
use std::sync::Arc;

for_every_engine![
    what_was_enrolled_last_comes_first_and_the_profile_last,
    a_factor_that_was_turned_off_stays_off,
    turning_all_off_takes_the_backup_codes_too,
    turning_a_factor_off_voids_its_codes,
    the_last_one_stays_unless_it_may_go_and_takes_the_backup_codes,
    of_two_removals_at_once_one_factor_stays,
    the_log_is_paged_and_filtered,
    a_line_of_the_log_is_its_users_own,
    a_reset_forgets_what_the_user_did,
    a_revoked_share_takes_its_factors_with_it,
    a_user_is_found_by_an_address_however_it_is_written,
    an_address_of_two_finds_nobody,
    fifty_at_once_turn_it_off_once,
];

const ALL: [FactorKind; 4] = FactorKind::ALL;

fn query() -> ChangeQuery {
    ChangeQuery {
        kinds: ALL.to_vec(),
        is_enabled: None,
        from: None,
        to: None,
        newest_first: false,
        offset: 0,
        limit: 100,
    }
}

/// The user's whole log, oldest first.
pub(super) async fn log(f: &Fixture, user: UserId) -> Vec<(FactorKind, bool)> {
    let page = f.store.changes(user, query()).await.unwrap();
    assert_eq!(page.total, page.changes.len() as u64);
    let lines = page.changes.iter();
    lines.map(|line| (line.kind, line.is_enabled)).collect()
}

async fn values(f: &Fixture, user: UserId) -> Vec<FactorValue> {
    let factors = f.store.factors(user).await.unwrap();
    let enrolled = factors.enrolled.into_iter();
    enrolled.map(|one| one.value).collect()
}

async fn what_was_enrolled_last_comes_first_and_the_profile_last(f: Fixture) {
    let ann = f.user("ann").await;
    let profile = [sms(PHONE), mail("ann@example.org")];
    assert_eq!(values(&f, ann).await, profile);
    let factors = f.store.factors(ann).await.unwrap();
    assert!(factors.enrolled.iter().all(|one| one.id.is_none()));
    assert_eq!(factors.backup_codes_left, 0);

    f.enrol(ann, totp("secret"), 1).await;
    let with_totp = [totp("secret"), sms(PHONE), mail("ann@example.org")];
    assert_eq!(values(&f, ann).await, with_totp);
    f.enrol(ann, mail("new@example.org"), 1).await;
    let with_mail = [mail("new@example.org"), totp("secret"), sms(PHONE)];
    assert_eq!(values(&f, ann).await, with_mail);
    f.enrol(ann, totp("other"), 1).await;
    f.enrol(ann, sms("+4599999999"), 1).await;
    let all = [sms("+4599999999"), totp("other"), mail("new@example.org")];
    assert_eq!(values(&f, ann).await, all);

    let profile = f.store.user(ann).await.unwrap().unwrap();
    assert_eq!(profile.phone, Phone::from_e164(PHONE), "left alone");
    assert!(values(&f, UserId(99)).await.is_empty());
}

fn learned(name: &str, phone: &str, email: &str) -> LearnedUser {
    LearnedUser {
        realm: REALM.to_owned(),
        name: name.to_owned(),
        phone: Phone::from_e164(phone),
        email: Some(Secret::new(email)),
        groups: None,
        said: Said { at: NOW, by: None },
    }
}

async fn a_factor_that_was_turned_off_stays_off(f: Fixture) {
    let ann = f.user("ann").await;
    let sms_off = Disable::One(FactorKind::Sms);
    assert!(f.store.disable(ann, sms_off, NOW).await.unwrap());
    assert!(!f.store.disable(ann, sms_off, NOW).await.unwrap());
    assert_eq!(values(&f, ann).await, [mail("ann@example.org")]);
    f.enrol(ann, mail("own@example.org"), 0).await;
    let renewed = learned("ann", "+4588888888", "next@example.org");
    f.store.learn_user(renewed, NOW).await.unwrap();
    assert_eq!(values(&f, ann).await, [mail("own@example.org")]);
    let mail_off = Disable::One(FactorKind::Email);
    assert!(f.store.disable(ann, mail_off, NOW).await.unwrap());
    assert!(
        values(&f, ann).await.is_empty(),
        "not the profile's instead"
    );
    f.enrol(ann, sms("+4577777777"), 0).await;
    assert_eq!(values(&f, ann).await, [sms("+4577777777")]);
    let lines = [
        (FactorKind::Sms, false),
        (FactorKind::Email, true),
        (FactorKind::Email, false),
        (FactorKind::Sms, true),
    ];
    assert_eq!(log(&f, ann).await, lines);
    assert!(!f.store.disable(UserId(99), sms_off, NOW).await.unwrap());
}

async fn turning_all_off_takes_the_backup_codes_too(f: Fixture) {
    let ann = f.user("ann").await;
    let factor = f.enrol(ann, totp("secret"), 1).await;
    f.give_backup_codes(ann, 1, &["11111111"]).await;
    let totp_off = Disable::One(FactorKind::Totp);
    assert!(f.store.disable(ann, totp_off, NOW).await.unwrap());
    let step = Some(9);
    let tried = f.try_all(ann, vec![Try::Totp { factor, step }]).await;
    assert_eq!(tried, Attempted::NeverSent);
    assert_eq!(f.store.factors(ann).await.unwrap().backup_codes_left, 1);
    assert!(f.store.disable(ann, Disable::All, NOW).await.unwrap());
    assert!(values(&f, ann).await.is_empty());
    assert_eq!(f.store.factors(ann).await.unwrap().backup_codes_left, 0);
    assert_eq!(f.store.backup_salt(ann).await.unwrap(), None);
    let code = f.backup_code("11111111");
    let tried = f.try_all(ann, vec![Try::Backup { code }]).await;
    assert_eq!(tried, Attempted::Wrong { left: None });
    f.give_backup_codes(ann, 2, &["22222222"]).await;
    assert!(!f.store.disable(ann, Disable::All, NOW).await.unwrap());
    assert_eq!(f.store.backup_salt(ann).await.unwrap(), None);
}

async fn turning_a_factor_off_voids_its_codes(f: Fixture) {
    let ann = f.user("ann").await;
    f.send_code(ann, "t", "222222").await;
    let renewal = f.enrolment(ann, "t", sms("+4599999999"), "111111");
    f.store.put_challenge(renewal).await.unwrap();
    let sms_off = Disable::One(FactorKind::Sms);
    f.store.disable(ann, sms_off, NOW).await.unwrap();
    let sent = vec![f.sent("t", Purpose::Verify, "222222")];
    assert_eq!(f.try_all(ann, sent).await, Attempted::Gone);
    let pending = f.store.pending(f.binding("t"), Purpose::Enrol, NOW).await;
    assert!(pending.unwrap().is_some(), "what is to come is left alone");
}

fn own(kind: FactorKind, last_too: bool, email_counts: bool) -> Disable {
    Disable::Own {
        target: kind.into(),
        last_too,
        email_counts,
    }
}

async fn the_last_one_stays_unless_it_may_go_and_takes_the_backup_codes(f: Fixture) {
    use FactorKind::{Email, Sms, Totp};
    // A number, and an address from the profile.
    let ann = f.user("ann").await;
    f.give_backup_codes(ann, 1, &["11111111"]).await;
    let off = async |which| f.store.disable(ann, which, NOW).await.unwrap();
    let has_backup = async || f.store.backup_salt(ann).await.unwrap().is_some();
    assert!(!off(own(Totp, true, true)).await, "was off");
    assert!(
        !off(own(Sms, false, false)).await,
        "the address does not count"
    );
    f.enrol(ann, totp("secret"), 1).await;
    assert!(off(own(Sms, false, false)).await);
    assert!(!off(own(Totp, false, false)).await);
    assert!(off(own(Totp, false, true)).await, "the address counts");
    assert!(has_backup().await);
    assert!(!off(own(Email, false, true)).await);
    assert_eq!(values(&f, ann).await, [mail("ann@example.org")]);
    assert!(has_backup().await);
    assert!(off(own(Email, true, true)).await);
    assert!(!has_backup().await);
    assert!(!off(own(Email, true, true)).await);
    assert_eq!(log(&f, ann).await.len(), 4);
}

async fn of_two_removals_at_once_one_factor_stays(f: Fixture) {
    let ann = f.user("ann").await;
    for round in 0..10 {
        f.enrol(ann, totp("secret"), round + 1).await;
        f.enrol(ann, sms(PHONE), 0).await;
        let (a, b) = tokio::join!(
            f.store
                .disable(ann, own(FactorKind::Sms, false, false), NOW),
            f.store
                .disable(ann, own(FactorKind::Totp, false, false), NOW),
        );
        assert_eq!((a.unwrap(), b.unwrap()), (true, false), "round {round}");
        let _ = f.store.disable(ann, Disable::All, NOW).await.unwrap();
    }
}

/// Turns kinds on and off at these seconds; the lines, oldest first.
async fn lived(f: &Fixture, user: UserId) -> Vec<Change> {
    let off = |kind| Disable::One(kind);
    f.enrol(user, totp("secret"), 1).await;
    for (kind, secs) in [(FactorKind::Sms, 10), (FactorKind::Email, 20)] {
        f.store.disable(user, off(kind), after(secs)).await.unwrap();
    }
    let totp_off = off(FactorKind::Totp);
    f.store.disable(user, totp_off, after(10)).await.unwrap();
    f.store.changes(user, query()).await.unwrap().changes
}

async fn the_log_is_paged_and_filtered(f: Fixture) {
    let (ann, bob) = (f.user("ann").await, f.user("bob").await);
    f.store.disable(bob, Disable::All, NOW).await.unwrap();
    let lines = lived(&f, ann).await;
    let seen: Vec<_> = lines
        .iter()
        .map(|line| (line.kind, line.is_enabled, line.at))
        .collect();
    let expected = [
        (FactorKind::Totp, true, NOW),
        (FactorKind::Sms, false, after(10)),
        (FactorKind::Totp, false, after(10)),
        (FactorKind::Email, false, after(20)),
    ];
    assert_eq!(seen, expected, "by time, then by number");
    let found = async |change: &dyn Fn(&mut ChangeQuery)| {
        let mut query = query();
        change(&mut query);
        let page = f.store.changes(ann, query).await.unwrap();
        let at = |line: &Change| lines.iter().position(|one| one == line).unwrap();
        (page.total, page.changes.iter().map(at).collect::<Vec<_>>())
    };
    assert_eq!(
        found(&|q| q.newest_first = true).await,
        (4, vec![3, 2, 1, 0])
    );
    assert_eq!(found(&|q| q.limit = 2).await, (4, vec![0, 1]));
    assert_eq!(
        found(&|q| (q.offset, q.limit) = (1, 2)).await,
        (4, vec![1, 2])
    );
    assert_eq!(found(&|q| q.offset = 9).await, (4, vec![]));
    assert_eq!(found(&|q| q.limit = 0).await, (4, vec![]));
    assert_eq!(found(&|q| q.is_enabled = Some(true)).await, (1, vec![0]));
    assert_eq!(
        found(&|q| q.is_enabled = Some(false)).await,
        (3, vec![1, 2, 3])
    );
    assert_eq!(
        found(&|q| q.kinds = vec![FactorKind::Totp]).await,
        (2, vec![0, 2])
    );
    assert_eq!(found(&|q| q.kinds.clear()).await, (0, vec![]));
    assert_eq!(
        found(&|q| q.from = Some(after(10))).await,
        (3, vec![1, 2, 3])
    );
    assert_eq!(found(&|q| q.to = Some(after(10))).await, (3, vec![0, 1, 2]));
    let one = |q: &mut ChangeQuery| {
        (q.from, q.to) = (Some(after(1)), Some(after(19)));
        (q.newest_first, q.limit) = (true, 1);
    };
    assert_eq!(found(&one).await, (2, vec![2]));
}

async fn a_line_of_the_log_is_its_users_own(f: Fixture) {
    let (ann, bob) = (f.user("ann").await, f.user("bob").await);
    let lines = lived(&f, ann).await;
    let line = f.store.change(ann, lines[1].id).await.unwrap();
    assert_eq!(line.as_ref(), Some(&lines[1]));
    assert_eq!(f.store.change(bob, lines[1].id).await.unwrap(), None);
    assert_eq!(f.store.change(ann, ChangeId(99)).await.unwrap(), None);
    assert!(log(&f, bob).await.is_empty());
}

async fn a_reset_forgets_what_the_user_did(f: Fixture) {
    let (ann, bob) = (f.user("ann").await, f.user("bob").await);
    for user in [ann, bob] {
        f.enrol(user, totp("secret"), 1).await;
        let sms_off = Disable::One(FactorKind::Sms);
        f.store.disable(user, sms_off, NOW).await.unwrap();
        f.enrol(user, mail("own@example.org"), 0).await;
        f.give_backup_codes(user, 1, &["11111111"]).await;
        let mut wizard = f.wizard(&format!("wizard of {user}"));
        wizard.user = Some(user);
        f.open_wizard(wizard).await;
    }
    let before = log(&f, ann).await.len();
    let subject = f.user_subject(ann);
    f.store.reset_user(ann, subject, NOW).await.unwrap();
    assert_eq!(values(&f, ann).await, [sms(PHONE), mail("ann@example.org")]);
    assert_eq!(f.store.backup_salt(ann).await.unwrap(), None);
    let lines = log(&f, ann).await;
    let changed = [(FactorKind::Sms, true), (FactorKind::Totp, false)];
    assert_eq!(lines[before..], changed);
    let open = async |user: UserId| {
        let digest = f.wizard_digest(&format!("wizard of {user}"));
        f.store.wizard(digest, NOW).await.unwrap().is_some()
    };
    assert!(!open(ann).await && open(bob).await);
    assert_eq!(
        values(&f, bob).await,
        [mail("own@example.org"), totp("secret")]
    );
    assert_eq!(f.store.factors(bob).await.unwrap().backup_codes_left, 1);
}

async fn a_revoked_share_takes_its_factors_with_it(f: Fixture) {
    let (id, user) = f.share(f.new_share("s")).await;
    f.enrol(user, totp("secret"), 1).await;
    f.give_backup_codes(user, 1, &["11111111"]).await;
    let mut wizard = f.wizard("w");
    wizard.user = Some(user);
    f.open_wizard(wizard).await;
    assert_eq!(f.store.revoke_share(id, NOW).await.unwrap(), [user]);
    assert!(values(&f, user).await.is_empty());
    assert_eq!(f.store.backup_salt(user).await.unwrap(), None);
    assert!(log(&f, user).await.is_empty());
    let wizard = f.store.wizard(f.wizard_digest("w"), NOW).await.unwrap();
    assert!(wizard.is_none());
}

async fn a_user_is_found_by_an_address_however_it_is_written(f: Fixture) {
    let mut user = f.new_user("ann");
    user.email = Some(Secret::new("Ann.Øster@Example.ORG"));
    let ann = f.store.create_user(user, NOW).await.unwrap().unwrap();
    let found = async |realm: &str, email: &str| {
        let found = f.store.user_by_email(realm, email).await.unwrap();
        found.map(|user| user.id)
    };
    for written in ["ann.øster@example.org", "ANN.ØSTER@EXAMPLE.ORG"] {
        assert_eq!(found(REALM, written).await, Some(ann), "{written}");
    }
    for other in ["ann.oster@example.org", "", "ann.øster@example.org "] {
        assert_eq!(found(REALM, other).await, None, "{other}");
    }
    assert_eq!(found("other", "ann.øster@example.org").await, None);

    let moved = learned("ann", PHONE, "moved@example.org");
    f.store.learn_user(moved, NOW).await.unwrap();
    assert_eq!(found(REALM, "ann.øster@example.org").await, None);
    assert_eq!(found(REALM, "MOVED@example.org").await, Some(ann));
    let mut unsaid = learned("ann", PHONE, "");
    unsaid.email = None;
    f.store.learn_user(unsaid, NOW).await.unwrap();
    assert_eq!(found(REALM, "moved@example.org").await, Some(ann));
    let new = f
        .store
        .learn_user(learned("new", PHONE, "New@example.org"), NOW);
    let new = new.await.unwrap();
    assert_eq!(found(REALM, "new@example.org").await, Some(new));
}

async fn an_address_of_two_finds_nobody(f: Fixture) {
    let mut elsewhere = f.new_user("ann");
    elsewhere.realm = "other".to_owned();
    f.store.create_user(elsewhere, NOW).await.unwrap();
    let ann = f.user("ann").await;
    let found = async || {
        let found = f.store.user_by_email(REALM, "ann@example.org").await;
        found.unwrap().map(|user| user.id)
    };
    assert_eq!(found().await, Some(ann), "one in each realm");
    f.share(f.new_share("s")).await;
    assert_eq!(
        found().await,
        Some(ann),
        "a share's recipient has no account"
    );
    f.user("bob").await;
    assert_eq!(found().await, None);
}

async fn fifty_at_once_turn_it_off_once(f: Fixture) {
    let ann = f.user("ann").await;
    let f = Arc::new(f);
    let tries = (0..50).map(|_| {
        let f = f.clone();
        tokio::spawn(async move { f.store.disable(ann, Disable::All, NOW).await.unwrap() })
    });
    let mut was_on = 0;
    for tried in tries.collect::<Vec<_>>() {
        was_on += usize::from(tried.await.unwrap());
    }
    assert_eq!(was_on, 1);
    assert_eq!(log(&f, ann).await.len(), 2);
}
