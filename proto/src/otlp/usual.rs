//! Attributes as exporters write nearly all of them: first the key, then a value that is a scalar, with lengths of one byte. Of
//! any other nothing is said here: those are read field by field, which takes thrice as long.

use super::visit::Value;
use super::wire::{is_ascii, is_utf8, whole_varint};

/// The key and the value of a `KeyValue`.
#[inline(always)]
pub(super) fn pair(pair: &[u8]) -> Option<(&[u8], Value<'_>)> {
    let (key, rest) = short(pair, 0x0a)?;
    let [0x12, length @ ..0x80, value @ ..] = rest else { return None };
    if usize::from(*length) != value.len() {
        return None;
    }
    if let Some(text) = unchecked_text(value) {
        // The numbers and lengths of fields, which are between the texts, are below 0x80, too.
        let is_text = is_ascii(pair) || is_utf8(key) && is_utf8(text);
        return is_text.then_some((key, Value::Text(text)));
    }
    let value = number(value)?;
    is_utf8(key).then_some((key, value))
}

/// An `AnyValue`.
#[inline]
pub(super) fn scalar(value: &[u8]) -> Option<Value<'_>> {
    match unchecked_text(value) {
        Some(text) => is_utf8(text).then_some(Value::Text(text)),
        None => number(value),
    }
}

/// Text that may not be UTF-8.
#[inline(always)]
fn unchecked_text(value: &[u8]) -> Option<&[u8]> {
    match value {
        [0x0a, length @ ..0x80, text @ ..] if usize::from(*length) == text.len() => Some(text),
        _ => None,
    }
}

#[inline(always)]
fn number(value: &[u8]) -> Option<Value<'_>> {
    Some(match value {
        [0x10, byte @ ..0x80] => Value::Bool(*byte != 0),
        [0x18, int @ ..] => Value::Int(whole_varint(int)?.cast_signed()),
        [0x21, double @ ..] => Value::Double(f64::from_le_bytes(double.try_into().ok()?)),
        _ => return None,
    })
}

/// A field whose key is `tag` and whose length takes one byte, and what follows it.
#[inline]
pub(super) fn short(bytes: &[u8], tag: u32) -> Option<(&[u8], &[u8])> {
    match bytes {
        [found, length @ ..0x80, rest @ ..] if u32::from(*found) == tag => {
            rest.split_at_checked(usize::from(*length))
        }
        _ => None,
    }
}
