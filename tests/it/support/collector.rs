//! An OpenTelemetry collector at the network's edge: it decodes what it is sent and keeps it.

use super::wait_for;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How long spans may take to arrive on a busy machine.
const ARRIVAL_LIMIT: Duration = Duration::from_secs(20);

#[derive(Clone)]
pub(crate) struct Collector {
    pub(crate) address: SocketAddr,
    received: Arc<Mutex<Vec<(HeaderMap, ExportTraceServiceRequest)>>>,
    status: Arc<AtomicU16>,
    rejects: Arc<AtomicI64>,
}

impl Collector {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("collector");
        let collector = Self {
            address: listener.local_addr().expect("address"),
            received: Arc::default(),
            status: Arc::new(AtomicU16::new(200)),
            rejects: Arc::default(),
        };
        let app = axum::Router::new()
            .route("/v1/traces", axum::routing::post(receive))
            .with_state(collector.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        collector
    }

    /// The address that a gateway posts spans to.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/v1/traces", self.address)
    }

    /// What is answered from now on.
    pub(crate) fn answer_with(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    /// Of each message from now on, so many spans are not wanted.
    pub(crate) fn reject(&self, spans: i64) {
        self.rejects.store(spans, Ordering::SeqCst);
    }

    /// Every message that was taken so far, with its headers.
    pub(crate) fn received(&self) -> Vec<(HeaderMap, ExportTraceServiceRequest)> {
        self.received.lock().expect("received").clone()
    }

    /// Every span so far.
    pub(crate) fn spans(&self) -> Vec<Span> {
        let received = self.received().into_iter();
        let resources = received.flat_map(|(_, request)| request.resource_spans);
        let scopes = resources.flat_map(|resource| resource.scope_spans);
        scopes.flat_map(|scope| scope.spans).collect()
    }

    /// Waits for a request's span of this name, and returns it with what is below it.
    pub(crate) async fn tree(&self, name: &str) -> Tree {
        wait_for(name, ARRIVAL_LIMIT, async || {
            let spans = self.spans();
            let root = spans.iter().rfind(|span| span.name == name)?.clone();
            let below = |span: &&Span| span.parent_span_id == root.span_id;
            let children = spans.iter().filter(below).cloned().collect();
            Some(Tree { root, children })
        })
        .await
    }
}

/// A request's span and those below it.
#[derive(Debug)]
pub(crate) struct Tree {
    pub(crate) root: Span,
    pub(crate) children: Vec<Span>,
}

impl Tree {
    /// The one child of this name.
    pub(crate) fn child(&self, name: &str) -> &Span {
        let mut named = self.children.iter().filter(|span| span.name == name);
        match (named.next(), named.next()) {
            (Some(one), None) => one,
            _ => panic!("not one {name} in {:?}", self.names()),
        }
    }

    pub(crate) fn names(&self) -> Vec<&str> {
        self.children
            .iter()
            .map(|span| span.name.as_str())
            .collect()
    }
}

/// An attribute, as text.
pub(crate) fn attribute(attributes: &[KeyValue], key: &str) -> Option<String> {
    let found = attributes.iter().find(|one| one.key == key)?;
    match &found.value {
        Some(AnyValue {
            value: Some(Value::StringValue(text)),
        }) => Some(text.clone()),
        Some(AnyValue {
            value: Some(Value::IntValue(number)),
        }) => Some(number.to_string()),
        other => panic!("{key}: {other:?}"),
    }
}

async fn receive(
    State(collector): State<Collector>,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, Vec<u8>) {
    let status = collector.status.load(Ordering::SeqCst);
    if status == 200 {
        assert_eq!(headers["content-type"], "application/x-protobuf");
        let request = ExportTraceServiceRequest::decode(body).expect("OTLP");
        let mut received = collector.received.lock().expect("received");
        received.push((headers, request));
    }
    let rejected_spans = collector.rejects.load(Ordering::SeqCst);
    let partial = ExportTracePartialSuccess {
        rejected_spans,
        ..Default::default()
    };
    let said = ExportTraceServiceResponse {
        partial_success: (rejected_spans > 0).then_some(partial),
    };
    (
        StatusCode::from_u16(status).expect("status"),
        said.encode_to_vec(),
    )
}
