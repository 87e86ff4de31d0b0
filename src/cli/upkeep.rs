//! The commands that look after a gateway rather than its users: a copy of the store, another key for
//! it, and the question whether the gateway is well.
//!
//! The first two work on the store's file, not through the gateway, and beside a running one.

use super::args::OutputForm;
use super::error::CliError;
use super::{block_on, say};
use crate::config;
use crate::entropy::OsEntropy;
use crate::secret::Secret;
use crate::store;
use serde_json::json;
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use zeroize::Zeroizing;

/// A key in base64 is 44 characters; more than this is another file.
const KEY_FILE_BYTES_MAX: u64 = 1_024;
/// How long connecting to the gateway, and each piece of its answer, may take. The gateway itself
/// gives its store two seconds.
const PATIENCE: Duration = Duration::from_secs(4);
const ANSWER_BYTES_MAX: u64 = 4_096;

pub(super) fn backup(config: &Path, to: &Path, form: OutputForm) -> Result<(), CliError> {
    let config = config::load(config)?;
    let bytes = block_on(store::back_up(&config.store.engine, &config.store.key, to))??;
    let made = json!({"file": to, "bytes": bytes});
    say(&form.show(&made, |_| {
        let to = to.display();
        format!("{to}: {bytes} bytes, checked. Of use only with the store key: keep a copy of that elsewhere\n")
    })?);
    Ok(())
}

pub(super) fn replace_key(config: &Path, new: &Path, form: OutputForm) -> Result<(), CliError> {
    let config = config::load(config)?;
    let new_key = read_key(new).map_err(|cause| CliError::KeyFile {
        path: new.to_owned(),
        cause: cause.to_string(),
    })?;
    let (engine, key) = (&config.store.engine, &config.store.key);
    let replacing = store::replace_key(engine, key, &new_key, Arc::new(OsEntropy));
    let replaced = block_on(replacing)??;
    say(&form.show(&json!({"replaced": replaced}), |_| {
        let opens = if replaced { "opens the store now" } else { "opened the store already" };
        format!(
            "{} {opens}: put it where store.key of the config points before the gateway is restarted; \
             the old key opens only backups that were made before\n",
            new.display()
        )
    })?);
    Ok(())
}

/// Asks `/readyz` of the gateway that runs by this config.
pub(super) fn health(config: &Path, form: OutputForm) -> Result<(), CliError> {
    let admin = config::admin(config)?.address;
    let address = reachable(admin.ok_or(CliError::NoAdminAddress)?);
    let answer = ask(address).map_err(|cause| CliError::NoAnswer {
        address,
        cause: cause.to_string(),
    })?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    if head.split(' ').nth(1) == Some("200") {
        let well = json!({ "ready": true, "detail": body.trim() });
        say(&form.show(&well, |_| body.to_owned())?);
        return Ok(());
    }
    Err(CliError::Unhealthy(body.trim().to_owned()))
}

fn read_key(path: &Path) -> io::Result<Secret> {
    let mut text = Zeroizing::new(String::new());
    let file = std::fs::File::open(path)?;
    file.take(KEY_FILE_BYTES_MAX).read_to_string(&mut text)?;
    Ok(Secret::new(text.trim()))
}

/// Where a listener on all addresses is reached from this machine.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// The whole answer. HTTP/1.0, so that its end is the connection's.
fn ask(address: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(format!("GET /readyz HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer)?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_on_all_addresses_is_asked_on_this_machine() {
        let reached = |address: &str| reachable(address.parse().unwrap()).to_string();
        assert_eq!(reached("0.0.0.0:9180"), "127.0.0.1:9180");
        assert_eq!(reached("[::]:9180"), "[::1]:9180");
        assert_eq!(reached("192.0.2.7:9180"), "192.0.2.7:9180");
    }
}
