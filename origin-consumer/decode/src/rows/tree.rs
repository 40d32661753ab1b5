//! The value of an attribute, as a tree, and its text.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

/// An `AnyValue`; texts may not be UTF-8.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) enum Tree {
    #[default]
    None,
    Text(Vec<u8>),
    Bool(bool),
    Int(i64),
    Double(f64),
    Bytes(Vec<u8>),
    List(Vec<Tree>),
    Map(Vec<(Vec<u8>, Tree)>),
}

/// A message lies deeper than messages are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooDeep;

/// What a value that is neither text, bytes, list nor map counts.
pub(super) const SCALAR_BYTES: usize = 8;

/// The key and the value of a `KeyValue` message in which messages may nest `depth` deep.
pub(super) fn key_value(mut message: &[u8], depth: u32) -> Result<(Vec<u8>, Tree), TooDeep> {
    let (mut key, mut value) = (Vec::new(), Tree::None);
    while let Some((field, wire_type)) = next(&mut message) {
        match field {
            1 => key = delimited(&mut message).to_vec(),
            2 => value.merge(delimited(&mut message), inner(depth)?)?,
            3 => drop(decode_varint(&mut message)),
            _ => skip(wire_type, field, &mut message, depth)?,
        }
    }
    Ok((key, value))
}

fn inner(depth: u32) -> Result<u32, TooDeep> {
    depth.checked_sub(1).ok_or(TooDeep)
}

fn next(message: &mut &[u8]) -> Option<(u32, WireType)> {
    if message.is_empty() { None } else { decode_key(message).ok() }
}

fn delimited<'m>(message: &mut &'m [u8]) -> &'m [u8] {
    let length = decode_varint(message).unwrap_or_default();
    let (bytes, rest) = message.split_at((length as usize).min(message.len()));
    *message = rest;
    bytes
}

fn fixed64(message: &mut &[u8]) -> u64 {
    let (bytes, rest) = message.split_at(8.min(message.len()));
    *message = rest;
    bytes.try_into().map_or(0, u64::from_le_bytes)
}

/// Passes over an unknown field, as the hot path does: a group is a message, too.
fn skip(wire_type: WireType, field: u32, message: &mut &[u8], depth: u32) -> Result<(), TooDeep> {
    let depth = inner(depth)?;
    if wire_type != WireType::StartGroup {
        let _ = skip_field(wire_type, field, message, DecodeContext::default());
        return Ok(());
    }
    while let Some((field, wire_type)) = next(message) {
        if wire_type == WireType::EndGroup {
            return Ok(());
        }
        skip(wire_type, field, message, depth)?;
    }
    Ok(())
}

impl Tree {
    /// Takes in one more piece of the `AnyValue`: of several kinds the last one holds, and lists or maps in a row are one.
    fn merge(&mut self, mut message: &[u8], depth: u32) -> Result<(), TooDeep> {
        while let Some((kind, wire_type)) = next(&mut message) {
            match kind {
                1 => *self = Self::Text(delimited(&mut message).to_vec()),
                2 => *self = Self::Bool(decode_varint(&mut message).unwrap_or_default() != 0),
                3 => *self = Self::Int(decode_varint(&mut message).unwrap_or_default().cast_signed()),
                4 => *self = Self::Double(f64::from_bits(fixed64(&mut message))),
                5 => self.merge_list(delimited(&mut message), inner(depth)?)?,
                6 => self.merge_map(delimited(&mut message), inner(depth)?)?,
                7 => *self = Self::Bytes(delimited(&mut message).to_vec()),
                8 => {
                    let _ = decode_varint(&mut message);
                    *self = Self::None;
                }
                _ => skip(wire_type, kind, &mut message, depth)?,
            }
        }
        Ok(())
    }

    fn merge_list(&mut self, mut message: &[u8], depth: u32) -> Result<(), TooDeep> {
        let mut values = if let Self::List(values) = self { std::mem::take(values) } else { Vec::new() };
        while let Some((field, wire_type)) = next(&mut message) {
            match field {
                1 => {
                    let mut value = Self::None;
                    value.merge(delimited(&mut message), inner(depth)?)?;
                    values.push(value);
                }
                _ => skip(wire_type, field, &mut message, depth)?,
            }
        }
        *self = Self::List(values);
        Ok(())
    }

    fn merge_map(&mut self, mut message: &[u8], depth: u32) -> Result<(), TooDeep> {
        let mut entries = if let Self::Map(entries) = self { std::mem::take(entries) } else { Vec::new() };
        while let Some((field, wire_type)) = next(&mut message) {
            match field {
                1 => entries.push(key_value(delimited(&mut message), inner(depth)?)?),
                _ => skip(wire_type, field, &mut message, depth)?,
            }
        }
        *self = Self::Map(entries);
        Ok(())
    }

    /// How many bytes it counts, once its texts are repaired.
    pub(super) fn counted(&self) -> usize {
        match self {
            Self::Text(text) => String::from_utf8_lossy(text).len(),
            Self::Bytes(bytes) => bytes.len(),
            Self::List(values) => values.iter().map(Self::counted).sum(),
            Self::Map(entries) => {
                entries.iter().map(|(key, value)| String::from_utf8_lossy(key).len() + value.counted()).sum()
            }
            Self::None | Self::Bool(_) | Self::Int(_) | Self::Double(_) => SCALAR_BYTES,
        }
    }

    /// Whether every text of it is UTF-8.
    pub(super) fn is_utf8(&self) -> bool {
        let is_utf8 = |text: &[u8]| str::from_utf8(text).is_ok();
        match self {
            Self::Text(text) => is_utf8(text),
            Self::List(values) => values.iter().all(Self::is_utf8),
            Self::Map(entries) => entries.iter().all(|(key, value)| is_utf8(key) && value.is_utf8()),
            Self::None | Self::Bool(_) | Self::Int(_) | Self::Double(_) | Self::Bytes(_) => true,
        }
    }

    /// What comes first of it, as far as `left` bytes go; whether that is all of it.
    pub(super) fn cut(self, left: &mut usize) -> (Self, bool) {
        match self {
            Self::Text(text) => {
                let whole = String::from_utf8_lossy(&text);
                let cut = &whole[..whole.floor_char_boundary(*left)];
                *left = left.saturating_sub(whole.len());
                (Self::Text(cut.as_bytes().to_vec()), cut.len() == whole.len())
            }
            Self::Bytes(mut bytes) => {
                let whole = bytes.len();
                bytes.truncate(*left);
                *left = left.saturating_sub(whole);
                let is_whole = bytes.len() == whole;
                (Self::Bytes(bytes), is_whole)
            }
            Self::List(values) => {
                let mut kept = Vec::new();
                for value in values {
                    if !value.begins_within(*left) {
                        return (Self::List(kept), false);
                    }
                    let (value, is_whole) = value.cut(left);
                    kept.push(value);
                    if !is_whole {
                        return (Self::List(kept), false);
                    }
                }
                (Self::List(kept), true)
            }
            Self::Map(entries) => {
                let mut kept = Vec::new();
                for (key, value) in entries {
                    let key_bytes = String::from_utf8_lossy(&key).len();
                    if key_bytes > *left {
                        return (Self::Map(kept), false);
                    }
                    *left -= key_bytes;
                    if !value.begins_within(*left) {
                        kept.push((key, Self::None));
                        return (Self::Map(kept), false);
                    }
                    let (value, is_whole) = value.cut(left);
                    kept.push((key, value));
                    if !is_whole {
                        return (Self::Map(kept), false);
                    }
                }
                (Self::Map(kept), true)
            }
            scalar => {
                *left = left.saturating_sub(SCALAR_BYTES);
                (scalar, true)
            }
        }
    }

    fn begins_within(&self, left: usize) -> bool {
        match self {
            Self::Text(text) | Self::Bytes(text) => left > 0 || text.is_empty(),
            Self::List(_) | Self::Map(_) => true,
            Self::None | Self::Bool(_) | Self::Int(_) | Self::Double(_) => left >= SCALAR_BYTES,
        }
    }

    /// The text that a map column holds.
    pub(super) fn text(self) -> String {
        match self {
            Self::None => String::new(),
            Self::Text(text) => String::from_utf8_lossy(&text).into_owned(),
            Self::Bool(bool) => bool.to_string(),
            Self::Int(int) => int.to_string(),
            Self::Double(double) => double_text(double, &mut zmij::Buffer::new()).into_owned(),
            Self::Bytes(bytes) => BASE64.encode(bytes),
            nested @ (Self::List(_) | Self::Map(_)) => nested.json(),
        }
    }

    /// JSON, with the keys of maps in their order, and all values of a key that is there several times.
    fn json(self) -> String {
        match self {
            Self::None => "null".to_owned(),
            Self::Text(text) => json_text(&String::from_utf8_lossy(&text)),
            Self::Bytes(bytes) => json_text(&BASE64.encode(bytes)),
            Self::Double(double) if !double.is_finite() => json_text(&Self::Double(double).text()),
            Self::List(values) => {
                let values: Vec<_> = values.into_iter().map(Self::json).collect();
                format!("[{}]", values.join(","))
            }
            Self::Map(entries) => {
                let lossy = |key: Vec<u8>| String::from_utf8_lossy(&key).into_owned();
                let mut entries: Vec<_> =
                    entries.into_iter().map(|(key, value)| (lossy(key), value.json())).collect();
                entries.sort_by(|(one, _), (other, _)| one.cmp(other));
                let entries: Vec<_> =
                    entries.into_iter().map(|(key, value)| format!("{}:{value}", json_text(&key))).collect();
                format!("{{{}}}", entries.join(","))
            }
            scalar => scalar.text(),
        }
    }
}

/// As Go's `json.Encoder` writes it when it is told not to escape HTML: the separators of lines and paragraphs are escaped.
pub(super) fn json_text(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029")
}

/// As JSON writes it, the Collector's way: the fewest digits that are this number and no other, of two that are as near the even
/// one; an exponent only below 1e-6 and from 1e21 on. The text of most doubles lies in `buffer`. NaN and the infinities have the
/// names of <https://opentelemetry.io/docs/specs/otel/common/#anyvalue-representation-for-non-otlp-protocols>.
pub(crate) fn double_text(double: f64, buffer: &mut zmij::Buffer) -> Cow<'_, str> {
    if !double.is_finite() {
        let name = if double.is_nan() { "NaN" } else { "Infinity" };
        return if double == f64::NEG_INFINITY { "-Infinity".into() } else { name.into() };
    }
    let text = buffer.format_finite(double);
    let Some((mantissa, exponent)) = text.split_once('e') else {
        return text.strip_suffix(".0").unwrap_or(text).into();
    };
    let (sign, mantissa) = mantissa.strip_prefix('-').map_or(("", mantissa), |mantissa| ("-", mantissa));
    let digits = mantissa.replace('.', "");
    match exponent.parse::<i32>() {
        Ok(-6) => format!("{sign}0.00000{digits}").into(),
        Ok(exponent @ 0..21) => format!("{sign}{digits:0<width$}", width = exponent as usize + 1).into(),
        Ok(exponent) => format!("{sign}{mantissa}e{exponent:+}").into(),
        Err(_) => text.into(),
    }
}
