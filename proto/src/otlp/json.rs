//! OTLP's JSON mapping, as exporters really write it: <https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding>.
//!
//! More is read than the mapping allows: nulls for missing values, snake_case names, enum names, NaN as text or null,
//! 64-bit integers as numbers or strings. Ids are hexadecimal, in either case; base64 ids, which some SDKs send, are
//! refused with an error that says so.

use std::marker::PhantomData;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList, any_value,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status, span};
use serde::de::{Error, Unexpected};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::DecodeError;

pub(super) fn decode(body: &[u8]) -> Result<ExportTraceServiceRequest, DecodeError> {
    // serde would read a list as an object's fields in their order.
    if body.trim_ascii_start().first() != Some(&b'{') {
        let source = serde_json::Error::custom("the request must be an object");
        return Err(DecodeError::Json { path: ".".to_owned(), source });
    }
    let mut reader = serde_json::Deserializer::from_slice(body);
    let request: JsonRequest = serde_path_to_error::deserialize(&mut reader)
        .map_err(|error| DecodeError::Json { path: error.path().to_string(), source: error.into_inner() })?;
    reader.end().map_err(|source| DecodeError::Json { path: ".".to_owned(), source })?;
    Ok(ExportTraceServiceRequest { resource_spans: all(request.resource_spans.0) })
}

fn all<A, B: From<A>>(list: Vec<A>) -> Vec<B> {
    list.into_iter().map(B::from).collect()
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
    resource_spans or "resource_spans": List<JsonResourceSpans>;
});

message!(JsonResourceSpans {
    resource: Option<JsonResource>;
    scope_spans or "scope_spans": List<JsonScopeSpans>;
    schema_url or "schema_url": Text;
});

message!(JsonResource {
    attributes: List<JsonKeyValue>;
    dropped_attributes_count or "dropped_attributes_count": Int<u32>;
});

message!(JsonScopeSpans {
    scope: Option<JsonScope>;
    spans: List<JsonSpan>;
    schema_url or "schema_url": Text;
});

message!(JsonScope {
    name: Text;
    version: Text;
    attributes: List<JsonKeyValue>;
    dropped_attributes_count or "dropped_attributes_count": Int<u32>;
});

message!(JsonSpan {
    trace_id or "trace_id": HexId;
    span_id or "span_id": HexId;
    trace_state or "trace_state": Text;
    parent_span_id or "parent_span_id": HexId;
    flags: Int<u32>;
    name: Text;
    kind: EnumOf<span::SpanKind>;
    start_time_unix_nano or "start_time_unix_nano": Int<u64>;
    end_time_unix_nano or "end_time_unix_nano": Int<u64>;
    attributes: List<JsonKeyValue>;
    dropped_attributes_count or "dropped_attributes_count": Int<u32>;
    events: List<JsonEvent>;
    dropped_events_count or "dropped_events_count": Int<u32>;
    links: List<JsonLink>;
    dropped_links_count or "dropped_links_count": Int<u32>;
    status: Option<JsonStatus>;
});

message!(JsonEvent {
    time_unix_nano or "time_unix_nano": Int<u64>;
    name: Text;
    attributes: List<JsonKeyValue>;
    dropped_attributes_count or "dropped_attributes_count": Int<u32>;
});

message!(JsonLink {
    trace_id or "trace_id": HexId;
    span_id or "span_id": HexId;
    trace_state or "trace_state": Text;
    attributes: List<JsonKeyValue>;
    dropped_attributes_count or "dropped_attributes_count": Int<u32>;
    flags: Int<u32>;
});

message!(JsonStatus {
    message: Text;
    code: EnumOf<StatusCode>;
});

message!(JsonKeyValue {
    key: Text;
    value: Option<JsonAnyValue>;
});

message!(JsonAnyValue {
    string_value or "string_value": Option<String>;
    bool_value or "bool_value": Option<bool>;
    int_value or "int_value": Option<Int<i64>>;
    double_value or "double_value": Double;
    array_value or "array_value": Option<JsonArrayValue>;
    kvlist_value or "kvlist_value": Option<JsonKeyValueList>;
    bytes_value or "bytes_value": Option<Base64>;
});

message!(JsonArrayValue {
    values: Option<Vec<Option<JsonAnyValue>>>;
});

message!(JsonKeyValueList {
    values: List<JsonKeyValue>;
});

/// Text; null is empty.
#[derive(Default)]
struct Text(String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        Ok(Self(Option::deserialize(reader)?.unwrap_or_default()))
    }
}

/// A list; null is empty, and nulls in it are left out.
struct List<T>(Vec<T>);

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        let elements: Option<Vec<Option<T>>> = Option::deserialize(reader)?;
        Ok(Self(elements.into_iter().flatten().flatten().collect()))
    }
}

/// An integer as a number or as decimal text; null is 0.
#[derive(Default)]
struct Int<T>(T);

impl<'de, T: TryFrom<i128>> Deserialize<'de> for Int<T> {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(reader)?;
        let wide = match &value {
            Value::Null => Some(0),
            Value::Number(number) => whole(number),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        wide.and_then(|wide| T::try_from(wide).ok()).map(Self).ok_or_else(|| {
            let range = std::any::type_name::<T>();
            D::Error::custom(format_args!("{value} is not an integer of the range of {range}"))
        })
    }
}

/// The integer that a number is, `1.5e9` included.
fn whole(number: &serde_json::Number) -> Option<i128> {
    let float = || {
        number.as_f64().filter(|float| float.fract() == 0.0 && float.abs() < 1e19).map(|float| float as i128)
    };
    number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from)).or_else(float)
}

/// A double as a number, as decimal text, or as one of the names of the mapping. Null, as some write NaN, is NaN; only
/// a missing field is none.
#[derive(Default)]
struct Double(Option<f64>);

impl<'de> Deserialize<'de> for Double {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        let double = match Value::deserialize(reader)? {
            Value::Null => Some(f64::NAN),
            Value::Number(number) => number.as_f64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        double.map(|double| Self(Some(double))).ok_or_else(|| D::Error::custom("not a number"))
    }
}

/// An id in hexadecimal, in either case; null is empty.
#[derive(Default)]
struct HexId(Vec<u8>);

impl<'de> Deserialize<'de> for HexId {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        let text: String = Option::deserialize(reader)?.unwrap_or_default();
        hex::decode(&text).map(Self).map_err(|_| {
            let expected = match BASE64.decode(&text).map(|bytes| bytes.len()) {
                Ok(8 | 16) => "an id in hexadecimal; this one seems to be base64, which OTLP's JSON does not use for ids",
                _ => "an id in hexadecimal",
            };
            D::Error::invalid_value(Unexpected::Str(&text), &expected)
        })
    }
}

/// Bytes in base64.
struct Base64(Vec<u8>);

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        let text = String::deserialize(reader)?;
        BASE64.decode(&text).map(Self).map_err(|error| D::Error::custom(format_args!("not base64: {error}")))
    }
}

/// A protobuf enum whose values have names.
trait Enumeration {
    fn by_name(name: &str) -> Option<i32>;
}

impl Enumeration for span::SpanKind {
    fn by_name(name: &str) -> Option<i32> {
        Self::from_str_name(name).map(i32::from)
    }
}

impl Enumeration for StatusCode {
    fn by_name(name: &str) -> Option<i32> {
        Self::from_str_name(name).map(i32::from)
    }
}

/// An enum as its number or its name; null is 0. Numbers that have no name yet are kept.
struct EnumOf<E>(i32, PhantomData<E>);

impl<E> Default for EnumOf<E> {
    fn default() -> Self {
        Self(0, PhantomData)
    }
}

impl<'de, E: Enumeration> Deserialize<'de> for EnumOf<E> {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(reader)?;
        let number = match &value {
            Value::Null => Some(0),
            Value::Number(number) => whole(number).and_then(|wide| i32::try_from(wide).ok()),
            Value::String(name) => E::by_name(name),
            _ => None,
        };
        let unknown = || D::Error::custom(format_args!("{value} is not a value of the enum"));
        number.map(|number| Self(number, PhantomData)).ok_or_else(unknown)
    }
}

impl From<JsonResourceSpans> for ResourceSpans {
    fn from(json: JsonResourceSpans) -> Self {
        Self {
            resource: json.resource.map(Resource::from),
            scope_spans: all(json.scope_spans.0),
            schema_url: json.schema_url.0,
        }
    }
}

impl From<JsonResource> for Resource {
    fn from(json: JsonResource) -> Self {
        Self {
            attributes: all(json.attributes.0),
            dropped_attributes_count: json.dropped_attributes_count.0,
            entity_refs: Vec::new(),
        }
    }
}

impl From<JsonScopeSpans> for ScopeSpans {
    fn from(json: JsonScopeSpans) -> Self {
        Self {
            scope: json.scope.map(InstrumentationScope::from),
            spans: all(json.spans.0),
            schema_url: json.schema_url.0,
        }
    }
}

impl From<JsonScope> for InstrumentationScope {
    fn from(json: JsonScope) -> Self {
        Self {
            name: json.name.0,
            version: json.version.0,
            attributes: all(json.attributes.0),
            dropped_attributes_count: json.dropped_attributes_count.0,
        }
    }
}

impl From<JsonSpan> for Span {
    fn from(json: JsonSpan) -> Self {
        Self {
            trace_id: json.trace_id.0,
            span_id: json.span_id.0,
            trace_state: json.trace_state.0,
            parent_span_id: json.parent_span_id.0,
            flags: json.flags.0,
            name: json.name.0,
            kind: json.kind.0,
            start_time_unix_nano: json.start_time_unix_nano.0,
            end_time_unix_nano: json.end_time_unix_nano.0,
            attributes: all(json.attributes.0),
            dropped_attributes_count: json.dropped_attributes_count.0,
            events: all(json.events.0),
            dropped_events_count: json.dropped_events_count.0,
            links: all(json.links.0),
            dropped_links_count: json.dropped_links_count.0,
            status: json.status.map(Status::from),
        }
    }
}

impl From<JsonEvent> for span::Event {
    fn from(json: JsonEvent) -> Self {
        Self {
            time_unix_nano: json.time_unix_nano.0,
            name: json.name.0,
            attributes: all(json.attributes.0),
            dropped_attributes_count: json.dropped_attributes_count.0,
        }
    }
}

impl From<JsonLink> for span::Link {
    fn from(json: JsonLink) -> Self {
        Self {
            trace_id: json.trace_id.0,
            span_id: json.span_id.0,
            trace_state: json.trace_state.0,
            attributes: all(json.attributes.0),
            dropped_attributes_count: json.dropped_attributes_count.0,
            flags: json.flags.0,
        }
    }
}

impl From<JsonStatus> for Status {
    fn from(json: JsonStatus) -> Self {
        Self { message: json.message.0, code: json.code.0 }
    }
}

impl From<JsonKeyValue> for KeyValue {
    fn from(json: JsonKeyValue) -> Self {
        Self { key: json.key.0, value: json.value.map(AnyValue::from), key_strindex: 0 }
    }
}

impl From<JsonAnyValue> for AnyValue {
    fn from(json: JsonAnyValue) -> Self {
        let value = if let Some(text) = json.string_value {
            Some(any_value::Value::StringValue(text))
        } else if let Some(bool) = json.bool_value {
            Some(any_value::Value::BoolValue(bool))
        } else if let Some(int) = json.int_value {
            Some(any_value::Value::IntValue(int.0))
        } else if let Some(array) = json.array_value {
            let values = array
                .values
                .into_iter()
                .flatten()
                .map(|element| element.unwrap_or_default().into())
                .collect();
            Some(any_value::Value::ArrayValue(ArrayValue { values }))
        } else if let Some(list) = json.kvlist_value {
            Some(any_value::Value::KvlistValue(KeyValueList { values: all(list.values.0) }))
        } else if let Some(bytes) = json.bytes_value {
            Some(any_value::Value::BytesValue(bytes.0))
        } else {
            json.double_value.0.map(any_value::Value::DoubleValue)
        };
        Self { value }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(json: &str) -> Result<Span, DecodeError> {
        let body = format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{json}]}}]}}]}}"#);
        decode(body.as_bytes())
            .map(|mut request| request.resource_spans.remove(0).scope_spans.remove(0).spans.remove(0))
    }

    fn value(json: &str) -> Option<any_value::Value> {
        let span = span(&format!(r#"{{"attributes":[{{"key":"k","value":{json}}}]}}"#)).unwrap();
        span.attributes.into_iter().next().unwrap().value.and_then(|value| value.value)
    }

    #[test]
    fn an_empty_request_is_a_request() {
        for body in ["{}", r#"{"resourceSpans":[]}"#, r#"{"resourceSpans":null}"#] {
            assert_eq!(decode(body.as_bytes()).unwrap(), ExportTraceServiceRequest::default());
        }
    }

    #[test]
    fn ids_are_hexadecimal_in_either_case() {
        let span = span(
            r#"{"traceId":"5B8EFFF798038103D269B633813FC60C","spanId":"eee19b7ec3c1b174","parentSpanId":null}"#,
        );
        let span = span.unwrap();
        assert_eq!(hex::encode(&span.trace_id), "5b8efff798038103d269b633813fc60c");
        assert_eq!(hex::encode(&span.span_id), "eee19b7ec3c1b174");
        assert!(span.parent_span_id.is_empty());
    }

    #[test]
    fn a_base64_id_is_refused_with_its_path_and_what_it_seems_to_be() {
        let error = span(r#"{"traceId":"W47/95gDgQPSabYzgT/GDA=="}"#).unwrap_err();
        assert_eq!(error.field(), "resourceSpans[0].scopeSpans[0].spans[0].traceId");
        assert!(error.to_string().contains("base64"), "{error}");
    }

    #[test]
    fn integers_are_numbers_or_text_and_enums_numbers_or_names() {
        let a = span(
            r#"{"startTimeUnixNano":"1544712660000000001","endTimeUnixNano":1544712661000000001,"kind":2}"#,
        );
        let b = span(
            r#"{"start_time_unix_nano":1544712660000000001,"end_time_unix_nano":"1544712661000000001","kind":"SPAN_KIND_SERVER"}"#,
        );
        assert_eq!(a.unwrap(), b.unwrap());
        assert!(span(r#"{"startTimeUnixNano":-1}"#).is_err());
        assert!(span(r#"{"kind":"SERVER"}"#).is_err());
    }

    #[test]
    fn nulls_and_unknown_fields_are_as_if_absent() {
        let json = r#"{"name":"n","kind":null,"endTimeUnixNano":null,"status":null,"attributes":[null],"events":null,
            "droppedLinksCount":null,"someNewField":{"a":[1]}}"#;
        assert_eq!(span(json).unwrap(), Span { name: "n".into(), ..Span::default() });
    }

    #[test]
    fn every_kind_of_value_is_read() {
        use any_value::Value::*;
        assert_eq!(value(r#"{"stringValue":""}"#), Some(StringValue(String::new())));
        assert_eq!(value(r#"{"boolValue":false}"#), Some(BoolValue(false)));
        assert_eq!(value(r#"{"intValue":"-9223372036854775808"}"#), Some(IntValue(i64::MIN)));
        assert_eq!(value(r#"{"doubleValue":1}"#), Some(DoubleValue(1.0)));
        assert_eq!(value(r#"{"doubleValue":"-Infinity"}"#), Some(DoubleValue(f64::NEG_INFINITY)));
        assert!(matches!(value(r#"{"doubleValue":null}"#), Some(DoubleValue(nan)) if nan.is_nan()));
        assert_eq!(value(r#"{"bytesValue":"aGk="}"#), Some(BytesValue(b"hi".to_vec())));
        assert_eq!(value("{}"), None);
        assert_eq!(value("null"), None);
        let Some(ArrayValue(array)) = value(r#"{"arrayValue":{"values":[{"intValue":1},null]}}"#) else {
            panic!("an array")
        };
        assert_eq!(array.values, [AnyValue { value: Some(IntValue(1)) }, AnyValue { value: None }]);
        let Some(KvlistValue(list)) = value(r#"{"kvlistValue":{"values":[{"key":"a","value":null},null]}}"#)
        else {
            panic!("a list")
        };
        assert_eq!(list.values, [KeyValue { key: "a".into(), value: None, key_strindex: 0 }]);
    }

    #[test]
    fn what_follows_the_request_is_an_error() {
        assert!(decode(b"{} {}").is_err());
        assert!(decode(b"[]").is_err());
        assert!(decode(b"").is_err());
    }
}
