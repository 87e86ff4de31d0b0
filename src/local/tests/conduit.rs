//! The Conduit dialect: what its calls take, and how they refuse.

use super::*;
use serde_json::json;

const BASE: &str = "/authentication/twoFa/";

fn call(site: &Site, method: Method, step: &str, token: &str, body: &str) -> Call {
    let call = site.call(method, &format!("{BASE}{step}"));
    call.bearer(token).json(body)
}

async fn put(site: &Site, step: &str, token: &str, body: &str) -> Answer {
    site.answer(call(site, Method::PUT, step, token, body))
        .await
}

async fn post(site: &Site, step: &str, token: &str, body: &str) -> Answer {
    site.answer(call(site, Method::POST, step, token, body))
        .await
}

/// Enrols a number for the token's pair, which is in sudo mode then.
async fn enrol_sms(site: &Site, token: &str) {
    let sent = put(
        site,
        "enable",
        token,
        r#"{"method":"sms","phone":"+4512345678"}"#,
    )
    .await;
    assert_eq!(sent.status(), 200, "{}", sent.text());
    let body = json!({"code": site.world().inbox.code()}).to_string();
    let enabled = post(site, "enable/verify", token, &body).await;
    assert_eq!(enabled.status(), 200, "{}", enabled.text());
}

fn path_of(url: &str) -> &str {
    let origin = format!("https://{HOST_NAME}");
    url.strip_prefix(&origin).expect("the request's own origin")
}

impl Answer {
    /// That it is Conduit's error of this status.
    #[track_caller]
    fn is_conduit_error(&self, status: u16) {
        assert_eq!(self.status(), status, "{}", self.text());
        let body = self.json();
        let message = body["message"].as_str().unwrap();
        assert!(!message.is_empty());
        let name = http::StatusCode::from_u16(status).unwrap();
        let name = name.canonical_reason().unwrap();
        let expected = json!({"name": name, "status": status, "message": message});
        assert_eq!(body, expected);
        assert_eq!(self.header("www-authenticate").is_some(), status == 401);
        let waits = matches!(status, 429 | 503);
        assert_eq!(self.header("retry-after").is_some(), waits);
    }
}

#[tokio::test]
async fn odd_bodies_are_refused() {
    let (site, token) = Site::of_bob().await;
    for body in [
        "",
        "{}",
        "{",
        "[]",
        r#"{"method":null}"#,
        r#"{"method":""}"#,
        r#"{"method":"email"}"#,
        r#"{"method":7}"#,
        r#"{"method":["sms"]}"#,
        r#"{"method":"sms"}"#,
        r#"{"method":"sms","phone":null}"#,
        r#"{"method":"sms","phone":""}"#,
        r#"{"method":"sms","phone":"1234567890"}"#,
        r#"{"method":"sms","phone":12345678}"#,
        r#"{"method":"sms","phone":"+45"}"#,
        r#"{"method":"sms","phone":"+4512345678","phoneNumber":"+4587654321"}"#,
        r#"{"method":"sms","method":"authenticator"}"#,
        r#"{"method":"authenticator",}"#,
    ] {
        println!("{body}");
        put(&site, "enable", &token, body)
            .await
            .is_conduit_error(400);
    }
    for (step, good) in [("verify", "123456"), ("recover", "12345678")] {
        for body in [
            "".to_owned(),
            "{}".to_owned(),
            r#"{"code":null}"#.to_owned(),
            r#"{"code":""}"#.to_owned(),
            r#"{"code":"12x456"}"#.to_owned(),
            r#"{"code":[1]}"#.to_owned(),
            r#"{"code":1.5}"#.to_owned(),
            format!(r#"{{"code":"{good}""#),
            format!(r#"{{"code":"{good}","code":"111111"}}"#),
        ] {
            println!("{step} {body}");
            post(&site, step, &token, &body).await.is_conduit_error(400);
        }
    }
    for body in [r#"{"code":"1234567"}"#, r#"{"code":"123456789"}"#] {
        post(&site, "recover", &token, body)
            .await
            .is_conduit_error(400);
    }
    assert_eq!(site.world().inbox.count(), 0);
}

#[tokio::test]
async fn a_number_is_taken_under_both_names_and_as_an_integer() {
    for body in [
        r#"{"method":"sms","phone":"12345678"}"#,
        r#"{"method":"sms","phone":12345678}"#,
        r#"{"method":"sms","phoneNumber":"+45 12 34 56 78","more":{}}"#,
        r#"{"method":"sms","phone":"+4512345678","phoneNumber":"+4512345678"}"#,
    ] {
        let in_denmark = |config: &mut model::Route| config.phone_region = Some("DK".to_owned());
        let (site, token) = Site::of_bob_with(in_denmark).await;
        let sent = put(&site, "enable", &token, body).await;
        assert_eq!(
            sent.json(),
            json!({"message": "Verification code sent"}),
            "{body}"
        );
        assert_eq!(site.world().inbox.last().0, PHONE);
    }
}

#[tokio::test]
async fn sudo_ends_ten_minutes_after_the_code() {
    let (site, token) = Site::of_bob().await;
    enrol_sms(&site, &token).await;
    site.world().advance(600);
    let made = call(&site, Method::GET, "generate", &token, "");
    assert_eq!(site.answer(made).await.status(), 200);
    site.world().advance(1);
    let made = call(&site, Method::GET, "generate", &token, "");
    site.answer(made).await.is_conduit_error(403);
    put(&site, "disable", &token, "")
        .await
        .is_conduit_error(403);
    let enable = [
        r#"{"method":"authenticator"}"#,
        r#"{"method":"sms","phone":"+4587654321"}"#,
    ];
    for body in enable {
        put(&site, "enable", &token, body)
            .await
            .is_conduit_error(403);
    }
    // A fresh code brings it back, and what was enrolled is still there.
    let sent = post(&site, "authorize", &token, "").await;
    let text = "A verification code has been sent to +45******78";
    assert_eq!(sent.json(), json!({"method": "sms", "message": text}));
    let body = json!({"code": site.world().inbox.code()}).to_string();
    assert_eq!(post(&site, "verify", &token, &body).await.status(), 200);
    let off = put(&site, "disable", &token, "").await;
    assert_eq!(off.json(), json!({"message": "2FA disabled"}));
    let off = post(&site, "authorize", &token, "").await;
    assert_eq!(off.json(), json!({"message": "2FA disabled"}));
}

#[tokio::test]
async fn what_sudo_keeps_is_kept_without_any_factor_too() {
    let (site, token) = Site::of_bob().await;
    put(&site, "disable", &token, "")
        .await
        .is_conduit_error(403);
    let made = call(&site, Method::GET, "generate", &token, "");
    site.answer(made).await.is_conduit_error(403);
    post(&site, "enable/verify", &token, r#"{"code":"123456"}"#)
        .await
        .is_conduit_error(404);
    post(&site, "verify", &token, r#"{"code":"123456"}"#)
        .await
        .is_conduit_error(404);
}

#[tokio::test]
async fn another_device_of_the_token_is_refused_everywhere() {
    let (site, token) = Site::of_bob().await;
    enrol_sms(&site, &token).await;
    for (method, step, body) in [
        (Method::PUT, "enable", r#"{"method":"authenticator"}"#),
        (
            Method::PUT,
            "enable",
            r#"{"method":"sms","phone":"+4587654321"}"#,
        ),
        (Method::POST, "enable/verify", r#"{"code":"123456"}"#),
        (Method::GET, "generate", ""),
        (Method::PUT, "disable", ""),
    ] {
        let call = call(&site, method, step, &token, body).header("x-device-id", "thief");
        println!("{step}");
        site.answer(call).await.is_conduit_error(403);
    }
}

#[tokio::test]
async fn the_image_is_shown_once_and_not_for_long() {
    let (site, token) = Site::of_bob().await;
    let enable = async || {
        let answer = put(&site, "enable", &token, r#"{"method":"authenticator"}"#).await;
        let body = answer.json();
        let members: Vec<_> = body.as_object().unwrap().keys().collect();
        assert_eq!(members, ["result"]);
        body["result"].as_str().unwrap().to_owned()
    };
    let url = enable().await;
    let get = |url: &str| site.call(Method::GET, path_of(url));
    let head = site.call(Method::HEAD, path_of(&url));
    site.answer(head).await.is_conduit_error(405);
    let image = site.answer(get(&url)).await;
    assert_eq!(image.status(), 200);
    assert_eq!(image.header("content-type"), Some("image/png"));
    assert!(image.0.body().starts_with(b"\x89PNG\r\n\x1a\n"));
    site.answer(get(&url)).await.is_conduit_error(404);

    let late = enable().await;
    site.world().advance(300);
    site.answer(get(&late)).await.is_conduit_error(404);
    let other = site.call(Method::GET, "/.vestibule/qr/nobodys-name");
    site.answer(other).await.is_conduit_error(404);
}

#[tokio::test]
async fn the_image_is_at_the_port_that_was_asked() {
    let (site, token) = Site::of_bob().await;
    let mut call = call(
        &site,
        Method::PUT,
        "enable",
        &token,
        r#"{"method":"authenticator"}"#,
    );
    let host = format!("{HOST_NAME}:8443");
    call.headers
        .insert(HOST, HeaderValue::from_str(&host).unwrap());
    call.tls = false;
    let answer = site.answer(call).await.json();
    let url = answer["result"].as_str().unwrap();
    let start = format!("http://{host}/.vestibule/qr/");
    assert!(url.starts_with(&start), "it starts elsewhere");
}

#[tokio::test]
async fn backup_codes_are_taken_with_and_without_the_space() {
    let (site, token) = Site::of_bob().await;
    enrol_sms(&site, &token).await;
    let none = post(&site, "recover", &token, r#"{"code":"12345678"}"#).await;
    none.is_conduit_error(401);
    let made = call(&site, Method::GET, "generate", &token, "");
    let made = site.answer(made).await.json();
    let codes: Vec<&str> = made["codes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it.as_str().unwrap())
        .collect();
    assert_eq!(codes.len(), 10);
    let bare = codes[1].replace(' ', "");
    let number: u64 = codes[2].replace(' ', "").parse().unwrap();
    for (body, left) in [
        (json!({"code": codes[0]}), "You have 9 back up codes left"),
        (json!({"code": bare}), "You have 8 back up codes left"),
        (json!({"code": number}), "You have 7 back up codes left"),
    ] {
        let answer = post(&site, "recover", &token, &body.to_string()).await;
        assert_eq!(answer.status(), 200, "{}", answer.json()["message"]);
        let answer = answer.json();
        assert_eq!(answer["message"], left);
        assert!(answer["accessToken"].is_string() && answer["refreshToken"].is_string());
        let again = post(&site, "recover", &token, &body.to_string()).await;
        again.is_conduit_error(401);
    }
    for code in &codes[3..9] {
        let body = json!({"code": code}).to_string();
        assert_eq!(post(&site, "recover", &token, &body).await.status(), 200);
    }
    let last = json!({"code": codes[9]}).to_string();
    let last = post(&site, "recover", &token, &last).await.json();
    assert_eq!(last["message"], "You have 0 back up codes left");
}

#[tokio::test]
async fn what_is_down_is_said_to_be_down() {
    let (site, token) = Site::of_bob().await;
    let enable = r#"{"method":"authenticator"}"#;
    for verb in [
        "token",
        "session",
        "factors",
        "put_challenge",
        "open_wizard",
    ] {
        site.world().store.break_verb(Some(verb));
        println!("{verb}");
        put(&site, "enable", &token, enable)
            .await
            .is_conduit_error(503);
    }
    site.world().store.break_verb(None);
    enrol_sms(&site, &token).await;
    site.world().advance(60);
    post(&site, "authorize", &token, "").await;
    let body = json!({"code": site.world().inbox.code()}).to_string();
    for verb in ["signing_keys", "attempt"] {
        site.world().store.break_verb(Some(verb));
        let answer = post(&site, "verify", &token, &body).await;
        println!("{verb}");
        answer.is_conduit_error(503);
    }
    site.world().store.break_verb(None);
    // Nothing was half-done: the code is still good.
    let answer = post(&site, "verify", &token, &body).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.json().as_object().map(|it| it.len()), Some(2));
}

#[tokio::test]
async fn without_a_token_nothing_is_told() {
    let (site, _) = Site::of_bob().await;
    for (method, step) in [
        (Method::PUT, "enable"),
        (Method::POST, "enable/verify"),
        (Method::POST, "authorize"),
        (Method::POST, "verify"),
        (Method::GET, "generate"),
        (Method::POST, "recover"),
        (Method::PUT, "disable"),
    ] {
        let bare = site.call(method.clone(), &format!("{BASE}{step}"));
        site.answer(bare).await.is_conduit_error(401);
        let unknown = call(&site, method, step, "nobody's", "");
        let answer = site.answer(unknown).await;
        answer.is_conduit_error(401);
        let says = answer.header("www-authenticate").unwrap();
        assert!(says.contains("invalid_token"), "{says}");
        let delete = site.call(Method::DELETE, &format!("{BASE}{step}"));
        site.answer(delete).await.is_conduit_error(405);
    }
}
