//! Clients that are let in by a person: shown, approved, refused, guessed.

use super::*;
use crate::auth::fixture::{REALM, World};
use crate::auth::lockout::Blocked;
use crate::auth::ports::{Sessions as _, Token, Tokens as _};
use crate::clock::Clock as _;
use crate::entropy::OsEntropy;

const HOME: &str = "192.0.2.1";
const PHONE: &str = "+4512345678";

struct Desk {
    world: World,
    user: UserId,
}

impl Desk {
    async fn new() -> Self {
        let world = World::new();
        let user = world.user("ann", "right", Some(PHONE)).await;
        let desk = Self { world, user };
        for token in ["t", "u"] {
            desk.put_token(token, None).await;
        }
        desk
    }

    async fn put_token(&self, token: &str, expires_at: Option<crate::clock::Timestamp>) {
        let token = Token {
            digest: self.world.auth.keys.realm(REALM).token(token),
            user: self.user,
            issued_pair: None,
            scope: None,
            share: None,
            born: None,
            issued_at: self.world.clock.now(),
            expires_at,
        };
        self.world.store.put_token(token).await.unwrap();
    }

    fn pair(&self, token: &str) -> SessionKey {
        let keys = self.world.auth.keys.realm(REALM);
        keys.session(token, Some("nas"))
    }

    /// The user code that the client with this token is told.
    async fn offer(&self, token: &str) -> Option<String> {
        let keys = self.world.auth.keys.realm(REALM);
        let refused = Refused {
            user: self.user,
            token: keys.token(token),
            pair: self.pair(token),
            device_label: None,
            whence: Whence {
                address: "198.51.100.7".parse().unwrap(),
                client: "rclone".to_owned(),
            },
            host: "files.example.org",
            route: "files",
        };
        let told = self.world.auth.offer_grant(refused).await?;
        Some(readable(told.text.expose()))
    }

    async fn look_up(&self, typed: &str) -> Result<Grant, GrantError> {
        let from = HOME.parse().unwrap();
        let found = self.world.auth.waiting_client(REALM, typed, from).await;
        found.map(|(grant, user)| {
            assert_eq!(user.name, "ann");
            grant
        })
    }

    async fn send(&self, grant: &Grant) -> String {
        let from = HOME.parse().unwrap();
        let sent = self
            .world
            .auth
            .send_for_grant(grant, FactorKind::Sms, (from, Words::default()));
        sent.await.unwrap();
        self.world.inbox.code()
    }

    async fn approve(&self, grant: &Grant, typed: (Accept, &str)) -> Result<Passed, VerifyError> {
        let from = HOME.parse().unwrap();
        self.world.auth.approve_grant(grant, typed, from).await
    }

    async fn is_in(&self, token: &str) -> bool {
        let now = self.world.clock.now();
        let session = self.world.store.session(self.pair(token), now).await;
        session.unwrap().is_some()
    }
}

#[tokio::test]
async fn a_client_is_let_in_by_its_users_second_factor() {
    let desk = Desk::new().await;
    let code = desk.offer("t").await.unwrap();
    assert_eq!(desk.offer("t").await.unwrap(), code, "while it lives");
    let grant = desk.look_up(&code).await.unwrap();
    assert_eq!(
        (grant.host.as_str(), grant.route.as_str()),
        ("files.example.org", "files")
    );
    assert_eq!(grant.whence.client, "rclone");
    let sent = desk.send(&grant).await;
    assert!(desk.world.inbox.last().1.contains("lets a program in"));
    assert!(!desk.is_in("t").await);
    let passed = desk.approve(&grant, (Accept::Factor, &sent)).await.unwrap();
    assert_eq!(passed.sessions.len(), 1);
    assert!(desk.is_in("t").await && !desk.is_in("u").await);
    assert_eq!(desk.look_up(&code).await, Err(GrantError::Unknown));
    let again = desk.approve(&grant, (Accept::Factor, &sent)).await;
    assert_eq!(again, Err(VerifyError::Gone));
    let said: Vec<_> = desk.world.events.take();
    assert_eq!(
        said,
        [
            (EventKind::Challenged, "sms".to_owned()),
            (EventKind::Verified, "sms for a client".to_owned()),
            (EventKind::Refused, "sms expired".to_owned()),
        ]
    );
}

#[tokio::test]
async fn a_code_is_good_for_the_client_it_was_sent_for() {
    let desk = Desk::new().await;
    let (one, two) = (
        desk.offer("t").await.unwrap(),
        desk.offer("u").await.unwrap(),
    );
    assert_ne!(one, two);
    let (one, two) = (
        desk.look_up(&one).await.unwrap(),
        desk.look_up(&two).await.unwrap(),
    );
    let sent = desk.send(&one).await;
    desk.world.advance(60);
    let other = desk.send(&two).await;
    let elsewhere = desk.approve(&two, (Accept::Factor, &sent)).await;
    if sent != other {
        assert_eq!(elsewhere, Err(VerifyError::Wrong { left: Some(4) }));
    }
    assert!(desk.approve(&one, (Accept::Factor, &sent)).await.is_ok());
    assert!(!desk.is_in("u").await);
}

#[tokio::test]
async fn a_user_code_may_be_typed_in_any_way_and_is_nothing_else() {
    let desk = Desk::new().await;
    let code = desk.offer("t").await.unwrap();
    for typed in [
        code.clone(),
        code.to_lowercase(),
        code.replace('-', ""),
        code.replace('-', " "),
        format!("  {} ", code.replace('-', " - ")),
    ] {
        assert!(desk.look_up(&typed).await.is_ok(), "{typed}");
    }
    // What can be no code is no guess either.
    for typed in [
        "",
        "-",
        "AAAA-AAAA",
        "BCDF-GHJ",
        "BCDF-GHJKL",
        "BCDF_GHJK",
        "ВСDF-GHJK",
    ] {
        for _ in 0..10 {
            assert_eq!(
                desk.look_up(typed).await,
                Err(GrantError::Unknown),
                "{typed}"
            );
            desk.world.advance(1);
        }
    }
    assert!(desk.look_up(&code).await.is_ok());
}

#[tokio::test]
async fn guessing_user_codes_earns_a_wait() {
    let desk = Desk::new().await;
    let code = desk.offer("t").await.unwrap();
    let mut guesses = 0;
    let waited = loop {
        let letters = LETTERS.map(char::from);
        let guess: String = (0..8).map(|at| letters[(guesses >> at) % 20]).collect();
        match desk.look_up(&guess).await {
            Err(GrantError::Unknown) => guesses += 1,
            other => break other,
        }
        desk.world.advance(1);
        assert!(guesses < 200);
    };
    assert!(
        matches!(waited, Err(GrantError::TooMany { .. })),
        "{waited:?}"
    );
    assert!(matches!(
        desk.look_up(&code).await,
        Err(GrantError::TooMany { .. })
    ));
    let from = "198.51.100.9".parse().unwrap();
    let elsewhere = desk.world.auth.waiting_client(REALM, &code, from).await;
    assert!(elsewhere.is_ok());
}

#[tokio::test]
async fn many_addresses_together_guess_slowly_too() {
    let desk = Desk::new().await;
    let code = desk.offer("t").await.unwrap();
    let look_up = async |typed: &str, n: u8| {
        let from = IpAddr::from([198, 51, 100, n]);
        let found = desk.world.auth.waiting_client(REALM, typed, from).await;
        found.map(|_| ())
    };
    for n in 0..=255 {
        assert_eq!(look_up(&code, n).await, Ok(()), "a right one costs nothing");
    }
    let mut misses = 0;
    for n in 0..=255 {
        misses += u32::from(look_up("BCDF-GHJK", n).await == Err(GrantError::Unknown));
    }
    assert_eq!(misses, MISSES_PER_SECOND);
    let wait = GrantError::TooMany {
        retry_after_secs: BUSY_RETRY_SECS,
    };
    assert_eq!(look_up(&code, 0).await, Err(wait));
    desk.world.advance(1);
    assert_eq!(look_up(&code, 0).await, Ok(()));
}

#[tokio::test]
async fn who_has_to_wait_keeps_nobody_else_out() {
    let desk = Desk::new().await;
    let code = desk.offer("t").await.unwrap();
    while desk.look_up("BCDF-GHJK").await == Err(GrantError::Unknown) {
        desk.world.advance(1);
    }
    for _ in 0..200 {
        assert!(desk.look_up("BCDF-GHJK").await.is_err());
    }
    let from = "198.51.100.9".parse().unwrap();
    let elsewhere = desk.world.auth.waiting_client(REALM, &code, from).await;
    assert!(elsewhere.is_ok());
}

#[tokio::test]
async fn a_code_of_another_identity_is_unknown() {
    let desk = Desk::new().await;
    let code = desk.offer("t").await.unwrap();
    let from = HOME.parse().unwrap();
    let found = desk.world.auth.waiting_client("other", &code, from).await;
    assert_eq!(found.err(), Some(GrantError::Unknown));
}

#[tokio::test]
async fn an_expired_grant_and_one_whose_token_ended_are_unknown() {
    let desk = Desk::new().await;
    let end = desk.world.clock.now().after(Duration::from_secs(60));
    desk.put_token("t", Some(end)).await;
    let (short, long) = (
        desk.offer("t").await.unwrap(),
        desk.offer("u").await.unwrap(),
    );
    let grant = desk.look_up(&short).await.unwrap();
    let sent = desk.send(&grant).await;
    desk.world.advance(60);
    assert_eq!(desk.look_up(&short).await, Err(GrantError::Unknown));
    let late = desk.approve(&grant, (Accept::Factor, &sent)).await;
    assert_eq!(late, Err(VerifyError::Gone));
    let grant = desk.look_up(&long).await.unwrap();
    let sent = desk.send(&grant).await;
    desk.world.advance(540);
    assert_eq!(desk.look_up(&long).await, Err(GrantError::Unknown));
    let late = desk.approve(&grant, (Accept::Factor, &sent)).await;
    assert_eq!(late, Err(VerifyError::Gone));
    assert_ne!(desk.offer("u").await.unwrap(), long);
}

#[tokio::test]
async fn who_says_not_me_ends_it() {
    let desk = Desk::new().await;
    let code = desk.offer("t").await.unwrap();
    let grant = desk.look_up(&code).await.unwrap();
    let sent = desk.send(&grant).await;
    let from = HOME.parse().unwrap();
    assert!(desk.world.auth.refuse_grant(&grant, from).await.unwrap());
    assert!(!desk.world.auth.refuse_grant(&grant, from).await.unwrap());
    assert_eq!(desk.look_up(&code).await, Err(GrantError::Unknown));
    let late = desk.approve(&grant, (Accept::Factor, &sent)).await;
    assert_eq!(late, Err(VerifyError::Gone));
    assert_eq!(desk.offer("t").await, None, "no next try for a while");
    desk.world.advance(120);
    assert!(desk.offer("t").await.is_some());
    let said = desk.world.events.take();
    let refused = (EventKind::Refused, "client not recognised".to_owned());
    assert_eq!(said.iter().filter(|one| **one == refused).count(), 1);
}

#[tokio::test]
async fn wrong_codes_count_against_the_user_as_everywhere() {
    let desk = Desk::new().await;
    let code = desk.offer("t").await.unwrap();
    let grant = desk.look_up(&code).await.unwrap();
    let sent = desk.send(&grant).await;
    let wrong = if sent == "000000" { "000001" } else { "000000" };
    for left in (0..5).rev() {
        let tried = desk.approve(&grant, (Accept::Factor, wrong)).await;
        assert_eq!(tried, Err(VerifyError::Wrong { left: Some(left) }));
    }
    let blocked = desk.approve(&grant, (Accept::Factor, &sent)).await;
    let wait = Blocked::Delayed {
        retry_after_secs: 30,
    };
    assert_eq!(blocked, Err(VerifyError::Blocked(wait)));
    assert!(!desk.is_in("t").await);
}

#[tokio::test]
async fn the_store_that_fails_offers_nothing_and_finds_nothing() {
    let desk = Desk::new().await;
    let code = desk.offer("t").await.unwrap();
    desk.world.store.break_verb(Some("open_grant"));
    assert_eq!(desk.offer("t").await, None);
    desk.world.store.break_verb(Some("grant"));
    assert_eq!(desk.look_up(&code).await, Err(GrantError::Unavailable));
    desk.world.store.break_verb(None);
    assert!(desk.look_up(&code).await.is_ok());
}

#[test]
fn every_letter_is_as_likely_as_the_others() {
    let mut counts = [0_u32; 20];
    for _ in 0..2_000 {
        let code = draw(&OsEntropy).unwrap();
        assert_eq!(code.len(), 8);
        for byte in code.bytes() {
            let at = LETTERS.iter().position(|letter| *letter == byte).unwrap();
            counts[at] += 1;
        }
    }
    // 800 each, give or take six standard deviations.
    assert!(
        counts.iter().all(|count| (630..970).contains(count)),
        "{counts:?}"
    );
    assert_eq!(readable("WDJBMJHT"), "WDJB-MJHT");
}
