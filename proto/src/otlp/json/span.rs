//! Spans, their events and their links.

use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;

use super::super::repair::{Repair, Repairs};
use super::error::{Fault, JsonError, Read};
use super::reader::Token;
use super::transcoder::{Dropped, Transcoder, depth, fields};
use super::writer::Message;

/// What stands for an id that is not hexadecimal: no id has one byte.
const NO_ID: [u8; 1] = [0];
/// Lengths of ids in base64, in bytes.
const BASE64_ID_LENGTHS: [usize; 4] = [11, 12, 22, 24];

impl Transcoder<'_> {
    pub(super) fn span(&mut self, parent: &mut Message) -> Read<()> {
        // A span whose parent alone is bad is rejected, and its SDK writes ids as it should.
        let (mut found, mut bad_id, mut bad_parent) = (Repairs::NONE, None, None);
        let mut message = self.writer.begin(parent, 2);
        let [mut attributes, mut events, mut links] = [Dropped::default(); 3];
        fields!(self,
            "traceId" | "trace_id" => self.id(&mut message, 1, "traceId", &mut bad_id)?,
            "spanId" | "span_id" => self.id(&mut message, 2, "spanId", &mut bad_id)?,
            "traceState" | "trace_state" => self.text(&mut message, 3, &mut found)?,
            "parentSpanId" | "parent_span_id" => self.id(&mut message, 4, "parentSpanId", &mut bad_parent)?,
            "name" => self.text(&mut message, 5, &mut found)?,
            "kind" => self.enumeration(&mut message, 6, Repair::KindUnknown, &mut found, |name| {
                SpanKind::from_str_name(name).map(i32::from)
            })?,
            "startTimeUnixNano" | "start_time_unix_nano" => self.time(&mut message, 7, &mut found)?,
            "endTimeUnixNano" | "end_time_unix_nano" => self.time(&mut message, 8, &mut found)?,
            "attributes" => attributes.here += self.attributes(&mut message, 9, depth::SPAN, &mut found)?,
            "droppedAttributesCount" | "dropped_attributes_count" => attributes.by_sender = self.int(&mut found)?,
            "events" => events.here += self.elements("events", &mut found, |transcoder, found| {
                transcoder.event(&mut message, found)
            })?,
            "droppedEventsCount" | "dropped_events_count" => events.by_sender = self.int(&mut found)?,
            "links" => links.here += self.elements("links", &mut found, |transcoder, found| {
                transcoder.link(&mut message, found)
            })?,
            "droppedLinksCount" | "dropped_links_count" => links.by_sender = self.int(&mut found)?,
            "status" => {
                if self.begins_object(&mut found)? {
                    self.status(&mut message, &mut found)?;
                }
            },
            "flags" => self.flags(&mut message, 16, &mut found)?,
        );
        self.dropped(&mut message, 10, attributes);
        self.dropped(&mut message, 12, events);
        self.dropped(&mut message, 14, links);
        self.writer.end(message);
        self.end_span(found, bad_id);
        Ok(())
    }

    fn end_span(&mut self, found: Repairs, bad_id: Option<Box<JsonError>>) {
        let position = self.position;
        self.position += 1;
        self.note(position, found);
        if let Some(bad_id) = bad_id {
            self.unusable.span(bad_id);
        }
    }

    /// What stands for an element of a list of spans that is no object: a span without ids, which is rejected.
    pub(super) fn no_span(&mut self, parent: &mut Message, error: Box<JsonError>) {
        let message = self.writer.begin(parent, 2);
        self.writer.end(message);
        self.end_span(Repairs::only(Repair::WrongType), Some(error));
    }

    /// An id in hexadecimal, in either case.
    fn id(
        &mut self,
        message: &mut Message,
        field: u32,
        name: &'static str,
        bad: &mut Option<Box<JsonError>>,
    ) -> Read<()> {
        let place = self.reader.place();
        let token = self.reader.value()?;
        if token == Token::Null {
            return Ok(());
        }
        let (mut id, mut length, mut may_be_base64, mut is_hex) = ([0; 16], None, false, false);
        if let Token::Text(text) = &token {
            let text = text.ascii();
            let bytes = text.len() / 2;
            let decoded = id.get_mut(..bytes).is_some_and(|id| hex::decode_to_slice(&*text, id).is_ok());
            length = decoded.then_some(bytes);
            is_hex =
                decoded || text.len().is_multiple_of(2) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
            may_be_base64 = BASE64_ID_LENGTHS.contains(&text.len());
        }
        self.reader.skip_rest(&token)?;
        if !is_hex {
            bad.get_or_insert_with(|| self.fault_of_field(Fault::NoHexId { may_be_base64 }, place, name));
        }
        match length {
            Some(0) => {}
            Some(length) => self.writer.bytes(message, field, &id[..length]),
            None => self.writer.bytes(message, field, &NO_ID),
        }
        Ok(())
    }

    fn time(&mut self, message: &mut Message, field: u32, found: &mut Repairs) -> Read<()> {
        let time = self.int::<u64>(found)?;
        if time > 0 {
            self.writer.fixed64(message, field, time);
        }
        Ok(())
    }

    fn flags(&mut self, message: &mut Message, field: u32, found: &mut Repairs) -> Read<()> {
        let flags = self.int::<u32>(found)?;
        if flags > 0 {
            self.writer.fixed32(message, field, flags);
        }
        Ok(())
    }

    /// An enum as its number, as text of it, or as its name.
    fn enumeration(
        &mut self,
        message: &mut Message,
        field: u32,
        unknown: Repair,
        found: &mut Repairs,
        by_name: impl FnOnce(&str) -> Option<i32>,
    ) -> Read<()> {
        let token = self.reader.value()?;
        let number = |text: &str| super::number::whole(text).and_then(|number| i32::try_from(number).ok());
        let value = match &token {
            Token::Number(text) => number(text),
            Token::Text(text) => {
                let text = text.ascii();
                by_name(&text).or_else(|| number(&text))
            }
            other => return self.leave_out(other, found),
        };
        match value {
            Some(0) => {}
            // Protobuf writes a negative number in 64 bits.
            Some(value) => self.writer.number(message, field, i64::from(value).cast_unsigned()),
            None => found.insert(unknown),
        }
        Ok(())
    }

    fn status(&mut self, parent: &mut Message, found: &mut Repairs) -> Read<()> {
        let mut message = self.writer.begin(parent, 15);
        fields!(self,
            "message" => self.text(&mut message, 2, found)?,
            "code" => self.enumeration(&mut message, 3, Repair::StatusUnknown, found, |name| {
                StatusCode::from_str_name(name).map(i32::from)
            })?,
        );
        self.writer.end(message);
        Ok(())
    }

    fn event(&mut self, parent: &mut Message, found: &mut Repairs) -> Read<()> {
        let mut message = self.writer.begin(parent, 11);
        let mut dropped = Dropped::default();
        fields!(self,
            "timeUnixNano" | "time_unix_nano" => self.time(&mut message, 1, found)?,
            "name" => self.text(&mut message, 2, found)?,
            "attributes" => dropped.here += self.attributes(&mut message, 3, depth::OF_SPAN, found)?,
            "droppedAttributesCount" | "dropped_attributes_count" => dropped.by_sender = self.int(found)?,
        );
        self.dropped(&mut message, 4, dropped);
        self.writer.end(message);
        Ok(())
    }

    fn link(&mut self, parent: &mut Message, found: &mut Repairs) -> Read<()> {
        let mut message = self.writer.begin(parent, 13);
        // The pass leaves out a link whose ids are none.
        let mut bad_id = None;
        let mut dropped = Dropped::default();
        fields!(self,
            "traceId" | "trace_id" => self.id(&mut message, 1, "traceId", &mut bad_id)?,
            "spanId" | "span_id" => self.id(&mut message, 2, "spanId", &mut bad_id)?,
            "traceState" | "trace_state" => self.text(&mut message, 3, found)?,
            "attributes" => dropped.here += self.attributes(&mut message, 4, depth::OF_SPAN, found)?,
            "droppedAttributesCount" | "dropped_attributes_count" => dropped.by_sender = self.int(found)?,
            "flags" => self.flags(&mut message, 6, found)?,
        );
        self.dropped(&mut message, 5, dropped);
        self.writer.end(message);
        Ok(())
    }

    /// A list of events or links, each read by `read` once it has begun. Returns how many elements were left out.
    fn elements(
        &mut self,
        field: &'static str,
        found: &mut Repairs,
        mut read: impl FnMut(&mut Self, &mut Repairs) -> Read<()>,
    ) -> Read<u32> {
        let (mut index, mut left_out) = (0, 0);
        self.list(found, |transcoder, found| {
            let within = |error: Box<JsonError>| error.within(field, Some(index));
            let token = transcoder.reader.value().map_err(within)?;
            match token {
                Token::Object => read(transcoder, found).map_err(within)?,
                Token::Null => {}
                _ => {
                    left_out += 1;
                    transcoder.leave_out(&token, found).map_err(within)?;
                }
            }
            index += 1;
            Ok(())
        })?;
        Ok(left_out)
    }
}
