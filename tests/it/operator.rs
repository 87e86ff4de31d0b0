//! The operator's side: the command line, the admin listener, reloads and mistakes.

use crate::support::gateway::{command, write_config};
use crate::support::person::Browser;
use crate::support::{PASSWORD, PHONE, Setup, Site, program, wait_for};
use serde_json::Value;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

#[tokio::test]
async fn a_revoked_session_is_refused_within_a_second() {
    let Site { gateway, inbox, .. } = Site::accounts().await;
    let id = gateway.add_user("anna", PASSWORD, PHONE);
    let token = gateway.sign_in("anna", PASSWORD, "laptop").await;
    gateway.verify(&inbox, &token, "laptop", PHONE).await;
    assert_eq!(
        gateway
            .get("/x", &token, "")
            .send()
            .await
            .expect("answer")
            .status(),
        200
    );
    assert_eq!(
        gateway
            .get("/x", &token, "laptop")
            .send()
            .await
            .expect("answer")
            .status(),
        200
    );
    let sessions = gateway.cli_list(&["session", "list", "--user", "anna", "--json"]);
    assert_eq!(sessions.len(), 1, "{sessions:?}");

    let revoked = gateway.cli(&["session", "revoke", "--user", &id.to_string()]);
    assert!(
        revoked.status.success(),
        "{}",
        String::from_utf8_lossy(&revoked.stderr)
    );
    tokio::time::sleep(Duration::from_secs(1)).await;
    for device in ["laptop", ""] {
        assert_eq!(
            gateway
                .get("/x", &token, device)
                .send()
                .await
                .expect("answer")
                .status(),
            401,
            "{device:?}"
        );
    }
    assert_eq!(
        gateway.cli_json(&["session", "list", "--json"]),
        serde_json::json!({ "items": [], "next": null })
    );
}

#[tokio::test]
async fn a_share_link_opens_its_folder_and_no_other() {
    let Site {
        backend,
        gateway,
        inbox,
        ..
    } = Site::accounts().await;
    let share = gateway.cli_json(&[
        "share",
        "add",
        "--path",
        "/docs/",
        "--phone",
        PHONE,
        "--expires",
        "7d",
        "--json",
    ]);
    let url = share["url"].as_str().expect("url").to_owned();
    crate::support::secret(share["token"].as_str().expect("token"));
    let answer = gateway
        .http
        .post(gateway.url("/api/authtoken"))
        .body(serde_json::json!({"URL": url, "username": null, "password": null, "deviceId": "phone"}).to_string())
        .send()
        .await
        .expect("answer");
    assert_eq!(answer.status(), 200);
    let body: Value = answer.json().await.expect("JSON");
    let token = crate::support::secret(body["token"].as_str().expect("token"));
    gateway.verify(&inbox, &token, "phone", PHONE).await;
    assert_eq!(
        gateway
            .get("/docs/plan.txt", &token, "phone")
            .send()
            .await
            .expect("answer")
            .status(),
        200
    );
    assert_eq!(
        gateway
            .get("/hello.txt", &token, "phone")
            .send()
            .await
            .expect("answer")
            .status(),
        403
    );
    assert_eq!(
        gateway
            .get("/docs/../hello.txt", &token, "phone")
            .send()
            .await
            .expect("answer")
            .status(),
        403
    );
    assert!(
        backend
            .seen()
            .iter()
            .all(|it| it.target.starts_with("/docs/"))
    );

    let shares = gateway.cli_list(&["share", "list", "--json"]);
    let id = shares[0]["id"].as_i64().expect("id").to_string();
    assert!(gateway.cli(&["share", "revoke", &id]).status.success());
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(
        gateway
            .get("/docs/plan.txt", &token, "phone")
            .send()
            .await
            .expect("answer")
            .status(),
        401
    );
}

#[tokio::test]
async fn wrong_codes_delay_then_lock_and_the_operator_clears() {
    let Site { gateway, inbox, .. } = Site::accounts_with(|setup| {
        setup.with(
            "codes:",
            "lockout: {delay_every: 3, first_delay: 3s, max_delay: 3s, lock_at: 7}\ncodes:",
        )
    })
    .await;
    gateway.add_user("anna", PASSWORD, PHONE);
    let mut token = gateway.sign_in("anna", PASSWORD, "laptop").await;
    let mut seen = Vec::new();
    for wrong in 0..7 {
        let path = format!("/api/apiauth/twofactorsms/{token}");
        let _ = gateway
            .get(&path, &token, "laptop")
            .send()
            .await
            .expect("answer");
        let guess = gateway
            .get(&path, &token, "laptop")
            .query(&[("authcode", format!("00000{wrong}"))]);
        let mut answer = guess
            .try_clone()
            .expect("request")
            .send()
            .await
            .expect("answer");
        if answer.status() == 429 {
            assert!(answer.headers().contains_key("retry-after"));
            seen.push(429);
            tokio::time::sleep(Duration::from_millis(3100)).await;
            let _ = gateway
                .get(&path, &token, "laptop")
                .send()
                .await
                .expect("answer");
            answer = guess.send().await.expect("answer");
        }
        seen.push(answer.status().as_u16());
        // A new sign-in and a new code change nothing of the count.
        token = gateway.sign_in("anna", PASSWORD, "laptop").await;
    }
    assert_eq!(seen, [401, 401, 401, 429, 401, 401, 401, 429, 401]);
    let path = format!("/api/apiauth/twofactorsms/{token}");
    let locked = gateway
        .get(&path, &token, "laptop")
        .query(&[("authcode", "123456")])
        .send()
        .await
        .expect("answer");
    assert_eq!(locked.status(), 403);
    assert!(
        locked
            .text()
            .await
            .expect("text")
            .to_lowercase()
            .contains("locked")
    );
    let freed = gateway.cli(&["user", "reset-2fa", "anna"]);
    assert!(
        freed.status.success(),
        "{}",
        String::from_utf8_lossy(&freed.stderr)
    );
    gateway.verify(&inbox, &token, "laptop", PHONE).await;
}

#[tokio::test]
async fn what_happened_is_in_the_audit_trail() {
    let Site { gateway, inbox, .. } = Site::accounts_with(|setup| {
        let lockout = "lockout: {delay_every: 0, lock_at: 2}\ncodes:";
        let dialects = "dialects: [iogates, conduit]";
        setup
            .with("codes:", lockout)
            .with("dialects: [iogates]", dialects)
    })
    .await;
    let id = gateway.add_user("anna", PASSWORD, PHONE);
    let token = gateway.sign_in("anna", PASSWORD, "laptop").await;
    gateway.verify(&inbox, &token, "laptop", PHONE).await;
    assert!(
        gateway
            .cli(&["session", "revoke", "--all"])
            .status
            .success()
    );
    let path = format!("/api/apiauth/twofactorsms/{token}");
    assert_eq!(
        gateway
            .get(&path, &token, "laptop")
            .send()
            .await
            .expect("answer")
            .status(),
        200
    );
    for _ in 0..2 {
        let wrong = gateway
            .get(&path, &token, "laptop")
            .query(&[("authcode", "000000")]);
        assert_eq!(wrong.send().await.expect("answer").status(), 401);
    }
    assert!(gateway.cli(&["user", "reset-2fa", "anna"]).status.success());
    gateway.verify(&inbox, &token, "laptop", PHONE).await;
    let generate = gateway.get("/authentication/twoFa/generate", &token, "laptop");
    let generated = generate.send().await.expect("answer");
    assert_eq!(generated.status(), 200);
    let mut browser = Browser::new(&gateway);
    let password = [("username", "anna"), ("password", PASSWORD)];
    browser.fill("/.vestibule/sign-in", &password).await;
    browser.fill("/.vestibule/sign-out", &[]).await;
    let disable = gateway.url("/authentication/twoFa/disable");
    let disabled = gateway
        .http
        .put(disable)
        .bearer_auth(&token)
        .header("x-device-id", "laptop");
    assert_eq!(disabled.send().await.expect("answer").status(), 200);
    assert!(gateway.cli(&["key", "rotate"]).status.success());
    for args in [
        &["lockout", "clear", "anna"][..],
        &["user", "set", "anna", "--no-email"],
        &["user", "remove", "anna"],
    ] {
        assert!(gateway.cli(args).status.success(), "{args:?}");
    }
    gateway.signal("TERM");
    let mut gateway = gateway;
    wait_for("the end", Duration::from_secs(10), async || {
        gateway.child.try_wait().expect("wait")
    })
    .await;

    let engine =
        vestibule::config::model::StoreEngine::Sqlite(gateway.dir.path().join("vestibule.db"));
    let key = vestibule::secret::Secret::new(crate::support::config::STORE_KEY);
    let entropy = std::sync::Arc::new(vestibule::entropy::OsEntropy);
    let (store, _keys) = vestibule::store::open(&engine, &key, entropy)
        .await
        .expect("store");
    let newest = vestibule::auth::ports::AuditQuery::newest(100);
    let events = store.search_audit(newest).await.expect("events");
    for kind in vestibule::event::EventKind::ALL {
        let of_kind: Vec<_> = events
            .iter()
            .filter(|line| line.event.kind == kind)
            .collect();
        assert!(!of_kind.is_empty(), "no {} in {events:?}", kind.as_str());
    }
    let verified = events
        .iter()
        .find(|line| line.event.kind.as_str() == "verified")
        .map(|line| &line.event)
        .expect("verified");
    assert_eq!(verified.user.map(|user| user.0), Some(id));
    assert_eq!(verified.route, "files");
    assert_eq!(verified.address, Some([127, 0, 0, 1].into()));
}

#[tokio::test]
async fn metrics_are_well_formed_and_health_is_told() {
    let Site { gateway, inbox, .. } = Site::accounts().await;
    gateway.add_user("anna", PASSWORD, PHONE);
    let token = gateway.sign_in("anna", PASSWORD, "laptop").await;
    let _ = gateway
        .get("/x", &token, "laptop")
        .send()
        .await
        .expect("answer");
    gateway.verify(&inbox, &token, "laptop", PHONE).await;
    let _ = gateway
        .get("/x", &token, "laptop")
        .send()
        .await
        .expect("answer");
    let admin = gateway.admin.expect("admin");
    let fetch = async |path: &str| {
        let answer = gateway
            .http
            .get(format!("http://{admin}{path}"))
            .send()
            .await
            .expect("answer");
        (answer.status().as_u16(), answer.text().await.expect("text"))
    };
    assert_eq!(fetch("/healthz").await.0, 200);
    assert_eq!(fetch("/readyz").await.0, 200);
    let (status, text) = fetch("/metrics").await;
    assert_eq!(status, 200);
    let mut lint = Command::new(program("promtool"))
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool");
    lint.stdin
        .take()
        .expect("stdin")
        .write_all(text.as_bytes())
        .expect("metrics");
    let verdict = lint.wait_with_output().expect("promtool");
    assert!(
        verdict.status.success(),
        "{}",
        String::from_utf8_lossy(&verdict.stderr)
    );
    for family in [
        "vestibule_requests_total{",
        "vestibule_gate_seconds_count",
        "vestibule_challenges_total{",
        "vestibule_messages_total{",
        "vestibule_sessions",
        "vestibule_hot_map_entries",
        "vestibule_hot_map_evictions_total",
        "vestibule_upstream_seconds",
        "vestibule_store_seconds",
        "vestibule_lockouts_total",
        "vestibule_connections_refused_total",
        "vestibule_build_info{",
        "process_",
    ] {
        assert!(text.contains(family), "{family} is missing:\n{text}");
    }
    assert!(
        text.contains(r#"outcome="permitted""#) && text.contains(r#"outcome="challenged""#),
        "{text}"
    );
}

#[tokio::test]
async fn a_bad_config_changes_nothing_in_a_running_gateway() {
    let Site { gateway, setup, .. } = Site::accounts().await;
    let url = gateway.url("/public/x");
    let status = async || {
        gateway
            .http
            .get(&url)
            .send()
            .await
            .expect("answer")
            .status()
            .as_u16()
    };
    assert_eq!(status().await, 200);
    write_config(
        gateway.dir.path(),
        &setup
            .clone()
            .with("upstream: files", "upstream: nowhere")
            .with("[/public/]", "[/else/]"),
    );
    gateway.signal("HUP");
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(status().await, 200, "the old config holds");
    write_config(gateway.dir.path(), &setup.with("[/public/]", "[/else/]"));
    gateway.signal("HUP");
    wait_for("the new config", Duration::from_secs(10), async || {
        (status().await == 401).then_some(())
    })
    .await;
}

#[tokio::test]
async fn mistakes_stop_a_start_with_one_clear_message() {
    let dir = tempfile::tempdir().expect("folder");
    let key = crate::support::secret(crate::support::config::STORE_KEY);
    std::fs::write(dir.path().join("store.key"), &key).expect("key");
    std::fs::create_dir_all(dir.path().join("admin")).expect("folder");
    let origin = ([127, 0, 0, 1], 9).into();
    let setup = Setup::accounts(origin, origin);
    let run = |setup: &Setup, args: &[&str]| {
        write_config(dir.path(), setup);
        let output = command(dir.path(), args)
            .args(["--config", "vestibule.yaml"])
            .output()
            .expect("vestibule");
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    let (code, text) = run(
        &setup
            .clone()
            .with("upstream: files", "upstream: nowhere")
            .with("require: two_factor", "require: twofactor"),
        &["check"],
    );
    assert_eq!(code, Some(2), "{text}");
    assert!(
        text.contains("vestibule.yaml:")
            && text.contains("routes[0].upstream")
            && text.contains("nowhere"),
        "{text}"
    );
    assert!(
        text.contains("routes[0].require"),
        "every error at once: {text}"
    );
    let (code, text) = run(&setup, &["check"]);
    assert_eq!(code, Some(0), "{text}");

    let list = |setup: &Setup| {
        write_config(dir.path(), setup);
        let output = command(
            dir.path(),
            &["check", "--json", "--config", "vestibule.yaml"],
        )
        .output();
        let output = output.expect("vestibule");
        let list: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        match output.status.success() {
            true => assert!(output.stderr.is_empty(), "{output:?}"),
            false => {
                let said: Value = serde_json::from_slice(&output.stderr).expect("JSON");
                assert_eq!(
                    said,
                    serde_json::json!({ "error": "the config has errors" })
                );
            }
        }
        (output.status.code(), list)
    };
    let (code, found) = list(&setup);
    assert_eq!(code, Some(0), "{found}");
    let found = found["items"].as_array().expect("list");
    assert!(!found.is_empty() && found.iter().all(|it| it["severity"] == "warning"));
    let wrong = setup
        .clone()
        .with("upstream: files", "upstream: nowhere")
        .with("require: two_factor", "require: twofactor");
    let (code, found) = list(&wrong);
    let found = found["items"].as_array().expect("list");
    assert_eq!((code, found.len()), (Some(2), 2), "{found:?}");
    for problem in found {
        assert_eq!(problem["file"], "vestibule.yaml", "{problem}");
        assert_eq!(problem["severity"], "error", "{problem}");
        assert!(problem["line"].as_u64() > Some(1) && problem["column"].as_u64() > Some(0));
        assert!(problem["message"].as_str().is_some_and(|it| !it.is_empty()));
    }
    let paths: Vec<_> = found.iter().map(|it| &it["path"]).collect();
    assert!(
        paths.contains(&&Value::from("routes[0].upstream")),
        "{paths:?}"
    );

    let tls = setup.clone().with(
        "address: 127.0.0.1:0\n",
        "address: 127.0.0.1:0\n    tls: {certificates: [{cert: store.key, key: store.key}]}\n",
    );
    let (code, text) = run(&tls, &["serve"]);
    assert!(code.is_some_and(|it| it != 0), "{text}");
    assert!(
        text.contains("store.key") && text.contains("certificate"),
        "{text}"
    );

    std::fs::write(
        dir.path().join("vestibule.db"),
        "this is not a database, but it is long enough to be read as one",
    )
    .expect("file");
    let (code, text) = run(&setup, &["serve"]);
    assert!(code.is_some_and(|it| it != 0), "{text}");
    assert!(text.contains("vestibule.db"), "{text}");
    std::fs::remove_file(dir.path().join("vestibule.db")).expect("remove");

    assert_eq!(run(&setup, &["user", "add", "anna"]).0, Some(0));
    std::fs::write(
        dir.path().join("store.key"),
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
    )
    .expect("key");
    let (code, text) = run(&setup, &["serve"]);
    assert!(code.is_some_and(|it| it != 0), "{text}");
    assert!(text.contains("key") && !text.contains(&key), "{text}");
}

#[tokio::test]
async fn the_phone_provider_being_down_is_503_and_costs_nothing() {
    let Site { gateway, inbox, .. } = Site::accounts().await;
    gateway.add_user("anna", PASSWORD, PHONE);
    let token = gateway.sign_in("anna", PASSWORD, "laptop").await;
    let path = format!("/api/apiauth/twofactorsms/{token}");
    inbox.answer_with(500);
    let down = gateway
        .get(&path, &token, "laptop")
        .send()
        .await
        .expect("answer");
    assert_eq!(down.status(), 503);
    assert!(down.headers().contains_key("retry-after"));
    let nothing = gateway
        .get(&path, &token, "laptop")
        .query(&[("authcode", "123456")])
        .send()
        .await
        .expect("answer");
    assert_eq!(nothing.status(), 404, "nothing half-done");
    inbox.answer_with(202);
    gateway.verify(&inbox, &token, "laptop", PHONE).await;
}

#[tokio::test]
async fn the_schema_and_the_examples_are_current() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let schema = command(root, &["schema"]).output().expect("vestibule");
    assert_eq!(
        String::from_utf8_lossy(&schema.stdout).trim(),
        std::fs::read_to_string(root.join("config/vestibule.schema.json"))
            .expect("schema")
            .trim(),
        "write it anew: vestibule schema > config/vestibule.schema.json"
    );
    let mut files = vec![root.join("config/vestibule.yaml")];
    files.extend(
        std::fs::read_dir(root.join("config/examples"))
            .expect("examples")
            .map(|it| it.expect("file").path())
            // Those of other proxies are in folders.
            .filter(|it| it.is_file()),
    );
    assert!(files.len() > 3);
    for file in files {
        let output = command(root, &["check", "--without-files", "--config"])
            .arg(&file)
            .output()
            .expect("vestibule");
        assert!(
            output.status.success(),
            "{}: {}",
            file.display(),
            String::from_utf8_lossy(&output.stderr)
        );
    }
}
