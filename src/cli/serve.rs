//! `serve`: the gateway from its start to its end, and what systemd is told of it.
//!
//! SIGHUP reads the config again, SIGTERM and SIGINT drain, a second one ends at once. The watchdog
//! is fed while the runtime runs and the store gives some answer; a store that answers "no" does not
//! end a gateway whose known sessions go on.

use super::error::CliError;
use super::socket::{AdminSocket, SocketError};
use crate::app::{App, StartError};
use crate::config;
use crate::config::model::Config;
use crate::edge::sockets::Sockets;
use crate::observe::admin::Health;
use crate::observe::log;
use sd_notify::NotifyState;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Interval, MissedTickBehavior};

pub(super) fn serve(path: &Path) -> Result<(), CliError> {
    // While there is one thread.
    let sockets = Sockets::of_process().map_err(StartError::from)?;
    let config = config::load(path)?;
    log::init(&config.log)?;
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if config.threads > 0 {
        runtime.worker_threads(config.threads);
    }
    let runtime = runtime.enable_all().build().map_err(CliError::Runtime)?;
    let ended = runtime.block_on(run(config, sockets, path));
    // Whatever still blocks (a DNS lookup) must not keep the process.
    runtime.shutdown_timeout(Duration::from_secs(1));
    ended
}

async fn run(config: Config, sockets: Sockets, path: &Path) -> Result<(), CliError> {
    let mut signals = Signals::new().map_err(CliError::Runtime)?;
    let socket = config.admin.socket.clone();
    let app = App::start(config, sockets).await?;
    let door = match Door::open(socket, &app) {
        Ok(door) => door,
        Err(error) => {
            app.shutdown().await;
            return Err(error.into());
        }
    };
    announce(&app);
    serve_until_stopped(&app, path, &mut signals).await;

    tell(&[NotifyState::Stopping]);
    tracing::info!("stopping: requests in flight may end");
    drain(app, &mut signals).await;
    door.close().await;
    tracing::info!("stopped");
    Ok(())
}

/// The admin socket, where the config asks for one, while the gateway runs.
pub(super) struct Door {
    serving: Option<JoinHandle<std::io::Result<()>>>,
    close: oneshot::Sender<()>,
}

impl Door {
    pub(super) fn open(socket: Option<PathBuf>, app: &App) -> Result<Self, SocketError> {
        let (close, closed) = oneshot::channel();
        let socket = socket.map(|path| AdminSocket::bind(&path)).transpose()?;
        let serving = socket.map(|socket| {
            tokio::spawn(socket.serve(app.operator(), async {
                let _ = closed.await;
            }))
        });
        Ok(Self { serving, close })
    }

    /// Waits for a command that is being answered, not for one that is late.
    pub(super) async fn close(self) {
        drop(self.close);
        if let Some(serving) = self.serving {
            let _ = tokio::time::timeout(Duration::from_secs(1), serving).await;
        }
    }
}

fn announce(app: &App) {
    for address in app.listening() {
        tracing::info!(%address, "listening");
    }
    if let Some(address) = app.admin() {
        tracing::info!(%address, "admin");
    }
    tell(&[NotifyState::Ready]);
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "vestibule is ready");
}

async fn serve_until_stopped(app: &App, path: &Path, signals: &mut Signals) {
    loop {
        match signals.next().await {
            Asked::Watchdog => feed_watchdog(app.health()).await,
            Asked::Reload => {
                // systemd 253 wants the time with it; older ones ignore it.
                let mut states = vec![NotifyState::Reloading];
                states.extend(NotifyState::monotonic_usec_now().ok());
                tell(&states);
                reload(app, path).await;
                tell(&[NotifyState::Ready]);
            }
            Asked::Stop => return,
        }
    }
}

/// Reads the config again. A bad one is logged, a line for each error, and changes nothing.
async fn reload(app: &App, path: &Path) {
    let refused = match config::load(path) {
        Ok(config) => app
            .reload(config)
            .await
            .map_err(|error| vec![error.to_string()]),
        Err(errors) => Err(errors.iter().map(ToString::to_string).collect()),
    };
    app.metrics().config_reload(refused.is_ok());
    match refused {
        Ok(()) => tracing::info!(config = %path.display(), "reloaded"),
        Err(lines) => {
            for line in lines {
                tracing::error!("{line}");
            }
            tracing::error!("the config was not reloaded: the gateway goes on with the old one");
        }
    }
}

/// Waits for the requests in flight, as long as the config lets them and nobody asks again.
async fn drain(app: App, signals: &mut Signals) {
    let health = Arc::clone(app.health());
    let drained = app.shutdown();
    tokio::pin!(drained);
    loop {
        tokio::select! {
            () = &mut drained => return,
            asked = signals.next() => match asked {
                Asked::Watchdog => feed_watchdog(&health).await,
                Asked::Reload => {}
                Asked::Stop => {
                    tracing::warn!("asked to stop again: ending requests in flight");
                    return;
                }
            },
        }
    }
}

async fn feed_watchdog(health: &Health) {
    if health.store_replies().await {
        tell(&[NotifyState::Watchdog]);
    }
}

/// Tells systemd, if it listens. That it does not hear us must not end the gateway.
fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "systemd could not be told of the gateway's state");
    }
}

enum Asked {
    Reload,
    Stop,
    Watchdog,
}

pub(super) struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
    watchdog: Option<Interval>,
}

impl Signals {
    /// From here on, none of the signals ends the process by itself.
    pub(super) fn new() -> std::io::Result<Self> {
        let watchdog = sd_notify::watchdog_enabled().map(|limit| {
            let mut ticks = tokio::time::interval((limit / 2).max(Duration::from_millis(1)));
            ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
            ticks
        });
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            watchdog,
        })
    }

    /// Waits until the process is asked to stop.
    pub(super) async fn stop(&mut self) {
        while !matches!(self.next().await, Asked::Stop) {}
    }

    async fn next(&mut self) -> Asked {
        let tick = async {
            match &mut self.watchdog {
                Some(ticks) => drop(ticks.tick().await),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.hangup.recv() => Asked::Reload,
            _ = self.terminate.recv() => Asked::Stop,
            _ = self.interrupt.recv() => Asked::Stop,
            () = tick => Asked::Watchdog,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    const UNIT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/systemd/vestibule.service");

    fn systemd_analyze(args: &[&str]) -> (bool, String) {
        let output = Command::new("systemd-analyze")
            .args(args)
            .output()
            .expect("systemd-analyze is needed by this test: apt-get install systemd");
        let said =
            String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
        (output.status.success(), said.into_owned())
    }

    #[test]
    fn systemd_finds_nothing_to_mend_in_the_unit() {
        let unit = std::fs::read_to_string(UNIT).unwrap();
        assert!(unit.contains("ExecStart=/usr/bin/vestibule serve"));
        // The program need not be installed for its unit to be checked.
        let tmp = tempfile::tempdir().unwrap();
        let copy = tmp.path().join("vestibule.service");
        std::fs::write(
            &copy,
            unit.replace("=/usr/bin/vestibule serve", "=/bin/true serve"),
        )
        .unwrap();
        // The manual page that it names comes with the package.
        let verify = ["verify", "--man=no", copy.to_str().unwrap()];
        let (clean, said) = systemd_analyze(&verify);
        assert!(clean && said.is_empty(), "{said}");
    }

    #[test]
    fn the_unit_is_exposed_by_at_most_one_and_a_half() {
        let args = [
            "security",
            "--offline=true",
            "--no-pager",
            "--threshold=15",
            UNIT,
        ];
        let (below, said) = systemd_analyze(&args);
        assert!(below, "{said}");
        assert!(said.contains("Overall exposure level"), "{said}");
    }
}
