//! The Ziik dialect: what its calls take, and how they refuse.

use super::*;
use crate::auth::fixture::START;
use crate::auth::ports::{NewUser, Users as _};
use crate::factor::totp::TotpSecret;
use serde_json::json;

const KEY: &str = "JBSWY3DPEHPK3PXP";

fn patch(site: &Site, token: &str, body: &str) -> Call {
    let call = site.call(Method::PATCH, "/api/two-factor").bearer(token);
    // As `curl -d` sends it.
    call.form(body)
}

fn post(site: &Site, token: &str, path: &str, body: &str) -> Call {
    site.call(Method::POST, path).bearer(token).form(body)
}

async fn settings(site: &Site, token: &str) -> serde_json::Value {
    let call = site.call(Method::GET, "/api/two-factor").bearer(token);
    let answer = site.answer(call).await;
    assert_eq!(answer.status(), 200, "{}", answer.text());
    answer.json()["data"].clone()
}

/// Enrols a number for the token's pair, which is verified then.
async fn enrol_sms(site: &Site, token: &str) {
    let body = r#"{"method":"sms","phone_prefix":45,"phone":12345678}"#;
    let set = site.answer(patch(site, token, body)).await;
    assert_eq!(set.status(), 204, "{}", set.text());
    let send = post(site, token, "/api/two-factor/send-verification", "");
    assert_eq!(site.answer(send).await.status(), 204);
    let body = json!({"key": site.world().inbox.code()}).to_string();
    let verify = post(site, token, "/api/two-factor/verify", &body);
    let verified = site.answer(verify).await;
    assert_eq!(verified.status(), 204, "{}", verified.text());
}

impl Answer {
    /// That it is Ziik's error of this status, about these fields.
    #[track_caller]
    fn is_ziik_error(&self, status: u16, field: Option<&str>) {
        assert_eq!(self.status(), status, "{}", self.text());
        let body = self.json();
        let message = body["message"].as_str().unwrap();
        assert!(!message.is_empty());
        let expected = match field {
            Some(field) => json!({"message": message, "errors": {field: [message]}}),
            None => json!({"message": message}),
        };
        assert_eq!(body, expected);
        assert_eq!(self.header("www-authenticate").is_some(), status == 401);
        let waits = matches!(status, 429 | 503);
        assert_eq!(self.header("retry-after").is_some(), waits);
    }
}

#[tokio::test]
async fn settings_are_taken_as_integers_texts_and_form_fields() {
    for body in [
        r#"{"method":"sms","phone_prefix":45,"phone":12345678}"#,
        r#"{"method":"sms","phone_prefix":"45","phone":"12345678"}"#,
        r#"{"method":"sms","phone_prefix":"+45","phone":" 12 34 56 78","secret_key":null,"more":[{}]}"#,
        "method=sms&phone_prefix=45&phone=12345678",
    ] {
        let (site, token) = Site::of_bob().await;
        let answer = site.answer(patch(&site, &token, body)).await;
        assert_eq!((answer.status(), answer.text()), (204, ""), "{body}");
        let shown = json!({
            "method": "sms", "secret_key": null, "phone_prefix": 45, "phone": 12_345_678,
            "verified": false,
        });
        assert_eq!(settings(&site, &token).await, shown, "{body}");
    }
    for body in [
        json!({"method": "google", "secret_key": KEY}).to_string(),
        json!({"method": "google", "secret_key": "jbsw y3dp ehpk 3pxp"}).to_string(),
        format!("method=google&secret_key={KEY}&phone="),
    ] {
        let (site, token) = Site::of_bob().await;
        let answer = site.answer(patch(&site, &token, &body)).await;
        assert_eq!(answer.status(), 204, "{body}");
        let shown = json!({
            "method": "google", "secret_key": KEY, "phone_prefix": null, "phone": null,
            "verified": false,
        });
        assert_eq!(settings(&site, &token).await, shown, "{body}");
    }
}

#[tokio::test]
async fn a_number_with_a_leading_zero_keeps_it() {
    let (site, token) = Site::of_bob().await;
    let body = r#"{"method":"sms","phone_prefix":39,"phone":"0236618300"}"#;
    assert_eq!(site.answer(patch(&site, &token, body)).await.status(), 204);
    let shown = settings(&site, &token).await;
    assert_eq!(shown["phone_prefix"], 39);
    assert_eq!(shown["phone"], "0236618300");
}

#[tokio::test]
async fn bad_settings_name_their_field_and_change_nothing() {
    let (site, token) = Site::of_bob().await;
    let kept = json!({"method": "google", "secret_key": KEY}).to_string();
    site.answer(patch(&site, &token, &kept)).await;
    let before = settings(&site, &token).await;
    for (body, field) in [
        ("", "method"),
        ("{}", "method"),
        ("secret_key=JBSWY3DPEHPK3PXP", "method"),
        (r#"{"method":"email"}"#, "method"),
        (r#"{"method":"Google"}"#, "method"),
        (r#"{"method":true}"#, "method"),
        (r#"{"method":["sms"]}"#, "method"),
        (r#"{"method":"sms","method":"google"}"#, "method"),
        (r#"{"method":"google"}"#, "secret_key"),
        (r#"{"method":"google","secret_key":null}"#, "secret_key"),
        (r#"{"method":"google","secret_key":""}"#, "secret_key"),
        (
            r#"{"method":"google","secret_key":"1234567890"}"#,
            "secret_key",
        ),
        (
            r#"{"method":"google","secret_key":"JBSWY3DP"}"#,
            "secret_key",
        ),
        (r#"{"method":"google","secret_key":{}}"#, "secret_key"),
        (r#"{"method":"sms","phone":12345678}"#, "phone_prefix"),
        (r#"{"method":"sms","phone_prefix":45}"#, "phone"),
        (r#"{"method":"sms","phone_prefix":45,"phone":1}"#, "phone"),
        (
            r#"{"method":"sms","phone_prefix":45,"phone":-12345678}"#,
            "phone",
        ),
        (
            r#"{"method":"sms","phone_prefix":45,"phone":1234567.8}"#,
            "phone",
        ),
        (
            r#"{"method":"sms","phone_prefix":45,"phone":"+4512345678"}"#,
            "phone",
        ),
        (
            r#"{"method":"sms","phone_prefix":4,"phone":512345678}"#,
            "phone_prefix",
        ),
        (
            r#"{"method":"sms","phone_prefix":"","phone":12345678}"#,
            "phone_prefix",
        ),
        (
            r#"{"method":"sms","phone_prefix":999,"phone":12345678}"#,
            "phone",
        ),
    ] {
        let answer = site.answer(patch(&site, &token, body)).await;
        println!("{body}");
        answer.is_ziik_error(422, Some(field));
    }
    for body in [
        "{",
        "[]",
        r#"{"method":"sms",}"#,
        "{\"method\":\"\u{0}\"",
        "[1]",
    ] {
        let answer = site.answer(patch(&site, &token, body)).await;
        println!("{body}");
        answer.is_ziik_error(400, None);
    }
    let two = r#"{"method":"","deviceId":"d1","deviceId":"d2"}"#;
    let answer = site.answer(patch(&site, &token, two)).await;
    answer.is_ziik_error(400, None);
    assert_eq!(settings(&site, &token).await, before);
}

#[tokio::test]
async fn a_thief_of_the_token_learns_no_number_and_changes_nothing() {
    let (site, token) = Site::of_bob().await;
    enrol_sms(&site, &token).await;
    let own = json!({
        "method": "sms", "secret_key": null, "phone_prefix": 45, "phone": 12_345_678,
        "verified": true,
    });
    assert_eq!(settings(&site, &token).await, own);
    let on = |call: Call| call.header("x-device-id", "thief");
    let look = site.call(Method::GET, "/api/two-factor").bearer(&token);
    let shown = site.answer(on(look)).await.json();
    let hidden = json!({
        "method": "sms", "secret_key": null, "phone_prefix": null, "phone": null, "verified": true,
    });
    assert_eq!(shown["data"], hidden);
    for body in [
        r#"{"method":null}"#.to_owned(),
        "method=".to_owned(),
        json!({"method": "google", "secret_key": KEY}).to_string(),
        r#"{"method":"sms","phone_prefix":45,"phone":87654321}"#.to_owned(),
    ] {
        let answer = site.answer(on(patch(&site, &token, &body))).await;
        answer.is_ziik_error(403, None);
    }
    let qr = site.call(Method::GET, "/api/two-factor/qr").bearer(&token);
    site.answer(on(qr)).await.is_ziik_error(403, None);
    assert_eq!(settings(&site, &token).await, own);
}

#[tokio::test]
async fn a_new_setting_takes_over_when_it_is_verified() {
    let (site, token) = Site::of_bob().await;
    enrol_sms(&site, &token).await;
    site.world().advance(60);
    let body = json!({"method": "google", "secret_key": KEY}).to_string();
    assert_eq!(site.answer(patch(&site, &token, &body)).await.status(), 204);
    assert_eq!(settings(&site, &token).await["verified"], false);
    // Another device is told of what protects, and sent its codes.
    let thief = |call: Call| call.header("x-device-id", "d2");
    let look = site.call(Method::GET, "/api/two-factor").bearer(&token);
    let shown = site.answer(thief(look)).await.json();
    assert_eq!(shown["data"]["method"], "sms");
    assert_eq!(shown["data"]["secret_key"], json!(null));
    let send = post(&site, &token, "/api/two-factor/send-verification", "");
    assert_eq!(site.answer(thief(send)).await.status(), 204);
    let send = post(&site, &token, "/api/two-factor/send-verification", "");
    site.answer(send).await.is_ziik_error(409, None);

    let secret = TotpSecret::parse(KEY).unwrap();
    let code = secret.code_at(site.world().clock.now());
    let body = json!({"key": code}).to_string();
    let verify = || post(&site, &token, "/api/two-factor/verify", &body);
    assert_eq!(site.answer(verify()).await.status(), 204);
    let now = settings(&site, &token).await;
    let shown = json!({
        "method": "google", "secret_key": null, "phone_prefix": null, "phone": null,
        "verified": true,
    });
    assert_eq!(now, shown, "and the number is no factor any more");
    site.answer(verify()).await.is_ziik_error(422, Some("key"));
    let qr = site.call(Method::GET, "/api/two-factor/qr").bearer(&token);
    site.answer(qr).await.is_ziik_error(409, None);
}

#[tokio::test]
async fn keys_are_digits() {
    let (site, token) = Site::of_bob().await;
    let verify = |body: &str| post(&site, &token, "/api/two-factor/verify", body);
    for body in [
        "",
        "{}",
        r#"{"key":null}"#,
        r#"{"key":""}"#,
        "key=",
        r#"{"key":"12x456"}"#,
    ] {
        println!("{body}");
        let answer = site.answer(verify(body)).await;
        answer.is_ziik_error(422, Some("key"));
    }
    for body in [
        r#"{"key":[1]}"#,
        r#"{"key":1.5}"#,
        r#"{"key":"1","key":"2"}"#,
    ] {
        println!("{body}");
        let answer = site.answer(verify(body)).await;
        answer.is_ziik_error(422, Some("key"));
    }
    let nothing = site.answer(verify(r#"{"key":"123456"}"#)).await;
    nothing.is_ziik_error(409, None);
    let send = post(&site, &token, "/api/two-factor/send-verification", "");
    site.answer(send).await.is_ziik_error(409, None);
    let qr = site.call(Method::GET, "/api/two-factor/qr").bearer(&token);
    site.answer(qr).await.is_ziik_error(409, None);
}

#[tokio::test]
async fn nothing_pends_after_the_method_was_emptied() {
    for body in [r#"{"method":null}"#, r#"{"method":""}"#, "method="] {
        let (site, token) = Site::of_bob().await;
        let set = json!({"method": "google", "secret_key": KEY}).to_string();
        site.answer(patch(&site, &token, &set)).await;
        assert_eq!(site.answer(patch(&site, &token, body)).await.status(), 204);
        let none = json!({
            "method": null, "secret_key": null, "phone_prefix": null, "phone": null,
            "verified": false,
        });
        assert_eq!(settings(&site, &token).await, none);
    }
}

#[tokio::test]
async fn who_may_not_enrol_is_told_so() {
    let (site, token) = Site::of_bob_with(|config| config.self_enrolment = false).await;
    let set = json!({"method": "google", "secret_key": KEY}).to_string();
    site.answer(patch(&site, &token, &set))
        .await
        .is_ziik_error(403, None);
    let qr = site.call(Method::GET, "/api/two-factor/qr").bearer(&token);
    site.answer(qr).await.is_ziik_error(403, None);
    assert_eq!(settings(&site, &token).await["method"], json!(null));
}

#[tokio::test]
async fn a_reset_is_for_verified_editors() {
    let (site, token) = Site::of_bob().await;
    enrol_sms(&site, &token).await;
    let reset = |token: &str, id: &str| {
        let path = format!("/api/users/{id}/two-factor/reset");
        post(&site, token, &path, "")
    };
    let editor = NewUser {
        realm: REALM.to_owned(),
        name: "eve".to_owned(),
        phone: Some(crate::factor::phone::Phone::parse("+4587654321", None).unwrap()),
        email: None,
        password_hash: None,
        can_edit_users: true,
        groups: Vec::new(),
    };
    let editor = site.world().store.create_user(editor, START).await.unwrap();
    site.world().caller(editor.unwrap(), "e1").await;
    let bob = site
        .world()
        .store
        .user_by_name(REALM, "bob")
        .await
        .unwrap()
        .unwrap();
    let ids = [
        bob.id.to_string(),
        "99".to_owned(),
        "x".to_owned(),
        "-1".to_owned(),
    ];
    for caller in [&*token, "token-of-e1"] {
        for id in &ids {
            site.answer(reset(caller, id))
                .await
                .is_ziik_error(403, None);
        }
    }
    site.world().advance(60);
    let send = post(
        &site,
        "token-of-e1",
        "/api/two-factor/send-verification",
        "",
    );
    assert_eq!(site.answer(send).await.status(), 204);
    let body = json!({"key": site.world().inbox.code()}).to_string();
    let verify = post(&site, "token-of-e1", "/api/two-factor/verify", &body);
    assert_eq!(site.answer(verify).await.status(), 204);
    for id in &ids[1..] {
        site.answer(reset("token-of-e1", id))
            .await
            .is_ziik_error(404, None);
    }
    let answer = site.answer(reset("token-of-e1", &ids[0])).await;
    assert_eq!((answer.status(), answer.text()), (204, ""));
    assert_eq!(settings(&site, &token).await["method"], json!(null));
}

#[tokio::test]
async fn what_is_down_is_said_to_be_down() {
    let (site, token) = Site::of_bob().await;
    let set = json!({"method": "google", "secret_key": KEY}).to_string();
    for verb in ["token", "session", "factors", "put_challenge"] {
        site.world().store.break_verb(Some(verb));
        let answer = site.answer(patch(&site, &token, &set)).await;
        println!("{verb}");
        answer.is_ziik_error(503, None);
    }
    site.world().store.break_verb(None);
    assert_eq!(site.answer(patch(&site, &token, &set)).await.status(), 204);
    site.world().store.break_verb(Some("attempt"));
    let verify = post(
        &site,
        &token,
        "/api/two-factor/verify",
        r#"{"key":"123456"}"#,
    );
    site.answer(verify).await.is_ziik_error(503, None);
}

#[tokio::test]
async fn without_a_token_nothing_is_told() {
    let (site, _) = Site::of_bob().await;
    for (method, path) in [
        (Method::GET, "/api/two-factor"),
        (Method::PATCH, "/api/two-factor"),
        (Method::GET, "/api/two-factor/qr"),
        (Method::GET, "/api/two-factor/secret"),
        (Method::POST, "/api/two-factor/send-verification"),
        (Method::POST, "/api/two-factor/verify"),
        (Method::POST, "/api/users/1/two-factor/reset"),
    ] {
        let bare = site.call(method.clone(), path);
        site.answer(bare).await.is_ziik_error(401, None);
        let unknown = site.call(method, path).bearer("nobody's");
        let answer = site.answer(unknown).await;
        answer.is_ziik_error(401, None);
        let says = answer.header("www-authenticate").unwrap();
        assert!(says.contains("invalid_token"), "{says}");
        let delete = site.call(Method::DELETE, path);
        site.answer(delete).await.is_ziik_error(405, None);
    }
}
