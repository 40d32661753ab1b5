//! OTLP's JSON, read from a tree of `serde_json`.
//!
//! The mapping is that of <https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding>: ids in hexadecimal, enums as
//! numbers, 64-bit integers as text or numbers. A value of another type is an error here.

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, EntityRef, InstrumentationScope, KeyValue, KeyValueList, any_value,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use serde_json::Value;

/// The message that the JSON of a request stands for.
pub(super) fn request(json: &Value) -> Result<ExportTraceServiceRequest> {
    Ok(ExportTraceServiceRequest { resource_spans: list(json, "resourceSpans", resource_spans)? })
}

fn resource_spans(json: &Value) -> Result<ResourceSpans> {
    Ok(ResourceSpans {
        resource: optional(json, "resource", resource)?,
        scope_spans: list(json, "scopeSpans", scope_spans)?,
        schema_url: text(json, "schemaUrl")?,
    })
}

fn resource(json: &Value) -> Result<Resource> {
    Ok(Resource {
        attributes: list(json, "attributes", key_value)?,
        dropped_attributes_count: number(json, "droppedAttributesCount")?,
        entity_refs: list(json, "entityRefs", entity_ref)?,
    })
}

fn entity_ref(json: &Value) -> Result<EntityRef> {
    let texts = |name| list(json, name, |key| Ok(key.as_str().context("a key is no text")?.to_owned()));
    Ok(EntityRef {
        schema_url: text(json, "schemaUrl")?,
        r#type: text(json, "type")?,
        id_keys: texts("idKeys")?,
        description_keys: texts("descriptionKeys")?,
    })
}

fn scope_spans(json: &Value) -> Result<ScopeSpans> {
    Ok(ScopeSpans {
        scope: optional(json, "scope", scope)?,
        spans: list(json, "spans", span)?,
        schema_url: text(json, "schemaUrl")?,
    })
}

fn scope(json: &Value) -> Result<InstrumentationScope> {
    Ok(InstrumentationScope {
        name: text(json, "name")?,
        version: text(json, "version")?,
        attributes: list(json, "attributes", key_value)?,
        dropped_attributes_count: number(json, "droppedAttributesCount")?,
    })
}

fn span(json: &Value) -> Result<Span> {
    Ok(Span {
        trace_id: id(json, "traceId")?,
        span_id: id(json, "spanId")?,
        trace_state: text(json, "traceState")?,
        parent_span_id: id(json, "parentSpanId")?,
        flags: number(json, "flags")?,
        name: text(json, "name")?,
        kind: number(json, "kind")?,
        start_time_unix_nano: number(json, "startTimeUnixNano")?,
        end_time_unix_nano: number(json, "endTimeUnixNano")?,
        attributes: list(json, "attributes", key_value)?,
        dropped_attributes_count: number(json, "droppedAttributesCount")?,
        events: list(json, "events", event)?,
        dropped_events_count: number(json, "droppedEventsCount")?,
        links: list(json, "links", link)?,
        dropped_links_count: number(json, "droppedLinksCount")?,
        status: optional(json, "status", |json| {
            Ok(Status { message: text(json, "message")?, code: number(json, "code")? })
        })?,
    })
}

fn event(json: &Value) -> Result<Event> {
    Ok(Event {
        time_unix_nano: number(json, "timeUnixNano")?,
        name: text(json, "name")?,
        attributes: list(json, "attributes", key_value)?,
        dropped_attributes_count: number(json, "droppedAttributesCount")?,
    })
}

fn link(json: &Value) -> Result<Link> {
    Ok(Link {
        trace_id: id(json, "traceId")?,
        span_id: id(json, "spanId")?,
        trace_state: text(json, "traceState")?,
        attributes: list(json, "attributes", key_value)?,
        dropped_attributes_count: number(json, "droppedAttributesCount")?,
        flags: number(json, "flags")?,
    })
}

fn key_value(json: &Value) -> Result<KeyValue> {
    Ok(KeyValue {
        key: text(json, "key")?,
        value: optional(json, "value", any_value)?,
        ..KeyValue::default()
    })
}

/// The kind that is there and not null; a `doubleValue` that is null alone is JavaScript's NaN.
fn any_value(json: &Value) -> Result<AnyValue> {
    use any_value::Value as Kind;
    let kinds = json.as_object().context("a value is no object")?;
    let mut value = None;
    for (kind, inner) in kinds {
        value = match (kind.as_str(), inner) {
            ("doubleValue", Value::Null) if kinds.len() == 1 => Some(Kind::DoubleValue(f64::NAN)),
            (_, Value::Null) => value,
            ("stringValue", Value::String(text)) => Some(Kind::StringValue(text.clone())),
            ("boolValue", Value::Bool(bool)) => Some(Kind::BoolValue(*bool)),
            ("intValue", inner) => Some(int_or_double(inner)?),
            ("doubleValue", inner) => Some(Kind::DoubleValue(double(inner)?)),
            ("bytesValue", Value::String(text)) => Some(Kind::BytesValue(BASE64.decode(text)?)),
            ("arrayValue", inner) => {
                Some(Kind::ArrayValue(ArrayValue { values: list(inner, "values", any_value)? }))
            }
            ("kvlistValue", inner) => {
                Some(Kind::KvlistValue(KeyValueList { values: list(inner, "values", key_value)? }))
            }
            (kind, inner) => bail!("{kind} is {inner}"),
        };
    }
    Ok(AnyValue { value })
}

/// JavaScript writes each whole number as an integer, also where it fits no `int64`.
fn int_or_double(json: &Value) -> Result<any_value::Value> {
    let int = json.as_i64().or_else(|| json.as_str()?.parse().ok());
    Ok(match int {
        Some(int) => any_value::Value::IntValue(int),
        None => any_value::Value::DoubleValue(double(json)?),
    })
}

fn double(json: &Value) -> Result<f64> {
    let double = json.as_f64().or_else(|| json.as_str()?.parse().ok());
    double.with_context(|| format!("{json} is no number"))
}

fn list<T>(json: &Value, name: &str, read: impl Fn(&Value) -> Result<T>) -> Result<Vec<T>> {
    match &json[name] {
        Value::Null => Ok(Vec::new()),
        Value::Array(elements) => {
            elements.iter().map(|element| read(element).with_context(|| name.to_owned())).collect()
        }
        other => bail!("{name} is {other}"),
    }
}

fn optional<T>(json: &Value, name: &str, read: impl Fn(&Value) -> Result<T>) -> Result<Option<T>> {
    match &json[name] {
        Value::Null => Ok(None),
        other => read(other).with_context(|| name.to_owned()).map(Some),
    }
}

fn text(json: &Value, name: &str) -> Result<String> {
    match &json[name] {
        Value::Null => Ok(String::new()),
        Value::String(text) => Ok(text.clone()),
        other => bail!("{name} is {other}"),
    }
}

/// A whole number, as such or as text.
fn number<T: TryFrom<i128> + Default>(json: &Value, name: &str) -> Result<T> {
    let number = match &json[name] {
        Value::Null => return Ok(T::default()),
        Value::Number(number) => number.to_string().parse::<i128>().ok(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    let number = number.and_then(|number| T::try_from(number).ok());
    number.with_context(|| format!("{name} is {}", json[name]))
}

fn id(json: &Value, name: &str) -> Result<Vec<u8>> {
    let digits = text(json, name)?;
    ensure_hex(&digits).with_context(|| format!("{name} is {digits}"))?;
    let pairs = digits.as_bytes().chunks(2);
    pairs.map(|pair| Ok(u8::from_str_radix(str::from_utf8(pair)?, 16)?)).collect()
}

fn ensure_hex(digits: &str) -> Result<()> {
    anyhow::ensure!(digits.len().is_multiple_of(2), "an odd number of digits");
    anyhow::ensure!(digits.bytes().all(|byte| byte.is_ascii_hexdigit()), "not hexadecimal");
    Ok(())
}
