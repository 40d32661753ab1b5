//! Requests of every kind.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use spillway_fuzz::wire::NOW;
use spillway_proto::otlp::ExportTraceServiceRequest;
use spillway_proto::otlp::common::v1::any_value::Value;
use spillway_proto::otlp::common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList};
use spillway_proto::otlp::resource::v1::Resource;
use spillway_proto::otlp::trace::v1::span::{Event, Link};
use spillway_proto::otlp::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};

const START: u64 = NOW.0 * 1_000_000;

/// Resources, scopes and spans, some of which are there and others not.
pub fn export_request() -> impl Strategy<Value = ExportTraceServiceRequest> {
    let scope = (option::of((text(), text(), attributes())), text(), vec(span(), 0..4)).prop_map(
        |(scope, schema_url, spans)| {
            let scope = scope.map(|(name, version, attributes)| InstrumentationScope {
                name,
                version,
                attributes,
                dropped_attributes_count: 1,
            });
            ScopeSpans { scope, spans, schema_url }
        },
    );
    let resource = (option::of(resource()), text(), vec(scope, 0..3))
        .prop_map(|(resource, schema_url, scope_spans)| ResourceSpans { resource, scope_spans, schema_url });
    vec(resource, 0..3).prop_map(|resource_spans| ExportTraceServiceRequest { resource_spans })
}

/// Spans whose names, keys, resources and scopes are all different.
pub fn of_many_names(spans: u32) -> ExportTraceServiceRequest {
    let pair = |of: &str, number: u32| {
        let value = Some(AnyValue { value: Some(Value::StringValue(format!("{of} {number}"))) });
        vec![KeyValue { key: format!("key {number}"), value, key_strindex: 0 }]
    };
    let resource = |number: u32| {
        let span = Span {
            trace_id: vec![1; 16],
            span_id: (u64::from(number) + 1).to_be_bytes().to_vec(),
            name: format!("span {}", number.reverse_bits()),
            start_time_unix_nano: START,
            attributes: pair("of a span", number),
            ..Span::default()
        };
        let scope = InstrumentationScope {
            name: format!("scope {number}"),
            version: number.to_string(),
            ..InstrumentationScope::default()
        };
        let resource = Resource { attributes: pair("of a resource", number), ..Resource::default() };
        let scope_spans = ScopeSpans { scope: Some(scope), spans: vec![span], ..ScopeSpans::default() };
        ResourceSpans { resource: Some(resource), scope_spans: vec![scope_spans], ..ResourceSpans::default() }
    };
    ExportTraceServiceRequest { resource_spans: (0..spans).map(resource).collect() }
}

/// With the name of a service, or two: the first one counts.
fn resource() -> impl Strategy<Value = Resource> {
    (attributes(), vec(option::of(value()), 0..3), attributes()).prop_map(|(before, services, after)| {
        let service = |value| KeyValue { key: "service.name".to_owned(), value, key_strindex: 0 };
        let attributes = before.into_iter().chain(services.into_iter().map(service)).chain(after).collect();
        Resource { attributes, ..Resource::default() }
    })
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), "[a-c]{1,2}", ".{0,8}", Just("long ".repeat(60))]
}

fn value() -> impl Strategy<Value = AnyValue> {
    let leaf = prop_oneof![
        Just(None),
        text().prop_map(|text| Some(Value::StringValue(text))),
        any::<bool>().prop_map(|bool| Some(Value::BoolValue(bool))),
        any::<i64>().prop_map(|int| Some(Value::IntValue(int))),
        any::<f64>().prop_map(|double| Some(Value::DoubleValue(double))),
        any::<i32>().prop_map(|int| Some(Value::DoubleValue(f64::from(int) / 100.0))),
        any::<i32>().prop_map(|index| Some(Value::StringValueStrindex(index))),
        vec(any::<u8>(), 0..12).prop_map(|bytes| Some(Value::BytesValue(bytes))),
    ];
    leaf.prop_map(|value| AnyValue { value }).prop_recursive(4, 12, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(|values| Value::ArrayValue(ArrayValue { values })),
            vec((text(), option::of(inner)), 0..3).prop_map(|pairs| {
                let pair = |(key, value)| KeyValue { key, value, key_strindex: 0 };
                Value::KvlistValue(KeyValueList { values: pairs.into_iter().map(pair).collect() })
            }),
        ]
        .prop_map(|value| AnyValue { value: Some(value) })
    })
}

fn attributes() -> impl Strategy<Value = Vec<KeyValue>> {
    let pair =
        (text(), option::of(value())).prop_map(|(key, value)| KeyValue { key, value, key_strindex: 0 });
    vec(pair, 0..4)
}

fn id(bytes: usize) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![12 => vec(any::<u8>(), bytes), 1 => Just(vec![0; bytes]), 1 => vec(any::<u8>(), 0..20)]
}

fn parent() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![Just(Vec::new()), Just(vec![0; 8]), vec(any::<u8>(), 8)]
}

fn time() -> impl Strategy<Value = u64> {
    let around = 3 * 1_000_000_000;
    prop_oneof![12 => START - around..START + around, 1 => any::<u64>(), 1 => Just(0)]
}

fn number() -> impl Strategy<Value = u32> {
    prop_oneof![Just(0), 0u32..7, any::<u32>()]
}

fn span() -> impl Strategy<Value = Span> {
    let event =
        (time(), text(), attributes(), number()).prop_map(|(time_unix_nano, name, attributes, dropped)| {
            Event { time_unix_nano, name, attributes, dropped_attributes_count: dropped }
        });
    let link = (id(16), parent(), text(), attributes(), number()).prop_map(
        |(trace_id, span_id, trace_state, attributes, number)| Link {
            trace_id,
            span_id,
            trace_state,
            attributes,
            dropped_attributes_count: number,
            flags: number,
        },
    );
    let status = (text(), number()).prop_map(|(message, code)| Status { message, code: code.cast_signed() });
    let lists = (attributes(), vec(event, 0..3), vec(link, 0..2), option::of(status));
    let numbers = (number(), number(), number(), number(), number());
    ((id(16), id(8), parent()), (text(), text()), (time(), time()), numbers, lists).prop_map(
        |(
            (trace_id, span_id, parent_span_id),
            (name, trace_state),
            (start_time_unix_nano, end_time_unix_nano),
            (kind, flags, dropped_attributes_count, dropped_events_count, dropped_links_count),
            (attributes, events, links, status),
        )| Span {
            trace_id,
            span_id,
            trace_state,
            parent_span_id,
            flags,
            name,
            kind: kind.cast_signed(),
            start_time_unix_nano,
            end_time_unix_nano,
            attributes,
            dropped_attributes_count,
            events,
            dropped_events_count,
            links,
            dropped_links_count,
            status,
        },
    )
}
