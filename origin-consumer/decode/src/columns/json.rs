//! Lists and maps as JSON, as [`crate::rows`] has them: straight from the wire, which takes less than half of building them first.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use spillway_proto::otlp::nested::Node;
use spillway_proto::otlp::visit::Value;

use crate::rows;

/// Appends the JSON of `node`. The keys of a map are in their order; of one that is there several times, each value stays.
pub(super) fn put(out: &mut Vec<u8>, node: Node<'_>) {
    match node {
        Node::Scalar(value) => put_scalar(out, value),
        Node::List(values) => {
            out.push(b'[');
            for (index, value) in values.enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                put(out, value);
            }
            out.push(b']');
        }
        Node::Map(entries) => {
            let mut entries: Vec<_> = entries.collect();
            // Those of one key stay in their order.
            entries.sort_by_key(|(key, _)| *key);
            out.push(b'{');
            for (index, (key, value)) in entries.into_iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                put_text(out, key);
                out.push(b':');
                put(out, value);
            }
            out.push(b'}');
        }
    }
}

fn put_scalar(out: &mut Vec<u8>, value: Value<'_>) {
    match value {
        // Lists and maps are nodes of their own.
        Value::None | Value::Nested(_) => out.extend_from_slice(b"null"),
        Value::Text(text) => put_text(out, text),
        Value::Bool(bool) => out.extend_from_slice(if bool { b"true" } else { b"false" }),
        Value::Int(int) => out.extend_from_slice(itoa::Buffer::new().format(int).as_bytes()),
        Value::Double(double) => put_double(out, double),
        Value::Bytes(bytes) => put_text(out, BASE64.encode(bytes).as_bytes()),
    }
}

/// As outside of lists and maps; JSON has no word for NaN and the infinities, so their names stand as text.
fn put_double(out: &mut Vec<u8>, double: f64) {
    let mut buffer = zmij::Buffer::new();
    let text = rows::double_text(double, &mut buffer);
    if double.is_finite() {
        out.extend_from_slice(text.as_bytes());
    } else {
        put_text(out, text.as_bytes());
    }
}

/// As Go's `json.Encoder` writes it when it is told not to escape HTML.
pub(super) fn put_text(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    let mut rest = text;
    while let Some(plain) = rest.iter().position(|byte| may_be_escaped(*byte)) {
        out.extend_from_slice(&rest[..plain]);
        rest = put_escaped(out, &rest[plain..]);
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

/// The separators of lines and of paragraphs begin with the last of these.
fn may_be_escaped(byte: u8) -> bool {
    matches!(byte, ..b' ' | b'"' | b'\\' | 0xe2)
}

/// Appends the first byte of `text`, or the separator that it begins, and returns what follows.
fn put_escaped<'t>(out: &mut Vec<u8>, text: &'t [u8]) -> &'t [u8] {
    let (escaped, rest) = match text {
        [b'"', rest @ ..] => (r#"\""#, rest),
        [b'\\', rest @ ..] => (r"\\", rest),
        [b'\n', rest @ ..] => (r"\n", rest),
        [b'\r', rest @ ..] => (r"\r", rest),
        [b'\t', rest @ ..] => (r"\t", rest),
        [0x08, rest @ ..] => (r"\b", rest),
        [0x0c, rest @ ..] => (r"\f", rest),
        [0xe2, 0x80, 0xa8, rest @ ..] => (r"\u2028", rest),
        [0xe2, 0x80, 0xa9, rest @ ..] => (r"\u2029", rest),
        [control @ ..b' ', rest @ ..] => {
            out.extend_from_slice(br"\u00");
            out.extend_from_slice(hex::encode([*control]).as_bytes());
            ("", rest)
        }
        [other, rest @ ..] => {
            out.push(*other);
            ("", rest)
        }
        [] => ("", text),
    };
    out.extend_from_slice(escaped.as_bytes());
    rest
}
