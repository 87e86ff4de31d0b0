//! Clients that cannot show a page: WebDAV mounts and sync clients with a name and a password.

use crate::support::webdav::{WebDav, rclone, said};
use crate::support::{Gateway, Inbox, PASSWORD, PHONE, Setup, secret};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tempfile::TempDir;

struct World {
    _dir: TempDir,
    files: WebDav,
    _inbox: Inbox,
    gateway: Gateway,
}

impl World {
    async fn start() -> Self {
        Self::with(|setup| setup).await
    }

    /// Accounts of Vestibule's own, one of them anna's, in front of a WebDAV server.
    async fn with(change: impl FnOnce(Setup) -> Setup) -> Self {
        let dir = tempfile::tempdir().expect("folder");
        let files = WebDav::start(dir.path()).await;
        let inbox = Inbox::start().await;
        let setup =
            Setup::accounts(files.address, inbox.address).with("[bearer, ", "[bearer, basic, ");
        let gateway = Gateway::start(&change(setup));
        gateway.add_user("anna", PASSWORD, PHONE);
        Self {
            _dir: dir,
            files,
            _inbox: inbox,
            gateway,
        }
    }

    fn rclone(&self, password: &str, args: &[&str]) -> std::process::Output {
        rclone(&self.gateway.url("/"), "anna", password, args)
    }

    async fn get(&self, path: &str, password: &str) -> reqwest::Response {
        let request = self.gateway.http.get(self.gateway.url(path));
        let request = request.basic_auth("anna", Some(password));
        request.send().await.expect("answer")
    }
}

/// The challenges of a 401, in their order.
fn challenges(answer: &reqwest::Response) -> Vec<String> {
    let all = answer.headers().get_all("www-authenticate").iter();
    all.map(|one| one.to_str().expect("text").to_owned())
        .collect()
}

#[tokio::test]
async fn a_password_is_a_first_factor_where_the_account_is_vestibules_own() {
    let world = World::start().await;
    let listed = world.rclone(PASSWORD, &["lsf", ":webdav:half"]);
    assert_eq!(
        String::from_utf8_lossy(&listed.stdout),
        "plan.txt\n",
        "{}",
        said(&listed)
    );
    let copied = world.rclone(
        PASSWORD,
        &["copyto", ":webdav:half/plan.txt", ":webdav:half/copy.txt"],
    );
    assert!(copied.status.success(), "{}", said(&copied));
    let copy = std::fs::read_to_string(world.files.root.join("half/copy.txt"));
    assert_eq!(copy.expect("file"), "half the plan\n");
    let refused = world.rclone(PASSWORD, &["lsf", ":webdav:"]);
    assert!(!refused.status.success(), "the second factor is missing");

    let answer = world.get("/plan.txt", PASSWORD).await;
    assert_eq!(answer.status(), 401);
    let body: Value = answer.json().await.expect("JSON");
    assert_eq!(body["auth_required"], true, "{body}");

    let wrong = world.get("/half/plan.txt", "wrong-password").await;
    assert_eq!(wrong.status(), 401);
    assert_eq!(
        challenges(&wrong),
        [
            "Basic realm=\"files\", charset=\"UTF-8\"",
            "Bearer realm=\"files\", error=\"invalid_token\"",
        ]
    );
}

#[tokio::test]
async fn clients_are_asked_for_a_password_and_browsers_are_not() {
    let world = World::start().await;
    for method in ["OPTIONS", "PROPFIND", "GET"] {
        let url = world.gateway.url("/plan.txt");
        let bare = || {
            let method = method.parse().expect("method");
            world.gateway.http.request(method, &url)
        };
        let answer = bare().send().await.expect("answer");
        assert_eq!(answer.status(), 401);
        assert_eq!(challenges(&answer).len(), 2, "{method}");
        let script = bare().header("sec-fetch-mode", "cors").send().await;
        let script = challenges(&script.expect("answer"));
        assert_eq!(script, ["Bearer realm=\"files\""], "{method}");
    }
}

#[tokio::test]
async fn wrong_passwords_earn_a_wait_over_every_way_in() {
    let world = World::start().await;
    for guess in 0..5 {
        let wrong = world.get("/half/plan.txt", &format!("wrong-{guess}")).await;
        assert_eq!(wrong.status(), 401);
    }
    let right = world.get("/half/plan.txt", PASSWORD).await;
    assert_eq!(right.status(), 429);
    assert!(right.headers().contains_key("retry-after"));
    let body = serde_json::json!({"username": "anna", "password": PASSWORD, "deviceId": "d"});
    let sign_in = world.gateway.http.post(world.gateway.url("/api/authtoken"));
    let sign_in = sign_in.body(body.to_string()).send().await;
    assert_eq!(sign_in.expect("answer").status(), 429);
}

#[tokio::test]
async fn malformed_credentials_are_refused_before_anybody_is_asked() {
    let world = World::start().await;
    let secret_text = secret("anna-without-a-colon");
    for (value, status) in [
        ("Basic".to_owned(), 400),
        ("Basic !!!!".to_owned(), 400),
        (format!("Basic {}", "A".repeat(2_000)), 400),
        (format!("Basic {}", STANDARD.encode(&secret_text)), 401),
        (format!("Basic {}", STANDARD.encode("anna:a\u{7}b")), 401),
        (
            format!("Basic {}", STANDARD.encode([0xff, b':', 0xfe])),
            401,
        ),
    ] {
        let request = world.gateway.http.get(world.gateway.url("/half/plan.txt"));
        let answer = request.header("authorization", &value).send().await;
        assert_eq!(answer.expect("answer").status(), status, "{value:.40}");
    }
}

#[tokio::test]
async fn a_backend_is_asked_whether_a_password_is_right() {
    let dir = tempfile::tempdir().expect("folder");
    let account = ("bob", secret(PASSWORD));
    let files = WebDav::start_with(dir.path(), Some((account.0, &account.1))).await;
    let inbox = Inbox::start().await;
    let setup = Setup::learn(files.address, inbox.address)
        .with("[bearer, ", "[bearer, basic, ")
        .with("/api/profile", "/plan.txt");
    let gateway = Gateway::start(&setup);
    let url = gateway.url("/");
    let listed = rclone(&url, "bob", PASSWORD, &["cat", ":webdav:half/plan.txt"]);
    assert_eq!(
        String::from_utf8_lossy(&listed.stdout),
        "half the plan\n",
        "the backend is sent the password: {}",
        said(&listed)
    );
    for guess in 0..5 {
        let refused = rclone(
            &url,
            "bob",
            &format!("wrong-{guess}"),
            &["lsf", ":webdav:half"],
        );
        assert!(!refused.status.success());
    }
    let other = gateway.http.get(gateway.url("/half/plan.txt"));
    let other = other.basic_auth("Bob", Some(PASSWORD)).send().await;
    assert_eq!(
        other.expect("answer").status(),
        429,
        "however it is spelled"
    );
    let known = rclone(&url, "bob", PASSWORD, &["lsf", ":webdav:half"]);
    assert!(known.status.success(), "{}", said(&known));
}
