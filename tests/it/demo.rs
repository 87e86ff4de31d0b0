//! `vestibule demo`, as a newcomer meets it: the lines it prints, run as they are printed.

use crate::support::{client, program, wait_for};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// The demo's process, ended with the test.
struct Demo(Child);

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn the_printed_lines_work_and_nothing_stays_behind() {
    let dir = tempfile::tempdir().expect("folder");
    let [script, sms, printed] =
        ["demo.sh", "sms.log", "printed"].map(|name| dir.path().join(name));
    let tools = program("copyparty");
    let tools = tools.parent().expect("folder");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(
        [tools.to_owned()]
            .into_iter()
            .chain(std::env::split_paths(&path)),
    );
    // What it prints holds its password, on purpose: to a file, not into the suite's output.
    let child = Command::new(env!("CARGO_BIN_EXE_vestibule"))
        .args(["demo", "--listen", "127.0.0.1:0", "--script"])
        .arg(&script)
        .arg("--sms-log")
        .arg(&sms)
        .env("PATH", path.expect("PATH"))
        .env("TMPDIR", dir.path())
        .stdin(Stdio::null())
        .stdout(std::fs::File::create(&printed).expect("file"))
        .spawn()
        .expect("vestibule");
    let mut demo = Demo(child);
    let read = || std::fs::read_to_string(&printed).unwrap_or_default();
    let text = wait_for("the demo", Duration::from_secs(60), async || {
        Some(read()).filter(|text| text.contains("Ctrl-C"))
    })
    .await;

    let run = Command::new("bash").arg(&script).output().expect("bash");
    assert!(
        run.status.success(),
        "{}",
        String::from_utf8_lossy(&run.stderr)
    );
    assert!(read().contains("\nSMS to +45"), "the code was not shown");

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
    assert_eq!(
        page.status(),
        303,
        "a browser is shown to the challenge page"
    );

    let term = Command::new("kill").arg(demo.0.id().to_string()).status();
    assert!(term.expect("kill").success());
    let status = demo.0.wait().expect("wait");
    assert!(status.success(), "{status}");
    let left = std::fs::read_dir(dir.path())
        .expect("folder")
        .filter(|entry| {
            let name = entry.as_ref().expect("entry").file_name();
            name.to_string_lossy().starts_with("vestibule-demo-")
        });
    assert_eq!(left.count(), 0, "the demo's directory is still there");
}
