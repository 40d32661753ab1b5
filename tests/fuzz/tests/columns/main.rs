//! The two ways from an object to the table agree on requests of every kind, and on what becomes of their bytes.

mod requests;
mod tangle;

use proptest::prelude::*;
use prost::Message;
use spillway_fuzz::columns::{bytes_taken, check, check_plain};
use spillway_fuzz::wire;
use spillway_generator::order::Order;
use spillway_generator::written::{Form, written};

/// As exporters write requests, other than `prost` does.
const FORMS: [Form; 6] = [
    Form::InOrder(Order::Descending),
    Form::Shuffled,
    Form::SpreadAttributes,
    Form::SharedLast,
    Form::UnknownFields,
    Form::PaddedLengths,
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn agree_on_requests(request in requests::export_request()) {
        check(&request.encode_to_vec());
    }

    #[test]
    fn agree_on_requests_in_every_form(
        request in requests::export_request(),
        form in prop::sample::select(&FORMS[..]),
    ) {
        let body = written(&request.encode_to_vec(), form).unwrap();
        wire::check(&body);
        check(&body);
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
        assert_eq!(check_plain(&body), spans as usize);
    }
}

/// Two bytes of the wire are a scope, and two are a resource; as valid as they are, nothing need be kept of them.
#[test]
fn what_has_no_spans_takes_no_memory() {
    let one = requests::of_many_names(1).encode_to_vec();
    let scope = [0x12, 0x00];
    let resource = [&[0x0a, 0x80, 0x01][..], &scope.repeat(64)].concat();
    let with_others = [&resource.repeat(1_000)[..], &one, &resource.repeat(1_000)].concat();
    check(&with_others);
    // Their names are known, all of them the same.
    assert!(bytes_taken(&with_others) < bytes_taken(&one) + 1_000);
}
