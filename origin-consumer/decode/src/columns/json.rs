//! Lists and maps as JSON, as [`crate::rows`] has them: straight from the wire, which takes less than half of building them first.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use spillway_proto::otlp::nested::{Node, Unusual};
use spillway_proto::otlp::visit::Value;

use crate::rows;

/// Appends the JSON of `node`. After an error, what was appended is not all of it.
pub(super) fn put(out: &mut Vec<u8>, node: Node<'_>) -> Result<(), Unusual> {
    match node {
        Node::Scalar(value) => put_scalar(out, value)?,
        Node::List(values) => {
            out.push(b'[');
            for (index, value) in values.enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                put(out, value?)?;
            }
            out.push(b']');
        }
        Node::Map(entries) => {
            let mut entries = entries.collect::<Result<Vec<_>, _>>()?;
            // Those of one key stay in their order, so that the last one is that which holds.
            entries.sort_by_key(|(key, _)| *key);
            entries.dedup_by(|later, kept| {
                let is_same = later.0 == kept.0;
                if is_same {
                    *kept = *later;
                }
                is_same
            });
            out.push(b'{');
            for (index, (key, value)) in entries.into_iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                put_text(out, key);
                out.push(b':');
                put(out, value)?;
            }
            out.push(b'}');
        }
    }
    Ok(())
}

fn put_scalar(out: &mut Vec<u8>, value: Value<'_>) -> Result<(), Unusual> {
    match value {
        Value::None => out.extend_from_slice(b"null"),
        Value::Text(text) => put_text(out, text),
        Value::Bool(bool) => out.extend_from_slice(if bool { b"true" } else { b"false" }),
        Value::Int(int) => put_int(out, int),
        Value::Double(double) => put_double(out, double),
        Value::Bytes(bytes) => put_text(out, BASE64.encode(bytes).as_bytes()),
        // Those are nodes of their own.
        Value::Nested(_) => return Err(Unusual),
    }
    Ok(())
}

fn put_double(out: &mut Vec<u8>, double: f64) {
    let mut buffer = zmij::Buffer::new();
    if let Some(whole) = rows::whole(double) {
        put_int(out, whole);
    } else if double.is_finite() {
        out.extend_from_slice(buffer.format_finite(double).as_bytes());
    } else {
        put_text(out, rows::double_text(double, &mut buffer).as_bytes());
    }
}

fn put_int(out: &mut Vec<u8>, int: i64) {
    out.extend_from_slice(itoa::Buffer::new().format(int).as_bytes());
}

/// As Go's `json.Marshal` writes it, which escapes what HTML would read.
fn put_text(out: &mut Vec<u8>, text: &[u8]) {
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
    matches!(byte, ..b' ' | b'"' | b'\\' | b'<' | b'>' | b'&' | 0xe2)
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
        [b'<', rest @ ..] => (r"\u003c", rest),
        [b'>', rest @ ..] => (r"\u003e", rest),
        [b'&', rest @ ..] => (r"\u0026", rest),
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

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use prost::Message;
    use spillway_proto::otlp::common::v1::any_value::Value as Kind;
    use spillway_proto::otlp::common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList};
    use spillway_proto::otlp::nested::Nested;

    use super::*;

    fn of(value: Kind) -> AnyValue {
        AnyValue { value: Some(value) }
    }

    fn pair(key: &str, value: AnyValue) -> KeyValue {
        KeyValue { key: key.to_owned(), value: Some(value), key_strindex: 0 }
    }

    fn list(values: Vec<AnyValue>) -> AnyValue {
        of(Kind::ArrayValue(ArrayValue { values }))
    }

    fn map(values: Vec<KeyValue>) -> AnyValue {
        of(Kind::KvlistValue(KeyValueList { values }))
    }

    /// Straight from the wire.
    fn written(pair: &[u8]) -> Result<String, Unusual> {
        let mut out = Vec::new();
        put(&mut out, Nested::new(pair).node()?)?;
        Ok(String::from_utf8(out).unwrap())
    }

    fn agrees(value: AnyValue) {
        let pair = pair("k", value.clone());
        assert_eq!(written(&pair.encode_to_vec()), Ok(rows::text(value)));
    }

    #[test]
    fn texts_are_escaped_as_the_reference_escapes_them() {
        let all: String = (0..=0x7f).chain(0x2020..=0x2030).filter_map(char::from_u32).collect();
        agrees(list(vec![of(Kind::StringValue(all.clone()))]));
        agrees(map(vec![pair(&all, of(Kind::BytesValue(all.clone().into_bytes())))]));
    }

    #[test]
    fn of_a_key_that_is_there_twice_the_last_value_holds() {
        let int = |int| of(Kind::IntValue(int));
        let twice = map(vec![pair("b", int(1)), pair("a", int(2)), pair("b", int(3)), pair("b", int(4))]);
        assert_eq!(written(&pair("k", twice.clone()).encode_to_vec()).unwrap(), r#"{"a":2,"b":4}"#);
        agrees(twice);
    }

    #[test]
    fn what_no_exporter_writes_is_left_to_the_reference() {
        let whole = pair("k", list(vec![of(Kind::BoolValue(true))])).encode_to_vec();
        assert_eq!(written(&whole).unwrap(), "[true]");
        // Its value a second time, which is merged with the first; and a field that nobody knows.
        let twice = [&whole[..], &whole[3..]].concat();
        let unknown = [&whole[..], &[0x78, 1]].concat();
        for unusual in [twice, unknown] {
            assert!(KeyValue::decode(&unusual[..]).is_ok());
            assert_eq!(written(&unusual), Err(Unusual));
        }
    }

    fn scalar() -> impl Strategy<Value = AnyValue> {
        let value = prop_oneof![
            Just(None),
            "[ -~\u{0}-\u{1f}]{0,6}".prop_map(|text| Some(Kind::StringValue(text))),
            ".{0,6}".prop_map(|text| Some(Kind::StringValue(text))),
            any::<bool>().prop_map(|bool| Some(Kind::BoolValue(bool))),
            any::<i64>().prop_map(|int| Some(Kind::IntValue(int))),
            any::<u64>().prop_map(|bits| Some(Kind::DoubleValue(f64::from_bits(bits)))),
            any::<i32>().prop_map(|int| Some(Kind::DoubleValue(f64::from(int) / 100.0))),
            vec(any::<u8>(), 0..12).prop_map(|bytes| Some(Kind::BytesValue(bytes))),
        ];
        value.prop_map(|value| AnyValue { value })
    }

    proptest! {
        #[test]
        fn it_is_the_references_json(
            value in scalar().prop_recursive(5, 24, 4, |inner| prop_oneof![
                vec(inner.clone(), 0..4).prop_map(list),
                vec(("[a-c<\"]{0,2}", inner), 0..4)
                    .prop_map(|pairs| map(pairs.into_iter().map(|(key, value)| pair(&key, value)).collect())),
            ]),
        ) {
            agrees(list(vec![value]));
        }
    }
}
