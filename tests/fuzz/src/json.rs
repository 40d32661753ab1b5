//! OTLP's JSON mapping.

use prost::Message;
use spillway_proto::otlp::{
    Criteria, Encoding, ExportTraceServiceRequest, RepairedRuns, SpanLimits, decode, judge,
};

use crate::wire::NOW;

/// How much larger than its JSON a request's protobuf may be. It is smaller; only an enum of -1, which protobuf writes in
/// ten bytes, comes near. What grows would take the memory that the size of the body was bounded for.
const MAX_GROWTH: usize = 2;

/// What is read of `body` can be written in protobuf, is well formed there, and comes back.
pub fn check(body: &[u8]) {
    let request = match decode(body, Encoding::Json) {
        Ok(request) => request,
        Err(error) => {
            // The answer repeats both.
            assert!(error.field().len() < 1_000 && error.to_string().len() < 2_000);
            return;
        }
    };
    let wire = request.encode_to_vec();
    assert!(wire.len() <= MAX_GROWTH * body.len(), "{} bytes became {}", body.len(), wire.len());
    let criteria = Criteria::new(SpanLimits::default(), NOW);
    judge(&wire, &criteria, &RepairedRuns::default())
        .expect("what is stored is judged again by the consumer");
    let again = decode(&wire, Encoding::Protobuf).expect("prost wrote it");
    assert!(is_same(&again, &request), "{again:?} was {request:?}");
}

fn is_same(one: &ExportTraceServiceRequest, other: &ExportTraceServiceRequest) -> bool {
    // NaN equals nothing, but is written alike.
    one == other || format!("{one:?}") == format!("{other:?}")
}
