//! Step e by way of `prost`: from an object's bytes to rows of `otel_traces`. The reference for [`crate::columns`], and a way
//! that can be chosen by configuration.
//!
//! The texts of values, kinds and status codes are those that the Collector's ClickHouse exporter writes, since that is
//! what dashboards and queries expect. One differs: NaN and the infinities have their names (`NaN`, `+Inf`, `-Inf`), where
//! the Collector writes the text of an error.

use std::borrow::Cow;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use clickhouse::Row;
use serde::Serialize;
use serde_json::Value as Json;
use spillway_proto::notification::Notification;
use spillway_proto::otlp::common::v1::{AnyValue, KeyValue, any_value::Value};
use spillway_proto::otlp::trace::v1::span::{Event, Link, SpanKind};
use spillway_proto::otlp::trace::v1::{Span, status::StatusCode};
use spillway_proto::otlp::{
    DecodeError, DecompressError, DecompressLimits, ExportTraceServiceRequest, decode_valid, decompress,
};
use spillway_proto::record::{ObjectRecord, RecordError, records_of};

/// A map column: names and texts, in the order in which they came.
type Attributes = Vec<(String, String)>;

/// What the rows of a resource or a scope have in common is there once: a large resource with many small spans would
/// otherwise take memory by their product.
type Shared<T> = Arc<T>;

/// A row of `otel_traces`; the fields have the columns' names.
#[derive(Debug, Clone, PartialEq, Row, Serialize)]
#[serde(rename_all = "PascalCase")]
#[expect(missing_docs, reason = "the columns are documented in migrations/schema.sql")]
pub struct SpanRow {
    pub timestamp: i64,
    pub trace_id: String,
    pub span_id: String,
    pub parent_span_id: String,
    pub trace_state: String,
    pub span_name: String,
    pub span_kind: &'static str,
    pub service_name: Shared<str>,
    pub resource_attributes: Shared<Attributes>,
    pub scope_name: Shared<str>,
    pub scope_version: Shared<str>,
    pub span_attributes: Attributes,
    pub duration: u64,
    pub status_code: &'static str,
    pub status_message: String,
    #[serde(rename = "Events.Timestamp")]
    pub event_timestamps: Vec<i64>,
    #[serde(rename = "Events.Name")]
    pub event_names: Vec<String>,
    #[serde(rename = "Events.Attributes")]
    pub event_attributes: Vec<Attributes>,
    #[serde(rename = "Links.TraceId")]
    pub link_trace_ids: Vec<String>,
    #[serde(rename = "Links.SpanId")]
    pub link_span_ids: Vec<String>,
    #[serde(rename = "Links.TraceState")]
    pub link_trace_states: Vec<String>,
    #[serde(rename = "Links.Attributes")]
    pub link_attributes: Vec<Attributes>,
    pub tenant_id: Shared<str>,
    pub project_id: Shared<str>,
    pub object_key: Shared<str>,
    pub row_no: u32,
    pub received_at: i64,
    pub trace_flags: u32,
    pub dropped_attributes_count: u32,
    pub dropped_events_count: u32,
    pub dropped_links_count: u32,
    pub resource_schema_url: Shared<str>,
    pub scope_schema_url: Shared<str>,
    pub scope_attributes: Shared<Attributes>,
}

/// An object is not what the edge writes. Trying again will not help.
#[derive(Debug, thiserror::Error)]
pub enum RowsError {
    /// Its records cannot be read.
    #[error("{0}")]
    Records(#[from] RecordError),
    /// A payload does not decompress within the limits.
    #[error("{0}")]
    Decompress(#[from] DecompressError),
    /// A payload is no export request.
    #[error("{0}")]
    Decode(#[from] DecodeError),
    /// It holds another number of valid spans than its name says.
    #[error("the object holds {found} valid spans, its name says {expected}")]
    Count {
        /// What its name says.
        expected: u32,
        /// What is in it.
        found: usize,
    },
    /// A record is of another tenant than the notification says.
    #[error("the object holds spans of another tenant than the one that was notified")]
    Tenant,
}

/// The rows of an object: its valid spans, in their order.
pub fn rows_of(
    notification: &Notification,
    object: Bytes,
    limits: DecompressLimits,
) -> Result<Vec<SpanRow>, RowsError> {
    let key = &notification.object_key;
    let object_key = key.to_string().into();
    let mut rows = Vec::new();
    for record in records_of(object)? {
        if record.tenant != notification.tenant {
            return Err(RowsError::Tenant);
        }
        let payload = decompress(&record.payload, record.compression, limits)?;
        let (request, _) = decode_valid(&payload, &record.span_limits, record.received_at)?;
        append(&mut rows, request, &record, &object_key);
    }
    if rows.len() == key.spans() as usize {
        Ok(rows)
    } else {
        Err(RowsError::Count { expected: key.spans(), found: rows.len() })
    }
}

fn append(
    rows: &mut Vec<SpanRow>,
    request: ExportTraceServiceRequest,
    record: &ObjectRecord,
    object_key: &Shared<str>,
) {
    let tenant: Shared<str> = record.tenant.as_str().into();
    let project: Shared<str> = record.project.as_ref().map_or("", |project| project.as_str()).into();
    for of_resource in request.resource_spans {
        let resource = attributes(of_resource.resource.unwrap_or_default().attributes);
        let service = value_of(&resource, "service.name").into();
        let resource = Shared::new(resource);
        let resource_schema_url: Shared<str> = of_resource.schema_url.into();
        for of_scope in of_resource.scope_spans {
            let scope = of_scope.scope.unwrap_or_default();
            let common = Common {
                tenant: &tenant,
                project: &project,
                object_key,
                received_at: record.received_at.0.try_into().unwrap_or(i64::MAX),
                service: &service,
                resource: &resource,
                resource_schema_url: &resource_schema_url,
                scope_name: scope.name.into(),
                scope_version: scope.version.into(),
                scope: Shared::new(attributes(scope.attributes)),
                scope_schema_url: of_scope.schema_url.into(),
            };
            for span in of_scope.spans {
                let row_no = u32::try_from(rows.len()).unwrap_or(u32::MAX);
                rows.push(row(span, row_no, &common));
            }
        }
    }
}

/// What the rows of a scope have in common.
struct Common<'a> {
    tenant: &'a Shared<str>,
    project: &'a Shared<str>,
    object_key: &'a Shared<str>,
    received_at: i64,
    service: &'a Shared<str>,
    resource: &'a Shared<Attributes>,
    resource_schema_url: &'a Shared<str>,
    scope_name: Shared<str>,
    scope_version: Shared<str>,
    scope: Shared<Attributes>,
    scope_schema_url: Shared<str>,
}

fn row(span: Span, row_no: u32, common: &Common<'_>) -> SpanRow {
    let (kind, status) = (span.kind(), span.status.unwrap_or_default());
    let status_code = status_name(status.code());
    let events: Vec<Event> = span.events;
    let links: Vec<Link> = span.links;
    SpanRow {
        timestamp: nanos(span.start_time_unix_nano),
        trace_id: hex::encode(span.trace_id),
        span_id: hex::encode(span.span_id),
        parent_span_id: parent(&span.parent_span_id),
        trace_state: span.trace_state,
        span_name: span.name,
        span_kind: kind_name(kind),
        service_name: common.service.clone(),
        resource_attributes: common.resource.clone(),
        scope_name: common.scope_name.clone(),
        scope_version: common.scope_version.clone(),
        span_attributes: attributes(span.attributes),
        // A clock that ran backwards must not become a duration of centuries.
        duration: span.end_time_unix_nano.saturating_sub(span.start_time_unix_nano),
        status_code,
        status_message: status.message,
        event_timestamps: events.iter().map(|event| nanos(event.time_unix_nano)).collect(),
        event_names: events.iter().map(|event| event.name.clone()).collect(),
        event_attributes: events.into_iter().map(|event| attributes(event.attributes)).collect(),
        link_trace_ids: links.iter().map(|link| hex::encode(&link.trace_id)).collect(),
        link_span_ids: links.iter().map(|link| hex::encode(&link.span_id)).collect(),
        link_trace_states: links.iter().map(|link| link.trace_state.clone()).collect(),
        link_attributes: links.into_iter().map(|link| attributes(link.attributes)).collect(),
        tenant_id: common.tenant.clone(),
        project_id: common.project.clone(),
        object_key: common.object_key.clone(),
        row_no,
        received_at: common.received_at,
        trace_flags: span.flags,
        dropped_attributes_count: span.dropped_attributes_count,
        dropped_events_count: span.dropped_events_count,
        dropped_links_count: span.dropped_links_count,
        resource_schema_url: common.resource_schema_url.clone(),
        scope_schema_url: common.scope_schema_url.clone(),
        scope_attributes: common.scope.clone(),
    }
}

/// Some SDKs write zeros where a span has no parent; queries for roots look for an empty text.
fn parent(id: &[u8]) -> String {
    if id.iter().all(|byte| *byte == 0) { String::new() } else { hex::encode(id) }
}

/// Validation has refused what does not fit.
pub(crate) fn nanos(unix_nano: u64) -> i64 {
    i64::try_from(unix_nano).unwrap_or(i64::MAX)
}

pub(crate) fn status_name(code: StatusCode) -> &'static str {
    match code {
        StatusCode::Unset => "Unset",
        StatusCode::Ok => "Ok",
        StatusCode::Error => "Error",
    }
}

pub(crate) fn kind_name(kind: SpanKind) -> &'static str {
    match kind {
        SpanKind::Unspecified => "Unspecified",
        SpanKind::Internal => "Internal",
        SpanKind::Server => "Server",
        SpanKind::Client => "Client",
        SpanKind::Producer => "Producer",
        SpanKind::Consumer => "Consumer",
    }
}

fn attributes(list: Vec<KeyValue>) -> Attributes {
    list.into_iter().map(|pair| (pair.key, pair.value.map_or_else(String::new, text))).collect()
}

fn value_of(attributes: &Attributes, name: &str) -> String {
    attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone()).unwrap_or_default()
}

/// A value as the text that a map column holds.
pub(crate) fn text(value: AnyValue) -> String {
    match value.value {
        None | Some(Value::StringValueStrindex(_)) => String::new(),
        Some(Value::StringValue(text)) => text,
        Some(Value::BoolValue(bool)) => bool.to_string(),
        Some(Value::IntValue(int)) => int.to_string(),
        Some(Value::DoubleValue(double)) => double_text(double, &mut zmij::Buffer::new()).into_owned(),
        Some(Value::BytesValue(bytes)) => BASE64.encode(bytes),
        Some(nested @ (Value::ArrayValue(_) | Value::KvlistValue(_))) => json_text(nested),
    }
}

/// As JSON writes it, the Collector's way: the fewest digits that are this number and no other, of two that are as near the even
/// one; an exponent only below 1e-6 and from 1e21 on. The text of most doubles lies in `buffer`.
pub(crate) fn double_text(double: f64, buffer: &mut zmij::Buffer) -> Cow<'_, str> {
    if !double.is_finite() {
        let name = if double.is_nan() { "NaN" } else { "+Inf" };
        return if double == f64::NEG_INFINITY { "-Inf".into() } else { name.into() };
    }
    let text = buffer.format_finite(double);
    let Some((mantissa, exponent)) = text.split_once('e') else {
        return text.strip_suffix(".0").unwrap_or(text).into();
    };
    let (sign, mantissa) = mantissa.strip_prefix('-').map_or(("", mantissa), |mantissa| ("-", mantissa));
    let digits = mantissa.replace('.', "");
    match exponent.parse::<i32>() {
        Ok(-6) => format!("{sign}0.00000{digits}").into(),
        Ok(exponent @ 0..21) => format!("{sign}{digits:0<width$}", width = exponent as usize + 1).into(),
        Ok(exponent) => format!("{sign}{mantissa}e{exponent:+}").into(),
        Err(_) => text.into(),
    }
}

/// As Go's `json.Marshal` writes it, which escapes what HTML would read.
fn json_text(nested: Value) -> String {
    let text = json(Some(nested)).to_string();
    let escaped = text.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026");
    escaped.replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029")
}

fn json(value: Option<Value>) -> Json {
    match value {
        None | Some(Value::StringValueStrindex(_)) => Json::Null,
        Some(Value::StringValue(text)) => Json::String(text),
        Some(Value::BoolValue(bool)) => Json::Bool(bool),
        Some(Value::IntValue(int)) => Json::from(int),
        Some(Value::DoubleValue(double)) => json_double(double),
        Some(Value::BytesValue(bytes)) => Json::String(BASE64.encode(bytes)),
        Some(Value::ArrayValue(array)) => {
            array.values.into_iter().map(|element| json(element.value)).collect()
        }
        Some(Value::KvlistValue(list)) => list
            .values
            .into_iter()
            .map(|pair| (pair.key, json(pair.value.and_then(|value| value.value))))
            .collect(),
    }
}

/// The number, if it is a whole one that an `i64` holds.
pub(crate) fn whole(double: f64) -> Option<i64> {
    (double.fract() == 0.0 && double.abs() < 9e18).then_some(double as i64)
}

/// JSON has no word for NaN and the infinities, so their names stand as text; whole numbers have no fraction.
fn json_double(double: f64) -> Json {
    if let Some(whole) = whole(double) {
        return Json::from(whole);
    }
    let name = || Json::String(double_text(double, &mut zmij::Buffer::new()).into_owned());
    serde_json::Number::from_f64(double).map_or_else(name, Json::Number)
}

#[cfg(test)]
mod tests;
