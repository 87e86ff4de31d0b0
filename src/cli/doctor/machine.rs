//! The machine: ports, open files, and the gateway that may be running on it.

use super::Patient;
use super::report::Finding;
use crate::cli::client::{Client, is_answered};
use crate::cli::error::CliError;
use crate::config::Config;
use crate::observe::stats::Stats;
use rustix::process::{Resource, getrlimit};
use std::io::ErrorKind;
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// A gateway that takes longer to say how it is is not well.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// Files beside those of connections: the store, logs, the admin's listeners.
const OTHER_FILES: u64 = 64;

/// What the running gateway says of itself; `None`: no gateway runs, or it has no socket.
pub(super) async fn gateway(config: &Config) -> Result<Option<Stats>, CliError> {
    match &config.admin.socket {
        Some(socket) if is_answered(socket)? => {
            let client = Client::of_gateway(socket)?;
            let stats = tokio::time::timeout(ANSWER_MAX, client.get("/v1/stats", &[])).await;
            let late = |_| CliError::NoAnswerAt {
                path: socket.clone(),
                cause: "no answer in time".to_owned(),
            };
            Ok(Some(stats.map_err(late)??))
        }
        _ => Ok(None),
    }
}

pub(super) async fn socket(
    patient: Arc<Patient>,
    gateway: Result<Option<Stats>, CliError>,
) -> Vec<Finding> {
    const CHECK: &str = "admin.socket";
    let Some(path) = &patient.config.admin.socket else {
        let detail = "it is not set: the command line works on the store by itself, and a running \
                      gateway cannot be watched";
        return vec![Finding::warn(CHECK, detail)];
    };
    let shown = path.display();
    let answer = match gateway {
        Err(error) => Finding::fail(CHECK, error.to_string()),
        Ok(None) => Finding::warn(CHECK, format!("no gateway answers at {shown}: start it")),
        Ok(Some(stats)) if stats.version != env!("CARGO_PKG_VERSION") => {
            let detail = format!(
                "the gateway that runs is {}, this program is {}: restart it",
                stats.version,
                env!("CARGO_PKG_VERSION")
            );
            Finding::warn(CHECK, detail)
        }
        Ok(Some(stats)) => Finding::ok(
            CHECK,
            format!("a gateway answers at {shown} ({})", stats.version),
        ),
    };
    open_directory(path).into_iter().chain([answer]).collect()
}

fn open_directory(socket: &Path) -> Option<Finding> {
    let dir = socket.parent().filter(|dir| !dir.as_os_str().is_empty());
    let dir = dir.unwrap_or(Path::new("."));
    let mode = std::fs::metadata(dir).ok()?.mode() & 0o777;
    (mode & 0o077 != 0).then(|| {
        let dir = dir.display();
        let detail = format!(
            "{dir} is open to other users (mode {mode:03o}): the gateway does not start; chmod 700 {dir}"
        );
        Finding::fail("admin.socket", detail)
    })
}

/// Whether the addresses are free, or held by the gateway that runs.
pub(super) async fn ports(patient: Arc<Patient>) -> Vec<Finding> {
    let config = &patient.config;
    let listeners = config.listeners.iter().map(|it| ("listeners", it.address));
    let admin = config
        .admin
        .address
        .map(|address| ("admin.address", address));
    let addresses = listeners.chain(admin);
    let look = |(check, address): (&'static str, std::net::SocketAddr)| {
        match (TcpListener::bind(address), &patient.gateway) {
            (Ok(_), None) => Finding::ok(check, format!("{address} is free")),
            // Port 0 is another one each time.
            (Ok(_), Some(_)) if address.port() == 0 => {
                Finding::ok(check, format!("{address} is any free port"))
            }
            (Ok(_), Some(_)) => {
                let detail = format!(
                    "nobody listens on {address}, though a gateway runs: restart it with this config"
                );
                Finding::fail(check, detail)
            }
            (Err(error), Some(_)) if error.kind() == ErrorKind::AddrInUse => {
                Finding::ok(check, format!("{address} is in use, and the gateway runs"))
            }
            (Err(error), None) if error.kind() == ErrorKind::AddrInUse => {
                let detail =
                    format!("{address} is in use by another program: stop it, or use another port");
                Finding::fail(check, detail)
            }
            (Err(error), _) if error.kind() == ErrorKind::PermissionDenied => {
                let detail =
                    format!("whether {address} is free only root can see: run this as root");
                Finding::warn(check, detail)
            }
            (Err(error), _) => {
                Finding::fail(check, format!("{address} cannot be listened on: {error}"))
            }
        }
    };
    addresses.map(look).collect()
}

/// Whether as many connections can be open as the config lets in: each may need one to an upstream.
pub(super) async fn open_files(patient: Arc<Patient>) -> Finding {
    let here = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let (allowed, whose) = match &patient.gateway {
        Some(stats) => (stats.open_files_max, "the gateway"),
        None => (here, "this shell"),
    };
    let connections = u64::try_from(patient.config.connections.max).unwrap_or(u64::MAX);
    let needed = connections.saturating_mul(2).saturating_add(OTHER_FILES);
    files(allowed, whose, connections, needed)
}

fn files(allowed: u64, whose: &str, connections: u64, needed: u64) -> Finding {
    let detail =
        format!("{whose} may open {allowed} files; {connections} connections may need {needed}");
    if allowed < needed {
        let mend = ": raise LimitNOFILE= in the unit, or lower connections.max";
        return Finding::warn("connections", detail + mend);
    }
    Finding::ok("connections", detail)
}

#[cfg(test)]
mod tests {
    use super::super::report::Verdict;
    use super::*;

    #[test]
    fn every_connection_may_need_two_files() {
        assert_eq!(files(1_024, "", 480, 1_024).verdict, Verdict::Ok);
        assert_eq!(files(1_023, "", 480, 1_024).verdict, Verdict::Warn);
    }
}
