//! What was found, a line each, and the verdict on it.

use crate::cli::error::CliError;
use crate::clock::{Clock as _, SystemClock};
use crate::delivery::reach::Answered;
use serde::Serialize;
use std::fmt;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    Ok,
    /// It works, but not for long, or not as it should.
    Warn,
    /// Something does not work, or is open to others.
    Fail,
}

impl Verdict {
    fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "FAIL",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// As in the config: `listeners`, `store`, `upstreams.nas`, ….
    pub(super) check: String,
    pub(super) verdict: Verdict,
    /// What is, and what to do about it.
    pub(super) detail: String,
}

impl Finding {
    pub(super) fn new(
        verdict: Verdict,
        check: impl Into<String>,
        detail: impl Into<String>,
    ) -> Self {
        Self {
            check: check.into(),
            verdict,
            detail: detail.into(),
        }
    }

    pub(super) fn ok(check: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(Verdict::Ok, check, detail)
    }

    pub(super) fn warn(check: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(Verdict::Warn, check, detail)
    }

    pub(super) fn fail(check: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(Verdict::Fail, check, detail)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = self.verdict.as_str();
        write!(f, "{verdict:<5} {}: {}", self.check, self.detail)
    }
}

/// What one check found.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) findings: Vec<Finding>,
    /// Clocks that were seen on the way.
    pub(super) clocks: Vec<ClockSeen>,
}

impl Found {
    /// What was found of somebody who has just answered, and the clock in the answer.
    pub(super) fn answered(answered: &Answered, finding: Finding) -> Self {
        Self {
            clocks: ClockSeen::of(answered, SystemClock.now().0)
                .into_iter()
                .collect(),
            findings: vec![finding],
        }
    }
}

impl From<Finding> for Found {
    fn from(finding: Finding) -> Self {
        vec![finding].into()
    }
}

impl From<Vec<Finding>> for Found {
    fn from(findings: Vec<Finding>) -> Self {
        Self {
            findings,
            clocks: Vec::new(),
        }
    }
}

/// The clock of somebody who has answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ClockSeen {
    /// By how many seconds it is ahead of this machine's.
    pub(super) ahead_secs: i64,
    /// Nobody on the way could have changed it.
    pub(super) is_tls: bool,
}

impl ClockSeen {
    /// `now`: in seconds since 1970, when the answer came.
    fn of(answered: &Answered, now: i64) -> Option<Self> {
        let date = answered.date?;
        Some(Self {
            ahead_secs: date.0.saturating_sub(now),
            is_tls: answered.is_tls,
        })
    }
}

/// Everything, in the order of the config.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    verdict: Verdict,
    findings: Vec<Finding>,
}

impl Report {
    pub(super) fn of(findings: Vec<Finding>) -> Self {
        let verdicts = findings.iter().map(|finding| finding.verdict);
        Self {
            verdict: verdicts.max().unwrap_or(Verdict::Ok),
            findings,
        }
    }

    pub(super) fn json(&self) -> Result<String, CliError> {
        Ok(serde_json::to_string(self)? + "\n")
    }

    /// An error if anything fails.
    pub(super) fn outcome(&self) -> Result<(), CliError> {
        match self.count(Verdict::Fail) {
            0 => Ok(()),
            failed => Err(CliError::Unwell { failed }),
        }
    }

    fn count(&self, verdict: Verdict) -> usize {
        let alike = self.findings.iter().filter(|it| it.verdict == verdict);
        alike.count()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.findings {
            writeln!(f, "{finding}")?;
        }
        writeln!(
            f,
            "{} ok, {} to look at, {} failed",
            self.count(Verdict::Ok),
            self.count(Verdict::Warn),
            self.count(Verdict::Fail)
        )
    }
}
