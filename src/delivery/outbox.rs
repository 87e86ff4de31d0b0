//! How many messages may be on their way at once. A slow provider must not pile up work without end.

use crate::auth::DeliveryError;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Messages on their way at once.
const IN_FLIGHT_MAX: usize = 64;
/// How long a message waits for a place.
const WAIT_MAX: Duration = Duration::from_secs(2);

/// A bounded number of places.
pub(super) struct Outbox {
    places: Arc<Semaphore>,
    wait_max: Duration,
}

impl Default for Outbox {
    fn default() -> Self {
        Self::new(IN_FLIGHT_MAX, WAIT_MAX)
    }
}

impl Outbox {
    pub(super) fn new(places: usize, wait_max: Duration) -> Self {
        Self {
            places: Arc::new(Semaphore::new(places)),
            wait_max,
        }
    }

    /// A place for one message, given back when it is dropped.
    pub(super) async fn place(&self) -> Result<OwnedSemaphorePermit, DeliveryError> {
        let place = Arc::clone(&self.places).acquire_owned();
        match tokio::time::timeout(self.wait_max, place).await {
            Ok(Ok(place)) => Ok(place),
            Ok(Err(_)) | Err(_) => Err(DeliveryError::Busy),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_full_outbox_is_busy_and_a_place_comes_back() {
        let outbox = Outbox::new(1, Duration::from_millis(10));
        let place = outbox.place().await.unwrap();
        assert_eq!(outbox.place().await.unwrap_err(), DeliveryError::Busy);
        drop(place);
        assert!(outbox.place().await.is_ok());
    }
}
