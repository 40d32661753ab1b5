//! The pass over protobuf on the wire, beside `prost`.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::num::NonZeroU32;

use prost::Message;
use spillway_proto::UnixMillis;
use spillway_proto::otlp::{
    Criteria, ExportTraceServiceRequest, RepairedRuns, RulesVersion, SpanLimits, Verdict, WireError, judge,
};

/// When the seeds' spans are received.
pub const NOW: UnixMillis = UnixMillis(1_795_230_245_678);

/// By the first rules, `body` is judged as what `prost` reads of it, and refused where `prost` refuses it. The present rules refuse
/// no more, and store no fewer spans.
pub fn check(body: &[u8]) {
    let decoded = ExportTraceServiceRequest::decode(body);
    for limits in [FIRST, NOTHING, some_of(body)] {
        let first = judged(body, RulesVersion::V1, limits);
        match (&first, &decoded) {
            (Ok(verdict), Ok(request)) => {
                holds_together(verdict);
                assert_eq!((verdict.accepted + verdict.rejected) as usize, spans_of(request));
                // Written anew, nothing is there twice: so merging was judged rightly.
                assert_eq!(judged(&request.encode_to_vec(), RulesVersion::V1, limits).as_ref(), Ok(verdict));
            }
            (Err(error), Err(_)) => assert!(!error.field().is_empty() && !error.to_string().is_empty()),
            (judged, decoded) => panic!("the pass says {judged:?}, prost says {decoded:?}"),
        }
        match (first, judged(body, RulesVersion::V2, limits)) {
            (Ok(first), Ok(present)) => {
                holds_together(&present);
                assert!(present.accepted >= first.accepted, "{first:?} {present:?}");
            }
            (Ok(first), Err(error)) => panic!("{first:?}, and then {error}"),
            (Err(_), Ok(present)) => holds_together(&present),
            (Err(_), Err(_)) => {}
        }
    }
}

fn judged(body: &[u8], rules: RulesVersion, limits: SpanLimits) -> Result<Verdict, Box<WireError>> {
    judge(body, &Criteria { rules, limits, received_at: NOW }, &RepairedRuns::default())
}

fn holds_together(verdict: &Verdict) {
    assert_eq!(verdict.reasons.iter().map(|reason| reason.spans).sum::<u32>(), verdict.rejected);
    assert!(verdict.repaired.iter().all(|repaired| repaired.spans > 0 && repaired.spans <= verdict.accepted));
    assert_eq!(verdict.message().is_empty(), verdict.rejected == 0 && verdict.repaired.is_empty());
}

fn spans_of(request: &ExportTraceServiceRequest) -> usize {
    request
        .resource_spans
        .iter()
        .flat_map(|resource| &resource.scope_spans)
        .map(|scope| scope.spans.len())
        .sum()
}

/// The limits of Spillway 0.1.
pub const FIRST: SpanLimits = SpanLimits {
    max_age_seconds: 3_650 * 86_400,
    max_future_seconds: 86_400,
    max_backwards_ms: Some(0),
    max_days: NonZeroU32::new(31).unwrap(),
    max_shared_bytes: 256 << 20,
    max_name_bytes: 4 << 10,
    max_attributes: 1_024,
    max_value_bytes: 256 << 10,
    max_events: 1_024,
    max_links: 1_024,
};

/// Whatever is there is too much.
pub const NOTHING: SpanLimits = SpanLimits {
    max_age_seconds: 1,
    max_future_seconds: 0,
    max_backwards_ms: Some(0),
    max_days: NonZeroU32::MIN,
    max_shared_bytes: u64::MAX,
    max_name_bytes: 0,
    max_attributes: 0,
    max_value_bytes: 0,
    max_events: 0,
    max_links: 0,
};

/// Limits that some spans meet and others do not; which ones, changes with every bit of `body`.
pub fn some_of(body: &[u8]) -> SpanLimits {
    let mut hasher = DefaultHasher::new();
    body.hash(&mut hasher);
    let mut rest = hasher.finish();
    let mut below = |bound: u64| {
        let number = rest % bound;
        rest /= bound;
        number as u32
    };
    SpanLimits {
        max_age_seconds: u64::from(below(3)) * 86_400,
        max_future_seconds: [0, 86_400, u64::MAX][below(3) as usize],
        max_backwards_ms: [Some(0), Some(1), None][below(3) as usize],
        max_days: NonZeroU32::MIN.saturating_add(below(4)),
        // Counted on the wire, where the same message can be written in more ways than one.
        max_shared_bytes: u64::MAX,
        max_name_bytes: below(24),
        max_attributes: below(6),
        max_value_bytes: below(64),
        max_events: below(4),
        max_links: below(4),
    }
}
