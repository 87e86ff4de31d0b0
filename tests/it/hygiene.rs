//! Header hygiene in both directions, and policy on the paths of a request.

use crate::support::iogates::Backend;
use crate::support::{Gateway, PASSWORD, PHONE, Setup, Site};
use serde_json::Value;

async fn verified(change: impl FnOnce(Setup) -> Setup) -> (Gateway, Backend, String) {
    let Site {
        backend,
        gateway,
        inbox,
        ..
    } = Site::accounts_with(change).await;
    gateway.add_user("anna", PASSWORD, PHONE);
    let token = gateway.verified(&inbox, "anna", "laptop").await;
    (gateway, backend, token)
}

#[tokio::test]
async fn a_client_cannot_speak_in_vestibules_name() {
    let (gateway, backend, token) = verified(|it| it).await;
    let mut request = gateway.get("/x", &token, "laptop");
    for name in [
        "X-Vestibule-User",
        "X_Vestibule_User",
        "X-Vestibule-Assertion",
        "X-Forwarded-For",
        "X_Forwarded_For",
        "Forwarded",
        "X-Real-IP",
        "X-Original-URL",
        "X-Rewrite-URL",
        "X-HTTP-Method-Override",
        "X-Forwarded-Host",
    ] {
        request = request.header(name, "forged");
    }
    assert_eq!(request.send().await.expect("answer").status(), 200);
    let seen = backend.seen().pop().expect("seen");
    for (name, value) in &seen.headers {
        assert_ne!(value.as_bytes(), b"forged", "{name} came through");
    }
    assert_eq!(seen.headers["x-vestibule-user"], "anna");
    assert_eq!(seen.headers["x-forwarded-for"], "127.0.0.1");
    assert_eq!(seen.headers.get_all("x-vestibule-user").iter().count(), 1);
}

#[tokio::test]
async fn a_trusted_proxy_may_name_the_client_but_not_the_user() {
    let (gateway, backend, token) =
        verified(|it| it.with("store:", "trusted_proxies: [127.0.0.1/32]\nstore:")).await;
    let request = gateway
        .get("/x", &token, "laptop")
        .header("X-Forwarded-For", "203.0.113.9")
        .header("X-Vestibule-User", "root");
    assert_eq!(request.send().await.expect("answer").status(), 200);
    let seen = backend.seen().pop().expect("seen");
    assert_eq!(seen.headers["x-forwarded-for"], "203.0.113.9");
    assert_eq!(seen.headers["x-vestibule-user"], "anna");
}

#[tokio::test]
async fn two_tokens_or_two_devices_in_one_request_are_400() {
    let (gateway, backend, token) = verified(|it| it).await;
    let before = backend.seen().len();
    let both = gateway
        .get("/x?token=another-token", &token, "laptop")
        .send()
        .await
        .expect("answer");
    assert_eq!(both.status(), 400);
    let both = gateway
        .get("/x", &token, "laptop")
        .header("cookie", "IOGATES=another-token")
        .send()
        .await;
    assert_eq!(both.expect("answer").status(), 400);
    let both = gateway
        .get("/x?deviceId=phone", &token, "laptop")
        .send()
        .await
        .expect("answer");
    assert_eq!(both.status(), 400);
    assert_eq!(backend.seen().len(), before);
    // The same token in two places is one token.
    let twice = gateway
        .get(
            &format!("/x?token={token}&deviceId=laptop"),
            &token,
            "laptop",
        )
        .send()
        .await;
    assert_eq!(twice.expect("answer").status(), 200);
}

#[tokio::test]
async fn every_place_for_a_token_works() {
    let (gateway, _backend, token) = verified(|it| it).await;
    let cookie = gateway
        .http
        .get(gateway.url("/x"))
        .header("cookie", format!("a=b; IOGATES={token}"));
    assert_eq!(
        cookie
            .header("x-device-id", "laptop")
            .send()
            .await
            .expect("answer")
            .status(),
        200
    );
    let query = gateway
        .http
        .get(gateway.url(&format!("/x?token={token}&deviceId=laptop")));
    assert_eq!(query.send().await.expect("answer").status(), 200);
}

#[tokio::test]
async fn webdav_destinations_obey_the_policy() {
    let (gateway, backend, token) = verified(|it| it).await;
    let copy = reqwest::Method::from_bytes(b"COPY").expect("method");
    let to = |destination: &str| {
        gateway
            .http
            .request(copy.clone(), gateway.url("/public/a"))
            .bearer_auth(&token)
            .header("x-device-id", "laptop")
            .header("destination", destination)
            .send()
    };
    assert_eq!(to("/closed/b").await.expect("answer").status(), 403);
    assert_eq!(to("/ok/../closed/b").await.expect("answer").status(), 403);
    let before = backend.seen().len();
    assert_eq!(
        to(&gateway.url("/ok/b")).await.expect("answer").status(),
        200
    );
    assert_eq!(backend.seen().len(), before + 1);
}

#[tokio::test]
async fn a_browser_is_sent_to_the_challenge_page_and_an_api_client_is_not() {
    let (gateway, _backend, _token) = verified(|it| it).await;
    let token = gateway.sign_in("anna", PASSWORD, "browser").await;
    let page = gateway
        .http
        .get(gateway.url("/docs/plan.txt?x=1"))
        .header("cookie", format!("IOGATES={token}"))
        .header("x-device-id", "unverified")
        .header("sec-fetch-mode", "navigate");
    let page = page.send().await.expect("answer");
    assert_eq!(page.status(), 303);
    let location = page.headers()["location"].to_str().expect("text");
    assert_eq!(
        location,
        "/.vestibule/challenge?return_to=/docs/plan.txt%3Fx%3D1"
    );
    let api = gateway
        .get("/docs/plan.txt", &token, "unverified")
        .send()
        .await
        .expect("answer");
    assert_eq!(api.status(), 401);
    let problem: Value = api.json().await.expect("JSON");
    assert!(
        problem["portal_url"]
            .as_str()
            .is_some_and(|it| it.starts_with("http")),
        "{problem}"
    );
    let upload = gateway
        .http
        .post(gateway.url("/x"))
        .header("accept", "text/html")
        .send()
        .await
        .expect("answer");
    assert_eq!(upload.status(), 401, "no redirect for an upload");
}

#[tokio::test]
async fn a_foreign_page_cannot_open_a_websocket_or_read_answers() {
    let (gateway, backend, token) = verified(|it| {
        it.with(
            "    phone_region: DK",
            "    phone_region: DK\n    cors: {origins: [\"https://app.example.org\"]}",
        )
    })
    .await;
    let before = backend.seen().len();
    let socket = |origin: &'static str| {
        gateway
            .get("/ws", &token, "laptop")
            .header("connection", "upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
            .header("origin", origin)
            .send()
    };
    assert_eq!(
        socket("https://evil.example")
            .await
            .expect("answer")
            .status(),
        403
    );
    assert_eq!(backend.seen().len(), before);
    let preflight = |origin: &'static str| {
        gateway
            .http
            .request(reqwest::Method::OPTIONS, gateway.url("/x"))
            .header("origin", origin)
            .header("access-control-request-method", "PUT")
            .send()
    };
    let allowed = preflight("https://app.example.org").await.expect("answer");
    assert_eq!(allowed.status(), 204);
    assert_eq!(
        allowed.headers()["access-control-allow-origin"],
        "https://app.example.org"
    );
    let foreign = preflight("https://evil.example").await.expect("answer");
    assert_eq!(foreign.status(), 401);
    assert!(
        !foreign
            .headers()
            .contains_key("access-control-allow-origin")
    );
    let refused = gateway
        .http
        .get(gateway.url("/x"))
        .header("origin", "https://app.example.org")
        .send()
        .await;
    let refused = refused.expect("answer");
    assert_eq!(refused.status(), 401);
    assert_eq!(
        refused.headers()["access-control-allow-origin"],
        "https://app.example.org"
    );
}
