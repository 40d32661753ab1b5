//! Attributes as exporters write nearly all of them: a key and a scalar, with lengths of one byte. SDKs write the key first;
//! the Collector, which writes the fields of a message in descending order since pdata 1.40, the value. Of any other attribute
//! nothing is said here: those are read field by field, which takes thrice as long.

use super::utf8::{is_ascii, is_utf8};
use super::visit::Value;
use super::wire::whole_varint;

/// The longest key or text of a usual attribute, in bytes.
pub(super) const LONGEST: usize = 127;

const KEY: u8 = 0x0a;
const VALUE: u8 = 0x12;

/// The key and the value of a `KeyValue`.
#[inline(always)]
pub(super) fn pair(pair: &[u8]) -> Option<(&[u8], Value<'_>)> {
    let (key, value) = match pair {
        [KEY, length @ ..0x80, rest @ ..] => {
            let (key, rest) = rest.split_at_checked(usize::from(*length))?;
            (key, only(rest, VALUE)?)
        }
        [VALUE, length @ ..0x80, rest @ ..] => {
            let (value, rest) = rest.split_at_checked(usize::from(*length))?;
            (only(rest, KEY)?, value)
        }
        _ => return None,
    };
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
    only(value, 0x0a)
}

/// The field whose key is `tag` and whose length takes one byte, where nothing follows it.
#[inline(always)]
fn only(bytes: &[u8], tag: u8) -> Option<&[u8]> {
    match bytes {
        [found, length @ ..0x80, field @ ..] if *found == tag && usize::from(*length) == field.len() => {
            Some(field)
        }
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
