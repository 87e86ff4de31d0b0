//! Links that are good, wrong, over or for several people, and what a guest may not do.

use super::*;
use crate::auth::challenge::{Accept, Typed, VerifyError};
use crate::auth::enrol::{EnrolError, NewFactor};
use crate::auth::fixture::{ASKS, REALM, START, World, contact};
use crate::auth::ports::{Contact, Disable, FactorValue, Shares as _, Token, Tokens as _};
use crate::auth::{Caller, DeliveryError, Standing};
use crate::clock::{Clock as _, Timestamp};
use crate::digest::RealmKeys;
use crate::gate::session::Holder;
use std::time::Duration;

const ANN: &str = "+4512345678";
const BOB: &str = "+4587654321";

struct Door {
    world: World,
    keys: RealmKeys,
}

impl Door {
    fn new() -> Self {
        let world = World::new();
        let keys = world.auth.keys.realm(REALM);
        Self { world, keys }
    }

    /// A link for Ann by phone and Bob either way.
    async fn for_two(devices_max: Option<u32>) -> Self {
        let door = Self::new();
        let people: Vec<Contact> = vec![
            contact(Some(ANN), None),
            contact(Some(BOB), Some("bob@example.org")),
        ];
        door.world
            .share_for("link", people, devices_max, None)
            .await;
        door
    }

    fn at<'a>(&'a self, device: &'a str) -> SignInContext<'a> {
        SignInContext {
            realm: REALM,
            keys: &self.keys,
            device: Some(device),
            route: "files",
            address: "192.0.2.1".parse().unwrap(),
        }
    }

    async fn find(&self, link: &str) -> Result<Share, SignInError> {
        let link = Secret::new(link);
        self.world.auth.find_share(self.at(""), &link).await
    }

    async fn open(&self, link: &str) -> Result<SignedIn, OpenShareError> {
        let link = Secret::new(link);
        let opened = self
            .world
            .auth
            .open_share(self.at("phone"), &link, |_| Follows::Code);
        opened.await
    }

    /// The same where the folder asks for no code.
    async fn enter(&self, link: &str) -> Result<SignedIn, OpenShareError> {
        let link = Secret::new(link);
        let opened = self
            .world
            .auth
            .open_share(self.at("phone"), &link, |_| Follows::Nothing);
        opened.await
    }

    async fn ask(
        &self,
        nth: usize,
        kind: FactorKind,
        device: &str,
    ) -> Result<(SignedIn, Started), OpenShareError> {
        let share = self.find("link").await?;
        let at = self.at(device);
        self.world
            .auth
            .ask_recipient(at, &share, nth, (kind, Words::default()))
            .await
    }

    async fn stored(&self, signed_in: &SignedIn) -> Option<Token> {
        let digest = self.keys.token(signed_in.token.expose());
        let now = self.world.clock.now();
        let found = self.world.store.token(digest, now).await.unwrap();
        found.map(|(token, _)| token)
    }

    /// Whoever comes with the token that was given in exchange.
    fn caller(&self, signed_in: &SignedIn, device: &str) -> Caller {
        let token = signed_in.token.expose();
        Caller {
            holder: Holder::limited(signed_in.user.id, "share:1", Some("/dir/")),
            token: self.keys.token(token),
            pair: self.keys.session(token, Some(device)),
            device_label: None,
            standing: Standing::Token,
            self_enrolment: true,
            route: "files".to_owned(),
            address: "192.0.2.1".parse().unwrap(),
            client: String::new(),
            words: Words::default(),
        }
    }

    async fn verify(&self, caller: &Caller, code: &str) -> Result<(), VerifyError> {
        let typed = Typed {
            code,
            accept: Accept::FactorOrEnrolment,
            pair: caller.pair,
            device_label: None,
            issue: None,
        };
        self.world.auth.verify(caller, typed).await.map(drop)
    }
}

#[tokio::test]
async fn a_share_gives_a_token_limited_to_it() {
    let door = Door::new();
    let end = START.after(Duration::from_secs(3600));
    let (share, user) = door.world.share("link", None, Some(end)).await;
    let signed_in = door.open("link").await.unwrap();
    assert_eq!(signed_in.user.id, user);
    assert_eq!(signed_in.expires_at, Some(end));
    assert_ne!(signed_in.token.expose(), "link");
    let token = door.stored(&signed_in).await.unwrap();
    assert_eq!(token.scope.as_deref(), Some("/dir/"));
    assert_eq!((token.share, token.expires_at), (Some(share), Some(end)));

    let ended = door.world.store.revoke_share(share, START).await;
    assert_eq!(ended.unwrap(), [user]);
    assert!(
        door.stored(&signed_in).await.is_none(),
        "ends with its share"
    );
    assert_eq!(
        door.open("link").await.unwrap_err(),
        SignInError::Wrong.into()
    );
}

#[tokio::test]
async fn unknown_expired_and_other_tokens_open_no_share() {
    let door = Door::new();
    let end = START.after(Duration::from_secs(60));
    door.world.share("link", None, Some(end)).await;
    let exchanged = door.open("link").await.unwrap();
    door.world.user("ann", "right", None).await;
    let at = door.at("phone");
    let password = Secret::new("right");
    let account = door
        .world
        .auth
        .sign_in(at, "ann", &password, ASKS)
        .await
        .unwrap();
    for token in ["unknown", account.token.expose(), exchanged.token.expose()] {
        assert_eq!(
            door.open(token).await.unwrap_err(),
            SignInError::Wrong.into()
        );
        assert_eq!(door.find(token).await.unwrap_err(), SignInError::Wrong);
    }
    door.world.advance(60);
    assert_eq!(
        door.open("link").await.unwrap_err(),
        SignInError::Wrong.into()
    );
    for _ in 7..50 {
        assert_eq!(door.find("unknown").await.unwrap_err(), SignInError::Wrong);
    }
    door.world.share("new", None, None).await;
    for link in ["unknown", "link", "new"] {
        let error = door.find(link).await.unwrap_err();
        assert!(
            matches!(error, SignInError::TooMany { .. }),
            "{link}: {error}"
        );
    }
}

#[tokio::test]
async fn a_link_for_several_asks_who_opens_it() {
    let door = Door::for_two(None).await;
    let error = door.open("link").await.unwrap_err();
    assert_eq!(error, OpenShareError::SeveralRecipients);
    let share = door.find("link").await.unwrap();
    let [ann, bob] = &share.recipients[..] else {
        panic!("two")
    };
    let (of_bob, started) = door.ask(1, FactorKind::Email, "d").await.unwrap();
    assert_eq!(started.masked_recipient, "b****@example.org");
    assert_eq!(door.world.inbox.last().0, "bob@example.org");
    assert_eq!(of_bob.user.id, bob.user);
    assert_eq!(door.stored(&of_bob).await.unwrap().user, bob.user);
    let code = door.world.inbox.code();
    let (of_ann, _) = door.ask(0, FactorKind::Sms, "d").await.unwrap();
    assert_eq!(door.world.inbox.last().0, ANN);
    assert_eq!(of_ann.user.id, ann.user);

    // Bob's code is good for Bob on his device, and for nobody else.
    let (as_ann, as_bob) = (door.caller(&of_ann, "d"), door.caller(&of_bob, "d"));
    let elsewhere = door.caller(&of_bob, "other");
    if code != door.world.inbox.code() {
        let error = door.verify(&as_ann, &code).await.unwrap_err();
        assert!(matches!(error, VerifyError::Wrong { .. }), "{error}");
    }
    let error = door.verify(&elsewhere, &code).await.unwrap_err();
    assert_eq!(error, VerifyError::NeverSent);
    door.verify(&as_bob, &code).await.unwrap();
    let share = door.find("link").await.unwrap();
    let devices: Vec<_> = share.recipients.iter().map(|one| one.devices).collect();
    assert_eq!(devices, [0, 1]);
}

#[tokio::test]
async fn where_no_code_was_sent_nothing_is_issued() {
    let door = Door::for_two(None).await;
    for (nth, kind, wanted) in [
        (2, FactorKind::Sms, OpenShareError::NoSuchRecipient),
        (usize::MAX, FactorKind::Sms, OpenShareError::NoSuchRecipient),
        (0, FactorKind::Email, StartError::NoRecipient.into()),
        (0, FactorKind::Totp, StartError::NoRecipient.into()),
    ] {
        assert_eq!(door.ask(nth, kind, "d").await.unwrap_err(), wanted);
    }
    door.world.set(|settings| settings.sends_mail = false);
    let error = door.ask(1, FactorKind::Email, "d").await.unwrap_err();
    assert_eq!(error, StartError::NoRecipient.into(), "no mail can be sent");
    door.world.inbox.fail_with(Some(DeliveryError::NotAccepted));
    let error = door.ask(0, FactorKind::Sms, "d").await.unwrap_err();
    assert_eq!(error, StartError::NotSent.into());
    door.world.inbox.fail_with(None);
    door.ask(0, FactorKind::Sms, "d").await.unwrap();
    let error = door.ask(0, FactorKind::Sms, "d").await.unwrap_err();
    let retry_after_secs = 30;
    assert_eq!(error, StartError::TooMany { retry_after_secs }.into());
    let issued = door.world.events.take();
    let issued = issued
        .iter()
        .filter(|(kind, _)| *kind == EventKind::SignedIn);
    assert_eq!(issued.count(), 1);
    assert_eq!(door.world.inbox.count(), 1);
}

#[tokio::test]
async fn a_share_that_is_used_up_sends_nothing() {
    let door = Door::for_two(Some(1)).await;
    let (of_ann, _) = door.ask(0, FactorKind::Sms, "d").await.unwrap();
    let anns = door.world.inbox.code();
    let (of_bob, _) = door.ask(1, FactorKind::Sms, "d").await.unwrap();
    let bobs = door.world.inbox.code();
    door.verify(&door.caller(&of_ann, "d"), &anns)
        .await
        .unwrap();
    let error = door.verify(&door.caller(&of_bob, "d"), &bobs).await;
    assert_eq!(error.unwrap_err(), VerifyError::Full);
    door.world.advance(3600);
    let error = door.ask(1, FactorKind::Sms, "d2").await.unwrap_err();
    assert_eq!(error, OpenShareError::Full);
    assert_eq!(door.world.inbox.count(), 2);
    assert!(door.find("link").await.unwrap().is_used_up());
}

#[tokio::test]
async fn a_guest_changes_nothing_about_who_gets_the_codes() {
    let door = Door::for_two(None).await;
    let (of_ann, _) = door.ask(0, FactorKind::Sms, "d").await.unwrap();
    let code = door.world.inbox.code();
    for standing in [Standing::Token, Standing::Verified, Standing::Sudo] {
        let caller = Caller {
            standing,
            ..door.caller(&of_ann, "d")
        };
        let auth = &door.world.auth;
        for value in [
            FactorValue::Totp(auth.new_totp_secret().unwrap()),
            FactorValue::Email(Secret::new("mallory@example.org")),
        ] {
            let new = NewFactor {
                value,
                bound_to: caller.pair.into(),
                replaces_others: false,
                sudo: false,
            };
            let error = auth.propose(&caller, new.clone()).await.unwrap_err();
            assert_eq!(error, EnrolError::Shared, "{standing:?}");
            let error = auth.send_enrolment(&caller, new).await.unwrap_err();
            assert_eq!(error, EnrolError::Shared, "{standing:?}");
        }
        let refused = auth.disable(&caller, Disable::All, false).await;
        assert_eq!(refused.unwrap_err(), EnrolError::Shared);
        assert!(auth.new_backup_codes(&caller, false).await.is_err());
    }
    let factors = door.world.auth.factors(of_ann.user.id).await.unwrap();
    assert_eq!(factors.enrolled.len(), 1);
    door.verify(&door.caller(&of_ann, "d"), &code)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_guest_without_a_factor_enrols_none() {
    let door = Door::new();
    let nobody = vec![Contact::default()];
    door.world.share_for("link", nobody, None, None).await;
    let signed_in = door.open("link").await.unwrap();
    let caller = door.caller(&signed_in, "phone");
    let new = NewFactor {
        value: FactorValue::Email(Secret::new("mallory@example.org")),
        bound_to: caller.pair.into(),
        replaces_others: false,
        sudo: false,
    };
    let error = door.world.auth.send_enrolment(&caller, new).await;
    assert_eq!(error.unwrap_err(), EnrolError::Shared);
    assert_eq!(door.world.inbox.count(), 0);
}

#[tokio::test]
async fn a_share_revoked_between_page_and_press_opens_nothing() {
    let door = Door::for_two(None).await;
    let share = door.find("link").await.unwrap();
    let now: Timestamp = door.world.clock.now();
    door.world.store.revoke_share(share.id, now).await.unwrap();
    let at = door.at("d");
    let auth = &door.world.auth;
    let asked = auth
        .ask_recipient(at, &share, 0, (FactorKind::Sms, Words::default()))
        .await;
    assert!(asked.is_err());
    for follows in [Follows::Code, Follows::Nothing] {
        let opened = auth.open_share_as(at, &share, &share.recipients[0], follows);
        assert_eq!(opened.await.unwrap_err(), SignInError::Wrong.into());
    }
    assert_eq!(door.world.inbox.count(), 0);
}

#[tokio::test]
async fn where_no_code_is_asked_a_device_counts_with_its_token() {
    let door = Door::new();
    let guest = vec![contact(Some(ANN), None)];
    door.world.share_for("link", guest, Some(2), None).await;
    let first = door.enter("link").await.unwrap();
    assert!(door.stored(&first).await.is_some());
    door.enter("link").await.unwrap();
    assert_eq!(door.find("link").await.unwrap().devices(), 2);
    let error = door.enter("link").await.unwrap_err();
    assert_eq!(error, OpenShareError::Full);
    assert!(door.stored(&first).await.is_some(), "who is in stays in");
}

#[tokio::test]
async fn nobody_draws_tokens_without_end() {
    let door = Door::new();
    for link in ["link", "other"] {
        door.world.share(link, Some(ANN), None).await;
    }
    for _ in 0..EXCHANGES_PER_MINUTE {
        door.enter("link").await.unwrap();
    }
    for error in [door.enter("link").await, door.open("link").await] {
        let retry_after_secs = 60;
        let too_many = SignInError::TooMany { retry_after_secs };
        assert_eq!(error.unwrap_err(), too_many.into());
    }
    door.enter("other").await.unwrap();
    door.world.advance(60);
    door.enter("link").await.unwrap();
}

#[tokio::test]
async fn a_store_that_fails_issues_nothing() {
    let door = Door::new();
    door.world.share("link", Some(ANN), None).await;
    for verb in ["blocked", "share_of_link", "user", "put_token"] {
        door.world.store.break_verb(Some(verb));
        let error = door.open("link").await.unwrap_err();
        assert_eq!(error, SignInError::Unavailable.into(), "{verb}");
    }
    for verb in ["factors", "reserve_send", "put_challenge", "put_token"] {
        door.world.advance(60);
        door.world.store.break_verb(Some(verb));
        let error = door.ask(0, FactorKind::Sms, "d").await.unwrap_err();
        let unavailable = [
            OpenShareError::SignIn(SignInError::Unavailable),
            OpenShareError::Start(StartError::Unavailable),
        ];
        assert!(unavailable.contains(&error), "{verb}: {error}");
    }
    door.world.store.break_verb(Some("failed"));
    let error = door.find("unknown").await.unwrap_err();
    assert_eq!(
        error,
        SignInError::Unavailable,
        "what is not counted is not told"
    );
}
