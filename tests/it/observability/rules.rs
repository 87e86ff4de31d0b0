//! The alerts and recorded series: each is tried, and a real Prometheus takes them up.

use super::*;

/// The names after `mark`, one a line.
fn names_after(text: &str, mark: &str) -> Vec<String> {
    let lines = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix(mark));
    lines
        .map(|rest| {
            rest.split([',', '}'])
                .next()
                .unwrap_or_default()
                .trim()
                .to_owned()
        })
        .collect()
}

#[test]
fn every_alert_is_tried_on_both_sides_and_has_a_place_on_the_page() {
    let rules = delivered("config/prometheus/rules.yaml");
    let alerts = names_after(&rules, "- alert: ");
    assert!(alerts.len() > 15, "{alerts:?}");
    let tests = delivered("config/prometheus/rules.test.yaml");
    let quiet: BTreeSet<_> = tests
        .lines()
        .filter(|line| line.ends_with("exp_alerts: []}"))
        .filter_map(|line| line.split("alertname: ").nth(1)?.split(',').next())
        .collect();
    let firing: BTreeSet<_> = tests
        .lines()
        .filter_map(|line| line.strip_prefix("        alertname: "))
        .collect();
    for alert in &alerts {
        assert!(
            firing.contains(alert.as_str()),
            "{alert} is not seen to fire"
        );
        assert!(
            quiet.contains(alert.as_str()),
            "{alert} is not seen to be quiet"
        );
        let anchor = format!("metrics.md#{}", alert.to_lowercase());
        assert!(
            rules.contains(&format!("{anchor}\n")),
            "{alert} has no runbook"
        );
    }
    let page = delivered("docs/metrics.md");
    assert_eq!(names_after(&page, "### "), sorted_as(&alerts, &page));
    for mark in [
        "summary: ",
        "description: ",
        "runbook_url: ",
        "labels: {severity: ",
    ] {
        assert_eq!(names_after(&rules, mark).len(), alerts.len(), "{mark}");
    }
}

/// The alerts in the order of the page.
fn sorted_as(alerts: &[String], page: &str) -> Vec<String> {
    let mut sorted = alerts.to_vec();
    sorted.sort_by_key(|alert| page.find(&format!("### {alert}\n")).unwrap_or(usize::MAX));
    sorted
}

#[test]
fn promtool_finds_the_rules_and_their_tests_right() {
    for args in [
        &["check", "config", "config/prometheus/prometheus.yaml"][..],
        &[
            "check",
            "rules",
            "--lint=all",
            "--lint-fatal",
            "config/prometheus/rules.yaml",
        ],
        &["test", "rules", "config/prometheus/rules.test.yaml"],
    ] {
        let output = Command::new(program("promtool"))
            .args(args)
            .current_dir(ROOT)
            .output()
            .expect("promtool");
        let said =
            String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?}: {said}");
        assert!(
            said.contains("SUCCESS") && !said.contains("FAILED"),
            "{args:?}: {said}"
        );
    }
}

#[tokio::test]
async fn a_real_prometheus_takes_the_rules_up_and_notices_a_refused_config() {
    let (site, prometheus, _dir) = scraped().await;
    let rules = wait_for("evaluated rules", Duration::from_secs(30), async || {
        let data = prometheus.api("rules", &[]).await;
        let groups = data["groups"].as_array().cloned().unwrap_or_default();
        let rules = groups
            .iter()
            .flat_map(|it| it["rules"].as_array().cloned().unwrap_or_default());
        let rules: Vec<Value> = rules.collect();
        let is_known = |rule: &Value| rule["health"] != "unknown";
        (rules.len() > 20 && rules.iter().all(is_known)).then_some(rules)
    })
    .await;
    let name = |rule: &Value| rule["name"].as_str().expect("name").to_owned();
    let recorded: BTreeSet<_> = rules
        .iter()
        .filter(|it| it["type"] == "recording")
        .map(name)
        .collect();
    for rule in &rules {
        assert_eq!(rule["health"], "ok", "{rule}");
        assert!(rule["lastError"].is_null(), "{rule}");
        names_what_is_there(rule["query"].as_str().expect("query"), &recorded);
        assert!(
            rule["state"].is_null() || rule["state"] != "firing",
            "{rule}"
        );
    }
    let alerts = names_after(&delivered("config/prometheus/rules.yaml"), "- alert: ");
    assert_eq!(rules.len(), alerts.len() + recorded.len());

    write_config(
        site.gateway.dir.path(),
        &site.setup.clone().with("routes:", "rotes:"),
    );
    site.gateway.signal("HUP");
    prometheus
        .comes_to("vestibule_config_is_current", 0.0)
        .await;
    let refused = "vestibule_config_reloads_total{outcome=\"refused\"}";
    prometheus.comes_to(refused, 1.0).await;
    let pending = "ALERTS{alertname=\"VestibuleConfigNotCurrent\", alertstate=\"pending\"}";
    prometheus.comes_to(pending, 1.0).await;
    write_config(site.gateway.dir.path(), &site.setup);
    site.gateway.signal("HUP");
    prometheus
        .comes_to("vestibule_config_is_current", 1.0)
        .await;
}
