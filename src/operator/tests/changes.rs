//! What the API changes, who is told of it, and many who want the same at once.

use super::*;
use crate::operator::factors::{FactorRemoved, Factors};
use crate::operator::lockouts::{Freed, LockoutKind, LockoutLine};
use crate::operator::users::{UserRemoved, UserSet};
use std::sync::Mutex;

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

async fn set(operator: &Operator, user: &str, set: Value) -> Result<UserLine, Problem> {
    asked(operator, "PATCH", &format!("/v1/users/{user}"), set).await
}

async fn locked(operator: &Operator, who: Who) {
    use crate::auth::lockout::LockoutPolicy;
    let mut policy = LockoutPolicy::for_user(&operator.config.load().lockout);
    policy.lock_at = 1;
    let counted = [who.counted(&operator.keys, policy)];
    operator.store.failed(&counted, NOW).await.unwrap();
}

async fn lockouts(operator: &Operator) -> Vec<LockoutLine> {
    let page: Page<LockoutLine> = asked(operator, "GET", "/v1/lockouts", ()).await.unwrap();
    page.items
}

#[tokio::test]
async fn what_an_operator_does_is_in_the_trail_with_the_uid() {
    let (operator, told) = listened_to();
    let [anna, _] = with_sessions(&operator).await;
    set(&operator, "anna", json!({ "phone": "+4512345678" }))
        .await
        .unwrap();
    locked(&operator, Who::User(anna)).await;
    let _: Freed = asked(&operator, "DELETE", "/v1/lockouts?user=anna", ())
        .await
        .unwrap();
    let _: FactorRemoved = asked(&operator, "DELETE", "/v1/users/anna/factors/sms", ())
        .await
        .unwrap();
    revoke(&operator, of_user("anna")).await.unwrap();
    let _: UserReset = asked(&operator, "POST", "/v1/users/anna/reset-2fa", json!({}))
        .await
        .unwrap();
    let _: UserRemoved = asked(&operator, "DELETE", "/v1/users/anna", ())
        .await
        .unwrap();
    let told = told.0.lock().unwrap();
    let of_anna = told.iter().filter(|event| event.user == Some(anna));
    let said: Vec<_> = of_anna
        .map(|event| format!("{} {}", event.kind.as_str(), event.detail))
        .collect();
    insta::assert_debug_snapshot!(said);
    assert!(told.iter().all(|event| event.route == "operator"));
}

#[tokio::test]
async fn a_patch_changes_what_it_names() {
    let operator = operator();
    let [anna, bob] = with_sessions(&operator).await;
    let line = set(
        &operator,
        "anna",
        json!({ "phone": "+4512345678", "email": "a@b.example" }),
    )
    .await;
    assert_eq!(line.unwrap().phone.as_deref(), Some("+45******78"));
    assert_eq!(sessions(&operator, "").await.len(), 3, "sessions go on");
    let line = set(
        &operator,
        "anna",
        json!({ "phone": null, "can_edit_users": true }),
    )
    .await
    .unwrap();
    assert_eq!((line.phone, line.can_edit_users), (None, true));
    assert_eq!(line.email.as_deref(), Some("****@b.example"));

    let line = set(&operator, "anna", json!({ "password": "correct horse" }))
        .await
        .unwrap();
    assert!(line.has_password);
    let left = sessions(&operator, "").await;
    assert_eq!(left.iter().map(|line| line.user).collect::<Vec<_>>(), [bob]);
    let stored = operator.store.user(anna).await.unwrap().unwrap();
    assert!(
        stored
            .password_hash
            .unwrap()
            .expose()
            .starts_with("$argon2id$")
    );

    refused(set(&operator, "anna", json!({})).await, "body");
    refused(
        set(&operator, "anna", json!({ "phone": "12" })).await,
        "body/phone",
    );
    refused(
        set(&operator, "anna", json!({ "password": "" })).await,
        "body/password",
    );
    refused(
        set(&operator, "anna", json!({ "can_edit_users": null, "x": 1 })).await,
        "body",
    );
    assert_eq!(
        status(set(&operator, "carl", json!({ "phone": null })).await),
        404
    );
    let learned = crate::auth::ports::LearnedUser {
        realm: "backend".to_owned(),
        name: "dora".to_owned(),
        phone: None,
        email: None,
        groups: None,
    };
    operator.store.learn_user(learned, NOW).await.unwrap();
    let elsewhere = set(&operator, "dora", json!({ "password": "correct horse" })).await;
    assert!(refused(elsewhere, "body/password").contains("has its passwords elsewhere"));
}

#[test]
fn what_the_command_line_sends_is_what_it_means() {
    let secret = |text: &str| Some(Some(Secret::new(text)));
    let set = UserSet {
        phone: secret("+4512345678"),
        email: Some(None),
        ..UserSet::default()
    };
    let text = serde_json::to_string(&set).unwrap();
    assert_eq!(text, r#"{"phone":"+4512345678","email":null}"#);
    let back: UserSet = serde_json::from_str(&text).unwrap();
    assert_eq!(back.phone.unwrap().unwrap().expose(), "+4512345678");
    assert!(matches!((back.email, back.password), (Some(None), None)));
    assert!(!format!("{set:?}").contains("1234"));
}

#[tokio::test]
async fn a_recipient_goes_with_its_share_alone() {
    let operator = operator();
    let made = share(&operator, of("/docs/")).await.unwrap();
    let user = format!("/v1/users/{}", made.recipients[0].user);
    let gone = asked::<Value>(&operator, "DELETE", &user, ())
        .await
        .unwrap_err();
    assert_eq!(gone.status, 409);
    assert!(gone.detail.contains("vestibule share"), "{gone:?}");
    let changed = asked::<Value>(&operator, "PATCH", &user, json!({ "phone": null })).await;
    assert_eq!(status(changed), 409);
    assert_eq!(shares(&operator).await.len(), 1);
}

#[tokio::test]
async fn factors_are_listed_masked_and_turned_off_one_by_one() {
    let operator = operator();
    let anna = UserAdd {
        phone: Some(Secret::new("+4512345678")),
        email: Some(Secret::new("anna@example.org")),
        ..named("anna")
    };
    add(&operator, anna).await.unwrap();
    let factors = async || -> Factors {
        asked(&operator, "GET", "/v1/users/anna/factors", ())
            .await
            .unwrap()
    };
    let ids = |factors: &Factors| -> Vec<String> {
        factors.items.iter().map(|one| one.id.clone()).collect()
    };
    let all = factors().await;
    assert_eq!(ids(&all), ["sms", "email"]);
    assert_eq!(all.items[0].to.as_deref(), Some("+45******78"));
    assert!(!all.items[0].enrolled);
    let remove = async |factor: &str| {
        let uri = format!("/v1/users/anna/factors/{factor}");
        asked::<FactorRemoved>(&operator, "DELETE", &uri, ()).await
    };
    assert_eq!(remove("sms").await.unwrap().factor, "sms");
    assert_eq!(ids(&factors().await), ["email"]);
    for gone in ["sms", "totp", "passkey-9", "passkey-x", "nonsense"] {
        assert_eq!(status(remove(gone).await), 404, "{gone}");
    }
    // Fifty at once: it is turned off once.
    let racers: Vec<_> = (0..50)
        .map(|_| {
            let operator = operator.clone();
            let uri = "/v1/users/anna/factors/email";
            tokio::spawn(async move { call(&operator, "DELETE", uri, ()).await.0 })
        })
        .collect();
    let mut seen = Vec::new();
    for racer in racers {
        seen.push(racer.await.unwrap());
    }
    seen.sort_unstable();
    assert_eq!((seen[0], seen[1], seen[49]), (200, 404, 404));
    assert_eq!(ids(&factors().await), [""; 0]);
}

#[tokio::test]
async fn sessions_end_by_device_however_it_is_named() {
    let operator = operator();
    with_sessions(&operator).await;
    let of_device = |device: &str, user: Option<&str>| Revoke {
        device: Some(device.to_owned()),
        user: user.map(str::to_owned),
        ..Revoke::default()
    };
    assert_eq!(sessions(&operator, "?device=device%201").await.len(), 1);
    assert_eq!(sessions(&operator, "?device=nothing").await.len(), 0);
    assert_eq!(
        status(revoke(&operator, of_device("device 1", Some("bob"))).await),
        404
    );
    assert_eq!(
        revoke(&operator, of_device("device 1", Some("anna")))
            .await
            .unwrap(),
        1
    );
    assert_eq!(
        status(revoke(&operator, of_device("device 1", None)).await),
        404
    );
    assert_eq!(sessions(&operator, "").await.len(), 2);

    // As its client calls itself: the label is made of that.
    let bob = sessions(&operator, "?user=bob").await[0].user;
    let label = operator.keys.device_label("Bob's laptop");
    let keys = operator.keys.realm("local");
    let session = NewSession {
        key: keys.session("t9", None),
        token: keys.token("t9"),
        user: bob,
        device_label: Some(label.clone()),
        whence: Whence {
            address: [192, 0, 2, 9].into(),
            client: String::new(),
        },
        instead_of: None,
        verified_at: NOW,
        expires_at: NOW.after(Duration::from_secs(60)),
    };
    verified(&operator, session).await;
    assert_eq!(
        sessions(&operator, &format!("?device={label}")).await.len(),
        1
    );
    assert_eq!(
        revoke(&operator, of_device("Bob's laptop", None))
            .await
            .unwrap(),
        1
    );
}

#[tokio::test]
async fn a_token_ends_with_what_came_of_it_and_an_unknown_one_is_told() {
    let (operator, told) = listened_to();
    with_sessions(&operator).await;
    let of_token = |token: &str, identity: Option<&str>| Revoke {
        token: Some(Secret::new(token)),
        identity: identity.map(str::to_owned),
        ..Revoke::default()
    };
    assert_eq!(
        status(revoke(&operator, of_token("t1", Some("backend"))).await),
        404
    );
    refused(
        revoke(&operator, of_token("t1", Some("nowhere"))).await,
        "identity",
    );
    assert_eq!(revoke(&operator, of_token("t1", None)).await.unwrap(), 1);
    let digest = operator.keys.realm("local").token("t1");
    assert_eq!(operator.store.token(digest, NOW).await.unwrap(), None);
    let again = revoke(&operator, of_token("t1", None)).await.unwrap_err();
    assert_eq!(
        (again.status, again.place.as_deref()),
        (404, Some("body/token"))
    );
    assert!(!again.detail.contains("t1"), "{again:?}");

    let made = share(&operator, of("/docs/")).await.unwrap();
    let link = made.token.unwrap();
    let of_link = revoke(&operator, of_token(link.expose(), None))
        .await
        .unwrap_err();
    assert_eq!(of_link.status, 409);
    assert!(
        of_link
            .detail
            .contains(&format!("share revoke {}", made.id))
    );
    let told = told.0.lock().unwrap();
    assert!(
        told.iter()
            .all(|event| !event.detail.contains(link.expose()))
    );
}

#[tokio::test]
async fn two_choices_are_none() {
    let operator = operator();
    with_sessions(&operator).await;
    for two in [
        json!({ "all": true, "token": "t1" }),
        json!({ "user": "anna", "all": true }),
        json!({ "user": "anna", "token": "t1" }),
        json!({ "device": "x", "all": true }),
        json!({ "identity": "local" }),
    ] {
        let answer = asked::<Value>(&operator, "POST", "/v1/sessions/revoke", two).await;
        refused(answer, "body");
    }
    assert_eq!(sessions(&operator, "").await.len(), 3);
}

#[tokio::test]
async fn fifty_revocations_at_once_end_each_session_once() {
    let operator = operator();
    with_sessions(&operator).await;
    let racers: Vec<_> = (0..50)
        .map(|n| {
            let operator = operator.clone();
            let body = match n % 3 {
                0 => json!({ "user": "anna" }),
                1 => json!({ "device": "device 2" }),
                _ => json!({ "token": "t2" }),
            };
            tokio::spawn(async move { call(&operator, "POST", "/v1/sessions/revoke", body).await })
        })
        .collect();
    let mut ended = 0;
    for racer in racers {
        let (status, answer) = racer.await.unwrap();
        assert!(status == 200 || status == 404, "{status}: {answer}");
        ended += answer["sessions"].as_u64().unwrap_or(0);
    }
    assert_eq!(ended, 2, "both of anna's, neither twice");
    assert_eq!(sessions(&operator, "").await.len(), 1);
}

#[tokio::test]
async fn who_is_locked_out_is_named_and_freed_without_a_reset() {
    let operator = operator();
    let anna = UserAdd {
        phone: Some(Secret::new("+4512345678")),
        email: Some(Secret::new("anna@example.org")),
        ..named("anna")
    };
    let anna = add(&operator, anna).await.unwrap();
    let account = |name: &str| Who::Account {
        realm: "local".to_owned(),
        name: name.to_owned(),
    };
    assert_eq!(lockouts(&operator).await, []);
    locked(&operator, Who::User(anna)).await;
    locked(&operator, account("anna")).await;
    locked(&operator, account("anna@example.org")).await;
    locked(&operator, account("nobody")).await;
    locked(&operator, Who::Network([192, 0, 2, 1].into())).await;
    // Counted by its digest alone.
    use crate::auth::ports::Counted;
    use crate::auth::subject;
    let Counted { policy, .. } = Who::User(anna).counted(
        &operator.keys,
        crate::auth::lockout::LockoutPolicy {
            delay_every: 1,
            first_delay: Duration::from_secs(30),
            max_delay: Duration::from_secs(30),
            lock_at: 0,
        },
    );
    let mailbox = Counted {
        subject: subject::unauthorized(&operator.keys, "local", "anna@example.org"),
        policy,
        who: None,
    };
    operator.store.failed(&[mailbox], NOW).await.unwrap();

    let all = lockouts(&operator).await;
    let kinds = |all: &[LockoutLine]| {
        let mut kinds: Vec<_> = all.iter().map(|line| line.kind.as_str()).collect();
        kinds.sort_unstable();
        kinds
    };
    assert_eq!(
        kinds(&all),
        [
            "account", "account", "account", "address", "mailbox", "user"
        ]
    );
    let mailbox = all.iter().find(|line| line.kind == LockoutKind::Mailbox);
    let mailbox = mailbox.unwrap();
    assert_eq!(
        (mailbox.user, mailbox.failures, mailbox.locked),
        (Some(anna), 1, false)
    );
    assert_eq!(
        mailbox.delayed_until,
        Some(NOW.after(Duration::from_secs(30)).iso8601())
    );

    let free = async |query: &str| {
        let uri = format!("/v1/lockouts{query}");
        asked::<Freed>(&operator, "DELETE", &uri, ())
            .await
            .map(|it| it.freed)
    };
    assert_eq!(free("?user=anna").await.unwrap(), 4);
    assert_eq!(free("?user=anna").await.unwrap(), 0);
    assert_eq!(kinds(&lockouts(&operator).await), ["account", "address"]);
    let factors: Factors = asked(&operator, "GET", "/v1/users/anna/factors", ())
        .await
        .unwrap();
    assert_eq!(factors.items.len(), 2, "factors stay");
    assert_eq!(free("?address=192.0.2.1").await.unwrap(), 1);
    let [left] = &lockouts(&operator).await[..] else {
        panic!("one")
    };
    assert_eq!(left.name.as_deref(), Some("nobody"));
    assert_eq!(free(&format!("/{}", left.id)).await.unwrap(), 1);
    assert_eq!(status(free(&format!("/{}", left.id)).await), 404);
    assert_eq!(status(free("/zz").await), 404);
    refused(free("").await, "query");
    refused(free("?address=here").await, "query/address");
    refused(free("?user=anna&address=192.0.2.1").await, "query");
    assert_eq!(lockouts(&operator).await, []);
}
