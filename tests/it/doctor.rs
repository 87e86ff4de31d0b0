//! `vestibule doctor` against real parts: all well, and each of them broken.

use crate::support::collector::Collector;
use crate::support::gateway::{command, write_config};
use crate::support::issuer;
use crate::support::smtpd::Smtpd;
use crate::support::{Inbox, Setup, Site, free_port};
use serde_json::Value;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Output;

fn text(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    String::from_utf8_lossy(out).into_owned() + &String::from_utf8_lossy(err)
}

/// The worst verdict on a part of the config, and all that was said of it.
fn verdict(report: &Value, check: &str) -> (String, String) {
    let findings = report["findings"].as_array().expect("findings");
    let about: Vec<&Value> = findings.iter().filter(|it| it["check"] == check).collect();
    let worst = ["fail", "warn", "ok"]
        .into_iter()
        .find(|verdict| about.iter().any(|it| it["verdict"] == *verdict));
    let said = about.iter().filter_map(|it| it["detail"].as_str());
    let worst = worst.unwrap_or_else(|| panic!("{check} in {report}"));
    (worst.to_owned(), said.collect::<Vec<_>>().join("\n"))
}

fn tidy_modes(dir: &Path) {
    let mode = |mode| Permissions::from_mode(mode);
    std::fs::set_permissions(dir.join("store.key"), mode(0o600)).expect("mode");
    std::fs::set_permissions(dir.join("vestibule.yaml"), mode(0o644)).expect("mode");
}

/// The servers that are looked at live in this process: a thread that waits must not be theirs.
#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_is_well_and_what_it_says_once_parts_are_gone() {
    let mail = Smtpd::start(&[]);
    let site = Site::accounts_with(|setup| {
        let email = format!(
            "email: {{smtp: \"smtp://127.0.0.1:{}\", from: a@files.example}}",
            mail.port
        );
        setup.with("delivery:\n", &format!("delivery:\n  {email}\n"))
    })
    .await;
    let dir = site.gateway.dir.path();
    tidy_modes(dir);
    let output = site.gateway.cli(&["doctor", "--json"]);
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert!(output.status.success(), "{}", text(&output));
    assert_ne!(report["verdict"], "fail", "{report}");
    for check in [
        "files",
        "listeners",
        "admin.address",
        "admin.socket",
        "store",
        "delivery.sms[0]",
        "delivery.email",
        "upstreams.files",
        "clock",
    ] {
        let (verdict, said) = verdict(&report, check);
        assert_eq!(verdict, "ok", "{check}: {said}");
    }
    let plain = site.gateway.cli(&["doctor"]);
    let plain = text(&plain);
    assert!(
        plain.contains("\nok    store: ") && plain.contains(", 0 failed"),
        "{plain}"
    );
    assert_eq!(site.inbox.messages(), [], "no message was sent");
    assert!(mail.rest().is_empty());

    // The same config on the same machine; the gateway has ended, and so has the mail server.
    let (setup, inbox) = (site.setup.clone(), site.inbox.clone());
    let dir = site.gateway.kill();
    let dead = format!("127.0.0.1:{}", free_port());
    let sms = format!("http://{}/send", inbox.address);
    let broken = setup.with(&sms, &format!("http://{dead}/send"));
    let broken = broken.with(
        &format!("servers: [\"{}\"]", site.backend.address),
        &format!("servers: [\"{}\", \"{dead}\"]", site.backend.address),
    );
    write_config(dir.path(), &broken);
    let output = command(
        dir.path(),
        &["doctor", "--json", "--config", "vestibule.yaml"],
    )
    .output();
    let output = output.expect("vestibule");
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(report["verdict"], "fail");
    for (check, wanted, says) in [
        ("admin.socket", "warn", "no gateway answers"),
        ("delivery.sms[0]", "fail", "refused"),
        ("delivery.email", "fail", "the connection failed"),
        ("upstreams.files", "fail", &*dead),
        ("store", "ok", "opens with the key"),
        ("listeners", "ok", "is free"),
    ] {
        let (verdict, said) = verdict(&report, check);
        assert_eq!(verdict, wanted, "{check}: {said}");
        assert!(said.contains(says), "{check}: {said}");
    }
    let complaint: Value = serde_json::from_slice(&output.stderr).expect("JSON");
    assert!(
        complaint["error"]
            .as_str()
            .is_some_and(|it| it.contains("mended"))
    );
}

#[tokio::test]
async fn a_config_that_is_wrong_is_the_finding() {
    let inbox = Inbox::start().await;
    let dir = tempfile::tempdir().expect("folder");
    let setup = Setup::accounts(inbox.address, inbox.address)
        .with("require: two_factor", "require: nothing");
    write_config(dir.path(), &setup);
    let output = command(dir.path(), &["doctor", "--config", "vestibule.yaml"]).output();
    let output = output.expect("vestibule");
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output);
    assert!(
        said.contains("FAIL  config: ") && said.contains("require"),
        "{said}"
    );
    assert!(said.contains("store.key"), "every error at once: {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn issuers_are_asked_for_their_keys() {
    let issuer = issuer::Issuer::start().await;
    let inbox = Inbox::start().await;
    let dir = tempfile::tempdir().expect("folder");
    std::fs::write(
        dir.path().join("store.key"),
        crate::support::config::STORE_KEY,
    )
    .expect("key");
    let check = |identity: &str| {
        let setup = Setup::accounts(inbox.address, inbox.address).with("{accounts: {}}", identity);
        write_config(dir.path(), &setup);
        let args = ["doctor", "--json", "--config", "vestibule.yaml"];
        let report = command(dir.path(), &args)
            .output()
            .expect("vestibule")
            .stdout;
        let report = serde_json::from_slice(&report).expect("JSON");
        verdict(&report, "identities.users")
    };
    let at = issuer.address.to_string();
    let dead = format!("127.0.0.1:{}", free_port());
    let nothing = check(&issuer.jwt());
    assert_eq!(nothing.0, "fail", "a set without a key: {}", nothing.1);
    issuer.add_key("one", "RS256");
    for identity in [issuer.jwt(), issuer.introspection("60s")] {
        let (verdict, said) = check(&identity);
        assert_eq!(verdict, "ok", "{said}");
        let (verdict, said) = check(&identity.replace(&at, &dead));
        assert_eq!(verdict, "fail", "{said}");
        // Something answers there, but no issuer.
        let (verdict, said) = check(&identity.replace(&at, &inbox.address.to_string()));
        assert_eq!(verdict, "fail", "{said}");
    }
    let stranger = issuer
        .introspection("60s")
        .replace("introspector", "stranger");
    let (verdict, said) = check(&stranger);
    assert_eq!(verdict, "fail");
    assert!(said.contains("id and secret"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_collector_of_traces_is_asked_and_gets_none() {
    let (collector, inbox) = (Collector::start().await, Inbox::start().await);
    let dir = tempfile::tempdir().expect("folder");
    std::fs::write(
        dir.path().join("store.key"),
        crate::support::config::STORE_KEY,
    )
    .expect("key");
    let report = |url: &str| {
        let mut setup = Setup::accounts(inbox.address, inbox.address)
            .with("\"127.0.0.1:0\", socket", "\"0.0.0.0:0\", socket");
        setup.yaml += &format!("traces: {{otlp: \"{url}\"}}\n");
        write_config(dir.path(), &setup);
        let args = ["doctor", "--json", "--config", "vestibule.yaml"];
        let output = command(dir.path(), &args).output().expect("vestibule");
        serde_json::from_slice::<Value>(&output.stdout).expect("JSON")
    };
    let taken = report(&collector.url());
    assert_eq!(verdict(&taken, "traces").0, "ok", "{taken}");
    assert_eq!(collector.received().len(), 1);
    assert!(collector.spans().is_empty());
    // Whoever is on the network can read the metrics.
    let (worst, said) = verdict(&taken, "config");
    assert!(worst == "warn" && said.contains("admin.address"), "{said}");

    collector.answer_with(401);
    let (worst, said) = verdict(&report(&collector.url()), "traces");
    assert!(worst == "warn" && said.contains("401"), "{said}");
    let dead = format!("http://127.0.0.1:{}/v1/traces", free_port());
    let (worst, said) = verdict(&report(&dead), "traces");
    assert!(worst == "warn" && said.contains("no answer"), "{said}");
}
