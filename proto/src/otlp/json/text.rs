//! Strings of JSON, repaired where they hold what UTF-8 cannot.

use std::borrow::Cow;

use super::super::repair::{Repair, Repairs};
use super::super::utf8::is_utf8;

/// The inside of a string, as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Text<'t> {
    written: &'t [u8],
    has_escapes: bool,
}

impl<'t> Text<'t> {
    /// What stands between quotation marks; its escapes are those of JSON.
    pub(super) fn new(written: &'t [u8], has_escapes: bool) -> Self {
        Self { written, has_escapes }
    }

    /// The text, in UTF-8.
    #[inline]
    pub(super) fn read(&self, found: &mut Repairs) -> Cow<'t, [u8]> {
        if !self.has_escapes && is_utf8(self.written) {
            return Cow::Borrowed(self.written);
        }
        let mut text = if self.has_escapes { unescaped(self.written, found) } else { self.written.to_vec() };
        if !is_utf8(&text) {
            found.insert(Repair::InvalidUtf8);
            text = String::from_utf8_lossy(&text).into_owned().into_bytes();
        }
        Cow::Owned(text)
    }

    /// The text where it is read as a number, a name or an id; those are ASCII.
    pub(super) fn ascii(&self) -> Cow<'t, str> {
        match self.read(&mut Repairs::NONE.clone()) {
            Cow::Borrowed(text) => String::from_utf8_lossy(text),
            Cow::Owned(text) => Cow::Owned(String::from_utf8_lossy(&text).into_owned()),
        }
    }
}

/// Half of a surrogate pair, as JavaScript writes where it cuts a text within an emoji, becomes U+FFFD.
#[cold]
fn unescaped(written: &[u8], found: &mut Repairs) -> Vec<u8> {
    let mut text = Vec::with_capacity(written.len());
    let mut rest = written;
    while let Some(escape) = rest.iter().position(|byte| *byte == b'\\') {
        text.extend_from_slice(&rest[..escape]);
        let (character, taken) = escaped(&rest[escape..]);
        if character.is_none() {
            found.insert(Repair::InvalidUtf8);
        }
        let character = character.unwrap_or(char::REPLACEMENT_CHARACTER);
        text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        rest = &rest[escape + taken..];
    }
    text.extend_from_slice(rest);
    text
}

/// The character that an escape stands for, none if it is half of a pair; and how many bytes it takes.
fn escaped(text: &[u8]) -> (Option<char>, usize) {
    let character = match text.get(1) {
        Some(b'u') => {
            let high = unit(&text[2..]);
            return match (high, text.get(6..)) {
                (0xd800..0xdc00, Some([b'\\', b'u', low @ ..])) if (0xdc00..0xe000).contains(&unit(low)) => {
                    let code = 0x1_0000 + ((high - 0xd800) << 10) + (unit(low) - 0xdc00);
                    (char::from_u32(code), 12)
                }
                _ => (char::from_u32(high), 6),
            };
        }
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(other) => char::from(*other),
        None => char::REPLACEMENT_CHARACTER,
    };
    (Some(character), 2)
}

/// Four hexadecimal digits, which the reader has seen.
fn unit(digits: &[u8]) -> u32 {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).unwrap_or_default();
    digits.iter().take(4).fold(0, |unit, byte| unit << 4 | digit(byte))
}
