//! Traces without a collector.

use super::*;
use crate::clock::{ManualClock, Timestamp};
use crate::entropy::NoEntropy;
use crate::steps::Kind;
use std::time::Instant;

/// Gives the same byte for ever, or nothing.
#[derive(Debug)]
struct Fixed(Option<u8>);

impl Entropy for Fixed {
    fn fill(&self, out: &mut [u8]) -> Result<(), NoEntropy> {
        out.fill(self.0.ok_or(NoEntropy)?);
        Ok(())
    }
}

fn tracer(sample: f64, byte: Option<u8>) -> (Tracer, Metrics) {
    let config = model::Traces {
        // Nothing listens on port 9 (discard).
        url: "http://127.0.0.1:9/v1/traces".to_owned(),
        headers: Vec::new(),
        sample,
        service_name: "vestibule".to_owned(),
    };
    let metrics = Metrics::new().unwrap();
    let clock = Arc::new(ManualClock::at(Timestamp(1_000)));
    let entropy = Arc::new(Fixed(byte));
    let tracer = Tracer::start(&config, clock, entropy, metrics.clone()).unwrap();
    (tracer, metrics)
}

#[tokio::test]
async fn what_is_not_sampled_notes_nothing_and_says_so_upstream() {
    let (tracer, metrics) = tracer(0.0, Some(7));
    let trace = tracer.begin(None).unwrap();
    assert!(!trace.is_sampled() && trace.steps().is_none());
    assert!(trace.traceparent().ends_with("-00"));
    trace.end(|| unreachable!("nobody wants to know"));
    assert!(
        metrics
            .render()
            .unwrap()
            .contains(r#"vestibule_spans_total{outcome="dropped"} 0"#)
    );
}

#[tokio::test]
async fn without_randomness_a_request_goes_on_without_a_trace() {
    assert!(tracer(1.0, None).0.begin(None).is_none());
}

#[tokio::test]
async fn what_finds_the_queue_full_is_dropped_and_every_span_of_it_counted() {
    let (tracer, metrics) = tracer(1.0, Some(7));
    // This test's runtime has one thread: the worker runs only where this test awaits.
    for _ in 0..QUEUE_MAX + 3 {
        let trace = tracer.begin(None).unwrap();
        trace
            .steps()
            .unwrap()
            .push(Step::since(Instant::now(), "gate"));
        trace.end(|| Step {
            kind: Kind::Internal,
            ..Step::since(Instant::now(), "request")
        });
    }
    let text = metrics.render().unwrap();
    assert!(
        text.contains(r#"vestibule_spans_total{outcome="dropped"} 6"#),
        "{text}"
    );
}

#[tokio::test]
async fn a_trusted_peers_word_counts_more_than_the_share() {
    let (tracer, _) = tracer(0.0, Some(7));
    let sent = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let trace = tracer.begin(Some(sent)).unwrap();
    assert!(trace.is_sampled() && trace.is_continued());
    assert!(
        trace
            .traceparent()
            .starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-0707070707070708-01")
    );
    assert!(!tracer.begin(Some(b"nonsense")).unwrap().is_sampled());
}
