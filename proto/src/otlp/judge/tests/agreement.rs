//! The pass agrees with `prost` on every input, and with a reference that walks the messages.

use opentelemetry_proto::tonic::common::v1::{InstrumentationScope, KeyValueList};
use proptest::prelude::*;

use super::*;

/// What the first rules look at, from the messages that `prost` makes.
fn facts_of<'a>(span: &'a Span, shared: &Shared, limits: &SpanLimits) -> SpanFacts<'a> {
    let lists = || {
        [&span.attributes]
            .into_iter()
            .chain(span.events.iter().map(|event| &event.attributes))
            .chain(span.links.iter().map(|link| &link.attributes))
    };
    let attributes = || lists().flatten();
    let names =
        attributes().map(|attribute| &attribute.key).chain(span.events.iter().map(|event| &event.name));
    let values = attributes().map(|attribute| attribute.value.as_ref().map_or(SCALAR_BYTES, size));
    let texts = [&span.trace_state].into_iter().chain(span.links.iter().map(|link| &link.trace_state));
    let status = span.status.as_ref().map_or(0, |status| status.message.len());
    let longest_name =
        names.map(String::len).max().unwrap_or(0).max(span.name.len()).max(shared.longest_name);
    let most_attributes = lists().map(Vec::len).max().unwrap_or(0).max(shared.most_attributes);
    let largest_value =
        values.chain(texts.map(String::len)).max().unwrap_or(0).max(status).max(shared.largest_value);
    let has_bad_link = span
        .links
        .iter()
        .any(|link| !matches!(link.trace_id.len(), 0 | 16) || !matches!(link.span_id.len(), 0 | 8));
    let broken = [
        (longest_name > limits.max_name_bytes as usize, Repair::NameCut),
        (most_attributes > limits.max_attributes as usize, Repair::AttributesDropped),
        (largest_value > limits.max_value_bytes as usize, Repair::ValueCut),
        (span.events.len() > limits.max_events as usize, Repair::EventsDropped),
        (span.links.len() > limits.max_links as usize, Repair::LinksDropped),
        (has_bad_link, Repair::InvalidLink),
    ];
    SpanFacts {
        shared_bytes: shared.bytes,
        trace_id: &span.trace_id,
        span_id: &span.span_id,
        parent_span_id: &span.parent_span_id,
        start: span.start_time_unix_nano,
        end: span.end_time_unix_nano,
        latest_event: span.events.iter().map(|event| event.time_unix_nano).max().unwrap_or(0),
        found: broken.into_iter().filter_map(|(is_broken, repair)| is_broken.then_some(repair)).collect(),
        ..SpanFacts::default()
    }
}

/// What the spans of a resource and a scope have in common.
struct Shared {
    bytes: usize,
    longest_name: usize,
    most_attributes: usize,
    largest_value: usize,
}

fn size(value: &AnyValue) -> usize {
    match &value.value {
        Some(AnyValueKind::StringValue(text)) => text.len(),
        Some(AnyValueKind::BytesValue(bytes)) => bytes.len(),
        Some(AnyValueKind::ArrayValue(array)) => array.values.iter().map(size).sum(),
        Some(AnyValueKind::KvlistValue(list)) => list
            .values
            .iter()
            .map(|pair| pair.key.len() + pair.value.as_ref().map_or(SCALAR_BYTES, size))
            .sum(),
        _ => SCALAR_BYTES,
    }
}

fn shared_of(resource: &ResourceSpans, scope: &ScopeSpans) -> Shared {
    let of = |attributes: &[KeyValue], bytes: usize, names: &[&String], schema_url: &String| {
        let sizes =
            || attributes.iter().map(|pair| (pair.key.len(), pair.value.as_ref().map_or(SCALAR_BYTES, size)));
        Shared {
            bytes: bytes + schema_url.len(),
            longest_name: sizes()
                .map(|(key, _)| key)
                .chain(names.iter().map(|name| name.len()))
                .max()
                .unwrap_or(0),
            most_attributes: attributes.len(),
            largest_value: sizes().map(|(_, value)| value).chain([schema_url.len()]).max().unwrap_or(0),
        }
    };
    let of_resource = resource.resource.clone().unwrap_or_default();
    let of_scope = scope.scope.clone().unwrap_or_default();
    let resource = of(&of_resource.attributes, of_resource.encoded_len(), &[], &resource.schema_url);
    let scope = of(
        &of_scope.attributes,
        of_scope.encoded_len(),
        &[&of_scope.name, &of_scope.version],
        &scope.schema_url,
    );
    Shared {
        bytes: resource.bytes + scope.bytes,
        longest_name: resource.longest_name.max(scope.longest_name),
        most_attributes: resource.most_attributes.max(scope.most_attributes),
        largest_value: resource.largest_value.max(scope.largest_value),
    }
}

/// What [`judge`] must answer by the first rules, by way of `prost`.
fn reference(body: &[u8], limits: &SpanLimits) -> Result<(Verdict, Vec<bool>), prost::DecodeError> {
    let request = ExportTraceServiceRequest::decode(body)?;
    let (mut rules, mut verdict) = (Rules::new(&by(RulesVersion::V1, *limits)), Verdict::default());
    let mut valid = Vec::new();
    for (resource, of_resource) in (0..).zip(&request.resource_spans) {
        for (scope, of_scope) in (0..).zip(&of_resource.scope_spans) {
            for (span, message) in (0..).zip(&of_scope.spans) {
                let mut facts = facts_of(message, &shared_of(of_resource, of_scope), limits);
                let judgement = rules.judge(&mut facts);
                valid.push(judgement.is_ok());
                verdict.count(judgement, Repairs::NONE, SpanPath { resource, scope, span });
            }
        }
    }
    Ok((verdict, valid))
}

/// Is told which spans are valid.
#[derive(Default)]
struct Told {
    valid: Vec<bool>,
    positions: Vec<u32>,
    repaired: usize,
}

impl Visitor<'_> for Told {
    fn span(&mut self, _: &SpanFields<'_>, judged: Judged) {
        self.valid.push(judged.is_valid);
        self.positions.push(judged.position);
        self.repaired += usize::from(judged.is_valid && !judged.repairs.is_empty());
    }
}

fn told(body: &[u8], rules: RulesVersion, limits: &SpanLimits) -> Result<(Verdict, Told), Box<WireError>> {
    let (mut told, mended) = (Told::default(), Mended::default());
    let criteria = by(rules, *limits);
    let verdict = judge_and_visit(body, &criteria, &RepairedRuns::default(), &mended, &mut told)?;
    assert_eq!(judge(body, &criteria, &RepairedRuns::default()).as_ref(), Ok(&verdict));
    assert!(told.positions.iter().copied().eq(0..told.positions.len() as u32));
    Ok((verdict, told))
}

/// By the first rules, the pass takes what `prost` takes, and judges as the reference does. By the present ones it takes no less,
/// and stores no fewer spans.
fn assert_agrees(body: &[u8], limits: &SpanLimits) {
    let first = told(body, RulesVersion::V1, limits);
    match (&first, reference(body, limits)) {
        (Ok((verdict, told)), Ok(reference)) => {
            assert_eq!((verdict, &told.valid), (&reference.0, &reference.1))
        }
        (Err(_), Err(_)) => {}
        (first, reference) => {
            let first = first.as_ref().map(|(verdict, _)| verdict);
            panic!("the pass says {first:?}, prost says {reference:?}: {body:02x?}")
        }
    }
    let Ok((first, first_told)) = first else { return };
    let (present, present_told) =
        told(body, RulesVersion::V2, limits).expect("what was well formed still is");
    assert_eq!(present_told.repaired == 0, present.repaired.is_empty());
    if first.rejected == 0 && present.rejected == 0 {
        // Spans under the field of old, which the first rules do not know, are additional.
        assert!(present_told.valid.len() >= first_told.valid.len());
    }
    assert!(present.accepted >= first.accepted, "{first:?}, {present:?}");
}

#[test]
fn values_nest_as_deep_as_prost_lets_them() {
    let list = |value| AnyValueKind::ArrayValue(ArrayValue { values: vec![value] });
    let map = |value| AnyValueKind::KvlistValue(KeyValueList { values: vec![attribute(1, value)] });
    for depth in [1, 30, 31, 32, 33, 34, 40, 45, 46, 47, 48, 49, 50, 60, 200] {
        for nest in [&list as &dyn Fn(AnyValue) -> AnyValueKind, &map] {
            let value = (0..depth).fold(text(1), |inner, _| AnyValue { value: Some(nest(inner)) });
            let body =
                request_of(vec![Span { attributes: vec![attribute(1, value)], ..valid() }]).encode_to_vec();
            assert_agrees(&body, &first_limits());
        }
    }
}

#[test]
fn groups_are_passed_over_as_prost_does() {
    for body in [
        &[0x0b, 0x0c][..],
        &[0x1b, 0x08, 1, 0x1c],
        &[0x1b, 0x24],
        &[0x1b, 0x1b, 0x1c, 0x1c],
        &[0x1c],
        &[0x1b],
        &[0x00],
        &[0x0a, 0x02, 0x0a],
        &[0xf8, 0xff, 0xff, 0xff, 0x0f, 1],
        &[0xf8, 0xff, 0xff, 0xff, 0x1f, 1],
        &[0x18, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
        &[0x18, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02],
    ] {
        assert_agrees(body, &first_limits());
    }
    assert_agrees(&[0x1b; 300], &first_limits());
}

/// Resources and scopes with attributes, some of them without a span.
fn any_request() -> impl Strategy<Value = ExportTraceServiceRequest> {
    let scope = (attributes(), ".{0,6}", ".{0,6}", proptest::collection::vec(any_span(), 0..3)).prop_map(
        |(attributes, name, schema_url, spans)| ScopeSpans {
            scope: Some(InstrumentationScope { name, attributes, ..InstrumentationScope::default() }),
            spans,
            schema_url,
        },
    );
    let resource = (attributes(), ".{0,6}", proptest::collection::vec(scope, 0..3)).prop_map(
        |(attributes, schema_url, scope_spans)| ResourceSpans {
            resource: Some(Resource { attributes, ..Resource::default() }),
            scope_spans,
            schema_url,
        },
    );
    proptest::collection::vec(resource, 0..3)
        .prop_map(|resource_spans| ExportTraceServiceRequest { resource_spans })
}

fn any_value_tree() -> impl Strategy<Value = AnyValue> {
    let leaf = prop_oneof![
        Just(None),
        any_text().prop_map(|text| Some(AnyValueKind::StringValue(text))),
        any::<bool>().prop_map(|bool| Some(AnyValueKind::BoolValue(bool))),
        prop_oneof![any::<i64>(), -1_i64..70_000].prop_map(|int| Some(AnyValueKind::IntValue(int))),
        any::<f64>().prop_map(|double| Some(AnyValueKind::DoubleValue(double))),
        any::<i32>().prop_map(|index| Some(AnyValueKind::StringValueStrindex(index))),
        proptest::collection::vec(any::<u8>(), 0..12).prop_map(|bytes| Some(AnyValueKind::BytesValue(bytes))),
    ];
    leaf.prop_map(|value| AnyValue { value }).prop_recursive(4, 16, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4)
                .prop_map(|values| AnyValueKind::ArrayValue(ArrayValue { values })),
            proptest::collection::vec((".{0,4}", inner), 0..4).prop_map(|pairs| {
                let pair = |(key, value)| KeyValue { key, value: Some(value), key_strindex: 0 };
                AnyValueKind::KvlistValue(KeyValueList { values: pairs.into_iter().map(pair).collect() })
            }),
        ]
        .prop_map(|value| AnyValue { value: Some(value) })
    })
}

/// As most are, of all alphabets, and longer than a length of one byte can say.
fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![4 => "[ -~]{0,20}", 2 => ".{0,12}", 1 => "[a-z]{115,140}", 1 => "[a-z]{0,40}é?[a-z]{0,40}"]
}

fn attributes() -> impl Strategy<Value = Vec<KeyValue>> {
    let pair = (any_text(), proptest::option::of(any_value_tree())).prop_map(|(key, value)| KeyValue {
        key,
        value,
        key_strindex: 0,
    });
    proptest::collection::vec(pair, 0..4)
}

fn id(bytes: usize) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => proptest::collection::vec(any::<u8>(), bytes),
        1 => Just(vec![0; bytes]),
        1 => proptest::collection::vec(any::<u8>(), 0..20),
    ]
}

fn time() -> impl Strategy<Value = u64> {
    prop_oneof![4 => START - 1_000..START + 1_000, 1 => any::<u64>(), 1 => Just(0)]
}

fn any_span() -> impl Strategy<Value = Span> {
    let event = (time(), ".{0,6}", attributes()).prop_map(|(time_unix_nano, name, attributes)| Event {
        time_unix_nano,
        name,
        attributes,
        dropped_attributes_count: 1,
    });
    let link =
        (id(16), id(8), ".{0,6}", attributes()).prop_map(|(trace_id, span_id, trace_state, attributes)| {
            Link { trace_id, span_id, trace_state, attributes, dropped_attributes_count: 0, flags: 1 }
        });
    let lists = (
        attributes(),
        proptest::collection::vec(event, 0..3),
        proptest::collection::vec(link, 0..3),
        proptest::option::of(".{0,6}"),
    );
    ((id(16), id(8), id(8)), ".{0,8}", ".{0,8}", (time(), time()), lists).prop_map(
        |(
            (trace_id, span_id, parent_span_id),
            name,
            trace_state,
            (start, end),
            (attributes, events, links, status),
        )| Span {
            trace_id,
            span_id,
            parent_span_id,
            trace_state,
            name,
            start_time_unix_nano: start,
            end_time_unix_nano: end,
            attributes,
            events,
            links,
            status: status.map(|message| Status { message, code: 2 }),
            kind: 2,
            flags: 257,
            ..Span::default()
        },
    )
}

fn any_limits() -> impl Strategy<Value = SpanLimits> {
    (0u32..8, 0u32..4, 0u32..40, 0u32..3, 0u32..3).prop_map(
        |(max_name_bytes, max_attributes, max_value_bytes, max_events, max_links)| SpanLimits {
            max_name_bytes,
            max_attributes,
            max_value_bytes,
            max_events,
            max_links,
            max_shared_bytes: u64::from(max_value_bytes) * 3,
            max_backwards_ms: Some(0),
            ..SpanLimits::default()
        },
    )
}

proptest! {
    #[test]
    fn agrees_on_resources_and_scopes(
        request in any_request(),
        limits in prop_oneof![Just(first_limits()), any_limits()],
    ) {
        assert_agrees(&request.encode_to_vec(), &limits);
    }

    #[test]
    fn agrees_on_requests(
        spans in proptest::collection::vec(any_span(), 0..6),
        limits in prop_oneof![Just(first_limits()), any_limits()],
    ) {
        assert_agrees(&request_of(spans).encode_to_vec(), &limits);
    }

    #[test]
    fn agrees_on_requests_that_were_damaged(
        spans in proptest::collection::vec(any_span(), 1..3),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut body = request_of(spans).encode_to_vec();
        for (place, byte) in damage {
            let place = place.index(body.len());
            body[place] = byte;
        }
        assert_agrees(&body, &first_limits());
        body.truncate(cut.index(body.len()));
        assert_agrees(&body, &first_limits());
    }

    #[test]
    fn agrees_on_messages_that_are_merged(first in any_span(), second in any_span(), limits in any_limits()) {
        // Two spans glued together are one span, whose fields are merged.
        let mut span = first.encode_to_vec();
        span.extend(second.encode_to_vec());
        let mut scope = Vec::new();
        prost::encoding::bytes::encode(2, &span, &mut scope);
        let mut resource = Vec::new();
        prost::encoding::bytes::encode(2, &scope, &mut resource);
        let mut body = Vec::new();
        prost::encoding::bytes::encode(1, &resource, &mut body);
        assert_agrees(&body, &limits);
    }

    #[test]
    fn agrees_on_values_that_are_merged(first in any_value_tree(), second in any_value_tree(), limits in any_limits()) {
        let mut value = first.encode_to_vec();
        value.extend(second.encode_to_vec());
        let mut attribute = Vec::new();
        prost::encoding::bytes::encode(2, &value, &mut attribute);
        prost::encoding::bytes::encode(2, &second.encode_to_vec(), &mut attribute);
        let mut span = valid().encode_to_vec();
        prost::encoding::bytes::encode(9, &attribute, &mut span);
        let mut body = Vec::new();
        for field in [2, 2, 1] {
            let inner = if body.is_empty() { span.clone() } else { std::mem::take(&mut body) };
            prost::encoding::bytes::encode(field, &inner, &mut body);
        }
        assert_agrees(&body, &limits);
    }

    #[test]
    fn agrees_on_any_bytes(body: Vec<u8>) {
        assert_agrees(&body, &first_limits());
    }
}
