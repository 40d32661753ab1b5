//! `String`: the length as a LEB128 number, and the bytes.

use super::{Grows, Size};

/// Appends a `String`.
#[inline]
pub fn put_text(out: &mut Vec<u8>, text: &[u8]) {
    put_number(out, text.len());
    out.extend_from_slice(text);
}

/// Appends a number as LEB128.
#[inline]
pub fn put_number(out: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// A column of `String`.
#[derive(Debug, Default)]
pub struct Texts {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Texts {
    /// Appends a text.
    #[inline]
    pub fn push(&mut self, text: &[u8]) {
        put_text(&mut self.bytes, text);
        self.ends.push(self.bytes.len());
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// A text, with its length before it.
    #[inline]
    pub(super) fn written(&self, index: usize) -> &[u8] {
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes[start..self.ends[index]]
    }

    /// Leaves the first `len`.
    pub fn truncate(&mut self, len: usize) {
        self.ends.truncate(len);
        self.bytes.truncate(self.ends.last().copied().unwrap_or_default());
    }
}

impl Grows for Texts {
    fn size(&self) -> Size {
        self.bytes.size() + self.ends.size()
    }

    fn expect(&mut self, times: f64) {
        self.bytes.expect(times);
        self.ends.expect(times);
    }
}
