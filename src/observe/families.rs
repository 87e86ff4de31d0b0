//! The metric families: every name, help text, label and bucket, in one table. `docs/metrics.md` has
//! the same, with what to do; a test holds the two together.

use prometheus::process_collector::ProcessCollector;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, core::Collector,
};
use std::cell::RefCell;

/// From a map hit to a store that hardly answers.
const GATE_BUCKETS: &[f64] = &[
    250e-9, 500e-9, 1e-6, 2.5e-6, 5e-6, 1e-5, 5e-5, 1e-4, 5e-4, 1e-3, 5e-3, 0.025, 0.1, 1.0,
];
const STORE_BUCKETS: &[f64] = &[
    5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.1, 0.5, 1.0, 5.0,
];
const UPSTREAM_BUCKETS: &[f64] = &[
    5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0,
];

/// What a metric is, in the words of the exposition format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Kind {
    /// The word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// One metric, whether or not it has a series yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    pub name: String,
    pub kind: Kind,
    pub labels: Vec<String>,
    /// A sentence.
    pub help: String,
}

/// Handles to every family.
pub(super) struct Families {
    pub(super) described: Vec<Described>,
    pub(super) requests: IntCounterVec,
    pub(super) gate_seconds: Histogram,
    pub(super) upstream_seconds: HistogramVec,
    pub(super) upstream_errors: IntCounterVec,
    pub(super) upstream_up: IntGaugeVec,
    pub(super) challenges: IntCounterVec,
    pub(super) messages: IntCounterVec,
    pub(super) issuers: IntCounterVec,
    pub(super) sessions: IntGauge,
    pub(super) hot_entries: IntGauge,
    pub(super) hot_evictions: IntCounter,
    pub(super) store_seconds: HistogramVec,
    pub(super) store_errors: IntCounterVec,
    pub(super) lockouts: IntCounterVec,
    pub(super) events: IntCounterVec,
    pub(super) events_lost: IntCounterVec,
    pub(super) connections: IntGauge,
    pub(super) connections_max: IntGauge,
    pub(super) connections_refused: IntCounter,
    pub(super) forward_auth_refused: IntCounterVec,
    pub(super) certificate_expiry: IntGaugeVec,
    pub(super) config_reloads: IntCounterVec,
    pub(super) config_is_current: IntGauge,
    pub(super) draining: IntGauge,
    pub(super) spans: IntCounterVec,
}

impl Families {
    /// Registers every family, the process's own and the build's.
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let to = Registrar::new(registry);
        to.process()?;
        to.gauges("build_info", "The version that runs.", &["version"])?
            .with_label_values(&[env!("CARGO_PKG_VERSION")])
            .set(1);
        let requests = to.requests()?;
        let (gate_seconds, upstream_seconds) = (to.gate_seconds()?, to.upstream_seconds()?);
        let (upstream_errors, upstream_up) = (to.upstream_errors()?, to.upstream_up()?);
        let (challenges, messages, issuers) = (to.challenges()?, to.messages()?, to.issuers()?);
        let sessions = to.gauge(
            "sessions",
            "Live sessions in the store, counted each minute.",
        )?;
        let (hot_entries, hot_evictions) = to.hot_map()?;
        let (store_seconds, store_errors) = (to.store_seconds()?, to.store_errors()?);
        let (lockouts, events, events_lost) = (to.lockouts()?, to.events()?, to.events_lost()?);
        let (connections, connections_max, connections_refused) = to.connections()?;
        let forward_auth_refused = to.forward_auth_refused()?;
        let certificate_expiry = to.certificate_expiry()?;
        let (config_reloads, config_is_current) = to.config()?;
        let draining = to.gauge(
            "draining",
            "Whether this process is about to end, and takes no new connections.",
        )?;
        let spans = to.spans()?;
        Ok(Self {
            described: to.described.into_inner(),
            requests,
            gate_seconds,
            upstream_seconds,
            upstream_errors,
            upstream_up,
            challenges,
            messages,
            issuers,
            sessions,
            hot_entries,
            hot_evictions,
            store_seconds,
            store_errors,
            lockouts,
            events,
            events_lost,
            connections,
            connections_max,
            connections_refused,
            forward_auth_refused,
            certificate_expiry,
            config_reloads,
            config_is_current,
            draining,
            spans,
        })
    }
}

/// Registers families and notes what they are.
struct Registrar<'a> {
    registry: &'a Registry,
    described: RefCell<Vec<Described>>,
}

/// Requests and what answers them.
impl Registrar<'_> {
    fn requests(&self) -> Result<IntCounterVec, prometheus::Error> {
        self.counters(
            "requests_total",
            "Requests by route, outcome and class of status.",
            &["route", "outcome", "status_class"],
        )
    }

    fn gate_seconds(&self) -> Result<Histogram, prometheus::Error> {
        self.histogram(
            "gate_seconds",
            "Time the gate took to decide.",
            GATE_BUCKETS,
        )
    }

    fn upstream_seconds(&self) -> Result<HistogramVec, prometheus::Error> {
        self.histograms(
            "upstream_seconds",
            "Time from forwarding a request to the upstream's response head.",
            "upstream",
            UPSTREAM_BUCKETS,
        )
    }

    fn upstream_errors(&self) -> Result<IntCounterVec, prometheus::Error> {
        self.counters(
            "upstream_errors_total",
            "Requests that an upstream did not answer.",
            &["upstream"],
        )
    }

    fn forward_auth_refused(&self) -> Result<IntCounterVec, prometheus::Error> {
        self.counters(
            "forward_auth_refused_total",
            "Questions of other proxies that could not be answered as they were put, by reason.",
            &["reason"],
        )
    }

    fn upstream_up(&self) -> Result<IntGaugeVec, prometheus::Error> {
        self.gauges(
            "upstream_up",
            "Whether a server of an upstream took a TCP connection when last tried, every 15 seconds.",
            &["upstream", "server"],
        )
    }

    fn connections(&self) -> Result<(IntGauge, IntGauge, IntCounter), prometheus::Error> {
        Ok((
            self.gauge("connections", "Open client connections.")?,
            self.gauge(
                "connections_max",
                "Client connections that may be open; further ones wait.",
            )?,
            self.counter(
                "connections_refused_total",
                "Connections closed because their address held too many.",
            )?,
        ))
    }

    fn certificate_expiry(&self) -> Result<IntGaugeVec, prometheus::Error> {
        self.gauges(
            "certificate_expiry_timestamp_seconds",
            "When a certificate in use ends, in seconds since 1970.",
            &["certificate"],
        )
    }
}

/// Second factors, users and what is kept of them.
impl Registrar<'_> {
    fn challenges(&self) -> Result<IntCounterVec, prometheus::Error> {
        self.counters(
            "challenges_total",
            "One-time codes by method and what became of them.",
            &["method", "outcome"],
        )
    }

    fn messages(&self) -> Result<IntCounterVec, prometheus::Error> {
        self.counters(
            "messages_total",
            "Messages handed to SMS providers and the mail server, by provider and what it said.",
            &["provider", "outcome"],
        )
    }

    fn issuers(&self) -> Result<IntCounterVec, prometheus::Error> {
        self.counters(
            "issuer_requests_total",
            "Requests to issuers of tokens, by identity and what came of them.",
            &["identity", "outcome"],
        )
    }

    fn hot_map(&self) -> Result<(IntGauge, IntCounter), prometheus::Error> {
        Ok((
            self.gauge("hot_map_entries", "Sessions held in the hot map.")?,
            self.counter(
                "hot_map_evictions_total",
                "Sessions that left the hot map for want of room.",
            )?,
        ))
    }

    fn store_seconds(&self) -> Result<HistogramVec, prometheus::Error> {
        self.histograms(
            "store_seconds",
            "Time a verb of the store took.",
            "verb",
            STORE_BUCKETS,
        )
    }

    fn store_errors(&self) -> Result<IntCounterVec, prometheus::Error> {
        self.counters(
            "store_errors_total",
            "Verbs of the store that failed.",
            &["verb"],
        )
    }

    fn lockouts(&self) -> Result<IntCounterVec, prometheus::Error> {
        self.counters(
            "lockouts_total",
            "Users that too many failures locked, and addresses that they delayed.",
            &["of"],
        )
    }

    fn events(&self) -> Result<IntCounterVec, prometheus::Error> {
        self.counters(
            "events_total",
            "Events of the audit trail by kind.",
            &["kind"],
        )
    }

    fn events_lost(&self) -> Result<IntCounterVec, prometheus::Error> {
        self.counters(
            "events_lost_total",
            "Events that are in the log but not in the audit trail, by reason.",
            &["reason"],
        )
    }
}

/// The process.
impl Registrar<'_> {
    /// What the library finds out about the process by itself.
    fn process(&self) -> Result<(), prometheus::Error> {
        let process = ProcessCollector::for_self();
        for desc in process.desc() {
            let kind = match desc.fq_name.ends_with("_total") {
                true => Kind::Counter,
                false => Kind::Gauge,
            };
            self.note(kind, desc);
        }
        self.registry.register(Box::new(process))
    }

    fn config(&self) -> Result<(IntCounterVec, IntGauge), prometheus::Error> {
        Ok((
            self.counters(
                "config_reloads_total",
                "Reloads of the config, applied or refused.",
                &["outcome"],
            )?,
            self.gauge(
                "config_is_current",
                "Whether the last reload was applied; at 0, an older config is in use than the file.",
            )?,
        ))
    }

    fn spans(&self) -> Result<IntCounterVec, prometheus::Error> {
        self.counters(
            "spans_total",
            "Spans of traces by what became of them.",
            &["outcome"],
        )
    }
}

impl<'a> Registrar<'a> {
    fn new(registry: &'a Registry) -> Self {
        Self {
            registry,
            described: RefCell::default(),
        }
    }

    fn note(&self, kind: Kind, desc: &prometheus::core::Desc) {
        self.described.borrow_mut().push(Described {
            name: desc.fq_name.clone(),
            kind,
            labels: desc.variable_labels.clone(),
            help: desc.help.clone(),
        });
    }

    fn add<C>(&self, kind: Kind, family: C) -> Result<C, prometheus::Error>
    where
        C: Collector + Clone + 'static,
    {
        self.registry.register(Box::new(family.clone()))?;
        for desc in family.desc() {
            self.note(kind, desc);
        }
        Ok(family)
    }

    fn counter(&self, name: &str, help: &str) -> Result<IntCounter, prometheus::Error> {
        self.add(Kind::Counter, IntCounter::with_opts(opts(name, help))?)
    }

    fn counters(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<IntCounterVec, prometheus::Error> {
        self.add(Kind::Counter, IntCounterVec::new(opts(name, help), labels)?)
    }

    fn gauge(&self, name: &str, help: &str) -> Result<IntGauge, prometheus::Error> {
        self.add(Kind::Gauge, IntGauge::with_opts(opts(name, help))?)
    }

    fn gauges(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<IntGaugeVec, prometheus::Error> {
        self.add(Kind::Gauge, IntGaugeVec::new(opts(name, help), labels)?)
    }

    fn histogram(
        &self,
        name: &str,
        help: &str,
        buckets: &[f64],
    ) -> Result<Histogram, prometheus::Error> {
        let opts = HistogramOpts::from(opts(name, help)).buckets(buckets.to_vec());
        self.add(Kind::Histogram, Histogram::with_opts(opts)?)
    }

    fn histograms(
        &self,
        name: &str,
        help: &str,
        label: &str,
        buckets: &[f64],
    ) -> Result<HistogramVec, prometheus::Error> {
        let opts = HistogramOpts::from(opts(name, help)).buckets(buckets.to_vec());
        self.add(Kind::Histogram, HistogramVec::new(opts, &[label])?)
    }
}

fn opts(name: &str, help: &str) -> Opts {
    Opts::new(name, help).namespace("vestibule")
}
