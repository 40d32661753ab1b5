//! The pass over protobuf on the wire, beside `prost`.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::num::NonZeroU32;

use prost::Message;
use spillway_proto::UnixMillis;
use spillway_proto::otlp::{ExportTraceServiceRequest, SpanLimits, Verdict, decode_valid, judge};

/// When the seeds' spans are received.
pub const NOW: UnixMillis = UnixMillis(1_795_230_245_678);

/// `body` is judged as what `prost` reads of it, and refused where `prost` refuses it.
pub fn check(body: &[u8]) {
    let decoded = ExportTraceServiceRequest::decode(body);
    for limits in [SpanLimits::default(), NOTHING, some_of(body)] {
        match (judge(body, &limits, NOW), &decoded) {
            (Ok(verdict), Ok(request)) => agrees(body, &limits, &verdict, request),
            (Err(error), Err(_)) => {
                assert!(!error.field().is_empty() && !error.to_string().is_empty());
                assert!(decode_valid(body, &limits, NOW).is_err());
            }
            (judged, decoded) => panic!("the pass says {judged:?}, prost says {decoded:?}"),
        }
    }
}

fn agrees(body: &[u8], limits: &SpanLimits, verdict: &Verdict, request: &ExportTraceServiceRequest) {
    assert_eq!((verdict.accepted + verdict.rejected) as usize, spans_of(request));
    assert_eq!(verdict.reasons.iter().map(|reason| reason.spans).sum::<u32>(), verdict.rejected);
    assert_eq!(verdict.message().is_empty(), verdict.rejected == 0);
    // Written anew, nothing is there twice: so merging was judged rightly.
    assert_eq!(judge(&request.encode_to_vec(), limits, NOW).as_ref(), Ok(verdict));

    let (valid, same) = decode_valid(body, limits, NOW).expect("was judged to be well formed");
    assert_eq!(&same, verdict);
    assert_eq!(spans_of(&valid), verdict.accepted as usize);
    let again = judge(&valid.encode_to_vec(), limits, NOW).expect("prost wrote it");
    assert_eq!((again.accepted, again.rejected), (verdict.accepted, 0), "a valid span stays valid");
}

fn spans_of(request: &ExportTraceServiceRequest) -> usize {
    request
        .resource_spans
        .iter()
        .flat_map(|resource| &resource.scope_spans)
        .map(|scope| scope.spans.len())
        .sum()
}

/// Whatever is there is too much.
pub const NOTHING: SpanLimits = SpanLimits {
    max_age_seconds: 1,
    max_future_seconds: 0,
    max_backwards_ms: 0,
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
        max_backwards_ms: [0, 1, u64::MAX][below(3) as usize],
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
