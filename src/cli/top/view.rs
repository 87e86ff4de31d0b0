//! Two snapshots of a gateway's numbers → what happens there each second. Pure.

use crate::clock::Timestamp;
use crate::observe::stats::{Histogram, Outcomes, Server, Stats, Timed};
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// The columns of the requests' table: outcomes as the metrics name them.
pub(super) const OUTCOMES: [&str; 7] = [
    "permitted",
    "local",
    "challenged",
    "unauthenticated",
    "denied",
    "bad_request",
    "failed",
];

/// What a gateway did over a span of time, and what it holds at its end.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct View {
    pub(super) version: String,
    pub(super) up_secs: u64,
    /// The span that rates and times are of.
    pub(super) over_secs: f64,
    pub(super) resident_bytes: u64,
    pub(super) open_files: u64,
    pub(super) open_files_max: u64,
    pub(super) connections: u64,
    pub(super) connections_max: u64,
    pub(super) connections_refused_per_second: f64,
    pub(super) sessions: u64,
    pub(super) hot_sessions: u64,
    /// Busiest first; all of them together are not among them.
    pub(super) routes: Vec<Route>,
    pub(super) all_routes: Route,
    pub(super) gate: Pace,
    /// Slowest first.
    pub(super) upstreams: Vec<Pace>,
    pub(super) servers_down: Vec<Server>,
    /// Verbs of the store, busiest first.
    pub(super) store: Vec<Pace>,
    /// Since the gateway started, by method: codes are few.
    pub(super) challenges: Vec<Outcomes>,
    /// The same by provider.
    pub(super) messages: Vec<Outcomes>,
    pub(super) lockouts: u64,
    /// Since the gateway started, by kind.
    pub(super) events: BTreeMap<String, u64>,
    pub(super) events_lost: u64,
}

/// Requests a second.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct Route {
    pub(super) route: String,
    pub(super) per_second: f64,
    pub(super) by_outcome: BTreeMap<&'static str, f64>,
}

/// How often something was asked for, and how long it took; times in seconds, `None` where it was
/// not asked for.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct Pace {
    pub(super) name: String,
    pub(super) per_second: f64,
    pub(super) errors_per_second: f64,
    pub(super) p50: Option<f64>,
    pub(super) p95: Option<f64>,
    pub(super) p99: Option<f64>,
}

/// Counts a second, over some time.
#[derive(Clone, Copy)]
struct Rate(f64);

impl Rate {
    fn over(span: Duration) -> Self {
        // Two snapshots are never nearer to each other than this makes sense for.
        Self(span.as_secs_f64().max(0.001))
    }

    /// A count that has fallen began anew, at 0.
    #[allow(clippy::cast_precision_loss)]
    fn of(self, before: u64, now: u64) -> f64 {
        now.checked_sub(before).unwrap_or(now) as f64 / self.0
    }

    fn pace(self, name: &str, took: &Histogram, errors: (u64, u64)) -> Pace {
        Pace {
            name: name.to_owned(),
            per_second: self.of(0, took.count()),
            errors_per_second: self.of(errors.0, errors.1),
            p50: took.quantile(0.5),
            p95: took.quantile(0.95),
            p99: took.quantile(0.99),
        }
    }
}

/// For how long a gateway has run; 0 where that cannot be read.
fn up_secs(started_at: &str, unix_secs: u64) -> u64 {
    let began = Timestamp::from_iso8601(started_at).and_then(|it| u64::try_from(it.0).ok());
    unix_secs.saturating_sub(began.unwrap_or(unix_secs))
}

impl View {
    /// What happened from `before` to `now`, which are `span` apart. `unix_secs`: the time now.
    pub(super) fn between(before: &Stats, now: &Stats, span: Duration, unix_secs: u64) -> Self {
        // Of another process nothing can be taken off.
        let anew = Stats::default();
        let before = match before.started_at == now.started_at {
            true => before,
            false => &anew,
        };
        let rate = Rate::over(span);
        let (routes, all_routes) = routes(before, now, rate);
        let mut upstreams = paces(&before.upstreams, &now.upstreams, rate);
        upstreams.sort_by(|a, b| descending(a.p95, b.p95).then_with(|| a.name.cmp(&b.name)));
        let mut store = paces(&before.store, &now.store, rate);
        store.retain(|verb| verb.per_second + verb.errors_per_second > 0.0);
        store.sort_by(|a, b| {
            descending(Some(a.per_second), Some(b.per_second)).then_with(|| a.name.cmp(&b.name))
        });
        Self {
            version: now.version.clone(),
            up_secs: up_secs(&now.started_at, unix_secs),
            over_secs: span.as_secs_f64(),
            resident_bytes: now.resident_bytes,
            open_files: now.open_files,
            open_files_max: now.open_files_max,
            connections: now.connections,
            connections_max: now.connections_max,
            connections_refused_per_second: rate
                .of(before.connections_refused, now.connections_refused),
            sessions: now.sessions,
            hot_sessions: now.hot_sessions,
            routes,
            all_routes,
            gate: rate.pace("gate", &now.gate.since(&before.gate), (0, 0)),
            upstreams,
            servers_down: now.servers_down.clone(),
            store,
            challenges: counted(&now.challenges),
            messages: counted(&now.messages),
            lockouts: now.lockouts,
            events: nonzero(&now.events),
            events_lost: now.events_lost,
        }
    }
}

/// What has happened at all: what could happen is in the metrics.
fn counted(all: &[Outcomes]) -> Vec<Outcomes> {
    let counted = all.iter().map(|it| Outcomes {
        name: it.name.clone(),
        counts: nonzero(&it.counts),
    });
    counted.filter(|it| !it.counts.is_empty()).collect()
}

fn nonzero(counts: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    let counts = counts.iter().filter(|(_, count)| **count > 0);
    counts.map(|(name, count)| (name.clone(), *count)).collect()
}

fn descending(a: Option<f64>, b: Option<f64>) -> std::cmp::Ordering {
    let value = |it: Option<f64>| it.unwrap_or(-1.0);
    value(b).total_cmp(&value(a))
}

fn routes(before: &Stats, now: &Stats, rate: Rate) -> (Vec<Route>, Route) {
    let mut counted: BTreeMap<(&str, &str), (u64, u64)> = BTreeMap::new();
    for it in &before.requests {
        counted.entry((&it.route, &it.outcome)).or_default().0 += it.count;
    }
    for it in &now.requests {
        counted.entry((&it.route, &it.outcome)).or_default().1 += it.count;
    }
    let mut routes: BTreeMap<&str, Route> = BTreeMap::new();
    let mut all = Route::default();
    for ((route, outcome), (then, now)) in counted {
        let per_second = rate.of(then, now);
        let entry = routes.entry(route).or_default();
        entry.route = route.to_owned();
        for it in [entry, &mut all] {
            it.per_second += per_second;
            // An outcome that this program does not know is in the sum alone.
            if let Some(outcome) = OUTCOMES.iter().find(|known| **known == outcome) {
                *it.by_outcome.entry(outcome).or_default() += per_second;
            }
        }
    }
    let mut routes: Vec<Route> = routes.into_values().collect();
    routes.sort_by(|a, b| {
        descending(Some(a.per_second), Some(b.per_second)).then_with(|| a.route.cmp(&b.route))
    });
    (routes, all)
}

fn paces(before: &[Timed], now: &[Timed], rate: Rate) -> Vec<Pace> {
    let none = Timed::default();
    let pace = |it: &Timed| {
        let then = before.iter().find(|then| then.name == it.name);
        let then = then.unwrap_or(&none);
        rate.pace(
            &it.name,
            &it.took.since(&then.took),
            (then.errors, it.errors),
        )
    };
    now.iter().map(pace).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::observe::stats::Requests;

    fn requests(route: &str, outcome: &str, count: u64) -> Requests {
        Requests {
            route: route.to_owned(),
            outcome: outcome.to_owned(),
            status_class: "2xx".to_owned(),
            count,
        }
    }

    fn timed(name: &str, counts: [u64; 4], errors: u64) -> Timed {
        Timed {
            name: name.to_owned(),
            took: Histogram {
                bounds: vec![0.001, 0.01, 0.1],
                counts: counts.to_vec(),
                sum: 0.0,
            },
            errors,
        }
    }

    fn outcomes(name: &str, counts: &[(&str, u64)]) -> Outcomes {
        let counts = counts
            .iter()
            .map(|(name, count)| ((*name).to_owned(), *count));
        Outcomes {
            name: name.to_owned(),
            counts: counts.collect(),
        }
    }

    /// A busy gateway, ten seconds apart.
    pub(in crate::cli::top) fn busy() -> View {
        let before = Stats {
            version: "0.1.0".to_owned(),
            started_at: Timestamp(1_000).iso8601(),
            requests: vec![
                requests("files", "permitted", 1_000),
                requests("docs", "permitted", 10),
            ],
            gate: timed("", [100, 0, 0, 0], 0).took,
            upstreams: vec![timed("nas", [50, 50, 0, 0], 1)],
            store: vec![
                timed("ping", [9, 0, 0, 0], 0),
                timed("purge", [1, 0, 0, 0], 0),
            ],
            ..Stats::default()
        };
        let now = Stats {
            resident_bytes: 61 << 20,
            open_files: 80,
            open_files_max: 1_024,
            connections: 12,
            connections_max: 16_384,
            connections_refused: 5,
            sessions: 42,
            hot_sessions: 40,
            lockouts: 1,
            servers_down: vec![Server {
                upstream: "nas".to_owned(),
                server: "10.0.0.2:5000".to_owned(),
            }],
            requests: vec![
                requests("docs", "permitted", 11),
                requests("files", "permitted", 2_201),
                requests("files", "challenged", 3),
                requests("files", "failed", 20),
                requests("-", "bad_request", 1),
            ],
            gate: timed("", [1_300, 20, 0, 0], 0).took,
            upstreams: vec![
                timed("nas", [1_050, 150, 1, 0], 21),
                timed("idle", [0, 0, 0, 0], 0),
            ],
            store: vec![
                timed("ping", [19, 0, 0, 0], 0),
                timed("purge", [1, 0, 0, 0], 0),
                timed("attempt", [0, 2, 0, 1], 1),
            ],
            challenges: vec![
                outcomes("sms", &[("sent", 12), ("verified", 10), ("wrong", 1)]),
                outcomes("totp", &[("verified", 3), ("wrong", 0)]),
                outcomes("email", &[("sent", 0)]),
            ],
            messages: vec![outcomes("twilio", &[("accepted", 11), ("timeout", 1)])],
            events: [("verified", 13), ("challenged", 12), ("locked", 1)]
                .map(|(kind, count)| (kind.to_owned(), count))
                .into(),
            ..before.clone()
        };
        View::between(&before, &now, Duration::from_secs(10), 1_000 + 93_784)
    }

    #[test]
    fn rates_are_of_the_time_between() {
        let view = busy();
        assert_eq!(view.up_secs, 93_784);
        let names: Vec<_> = view.routes.iter().map(|it| it.route.as_str()).collect();
        assert_eq!(names, ["files", "-", "docs"]);
        assert!((view.routes[0].per_second - 122.4).abs() < 1e-9);
        assert!((view.routes[0].by_outcome["permitted"] - 120.1).abs() < 1e-9);
        assert!((view.all_routes.per_second - 122.6).abs() < 1e-9);
        assert!((view.connections_refused_per_second - 0.5).abs() < 1e-9);
        assert!((view.gate.per_second - 122.0).abs() < 1e-9);
        let nas = &view.upstreams[0];
        assert_eq!((nas.name.as_str(), nas.errors_per_second), ("nas", 2.0));
        // Of the 1,101 since then, 1,000 took at most 1 ms, and all but one at most 10 ms.
        assert!(nas.p50.is_some_and(|it| (0.0005..0.0006).contains(&it)));
        assert!(nas.p99.is_some_and(|it| (0.009..0.01).contains(&it)));
        assert_eq!(view.upstreams[1].p50, None);
        // What nobody asked for in this time is not shown.
        let verbs: Vec<_> = view.store.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(verbs, ["ping", "attempt"]);
    }

    #[test]
    fn a_gateway_that_has_started_anew_counts_from_nothing() {
        let stats = |began, count| Stats {
            started_at: Timestamp(began).iso8601(),
            requests: vec![requests("files", "permitted", count)],
            ..Stats::default()
        };
        let second = Duration::from_secs(1);
        let view = View::between(&stats(1, 500), &stats(2, 30), second, 2);
        assert_eq!(view.all_routes.per_second, 30.0);
        // Even within the same second.
        let view = View::between(&stats(1, 500), &stats(1, 30), second, 2);
        assert_eq!(view.all_routes.per_second, 30.0);
        let nothing = View::between(&Stats::default(), &Stats::default(), Duration::ZERO, 0);
        assert_eq!(nothing.all_routes.per_second, 0.0);
    }
}
