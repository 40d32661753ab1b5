//! Which spans are valid: the rules, over the facts that the pass of [`super::judge`] gathers.

use super::criteria::{Criteria, RulesVersion};
use super::limits::SpanLimits;
use super::repair::{Repair, Repairs};

/// The last moment that all tables can hold, in nanoseconds since the Unix epoch: that of a `DateTime`, in February 2106.
const MAX_UNIX_NANO: u64 = u32::MAX as u64 * 1_000_000_000;

const NANOS_A_DAY: u64 = 86_400 * 1_000_000_000;

/// Why a span is not stored. Only the rules of V1 come to some of them.
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
    /// A link's trace id or span id has neither its length nor is it empty.
    #[error("a link's trace_id and span_id must have 16 and 8 bytes, or none")]
    InvalidLinkId,
    /// A time is later than the tables can hold.
    #[error("a time lies after 2106-02-07, the last day that can be stored")]
    TimeOutOfRange,
    /// The span began too long ago, or has no start.
    #[error("start_time_unix_nano is missing, or too long ago (max_age_seconds)")]
    TimeTooOld,
    /// The span begins or ends too far in the future.
    #[error("the span lies in the future (max_future_seconds); is the sender's clock right?")]
    TimeInFuture,
    /// The span ends before it begins.
    #[error("end_time_unix_nano is before start_time_unix_nano (max_backwards_ms)")]
    EndBeforeStart,
    /// The spans before it lie on as many days as one request may touch.
    #[error("the request's spans begin on too many days (max_days)")]
    TooManyDays,
    /// The resources and scopes of the spans before it are as large as they may be.
    #[error("the request's resources and scopes are too large for so many spans (max_shared_bytes)")]
    TooMuchShared,
    /// A name is too long.
    #[error("the name of a span, event, scope or attribute is too long (max_name_bytes)")]
    NameTooLong,
    /// Too many attributes.
    #[error(
        "the span, one of its events or links, its resource or its scope has too many attributes (max_attributes)"
    )]
    TooManyAttributes,
    /// A value is too large.
    #[error(
        "an attribute's value, the status message, the trace state or a schema URL is too large (max_value_bytes)"
    )]
    ValueTooLarge,
    /// Too many events.
    #[error("the span has too many events (max_events)")]
    TooManyEvents,
    /// Too many links.
    #[error("the span has too many links (max_links)")]
    TooManyLinks,
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
            Self::TimeTooOld => "time_too_old",
            Self::TimeInFuture => "time_in_future",
            Self::EndBeforeStart => "end_before_start",
            Self::TooManyDays => "too_many_days",
            Self::TooMuchShared => "too_much_shared",
            Self::NameTooLong => "name_too_long",
            Self::TooManyAttributes => "too_many_attributes",
            Self::ValueTooLarge => "value_too_large",
            Self::TooManyEvents => "too_many_events",
            Self::TooManyLinks => "too_many_links",
        }
    }
}

/// What the rules look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct SpanFacts<'a> {
    pub(super) trace_id: &'a [u8],
    pub(super) span_id: &'a [u8],
    pub(super) parent_span_id: &'a [u8],
    /// In nanoseconds since the Unix epoch; 0 where it is missing.
    pub(super) start: u64,
    /// As `start`.
    pub(super) end: u64,
    /// As `start`.
    pub(super) latest_event: u64,
    /// What the span's resource and scope take on the wire, in bytes.
    pub(super) shared_bytes: usize,
    pub(super) events_met: u32,
    pub(super) events_dropped: u32,
    pub(super) links_met: u32,
    pub(super) links_dropped: u32,
    /// What was repaired of the span, its resource and its scope; by the rules of V1, what breaks them.
    pub(super) found: Repairs,
}

/// The rules for the spans of one request, in their order.
pub(super) struct Rules {
    version: RulesVersion,
    limits: SpanLimits,
    earliest_start: u64,
    latest: u64,
    /// By how much a span may end before it starts, in nanoseconds.
    backwards: u64,
    /// Days since the epoch on which spans begin; the last one found is first.
    days: Vec<u64>,
    /// What the spans so far write of their resources and scopes. Only the rules of V1 ask for it.
    shared_bytes: u64,
}

impl Rules {
    pub(super) fn new(criteria: &Criteria) -> Self {
        let Criteria { rules: version, limits, received_at } = *criteria;
        let nanos = |seconds: u64| seconds.saturating_mul(1_000_000_000);
        let received = received_at.as_nanos();
        let earliest_start = match limits.max_age_seconds {
            0 => 0,
            seconds => received.saturating_sub(nanos(seconds)),
        };
        let latest = received.saturating_add(nanos(limits.max_future_seconds));
        let backwards = limits.max_backwards_ms.map_or(u64::MAX, |millis| millis.saturating_mul(1_000_000));
        Self { version, limits, earliest_start, latest, backwards, days: Vec::new(), shared_bytes: 0 }
    }

    /// Whether the span is stored. Adds to what was found of it what is repaired of its times.
    #[inline]
    pub(super) fn judge(&mut self, span: &mut SpanFacts) -> Result<(), SpanRejection> {
        use SpanRejection::*;
        let is_v1 = self.version == RulesVersion::V1;
        // What breaks the rules of V1, others repair.
        let broken = if is_v1 { span.found } else { Repairs::NONE };
        let latest_event = if is_v1 { span.latest_event } else { 0 };
        let ends_before_start = span.end != 0 && span.end < span.start;
        let faults = [
            (!is_id(span.trace_id, 16), InvalidTraceId),
            (!is_id(span.span_id, 8), InvalidSpanId),
            (!matches!(span.parent_span_id.len(), 0 | 8), InvalidParentSpanId),
            (broken.contains(Repair::InvalidLink), InvalidLinkId),
            (span.start.max(span.end).max(latest_event) > MAX_UNIX_NANO, TimeOutOfRange),
            (span.start < self.earliest_start, TimeTooOld),
            (span.start.max(span.end) > self.latest, TimeInFuture),
            (ends_before_start && span.end.saturating_add(self.backwards) < span.start, EndBeforeStart),
            (broken.contains(Repair::NameCut), NameTooLong),
            (broken.contains(Repair::AttributesDropped), TooManyAttributes),
            (broken.contains(Repair::ValueCut), ValueTooLarge),
            (broken.contains(Repair::EventsDropped), TooManyEvents),
            (broken.contains(Repair::LinksDropped), TooManyLinks),
        ];
        if let Some((_, rejection)) = faults.into_iter().find(|(fault, _)| *fault) {
            return Err(rejection);
        }
        if ends_before_start {
            span.found.insert(Repair::EndBeforeStart);
        }
        self.admit(span)
    }

    /// What the spans of a request may take together.
    #[inline]
    fn admit(&mut self, span: &SpanFacts) -> Result<(), SpanRejection> {
        let shared_bytes = self.shared_bytes.saturating_add(span.shared_bytes as u64);
        if self.version == RulesVersion::V1 && shared_bytes > self.limits.max_shared_bytes {
            return Err(SpanRejection::TooMuchShared);
        }
        self.begin_on(span.start / NANOS_A_DAY)?;
        self.shared_bytes = shared_bytes;
        Ok(())
    }

    fn begin_on(&mut self, day: u64) -> Result<(), SpanRejection> {
        match self.days.iter().position(|known| *known == day) {
            Some(0) => {}
            Some(place) => self.days.swap(0, place),
            None if self.days.len() < self.limits.max_days.get() as usize => self.days.insert(0, day),
            None => return Err(SpanRejection::TooManyDays),
        }
        Ok(())
    }
}

fn is_id(id: &[u8], bytes: usize) -> bool {
    id.len() == bytes && id.iter().any(|byte| *byte != 0)
}
