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
            self.batch.push(record(own, Some(context.span), false, step));
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
                (Err(NotTaken { may_help: true, .. }), Some(pause)) => tokio::time::sleep(*pause).await,
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
