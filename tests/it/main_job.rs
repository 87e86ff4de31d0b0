//! The main job: a file share behind a second factor, from sign-in to the file.

use crate::support::copyparty::Copyparty;
use crate::support::iogates;
use crate::support::tls::certificate;
use crate::support::{Gateway, Inbox, PASSWORD, PHONE, Setup, Site, secret, status, wait_for};
use serde_json::{Value, json};
use std::time::Duration;

#[tokio::test]
async fn a_file_is_reached_after_the_second_factor_and_not_before() {
    let inbox = Inbox::start().await;
    let share = tempfile::tempdir().expect("folder");
    let files = Copyparty::start(share.path()).await;
    let gateway = Gateway::start(&Setup::accounts(files.address, inbox.address));
    gateway.add_user("anna", PASSWORD, PHONE);
    let token = gateway.sign_in("anna", PASSWORD, "laptop").await;

    let refused = gateway
        .get("/hello.txt", &token, "laptop")
        .send()
        .await
        .expect("answer");
    assert_eq!(refused.status(), 401);
    let challenge = refused.headers()["www-authenticate"]
        .to_str()
        .expect("text")
        .to_owned();
    assert!(
        challenge.contains(r#"error="insufficient_user_authentication""#),
        "{challenge}"
    );
    assert_eq!(
        refused.headers()["content-type"],
        "application/problem+json"
    );
    let problem: Value = refused.json().await.expect("JSON");
    assert_eq!(problem["auth_required"], json!(true));
    assert_eq!(problem["methods"], json!(["sms"]));

    gateway.verify(&inbox, &token, "laptop", PHONE).await;

    let file = gateway
        .get("/hello.txt", &token, "laptop")
        .send()
        .await
        .expect("answer");
    assert_eq!(file.status(), 200);
    assert_eq!(file.text().await.expect("text"), "hello from behind\n");
    // The device the token was issued to, where none is named.
    assert_eq!(status(gateway.get("/hello.txt", &token, "")).await, 200);
    // Another device has passed nothing.
    assert_eq!(
        status(gateway.get("/hello.txt", &token, "phone")).await,
        401
    );
    assert_eq!(inbox.messages().len(), 1, "one code for one pair");
}

#[tokio::test]
async fn a_backend_with_accounts_is_learned_from() {
    let Site {
        backend,
        gateway,
        inbox,
        ..
    } = Site::learn().await;
    secret(iogates::PASSWORD);
    let token = gateway
        .sign_in(iogates::USER, iogates::PASSWORD, "uploader")
        .await;

    let upload = gateway
        .http
        .put(gateway.url("/in/a.bin"))
        .bearer_auth(&token)
        .body("abc");
    assert_eq!(upload.send().await.expect("answer").status(), 401);
    gateway
        .verify(&inbox, &token, "uploader", iogates::PHONE)
        .await;
    let upload = gateway
        .http
        .put(gateway.url("/in/a.bin"))
        .bearer_auth(&token)
        .body("abc");
    assert_eq!(
        upload
            .send()
            .await
            .expect("answer")
            .text()
            .await
            .expect("text"),
        "PUT /in/a.bin 3 bytes\n"
    );

    let seen = backend.seen();
    let put = seen.last().expect("a request");
    assert_eq!(put.headers["x-vestibule-user"], iogates::USER);
    assert_eq!(put.headers["x-vestibule-factor"], "sms");
    assert!(
        seen.iter()
            .all(|it| it.method != "PUT" || it.headers.contains_key("x-vestibule-verified-at"))
    );
}

#[tokio::test]
async fn a_token_from_before_is_asked_for_once() {
    let Site {
        backend,
        gateway,
        inbox,
        ..
    } = Site::learn().await;
    backend.issue_unseen("issued-before-vestibule-came");
    let token = "issued-before-vestibule-came";
    gateway
        .verify(&inbox, token, "old-client", iogates::PHONE)
        .await;
    let file = gateway
        .get("/file", token, "old-client")
        .send()
        .await
        .expect("answer");
    assert_eq!(file.status(), 200);
    let probes = backend
        .seen()
        .iter()
        .filter(|it| it.target == "/api/profile")
        .count();
    assert_eq!(probes, 1);
}

#[tokio::test]
async fn wrong_passwords_at_a_backend_are_throttled_by_address() {
    let Site {
        backend, gateway, ..
    } = Site::learn_with(|setup| {
        setup.with(
            "codes:",
            "lockout: {delay_every: 1, address_factor: 4, first_delay: 1h}\ncodes:",
        )
    })
    .await;
    let mut names = 0;
    let mut guess = || {
        // Each account has its own count.
        names += 1;
        let body =
            json!({"username": format!("user{names}"), "password": "wrong again", "deviceId": "x"});
        gateway
            .http
            .post(gateway.url("/api/authtoken"))
            .body(body.to_string())
            .send()
    };
    for _ in 0..4 {
        assert_eq!(guess().await.expect("answer").status(), 401);
    }
    let throttled = wait_for("the delay", Duration::from_secs(5), async || {
        let answer = guess().await.expect("answer");
        (answer.status() == 429).then_some(answer)
    })
    .await;
    assert!(throttled.headers().contains_key("retry-after"));
    let before = backend.seen().len();
    assert_eq!(guess().await.expect("answer").status(), 429);
    assert_eq!(backend.seen().len(), before, "not forwarded");
}

#[tokio::test]
async fn wrong_passwords_at_a_backend_are_throttled_by_account_wherever_they_come_from() {
    let dir = tempfile::tempdir().expect("folder");
    certificate(dir.path(), "files.test");
    let Site {
        backend, gateway, ..
    } = Site::learn_with(|setup| {
        setup
            .with_tls(dir.path(), &["files.test"])
            .with(
                "codes:",
                "lockout: {delay_every: 3, first_delay: 1h}\ncodes:",
            )
            .with("store:", "trusted_proxies: [127.0.0.1/32]\nstore:")
    })
    .await;
    // Over HTTP/2, whose bodies are read in another way.
    let url = format!("https://{}/api/authtoken", gateway.listeners[1]);
    let mut address = 0_u8;
    let mut attempt = |name: &str, password: &str| {
        address += 1;
        let body = json!({"username": name, "password": password, "deviceId": "x"});
        gateway
            .http
            .post(&url)
            .header("X-Forwarded-For", format!("198.51.100.{address}"))
            .body(body.to_string())
            .send()
    };
    for _ in 0..3 {
        let answer = attempt(iogates::USER, "wrong again").await.expect("answer");
        assert_eq!(answer.status(), 401);
        assert_eq!(answer.version(), reqwest::Version::HTTP_2);
    }
    let throttled = wait_for("the delay", Duration::from_secs(5), async || {
        let answer = attempt(iogates::USER, "wrong again").await.expect("answer");
        (answer.status() == 429).then_some(answer)
    })
    .await;
    assert!(throttled.headers().contains_key("retry-after"));
    let before = backend.seen().len();
    let right = attempt(iogates::USER, iogates::PASSWORD)
        .await
        .expect("answer");
    assert_eq!(right.status(), 429, "or a guesser would know by the answer");
    assert_eq!(backend.seen().len(), before, "not forwarded");
    let other = attempt("somebody", "wrong again").await.expect("answer");
    assert_eq!(other.status(), 401, "others are left alone");
}
