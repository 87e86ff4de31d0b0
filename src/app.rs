//! The composition root: the only file that names every concrete type.
//!
//! [`App::start`] opens the store, binds the sockets and starts serving; [`App::reload`] swaps what
//! a reload may change, all or nothing; [`App::shutdown`] drains.

mod issuers;
mod jobs;
mod learner;
mod probe;
pub mod reach;
mod upstreams;

use crate::auth::basic::Passwords;
use crate::auth::ports::{Store, StoreError};
use crate::auth::signing::Signer;
use crate::auth::{Auth, Deliver, Settings};
use crate::clock::{Clock, SystemClock};
use crate::config::model::Config;
use crate::delivery::Providers;
use crate::digest::DigestKeys;
use crate::edge::listen::{self, Listeners};
use crate::edge::proxy::{Gateway, Snapshot};
use crate::edge::sockets::{PassedError, Sockets};
use crate::edge::{h2, proxy};
use crate::entropy::{Entropy, OsEntropy};
use crate::gate::{Gate, Witness};
use crate::identity::basic::Checked;
use crate::identity::witness::StoreWitness;
use crate::local::Local;
use crate::observe::admin::{self, Health};
use crate::observe::audit::Audit;
use crate::observe::metrics::Metrics;
use crate::observe::timed::Timed;
use crate::observe::traces::{self, Tracer};
use crate::operator::Operator;
use crate::store;
use arc_swap::ArcSwap;
use issuers::Issuers;
use jobs::Jobs;
use learner::UpstreamLearner;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock, Weak};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use upstreams::{keep_checking, keep_resolving, unresolved};

/// Why the gateway does not start. Each is a message for the operator.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Store(#[from] store::OpenError),
    #[error(transparent)]
    Passed(#[from] PassedError),
    #[error(transparent)]
    Bind(#[from] listen::BindError),
    #[error("the admin listener cannot use {address}: {source}; set admin.address to a free one")]
    Admin {
        address: SocketAddr,
        source: std::io::Error,
    },
    #[error("the metrics cannot be set up: {0}")]
    Metrics(#[from] prometheus::Error),
    #[error("codes cannot be sent: {0}")]
    Delivery(#[from] crate::delivery::SetupError),
    #[error(transparent)]
    Issuers(#[from] issuers::SetupError),
    #[error("the store does not answer: {0}")]
    StoreDown(#[from] StoreError),
    #[error(transparent)]
    Traces(#[from] traces::SetupError),
}

/// Why a new config is not taken over. Nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    #[error(transparent)]
    Listeners(#[from] listen::ReloadError),
    #[error(
        "store, admin, threads, sessions.hot_max and listeners' forward_auth cannot change while Vestibule runs: restart it"
    )]
    NeedsRestart,
    #[error("codes cannot be sent: {0}")]
    Delivery(#[from] crate::delivery::SetupError),
    #[error(transparent)]
    Issuers(#[from] issuers::SetupError),
    #[error(transparent)]
    Traces(#[from] traces::SetupError),
}

/// What everything else stands on.
struct Base {
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    metrics: Metrics,
    store: Arc<dyn Store>,
    keys: DigestKeys,
    signer: Arc<Signer>,
    audit: Audit,
    /// Names and passwords that were right a while ago.
    passwords: Arc<Checked>,
}

/// A running gateway.
pub struct App {
    base: Base,
    listening: Vec<SocketAddr>,
    admin: Option<SocketAddr>,
    control: listen::Control,
    snapshots: Arc<ArcSwap<Snapshot>>,
    config: Arc<ArcSwap<Config>>,
    auth: Arc<Auth>,
    gate: Arc<Gate>,
    witness: Arc<StoreWitness>,
    issuers: ArcSwap<Issuers>,
    health: Arc<Health>,
    jobs: Jobs,
    stop: watch::Sender<bool>,
    serving: JoinHandle<()>,
    beside: Vec<JoinHandle<()>>,
}

impl App {
    /// Starts everything on the current tokio runtime, on the sockets that were passed to the process
    /// and on new ones. Returns when all of them are there.
    pub async fn start(config: Config, mut sockets: Sockets) -> Result<Self, StartError> {
        sockets.only(&addresses(&config))?;
        let base = Base::open(&config).await?;
        // Before the first session can be cached, so that no revocation is missed.
        let feed_from = base.store.feed_head().await?;
        let (gate, witness) = base.gate_and_witness(&config);
        let issuers = Issuers::new(&base.issuers(), &config, None)?;
        witness.set_probes(issuers.probes());
        let auth = Arc::new(base.auth(&config)?);
        auth.passwords.set_backends(issuers.probes());

        let listeners = Listeners::bind(
            &config.listeners,
            &mut sockets,
            listen_limits(&config),
            base.metrics.clone(),
            base.clock.now(),
        )?;
        let control = listeners.control();
        let listening = listeners.local_addrs().unwrap_or_default();
        let mut snapshot = Snapshot::new(config.clone(), &base.keys, None);
        snapshot.tracer = base.tracer(&config, None)?;
        unresolved(&snapshot).await;
        let snapshots = Arc::new(ArcSwap::from_pointee(snapshot));
        let apps = proxy::build(
            base.gateway(&snapshots, &auth, &gate, &witness),
            h2::h2_options(&config.connections),
            h2::server_options(&config.timeouts),
        );

        let (stop, stopped) = watch::channel(false);
        let jobs = base.jobs(&gate);
        let mut beside = vec![
            tokio::spawn(jobs.clone().run(feed_from)),
            tokio::spawn(keep_resolving(Arc::clone(&snapshots))),
            tokio::spawn(keep_checking(Arc::clone(&snapshots), base.metrics.clone())),
        ];
        let health = Arc::new(Health::new(Arc::clone(&base.store) as _));
        let admin = match config.admin.address {
            Some(at) => {
                let admin = (&base.metrics, &health);
                Some(serve_admin(at, &mut sockets, admin, &mut beside)?)
            }
            None => None,
        };
        name_metrics(&config, &control, &base.metrics);
        Ok(Self {
            base,
            listening,
            admin,
            control,
            snapshots,
            config: Arc::new(ArcSwap::from_pointee(config)),
            auth,
            gate,
            witness,
            issuers: ArcSwap::from_pointee(issuers),
            health,
            jobs,
            stop,
            serving: tokio::spawn(listeners.serve(apps, stopped)),
            beside,
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
        Operator {
            store: Arc::clone(&self.base.store),
            keys: self.base.keys.clone(),
            clock: Arc::clone(&self.base.clock),
            entropy: Arc::clone(&self.base.entropy),
            signer: Arc::clone(&self.base.signer),
            events: Arc::new(self.base.audit.clone()),
            config: Arc::clone(&self.config),
            gate: Some(Arc::clone(&self.gate)),
            metrics: Some(self.base.metrics.clone()),
        }
    }

    /// Whether the gateway can do its work.
    #[must_use]
    pub fn health(&self) -> &Arc<Health> {
        &self.health
    }

    /// The metrics of this gateway.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.base.metrics
    }

    /// Takes a new config over, all of it or nothing. Connections stay.
    pub async fn reload(&self, config: Config) -> Result<(), ReloadError> {
        if needs_restart(&self.config.load(), &config) {
            return Err(ReloadError::NeedsRestart);
        }
        // Everything that can fail comes first.
        let now = self.base.clock.now();
        let listeners = self
            .control
            .prepare(&config.listeners, listen_limits(&config), now)?;
        let providers = providers(&config, &self.base.metrics)?;
        let before = self.issuers.load_full();
        let issuers = Issuers::new(&self.base.issuers(), &config, Some(&before))?;
        let running = self.snapshots.load_full();
        let mut snapshot = Snapshot::new(config.clone(), &self.base.keys, Some(&running));
        snapshot.tracer = self.base.tracer(&config, running.tracer.as_ref())?;
        unresolved(&snapshot).await;

        listeners.apply();
        self.auth.deliver.store(Arc::new(providers));
        self.auth.settings.store(Arc::new(settings(&config)));
        self.witness.set_probes(issuers.probes());
        self.auth.passwords.set_backends(issuers.probes());
        self.issuers.store(Arc::new(issuers));
        self.gate.set_idle(config.sessions.idle);
        self.snapshots.store(Arc::new(snapshot));
        name_metrics(&config, &self.control, &self.base.metrics);
        self.config.store(Arc::new(config));
        self.jobs.reread_keys().await;
        Ok(())
    }

    /// Puts `with` in place of the way that codes reach people by the config, until the next reload.
    pub fn deliver_through(&self, with: impl FnOnce(Arc<Box<dyn Deliver>>) -> Box<dyn Deliver>) {
        let configured = self.auth.deliver.load_full();
        self.auth.deliver.store(Arc::new(with(configured)));
    }

    /// Stops accepting, lets requests in flight finish, and saves what is only in memory.
    pub async fn shutdown(self) {
        self.health.drain();
        self.base.metrics.draining();
        self.stop.send_replace(true);
        let _ = self.serving.await;
        if let Some(tracer) = &self.snapshots.load().tracer {
            tracer.flush().await;
        }
        for task in &self.beside {
            task.abort();
        }
        self.jobs.flush_seen().await;
        if let Err(error) = self.base.audit.flush().await {
            tracing::error!(%error, "shutting down");
        }
    }
}

impl Base {
    async fn open(config: &Config) -> Result<Self, StartError> {
        // reqwest and rustls share one provider; a second call (in tests) finds it there.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let entropy: Arc<dyn Entropy> = Arc::new(OsEntropy);
        let metrics = Metrics::new()?;
        let engine = &config.store.engine;
        let (store, keys) = store::open(engine, &config.store.key, Arc::clone(&entropy)).await?;
        let store: Arc<dyn Store> = Arc::new(Timed::new(store, metrics.clone()));
        let signer = Signer::new(
            Arc::clone(&store) as _,
            Arc::clone(&clock),
            Arc::clone(&entropy),
        );
        let audit = Audit::start(store.clone(), Arc::clone(&clock), metrics.clone());
        Ok(Self {
            clock,
            entropy,
            metrics,
            store,
            keys,
            signer: Arc::new(signer),
            audit,
            passwords: Arc::default(),
        })
    }

    /// The gate asks the witness, and the witness tells the gate of new tokens.
    fn gate_and_witness(&self, config: &Config) -> (Arc<Gate>, Arc<StoreWitness>) {
        let told: Arc<OnceLock<Weak<Gate>>> = Arc::default();
        let teller = Arc::clone(&told);
        let witness = StoreWitness::new(
            Arc::clone(&self.store),
            self.keys.clone(),
            Arc::clone(&self.clock),
            Arc::new(move |token| {
                if let Some(gate) = teller.get().and_then(Weak::upgrade) {
                    gate.token_issued(token);
                }
            }),
            Arc::clone(&self.passwords),
        );
        let gate = Arc::new(Gate::new(
            Arc::clone(&witness) as Arc<dyn Witness>,
            Arc::clone(&self.clock),
            config.sessions.hot_max,
            config.sessions.idle,
        ));
        // Set once, here: before the first token can come.
        let _ = told.set(Arc::downgrade(&gate));
        (gate, witness)
    }

    fn auth(&self, config: &Config) -> Result<Auth, crate::delivery::SetupError> {
        Ok(Auth {
            store: Arc::clone(&self.store),
            signer: Arc::clone(&self.signer),
            keys: self.keys.clone(),
            clock: Arc::clone(&self.clock),
            entropy: Arc::clone(&self.entropy),
            deliver: ArcSwap::from_pointee(providers(config, &self.metrics)?),
            events: Arc::new(self.audit.clone()),
            settings: ArcSwap::from_pointee(settings(config)),
            hashing: Arc::new(Semaphore::new(hashing_at_once())),
            guesses: Default::default(),
            passwords: Passwords::new(Arc::clone(&self.passwords)),
            look_ups: Default::default(),
            exchanges: Default::default(),
            ceremonies: Default::default(),
        })
    }

    fn gateway(
        &self,
        snapshots: &Arc<ArcSwap<Snapshot>>,
        auth: &Arc<Auth>,
        gate: &Arc<Gate>,
        witness: &Arc<StoreWitness>,
    ) -> Gateway {
        let label_keys = self.keys.clone();
        Gateway {
            snapshots: Arc::clone(snapshots),
            gate: Arc::clone(gate),
            local: Arc::new(Local {
                auth: Arc::clone(auth),
                gate: Arc::clone(gate),
                witness: Arc::clone(witness) as Arc<dyn Witness>,
            }),
            learner: Arc::new(UpstreamLearner::new(
                Arc::clone(witness),
                Arc::clone(auth),
                self.audit.clone(),
                Arc::clone(&self.clock),
            )),
            device_label: Box::new(move |device| label_keys.device_label(device)),
            clock: Arc::clone(&self.clock),
            metrics: self.metrics.clone(),
        }
    }

    /// The tracer of a config: the running one, if nothing about it has changed.
    fn tracer(
        &self,
        config: &Config,
        running: Option<&Tracer>,
    ) -> Result<Option<Tracer>, traces::SetupError> {
        let Some(wanted) = &config.traces else {
            return Ok(None);
        };
        if let Some(running) = running.filter(|running| running.config() == wanted) {
            return Ok(Some(running.clone()));
        }
        let (clock, entropy) = (Arc::clone(&self.clock), Arc::clone(&self.entropy));
        Tracer::start(wanted, clock, entropy, self.metrics.clone()).map(Some)
    }

    fn issuers(&self) -> issuers::Base {
        issuers::Base {
            clock: Arc::clone(&self.clock),
            metrics: self.metrics.clone(),
        }
    }

    fn jobs(&self, gate: &Arc<Gate>) -> Jobs {
        Jobs {
            store: Arc::clone(&self.store),
            signer: Arc::clone(&self.signer),
            gate: Arc::clone(gate),
            clock: Arc::clone(&self.clock),
            metrics: self.metrics.clone(),
        }
    }
}

/// The settings that only a restart can change.
fn needs_restart(old: &Config, new: &Config) -> bool {
    old.store.engine != new.store.engine
        || old.store.key != new.store.key
        || old.admin.address != new.admin.address
        || old.admin.socket != new.admin.socket
        || old.threads != new.threads
        || old.sessions.hot_max != new.sessions.hot_max
        || !asked(old).eq(asked(new))
}

/// Which listeners other proxies ask.
fn asked(config: &Config) -> impl Iterator<Item = bool> {
    config
        .listeners
        .iter()
        .map(|listener| listener.forward_auth)
}

/// Where the gateway listens for TCP.
fn addresses(config: &Config) -> Vec<SocketAddr> {
    let clients = config.listeners.iter().map(|listener| listener.address);
    clients.chain(config.admin.address).collect()
}

fn listen_limits(config: &Config) -> listen::Limits {
    listen::Limits {
        timeouts: config.timeouts.clone(),
        connections: config.connections.clone(),
        trusted_proxies: config.trusted_proxies.clone(),
    }
}

fn providers(
    config: &Config,
    metrics: &Metrics,
) -> Result<Box<dyn Deliver>, crate::delivery::SetupError> {
    let told = metrics.clone();
    let observer = Arc::new(move |provider, outcome| told.message(provider, outcome));
    let providers = Providers::new(&config.delivery, observer)?;
    providers
        .names()
        .for_each(|name| metrics.provider_named(name));
    Ok(Box::new(providers))
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
        sudo: config.sudo,
        tokens: config.tokens.clone(),
        sends_mail: config.delivery.email.is_some(),
        sends_sms: !config.delivery.sms.is_empty(),
        service_name: (config.portal.name.as_ref().or(host))
            .map_or_else(|| "Files".to_owned(), Clone::clone),
    }
}

/// argon2id takes a core and 19 MiB each: half the cores, so that requests keep the others.
fn hashing_at_once() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| (cores.get() / 2).max(1))
}

fn serve_admin(
    address: SocketAddr,
    sockets: &mut Sockets,
    (metrics, health): (&Metrics, &Arc<Health>),
    beside: &mut Vec<JoinHandle<()>>,
) -> Result<SocketAddr, StartError> {
    let failed = |source| StartError::Admin { address, source };
    let listener = sockets.listen(address).map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    let router = admin::router(metrics.clone(), Arc::clone(health));
    // It ends with the process: while requests in flight finish, it says that this one is draining.
    beside.push(tokio::spawn(async move {
        if let Err(error) = admin::serve(listener, router, std::future::pending()).await {
            tracing::error!(%error, "the admin listener ended");
        }
    }));
    Ok(bound)
}

/// Makes the config's names known to the metrics, whose labels are a closed set.
fn name_metrics(config: &Config, control: &listen::Control, metrics: &Metrics) {
    for route in &config.routes {
        let _ = metrics.route(&route.name);
    }
    for upstream in config.upstreams.keys() {
        let _ = metrics.upstream_named(upstream);
    }
    metrics.connections_max(config.connections.max);
    let expiries = control.expiries();
    let named: Vec<_> = expiries
        .iter()
        .map(|it| (it.cert.display().to_string(), it.not_after))
        .collect();
    metrics.certificates(named.iter().map(|(file, end)| (file.as_str(), *end)));
}
