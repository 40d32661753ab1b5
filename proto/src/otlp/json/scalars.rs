//! The kinds of values that fields hold, each with the liberties that exporters take.

use std::marker::PhantomData;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD as BASE64, STANDARD_NO_PAD as BASE64_NO_PAD};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use serde::de::{Error, Unexpected};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// Text; null is empty.
#[derive(Default)]
pub(super) struct Text(pub(super) String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        Ok(Self(Option::deserialize(reader)?.unwrap_or_default()))
    }
}

/// A list; null is empty, and nulls in it are left out.
pub(super) struct List<T>(pub(super) Vec<T>);

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        let elements: Option<Vec<Option<T>>> = Option::deserialize(reader)?;
        Ok(Self(elements.into_iter().flatten().flatten().collect()))
    }
}

/// An integer as a number or as decimal text; null is 0.
#[derive(Default)]
pub(super) struct Int<T>(pub(super) T);

impl<'de, T: TryFrom<i128>> Deserialize<'de> for Int<T> {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(reader)?;
        let wide = match &value {
            Value::Null => Some(0),
            Value::Number(number) => whole(number),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        wide.and_then(|wide| T::try_from(wide).ok()).map(Self).ok_or_else(|| {
            let range = std::any::type_name::<T>();
            D::Error::custom(format_args!("{value} is not an integer of the range of {range}"))
        })
    }
}

/// The integer that a number is, `1.5e9` included.
fn whole(number: &serde_json::Number) -> Option<i128> {
    let float = || {
        number.as_f64().filter(|float| float.fract() == 0.0 && float.abs() < 1e19).map(|float| float as i128)
    };
    number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from)).or_else(float)
}

/// A double as a number, as decimal text, or as one of the names of the mapping. Null, as some write NaN, is NaN; only
/// a missing field is none.
#[derive(Default)]
pub(super) struct Double(pub(super) Option<f64>);

impl<'de> Deserialize<'de> for Double {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        let double = match Value::deserialize(reader)? {
            Value::Null => Some(f64::NAN),
            Value::Number(number) => number.as_f64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        double.map(|double| Self(Some(double))).ok_or_else(|| D::Error::custom("not a number"))
    }
}

/// An id in hexadecimal, in either case; null is empty.
#[derive(Default)]
pub(super) struct HexId(pub(super) Vec<u8>);

impl<'de> Deserialize<'de> for HexId {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        let text: String = Option::deserialize(reader)?.unwrap_or_default();
        hex::decode(&text).map(Self).map_err(|_| {
            let expected = match BASE64.decode(&text).map(|bytes| bytes.len()) {
                Ok(8 | 16) => "an id in hexadecimal; this one seems to be base64, which OTLP's JSON does not use for ids",
                _ => "an id in hexadecimal",
            };
            D::Error::invalid_value(Unexpected::Str(&text), &expected)
        })
    }
}

/// Bytes in base64.
pub(super) struct Base64(pub(super) Vec<u8>);

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        let text = String::deserialize(reader)?;
        // The mapping takes the URL-safe alphabet too, and no padding.
        let standard = text.replace('-', "+").replace('_', "/");
        BASE64_NO_PAD
            .decode(standard.trim_end_matches('='))
            .map(Self)
            .map_err(|error| D::Error::custom(format_args!("not base64: {error}")))
    }
}

/// A protobuf enum whose values have names.
pub(super) trait Enumeration {
    fn by_name(name: &str) -> Option<i32>;
}

impl Enumeration for SpanKind {
    fn by_name(name: &str) -> Option<i32> {
        Self::from_str_name(name).map(i32::from)
    }
}

impl Enumeration for StatusCode {
    fn by_name(name: &str) -> Option<i32> {
        Self::from_str_name(name).map(i32::from)
    }
}

/// An enum as its number or its name; null is 0. Numbers that have no name yet are kept.
pub(super) struct EnumOf<E>(pub(super) i32, PhantomData<E>);

impl<E> Default for EnumOf<E> {
    fn default() -> Self {
        Self(0, PhantomData)
    }
}

impl<'de, E: Enumeration> Deserialize<'de> for EnumOf<E> {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(reader)?;
        let number = match &value {
            Value::Null => Some(0),
            Value::Number(number) => whole(number).and_then(|wide| i32::try_from(wide).ok()),
            Value::String(name) => E::by_name(name),
            _ => None,
        };
        let unknown = || D::Error::custom(format_args!("{value} is not a value of the enum"));
        number.map(|number| Self(number, PhantomData)).ok_or_else(unknown)
    }
}
