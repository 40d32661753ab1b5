//! The rows that the spans of a request have to be.

use std::fmt::Write;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail, ensure};
use chrono::{DateTime, Utc};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{EntityRef, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use serde_json::{Map, Value, json};

use super::value;

/// The default limits, which the requests that the verifier reads keep to.
const MAX_NAME_BYTES: usize = 4 << 10;
const MAX_VALUE_BYTES: usize = 256 << 10;
const MAX_ATTRIBUTES: usize = 1_024;
const MAX_EVENTS_OR_LINKS: usize = 1_024;
/// How far from its receipt a span may lie, by default.
const MAX_AGE: Duration = Duration::from_secs(3_650 * 86_400);
const MAX_FUTURE: Duration = Duration::from_secs(86_400);
/// The last second of the tables, in February 2106.
const LAST_SECOND: u64 = u32::MAX as u64;
/// What the edge's clock may be behind: it counts milliseconds.
const CLOCK_STEP: Duration = Duration::from_millis(5);

/// Whose spans these are.
pub(super) struct Owner<'a> {
    pub(super) tenant: &'a str,
    pub(super) project: &'a str,
}

/// What the row of a span has to be.
pub(super) struct Row {
    /// The request that holds it, by its number.
    pub(super) request: usize,
    /// All columns but those that Spillway chooses: `ObjectKey`, `ReceivedAt`.
    pub(super) columns: Map<String, Value>,
    valid_spans: usize,
    sent_at: SystemTime,
}

impl Row {
    /// The ids of trace and span.
    pub(super) fn id(&self) -> (String, String) {
        let id = |column: &str| self.columns[column].as_str().unwrap_or_default().to_owned();
        (id("TraceId"), id("SpanId"))
    }

    /// An error that names the column, if `row`, as ClickHouse writes it, is not this row.
    pub(super) fn check(&self, row: &Value) -> Result<()> {
        let row = row.as_object().context("a row is no object")?;
        for (column, value) in row {
            match column.as_str() {
                "ObjectKey" => self.check_object(value)?,
                "ReceivedAt" => self.check_receipt(value)?,
                _ => {
                    let expected = self.columns.get(column);
                    let expected =
                        expected.with_context(|| format!("the verifier does not know {column}"))?;
                    ensure!(value == expected, "{column} is {value} instead of {expected}");
                }
            }
        }
        let missing: Vec<_> = self.columns.keys().filter(|column| !row.contains_key(*column)).collect();
        ensure!(missing.is_empty(), "there is no column {missing:?}");
        Ok(())
    }

    /// `v1/YYYY/MM/DD/HH/MM/SHARD/ULID-ID-SPANS.otlp`
    fn check_object(&self, key: &Value) -> Result<()> {
        let text = key.as_str().context("ObjectKey is no text")?;
        let end = format!("-{}.otlp", self.valid_spans);
        ensure!(text.starts_with("v1/20") && text.ends_with(&end), "ObjectKey is {text}, and not *{end}");
        Ok(())
    }

    fn check_receipt(&self, at: &Value) -> Result<()> {
        let text = at.as_str().context("ReceivedAt is no text")?;
        let (earliest, latest) = (clock_text(self.sent_at - CLOCK_STEP), clock_text(SystemTime::now()));
        ensure!(*earliest <= *text && *text <= *latest, "ReceivedAt is {text}: not {earliest} to {latest}");
        Ok(())
    }
}

fn clock_text(time: SystemTime) -> String {
    DateTime::<Utc>::from(time).format("%F %T%.3f").to_string()
}

/// The rows of a request's valid spans, and how many are not valid.
pub(super) fn rows_of(
    message: &ExportTraceServiceRequest,
    request: usize,
    owner: &Owner<'_>,
    sent_at: SystemTime,
) -> Result<(Vec<Row>, usize)> {
    let (mut rows, mut position, mut rejected) = (Vec::new(), 0, 0);
    for resource in &message.resource_spans {
        for scope in &resource.scope_spans {
            for span in &scope.spans {
                if is_valid(span, sent_at) {
                    let columns = columns(span, resource, scope, owner, position)?;
                    rows.push(Row { request, columns, valid_spans: 0, sent_at });
                } else {
                    rejected += 1;
                }
                position += 1;
            }
        }
    }
    let valid_spans = rows.len();
    rows.iter_mut().for_each(|row| row.valid_spans = valid_spans);
    Ok((rows, rejected))
}

/// By ids and times; a span that breaks another limit is repaired, and is not for this verifier.
fn is_valid(span: &Span, received: SystemTime) -> bool {
    let is_id = |id: &[u8], bytes| id.len() == bytes && id.iter().any(|byte| *byte != 0);
    let nanos = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos();
    let (start, end) = (span.start_time_unix_nano, span.end_time_unix_nano);
    let latest = u128::from(start.max(end));
    is_id(&span.trace_id, 16)
        && is_id(&span.span_id, 8)
        && matches!(span.parent_span_id.len(), 0 | 8)
        && start.max(end) / 1_000_000_000 <= LAST_SECOND
        && u128::from(start) >= nanos(received - MAX_AGE)
        && latest <= nanos(received + MAX_FUTURE)
}

fn columns(
    span: &Span,
    of_resource: &ResourceSpans,
    of_scope: &ScopeSpans,
    owner: &Owner<'_>,
    position: usize,
) -> Result<Map<String, Value>> {
    let resource = of_resource.resource.clone().unwrap_or_default();
    let scope = of_scope.scope.clone().unwrap_or_default();
    check_limits(span, &resource, &scope)?;
    let service = resource.attributes.iter().find(|pair| pair.key == "service.name");
    let status = span.status.clone().unwrap_or_default();
    let ends_before_start =
        span.end_time_unix_nano != 0 && span.end_time_unix_nano < span.start_time_unix_nano;
    let duration = span.end_time_unix_nano.saturating_sub(span.start_time_unix_nano);
    let mut columns = json!({
        "Timestamp": nanos_text(span.start_time_unix_nano)?,
        "TraceId": hex(&span.trace_id),
        "SpanId": hex(&span.span_id),
        "ParentSpanId": id_or_none(&span.parent_span_id),
        "TraceState": span.trace_state,
        "SpanName": span.name,
        "SpanKind": kind(span.kind)?,
        "ServiceName": value::text(service.and_then(|pair| pair.value.as_ref())),
        "ResourceAttributes": value::map(&resource.attributes),
        "ScopeName": scope.name,
        "ScopeVersion": scope.version,
        "SpanAttributes": value::map(&span.attributes),
        "Duration": duration.to_string(),
        "StatusCode": status_code(status.code)?,
        "StatusMessage": status.message,
        "TenantId": owner.tenant,
        "ProjectId": owner.project,
        "RowNo": position,
        "TraceFlags": span.flags,
        "DroppedAttributesCount": span.dropped_attributes_count,
        "DroppedEventsCount": span.dropped_events_count,
        "DroppedLinksCount": span.dropped_links_count,
        "ResourceSchemaUrl": of_resource.schema_url,
        "ScopeSchemaUrl": of_scope.schema_url,
        "ScopeAttributes": value::map(&scope.attributes),
        "ResourceDroppedAttributesCount": resource.dropped_attributes_count,
        "ScopeDroppedAttributesCount": scope.dropped_attributes_count,
        "ResourceEntityRefs": entity_refs(&resource.entity_refs),
        "Repairs": if ends_before_start { json!(["end_before_start"]) } else { json!([]) },
    });
    let nested = nested_columns(span)?;
    let columns = columns.as_object_mut().context("columns are an object")?;
    columns.extend(nested);
    Ok(std::mem::take(columns))
}

/// The columns of events and links: a list each, with an element for each event or link.
fn nested_columns(span: &Span) -> Result<Map<String, Value>> {
    let events = &span.events;
    let times: Result<Vec<_>> = events.iter().map(|event| nanos_text(event.time_unix_nano)).collect();
    let links = &span.links;
    let of_links = |value: fn(&_) -> Value| links.iter().map(value).collect::<Value>();
    let columns = [
        ("Events.Timestamp", json!(times?)),
        ("Events.Name", events.iter().map(|event| json!(event.name)).collect()),
        ("Events.Attributes", events.iter().map(|event| value::map(&event.attributes)).collect()),
        (
            "Events.DroppedAttributesCount",
            events.iter().map(|event| json!(event.dropped_attributes_count)).collect(),
        ),
        ("Links.TraceId", of_links(|link| json!(id_or_none(&link.trace_id)))),
        ("Links.SpanId", of_links(|link| json!(id_or_none(&link.span_id)))),
        ("Links.TraceState", of_links(|link| json!(link.trace_state))),
        ("Links.Attributes", of_links(|link| value::map(&link.attributes))),
        ("Links.DroppedAttributesCount", of_links(|link| json!(link.dropped_attributes_count))),
        ("Links.Flags", of_links(|link| json!(link.flags))),
    ];
    Ok(columns.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// What is over a limit is cut, and by which rules is not for this verifier.
fn check_limits(span: &Span, resource: &Resource, scope: &InstrumentationScope) -> Result<()> {
    let attributes = [&resource.attributes, &scope.attributes, &span.attributes].into_iter();
    let attributes = attributes.chain(span.events.iter().map(|event| &event.attributes));
    for attributes in attributes.chain(span.links.iter().map(|link| &link.attributes)) {
        ensure!(attributes.len() <= MAX_ATTRIBUTES, "{} attributes are over the limit", attributes.len());
        attributes.iter().try_for_each(check_attribute)?;
    }
    ensure!(span.events.len().max(span.links.len()) <= MAX_EVENTS_OR_LINKS, "too many events or links");
    let names = [&span.name, &scope.name, &scope.version].into_iter();
    for name in names.chain(span.events.iter().map(|event| &event.name)) {
        ensure!(name.len() <= MAX_NAME_BYTES, "a name of {} bytes is over the limit", name.len());
    }
    let ids_are_right =
        |trace: &[u8], span: &[u8]| matches!(trace.len(), 0 | 16) && matches!(span.len(), 0 | 8);
    ensure!(span.links.iter().all(|link| ids_are_right(&link.trace_id, &link.span_id)), "an invalid link");
    Ok(())
}

fn check_attribute(pair: &KeyValue) -> Result<()> {
    // JSON takes more bytes than what it counts by, so this is on the safe side.
    let bytes = value::text(pair.value.as_ref()).len();
    ensure!(
        pair.key.len() <= MAX_NAME_BYTES && bytes <= MAX_VALUE_BYTES,
        "attribute {} is over a limit",
        pair.key
    );
    Ok(())
}

fn kind(kind: i32) -> Result<&'static str> {
    let names = ["Unspecified", "Internal", "Server", "Client", "Producer", "Consumer"];
    let name = usize::try_from(kind).ok().and_then(|kind| names.get(kind));
    name.copied().with_context(|| format!("kind {kind} is none"))
}

fn status_code(code: i32) -> Result<&'static str> {
    match code {
        0 => Ok("Unset"),
        1 => Ok("Ok"),
        2 => Ok("Error"),
        other => bail!("status code {other} is none"),
    }
}

fn entity_refs(refs: &[EntityRef]) -> String {
    if refs.iter().all(|entity_ref| *entity_ref == EntityRef::default()) {
        return String::new();
    }
    let of = |entity_ref: &EntityRef| {
        let mut fields = Vec::new();
        let mut add = |name: &str, value: Value, is_there: bool| {
            if is_there {
                fields.push(format!("\"{name}\":{value}"));
            }
        };
        add("schemaUrl", json!(entity_ref.schema_url), !entity_ref.schema_url.is_empty());
        add("type", json!(entity_ref.r#type), !entity_ref.r#type.is_empty());
        add("idKeys", json!(entity_ref.id_keys), !entity_ref.id_keys.is_empty());
        add("descriptionKeys", json!(entity_ref.description_keys), !entity_ref.description_keys.is_empty());
        format!("{{{}}}", fields.join(","))
    };
    format!("[{}]", refs.iter().map(of).collect::<Vec<_>>().join(","))
}

/// A time as ClickHouse writes `DateTime64(9, 'UTC')`.
fn nanos_text(unix_nano: u64) -> Result<String> {
    let nanos = i64::try_from(unix_nano).ok().context("a time lies after 2262")?;
    Ok(DateTime::from_timestamp_nanos(nanos).format("%F %T%.9f").to_string())
}

/// The id of a parent or a link. Some SDKs write zeros where there is none.
fn id_or_none(id: &[u8]) -> String {
    if id.iter().all(|byte| *byte == 0) { String::new() } else { hex(id) }
}

/// Hexadecimal digits, in lower case.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
