//! The operator's OpenAPI document against the admin socket: every endpoint is called well and badly, and answers as the
//! document says; and whoever is neither root nor the gateway's own user gets nothing, whatever the file modes say.

use crate::support::{Gateway, PASSWORD, PHONE, Site, program, schemathesis};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, UnixStream};

/// It has no end, and is followed in a test of its own.
const ENDLESS: &str = "/v1/audit/stream";
/// What schemathesis reads it asks for nothing else.
const DOCUMENT: &str = "/v1/openapi.json";

fn socket(gateway: &Gateway) -> PathBuf {
    gateway.dir.path().join("admin/admin.sock")
}

/// A way over TCP to the socket, for a client that knows no other; it is gone with the runtime.
async fn bridge(socket: PathBuf) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let socket = socket.clone();
            tokio::spawn(async move {
                let mut gateway = UnixStream::connect(socket).await.expect("the socket");
                let _ = copy_bidirectional(&mut client, &mut gateway).await;
            });
        }
    });
    format!("http://{address}")
}

/// What there is to be shown, changed and ended: two users, a session, a share link and a lockout.
struct Seeds {
    session: String,
    share: String,
    lockout: String,
}

impl Seeds {
    async fn sown(Site { gateway, inbox, .. }: &Site) -> Self {
        gateway.add_user("anna", PASSWORD, PHONE);
        gateway.add_user("bob", PASSWORD, PHONE);
        let token = gateway.sign_in("anna", PASSWORD, "laptop").await;
        gateway.verify(inbox, &token, "laptop", PHONE).await;
        let sessions = gateway.cli_list(&["session", "list", "--json"]);
        let share = gateway.cli_json(&["share", "add", "--path", "/docs/", "--json"]);
        crate::support::secret(share["token"].as_str().expect("token"));
        let guess = json!({"username": "nobody", "password": "wrong-password", "deviceId": "x"});
        let asked = gateway.http.post(gateway.url("/api/authtoken"));
        let answer = asked.body(guess.to_string()).send().await.expect("answer");
        assert_eq!(answer.status(), 401);
        let lockouts = gateway.cli_list(&["lockout", "list", "--json"]);
        Self {
            session: sessions[0]["id"].to_string(),
            share: share["id"].to_string(),
            lockout: lockouts[0]["id"].as_str().expect("id").to_owned(),
        }
    }

    /// Has schemathesis call what there is, each of the endpoints that end something about its own.
    fn config(&self) -> String {
        let mut config =
            "[parameters]\n\"path.user\" = \"anna\"\n\"path.factor\" = \"sms\"\n".to_owned();
        for (path, parameter, value) in [
            ("/v1/users/{user}", "user", "bob"),
            ("/v1/sessions/{id}", "id", &*self.session),
            ("/v1/shares/{id}", "id", &self.share),
            ("/v1/lockouts/{id}", "id", &self.lockout),
        ] {
            let _ = write!(
                config,
                "\n[[operations]]\ninclude-name = \"DELETE {path}\"\n\
                 parameters = {{ \"path.{parameter}\" = \"{value}\" }}\n"
            );
        }
        config
    }
}

/// The endpoints of the document, as `GET /v1/users/{user}`.
fn endpoints(document: &Value) -> BTreeSet<(String, String)> {
    let paths = document["paths"].as_object().expect("paths").iter();
    let all = paths.flat_map(|(path, methods)| {
        let methods = methods.as_object().expect("methods").keys();
        methods.map(|method| (method.to_uppercase(), path.clone()))
    });
    all.collect()
}

/// Whether a path is one of a template's.
fn is_of(template: &str, path: &str) -> bool {
    let (template, path) = (template.split('/'), path.split('/'));
    let mut pairs = template.clone().zip(path.clone());
    template.count() == path.count()
        && pairs.all(|(part, given)| part.starts_with('{') || part == given)
}

/// The statuses that each endpoint has answered with, out of what schemathesis has written down.
fn answered(
    files: &[PathBuf],
    endpoints: &BTreeSet<(String, String)>,
) -> BTreeMap<(String, String), BTreeSet<u64>> {
    let mut all = BTreeMap::<_, BTreeSet<u64>>::new();
    for file in files {
        let text = std::fs::read_to_string(file).expect("what was called");
        let called: Value = serde_json::from_str(&text).expect("HAR");
        for entry in called["log"]["entries"].as_array().expect("entries") {
            let method = entry["request"]["method"].as_str().expect("method");
            let url = entry["request"]["url"].as_str().expect("URL");
            let path = url.splitn(4, '/').nth(3).unwrap_or_default();
            let path = format!("/{}", path.split('?').next().unwrap_or_default());
            let of = |(of, template): &&(String, String)| of == method && is_of(template, &path);
            // What has a word for a name is nearer than what has any.
            let nearest = endpoints.iter().filter(of);
            let nearest = nearest.min_by_key(|(_, template)| template.matches('{').count());
            if let Some(endpoint) = nearest {
                let statuses = all.entry(endpoint.clone()).or_default();
                statuses.insert(entry["response"]["status"].as_u64().expect("status"));
            }
        }
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_endpoint_answers_good_and_bad_calls_as_the_document_says() {
    let site = Site::accounts_with(|setup| {
        let lockout = "lockout: {delay_every: 1, first_delay: 1h, max_delay: 1h}\ncodes:";
        setup.with("codes:", lockout)
    })
    .await;
    let seeds = Seeds::sown(&site).await;
    let url = bridge(socket(&site.gateway)).await;
    let dir = tempfile::tempdir().expect("folder");
    let mut called = Vec::new();
    for (name, config, only) in [
        ("ends", seeds.config(), &["--include-method", "DELETE"][..]),
        ("there", seeds.config(), &["--exclude-method", "DELETE"]),
        ("anything", String::new(), &[]),
    ] {
        let har = dir.path().join(name).with_extension("har");
        let (path, url) = (har.to_str().expect("path").to_owned(), url.clone());
        let (dir, only) = (dir.path().to_owned(), only.to_owned());
        let ran = tokio::task::spawn_blocking(move || {
            let document = format!("{url}{DOCUMENT}");
            let more = [
                "--url",
                &url,
                "--max-examples",
                "8",
                "--exclude-path",
                ENDLESS,
            ];
            let report = ["--report-har-path", &path];
            schemathesis::run(
                &dir,
                &document,
                &config,
                &[&more[..], &report, &only].concat(),
            )
        });
        let (is_good, said) = ran.await.expect("a run");
        assert!(is_good, "{name}: {said}");
        called.push(har);
    }

    let document = site.gateway.http.get(format!("{url}{DOCUMENT}"));
    let document: Value = document
        .send()
        .await
        .expect("answer")
        .json()
        .await
        .expect("JSON");
    let endpoints = endpoints(&document);
    let answered = answered(&called, &endpoints);
    for (method, path) in &endpoints {
        if path == ENDLESS || path == DOCUMENT {
            continue;
        }
        let described = &document["paths"][path][method.to_lowercase()];
        let takes_something =
            described["parameters"] != json!([]) || described["requestBody"] != Value::Null;
        let statuses = answered.get(&(method.clone(), path.clone()));
        let has = |range: std::ops::Range<u64>| {
            statuses.is_some_and(|all| all.iter().any(|status| range.contains(status)))
        };
        assert!(
            has(200..300),
            "no good call of {method} {path}: {statuses:?}"
        );
        assert!(
            !takes_something || has(400..500),
            "no bad call of {method} {path}: {statuses:?}"
        );
    }
}

/// Calls as another user of the machine; `None`: as oneself.
fn curl(uid: Option<u32>, socket: &Path, method: &str, path: &str) -> (String, String) {
    let curl = program("curl");
    let mut command = match uid {
        Some(uid) => {
            let mut command = Command::new(program("setpriv"));
            let uid = uid.to_string();
            command.args(["--reuid", &uid, "--regid", &uid, "--clear-groups"]);
            command.arg(curl);
            command
        }
        None => Command::new(curl),
    };
    let output = command
        .args(["--silent", "--show-error", "--max-time", "20"])
        .args(["--request", method, "--data", "{\"all\": true}"])
        .args(["--write-out", "\n%{http_code}", "--unix-socket"])
        .arg(socket)
        .arg(format!("http://vestibule{path}"))
        .output()
        .expect("curl");
    let said = String::from_utf8(output.stdout).expect("text");
    assert!(output.status.success(), "{path}: {:?}", output.stderr);
    let (body, status) = said.rsplit_once('\n').expect("a status");
    (status.to_owned(), body.to_owned())
}

fn open_to_all(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("mode");
}

#[tokio::test]
async fn another_user_of_the_machine_is_refused_where_every_file_mode_would_let_them() {
    /// `nobody`
    const FOREIGN: u32 = 65_534;
    let Site { gateway, inbox, .. } = Site::accounts().await;
    let folder = std::fs::metadata(gateway.dir.path()).expect("folder");
    if std::os::unix::fs::MetadataExt::uid(&folder) != 0 {
        println!("NOT RUN: only root can become another user; CI does it");
        return;
    }
    gateway.add_user("anna", PASSWORD, PHONE);
    let token = gateway.sign_in("anna", PASSWORD, "laptop").await;
    gateway.verify(&inbox, &token, "laptop", PHONE).await;
    let socket = socket(&gateway);
    open_to_all(gateway.dir.path(), 0o755);
    open_to_all(&gateway.dir.path().join("admin"), 0o755);
    open_to_all(&socket, 0o666);
    for (method, path) in [
        ("GET", "/v1/users"),
        ("GET", "/v1/audit/stream"),
        ("GET", "/v1/openapi.json"),
        ("POST", "/v1/sessions/revoke"),
        ("DELETE", "/v1/users/anna"),
        ("GET", "/nowhere"),
    ] {
        let (status, body) = curl(Some(FOREIGN), &socket, method, path);
        let problem: Value = serde_json::from_str(&body).expect("a problem");
        let refused = (status.as_str(), problem["code"].as_str());
        assert_eq!(
            refused,
            ("403", Some("not_operator")),
            "{method} {path}: {body}"
        );
    }
    assert_eq!(gateway.cli_list(&["session", "list", "--json"]).len(), 1);
    // Root is heard over the same socket.
    let (status, body) = curl(None, &socket, "POST", "/v1/sessions/revoke");
    assert_eq!((status.as_str(), body.as_str()), ("200", "{\"revoked\":1}"));
}
