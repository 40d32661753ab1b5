//! From what JSON holds to the messages of protobuf.

use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList, any_value,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status, span};

use super::{
    JsonAnyValue, JsonEvent, JsonKeyValue, JsonLink, JsonResource, JsonResourceSpans, JsonScope,
    JsonScopeSpans, JsonSpan, JsonStatus,
};

impl From<JsonResourceSpans> for ResourceSpans {
    fn from(json: JsonResourceSpans) -> Self {
        Self {
            resource: json.resource.map(Resource::from),
            scope_spans: json.scope_spans.0,
            schema_url: json.schema_url.0,
        }
    }
}

impl From<JsonResource> for Resource {
    fn from(json: JsonResource) -> Self {
        Self {
            attributes: json.attributes.0,
            dropped_attributes_count: json.dropped_attributes_count.0,
            entity_refs: Vec::new(),
        }
    }
}

impl From<JsonScopeSpans> for ScopeSpans {
    fn from(json: JsonScopeSpans) -> Self {
        Self {
            scope: json.scope.map(InstrumentationScope::from),
            spans: json.spans.0,
            schema_url: json.schema_url.0,
        }
    }
}

impl From<JsonScope> for InstrumentationScope {
    fn from(json: JsonScope) -> Self {
        Self {
            name: json.name.0,
            version: json.version.0,
            attributes: json.attributes.0,
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
            attributes: json.attributes.0,
            dropped_attributes_count: json.dropped_attributes_count.0,
            events: json.events.0,
            dropped_events_count: json.dropped_events_count.0,
            links: json.links.0,
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
            attributes: json.attributes.0,
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
            attributes: json.attributes.0,
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
            Some(any_value::Value::StringValue(text.0))
        } else if let Some(bool) = json.bool_value {
            Some(any_value::Value::BoolValue(bool))
        } else if let Some(int) = json.int_value {
            Some(any_value::Value::IntValue(int.0))
        } else if let Some(array) = json.array_value {
            Some(any_value::Value::ArrayValue(ArrayValue { values: array.values.0 }))
        } else if let Some(list) = json.kvlist_value {
            Some(any_value::Value::KvlistValue(KeyValueList { values: list.values.0 }))
        } else if let Some(bytes) = json.bytes_value {
            Some(any_value::Value::BytesValue(bytes.0))
        } else {
            json.double_value.0.map(any_value::Value::DoubleValue)
        };
        Self { value }
    }
}
