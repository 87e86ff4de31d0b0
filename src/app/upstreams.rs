//! What is done about upstreams beside the requests: their names are asked for again and again, and
//! their servers are asked for a connection, so that a silent night does not hide that one is down.

use crate::edge::proxy::Snapshot;
use crate::edge::upstream::{CHECK_EVERY, RESOLVE_EVERY};
use crate::observe::metrics::{Metrics, ServerState};
use arc_swap::ArcSwap;
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::time::{MissedTickBehavior, interval};

/// Resolves the upstreams' names and tells which ones have no address yet.
pub(super) async fn unresolved(snapshot: &Snapshot) {
    for name in snapshot.upstreams.resolve().await {
        tracing::warn!(
            server = name,
            "the upstream's name has no address now; it is asked for again"
        );
    }
}

pub(super) async fn keep_resolving(snapshots: Arc<ArcSwap<Snapshot>>) {
    loop {
        tokio::time::sleep(RESOLVE_EVERY).await;
        let snapshot = snapshots.load_full();
        unresolved(&snapshot).await;
    }
}

/// Keeps the gauge of each server true, and logs when one goes or comes back.
pub(super) async fn keep_checking(snapshots: Arc<ArcSwap<Snapshot>>, metrics: Metrics) {
    let mut tick = interval(CHECK_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut down = BTreeSet::new();
    loop {
        tick.tick().await;
        let found = snapshots.load_full().upstreams.check().await;
        metrics.servers(&found);
        let now: BTreeSet<_> = found.iter().filter(|one| !one.is_up).map(name_of).collect();
        for server in now.difference(&down) {
            tracing::warn!(server, "the upstream's server takes no connections");
        }
        let up = found.iter().filter(|one| one.is_up).map(name_of);
        for server in up.filter(|server| down.contains(server)) {
            tracing::info!(server, "the upstream's server takes connections again");
        }
        down = now;
    }
}

fn name_of(one: &ServerState) -> String {
    format!("{}: {}", one.upstream, one.server)
}
