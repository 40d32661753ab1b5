//! Writes a list or a map anew, as protobuf: what few requests need, and never the usual ones.

use prost::encoding::{WireType as Kind, encode_key, encode_varint};

use super::super::judge::SCALAR_BYTES;
use super::super::utf8::{repaired, repaired_len};
use super::super::visit::Value;
use super::super::wire::{Message, Read};
use super::{LIST, MAP, scalar};

/// The `KeyValue` message `pair` without its key, and no more of its value than counts `most` bytes.
pub(super) fn cut(pair: &[u8], most: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = Writer { left: most };
    // The pass has read it before: there is no error.
    if let Ok((_, values)) = parts_of_pair(Message::new(pair)) {
        delimited(&mut out, 2, |out| {
            writer.value(&values, out);
        });
    }
    out
}

struct Writer {
    /// How many bytes may still be counted.
    left: usize,
}

/// Whether anything more may follow.
type GoesOn = bool;

impl Writer {
    /// Writes the `AnyValue` that `parts` are, merged.
    fn value(&mut self, parts: &[Message<'_>], out: &mut Vec<u8>) -> GoesOn {
        let Ok(merged) = merge(parts) else { return true };
        match merged {
            Merged::List(lists) => {
                let mut goes_on = true;
                delimited(out, LIST, |out| goes_on = self.list(&lists, out));
                goes_on
            }
            Merged::Map(maps) => {
                let mut goes_on = true;
                delimited(out, MAP, |out| goes_on = self.map(&maps, out));
                goes_on
            }
            Merged::Scalar(value) => self.scalar(value, out),
        }
    }

    fn list(&mut self, lists: &[Message<'_>], out: &mut Vec<u8>) -> GoesOn {
        for value in lists.iter().flat_map(|list| each_of_field_1(*list)) {
            if !self.has_room_for(value) {
                return false;
            }
            let mut goes_on = true;
            delimited(out, 1, |out| goes_on = self.value(&[value], out));
            if !goes_on {
                return false;
            }
        }
        true
    }

    fn map(&mut self, maps: &[Message<'_>], out: &mut Vec<u8>) -> GoesOn {
        for entry in maps.iter().flat_map(|map| each_of_field_1(*map)) {
            let Ok((key, values)) = parts_of_pair(entry) else { return true };
            let key = repaired(key, usize::MAX);
            if key.len() > self.left {
                return false;
            }
            self.left -= key.len();
            let has_room = merge(&values).map_or(true, |value| self.has_room(&value));
            let mut goes_on = has_room;
            delimited(out, 1, |out| {
                bytes(out, 1, &key);
                // An absent value counts as much as an empty one.
                if has_room {
                    delimited(out, 2, |out| goes_on = self.value(&values, out));
                }
            });
            if !goes_on {
                return false;
            }
        }
        true
    }

    /// Whether something of the value can be written.
    fn has_room_for(&self, value: Message<'_>) -> bool {
        merge(&[value]).map_or(true, |value| self.has_room(&value))
    }

    fn has_room(&self, value: &Merged<'_>) -> bool {
        match value {
            Merged::List(_) | Merged::Map(_) => true,
            Merged::Scalar(Value::Text(text) | Value::Bytes(text)) => self.left > 0 || text.is_empty(),
            Merged::Scalar(_) => self.left >= SCALAR_BYTES,
        }
    }

    fn scalar(&mut self, value: Value<'_>, out: &mut Vec<u8>) -> GoesOn {
        match value {
            Value::Text(text) => {
                let whole = repaired_len(text);
                let text = repaired(text, self.left);
                self.left = self.left.saturating_sub(whole);
                bytes(out, 1, &text);
                return whole == text.len();
            }
            Value::Bytes(whole) => {
                let kept = &whole[..whole.len().min(self.left)];
                self.left = self.left.saturating_sub(whole.len());
                bytes(out, 7, kept);
                return whole.len() == kept.len();
            }
            Value::Bool(bool) => prost::encoding::bool::encode(2, &bool, out),
            Value::Int(int) => prost::encoding::int64::encode(3, &int, out),
            Value::Double(double) => prost::encoding::double::encode(4, &double, out),
            Value::None | Value::Nested(_) => {}
        }
        self.left = self.left.saturating_sub(SCALAR_BYTES);
        true
    }
}

/// An `AnyValue`, of which the last kind holds.
enum Merged<'a> {
    Scalar(Value<'a>),
    List(Vec<Message<'a>>),
    Map(Vec<Message<'a>>),
}

/// Messages of one field that come in pieces are one, and lists or maps in a row are one:
/// <https://protobuf.dev/programming-guides/encoding/#last-one-wins>.
fn merge<'a>(parts: &[Message<'a>]) -> Read<Merged<'a>> {
    let mut merged = Merged::Scalar(Value::None);
    for part in parts {
        let mut message = *part;
        while let Some((kind, wire_type)) = message.key()? {
            match (kind, &mut merged) {
                (LIST, Merged::List(lists)) => lists.push(message.message(wire_type)?),
                (LIST, _) => merged = Merged::List(vec![message.message(wire_type)?]),
                (MAP, Merged::Map(maps)) => maps.push(message.message(wire_type)?),
                (MAP, _) => merged = Merged::Map(vec![message.message(wire_type)?]),
                _ => match scalar(&mut message, kind, wire_type)? {
                    Some(scalar) => merged = Merged::Scalar(scalar),
                    None => message.skip(kind, wire_type)?,
                },
            }
        }
    }
    Ok(merged)
}

/// The key of a `KeyValue`, and the pieces of its value.
fn parts_of_pair(mut message: Message<'_>) -> Read<(&[u8], Vec<Message<'_>>)> {
    let (mut key, mut values) = (b"".as_slice(), Vec::new());
    while let Some((field, wire_type)) = message.key()? {
        match field {
            1 => key = message.bytes(wire_type)?,
            2 => values.push(message.message(wire_type)?),
            _ => message.skip(field, wire_type)?,
        }
    }
    Ok((key, values))
}

fn each_of_field_1(mut message: Message<'_>) -> impl Iterator<Item = Message<'_>> {
    std::iter::from_fn(move || super::next_of_field_1(&mut message))
}

fn bytes(out: &mut Vec<u8>, field: u32, value: &[u8]) {
    encode_key(field, Kind::LengthDelimited, out);
    encode_varint(value.len() as u64, out);
    out.extend_from_slice(value);
}

/// A field whose content `write` appends.
fn delimited(out: &mut Vec<u8>, field: u32, write: impl FnOnce(&mut Vec<u8>)) {
    encode_key(field, Kind::LengthDelimited, out);
    let begin = out.len();
    write(out);
    let mut length = Vec::with_capacity(5);
    encode_varint((out.len() - begin) as u64, &mut length);
    out.splice(begin..begin, length);
}
