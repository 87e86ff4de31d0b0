//! `vestibule top` over a running gateway: once, as JSON, and live on a real terminal.

use crate::support::gateway::command;
use crate::support::{Gateway, PASSWORD, PHONE, Site, program, wait_for};
use serde_json::Value;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

const TERMINAL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/support/terminal.py");
/// Back to the screen that was there, with its cursor.
const LEFT: &str = "\u{1b}[?25h\u{1b}[?1049l";

/// A gateway with something to show.
async fn busy() -> Site {
    let site = Site::accounts().await;
    let Site { gateway, inbox, .. } = &site;
    gateway.add_user("anna", PASSWORD, PHONE);
    let token = gateway.sign_in("anna", PASSWORD, "laptop").await;
    gateway.verify(inbox, &token, "laptop", PHONE).await;
    for _ in 0..20 {
        let answer = gateway.get("/x", &token, "laptop").send().await;
        assert_eq!(answer.expect("answer").status(), 200);
    }
    site
}

#[tokio::test]
async fn one_view_is_printed_where_there_is_no_terminal() {
    let Site { gateway, .. } = busy().await;
    for args in [&["top", "--once"][..], &["top"]] {
        let output = gateway.cli(args);
        let text = String::from_utf8(output.stdout).expect("text");
        assert!(output.status.success(), "{text}");
        assert!(!text.contains('\u{1b}'), "{text}");
        for part in [
            concat!("vestibule ", env!("CARGO_PKG_VERSION")),
            "REQUESTS per second",
            "  unauthenticated  ",
            "  files",
            "DECISIONS",
            "CODES since start",
            "  sms",
            "MESSAGES since start",
            "verified 1",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
    }
}

#[tokio::test]
async fn json_is_a_line_for_each_look_and_counts_what_happened() {
    let Site { gateway, .. } = busy().await;
    let view = gateway.cli_json(&["top", "--once", "--json"]);
    let sms = serde_json::json!([{"name": "sms", "counts": {"sent": 1, "verified": 1}}]);
    assert_eq!(view["challenges"], sms, "{view}");
    assert_eq!(view["routes"][0]["route"], "files");
    assert!(
        view["resident_bytes"]
            .as_u64()
            .is_some_and(|it| it > 1 << 20)
    );
    assert!(view["gate"]["per_second"].is_number());
}

#[tokio::test]
async fn without_a_gateway_the_reason_is_told() {
    let Site { gateway, .. } = Site::accounts().await;
    let dir = gateway.kill();
    let args = ["top", "--once", "--json", "--config", "vestibule.yaml"];
    let output = command(dir.path(), &args).output().expect("vestibule");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let error: Value = serde_json::from_slice(&output.stderr).expect("JSON");
    let error = error["error"].as_str().expect("text");
    assert!(error.starts_with("no gateway answers at "), "{error}");
    assert!(
        error.contains("admin.sock") && error.contains("start it"),
        "{error}"
    );
    assert!(output.stdout.is_empty());
}

#[tokio::test]
async fn a_reader_who_leaves_ends_it() {
    let Site { gateway, .. } = Site::accounts().await;
    let args = ["top", "--json", "--interval", "1s"];
    let mut top = command(gateway.dir.path(), &args)
        .args(["--config", "vestibule.yaml"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("vestibule");
    let mut first = String::new();
    let mut lines = BufReader::new(top.stdout.take().expect("stdout"));
    lines.read_line(&mut first).expect("a line");
    assert!(first.starts_with('{') && first.ends_with("}\n"), "{first}");
    drop(lines);
    let ended = wait_for("its end", Duration::from_secs(20), async || {
        top.try_wait().expect("wait")
    });
    assert_eq!(ended.await.code(), Some(0));
}

#[tokio::test]
async fn a_config_without_a_socket_is_told_the_mend() {
    let Site { gateway, .. } = Site::accounts().await;
    let config = gateway.dir.path().join("vestibule.yaml");
    let text = std::fs::read_to_string(&config).expect("config");
    std::fs::write(&config, text.replace(", socket: admin/admin.sock", "")).expect("config");
    let output = gateway.cli(&["top", "--once"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    let mend = "add `admin: {socket: /run/vestibule/admin.sock}` to the config and restart";
    assert!(said.contains(mend), "{said}");
}

/// Somebody at the socket who does not answer as a gateway does, or not everybody.
#[tokio::test]
async fn what_is_to_be_done_is_told_by_what_is_wrong() {
    let Site { gateway, .. } = Site::accounts().await;
    let dir = gateway.kill();
    let socket = dir.path().join("admin/admin.sock");
    let look = || {
        let args = ["top", "--once", "--config", "vestibule.yaml"];
        let output = command(dir.path(), &args).output().expect("vestibule");
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        String::from_utf8(output.stderr).expect("text")
    };
    // A file that a dead gateway left.
    assert!(socket.exists());
    assert!(look().contains("start it (systemctl start vestibule), or is --config another one?"));
    std::fs::remove_file(&socket).expect("file");
    let listener = std::os::unix::net::UnixListener::bind(&socket).expect("socket");
    std::thread::spawn(move || {
        // Hangs up on whoever calls.
        for caller in listener.incoming() {
            drop(caller);
        }
    });
    let said = look();
    assert!(
        said.contains("does not answer") && said.contains("look at its log"),
        "{said}"
    );
    assert!(!said.contains("run this as root"), "{said}");
}

/// Runs `top` on a terminal, does one thing to it, and tells how it ended.
fn on_a_terminal(gateway: &Gateway, deed: &str) -> Value {
    let output = Command::new(program("python3"))
        .args([TERMINAL, deed, env!("CARGO_BIN_EXE_vestibule")])
        .args(["top", "--config", "vestibule.yaml"])
        .current_dir(gateway.dir.path())
        .env_remove("NO_COLOR")
        .output()
        .expect("python3");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{deed}: {said}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[tokio::test]
async fn whatever_ends_the_view_the_terminal_is_as_it_was() {
    let Site { gateway, .. } = busy().await;
    for (deed, code) in [
        ("key:q", 0),
        ("key:\u{3}", 0),
        ("signal:INT", 0),
        ("signal:TERM", 0),
        ("signal:HUP", 0),
        ("resize:50:9", 0),
        (&*format!("kill:{}", gateway.child.id()), 1),
    ] {
        let ended = on_a_terminal(&gateway, deed);
        assert_eq!(ended["exit"], code, "{deed}: {ended}");
        assert_eq!(ended["taken_over"], true, "{deed}: {ended}");
        assert_eq!(ended["restored"], true, "{deed}: {ended}");
        let rest = ended["rest"].as_str().expect("text");
        let (_, after) = rest
            .split_once(LEFT)
            .unwrap_or_else(|| panic!("{deed}: {ended}"));
        // What went wrong is told on the screen that was there.
        assert_eq!(after.contains("admin.sock"), code == 1, "{deed}: {after}");
        let drawn = ended["drawn"].as_str().expect("text");
        if deed.starts_with("resize") {
            let lines: Vec<_> = drawn.split("\r\n").collect();
            assert_eq!(lines.len(), 9, "{drawn}");
        } else {
            assert!(drawn.contains("REQUESTS per second"), "{drawn}");
            assert!(drawn.contains("\u{1b}[1m"), "headings are bold: {drawn}");
        }
    }
}
