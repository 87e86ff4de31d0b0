//! Ziik's "Two Factor Settings".

use super::tools::{add_user, app_code, bearer, curl, is_open, key_of, scanned, signed_in, site};
use crate::support::{PASSWORD, PHONE, secret};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use vestibule::config::model::Dialect;

/// Each call of the document, with the test that sends it.
const CALLS: &[(&str, &str)] = &[
    ("GET /api/two-factor", "settings_are_shown"),
    (
        "PATCH /api/two-factor",
        "settings_are_replaced_and_verified",
    ),
    (
        "GET /api/two-factor/qr",
        "the_qr_code_is_scanned_by_a_phone",
    ),
    ("GET /api/two-factor/secret", "a_new_secret_is_generated"),
    (
        "POST /api/two-factor/send-verification",
        "a_code_is_sent_by_sms",
    ),
    (
        "POST /api/two-factor/verify",
        "settings_are_replaced_and_verified",
    ),
    (
        "POST /api/users/{id}/two-factor/reset",
        "an_editor_resets_another_user",
    ),
];

const KEY: &str = "T42NQXFCPWEJMGJY";

#[test]
fn every_call_is_here() {
    super::tools::lists_every_call(Dialect::Ziik, CALLS, include_str!("ziik.rs"));
}

/// The settings of a user without any.
fn none() -> Value {
    json!({"data": {
        "method": null, "secret_key": null, "phone_prefix": null, "phone": null, "verified": false,
    }})
}

#[tokio::test]
async fn settings_are_shown() {
    let site = site().await;
    let token = bearer(&signed_in(&site.gateway, "anna", &[]).await);
    let url = site.gateway.url("/api/two-factor");
    curl(&[&url, "-H", &token]).await.is(200, &none());
    let body = json!({"method": "google", "secret_key": secret(KEY)}).to_string();
    let set = curl(&["-X", "PATCH", &url, "-H", &token, "-d", &body]).await;
    set.is_empty(204);
    let shown = json!({"data": {
        "method": "google", "secret_key": KEY, "phone_prefix": null, "phone": null,
        "verified": false,
    }});
    curl(&[&url, "-H", &token]).await.is(200, &shown);
}

#[tokio::test]
async fn settings_are_replaced_and_verified() {
    let site = site().await;
    let token = signed_in(&site.gateway, "anna", &[]).await;
    let of_token = bearer(&token);
    let url = |path: &str| site.gateway.url(&format!("/api/two-factor{path}"));
    let send = async |method: &str, path: &str, body: Value| {
        let body = body.to_string();
        curl(&["-i", "-X", method, &url(path), "-H", &of_token, "-d", &body]).await
    };
    assert!(!is_open(&site.gateway, &token).await);
    let google = json!({"method": "google", "secret_key": secret(KEY)});
    send("PATCH", "", google).await.is_empty(204);
    let key = app_code(KEY, 0).await;
    send("POST", "/verify", json!({"key": key}))
        .await
        .is_empty(204);
    assert!(is_open(&site.gateway, &token).await);
    let shown = json!({"data": {
        "method": "google", "secret_key": null, "phone_prefix": null, "phone": null,
        "verified": true,
    }});
    curl(&[&url(""), "-H", &of_token]).await.is(200, &shown);

    // A number in its place: the authenticator holds until the number is verified.
    let sms = json!({"method": "sms", "phone_prefix": 45, "phone": 12_345_678});
    send("PATCH", "", sms).await.is_empty(204);
    let pending = json!({"data": {
        "method": "sms", "secret_key": null, "phone_prefix": 45, "phone": 12_345_678,
        "verified": false,
    }});
    curl(&[&url(""), "-H", &of_token]).await.is(200, &pending);
    let tablet = site.gateway.sign_in("anna", PASSWORD, "tablet").await;
    curl(&[&url(""), "-H", &bearer(&tablet)])
        .await
        .is(200, &shown);
    send("POST", "/send-verification", json!({}))
        .await
        .is_empty(204);
    let key = site.inbox.code_for(PHONE);
    send("POST", "/verify", json!({"key": key}))
        .await
        .is_empty(204);
    let mut verified = pending;
    verified["data"]["verified"] = json!(true);
    curl(&[&url(""), "-H", &of_token]).await.is(200, &verified);
    // Whoever holds but the token is told the method alone.
    verified["data"]["phone_prefix"] = Value::Null;
    verified["data"]["phone"] = Value::Null;
    curl(&[&url(""), "-H", &bearer(&tablet)])
        .await
        .is(200, &verified);

    // Empty: off.
    send("PATCH", "", json!({"method": ""})).await.is_empty(204);
    curl(&[&url(""), "-H", &of_token]).await.is(200, &none());
}

#[tokio::test]
async fn what_is_wrong_is_said() {
    let site = site().await;
    let token = bearer(&signed_in(&site.gateway, "anna", &[]).await);
    let url = site.gateway.url("/api/two-factor");
    for (body, field) in [
        ("{}", "method"),
        (r#"{"method": "pigeon"}"#, "method"),
        (r#"{"method": "google"}"#, "secret_key"),
        (
            r#"{"method": "google", "secret_key": "1234567890"}"#,
            "secret_key",
        ),
        (r#"{"method": "sms", "phone": 12345678}"#, "phone_prefix"),
        (r#"{"method": "sms", "phone_prefix": 45}"#, "phone"),
    ] {
        let answer = curl(&["-X", "PATCH", &url, "-H", &token, "-d", body]).await;
        let said = answer.json();
        let text = said["message"].as_str().expect("a message");
        answer.is(422, &json!({"message": text, "errors": {field: [text]}}));
    }
    let answer = curl(&["-X", "PATCH", &url, "-H", &token, "-d", "{"]).await;
    let text = answer.json()["message"].clone();
    answer.is(400, &json!({"message": text}));
    curl(&[&url, "-H", &token]).await.is(200, &none());
    for path in ["/qr", "/send-verification", "/verify"] {
        let url = format!("{url}{path}");
        let data = ["-X", "POST", "-d", r#"{"key": "123456"}"#];
        let data = if path == "/qr" { &data[..0] } else { &data };
        let answer = curl(&[&[&*url, "-H", &token], data].concat()).await;
        let text = answer.json()["message"].clone();
        assert!(text.is_string());
        answer.is(409, &json!({"message": text}));
    }
    let body = json!({"method": "google", "secret_key": secret(KEY)}).to_string();
    curl(&["-X", "PATCH", &url, "-H", &token, "-d", &body])
        .await
        .is_empty(204);
    let wrong = app_code(KEY, 1000).await;
    for key in [&*wrong, "x", ""] {
        let body = json!({"key": key}).to_string();
        let url = format!("{url}/verify");
        let answer = curl(&["-X", "POST", &url, "-H", &token, "-d", &body]).await;
        let text = answer.json()["message"].clone();
        answer.is(422, &json!({"message": text, "errors": {"key": [text]}}));
    }
    let answer = curl(&[&url]).await;
    assert_eq!(
        answer.header("www-authenticate"),
        Some("Bearer realm=\"files\"")
    );
    let text = answer.json()["message"].clone();
    answer.is(401, &json!({"message": text}));
}

#[tokio::test]
async fn the_qr_code_is_scanned_by_a_phone() {
    let site = site().await;
    let token = bearer(&signed_in(&site.gateway, "anna", &[]).await);
    let url = site.gateway.url("/api/two-factor");
    let body = json!({"method": "google", "secret_key": secret(KEY)}).to_string();
    curl(&["-X", "PATCH", &url, "-H", &token, "-d", &body])
        .await
        .is_empty(204);
    let answer = curl(&[&format!("{url}/qr"), "-H", &token]).await;
    let body = answer.json();
    let image = body["data"]["qr_image"].as_str().expect("an image");
    answer.is(200, &json!({"data": {"qr_image": image}}));
    let image = image.strip_prefix("data:image/png;base64,");
    let image = STANDARD.decode(image.expect("a PNG in base64"));
    assert_eq!(key_of(&scanned(&image.expect("base64")), "anna"), KEY);
}

#[tokio::test]
async fn a_new_secret_is_generated() {
    let site = site().await;
    let token = bearer(&signed_in(&site.gateway, "anna", &[]).await);
    let url = site.gateway.url("/api/two-factor/secret");
    let mut keys = Vec::new();
    for _ in 0..2 {
        let answer = curl(&[&url, "-H", &token]).await;
        let body = answer.json();
        let key = secret(body["data"]["secret_key"].as_str().expect("a key"));
        answer.is(200, &json!({"data": {"secret_key": key}}));
        assert_eq!(key.len(), 32, "160 bits");
        keys.push(key);
    }
    assert_ne!(keys[0], keys[1]);
    let url = site.gateway.url("/api/two-factor");
    curl(&[&url, "-H", &token]).await.is(200, &none());
    let body = json!({"method": "google", "secret_key": keys[0]}).to_string();
    curl(&["-X", "PATCH", &url, "-H", &token, "-d", &body])
        .await
        .is_empty(204);
    let body = json!({"key": app_code(&keys[0], 0).await}).to_string();
    let url = format!("{url}/verify");
    curl(&["-X", "POST", &url, "-H", &token, "-d", &body])
        .await
        .is_empty(204);
}

#[tokio::test]
async fn a_code_is_sent_by_sms() {
    let site = site().await;
    // The operator's number is a factor from the start.
    let token = signed_in(&site.gateway, "anna", &["--phone", PHONE]).await;
    let of_token = bearer(&token);
    let url = site.gateway.url("/api/two-factor");
    let shown = json!({"data": {
        "method": "sms", "secret_key": null, "phone_prefix": null, "phone": null, "verified": true,
    }});
    curl(&[&url, "-H", &of_token]).await.is(200, &shown);
    let send = format!("{url}/send-verification");
    let sent = curl(&["-i", "-X", "POST", &send, "-H", &of_token, "-d", "{}"]).await;
    sent.is_empty(204);
    assert_eq!(site.inbox.messages().len(), 1);
    let body = json!({"key": site.inbox.code_for(PHONE)}).to_string();
    let verify = format!("{url}/verify");
    curl(&["-i", "-X", "POST", &verify, "-H", &of_token, "-d", &body])
        .await
        .is_empty(204);
    assert!(is_open(&site.gateway, &token).await);
}

/// The document's example leaves the id out of the path; its text and its table have it.
#[tokio::test]
async fn an_editor_resets_another_user() {
    let site = site().await;
    let gateway = &site.gateway;
    let anna = add_user(gateway, "anna", &["--phone", PHONE]);
    let token = gateway.sign_in("anna", PASSWORD, "laptop").await;
    gateway.verify(&site.inbox, &token, "", PHONE).await;
    let edith = "+4587654321";
    let editor = signed_in(gateway, "edith", &["--phone", edith, "--can-edit-users"]).await;
    let reset = async |token: &str, id: i64| {
        let url = gateway.url(&format!("/api/users/{id}/two-factor/reset"));
        curl(&["-i", "-X", "POST", &url, "-H", &bearer(token), "-d", "{}"]).await
    };
    for (token, id) in [
        (&token, anna),
        (&token, 999),
        (&editor, anna),
        (&editor, 999),
    ] {
        let answer = reset(token, id).await;
        let text = answer.json()["message"].clone();
        assert!(text.is_string());
        answer.is(403, &json!({"message": text}));
    }
    assert!(is_open(gateway, &token).await);
    gateway.verify(&site.inbox, &editor, "", edith).await;
    let answer = reset(&editor, 999).await;
    let text = answer.json()["message"].clone();
    answer.is(404, &json!({"message": text}));
    reset(&editor, anna).await.is_empty(204);
    for device in ["", "laptop"] {
        let answer = gateway.get("/file", &token, device).send().await;
        assert_eq!(answer.expect("answer").status(), 401, "{device}");
    }
    assert!(is_open(gateway, &editor).await);
}
