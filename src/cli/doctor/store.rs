//! The store: whether the key opens it, whether it is whole, whether there is room for it.

use super::Patient;
use super::report::Finding;
use crate::config::model::StoreEngine;
use crate::store;
use crate::store::sqlite::examine::Examined;
use rustix::fs::statvfs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Opening it takes a few milliseconds; a disk that takes so long makes every sign-in wait.
const SLOW: Duration = Duration::from_millis(500);
const MIB: u64 = 1 << 20;
const WARN_MIB: u64 = 1_024;
const FAIL_MIB: u64 = 64;

pub(super) async fn opens(patient: Arc<Patient>) -> Finding {
    let store = &patient.config.store;
    let StoreEngine::Sqlite(path) = &store.engine else {
        let detail =
            "memory: forgets every user and session when the gateway ends: set store.url to a file";
        return Finding::warn("store", detail);
    };
    let began = Instant::now();
    let examined = store::examine(&store.engine, &store.key).await;
    let (took, path) = (began.elapsed(), path.display());
    match examined {
        Err(error) => Finding::fail("store", error.to_string()),
        Ok(None) => missing(&store.engine),
        Ok(Some(_)) if took > SLOW => {
            let detail = format!(
                "{path} took {} ms to open: look at its disk",
                took.as_millis()
            );
            Finding::warn("store", detail)
        }
        Ok(Some(Examined { version, newest })) if version < newest => {
            let detail = format!(
                "{path} has schema {version}, which the next start brings to {newest}: make a backup before"
            );
            Finding::warn("store", detail)
        }
        Ok(Some(Examined { version, .. })) => {
            let detail = format!(
                "{path} opens with the key, in {} ms (schema {version})",
                took.as_millis()
            );
            Finding::ok("store", detail)
        }
    }
}

/// What the gateway would make at its start, or could not.
fn missing(engine: &StoreEngine) -> Finding {
    let StoreEngine::Sqlite(path) = engine else {
        return Finding::warn("store", "there is none");
    };
    let dir = folder(path);
    let path = path.display();
    if dir.is_dir() {
        let detail = format!("there is no {path} yet: the gateway makes it when it starts");
        return Finding::warn("store", detail);
    }
    let dir = dir.display();
    let detail = format!("there is no folder {dir} for {path}: make it, for the gateway's user");
    Finding::fail("store", detail)
}

fn folder(path: &Path) -> &Path {
    let parent = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    parent.unwrap_or(Path::new("."))
}

pub(super) async fn is_whole(patient: Arc<Patient>) -> Vec<Finding> {
    let StoreEngine::Sqlite(path) = &patient.config.store.engine else {
        return Vec::new();
    };
    if !path.exists() {
        return Vec::new();
    }
    let path = path.display();
    match store::damage(&patient.config.store.engine).await {
        Ok(damage) => match damage.first() {
            None => vec![Finding::ok("store", format!("{path} is whole"))],
            Some(first) => {
                let detail =
                    format!("{path} is damaged ({first}): stop the gateway and restore a backup");
                vec![Finding::fail("store", detail)]
            }
        },
        Err(error) => vec![Finding::fail("store", error.to_string())],
    }
}

pub(super) async fn has_space(patient: Arc<Patient>) -> Vec<Finding> {
    let StoreEngine::Sqlite(path) = &patient.config.store.engine else {
        return Vec::new();
    };
    let dir = folder(path);
    match statvfs(dir) {
        Ok(found) => vec![space(
            dir,
            found.f_bavail.saturating_mul(found.f_frsize) / MIB,
        )],
        // That it is not there is told by who opens the store.
        Err(_) => Vec::new(),
    }
}

fn space(dir: &Path, free_mib: u64) -> Finding {
    let detail = format!("{free_mib} MiB are free in {}", dir.display());
    if free_mib < FAIL_MIB {
        Finding::fail(
            "store",
            detail + ": nothing new can be written soon; make room",
        )
    } else if free_mib < WARN_MIB {
        Finding::warn("store", detail + ": make room")
    } else {
        Finding::ok("store", detail)
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::Verdict;
    use super::*;

    #[test]
    fn room_is_judged() {
        let verdict = |mib| space(Path::new("/x"), mib).verdict;
        assert_eq!([0, 63].map(verdict), [Verdict::Fail; 2]);
        assert_eq!([64, 1_023].map(verdict), [Verdict::Warn; 2]);
        assert_eq!(verdict(1_024), Verdict::Ok);
    }
}
