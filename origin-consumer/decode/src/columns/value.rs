//! The text of a value, as [`crate::rows`] has it, where a column's values stand.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use spillway_proto::otlp::nested::Nested;
use spillway_proto::otlp::visit::Value;

use super::json;
use crate::native::{put_number, put_text};
use crate::rows;

/// Appends the text of `value` to `out`, with its length before it.
#[inline]
pub(super) fn put_value(out: &mut Vec<u8>, value: Value<'_>) {
    match value {
        Value::None => put_text(out, b""),
        Value::Text(text) => put_text(out, text),
        Value::Bool(true) => put_text(out, b"true"),
        Value::Bool(false) => put_text(out, b"false"),
        Value::Int(int) => put_text(out, itoa::Buffer::new().format(int).as_bytes()),
        Value::Double(double) => put_double(out, double),
        Value::Bytes(bytes) => put_text(out, BASE64.encode(bytes).as_bytes()),
        Value::Nested(nested) => put_nested(out, nested),
    }
}

/// The text of `value`.
pub(super) fn text(value: Value<'_>) -> Cow<'_, [u8]> {
    if let Value::Text(text) = value {
        return Cow::Borrowed(text);
    }
    let mut written = Vec::new();
    put_value(&mut written, value);
    let length_bytes = written.iter().take_while(|byte| **byte >= 0x80).count() + 1;
    Cow::Owned(written.split_off(length_bytes))
}

fn put_double(out: &mut Vec<u8>, double: f64) {
    put_text(out, rows::double_text(double, &mut zmij::Buffer::new()).as_bytes());
}

/// Lists and maps become JSON.
#[inline(never)]
fn put_nested(out: &mut Vec<u8>, nested: Nested<'_>) {
    let start = out.len();
    // Most are shorter than 128 bytes, and their length takes one.
    out.push(0);
    json::put(out, nested.node());
    match out.len() - start - 1 {
        length @ ..0x80 => out[start] = length as u8,
        length => {
            let mut number = Vec::new();
            put_number(&mut number, length);
            out.splice(start..=start, number);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(double: f64) -> String {
        let mut out = Vec::new();
        put_double(&mut out, double);
        String::from_utf8(out.split_off(1)).unwrap()
    }

    #[test]
    fn doubles_at_the_edges_have_the_references_texts() {
        let edges = [0.0, -0.0, 1.0, -1.0, 0.1, 1e-5, 9.999e-6, 1e-6, 1e15, 1e16, 1e20, 1e21, f64::MAX];
        for double in edges.into_iter().chain([f64::NAN, f64::INFINITY, f64::MIN_POSITIVE, 123_456.75]) {
            for double in [double, -double, double.next_up(), double.next_down()] {
                assert_eq!(written(double), rows::double_text(double, &mut zmij::Buffer::new()));
            }
        }
    }

    proptest! {
        #[test]
        fn doubles_have_the_references_texts(bits: u64, small in -1e9..1e9, cents: i32, many: i64, places in 0..60) {
            let binary = many as f64 / f64::from(places).exp2();
            for double in [f64::from_bits(bits), small, f64::from(cents) / 100.0, f64::from(cents), binary] {
                let text = written(double);
                prop_assert!(double.is_nan() || text.parse() == Ok(double), "{} for {:e}", text, double);
                let mut buffer = zmij::Buffer::new();
                prop_assert_eq!(text, rows::double_text(double, &mut buffer));
            }
        }
    }
}
