//! Attributes, and the values that they may have.

use super::super::visit::{Owner, Value, Visitor};
use super::super::wire::{Message, Read, WireType, is_ascii, is_utf8, whole_varint};

/// The attributes of one span, event, link, resource or scope.
#[derive(Default)]
pub(super) struct Attributes {
    pub(super) count: usize,
    pub(super) longest_key: usize,
    pub(super) largest_value: usize,
}

impl Attributes {
    /// Reads an attribute of `owner`, whose key was that of `field`, and those that follow it at once.
    #[inline]
    pub(super) fn read<'a>(
        &mut self,
        parent: &mut Message<'a>,
        (field, wire_type): (u32, WireType),
        owner: Owner,
        visitor: &mut impl Visitor<'a>,
    ) -> Read<()> {
        let first = parent.message(wire_type);
        let first = first.and_then(|pair| usual(pair.rest()).map_or_else(|| key_value(pair), Ok));
        self.add(first.map_err(|error| error.within("attributes", None))?, owner, visitor);
        while let Some((pair, rest)) = short(parent.rest(), field << 3 | DELIMITED)
            && let Some(pair) = usual(pair)
        {
            self.add(pair, owner, visitor);
            parent.go_on_at(rest);
        }
        Ok(())
    }

    #[inline(always)]
    fn add<'a>(&mut self, pair: KeyValue<'a>, owner: Owner, visitor: &mut impl Visitor<'a>) {
        self.count += 1;
        self.longest_key = self.longest_key.max(pair.key.len());
        self.largest_value = self.largest_value.max(pair.value_bytes);
        visitor.attribute(owner, pair.key, pair.value);
    }
}

/// The type of a field whose length is before it, as its key has it.
const DELIMITED: u32 = 2;

struct KeyValue<'a> {
    key: &'a [u8],
    value: Value<'a>,
    /// What the value counts.
    value_bytes: usize,
}

/// The key and the value of an attribute as exporters write nearly all of them: first the key, then a value that is a scalar,
/// with lengths of one byte. Of any other it says nothing: [`key_value`] reads it field by field, which takes thrice as long.
#[inline(always)]
fn usual(pair: &[u8]) -> Option<KeyValue<'_>> {
    let (key, rest) = short(pair, 0x0a)?;
    let [0x12, length @ ..0x80, value @ ..] = rest else { return None };
    if usize::from(*length) != value.len() {
        return None;
    }
    let value = match value {
        [0x0a, length @ ..0x80, text @ ..] if usize::from(*length) == text.len() => {
            // The numbers and lengths of fields, which are between the texts, are below 0x80, too.
            let is_text = is_ascii(pair) || is_utf8(key) && is_utf8(text);
            return is_text.then_some(KeyValue { key, value: Value::Text(text), value_bytes: text.len() });
        }
        [0x10, byte @ ..0x80] => Value::Bool(*byte != 0),
        [0x18, int @ ..] => Value::Int(whole_varint(int)?.cast_signed()),
        [0x21, double @ ..] => Value::Double(f64::from_le_bytes(double.try_into().ok()?)),
        _ => return None,
    };
    is_utf8(key).then_some(KeyValue { key, value, value_bytes: SCALAR_BYTES })
}

/// A field whose key is `tag` and whose length takes one byte, and what follows it.
#[inline]
fn short(bytes: &[u8], tag: u32) -> Option<(&[u8], &[u8])> {
    match bytes {
        [found, length @ ..0x80, rest @ ..] if u32::from(*found) == tag => {
            rest.split_at_checked(usize::from(*length))
        }
        _ => None,
    }
}

#[inline(never)]
fn key_value(mut message: Message<'_>) -> Read<KeyValue<'_>> {
    let (whole, mut key, mut value) = (message.rest(), b"".as_slice(), Met::default());
    while let Some((field, wire_type)) = message.key()? {
        match field {
            1 => key = message.text(wire_type, "key")?,
            2 => any_value(message.message(wire_type)?, &mut value)?,
            3 => drop(message.varint(wire_type)?),
            _ => message.skip(field, wire_type)?,
        }
    }
    let Met { kind, bytes: value_bytes, scalar } = value;
    let value = if matches!(kind, LIST | MAP) { Value::Nested(whole) } else { scalar };
    Ok(KeyValue { key, value, value_bytes })
}

const LIST: u32 = 5;
const MAP: u32 = 6;

/// What was met of a value so far.
struct Met<'a> {
    /// Which of its kinds it is, as its field's number.
    kind: u32,
    /// How many bytes it counts.
    bytes: usize,
    /// What it is, if it is neither list nor map.
    scalar: Value<'a>,
}

/// What a value that is neither text, bytes, list nor map counts.
pub(in super::super) const SCALAR_BYTES: usize = 8;

impl Default for Met<'_> {
    fn default() -> Self {
        Self { kind: 0, bytes: SCALAR_BYTES, scalar: Value::None }
    }
}

impl Met<'_> {
    /// Lists and maps that come twice are merged, all else is replaced.
    fn begin(&mut self, kind: u32) -> &mut usize {
        if self.kind != kind {
            *self = Self { kind, bytes: 0, scalar: Value::None };
        }
        &mut self.bytes
    }
}

#[inline]
fn any_value<'a>(mut message: Message<'a>, value: &mut Met<'a>) -> Read<()> {
    while let Some((kind, wire_type)) = message.key()? {
        let (bytes, scalar) = match kind {
            1 => {
                let text = message.text(wire_type, "string_value")?;
                (text.len(), Value::Text(text))
            }
            2 => (SCALAR_BYTES, Value::Bool(message.varint(wire_type)? != 0)),
            3 => (SCALAR_BYTES, Value::Int(message.varint(wire_type)?.cast_signed())),
            4 => (SCALAR_BYTES, Value::Double(f64::from_bits(message.fixed64(wire_type)?))),
            LIST => {
                list(message.message(wire_type)?, value.begin(kind))?;
                continue;
            }
            MAP => {
                map(message.message(wire_type)?, value.begin(kind))?;
                continue;
            }
            7 => {
                let bytes = message.bytes(wire_type)?;
                (bytes.len(), Value::Bytes(bytes))
            }
            // An index into a dictionary, which no exporter sends.
            8 => {
                message.varint(wire_type)?;
                (SCALAR_BYTES, Value::None)
            }
            _ => {
                message.skip(kind, wire_type)?;
                continue;
            }
        };
        *value = Met { kind, bytes, scalar };
    }
    Ok(())
}

fn list(mut message: Message, bytes: &mut usize) -> Read<()> {
    while let Some((field, wire_type)) = message.key()? {
        match field {
            1 => {
                let mut value = Met::default();
                any_value(message.message(wire_type)?, &mut value)?;
                *bytes = bytes.saturating_add(value.bytes);
            }
            _ => message.skip(field, wire_type)?,
        }
    }
    Ok(())
}

fn map(mut message: Message, bytes: &mut usize) -> Read<()> {
    while let Some((field, wire_type)) = message.key()? {
        match field {
            1 => {
                let KeyValue { key, value_bytes, .. } = message.message(wire_type).and_then(key_value)?;
                *bytes = bytes.saturating_add(key.len()).saturating_add(value_bytes);
            }
            _ => message.skip(field, wire_type)?,
        }
    }
    Ok(())
}
