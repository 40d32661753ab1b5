//! The functions whose answer can be known from here. Of all others it is unknown.
//!
//! <https://developers.cloudflare.com/ruleset-engine/rules-language/functions/>

use super::value::{Truth, Value};

/// What the function makes of its arguments.
pub(super) fn call(name: &str, mut arguments: Vec<Value>) -> Value {
    if arguments.is_empty() {
        return Value::Unknown;
    }
    let first = arguments.remove(0);
    let second = arguments.first();
    match (name, second) {
        ("any", None) => quantified(first, Truth::False, Truth::or).into(),
        ("all", None) => quantified(first, Truth::True, Truth::and).into(),
        // Another text is another one in whatever case.
        ("lower" | "upper", None) if matches!(first, Value::OtherThan(_)) => first,
        ("lower", None) => of_text(first, |text| Value::Text(text.to_ascii_lowercase())),
        ("upper", None) => of_text(first, |text| Value::Text(text.to_ascii_uppercase())),
        ("len", None) => match first {
            Value::List(values) if values.iter().any(|value| matches!(value, Value::Perhaps(_))) => {
                Value::Unknown
            }
            Value::List(values) => length(values.len()),
            // Whether nothing has the length 0, or none, is not documented.
            Value::Map(_) | Value::Missing | Value::Perhaps(_) => Value::Unknown,
            other => lengths(other),
        },
        ("url_decode", _) => of_text(first, |text| {
            // A text without either stays as it is; what becomes of others depends on the options.
            if text.contains(['%', '+']) { Value::Unknown } else { Value::text(text) }
        }),
        ("to_string", None) => first.map(&|value| match value {
            Value::Number(number) => Value::Text(number.to_string()),
            Value::Bool(truth) => Value::Text(truth.to_string()),
            text @ Value::Text(_) => text,
            _ => Value::Unknown,
        }),
        ("starts_with", Some(Value::Text(part))) => {
            of_text(first, |text| Value::Bool(text.starts_with(part.as_str())))
        }
        ("ends_with", Some(Value::Text(part))) => {
            of_text(first, |text| Value::Bool(text.ends_with(part.as_str())))
        }
        ("concat", _) => concat(first, &arguments),
        ("substring", Some(Value::Number(from))) => {
            let to = match arguments.get(1) {
                None => None,
                Some(Value::Number(to)) => Some(*to),
                Some(_) => return Value::Unknown,
            };
            of_text(first, |text| substring(text, *from, to))
        }
        ("remove_bytes", Some(Value::Text(bytes))) => {
            of_text(first, |text| Value::Text(text.chars().filter(|char| !bytes.contains(*char)).collect()))
        }
        ("has_key", Some(Value::Text(key))) => match first {
            Value::Map(map) => match map.get(key) {
                Some(Value::Perhaps(_) | Value::Unknown) => Value::Unknown,
                value => Value::Bool(value.is_some()),
            },
            _ => Value::Unknown,
        },
        _ => Value::Unknown,
    }
}

/// The length of each text.
pub(super) fn lengths(value: Value) -> Value {
    of_text(value, |text| length(text.len()))
}

/// `any` and `all`: what may be there or not can make the one true, and the other false.
fn quantified(value: Value, none: Truth, join: fn(Truth, Truth) -> Truth) -> Truth {
    let element = |value: &Value| match value {
        Value::Perhaps(inner) if inner.truth() == none => none,
        Value::Perhaps(_) => Truth::Unknown,
        value => value.truth(),
    };
    match value {
        Value::List(values) => values.iter().map(element).fold(none, join),
        Value::Missing => none,
        other => element(&other),
    }
}

fn of_text(value: Value, change: impl Fn(&str) -> Value) -> Value {
    value.map(&|value| match value {
        Value::Text(text) => change(&text),
        Value::Missing => Value::Missing,
        _ => Value::Unknown,
    })
}

fn concat(first: Value, others: &[Value]) -> Value {
    let mut whole = String::new();
    for value in std::iter::once(&first).chain(others) {
        match value {
            Value::Text(text) => whole += text,
            Value::Number(number) => whole += &number.to_string(),
            Value::Bool(truth) => whole += &truth.to_string(),
            _ => return Value::Unknown,
        }
    }
    Value::Text(whole)
}

/// Bytes from one index to before another; negative ones count from the end.
fn substring(text: &str, from: i64, to: Option<i64>) -> Value {
    let length = i64::try_from(text.len()).unwrap_or(i64::MAX);
    let place = |index: i64| {
        let index = if index < 0 { length.saturating_add(index) } else { index };
        usize::try_from(index.clamp(0, length)).unwrap_or_default()
    };
    let (from, to) = (place(from), place(to.unwrap_or(length)));
    text.get(from..to.max(from)).map_or(Value::Unknown, Value::text)
}

fn length(length: usize) -> Value {
    i64::try_from(length).map_or(Value::Unknown, Value::Number)
}
