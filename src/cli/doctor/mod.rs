//! `doctor`: looks at everything that a gateway stands on, says what is wrong and what to do about it.
//!
//! It changes nothing, sends no message and shows no secret: the store is opened as it is, providers are
//! asked for their front page, and the mail server is greeted and left. Each look has a time limit, and
//! all happen at once.

mod files;
mod machine;
mod names;
mod network;
mod readers;
mod report;
mod store;

use super::error::CliError;
use super::{block_on, say};
use crate::clock::{Clock as _, SystemClock, Timestamp};
use crate::config::{self, Config, Examined, NamedFile};
use crate::observe::stats::Stats;
use report::{Finding, Found, Report};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// How long most looks may take.
const LOOK_MAX: Duration = Duration::from_secs(15);
/// Reading all of a large store takes its time.
const WHOLE_STORE_MAX: Duration = Duration::from_secs(120);

/// What all looks know.
struct Patient {
    config: Config,
    path: PathBuf,
    /// Files that the config names.
    named: Vec<NamedFile>,
    now: Timestamp,
    /// What the running gateway says; `None`: none answers.
    gateway: Option<Stats>,
}

/// One look, and what it is called when it takes too long.
struct Look {
    check: String,
    limit: Duration,
    found: Pin<Box<dyn Future<Output = Found> + Send>>,
}

impl Look {
    fn new<F>(check: impl Into<String>, found: impl Future<Output = F> + Send + 'static) -> Self
    where
        F: Into<Found>,
    {
        Self {
            check: check.into(),
            limit: LOOK_MAX,
            found: Box::pin(async { found.await.into() }),
        }
    }

    fn within(self, limit: Duration) -> Self {
        Self { limit, ..self }
    }

    async fn run(self) -> Found {
        let late = format!("nothing is known after {} s", self.limit.as_secs());
        let found = tokio::time::timeout(self.limit, self.found).await;
        found.unwrap_or_else(|_| Finding::fail(self.check, late).into())
    }
}

pub(super) fn doctor(path: &Path, json: bool) -> Result<(), CliError> {
    let report = match config::examine(path) {
        Ok(examined) => block_on(examine(path, examined))?,
        Err(errors) => {
            let problems = errors.iter().map(|problem| problem.to_string());
            Report::of(problems.map(|text| Finding::fail("config", text)).collect())
        }
    };
    if json {
        say(&report.json()?);
    } else {
        say(&report.to_string());
    }
    report.outcome()
}

async fn examine(path: &Path, examined: Examined) -> Report {
    let Examined {
        config,
        warnings,
        named,
    } = examined;
    let gateway = machine::gateway(&config).await;
    let patient = Arc::new(Patient {
        gateway: gateway.as_ref().ok().cloned().flatten(),
        config,
        path: path.to_owned(),
        named,
        now: SystemClock.now(),
    });
    let warned = warnings
        .iter()
        .map(|it| Finding::warn("config", it.to_string()));
    let mut findings: Vec<Finding> = warned.collect();
    if findings.is_empty() {
        let fine = format!("{}: no errors, no warnings", path.display());
        findings.push(Finding::ok("config", fine));
    }
    let (found, clocks) = run_all(looks(&patient, gateway)).await;
    findings.extend(found);
    findings.push(network::clock(&clocks));
    Report::of(findings)
}

/// In the order of the config.
fn looks(patient: &Arc<Patient>, gateway: Result<Option<Stats>, CliError>) -> Vec<Look> {
    let mut looks = vec![
        Look::new("files", files::modes(Arc::clone(patient))),
        Look::new("files", readers::readable(Arc::clone(patient))),
        Look::new("listeners", machine::ports(Arc::clone(patient))),
        Look::new("listeners", files::certificates(Arc::clone(patient))),
        Look::new("connections", machine::open_files(Arc::clone(patient))),
        Look::new("admin", machine::socket(Arc::clone(patient), gateway)),
        Look::new("store", store::opens(Arc::clone(patient))),
        Look::new("store", store::is_whole(Arc::clone(patient))).within(WHOLE_STORE_MAX),
        Look::new("store", store::has_space(Arc::clone(patient))),
    ];
    looks.extend(network::looks(patient));
    looks.push(Look::new("routes", names::of_rules(Arc::clone(patient))));
    looks.extend(network::collector(patient));
    looks
}

/// All at once; what they found, in their order.
async fn run_all(looks: Vec<Look>) -> (Vec<Finding>, Vec<report::ClockSeen>) {
    let running: Vec<_> = looks
        .into_iter()
        .map(|look| (look.check.clone(), tokio::spawn(look.run())))
        .collect();
    let (mut findings, mut clocks) = (Vec::new(), Vec::new());
    for (check, running) in running {
        let failed = |_| Finding::fail(check, "the look itself failed: please report it").into();
        let found: Found = running.await.unwrap_or_else(failed);
        findings.extend(found.findings);
        clocks.extend(found.clocks);
    }
    (findings, clocks)
}

#[cfg(test)]
mod tests;
