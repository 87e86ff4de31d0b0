//! Certificates, and who may read the files that hold secrets.

use super::Patient;
use super::report::{Finding, Verdict};
use crate::config::model::{Certificate, StoreEngine};
use crate::edge::tls::{self, Leaf};
use rustix::process::geteuid;
use std::collections::BTreeSet;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;

const DAY_SECS: i64 = 86_400;
/// A certificate that ends within this is told of: half of what renewals usually leave.
const WARN_DAYS: i64 = 21;
const FAIL_DAYS: i64 = 3;
/// Root's user id.
const ROOT: u32 = 0;

/// Whether certificates can be used, for long enough and for the hosts of the routes.
pub(super) async fn certificates(patient: Arc<Patient>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut leaves = Vec::new();
    let listeners = patient.config.listeners.iter();
    let of_tls = listeners.filter_map(|listener| listener.tls.as_ref());
    for certificate in of_tls.flat_map(|tls| &tls.certificates) {
        match tls::examine(certificate) {
            Ok(leaf) => {
                findings.push(validity(certificate, &leaf, patient.now.0));
                leaves.push(leaf);
            }
            Err(error) => findings.push(Finding::fail("listeners.tls", error.to_string())),
        }
    }
    if !leaves.is_empty() {
        findings.extend(uncovered(&patient, &leaves));
    }
    findings
}

fn validity(certificate: &Certificate, leaf: &Leaf, now: i64) -> Finding {
    let left = leaf.not_after.0 - now;
    let (cert, ends) = (certificate.cert.display(), leaf.not_after.iso8601());
    let renew = "renew it and send SIGHUP";
    let (verdict, detail) = if left <= 0 {
        let detail = format!("{cert} has expired at {ends}: clients refuse it; {renew}");
        (Verdict::Fail, detail)
    } else if left < FAIL_DAYS * DAY_SECS {
        let detail = format!("{cert} ends within {FAIL_DAYS} days, at {ends}: {renew}");
        (Verdict::Fail, detail)
    } else if left < WARN_DAYS * DAY_SECS {
        let detail = format!(
            "{cert} ends in {} days, at {ends}: {renew}",
            left / DAY_SECS
        );
        (Verdict::Warn, detail)
    } else {
        let names = leaf.names.join(", ");
        (
            Verdict::Ok,
            format!("{cert} for {names} is good until {ends}"),
        )
    };
    Finding::new(verdict, "listeners.tls", detail)
}

fn uncovered(patient: &Patient, leaves: &[Leaf]) -> Option<Finding> {
    let hosts = patient.config.routes.iter().flat_map(|route| &route.hosts);
    let bare: BTreeSet<&str> = hosts
        .map(String::as_str)
        .filter(|host| *host != "*" && !leaves.iter().any(|leaf| leaf.covers(host)))
        .collect();
    let bare: Vec<&str> = bare.into_iter().collect();
    (!bare.is_empty()).then(|| {
        let detail = format!(
            "no certificate is for {}: browsers refuse these names; add one that is",
            bare.join(", ")
        );
        Finding::warn("listeners.tls", detail)
    })
}

/// What may be read by whom.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Care {
    /// Nobody else may write it.
    Plain,
    /// Nobody but the owner and its group may read it.
    Secret,
    /// Nobody but the owner may read it.
    Private,
}

/// Whether others can read or change what they should not.
pub(super) async fn modes(patient: Arc<Patient>) -> Vec<Finding> {
    let config = &patient.config;
    let mut files = vec![(patient.path.clone(), Care::Plain)];
    let secrets = patient.named.iter().filter(|file| file.is_secret);
    files.extend(secrets.map(|file| (file.path.clone(), Care::Secret)));
    let mut gateways_own = None;
    if let StoreEngine::Sqlite(path) = &config.store.engine {
        gateways_own = std::fs::metadata(path).ok().map(|found| found.uid());
        for suffix in ["", "-wal"] {
            let mut name = path.clone().into_os_string();
            name.push(suffix);
            files.push((name.into(), Care::Private));
        }
    }
    files.sort_by(|a, b| a.0.cmp(&b.0));
    files.dedup_by(|a, b| a.0 == b.0);
    let owners = [Some(ROOT), Some(geteuid().as_raw()), gateways_own];
    let looked_at = files.len();
    let findings: Vec<Finding> = files
        .iter()
        .filter_map(|(path, care)| {
            // What is not there is told of where it is needed.
            let found = std::fs::metadata(path).ok()?;
            open_to_others(path, *care, &found).or_else(|| owned_by_others(path, &owners, &found))
        })
        .collect();
    if findings.is_empty() {
        let fine = format!("none of {looked_at} files is open to others");
        return vec![Finding::ok("files", fine)];
    }
    findings
}

fn open_to_others(path: &Path, care: Care, found: &Metadata) -> Option<Finding> {
    let mode = found.mode() & 0o777;
    let (unwanted, mend) = match care {
        Care::Plain => (0o022, "go-w"),
        Care::Secret => (0o027, "g-w,o="),
        Care::Private => (0o077, "go="),
    };
    if mode & unwanted == 0 {
        return None;
    }
    // A group is a choice of the operator's, everybody is not.
    let verdict = match mode & 0o007 & unwanted {
        0 => Verdict::Warn,
        _ => Verdict::Fail,
    };
    let path = path.display();
    let detail = format!("{path} is open to others (mode {mode:03o}): chmod {mend} {path}");
    Some(Finding::new(verdict, "files", detail))
}

fn owned_by_others(path: &Path, owners: &[Option<u32>], found: &Metadata) -> Option<Finding> {
    if owners.contains(&Some(found.uid())) {
        return None;
    }
    let detail = format!(
        "{} belongs to the user with the id {}, who can change it: give it to root or to the gateway's user",
        path.display(),
        found.uid()
    );
    Some(Finding::warn("files", detail))
}
