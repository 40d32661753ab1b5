//! What is valid, what is repaired and what is neither, by example. [`agreement`] holds the pass to `prost`; the consumer's
//! property tests hold repairs to a reference.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, KeyValue, any_value::Value as AnyValueKind,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prost::Message as _;

use super::*;
use crate::ids::UnixMillis;
use crate::otlp::limits::SpanLimits;
use crate::otlp::repair::RepairedRun;
use crate::otlp::rules::SpanRejection;

mod agreement;
mod repairs;

const NOW: UnixMillis = UnixMillis(1_795_230_245_678);
const START: u64 = NOW.0 * 1_000_000;

fn valid() -> Span {
    Span {
        trace_id: vec![1; 16],
        span_id: vec![2; 8],
        start_time_unix_nano: START,
        end_time_unix_nano: START + 1,
        ..Span::default()
    }
}

fn request_of(spans: Vec<Span>) -> ExportTraceServiceRequest {
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }],
    }
}

fn by(rules: RulesVersion, limits: SpanLimits) -> Criteria {
    Criteria { rules, limits, received_at: NOW }
}

/// What Spillway 0.1 held spans to.
fn first_limits() -> SpanLimits {
    SpanLimits { max_backwards_ms: Some(0), ..SpanLimits::default() }
}

fn judged_by(criteria: &Criteria, spans: Vec<Span>) -> Verdict {
    judge(&request_of(spans).encode_to_vec(), criteria, &RepairedRuns::default()).unwrap()
}

fn judged(spans: Vec<Span>) -> Verdict {
    judged_by(&by(RulesVersion::V2, SpanLimits::default()), spans)
}

fn text(bytes: usize) -> AnyValue {
    AnyValue { value: Some(AnyValueKind::StringValue("x".repeat(bytes))) }
}

fn attribute(key: usize, value: AnyValue) -> KeyValue {
    KeyValue { key: "k".repeat(key), value: Some(value), key_strindex: 0 }
}

#[test]
fn by_the_first_rules_each_fault_has_its_reason() {
    use SpanRejection::*;
    let link = |trace: usize, span: usize| {
        vec![Link { trace_id: vec![1; trace], span_id: vec![1; span], ..Link::default() }]
    };
    let day = 86_400_000_000_000;
    let list = AnyValueKind::ArrayValue(ArrayValue { values: vec![text(200_000), text(100_000)] });
    let cases = [
        (valid(), None),
        (Span { parent_span_id: vec![3; 8], links: link(16, 8), ..valid() }, None),
        (Span { parent_span_id: vec![0; 8], links: link(0, 0), ..valid() }, None),
        (Span { end_time_unix_nano: 0, ..valid() }, None),
        (Span { trace_id: vec![1; 15], ..valid() }, Some(InvalidTraceId)),
        (Span { trace_id: vec![0; 16], ..valid() }, Some(InvalidTraceId)),
        (Span { span_id: vec![], ..valid() }, Some(InvalidSpanId)),
        (Span { span_id: vec![0; 8], ..valid() }, Some(InvalidSpanId)),
        (Span { parent_span_id: vec![1; 7], ..valid() }, Some(InvalidParentSpanId)),
        (Span { links: link(16, 7), ..valid() }, Some(InvalidLinkId)),
        (Span { start_time_unix_nano: 11_651_379_494_838_206_464, ..valid() }, Some(TimeOutOfRange)),
        (
            Span { events: vec![Event { time_unix_nano: u64::MAX, ..Event::default() }], ..valid() },
            Some(TimeOutOfRange),
        ),
        (Span { start_time_unix_nano: 0, ..valid() }, Some(TimeTooOld)),
        (Span { start_time_unix_nano: START - 3_651 * day, ..valid() }, Some(TimeTooOld)),
        (Span { end_time_unix_nano: START + day, ..valid() }, None),
        (Span { end_time_unix_nano: START + day + 1, ..valid() }, Some(TimeInFuture)),
        (Span { end_time_unix_nano: START - 1, ..valid() }, Some(EndBeforeStart)),
        (Span { name: "n".repeat(4_096), ..valid() }, None),
        (Span { name: "n".repeat(4_097), ..valid() }, Some(NameTooLong)),
        (Span { attributes: vec![attribute(4_097, text(1))], ..valid() }, Some(NameTooLong)),
        (Span { attributes: vec![attribute(1, text(1)); 1_025], ..valid() }, Some(TooManyAttributes)),
        (Span { attributes: vec![attribute(1, text(262_144))], ..valid() }, None),
        (Span { attributes: vec![attribute(1, text(262_145))], ..valid() }, Some(ValueTooLarge)),
        (
            Span { attributes: vec![attribute(1, AnyValue { value: Some(list) })], ..valid() },
            Some(ValueTooLarge),
        ),
        (
            Span { status: Some(Status { message: "m".repeat(262_145), code: 2 }), ..valid() },
            Some(ValueTooLarge),
        ),
        (Span { events: vec![Event::default(); 1_025], ..valid() }, Some(TooManyEvents)),
        (Span { links: vec![Link::default(); 1_025], ..valid() }, Some(TooManyLinks)),
    ];
    for (span, expected) in cases {
        let verdict = judged_by(&by(RulesVersion::V1, first_limits()), vec![span]);
        assert!(verdict.repaired.is_empty());
        assert_eq!(verdict.reasons.first().map(|reason| reason.rejection), expected);
        assert_eq!((verdict.accepted, verdict.rejected), if expected.is_none() { (1, 0) } else { (0, 1) });
    }
}

#[test]
fn a_request_touches_so_many_days_and_no_more() {
    let on_day = |days_ago: u64| Span {
        start_time_unix_nano: START - days_ago * 86_400_000_000_000,
        end_time_unix_nano: 0,
        ..valid()
    };
    let spans: Vec<_> = (0..40).chain(0..40).map(on_day).collect();
    let verdict = judged(spans);
    assert_eq!((verdict.accepted, verdict.rejected), (62, 18));
    assert_eq!(verdict.reasons[0].rejection, SpanRejection::TooManyDays);
    assert_eq!(verdict.reasons[0].first.span, 31);
}

#[test]
fn by_the_first_rules_a_large_resource_takes_so_many_spans_and_no_more() {
    let mut request = request_of(vec![valid(); 5]);
    let large = vec![attribute(1, text(100_000))];
    request.resource_spans[0].resource = Some(Resource { attributes: large, ..Resource::default() });
    let limits = SpanLimits { max_shared_bytes: 320_000, ..SpanLimits::default() };
    let criteria = by(RulesVersion::V1, limits);
    let verdict = judge(&request.encode_to_vec(), &criteria, &RepairedRuns::default()).unwrap();
    assert_eq!((verdict.accepted, verdict.reasons[0].rejection), (3, SpanRejection::TooMuchShared));
    let limits = SpanLimits { max_value_bytes: 99_999, ..SpanLimits::default() };
    let criteria = by(RulesVersion::V1, limits);
    let verdict = judge(&request.encode_to_vec(), &criteria, &RepairedRuns::default()).unwrap();
    assert_eq!((verdict.accepted, verdict.reasons[0].rejection), (0, SpanRejection::ValueTooLarge));
}

#[test]
fn a_tenants_own_limits_hold() {
    let limits = SpanLimits {
        max_backwards_ms: Some(1_000),
        max_age_seconds: 0,
        max_events: 0,
        ..SpanLimits::default()
    };
    let judged = |span: Span| {
        let verdict = judged_by(&by(RulesVersion::V1, limits), vec![span]);
        verdict.reasons.first().map(|reason| reason.rejection)
    };
    assert_eq!(judged(Span { end_time_unix_nano: START - 1_000_000_000, ..valid() }), None);
    assert_eq!(judged(Span { start_time_unix_nano: 1, end_time_unix_nano: 2, ..valid() }), None);
    assert_eq!(
        judged(Span { events: vec![Event::default()], ..valid() }),
        Some(SpanRejection::TooManyEvents)
    );
}

#[test]
fn reasons_are_counted_and_the_first_ones_named() {
    let nameless = || Span { trace_id: vec![], ..valid() };
    let verdict = judged(vec![valid(), nameless(), Span { span_id: vec![], ..valid() }, nameless()]);
    insta::assert_snapshot!(
        verdict.message(),
        @"invalid_trace_id (2, the first is resource_spans[0].scope_spans[0].spans[1]): trace_id must have 16 bytes that are not all zero; invalid_span_id (1, the first is resource_spans[0].scope_spans[0].spans[2]): span_id must have 8 bytes that are not all zero"
    );
}

#[test]
fn by_the_first_rules_a_text_that_is_not_utf8_is_named() {
    let mut body = request_of(vec![valid(), Span { name: "xyz".to_owned(), ..valid() }]).encode_to_vec();
    let place = body.windows(3).position(|bytes| bytes == b"xyz").unwrap();
    body[place] = 0xff;
    let criteria = by(RulesVersion::V1, SpanLimits::default());
    let error = judge(&body, &criteria, &RepairedRuns::default()).unwrap_err();
    assert_eq!(error.field(), "resource_spans[0].scope_spans[0].spans[1].name");
    assert_eq!(error.to_string(), "text is not UTF-8, at `resource_spans[0].scope_spans[0].spans[1].name`");
}

#[test]
fn a_malformed_field_is_named() {
    let mut body = request_of(vec![valid(), Span { name: "xyz".to_owned(), ..valid() }]).encode_to_vec();
    let place = body.windows(3).position(|bytes| bytes == b"xyz").unwrap();
    // The key of the name becomes one of a field that is not a text.
    body[place - 2] = 0x28;
    let error =
        judge(&body, &by(RulesVersion::V2, SpanLimits::default()), &RepairedRuns::default()).unwrap_err();
    assert_eq!(error.field(), "resource_spans[0].scope_spans[0].spans[1].name");
}
