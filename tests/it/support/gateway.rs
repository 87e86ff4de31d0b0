//! The gateway's own binary, started on a config and watched through its log.

use super::config::{STORE_KEY, Setup};
use super::{PASSWORD, PHONE, client, secret, wait_for};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;
use tempfile::TempDir;

pub(crate) struct Gateway {
    pub(crate) child: Child,
    /// The client listeners, in the order of the config.
    pub(crate) listeners: Vec<SocketAddr>,
    pub(crate) admin: Option<SocketAddr>,
    pub(crate) dir: TempDir,
    pub(crate) http: reqwest::Client,
}

/// How long a start may take on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(30);

impl Gateway {
    pub(crate) fn start(setup: &Setup) -> Self {
        let dir = TempDir::new().expect("folder");
        std::fs::write(dir.path().join("store.key"), secret(STORE_KEY)).expect("key");
        Self::start_in(dir, setup)
    }

    /// Starts in a folder that holds an earlier gateway's store.
    pub(crate) fn start_in(dir: TempDir, setup: &Setup) -> Self {
        write_config(dir.path(), setup);
        std::fs::create_dir_all(dir.path().join("admin")).expect("folder");
        std::fs::set_permissions(
            dir.path().join("admin"),
            std::fs::Permissions::from_mode(0o700),
        )
        .expect("mode");
        let mut child = command(dir.path(), &["serve", "--config", "vestibule.yaml"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("vestibule");
        let log = child.stderr.take().expect("stderr");
        let (say, heard) = mpsc::channel();
        // Echoed whole, so that the suite's output holds everything the gateway printed.
        std::thread::spawn(move || {
            for line in BufReader::new(log).lines().map_while(Result::ok) {
                println!("{line}");
                let _ = say.send(line);
            }
        });
        let (mut listeners, mut admin) = (Vec::new(), None);
        loop {
            let line = heard
                .recv_timeout(START_LIMIT)
                .unwrap_or_else(|_| panic!("vestibule did not start: {:?}", child.try_wait()));
            if let Some(address) = after(&line, "listening address=") {
                listeners.push(address);
            } else if let Some(address) = after(&line, "admin address=") {
                admin = Some(address);
            } else if line.contains("vestibule is ready") {
                break;
            }
        }
        Self {
            child,
            listeners,
            admin,
            dir,
            http: client(),
        }
    }

    /// The first listener, as `http://127.0.0.1:port`.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.listeners[0])
    }

    /// Runs a command of the same config and returns what it printed, with its exit code.
    pub(crate) fn cli(&self, args: &[&str]) -> Output {
        command(self.dir.path(), args)
            .args(["--config", "vestibule.yaml"])
            .output()
            .expect("vestibule")
    }

    /// Runs a command that must succeed and print JSON.
    pub(crate) fn cli_json(&self, args: &[&str]) -> Value {
        let output = self.cli(args);
        assert!(
            output.status.success(),
            "{args:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        serde_json::from_slice(&output.stdout).expect("JSON")
    }

    /// The items of a list that a command prints as JSON.
    pub(crate) fn cli_list(&self, args: &[&str]) -> Vec<Value> {
        let list = self.cli_json(args);
        list["items"].as_array().expect("items").clone()
    }

    /// Makes a user with a password and a phone; returns the id.
    pub(crate) fn add_user(&self, name: &str, password: &str, phone: &str) -> i64 {
        self.add_user_with(name, password, &["--phone", phone])
    }

    /// Makes a user with a password and what else `vestibule user add` is told; returns the id.
    pub(crate) fn add_user_with(&self, name: &str, password: &str, more: &[&str]) -> i64 {
        let file = self.dir.path().join(format!("{name}.password"));
        std::fs::write(&file, secret(password)).expect("password file");
        let file = file.to_str().expect("path");
        let args = ["user", "add", name, "--password-file", file, "--json"];
        let user = self.cli_json(&[&args, more].concat());
        user["id"].as_i64().expect("id")
    }

    /// Signs in through `/api/authtoken` and returns the token.
    pub(crate) async fn sign_in(&self, name: &str, password: &str, device: &str) -> String {
        let answer = self
            .http
            .post(self.url("/api/authtoken"))
            .body(json!({"username": name, "password": password, "deviceId": device}).to_string())
            .send()
            .await
            .expect("answer");
        assert_eq!(answer.status(), 200, "sign-in");
        let body: Value = answer.json().await.expect("JSON");
        secret(body["token"].as_str().expect("token"))
    }

    /// A request with a bearer token and, if not empty, a device.
    pub(crate) fn get(&self, path: &str, token: &str, device: &str) -> reqwest::RequestBuilder {
        let request = self.http.get(self.url(path)).bearer_auth(token);
        if device.is_empty() {
            request
        } else {
            request.header("x-device-id", device)
        }
    }

    /// Starts a challenge and verifies it with the code that arrives for `phone`.
    pub(crate) async fn verify(
        &self,
        inbox: &super::Inbox,
        token: &str,
        device: &str,
        phone: &str,
    ) {
        let path = format!("/api/apiauth/twofactorsms/{token}");
        let started = self.get(&path, token, device).send().await.expect("answer");
        assert_eq!(started.status(), 200, "start");
        let code = inbox.code_for(phone);
        let verified = self
            .get(&path, token, device)
            .query(&[("authcode", code)])
            .send()
            .await
            .expect("answer");
        assert_eq!(verified.status(), 200, "verify");
    }

    /// Signs in a user with the usual password and phone, and verifies the pair; the token.
    pub(crate) async fn verified(&self, inbox: &super::Inbox, name: &str, device: &str) -> String {
        let token = self.sign_in(name, PASSWORD, device).await;
        self.verify(inbox, &token, device, PHONE).await;
        token
    }

    /// Sends a signal, e.g. `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args([&format!("-{name}"), &self.child.id().to_string()])
            .status();
        assert!(status.expect("kill").success());
    }

    /// Waits until the process has ended by itself, and well.
    pub(crate) async fn ends(&mut self, limit: Duration) {
        let status = wait_for("the end", limit, async || {
            self.child.try_wait().expect("wait")
        });
        let status = status.await;
        assert!(status.success(), "{status}");
    }

    /// A line of the process's `/proc` status (`VmRSS`, `VmHWM`), in KiB.
    pub(crate) fn memory_kib(&self, line: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("status");
        let mut lines = status.lines().filter_map(|it| it.split_once(':'));
        let (_, value) = lines.find(|(name, _)| *name == line).expect("a line");
        let kib = value.split_whitespace().next().expect("KiB");
        kib.parse().expect("a number")
    }

    /// Kills the process without warning and gives its folder for the next.
    pub(crate) fn kill(mut self) -> TempDir {
        self.child.kill().expect("kill");
        self.child.wait().expect("wait");
        std::mem::replace(&mut self.dir, TempDir::new().expect("folder"))
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Writes the config of a gateway that is started, or reloaded, in `dir`.
pub(crate) fn write_config(dir: &Path, setup: &Setup) {
    std::fs::write(dir.join("vestibule.yaml"), &setup.yaml).expect("config");
}

/// The binary, run in `dir`.
pub(crate) fn command(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vestibule"));
    command
        .args(args)
        .current_dir(dir)
        .env("NO_COLOR", "1")
        .stdin(Stdio::null());
    command
}

fn after(line: &str, mark: &str) -> Option<SocketAddr> {
    line.split(mark)
        .nth(1)?
        .split_whitespace()
        .next()?
        .parse()
        .ok()
}
