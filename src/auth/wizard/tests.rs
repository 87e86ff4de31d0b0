//! Wizards on the in-memory store: who may go on with one, how often, how long, and what is left
//! behind where a part of the gateway fails.

use super::*;
use crate::auth::Standing;
use crate::auth::challenge::Started;
use crate::auth::fixture::{ASKS, REALM, START, World, here};
use crate::auth::lockout::Blocked;
use crate::auth::ports::{Factors as _, Sessions as _, Tokens as _, Wizards as _};
use crate::auth::tokens::{Drawn, IssueTo, RefreshForm};
use crate::clock::Clock as _;
use crate::config::model::SigningAlgorithm;
use crate::digest::RealmKeys;
use crate::factor::phone::Phone;
use crate::factor::totp::TotpSecret;
use crate::gate::session::{Factor, Session};
use crate::secret::Secret;
use std::sync::Arc;

const PHONE: &str = "+4512345678";
const PASSWORD: &str = "right";

/// A sign-in dialog of one client.
struct Client {
    world: World,
    keys: RealmKeys,
}

impl Client {
    fn new() -> Self {
        let world = World::new();
        let keys = world.auth.keys.realm(REALM);
        Self { world, keys }
    }

    fn issue(&self) -> IssueTo<'_> {
        IssueTo {
            realm: REALM,
            keys: &self.keys,
            device: None,
            algorithm: SigningAlgorithm::EdDsa,
            refresh: RefreshForm::Jwt,
            stands_for: None,
        }
    }

    async fn open(&self) -> String {
        self.world.auth.open_sign_in(here()).await.unwrap()
    }

    async fn password(&self, name: &str, user: &str, typed: &str) -> Result<Next, WizardError> {
        let (auth, password) = (&self.world.auth, Secret::new(typed));
        let who = Who::Name(user);
        auth.sign_in_password(here(), name, who, &password, &self.issue(), ASKS)
            .await
    }

    async fn code(
        &self,
        name: &str,
        kind: FactorKind,
        code: &str,
    ) -> Result<(Drawn, Session), WizardError> {
        let auth = &self.world.auth;
        auth.sign_in_code(here(), name, kind, code, &self.issue())
            .await
    }

    async fn sms(&self, name: &str, code: &str) -> Result<(Drawn, Session), WizardError> {
        self.code(name, FactorKind::Sms, code).await
    }

    /// A sign-in that waits for the code of an SMS; its name, and the code.
    async fn until_code(&self, user: &str) -> (String, String) {
        let name = self.open().await;
        let next = self.password(&name, user, PASSWORD).await.unwrap();
        assert!(matches!(next, Next::Code(FactorKind::Sms)), "{next:?}");
        (name, self.world.inbox.code())
    }

    fn totp_code(&self, secret: &TotpSecret) -> String {
        secret.code_at(self.world.clock.now())
    }
}

fn error<T: std::fmt::Debug>(result: Result<T, WizardError>) -> WizardError {
    result.unwrap_err()
}

fn wrong(left: u32) -> WizardError {
    VerifyError::Wrong { left: Some(left) }.into()
}

fn verified(caller: &Caller) -> Caller {
    Caller {
        standing: Standing::Verified,
        ..caller.clone()
    }
}

// --- sign-in ---

#[tokio::test]
async fn a_user_without_a_factor_gets_tokens_and_no_session() {
    let client = Client::new();
    let world = &client.world;
    world.user("ann", PASSWORD, None).await;
    let name = client.open().await;
    let next = client.password(&name, "ann", PASSWORD).await.unwrap();
    let Next::Done(drawn) = next else {
        panic!("{next:?}");
    };
    let access = client.keys.token(drawn.access.expose());
    assert!(world.store.token(access, START).await.unwrap().is_some());
    assert_eq!(world.store.session(drawn.pair, START).await.unwrap(), None);
    let again = client.password(&name, "ann", PASSWORD).await;
    assert_eq!(error(again), WizardError::NotFound);
}

#[tokio::test]
async fn a_code_ends_the_sign_in_with_a_verified_token() {
    let client = Client::new();
    client.world.user("ann", PASSWORD, Some(PHONE)).await;
    let (name, code) = client.until_code("ann").await;
    let (drawn, session) = client.sms(&name, &code).await.unwrap();
    assert_eq!(session.factor, Factor::Sms);
    assert_eq!(session.expires_at, drawn.access_expires_at);
    let stored = client.world.store.session(drawn.pair, START).await;
    assert_eq!(stored.unwrap(), Some(session));
    assert_eq!(error(client.sms(&name, &code).await), WizardError::NotFound);
}

#[tokio::test]
async fn a_code_is_of_its_wizard_and_its_factor() {
    let client = Client::new();
    let ann = client.world.user("ann", PASSWORD, Some(PHONE)).await;
    let (first, first_code) = client.until_code("ann").await;
    client.world.advance(30);
    let (second, second_code) = client.until_code("ann").await;
    if first_code != second_code {
        assert_eq!(error(client.sms(&second, &first_code).await), wrong(4));
    }
    let totp = client.code(&second, FactorKind::Totp, &second_code).await;
    assert_eq!(error(totp), WizardError::OtherStep);
    // Nor does it verify a pair that has a token.
    let caller = client.world.caller(ann, "phone").await;
    let finish = client
        .world
        .auth
        .finish(&caller, &second, &second_code, None);
    assert_eq!(error(finish.await), WizardError::NotFound);
    let confirm = client
        .world
        .auth
        .confirm(here(), None, &second, &second_code);
    assert_eq!(confirm.await.unwrap_err(), WizardError::NotFound);
    client.sms(&second, &second_code).await.unwrap();
    client.sms(&first, &first_code).await.unwrap();
}

#[tokio::test]
async fn five_wrong_codes_end_a_code_and_are_counted_over_all_wizards() {
    let client = Client::new();
    let world = &client.world;
    world.user("ann", PASSWORD, Some(PHONE)).await;
    let (first, _) = client.until_code("ann").await;
    let not_first = world.inbox.wrong_code();
    for left in [4, 3, 2] {
        assert_eq!(error(client.sms(&first, &not_first).await), wrong(left));
    }
    world.advance(30);
    let (second, code) = client.until_code("ann").await;
    let not_second = world.inbox.wrong_code();
    for left in [4, 3] {
        assert_eq!(error(client.sms(&second, &not_second).await), wrong(left));
    }
    let delayed = Blocked::Delayed {
        retry_after_secs: 30,
    };
    assert_eq!(
        error(client.sms(&second, &code).await),
        VerifyError::Blocked(delayed).into(),
        "the right one is not evaluated either"
    );
    world.advance(30);
    client.sms(&second, &code).await.unwrap();

    world.advance(30);
    let (third, code) = client.until_code("ann").await;
    let not_third = world.inbox.wrong_code();
    for left in [4, 3, 2, 1, 0] {
        assert_eq!(error(client.sms(&third, &not_third).await), wrong(left));
    }
    world.advance(30);
    assert_eq!(
        error(client.sms(&third, &code).await),
        VerifyError::Gone.into()
    );
}

#[tokio::test]
async fn another_code_waits_and_the_one_that_was_sent_stays_good() {
    let client = Client::new();
    client.world.user("ann", PASSWORD, Some(PHONE)).await;
    let (name, code) = client.until_code("ann").await;
    let again = client
        .world
        .auth
        .sign_in_choose(here(), &name, FactorKind::Sms)
        .await;
    let too_many = StartError::TooMany {
        retry_after_secs: 30,
    };
    assert_eq!(error(again), too_many.into());
    client.sms(&name, &code).await.unwrap();
}

#[tokio::test]
async fn what_was_not_sent_can_be_asked_for_again() {
    let client = Client::new();
    let world = &client.world;
    world.user("ann", PASSWORD, Some(PHONE)).await;
    let name = client.open().await;
    let down = crate::auth::DeliveryError::NotAccepted;
    world.inbox.fail_with(Some(down));
    let refused = client.password(&name, "ann", PASSWORD).await;
    assert_eq!(error(refused), StartError::NotSent.into());
    world.inbox.fail_with(None);
    let next = client.password(&name, "ann", PASSWORD).await;
    assert!(matches!(next, Ok(Next::Code(FactorKind::Sms))));
    client.sms(&name, &world.inbox.code()).await.unwrap();
}

#[tokio::test]
async fn a_user_with_both_chooses_and_an_app_is_sent_nothing() {
    let client = Client::new();
    let world = &client.world;
    let ann = world.user("ann", PASSWORD, Some(PHONE)).await;
    let secret = world.authenticator(ann).await;
    let choose = async |name: &str, kind| world.auth.sign_in_choose(here(), name, kind).await;
    let name = client.open().await;
    assert_eq!(
        error(choose(&name, FactorKind::Totp).await),
        WizardError::OtherStep,
        "before the password"
    );
    let next = client.password(&name, "ann", PASSWORD).await;
    assert!(matches!(next, Ok(Next::Choose)));
    let code = client.totp_code(&secret);
    let early = client.code(&name, FactorKind::Totp, &code).await;
    assert_eq!(error(early), WizardError::OtherStep);
    assert!(choose(&name, FactorKind::Totp).await.is_ok());
    assert_eq!(world.inbox.count(), 0);
    let (_, session) = client.code(&name, FactorKind::Totp, &code).await.unwrap();
    assert_eq!(session.factor, Factor::Totp);

    // The same step's code is good once, whichever wizard it is typed into.
    let name = client.open().await;
    client.password(&name, "ann", PASSWORD).await.unwrap();
    choose(&name, FactorKind::Totp).await.unwrap();
    let again = client.code(&name, FactorKind::Totp, &code).await;
    let not_right = VerifyError::Wrong { left: None };
    assert_eq!(error(again), not_right.into());
}

#[tokio::test]
async fn a_method_that_is_not_enabled_is_no_choice() {
    let client = Client::new();
    client.world.user("ann", PASSWORD, Some(PHONE)).await;
    let (name, code) = client.until_code("ann").await;
    let auth = &client.world.auth;
    let refused = auth.sign_in_choose(here(), &name, FactorKind::Totp).await;
    assert_eq!(error(refused), WizardError::NotEnabled);
    client.sms(&name, &code).await.unwrap();
}

#[tokio::test]
async fn passwords_are_throttled_and_one_address_is_one_account_in_any_case() {
    let client = Client::new();
    client.world.user("ann", PASSWORD, Some(PHONE)).await;
    let name = client.open().await;
    let (auth, issue) = (&client.world.auth, client.issue());
    let password = Secret::new("wrong");
    for email in ["ann@example.org", "Ann@example.org", "aNn@example.org"] {
        let who = Who::Email(email);
        let refused = auth.sign_in_password(here(), &name, who, &password, &issue, ASKS);
        assert_eq!(error(refused.await), SignInError::Wrong.into());
    }
    for email in ["anN@example.org", "ANN@EXAMPLE.ORG"] {
        let who = Who::Email(email);
        let refused = auth.sign_in_password(here(), &name, who, &password, &issue, ASKS);
        assert_eq!(error(refused.await), SignInError::Wrong.into());
    }
    let who = Who::Email("ann@Example.org");
    let right = Secret::new(PASSWORD);
    let refused = auth.sign_in_password(here(), &name, who, &right, &issue, ASKS);
    let too_many = SignInError::TooMany {
        retry_after_secs: 30,
    };
    assert_eq!(error(refused.await), too_many.into());
    assert_eq!(client.world.inbox.count(), 0);
}

#[tokio::test]
async fn a_sign_in_is_of_its_realm_its_device_and_its_quarter_of_an_hour() {
    let client = Client::new();
    client.world.user("ann", PASSWORD, None).await;
    let auth = &client.world.auth;
    let at_device = |label| Place {
        device_label: label,
        ..here()
    };
    let password = Secret::new(PASSWORD);
    let issue = client.issue();
    let phones = auth.open_sign_in(at_device(Some("phone"))).await.unwrap();
    for at in [
        at_device(None),
        at_device(Some("laptop")),
        Place {
            realm: "other",
            ..at_device(Some("phone"))
        },
    ] {
        let refused = auth.sign_in_password(at, &phones, Who::Name("ann"), &password, &issue, ASKS);
        assert_eq!(error(refused.await), WizardError::NotFound, "{at:?}");
    }
    client.world.advance(LIFETIME.as_secs() - 1);
    let at = at_device(Some("phone"));
    let done = auth.sign_in_password(at, &phones, Who::Name("ann"), &password, &issue, ASKS);
    assert!(matches!(done.await, Ok(Next::Done(_))));
    let late = client.open().await;
    client.world.advance(LIFETIME.as_secs());
    let refused = client.password(&late, "ann", PASSWORD).await;
    assert_eq!(error(refused), WizardError::NotFound);
}

#[tokio::test]
async fn two_who_pass_the_password_at_once_do_not_share_a_code() {
    let client = Client::new();
    let world = &client.world;
    world.user("ann", PASSWORD, Some(PHONE)).await;
    world.user("bob", PASSWORD, Some("+4587654321")).await;
    let name = client.open().await;
    let (anns, bobs) = tokio::join!(
        client.password(&name, "ann", PASSWORD),
        client.password(&name, "bob", PASSWORD),
    );
    assert!(anns.is_ok() != bobs.is_ok(), "{anns:?} {bobs:?}");
    let winner = if anns.is_ok() { "ann" } else { "bob" };
    // Whosever code came last, it signs nobody else in.
    if let Ok((_, session)) = client.sms(&name, &world.inbox.code()).await {
        assert_eq!(&*session.holder.name, winner);
    }
}

#[tokio::test]
async fn of_fifty_at_once_one_signs_in() {
    let client = Arc::new(Client::new());
    client.world.user("ann", PASSWORD, Some(PHONE)).await;
    let (name, code) = client.until_code("ann").await;
    let tries: Vec<_> = (0..50)
        .map(|_| {
            let (client, name, code) = (Arc::clone(&client), name.clone(), code.clone());
            tokio::spawn(async move { client.sms(&name, &code).await.is_ok() })
        })
        .collect();
    let mut wins = 0;
    for tried in tries {
        wins += usize::from(tried.await.unwrap());
    }
    assert_eq!(wins, 1);
}

#[tokio::test]
async fn a_store_that_fails_leaves_no_half_sign_in() {
    let client = Client::new();
    let world = &client.world;
    world.user("ann", PASSWORD, Some(PHONE)).await;
    world.store.break_verb(Some("open_wizard"));
    let refused = world.auth.open_sign_in(here()).await;
    assert_eq!(error(refused), WizardError::Unavailable);
    world.store.break_verb(None);
    let name = client.open().await;
    for verb in ["wizard", "factors", "reserve_send", "put_challenge"] {
        world.store.break_verb(Some(verb));
        assert!(client.password(&name, "ann", PASSWORD).await.is_err());
    }
    world.store.break_verb(None);
    world.advance(30);
    let next = client.password(&name, "ann", PASSWORD).await;
    assert!(matches!(next, Ok(Next::Code(_))), "{next:?}");
    let code = world.inbox.code();
    world.store.break_verb(Some("attempt"));
    let refused = client.sms(&name, &code).await;
    assert_eq!(error(refused), VerifyError::Unavailable.into());
    assert_eq!(world.store.live_sessions(START).await.unwrap(), 0);
    world.store.break_verb(None);
    client.sms(&name, &code).await.unwrap();
}

// --- enable and disable ---

/// A user without a factor, who may enrol one.
async fn beginner(world: &World) -> Caller {
    let user = world.bare_user("bob").await;
    Caller {
        self_enrolment: true,
        ..world.caller(user, "phone").await
    }
}

async fn enable_sms(world: &World, caller: &Caller) -> (String, Started) {
    let auth = &world.auth;
    let opened = auth.open_enable(caller, REALM, FactorKind::Sms).await;
    let name = opened.unwrap().name;
    let phone = Phone::parse(PHONE, None).unwrap();
    let started = auth.enable_phone(caller, &name, phone).await.unwrap();
    (name, started)
}

#[tokio::test]
async fn an_authenticator_is_enrolled_with_its_own_key_alone() {
    let world = World::new();
    let bob = beginner(&world).await;
    let open = world.auth.open_enable(&bob, REALM, FactorKind::Totp);
    let Opened { name, key } = open.await.unwrap();
    let key = key.unwrap();
    let code = key.code_at(START);
    let (auth, shown) = (&world.auth, key.base32());
    for foreign in [None, Some("TPYXG33M4LOHFJHB"), Some("!")] {
        let refused = auth.finish(&bob, &name, &code, foreign).await;
        assert_eq!(error(refused), WizardError::WrongKey);
    }
    let malformed = auth.finish(&bob, &name, "abc", Some(shown.expose()));
    assert_eq!(error(malformed.await), VerifyError::Malformed.into());
    let session = auth.finish(&bob, &name, &code, Some(shown.expose())).await;
    let session = session.unwrap();
    assert_eq!(session.factor, Factor::Totp);
    let stored = world.store.session(bob.pair, START).await.unwrap();
    assert_eq!(stored, Some(session));
    let over = auth.finish(&bob, &name, &code, Some(shown.expose())).await;
    assert_eq!(error(over), WizardError::NotFound);
}

#[tokio::test]
async fn a_wizard_is_its_openers_and_of_its_kind() {
    let world = World::new();
    let bob = beginner(&world).await;
    let (name, _) = enable_sms(&world, &bob).await;
    let code = world.inbox.code();
    let phone = Phone::parse(PHONE, None).unwrap();
    let auth = &world.auth;
    let other_token = world.caller(bob.holder.user, "laptop").await;
    let carol = world.bare_user("carol").await;
    let carol = world.caller(carol, "carol's").await;
    for foreign in [&other_token, &carol] {
        let finish = auth.finish(foreign, &name, &code, None).await;
        assert_eq!(error(finish), WizardError::NotFound);
        let number = auth.enable_phone(foreign, &name, phone.clone()).await;
        assert_eq!(error(number), WizardError::NotFound);
    }
    let client_keys = auth.keys.realm(REALM);
    let issue = IssueTo {
        realm: REALM,
        keys: &client_keys,
        device: None,
        algorithm: SigningAlgorithm::EdDsa,
        refresh: RefreshForm::Jwt,
        stands_for: None,
    };
    let sign_in = auth.sign_in_code(here(), &name, FactorKind::Sms, &code, &issue);
    assert_eq!(error(sign_in.await), WizardError::NotFound);
    let confirm = auth.confirm(here(), Some(&bob), &name, &code).await;
    assert_eq!(confirm.unwrap_err(), WizardError::NotFound);
    // A sign-in's name is no wizard of a token, even of one's own.
    let sign_in = auth.open_sign_in(here()).await.unwrap();
    let finish = auth.finish(&bob, &sign_in, &code, None).await;
    assert_eq!(error(finish), WizardError::NotFound);
    auth.finish(&bob, &name, &code, None).await.unwrap();
}

#[tokio::test]
async fn once_there_is_a_factor_a_token_alone_changes_nothing() {
    let world = World::new();
    let bob = beginner(&world).await;
    let open = world.auth.open_enable(&bob, REALM, FactorKind::Totp);
    let early = open.await.unwrap();
    let (name, _) = enable_sms(&world, &bob).await;
    let code = world.inbox.code();
    let session = world.auth.finish(&bob, &name, &code, None).await.unwrap();
    assert_eq!(session.factor, Factor::Sms);

    // The wizard that was opened before is no way around, nor is a new one.
    let key = early.key.unwrap();
    let (code, shown) = (key.code_at(START), key.base32());
    let refused = world
        .auth
        .finish(&bob, &early.name, &code, Some(shown.expose()))
        .await;
    let not_verified = WizardError::from(EnrolError::NotVerified);
    assert_eq!(error(refused), not_verified);
    for kind in [FactorKind::Sms, FactorKind::Totp] {
        let refused = world.auth.open_enable(&bob, REALM, kind).await;
        assert_eq!(error(refused), not_verified);
    }
    let sent = world.inbox.count();
    let refused = world.auth.open_disable(&bob, REALM, FactorKind::Sms).await;
    assert_eq!(error(refused), not_verified);
    assert_eq!(world.inbox.count(), sent);
    let verified = verified(&bob);
    let done = world
        .auth
        .finish(&verified, &early.name, &code, Some(shown.expose()));
    assert_eq!(done.await.unwrap().factor, Factor::Totp);
}

#[tokio::test]
async fn a_factor_is_turned_off_by_its_own_code_of_a_verified_pair() {
    let world = World::new();
    let ann = world.user("ann", PASSWORD, Some(PHONE)).await;
    let caller = world.caller(ann, "phone").await;
    let bare = caller.clone();
    let caller = verified(&caller);
    let auth = &world.auth;
    let none = auth.open_disable(&caller, REALM, FactorKind::Totp).await;
    assert_eq!(error(none), WizardError::NotEnabled);
    let opened = auth.open_disable(&caller, REALM, FactorKind::Sms).await;
    let name = opened.unwrap().name;
    let code = world.inbox.code();
    // Its session has ended meanwhile.
    let refused = auth.finish(&bare, &name, &code, None).await;
    assert_eq!(error(refused), EnrolError::NotVerified.into());
    let wrong_code = world.inbox.wrong_code();
    let refused = auth.finish(&caller, &name, &wrong_code, None).await;
    assert_eq!(error(refused), wrong(4));
    assert!(world.auth.factors(ann).await.unwrap().phone().is_some());
    auth.finish(&caller, &name, &code, None).await.unwrap();
    assert!(world.auth.factors(ann).await.unwrap().phone().is_none());
    assert!(world.store.factors(ann).await.unwrap().phone().is_none());
}

#[tokio::test]
async fn a_route_without_self_enrolment_opens_no_wizard() {
    let world = World::new();
    let bob = Caller {
        self_enrolment: false,
        ..beginner(&world).await
    };
    for kind in [FactorKind::Sms, FactorKind::Totp] {
        let refused = world.auth.open_enable(&bob, REALM, kind).await;
        assert_eq!(error(refused), EnrolError::NoSelfEnrolment.into());
    }
}

#[tokio::test]
async fn a_flood_of_wizards_keeps_the_newest_of_one_user() {
    let world = World::new();
    let bob = beginner(&world).await;
    let mut names = Vec::new();
    for _ in 0..101 {
        let opened = world.auth.open_enable(&bob, REALM, FactorKind::Sms).await;
        names.push(opened.unwrap().name);
    }
    let is_open = async |name: &String| {
        let digest = world.auth.keys.wizard(name);
        world.store.wizard(digest, START).await.unwrap().is_some()
    };
    assert!(!is_open(&names[0]).await);
    assert!(is_open(&names[1]).await && is_open(&names[100]).await);
}
