//! Writes protobuf while JSON is read: <https://protobuf.dev/programming-guides/encoding/>.
//!
//! Lengths stand before what they measure and are known after it: a byte is left for each, and what follows is moved where
//! it needs more. The fields of a message come in the order of the JSON and lie in ascending order afterwards, as SDKs write them:
//! the same request in JSON and in protobuf is the same bytes.

/// The wire types.
const VARINT: u32 = 0;
const FIXED64: u32 = 1;
const DELIMITED: u32 = 2;
const FIXED32: u32 = 5;

#[derive(Default)]
pub(super) struct Writer {
    out: Vec<u8>,
    /// Where the fields of the open messages begin; those of one number in a row once.
    fields: Vec<Field>,
}

#[derive(Clone, Copy)]
struct Field {
    number: u32,
    start: usize,
}

/// A message that is being written.
pub(super) struct Message {
    /// Where its key begins.
    key: usize,
    /// Where its content begins.
    content: usize,
    /// Its first field in [`Writer::fields`].
    first_field: usize,
    /// Some field has a lower number than one before it.
    is_disordered: bool,
}

impl Writer {
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self { out: Vec::with_capacity(bytes), fields: Vec::new() }
    }

    /// The outermost message, which has no key and no length.
    pub(super) fn root(&self) -> Message {
        Message { key: 0, content: 0, first_field: 0, is_disordered: false }
    }

    pub(super) fn finish(mut self, mut root: Message) -> Vec<u8> {
        self.put_in_order(&mut root);
        self.out
    }

    #[inline]
    fn note(&mut self, message: &mut Message, number: u32) {
        match self.fields.get(message.first_field..).and_then(<[Field]>::last) {
            Some(last) if last.number == number => return,
            Some(last) if last.number > number => message.is_disordered = true,
            _ => {}
        }
        self.fields.push(Field { number, start: self.out.len() });
    }

    #[inline]
    fn varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.out.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.out.push(number as u8);
    }

    #[inline]
    fn key(&mut self, message: &mut Message, number: u32, wire_type: u32) {
        self.note(message, number);
        self.varint(u64::from(number << 3 | wire_type));
    }

    /// A number of a varint type, also if it is 0.
    pub(super) fn number(&mut self, message: &mut Message, field: u32, number: u64) {
        self.key(message, field, VARINT);
        self.varint(number);
    }

    pub(super) fn fixed64(&mut self, message: &mut Message, field: u32, number: u64) {
        self.key(message, field, FIXED64);
        self.out.extend_from_slice(&number.to_le_bytes());
    }

    pub(super) fn fixed32(&mut self, message: &mut Message, field: u32, number: u32) {
        self.key(message, field, FIXED32);
        self.out.extend_from_slice(&number.to_le_bytes());
    }

    /// Text or bytes, also if there are none.
    #[inline]
    pub(super) fn bytes(&mut self, message: &mut Message, field: u32, bytes: &[u8]) {
        self.key(message, field, DELIMITED);
        self.varint(bytes.len() as u64);
        self.out.extend_from_slice(bytes);
    }

    /// Begins a message inside of `parent`.
    #[inline]
    pub(super) fn begin(&mut self, parent: &mut Message, field: u32) -> Message {
        let key = self.out.len();
        self.key(parent, field, DELIMITED);
        // Most messages are shorter than 128 bytes, and their length takes one.
        self.out.push(0);
        Message { key, content: self.out.len(), first_field: self.fields.len(), is_disordered: false }
    }

    #[inline]
    pub(super) fn end(&mut self, mut message: Message) {
        self.put_in_order(&mut message);
        self.fields.truncate(message.first_field);
        let length = self.out.len() - message.content;
        if length < 0x80 {
            self.out[message.content - 1] = length as u8;
        } else {
            self.write_length(message.content, length);
        }
    }

    fn write_length(&mut self, content: usize, length: usize) {
        let end = self.out.len();
        self.varint(length as u64);
        let more = self.out.len() - end - 1;
        // The length now stands behind the content; before it, one byte is free.
        let mut written = [0; 10];
        written[..=more].copy_from_slice(&self.out[end..]);
        self.out.truncate(end + more);
        self.out.copy_within(content..end, content + more);
        self.out[content - 1..content + more].copy_from_slice(&written[..=more]);
    }

    /// Takes back all of the message.
    pub(super) fn abandon(&mut self, message: &Message) {
        self.out.truncate(message.key);
        self.fields.truncate(message.first_field);
        // Its own key may have been the parent's last field.
        while self.fields.last().is_some_and(|field| field.start >= message.key) {
            self.fields.pop();
        }
    }

    /// Takes back what the message holds so far.
    pub(super) fn clear(&mut self, message: &mut Message) {
        self.out.truncate(message.content);
        self.fields.truncate(message.first_field);
        message.is_disordered = false;
    }

    /// Whether nothing was written into the message.
    pub(super) fn is_empty(&self, message: &Message) -> bool {
        self.out.len() == message.content
    }

    #[inline]
    fn put_in_order(&mut self, message: &mut Message) {
        if message.is_disordered {
            self.sort_fields(message);
        }
    }

    #[cold]
    fn sort_fields(&mut self, message: &Message) {
        let end = self.out.len();
        let fields = &self.fields[message.first_field..];
        let ends = fields.iter().skip(1).map(|field| field.start).chain([end]);
        let mut ranges: Vec<_> =
            fields.iter().zip(ends).map(|(field, end)| (field.number, field.start..end)).collect();
        ranges.sort_by_key(|(number, _)| *number);
        let mut sorted = Vec::with_capacity(end - message.content);
        for (_, range) in ranges {
            sorted.extend_from_slice(&self.out[range]);
        }
        self.out.truncate(message.content);
        self.out.extend(sorted);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn lengths_and_order_are_those_of_prost(lengths in proptest::collection::vec((1_u32..30, 0_usize..20_000), 0..8)) {
            let mut writer = Writer::default();
            let mut root = writer.root();
            for (field, length) in &lengths {
                let mut message = writer.begin(&mut root, *field);
                writer.bytes(&mut message, 1, &vec![7; *length]);
                writer.end(message);
            }
            let mut sorted = lengths.clone();
            sorted.sort_by_key(|(field, _)| *field);
            let mut expected = Vec::new();
            for (field, length) in sorted {
                let mut inner = Vec::new();
                prost::encoding::bytes::encode(1, &vec![7_u8; length], &mut inner);
                prost::encoding::bytes::encode(field, &inner, &mut expected);
            }
            prop_assert_eq!(writer.finish(root), expected);
        }
    }

    #[test]
    fn what_is_taken_back_leaves_nothing() {
        let mut writer = Writer::default();
        let mut root = writer.root();
        writer.bytes(&mut root, 5, b"a");
        let mut message = writer.begin(&mut root, 3);
        writer.number(&mut message, 2, 7);
        writer.abandon(&message);
        let mut message = writer.begin(&mut root, 6);
        writer.bytes(&mut message, 9, b"x");
        writer.clear(&mut message);
        assert!(writer.is_empty(&message));
        writer.end(message);
        assert_eq!(writer.finish(root), [0x2a, 1, b'a', 0x32, 0]);
    }
}
