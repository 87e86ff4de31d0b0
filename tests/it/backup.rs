//! Backups and the store key, as an operator who has lost a machine needs them.

use crate::support::gateway::command;
use crate::support::{Gateway, PASSWORD, PHONE, Site, browser::totp, secret, wait_for};
use serde_json::json;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Output;
use std::time::Duration;
use tempfile::TempDir;

/// An authenticator app's.
const KEY: &str = "T42NQXFCPWEJMGJY";

fn said(output: &Output) -> String {
    let all = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8_lossy(&all).into_owned()
}

/// A site whose users can set up an authenticator app.
async fn site() -> Site {
    Site::accounts_with(|setup| setup.with("dialects: [iogates]", "dialects: [iogates, ziik]"))
        .await
}

async fn status(gateway: &Gateway, token: &str, device: &str) -> u16 {
    let answer = gateway.get("/file", token, device).send().await;
    answer.expect("answer").status().as_u16()
}

/// Sets an authenticator app up for a verified pair, through Ziik's API.
async fn enrol_app(gateway: &Gateway, token: &str) {
    let url = gateway.url("/api/two-factor");
    let set = gateway.http.patch(&url).bearer_auth(token);
    let set = set.json(&json!({"method": "google", "secret_key": secret(KEY)}));
    assert_eq!(set.send().await.expect("answer").status(), 204);
    let verify = gateway
        .http
        .post(format!("{url}/verify"))
        .bearer_auth(token);
    let verify = verify.json(&json!({"key": totp(KEY, 0)}));
    assert_eq!(verify.send().await.expect("answer").status(), 204);
}

fn copy_to(dir: &Path, backup: &Path) -> TempDir {
    let fresh = TempDir::new().expect("folder");
    std::fs::copy(backup, fresh.path().join("vestibule.db")).expect("copy");
    std::fs::copy(dir.join("store.key"), fresh.path().join("store.key")).expect("key");
    fresh
}

#[tokio::test]
async fn a_restored_backup_has_users_sessions_and_factors() {
    let Site {
        gateway,
        inbox,
        setup,
        ..
    } = site().await;
    gateway.add_user("anna", PASSWORD, PHONE);
    let token = gateway.verified(&inbox, "anna", "laptop").await;
    let ended = gateway.verified(&inbox, "anna", "stolen").await;
    enrol_app(&gateway, &token).await;

    // Beside the running gateway, while it writes.
    let backup = gateway.dir.path().join("copy.db");
    let made = gateway.cli_json(&["backup", "--to", "copy.db", "--json"]);
    let meta = std::fs::metadata(&backup).expect("copy");
    assert_eq!(made, json!({"file": "copy.db", "bytes": meta.len()}));
    assert_eq!(meta.permissions().mode() & 0o777, 0o600);
    let again = gateway.cli(&["backup", "--to", "copy.db"]);
    assert_eq!(again.status.code(), Some(2), "{}", said(&again));
    assert!(
        said(&again).contains("overwrites nothing"),
        "{}",
        said(&again)
    );

    // After it: a user who will be lost, and a session whose end will be forgotten.
    gateway.add_user("late", PASSWORD, "+4587654321");
    let sessions = gateway.cli_list(&["session", "list", "--json"]);
    let stolen = sessions.iter();
    let stolen = stolen.map(|it| it["id"].as_i64().expect("id")).max();
    let id = stolen.expect("a session").to_string();
    let revoked = gateway.cli(&["session", "revoke", "--id", &id]);
    assert!(revoked.status.success(), "{}", said(&revoked));

    let fresh = copy_to(gateway.dir.path(), &backup);
    drop(gateway);
    let restored = Gateway::start_in(fresh, &setup);
    assert_eq!(status(&restored, &token, "laptop").await, 200);
    let users = restored.cli_list(&["user", "list", "--json"]);
    assert_eq!(users.len(), 1, "{users:?}");
    // The authenticator's next code is good, on a new device.
    let token = restored.sign_in("anna", PASSWORD, "tablet").await;
    assert_eq!(status(&restored, &token, "tablet").await, 401);
    let path = format!("/api/apiauth/twofactorsms/{token}");
    let verified = restored
        .get(&path, &token, "tablet")
        .query(&[("authcode", totp(KEY, 30))])
        .send()
        .await
        .expect("answer");
    assert_eq!(verified.status(), 200);
    assert_eq!(status(&restored, &token, "tablet").await, 200);
    // What was ended after the backup is back, until the operator ends everything.
    assert_eq!(status(&restored, &ended, "stolen").await, 200);
    let all = restored.cli(&["session", "revoke", "--all"]);
    assert!(all.status.success(), "{}", said(&all));
    wait_for("the end of all", Duration::from_secs(5), async || {
        (status(&restored, &ended, "stolen").await == 401).then_some(())
    })
    .await;
    assert_eq!(status(&restored, &token, "tablet").await, 401);
}

#[tokio::test]
async fn a_backup_is_of_no_use_without_its_key() {
    let Site { gateway, setup, .. } = site().await;
    gateway.add_user("anna", PASSWORD, PHONE);
    let made = gateway.cli(&["backup", "--to", "copy.db"]);
    assert!(made.status.success(), "{}", said(&made));
    let copy = std::fs::read(gateway.dir.path().join("copy.db")).expect("copy");
    let holds = |text: &str| copy.windows(text.len()).any(|at| at == text.as_bytes());
    assert!(holds("anna") && !holds("12345678") && !holds(PASSWORD));

    let fresh = copy_to(gateway.dir.path(), &gateway.dir.path().join("copy.db"));
    let other = command(fresh.path(), &["key", "generate"]).output();
    let other = other.expect("vestibule").stdout;
    secret(String::from_utf8_lossy(&other).trim());
    std::fs::write(fresh.path().join("store.key"), other).expect("key");
    std::fs::write(fresh.path().join("vestibule.yaml"), &setup.yaml).expect("config");
    let args = ["serve", "--config", "vestibule.yaml"];
    let refused = command(fresh.path(), &args).output().expect("vestibule");
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        said(&refused).contains("store key does not open"),
        "{}",
        said(&refused)
    );
}

#[tokio::test]
async fn the_store_key_is_replaced_beside_a_running_gateway() {
    let Site {
        gateway,
        inbox,
        setup,
        ..
    } = site().await;
    gateway.add_user("anna", PASSWORD, PHONE);
    let token = gateway.verified(&inbox, "anna", "laptop").await;

    let new = gateway.dir.path().join("new.key");
    let missing = gateway.cli(&["key", "replace", "--new-key-file", "new.key"]);
    assert_eq!(missing.status.code(), Some(2), "{}", said(&missing));
    assert!(said(&missing).contains("new.key"), "{}", said(&missing));
    std::fs::write(&new, "not a key\n").expect("key");
    let bad = gateway.cli(&["key", "replace", "--new-key-file", "new.key"]);
    assert!(
        said(&bad).contains("not 32 bytes in base64"),
        "{}",
        said(&bad)
    );

    let key = gateway.cli(&["key", "generate"]).stdout;
    secret(String::from_utf8_lossy(&key).trim());
    std::fs::write(&new, key).expect("key");
    let replaced = gateway.cli_json(&["key", "replace", "--new-key-file", "new.key", "--json"]);
    assert_eq!(replaced, json!({"replaced": true}));
    // The running gateway has noticed nothing, whoever is new to it included.
    gateway.add_user("ben", PASSWORD, "+4587654321");
    assert_eq!(status(&gateway, &token, "laptop").await, 200);

    let dir = gateway.kill();
    let args = ["serve", "--config", "vestibule.yaml"];
    let refused = command(dir.path(), &args).output().expect("vestibule");
    assert!(
        said(&refused).contains("store key does not open"),
        "{}",
        said(&refused)
    );
    std::fs::rename(dir.path().join("new.key"), dir.path().join("store.key")).expect("key");
    let gateway = Gateway::start_in(dir, &setup);
    assert_eq!(status(&gateway, &token, "laptop").await, 200);
    let phone = gateway.sign_in("ben", PASSWORD, "phone").await;
    gateway.verify(&inbox, &phone, "phone", "+4587654321").await;
}

#[tokio::test]
async fn health_is_asked_for_by_a_command() {
    let Site { gateway, .. } = site().await;
    let admin = gateway.admin.expect("admin");
    let config = gateway.dir.path().join("vestibule.yaml");
    let yaml = std::fs::read_to_string(&config).expect("config");
    let real = format!("address: \"{admin}\", socket");
    let yaml = yaml.replace("address: \"127.0.0.1:0\", socket", &real);
    std::fs::write(&config, &yaml).expect("config");
    // Not with the store key: whoever asks the running gateway need not be able to read it.
    let key = gateway.dir.path().join("store.key");
    std::fs::rename(key, gateway.dir.path().join("x")).expect("key");
    let well = gateway.cli(&["health"]);
    assert_eq!((well.status.code(), said(&well).trim()), (Some(0), "ready"));
    let well = gateway.cli_json(&["health", "--json"]);
    assert_eq!(well, json!({ "ready": true, "detail": "ready" }));
    assert!(gateway.cli_list(&["user", "list", "--json"]).is_empty());
    std::fs::write(&config, yaml.replace(&real, "socket")).expect("config");
    let nowhere = gateway.cli(&["health"]);
    assert_eq!(nowhere.status.code(), Some(2));
    assert!(
        said(&nowhere).contains("admin.address"),
        "{}",
        said(&nowhere)
    );
    std::fs::write(&config, &yaml).expect("config");
    let dir = gateway.kill();
    let dead = command(dir.path(), &["health", "--config", "vestibule.yaml"]).output();
    let dead = dead.expect("vestibule");
    assert_eq!(dead.status.code(), Some(1));
    assert!(said(&dead).contains("is it running?"), "{}", said(&dead));
}
