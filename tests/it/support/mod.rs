//! The parts of a test: the gateway's binary, a backend, an inbox for SMS, and a client.

pub(crate) mod browser;
pub(crate) mod collector;
pub(crate) mod config;
pub(crate) mod copyparty;
pub(crate) mod gateway;
pub(crate) mod inbox;
pub(crate) mod iogates;
pub(crate) mod issuer;
pub(crate) mod live;
pub(crate) mod nginx;
pub(crate) mod person;
pub(crate) mod process;
pub(crate) mod prometheus;
pub(crate) mod proxy;
pub(crate) mod schemathesis;
pub(crate) mod site;
pub(crate) mod smtpd;
pub(crate) mod tls;
pub(crate) mod webdav;

pub(crate) use config::Setup;
pub(crate) use gateway::Gateway;
pub(crate) use inbox::Inbox;
pub(crate) use site::Site;

use reqwest::RequestBuilder;
use serde_json::Value;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// What the users that the tests make sign in with, and where their codes go.
pub(crate) const PASSWORD: &str = "a-long-enough-password";
pub(crate) const PHONE: &str = "+4512345678";

/// The status of the answer to a request.
pub(crate) async fn status(request: RequestBuilder) -> u16 {
    request.send().await.expect("answer").status().as_u16()
}

/// The JSON of the answer to a request.
pub(crate) async fn json_of(request: RequestBuilder) -> Value {
    let answer = request.send().await.expect("answer");
    answer.json().await.expect("JSON")
}

/// What the forms of a page send back, to show that it was shown to this browser.
pub(crate) fn form_of(page: &str) -> String {
    let (_, rest) = page.split_once("name=\"form\" value=\"").expect("a form");
    secret(rest.split('"').next().unwrap_or_default())
}

/// Notes a secret, so that the search after the suite can prove that nothing printed it.
pub(crate) fn secret(text: &str) -> String {
    assert!(
        text.len() >= 6,
        "a secret this short would match anything: {text}"
    );
    if let Ok(path) = std::env::var("VESTIBULE_TEST_SECRETS") {
        let mut file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .expect("secrets file");
        // One write, so that tests running at once do not mix their lines.
        file.write_all(format!("{text}\n").as_bytes())
            .expect("secrets file");
    }
    text.to_owned()
}

/// A port that was free a moment ago, for servers that cannot say which one they chose.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|it| it.local_addr())
        .expect("a free port")
        .port()
}

/// A program of the machine; its absence is a failure with the way to mend it.
pub(crate) fn program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain([
            "/usr/sbin".into(),
            concat!(env!("CARGO_MANIFEST_DIR"), "/target/tools/bin").into(),
        ])
        .map(|dir| dir.join(name))
        .find(|file| file.is_file())
        .unwrap_or_else(|| panic!("{name} is not installed: run `make test`, which installs it"))
}

/// Polls until `ready` gives something, or fails after `limit`.
pub(crate) async fn wait_for<T>(
    what: &str,
    limit: Duration,
    mut ready: impl AsyncFnMut() -> Option<T>,
) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = ready().await {
            return found;
        }
        assert!(start.elapsed() < limit, "waited {limit:?} for {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A client that follows no redirect and believes any certificate.
pub(crate) fn client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .tls_danger_accept_invalid_certs(true)
        .timeout(Duration::from_secs(120))
        .build()
        .expect("client")
}
