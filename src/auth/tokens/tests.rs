//! Tokens from the verification that issues them to the refresh that ends them.

use super::*;
use crate::auth::challenge::{Accept, Typed, Verified};
use crate::auth::fixture::{REALM, START, World};
use crate::auth::ports::{
    FactorKind, Originals as _, Sessions as _, SigningKeys as _, Tokens as _, Which,
};
use crate::auth::{Caller, Standing};
use jsonwebtoken::{Algorithm as Alg, DecodingKey, Validation};
use serde_json::Value;
use std::time::Duration;

const DEVICE: &str = "phone";
const HOUR: i64 = 3600;

fn keys(world: &World) -> RealmKeys {
    world.auth.keys.realm(REALM)
}

fn to<'a>(keys: &'a RealmKeys, refresh: RefreshForm, stands_for: Option<&'a str>) -> IssueTo<'a> {
    IssueTo {
        realm: REALM,
        keys,
        device: Some(DEVICE),
        algorithm: SigningAlgorithm::EdDsa,
        refresh,
        stands_for,
    }
}

fn at() -> RefreshedAt<'static> {
    RefreshedAt {
        route: "files",
        address: "192.0.2.7".parse().unwrap(),
        client: "Firefox on Linux",
    }
}

async fn caller(world: &World, token: &str) -> Caller {
    let keys = keys(world);
    let digest = keys.token(token);
    let known = world.store.token(digest, world.auth.clock.now()).await;
    let (_, holder) = known.unwrap().unwrap();
    Caller {
        holder,
        token: digest,
        pair: keys.session(token, Some(DEVICE)),
        device_label: Some(world.auth.keys.device_label(DEVICE)),
        standing: Standing::Token,
        self_enrolment: false,
        route: "files".to_owned(),
        address: at().address,
        client: at().client.to_owned(),
        words: Default::default(),
    }
}

/// Signs `token` (of a new user) in, until `expires_at`.
async fn put(world: &World, token: &str, expires_at: Option<Timestamp>) -> UserId {
    let user = world.user("ann", "pw", Some("+4512345678")).await;
    let token = Token {
        digest: keys(world).token(token),
        user,
        issued_pair: None,
        scope: Some("/dir/".to_owned()),
        share: None,
        born: None,
        issued_at: START,
        expires_at,
    };
    world.store.put_token(token).await.unwrap();
    user
}

/// Verifies the pair of a token and takes tokens for it.
async fn verify(world: &World, token: &str, form: RefreshForm) -> (Drawn, Session) {
    let (keys, caller) = (keys(world), caller(world, token).await);
    world.auth.start(&caller, FactorKind::Sms).await.unwrap();
    let code = world.inbox.code();
    let typed = Typed {
        code: &code,
        accept: Accept::Factor,
        pair: caller.pair,
        device_label: caller.device_label.clone(),
        issue: Some(to(&keys, form, Some(token))),
    };
    let verified: Verified = world.auth.verify(&caller, typed).await.unwrap();
    verified.issued.unwrap()
}

async fn refresh(world: &World, token: &Secret) -> Result<Exchanged, RefreshError> {
    let keys = keys(world);
    let to = to(&keys, RefreshForm::Opaque, None);
    world.auth.refresh(&to, at(), token).await
}

async fn is_live(world: &World, token: &Secret) -> bool {
    let (digest, now) = (keys(world).token(token.expose()), world.auth.clock.now());
    world.store.token(digest, now).await.unwrap().is_some()
}

async fn live_sessions(world: &World) -> u64 {
    let now = world.auth.clock.now();
    world.store.live_sessions(now).await.unwrap()
}

/// The claims, checked with the published key.
async fn claims(world: &World, token: &Secret) -> Value {
    let header = jsonwebtoken::decode_header(token.expose()).unwrap();
    let jwks = world
        .auth
        .signer
        .jwks(SigningAlgorithm::EdDsa)
        .await
        .unwrap();
    let key = DecodingKey::from_jwk(jwks.find(&header.kid.unwrap()).unwrap()).unwrap();
    let mut rules = Validation::new(Alg::EdDSA);
    rules.validate_exp = false;
    let data = jsonwebtoken::decode(token.expose(), &key, &rules);
    data.unwrap().claims
}

#[tokio::test]
async fn an_access_token_says_who_and_stands_for_the_token_that_asked() {
    let world = World::new();
    let user = put(&world, "root", None).await;
    let (drawn, session) = verify(&world, "root", RefreshForm::Opaque).await;
    let said = claims(&world, &drawn.access).await;
    let id = user.to_string();
    assert_eq!(
        (said["sub"].as_str(), said["id"].as_str()),
        (Some(&*id), Some(&*id))
    );
    assert_eq!(said["iss"], "https://files.example.org");
    assert_eq!(
        (&said["authorized"], &said["sudo"]),
        (&true.into(), &true.into())
    );
    assert_eq!(said["iat"], START.0);
    assert_eq!(said["exp"], START.0 + HOUR);
    assert_eq!(said["jti"].as_str().map(str::len), Some(22));
    assert!(drawn.refresh.expose().len() == 43 && !drawn.refresh.expose().contains('.'));

    let digest = keys(&world).token(drawn.access.expose());
    let (token, holder) = world.store.token(digest, START).await.unwrap().unwrap();
    let born = token.born.unwrap();
    assert_eq!(born.of, keys(&world).token("root"));
    assert_eq!(
        born.original,
        Secret::default(),
        "it is not opened in passing"
    );
    assert_eq!(holder.scope(), Some("/dir/"));
    for holder in [&holder, &session.holder] {
        let terms = holder.terms.as_ref().unwrap();
        let original = world
            .store
            .original(digest, terms.original.as_ref().unwrap());
        assert_eq!(original, Some(Secret::new("root")));
        let other = keys(&world).token("another");
        assert_eq!(
            world
                .store
                .original(other, terms.original.as_ref().unwrap()),
            None
        );
    }
    assert_eq!(
        (session.verified_at, session.expires_at),
        (START, START.after(Duration::from_secs(3600)))
    );
}

#[tokio::test]
async fn a_signed_refresh_token_is_no_access_token() {
    let world = World::new();
    put(&world, "root", None).await;
    let (drawn, _) = verify(&world, "root", RefreshForm::Jwt).await;
    let said = claims(&world, &drawn.refresh).await;
    assert_eq!(said["typ"], "refresh");
    assert_eq!(said["exp"], START.0 + 30 * 24 * HOUR);
    assert!(said.get("authorized").is_none() && said.get("sudo").is_none());
    assert!(!is_live(&world, &drawn.refresh).await);
    assert!(
        refresh(&world, &drawn.access).await.is_err(),
        "nor the reverse"
    );
    assert!(refresh(&world, &drawn.refresh).await.is_ok());
}

#[tokio::test]
async fn a_refreshed_token_is_what_the_first_one_was() {
    let world = World::new();
    put(&world, "root", None).await;
    let (drawn, first) = verify(&world, "root", RefreshForm::Opaque).await;
    world.advance(1800);
    let new = refresh(&world, &drawn.refresh).await.unwrap();
    let session = new.session.unwrap();
    assert_eq!((session.factor, session.verified_at), (first.factor, START));
    assert_eq!(new.access_expires_at, Timestamp(START.0 + 1800 + HOUR));
    assert_eq!(session.expires_at, new.access_expires_at);
    let said = claims(&world, &new.access).await;
    assert_eq!(
        (&said["authorized"], &said["sudo"]),
        (&true.into(), &false.into())
    );
    let found = world.store.session(new.pair, world.auth.clock.now()).await;
    assert_eq!(found.unwrap(), Some(session.clone()));
    let sealed = session
        .holder
        .terms
        .as_ref()
        .unwrap()
        .original
        .clone()
        .unwrap();
    let digest = keys(&world).token(new.access.expose());
    assert_eq!(
        world.store.original(digest, &sealed),
        Some(Secret::new("root"))
    );
    assert!(
        is_live(&world, &drawn.access).await,
        "requests on their way go on"
    );
    // And again, long after the first access token.
    world.advance(20 * 86_400);
    let newer = refresh(&world, &new.refresh).await.unwrap();
    assert_eq!(newer.session.unwrap().verified_at, START);
    assert!(!is_live(&world, &new.access).await);
}

#[tokio::test]
async fn a_spent_refresh_token_ends_the_family() {
    let world = World::new();
    put(&world, "root", None).await;
    let (drawn, _) = verify(&world, "root", RefreshForm::Opaque).await;
    let new = refresh(&world, &drawn.refresh).await.unwrap();
    world.events.take();
    assert_eq!(
        live_sessions(&world).await,
        3,
        "the root's and two of the family"
    );
    assert_eq!(
        refresh(&world, &drawn.refresh).await.err(),
        Some(RefreshError::Invalid)
    );
    let told: Vec<_> = world
        .events
        .take()
        .into_iter()
        .map(|(kind, _)| kind)
        .collect();
    assert_eq!(told, [EventKind::Revoked, EventKind::Refused]);
    assert!(!is_live(&world, &drawn.access).await && !is_live(&world, &new.access).await);
    assert_eq!(live_sessions(&world).await, 1);
    assert!(is_live(&world, &Secret::new("root")).await);
    assert_eq!(
        refresh(&world, &new.refresh).await.err(),
        Some(RefreshError::Invalid)
    );
    let feed = world.store.revocations_after(0).await.unwrap();
    assert_eq!(feed.len(), 2, "{feed:?}");
}

#[tokio::test]
async fn nothing_lives_longer_than_what_it_stands_for() {
    let world = World::new();
    let end = START.after(Duration::from_secs(600));
    put(&world, "root", Some(end)).await;
    let (drawn, _) = verify(&world, "root", RefreshForm::Opaque).await;
    assert_eq!(
        (drawn.access_expires_at, drawn.refresh_expires_at),
        (end, end)
    );
    world.advance(599);
    assert!(is_live(&world, &drawn.access).await);
    world.advance(1);
    assert!(!is_live(&world, &drawn.access).await);
    assert_eq!(
        refresh(&world, &drawn.refresh).await.err(),
        Some(RefreshError::Invalid)
    );
}

#[tokio::test]
async fn what_stands_for_a_token_that_stands_for_another_stands_for_that_one() {
    let world = World::new();
    put(&world, "root", None).await;
    let (first, _) = verify(&world, "root", RefreshForm::Opaque).await;
    world.advance(60);
    let (second, session) = verify(&world, first.access.expose(), RefreshForm::Opaque).await;
    let digest = keys(&world).token(second.access.expose());
    let now = world.auth.clock.now();
    let (token, _) = world.store.token(digest, now).await.unwrap().unwrap();
    assert_eq!(token.born.unwrap().of, keys(&world).token("root"));
    let sealed = session
        .holder
        .terms
        .as_ref()
        .unwrap()
        .original
        .clone()
        .unwrap();
    assert_eq!(
        world.store.original(digest, &sealed),
        Some(Secret::new("root"))
    );
    assert_eq!(
        second.access_expires_at,
        now.after(Duration::from_secs(3600)),
        "not the first one's end"
    );
}

#[tokio::test]
async fn another_device_or_identity_gets_nothing_and_spends_nothing() {
    let world = World::new();
    put(&world, "root", None).await;
    let (drawn, _) = verify(&world, "root", RefreshForm::Opaque).await;
    let keys = keys(&world);
    let own = to(&keys, RefreshForm::Opaque, None);
    for wrong in [
        IssueTo {
            device: Some("other"),
            ..own
        },
        IssueTo {
            device: None,
            ..own
        },
        IssueTo {
            realm: "other",
            ..own
        },
    ] {
        let got = world.auth.refresh(&wrong, at(), &drawn.refresh).await;
        assert_eq!(got.err(), Some(RefreshError::Invalid), "{wrong:?}");
    }
    assert!(refresh(&world, &drawn.refresh).await.is_ok());
}

#[tokio::test]
async fn guesses_are_throttled_by_address() {
    let world = World::new();
    put(&world, "root", None).await;
    let (drawn, _) = verify(&world, "root", RefreshForm::Opaque).await;
    for _ in 0..50 {
        let got = refresh(&world, &Secret::new("guess")).await;
        assert_eq!(got.err(), Some(RefreshError::Invalid));
    }
    let blocked = Err(RefreshError::TooMany {
        retry_after_secs: 30,
    });
    assert_eq!(refresh(&world, &drawn.refresh).await.map(drop), blocked);
    world.advance(30);
    assert!(refresh(&world, &drawn.refresh).await.is_ok());
}

#[tokio::test]
async fn a_refresh_brings_no_revoked_and_no_idle_session_back() {
    for revoked in [true, false] {
        let world = World::new();
        let user = put(&world, "root", None).await;
        let (drawn, session) = verify(&world, "root", RefreshForm::Opaque).await;
        world.advance(29 * 86_400);
        if revoked {
            let now = world.auth.clock.now();
            world.store.revoke(Which::User(user), now).await.unwrap();
        }
        let new = refresh(&world, &drawn.refresh).await.unwrap();
        let said = claims(&world, &new.access).await;
        assert_eq!(said["authorized"], !revoked);
        match new.session {
            None => assert!(revoked),
            Some(new) => {
                assert!(!revoked);
                assert_eq!(new.last_seen_at, session.last_seen_at);
                let idle = world.auth.settings.load().sessions.idle;
                let day = Duration::from_secs(86_400);
                assert!(!new.is_live(world.auth.clock.now().after(day), idle));
            }
        }
    }
}

#[tokio::test]
async fn a_later_verification_is_passed_on() {
    let world = World::new();
    let user = put(&world, "root", None).await;
    let keys = keys(&world);
    // As a sign-in that asked no code: nothing is verified.
    let holder = Holder::limited(user, "ann", None);
    let own = to(&keys, RefreshForm::Opaque, None);
    let drawn = world.auth.draw(&own, &holder, false).await.unwrap();
    assert_eq!(claims(&world, &drawn.access).await["authorized"], false);
    finish(&world, &drawn).await;
    let before = refresh(&world, &drawn.refresh).await.unwrap();
    assert_eq!(before.session, None);

    world.advance(60);
    let access = before.access.expose();
    let caller = caller(&world, access).await;
    world.auth.start(&caller, FactorKind::Sms).await.unwrap();
    let code = world.inbox.code();
    let typed = Typed {
        code: &code,
        accept: Accept::Factor,
        pair: caller.pair,
        device_label: caller.device_label.clone(),
        issue: None,
    };
    world.auth.verify(&caller, typed).await.unwrap();
    world.advance(4000);
    let after = refresh(&world, &before.refresh).await.unwrap();
    let verified_at = after.session.map(|session| session.verified_at);
    assert_eq!(verified_at, Some(START.after(Duration::from_secs(60))));
}

/// Ends a sign-in that asks no code.
async fn finish(world: &World, drawn: &Drawn) {
    use crate::auth::ports::{Deeds, Stage, Wizard, WizardKind, Wizards as _};
    let digest = world.auth.keys.wizard("w");
    let wizard = Wizard {
        digest,
        kind: WizardKind::SignIn,
        stage: Stage::Opened,
        realm: REALM.to_owned(),
        user: None,
        factor: None,
        token: None,
        device_label: None,
        subject: None,
        shown: None,
        expires_at: START.after(Duration::from_secs(900)),
    };
    let opener = world.auth.keys.subject("address", "x");
    world
        .store
        .open_wizard(wizard, opener, START)
        .await
        .unwrap();
    let then = Deeds {
        issue: Some(drawn.issue.clone()),
        ..Deeds::default()
    };
    assert!(
        world
            .store
            .finish_wizard(digest, then, START)
            .await
            .unwrap()
    );
}

#[tokio::test]
async fn without_the_store_nothing_is_drawn_or_exchanged() {
    let world = World::new();
    put(&world, "root", None).await;
    let (drawn, session) = verify(&world, "root", RefreshForm::Opaque).await;
    let keys = keys(&world);
    let born = to(&keys, RefreshForm::Opaque, Some("root"));
    world.store.break_verb(Some("token"));
    assert!(world.auth.draw(&born, &session.holder, true).await.is_err());
    for verb in ["blocked", "family", "rotate"] {
        world.store.break_verb(Some(verb));
        let got = refresh(&world, &drawn.refresh).await;
        assert_eq!(got.err(), Some(RefreshError::Unavailable), "{verb}");
    }
    world.store.break_verb(None);
    assert!(refresh(&world, &drawn.refresh).await.is_ok());
    assert_eq!(world.store.signing_keys(START).await.unwrap().len(), 1);
}

#[tokio::test]
async fn an_unknown_or_foreign_token_is_stood_for_by_nothing() {
    let world = World::new();
    put(&world, "root", None).await;
    let keys = keys(&world);
    let bob = world.user("bob", "pw", None).await;
    let holder = Holder::limited(bob, "bob", None);
    for token in ["root", "unknown"] {
        let to = to(&keys, RefreshForm::Opaque, Some(token));
        assert!(
            world.auth.draw(&to, &holder, true).await.is_err(),
            "{token}"
        );
    }
}
