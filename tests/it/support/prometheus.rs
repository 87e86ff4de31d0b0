//! A real Prometheus that scrapes a gateway, and its HTTP API.

use super::process::Process;
use super::{client, free_port, wait_for};
use serde_json::Value;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

/// How long a value may take to be scraped on a busy machine.
const SCRAPE_LIMIT: Duration = Duration::from_secs(30);

pub(crate) struct Prometheus {
    base: String,
    http: reqwest::Client,
    _dir: TempDir,
    _process: Process,
}

impl Prometheus {
    /// Scrapes `target` every second, with the rules that are delivered.
    pub(crate) async fn scraping(target: SocketAddr) -> Self {
        let dir = TempDir::new().expect("folder");
        let delivered = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/prometheus");
        for name in ["rules.yaml", "prometheus.yaml"] {
            std::fs::copy(delivered.join(name), dir.path().join(name)).expect(name);
        }
        let config = dir.path().join("prometheus.yaml");
        let example = std::fs::read_to_string(&config).expect("config");
        assert!(example.contains("127.0.0.1:9180") && example.contains("scrape_interval: 15s"));
        let quicker = example
            .replace("127.0.0.1:9180", &target.to_string())
            .replace(": 15s", ": 1s");
        std::fs::write(&config, quicker).expect("config");
        let address = format!("127.0.0.1:{}", free_port());
        let base = format!("http://{address}");
        let process = Process::start("prometheus", &format!("{base}/-/ready"), |command| {
            command
                .arg(format!("--config.file={}", config.display()))
                .arg(format!(
                    "--storage.tsdb.path={}",
                    dir.path().join("data").display()
                ))
                .arg(format!("--web.listen-address={address}"))
        })
        .await;
        Self {
            base,
            http: client(),
            _dir: dir,
            _process: process,
        }
    }

    /// The `data` of an answer of success.
    pub(crate) async fn api(&self, path: &str, query: &[(&str, &str)]) -> Value {
        let url = format!("{}/api/v1/{path}", self.base);
        let answer = self.http.get(url).query(query).send().await.expect(path);
        let mut answer: Value = answer.json().await.expect("JSON");
        assert_eq!(answer["status"], "success", "{path} {query:?}: {answer}");
        answer["data"].take()
    }

    /// The series that an expression gives now, each with its value.
    pub(crate) async fn series(&self, expr: &str) -> Vec<(Value, f64)> {
        let data = self.api("query", &[("query", expr)]).await;
        let result = data["result"].as_array().cloned().unwrap_or_default();
        let value = |one: &Value| one["value"][1].as_str().and_then(|it| it.parse().ok());
        let series = result.into_iter();
        series
            .map(|one| {
                let number = value(&one).expect("a number");
                (one["metric"].clone(), number)
            })
            .collect()
    }

    /// Waits until the one series that an expression gives has this value.
    pub(crate) async fn comes_to(&self, expr: &str, wanted: f64) {
        let mut last = Vec::new();
        let found = wait_for(expr, SCRAPE_LIMIT, async || {
            last = self.series(expr).await;
            matches!(&last[..], [(_, value)] if (value - wanted).abs() < 1e-9).then_some(())
        });
        found.await;
    }
}
