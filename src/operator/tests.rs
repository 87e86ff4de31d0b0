//! The operator's API against the in-memory store: what it does and what it answers.

mod factors;
mod lists;
mod lockouts;
mod sessions;
mod shares;
mod trail;
mod users;
mod walk;

use super::keys::KeyLine;
use super::problem::Problem;
use super::sessions::{Revoke, SessionLine, SessionsRevoked};
use super::shares::{NewShareLine, RecipientAdd, ShareAdd, ShareLine};
use super::users::{UserAdd, UserLine};
use super::*;
use crate::auth::ports::{NewSession, Whence};
use crate::auth::signing::Signer;
use crate::auth::subject::Who;
use crate::clock::ManualClock;
use crate::config::model::{self, Listener};
use crate::entropy::OsEntropy;
use crate::event::NoEvents;
use crate::id::ShareId;
use crate::store::memory::Memory;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::sync::Mutex;
use std::time::Duration;
use tower::ServiceExt as _;

const NOW: Timestamp = Timestamp(1_795_317_694);

/// An operator of an empty store, whose config has the identities `local` (accounts) and `backend`
/// (learned), and a route for share links.
pub(crate) fn operator() -> Operator {
    let store = Arc::new(Memory::default());
    let clock = Arc::new(ManualClock::at(NOW));
    let signer = Signer::new(
        Arc::clone(&store) as _,
        Arc::clone(&clock) as _,
        Arc::new(OsEntropy),
    );
    Operator {
        store,
        signer: Arc::new(signer),
        keys: DigestKeys::derive(&[7; 32]),
        clock,
        entropy: Arc::new(OsEntropy),
        events: Arc::new(NoEvents),
        config: Arc::new(ArcSwap::from_pointee(config())),
        gate: None,
        metrics: None,
    }
}

fn config() -> Config {
    let text = r#"
listeners: [{address: "0.0.0.0:8080"}]
store: {url: "memory:", key: "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}
delivery: {sms: [{http: {url: "http://127.0.0.1:9/sms", query: {to: "{phone}", text: "{text}"}}}]}
identities:
  backend: {learn: {endpoint: /api/authtoken, token: /token, user: /user}}
  local: {accounts: {}}
upstreams: {nas: {servers: ["127.0.0.1:9"]}}
routes:
  - {name: learned, hosts: [learned.example.org], upstream: nas, identity: backend, credentials: [{path: "/no/{token}"}]}
  - name: files
    hosts: ["*.example.org", files.example.org]
    upstream: nas
    identity: local
    credentials: [bearer, {path: "/share/{token}"}]
"#;
    let path = std::path::Path::new("test.yaml");
    let (mut config, _) = crate::config::parse(text, path, &crate::config::System).unwrap();
    config.listeners.push(listener("0.0.0.0:8443", true));
    config
}

fn listener(address: &str, tls: bool) -> Listener {
    let certificates = Vec::new();
    Listener {
        address: address.parse().unwrap(),
        tls: tls.then_some(model::Tls { certificates }),
        forward_auth: false,
    }
}

fn reconfigure(operator: &Operator, change: impl FnOnce(&mut Config)) {
    let mut config = Config::clone(&operator.config.load());
    change(&mut config);
    operator.config.store(Arc::new(config));
}

/// A request to the API, as it is answered.
async fn call(operator: &Operator, method: &str, uri: &str, body: impl Serialize) -> (u16, Value) {
    let body = serde_json::to_string(&body).unwrap();
    let request = Request::builder()
        .method(method)
        .uri(uri)
        .extension(Caller { uid: 1000 })
        .body(Body::from(body))
        .unwrap();
    let answer = router(operator.clone()).oneshot(request).await.unwrap();
    let status = answer.status().as_u16();
    let bytes = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
    (status, serde_json::from_slice(&bytes).unwrap())
}

/// The answer, or why there is none.
async fn asked<T: DeserializeOwned>(
    operator: &Operator,
    method: &str,
    uri: &str,
    body: impl Serialize,
) -> Result<T, Problem> {
    let (status, answer) = call(operator, method, uri, body).await;
    if status < 300 {
        return Ok(serde_json::from_value(answer).unwrap());
    }
    let problem: Problem = serde_json::from_value(answer).unwrap();
    assert_eq!(problem.status, status, "{problem:?}");
    Err(problem)
}

/// What a refusal says, for a request that cannot be taken because of that part of it.
fn refused<T: std::fmt::Debug>(answer: Result<T, Problem>, place: &str) -> String {
    let problem = answer.unwrap_err();
    let said = (problem.status, problem.place.as_deref());
    assert_eq!(said, (422, Some(place)), "{problem:?}");
    problem.detail
}

fn status<T: std::fmt::Debug>(answer: Result<T, Problem>) -> u16 {
    answer.unwrap_err().status
}

/// The status, the code and the place of a refusal.
fn said<T: std::fmt::Debug>(answer: Result<T, Problem>) -> (u16, String, String) {
    let problem = answer.unwrap_err();
    let place = problem.place.unwrap_or_default().into_owned();
    (problem.status, problem.code.into_owned(), place)
}

/// A refusal, as [`said`] has it.
fn is(status: u16, code: &str, place: &str) -> (u16, String, String) {
    (status, code.to_owned(), place.to_owned())
}

fn named(name: &str) -> UserAdd {
    UserAdd {
        name: name.to_owned(),
        ..UserAdd::default()
    }
}

async fn add(operator: &Operator, user: UserAdd) -> Result<UserId, Problem> {
    let made: UserLine = asked(operator, "POST", "/v1/users", user).await?;
    Ok(made.id)
}

async fn list(operator: &Operator) -> Vec<UserLine> {
    let page: Page<UserLine> = asked(operator, "GET", "/v1/users", ()).await.unwrap();
    page.items
}

async fn share(operator: &Operator, share: ShareAdd) -> Result<NewShareLine, Problem> {
    asked(operator, "POST", "/v1/shares", share).await
}

async fn shares(operator: &Operator) -> Vec<ShareLine> {
    let page: Page<ShareLine> = asked(operator, "GET", "/v1/shares", ()).await.unwrap();
    page.items
}

async fn revoke_share(operator: &Operator, id: ShareId) -> Result<Gone<ShareId>, Problem> {
    asked(operator, "DELETE", &format!("/v1/shares/{id}"), ()).await
}

fn of(path: &str) -> ShareAdd {
    ShareAdd {
        path: path.to_owned(),
        ..ShareAdd::default()
    }
}

/// Two users, the first with two sessions, made as a right code makes them.
async fn with_sessions(operator: &Operator) -> [UserId; 2] {
    let anna = add(operator, named("anna")).await.unwrap();
    let bob = add(operator, named("bob")).await.unwrap();
    for (n, user) in [(1, anna), (2, anna), (3, bob)] {
        let session = NewSession {
            key: operator.keys.realm("local").session(&format!("t{n}"), None),
            token: operator.keys.realm("local").token(&format!("t{n}")),
            user,
            device_label: Some(format!("device {n}")),
            whence: Whence {
                address: [192, 0, 2, n].into(),
                client: "Firefox on Linux".to_owned(),
            },
            instead_of: None,
            verified_at: NOW,
            expires_at: NOW.after(Duration::from_secs(60)),
        };
        verified(operator, session).await;
    }
    [anna, bob]
}

async fn verified(operator: &Operator, session: NewSession) {
    use crate::auth::lockout::LockoutPolicy;
    use crate::auth::ports::{
        Attempt, Attempted, Authority, Deeds, FactorKind, NewChallenge, Purpose, Subjects, Token,
        Try,
    };
    use crate::digest::Binding;
    let token = Token {
        digest: session.token,
        user: session.user,
        issued_pair: None,
        scope: None,
        share: None,
        born: None,
        issued_at: NOW,
        expires_at: None,
    };
    operator.store.put_token(token).await.unwrap();
    let policy = LockoutPolicy {
        delay_every: 5,
        first_delay: Duration::from_secs(30),
        max_delay: Duration::from_secs(60),
        lock_at: 100,
    };
    let (bound_to, user, purpose) = (Binding::from(session.key), session.user, Purpose::Verify);
    let code = operator.keys.code(bound_to, purpose.as_str(), "123456");
    let challenge = NewChallenge {
        bound_to,
        purpose,
        user: Some(user),
        factor: FactorKind::Sms,
        code: Some(code),
        value: None,
        replaces_others: false,
        attempts: 5,
        created_at: NOW,
        expires_at: session.expires_at,
    };
    operator.store.put_challenge(challenge).await.unwrap();
    let attempt = Attempt {
        user: Some(user),
        tries: vec![Try::Sent {
            bound_to,
            purpose,
            code,
        }],
        subjects: Subjects {
            user: Who::User(user).counted(&operator.keys, policy),
            address: Who::Network([192, 0, 2, 1].into()).counted(&operator.keys, policy),
        },
        token: Some(session.token),
        wizard: None,
        grant: None,
        authority: Authority::Verified,
        then: Deeds {
            sessions: vec![session],
            ..Deeds::default()
        },
    };
    let attempted = operator.store.attempt(attempt, NOW).await.unwrap();
    assert!(matches!(attempted, Attempted::Right(_)), "{attempted:?}");
}

async fn sessions(operator: &Operator, query: &str) -> Vec<SessionLine> {
    let uri = format!("/v1/sessions{query}");
    let page: Page<SessionLine> = asked(operator, "GET", &uri, ()).await.unwrap();
    page.items
}

async fn revoke(operator: &Operator, which: Revoke) -> Result<u64, Problem> {
    let ended: SessionsRevoked = asked(operator, "POST", "/v1/sessions/revoke", which).await?;
    Ok(ended.revoked)
}

fn of_user(name: &str) -> Revoke {
    Revoke {
        user: Some(name.to_owned()),
        ..Revoke::default()
    }
}

/// Keeps what it is told.
#[derive(Default)]
struct Told(Mutex<Vec<Event>>);

impl Events for Told {
    fn emit(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

fn listened_to() -> (Operator, Arc<Told>) {
    let told = Arc::<Told>::default();
    let operator = Operator {
        events: Arc::clone(&told) as _,
        ..operator()
    };
    (operator, told)
}

async fn locked(operator: &Operator, who: Who) {
    use crate::auth::lockout::LockoutPolicy;
    let mut policy = LockoutPolicy::for_user(&operator.config.load().lockout);
    policy.lock_at = 1;
    let counted = [who.counted(&operator.keys, policy)];
    operator.store.failed(&counted, NOW).await.unwrap();
}
