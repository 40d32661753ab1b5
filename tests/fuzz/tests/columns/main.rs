//! The two ways from an object to the table agree on requests of every kind, and on what becomes of their bytes.

mod requests;
mod tangle;

use proptest::prelude::*;
use prost::Message;
use spillway_fuzz::columns::{check, check_within};
use spillway_proto::otlp::SpanLimits;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn agree_on_requests(request in requests::export_request()) {
        check(&request.encode_to_vec());
    }

    #[test]
    fn agree_on_messages_that_are_written_in_other_ways(request in requests::export_request(), seed: u64) {
        check(&tangle::request(&request.encode_to_vec(), seed));
    }

    #[test]
    fn agree_on_requests_that_were_damaged(
        request in requests::export_request(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..3),
    ) {
        let mut body = request.encode_to_vec();
        for (place, byte) in damage {
            if !body.is_empty() {
                let place = place.index(body.len());
                body[place] = byte;
            }
        }
        check(&body);
    }
}

/// As many names as a byte can number, and one more, and more than two can; and numbers that fill what is written at once, or not.
#[test]
fn agree_on_many_names() {
    for spans in [256, 257, 512, 513, 65_537] {
        let body = requests::of_many_names(spans).encode_to_vec();
        assert_eq!(check_within(&body, SpanLimits::default()), spans as usize);
    }
}
