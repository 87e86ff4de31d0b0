//! An issuer of tokens: it signs them with real keys, publishes the keys (JWKS), and answers what is
//! asked about a token (RFC 7662).

use super::secret;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RsaKeyPair,
};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{SystemTime, UNIX_EPOCH};

/// What `aud` is in its tokens.
pub(crate) const AUDIENCE: &str = "https://files.example.org";
/// What the gateway signs in with, with what must be escaped.
pub(crate) const CLIENT_SECRET: &str = "introspector's p%ss:word+";

enum Signer {
    Rsa(Box<RsaKeyPair>),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

#[derive(Default)]
struct Inner {
    /// What is published, by `kid`.
    keys: Vec<(String, Arc<Signer>)>,
    /// What is said of tokens.
    tokens: HashMap<String, Value>,
    is_down: bool,
    fetched: usize,
    asked: usize,
    wrong_clients: usize,
}

#[derive(Clone)]
pub(crate) struct Issuer {
    pub(crate) address: SocketAddr,
    inner: Arc<Mutex<Inner>>,
}

impl Issuer {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("issuer");
        let issuer = Self {
            address: listener.local_addr().expect("address"),
            inner: Arc::default(),
        };
        let app = axum::Router::new()
            .route("/keys", axum::routing::get(keys))
            .route("/introspect", axum::routing::post(introspect))
            .with_state(issuer.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        issuer
    }

    /// The `jwt` identity of a gateway that believes this issuer.
    pub(crate) fn jwt(&self) -> String {
        format!(
            "{{jwt: {{jwks: {{url: \"http://{at}/keys\", refresh: 1s}}, issuer: \"http://{at}\", audience: \"{AUDIENCE}\", \
             algorithms: [RS256, ES256, EdDSA], claims: {{phone: phone_number, email: email}}}}}}",
            at = self.address
        )
    }

    /// The `introspection` identity of one that asks it.
    pub(crate) fn introspection(&self, cache: &str) -> String {
        let secret = secret(CLIENT_SECRET).replace('\'', "''");
        format!(
            "{{introspection: {{url: \"http://{}/introspect\", client: {{id: vestibule, secret: '{secret}'}}, cache: {cache}, \
             audience: \"{AUDIENCE}\", claims: {{user: username, phone: phone_number}}}}}}",
            self.address
        )
    }

    /// Makes a key of a kind (`RS256`, `ES256`, `EdDSA`) and publishes it.
    pub(crate) fn add_key(&self, kid: &str, alg: &str) {
        let signer = match alg {
            "RS256" => Signer::Rsa(Box::new(
                RsaKeyPair::generate(KeySize::Rsa2048).expect("key"),
            )),
            "ES256" => {
                Signer::Ec(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("key"))
            }
            "EdDSA" => Signer::Ed(Ed25519KeyPair::generate().expect("key")),
            _ => panic!("no such kind of key: {alg}"),
        };
        self.inner().keys.push((kid.to_owned(), Arc::new(signer)));
    }

    /// Publishes a key no more. What signs with it goes on: whoever took it has it still.
    pub(crate) fn withdraw(&self, kid: &str) -> Withdrawn {
        let mut inner = self.inner();
        let at = inner.keys.iter().position(|(name, _)| name == kid);
        let (kid, signer) = inner.keys.remove(at.expect("a key of this name"));
        Withdrawn { kid, signer }
    }

    /// Claims of a user with a phone, good for an hour.
    pub(crate) fn claims(&self, user: &str, phone: &str) -> Value {
        let now = now();
        json!({
            "iss": format!("http://{}", self.address), "aud": [AUDIENCE, "other"], "sub": user, "iat": now,
            "exp": now + 3600, "phone_number": phone, "phone_number_verified": true,
        })
    }

    /// A token that is signed with a published key.
    pub(crate) fn sign(&self, kid: &str, claims: &Value) -> String {
        let inner = self.inner();
        let (_, signer) = inner
            .keys
            .iter()
            .find(|(name, _)| name == kid)
            .expect("a key of this name");
        signed(kid, signer, claims)
    }

    /// Stands by a token from now on, or (`None`) no more.
    pub(crate) fn vouch(&self, token: &str, user: Option<(&str, &str)>) {
        let says = match user {
            Some((user, phone)) => {
                json!({"active": true, "username": user, "aud": AUDIENCE, "phone_number": phone})
            }
            None => json!({"active": false}),
        };
        self.says(token, says);
    }

    /// Says this of a token from now on.
    pub(crate) fn says(&self, token: &str, says: Value) {
        self.inner().tokens.insert(secret(token), says);
    }

    /// Answers 503 to everything, or no more.
    pub(crate) fn set_down(&self, is_down: bool) {
        self.inner().is_down = is_down;
    }

    /// How often the keys were fetched, and how often it was asked about a token.
    pub(crate) fn calls(&self) -> (usize, usize) {
        let inner = self.inner();
        assert_eq!(inner.wrong_clients, 0, "the gateway did not sign in");
        (inner.fetched, inner.asked)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("issuer")
    }
}

/// A key that its issuer has withdrawn.
pub(crate) struct Withdrawn {
    kid: String,
    signer: Arc<Signer>,
}

impl Withdrawn {
    pub(crate) fn sign(&self, claims: &Value) -> String {
        signed(&self.kid, &self.signer, claims)
    }
}

fn now() -> u64 {
    #[allow(clippy::disallowed_methods, reason = "a test of the real clock")]
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.expect("time").as_secs()
}

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn signed(kid: &str, signer: &Signer, claims: &Value) -> String {
    let alg = match signer {
        Signer::Rsa(_) => "RS256",
        Signer::Ec(_) => "ES256",
        Signer::Ed(_) => "EdDSA",
    };
    let header = json!({"alg": alg, "kid": kid, "typ": "at+jwt"});
    let message = format!("{}.{}", b64(header.to_string()), b64(claims.to_string()));
    let (rng, bytes) = (SystemRandom::new(), message.as_bytes());
    let signature = match signer {
        Signer::Rsa(key) => {
            let mut signature = vec![0; key.public_modulus_len()];
            key.sign(&RSA_PKCS1_SHA256, &rng, bytes, &mut signature)
                .expect("signature");
            signature
        }
        Signer::Ec(key) => key.sign(&rng, bytes).expect("signature").as_ref().to_vec(),
        Signer::Ed(key) => key.sign(bytes).as_ref().to_vec(),
    };
    secret(&format!("{message}.{}", b64(signature)))
}

fn jwk(kid: &str, signer: &Signer) -> Value {
    match signer {
        Signer::Rsa(key) => {
            let n = key.public_key().modulus();
            let e = key.public_key().exponent();
            json!({
                "kty": "RSA", "kid": kid, "use": "sig", "alg": "RS256",
                "n": b64(n.big_endian_without_leading_zero()), "e": b64(e.big_endian_without_leading_zero()),
            })
        }
        Signer::Ec(key) => {
            let point = key.public_key().as_ref();
            json!({"kty": "EC", "kid": kid, "crv": "P-256", "x": b64(&point[1..33]), "y": b64(&point[33..])})
        }
        Signer::Ed(key) => {
            json!({"kty": "OKP", "kid": kid, "crv": "Ed25519", "x": b64(key.public_key())})
        }
    }
}

async fn keys(State(issuer): State<Issuer>, headers: HeaderMap) -> Response {
    let mut inner = issuer.inner();
    inner.fetched += 1;
    if inner.is_down {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let keys: Vec<Value> = inner.keys.iter().map(|(kid, it)| jwk(kid, it)).collect();
    let names: Vec<&str> = inner.keys.iter().map(|(kid, _)| kid.as_str()).collect();
    let etag = format!("\"{}\"", names.join(","));
    if headers.get("if-none-match").is_some_and(|it| it == &etag) {
        return (StatusCode::NOT_MODIFIED, [("etag", etag)]).into_response();
    }
    ([("etag", etag)], json!({"keys": keys}).to_string()).into_response()
}

async fn introspect(State(issuer): State<Issuer>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.expect("body");
    let mut inner = issuer.inner();
    inner.asked += 1;
    if inner.is_down {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    // Form-encoded, then joined, then base64 (RFC 6749 section 2.3.1).
    let encoded: String = form_urlencoded::byte_serialize(CLIENT_SECRET.as_bytes()).collect();
    let expected = format!("Basic {}", STANDARD.encode(format!("vestibule:{encoded}")));
    if parts
        .headers
        .get("authorization")
        .is_none_or(|it| it != &expected)
    {
        inner.wrong_clients += 1;
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let fields: HashMap<String, String> = form_urlencoded::parse(&body).into_owned().collect();
    let says = fields
        .get("token")
        .and_then(|token| inner.tokens.get(token));
    let says = says.cloned().unwrap_or_else(|| json!({"active": false}));
    says.to_string().into_response()
}
