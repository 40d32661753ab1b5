//! Reading the protobuf wire in place: <https://protobuf.dev/programming-guides/encoding/>.
//!
//! Takes and refuses exactly what `prost` does, the depth at which it gives up included.

use std::fmt;

/// How deep messages may be nested; `prost` has the same bound.
pub(super) const MAX_DEPTH: u32 = 100;

/// Bytes are not the protobuf message that they should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{fault}, at `{}`", self.field())]
pub struct WireError {
    fault: Fault,
    /// From the innermost field outwards.
    path: Vec<Segment>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Truncated,
    Varint,
    Key,
    WireType,
    Group,
    TooDeep,
    Utf8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Segment {
    field: &'static str,
    index: Option<u32>,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "a field ends after its message",
            Self::Varint => "a number has more than 64 bits or ends early",
            Self::Key => "no field has such a number",
            Self::WireType => "the field is not written as its type is",
            Self::Group => "a group ends that did not begin",
            Self::TooDeep => "values are nested too deep",
            Self::Utf8 => "text is not UTF-8",
        })
    }
}

impl WireError {
    /// The path of the bad field, such as `resource_spans[0].scope_spans[0].spans[3].name`; `.` is the whole request.
    pub fn field(&self) -> String {
        let parts: Vec<_> = self.path.iter().rev().map(Segment::to_string).collect();
        if parts.is_empty() { ".".to_owned() } else { parts.join(".") }
    }

    /// Whether the message is nested deeper than it can be read.
    pub(super) fn is_too_deep(&self) -> bool {
        self.fault == Fault::TooDeep
    }

    #[cold]
    pub(super) fn within(mut self: Box<Self>, field: &'static str, index: Option<u32>) -> Box<Self> {
        self.path.push(Segment { field, index });
        self
    }
}

impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.index {
            Some(index) => write!(f, "{}[{index}]", self.field),
            None => f.write_str(self.field),
        }
    }
}

#[cold]
fn fault<T>(fault: Fault) -> Read<T> {
    Err(Box::new(WireError { fault, path: Vec::new() }))
}

/// The fault of a text field that is not UTF-8.
#[cold]
pub(super) fn not_utf8<T>(field: &'static str) -> Read<T> {
    fault(Fault::Utf8).map_err(|error| error.within(field, None))
}

/// What was read; the error is boxed, since it is rare and the result is everywhere.
pub(super) type Read<T> = Result<T, Box<WireError>>;

/// How a field's value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WireType {
    Varint,
    Fixed64,
    Delimited,
    StartGroup,
    EndGroup,
    Fixed32,
}

/// A message that is being read: the rest of its bytes, and how deep its fields may still nest.
#[derive(Debug, Clone, Copy)]
pub(super) struct Message<'a> {
    rest: &'a [u8],
    depth: u32,
}

impl<'a> Message<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, depth: MAX_DEPTH }
    }

    /// How many bytes are left.
    pub(super) fn len(&self) -> usize {
        self.rest.len()
    }

    /// The bytes that are left.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Goes on at `rest`, which is what follows fields that were read from [`Self::rest`].
    #[inline]
    pub(super) fn go_on_at(&mut self, rest: &'a [u8]) {
        self.rest = rest;
    }

    /// The next field's number and type; none at the end.
    #[inline]
    pub(super) fn key(&mut self) -> Read<Option<(u32, WireType)>> {
        let key = match self.rest {
            [] => return Ok(None),
            // Most are one byte.
            [byte @ 8..0x80, rest @ ..] => {
                self.rest = rest;
                u32::from(*byte)
            }
            _ => match u32::try_from(self.varint_value()?) {
                Ok(key) if key >> 3 != 0 => key,
                _ => return fault(Fault::Key),
            },
        };
        let wire_type = match key & 7 {
            0 => WireType::Varint,
            1 => WireType::Fixed64,
            2 => WireType::Delimited,
            3 => WireType::StartGroup,
            4 => WireType::EndGroup,
            5 => WireType::Fixed32,
            _ => return fault(Fault::Key),
        };
        Ok(Some((key >> 3, wire_type)))
    }

    #[inline]
    fn varint_value(&mut self) -> Read<u64> {
        match self.rest {
            [byte @ ..0x80, rest @ ..] => {
                self.rest = rest;
                Ok((*byte).into())
            }
            [low, high @ ..0x80, rest @ ..] => {
                self.rest = rest;
                Ok(u64::from(low & 0x7f) | u64::from(*high) << 7)
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Read<u64> {
        let mut value = 0;
        for (index, &byte) in self.rest.iter().take(10).enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte < 0x80 {
                if index == 9 && byte > 1 {
                    break;
                }
                self.rest = &self.rest[index + 1..];
                return Ok(value);
            }
        }
        fault(Fault::Varint)
    }

    #[inline]
    fn take(&mut self, bytes: u64) -> Read<&'a [u8]> {
        match usize::try_from(bytes).ok().and_then(|bytes| self.rest.split_at_checked(bytes)) {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(taken)
            }
            None => fault(Fault::Truncated),
        }
    }

    /// A number of any of protobuf's varint types.
    #[inline]
    pub(super) fn varint(&mut self, wire_type: WireType) -> Read<u64> {
        expect(wire_type, WireType::Varint)?;
        self.varint_value()
    }

    #[inline]
    pub(super) fn fixed64(&mut self, wire_type: WireType) -> Read<u64> {
        expect(wire_type, WireType::Fixed64)?;
        let mut bytes = [0; 8];
        bytes.copy_from_slice(self.take(8)?);
        Ok(u64::from_le_bytes(bytes))
    }

    #[inline]
    pub(super) fn fixed32(&mut self, wire_type: WireType) -> Read<u32> {
        expect(wire_type, WireType::Fixed32)?;
        let mut bytes = [0; 4];
        bytes.copy_from_slice(self.take(4)?);
        Ok(u32::from_le_bytes(bytes))
    }

    #[inline]
    pub(super) fn bytes(&mut self, wire_type: WireType) -> Read<&'a [u8]> {
        expect(wire_type, WireType::Delimited)?;
        let bytes = self.varint_value()?;
        self.take(bytes)
    }

    /// A message inside of this one.
    #[inline(always)]
    pub(super) fn message(&mut self, wire_type: WireType) -> Read<Message<'a>> {
        expect(wire_type, WireType::Delimited)?;
        if self.depth == 0 {
            return fault(Fault::TooDeep);
        }
        let bytes = self.varint_value()?;
        Ok(Message { rest: self.take(bytes)?, depth: self.depth - 1 })
    }

    /// Whether there may be a message inside of this one.
    pub(super) fn may_nest(&self) -> bool {
        self.depth > 0
    }

    /// Passes over a field.
    #[inline]
    pub(super) fn skip(&mut self, field: u32, wire_type: WireType) -> Read<()> {
        if wire_type == WireType::Delimited && self.depth > 0 {
            return self.bytes(wire_type).map(drop);
        }
        self.skip_at(field, wire_type, self.depth)
    }

    fn skip_at(&mut self, field: u32, wire_type: WireType, depth: u32) -> Read<()> {
        if depth == 0 {
            return fault(Fault::TooDeep);
        }
        match wire_type {
            WireType::Varint => self.varint_value().map(drop),
            WireType::Fixed64 => self.take(8).map(drop),
            WireType::Fixed32 => self.take(4).map(drop),
            WireType::Delimited => self.bytes(wire_type).map(drop),
            WireType::EndGroup => fault(Fault::Group),
            WireType::StartGroup => loop {
                match self.key()? {
                    None => return fault(Fault::Truncated),
                    Some((end, WireType::EndGroup)) if end == field => return Ok(()),
                    Some((_, WireType::EndGroup)) => return fault(Fault::Group),
                    Some((inner, wire_type)) => self.skip_at(inner, wire_type, depth - 1)?,
                }
            },
        }
    }
}

/// The number, where the bytes are one and nothing else.
#[inline]
pub(super) fn whole_varint(bytes: &[u8]) -> Option<u64> {
    let mut message = Message::new(bytes);
    message.varint_value().ok().filter(|_| message.rest.is_empty())
}

#[inline]
fn expect(found: WireType, expected: WireType) -> Read<()> {
    if found == expected { Ok(()) } else { fault(Fault::WireType) }
}
