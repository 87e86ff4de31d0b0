//! The metric families: every name, help text, label and bucket, in one table.

use prometheus::process_collector::ProcessCollector;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, core::Collector,
};

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

/// Handles to every family.
pub(super) struct Families {
    pub(super) requests: IntCounterVec,
    pub(super) gate_seconds: Histogram,
    pub(super) upstream_seconds: HistogramVec,
    pub(super) upstream_errors: IntCounterVec,
    pub(super) challenges: IntCounterVec,
    pub(super) messages: IntCounterVec,
    pub(super) issuers: IntCounterVec,
    pub(super) sessions: IntGauge,
    pub(super) hot_entries: IntGauge,
    pub(super) hot_evictions: IntCounter,
    pub(super) store_seconds: HistogramVec,
    pub(super) store_errors: IntCounterVec,
    pub(super) lockouts: IntCounter,
    pub(super) events: IntCounterVec,
    pub(super) events_lost: IntCounter,
    pub(super) connections: IntGauge,
    pub(super) connections_refused: IntCounter,
    pub(super) forward_auth_refused: IntCounterVec,
    pub(super) certificate_expiry: IntGaugeVec,
    pub(super) config_reloads: IntCounterVec,
}

impl Families {
    /// Registers every family, the process's own and the build's.
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let to = Registrar(registry);
        registry.register(Box::new(ProcessCollector::for_self()))?;
        to.gauges("build_info", "The version that runs.", &["version"])?
            .with_label_values(&[env!("CARGO_PKG_VERSION")])
            .set(1);
        Ok(Self {
            requests: to.counters(
                "requests_total",
                "Requests by route, outcome and class of status.",
                &["route", "outcome", "status_class"],
            )?,
            gate_seconds: to.histogram(
                "gate_seconds",
                "Time the gate took to decide.",
                GATE_BUCKETS,
            )?,
            upstream_seconds: to.upstream_seconds()?,
            upstream_errors: to.upstream_errors()?,
            challenges: to.counters(
                "challenges_total",
                "One-time codes by method and what became of them.",
                &["method", "outcome"],
            )?,
            messages: to.counters(
                "messages_total",
                "Messages handed to SMS providers and the mail server, by provider and what it said.",
                &["provider", "outcome"],
            )?,
            issuers: to.counters(
                "issuer_requests_total",
                "Requests to issuers of tokens, by identity and what came of them.",
                &["identity", "outcome"],
            )?,
            sessions: to.gauge("sessions", "Live sessions in the store.")?,
            hot_entries: to.gauge("hot_map_entries", "Sessions held in the hot map.")?,
            hot_evictions: to.counter(
                "hot_map_evictions_total",
                "Sessions that left the hot map for want of room.",
            )?,
            store_seconds: to.store_seconds()?,
            store_errors: to.store_errors()?,
            lockouts: to.counter("lockouts_total", "Users that too many failures locked.")?,
            events: to.counters(
                "events_total",
                "Events of the audit trail by kind.",
                &["kind"],
            )?,
            events_lost: to.counter(
                "events_lost_total",
                "Events that are in the log but not in the audit trail.",
            )?,
            connections: to.gauge("connections", "Open client connections.")?,
            connections_refused: to.counter(
                "connections_refused_total",
                "Connections closed because their address held too many.",
            )?,
            forward_auth_refused: to.forward_auth_refused()?,
            certificate_expiry: to.gauges(
                "certificate_expiry_timestamp_seconds",
                "When a certificate in use ends, in seconds since 1970.",
                &["certificate"],
            )?,
            config_reloads: to.counters(
                "config_reloads_total",
                "Reloads of the config, applied or refused.",
                &["outcome"],
            )?,
        })
    }
}

struct Registrar<'a>(&'a Registry);

impl Registrar<'_> {
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

    fn add<C: Collector + Clone + 'static>(&self, family: C) -> Result<C, prometheus::Error> {
        self.0.register(Box::new(family.clone()))?;
        Ok(family)
    }

    fn counter(&self, name: &str, help: &str) -> Result<IntCounter, prometheus::Error> {
        self.add(IntCounter::with_opts(opts(name, help))?)
    }

    fn counters(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<IntCounterVec, prometheus::Error> {
        self.add(IntCounterVec::new(opts(name, help), labels)?)
    }

    fn gauge(&self, name: &str, help: &str) -> Result<IntGauge, prometheus::Error> {
        self.add(IntGauge::with_opts(opts(name, help))?)
    }

    fn gauges(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<IntGaugeVec, prometheus::Error> {
        self.add(IntGaugeVec::new(opts(name, help), labels)?)
    }

    fn histogram(
        &self,
        name: &str,
        help: &str,
        buckets: &[f64],
    ) -> Result<Histogram, prometheus::Error> {
        let opts = HistogramOpts::from(opts(name, help)).buckets(buckets.to_vec());
        self.add(Histogram::with_opts(opts)?)
    }

    fn histograms(
        &self,
        name: &str,
        help: &str,
        label: &str,
        buckets: &[f64],
    ) -> Result<HistogramVec, prometheus::Error> {
        let opts = HistogramOpts::from(opts(name, help)).buckets(buckets.to_vec());
        self.add(HistogramVec::new(opts, &[label])?)
    }
}

fn opts(name: &str, help: &str) -> Opts {
    Opts::new(name, help).namespace("vestibule")
}
