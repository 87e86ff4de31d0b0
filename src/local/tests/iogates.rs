//! `GET|POST /api/apiauth/twofactorsms/{token}`.

use super::*;
use crate::auth::DeliveryError;
use crate::auth::fixture::START;
use crate::auth::ports::{Token, Tokens as _};
use crate::config::model::Rule;

async fn site() -> (Site, String) {
    site_with(|_| {}).await
}

async fn site_with(change: impl FnOnce(&mut model::Route)) -> (Site, String) {
    let site = Site::with(World::new(), change);
    site.world().user("ann", "right", Some(PHONE)).await;
    let token = site.token("d1").await;
    (site, token)
}

fn call(site: &Site, token: &str, query: &str) -> Call {
    let target = format!("/api/apiauth/twofactorsms/{token}{query}");
    site.call(Method::GET, &target).bearer(token)
}

async fn start(site: &Site, token: &str) -> String {
    let answer = site.answer(call(site, token, "")).await;
    assert_eq!(answer.status(), 200, "{}", answer.text());
    site.world().inbox.code()
}

async fn verify(site: &Site, token: &str, code: &str) -> Answer {
    let query = format!("?authcode={code}");
    site.answer(call(site, token, &query)).await
}

#[tokio::test]
async fn a_start_sends_one_code() {
    let (site, token) = site().await;
    let answer = site.answer(call(&site, &token, "")).await;
    assert_eq!(answer.status(), 200);
    let expiry = START.after(Duration::from_secs(600)).iso8601();
    assert!(expiry.ends_with("+00:00"));
    let body = serde_json::json!({
        "message": "A code was sent to +45******78",
        "type": "SMS",
        "auth_required": true,
        "expiry": expiry,
    });
    assert_eq!(answer.json(), body);
    assert_eq!(site.world().inbox.count(), 1);
    assert!(!site.is_open(&token, None).await);
}

#[tokio::test]
async fn a_right_code_opens_the_gate_for_its_pair() {
    let (site, token) = site().await;
    let code = start(&site, &token).await;
    assert!(!site.is_open(&token, Some("d1")).await);
    let answer = verify(&site, &token, &code).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(
        answer.json(),
        serde_json::json!({"message": "Code accepted"})
    );
    assert!(site.is_open(&token, Some("d1")).await, "issued to it");
    assert!(site.is_open(&token, None).await);
    assert!(!site.is_open(&token, Some("d2")).await);

    let again = site.answer(call(&site, &token, "")).await;
    let body = again.json();
    assert_eq!(again.status(), 200);
    assert_eq!(body["auth_required"], false);
    assert_eq!(body["expiry"], serde_json::Value::Null);
    assert_eq!(body["type"], "SMS");
    assert_eq!(site.world().inbox.count(), 1, "no second message");

    site.world().advance(31);
    let fresh = site.answer(call(&site, &token, "?fresh=true")).await;
    assert_eq!(fresh.json()["auth_required"], true);
    assert_eq!(site.world().inbox.count(), 2);
}

#[tokio::test]
async fn a_session_without_a_named_device_does_not_outlive_the_tokens_move_to_another() {
    let (site, token) = site().await;
    let code = start(&site, &token).await;
    assert_eq!(verify(&site, &token, &code).await.status(), 200);
    // The backend's sign-in gave the same token out again, to another device.
    let digest = site.route.keys.token(&token);
    let store = &site.world().store;
    let now = site.world().clock.now();
    let (held, _) = store.token(digest, now).await.unwrap().unwrap();
    let issued_pair = Some(site.route.keys.session(&token, Some("d2")));
    let moved = Token {
        issued_pair,
        ..held
    };
    store.put_token(moved).await.unwrap();
    site.world().advance(30);
    assert!(site.is_open(&token, Some("d1")).await);
    assert!(!site.is_open(&token, None).await);
}

#[tokio::test]
async fn a_named_device_is_verified_for_itself() {
    let (site, token) = site().await;
    let answer = site.answer(call(&site, &token, "?deviceId=d2")).await;
    assert_eq!(answer.status(), 200);
    let code = site.world().inbox.code();
    verify(&site, &token, &code).await.is_error(404);
    let by_header = call(&site, &token, &format!("?authcode={code}"));
    let answer = site.answer(by_header.header("x-device-id", "d2")).await;
    assert_eq!(answer.status(), 200);
    assert!(site.is_open(&token, Some("d2")).await);
    assert!(!site.is_open(&token, Some("d1")).await);
    assert!(!site.is_open(&token, None).await);
}

#[tokio::test]
async fn a_code_is_taken_from_query_form_and_json_on_both_methods() {
    for method in [Method::GET, Method::POST] {
        for place in 0..4 {
            let (site, token) = site().await;
            let code = start(&site, &token).await;
            let mut call = match place {
                0 => call(&site, &token, &format!("?authcode={code}")),
                1 => call(&site, &token, "").form(&format!("authcode={code}&deviceId=d1")),
                2 => call(&site, &token, "").json(&format!(r#"{{"authcode":"{code}"}}"#)),
                _ => {
                    let number: u32 = code.parse().unwrap();
                    call(&site, &token, "").json(&format!(r#"{{"authcode":{number}}}"#))
                }
            };
            call.method = method.clone();
            let answer = site.answer(call).await;
            assert_eq!(answer.status(), 200, "{method} {place}");
        }
    }
}

#[tokio::test]
async fn a_number_gets_its_leading_zeros_back() {
    let fields: super::super::decode::Fields = serde_json::from_str(r#"{"authcode":123}"#).unwrap();
    let code = fields.digits("authcode", 6);
    assert_eq!(code.unwrap().as_deref(), Some("000123"));
}

#[tokio::test]
async fn the_token_must_be_there_twice_and_known() {
    let (site, token) = site().await;
    let path = format!("/api/apiauth/twofactorsms/{token}");
    let unknown = "x".repeat(43);
    let basic = site
        .call(Method::GET, &path)
        .header("authorization", "Basic YTpi");
    let cases = [
        (site.call(Method::GET, &path), None),
        (basic, None),
        (
            site.call(Method::GET, &path)
                .header("cookie", &format!("IOGATES={token}")),
            None,
        ),
        (
            site.call(Method::GET, &path).bearer("other"),
            Some("invalid_token"),
        ),
        (call(&site, &unknown, ""), Some("invalid_token")),
    ];
    for (call, error) in cases {
        let shown = format!("{call:?}");
        let answer = site.answer(call).await;
        answer.is_error(401);
        let expected = error.map_or("Bearer realm=\"files\"".to_owned(), |error| {
            format!("Bearer realm=\"files\", error=\"{error}\"")
        });
        assert_eq!(
            answer.header("www-authenticate"),
            Some(&*expected),
            "{shown}"
        );
        assert!(!answer.text().contains(&token));
    }
    assert_eq!(site.world().inbox.count(), 0);
    let encoded = path.replace('-', "%2D").replace('_', "%5F");
    let answer = site
        .answer(site.call(Method::GET, &encoded).bearer(&token))
        .await;
    assert_eq!(answer.status(), 200, "percent-encoded");
}

#[tokio::test]
async fn bad_requests_are_named_as_such() {
    let (site, token) = site().await;
    start(&site, &token).await;
    for query in [
        "?authcode=",
        "?authcode=%20-",
        "?authcode=12x456",
        "?authcode=123456&authcode=654321",
        "?deviceId=a&deviceId=b",
        "?deviceId=",
    ] {
        let answer = site.answer(call(&site, &token, query)).await;
        assert_eq!(answer.status(), 400, "{query}");
        answer.is_error(400);
    }
    for body in [
        r#"{"authcode":null}"#,
        r#"{"authcode":["1"]}"#,
        "{",
        r#"{"authcode":"1",}"#,
    ] {
        let answer = site.answer(call(&site, &token, "").json(body)).await;
        assert_eq!(answer.status(), 400, "{body}");
    }
    let both = call(&site, &token, "?authcode=111111").form("authcode=222222");
    site.answer(both).await.is_error(400);
    let devices = call(&site, &token, "?deviceId=a").header("x-device-id", "b");
    site.answer(devices).await.is_error(400);
    let bearer = call(&site, &token, "").bearer(&token);
    site.answer(bearer).await.is_error(400);
    assert_eq!(site.world().inbox.count(), 1);
}

#[tokio::test]
async fn without_a_number_no_code() {
    let site = Site::new();
    site.world().user("ann", "right", None).await;
    let token = site.token("d1").await;
    site.answer(call(&site, &token, "")).await.is_error(400);
    site.world()
        .set(|settings| settings.limits.countries = vec!["SE".to_owned()]);
    let site2 = site_with(|_| {}).await;
    site2
        .0
        .world()
        .set(|settings| settings.limits.countries = vec!["SE".to_owned()]);
    site2
        .0
        .answer(call(&site2.0, &site2.1, ""))
        .await
        .is_error(400);
}

#[tokio::test]
async fn an_authenticators_code_verifies_without_a_number() {
    let site = Site::new();
    let user = site.world().user("ann", "right", None).await;
    let token = site.token("d1").await;
    let secret = site.world().authenticator(user).await;
    let started = site.answer(call(&site, &token, "")).await;
    started.is_error(400);
    assert!(started.text().contains("authenticator app as `authcode`"));
    let code = secret.code_at(START);
    assert_eq!(verify(&site, &token, &code).await.status(), 200);
    assert!(site.is_open(&token, None).await);
    verify(&site, &token, &code).await.is_error(401);
    assert_eq!(site.world().inbox.count(), 0);
}

#[tokio::test]
async fn wrong_gone_and_never_sent_differ() {
    let (site, token) = site().await;
    verify(&site, &token, "123456").await.is_error(404);
    let code = start(&site, &token).await;
    let wrong = site.world().inbox.wrong_code();
    verify(&site, &token, &wrong).await.is_error(401);
    verify(&site, &token, "1").await.is_error(401);
    assert!(!site.is_open(&token, None).await);
    assert_eq!(verify(&site, &token, &code).await.status(), 200);
    verify(&site, &token, &code).await.is_error(403);

    let token = site.token("d2").await;
    site.world().advance(31);
    let code = start(&site, &token).await;
    site.world().advance(600);
    verify(&site, &token, &code).await.is_error(403);
    assert!(!site.is_open(&token, None).await);
}

#[tokio::test]
async fn too_many_wait_and_the_locked_are_told_so() {
    let (site, token) = site().await;
    let code = start(&site, &token).await;
    let again = site.answer(call(&site, &token, "")).await;
    again.is_error(429);
    assert_eq!(again.header("retry-after"), Some("30"));

    let wrong = site.world().inbox.wrong_code();
    for _ in 0..5 {
        verify(&site, &token, &wrong).await.is_error(401);
    }
    for answer in [
        verify(&site, &token, &code).await,
        site.answer(call(&site, &token, "")).await,
    ] {
        answer.is_error(429);
        assert_eq!(answer.header("retry-after"), Some("30"));
    }

    site.world().set(|settings| settings.lockout.lock_at = 6);
    site.world().advance(31);
    start(&site, &token).await;
    let wrong = site.world().inbox.wrong_code();
    verify(&site, &token, &wrong).await.is_error(401);
    let code = site.world().inbox.code();
    for answer in [
        verify(&site, &token, &code).await,
        site.answer(call(&site, &token, "")).await,
    ] {
        answer.is_error(403);
        assert!(answer.text().contains("locked"));
    }
}

#[tokio::test]
async fn what_is_down_is_said_to_be_down() {
    let (site, token) = site().await;
    site.world()
        .inbox
        .fail_with(Some(DeliveryError::NotAccepted));
    site.answer(call(&site, &token, "")).await.is_error(503);
    site.world().inbox.fail_with(None);
    for verb in [
        "token",
        "session",
        "factors",
        "reserve_send",
        "put_challenge",
    ] {
        site.world().store.break_verb(Some(verb));
        let answer = site.answer(call(&site, &token, "")).await;
        assert_eq!(answer.status(), 503, "{verb}");
        answer.is_error(503);
    }
    site.world().store.break_verb(None);
    site.world().advance(31);
    let code = start(&site, &token).await;
    site.world().store.break_verb(Some("attempt"));
    verify(&site, &token, &code).await.is_error(503);
    site.world().store.break_verb(None);
    assert_eq!(verify(&site, &token, &code).await.status(), 200);
}

#[tokio::test]
async fn where_no_path_asks_for_a_second_factor_none_is_sent() {
    let rule = Rule::of;
    let (site, token) = site_with(|config| {
        config.require = Requirement::Token;
        config.rules = vec![rule(Requirement::Nothing), rule(Requirement::Deny)];
    })
    .await;
    let answer = site.answer(call(&site, &token, "")).await;
    assert_eq!(answer.json()["auth_required"], false);
    assert_eq!(site.world().inbox.count(), 0);
    // Who asks for one by name gets it, and can change their factors with it.
    let answer = site.answer(call(&site, &token, "?fresh=true")).await;
    assert_eq!(answer.json()["auth_required"], true);
    assert_eq!(site.world().inbox.count(), 1);

    let (site, token) = site_with(|config| {
        config.require = Requirement::Token;
        config.rules = vec![rule(Requirement::TWO_FACTOR)];
    })
    .await;
    start(&site, &token).await;
}

#[tokio::test]
async fn a_share_is_verified_within_its_scope() {
    let site = Site::new();
    site.world().share("link", Some(PHONE), None).await;
    let sign_in = site.call(Method::POST, "/api/authtoken");
    let answer = site
        .answer(sign_in.form("URL=/share/link&deviceId=d1"))
        .await;
    let token = answer.json()["token"].as_str().unwrap().to_owned();
    let code = start(&site, &token).await;
    assert_eq!(verify(&site, &token, &code).await.status(), 200);
    let secret = site.is_open_at("/secret", &token, None).await;
    assert!(!secret, "/secret is not in /dir/");
    let again = site.answer(call(&site, &token, "")).await;
    assert_eq!(again.json()["auth_required"], false);
}

#[tokio::test]
async fn a_revoked_session_asks_again() {
    let (site, token) = site().await;
    let code = start(&site, &token).await;
    verify(&site, &token, &code).await;
    let all = crate::auth::ports::Which::All;
    site.world().store.revoke(all, START).await.unwrap();
    site.local.gate.forget(all);
    site.world().advance(31);
    let answer = site.answer(call(&site, &token, "")).await;
    assert_eq!(answer.json()["auth_required"], true);
}
