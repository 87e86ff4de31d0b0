//! Tokens that others issue: signed ones, and those that an issuer is asked about.

use crate::support::iogates::Backend;
use crate::support::issuer::Issuer;
use crate::support::{Gateway, Inbox, PHONE, Setup, secret, wait_for};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const DEVICE: &str = "laptop";

struct World {
    issuer: Issuer,
    backend: Backend,
    inbox: Inbox,
    gateway: Gateway,
}

impl World {
    /// A gateway in front of a backend, whose tokens come from an issuer.
    async fn start(identity: impl Fn(&Issuer) -> String) -> Self {
        let (issuer, backend, inbox) = (
            Issuer::start().await,
            Backend::start().await,
            Inbox::start().await,
        );
        issuer.add_key("rsa", "RS256");
        let setup = Setup::accounts(backend.address, inbox.address)
            .with("{accounts: {}}", &identity(&issuer));
        let gateway = Gateway::start(&setup);
        Self {
            issuer,
            backend,
            inbox,
            gateway,
        }
    }

    async fn get(&self, token: &str) -> reqwest::Response {
        let request = self.gateway.get("/file", token, DEVICE);
        request.send().await.expect("answer")
    }

    async fn status(&self, token: &str) -> u16 {
        self.get(token).await.status().as_u16()
    }

    /// What a refusal says is wrong with the token or its user.
    async fn error(&self, token: &str) -> String {
        let answer = self.get(token).await;
        assert_eq!(answer.status(), 401);
        let challenge = answer.headers()["www-authenticate"].to_str().expect("text");
        let (_, after) = challenge.split_once("error=\"").expect("an error");
        after.split('"').next().expect("a word").to_owned()
    }

    async fn pass(&self, token: &str, phone: &str) {
        assert_eq!(self.error(token).await, "insufficient_user_authentication");
        self.gateway.verify(&self.inbox, token, DEVICE, phone).await;
        assert_eq!(self.status(token).await, 200);
    }

    /// A signed token of a user.
    fn token(&self, kid: &str, user: &str) -> String {
        self.issuer.sign(kid, &self.issuer.claims(user, PHONE))
    }

    async fn metrics(&self) -> String {
        let url = format!("http://{}/metrics", self.gateway.admin.expect("admin"));
        let answer = self.gateway.http.get(url).send().await.expect("metrics");
        answer.text().await.expect("text")
    }
}

#[tokio::test]
async fn a_signed_token_is_a_first_factor_and_its_phone_the_second() {
    let world = World::start(Issuer::jwt).await;
    world.issuer.add_key("ec", "ES256");
    world.issuer.add_key("ed", "EdDSA");
    for (kid, user, phone) in [
        ("rsa", "anna", "+4512345671"),
        ("ec", "bo", "+4512345672"),
        ("ed", "carla", "+4512345673"),
    ] {
        let token = world.issuer.sign(kid, &world.issuer.claims(user, phone));
        world.pass(&token, phone).await;
        let seen = world.backend.seen();
        assert_eq!(
            seen.last().expect("a request").headers["x-vestibule-user"],
            user
        );
        // The same user, a new token: a new pair.
        let mut claims = world.issuer.claims(user, phone);
        claims["jti"] = json!("another");
        let other = world.issuer.sign(kid, &claims);
        assert_eq!(
            world.error(&other).await,
            "insufficient_user_authentication"
        );
    }
    let metrics = world.metrics().await;
    assert!(
        metrics.contains(r#"vestibule_issuer_requests_total{identity="users",outcome="fetched"}"#),
        "{metrics}"
    );
}

#[tokio::test]
async fn what_its_issuer_did_not_sign_for_this_service_and_time_is_unknown() {
    let world = World::start(Issuer::jwt).await;
    let claims = world.issuer.claims("anna", PHONE);
    let with = |name: &str, value: Value| {
        let mut claims = claims.clone();
        claims[name] = value;
        world.issuer.sign("rsa", &claims)
    };
    let good = world.issuer.sign("rsa", &claims);
    let cut = good.rsplit_once('.').expect("a signature").0.to_owned();
    let none = {
        use base64::Engine as _;
        let header = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#);
        let payload = good.split('.').nth(1).expect("claims");
        secret(&format!("{header}.{payload}."))
    };
    for token in [
        with("iss", json!("http://127.0.0.1:1")),
        with("aud", json!("https://mail.example.org")),
        with("exp", json!(1_000_000_000)),
        with("nbf", json!(4_000_000_000_u64)),
        with("sub", json!("")),
        format!("{cut}."),
        format!("{cut}.AAAA"),
        cut,
        none,
        "garbage-that-is-no-token".to_owned(),
    ] {
        assert_eq!(world.error(&token).await, "invalid_token", "{token}");
    }
    let long = format!("{good}{}", "A".repeat(16 << 10));
    assert_eq!(world.status(&long).await, 400);
    world.pass(&good, PHONE).await;
    // A token may be some KiB long.
    let groups = "a-group-of-people ".repeat(400);
    let long = with("groups", json!(groups));
    assert!(long.len() > 8 << 10);
    assert_eq!(world.error(&long).await, "insufficient_user_authentication");
    assert_eq!(world.backend.seen().len(), 1, "nothing else was forwarded");
}

#[tokio::test]
async fn a_token_ends_with_its_exp_however_fresh_its_session() {
    let world = World::start(Issuer::jwt).await;
    let mut claims = world.issuer.claims("anna", PHONE);
    claims["exp"] = json!(claims["iat"].as_u64().expect("iat") + 4);
    let token = world.issuer.sign("rsa", &claims);
    world.pass(&token, PHONE).await;
    wait_for("its end", Duration::from_secs(8), async || {
        (world.status(&token).await == 401).then_some(())
    })
    .await;
    assert_eq!(world.error(&token).await, "invalid_token");
}

#[tokio::test]
async fn new_keys_are_taken_at_once_and_withdrawn_ones_no_more() {
    let world = World::start(Issuer::jwt).await;
    let token = world.token("rsa", "anna");
    world.pass(&token, PHONE).await;
    world.issuer.add_key("new", "ES256");
    let fresh = world.token("new", "bo");
    assert_eq!(
        world.error(&fresh).await,
        "insufficient_user_authentication"
    );

    let stolen = world.issuer.withdraw("rsa");
    let before = world.issuer.calls().0;
    wait_for("two fetches", Duration::from_secs(10), async || {
        (world.issuer.calls().0 >= before + 2).then_some(())
    })
    .await;
    let forged = stolen.sign(&world.issuer.claims("carla", PHONE));
    assert_eq!(world.error(&forged).await, "invalid_token");
    // A session lives on its token's word, which is asked for again within a minute.
    assert_eq!(world.status(&token).await, 200);
}

#[tokio::test]
async fn the_last_good_keys_go_on_while_the_issuer_is_down() {
    let world = World::start(Issuer::jwt).await;
    let token = world.token("rsa", "anna");
    world.pass(&token, PHONE).await;
    world.issuer.set_down(true);
    let before = world.issuer.calls().0;
    wait_for("two fetches", Duration::from_secs(10), async || {
        (world.issuer.calls().0 >= before + 2).then_some(())
    })
    .await;
    assert_eq!(world.status(&token).await, 200);
    let fresh = world.token("rsa", "bo");
    assert_eq!(
        world.error(&fresh).await,
        "insufficient_user_authentication"
    );
}

#[tokio::test]
async fn without_its_keys_a_token_is_neither_right_nor_wrong() {
    let world = World::start(|issuer| {
        issuer.set_down(true);
        issuer.jwt()
    })
    .await;
    let token = world.token("rsa", "anna");
    assert_eq!(world.status(&token).await, 503);
    world.issuer.set_down(false);
    wait_for("the keys", Duration::from_secs(10), async || {
        (world.status(&token).await == 401).then_some(())
    })
    .await;
    world.pass(&token, PHONE).await;
}

#[tokio::test]
async fn garbage_does_not_hammer_the_keys() {
    let world = World::start(|issuer| issuer.jwt().replace("refresh: 1s", "refresh: 1h")).await;
    let good = world.token("rsa", "anna");
    world.pass(&good, PHONE).await;
    world.issuer.add_key("other", "EdDSA");
    let other = world.issuer.withdraw("other");
    let start = Instant::now();
    for n in 0..60 {
        let claims = world.issuer.claims(&format!("user {n}"), PHONE);
        assert_eq!(world.error(&other.sign(&claims)).await, "invalid_token");
        let path = format!("/api/apiauth/twofactorsms/{}", other.sign(&claims));
        let local = world.gateway.http.get(world.gateway.url(&path));
        assert_eq!(local.send().await.expect("answer").status(), 401);
    }
    assert!(
        start.elapsed() < Duration::from_secs(25),
        "too slow to tell"
    );
    let (fetched, _) = world.issuer.calls();
    assert!((2..=4).contains(&fetched), "{fetched}");
    assert_eq!(world.status(&good).await, 200);
}

#[tokio::test]
async fn a_token_that_its_issuer_takes_back_opens_nothing_within_the_cache() {
    let world = World::start(|issuer| issuer.introspection("2s")).await;
    let token = "opaque-token-of-anna";
    world.issuer.vouch(token, Some(("anna", PHONE)));
    world.pass(token, PHONE).await;
    let seen = world.backend.seen();
    assert_eq!(
        seen.last().expect("a request").headers["x-vestibule-user"],
        "anna"
    );

    // A busy client costs one question each two seconds.
    let (start, (_, before)) = (Instant::now(), world.issuer.calls());
    while start.elapsed() < Duration::from_secs(5) {
        assert_eq!(world.status(token).await, 200);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let asked = world.issuer.calls().1 - before;
    assert!((1..=5).contains(&asked), "{asked}");

    world.issuer.vouch(token, None);
    let start = Instant::now();
    wait_for("the end", Duration::from_secs(6), async || {
        (world.status(token).await == 401).then_some(())
    })
    .await;
    // The clock has whole seconds.
    assert!(
        start.elapsed() < Duration::from_millis(3_500),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(world.error(token).await, "invalid_token");
    let local = format!("/api/apiauth/twofactorsms/{token}");
    let local = world.gateway.get(&local, token, DEVICE).send().await;
    assert_eq!(local.expect("answer").status(), 401);
}

#[tokio::test]
async fn while_the_issuer_cannot_be_asked_its_word_holds_for_its_time() {
    let world = World::start(|issuer| issuer.introspection("3s")).await;
    let token = "opaque-token-of-anna";
    world.issuer.vouch(token, Some(("anna", PHONE)));
    world.pass(token, PHONE).await;
    // A fresh word, then nobody who could renew it.
    wait_for("a fresh word", Duration::from_secs(6), async || {
        let before = world.issuer.calls().1;
        assert_eq!(world.status(token).await, 200);
        (world.issuer.calls().1 > before).then_some(())
    })
    .await;
    world.issuer.set_down(true);
    assert_eq!(world.status(token).await, 200);
    wait_for("its end", Duration::from_secs(6), async || {
        (world.status(token).await == 503).then_some(())
    })
    .await;
    assert_eq!(world.status("opaque-and-never-seen").await, 503);
    world.issuer.set_down(false);
    assert_eq!(world.status(token).await, 200, "its session is there still");
}

#[tokio::test]
async fn garbage_does_not_hammer_the_introspection() {
    let world = World::start(|issuer| issuer.introspection("60s")).await;
    let token = "opaque-token-of-anna";
    world.issuer.vouch(token, Some(("anna", PHONE)));
    world.pass(token, PHONE).await;
    let (start, (_, before)) = (Instant::now(), world.issuer.calls());
    let mut asked = Vec::new();
    // Three connections each: fewer than one address may hold.
    for n in 0..300 {
        let garbage = format!("opaque-garbage-{n}");
        let local = world
            .gateway
            .url(&format!("/api/apiauth/twofactorsms/{garbage}"));
        let requests = [
            world.gateway.get("/file", &garbage, DEVICE),
            world
                .gateway
                .get("/file", "opaque-and-always-the-same", DEVICE),
            world.gateway.http.get(local),
        ];
        asked.extend(requests.map(|request| tokio::spawn(request.send())));
    }
    for asked in asked {
        let status = asked.await.expect("task").expect("answer").status();
        assert!(status == 401 || status == 503, "{status}");
    }
    let spans = usize::try_from(start.elapsed().as_secs()).expect("seconds") + 2;
    let calls = world.issuer.calls().1 - before;
    assert!(calls <= 50 * spans, "{calls} calls in {spans} s");
    assert!(calls < 300, "{calls} of 300 were asked about");
    assert_eq!(
        world.status(token).await,
        200,
        "nobody who is known is shut out"
    );
}
