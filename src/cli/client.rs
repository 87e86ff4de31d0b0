//! How a command finds its way: through the admin socket where a gateway runs, else over the store.

use super::error::CliError;
use super::operator::command::Command;
use super::operator::output::Output;
use super::operator::{self, Operator};
use super::socket::{COMMAND_PATH, Failure};
use crate::auth::signing::Signer;
use crate::clock::SystemClock;
use crate::config::model::{Config, StoreEngine};
use crate::entropy::OsEntropy;
use crate::observe::audit::Audit;
use crate::observe::metrics::Metrics;
use crate::store;
use arc_swap::ArcSwap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// The longest that the running gateway may take for a command.
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// Does a command, wherever it can be done.
pub(super) async fn dispatch(config: Config, command: Command) -> Result<Output, CliError> {
    if let Some(socket) = &config.admin.socket
        && is_answered(socket)?
    {
        return ask(socket, &command).await;
    }
    over_store(config, command).await
}

/// Whether a gateway is behind the socket. A dead gateway's file is not, but one that must not be
/// touched is an error: the store is not to be opened behind a running gateway's back.
fn is_answered(socket: &Path) -> Result<bool, CliError> {
    match std::os::unix::net::UnixStream::connect(socket) {
        Ok(_) => Ok(true),
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Ok(false),
            _ => Err(CliError::Socket {
                path: socket.to_owned(),
                cause: error.to_string(),
            }),
        },
    }
}

/// Asks the running gateway.
pub(super) async fn ask(socket: &Path, command: &Command) -> Result<Output, CliError> {
    let fail = |error: reqwest::Error| CliError::Socket {
        path: socket.to_owned(),
        cause: error.without_url().to_string(),
    };
    let client = reqwest::Client::builder()
        .unix_socket(socket)
        .no_proxy()
        .timeout(ANSWER_MAX)
        .build()
        .map_err(fail)?;
    let request = client.post(format!("http://vestibule{COMMAND_PATH}"));
    let answer = request.json(command).send().await.map_err(fail)?;
    if answer.status().is_success() {
        return answer.json().await.map_err(fail);
    }
    let failure: Failure = answer.json().await.map_err(fail)?;
    Err(CliError::Gateway {
        message: failure.error,
        usage: failure.usage,
    })
}

async fn over_store(config: Config, command: Command) -> Result<Output, CliError> {
    if matches!(config.store.engine, StoreEngine::Memory) {
        return Err(CliError::MemoryStore);
    }
    let engine = &config.store.engine;
    let (store, keys) = store::open(engine, &config.store.key, Arc::new(OsEntropy)).await?;
    let metrics = Metrics::new()?;
    let audit = Audit::start(store.clone(), Arc::new(SystemClock), metrics);
    let signer = Signer::new(
        Arc::clone(&store) as _,
        Arc::new(SystemClock),
        Arc::new(OsEntropy),
    );
    let operator = Operator {
        store,
        signer: Arc::new(signer),
        keys,
        clock: Arc::new(SystemClock),
        entropy: Arc::new(OsEntropy),
        events: Arc::new(audit.clone()),
        config: Arc::new(ArcSwap::from_pointee(config)),
        gate: None,
    };
    let output = operator::run(command, &operator).await;
    audit.flush().await?;
    Ok(output?)
}
