//! The series of one route and of one upstream, resolved once, so that a request counts with an atomic add.

use super::Outcome;
use crate::observe::families::Families;
use prometheus::{Histogram, IntCounter};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// The label for a route or upstream that the config does not name.
pub(super) const UNNAMED: &str = "-";
/// Variants of [`Outcome`].
const OUTCOMES: usize = 7;
/// The values of `status_class`; the last is for codes outside RFC 9110's five classes.
pub(super) const CLASSES: [&str; 6] = ["1xx", "2xx", "3xx", "4xx", "5xx", "other"];

/// The counters of one route, resolved. Cheap to clone; keep it beside the route.
#[derive(Clone)]
pub struct RouteMetrics(Arc<RouteCells>);

struct RouteCells {
    name: String,
    families: Arc<Families>,
    /// Made at first use, so that a combination that never happens is not exposed.
    requests: [[OnceLock<IntCounter>; CLASSES.len()]; OUTCOMES],
}

impl RouteMetrics {
    pub(super) fn new(families: &Arc<Families>, name: &str) -> Self {
        Self(Arc::new(RouteCells {
            name: name.to_owned(),
            families: Arc::clone(families),
            requests: Default::default(),
        }))
    }

    /// One request of this route has ended.
    pub fn request(&self, outcome: Outcome, status: u16) {
        let class = usize::from(status / 100)
            .wrapping_sub(1)
            .min(CLASSES.len() - 1);
        let cell = self.0.requests.get(outcome as usize);
        let (Some(cell), Some(label)) = (cell.and_then(|row| row.get(class)), CLASSES.get(class))
        else {
            return;
        };
        cell.get_or_init(|| {
            self.0
                .families
                .requests
                .with_label_values(&[&self.0.name, outcome.as_str(), label])
        })
        .inc();
    }
}

/// The series of one upstream, resolved. Cheap to clone.
#[derive(Clone)]
pub struct UpstreamMetrics {
    seconds: Histogram,
    errors: IntCounter,
}

impl UpstreamMetrics {
    pub(super) fn new(families: &Families, name: &str) -> Self {
        Self {
            seconds: families.upstream_seconds.with_label_values(&[name]),
            errors: families.upstream_errors.with_label_values(&[name]),
        }
    }

    /// It gave a response head after `took`, or failed (`None`).
    pub fn answered(&self, took: Option<Duration>) {
        match took {
            Some(took) => self.seconds.observe(took.as_secs_f64()),
            None => self.errors.inc(),
        }
    }
}
