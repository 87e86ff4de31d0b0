//! Conduit's guide to two-factor authentication.

use super::tools::{Answer, app_code, bearer, curl, is_open, key_of, scanned, signed_in, site};
use crate::support::{Gateway, PHONE, Site, secret};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use vestibule::config::model::Dialect;

/// Each call of the document, with the test that sends it.
const CALLS: &[(&str, &str)] = &[
    ("PUT /authentication/twoFa/enable", "sms_is_enabled"),
    (
        "PUT /authentication/twoFa/enable",
        "an_authenticator_is_enabled",
    ),
    ("GET /.vestibule/qr/{name}", "an_authenticator_is_enabled"),
    ("POST /authentication/twoFa/enable/verify", "sms_is_enabled"),
    (
        "POST /authentication/twoFa/authorize",
        "a_code_is_sent_to_the_phone",
    ),
    ("POST /authentication/twoFa/verify", "a_code_gives_tokens"),
    (
        "GET /authentication/twoFa/generate",
        "backup_codes_recover_access",
    ),
    (
        "POST /authentication/twoFa/recover",
        "backup_codes_recover_access",
    ),
    (
        "PUT /authentication/twoFa/disable",
        "two_factor_is_disabled",
    ),
];

const JSON: &str = "Content-Type: application/json";
const ACCEPT: &str = "Accept: application/json";

#[test]
fn every_call_is_here() {
    super::tools::lists_every_call(Dialect::Conduit, CALLS, include_str!("conduit.rs"));
}

/// `curl --location --request …` as the guide writes it; no body where `data` is empty.
async fn call(gateway: &Gateway, token: &str, method: &str, step: &str, data: &Value) -> Answer {
    let url = gateway.url(&format!("/authentication/twoFa/{step}"));
    let (token, data) = (bearer(token), data.to_string());
    let head = [
        "--location",
        "--request",
        method,
        &*url,
        "--header",
        ACCEPT,
        "--header",
        &token,
    ];
    let body = ["--header", JSON, "--data-raw", &*data];
    let body = if data == "null" { &body[..0] } else { &body };
    curl(&[&head, body].concat()).await
}

/// A user whose number is a factor, in sudo mode; with the token.
async fn in_sudo(site: &Site, name: &str) -> String {
    let token = signed_in(&site.gateway, name, &["--phone", PHONE]).await;
    site.gateway.verify(&site.inbox, &token, "", PHONE).await;
    token
}

#[tokio::test]
async fn sms_is_enabled() {
    let site = site().await;
    let token = signed_in(&site.gateway, "anna", &[]).await;
    // As the guide has it: a number as it is written in the route's region.
    let body = json!({"method": "sms", "phone": "12345678"});
    let sent = call(&site.gateway, &token, "PUT", "enable", &body).await;
    sent.is(200, &json!({"message": "Verification code sent"}));
    assert_eq!(site.inbox.messages().len(), 1);
    let body = json!({"code": site.inbox.code_for(PHONE)});
    let enabled = call(&site.gateway, &token, "POST", "enable/verify", &body).await;
    enabled.is(200, &json!({"message": "2FA enabled"}));
    assert!(is_open(&site.gateway, &token).await);
}

#[tokio::test]
async fn an_authenticator_is_enabled() {
    let site = site().await;
    let gateway = &site.gateway;
    let token = signed_in(gateway, "anna", &[]).await;
    let body = json!({"method": "authenticator"});
    let answer = call(gateway, &token, "PUT", "enable", &body).await;
    let url = answer.json()["result"].as_str().expect("a URL").to_owned();
    answer.is(200, &json!({"result": url}));
    let name = url.strip_prefix(&gateway.url("/.vestibule/qr/"));
    secret(name.expect("the gateway's own origin"));
    // An `<img>` sends no token.
    let image = curl(&[&url]).await;
    assert_eq!(
        (image.status, image.header("content-type")),
        (200, Some("image/png"))
    );
    image.is_whole();
    let key = key_of(&scanned(&image.body), "anna");
    assert_eq!(curl(&[&url]).await.status, 404);

    let body = json!({"code": app_code(&key, 0).await});
    let enabled = call(gateway, &token, "POST", "enable/verify", &body).await;
    enabled.is(200, &json!({"message": "2FA enabled"}));
    let asked = call(gateway, &token, "POST", "authorize", &Value::Null).await;
    let text = "Check your authenticator app for the code";
    asked.is(200, &json!({"method": "authenticator", "message": text}));
    assert_eq!(site.inbox.messages(), []);
    let body = json!({"code": app_code(&key, 1).await});
    let verified = call(gateway, &token, "POST", "verify", &body).await;
    assert_eq!(verified.status, 200);
}

#[tokio::test]
async fn a_code_is_sent_to_the_phone() {
    let site = site().await;
    let token = signed_in(&site.gateway, "anna", &["--phone", PHONE]).await;
    let asked = call(&site.gateway, &token, "POST", "authorize", &Value::Null).await;
    let text = "A verification code has been sent to +45******78";
    asked.is(200, &json!({"method": "sms", "message": text}));
    assert_eq!(site.inbox.messages().len(), 1);
    let without = signed_in(&site.gateway, "bert", &[]).await;
    let asked = call(&site.gateway, &without, "POST", "authorize", &Value::Null).await;
    asked.is(200, &json!({"message": "2FA disabled"}));
}

/// The claims of a signed token; that they are as the guide's own tokens have them.
fn claims(token: &str, user: i64) -> Value {
    let parts: Vec<&str> = token.split('.').collect();
    assert_eq!(parts.len(), 3, "header, claims, signature");
    let part = |at: usize| -> Value {
        let bytes = URL_SAFE_NO_PAD.decode(parts[at]).expect("base64url");
        serde_json::from_slice(&bytes).expect("JSON")
    };
    assert_eq!(part(0)["alg"], "EdDSA");
    let claims = part(1);
    assert_eq!(claims["id"], user.to_string());
    assert_eq!(claims["authorized"], true);
    assert_eq!(claims["sudo"], true);
    let (iat, exp) = (claims["iat"].as_i64(), claims["exp"].as_i64());
    assert!(iat.expect("iat") < exp.expect("exp"));
    claims
}

#[tokio::test]
async fn a_code_gives_tokens() {
    let site = site().await;
    let gateway = &site.gateway;
    let anna = super::tools::add_user(gateway, "anna", &["--phone", PHONE]);
    let token = gateway
        .sign_in("anna", crate::support::PASSWORD, "laptop")
        .await;
    call(gateway, &token, "POST", "authorize", &Value::Null).await;
    assert!(!is_open(gateway, &token).await);
    let body = json!({"code": site.inbox.code_for(PHONE)});
    let answer = call(gateway, &token, "POST", "verify", &body).await;
    let tokens = answer.json();
    let text = |name: &str| secret(tokens[name].as_str().expect("a token"));
    let (access, refresh) = (text("accessToken"), text("refreshToken"));
    answer.is(
        200,
        &json!({"accessToken": access, "refreshToken": refresh}),
    );
    claims(&access, anna);
    assert!(is_open(gateway, &access).await, "at once");
    assert!(is_open(gateway, &token).await, "the one that asked too");
    assert!(!is_open(gateway, &refresh).await, "it is no access token");
    let forged = format!("{}x", &access[..access.len() - 1]);
    assert!(!is_open(gateway, &forged).await);

    let again = call(gateway, &token, "POST", "verify", &body).await;
    again.is(403, &error(&again));
    let url = gateway.url("/.vestibule/token");
    let form = format!("grant_type=refresh_token&refresh_token={refresh}");
    let refreshed = curl(&["-X", "POST", &url, "-d", &form]).await;
    assert_eq!(refreshed.status, 200);
    let access = refreshed.json()["access_token"].as_str().map(secret);
    assert!(is_open(gateway, &access.expect("a token")).await);
}

/// The form of an error, with the answer's own text.
fn error(answer: &Answer) -> Value {
    let text = answer.json()["message"].clone();
    assert!(text.as_str().is_some_and(|text| !text.is_empty()));
    let name = reqwest::StatusCode::from_u16(answer.status).expect("status");
    json!({"name": name.canonical_reason(), "status": answer.status, "message": text})
}

#[tokio::test]
async fn what_is_wrong_is_said() {
    let site = site().await;
    let gateway = &site.gateway;
    let token = signed_in(gateway, "anna", &["--phone", PHONE]).await;
    call(gateway, &token, "POST", "authorize", &Value::Null).await;
    let right = site.inbox.code_for(PHONE);
    let wrong = format!("{}{}", &right[..5], (right.as_bytes()[5] - b'0' + 1) % 10);
    for (method, step, body, status) in [
        ("POST", "verify", json!({"code": wrong}), 401),
        ("POST", "verify", json!({"code": "abc"}), 400),
        ("POST", "verify", json!({}), 400),
        ("POST", "recover", json!({"code": "123456"}), 400),
        ("POST", "recover", json!({"code": "12345678"}), 401),
        (
            "PUT",
            "enable",
            json!({"method": "sms", "phone": PHONE}),
            403,
        ),
        ("PUT", "enable", json!({"method": "authenticator"}), 403),
        ("PUT", "enable", json!({"method": "pigeon"}), 400),
        ("PUT", "enable", json!({"method": "sms"}), 400),
        ("POST", "enable/verify", json!({"code": right}), 403),
        ("GET", "generate", Value::Null, 403),
        ("PUT", "disable", Value::Null, 403),
        ("DELETE", "disable", Value::Null, 405),
    ] {
        let answer = call(gateway, &token, method, step, &body).await;
        answer.is(status, &error(&answer));
    }
    let body = json!({"code": right});
    let unknown = call(gateway, "unknown", "POST", "verify", &body).await;
    unknown.is(401, &error(&unknown));
    assert!(unknown.header("www-authenticate").is_some());
    assert_eq!(
        call(gateway, &token, "POST", "verify", &body).await.status,
        200
    );
}

#[tokio::test]
async fn backup_codes_recover_access() {
    let site = site().await;
    let gateway = &site.gateway;
    let token = in_sudo(&site, "anna").await;
    let mut sets = Vec::new();
    for _ in 0..2 {
        let answer = call(gateway, &token, "GET", "generate", &Value::Null).await;
        let body = answer.json();
        let codes = body["codes"].as_array().expect("codes");
        let codes: Vec<String> = codes
            .iter()
            .map(|it| secret(it.as_str().expect("text")))
            .collect();
        answer.is(200, &json!({"codes": codes}));
        assert_eq!(codes.len(), 10);
        for code in &codes {
            let (left, right) = code.split_once(' ').expect("two halves");
            for half in [left, right] {
                assert!(half.len() == 4 && half.bytes().all(|it| it.is_ascii_digit()));
            }
        }
        sets.push(codes);
    }
    let lost = gateway
        .sign_in("anna", crate::support::PASSWORD, "tablet")
        .await;
    let older = json!({"code": sets[0][0]});
    let answer = call(gateway, &lost, "POST", "recover", &older).await;
    answer.is(401, &error(&answer));
    let bare = json!({"code": secret(&sets[1][0].replace(' ', ""))});
    let spaced = json!({"code": sets[1][1]});
    for (body, left) in [(&bare, 9), (&spaced, 8)] {
        let answer = call(gateway, &lost, "POST", "recover", body).await;
        let tokens = answer.json();
        let text = |name: &str| secret(tokens[name].as_str().expect("a token"));
        answer.is(
            200,
            &json!({
                "accessToken": text("accessToken"),
                "refreshToken": text("refreshToken"),
                "message": format!("You have {left} back up codes left"),
            }),
        );
        assert!(is_open(gateway, &text("accessToken")).await);
        let again = call(gateway, &lost, "POST", "recover", body).await;
        again.is(401, &error(&again));
    }
    assert!(is_open(gateway, &lost).await);
}

#[tokio::test]
async fn two_factor_is_disabled() {
    let site = site().await;
    let gateway = &site.gateway;
    let token = in_sudo(&site, "anna").await;
    let stolen = gateway
        .sign_in("anna", crate::support::PASSWORD, "thief")
        .await;
    let refused = call(gateway, &stolen, "PUT", "disable", &Value::Null).await;
    refused.is(403, &error(&refused));
    let off = json!({"message": "2FA disabled"});
    call(gateway, &token, "PUT", "disable", &Value::Null)
        .await
        .is(200, &off);
    call(gateway, &token, "POST", "authorize", &Value::Null)
        .await
        .is(200, &off);
}
