//! Reads JSON token by token: <https://www.rfc-editor.org/rfc/rfc8259>. It takes what a strict parser takes, but for texts: those
//! may hold bytes that are not UTF-8 and halves of surrogate pairs, which [`super::text`] repairs. It does not recurse, so that
//! no depth is too deep to be passed over.

use super::error::{Fault, JsonError, Read};
use super::text::Text;

/// What a value begins with, and all of one that is neither list nor object.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Token<'t> {
    Null,
    Bool(bool),
    /// As it is written.
    Number(&'t str),
    Text(Text<'t>),
    /// A list, of which the elements follow.
    List,
    /// An object, of which the fields follow.
    Object,
}

/// A place in a text.
pub(super) struct Reader<'t> {
    text: &'t [u8],
    at: usize,
}

/// The brackets that are open, a bit each: a text of nothing but brackets must not take memory as its size.
#[derive(Default)]
struct Brackets {
    bits: Vec<u64>,
    open: usize,
}

impl Brackets {
    fn push(&mut self, is_list: bool) {
        let (word, bit) = (self.open / 64, self.open % 64);
        if word == self.bits.len() {
            self.bits.push(0);
        }
        self.bits[word] = self.bits[word] & !(1 << bit) | u64::from(is_list) << bit;
        self.open += 1;
    }

    /// Whether the innermost one is a list's; none if none is open.
    fn last_is_list(&self) -> Option<bool> {
        let last = self.open.checked_sub(1)?;
        Some(self.bits[last / 64] >> (last % 64) & 1 == 1)
    }
}

impl<'t> Reader<'t> {
    pub(super) fn new(text: &'t [u8]) -> Self {
        // Some senders begin with a byte order mark, which RFC 8259 lets parsers ignore.
        let at = if text.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        Self { text, at }
    }

    /// The place before the next value.
    pub(super) fn place(&mut self) -> usize {
        self.space();
        self.at
    }

    pub(super) fn go_back_to(&mut self, place: usize) {
        self.at = place;
    }

    /// What was read since `place`.
    pub(super) fn since(&self, place: usize) -> &'t [u8] {
        &self.text[place..self.at]
    }

    #[cold]
    pub(super) fn fault(&self, fault: Fault) -> Box<JsonError> {
        let fault = if self.at >= self.text.len() && fault != Fault::TooDeep { Fault::End } else { fault };
        JsonError::at(fault, self.at)
    }

    /// A fault of the value that begins at `place`.
    #[cold]
    pub(super) fn fault_at(&self, fault: Fault, place: usize) -> Box<JsonError> {
        JsonError::at(fault, place)
    }

    #[inline]
    fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.text.get(self.at) {
            self.at += 1;
        }
    }

    #[inline]
    fn takes(&mut self, byte: u8) -> bool {
        let takes = self.text.get(self.at) == Some(&byte);
        self.at += usize::from(takes);
        takes
    }

    /// The next value, or what it begins with.
    #[inline]
    pub(super) fn value(&mut self) -> Read<Token<'t>> {
        self.space();
        match self.text.get(self.at) {
            Some(b'"') => self.string().map(Token::Text),
            Some(b'{') => {
                self.at += 1;
                Ok(Token::Object)
            }
            Some(b'[') => {
                self.at += 1;
                Ok(Token::List)
            }
            Some(b'-' | b'0'..=b'9') => self.number().map(Token::Number),
            // Python's `json.dumps` writes doubles that are no numbers so.
            Some(b'N') => self.word("NaN", Token::Number("NaN")),
            Some(b'I') => self.word("Infinity", Token::Number("Infinity")),
            Some(b'n') => self.word("null", Token::Null),
            Some(b't') => self.word("true", Token::Bool(true)),
            Some(b'f') => self.word("false", Token::Bool(false)),
            _ => Err(self.fault(Fault::NoValue)),
        }
    }

    fn word<T>(&mut self, word: &str, token: T) -> Read<T> {
        match self.text[self.at..].starts_with(word.as_bytes()) {
            true => {
                self.at += word.len();
                Ok(token)
            }
            false => Err(self.fault(Fault::NoValue)),
        }
    }

    fn number(&mut self) -> Read<&'t str> {
        let start = self.at;
        if self.takes(b'-') && self.text.get(self.at) == Some(&b'I') {
            return self.word("Infinity", "-Infinity");
        }
        if !self.takes(b'0') && self.digits() == 0 {
            return Err(self.fault(Fault::NoValue));
        }
        if self.takes(b'.') && self.digits() == 0 {
            return Err(self.fault(Fault::NoValue));
        }
        if matches!(self.text.get(self.at), Some(b'e' | b'E')) {
            self.at += 1;
            if !self.takes(b'+') {
                self.takes(b'-');
            }
            if self.digits() == 0 {
                return Err(self.fault(Fault::NoValue));
            }
        }
        str::from_utf8(self.since(start)).map_err(|_| self.fault(Fault::NoValue))
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.text.get(self.at) {
            self.at += 1;
        }
        self.at - start
    }

    /// A string, whose first quotation mark is next.
    #[inline]
    fn string(&mut self) -> Read<Text<'t>> {
        self.at += 1;
        let start = self.at;
        let mut has_escapes = false;
        loop {
            // Nothing in most texts is special.
            while let Some(byte) = self.text.get(self.at)
                && !IS_SPECIAL[usize::from(*byte)]
            {
                self.at += 1;
            }
            match self.text.get(self.at) {
                Some(b'"') => {
                    let text = Text::new(&self.text[start..self.at], has_escapes);
                    self.at += 1;
                    return Ok(text);
                }
                Some(b'\\') => {
                    has_escapes = true;
                    self.escape()?;
                }
                Some(_) => return Err(self.fault(Fault::Control)),
                None => return Err(self.fault(Fault::End)),
            }
        }
    }

    fn escape(&mut self) -> Read<()> {
        self.at += 1;
        match self.text.get(self.at) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
            Some(b'u') => {
                self.at += 1;
                for _ in 0..4 {
                    match self.text.get(self.at) {
                        Some(digit) if digit.is_ascii_hexdigit() => self.at += 1,
                        _ => return Err(self.fault(Fault::Escape)),
                    }
                }
            }
            _ => return Err(self.fault(Fault::Escape)),
        }
        Ok(())
    }

    /// Whether the list has another element, which is next. `is_first`: none was read of it.
    #[inline]
    pub(super) fn next_element(&mut self, is_first: &mut bool) -> Read<bool> {
        self.space();
        if self.takes(b']') {
            return Ok(false);
        }
        if !std::mem::take(is_first) {
            if !self.takes(b',') {
                return Err(self.fault(Fault::NoElement));
            }
            self.space();
            if self.text.get(self.at) == Some(&b']') {
                return Err(self.fault(Fault::NoValue));
            }
        }
        Ok(true)
    }

    /// The name of the object's next field, whose value is next; none at its end. `is_first`: none was read of it.
    #[inline]
    pub(super) fn next_name(&mut self, is_first: &mut bool) -> Read<Option<Text<'t>>> {
        self.space();
        if std::mem::take(is_first) {
            if self.takes(b'}') {
                return Ok(None);
            }
        } else {
            if self.takes(b'}') {
                return Ok(None);
            }
            if !self.takes(b',') {
                return Err(self.fault(Fault::NoField));
            }
            self.space();
        }
        if self.text.get(self.at) != Some(&b'"') {
            return Err(self.fault(Fault::NoField));
        }
        let name = self.string()?;
        self.space();
        if !self.takes(b':') {
            return Err(self.fault(Fault::NoColon));
        }
        Ok(Some(name))
    }

    /// Passes over what is left of the value that began with `token`.
    pub(super) fn skip_rest(&mut self, token: &Token<'_>) -> Read<()> {
        let mut brackets = Brackets::default();
        match token {
            Token::List => brackets.push(true),
            Token::Object => brackets.push(false),
            _ => return Ok(()),
        }
        let mut is_first = true;
        while let Some(is_list) = brackets.last_is_list() {
            let goes_on = if is_list {
                self.next_element(&mut is_first)?
            } else {
                self.next_name(&mut is_first)?.is_some()
            };
            if !goes_on {
                brackets.open -= 1;
                is_first = false;
                continue;
            }
            match self.value()? {
                Token::List => {
                    brackets.push(true);
                    is_first = true;
                }
                Token::Object => {
                    brackets.push(false);
                    is_first = true;
                }
                _ => is_first = false,
            }
        }
        Ok(())
    }

    /// Passes over the next value.
    pub(super) fn skip(&mut self) -> Read<()> {
        let token = self.value()?;
        self.skip_rest(&token)
    }

    /// An error if anything but space follows.
    pub(super) fn end(&mut self) -> Read<()> {
        self.space();
        if self.at < self.text.len() { Err(self.fault(Fault::More)) } else { Ok(()) }
    }
}

/// The bytes that end a run of plain ones in a string.
const IS_SPECIAL: [bool; 256] = {
    let mut special = [false; 256];
    let mut byte = 0;
    while byte < 0x20 {
        special[byte] = true;
        byte += 1;
    }
    special[b'"' as usize] = true;
    special[b'\\' as usize] = true;
    special
};
