//! Attributes, and the values that they may have.

use super::super::nested::{LIST, MAP, Nested, scalar};
use super::super::usual::{self, short};
use super::super::visit::{Owner, Value, Visitor};
use super::super::wire::{Message, Read, WireType};

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

/// One as exporters write nearly all of them.
#[inline(always)]
fn usual(pair: &[u8]) -> Option<KeyValue<'_>> {
    let (key, value) = usual::pair(pair)?;
    Some(KeyValue { key, value, value_bytes: counted(&value) })
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
    let value = if matches!(kind, LIST | MAP) { Value::Nested(Nested::new(whole)) } else { scalar };
    Ok(KeyValue { key, value, value_bytes })
}

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

/// What a value that is neither list nor map counts.
#[inline]
fn counted(scalar: &Value<'_>) -> usize {
    match scalar {
        Value::Text(bytes) | Value::Bytes(bytes) => bytes.len(),
        _ => SCALAR_BYTES,
    }
}

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
        match kind {
            LIST => list(message.message(wire_type)?, value.begin(kind))?,
            MAP => map(message.message(wire_type)?, value.begin(kind))?,
            _ => match scalar(&mut message, kind, wire_type)? {
                Some(scalar) => *value = Met { kind, bytes: counted(&scalar), scalar },
                None => message.skip(kind, wire_type)?,
            },
        }
    }
    Ok(())
}

fn list(mut message: Message, bytes: &mut usize) -> Read<()> {
    while let Some((field, wire_type)) = message.key()? {
        match field {
            1 => {
                let element = message.message(wire_type)?;
                let element_bytes = match usual::scalar(element.rest()) {
                    Some(scalar) => counted(&scalar),
                    None => {
                        let mut value = Met::default();
                        any_value(element, &mut value)?;
                        value.bytes
                    }
                };
                *bytes = bytes.saturating_add(element_bytes);
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
                let pair = message.message(wire_type)?;
                let usual = usual(pair.rest()).filter(|_| pair.may_nest());
                let KeyValue { key, value_bytes, .. } = usual.map_or_else(|| key_value(pair), Ok)?;
                *bytes = bytes.saturating_add(key.len()).saturating_add(value_bytes);
            }
            _ => message.skip(field, wire_type)?,
        }
    }
    Ok(())
}
