//! The texts of lists and maps, as each side writes them. An implementation of its own, to hold both to.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use spillway_proto::otlp::common::v1::any_value::Value;
use spillway_proto::otlp::common::v1::{AnyValue, KeyValue};

use crate::differences::Difference;

/// What each side writes for a list or a map.
pub struct NestedTexts {
    pub spillway: String,
    pub exporter: String,
    /// Why the two differ; empty where they do not.
    pub differences: Vec<Difference>,
}

/// The texts of `value`, if it is a list or a map.
pub fn nested_texts(value: &AnyValue) -> Option<NestedTexts> {
    let value =
        value.value.as_ref().filter(|value| matches!(value, Value::ArrayValue(_) | Value::KvlistValue(_)))?;
    let mut met = Met::default();
    let exporter = exporters_json(value, &mut met);
    let exporter = if met.not_finite { String::new() } else { exporter };
    let differences = [
        (met.not_finite, Difference::NotFiniteInside),
        (met.repeated_key, Difference::RepeatedKeyInside),
        // What is lost as a whole has no null in it.
        (met.empty_bytes && !met.not_finite, Difference::EmptyBytesInside),
    ];
    let differences = differences.into_iter().filter(|(is_met, _)| *is_met).map(|(_, difference)| difference);
    Some(NestedTexts { spillway: spillways_json(value), exporter, differences: differences.collect() })
}

/// What the exporter writes otherwise.
#[derive(Default)]
struct Met {
    not_finite: bool,
    repeated_key: bool,
    empty_bytes: bool,
}

fn exporters_json(value: &Value, met: &mut Met) -> String {
    match value {
        Value::DoubleValue(double) if !double.is_finite() => {
            met.not_finite = true;
            String::new()
        }
        Value::BytesValue(bytes) if bytes.is_empty() => {
            met.empty_bytes = true;
            "null".to_owned()
        }
        Value::ArrayValue(list) => list_json(
            list.values.iter().map(|value| any_json(value, &mut |value| exporters_json(value, met))),
        ),
        Value::KvlistValue(map) => {
            // Of a key that is there several times, the last value holds: the others are not even looked at.
            let last: BTreeMap<_, _> =
                map.values.iter().map(|pair| (pair.key.as_str(), &pair.value)).collect();
            met.repeated_key |= last.len() < map.values.len();
            let none = AnyValue::default();
            map_json(last.into_iter().map(|(key, value)| {
                (key, any_json(value.as_ref().unwrap_or(&none), &mut |value| exporters_json(value, met)))
            }))
        }
        scalar => scalar_json(scalar),
    }
}

fn spillways_json(value: &Value) -> String {
    match value {
        Value::DoubleValue(double) if !double.is_finite() => text_json(&double_text(*double)),
        Value::ArrayValue(list) => {
            list_json(list.values.iter().map(|value| any_json(value, &mut spillways_json)))
        }
        Value::KvlistValue(map) => {
            let mut pairs: Vec<&KeyValue> = map.values.iter().collect();
            pairs.sort_by(|one, other| one.key.cmp(&other.key));
            let none = AnyValue::default();
            map_json(pairs.into_iter().map(|pair| {
                (pair.key.as_str(), any_json(pair.value.as_ref().unwrap_or(&none), &mut spillways_json))
            }))
        }
        scalar => scalar_json(scalar),
    }
}

fn any_json(value: &AnyValue, json: &mut dyn FnMut(&Value) -> String) -> String {
    value.value.as_ref().map_or_else(|| "null".to_owned(), json)
}

fn list_json(values: impl Iterator<Item = String>) -> String {
    format!("[{}]", values.collect::<Vec<_>>().join(","))
}

fn map_json<'k>(pairs: impl Iterator<Item = (&'k str, String)>) -> String {
    let pairs: Vec<_> = pairs.map(|(key, value)| format!("{}:{value}", text_json(key))).collect();
    format!("{{{}}}", pairs.join(","))
}

fn scalar_json(value: &Value) -> String {
    match value {
        Value::StringValue(text) => text_json(text),
        Value::BoolValue(bool) => bool.to_string(),
        Value::IntValue(int) => int.to_string(),
        Value::DoubleValue(double) => double_text(*double),
        Value::BytesValue(bytes) => text_json(&BASE64.encode(bytes)),
        _ => "null".to_owned(),
    }
}

/// As Go's `json.Encoder` has it with `SetEscapeHTML(false)`.
fn text_json(text: &str) -> String {
    let json = serde_json::Value::from(text).to_string();
    json.replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029")
}

/// As JavaScript has it, but for the sign of `-0`; <https://tc39.es/ecma262/#sec-numeric-types-number-tostring>.
fn double_text(double: f64) -> String {
    if double.is_nan() {
        return "NaN".to_owned();
    }
    let sign = if double.is_sign_negative() { "-" } else { "" };
    if double.is_infinite() {
        return format!("{sign}Infinity");
    }
    let (digits, exponent) = shortest(double.abs());
    let (first, rest) = digits.split_at(1);
    let point = if rest.is_empty() { "" } else { "." };
    match usize::try_from(exponent) {
        Ok(whole @ ..21) if rest.len() <= whole => format!("{sign}{digits:0<width$}", width = whole + 1),
        Ok(whole @ ..21) => format!("{sign}{}.{}", &digits[..=whole], &digits[whole + 1..]),
        Err(_) if exponent >= -6 => {
            format!("{sign}0.{}{digits}", "0".repeat(exponent.unsigned_abs() as usize - 1))
        }
        _ => format!("{sign}{first}{point}{rest}e{exponent:+}"),
    }
}

/// The fewest digits that are this number and no other, of two that are as near the even ones, and the exponent of the first.
fn shortest(double: f64) -> (String, i32) {
    // Rust's shortest text takes the larger of two that are as near; with its number of digits given, it takes the even one.
    let digits =
        format!("{double:e}").bytes().take_while(|byte| *byte != b'e').filter(u8::is_ascii_digit).count();
    let text = format!("{double:.places$e}", places = digits - 1);
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    (mantissa.replace('.', ""), exponent.parse().unwrap_or_default())
}
