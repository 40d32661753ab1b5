//! The Worker behind the binding `METRICS`: takes what an ingress tells of itself, and stores it by the same pipeline (steps
//! 5 to 8), as spans of the operator's tenant. It has no route, so only bindings reach it, and no `METRICS` of its own: what
//! tells of telling would never end.

use prost::Message;
use serde_json::Value;
use spillway_proto::TenantId;
use spillway_proto::key_record::KeyRecord;
use spillway_proto::otlp::ExportTraceServiceRequest;
use spillway_proto::otlp::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use spillway_proto::otlp::resource::v1::Resource;
use spillway_proto::otlp::trace::v1::span::SpanKind;
use spillway_proto::otlp::trace::v1::status::StatusCode;
use spillway_proto::otlp::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};

use crate::telemetry::{Batch, StepSpan};

/// Where batches go.
pub const PATH: &str = "/spillway/telemetry";

/// The name of the service that the spans tell of.
const SERVICE: &str = "spillway-edge";

/// The record that the operator's spans are stored by; nobody has a key to it.
pub fn record(tenant: &TenantId) -> Result<KeyRecord, serde_json::Error> {
    serde_json::from_value(Value::from_iter([("tenant", tenant.as_str()), ("key_id", "metrics-binding")]))
}

/// The export request that a batch becomes: its spans, and one more, `edge counters`, that carries the counts as attributes.
/// The same batch becomes the same bytes.
pub fn export_of(batch: Batch) -> Vec<u8> {
    let counters = (!batch.counters.is_empty()).then(|| counters(&batch));
    let spans = batch.spans.into_iter().map(span).chain(counters).collect();
    let scope = InstrumentationScope { name: "spillway.edge".to_owned(), ..InstrumentationScope::default() };
    let resource = Resource { attributes: vec![text("service.name", SERVICE)], ..Resource::default() };
    let of_resource = ResourceSpans {
        resource: Some(resource),
        scope_spans: vec![ScopeSpans { scope: Some(scope), spans, schema_url: String::new() }],
        schema_url: String::new(),
    };
    ExportTraceServiceRequest { resource_spans: vec![of_resource] }.encode_to_vec()
}

fn span(span: StepSpan) -> Span {
    let kind = if span.is_request { SpanKind::Server } else { SpanKind::Internal };
    Span {
        trace_id: span.context.trace_id.to_vec(),
        span_id: span.context.span_id.to_vec(),
        parent_span_id: span.parent_span_id.and_then(|id| hex::decode(id).ok()).unwrap_or_default(),
        name: span.name,
        kind: kind.into(),
        start_time_unix_nano: span.began.as_nanos(),
        end_time_unix_nano: span.ended.as_nanos(),
        attributes: span.attributes.iter().map(|(name, value)| text(name, value)).collect(),
        status: span.failed.then(|| Status { code: StatusCode::Error.into(), ..Status::default() }),
        ..Span::default()
    }
}

fn counters(batch: &Batch) -> Span {
    let context = batch.context;
    let count = |(name, count): (&String, &u64)| KeyValue {
        key: name.clone(),
        value: Some(AnyValue {
            value: Some(any_value::Value::IntValue(i64::try_from(*count).unwrap_or(i64::MAX))),
        }),
        key_strindex: 0,
    };
    Span {
        trace_id: context.trace_id.to_vec(),
        span_id: context.span_id.to_vec(),
        name: "edge counters".to_owned(),
        kind: SpanKind::Internal.into(),
        start_time_unix_nano: batch.began.as_nanos(),
        end_time_unix_nano: batch.ended.as_nanos(),
        attributes: batch.counters.iter().map(count).collect(),
        ..Span::default()
    }
}

fn text(name: &str, value: &str) -> KeyValue {
    KeyValue {
        key: name.to_owned(),
        value: Some(AnyValue { value: Some(any_value::Value::StringValue(value.to_owned())) }),
        key_strindex: 0,
    }
}
