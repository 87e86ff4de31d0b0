//! `vestibule demo`, as a newcomer meets it: the lines it prints, run as they are printed.

use crate::support::browser::Walk;
use crate::support::{client, program, secret, wait_for};
use serde_json::json;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);

/// The demo's process, ended with the test.
struct Demo {
    child: Child,
    dir: tempfile::TempDir,
    printed: PathBuf,
}

impl Drop for Demo {
    fn drop(&mut self) {
        self.end();
        let left = self.left();
        // A test that has failed has said so.
        assert!(left.is_empty() || std::thread::panicking(), "{left:?}");
    }
}

impl Demo {
    /// Starts one; it has printed everything when this returns.
    async fn start(walk: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("folder");
        let printed = dir.path().join("printed");
        let tools = program("copyparty");
        let tools = tools.parent().expect("folder");
        let path = std::env::var_os("PATH").unwrap_or_default();
        let all = [tools.to_owned()]
            .into_iter()
            .chain(std::env::split_paths(&path));
        // What it prints holds its password, on purpose: to a file, not into the suite's output.
        let child = Command::new(env!("CARGO_BIN_EXE_vestibule"))
            .args(["demo", "--listen", "127.0.0.1:0"])
            .args(walk)
            .env("PATH", std::env::join_paths(all).expect("PATH"))
            .env("TMPDIR", dir.path())
            .stdin(Stdio::null())
            .stdout(std::fs::File::create(&printed).expect("file"))
            .spawn()
            .expect("vestibule");
        let demo = Self {
            child,
            dir,
            printed,
        };
        wait_for("the demo", LIMIT, async || {
            demo.text().contains("Ctrl-C").then_some(())
        })
        .await;
        demo
    }

    /// Ends it as Ctrl-C does, so that its file server ends with it.
    fn end(&mut self) -> ExitStatus {
        let pid = self.child.id().to_string();
        let _ = Command::new("kill").arg(pid).status();
        self.child.wait().expect("wait")
    }

    /// The processes that work in its folder.
    fn left(&self) -> Vec<PathBuf> {
        let processes = std::fs::read_dir("/proc").expect("/proc");
        let folders = processes.filter_map(|entry| entry.ok()?.path().join("cwd").read_link().ok());
        // What is gone is called `… (deleted)`.
        folders
            .filter(|folder| folder.starts_with(self.dir.path()))
            .collect()
    }

    fn text(&self) -> String {
        std::fs::read_to_string(&self.printed).unwrap_or_default()
    }

    /// The lines to paste.
    fn lines(&self) -> String {
        let text = self.text();
        let (_, rest) = text.split_once("one by one:\n").expect("the walk");
        let (lines, _) = rest.split_once("\nBehind the scenes").expect("its end");
        lines.to_owned()
    }

    /// The codes that were shown so far.
    fn codes(&self) -> Vec<String> {
        let text = self.text();
        let sent = text
            .lines()
            .filter(|line| line.starts_with("SMS to ") || line.starts_with("Mail to "));
        sent.map(|line| {
            let (_, message) = line.split_once(": ").expect("a message");
            let mut words = message.split(|c: char| !c.is_ascii_digit());
            words.find(|word| word.len() == 6).expect("code").to_owned()
        })
        .collect()
    }

    /// What stands behind this word.
    fn word(&self, before: &str) -> String {
        let text = self.text();
        let (_, rest) = text.split_once(before).expect(before);
        rest.split_whitespace().next().expect("a word").to_owned()
    }

    /// Runs the printed lines, types each code when it is shown, and returns what they printed.
    async fn paste(&self) -> String {
        let script = self.dir.path().join("walk.sh");
        std::fs::write(&script, self.lines()).expect("script");
        let output = self.dir.path().join("output");
        let mut shell = shell(&script, &output, self.dir.path());
        let mut typing = shell.stdin.take().expect("stdin");
        let mut typed = 0;
        let status = wait_for("the walk", LIMIT, async || {
            for code in self.codes().into_iter().skip(typed) {
                writeln!(typing, "{code}").expect("the shell reads");
                typed += 1;
            }
            shell.try_wait().expect("the shell")
        })
        .await;
        assert!(status.success(), "the printed lines ended with {status}");
        std::fs::read_to_string(output).expect("output")
    }
}

fn shell(script: &Path, output: &Path, dir: &Path) -> Child {
    Command::new("sh")
        .arg("-eu")
        .arg(script)
        .current_dir(dir)
        .stdin(Stdio::piped())
        .stdout(std::fs::File::create(output).expect("file"))
        .spawn()
        .expect("sh")
}

/// The statuses that curl printed, each on a line of its own.
fn statuses(output: &str) -> Vec<u16> {
    // A prompt without a line end stands before what comes next.
    let lines = output.lines().map(|line| line.trim_start_matches("Code: "));
    let three = lines.filter(|line| line.len() == 3);
    three.filter_map(|line| line.parse().ok()).collect()
}

#[tokio::test]
async fn the_printed_lines_work_and_nothing_stays_behind() {
    let mut demo = Demo::start(&[]).await;
    let text = demo.text();
    let output = demo.paste().await;
    assert_eq!(statuses(&output), [401, 200, 200, 200]);
    assert!(output.contains("Hello from behind the gateway."));
    assert!(demo.text().contains("\nSMS to +45"), "no code was shown");

    let share = text
        .lines()
        .map(str::trim)
        .find(|line| line.starts_with("http") && line.contains("/share/"));
    let page = client()
        .get(share.expect("share link"))
        .header("accept", "text/html")
        .header("sec-fetch-mode", "navigate")
        .send()
        .await
        .expect("answer");
    assert_eq!(page.status(), 200);
    let page = page.text().await.expect("a page");
    assert!(page.contains("A folder is shared with you – Demo Files"));

    assert_ne!(demo.left(), [""; 0].map(PathBuf::from), "its file server");
    let status = demo.end();
    assert!(status.success(), "{status}");
    let left = std::fs::read_dir(demo.dir.path())
        .expect("folder")
        .filter(|entry| {
            let name = entry.as_ref().expect("entry").file_name();
            name.to_string_lossy().starts_with("vestibule-demo-")
        });
    assert_eq!(left.count(), 0, "the demo's directory is still there");
}

#[tokio::test]
async fn the_walk_through_ziik_works_as_printed() {
    program("oathtool");
    let demo = Demo::start(&["--walk", "ziik"]).await;
    let output = demo.paste().await;
    assert_eq!(statuses(&output), [401, 204, 204, 200, 200]);
    assert!(output.contains(r#""method":"google""#) && output.contains(r#""verified":true"#));
    let scanned = Command::new(program("zbarimg"))
        .args(["--quiet", "--raw"])
        .arg(demo.dir.path().join("qr.png"))
        .output()
        .expect("zbarimg");
    assert!(scanned.stdout.starts_with(b"otpauth://totp/"));
}

#[tokio::test]
async fn the_walk_through_b2core_works_as_printed() {
    let demo = Demo::start(&["--walk", "b2core"]).await;
    let output = demo.paste().await;
    assert_eq!(statuses(&output), [200, 202, 200, 200, 200]);
    assert!(output.contains("2fa_sms_auth") && output.contains("expiresAt"));
    assert!(demo.text().contains("\nMail to demo@"), "no mail was shown");
}

#[tokio::test]
async fn the_walk_through_conduit_works_as_printed() {
    let demo = Demo::start(&["--walk", "conduit"]).await;
    let output = demo.paste().await;
    assert_eq!(statuses(&output), [200, 200, 200, 200, 200, 200]);
    assert!(output.contains("9 back up codes left"));
}

/// A person with a browser, on a screen of this size.
async fn walk_through(size: &str) {
    let demo = Demo::start(&[]).await;
    let base = demo.word("in a browser:");
    let base = base.trim_end_matches('/').replace("127.0.0.1", "localhost");
    Walk::at("whole", &base)
        .fact("size", size)
        .fact("password", secret(&demo.word("password")))
        .answer("code", |asked| {
            let nth = asked["nth"].as_u64().expect("a number");
            let codes = demo.codes();
            json!(
                codes
                    .get(usize::try_from(nth).expect("few"))
                    .map(|code| secret(code))
            )
        })
        .run()
        .await;
}

#[tokio::test]
async fn a_person_goes_all_the_way_on_a_phone() {
    walk_through("phone").await;
}

#[tokio::test]
async fn a_person_goes_all_the_way_at_a_desk() {
    walk_through("desktop").await;
}
