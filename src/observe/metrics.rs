//! Prometheus metrics with closed label sets: no label ever holds what a client sent.
//!
//! Route, upstream and certificate labels are names of the config, made known with
//! [`Metrics::route`] and its like; anything else counts under `-`. What a request needs is resolved
//! once, into a [`RouteMetrics`] or [`UpstreamMetrics`], so that counting is an atomic add.

mod labels;
mod resolved;
mod zero;

pub use self::labels::{IssuerOutcome, Lost, Outcome, SpanOutcome};
use self::resolved::UNNAMED;
pub use self::resolved::{RouteMetrics, UpstreamMetrics};
use self::zero::begin_at_zero;
use super::families::Families;
pub use super::families::{Described, Kind};
use super::unanswered::Unanswered;
use crate::clock::Timestamp;
use crate::event::EventKind;
use crate::gate::session::Factor;
use arc_swap::ArcSwap;
use prometheus::{Registry, TextEncoder};
use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// One server of an upstream, and whether it took a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerState {
    /// As the config names it.
    pub upstream: String,
    /// As the config names it, `host:port`.
    pub server: String,
    pub is_up: bool,
}

/// What a provider can say to a message.
const MESSAGE_OUTCOMES: [&str; 5] = ["accepted", "refused", "unreachable", "timeout", "lost"];
/// How the detail of an event begins that says which address was delayed.
const OF_ADDRESS: &str = "address";

type Named<T> = ArcSwap<HashMap<String, T>>;

/// All metrics of one process. Cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    shared: Arc<Shared>,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}

struct Shared {
    registry: Registry,
    families: Arc<Families>,
    routes: Named<RouteMetrics>,
    unnamed_route: RouteMetrics,
    upstreams: Named<UpstreamMetrics>,
    /// The highest number of evictions reported: a counter must not go back.
    evictions: AtomicU64,
    /// Upstreams' servers that have a series.
    servers: Mutex<BTreeSet<(String, String)>>,
}

impl Metrics {
    /// A fresh registry.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let families = Arc::new(Families::register(&registry)?);
        begin_at_zero(&families);
        Ok(Self {
            shared: Arc::new(Shared {
                unnamed_route: RouteMetrics::new(&families, UNNAMED),
                registry,
                families,
                routes: Named::default(),
                upstreams: Named::default(),
                evictions: AtomicU64::new(0),
                servers: Mutex::default(),
            }),
        })
    }

    /// Every metric there is, in the order of its registration, with or without a series.
    #[must_use]
    pub fn described(&self) -> &[Described] {
        &self.shared.families.described
    }

    /// Makes a provider of messages known: its series begin at zero.
    pub fn provider_named(&self, name: &'static str) {
        for outcome in MESSAGE_OUTCOMES {
            let messages = &self.shared.families.messages;
            messages.with_label_values(&[name, outcome]);
        }
    }

    /// Makes a verb of the store known: its errors begin at zero.
    pub fn verb_named(&self, verb: &'static str) {
        self.shared.families.store_errors.with_label_values(&[verb]);
    }

    /// Makes a configured route's name known and returns its counters.
    #[must_use]
    pub fn route(&self, name: &str) -> RouteMetrics {
        known(&self.shared.routes, name, || {
            RouteMetrics::new(&self.shared.families, name)
        })
    }

    /// Makes a configured upstream's name known and returns its series.
    #[must_use]
    pub fn upstream_named(&self, name: &str) -> UpstreamMetrics {
        known(&self.shared.upstreams, name, || {
            UpstreamMetrics::new(&self.shared.families, name)
        })
    }

    /// One request has ended. A `route` that was not made known counts as `-`.
    pub fn request(&self, route: &str, outcome: Outcome, status: u16) {
        match self.shared.routes.load().get(route) {
            Some(known) => known.request(outcome, status),
            None => self.shared.unnamed_route.request(outcome, status),
        }
    }

    /// The gate took this long (fast and slow path alike).
    pub fn gate(&self, took: Duration) {
        self.shared
            .families
            .gate_seconds
            .observe(took.as_secs_f64());
    }

    /// An upstream gave its response head after this long, or failed.
    pub fn upstream(&self, upstream: &str, took: Option<Duration>) {
        match self.shared.upstreams.load().get(upstream) {
            Some(known) => known.answered(took),
            None => UpstreamMetrics::new(&self.shared.families, UNNAMED).answered(took),
        }
    }

    /// An event of the audit trail has happened. Events about challenges, whose `detail` begins with
    /// a factor's name (`sms`, `sms wrong code`), also count as challenges.
    pub fn event(&self, kind: EventKind, detail: &str) {
        let families = &self.shared.families;
        families.events.with_label_values(&[kind.as_str()]).inc();
        if kind == EventKind::Locked {
            let of = match detail.starts_with(OF_ADDRESS) {
                true => "address",
                false => "user",
            };
            families.lockouts.with_label_values(&[of]).inc();
        }
        if let Some((method, outcome)) = challenge_of(kind, detail) {
            self.challenge(method, outcome);
        }
    }

    /// An event is not kept in the audit trail.
    pub fn event_lost(&self, why: Lost) {
        let lost = &self.shared.families.events_lost;
        lost.with_label_values(&[why.as_str()]).inc();
    }

    /// So many spans have met an outcome.
    pub fn spans(&self, outcome: SpanOutcome, count: u64) {
        let spans = &self.shared.families.spans;
        spans.with_label_values(&[outcome.as_str()]).inc_by(count);
    }

    /// What the servers of all upstreams have just been found to be. Those that are not among them
    /// are forgotten.
    pub fn servers(&self, found: &[ServerState]) {
        let family = &self.shared.families.upstream_up;
        let mut now = BTreeSet::new();
        for one in found {
            let labels = [one.upstream.as_str(), one.server.as_str()];
            family.with_label_values(&labels).set(one.is_up.into());
            now.insert((one.upstream.clone(), one.server.clone()));
        }
        let known = self.shared.servers.lock();
        let mut known = known.unwrap_or_else(PoisonError::into_inner);
        for (upstream, server) in known.difference(&now) {
            // It is there, and if it were not, nothing would have to be removed.
            let _ = family.remove_label_values(&[upstream, server]);
        }
        *known = now;
    }

    /// This process is about to end.
    pub fn draining(&self) {
        self.shared.families.draining.set(1);
    }

    /// A challenge of a method has met an outcome (`sent`, `verified`, `wrong`, `expired`, `limited`, `failed`).
    pub fn challenge(&self, method: &'static str, outcome: &'static str) {
        let labels = [method, outcome];
        self.shared
            .families
            .challenges
            .with_label_values(&labels)
            .inc();
    }

    /// A provider took (`accepted`) or did not take (`refused`, `unreachable`) a message, or nobody
    /// can tell (`timeout`, `lost`).
    pub fn message(&self, provider: &'static str, outcome: &'static str) {
        let labels = [provider, outcome];
        let messages = &self.shared.families.messages;
        messages.with_label_values(&labels).inc();
    }

    /// An issuer was asked, for the identity of this name (one of the config).
    pub fn issuer(&self, identity: &str, outcome: IssuerOutcome) {
        let labels = [identity, outcome.as_str()];
        self.shared
            .families
            .issuers
            .with_label_values(&labels)
            .inc();
    }

    /// A store verb took this long, and whether it failed.
    pub fn store(&self, verb: &'static str, took: Duration, ok: bool) {
        let families = &self.shared.families;
        families
            .store_seconds
            .with_label_values(&[verb])
            .observe(took.as_secs_f64());
        if !ok {
            families.store_errors.with_label_values(&[verb]).inc();
        }
    }

    /// Gauges read from the hot map: entries, and evictions since the start.
    pub fn hot_map(&self, entries: usize, evictions: u64) {
        let families = &self.shared.families;
        families.hot_entries.set(gauge(entries));
        let before = self.shared.evictions.fetch_max(evictions, Ordering::SeqCst);
        families
            .hot_evictions
            .inc_by(evictions.saturating_sub(before));
    }

    /// Live sessions in the store.
    pub fn sessions(&self, live: u64) {
        self.shared.families.sessions.set(gauge(live));
    }

    /// Open client connections.
    pub fn connections(&self, open: i64) {
        self.shared.families.connections.set(open);
    }

    /// How many may be open.
    pub fn connections_max(&self, max: usize) {
        self.shared.families.connections_max.set(gauge(max));
    }

    /// A connection was closed because its address held too many.
    pub fn connection_refused(&self) {
        self.shared.families.connections_refused.inc();
    }

    /// Another proxy has asked in a way that cannot be answered.
    pub fn forward_auth_refused(&self, why: Unanswered) {
        let refused = &self.shared.families.forward_auth_refused;
        refused.with_label_values(&[why.as_str()]).inc();
    }

    /// The certificates in use, by their configured name (the file), with the end of their validity.
    /// Those of an earlier config are forgotten.
    pub fn certificates<'a>(&self, expiry: impl IntoIterator<Item = (&'a str, Timestamp)>) {
        let family = &self.shared.families.certificate_expiry;
        family.reset();
        for (name, not_after) in expiry {
            family.with_label_values(&[name]).set(not_after.0);
        }
    }

    /// A reload of the config was applied or refused.
    pub fn config_reload(&self, applied: bool) {
        let outcome = if applied { "applied" } else { "refused" };
        let families = &self.shared.families;
        families.config_reloads.with_label_values(&[outcome]).inc();
        families.config_is_current.set(applied.into());
    }

    /// The exposition text (version 0.0.4).
    pub fn render(&self) -> Result<String, prometheus::Error> {
        TextEncoder::new().encode_to_string(&self.gather())
    }

    /// Every family with its series.
    pub(super) fn gather(&self) -> Vec<prometheus::proto::MetricFamily> {
        self.shared.registry.gather()
    }
}

/// The entry of `name`, made if it is new. Copies the map: names come at start and reload only.
fn known<T: Clone>(map: &Named<T>, name: &str, make: impl Fn() -> T) -> T {
    map.rcu(|old| {
        let mut new = HashMap::clone(old);
        new.entry(name.to_owned()).or_insert_with(&make);
        new
    });
    map.load().get(name).cloned().unwrap_or_else(make)
}

fn gauge(value: impl TryInto<i64>) -> i64 {
    value.try_into().unwrap_or(i64::MAX)
}

/// What an event says of a challenge: its method and outcome.
fn challenge_of(kind: EventKind, detail: &str) -> Option<(&'static str, &'static str)> {
    let method = Factor::from_name(detail.split(' ').next()?)?.as_str();
    let outcome = match kind {
        EventKind::Challenged => "sent",
        EventKind::Verified => "verified",
        EventKind::Refused => match detail.get(method.len()..)?.trim_start() {
            wrong if wrong.starts_with("wrong") => "wrong",
            "expired" => "expired",
            "limited" => "limited",
            _ => "failed",
        },
        _ => return None,
    };
    Some((method, outcome))
}

#[cfg(test)]
mod tests {
    use super::resolved::CLASSES;
    use super::*;
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    fn state(upstream: &str, server: &str, is_up: bool) -> ServerState {
        ServerState {
            upstream: upstream.to_owned(),
            server: server.to_owned(),
            is_up,
        }
    }

    fn busy() -> Metrics {
        let metrics = Metrics::new().unwrap();
        let files = metrics.route("files");
        files.request(Outcome::Permitted, 200);
        metrics.request("files", Outcome::Challenged, 401);
        metrics.request("/etc/passwd", Outcome::BadRequest, 400);
        metrics.gate(Duration::from_nanos(300));
        metrics
            .upstream_named("nas")
            .answered(Some(Duration::from_millis(2)));
        metrics.upstream("nas", None);
        metrics.upstream("unheard of", None);
        for kind in EventKind::ALL {
            metrics.event(kind, "sms");
        }
        metrics.event_lost(Lost::Full);
        metrics.event(EventKind::Locked, "address: too many failures");
        metrics.spans(SpanOutcome::Dropped, 3);
        metrics.servers(&[state("nas", "10.0.0.1:80", true)]);
        metrics.message("twilio", "accepted");
        metrics.message("smtp", "refused");
        metrics.store("ping", Duration::from_micros(90), false);
        metrics.hot_map(3, 2);
        metrics.sessions(9);
        metrics.connections(4);
        metrics.connections_max(16_384);
        metrics.certificates([("/tls/a.pem", Timestamp(1_800_000_000))]);
        metrics.config_reload(true);
        metrics
    }

    #[test]
    fn promtool_finds_nothing_to_mend() {
        let mut promtool = Command::new("promtool")
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("promtool is needed by this test: apt-get install prometheus");
        let text = busy().render().unwrap();
        promtool
            .stdin
            .take()
            .unwrap()
            .write_all(text.as_bytes())
            .unwrap();
        let output = promtool.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned()
            + &String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{said}\n{text}");
        assert_eq!(said, "", "{text}");
    }

    #[test]
    fn every_promised_family_is_exposed() {
        let text = busy().render().unwrap();
        for line in [
            r#"vestibule_requests_total{outcome="permitted",route="files",status_class="2xx"} 1"#,
            r#"vestibule_requests_total{outcome="challenged",route="files",status_class="4xx"} 1"#,
            r#"vestibule_gate_seconds_bucket{le="0.0000005"} 1"#,
            r#"vestibule_gate_seconds_bucket{le="0.00000025"} 0"#,
            r#"vestibule_upstream_seconds_count{upstream="nas"} 1"#,
            r#"vestibule_upstream_errors_total{upstream="nas"} 1"#,
            r#"vestibule_challenges_total{method="sms",outcome="sent"} 1"#,
            r#"vestibule_challenges_total{method="sms",outcome="verified"} 1"#,
            r#"vestibule_messages_total{outcome="accepted",provider="twilio"} 1"#,
            r#"vestibule_messages_total{outcome="refused",provider="smtp"} 1"#,
            "vestibule_sessions 9",
            "vestibule_hot_map_entries 3",
            "vestibule_hot_map_evictions_total 2",
            r#"vestibule_store_seconds_count{verb="ping"} 1"#,
            r#"vestibule_store_errors_total{verb="ping"} 1"#,
            r#"vestibule_lockouts_total{of="user"} 1"#,
            r#"vestibule_lockouts_total{of="address"} 1"#,
            r#"vestibule_events_total{kind="verified"} 1"#,
            r#"vestibule_events_lost_total{reason="full"} 1"#,
            r#"vestibule_events_lost_total{reason="repeated"} 0"#,
            r#"vestibule_spans_total{outcome="dropped"} 3"#,
            r#"vestibule_upstream_up{server="10.0.0.1:80",upstream="nas"} 1"#,
            "vestibule_draining 0",
            "vestibule_config_is_current 1",
            "vestibule_connections 4",
            "vestibule_connections_max 16384",
            r#"vestibule_certificate_expiry_timestamp_seconds{certificate="/tls/a.pem"} 1800000000"#,
            r#"vestibule_config_reloads_total{outcome="applied"} 1"#,
            "vestibule_build_info{version=",
            "process_open_fds ",
        ] {
            assert!(text.contains(line), "{line} is missing from\n{text}");
        }
    }

    #[test]
    fn names_that_the_config_does_not_hold_never_become_labels() {
        let text = busy().render().unwrap();
        assert!(!text.contains("passwd") && !text.contains("unheard"));
        assert!(text.contains(
            r#"vestibule_requests_total{outcome="bad_request",route="-",status_class="4xx"} 1"#
        ));
        assert!(text.contains(r#"vestibule_upstream_errors_total{upstream="-"} 1"#));
    }

    #[test]
    fn every_status_has_a_class() {
        let metrics = Metrics::new().unwrap();
        let route = metrics.route("r");
        for status in [0, 99, 100, 204, 302, 404, 503, 600, 999, u16::MAX] {
            route.request(Outcome::Failed, status);
        }
        let text = metrics.render().unwrap();
        for (class, count) in CLASSES.iter().zip([1, 1, 1, 1, 1, 5]) {
            let line = format!(
                r#"vestibule_requests_total{{outcome="failed",route="r",status_class="{class}"}} {count}"#
            );
            assert!(text.contains(&line), "{line} is missing from\n{text}");
        }
    }

    #[test]
    fn refusals_name_what_became_of_the_challenge() {
        use EventKind::{Refused, Revoked, Verified};
        let of = |kind, detail| challenge_of(kind, detail);
        assert_eq!(of(Refused, "sms wrong code"), Some(("sms", "wrong")));
        assert_eq!(of(Refused, "sms not sent"), Some(("sms", "failed")));
        for method in ["totp", "email", "backup_code"] {
            let detail = format!("{method} wrong code");
            assert_eq!(challenge_of(Refused, &detail), Some((method, "wrong")));
            assert_eq!(of(Verified, method), Some((method, "verified")));
        }
        assert_eq!(of(Refused, "wrong code"), None);
        assert_eq!(of(Refused, "wrong password"), None);
        assert_eq!(of(Revoked, "sms"), None);
    }

    #[test]
    fn a_series_that_may_rise_rarely_is_there_before_it_does() {
        let metrics = Metrics::new().unwrap();
        metrics.provider_named("twilio");
        metrics.verb_named("ping");
        let text = metrics.render().unwrap();
        for line in [
            r#"vestibule_config_reloads_total{outcome="refused"} 0"#,
            r#"vestibule_challenges_total{method="sms",outcome="failed"} 0"#,
            r#"vestibule_challenges_total{method="passkey",outcome="verified"} 0"#,
            r#"vestibule_messages_total{outcome="unreachable",provider="twilio"} 0"#,
            r#"vestibule_store_errors_total{verb="ping"} 0"#,
            r#"vestibule_lockouts_total{of="user"} 0"#,
        ] {
            assert!(text.contains(line), "{line} is missing from\n{text}");
        }
        assert!(!text.contains(r#"method="totp",outcome="sent""#));
    }

    #[test]
    fn servers_that_the_config_no_longer_has_are_forgotten_and_the_others_stay() {
        let metrics = Metrics::new().unwrap();
        metrics.servers(&[state("nas", "a:1", true), state("nas", "b:1", false)]);
        metrics.servers(&[state("nas", "b:1", true)]);
        let text = metrics.render().unwrap();
        assert!(text.contains(r#"vestibule_upstream_up{server="b:1",upstream="nas"} 1"#));
        assert!(!text.contains("a:1"));
    }

    #[test]
    fn a_refused_reload_shows_until_one_is_applied() {
        let metrics = Metrics::new().unwrap();
        let shows = |line| metrics.render().unwrap().contains(line);
        metrics.config_reload(false);
        assert!(shows("vestibule_config_is_current 0"));
        metrics.config_reload(true);
        assert!(shows("vestibule_config_is_current 1"));
        assert!(!shows("vestibule_draining 1"));
        metrics.draining();
        assert!(shows("vestibule_draining 1"));
    }

    #[test]
    fn evictions_only_rise_and_old_certificates_go() {
        let metrics = Metrics::new().unwrap();
        metrics.hot_map(1, 5);
        metrics.hot_map(1, 3);
        metrics.certificates([("old.pem", Timestamp(1))]);
        metrics.certificates([("new.pem", Timestamp(2))]);
        let text = metrics.render().unwrap();
        assert!(text.contains("vestibule_hot_map_evictions_total 5"));
        assert!(!text.contains("old.pem") && text.contains("new.pem"));
    }
}
