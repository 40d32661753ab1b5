//! What is repaired, by example.

use opentelemetry_proto::tonic::common::v1::{InstrumentationScope, KeyValueList};
use prost::encoding::bytes;

use super::*;
use crate::otlp::nested::Node;
use crate::otlp::visit::{EventFields, LinkFields, Value};

const DAY: u64 = 86_400_000_000_000;

/// Writes down what it is told, in order.
#[derive(Default)]
struct Notes(Vec<String>);

impl Notes {
    fn note(&mut self, note: String) {
        self.0.push(note);
    }
}

fn shown(text: &[u8]) -> String {
    String::from_utf8(text.to_vec()).expect("what is told is UTF-8")
}

fn shown_node(node: Node<'_>) -> String {
    match node {
        Node::Scalar(value) => shown_value(value),
        Node::List(values) => format!("[{}]", values.map(shown_node).collect::<Vec<_>>().join(",")),
        Node::Map(entries) => {
            let entries = entries.map(|(key, value)| format!("{}:{}", shown(key), shown_node(value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(","))
        }
    }
}

fn shown_value(value: Value<'_>) -> String {
    match value {
        Value::Text(text) => shown(text),
        Value::Nested(nested) => shown_node(nested.node()),
        Value::Int(int) => int.to_string(),
        Value::Bytes(bytes) => format!("{bytes:?}"),
        other => format!("{other:?}"),
    }
}

impl<'a> Visitor<'a> for Notes {
    fn attribute(&mut self, owner: Owner, key: &'a [u8], value: Value<'a>) {
        self.note(format!("{owner:?} {}={}", shown(key), shown_value(value)));
    }

    fn resource(&mut self, resource: &ResourceFields<'a>) {
        if resource.dropped_attributes > 0 || !resource.schema_url.is_empty() {
            self.note(format!("resource {} {}", shown(resource.schema_url), resource.dropped_attributes));
        }
    }

    fn scope(&mut self, scope: &ScopeFields<'a>) {
        if !scope.name.is_empty() {
            self.note(format!("scope {} {}", shown(scope.name), scope.dropped_attributes));
        }
    }

    fn event(&mut self, event: &EventFields<'a>) {
        self.note(format!("event {} {}", shown(event.name), event.time_unix_nano));
    }

    fn link(&mut self, link: &LinkFields<'a>) {
        self.note(format!("link {}", link.trace_id.len()));
    }

    fn span(&mut self, span: &SpanFields<'a>, judged: Judged) {
        let codes: Vec<_> = judged.repairs.iter().map(Repair::code).collect();
        let dropped = (span.dropped_attributes, span.dropped_events, span.dropped_links);
        self.note(format!("span `{}` {dropped:?} {}", shown(span.name), codes.join(" ")));
    }
}

fn notes_of(body: &[u8], limits: SpanLimits) -> (Verdict, Vec<String>) {
    let (mut notes, mended) = (Notes::default(), Mended::default());
    let criteria = by(RulesVersion::V2, limits);
    let verdict = judge_and_visit(body, &criteria, &RepairedRuns::default(), &mended, &mut notes).unwrap();
    // The edge, which wants no repaired values, comes to the same verdict.
    assert_eq!(judge(body, &criteria, &RepairedRuns::default()), Ok(verdict.clone()));
    (verdict, notes.0)
}

fn notes(span: Span, limits: SpanLimits) -> Vec<String> {
    let (verdict, notes) = notes_of(&request_of(vec![span]).encode_to_vec(), limits);
    assert_eq!((verdict.accepted, verdict.rejected), (1, 0), "{verdict:?}");
    notes
}

/// A request whose one span is these bytes.
fn request_of_raw(span: &[u8]) -> Vec<u8> {
    let mut body = span.to_vec();
    for field in [2, 2, 1] {
        let inner = std::mem::take(&mut body);
        bytes::encode(field, &inner, &mut body);
    }
    body
}

fn pair(key: &str, value: AnyValueKind) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), key_strindex: 0 }
}

fn string(text: &str) -> AnyValueKind {
    AnyValueKind::StringValue(text.to_owned())
}

fn list(values: Vec<AnyValueKind>) -> AnyValueKind {
    let values = values.into_iter().map(|value| AnyValue { value: Some(value) }).collect();
    AnyValueKind::ArrayValue(ArrayValue { values })
}

#[test]
fn text_that_is_not_utf8_is_repaired_wherever_it_stands() {
    let nested = AnyValueKind::KvlistValue(KeyValueList { values: vec![pair("inner@", string("v@"))] });
    let span = Span {
        name: "n@".to_owned(),
        trace_state: "t@".to_owned(),
        attributes: vec![pair("k@", string("@v")), pair("nested", list(vec![string("@"), nested]))],
        events: vec![Event { name: "e@".to_owned(), ..Event::default() }],
        ..valid()
    };
    let mut body = request_of(vec![valid(), span]).encode_to_vec();
    body.iter_mut().filter(|byte| **byte == b'@').for_each(|byte| *byte = 0xe9);
    let (verdict, notes) = notes_of(&body, SpanLimits::default());
    insta::assert_snapshot!(notes.join("\n"), @"
    span `` (0, 0, 0) 
    Span k�=�v
    Span nested=[�,{inner�:v�}]
    event e� 0
    span `n�` (0, 0, 0) invalid_utf8
    ");
    assert_eq!(verdict.accepted, 2);
    insta::assert_snapshot!(verdict.message(), @"repaired: invalid_utf8 (1, the first is resource_spans[0].scope_spans[0].spans[1]): text that is not UTF-8 has U+FFFD in place of the broken bytes");
}

#[test]
fn what_is_longer_than_it_may_be_is_cut() {
    let limits = SpanLimits { max_name_bytes: 4, max_value_bytes: 20, ..SpanLimits::default() };
    let map = AnyValueKind::KvlistValue(KeyValueList {
        values: vec![pair("one", AnyValueKind::IntValue(1)), pair("two", list(vec![string("abcdefghij")]))],
    });
    let span = Span {
        name: "höhere".to_owned(),
        attributes: vec![
            pair("longer", string("0123456789012345678901234567890")),
            pair("l", list(vec![string("0123456789"), AnyValueKind::IntValue(1), AnyValueKind::IntValue(2)])),
            pair("m", map),
            pair("b", AnyValueKind::BytesValue(vec![7; 30])),
            pair("fits", list(vec![string("01234567890123456789")])),
        ],
        events: vec![Event { name: "event".to_owned(), ..Event::default() }],
        status: Some(Status { message: "m".repeat(21), code: 2 }),
        ..valid()
    };
    insta::assert_snapshot!(notes(span, limits).join("\n"), @"
    Span long=01234567890123456789
    Span l=[0123456789,1]
    Span m={one:1,two:[abcdef]}
    Span b=[7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7]
    Span fits=[01234567890123456789]
    event even 0
    span `höh` (0, 0, 0) name_cut value_cut
    ");
}

/// Each counts 8 bytes, as a number does: two of them and their keys are all that 20 bytes hold.
#[test]
fn values_that_are_absent_or_empty_count_before_a_cut() {
    let limits = SpanLimits { max_value_bytes: 20, ..SpanLimits::default() };
    let empty = Some(AnyValue { value: None });
    for value in [None, empty] {
        let without_value = ["ka", "kb", "kc"].map(|key| KeyValue {
            key: key.to_owned(),
            value: value.clone(),
            key_strindex: 0,
        });
        let map = AnyValueKind::KvlistValue(KeyValueList { values: without_value.into() });
        let span = Span { attributes: vec![pair("m", map)], ..valid() };
        assert_eq!(notes(span, limits), ["Span m={ka:None,kb:None}", "span `` (0, 0, 0) value_cut"]);
    }
}

#[test]
fn what_is_more_than_there_may_be_is_left_out_and_counted() {
    let limits = SpanLimits { max_attributes: 1, max_events: 2, max_links: 1, ..SpanLimits::default() };
    let event = |name: &str| Event {
        name: name.to_owned(),
        attributes: vec![pair("a", string("1")), pair("b", string("2"))],
        ..Event::default()
    };
    let link = |bytes: usize| Link { trace_id: vec![1; bytes], span_id: vec![1; 8], ..Link::default() };
    let with_attribute = Link { attributes: vec![pair("of a bad link", string("x"))], ..link(3) };
    let span = Span {
        attributes: vec![pair("first", string("1")), pair("second", string("2")), pair("third", string("3"))],
        dropped_attributes_count: 10,
        events: vec![event("one"), event("two"), event("three")],
        links: vec![with_attribute, link(16), link(16)],
        ..valid()
    };
    insta::assert_snapshot!(notes(span, limits).join("\n"), @"
    Span first=1
    Event a=1
    event one 0
    Event a=1
    event two 0
    link 16
    span `` (12, 1, 2) invalid_link attributes_dropped events_dropped links_dropped
    ");
}

#[test]
fn an_attribute_that_nests_too_deep_is_left_out() {
    let deep = (0..60).fold(string("x"), |inner, _| list(vec![inner]));
    let span = Span {
        attributes: vec![pair("a", string("1")), pair("deep", deep), pair("b", string("2"))],
        ..valid()
    };
    insta::assert_snapshot!(notes(span, SpanLimits::default()).join("\n"), @"
    Span a=1
    Span b=2
    span `` (1, 0, 0) nested_too_deep
    ");
}

#[test]
fn times_that_are_odd_are_stored() {
    let span = Span {
        end_time_unix_nano: START - 191_000,
        events: vec![Event { time_unix_nano: 11_651_379_494_838_206_464, ..Event::default() }],
        kind: 77,
        status: Some(Status { code: -1, ..Status::default() }),
        ..valid()
    };
    insta::assert_snapshot!(notes(span.clone(), SpanLimits::default()).join("\n"), @"
    event  9223372036854775807
    span `` (0, 0, 0) end_before_start kind_unknown status_unknown event_time_out_of_range
    ");
    let strict = SpanLimits { max_backwards_ms: Some(0), ..SpanLimits::default() };
    let verdict = judged_by(&by(RulesVersion::V2, strict), vec![span]);
    assert_eq!(verdict.reasons[0].rejection, SpanRejection::EndBeforeStart);
    assert!(verdict.repaired.is_empty(), "what is not stored is not repaired");
}

#[test]
fn ids_and_times_are_still_judged() {
    use SpanRejection::*;
    for (span, expected) in [
        (Span { trace_id: vec![1; 15], ..valid() }, InvalidTraceId),
        (Span { span_id: vec![0; 8], ..valid() }, InvalidSpanId),
        (Span { parent_span_id: vec![1; 7], ..valid() }, InvalidParentSpanId),
        (Span { start_time_unix_nano: u64::MAX, ..valid() }, TimeOutOfRange),
        (Span { start_time_unix_nano: START - 3_651 * DAY, ..valid() }, TimeTooOld),
        (Span { end_time_unix_nano: START + DAY + 1, ..valid() }, TimeInFuture),
    ] {
        let verdict = judged(vec![valid(), span, valid()]);
        assert_eq!((verdict.accepted, verdict.rejected), (2, 1));
        assert_eq!(verdict.reasons[0].rejection, expected);
    }
}

#[test]
fn a_large_resource_is_cut_until_its_spans_fit() {
    let mut request = request_of(vec![valid(); 5]);
    let attributes = vec![pair("service.name", string("shop")), pair("args", string(&"x".repeat(100_000)))];
    request.resource_spans[0].resource = Some(Resource { attributes, ..Resource::default() });
    let scope = InstrumentationScope { name: "s".repeat(1_000), ..InstrumentationScope::default() };
    request.resource_spans[0].scope_spans[0].scope = Some(scope);
    let body = request.encode_to_vec();
    let lengths = |max_shared_bytes| {
        let (verdict, notes) = notes_of(&body, SpanLimits { max_shared_bytes, ..SpanLimits::default() });
        assert_eq!(verdict.accepted, 5);
        let notes: Vec<_> = notes.iter().map(String::len).collect();
        (notes, verdict.repaired.iter().map(|repaired| repaired.repair.code()).collect::<Vec<_>>())
    };
    let whole = |parts: &[usize]| parts.to_vec();
    assert_eq!(lengths(600_000).1, Vec::<&str>::new());
    let (notes, codes) = lengths(300_000);
    assert_eq!((&notes[..3], codes), (&whole(&[26, 14 + 32_768, 8 + 1_000])[..], vec!["shared_cut"]));
    let (notes, _) = lengths(2_000);
    assert_eq!(&notes[..3], &whole(&[26, 14 + 128, 8 + 128]));
    let (notes, _) = lengths(500);
    assert_eq!(notes[0], 26, "the service's name stays");
    assert!(notes[1] < 20, "the other attribute went: {notes:?}");
}

#[test]
fn spans_of_before_2022_are_spans() {
    let mut scope = Vec::new();
    bytes::encode(2, &valid().encode_to_vec(), &mut scope);
    let mut resource = Vec::new();
    bytes::encode(1000, &scope, &mut resource);
    bytes::encode(2, &scope, &mut resource);
    let mut body = Vec::new();
    bytes::encode(1, &resource, &mut body);
    let (verdict, _) = notes_of(&body, SpanLimits::default());
    assert_eq!(verdict.accepted, 2);
    let first = judge(&body, &by(RulesVersion::V1, SpanLimits::default()), &RepairedRuns::default()).unwrap();
    assert_eq!(first.accepted, 1);
}

#[test]
fn what_comes_in_pieces_is_put_together() {
    let value = |kind| AnyValue { value: Some(kind) }.encode_to_vec();
    let mut attribute = Vec::new();
    bytes::encode(1, &b"k".to_vec(), &mut attribute);
    bytes::encode(2, &value(list(vec![string("a"), string("b")])), &mut attribute);
    bytes::encode(2, &value(list(vec![string("c")])), &mut attribute);
    let mut span = valid().encode_to_vec();
    bytes::encode(9, &attribute, &mut span);
    let (_, notes) = notes_of(&request_of_raw(&span), SpanLimits::default());
    assert_eq!(notes[0], "Span k=[a,b,c]");
}

#[test]
fn repairs_of_transcoding_are_counted_as_well() {
    let body = request_of(vec![valid(), valid(), valid()]).encode_to_vec();
    let run = RepairedRun { first: 1, spans: 2, repairs: Repairs::only(Repair::WrongType) };
    let criteria = by(RulesVersion::V2, SpanLimits::default());
    let verdict = judge(&body, &criteria, &RepairedRuns::new(vec![run])).unwrap();
    assert_eq!((verdict.accepted, verdict.repaired[0].spans, verdict.repaired[0].first.span), (3, 2, 1));
}
