//! What goes on beside the requests: the revocation feed, last-seen times, sweeping, gauges.

use crate::auth::ports::Store;
use crate::auth::signing::Signer;
use crate::clock::Clock;
use crate::gate::Gate;
use crate::observe::metrics::Metrics;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};

/// How often the feed is read: a revocation made by another process must hold within a second.
const FEED_EVERY: Duration = Duration::from_millis(250);
/// How often last-seen times go to the store: what a crash may forget of idle time.
const SEEN_EVERY: Duration = Duration::from_secs(15);
/// How often what has expired leaves the map.
const SWEEP_EVERY: Duration = Duration::from_secs(10);
/// How often live sessions are counted: the store reads all of them for it.
const COUNT_EVERY: Duration = Duration::from_secs(60);
/// How often signing keys are read again: a key is published long before it signs.
const KEYS_EVERY: Duration = Duration::from_secs(60);
const PURGE_EVERY: Duration = Duration::from_secs(3600);

/// What the jobs work on.
#[derive(Clone)]
pub(super) struct Jobs {
    pub(super) store: Arc<dyn Store>,
    pub(super) signer: Arc<Signer>,
    pub(super) gate: Arc<Gate>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) metrics: Metrics,
}

impl Jobs {
    /// Runs every job until it is aborted. `feed_from` is the feed's head from before the first
    /// session was cached.
    pub(super) async fn run(self, feed_from: i64) {
        tokio::join!(
            self.follow_feed(feed_from),
            self.save_seen(),
            self.sweep(),
            self.count(),
            self.follow_keys(),
            self.purge()
        );
    }

    async fn follow_feed(&self, mut seq: i64) {
        let mut tick = every(FEED_EVERY);
        let mut failing = false;
        loop {
            tick.tick().await;
            match self.store.revocations_after(seq).await {
                Ok(lines) => {
                    failing = false;
                    for line in lines {
                        self.gate.forget(line.which);
                        seq = seq.max(line.seq);
                    }
                }
                // Known sessions go on while the store is down; one line says so, not four a second.
                Err(error) if !failing => {
                    failing = true;
                    tracing::error!(%error, "revocations made elsewhere cannot be seen");
                }
                Err(_) => {}
            }
        }
    }

    async fn save_seen(&self) {
        let mut tick = every(SEEN_EVERY);
        loop {
            tick.tick().await;
            self.flush_seen().await;
        }
    }

    /// Writes last-seen times now.
    pub(super) async fn flush_seen(&self) {
        let seen = self.gate.take_seen();
        if !seen.is_empty()
            && let Err(error) = self.store.touch(&seen).await
        {
            tracing::warn!(%error, sessions = seen.len(), "last-seen times were not saved");
        }
    }

    async fn sweep(&self) {
        let mut tick = every(SWEEP_EVERY);
        loop {
            tick.tick().await;
            let (entries, evicted) = self.gate.sweep();
            self.metrics.hot_map(entries, evicted);
        }
    }

    async fn count(&self) {
        let mut tick = every(COUNT_EVERY);
        loop {
            tick.tick().await;
            if let Ok(live) = self.store.live_sessions(self.clock.now()).await {
                self.metrics.sessions(live);
            }
        }
    }

    async fn follow_keys(&self) {
        let mut tick = every(KEYS_EVERY);
        loop {
            tick.tick().await;
            self.reread_keys().await;
        }
    }

    /// Reads the signing keys now. Those that are known go on while the store is down.
    pub(super) async fn reread_keys(&self) {
        if let Err(error) = self.signer.reread().await {
            tracing::warn!(%error, "the signing keys were not read again");
        }
    }

    async fn purge(&self) {
        let mut tick = every(PURGE_EVERY);
        loop {
            tick.tick().await;
            match self.store.purge(self.clock.now()).await {
                Ok(rows) => tracing::debug!(rows, "purged what had expired"),
                Err(error) => tracing::warn!(%error, "expired rows were not purged"),
            }
        }
    }
}

fn every(period: Duration) -> tokio::time::Interval {
    let mut tick = interval(period);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tick
}
