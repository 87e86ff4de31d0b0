//! What the clients of users are in these tests: `curl` sends the calls, `zbarimg` scans the QR codes
//! and `oathtool` reckons what an authenticator app would show.

use crate::support::{Gateway, PASSWORD, Setup, Site, program, secret};
use serde_json::Value;
use std::io::Write as _;
use std::process::{Command, Output, Stdio};
use std::time::Duration;
use vestibule::clock::{Clock as _, SystemClock};
use vestibule::config::model::Dialect;
use vestibule::local::table::{ENDPOINTS, Where};

/// A gateway with accounts that speaks all dialects; users may enrol by themselves.
pub(crate) async fn site() -> Site {
    site_with(|setup| setup).await
}

/// The same on a config with changes.
pub(crate) async fn site_with(change: impl FnOnce(Setup) -> Setup) -> Site {
    let dialects = "dialects: [iogates, ziik, b2core, conduit]\n    self_enrolment: true";
    Site::accounts_with(|setup| change(setup.with("dialects: [iogates]", dialects))).await
}

/// Makes a user with a password and what else `vestibule user add` is told; returns the id.
pub(crate) fn add_user(gateway: &Gateway, name: &str, more: &[&str]) -> i64 {
    gateway.add_user_with(name, PASSWORD, more)
}

/// A new user's token, for calls that name no device.
pub(crate) async fn signed_in(gateway: &Gateway, name: &str, more: &[&str]) -> String {
    add_user(gateway, name, more);
    gateway.sign_in(name, PASSWORD, "laptop").await
}

/// Whether the token opens a path that asks for the second factor.
pub(crate) async fn is_open(gateway: &Gateway, token: &str) -> bool {
    let answer = gateway.get("/file", token, "").send().await;
    let status = answer.expect("answer").status();
    assert!(status == 200 || status == 401, "{status}");
    status == 200
}

/// What an answer was.
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Names in lower case.
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// That the status and the body, if there is one, are these.
    #[track_caller]
    pub(crate) fn is(&self, status: u16, body: &Value) {
        assert_eq!((self.status, &self.json()), (status, body));
        assert_eq!(self.header("content-type"), Some("application/json"));
        self.is_whole();
    }

    /// That there is no body.
    #[track_caller]
    pub(crate) fn is_empty(&self, status: u16) {
        let text = String::from_utf8_lossy(&self.body);
        assert_eq!((self.status, &*text), (status, ""));
        assert_eq!(self.header("cache-control"), Some("no-store"));
    }

    /// What every answer with a body has.
    #[track_caller]
    pub(crate) fn is_whole(&self) {
        let length = self.body.len().to_string();
        assert_eq!(self.header("content-length"), Some(&*length));
        assert_eq!(self.header("cache-control"), Some("no-store"));
    }

    /// The body; null if it is none.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(one, _)| one == name);
        found.next().map(|(_, value)| &**value)
    }
}

/// Runs `curl` with these arguments.
pub(crate) async fn curl(args: &[&str]) -> Answer {
    let mut command = Command::new(program("curl"));
    command.args(["--silent", "--show-error", "--include", "--max-time", "60"]);
    command.args(args);
    let output = tokio::task::spawn_blocking(move || command.output());
    let output = output.await.expect("curl").expect("curl");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "curl: {errors}");
    let end = output.stdout.windows(4).position(|it| it == b"\r\n\r\n");
    let (head, body) = output.stdout.split_at(end.expect("a head") + 4);
    let head = String::from_utf8_lossy(head);
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1));
    let fields = lines.filter_map(|line| line.split_once(':'));
    Answer {
        status: status.expect("a status").parse().expect("a status"),
        headers: fields
            .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
            .collect(),
        body: body.to_vec(),
    }
}

/// The `Authorization` field of a token.
pub(crate) fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}")
}

/// What an authenticator app shows for a key, `steps` away from now, by another program than
/// Vestibule. Each step's code is good once: a test that needs several goes through -1, 0 and 1.
pub(crate) async fn app_code(key: &str, steps: i64) -> String {
    const STEP: u64 = 30;
    let second = u64::try_from(SystemClock.now().0).expect("after 1970") % STEP;
    // Not where the step ends before the code is judged.
    if second > STEP - 5 {
        tokio::time::sleep(Duration::from_secs(STEP - second)).await;
    }
    let at = match steps {
        ..0 => format!("{} seconds ago", -30 * steps),
        _ => format!("now + {} seconds", 30 * steps),
    };
    let args = ["--totp", "-b", "-N", &at, key];
    let shown = Command::new(program("oathtool")).args(args).output();
    let shown = printed(&shown.expect("oathtool"));
    secret(shown.trim())
}

/// What a phone reads off a QR code.
pub(crate) fn scanned(image: &[u8]) -> String {
    let mut scanner = Command::new(program("zbarimg"))
        .args(["--raw", "-q", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("zbarimg");
    let mut to = scanner.stdin.take().expect("stdin");
    to.write_all(image).expect("zbarimg reads");
    drop(to);
    let read = scanner.wait_with_output().expect("zbarimg");
    printed(&read).trim().to_owned()
}

fn printed(output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    String::from_utf8(output.stdout.clone()).expect("text")
}

/// The key of an `otpauth` URI that names this service and this user.
pub(crate) fn key_of(uri: &str, user: &str) -> String {
    let uri = reqwest::Url::parse(uri).expect("a URI");
    assert_eq!((uri.scheme(), uri.host_str()), ("otpauth", Some("totp")));
    let parameter = |name: &str| {
        let mut found = uri.query_pairs().filter(|(one, _)| one == name);
        found.next().map(|(_, value)| value.into_owned())
    };
    let issuer = parameter("issuer").expect("an issuer");
    let label = percent_encoding::percent_decode_str(uri.path()).decode_utf8_lossy();
    assert_eq!(label, format!("/{issuer}:{user}"));
    secret(&parameter("secret").expect("a key"))
}

/// That `calls` are all endpoints of a dialect, and each names a test of its file.
pub(super) fn lists_every_call(dialect: Dialect, calls: &[(&str, &str)], source: &str) {
    for (call, test) in calls {
        let head = format!("async fn {test}()");
        assert!(source.contains(&head), "no test {test} for {call}");
    }
    let of_dialect = |place| matches!(place, Where::Dialect(it) if it == dialect);
    for endpoint in ENDPOINTS.iter().filter(|one| of_dialect(one.place)) {
        for method in endpoint.methods.iter().filter(|one| **one != "HEAD") {
            let call = format!("{method} {}", endpoint.path);
            let is_listed = calls.iter().any(|(listed, _)| *listed == call);
            assert!(is_listed, "{call} is in no list");
        }
    }
}
