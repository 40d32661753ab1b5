//! Attributes and their values.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64_NO_PAD;

use super::super::repair::{Repair, Repairs};
use super::error::{Fault, JsonError, Read};
use super::number::{self, Number};
use super::reader::Token;
use super::text::Text;
use super::transcoder::{Transcoder, fields};
use super::writer::Message;

/// The kinds of an `AnyValue`, as its fields' numbers.
mod kind {
    pub(super) const STRING: u32 = 1;
    pub(super) const BOOL: u32 = 2;
    pub(super) const INT: u32 = 3;
    pub(super) const DOUBLE: u32 = 4;
    pub(super) const ARRAY: u32 = 5;
    pub(super) const KVLIST: u32 = 6;
    pub(super) const BYTES: u32 = 7;
}

/// What was met of an `AnyValue`.
#[derive(Default)]
struct Kinds {
    /// A kind other than `doubleValue`.
    has_other: bool,
    /// A field that is no kind.
    has_unknown: bool,
    /// `doubleValue` as null.
    has_null_double: bool,
}

impl<'t> Transcoder<'t> {
    /// The attributes of a message, as its field `field`, in which messages may nest `depth` deep. Returns how many were left
    /// out.
    pub(super) fn attributes(
        &mut self,
        parent: &mut Message,
        field: u32,
        depth: u32,
        found: &mut Repairs,
    ) -> Read<u32> {
        let token = self.reader.value()?;
        if token != Token::List {
            self.leave_out(&token, found)?;
            return Ok(u32::from(token != Token::Null));
        }
        let (mut is_first, mut index, mut left_out) = (true, 0, 0);
        let within = |error: Box<JsonError>, index| error.within("attributes", Some(index));
        while self.reader.next_element(&mut is_first).map_err(|error| within(error, index))? {
            let is_kept =
                self.attribute(parent, field, depth, found).map_err(|error| within(error, index))?;
            left_out += u32::from(!is_kept);
            index += 1;
        }
        Ok(left_out)
    }

    /// An attribute. Returns whether it is kept: what nests too deep, or is none, costs itself alone.
    fn attribute(&mut self, parent: &mut Message, field: u32, depth: u32, found: &mut Repairs) -> Read<bool> {
        let place = self.reader.place();
        let token = self.reader.value()?;
        match token {
            Token::Object => {}
            Token::Null => return Ok(true),
            _ => {
                self.leave_out(&token, found)?;
                return Ok(false);
            }
        }
        let mut message = self.writer.begin(parent, field);
        match self.key_value(&mut message, depth, found) {
            Ok(()) => {
                self.writer.end(message);
                Ok(true)
            }
            Err(error) if error.is_too_deep() => {
                self.writer.abandon(&message);
                found.insert(Repair::NestedTooDeep);
                self.reader.go_back_to(place);
                self.reader.skip()?;
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    fn key_value(&mut self, message: &mut Message, depth: u32, found: &mut Repairs) -> Read<()> {
        fields!(self,
            "key" => self.key(message, found)?,
            "value" => {
                let place = self.reader.place();
                let token = self.reader.value()?;
                if token != Token::Null {
                    let mut value = self.writer.begin(message, 2);
                    self.any_value(&token, place, &mut value, self.inner(depth)?, found)?;
                    self.writer.end(value);
                }
            },
        );
        Ok(())
    }

    /// The key of an attribute: text, or a number, as PHP writes an array's key that looks like one.
    fn key(&mut self, message: &mut Message, found: &mut Repairs) -> Read<()> {
        let place = self.reader.place();
        let token = self.reader.value()?;
        let key = match &token {
            Token::Number(number) => Some(number.as_bytes().into()),
            other => self.as_text(other, place, found)?,
        };
        if let Some(key) = key.filter(|key| !key.is_empty()) {
            self.writer.bytes(message, 1, &key);
        }
        Ok(())
    }

    fn inner(&self, depth: u32) -> Read<u32> {
        depth.checked_sub(1).ok_or_else(|| self.reader.fault(Fault::TooDeep))
    }

    /// An `AnyValue` that begins with `token`. What is none is kept as the JSON that was sent.
    fn any_value(
        &mut self,
        token: &Token<'t>,
        place: usize,
        message: &mut Message,
        depth: u32,
        found: &mut Repairs,
    ) -> Read<()> {
        if *token != Token::Object {
            return self.keep_as_text(token, place, message, found);
        }
        let mut kinds = Kinds::default();
        fields!(self,
            "stringValue" | "string_value" => self.kind(message, &mut kinds, depth, found, Self::string_value)?,
            "boolValue" | "bool_value" => self.kind(message, &mut kinds, depth, found, Self::bool_value)?,
            "intValue" | "int_value" => self.kind(message, &mut kinds, depth, found, Self::int_value)?,
            "doubleValue" | "double_value" => self.double_value(message, &mut kinds, found)?,
            "arrayValue" | "array_value" => self.kind(message, &mut kinds, depth, found, Self::array_value)?,
            "kvlistValue" | "kvlist_value" => self.kind(message, &mut kinds, depth, found, Self::kvlist_value)?,
            "bytesValue" | "bytes_value" => self.kind(message, &mut kinds, depth, found, Self::bytes_value)?,
            _ => kinds.has_unknown = true,
        );
        if kinds.has_unknown && !kinds.has_other && !kinds.has_null_double && self.writer.is_empty(message) {
            return self.keep_sent(place, message, found);
        }
        // Some write NaN so. Where other kinds are null as well, there is no value.
        if kinds.has_null_double && !kinds.has_other && self.writer.is_empty(message) {
            self.writer.fixed64(message, kind::DOUBLE, f64::NAN.to_bits());
        }
        Ok(())
    }

    /// A kind that is not null, of which `write` writes the value. Of several the last one holds.
    #[inline]
    fn kind(
        &mut self,
        message: &mut Message,
        kinds: &mut Kinds,
        depth: u32,
        found: &mut Repairs,
        write: fn(&mut Self, &Token<'t>, &mut Message, u32, &mut Repairs) -> Read<bool>,
    ) -> Read<()> {
        kinds.has_other = true;
        let place = self.reader.place();
        let token = self.reader.value()?;
        if token == Token::Null {
            return Ok(());
        }
        self.writer.clear(message);
        if write(self, &token, message, depth, found)? {
            return Ok(());
        }
        self.keep_sent(place, message, found)
    }

    /// Keeps the value at `place`, of which some was read, as text.
    #[cold]
    fn keep_sent(&mut self, place: usize, message: &mut Message, found: &mut Repairs) -> Read<()> {
        self.reader.go_back_to(place);
        let token = self.reader.value()?;
        self.keep_as_text(&token, place, message, found)
    }

    /// Keeps a value of the wrong type as the text that it is, or as the JSON that was sent.
    fn keep_as_text(
        &mut self,
        token: &Token<'t>,
        place: usize,
        message: &mut Message,
        found: &mut Repairs,
    ) -> Read<()> {
        found.insert(Repair::WrongType);
        self.reader.skip_rest(token)?;
        let text = match token {
            Token::Text(text) => text.read(found),
            _ => Text::new(self.reader.since(place), false).read(found),
        };
        self.writer.clear(message);
        self.writer.bytes(message, kind::STRING, &text);
        Ok(())
    }

    fn string_value(
        &mut self,
        token: &Token<'t>,
        message: &mut Message,
        _: u32,
        found: &mut Repairs,
    ) -> Read<bool> {
        let Token::Text(text) = token else { return Ok(false) };
        self.writer.bytes(message, kind::STRING, &text.read(found));
        Ok(true)
    }

    fn bool_value(
        &mut self,
        token: &Token<'t>,
        message: &mut Message,
        _: u32,
        _: &mut Repairs,
    ) -> Read<bool> {
        let Token::Bool(bool) = token else { return Ok(false) };
        self.writer.number(message, kind::BOOL, u64::from(*bool));
        Ok(true)
    }

    fn int_value(&mut self, token: &Token<'t>, message: &mut Message, _: u32, _: &mut Repairs) -> Read<bool> {
        let number = match token {
            Token::Number(text) => number::int_value(text),
            Token::Text(text) => number::int_value(&text.ascii()),
            _ => None,
        };
        match number {
            Some(Number::Int(int)) => self.writer.number(message, kind::INT, int.cast_unsigned()),
            Some(Number::Double(double)) => self.writer.fixed64(message, kind::DOUBLE, double.to_bits()),
            None => return Ok(false),
        }
        Ok(true)
    }

    fn double_value(&mut self, message: &mut Message, kinds: &mut Kinds, found: &mut Repairs) -> Read<()> {
        let place = self.reader.place();
        let token = self.reader.value()?;
        let double = match &token {
            Token::Null => {
                kinds.has_null_double = true;
                return Ok(());
            }
            Token::Number(text) => number::double(text),
            Token::Text(text) => number::double(&text.ascii()),
            _ => None,
        };
        self.writer.clear(message);
        match double {
            Some(double) => {
                self.writer.fixed64(message, kind::DOUBLE, double.to_bits());
                Ok(())
            }
            None => self.keep_as_text(&token, place, message, found),
        }
    }

    /// Bytes in base64. The mapping takes the URL-safe alphabet too, and no padding.
    fn bytes_value(
        &mut self,
        token: &Token<'t>,
        message: &mut Message,
        _: u32,
        _: &mut Repairs,
    ) -> Read<bool> {
        let Token::Text(text) = token else { return Ok(false) };
        let standard = text.ascii().replace('-', "+").replace('_', "/");
        match BASE64_NO_PAD.decode(standard.trim_end_matches('=')) {
            Ok(bytes) => {
                self.writer.bytes(message, kind::BYTES, &bytes);
                Ok(true)
            }
            Err(_) => Ok(false),
        }
    }

    fn array_value(
        &mut self,
        token: &Token<'t>,
        message: &mut Message,
        depth: u32,
        found: &mut Repairs,
    ) -> Read<bool> {
        if *token != Token::Object {
            return Ok(false);
        }
        let depth = self.inner(depth)?;
        let mut is_list = true;
        let mut array = self.writer.begin(message, kind::ARRAY);
        fields!(self,
            "values" => is_list &= self.list(found, |transcoder, found| {
                let place = transcoder.reader.place();
                let token = transcoder.reader.value()?;
                let depth = transcoder.inner(depth)?;
                // A null is an element without a value.
                let mut value = transcoder.writer.begin(&mut array, 1);
                if token != Token::Null {
                    transcoder.any_value(&token, place, &mut value, depth, found)?;
                }
                transcoder.writer.end(value);
                Ok(())
            })?,
        );
        self.writer.end(array);
        Ok(is_list)
    }

    fn kvlist_value(
        &mut self,
        token: &Token<'t>,
        message: &mut Message,
        depth: u32,
        found: &mut Repairs,
    ) -> Read<bool> {
        if *token != Token::Object {
            return Ok(false);
        }
        let depth = self.inner(depth)?;
        let (mut is_list, mut has_pairs) = (true, true);
        let mut map = self.writer.begin(message, kind::KVLIST);
        fields!(self,
            "values" => is_list &= self.list(found, |transcoder, found| {
                let token = transcoder.reader.value()?;
                if token != Token::Object {
                    has_pairs &= token == Token::Null;
                    return transcoder.leave_out(&token, found);
                }
                let depth = transcoder.inner(depth)?;
                let mut pair = transcoder.writer.begin(&mut map, 1);
                transcoder.key_value(&mut pair, depth, found)?;
                transcoder.writer.end(pair);
                Ok(())
            })?,
        );
        self.writer.end(map);
        Ok(is_list && has_pairs)
    }
}
