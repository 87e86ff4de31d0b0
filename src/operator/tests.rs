//! The operator's API against the in-memory store: what it does and what it answers.

mod changes;
mod trail;
mod walk;

use super::keys::KeyLine;
use super::problem::Problem;
use super::sessions::{Revoke, SessionLine, SessionsRevoked};
use super::shares::{NewShareLine, RecipientAdd, ShareAdd, ShareLine, ShareRevoked};
use super::users::{NewUserLine, UserAdd, UserLine, UserReset};
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

fn named(name: &str) -> UserAdd {
    UserAdd {
        name: name.to_owned(),
        ..UserAdd::default()
    }
}

async fn add(operator: &Operator, user: UserAdd) -> Result<UserId, Problem> {
    let made: NewUserLine = asked(operator, "POST", "/v1/users", user).await?;
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

async fn revoke_share(operator: &Operator, id: ShareId) -> Result<ShareRevoked, Problem> {
    asked(operator, "DELETE", &format!("/v1/shares/{id}"), ()).await
}

fn of(path: &str) -> ShareAdd {
    ShareAdd {
        path: path.to_owned(),
        ..ShareAdd::default()
    }
}

#[tokio::test]
async fn a_user_is_made_and_listed_without_what_is_private() {
    let operator = operator();
    let id = add(
        &operator,
        UserAdd {
            phone: Some(Secret::new("+4520123456")),
            email: Some(Secret::new("anna@example.org")),
            password: Some(Secret::new("correct horse")),
            can_edit_users: true,
            ..named("anna")
        },
    )
    .await
    .unwrap();
    let stored = operator.store.user(id).await.unwrap().unwrap();
    assert_eq!(
        (stored.name.as_str(), stored.realm.as_str()),
        ("anna", "local")
    );
    assert_eq!(stored.phone.unwrap().e164(), "+4520123456");

    let line = list(&operator).await.remove(0);
    assert_eq!(line.phone.as_deref(), Some("+45******56"));
    assert_eq!(line.email.as_deref(), Some("a****a@example.org"));
    assert!(line.has_password && line.can_edit_users);

    let hash = stored.password_hash.unwrap();
    assert!(hash.expose().starts_with("$argon2id$"));
    let again = add(&operator, named("anna")).await.unwrap_err();
    assert_eq!((again.status, again.is_usage()), (409, false));
}

#[tokio::test]
async fn what_cannot_be_a_user_is_refused() {
    let operator = operator();
    let text = |text: &str| Some(Secret::new(text));
    for name in ["", "12", "share:1", "id:3", "a\nb", &"x".repeat(257)] {
        refused(add(&operator, named(name)).await, "body/name");
    }
    for phone in ["20123456", "+4512", "words"] {
        let user = UserAdd {
            phone: text(phone),
            ..named("anna")
        };
        refused(add(&operator, user).await, "body/phone");
    }
    for email in ["anna", "@example.org", "anna@", "a@b@c", "a b@c"] {
        let user = UserAdd {
            email: text(email),
            ..named("anna")
        };
        refused(add(&operator, user).await, "body/email");
    }
    for password in ["", "two\nlines", &"x".repeat(1_025)] {
        let user = UserAdd {
            password: text(password),
            ..named("anna")
        };
        refused(add(&operator, user).await, "body/password");
    }
    assert_eq!(list(&operator).await, []);
}

#[tokio::test]
async fn the_identity_is_the_only_accounts_one_or_the_one_that_is_named() {
    let operator = operator();
    let of = |identity: &str| UserAdd {
        identity: Some(identity.to_owned()),
        ..named("anna")
    };
    let learned = refused(add(&operator, of("backend")).await, "identity");
    assert!(learned.contains("from elsewhere"), "{learned}");
    let unknown = refused(add(&operator, of("nowhere")).await, "identity");
    assert!(unknown.contains("no identity `nowhere`"), "{unknown}");

    reconfigure(&operator, |config| {
        config
            .identities
            .insert("more".to_owned(), Identity::Accounts);
    });
    let either = refused(add(&operator, named("anna")).await, "identity");
    assert_eq!(
        either,
        "the config has several `accounts` identities (local, more): say which with --identity"
    );
    add(&operator, of("more")).await.unwrap();

    reconfigure(&operator, |config| {
        config.identities.retain(|name, _| name == "backend");
    });
    refused(add(&operator, named("anna")).await, "config");
}

#[tokio::test]
async fn a_user_is_found_by_id_or_name_and_never_guessed() {
    let operator = operator();
    let anna = add(&operator, named("anna")).await.unwrap();
    let learned = |name: &str| crate::auth::ports::LearnedUser {
        realm: "backend".to_owned(),
        name: name.to_owned(),
        phone: None,
        email: None,
        groups: None,
    };
    let id_of_anna = anna.to_string();
    let digits = operator
        .store
        .learn_user(learned(&id_of_anna), NOW)
        .await
        .unwrap();
    let find = async |user: &str| operator.find_user(user, None).await.map(|user| user.id);

    assert_eq!(find("anna").await.unwrap(), anna);
    assert_eq!(find(&format!("id:{anna}")).await.unwrap(), anna);
    assert_eq!(find(&format!("id:{digits}")).await.unwrap(), digits);
    let either = find(&id_of_anna).await.unwrap_err();
    assert!(
        matches!(either, OperatorError::ManySuchUsers { .. }),
        "{either}"
    );
    assert!(matches!(
        find("bob").await,
        Err(OperatorError::NoSuchUser(_))
    ));

    let namesake = operator
        .store
        .learn_user(learned("anna"), NOW)
        .await
        .unwrap();
    assert!(matches!(
        find("anna").await,
        Err(OperatorError::ManySuchUsers { .. })
    ));
    let of_backend = operator.find_user("anna", Some("backend")).await;
    assert_eq!(of_backend.unwrap().id, namesake);
    let of_other = format!("id:{anna}");
    assert!(
        operator
            .find_user(&of_other, Some("backend"))
            .await
            .is_err()
    );
    let shown: UserLine = asked(&operator, "GET", "/v1/users/anna?identity=backend", ())
        .await
        .unwrap();
    assert_eq!(shown.id, namesake);
    assert_eq!(
        status(asked::<Value>(&operator, "GET", "/v1/users/anna", ()).await),
        422
    );
    assert_eq!(
        status(asked::<Value>(&operator, "GET", "/v1/users/bob", ()).await),
        404
    );
}

#[tokio::test]
async fn a_share_link_has_a_url_and_a_token_that_opens_only_its_path() {
    let operator = operator();
    let made = share(
        &operator,
        ShareAdd {
            lifetime_secs: Some(60),
            ..of("/photos/../docs")
        },
    )
    .await
    .unwrap();
    let token = made.token.as_ref().unwrap().expose();
    assert_eq!(token.len(), 43);
    assert_eq!(made.path, "/docs/");
    assert_eq!(
        made.url.as_ref().unwrap().expose(),
        format!("https://files.example.org:8443/share/{token}")
    );
    let digest = operator.keys.realm("local").token(token);
    let (stored, holder) = operator.store.token(digest, NOW).await.unwrap().unwrap();
    assert_eq!(stored.share, Some(made.id));
    assert_eq!(holder.scope(), Some("/docs/"));
    assert_eq!(stored.expires_at, Some(Timestamp(NOW.0 + 60)));

    let shares = shares(&operator).await;
    assert_eq!(shares.len(), 1);
    assert!(!serde_json::to_string(&shares).unwrap().contains(token));

    revoke_share(&operator, made.id).await.unwrap();
    assert_eq!(operator.store.token(digest, NOW).await.unwrap(), None);
    assert_eq!(status(revoke_share(&operator, made.id).await), 404);
}

fn to(phone: Option<&str>, email: Option<&str>) -> RecipientAdd {
    RecipientAdd {
        phone: phone.map(Secret::new),
        email: email.map(Secret::new),
    }
}

#[tokio::test]
async fn a_share_for_several_people_lists_each_and_none_twice() {
    let operator = operator();
    let people = vec![
        to(Some("+45 12 34 56 78"), Some("anna@Example.org")),
        to(None, Some("bo@example.org")),
    ];
    let made = share(
        &operator,
        ShareAdd {
            recipients: people,
            devices_max: Some(3),
            ..of("/docs/")
        },
    );
    let made = made.await.unwrap();
    let shares = shares(&operator).await;
    let [line] = &shares[..] else { panic!("one") };
    assert_eq!((line.devices, line.devices_max), (0, Some(3)));
    assert_eq!(line.recipients, made.recipients);
    let people = line
        .recipients
        .iter()
        .map(|it| (it.phone.as_deref(), it.email.as_deref()));
    let masked = [
        (Some("+45******78"), Some("a****a@example.org")),
        (None, Some("b****@example.org")),
    ];
    assert_eq!(people.collect::<Vec<_>>(), masked);
    let users: Vec<_> = made.recipients.iter().map(|it| it.user).collect();
    revoke_share(&operator, made.id).await.unwrap();
    for user in users {
        assert_eq!(operator.store.user(user).await.unwrap(), None);
    }
}

#[tokio::test]
async fn people_who_cannot_be_told_apart_or_reached_are_refused() {
    let operator = operator();
    let refused = async |recipients: Vec<RecipientAdd>| {
        let new = ShareAdd {
            recipients,
            ..of("/docs/")
        };
        let refused = share(&operator, new).await.unwrap_err();
        assert!(refused.is_usage());
        refused.detail
    };
    let twice = vec![
        to(Some("+4512345678"), None),
        to(Some("+45 1234 5678"), None),
    ];
    let said = refused(twice).await;
    assert!(
        said.contains("(+45******78): name each person once"),
        "{said}"
    );
    let twice = vec![
        to(None, Some("a@b.example")),
        to(Some("+4512345678"), Some("A@B.example")),
    ];
    assert!(refused(twice).await.contains("same number or address"));
    assert!(
        refused(vec![to(Some("12345678"), None)])
            .await
            .contains("phone number")
    );
    for address in ["anna", "a b@c.example", "\"x\"@c.example", "a@b@c.example"] {
        let said = refused(vec![to(None, Some(address))]).await;
        assert!(
            said.contains("email address is not usable"),
            "{address}: {said}"
        );
    }
    let many = (0..21).map(|n| to(Some(&format!("+45123456{n:02}")), None));
    assert!(
        refused(many.collect())
            .await
            .contains("20 people at most, not for 21")
    );
    assert!(operator.store.shares().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_share_that_no_route_would_open_is_refused() {
    let said = refused(share(&operator(), of("/a%2fb/")).await, "body/path");
    assert!(said.contains("cannot be shared"), "{said}");
}

#[tokio::test]
async fn a_shares_url_follows_the_config() {
    let operator = operator();
    let url = async || {
        let made = share(&operator, of("/a/")).await?;
        let token = made.token.unwrap();
        let url = made.url.unwrap().expose().to_owned();
        Ok::<_, Problem>(url.replace(token.expose(), "…"))
    };
    reconfigure(&operator, |config| {
        for listener in &mut config.listeners {
            listener.address.set_port(443);
        }
    });
    assert_eq!(url().await.unwrap(), "https://files.example.org/share/…");
    reconfigure(&operator, |config| {
        config.listeners = vec![listener("[::1]:80", false)];
        for route in &mut config.routes {
            route.hosts = vec!["*".to_owned()];
        }
    });
    assert_eq!(url().await.unwrap(), "http://[::1]/share/…");
    reconfigure(&operator, |config| {
        config.listeners = vec![listener("0.0.0.0:8080", false)];
    });
    assert_eq!(url().await.unwrap(), "http://localhost:8080/share/…");
    reconfigure(&operator, |config| {
        config.routes.retain(|route| route.identity == "backend");
    });
    refused(url().await, "config");
}

#[tokio::test]
async fn a_path_that_could_be_read_in_two_ways_is_not_shared() {
    let operator = operator();
    for path in ["docs", "/a\\b", "/a%00", ""] {
        refused(share(&operator, of(path)).await, "body/path");
    }
    assert!(operator.store.shares().await.unwrap().is_empty());
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
    Ok(ended.sessions)
}

fn of_user(name: &str) -> Revoke {
    Revoke {
        user: Some(name.to_owned()),
        ..Revoke::default()
    }
}

#[tokio::test]
async fn sessions_are_listed_and_ended_one_a_users_or_all() {
    let operator = operator();
    let [anna, bob] = with_sessions(&operator).await;
    assert_eq!(sessions(&operator, "").await.len(), 3);
    let of_anna = sessions(&operator, "?user=anna").await;
    assert_eq!(of_anna.len(), 2);
    assert!(
        of_anna
            .iter()
            .all(|line| line.user == anna && line.factor == "sms")
    );

    let one = format!("/v1/sessions/{}", of_anna[0].id);
    let ended: SessionsRevoked = asked(&operator, "DELETE", &one, ()).await.unwrap();
    assert_eq!(ended.sessions, 1);
    assert_eq!(
        status(asked::<Value>(&operator, "DELETE", &one, ()).await),
        404
    );
    assert_eq!(revoke(&operator, of_user("anna")).await.unwrap(), 1);
    let left = sessions(&operator, "").await;
    assert_eq!(left.iter().map(|line| line.user).collect::<Vec<_>>(), [bob]);
    let all = Revoke {
        all: true,
        ..Revoke::default()
    };
    assert_eq!(revoke(&operator, all).await.unwrap(), 1);
    assert_eq!(sessions(&operator, "").await, []);
    refused(revoke(&operator, Revoke::default()).await, "body");
}

#[tokio::test]
async fn a_reset_ends_that_users_sessions_and_nobody_elses() {
    let operator = operator();
    let [anna, bob] = with_sessions(&operator).await;
    let reset: UserReset = asked(&operator, "POST", "/v1/users/anna/reset-2fa", json!({}))
        .await
        .unwrap();
    assert_eq!(reset.id, anna);
    let left = sessions(&operator, "").await;
    assert_eq!(left.iter().map(|line| line.user).collect::<Vec<_>>(), [bob]);
}

#[tokio::test]
async fn lists_come_in_parts_that_hold_every_item_once() {
    let operator = operator();
    for n in 0..7 {
        add(&operator, named(&format!("user{n}"))).await.unwrap();
    }
    let (mut seen, mut after) = (Vec::new(), "0".to_owned());
    loop {
        let uri = format!("/v1/users?limit=3&after={after}");
        let page: Page<UserLine> = asked(&operator, "GET", &uri, ()).await.unwrap();
        assert!(page.items.len() <= 3);
        seen.extend(page.items.iter().map(|line| line.name.clone()));
        match page.next {
            Some(next) => after = next,
            None => break,
        }
    }
    let all: Vec<_> = (0..7).map(|n| format!("user{n}")).collect();
    assert_eq!(seen, all);
    for limit in ["0", "1001"] {
        let uri = format!("/v1/users?limit={limit}");
        refused(
            asked::<Value>(&operator, "GET", &uri, ()).await,
            "query/limit",
        );
    }
    for query in ["limit=x", "limit=-1", "unknown=1", "limit=1&limit=2"] {
        let uri = format!("/v1/users?{query}");
        refused(asked::<Value>(&operator, "GET", &uri, ()).await, "query");
    }
}

#[tokio::test]
async fn a_timed_store_answers_as_it_is_and_counts_its_verbs() {
    use crate::observe::metrics::Metrics;
    use crate::observe::timed::Timed;
    let metrics = Metrics::new().unwrap();
    let plain = operator();
    let timed = Operator {
        store: Arc::new(Timed::new(plain.store.clone(), metrics.clone())),
        ..plain.clone()
    };
    let id = add(&timed, named("anna")).await.unwrap();
    assert_eq!(
        timed.store.user(id).await.unwrap(),
        plain.store.user(id).await.unwrap()
    );
    let text = metrics.render().unwrap();
    for line in [
        r#"vestibule_store_seconds_count{verb="create_user"} 1"#,
        r#"vestibule_store_seconds_count{verb="user"} 1"#,
    ] {
        assert!(text.contains(line), "{line} is missing from\n{text}");
    }
    let failed = text
        .lines()
        .filter(|it| it.starts_with("vestibule_store_errors_total{"));
    assert!(
        failed.clone().count() > 50,
        "every verb is counted from zero"
    );
    assert!(failed.into_iter().all(|it| it.ends_with(" 0")), "{text}");
}

#[tokio::test]
async fn keys_are_replaced_for_every_algorithm_of_the_config() {
    let operator = operator();
    let mut config = operator.config.load().as_ref().clone();
    config.routes[0].token_algorithm = crate::auth::ports::SigningAlgorithm::Rs256;
    operator.config.store(Arc::new(config));
    let rotate = async |how: Value| -> Vec<KeyLine> {
        let uri = "/v1/keys/rotate";
        asked(&operator, "POST", uri, how).await.unwrap()
    };
    let keys = rotate(json!({})).await;
    let names: Vec<_> = keys.iter().map(|key| key.algorithm.as_str()).collect();
    assert_eq!(names, ["EdDSA", "RS256"]);
    let later = NOW.after(Duration::from_secs(600));
    assert_eq!(keys[0].signs_from, later.iso8601());
    let longest = Duration::from_secs(30 * 86_400);
    assert_eq!(keys[0].others_end_at, later.after(longest).iso8601());
    let kept = operator.store.signing_keys(NOW).await.unwrap();
    let kids: Vec<_> = kept.iter().map(|key| key.kid.as_str()).collect();
    assert_eq!(kids, [keys[0].kid.as_str(), keys[1].kid.as_str()]);

    let now = rotate(json!({ "at_once": true })).await;
    assert_eq!(now[0].signs_from, NOW.iso8601());
}
