//! Gathers what has ended and hands it to the collector, behind the requests.

use super::otlp::{Exporter, NotTaken, Record};
use super::{Ended, Message};
use crate::clock::Clock;
use crate::observe::metrics::{Metrics, SpanOutcome};
use crate::steps::{Kind, Step};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Spans in one message to the collector.
const BATCH_MAX: usize = 512;
/// How long a span may wait for others.
const GATHER: Duration = Duration::from_secs(1);
/// The pauses before a batch that was not taken is sent again.
const AGAIN_AFTER: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(4)];

pub(super) struct Worker {
    exporter: Exporter,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
    batch: Vec<Record>,
    /// So that the log says once that the collector has gone, and once that it is back.
    is_failing: bool,
}

impl Worker {
    pub(super) fn new(exporter: Exporter, clock: Arc<dyn Clock>, metrics: Metrics) -> Self {
        Self {
            exporter,
            clock,
            metrics,
            batch: Vec::new(),
            is_failing: false,
        }
    }

    pub(super) async fn run(mut self, mut inbox: mpsc::Receiver<Message>) {
        let mut send_at = tokio::time::Instant::now();
        loop {
            tokio::select! {
                message = inbox.recv() => match message {
                    Some(Message::Ended(ended)) => {
                        if self.batch.is_empty() {
                            send_at = tokio::time::Instant::now() + GATHER;
                        }
                        self.take(*ended);
                        if self.batch.len() >= BATCH_MAX {
                            self.send().await;
                        }
                    }
                    Some(Message::Flush(done)) => {
                        self.send().await;
                        // Nobody waits any more: that is their affair.
                        let _ = done.send(());
                    }
                    None => break,
                },
                () = tokio::time::sleep_until(send_at), if !self.batch.is_empty() => self.send().await,
            }
        }
        self.send().await;
    }

    /// Turns a request into spans. Moments become times of day here, at once, off the request's path.
    fn take(&mut self, ended: Ended) {
        let (now, nanos) = (Instant::now(), self.clock.unix_nanos());
        let at = |moment: Instant| {
            let ago = now.saturating_duration_since(moment).as_nanos();
            nanos.saturating_sub(u64::try_from(ago).unwrap_or(u64::MAX))
        };
        let record = |context: super::Context, parent, is_root, step: Step| Record {
            context,
            parent,
            is_root,
            began: at(step.began),
            ended: at(step.ended),
            step,
        };
        let Ended {
            context,
            parent,
            root,
            steps,
        } = ended;
        self.batch.push(record(context, parent, true, root));
        // The first number below the request is the upstream's, which was told it before.
        let mut number = 1;
        let mut was_told = false;
        for step in steps {
            let is_told = step.kind == Kind::Upstream && !was_told;
            was_told |= is_told;
            number += u64::from(!is_told);
            let own = match is_told {
                true => context.upstream(),
                false => context.nth(number),
            };
            self.batch
                .push(record(own, Some(context.span), false, step));
        }
    }

    /// Sends the batch, again if that may help; whatever becomes of it, it is over.
    async fn send(&mut self) {
        let batch = std::mem::take(&mut self.batch);
        if batch.is_empty() {
            return;
        }
        let count = u64::try_from(batch.len()).unwrap_or(u64::MAX);
        let message = self.exporter.encode(batch);
        let mut pauses = AGAIN_AFTER.iter();
        let sent = loop {
            match (self.exporter.send(message.clone()).await, pauses.next()) {
                (Err(NotTaken { may_help: true, .. }), Some(pause)) => {
                    tokio::time::sleep(*pause).await
                }
                (sent, _) => break sent,
            }
        };
        self.tell(sent, count);
    }

    fn tell(&mut self, sent: Result<u64, NotTaken>, count: u64) {
        let failed = match &sent {
            Ok(rejected) => count.min(*rejected),
            Err(_) => count,
        };
        self.metrics.spans(SpanOutcome::Failed, failed);
        self.metrics.spans(SpanOutcome::Exported, count - failed);
        match sent {
            Err(error) if !self.is_failing => {
                tracing::warn!(%error, "traces do not reach the collector");
            }
            Ok(0) if self.is_failing => tracing::info!("traces reach the collector again"),
            Ok(rejected) if rejected > 0 && !self.is_failing => {
                tracing::warn!(rejected, "the collector did not want some spans");
            }
            Ok(_) | Err(_) => {}
        }
        self.is_failing = failed > 0;
    }
}

#[cfg(test)]
mod tests {
    use super::super::context::Context;
    use super::*;
    use crate::clock::{ManualClock, Timestamp};
    use crate::config::model;
    use std::collections::BTreeSet;

    fn worker() -> Worker {
        let config = model::Traces {
            url: "http://127.0.0.1:9/v1/traces".to_owned(),
            headers: Vec::new(),
            sample: 1.0,
            service_name: "vestibule".to_owned(),
        };
        let exporter = Exporter::new(&config).unwrap();
        let clock = Arc::new(ManualClock::at(Timestamp(1_000)));
        Worker::new(exporter, clock, Metrics::new().unwrap())
    }

    #[test]
    fn the_span_that_the_upstream_was_told_is_its_first_answers() {
        let mut worker = worker();
        let step = |kind, name| Step {
            kind,
            ..Step::since(Instant::now(), name)
        };
        let context = Context::fresh([1; 16], [9; 8], 1.0);
        let steps = vec![
            step(Kind::Internal, "gate"),
            step(Kind::Client, "upstream failed"),
            step(Kind::Upstream, "upstream"),
            step(Kind::Upstream, "once more"),
        ];
        let root = step(Kind::Internal, "GET files");
        worker.take(Ended {
            context,
            parent: None,
            root,
            steps,
        });
        let told = worker.batch.iter().find(|one| one.step.name == "upstream");
        assert_eq!(told.map(|one| one.context), Some(context.upstream()));
        let ids: BTreeSet<_> = worker.batch.iter().map(|one| one.context.span).collect();
        assert_eq!(ids.len(), 5, "each has a name of its own");
        for one in &worker.batch {
            assert_eq!(one.parent, (!one.is_root).then_some(context.span));
        }
    }

    #[test]
    fn moments_become_times_of_day() {
        let mut worker = worker();
        let ended = Instant::now();
        let began = ended.checked_sub(Duration::from_secs(3)).unwrap();
        let root = Step {
            ended,
            ..Step::since(began, "GET files")
        };
        worker.take(Ended {
            context: Context::fresh([1; 16], [9; 8], 1.0),
            parent: Some([2; 8]),
            root,
            steps: Vec::new(),
        });
        let [one] = &worker.batch[..] else { panic!() };
        let took = Duration::from_nanos(one.ended - one.began);
        assert_eq!(took, Duration::from_secs(3));
        let ago = 1_000_000_000_000 - one.ended;
        assert!(Duration::from_nanos(ago) < Duration::from_secs(60));
        assert_eq!(one.parent, Some([2; 8]));
    }
}
