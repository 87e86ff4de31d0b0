//! The metrics as numbers with names, for those who show them: `vestibule top`.
//!
//! Everything counts from the start of the process, as in the metrics; rates are made out of two of
//! these ([`Stats`]) by whoever asks. Made from the registry itself, so that it can never say
//! anything else than `/metrics`.

use super::metrics::{Lost, Metrics};
use crate::clock::Timestamp;
use prometheus::proto::{Metric, MetricFamily};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a gateway has done since it started, and what it holds now.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Stats {
    pub version: String,
    #[schemars(extend("format" = "date-time"))]
    pub started_at: String,
    pub resident_bytes: u64,
    pub open_files: u64,
    pub open_files_max: u64,
    /// Open client connections.
    pub connections: u64,
    pub connections_max: u64,
    pub connections_refused: u64,
    /// Live sessions in the store, counted once a minute.
    pub sessions: u64,
    /// Of which in memory.
    pub hot_sessions: u64,
    pub hot_evictions: u64,
    pub lockouts: u64,
    pub events_lost: u64,
    pub requests: Vec<Requests>,
    /// The time that decisions took.
    pub gate: Histogram,
    pub upstreams: Vec<Timed>,
    /// Servers that took no connection when last tried.
    pub servers_down: Vec<Server>,
    /// By verb.
    pub store: Vec<Timed>,
    /// Codes and other proofs, by method.
    pub challenges: Vec<Outcomes>,
    /// By SMS provider and mail server.
    pub messages: Vec<Outcomes>,
    /// Events of the audit trail, by kind.
    pub events: BTreeMap<String, u64>,
}

/// The requests of one route that ended alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Requests {
    pub route: String,
    pub outcome: String,
    /// `2xx` and its like.
    pub status_class: String,
    pub count: u64,
}

/// What something was asked for, and how long it took.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Timed {
    pub name: String,
    pub took: Histogram,
    pub errors: u64,
}

/// One server of an upstream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Server {
    pub upstream: String,
    pub server: String,
}

/// How often something ended in which way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Outcomes {
    pub name: String,
    pub counts: BTreeMap<String, u64>,
}

/// Times in seconds, counted in buckets.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Histogram {
    /// The upper bounds of the buckets, rising.
    pub bounds: Vec<f64>,
    /// One count for each bound, and one more for what was above the last.
    pub counts: Vec<u64>,
    pub sum: f64,
}

impl Histogram {
    /// All that was counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// What was counted since `before`; all of it where that is of another kind or process.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        if before.bounds != self.bounds || before.count() > self.count() {
            return self.clone();
        }
        let counts = self.counts.iter().zip(&before.counts);
        Self {
            bounds: self.bounds.clone(),
            counts: counts
                .map(|(now, then)| now.saturating_sub(*then))
                .collect(),
            sum: self.sum - before.sum,
        }
    }

    /// The time below which this share (0 to 1) of what was counted lies, taking each bucket as
    /// evenly filled; the last bound where it lies above; `None` where nothing was counted.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let rank = share * precise(self.count());
        let (mut below, mut floor) = (0.0, 0.0);
        if self.count() == 0 {
            return None;
        }
        for (bound, count) in self.bounds.iter().zip(&self.counts) {
            let here = precise(*count);
            if here > 0.0 && below + here >= rank {
                return Some(floor + (bound - floor) * (rank - below).max(0.0) / here);
            }
            (below, floor) = (below + here, *bound);
        }
        self.bounds.last().copied()
    }
}

/// Counts stay far below 2^53.
#[allow(clippy::cast_precision_loss)]
fn precise(count: u64) -> f64 {
    count as f64
}

/// What a counter or a gauge of Prometheus shows; it keeps whole numbers as floats.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn whole(value: f64) -> u64 {
    value.max(0.0) as u64
}

impl Metrics {
    /// The numbers as they are now.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let families = Families(self.gather());
        Stats {
            version: families.label("vestibule_build_info", "version"),
            started_at: families.moment("process_start_time_seconds"),
            resident_bytes: families.number("process_resident_memory_bytes"),
            open_files: families.number("process_open_fds"),
            open_files_max: families.number("process_max_fds"),
            connections: families.number("vestibule_connections"),
            connections_max: families.number("vestibule_connections_max"),
            connections_refused: families.number("vestibule_connections_refused_total"),
            sessions: families.number("vestibule_sessions"),
            hot_sessions: families.number("vestibule_hot_map_entries"),
            hot_evictions: families.number("vestibule_hot_map_evictions_total"),
            lockouts: families.sum("vestibule_lockouts_total", |_| true),
            // Those that repeat are left out on purpose.
            events_lost: families.sum("vestibule_events_lost_total", |metric| {
                label(metric, "reason") != Lost::Repeated.as_str()
            }),
            requests: families.requests(),
            gate: families.gate(),
            upstreams: families.timed(
                "upstream",
                "vestibule_upstream_seconds",
                "vestibule_upstream_errors_total",
            ),
            servers_down: families.servers_down(),
            store: families.timed(
                "verb",
                "vestibule_store_seconds",
                "vestibule_store_errors_total",
            ),
            challenges: families.outcomes("vestibule_challenges_total", "method"),
            messages: families.outcomes("vestibule_messages_total", "provider"),
            events: families.events(),
        }
    }
}

/// The registry's families, found by name.
struct Families(Vec<MetricFamily>);

impl Families {
    fn of(&self, name: &str) -> &[Metric] {
        let family = self.0.iter().find(|family| family.name() == name);
        family.map_or(&[], MetricFamily::get_metric)
    }

    fn label(&self, family: &str, name: &str) -> String {
        let first = self.of(family).first();
        first.map_or_else(String::new, |metric| label(metric, name))
    }

    /// Of the series that are wanted, all together.
    fn sum(&self, family: &str, wanted: impl Fn(&Metric) -> bool) -> u64 {
        let series = self.of(family).iter().filter(|metric| wanted(metric));
        series.map(number).sum()
    }

    /// The series that have counted something: many begin at zero.
    fn risen(&self, family: &str) -> impl Iterator<Item = &Metric> {
        self.of(family).iter().filter(|metric| number(metric) > 0)
    }

    /// A gauge of seconds since 1970.
    fn moment(&self, name: &str) -> String {
        let secs = i64::try_from(self.number(name)).unwrap_or(i64::MAX);
        Timestamp(secs).iso8601()
    }

    /// The number of a family, over all its labels.
    fn number(&self, name: &str) -> u64 {
        self.of(name).iter().map(number).sum()
    }

    fn servers_down(&self) -> Vec<Server> {
        let servers = self.of("vestibule_upstream_up").iter();
        let down = servers.filter(|metric| number(metric) == 0);
        down.map(|metric| Server {
            upstream: label(metric, "upstream"),
            server: label(metric, "server"),
        })
        .collect()
    }

    fn requests(&self) -> Vec<Requests> {
        let series = self.of("vestibule_requests_total").iter();
        let requests = series.map(|metric| Requests {
            route: label(metric, "route"),
            outcome: label(metric, "outcome"),
            status_class: label(metric, "status_class"),
            count: number(metric),
        });
        requests.collect()
    }

    fn gate(&self) -> Histogram {
        let first = self.of("vestibule_gate_seconds").first();
        first.map(histogram).unwrap_or_default()
    }

    fn timed(&self, by: &str, seconds: &str, errors: &str) -> Vec<Timed> {
        let mut all: BTreeMap<String, Timed> = BTreeMap::new();
        for metric in self.of(seconds) {
            all.entry(label(metric, by)).or_default().took = histogram(metric);
        }
        // A verb that nobody has used has no times.
        for metric in self.of(errors) {
            let errors = number(metric);
            if let Some(known) = all.get_mut(&label(metric, by)) {
                known.errors = errors;
            } else if errors > 0 {
                all.entry(label(metric, by)).or_default().errors = errors;
            }
        }
        let named = all.into_iter();
        named.map(|(name, it)| Timed { name, ..it }).collect()
    }

    fn outcomes(&self, family: &str, by: &str) -> Vec<Outcomes> {
        let mut all: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
        for metric in self.risen(family) {
            let counts = all.entry(label(metric, by)).or_default();
            counts.insert(label(metric, "outcome"), number(metric));
        }
        let named = all.into_iter();
        named
            .map(|(name, counts)| Outcomes { name, counts })
            .collect()
    }

    fn events(&self) -> BTreeMap<String, u64> {
        let series = self.risen("vestibule_events_total");
        series
            .map(|metric| (label(metric, "kind"), number(metric)))
            .collect()
    }
}

fn label(metric: &Metric, name: &str) -> String {
    let labels = metric.get_label().iter();
    let mut named = labels.filter(|label| label.name() == name);
    named
        .next()
        .map_or_else(String::new, |it| it.value().to_owned())
}

/// Of a counter or a gauge: the other of the two is 0.
fn number(metric: &Metric) -> u64 {
    whole(metric.get_counter().get_value() + metric.get_gauge().get_value())
}

fn histogram(metric: &Metric) -> Histogram {
    let told = metric.get_histogram();
    let (mut bounds, mut counts, mut before) = (Vec::new(), Vec::new(), 0);
    for bucket in told.get_bucket() {
        if bucket.upper_bound().is_finite() {
            bounds.push(bucket.upper_bound());
            counts.push(bucket.cumulative_count().saturating_sub(before));
            before = bucket.cumulative_count();
        }
    }
    counts.push(told.get_sample_count().saturating_sub(before));
    Histogram {
        bounds,
        counts,
        sum: told.get_sample_sum(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::EventKind;
    use crate::observe::metrics::{Outcome, ServerState};
    use std::time::Duration;

    #[test]
    fn the_numbers_are_those_of_the_metrics() {
        let metrics = Metrics::new().unwrap();
        metrics.route("files").request(Outcome::Permitted, 206);
        metrics.route("files").request(Outcome::Permitted, 206);
        metrics.request("files", Outcome::Challenged, 401);
        metrics.gate(Duration::from_nanos(300));
        metrics.gate(Duration::from_secs(9));
        let nas = metrics.upstream_named("nas");
        nas.answered(Some(Duration::from_millis(2)));
        nas.answered(None);
        let server = |server: &str, is_up| ServerState {
            upstream: "nas".to_owned(),
            server: server.to_owned(),
            is_up,
        };
        metrics.servers(&[server("10.0.0.1:80", true), server("10.0.0.2:80", false)]);
        metrics.event(EventKind::Challenged, "sms");
        metrics.event(EventKind::Locked, "");
        metrics.event_lost(Lost::Repeated);
        metrics.event_lost(Lost::Full);
        metrics.message("twilio", "accepted");
        metrics.store("ping", Duration::from_micros(90), false);
        metrics.hot_map(3, 2);
        metrics.sessions(9);
        metrics.connections(4);
        let stats = metrics.stats();
        assert_eq!(stats.version, env!("CARGO_PKG_VERSION"));
        let began = Timestamp::from_iso8601(&stats.started_at);
        assert!(began > Some(Timestamp(1_700_000_000)) && stats.open_files > 2);
        assert!(stats.resident_bytes > 1 << 20 && stats.open_files_max >= stats.open_files);
        let of = |outcome: &str| {
            let mut found = stats.requests.iter().filter(|it| it.outcome == outcome);
            let it = found.next().unwrap();
            (it.route.as_str(), it.status_class.as_str(), it.count)
        };
        assert_eq!(of("permitted"), ("files", "2xx", 2));
        assert_eq!(of("challenged"), ("files", "4xx", 1));
        assert_eq!(
            (stats.gate.count(), stats.gate.counts.last()),
            (2, Some(&1))
        );
        let [nas] = &stats.upstreams[..] else {
            panic!("{:?}", stats.upstreams);
        };
        assert_eq!(
            (nas.name.as_str(), nas.took.count(), nas.errors),
            ("nas", 1, 1)
        );
        assert_eq!(
            (stats.store[0].name.as_str(), stats.store[0].errors),
            ("ping", 1)
        );
        let down = stats.servers_down.iter().map(|it| it.server.as_str());
        assert_eq!(down.collect::<Vec<_>>(), ["10.0.0.2:80"]);
        assert_eq!(stats.events_lost, 1, "what repeats is left out on purpose");
        assert_eq!(
            stats.challenges.len(),
            1,
            "what nobody has used is not shown"
        );
        assert_eq!(stats.challenges[0].name, "sms");
        assert_eq!(stats.challenges[0].counts["sent"], 1);
        assert_eq!(stats.messages[0].counts["accepted"], 1);
        assert_eq!(stats.events["locked"], 1);
        let now = (stats.sessions, stats.hot_sessions, stats.hot_evictions);
        assert_eq!((now, stats.lockouts, stats.connections), ((9, 3, 2), 1, 4));
        // As it travels.
        let text = serde_json::to_string(&stats).unwrap();
        assert_eq!(serde_json::from_str::<Stats>(&text).unwrap(), stats);
    }

    fn times(counts: &[u64]) -> Histogram {
        Histogram {
            bounds: vec![1.0, 2.0, 4.0],
            counts: counts.to_vec(),
            sum: 0.0,
        }
    }

    #[test]
    fn quantiles_lie_within_their_bucket() {
        assert_eq!(times(&[0, 0, 0, 0]).quantile(0.5), None);
        assert_eq!(times(&[10, 0, 0, 0]).quantile(0.5), Some(0.5));
        assert_eq!(times(&[0, 10, 0, 0]).quantile(0.5), Some(1.5));
        assert_eq!(times(&[5, 0, 5, 0]).quantile(1.0), Some(4.0));
        assert_eq!(times(&[50, 0, 50, 0]).quantile(0.75), Some(3.0));
        assert_eq!(times(&[0, 0, 0, 3]).quantile(0.5), Some(4.0), "above all");
    }

    #[test]
    fn what_came_since_is_the_difference_or_all_of_another_process() {
        let before = times(&[1, 2, 3, 4]);
        let after = times(&[2, 2, 5, 4]);
        assert_eq!(after.since(&before).counts, [1, 0, 2, 0]);
        assert_eq!(before.since(&after), before, "it has started anew");
        assert_eq!(after.since(&Histogram::default()), after);
    }
}
