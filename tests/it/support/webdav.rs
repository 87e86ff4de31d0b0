//! A real WebDAV server (class 2, with locks), and the clients that people mount one with.

use super::free_port;
use super::process::Process;
use super::program;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// `rclone serve webdav` on a folder.
pub(crate) struct WebDav {
    _process: Process,
    pub(crate) address: SocketAddr,
    pub(crate) root: PathBuf,
}

impl WebDav {
    /// Serves `dir/root`, open to all.
    pub(crate) async fn start(dir: &Path) -> Self {
        Self::start_with(dir, None).await
    }

    /// The same for those alone who know a name and a password.
    pub(crate) async fn start_with(dir: &Path, account: Option<(&str, &str)>) -> Self {
        let root = dir.join("root");
        std::fs::create_dir_all(root.join("half")).expect("folder");
        std::fs::write(root.join("plan.txt"), "the plan\n").expect("file");
        std::fs::write(root.join("half/plan.txt"), "half the plan\n").expect("file");
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let (name, args) = match account {
            Some((user, password)) => (
                format!("{user}:{password}@"),
                vec!["--user", user, "--pass", password],
            ),
            None => (String::new(), Vec::new()),
        };
        let url = format!("http://{name}{address}/plan.txt");
        let process = Process::start("rclone", &url, |command| {
            command
                .args(["serve", "webdav", "--config", "/dev/null"])
                .args(["--addr", &address.to_string()])
                .args(args)
                .arg(&root)
        })
        .await;
        Self {
            _process: process,
            address,
            root,
        }
    }
}

/// Runs rclone on a WebDAV remote with a name and a password, as `rclone lsf :webdav:` does.
pub(crate) fn rclone(url: &str, user: &str, password: &str, args: &[&str]) -> Output {
    let obscured = Command::new(program("rclone"))
        .args(["obscure", password])
        .output()
        .expect("rclone");
    let obscured = String::from_utf8(obscured.stdout).expect("text");
    Command::new(program("rclone"))
        .args(["--config", "/dev/null", "--webdav-vendor", "other"])
        .args(["--retries", "1", "--low-level-retries", "1"])
        .args(["--webdav-url", url, "--webdav-user", user])
        .args(["--webdav-pass", obscured.trim()])
        .args(args)
        .output()
        .expect("rclone")
}

/// What a program said, on both ways.
pub(crate) fn said(output: &Output) -> String {
    let out = String::from_utf8_lossy(&output.stdout);
    format!("{out}{}", String::from_utf8_lossy(&output.stderr))
}
/// Runs a program of the machine in `dir`, with these lines typed into it.
pub(crate) fn typed(name: &str, dir: &Path, args: &[&str], lines: &str) -> Output {
    let mut child = Command::new(program(name))
        .args(args)
        .current_dir(dir)
        .env("HOME", dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect(name);
    let mut stdin = child.stdin.take().expect("stdin");
    stdin.write_all(lines.as_bytes()).expect("stdin");
    drop(stdin);
    child.wait_with_output().expect(name)
}
