//! `vestibule top` over a running gateway: once, as JSON, and live on a real terminal.

use crate::support::gateway::command;
use crate::support::{Gateway, PASSWORD, PHONE, Site, program};
use serde_json::Value;
use std::process::Command;

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
    assert!(error.contains("admin.sock"), "{error}");
    assert!(output.stdout.is_empty());
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
