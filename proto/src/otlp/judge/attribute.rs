//! Attributes, and the values that they may have.

use super::super::nested::{LIST, MAP, Nested, scalar};
use super::super::repair::Repair;
use super::super::usual::{self, short};
use super::super::utf8::{is_utf8, repaired_len};
use super::super::visit::{Owner, Value, Visitor};
use super::super::wire::{Message, Read, WireType, not_utf8};
use super::reading::Reading;

/// The attributes of one span, event, link, resource or scope.
#[derive(Default)]
pub(super) struct Attributes {
    /// How many were met.
    met: usize,
    /// How many of them were left out.
    pub(super) dropped: u32,
    /// How many were not read, since they nest too deep.
    too_deep: usize,
    /// The service's name was met beyond the limit of attributes.
    has_late_service_name: bool,
}

impl Attributes {
    /// Reads an attribute of `owner`, whose key was that of `field`, and those that follow it at once.
    #[inline]
    pub(super) fn read<'a, V: Visitor<'a>>(
        &mut self,
        parent: &mut Message<'a>,
        (field, wire_type): (u32, WireType),
        owner: Owner,
        reading: &mut Reading<'a>,
        visitor: &mut V,
    ) -> Read<()> {
        let first = parent.message(wire_type);
        match first.and_then(|pair| pair_of(pair, reading.strict)) {
            Ok(Pair::Usual(key, value)) => self.add_usual(key, value, owner, reading, visitor),
            Ok(Pair::Other(pair)) => self.add(&pair, owner, reading, visitor),
            Err(error) if error.is_too_deep() && !reading.strict => {
                reading.found.insert(Repair::NestedTooDeep);
                self.too_deep += 1;
                self.dropped = self.dropped.saturating_add(1);
            }
            Err(error) => {
                let index = u32::try_from(self.met + self.too_deep).ok();
                return Err(error.within("attributes", index));
            }
        }
        while let Some((pair, rest)) = short(parent.rest(), field << 3 | DELIMITED)
            && let Some((key, value)) = usual::pair(pair)
        {
            self.add_usual(key, value, owner, reading, visitor);
            parent.go_on_at(rest);
        }
        Ok(())
    }

    #[inline(always)]
    fn add_usual<'a, V: Visitor<'a>>(
        &mut self,
        key: &'a [u8],
        value: Value<'a>,
        owner: Owner,
        reading: &mut Reading<'a>,
        visitor: &mut V,
    ) {
        if self.met < reading.bounds.usual {
            self.met += 1;
            visitor.attribute(owner, key, value);
        } else {
            self.add(&KeyValue::usual(key, value), owner, reading, visitor);
        }
    }

    #[inline(never)]
    fn add<'a, V: Visitor<'a>>(
        &mut self,
        pair: &KeyValue<'a>,
        owner: Owner,
        reading: &mut Reading<'a>,
        visitor: &mut V,
    ) {
        self.met += 1;
        let bounds = &reading.bounds;
        let is_within = self.met <= bounds.attributes
            && pair.key.len() <= bounds.name
            && pair.value_bytes <= bounds.value
            && !pair.is_broken
            && !pair.is_merged;
        if is_within {
            visitor.attribute(owner, pair.key, pair.value);
        } else {
            self.add_repaired(pair, owner, reading, visitor);
        }
    }

    #[cold]
    #[inline(never)]
    fn add_repaired<'a, V: Visitor<'a>>(
        &mut self,
        pair: &KeyValue<'a>,
        owner: Owner,
        reading: &mut Reading<'a>,
        visitor: &mut V,
    ) {
        if reading.leaves_out(owner, pair.key, self.met, &mut self.has_late_service_name) {
            self.dropped = self.dropped.saturating_add(1);
            return;
        }
        let key = reading.name(pair.key);
        let value = reading.value(pair);
        visitor.attribute(owner, key, value);
    }
}

/// The type of a field whose length is before it, as its key has it.
const DELIMITED: u32 = 2;

pub(super) struct KeyValue<'a> {
    pub(super) key: &'a [u8],
    pub(super) value: Value<'a>,
    /// What the value counts, once it is repaired.
    pub(super) value_bytes: usize,
    /// Some text of it is not UTF-8.
    pub(super) is_broken: bool,
    /// The value comes in pieces.
    pub(super) is_merged: bool,
}

/// An attribute.
enum Pair<'a> {
    /// One as exporters write nearly all of them.
    Usual(&'a [u8], Value<'a>),
    Other(KeyValue<'a>),
}

#[inline(always)]
fn pair_of(pair: Message<'_>, strict: bool) -> Read<Pair<'_>> {
    match usual::pair(pair.rest()) {
        Some((key, value)) => Ok(Pair::Usual(key, value)),
        None => key_value(pair, strict).map(Pair::Other),
    }
}

impl<'a> KeyValue<'a> {
    fn usual(key: &'a [u8], value: Value<'a>) -> Self {
        Self { key, value, value_bytes: counted(&value), is_broken: false, is_merged: false }
    }
}

/// Any `KeyValue`. `strict`: text that is not UTF-8 is an error.
#[inline(never)]
pub(super) fn key_value(mut message: Message<'_>, strict: bool) -> Read<KeyValue<'_>> {
    let (whole, mut key, mut value) = (message.rest(), b"".as_slice(), Met::default());
    let (mut key_is_broken, mut values) = (false, 0);
    while let Some((field, wire_type)) = message.key()? {
        match field {
            1 => {
                key = message.bytes(wire_type)?;
                key_is_broken = is_broken(key, "key", strict)?;
            }
            2 => {
                values += 1;
                any_value(message.message(wire_type)?, &mut value, strict)?;
            }
            3 => drop(message.varint(wire_type)?),
            _ => message.skip(field, wire_type)?,
        }
    }
    let Met { kind, bytes: value_bytes, scalar, is_broken, is_merged } = value;
    let value = if matches!(kind, LIST | MAP) { Value::Nested(Nested::new(whole)) } else { scalar };
    let is_broken = key_is_broken || is_broken;
    Ok(KeyValue { key, value, value_bytes, is_broken, is_merged: is_merged || values > 1 })
}

#[inline]
fn is_broken(text: &[u8], field: &'static str, strict: bool) -> Read<bool> {
    match is_utf8(text) {
        true => Ok(false),
        false if strict => not_utf8(field),
        false => Ok(true),
    }
}

/// What was met of a value so far.
struct Met<'a> {
    /// Which of its kinds it is, as its field's number.
    kind: u32,
    /// How many bytes it counts, once it is repaired.
    bytes: usize,
    /// What it is, if it is neither list nor map.
    scalar: Value<'a>,
    /// Some text of it is not UTF-8.
    is_broken: bool,
    /// It, or a value in it, comes in pieces.
    is_merged: bool,
}

/// What a value that is neither text, bytes, list nor map counts.
pub(in super::super) const SCALAR_BYTES: usize = 8;

/// What a value that is neither list nor map counts; text is UTF-8.
#[inline]
fn counted(scalar: &Value<'_>) -> usize {
    match scalar {
        Value::Text(bytes) | Value::Bytes(bytes) => bytes.len(),
        _ => SCALAR_BYTES,
    }
}

impl Default for Met<'_> {
    fn default() -> Self {
        Self { kind: 0, bytes: SCALAR_BYTES, scalar: Value::None, is_broken: false, is_merged: false }
    }
}

impl<'a> Met<'a> {
    /// Lists and maps that come twice are merged, all else is replaced.
    fn begin(&mut self, kind: u32) -> &mut Self {
        self.is_merged |= self.kind != 0;
        if self.kind != kind {
            *self = Self { kind, bytes: 0, is_merged: self.is_merged, ..Self::default() };
        }
        self
    }

    fn replace(&mut self, kind: u32, bytes: usize, scalar: Value<'a>, is_broken: bool) {
        let is_merged = self.is_merged || self.kind != 0;
        *self = Self { kind, bytes, scalar, is_broken, is_merged };
    }

    fn add(&mut self, bytes: usize, is_broken: bool, is_merged: bool) {
        self.bytes = self.bytes.saturating_add(bytes);
        self.is_broken |= is_broken;
        self.is_merged |= is_merged;
    }
}

#[inline]
fn any_value<'a>(mut message: Message<'a>, value: &mut Met<'a>, strict: bool) -> Read<()> {
    while let Some((kind, wire_type)) = message.key()? {
        match kind {
            LIST => list(message.message(wire_type)?, value.begin(kind), strict)?,
            MAP => map(message.message(wire_type)?, value.begin(kind), strict)?,
            _ => match scalar(&mut message, kind, wire_type)? {
                Some(Value::Text(text)) => {
                    let is_broken = is_broken(text, "string_value", strict)?;
                    let bytes = if is_broken { repaired_len(text) } else { text.len() };
                    value.replace(kind, bytes, Value::Text(text), is_broken);
                }
                Some(scalar) => value.replace(kind, counted(&scalar), scalar, false),
                None => message.skip(kind, wire_type)?,
            },
        }
    }
    Ok(())
}

fn list(mut message: Message, all: &mut Met<'_>, strict: bool) -> Read<()> {
    while let Some((field, wire_type)) = message.key()? {
        match field {
            1 => {
                let element = message.message(wire_type)?;
                match usual::scalar(element.rest()) {
                    Some(scalar) => all.add(counted(&scalar), false, false),
                    None => {
                        let mut value = Met::default();
                        any_value(element, &mut value, strict)?;
                        all.add(value.bytes, value.is_broken, value.is_merged);
                    }
                }
            }
            _ => message.skip(field, wire_type)?,
        }
    }
    Ok(())
}

fn map(mut message: Message, all: &mut Met<'_>, strict: bool) -> Read<()> {
    while let Some((field, wire_type)) = message.key()? {
        match field {
            1 => {
                let pair = message.message(wire_type)?;
                let usual = usual::pair(pair.rest()).filter(|_| pair.may_nest());
                let pair = match usual {
                    Some((key, value)) => KeyValue::usual(key, value),
                    None => key_value(pair, strict)?,
                };
                let key_bytes = if pair.is_broken { repaired_len(pair.key) } else { pair.key.len() };
                all.add(key_bytes.saturating_add(pair.value_bytes), pair.is_broken, pair.is_merged);
            }
            _ => message.skip(field, wire_type)?,
        }
    }
    Ok(())
}
