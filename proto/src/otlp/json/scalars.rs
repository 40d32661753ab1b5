//! The kinds of values that fields hold, each with the liberties that exporters take.

use std::fmt;
use std::marker::PhantomData;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD as BASE64, STANDARD_NO_PAD as BASE64_NO_PAD};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};

/// Text; null is empty. Half of a surrogate pair, as JavaScript writes where it cuts a text within an emoji, becomes the
/// replacement character: a request must not fail for it.
#[derive(Default)]
pub(super) struct Text(pub(super) String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        let text: Option<WholeText> = Option::deserialize(reader)?;
        Ok(Self(text.unwrap_or_default().0))
    }
}

/// The key of an attribute: text, or a number, as PHP writes an array's key that looks like one.
#[derive(Default)]
pub(super) struct AttributeKey(pub(super) String);

impl<'de> Deserialize<'de> for AttributeKey {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        Ok(Self(match Scalar::deserialize(reader)? {
            Scalar::Null => String::new(),
            Scalar::Text(text) => text,
            number => number.to_string(),
        }))
    }
}

/// Text that is not null.
#[derive(Default)]
pub(super) struct WholeText(pub(super) String);

impl<'de> Deserialize<'de> for WholeText {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        // Read as bytes, half a surrogate pair comes as if UTF-8 could write it.
        reader.deserialize_bytes(TextVisitor).map(Self)
    }
}

struct TextVisitor;

impl Visitor<'_> for TextVisitor {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<String, E> {
        Ok(match str::from_utf8(bytes) {
            Ok(text) => text.to_owned(),
            Err(_) => bytes.utf8_chunks().fold(String::new(), |mut text, chunk| {
                text.push_str(chunk.valid());
                // The three bytes of half a pair come as three faults, of which the first is 0xED.
                if chunk.invalid().first() == Some(&0xed) {
                    text.push(char::REPLACEMENT_CHARACTER);
                }
                text
            }),
        })
    }
}

/// A number, text or null; lists and objects are refused before anything of them is kept.
enum Scalar {
    Null,
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(String),
}

impl Scalar {
    /// The integer that a number is, `1.5e9` included.
    fn whole(&self) -> Option<i128> {
        match self {
            Self::Unsigned(int) => Some((*int).into()),
            Self::Signed(int) => Some((*int).into()),
            Self::Float(float) if float.fract() == 0.0 && float.abs() < 1e19 => Some(*float as i128),
            Self::Float(_) | Self::Null | Self::Text(_) => None,
        }
    }
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Unsigned(int) => int.fmt(f),
            Self::Signed(int) => int.fmt(f),
            // With an exponent where it is short: 1e308 has 309 digits, and a body is bounded as it was sent.
            Self::Float(float) => write!(f, "{float:?}"),
            Self::Text(text) => write!(f, "{:?}", text.chars().take(64).collect::<String>()),
        }
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        reader.deserialize_any(ScalarVisitor)
    }
}

struct ScalarVisitor;

impl Visitor<'_> for ScalarVisitor {
    type Value = Scalar;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a number, a string or null")
    }

    fn visit_unit<E>(self) -> Result<Scalar, E> {
        Ok(Scalar::Null)
    }

    fn visit_u64<E>(self, int: u64) -> Result<Scalar, E> {
        Ok(Scalar::Unsigned(int))
    }

    fn visit_i64<E>(self, int: i64) -> Result<Scalar, E> {
        Ok(Scalar::Signed(int))
    }

    fn visit_f64<E>(self, float: f64) -> Result<Scalar, E> {
        Ok(Scalar::Float(float))
    }

    fn visit_str<E>(self, text: &str) -> Result<Scalar, E> {
        Ok(Scalar::Text(text.to_owned()))
    }
}

/// An integer as a number or as decimal text; null is 0.
#[derive(Default)]
pub(super) struct Int<T>(pub(super) T);

impl<'de, T: TryFrom<i128>> Deserialize<'de> for Int<T> {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        let value = Scalar::deserialize(reader)?;
        let wide = match &value {
            Scalar::Null => Some(0),
            Scalar::Text(text) => text.trim().parse().ok(),
            number => number.whole(),
        };
        wide.and_then(|wide| T::try_from(wide).ok()).map(Self).ok_or_else(|| {
            let range = std::any::type_name::<T>();
            D::Error::custom(format_args!("{value} is not an integer of the range of {range}"))
        })
    }
}

/// A double as a number, as decimal text, or as one of the names of the mapping. Null, as some write NaN, is NaN; only
/// a missing field is none.
#[derive(Default)]
pub(super) struct Double(pub(super) Option<f64>);

impl<'de> Deserialize<'de> for Double {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        let double = match Scalar::deserialize(reader)? {
            Scalar::Null => Some(f64::NAN),
            Scalar::Unsigned(int) => Some(int as f64),
            Scalar::Signed(int) => Some(int as f64),
            Scalar::Float(double) => Some(double),
            Scalar::Text(text) => text.trim().parse().ok(),
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
        let value = Scalar::deserialize(reader)?;
        let number = match &value {
            Scalar::Null => Some(0),
            Scalar::Text(name) => E::by_name(name),
            number => number.whole().and_then(|wide| i32::try_from(wide).ok()),
        };
        let unknown = || D::Error::custom(format_args!("{value} is not a value of the enum"));
        number.map(|number| Self(number, PhantomData)).ok_or_else(unknown)
    }
}
