//! What a token alone may change about factors, and what a reset ends.

use super::*;

/// Fifty times each, all of them at once: a stolen token against the user's phone.
#[tokio::test]
async fn a_token_alone_changes_nothing_about_a_phone() {
    let Site { gateway, inbox, .. } = site().await;
    let anna = add_user(&gateway, "anna", &["--phone", PHONE, "--can-edit-users"]);
    let thief = pair(&gateway, "anna", "thief").await;
    let mut tries = JoinSet::new();
    for (method, path, body) in changes(anna, "sms") {
        for _ in 0..50 {
            let request = send(&gateway, &thief, method, &path, &body);
            let what = format!("{method} {path} {body}");
            tries.spawn(async move { (what, status(request).await) });
        }
    }
    for (what, status) in tries.join_all().await {
        assert_eq!(status, 403, "{what}");
    }
    assert_eq!(
        inbox.messages(),
        [],
        "nothing was sent, least of all to the other number"
    );
    for dialect in &DIALECTS {
        let laptop = pair(&gateway, "anna", "laptop").await;
        assert!(!is_open(&gateway, &thief).await && !is_open(&gateway, &laptop).await);
        assert_eq!(
            status((dialect.start)(&gateway, &laptop)).await,
            dialect.right
        );
        let code = inbox.code_for(PHONE);
        let right = status((dialect.verify)(&gateway, &laptop, &code)).await;
        assert_eq!(right, dialect.right, "the same factor still verifies");
    }
}

#[tokio::test]
async fn a_token_alone_changes_nothing_about_an_authenticator() {
    let Site { gateway, inbox, .. } = site().await;
    let anna = add_user(&gateway, "anna", &["--can-edit-users"]);
    let laptop = pair(&gateway, "anna", "laptop").await;
    // What the thief began while there was no factor is worth nothing once there is one.
    let thief = pair(&gateway, "anna", "thief").await;
    let begun = json!({"method": "google", "secret_key": secret(OTHER_KEY)});
    let begun = send(&gateway, &thief, "PATCH", "/api/two-factor", &begun);
    assert_eq!(status(begun).await, 204);
    enrol_app(&gateway, &laptop).await;
    let backup = backup_codes(&gateway, &laptop).await.remove(0);
    let late = app_code(OTHER_KEY, 0).await;
    for (method, path, body) in [
        ("POST", "/api/two-factor/verify", json!({"key": late})),
        (
            "POST",
            "/authentication/twoFa/enable/verify",
            json!({"code": late}),
        ),
    ] {
        let request = send(&gateway, &thief, method, path, &body);
        let status = status(request).await;
        assert!([403, 422].contains(&status), "{path}: {status}");
    }
    for (method, path, body) in changes(anna, "google") {
        let request = send(&gateway, &thief, method, &path, &body);
        assert_eq!(status(request).await, 403, "{method} {path} {body}");
    }
    let shown = send(&gateway, &thief, "GET", "/api/two-factor", &Value::Null);
    let shown = json_of(shown).await;
    let expected = json!({
        "method": "google", "secret_key": null, "phone_prefix": null, "phone": null,
        "verified": true,
    });
    assert_eq!(shown["data"], expected);
    assert!(!is_open(&gateway, &thief).await && is_open(&gateway, &laptop).await);
    assert_eq!(inbox.messages(), []);
    let tablet = pair(&gateway, "anna", "tablet").await;
    let code = app_code(KEY, 1).await;
    assert_eq!(
        status((DIALECTS[0].verify)(&gateway, &tablet, &code)).await,
        200
    );
    let phone = pair(&gateway, "anna", "phone").await;
    let path = "/authentication/twoFa/recover";
    let recovered = send(&gateway, &phone, "POST", path, &json!({"code": backup}));
    assert_eq!(status(recovered).await, 200, "backup codes are the same");
}

#[tokio::test]
async fn without_self_enrolment_a_token_alone_enrols_nothing() {
    let change = |setup: Setup| setup.with("self_enrolment: true", "self_enrolment: false");
    let Site { gateway, inbox, .. } = site_with(change).await;
    add_user(&gateway, "anna", &[]);
    let laptop = pair(&gateway, "anna", "laptop").await;
    assert_eq!(enrolments().len(), 6);
    for (method, path, body) in enrolments() {
        let request = send(&gateway, &laptop, method, &path, &body);
        assert_eq!(status(request).await, 403, "{method} {path} {body}");
    }
    assert_eq!(inbox.messages(), []);
    assert!(!is_open(&gateway, &laptop).await);
}

#[tokio::test]
async fn what_one_dialect_enrols_another_confirms() {
    let number = json!({"method": "sms", "phone_prefix": 45, "phone": 12_345_678});
    let ziik = ("PATCH", "/api/two-factor", number);
    let number = json!({"method": "sms", "phone": PHONE});
    let conduit = ("PUT", "/authentication/twoFa/enable", number);
    let to_ziik = ("/api/two-factor/verify", "key");
    let to_conduit = ("/authentication/twoFa/enable/verify", "code");
    for (from, to) in [(ziik, to_conduit), (conduit, to_ziik)] {
        let Site { gateway, inbox, .. } = site().await;
        add_user(&gateway, "anna", &[]);
        let laptop = pair(&gateway, "anna", "laptop").await;
        let set = send(&gateway, &laptop, from.0, from.1, &from.2);
        assert!([200, 204].contains(&status(set).await), "{from:?}");
        if inbox.messages().is_empty() {
            assert_eq!(status((DIALECTS[1].start)(&gateway, &laptop)).await, 204);
        }
        let code = inbox.code_for(PHONE);
        // It confirms, and verifies nothing else before.
        let early = (DIALECTS[0].verify)(&gateway, &laptop, &code);
        assert_eq!(status(early).await, 404);
        let body = json!({to.1: code});
        let confirmed = send(&gateway, &laptop, "POST", to.0, &body);
        assert!([200, 204].contains(&status(confirmed).await), "{from:?}");
        assert!(is_open(&gateway, &laptop).await, "{from:?}");
        let tablet = pair(&gateway, "anna", "tablet").await;
        assert_eq!(status((DIALECTS[0].start)(&gateway, &tablet)).await, 200);
        let code = inbox.code_for(PHONE);
        assert_eq!(
            status((DIALECTS[0].verify)(&gateway, &tablet, &code)).await,
            200
        );
    }
    let Site { gateway, .. } = site().await;
    add_user(&gateway, "anna", &[]);
    let laptop = pair(&gateway, "anna", "laptop").await;
    let body = json!({"method": "google", "secret_key": secret(KEY)});
    let set = send(&gateway, &laptop, "PATCH", "/api/two-factor", &body);
    assert_eq!(status(set).await, 204);
    let body = json!({"code": app_code(KEY, 0).await});
    let confirmed = send(&gateway, &laptop, "POST", to_conduit.0, &body);
    assert_eq!(status(confirmed).await, 200);
    let tablet = pair(&gateway, "anna", "tablet").await;
    let code = app_code(KEY, 1).await;
    assert_eq!(
        status((DIALECTS[0].verify)(&gateway, &tablet, &code)).await,
        200
    );
}

/// A reset ends what the second factor gave, also to whoever holds a refresh token.
#[tokio::test]
async fn after_a_reset_no_refresh_brings_a_verification_back() {
    let Site { gateway, inbox, .. } = site().await;
    let anna = add_user(&gateway, "anna", &["--phone", PHONE]);
    let token = pair(&gateway, "anna", "laptop").await.token;
    let laptop = Pair { token, device: "" };
    assert_eq!(status((DIALECTS[2].start)(&gateway, &laptop)).await, 200);
    let verify = (DIALECTS[2].verify)(&gateway, &laptop, &inbox.code_for(PHONE));
    let tokens = json_of(verify).await;
    let text = |name: &str| secret(tokens[name].as_str().expect("a token"));
    let (access, refresh) = (text("accessToken"), text("refreshToken"));
    let access = Pair {
        token: access,
        device: "",
    };
    assert!(is_open(&gateway, &access).await);

    let number = "+4587654321";
    add_user(&gateway, "edith", &["--phone", number, "--can-edit-users"]);
    let editor = pair(&gateway, "edith", "desk").await;
    gateway.verify(&inbox, &editor.token, "desk", number).await;
    let path = format!("/api/users/{anna}/two-factor/reset");
    assert_eq!(
        status(send(&gateway, &editor, "POST", &path, &Value::Null)).await,
        204
    );
    assert!(!is_open(&gateway, &access).await && !is_open(&gateway, &laptop).await);
    let form = format!("grant_type=refresh_token&refresh_token={refresh}");
    let request = gateway
        .http
        .post(gateway.url("/.vestibule/token"))
        .body(form);
    let refreshed = json_of(request).await;
    if let Some(token) = refreshed["access_token"].as_str() {
        let refreshed = Pair {
            token: secret(token),
            device: "",
        };
        assert!(
            !is_open(&gateway, &refreshed).await,
            "it is a token without a second factor"
        );
        let path = "/authentication/twoFa/disable";
        let off = send(&gateway, &refreshed, "PUT", path, &Value::Null);
        assert_eq!(status(off).await, 403);
    }
}
