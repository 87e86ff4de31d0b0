//! The rules that hold on every dialect alike, asked of each and across them: whose code it is, what
//! it is good for and how often is never a matter of the words it is sent in.

use crate::conformance::tools::{add_user, app_code, site, site_with};
use crate::support::{Gateway, PASSWORD, PHONE, Setup, Site, secret};
use reqwest::RequestBuilder;
use serde_json::{Value, json};
use std::collections::HashMap;
use tokio::task::JoinSet;

/// A token on a device (empty: none is named).
#[derive(Clone, Debug)]
struct Pair {
    token: String,
    device: &'static str,
}

/// How a dialect sends a code to a pair and takes one, and what it answers.
struct Dialect {
    name: &'static str,
    start: fn(&Gateway, &Pair) -> RequestBuilder,
    verify: fn(&Gateway, &Pair, &str) -> RequestBuilder,
    right: u16,
    wrong: u16,
    /// To a code that was good before.
    used: u16,
    never_sent: u16,
}

/// Those that verify a pair. B2Core verifies what its sign-in issues: `changes` has its part.
const DIALECTS: [Dialect; 3] = [
    Dialect {
        name: "ioGates",
        start: |gateway, pair| {
            let path = format!("/api/apiauth/twofactorsms/{}", pair.token);
            send(gateway, pair, "GET", &path, &Value::Null)
        },
        verify: |gateway, pair, code| {
            let path = format!("/api/apiauth/twofactorsms/{}", pair.token);
            send(gateway, pair, "POST", &path, &json!({"authcode": code}))
        },
        right: 200,
        wrong: 401,
        used: 403,
        never_sent: 404,
    },
    Dialect {
        name: "Ziik",
        start: |gateway, pair| {
            let path = "/api/two-factor/send-verification";
            send(gateway, pair, "POST", path, &Value::Null)
        },
        verify: |gateway, pair, code| {
            let path = "/api/two-factor/verify";
            send(gateway, pair, "POST", path, &json!({"key": code}))
        },
        right: 204,
        wrong: 422,
        used: 422,
        never_sent: 409,
    },
    Dialect {
        name: "Conduit",
        start: |gateway, pair| {
            let path = "/authentication/twoFa/authorize";
            send(gateway, pair, "POST", path, &Value::Null)
        },
        verify: |gateway, pair, code| {
            let path = "/authentication/twoFa/verify";
            send(gateway, pair, "POST", path, &json!({"code": code}))
        },
        right: 200,
        wrong: 401,
        used: 403,
        never_sent: 404,
    },
];

const KEY: &str = "T42NQXFCPWEJMGJYT42NQXFCPWEJMGJY";
const OTHER_KEY: &str = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";

/// Every call that changes what protects a user, or shows it, with a good body. `method` is B2Core's
/// name of the user's factor.
fn changes(own_id: i64, method: &str) -> Vec<(&'static str, String, Value)> {
    let ziik = "/api/two-factor".to_owned();
    let conduit = |step: &str| format!("/authentication/twoFa/{step}");
    let b2core = |step: &str| format!("/api/v2/my/2fa/{step}/wizard");
    let other = "+4587654321";
    vec![
        (
            "PATCH",
            ziik.clone(),
            json!({"method": "google", "secret_key": OTHER_KEY}),
        ),
        (
            "PATCH",
            ziik.clone(),
            json!({"method": "sms", "phone_prefix": 45, "phone": 87_654_321}),
        ),
        ("PATCH", ziik.clone(), json!({"method": ""})),
        ("PATCH", ziik.clone(), json!({"method": null})),
        ("GET", format!("{ziik}/qr"), Value::Null),
        (
            "POST",
            format!("/api/users/{own_id}/two-factor/reset"),
            Value::Null,
        ),
        ("PUT", conduit("enable"), json!({"method": "authenticator"})),
        (
            "PUT",
            conduit("enable"),
            json!({"method": "sms", "phone": other}),
        ),
        ("POST", conduit("enable/verify"), json!({"code": "123456"})),
        ("GET", conduit("generate"), Value::Null),
        ("PUT", conduit("disable"), Value::Null),
        ("GET", b2core("google/enable"), Value::Null),
        ("GET", b2core("sms/enable"), Value::Null),
        ("GET", b2core(&format!("{method}/disable")), Value::Null),
    ]
}

/// Calls that begin to enrol a factor.
fn enrolments() -> Vec<(&'static str, String, Value)> {
    let all = changes(0, "sms").into_iter();
    all.filter(|(_, path, body)| {
        let is_first = ["/api/two-factor", "/authentication/twoFa/enable"].contains(&&**path);
        is_first && !matches!(&body["method"], Value::Null) && body["method"] != ""
            || path.ends_with("/enable/wizard")
    })
    .collect()
}

fn send(gateway: &Gateway, pair: &Pair, method: &str, path: &str, body: &Value) -> RequestBuilder {
    let method = reqwest::Method::from_bytes(method.as_bytes()).expect("method");
    let mut request = gateway.http.request(method, gateway.url(path));
    request = request.bearer_auth(&pair.token);
    if !pair.device.is_empty() {
        request = request.header("x-device-id", pair.device);
    }
    match body {
        Value::Null => request,
        body => request.body(body.to_string()),
    }
}

async fn status(request: RequestBuilder) -> u16 {
    request.send().await.expect("answer").status().as_u16()
}

async fn is_open(gateway: &Gateway, pair: &Pair) -> bool {
    status(send(gateway, pair, "GET", "/file", &Value::Null)).await == 200
}

async fn pair(gateway: &Gateway, user: &str, device: &'static str) -> Pair {
    let token = gateway.sign_in(user, PASSWORD, device).await;
    Pair { token, device }
}

/// A code that is none of the last ones.
fn other_than(code: &str) -> String {
    let last = code.as_bytes()[code.len() - 1];
    let last = if last == b'0' { '1' } else { '0' };
    format!("{}{last}", &code[..code.len() - 1])
}

/// Enrols an authenticator for the pair, over Ziik, and spends the code of this step.
async fn enrol_app(gateway: &Gateway, pair: &Pair) {
    let body = json!({"method": "google", "secret_key": secret(KEY)});
    let set = send(gateway, pair, "PATCH", "/api/two-factor", &body);
    assert_eq!(status(set).await, 204);
    let code = app_code(KEY, 0).await;
    assert_eq!(
        status((DIALECTS[1].verify)(gateway, pair, &code)).await,
        204
    );
}

#[tokio::test]
async fn a_code_that_one_dialect_sent_verifies_on_each() {
    let Site { gateway, inbox, .. } = site().await;
    add_user(&gateway, "anna", &["--phone", PHONE]);
    for sender in &DIALECTS {
        for taker in &DIALECTS {
            let what = format!("{} to {}", sender.name, taker.name);
            let laptop = pair(&gateway, "anna", "laptop").await;
            let code = "123456";
            let early = status((taker.verify)(&gateway, &laptop, code)).await;
            assert_eq!(early, taker.never_sent, "{what}");
            let sent = status((sender.start)(&gateway, &laptop)).await;
            assert_eq!(sent, sender.right, "{what}");
            let code = inbox.code_for(PHONE);
            let tablet = pair(&gateway, "anna", "tablet").await;
            let foreign = status((taker.verify)(&gateway, &tablet, &code)).await;
            assert_eq!(foreign, taker.never_sent, "{what}: another pair's");
            let wrong = status((taker.verify)(&gateway, &laptop, &other_than(&code))).await;
            assert_eq!(wrong, taker.wrong, "{what}");
            let right = status((taker.verify)(&gateway, &laptop, &code)).await;
            assert_eq!(right, taker.right, "{what}");
            assert!(is_open(&gateway, &laptop).await && !is_open(&gateway, &tablet).await);
            for again in &DIALECTS {
                let used = status((again.verify)(&gateway, &laptop, &code)).await;
                assert_eq!(used, again.used, "{what}, again to {}", again.name);
            }
        }
    }
}

#[tokio::test]
async fn of_one_code_on_all_dialects_at_once_one_wins() {
    let Site { gateway, inbox, .. } = site().await;
    add_user(&gateway, "anna", &["--phone", PHONE]);
    let laptop = pair(&gateway, "anna", "laptop").await;
    assert_eq!(status((DIALECTS[0].start)(&gateway, &laptop)).await, 200);
    let code = inbox.code_for(PHONE);
    let mut tries = JoinSet::new();
    for number in 0..51 {
        let dialect = &DIALECTS[number % DIALECTS.len()];
        let request = (dialect.verify)(&gateway, &laptop, &code);
        tries.spawn(async move { (dialect, status(request).await) });
    }
    let mut winners = 0;
    for (dialect, status) in tries.join_all().await {
        if status == dialect.right {
            winners += 1;
        } else {
            assert_eq!(status, dialect.used, "{}", dialect.name);
        }
    }
    assert_eq!(winners, 1);
}

#[tokio::test]
async fn of_one_backup_code_spent_fifty_times_at_once_one_wins() {
    let Site { gateway, inbox, .. } = site().await;
    add_user(&gateway, "anna", &["--phone", PHONE]);
    let laptop = pair(&gateway, "anna", "laptop").await;
    gateway.verify(&inbox, &laptop.token, "laptop", PHONE).await;
    let code = backup_codes(&gateway, &laptop).await.remove(0);
    let mut tries = JoinSet::new();
    for _ in 0..50 {
        let thief = pair(&gateway, "anna", "thief").await;
        let path = "/authentication/twoFa/recover";
        let request = send(&gateway, &thief, "POST", path, &json!({"code": code}));
        tries.spawn(status(request));
    }
    let mut statuses: HashMap<u16, usize> = HashMap::new();
    for status in tries.join_all().await {
        *statuses.entry(status).or_default() += 1;
    }
    assert_eq!(statuses.remove(&200), Some(1), "{statuses:?}");
    // The others are wrong codes, and wrong codes cost a delay.
    assert!(
        statuses.keys().all(|status| [401, 429].contains(status)),
        "{statuses:?}"
    );
}

async fn backup_codes(gateway: &Gateway, verified: &Pair) -> Vec<String> {
    let path = "/authentication/twoFa/generate";
    let made = send(gateway, verified, "GET", path, &Value::Null);
    let made: Value = made
        .send()
        .await
        .expect("answer")
        .json()
        .await
        .expect("JSON");
    let codes = made["codes"].as_array().expect("codes");
    codes
        .iter()
        .map(|it| secret(it.as_str().expect("text")))
        .collect()
}

#[tokio::test]
async fn an_authenticators_code_is_good_once_on_all_dialects() {
    for first in &DIALECTS {
        let Site { gateway, .. } = site().await;
        add_user(&gateway, "anna", &[]);
        let laptop = pair(&gateway, "anna", "laptop").await;
        enrol_app(&gateway, &laptop).await;
        let tablet = pair(&gateway, "anna", "tablet").await;
        let code = app_code(KEY, 1).await;
        let right = status((first.verify)(&gateway, &tablet, &code)).await;
        assert_eq!(right, first.right, "{}", first.name);
        for (dialect, device) in DIALECTS.iter().zip(["tablet", "laptop", "thief"]) {
            let other = pair(&gateway, "anna", device).await;
            let replayed = status((dialect.verify)(&gateway, &other, &code)).await;
            assert_eq!(
                replayed, dialect.wrong,
                "{}, then {}",
                first.name, dialect.name
            );
            assert!(!is_open(&gateway, &other).await);
        }
    }
}

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
    let shown: Value = shown
        .send()
        .await
        .expect("answer")
        .json()
        .await
        .expect("JSON");
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
async fn wrong_codes_add_up_over_dialects_devices_and_sign_ins() {
    let Site { gateway, inbox, .. } = site().await;
    add_user(&gateway, "anna", &["--phone", PHONE]);
    let devices = ["laptop", "tablet", "phone", "watch", ""];
    let mut last = None;
    for (number, device) in devices.into_iter().enumerate() {
        let dialect = &DIALECTS[number % DIALECTS.len()];
        // Without a device of its own, the last one speaks for the one that signed in.
        let signed_in = if device.is_empty() { "fridge" } else { device };
        let token = pair(&gateway, "anna", signed_in).await.token;
        let pair = Pair { token, device };
        assert_eq!(
            status((dialect.start)(&gateway, &pair)).await,
            dialect.right
        );
        let code = inbox.code_for(PHONE);
        let wrong = status((dialect.verify)(&gateway, &pair, &other_than(&code))).await;
        assert_eq!(wrong, dialect.wrong, "{}", dialect.name);
        last = Some((pair, code));
    }
    let (known, code) = last.expect("a pair");
    let fresh = pair(&gateway, "anna", "new").await;
    for dialect in &DIALECTS {
        for request in [
            (dialect.verify)(&gateway, &known, &code),
            (dialect.verify)(&gateway, &fresh, &code),
            (dialect.start)(&gateway, &known),
            (dialect.start)(&gateway, &fresh),
        ] {
            let answer = request.send().await.expect("answer");
            assert_eq!(answer.status(), 429, "{}", dialect.name);
            let wait = answer.headers()["retry-after"].to_str().expect("text");
            let wait: u64 = wait.parse().expect("seconds");
            assert!((1..=30).contains(&wait), "{wait}");
        }
    }
    assert_eq!(inbox.messages().len(), devices.len());
    let path = "/authentication/twoFa/recover";
    let backup = send(&gateway, &fresh, "POST", path, &json!({"code": "12345678"}));
    assert_eq!(status(backup).await, 429, "backup codes wait as well");
}

#[tokio::test]
async fn a_lock_holds_on_every_dialect_until_a_backup_code() {
    let lockout = "lockout: {delay_every: 0, lock_at: 3}\nlimits:";
    let change = |setup: Setup| setup.with("limits:", lockout);
    let Site { gateway, inbox, .. } = site_with(change).await;
    add_user(&gateway, "anna", &["--phone", PHONE]);
    let laptop = pair(&gateway, "anna", "laptop").await;
    gateway.verify(&inbox, &laptop.token, "laptop", PHONE).await;
    let backup = backup_codes(&gateway, &laptop).await;
    let thief = pair(&gateway, "anna", "thief").await;
    assert_eq!(status((DIALECTS[0].start)(&gateway, &thief)).await, 200);
    let code = inbox.code_for(PHONE);
    for dialect in &DIALECTS {
        let wrong = status((dialect.verify)(&gateway, &thief, &other_than(&code))).await;
        assert_eq!(wrong, dialect.wrong, "{}", dialect.name);
    }
    let fresh = pair(&gateway, "anna", "fresh").await;
    for dialect in &DIALECTS {
        for request in [
            (dialect.verify)(&gateway, &thief, &code),
            (dialect.verify)(&gateway, &laptop, &code),
            (dialect.verify)(&gateway, &fresh, &code),
            (dialect.start)(&gateway, &fresh),
        ] {
            let answer = request.send().await.expect("answer");
            assert_eq!(answer.status(), 403, "{}", dialect.name);
            let text = answer.text().await.expect("text");
            assert!(text.contains("locked"), "{}: {text}", dialect.name);
        }
    }
    assert!(
        is_open(&gateway, &laptop).await,
        "what was verified before goes on"
    );
    let path = "/authentication/twoFa/recover";
    let freed = send(&gateway, &fresh, "POST", path, &json!({"code": backup[0]}));
    assert_eq!(status(freed).await, 200);
    assert!(is_open(&gateway, &fresh).await);
    let tablet = pair(&gateway, "anna", "tablet").await;
    assert_eq!(status((DIALECTS[1].start)(&gateway, &tablet)).await, 204);
    let code = inbox.code_for(PHONE);
    assert_eq!(
        status((DIALECTS[2].verify)(&gateway, &tablet, &code)).await,
        200
    );
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
    let tokens: Value = verify
        .send()
        .await
        .expect("answer")
        .json()
        .await
        .expect("JSON");
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
    let refreshed: Value = request
        .send()
        .await
        .expect("answer")
        .json()
        .await
        .expect("JSON");
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
