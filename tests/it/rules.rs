//! The rules that hold on every dialect alike, asked of each and across them: whose code it is, what
//! it is good for and how often is never a matter of the words it is sent in.

mod codes;
mod enrolling;

use crate::conformance::tools::{add_user, app_code, site, site_with};
use crate::support::{Gateway, PASSWORD, PHONE, Setup, Site, json_of, secret, status};
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

async fn backup_codes(gateway: &Gateway, verified: &Pair) -> Vec<String> {
    let path = "/authentication/twoFa/generate";
    let made = send(gateway, verified, "GET", path, &Value::Null);
    let made = json_of(made).await;
    let codes = made["codes"].as_array().expect("codes");
    codes
        .iter()
        .map(|it| secret(it.as_str().expect("text")))
        .collect()
}
