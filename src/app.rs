//! The composition root: the only file that names every concrete type.
//!
//! [`App::start`] opens the store, binds the sockets and starts serving; [`App::reload`] swaps what
//! a reload may change, all or nothing; [`App::shutdown`] drains.

mod jobs;
mod learner;
mod probe;

use crate::auth::ports::{Store, StoreError};
use crate::auth::{Auth, Deliver, Settings};
use crate::cli::operator::Operator;
use crate::clock::{Clock, SystemClock};
use crate::config::model::Config;
use crate::delivery::Providers;
use crate::digest::DigestKeys;
use crate::edge::listen::{self, Listeners};
use crate::edge::proxy::{Gateway, Snapshot};
use crate::edge::upstream::RESOLVE_EVERY;
use crate::edge::{h2, proxy};
use crate::entropy::{Entropy, OsEntropy};
use crate::gate::{Gate, Witness};
use crate::identity::witness::StoreWitness;
use crate::local::Local;
use crate::observe::admin::{self, Health};
use crate::observe::audit::Audit;
use crate::observe::metrics::Metrics;
use crate::observe::timed::Timed;
use crate::store;
use arc_swap::ArcSwap;
use jobs::Jobs;
use learner::UpstreamLearner;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock, Weak};

use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

/// Why the gateway does not start. Each is a message for the operator.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Store(#[from] store::OpenError),
    #[error(transparent)]
    Bind(#[from] listen::BindError),
    #[error("the admin listener cannot use {address}: {source}; set admin.address to a free one")]
    Admin {
        address: SocketAddr,
        source: std::io::Error,
    },
    #[error("the metrics cannot be set up: {0}")]
    Metrics(#[from] prometheus::Error),
    #[error("the SMS providers cannot be set up: {0}")]
    Delivery(#[from] crate::delivery::SetupError),
    #[error("the probe of learned identities cannot be set up: {0}")]
    Probe(#[from] reqwest::Error),
    #[error("the store does not answer: {0}")]
    StoreDown(#[from] StoreError),
}

/// Why a new config is not taken over. Nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    #[error(transparent)]
    Listeners(#[from] listen::ReloadError),
    #[error(
        "store, admin, threads and sessions.hot_max cannot change while Vestibule runs: restart it"
    )]
    NeedsRestart,
    #[error("the SMS providers cannot be set up: {0}")]
    Delivery(#[from] crate::delivery::SetupError),
    #[error("the probe of learned identities cannot be set up: {0}")]
    Probe(#[from] reqwest::Error),
}

/// A running gateway.
pub struct App {
    listening: Vec<SocketAddr>,
    admin: Option<SocketAddr>,
    control: listen::Control,
    snapshots: Arc<ArcSwap<Snapshot>>,
    config: Arc<ArcSwap<Config>>,
    keys: DigestKeys,
    clock: Arc<dyn Clock>,
    auth: Arc<Auth>,
    gate: Arc<Gate>,
    witness: Arc<StoreWitness>,
    metrics: Metrics,
    health: Arc<Health>,
    audit: Audit,
    jobs: Jobs,
    stop: watch::Sender<bool>,
    serving: JoinHandle<()>,
    beside: Vec<JoinHandle<()>>,
    operator: Operator,
}

impl App {
    /// Starts everything on the current tokio runtime. Returns when the sockets are bound.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        // reqwest and rustls share one provider; a second call (in tests) finds it there.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let entropy: Arc<dyn Entropy> = Arc::new(OsEntropy);
        let metrics = Metrics::new()?;
        let engine = &config.store.engine;
        let (store, keys) = store::open(engine, &config.store.key, Arc::clone(&entropy)).await?;
        let store: Arc<dyn Store> = Arc::new(Timed::new(store, metrics.clone()));
        // Before the first session can be cached, so that no revocation is missed.
        let feed_from = store.feed_head().await?;
        let audit = Audit::start(store.clone(), Arc::clone(&clock), metrics.clone());

        let (gate, witness) = gate_and_witness(&config, &store, &keys, &clock);
        witness.set_probes(probe::all(&config)?);

        let auth = Arc::new(Auth {
            store: Arc::clone(&store),
            keys: keys.clone(),
            clock: Arc::clone(&clock),
            entropy: Arc::clone(&entropy),
            deliver: ArcSwap::from_pointee(providers(&config, &metrics)?),
            events: Arc::new(audit.clone()),
            settings: ArcSwap::from_pointee(settings(&config)),
            hashing: Arc::new(Semaphore::new(hashing_at_once())),
        });
        let local = Arc::new(Local {
            auth: Arc::clone(&auth),
            gate: Arc::clone(&gate),
            witness: Arc::clone(&witness) as Arc<dyn Witness>,
        });

        let listeners = Listeners::bind(
            &config.listeners,
            listen_limits(&config),
            metrics.clone(),
            clock.now(),
        )?;
        let control = listeners.control();
        let listening = listeners.local_addrs().unwrap_or_default();
        let snapshot = Snapshot::new(config.clone(), &keys, None);
        unresolved(&snapshot).await;
        let snapshots = Arc::new(ArcSwap::from_pointee(snapshot));
        let label_keys = keys.clone();
        let gateway = Gateway {
            snapshots: Arc::clone(&snapshots),
            gate: Arc::clone(&gate),
            local,
            learner: Arc::new(UpstreamLearner::new(Arc::clone(&witness), audit.clone())),
            device_label: Box::new(move |device| label_keys.device_label(device)),
            clock: Arc::clone(&clock),
            metrics: metrics.clone(),
        };
        let proxy = proxy::build(
            gateway,
            h2::h2_options(&config.connections),
            h2::server_options(&config.timeouts),
        );

        let health = Arc::new(Health::new(store.clone()));
        let (stop, stopped) = watch::channel(false);
        let jobs = Jobs {
            store: Arc::clone(&store),
            gate: Arc::clone(&gate),
            clock: Arc::clone(&clock),
            metrics: metrics.clone(),
        };
        let mut beside = vec![
            tokio::spawn(jobs.clone().run(feed_from)),
            tokio::spawn(keep_resolving(Arc::clone(&snapshots))),
        ];
        let admin = match config.admin.address {
            Some(address) => {
                Some(serve_admin(address, &metrics, &health, stopped.clone(), &mut beside).await?)
            }
            None => None,
        };
        name_metrics(&config, &control, &metrics);
        let serving = tokio::spawn(listeners.serve(proxy, stopped));
        let config = Arc::new(ArcSwap::from_pointee(config));
        let operator = Operator {
            store,
            keys: keys.clone(),
            clock: Arc::clone(&clock),
            entropy,
            events: Arc::new(audit.clone()),
            config: Arc::clone(&config),
            gate: Some(Arc::clone(&gate)),
        };
        Ok(Self {
            listening,
            admin,
            control,
            snapshots,
            config,
            keys,
            clock,
            auth,
            gate,
            witness,
            metrics,
            health,
            audit,
            jobs,
            stop,
            serving,
            beside,
            operator,
        })
    }

    /// The client listeners' addresses, in the order of the config, with real ports.
    #[must_use]
    pub fn listening(&self) -> &[SocketAddr] {
        &self.listening
    }

    /// The admin listener's address.
    #[must_use]
    pub fn admin(&self) -> Option<SocketAddr> {
        self.admin
    }

    /// What the admin socket's commands work with.
    #[must_use]
    pub fn operator(&self) -> Operator {
        self.operator.clone()
    }

    /// Whether the gateway can do its work.
    #[must_use]
    pub fn health(&self) -> &Arc<Health> {
        &self.health
    }

    /// The metrics of this gateway.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Takes a new config over, all of it or nothing. Connections stay.
    pub async fn reload(&self, config: Config) -> Result<(), ReloadError> {
        if needs_restart(&self.config.load(), &config) {
            return Err(ReloadError::NeedsRestart);
        }
        // Everything that can fail comes first.
        let listeners =
            self.control
                .prepare(&config.listeners, listen_limits(&config), self.clock.now())?;
        let providers = providers(&config, &self.metrics)?;
        let probes = probe::all(&config)?;
        let snapshot = Snapshot::new(config.clone(), &self.keys, Some(&self.snapshots.load()));
        unresolved(&snapshot).await;

        listeners.apply();
        self.auth.deliver.store(Arc::new(providers));
        self.auth.settings.store(Arc::new(settings(&config)));
        self.witness.set_probes(probes);
        self.gate.set_idle(config.sessions.idle);
        self.snapshots.store(Arc::new(snapshot));
        name_metrics(&config, &self.control, &self.metrics);
        self.config.store(Arc::new(config));
        Ok(())
    }

    /// Stops accepting, lets requests in flight finish, and saves what is only in memory.
    pub async fn shutdown(self) {
        self.health.drain();
        self.stop.send_replace(true);
        let _ = self.serving.await;
        for task in &self.beside {
            task.abort();
        }
        self.jobs.flush_seen().await;
        if let Err(error) = self.audit.flush().await {
            tracing::error!(%error, "shutting down");
        }
    }
}

/// The gate asks the witness, and the witness tells the gate of new tokens.
fn gate_and_witness(
    config: &Config,
    store: &Arc<dyn Store>,
    keys: &DigestKeys,
    clock: &Arc<dyn Clock>,
) -> (Arc<Gate>, Arc<StoreWitness>) {
    let told: Arc<OnceLock<Weak<Gate>>> = Arc::default();
    let teller = Arc::clone(&told);
    let witness = StoreWitness::new(
        Arc::clone(store),
        keys.clone(),
        Arc::clone(clock),
        Arc::new(move |token| {
            if let Some(gate) = teller.get().and_then(Weak::upgrade) {
                gate.token_issued(token);
            }
        }),
    );
    let gate = Arc::new(Gate::new(
        Arc::clone(&witness) as Arc<dyn Witness>,
        Arc::clone(clock),
        config.sessions.hot_max,
        config.sessions.idle,
    ));
    // Set once, here: before the first token can come.
    let _ = told.set(Arc::downgrade(&gate));
    (gate, witness)
}

/// The settings that only a restart can change.
fn needs_restart(old: &Config, new: &Config) -> bool {
    old.store.engine != new.store.engine
        || old.store.key != new.store.key
        || old.admin.address != new.admin.address
        || old.admin.socket != new.admin.socket
        || old.threads != new.threads
        || old.sessions.hot_max != new.sessions.hot_max
}

fn listen_limits(config: &Config) -> listen::Limits {
    listen::Limits {
        timeouts: config.timeouts.clone(),
        connections: config.connections.clone(),
    }
}

fn providers(
    config: &Config,
    metrics: &Metrics,
) -> Result<Box<dyn Deliver>, crate::delivery::SetupError> {
    let metrics = metrics.clone();
    let observer = Arc::new(move |provider, outcome| metrics.sms(provider, outcome));
    Ok(Box::new(Providers::new(&config.delivery, observer)?))
}

fn settings(config: &Config) -> Settings {
    let host = config
        .routes
        .iter()
        .flat_map(|route| &route.hosts)
        .find(|host| !host.contains('*'));
    Settings {
        sessions: config.sessions,
        codes: config.codes,
        limits: config.limits.clone(),
        lockout: config.lockout,
        service_name: host.cloned().unwrap_or_else(|| "file access".to_owned()),
    }
}

/// argon2id takes a core and 19 MiB each: half the cores, so that requests keep the others.
fn hashing_at_once() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| (cores.get() / 2).max(1))
}

async fn serve_admin(
    address: SocketAddr,
    metrics: &Metrics,
    health: &Arc<Health>,
    mut stopped: watch::Receiver<bool>,
    beside: &mut Vec<JoinHandle<()>>,
) -> Result<SocketAddr, StartError> {
    let failed = |source| StartError::Admin { address, source };
    let listener = tokio::net::TcpListener::bind(address)
        .await
        .map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    let router = admin::router(metrics.clone(), Arc::clone(health));
    let stop = async move {
        let _ = stopped.wait_for(|stop| *stop).await;
    };
    beside.push(tokio::spawn(async move {
        if let Err(error) = admin::serve(listener, router, stop).await {
            tracing::error!(%error, "the admin listener ended");
        }
    }));
    Ok(bound)
}

/// Resolves the upstreams' names and tells which ones have no address yet.
async fn unresolved(snapshot: &Snapshot) {
    for name in snapshot.upstreams.resolve().await {
        tracing::warn!(
            server = name,
            "the upstream's name has no address now; it is asked for again"
        );
    }
}

async fn keep_resolving(snapshots: Arc<ArcSwap<Snapshot>>) {
    loop {
        tokio::time::sleep(RESOLVE_EVERY).await;
        let snapshot = snapshots.load_full();
        unresolved(&snapshot).await;
    }
}

/// Makes the config's names known to the metrics, whose labels are a closed set.
fn name_metrics(config: &Config, control: &listen::Control, metrics: &Metrics) {
    for route in &config.routes {
        let _ = metrics.route(&route.name);
    }
    for upstream in config.upstreams.keys() {
        let _ = metrics.upstream_named(upstream);
    }
    let expiries = control.expiries();
    let named: Vec<_> = expiries
        .iter()
        .map(|it| (it.cert.display().to_string(), it.not_after))
        .collect();
    metrics.certificates(named.iter().map(|(file, end)| (file.as_str(), *end)));
}
