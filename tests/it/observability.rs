//! The kit for operators: a real Prometheus that scrapes the real gateway, its rules, the dashboard,
//! and a page that says of each metric and alert what to do.

mod dashboard;
mod rules;

use crate::support::gateway::write_config;
use crate::support::prometheus::Prometheus;
use crate::support::tls::certificate;
use crate::support::{PASSWORD, PHONE, Site, program, wait_for};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;
use vestibule::observe::metrics::Metrics;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// Labels that Prometheus and histograms add.
const ADDED: [&str; 3] = ["job", "instance", "le"];

fn delivered(path: &str) -> String {
    std::fs::read_to_string(format!("{ROOT}/{path}")).expect(path)
}

/// A row of the page's table: what a metric is, and the values that its labels may have.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    kind: String,
    /// Empty: any of the config.
    labels: BTreeMap<String, Vec<String>>,
    meaning: String,
}

/// The table of `docs/metrics.md`.
fn table() -> BTreeMap<String, Row> {
    let page = delivered("docs/metrics.md");
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    rows.map(|line| {
        let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [name, kind, labels, meaning, what_to_do] = cells[..] else {
            panic!("not five cells: {line}")
        };
        assert!(what_to_do.len() > 5, "nothing to do about {name}");
        let row = Row {
            kind: kind.to_owned(),
            labels: labels_of(labels),
            meaning: meaning.to_owned(),
        };
        (name.trim_matches('`').to_owned(), row)
    })
    .collect()
}

/// Of "`a`, `b` (x, y)".
fn labels_of(cell: &str) -> BTreeMap<String, Vec<String>> {
    let mut labels = BTreeMap::new();
    let mut parts = cell.split('`').skip(1);
    while let (Some(name), Some(rest)) = (parts.next(), parts.next()) {
        let values = rest.split(['(', ')']).nth(1).unwrap_or_default();
        let values = values.split(", ").filter(|value| !value.is_empty());
        labels.insert(name.to_owned(), values.map(str::to_owned).collect());
    }
    labels
}

#[test]
fn the_page_has_every_metric_and_no_other() {
    let metrics = Metrics::new().expect("metrics");
    let mut table = table();
    for one in metrics.described() {
        let row = table.remove(&one.name);
        let row = row.unwrap_or_else(|| panic!("docs/metrics.md lacks {}", one.name));
        assert_eq!(row.kind, one.kind.as_str(), "{}", one.name);
        assert_eq!(row.meaning, one.help, "{}", one.name);
        let labels: BTreeSet<_> = row.labels.keys().cloned().collect();
        assert_eq!(labels, one.labels.iter().cloned().collect(), "{}", one.name);
    }
    assert!(table.is_empty(), "no longer there: {:?}", table.keys());
    // What the program writes before anything has happened, it writes with the page's words.
    let page = self::table();
    for line in metrics.render().expect("text").lines() {
        let Some((name, rest)) = line.split_once('{') else {
            continue;
        };
        let Some((labels, _)) = rest.split_once('}') else {
            continue;
        };
        if name.ends_with("_bucket") {
            continue;
        }
        for pair in labels.split("\",") {
            let (label, value) = pair.split_once("=\"").expect("a label");
            let known = &page[name].labels[label];
            let value = value.trim_end_matches('"').to_owned();
            assert!(known.is_empty() || known.contains(&value), "{line}");
        }
    }
}

/// What a PromQL expression names: metrics with the labels that are asked of them, and the labels it
/// groups by.
#[derive(Debug, Default)]
struct Names {
    metrics: Vec<(String, Vec<(String, String)>)>,
    grouped: Vec<String>,
}

fn names_in(expr: &str) -> Names {
    let mut names = Names::default();
    let mut rest = expr;
    while let Some(start) = rest.find(|c: char| c.is_ascii_alphabetic() || c == '_' || c == '"') {
        rest = &rest[start..];
        if let Some(text) = rest.strip_prefix('"') {
            rest = text.split_once('"').expect("the end of a string").1;
            continue;
        }
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
        let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        rest = after;
        let is_metric = ["vestibule_", "process_", "job"]
            .iter()
            .any(|it| word.starts_with(it));
        if ["by", "on", "without", "ignoring"].contains(&word) {
            let (list, after) = rest
                .trim_start()
                .strip_prefix('(')
                .and_then(|it| it.split_once(')'))
                .expect("a list");
            names
                .grouped
                .extend(list.split(',').map(|it| it.trim().to_owned()));
            rest = after;
        } else if is_metric || word == "up" {
            let mut asked = Vec::new();
            if let Some(selector) = rest.strip_prefix('{') {
                let (selector, after) = selector.split_once('}').expect("the end of a selector");
                rest = after;
                for one in selector.split("\",").filter(|it| !it.trim().is_empty()) {
                    let (label, value) = one.split_once('"').expect("a value");
                    let label = label.trim().trim_end_matches(['=', '!', '~']);
                    asked.push((label.to_owned(), value.trim_end_matches('"').to_owned()));
                }
            }
            names.metrics.push((word.to_owned(), asked));
        }
    }
    names
}

/// Everything that an expression names is there, with labels and values that can be.
fn names_what_is_there(expr: &str, recorded: &BTreeSet<String>) {
    let table = table();
    let mut labels: BTreeSet<&str> = ADDED.into();
    labels.extend(
        table
            .values()
            .flat_map(|row| row.labels.keys().map(String::as_str)),
    );
    let names = names_in(expr);
    assert!(!names.metrics.is_empty(), "{expr}");
    for label in &names.grouped {
        assert!(labels.contains(label.as_str()), "{label} in {expr}");
    }
    for (metric, asked) in &names.metrics {
        if metric == "up" || recorded.contains(metric) {
            continue;
        }
        let base = ["_bucket", "_count", "_sum"]
            .iter()
            .find_map(|it| metric.strip_suffix(it));
        let histogram = base
            .and_then(|base| table.get(base))
            .filter(|row| row.kind == "histogram");
        let row = histogram.or_else(|| table.get(metric).filter(|row| row.kind != "histogram"));
        let row = row.unwrap_or_else(|| panic!("no metric {metric} in {expr}"));
        for (label, value) in asked {
            if ADDED.contains(&label.as_str()) {
                continue;
            }
            let known = row.labels.get(label);
            let known = known.unwrap_or_else(|| panic!("{metric} has no {label} in {expr}"));
            for value in value.split('|').filter(|it| *it != ".*") {
                let is_known = known.is_empty() || known.iter().any(|it| it == value);
                assert!(is_known, "{metric} never has {label}={value:?} in {expr}");
            }
        }
    }
}

#[test]
fn expressions_are_read_as_prometheus_reads_them() {
    let names = names_in(
        r#"sum by (job, of) (rate(vestibule_a_total{x="a|b", y!~".*"}[5m])) > 2 and on (le) up == 0"#,
    );
    assert_eq!(names.grouped, ["job", "of", "le"]);
    let asked = [
        ("x".to_owned(), "a|b".to_owned()),
        ("y".to_owned(), ".*".to_owned()),
    ];
    assert_eq!(
        names.metrics,
        [
            ("vestibule_a_total".to_owned(), asked.to_vec()),
            ("up".to_owned(), Vec::new())
        ]
    );
    names_what_is_there(
        r#"vestibule_challenges_total{outcome="sent"}"#,
        &BTreeSet::new(),
    );
    for wrong in [
        "vestibule_no_such_total",
        "vestibule_gate_seconds",
        r#"vestibule_challenges_total{outcome="send"}"#,
        r#"vestibule_challenges_total{route="files"}"#,
        "sum by (nobody) (vestibule_sessions)",
    ] {
        let judged = std::panic::catch_unwind(|| names_what_is_there(wrong, &BTreeSet::new()));
        assert!(judged.is_err(), "{wrong}");
    }
}

/// A gateway with a certificate, and a Prometheus that has scraped it once.
async fn scraped() -> (Site, Prometheus, TempDir) {
    let dir = TempDir::new().expect("folder");
    certificate(dir.path(), "files.test");
    let site = Site::accounts_with(|setup| setup.with_tls(dir.path(), &["files.test"])).await;
    let prometheus = Prometheus::scraping(site.gateway.admin.expect("admin")).await;
    prometheus.comes_to("up{job=\"vestibule\"}", 1.0).await;
    let sent = "vestibule_challenges_total{method=\"sms\", outcome=\"sent\"}";
    prometheus.comes_to(sent, 0.0).await;
    (site, prometheus, dir)
}

#[tokio::test]
async fn a_real_prometheus_counts_what_happened() {
    let (site, prometheus, _dir) = scraped().await;
    let gateway = &site.gateway;
    gateway.add_user("anna", PASSWORD, PHONE);
    let token = gateway.sign_in("anna", PASSWORD, "laptop").await;
    let ask = async |path: &str, wanted: u16| {
        let answer = gateway
            .get(path, &token, "laptop")
            .send()
            .await
            .expect("answer");
        assert_eq!(answer.status().as_u16(), wanted, "{path}");
    };
    ask("/x", 401).await;
    gateway.verify(&site.inbox, &token, "laptop", PHONE).await;
    for _ in 0..3 {
        ask("/x", 200).await;
    }
    ask("/closed/x", 403).await;
    let nobody = gateway.http.get(gateway.url("/x")).send().await;
    assert_eq!(nobody.expect("answer").status(), 401);

    let of =
        |outcome| format!("vestibule_requests_total{{route=\"files\", outcome=\"{outcome}\"}}");
    for (expr, value) in [
        (of("permitted"), 3.0),
        (of("challenged"), 1.0),
        (of("denied"), 1.0),
        (of("unauthenticated"), 1.0),
        (
            "vestibule_upstream_seconds_count{upstream=\"files\"}".to_owned(),
            3.0,
        ),
        ("vestibule_upstream_up{upstream=\"files\"}".to_owned(), 1.0),
        (
            "vestibule_challenges_total{method=\"sms\", outcome=\"sent\"}".to_owned(),
            1.0,
        ),
        (
            "vestibule_challenges_total{method=\"sms\", outcome=\"verified\"}".to_owned(),
            1.0,
        ),
        (
            "vestibule_messages_total{provider=\"http\", outcome=\"accepted\"}".to_owned(),
            1.0,
        ),
        ("vestibule_events_total{kind=\"signed_in\"}".to_owned(), 1.0),
        ("sum(vestibule_store_errors_total)".to_owned(), 0.0),
        ("vestibule_connections_max".to_owned(), 16_384.0),
        ("vestibule_config_is_current".to_owned(), 1.0),
        ("vestibule_draining".to_owned(), 0.0),
        ("vestibule_build_info".to_owned(), 1.0),
    ] {
        prometheus.comes_to(&expr, value).await;
    }
    let fds = prometheus.series("process_open_fds").await;
    assert!(fds[0].1 > 3.0, "{fds:?}");
}

#[tokio::test]
async fn a_server_that_goes_is_seen_without_a_request() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("socket");
    let server = listener.local_addr().expect("address");
    let site = Site::accounts_with(|setup| {
        setup.with(
            "upstreams:\n",
            &format!("upstreams:\n  spare: {{servers: [\"{server}\"]}}\n"),
        )
    })
    .await;
    let admin = site.gateway.admin.expect("admin");
    let state = format!("vestibule_upstream_up{{server=\"{server}\",upstream=\"spare\"}} ");
    let shows = async |wanted: &str| {
        wait_for(wanted, Duration::from_secs(40), async || {
            let text = site
                .gateway
                .http
                .get(format!("http://{admin}/metrics"))
                .send()
                .await;
            let text = text.ok()?.text().await.ok()?;
            let value = text.lines().find_map(|line| line.strip_prefix(&state))?;
            (value == wanted).then_some(())
        })
        .await;
    };
    shows("1").await;
    drop(listener);
    shows("0").await;
}

#[tokio::test]
async fn a_gateway_that_drains_says_so_until_it_ends() {
    let mut site = Site::accounts().await;
    let (admin, http) = (
        site.gateway.admin.expect("admin"),
        site.gateway.http.clone(),
    );
    // A request whose body never ends keeps the process for as long as `timeouts.drain` lets it.
    let held = site.gateway.listeners[0];
    let mut held = tokio::net::TcpStream::connect(held)
        .await
        .expect("connection");
    let head = b"PUT /public/a HTTP/1.1\r\nHost: files\r\nContent-Length: 5\r\n\r\nab";
    tokio::io::AsyncWriteExt::write_all(&mut held, head)
        .await
        .expect("head");
    let fetch = async |path: &str| {
        let answer = http
            .get(format!("http://{admin}{path}"))
            .send()
            .await
            .ok()?;
        Some((answer.status().as_u16(), answer.text().await.ok()?))
    };
    assert_eq!(fetch("/readyz").await.map(|it| it.0), Some(200));
    tokio::time::sleep(Duration::from_millis(300)).await;
    site.gateway.signal("TERM");
    wait_for("draining", Duration::from_secs(10), async || {
        let (_, text) = fetch("/metrics").await?;
        text.contains("\nvestibule_draining 1\n").then_some(())
    })
    .await;
    let (status, why) = fetch("/readyz").await.expect("an answer");
    assert_eq!(status, 503);
    assert!(why.starts_with("draining"), "{why}");
    tokio::io::AsyncWriteExt::write_all(&mut held, b"cde")
        .await
        .expect("body");
    let ended = wait_for("the end", Duration::from_secs(20), async || {
        site.gateway.child.try_wait().expect("wait")
    });
    assert!(ended.await.success());
}
