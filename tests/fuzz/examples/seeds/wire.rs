//! Export requests in protobuf.

use prost::Message;
use prost::encoding::bytes::encode as field;
use spillway_fuzz::wire::NOW;
use spillway_generator::order::Order;
use spillway_generator::written::{Form, written};
use spillway_proto::otlp::common::v1::any_value::Value;
use spillway_proto::otlp::common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList};
use spillway_proto::otlp::resource::v1::Resource;
use spillway_proto::otlp::trace::v1::span::{Event, Link};
use spillway_proto::otlp::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use spillway_proto::otlp::{Encoding, ExportTraceServiceRequest, decode};

use crate::Seeds;
use crate::json::{FLARE, SPECIFICATION};

const START: u64 = NOW.0 * 1_000_000;
const DAY: u64 = 86_400 * 1_000_000_000;

pub fn seeds() -> Seeds {
    let of_json =
        |json: &str| decode(json.as_bytes(), Encoding::Json).expect("a request in JSON").encode_to_vec();
    let whole = whole().encode_to_vec();
    let bad_text = {
        let mut body = whole.clone();
        let place = body.windows(4).position(|text| text == b"span").expect("its name");
        body[place] = 0xff;
        body
    };
    let in_form = |request: &[u8], form| written(request, form).expect("prost has written it");
    let descending = Form::InOrder(Order::Descending);
    let specification = of_json(SPECIFICATION);
    let array = |value| Value::ArrayValue(ArrayValue { values: vec![value] });
    let map = |value| Value::KvlistValue(KeyValueList { values: vec![pair("k", value)] });
    vec![
        ("empty", vec![]),
        ("specification", specification.clone()),
        ("specification-descending", in_form(&specification, descending)),
        ("flare", of_json(FLARE)),
        ("every-field", whole.clone()),
        ("every-field-descending", in_form(&whole, descending)),
        ("every-field-padded-lengths", in_form(&whole, Form::PaddedLengths)),
        ("cut", whole[..whole.len() - 1].to_vec()),
        ("two-glued", [whole.as_slice(), whole.as_slice()].concat()),
        ("text-not-utf8", bad_text),
        ("many-days", request((0..40).map(|day| Span { start_time_unix_nano: START - day * DAY, ..span() }))),
        ("bad-ids", request(bad_ids())),
        ("bad-times", request(bad_times())),
        ("large", request([Span { name: "n".repeat(4_097), ..span() }, valued(text(&"v".repeat(300)))])),
        (
            "many",
            request([Span { events: vec![Event::default(); 5], links: vec![Link::default(); 5], ..span() }]),
        ),
        ("spans-merged", nested(&[2, 2, 1], &[span().encode_to_vec(), rich().encode_to_vec()].concat())),
        ("resources-merged", nested(&[1, 1], &[4_u8; 0])),
        ("values-merged", merged(array(text("one")), array(text("two")))),
        ("maps-merged", merged(map(text("one")), map(text("two")))),
        ("value-replaced", merged(array(text("one")), Value::StringValue("two".to_owned()))),
        ("value-emptied", merged(Value::StringValue("one".to_owned()), array(AnyValue::default()))),
        ("arrays-47-deep", request([valued(deep(47, array))])),
        ("arrays-48-deep", request([valued(deep(48, array))])),
        ("maps-31-deep", request([valued(deep(31, map))])),
        ("maps-32-deep", request([valued(deep(32, map))])),
        ("group", vec![0x1b, 0x08, 1, 0x1c]),
        ("groups-nested", [[0x1b; 100], [0x1c; 100]].concat()),
        ("group-open", vec![0x1b]),
        ("group-in-span", nested(&[2, 2, 1], &[0xa3, 0x01, 0x0d, 1, 2, 3, 4, 0xa4, 0x01])),
        (
            "unknown-fields",
            nested(&[2, 2, 1], &[0xa0, 0x06, 1, 0xa1, 0x06, 1, 2, 3, 4, 5, 6, 7, 8, 0xa2, 0x06, 1, 9]),
        ),
        ("field-zero", vec![0x00]),
        ("wire-type-7", vec![0x0f]),
        ("key-too-large", vec![0xf8, 0xff, 0xff, 0xff, 0x1f, 1]),
        ("varint-of-ten-bytes", [&[0x18][..], &[0xff; 9], &[0x01]].concat()),
        ("varint-too-long", [&[0x18][..], &[0xff; 9], &[0x02]].concat()),
        ("varint-overlong", vec![0x8a, 0x00, 0x80, 0x00]),
        ("name-as-number", nested(&[2, 2, 1], &[0x28, 1])),
        ("length-too-large", vec![0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f]),
    ]
}

fn span() -> Span {
    Span {
        trace_id: (1..=16).collect(),
        span_id: (1..=8).collect(),
        name: "span".to_owned(),
        kind: 2,
        start_time_unix_nano: START,
        end_time_unix_nano: START + 1_000_000,
        ..Span::default()
    }
}

/// A span whose every field is set.
fn rich() -> Span {
    let values = [
        Value::StringValue("text".to_owned()),
        Value::BoolValue(true),
        Value::IntValue(-5),
        Value::DoubleValue(0.25),
        Value::BytesValue(vec![0, 255]),
        Value::StringValueStrindex(3),
        Value::ArrayValue(ArrayValue { values: vec![text("a"), AnyValue::default()] }),
        Value::KvlistValue(KeyValueList { values: vec![pair("a", text("b")), KeyValue::default()] }),
    ];
    let attributes: Vec<_> =
        values.into_iter().map(|value| pair("attribute", AnyValue { value: Some(value) })).collect();
    Span {
        trace_state: "vendor=x".to_owned(),
        parent_span_id: vec![9; 8],
        flags: 257,
        dropped_attributes_count: 1,
        events: vec![Event {
            time_unix_nano: START,
            name: "event".to_owned(),
            attributes: attributes.clone(),
            dropped_attributes_count: 2,
        }],
        dropped_events_count: 3,
        links: vec![Link {
            trace_id: vec![7; 16],
            span_id: vec![8; 8],
            trace_state: "l=m".to_owned(),
            attributes: attributes.clone(),
            dropped_attributes_count: 4,
            flags: 1,
        }],
        dropped_links_count: 5,
        status: Some(Status { message: "bad".to_owned(), code: 2 }),
        attributes,
        ..span()
    }
}

/// A request whose every message has every field.
pub fn whole() -> ExportTraceServiceRequest {
    let scope = InstrumentationScope {
        name: "scope".to_owned(),
        version: "1".to_owned(),
        attributes: vec![pair("s", text("t"))],
        dropped_attributes_count: 1,
    };
    let resource = Resource {
        attributes: vec![pair("service.name", text("shop"))],
        dropped_attributes_count: 1,
        entity_refs: vec![Default::default()],
    };
    let scope_spans =
        ScopeSpans { scope: Some(scope), spans: vec![rich(), span()], schema_url: "https://s".to_owned() };
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(resource),
            scope_spans: vec![scope_spans, ScopeSpans::default()],
            schema_url: "https://r".to_owned(),
        }],
    }
}

fn bad_ids() -> [Span; 6] {
    let link = |trace_id: &[u8], span_id: &[u8]| {
        vec![Link { trace_id: trace_id.to_vec(), span_id: span_id.to_vec(), ..Link::default() }]
    };
    [
        Span { trace_id: vec![1; 15], ..span() },
        Span { trace_id: vec![0; 16], ..span() },
        Span { span_id: vec![], ..span() },
        Span { parent_span_id: vec![1; 7], ..span() },
        Span { links: link(&[1; 16], &[1; 7]), ..span() },
        Span { links: link(&[], &[]), ..span() },
    ]
}

fn bad_times() -> [Span; 5] {
    [
        Span { start_time_unix_nano: 0, ..span() },
        Span { end_time_unix_nano: u64::MAX, ..span() },
        Span { end_time_unix_nano: START - 1, ..span() },
        Span { end_time_unix_nano: START + 2 * DAY, ..span() },
        Span { events: vec![Event { time_unix_nano: u64::MAX, ..Event::default() }], ..span() },
    ]
}

fn request(spans: impl IntoIterator<Item = Span>) -> Vec<u8> {
    let scope_spans = ScopeSpans { spans: spans.into_iter().collect(), ..ScopeSpans::default() };
    let resource_spans = ResourceSpans { scope_spans: vec![scope_spans], ..ResourceSpans::default() };
    ExportTraceServiceRequest { resource_spans: vec![resource_spans] }.encode_to_vec()
}

/// A message in the fields of those numbers, from the innermost one outwards.
fn nested(fields: &[u32], message: &[u8]) -> Vec<u8> {
    fields.iter().fold(message.to_vec(), |inner, number| {
        let mut outer = Vec::new();
        field(*number, &inner, &mut outer);
        outer
    })
}

/// A span with an attribute whose value is there three times: twice in one message, and again in the attribute.
fn merged(first: Value, second: Value) -> Vec<u8> {
    let [first, second] = [first, second].map(|value| AnyValue { value: Some(value) }.encode_to_vec());
    let mut attribute = nested(&[2], &[first, second.clone()].concat());
    field(2, &second, &mut attribute);
    let mut span = span().encode_to_vec();
    field(9, &attribute, &mut span);
    nested(&[2, 2, 1], &span)
}

fn deep(levels: usize, around: impl Fn(AnyValue) -> Value) -> AnyValue {
    (0..levels).fold(text("x"), |inner, _| AnyValue { value: Some(around(inner)) })
}

fn valued(value: AnyValue) -> Span {
    Span { attributes: vec![pair("k", value)], ..span() }
}

fn pair(key: &str, value: AnyValue) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(value), key_strindex: 0 }
}

fn text(text: &str) -> AnyValue {
    AnyValue { value: Some(Value::StringValue(text.to_owned())) }
}
