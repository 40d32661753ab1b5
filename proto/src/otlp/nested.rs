//! Lists and maps, read in place after a pass has found them well formed.

mod rewrite;

use super::usual;
use super::visit::Value;
use super::wire::{Message, Read, WireType};

/// A list or a map: the bytes of the `KeyValue` message that has it. Each `AnyValue` in it has one kind, and each `KeyValue` one
/// value: the pass has rewritten what would have to be merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nested<'a>(&'a [u8]);

/// A value of a list or map.
#[derive(Debug, Clone, Copy)]
pub enum Node<'a> {
    /// Neither list nor map.
    Scalar(Value<'a>),
    /// A list.
    List(List<'a>),
    /// A map.
    Map(Map<'a>),
}

/// A list's values, in their order.
#[derive(Debug, Clone, Copy)]
pub struct List<'a>(Message<'a>);

/// A map's keys and their values, in their order on the wire. A key may be there twice.
#[derive(Debug, Clone, Copy)]
pub struct Map<'a>(Message<'a>);

impl<'a> Nested<'a> {
    /// That of a `KeyValue` message.
    pub(super) fn new(pair: &'a [u8]) -> Self {
        Self(pair)
    }

    /// The list or the map.
    pub fn node(self) -> Node<'a> {
        or_none(pair(Message::new(self.0))).1
    }

    /// The `KeyValue` anew, without its key: merged where the wire has it in pieces, texts repaired, and no more of it than
    /// counts `most` bytes. A list or a map keeps what comes first.
    pub(super) fn cut(self, most: usize) -> Vec<u8> {
        rewrite::cut(self.0, most)
    }
}

/// The pass has read it before: there is no error.
fn or_none<'a>(read: Read<(&'a [u8], Node<'a>)>) -> (&'a [u8], Node<'a>) {
    read.unwrap_or((b"", Node::Scalar(Value::None)))
}

impl<'a> Iterator for List<'a> {
    type Item = Node<'a>;

    fn next(&mut self) -> Option<Node<'a>> {
        let value = next_of_field_1(&mut self.0)?;
        Some(node(value).unwrap_or(Node::Scalar(Value::None)))
    }
}

impl<'a> Iterator for Map<'a> {
    type Item = (&'a [u8], Node<'a>);

    fn next(&mut self) -> Option<(&'a [u8], Node<'a>)> {
        let entry = next_of_field_1(&mut self.0)?;
        Some(or_none(pair(entry)))
    }
}

/// The next message that is field 1: the value of an `ArrayValue`, the pair of a `KeyValueList`.
fn next_of_field_1<'a>(message: &mut Message<'a>) -> Option<Message<'a>> {
    while let Some((field, wire_type)) = message.key().ok()? {
        if field == 1 {
            return message.message(wire_type).ok();
        }
        message.skip(field, wire_type).ok()?;
    }
    None
}

/// A `KeyValue`.
fn pair(mut message: Message<'_>) -> Read<(&[u8], Node<'_>)> {
    if let Some((key, scalar)) = usual::pair(message.rest()) {
        return Ok((key, Node::Scalar(scalar)));
    }
    let (mut key, mut value) = (b"".as_slice(), Node::Scalar(Value::None));
    while let Some((field, wire_type)) = message.key()? {
        match field {
            1 => key = message.bytes(wire_type)?,
            2 => value = node(message.message(wire_type)?)?,
            _ => message.skip(field, wire_type)?,
        }
    }
    Ok((key, value))
}

/// An `AnyValue`.
fn node(mut message: Message<'_>) -> Read<Node<'_>> {
    if let Some(scalar) = usual::scalar(message.rest()) {
        return Ok(Node::Scalar(scalar));
    }
    let mut node = Node::Scalar(Value::None);
    while let Some((kind, wire_type)) = message.key()? {
        match kind {
            LIST => node = Node::List(List(message.message(wire_type)?)),
            MAP => node = Node::Map(Map(message.message(wire_type)?)),
            _ => match scalar(&mut message, kind, wire_type)? {
                Some(scalar) => node = Node::Scalar(scalar),
                None => message.skip(kind, wire_type)?,
            },
        }
    }
    Ok(node)
}

/// The field of an `AnyValue` that is a list.
pub(super) const LIST: u32 = 5;
/// That which is a map.
pub(super) const MAP: u32 = 6;

/// A value of another kind; none if the field is unknown. Text may not be UTF-8.
#[inline]
pub(super) fn scalar<'a>(
    message: &mut Message<'a>,
    kind: u32,
    wire_type: WireType,
) -> Read<Option<Value<'a>>> {
    Ok(Some(match kind {
        1 => Value::Text(message.bytes(wire_type)?),
        2 => Value::Bool(message.varint(wire_type)? != 0),
        3 => Value::Int(message.varint(wire_type)?.cast_signed()),
        4 => Value::Double(f64::from_bits(message.fixed64(wire_type)?)),
        7 => Value::Bytes(message.bytes(wire_type)?),
        // An index into a dictionary, which no exporter sends.
        8 => message.varint(wire_type).map(|_| Value::None)?,
        _ => return Ok(None),
    }))
}
