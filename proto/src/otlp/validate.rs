//! Which spans of a request are valid. The edge asks it to answer, the consumer to drop exactly the same spans.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;

/// The last moment that all tables can hold, in nanoseconds since the Unix epoch: that of a `DateTime`, in February 2106.
const MAX_UNIX_NANO: u64 = u32::MAX as u64 * 1_000_000_000;

/// Why a span is not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum SpanRejection {
    /// The trace id has not 16 bytes, or is all zero.
    #[error("trace_id must have 16 bytes that are not all zero")]
    InvalidTraceId,
    /// The span id has not 8 bytes, or is all zero.
    #[error("span_id must have 8 bytes that are not all zero")]
    InvalidSpanId,
    /// The parent's id has neither 0 nor 8 bytes.
    #[error("parent_span_id must have 8 bytes or none")]
    InvalidParentSpanId,
    /// A link's trace id or span id is not one.
    #[error("a link's trace_id and span_id must have 16 and 8 bytes")]
    InvalidLinkId,
    /// A time is later than the tables can hold.
    #[error("a time lies after 2106-02-07, the last day that can be stored")]
    TimeOutOfRange,
}

impl SpanRejection {
    /// The stable name of the reason, for metrics and answers.
    pub fn code(self) -> &'static str {
        match self {
            Self::InvalidTraceId => "invalid_trace_id",
            Self::InvalidSpanId => "invalid_span_id",
            Self::InvalidParentSpanId => "invalid_parent_span_id",
            Self::InvalidLinkId => "invalid_link_id",
            Self::TimeOutOfRange => "time_out_of_range",
        }
    }
}

/// How many spans of a request are valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Verdict {
    /// Spans that are stored.
    pub accepted: u32,
    /// Spans that are not.
    pub rejected: u32,
    /// Why the first of them is not.
    pub first_reason: Option<SpanRejection>,
}

/// Takes the invalid spans out of `request`, and says how many there were. The order of the others is kept.
pub fn retain_valid_spans(request: &mut ExportTraceServiceRequest) -> Verdict {
    let mut verdict = Verdict::default();
    let scopes = request.resource_spans.iter_mut().flat_map(|resource| &mut resource.scope_spans);
    for scope in scopes {
        scope.spans.retain(|span| match check(span) {
            Ok(()) => {
                verdict.accepted = verdict.accepted.saturating_add(1);
                true
            }
            Err(reason) => {
                verdict.rejected = verdict.rejected.saturating_add(1);
                verdict.first_reason.get_or_insert(reason);
                false
            }
        });
    }
    verdict
}

fn check(span: &Span) -> Result<(), SpanRejection> {
    if !is_id(&span.trace_id, 16) {
        return Err(SpanRejection::InvalidTraceId);
    }
    if !is_id(&span.span_id, 8) {
        return Err(SpanRejection::InvalidSpanId);
    }
    if !matches!(span.parent_span_id.len(), 0 | 8) {
        return Err(SpanRejection::InvalidParentSpanId);
    }
    if span.links.iter().any(|link| link.trace_id.len() != 16 || link.span_id.len() != 8) {
        return Err(SpanRejection::InvalidLinkId);
    }
    let own_times = [span.start_time_unix_nano, span.end_time_unix_nano];
    let mut times = own_times.into_iter().chain(span.events.iter().map(|event| event.time_unix_nano));
    if times.any(|time| time > MAX_UNIX_NANO) {
        return Err(SpanRejection::TimeOutOfRange);
    }
    Ok(())
}

fn is_id(id: &[u8], bytes: usize) -> bool {
    id.len() == bytes && id.iter().any(|byte| *byte != 0)
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
    use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans};

    use super::*;

    fn valid() -> Span {
        Span { trace_id: vec![1; 16], span_id: vec![2; 8], ..Span::default() }
    }

    #[test]
    fn each_fault_has_its_reason() {
        let far = MAX_UNIX_NANO + 1;
        let link = |trace: usize, span: usize| {
            vec![Link { trace_id: vec![1; trace], span_id: vec![1; span], ..Link::default() }]
        };
        let cases = [
            (valid(), Ok(())),
            (Span { parent_span_id: vec![3; 8], links: link(16, 8), ..valid() }, Ok(())),
            (Span { end_time_unix_nano: MAX_UNIX_NANO, ..valid() }, Ok(())),
            (Span { trace_id: vec![1; 15], ..valid() }, Err(SpanRejection::InvalidTraceId)),
            (Span { trace_id: vec![0; 16], ..valid() }, Err(SpanRejection::InvalidTraceId)),
            (Span { span_id: vec![], ..valid() }, Err(SpanRejection::InvalidSpanId)),
            (Span { span_id: vec![0; 8], ..valid() }, Err(SpanRejection::InvalidSpanId)),
            (Span { parent_span_id: vec![1; 7], ..valid() }, Err(SpanRejection::InvalidParentSpanId)),
            (Span { links: link(16, 7), ..valid() }, Err(SpanRejection::InvalidLinkId)),
            (
                Span { start_time_unix_nano: 11_651_379_494_838_206_464, ..valid() },
                Err(SpanRejection::TimeOutOfRange),
            ),
            (
                Span { events: vec![Event { time_unix_nano: far, ..Event::default() }], ..valid() },
                Err(SpanRejection::TimeOutOfRange),
            ),
        ];
        for (span, expected) in cases {
            assert_eq!(check(&span), expected, "{span:?}");
        }
    }

    #[test]
    fn the_valid_ones_stay_in_order_and_all_are_counted() {
        let named = |name: &str| Span { name: name.to_owned(), ..valid() };
        let spans = vec![named("a"), Span::default(), named("b"), Span { span_id: vec![], ..valid() }];
        let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
        let mut request = ExportTraceServiceRequest {
            resource_spans: vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }],
        };
        let verdict = retain_valid_spans(&mut request);
        let expected =
            Verdict { accepted: 2, rejected: 2, first_reason: Some(SpanRejection::InvalidTraceId) };
        assert_eq!(verdict, expected);
        let names: Vec<_> =
            request.resource_spans[0].scope_spans[0].spans.iter().map(|s| s.name.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
    }
}
