//! How many connections may be open, in all and from one network.

use super::Limits;
use crate::auth::crowd::{Crowd, Seat};
use crate::auth::subject;
use crate::edge::tls::ServerTls;
use crate::observe::metrics::Metrics;
use arc_swap::ArcSwap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Notify;

pub(super) struct Shared {
    pub(super) limits: ArcSwap<Limits>,
    /// As configured, with port 0 where that was asked for.
    pub(super) listeners: Vec<(SocketAddr, Option<ServerTls>)>,
    pub(super) open: AtomicUsize,
    /// By address; an IPv6 client counts as its /64, as it does for wrong passwords.
    pub(super) crowd: Crowd<IpAddr>,
    /// Told when a connection ends, or when more of them may be open.
    pub(super) room: Notify,
    pub(super) metrics: Metrics,
}

/// One connection's place under `connections.max`.
pub(super) struct Place {
    shared: Arc<Shared>,
    /// Its place under `connections.per_address_max`; a trusted proxy needs none.
    _seat: Option<Seat<IpAddr>>,
}

impl Shared {
    /// A place for `peer`, or `None` if it holds too many. Waits for one under `connections.max`,
    /// where those that wait count for their address.
    pub(super) async fn place(self: &Arc<Self>, peer: IpAddr) -> Option<Place> {
        let seat = self.seat(peer)?;
        loop {
            let mut room = std::pin::pin!(self.room.notified());
            // Registered before the look, so that no news is missed between the two.
            room.as_mut().enable();
            let max = self.limits.load().connections.max;
            let taken = self
                .open
                .fetch_update(Ordering::AcqRel, Ordering::Acquire, |open| {
                    (open < max).then_some(open + 1)
                });
            if let Ok(before) = taken {
                self.metrics.connections(gauge(before + 1));
                return Some(Place {
                    shared: self.clone(),
                    _seat: seat,
                });
            }
            room.await;
        }
    }

    /// The outer `None`: refused; the inner one: a trusted proxy.
    fn seat(&self, peer: IpAddr) -> Option<Option<Seat<IpAddr>>> {
        let limits = self.limits.load();
        let peer = peer.to_canonical();
        if limits.trusted_proxies.iter().any(|net| net.contains(&peer)) {
            return Some(None);
        }
        let max = limits.connections.per_address_max;
        let seat = self.crowd.seat(subject::network(peer), max);
        if seat.is_none() {
            self.metrics.connection_refused();
            tracing::debug!(%peer, "connection refused: connections.per_address_max");
        }
        seat.map(Some)
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("limits", &self.limits)
            .field("open", &self.open)
            .finish_non_exhaustive()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let shared = &self.shared;
        let before = shared.open.fetch_sub(1, Ordering::AcqRel);
        shared.metrics.connections(gauge(before.saturating_sub(1)));
        shared.room.notify_one();
    }
}

fn gauge(open: usize) -> i64 {
    i64::try_from(open).unwrap_or(i64::MAX)
}
