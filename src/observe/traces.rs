//! Traces: for some requests, a span for the request and one for each step that it waited for, handed
//! to an OpenTelemetry collector.
//!
//! A request that is not traced costs a branch. One that is never waits for the collector: what has
//! ended goes into a bounded queue, and what finds it full is dropped and counted. No span holds a
//! path, a query, a token, an address or a user. Whether a request is traced is decided here, or by
//! a trusted proxy; a client's `traceparent` is nobody's.

mod context;
mod otlp;
mod worker;

use super::metrics::{Metrics, SpanOutcome};
use crate::clock::Clock;
use crate::config::model;
use crate::entropy::{self, Entropy};
use crate::steps::{Fact, Step, Steps};
use context::Context;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Requests that may wait for the worker.
const QUEUE_MAX: usize = 4_096;
/// How long [`Tracer::flush`] waits for the collector.
const FLUSH_MAX: Duration = Duration::from_secs(5);

/// Traces cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    #[error("the HTTP client of traces.otlp cannot start: check the system's CA certificates")]
    Client,
}

/// The collector would not take traces.
#[derive(Debug, thiserror::Error)]
pub enum ReachError {
    #[error(transparent)]
    Setup(#[from] SetupError),
    #[error(transparent)]
    NotTaken(#[from] otlp::NotTaken),
}

/// Sends the collector a message without spans, as the gateway would send one with some. For
/// `vestibule doctor`.
pub async fn reach(config: &model::Traces) -> Result<(), ReachError> {
    let exporter = otlp::Exporter::new(config)?;
    exporter.send(exporter.encode(Vec::new())).await?;
    Ok(())
}

/// Begins traces and takes what has ended. Cheap to clone; the worker ends with the last one.
#[derive(Clone, Debug)]
pub struct Tracer {
    config: Arc<model::Traces>,
    queue: mpsc::Sender<Message>,
    entropy: Arc<dyn Entropy>,
    metrics: Metrics,
}

#[derive(Debug)]
enum Message {
    Ended(Box<Ended>),
    Flush(oneshot::Sender<()>),
}

/// One traced request, when it is over.
#[derive(Debug)]
struct Ended {
    context: Context,
    /// The span of a trusted proxy that it was asked in.
    parent: Option<[u8; 8]>,
    /// The request itself.
    root: Step,
    steps: Vec<Step>,
}

/// A request's place in a trace, while it lasts.
#[derive(Debug)]
pub struct Trace {
    tracer: Tracer,
    context: Context,
    parent: Option<[u8; 8]>,
    steps: Steps,
}

impl Tracer {
    /// Starts the worker on the current tokio runtime.
    pub fn start(
        config: &model::Traces,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        metrics: Metrics,
    ) -> Result<Self, SetupError> {
        let exporter = otlp::Exporter::new(config)?;
        let (queue, inbox) = mpsc::channel(QUEUE_MAX);
        tokio::spawn(worker::Worker::new(exporter, clock, metrics.clone()).run(inbox));
        Ok(Self {
            config: Arc::new(config.clone()),
            queue,
            entropy,
            metrics,
        })
    }

    /// What it was started with.
    #[must_use]
    pub fn config(&self) -> &model::Traces {
        &self.config
    }

    /// The trace that a request belongs to: the one that a trusted peer says (`traceparent`), or a
    /// new one. `None` if there is no randomness to name it by: the request goes on without.
    #[must_use]
    pub fn begin(&self, traceparent: Option<&[u8]>) -> Option<Arc<Trace>> {
        let [span @ .., a, b, c, d, e, f, g, h] = entropy::bytes::<24>(&*self.entropy).ok()?;
        let random = [a, b, c, d, e, f, g, h];
        let (context, parent) = match traceparent.and_then(Context::read) {
            Some(sent) => (sent.child(random), Some(sent.span)),
            None => (Context::fresh(span, random, self.config.sample), None),
        };
        Some(Arc::new(Trace {
            tracer: self.clone(),
            context,
            parent,
            steps: Steps::default(),
        }))
    }

    /// Hands everything that has ended so far to the collector, in five seconds at most.
    pub async fn flush(&self) {
        let (done, flushed) = oneshot::channel();
        let flush = async {
            self.queue.send(Message::Flush(done)).await.ok()?;
            flushed.await.ok()
        };
        if tokio::time::timeout(FLUSH_MAX, flush).await != Ok(Some(())) {
            tracing::warn!("the last traces did not reach the collector within 5 s");
        }
    }
}

impl Trace {
    /// Whether it goes to the collector.
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        self.context.sampled
    }

    /// Whether a trusted peer began it.
    #[must_use]
    pub fn is_continued(&self) -> bool {
        self.parent.is_some()
    }

    /// Where steps are noted; `None` if they go nowhere.
    #[must_use]
    pub fn steps(&self) -> Option<&Steps> {
        self.is_sampled().then_some(&self.steps)
    }

    /// `traceparent` for the upstream (W3C Trace Context section 3.2): the span that waits for it is
    /// its parent.
    #[must_use]
    pub fn traceparent(&self) -> String {
        self.context.upstream().write()
    }

    /// The request is over: `root` is what became of it. Never waits.
    pub fn end(&self, root: impl FnOnce() -> Step) {
        if !self.is_sampled() {
            return;
        }
        let steps = self.steps.take();
        let spans = 1 + u64::try_from(steps.len()).unwrap_or(u64::MAX);
        let ended = Ended {
            context: self.context,
            parent: self.parent,
            root: root(),
            steps,
        };
        let message = Message::Ended(Box::new(ended));
        if self.tracer.queue.try_send(message).is_err() {
            self.tracer.metrics.spans(SpanOutcome::Dropped, spans);
        }
    }
}

/// The version of the program and the name that the operator gave it.
fn resource(config: &model::Traces) -> Vec<Fact> {
    vec![
        ("service.name", config.service_name.clone().into()),
        ("service.version", env!("CARGO_PKG_VERSION").into()),
    ]
}

#[cfg(test)]
mod tests;
