//! Lists and maps, read in place after a pass has found them well formed.

use super::usual;
use super::visit::Value;
use super::wire::{Message, Read, WireError, WireType};

/// A list or a map: the bytes of the `KeyValue` message that has it.
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

/// A map's keys, which are UTF-8, and their values, in their order on the wire. A key may be there twice.
#[derive(Debug, Clone, Copy)]
pub struct Map<'a>(Message<'a>);

/// A message has a field twice, or one that OTLP does not know, as no exporter writes it. What it means then is for `prost` to
/// say, which merges what is to be merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unusual;

impl From<Box<WireError>> for Unusual {
    fn from(_: Box<WireError>) -> Self {
        Self
    }
}

impl<'a> Nested<'a> {
    /// That of a `KeyValue` message.
    pub fn new(pair: &'a [u8]) -> Self {
        Self(pair)
    }

    /// The bytes of the whole `KeyValue` message.
    pub fn pair(self) -> &'a [u8] {
        self.0
    }

    /// The list or the map.
    pub fn node(self) -> Result<Node<'a>, Unusual> {
        pair(Message::new(self.0)).map(|(_, node)| node)
    }
}

impl<'a> Iterator for List<'a> {
    type Item = Result<Node<'a>, Unusual>;

    fn next(&mut self) -> Option<Self::Item> {
        only_field_1(&mut self.0).map(|value| value.and_then(node))
    }
}

impl<'a> Iterator for Map<'a> {
    type Item = Result<(&'a [u8], Node<'a>), Unusual>;

    fn next(&mut self) -> Option<Self::Item> {
        only_field_1(&mut self.0).map(|entry| entry.and_then(pair))
    }
}

fn only_field_1<'a>(message: &mut Message<'a>) -> Option<Result<Message<'a>, Unusual>> {
    let inner = match message.key() {
        Ok(None) => return None,
        Ok(Some((1, wire_type))) => message.message(wire_type).map_err(Unusual::from),
        Ok(Some(_)) | Err(_) => Err(Unusual),
    };
    Some(inner)
}

/// A `KeyValue`.
fn pair(mut message: Message<'_>) -> Result<(&[u8], Node<'_>), Unusual> {
    if let Some((key, scalar)) = usual::pair(message.rest()) {
        return Ok((key, Node::Scalar(scalar)));
    }
    let (mut key, mut value) = (None, None);
    while let Some((field, wire_type)) = message.key()? {
        let is_second = match field {
            1 => key.replace(message.text(wire_type, "key")?).is_some(),
            2 => value.replace(node(message.message(wire_type)?)?).is_some(),
            _ => true,
        };
        if is_second {
            return Err(Unusual);
        }
    }
    Ok((key.unwrap_or_default(), value.unwrap_or(Node::Scalar(Value::None))))
}

/// An `AnyValue`.
fn node(mut message: Message<'_>) -> Result<Node<'_>, Unusual> {
    if let Some(scalar) = usual::scalar(message.rest()) {
        return Ok(Node::Scalar(scalar));
    }
    let Some((kind, wire_type)) = message.key()? else { return Ok(Node::Scalar(Value::None)) };
    let node = match kind {
        LIST => Node::List(List(message.message(wire_type)?)),
        MAP => Node::Map(Map(message.message(wire_type)?)),
        _ => Node::Scalar(scalar(&mut message, kind, wire_type)?.ok_or(Unusual)?),
    };
    if message.len() == 0 { Ok(node) } else { Err(Unusual) }
}

/// The field of an `AnyValue` that is a list.
pub(super) const LIST: u32 = 5;
/// That which is a map.
pub(super) const MAP: u32 = 6;

/// A value of another kind; none if the field is unknown.
#[inline]
pub(super) fn scalar<'a>(
    message: &mut Message<'a>,
    kind: u32,
    wire_type: WireType,
) -> Read<Option<Value<'a>>> {
    Ok(Some(match kind {
        1 => Value::Text(message.text(wire_type, "string_value")?),
        2 => Value::Bool(message.varint(wire_type)? != 0),
        3 => Value::Int(message.varint(wire_type)?.cast_signed()),
        4 => Value::Double(f64::from_bits(message.fixed64(wire_type)?)),
        7 => Value::Bytes(message.bytes(wire_type)?),
        // An index into a dictionary, which no exporter sends.
        8 => message.varint(wire_type).map(|_| Value::None)?,
        _ => return Ok(None),
    }))
}
