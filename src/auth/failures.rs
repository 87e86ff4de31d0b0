//! Failures are counted against whoever they are of, and the audit is told when they have delayed an
//! address: many accounts that are tried from one place show nowhere else.

use super::Auth;
use super::ports::{Counted, Store, StoreError};
use super::subject;
use crate::clock::Timestamp;
use crate::digest::SubjectDigest;
use crate::event::{Event, EventKind, Events};
use std::net::IpAddr;

/// Where a failure came from, for the audit.
pub(super) struct FailedAt<'a> {
    pub(super) route: &'a str,
    pub(super) address: IpAddr,
}

impl Auth {
    /// Counts one failure against each of `counted`.
    pub(super) async fn count_failure(
        &self,
        counted: &[Counted],
        failed_at: FailedAt<'_>,
    ) -> Result<(), StoreError> {
        let now = self.clock.now();
        self.store.failed(counted, now).await?;
        let address = subject::address(&self.keys, failed_at.address);
        tell_if_delayed(&*self.store, &*self.events, address, failed_at, now).await;
        Ok(())
    }
}

/// Tells the audit if the failure that was just counted has delayed its address. Whoever is delayed
/// cannot fail, so that each delay is told of once.
pub(super) async fn tell_if_delayed(
    store: &dyn Store,
    events: &dyn Events,
    address: SubjectDigest,
    failed_at: FailedAt<'_>,
    now: Timestamp,
) {
    if let Ok(Some(_)) = store.delayed(&[address], now).await {
        events.emit(Event {
            kind: EventKind::Locked,
            user: None,
            route: failed_at.route.to_owned(),
            address: Some(failed_at.address),
            detail: "address: too many failures".to_owned(),
            uid: None,
        });
    }
}
