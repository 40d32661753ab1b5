//! OTLP's JSON mapping, as exporters really write it: <https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding>.
//!
//! More is read than the mapping allows: nulls for missing values, snake_case names, enum names, NaN as text or null,
//! 64-bit integers as numbers or strings. Ids are hexadecimal, in either case; base64 ids, which some SDKs send, are
//! refused with an error that says so.

mod convert;
mod list;
mod scalars;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, span};
use serde::Deserialize;
use serde::de::Error;

use self::list::{Kept, List};
use self::scalars::{AttributeKey, Base64, Double, EnumOf, HexId, Int, Text, WholeText};
use super::DecodeError;

/// The longest path, and the longest account of what is wrong there, in bytes: both repeat what the request holds, and the
/// answer repeats them.
const MAX_TOLD_BYTES: usize = 512;

pub(super) fn decode(body: &[u8]) -> Result<ExportTraceServiceRequest, DecodeError> {
    let malformed = |source| malformed(".".to_owned(), source);
    // serde would read a list as an object's fields in their order.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(malformed(serde_json::Error::custom("the request must be an object")));
    }
    let text = str::from_utf8(body).map_err(|error| malformed(serde_json::Error::custom(error)))?;
    list::allow_for(body.len());
    let mut reader = serde_json::Deserializer::from_str(text);
    let request: JsonRequest = serde_path_to_error::deserialize(&mut reader)
        .map_err(|error| self::malformed(error.path().to_string(), error.into_inner()))?;
    reader.end().map_err(malformed)?;
    Ok(ExportTraceServiceRequest { resource_spans: request.resource_spans.0 })
}

fn malformed(path: String, source: serde_json::Error) -> DecodeError {
    let told = source.to_string();
    let source =
        if told.len() > MAX_TOLD_BYTES { serde_json::Error::custom(without_middle(told)) } else { source };
    DecodeError::Json { path: without_middle(path), source }
}

/// A text that is too long, without what is in its middle.
fn without_middle(text: String) -> String {
    if text.len() <= MAX_TOLD_BYTES {
        return text;
    }
    let begin = text.floor_char_boundary(MAX_TOLD_BYTES / 2);
    let end = text.ceil_char_boundary(text.len() - MAX_TOLD_BYTES / 2);
    format!("{}...{}", &text[..begin], &text[end..])
}

/// A message whose every field may be missing; the types of the fields say how null is read.
macro_rules! message {
    ($name:ident { $($field:ident $(or $alias:literal)? : $type:ty;)* }) => {
        #[derive(Default, Deserialize)]
        #[serde(rename_all = "camelCase", default)]
        struct $name {
            $($(#[serde(alias = $alias)])? $field: $type,)*
        }
    };
}

message!(JsonRequest {
    resource_spans or "resource_spans": List<JsonResourceSpans, ResourceSpans>;
});

message!(JsonResourceSpans {
    resource: Option<JsonResource>;
    scope_spans or "scope_spans": List<JsonScopeSpans, ScopeSpans>;
    schema_url or "schema_url": Text;
});

message!(JsonResource {
    attributes: List<JsonKeyValue, KeyValue>;
    dropped_attributes_count or "dropped_attributes_count": Int<u32>;
});

message!(JsonScopeSpans {
    scope: Option<JsonScope>;
    spans: List<JsonSpan, Span>;
    schema_url or "schema_url": Text;
});

message!(JsonScope {
    name: Text;
    version: Text;
    attributes: List<JsonKeyValue, KeyValue>;
    dropped_attributes_count or "dropped_attributes_count": Int<u32>;
});

message!(JsonSpan {
    trace_id or "trace_id": HexId;
    span_id or "span_id": HexId;
    trace_state or "trace_state": Text;
    parent_span_id or "parent_span_id": HexId;
    flags: Int<u32>;
    name: Text;
    kind: EnumOf<SpanKind>;
    start_time_unix_nano or "start_time_unix_nano": Int<u64>;
    end_time_unix_nano or "end_time_unix_nano": Int<u64>;
    attributes: List<JsonKeyValue, KeyValue>;
    dropped_attributes_count or "dropped_attributes_count": Int<u32>;
    events: List<JsonEvent, span::Event>;
    dropped_events_count or "dropped_events_count": Int<u32>;
    links: List<JsonLink, span::Link>;
    dropped_links_count or "dropped_links_count": Int<u32>;
    status: Option<JsonStatus>;
});

message!(JsonEvent {
    time_unix_nano or "time_unix_nano": Int<u64>;
    name: Text;
    attributes: List<JsonKeyValue, KeyValue>;
    dropped_attributes_count or "dropped_attributes_count": Int<u32>;
});

message!(JsonLink {
    trace_id or "trace_id": HexId;
    span_id or "span_id": HexId;
    trace_state or "trace_state": Text;
    attributes: List<JsonKeyValue, KeyValue>;
    dropped_attributes_count or "dropped_attributes_count": Int<u32>;
    flags: Int<u32>;
});

message!(JsonStatus {
    message: Text;
    code: EnumOf<StatusCode>;
});

message!(JsonKeyValue {
    key: AttributeKey;
    value: Option<JsonAnyValue>;
});

message!(JsonAnyValue {
    string_value or "string_value": Option<WholeText>;
    bool_value or "bool_value": Option<bool>;
    int_value or "int_value": Option<Int<i64>>;
    double_value or "double_value": Double;
    array_value or "array_value": Option<JsonArrayValue>;
    kvlist_value or "kvlist_value": Option<JsonKeyValueList>;
    bytes_value or "bytes_value": Option<Base64>;
});

message!(JsonArrayValue {
    values: List<JsonAnyValue, AnyValue, Kept>;
});

message!(JsonKeyValueList {
    values: List<JsonKeyValue, KeyValue>;
});

#[cfg(test)]
mod tests;
