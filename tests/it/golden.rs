//! Every local endpoint × every method × every kind of caller, in one table.
//!
//! The endpoints come from the program's own list, so a new one changes the table until its rows
//! have been looked at. The route speaks every dialect. The calls have no body and no parameters:
//! what an endpoint does with good ones is its own tests' business. Forward-auth, which other proxies ask on a listener of
//! its own, has a table by itself.

use crate::support::{Gateway, Inbox, PASSWORD, Site};
use std::fmt::Write as _;
use vestibule::local::table::{ENDPOINTS, Endpoint};

const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// Of a user and of a change that are not there, so that no row changes what another one says.
const NOBODYS_ID: &str = "999999";

/// One kind of caller.
struct Caller {
    kind: &'static str,
    token: Option<String>,
    /// The token in the path, where an endpoint has one.
    path_token: String,
    device: &'static str,
}

async fn callers(gateway: &Gateway, inbox: &Inbox) -> Vec<Caller> {
    gateway.add_user("anna", PASSWORD, "+4512345678");
    gateway.add_user("bert", PASSWORD, "+4512345679");
    let verified = gateway.sign_in("anna", PASSWORD, "laptop").await;
    gateway
        .verify(inbox, &verified, "laptop", "+4512345678")
        .await;
    let unverified = gateway.sign_in("anna", PASSWORD, "tablet").await;
    let other_user = gateway.sign_in("bert", PASSWORD, "laptop").await;
    let editor = editor(gateway, inbox).await;
    let caller = |kind, token: Option<&str>, path_token: &str, device| Caller {
        kind,
        token: token.map(str::to_owned),
        path_token: path_token.to_owned(),
        device,
    };
    vec![
        caller("none", None, &verified, "laptop"),
        caller("garbage", Some("garbage-token"), "garbage-token", "laptop"),
        caller("unverified", Some(&unverified), &unverified, "tablet"),
        caller("verified", Some(&verified), &verified, "laptop"),
        caller("other device", Some(&verified), &verified, "phone"),
        caller("other user", Some(&other_user), &other_user, "laptop"),
        caller("other's path", Some(&other_user), &verified, "laptop"),
        caller("editor", Some(&editor), &editor, "laptop"),
    ]
}

/// Signs somebody in, and verifies them, who may edit users.
async fn editor(gateway: &Gateway, inbox: &Inbox) -> String {
    let phone = "+4512345670";
    gateway.add_user_with("carl", PASSWORD, &["--phone", phone, "--can-edit-users"]);
    let token = gateway.sign_in("carl", PASSWORD, "laptop").await;
    gateway.verify(inbox, &token, "laptop", phone).await;
    token
}

/// Every segment of the path that stands for something is filled in.
fn filled(endpoint: &Endpoint, caller: &Caller) -> String {
    // The document's other words for a method have endpoints of their own.
    let method = match endpoint.path.ends_with("{type}") {
        true => "push",
        false => "sms",
    };
    let path = endpoint
        .path
        .replace("{token}", &caller.path_token)
        .replace("{id}", NOBODYS_ID)
        .replace("{changeId}", NOBODYS_ID)
        .replace("{type}", method)
        .replace("{kind}", "totp")
        .replace("{name}", "nobodys-name");
    assert!(!path.contains('{'), "{path}: what does it stand for?");
    path
}

/// The error that `WWW-Authenticate` names, if the header is there at all.
fn error_of(headers: &reqwest::header::HeaderMap) -> Option<String> {
    let challenge = headers.get("www-authenticate")?;
    let text = challenge.to_str().expect("text");
    let error = text.split("error=\"").nth(1);
    let error = error.and_then(|rest| rest.split('"').next());
    Some(error.unwrap_or("bare").to_owned())
}

/// `status` and, where they are there, `Allow`, `WWW-Authenticate`'s error and the body's member names.
async fn row(gateway: &Gateway, endpoint: &Endpoint, method: &str, caller: &Caller) -> String {
    let path = filled(endpoint, caller);
    let method = reqwest::Method::from_bytes(method.as_bytes()).expect("method");
    let mut request = gateway
        .http
        .request(method, gateway.url(&path))
        .header("x-device-id", caller.device);
    if let Some(token) = &caller.token {
        request = request.bearer_auth(token);
    }
    let answer = request.send().await.expect("answer");
    assert_eq!(
        answer
            .headers()
            .get("cache-control")
            .and_then(|it| it.to_str().ok()),
        Some("no-store"),
        "{path}"
    );
    assert_ne!(answer.status(), 500, "{path}");
    let mut out = answer.status().as_u16().to_string();
    if let Some(allow) = answer.headers().get("allow") {
        let _ = write!(out, " allow={}", allow.to_str().expect("text"));
    }
    if let Some(error) = error_of(answer.headers()) {
        let _ = write!(out, " www={error}");
    }
    if answer.status() == 401 {
        assert!(
            answer.headers().contains_key("www-authenticate"),
            "{path}: a 401 says how to authenticate"
        );
    }
    let body = answer.bytes().await.expect("body");
    if let Ok(serde_json::Value::Object(members)) = serde_json::from_slice(&body) {
        let names: Vec<_> = members.keys().map(String::as_str).collect();
        let _ = write!(out, " {{{}}}", names.join(","));
    } else if !body.is_empty() {
        out.push_str(if body.starts_with(b"<!") {
            " page"
        } else {
            " other"
        });
    }
    out
}

#[tokio::test]
async fn every_endpoint_and_every_kind_of_caller() {
    let Site {
        backend,
        gateway,
        inbox,
        ..
    } = Site::accounts_with(|setup| {
        setup.with(
            "dialects: [iogates]",
            "dialects: [iogates, ziik, b2core, conduit]",
        )
    })
    .await;
    let callers = callers(&gateway, &inbox).await;
    let mut table = String::new();
    for endpoint in ENDPOINTS {
        for method in METHODS {
            let _ = writeln!(table, "{method} {}", endpoint.path);
            for caller in &callers {
                let _ = writeln!(
                    table,
                    "  {:<13}{}",
                    caller.kind,
                    row(&gateway, endpoint, method, caller).await
                );
            }
        }
    }
    let reached = backend.seen();
    assert!(
        reached.is_empty(),
        "local endpoints were forwarded: {reached:?}"
    );
    insta::assert_snapshot!(table);
}

/// How a proxy asks about a request.
struct Question {
    method: String,
    path: String,
    headers: Vec<(&'static str, String)>,
}

/// The ways in which proxies describe one request: as Traefik and Caddy do, nginx, Envoy.
fn questions(method: &str, path: &str) -> [Question; 3] {
    let text = str::to_owned;
    let by_headers = |headers| Question {
        // Of no meaning here: these proxies always send a GET.
        method: text("GET"),
        path: text("/.vestibule/forward-auth"),
        headers,
    };
    [
        by_headers(vec![
            ("x-forwarded-method", text(method)),
            ("x-forwarded-uri", text(path)),
            ("x-forwarded-proto", text("http")),
            ("x-forwarded-host", text("127.0.0.1")),
        ]),
        by_headers(vec![
            ("x-original-method", text(method)),
            ("x-original-url", format!("http://127.0.0.1{path}")),
        ]),
        Question {
            method: text(method),
            path: format!("/.vestibule/forward-auth{path}"),
            headers: vec![("x-forwarded-proto", text("http"))],
        },
    ]
}

/// `status` and, where they are there, `WWW-Authenticate`'s errors and the names of what a backend is told.
async fn answer(gateway: &Gateway, question: &Question, caller: &Caller) -> String {
    let method = reqwest::Method::from_bytes(question.method.as_bytes()).expect("method");
    let url = format!("http://{}{}", gateway.listeners[1], question.path);
    let mut request = gateway.http.request(method, url);
    request = request.header("x-device-id", caller.device);
    for (name, value) in &question.headers {
        request = request.header(*name, value);
    }
    if let Some(token) = &caller.token {
        request = request.bearer_auth(token);
    }
    let answer = request.send().await.expect("answer");
    assert_eq!(answer.headers()["cache-control"], "no-store");
    let mut out = answer.status().as_u16().to_string();
    if let Some(error) = error_of(answer.headers()) {
        let _ = write!(out, " www={error}");
    }
    let names = answer.headers().keys().map(|name| name.as_str());
    let mut told: Vec<_> = names
        .filter(|name| name.starts_with("x-vestibule-") || *name == "authorization")
        .collect();
    told.sort_unstable();
    if !told.is_empty() {
        let _ = write!(out, " [{}]", told.join(","));
    }
    out
}

#[tokio::test]
async fn forward_auth_and_every_kind_of_caller() {
    let Site {
        backend,
        gateway,
        inbox,
        ..
    } = Site::accounts_with(|setup| {
        let listeners = "  - address: 127.0.0.1:0\n  - {address: \"127.0.0.1:0\", forward_auth: true}\n\
                         trusted_proxies: [127.0.0.1]\n";
        setup.with("  - address: 127.0.0.1:0\n", listeners)
    })
    .await;
    let callers = callers(&gateway, &inbox).await;
    let client = ("x-forwarded-for", "192.0.2.7".to_owned());
    let mut table = String::new();
    for (method, path) in [
        ("GET", "/file"),
        ("DELETE", "/file"),
        ("GET", "/public/file"),
        ("GET", "/half/file"),
        ("GET", "/closed/file"),
        ("GET", "/.vestibule/account"),
        ("GET", "/share/link/file"),
    ] {
        let _ = writeln!(table, "{method} {path}");
        for caller in &callers {
            let mut rows = Vec::new();
            for mut question in questions(method, path) {
                // Whoever leaves out who the client is, or says two things, is not answered.
                let unsaid = answer(&gateway, &question, caller).await;
                question.headers.push(client.clone());
                rows.push(answer(&gateway, &question, caller).await);
                let other = ("x-original-uri", "/public/other".to_owned());
                question.headers.push(other);
                let twofold = answer(&gateway, &question, caller).await;
                assert_eq!((unsaid.as_str(), twofold.as_str()), ("400", "400"));
            }
            assert!(rows.iter().all(|row| *row == rows[0]), "{path}: {rows:?}");
            let _ = writeln!(table, "  {:<13}{}", caller.kind, rows[0]);
        }
    }
    let reached = backend.seen();
    assert!(reached.is_empty(), "questions were forwarded: {reached:?}");
    insta::assert_snapshot!(table);
}
