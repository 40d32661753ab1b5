//! The texts that attributes have in the table's maps: those of the Collector's ClickHouse exporter.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value as Kind};
use serde_json::{Value, json};

/// A map column, as ClickHouse writes it as a list of pairs.
pub(super) fn map(attributes: &[KeyValue]) -> Value {
    attributes.iter().map(|pair| json!([pair.key, text(pair.value.as_ref())])).collect()
}

/// The text of a value. Lists and maps are JSON.
pub(super) fn text(value: Option<&AnyValue>) -> String {
    match value.and_then(|value| value.value.as_ref()) {
        None => String::new(),
        Some(Kind::StringValue(text)) => text.clone(),
        Some(Kind::BytesValue(bytes)) => BASE64.encode(bytes),
        Some(Kind::DoubleValue(double)) if !double.is_finite() => not_finite(*double).to_owned(),
        Some(other) => json(other),
    }
}

fn json(kind: &Kind) -> String {
    let of = |value: Option<&AnyValue>| {
        value.and_then(|value| value.value.as_ref()).map_or("null".to_owned(), json)
    };
    match kind {
        Kind::StringValue(text) => json_text(text),
        Kind::BoolValue(bool) => bool.to_string(),
        Kind::IntValue(int) => int.to_string(),
        Kind::DoubleValue(double) if !double.is_finite() => json_text(not_finite(*double)),
        Kind::DoubleValue(double) => finite(*double),
        Kind::BytesValue(bytes) => json_text(&BASE64.encode(bytes)),
        Kind::ArrayValue(array) => {
            let values: Vec<_> = array.values.iter().map(|value| of(Some(value))).collect();
            format!("[{}]", values.join(","))
        }
        Kind::KvlistValue(map) => {
            let mut pairs: Vec<_> =
                map.values.iter().map(|pair| (&pair.key, of(pair.value.as_ref()))).collect();
            pairs.sort_by_key(|(key, _)| *key);
            let pairs: Vec<_> =
                pairs.into_iter().map(|(key, value)| format!("{}:{value}", json_text(key))).collect();
            format!("{{{}}}", pairs.join(","))
        }
        // An index into a dictionary that traces do not have.
        _ => "null".to_owned(),
    }
}

/// As Go writes it when it does not escape HTML.
fn json_text(text: &str) -> String {
    Value::from(text).to_string().replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029")
}

fn not_finite(double: f64) -> &'static str {
    match double {
        f64::INFINITY => "Infinity",
        f64::NEG_INFINITY => "-Infinity",
        _ => "NaN",
    }
}

/// As `JSON.stringify` and Go's `encoding/json` write it: the fewest digits, an exponent below 1e-6 and from 1e21 on.
fn finite(double: f64) -> String {
    let magnitude = double.abs();
    if magnitude != 0.0 && !(1e-6..1e21).contains(&magnitude) {
        let text = format!("{double:e}");
        return text.split_once("e-").map_or_else(
            || text.replace('e', "e+"),
            |(mantissa, exponent)| format!("{mantissa}e-{exponent}"),
        );
    }
    format!("{double}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_have_the_texts_of_json() {
        for (double, text) in [
            (0.25, "0.25"),
            (-0.0, "-0"),
            (1e20, "100000000000000000000"),
            (1.5e21, "1.5e+21"),
            (1e-7, "1e-7"),
            (-0.000001, "-0.000001"),
            (8.0, "8"),
        ] {
            assert_eq!(finite(double), text);
        }
    }

    #[test]
    fn nested_values_are_json() {
        let value = |kind| AnyValue { value: Some(kind) };
        let pair = |key: &str, kind| KeyValue {
            key: key.to_owned(),
            value: Some(value(kind)),
            ..KeyValue::default()
        };
        let map = Kind::KvlistValue(opentelemetry_proto::tonic::common::v1::KeyValueList {
            values: vec![pair("b", Kind::DoubleValue(f64::NAN)), pair("a", Kind::BytesValue(vec![0, 1, 2]))],
        });
        let list = Kind::ArrayValue(opentelemetry_proto::tonic::common::v1::ArrayValue {
            values: vec![
                value(map),
                value(Kind::StringValue("<\u{2028}\"".to_owned())),
                AnyValue { value: None },
            ],
        });
        assert_eq!(text(Some(&value(list))), r#"[{"a":"AAEC","b":"NaN"},"<\u2028\"",null]"#);
    }
}
