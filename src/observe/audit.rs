//! The audit trail's worker: every event goes to the log at once and to the store in batches.
//!
//! Taking an event never blocks and never fails the request that caused it. While the store does not
//! answer, events wait here, up to a bound; beyond it they are in the log only, and counted. So are
//! refusals that repeat without end: whoever holds one token could else fill the disk.

use super::metrics::{Lost, Metrics};
use crate::auth::ports::AuditTrail;
use crate::clock::{Clock, Timestamp};
use crate::event::{Event, EventKind, Events};
use crate::id::UserId;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

/// Events that may wait for the worker.
const QUEUE_MAX: usize = 4_096;
/// Events that may wait for the store.
const PENDING_MAX: usize = 4_096;
/// How long an event may wait for company before the batch is written.
const GATHER: Duration = Duration::from_millis(50);
/// The pause after a write that failed.
const RETRY: Duration = Duration::from_secs(1);
/// Refusals alike that are stored in a minute.
const ALIKE_MAX: u32 = 60;
/// Kinds of refusal told apart in a minute; what comes beyond is in the log only.
const REFUSALS_MAX: usize = 4_096;
/// How long [`Audit::flush`] waits for the worker.
const FLUSH_MAX: Duration = Duration::from_secs(5);

/// Takes events. Cheap to clone; the worker ends when the last one is dropped.
#[derive(Clone)]
pub struct Audit {
    queue: mpsc::Sender<Message>,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
}

enum Message {
    Event(Timestamp, Event),
    Flush(oneshot::Sender<usize>),
}

/// Events could not be brought to the store in time. They are in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotFlushed {
    #[error("{0} audit events are in the log only: the store did not take them")]
    Refused(usize),
    #[error("the audit trail did not take the last events within 5 s: they are in the log only")]
    TooSlow,
}

impl Audit {
    /// Starts the worker on the current tokio runtime.
    #[must_use]
    pub fn start(trail: Arc<dyn AuditTrail>, clock: Arc<dyn Clock>, metrics: Metrics) -> Self {
        let (queue, inbox) = mpsc::channel(QUEUE_MAX);
        let worker = Worker {
            trail,
            metrics: metrics.clone(),
            pending: Vec::new(),
            refusals: Refusals::default(),
        };
        tokio::spawn(worker.run(inbox));
        Self {
            queue,
            clock,
            metrics,
        }
    }

    /// Writes what has been emitted so far.
    pub async fn flush(&self) -> Result<(), NotFlushed> {
        let (done, written) = oneshot::channel();
        let flushed = async {
            self.queue.send(Message::Flush(done)).await.ok()?;
            written.await.ok()
        };
        match tokio::time::timeout(FLUSH_MAX, flushed).await {
            Ok(Some(0)) => Ok(()),
            Ok(Some(left)) => Err(NotFlushed::Refused(left)),
            Ok(None) | Err(_) => Err(NotFlushed::TooSlow),
        }
    }
}

impl Events for Audit {
    fn emit(&self, event: Event) {
        self.metrics.event(event.kind, &event.detail);
        let message = Message::Event(self.clock.now(), event);
        if let Err(refused) = self.queue.try_send(message)
            && let Message::Event(_, event) = refused.into_inner()
        {
            log(&event);
            self.metrics.event_lost(Lost::Full);
            tracing::error!("the audit trail is full: this event is in the log only");
        }
    }
}

struct Worker {
    trail: Arc<dyn AuditTrail>,
    metrics: Metrics,
    pending: Vec<(Timestamp, Event)>,
    refusals: Refusals,
}

/// The refusals of the minute.
#[derive(Default)]
struct Refusals {
    minute: i64,
    counts: HashMap<(Option<UserId>, Option<IpAddr>, String), u32>,
}

impl Refusals {
    /// Whether the event is stored. Only refusals can be had in any number for nothing: each other
    /// kind costs its maker something that is limited.
    fn admits(&mut self, at: Timestamp, event: &Event) -> bool {
        if event.kind != EventKind::Refused {
            return true;
        }
        let minute = at.0.div_euclid(60);
        if minute != self.minute {
            self.minute = minute;
            self.counts.clear();
        }
        // A user's are counted together, from wherever they come.
        let address = event.address.filter(|_| event.user.is_none());
        let key = (event.user, address, event.detail.clone());
        if self.counts.len() >= REFUSALS_MAX && !self.counts.contains_key(&key) {
            return false;
        }
        let count = self.counts.entry(key).or_default();
        *count = count.saturating_add(1);
        *count <= ALIKE_MAX
    }
}

impl Worker {
    async fn run(mut self, mut inbox: mpsc::Receiver<Message>) {
        let mut write_at = Instant::now();
        loop {
            tokio::select! {
                message = inbox.recv(), if self.pending.len() < PENDING_MAX => match message {
                    Some(Message::Event(at, event)) => {
                        log(&event);
                        if !self.refusals.admits(at, &event) {
                            self.metrics.event_lost(Lost::Repeated);
                            continue;
                        }
                        if self.pending.is_empty() {
                            write_at = Instant::now() + GATHER;
                        }
                        self.pending.push((at, event));
                    }
                    Some(Message::Flush(done)) => {
                        self.write().await;
                        let _ = done.send(self.pending.len());
                    }
                    None => break,
                },
                () = tokio::time::sleep_until(write_at), if !self.pending.is_empty() => {
                    self.write().await;
                    write_at = Instant::now() + RETRY;
                }
            }
        }
        self.write().await;
        for _ in &self.pending {
            self.metrics.event_lost(Lost::Unwritten);
        }
    }

    /// Writes what is pending; keeps it if the store does not take it.
    async fn write(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        match self.trail.append(&self.pending).await {
            Ok(()) => self.pending.clear(),
            Err(error) => tracing::warn!(
                waiting = self.pending.len(),
                %error,
                "the audit trail could not be written; trying again"
            ),
        }
    }
}

fn log(event: &Event) {
    tracing::info!(
        target: "audit",
        kind = event.kind.as_str(),
        user = event.user.map(|user| user.0),
        route = event.route,
        address = event.address.map(tracing::field::display),
        detail = event.detail,
        uid = event.uid,
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::ports::{StoreError, Stored};
    use crate::clock::ManualClock;
    use crate::event::EventKind;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicBool, Ordering};

    /// A trail in memory that can be made to refuse or to hang.
    #[derive(Default)]
    struct Trail {
        kept: Mutex<Vec<(Timestamp, Event)>>,
        refuses: AtomicBool,
        hangs: AtomicBool,
    }

    #[async_trait::async_trait]
    impl AuditTrail for Trail {
        async fn append(&self, events: &[(Timestamp, Event)]) -> Stored<()> {
            if self.hangs.load(Ordering::SeqCst) {
                std::future::pending::<()>().await;
            }
            if self.refuses.load(Ordering::SeqCst) {
                return Err(StoreError::Unavailable("disk full".to_owned()));
            }
            self.kept.lock().unwrap().extend_from_slice(events);
            Ok(())
        }
    }

    fn event(detail: &str) -> Event {
        Event {
            kind: EventKind::Verified,
            user: None,
            route: "files".to_owned(),
            address: None,
            detail: detail.to_owned(),
            uid: None,
        }
    }

    fn audit(trail: &Arc<Trail>) -> (Audit, Metrics) {
        let metrics = Metrics::new().unwrap();
        let clock = Arc::new(ManualClock::at(Timestamp(70)));
        (
            Audit::start(Arc::clone(trail) as _, clock, metrics.clone()),
            metrics,
        )
    }

    fn details(trail: &Trail) -> Vec<String> {
        let kept = trail.kept.lock().unwrap();
        kept.iter().map(|(_, event)| event.detail.clone()).collect()
    }

    #[tokio::test]
    async fn events_reach_the_store_in_order_with_their_time() {
        let trail = Arc::<Trail>::default();
        let (audit, metrics) = audit(&trail);
        for detail in ["a", "b", "c"] {
            audit.emit(event(detail));
        }
        audit.flush().await.unwrap();
        assert_eq!(details(&trail), ["a", "b", "c"]);
        assert_eq!(trail.kept.lock().unwrap()[0].0, Timestamp(70));
        assert!(
            metrics
                .render()
                .unwrap()
                .contains(r#"vestibule_events_total{kind="verified"} 3"#)
        );
    }

    #[tokio::test]
    async fn refusals_without_end_are_stored_up_to_a_bound_a_minute() {
        let trail = Arc::<Trail>::default();
        let clock = Arc::new(ManualClock::at(Timestamp(60)));
        let metrics = Metrics::new().unwrap();
        let audit = Audit::start(Arc::clone(&trail) as _, Arc::clone(&clock) as _, metrics);
        let refused = |user, host: u8| Event {
            kind: EventKind::Refused,
            user: Some(UserId(user)),
            address: Some(IpAddr::from([192, 0, 2, host])),
            ..event("sms limited")
        };
        let of = |user| {
            let kept = trail.kept.lock().unwrap();
            let of = kept.iter().filter(|(_, event)| event.user == Some(user));
            of.count()
        };
        for host in 0..100 {
            audit.emit(refused(1, host));
        }
        audit.emit(refused(2, 1));
        for _ in 0..100 {
            audit.emit(event("verified"));
        }
        audit.flush().await.unwrap();
        assert_eq!((of(UserId(1)), of(UserId(2))), (ALIKE_MAX as usize, 1));
        assert_eq!(details(&trail).len(), ALIKE_MAX as usize + 101);
        clock.advance(Duration::from_secs(60));
        audit.emit(refused(1, 1));
        audit.flush().await.unwrap();
        assert_eq!(of(UserId(1)), ALIKE_MAX as usize + 1);
    }

    #[test]
    fn many_kinds_of_refusals_take_bounded_memory() {
        let mut refusals = Refusals::default();
        let refused = |user| Event {
            kind: EventKind::Refused,
            user: Some(UserId(user)),
            ..event("sms expired")
        };
        let stored = (0..5_000).filter(|user| refusals.admits(Timestamp(60), &refused(*user)));
        assert_eq!(stored.count(), REFUSALS_MAX);
        assert!(refusals.admits(Timestamp(60), &refused(1)), "known already");
        assert!(refusals.admits(Timestamp(120), &refused(9_999)));
    }

    #[tokio::test]
    async fn a_refused_batch_is_kept_and_written_later() {
        let trail = Arc::<Trail>::default();
        trail.refuses.store(true, Ordering::SeqCst);
        let (audit, _) = audit(&trail);
        audit.emit(event("a"));
        assert_eq!(audit.flush().await, Err(NotFlushed::Refused(1)));
        trail.refuses.store(false, Ordering::SeqCst);
        audit.emit(event("b"));
        audit.flush().await.unwrap();
        assert_eq!(details(&trail), ["a", "b"]);
    }

    #[tokio::test]
    async fn a_hanging_store_costs_counted_events_and_no_waiting() {
        let trail = Arc::<Trail>::default();
        trail.hangs.store(true, Ordering::SeqCst);
        let (audit, metrics) = audit(&trail);
        // This test's runtime has one thread: the worker runs only where this test awaits.
        for _ in 0..QUEUE_MAX + 7 {
            audit.emit(event("x"));
        }
        let text = metrics.render().unwrap();
        assert!(
            text.contains(r#"vestibule_events_lost_total{reason="full"} 7"#),
            "{text}"
        );
    }

    #[tokio::test]
    async fn dropping_the_last_handle_writes_what_is_left() {
        let trail = Arc::<Trail>::default();
        let (audit, _) = audit(&trail);
        audit.emit(event("last"));
        drop(audit);
        let written = async {
            while details(&trail) != ["last"] {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), written)
            .await
            .unwrap();
    }
}
