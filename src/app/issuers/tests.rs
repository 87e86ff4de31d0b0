//! Issuers of signed tokens against a small server of our own and a clock moved by hand.

use super::jwks::Fetched;
use super::*;
use crate::clock::{ManualClock, Timestamp};
use crate::digest::DigestKeys;
use crate::gate::{Known, Unavailable, Witness as _};
use crate::identity::witness::StoreWitness;
use crate::store::memory::Memory;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use base64::Engine as _;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;

/// What the issuer answers, and what it was asked: each request's `If-None-Match`.
#[derive(Default)]
struct Says {
    status: u16,
    etag: Option<&'static str>,
    body: String,
    asked: Vec<Option<String>>,
}

type Issuer = Arc<Mutex<Says>>;

async fn answer(State(issuer): State<Issuer>, headers: HeaderMap) -> impl IntoResponse {
    let mut says = issuer.lock().unwrap();
    let known = headers.get("if-none-match");
    let known = known.map(|etag| etag.to_str().unwrap().to_owned());
    let is_known = known.is_some() && known.as_deref() == says.etag;
    says.asked.push(known);
    let mut answer = HeaderMap::new();
    answer.extend(
        says.etag
            .map(|etag| (http::header::ETAG, etag.parse().unwrap())),
    );
    answer.insert("location", "/elsewhere".parse().unwrap());
    match is_known {
        true => (StatusCode::NOT_MODIFIED, answer, String::new()),
        false => (
            StatusCode::from_u16(says.status).unwrap(),
            answer,
            says.body.clone(),
        ),
    }
}

fn b64(bytes: impl AsRef<[u8]>) -> String {
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

/// A set with one Ed25519 key.
fn set_of(kid: &str, key: &[u8]) -> String {
    let x = b64(key);
    format!(r#"{{"keys": [{{"kty": "OKP", "crv": "Ed25519", "kid": "{kid}", "x": "{x}"}}]}}"#)
}

/// The same with a key that is told apart by its bytes, and that nobody can sign with.
fn set(byte: u8) -> String {
    set_of(&format!("k{byte}"), &[byte; 32])
}

async fn issuer() -> (SocketAddr, Issuer) {
    let issuer = Issuer::default();
    issuer.lock().unwrap().status = 200;
    issuer.lock().unwrap().body = set(1);
    let app = Router::new().fallback(answer).with_state(issuer.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    (address, issuer)
}

struct World {
    clock: Arc<ManualClock>,
    keys: Fetched,
    issuer: Issuer,
}

fn base(clock: &Arc<ManualClock>) -> Base {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Base {
        clock: clock.clone(),
        metrics: Metrics::new().unwrap(),
    }
}

async fn world(change: impl FnOnce(&mut Says)) -> World {
    let (address, issuer) = issuer().await;
    change(&mut issuer.lock().unwrap());
    let clock = Arc::new(ManualClock::at(Timestamp(1_000_000)));
    let client = Client::new("staff", &base(&clock)).unwrap();
    let url = format!("http://{address}/keys");
    // Its own fetch is the one at the start: the rest of the hour is the test's.
    let keys = Fetched::start(url, Duration::from_secs(3600), client, clock.clone());
    World {
        clock,
        keys,
        issuer,
    }
}

impl World {
    fn says(&self, change: impl FnOnce(&mut Says)) {
        change(&mut self.issuer.lock().unwrap());
    }

    fn asked(&self) -> usize {
        self.issuer.lock().unwrap().asked.len()
    }
}

#[tokio::test]
async fn new_keys_are_found_and_garbage_does_not_hammer_the_issuer() {
    let world = world(|_| {}).await;
    let first = world.keys.current().await.unwrap();
    assert_eq!(world.asked(), 1);
    world.says(|says| says.body = set(2));
    let second = world.keys.newer_than(&first).await.unwrap();
    assert_eq!(world.asked(), 2);
    // Whoever still has the first is given what is there already.
    assert!(world.keys.newer_than(&first).await.is_some());
    assert_eq!(world.asked(), 2);
    let mut held = second;
    for _ in 0..100 {
        held = world.keys.newer_than(&held).await.unwrap_or(held);
    }
    assert_eq!(
        world.asked(),
        4,
        "three in half a minute, besides the first"
    );
    world.clock.advance(Duration::from_secs(30));
    for _ in 0..100 {
        held = world.keys.newer_than(&held).await.unwrap_or(held);
    }
    assert_eq!(world.asked(), 7);
}

#[tokio::test]
async fn an_unchanged_set_is_not_sent_again() {
    let world = world(|says| says.etag = Some("\"one\"")).await;
    let first = world.keys.current().await.unwrap();
    let second = world.keys.newer_than(&first).await.unwrap();
    assert!(Arc::ptr_eq(&first.keys, &second.keys));
    world.says(|says| (says.etag, says.body) = (Some("\"two\""), set(2)));
    let third = world.keys.newer_than(&second).await.unwrap();
    assert!(!Arc::ptr_eq(&second.keys, &third.keys));
    let one = Some("\"one\"".to_owned());
    let asked = world.issuer.lock().unwrap().asked.clone();
    assert_eq!(asked, [None, one.clone(), one]);
}

#[tokio::test]
async fn the_last_good_keys_go_on_while_the_issuer_is_down_but_not_for_ever() {
    let world = world(|_| {}).await;
    let held = world.keys.current().await.unwrap();
    let broken: [(u16, String); 5] = [
        (503, set(2)),
        (302, set(2)),
        (200, "<html>".to_owned()),
        (200, r#"{"keys": []}"#.to_owned()),
        (200, format!("{}{}", set(2), " ".repeat(300 << 10))),
    ];
    for (status, body) in broken {
        world.says(|says| (says.status, says.body) = (status, body));
        world.clock.advance(Duration::from_secs(30));
        assert!(world.keys.newer_than(&held).await.is_none(), "{status}");
        assert!(world.keys.current().await.is_ok());
    }
    assert_eq!(world.asked(), 6, "no redirect was followed");
    world.clock.advance(Duration::from_secs(24 * 3600));
    assert_eq!(world.keys.current().await.err(), Some(Unavailable));
    world.says(|says| (says.status, says.body) = (200, set(2)));
    assert!(world.keys.current().await.is_ok(), "it is back");
}

#[tokio::test]
async fn without_any_keys_nobody_is_judged_and_the_issuer_is_asked_now_and_then() {
    let world = world(|says| says.status = 500).await;
    for _ in 0..100 {
        assert_eq!(world.keys.current().await.err(), Some(Unavailable));
    }
    assert_eq!(world.asked(), 4, "at the start, and three in half a minute");
    world.says(|says| says.status = 200);
    world.clock.advance(Duration::from_secs(30));
    assert!(world.keys.current().await.is_ok());
}

/// A config with one `jwt` identity of this issuer.
fn config(address: SocketAddr, audience: &str) -> Config {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c.yaml");
    let key = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";
    std::fs::write(dir.path().join("k"), key).unwrap();
    let text = format!(
        "listeners: [{{address: \"127.0.0.1:8080\"}}]\nstore: {{url: \"memory:\", key: {{file: k}}}}\n\
         identities: {{staff: {{jwt: {{jwks: {{url: \"http://{address}/keys\", refresh: 1s}}, issuer: i, \
         audience: {audience}, algorithms: [EdDSA]}}}}}}\n\
         upstreams: {{files: {{servers: [\"127.0.0.1:5000\"]}}}}\n\
         routes: [{{name: files, hosts: [a.org], upstream: files, identity: staff}}]\n"
    );
    std::fs::write(&path, text).unwrap();
    crate::config::load(&path).unwrap_or_else(|errors| panic!("{errors}"))
}

#[tokio::test]
async fn a_withdrawn_key_ends_the_tokens_that_it_has_signed() {
    let signer = Ed25519KeyPair::generate().unwrap();
    let (address, issuer) = issuer().await;
    issuer.lock().unwrap().body = set_of("old", signer.public_key().as_ref());
    let clock = Arc::new(ManualClock::at(Timestamp(1_000_000)));
    let base = base(&clock);
    let issuers = Issuers::new(&base, &config(address, "a"), None).unwrap();
    let keys = DigestKeys::derive(&[7; 32]);
    let store = Arc::new(Memory::default());
    let witness = StoreWitness::new(store, keys, clock.clone(), Arc::new(|_| ()), Arc::default());
    witness.set_probes(issuers.probes());

    let header = r#"{"alg": "EdDSA", "kid": "old"}"#;
    let claims = r#"{"iss": "i", "aud": "a", "sub": "ann", "exp": 2000000}"#;
    let message = format!("{}.{}", b64(header), b64(claims));
    let token = format!("{message}.{}", b64(signer.sign(message.as_bytes())));
    let known = || async { witness.holder("staff", &token).await.unwrap() };
    let Known::Yes { fresh_for, .. } = known().await else {
        panic!("unknown")
    };
    assert_eq!(fresh_for, Some(Duration::from_secs(60)));

    issuer.lock().unwrap().body = set(2);
    clock.advance(Duration::from_secs(59));
    // Asked for twice, and the second answer taken over.
    let fetched = r#"issuer_requests_total{identity="staff",outcome="fetched"} 2"#;
    while !base.metrics.render().unwrap().contains(fetched) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(matches!(known().await, Known::Yes { .. }), "its word holds");
    clock.advance(Duration::from_secs(1));
    assert!(matches!(known().await, Known::No));
}

#[tokio::test]
async fn a_reload_keeps_the_issuers_that_did_not_change() {
    let (address, asked) = issuer().await;
    let config = |audience: &str| config(address, audience);
    let base = base(&Arc::new(ManualClock::at(Timestamp(1_000_000))));
    let first = Issuers::new(&base, &config("a"), None).unwrap();
    let same = Issuers::new(&base, &config("a"), Some(&first)).unwrap();
    let other = Issuers::new(&base, &config("b"), Some(&same)).unwrap();
    let probe = |issuers: &Issuers| issuers.probes()["staff"].clone();
    assert!(Arc::ptr_eq(&probe(&first), &probe(&same)));
    assert!(!Arc::ptr_eq(&probe(&same), &probe(&other)));
    let garbage = probe(&other).probe("staff", "garbage").await;
    assert!(matches!(garbage, Ok(None)));
    let asked = asked.lock().unwrap().asked.len();
    assert!(
        (1..=3).contains(&asked),
        "one for each that was made: {asked}"
    );
}
