//! OTLP over HTTP: spans in the collector's own form, and one POST for a batch of them.
//!
//! OpenTelemetry Protocol 1.x, "OTLP/HTTP", binary protobuf. The types are those that the
//! OpenTelemetry project generates.

use super::context::Context;
use super::{SetupError, resource};
use crate::config::model;
use crate::secret::Secret;
use crate::steps::{Fact, Kind, Step, Value};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prost::Message as _;
use std::time::Duration;

/// From the connection to the end of the answer.
const TIMEOUT: Duration = Duration::from_secs(10);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Bytes of an answer that are read.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// One span with times of day.
pub(super) struct Record {
    pub(super) context: Context,
    pub(super) parent: Option<[u8; 8]>,
    /// The request itself.
    pub(super) is_root: bool,
    /// Nanoseconds since 1970.
    pub(super) began: u64,
    pub(super) ended: u64,
    pub(super) step: Step,
}

/// The collector did not take a batch.
#[derive(Debug, thiserror::Error)]
#[error("{why}")]
pub struct NotTaken {
    why: String,
    /// Whether it may take it later.
    pub(super) may_help: bool,
}

/// The way to the collector.
pub(super) struct Exporter {
    http: reqwest::Client,
    url: String,
    resource: Resource,
}

impl Exporter {
    pub(super) fn new(config: &model::Traces) -> Result<Self, SetupError> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            .default_headers(headers(&config.headers))
            .user_agent(concat!("vestibule/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|_| SetupError::Client)?;
        Ok(Self {
            http,
            url: config.url.clone(),
            resource: Resource {
                attributes: resource(config).into_iter().map(attribute).collect(),
                ..Resource::default()
            },
        })
    }

    /// A batch as it is sent.
    pub(super) fn encode(&self, batch: Vec<Record>) -> Bytes {
        let scope = InstrumentationScope {
            name: "vestibule".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..InstrumentationScope::default()
        };
        let spans = ScopeSpans {
            scope: Some(scope),
            spans: batch.into_iter().map(span).collect(),
            ..ScopeSpans::default()
        };
        let request = ExportTraceServiceRequest {
            resource_spans: vec![ResourceSpans {
                resource: Some(self.resource.clone()),
                scope_spans: vec![spans],
                ..ResourceSpans::default()
            }],
        };
        request.encode_to_vec().into()
    }

    /// Sends a batch; returns how many of its spans the collector did not want.
    pub(super) async fn send(&self, message: Bytes) -> Result<u64, NotTaken> {
        let answer = self.http.post(&self.url).body(message).send().await;
        let answer = answer.map_err(|error| NotTaken {
            // Without the address, which could hold a key.
            why: format!("no answer: {}", reason(&error.without_url())),
            may_help: true,
        })?;
        let status = answer.status();
        if !status.is_success() {
            return Err(NotTaken {
                why: format!("it answers {status}"),
                // OTLP/HTTP, "Retryable Response Codes".
                may_help: matches!(status.as_u16(), 429 | 502 | 503 | 504),
            });
        }
        Ok(rejected(answer).await)
    }
}

/// The innermost cause, which says most.
fn reason(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

/// How many spans an answer of success says were not wanted.
async fn rejected(mut answer: reqwest::Response) -> u64 {
    let mut body = Vec::new();
    while let Ok(Some(piece)) = answer.chunk().await {
        if body.len() + piece.len() > ANSWER_BYTES_MAX {
            return 0;
        }
        body.extend_from_slice(&piece);
    }
    let said = ExportTraceServiceResponse::decode(body.as_slice()).ok();
    let partial = said.and_then(|said| said.partial_success);
    partial.map_or(0, |partial| {
        u64::try_from(partial.rejected_spans).unwrap_or(0)
    })
}

fn headers(own: &[(HeaderName, Secret)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in own {
        // The config has been checked: all of them are values.
        if let Ok(mut value) = HeaderValue::from_str(value.expose()) {
            value.set_sensitive(true);
            headers.insert(name.clone(), value);
        }
    }
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/x-protobuf"),
    );
    headers
}

fn span(record: Record) -> Span {
    let Record {
        context,
        parent,
        is_root,
        began,
        ended,
        step,
    } = record;
    let kind = match (is_root, step.kind) {
        (true, _) => SpanKind::Server,
        (false, Kind::Internal) => SpanKind::Internal,
        (false, Kind::Client | Kind::Upstream) => SpanKind::Client,
    };
    let code = match step.failed {
        true => StatusCode::Error,
        false => StatusCode::Unset,
    };
    Span {
        trace_id: context.trace.to_vec(),
        span_id: context.span.to_vec(),
        parent_span_id: parent.map_or_else(Vec::new, |parent| parent.to_vec()),
        flags: u32::from(context.sampled),
        name: step.name.into_owned(),
        kind: kind.into(),
        start_time_unix_nano: began,
        end_time_unix_nano: ended.max(began),
        attributes: step.facts.into_iter().map(attribute).collect(),
        status: Some(Status {
            code: code.into(),
            ..Status::default()
        }),
        ..Span::default()
    }
}

fn attribute((key, value): Fact) -> KeyValue {
    let value = match value {
        Value::Text(text) => Any::StringValue(text.into_owned()),
        Value::Number(number) => Any::IntValue(number),
    };
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}
