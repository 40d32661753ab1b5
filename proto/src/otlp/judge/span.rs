//! A span, with its events, its links and its status.

use super::super::repair::{Repair, Repairs};
use super::super::rules::SpanFacts;
use super::super::visit::{EventFields, LinkFields, Owner, SpanFields, Visitor};
use super::super::wire::{Message, Read};
use super::attribute::Attributes;
use super::reading::{Reading, Texts};
use super::{Unseen, of};

#[inline]
pub(super) fn span<'a, V: Visitor<'a>>(
    mut message: Message<'a>,
    reading: &mut Reading<'a>,
    visitor: &mut V,
) -> Read<(SpanFacts<'a>, SpanFields<'a>)> {
    let (mut facts, mut fields) = (SpanFacts::default(), SpanFields::default());
    let (mut attributes, mut texts) = (Attributes::default(), reading.texts());
    reading.found = Repairs::NONE;
    while let Some((field, wire_type)) = message.key()? {
        match field {
            1 => fields.trace_id = message.bytes(wire_type).map_err(of("trace_id"))?,
            2 => fields.span_id = message.bytes(wire_type).map_err(of("span_id"))?,
            3 => fields.trace_state = texts.read(&mut message, wire_type, "trace_state")?,
            4 => fields.parent_span_id = message.bytes(wire_type).map_err(of("parent_span_id"))?,
            5 => fields.name = texts.read(&mut message, wire_type, "name")?,
            6 => fields.kind = message.varint(wire_type).map_err(of("kind"))? as i32,
            7 => fields.start_unix_nano = message.fixed64(wire_type).map_err(of("start_time_unix_nano"))?,
            8 => fields.end_unix_nano = message.fixed64(wire_type).map_err(of("end_time_unix_nano"))?,
            9 => attributes.read(&mut message, (field, wire_type), Owner::Span, reading, visitor)?,
            10 => {
                fields.dropped_attributes =
                    message.varint(wire_type).map_err(of("dropped_attributes_count"))? as u32
            }
            11 => {
                let inner = message.message(wire_type);
                inner
                    .and_then(|inner| event(inner, &mut facts, reading, visitor))
                    .map_err(|error| error.within("events", Some(facts.events_met)))?;
                facts.events_met += 1;
            }
            12 => {
                fields.dropped_events = message.varint(wire_type).map_err(of("dropped_events_count"))? as u32
            }
            13 => {
                let inner = message.message(wire_type);
                inner
                    .and_then(|inner| link(inner, &mut facts, reading, visitor))
                    .map_err(|error| error.within("links", Some(facts.links_met)))?;
                facts.links_met += 1;
            }
            14 => fields.dropped_links = message.varint(wire_type).map_err(of("dropped_links_count"))? as u32,
            15 => {
                let inner = message.message(wire_type);
                inner.and_then(|inner| status(inner, &mut fields, &mut texts)).map_err(of("status"))?;
            }
            16 => fields.flags = message.fixed32(wire_type).map_err(of("flags"))?,
            _ => message.skip(field, wire_type)?,
        }
    }
    let is_long = fields.name.len() > reading.bounds.name
        || fields.trace_state.len().max(fields.status_message.len()) > reading.bounds.value;
    if is_long || texts.broken {
        repair_span_texts(&mut fields, reading);
    }
    if !(0..=5).contains(&fields.kind) {
        reading.found.insert(Repair::KindUnknown);
    }
    if !(0..=2).contains(&fields.status_code) {
        reading.found.insert(Repair::StatusUnknown);
    }
    fields.dropped_attributes = fields.dropped_attributes.saturating_add(attributes.dropped);
    fields.dropped_events = fields.dropped_events.saturating_add(facts.events_dropped);
    fields.dropped_links = fields.dropped_links.saturating_add(facts.links_dropped);
    facts.trace_id = fields.trace_id;
    facts.span_id = fields.span_id;
    facts.parent_span_id = fields.parent_span_id;
    (facts.start, facts.end) = (fields.start_unix_nano, fields.end_unix_nano);
    facts.found = reading.found;
    Ok((facts, fields))
}

#[cold]
fn repair_span_texts<'a>(fields: &mut SpanFields<'a>, reading: &mut Reading<'a>) {
    fields.name = reading.name(fields.name);
    fields.trace_state = reading.value_text(fields.trace_state);
    fields.status_message = reading.value_text(fields.status_message);
}

fn event<'a, V: Visitor<'a>>(
    message: Message<'a>,
    facts: &mut SpanFacts,
    reading: &mut Reading<'a>,
    visitor: &mut V,
) -> Read<()> {
    let is_over = facts.events_met as usize >= reading.max_events;
    if is_over && reading.repairs(Repair::EventsDropped) {
        facts.events_dropped = facts.events_dropped.saturating_add(1);
        return pass_over(reading, |reading| event_fields(message, reading, &mut Unseen).map(drop));
    }
    let mut fields = event_fields(message, reading, visitor)?;
    facts.latest_event = facts.latest_event.max(fields.time_unix_nano);
    if fields.time_unix_nano > LAST_STORED_UNIX_NANO && reading.repairs(Repair::EventTimeOutOfRange) {
        fields.time_unix_nano = LAST_STORED_UNIX_NANO;
    }
    visitor.event(&fields);
    Ok(())
}

/// 2262-04-11, the last moment of a `DateTime64(9)`.
const LAST_STORED_UNIX_NANO: u64 = i64::MAX as u64;

fn event_fields<'a, V: Visitor<'a>>(
    mut message: Message<'a>,
    reading: &mut Reading<'a>,
    visitor: &mut V,
) -> Read<EventFields<'a>> {
    let (mut fields, mut attributes, mut texts) =
        (EventFields::default(), Attributes::default(), reading.texts());
    while let Some((field, wire_type)) = message.key()? {
        match field {
            1 => fields.time_unix_nano = message.fixed64(wire_type).map_err(of("time_unix_nano"))?,
            2 => fields.name = texts.read(&mut message, wire_type, "name")?,
            3 => attributes.read(&mut message, (field, wire_type), Owner::Event, reading, visitor)?,
            4 => {
                fields.dropped_attributes =
                    message.varint(wire_type).map_err(of("dropped_attributes_count"))? as u32
            }
            _ => message.skip(field, wire_type)?,
        }
    }
    if texts.broken || fields.name.len() > reading.bounds.name {
        fields.name = reading.name(fields.name);
    }
    fields.dropped_attributes = fields.dropped_attributes.saturating_add(attributes.dropped);
    Ok(fields)
}

fn link<'a, V: Visitor<'a>>(
    message: Message<'a>,
    facts: &mut SpanFacts,
    reading: &mut Reading<'a>,
    visitor: &mut V,
) -> Read<()> {
    let (trace_id, span_id) = ids_of_link(message)?;
    let is_valid = matches!(trace_id.len(), 0 | 16) && matches!(span_id.len(), 0 | 8);
    let is_over = (facts.links_met - facts.links_dropped) as usize >= reading.max_links;
    let is_dropped =
        !is_valid && reading.repairs(Repair::InvalidLink) || is_over && reading.repairs(Repair::LinksDropped);
    if is_dropped {
        facts.links_dropped += 1;
        return pass_over(reading, |reading| link_fields(message, reading, &mut Unseen).map(drop));
    }
    let fields = link_fields(message, reading, visitor)?;
    visitor.link(&fields);
    Ok(())
}

/// Looked at first: attributes are told as they come, and those of a link that is left out are not to be.
fn ids_of_link(mut message: Message<'_>) -> Read<(&[u8], &[u8])> {
    let (mut trace_id, mut span_id) = (b"".as_slice(), b"".as_slice());
    while let Some((field, wire_type)) = message.key()? {
        match field {
            1 => trace_id = message.bytes(wire_type).map_err(of("trace_id"))?,
            2 => span_id = message.bytes(wire_type).map_err(of("span_id"))?,
            _ => message.skip(field, wire_type)?,
        }
    }
    Ok((trace_id, span_id))
}

fn link_fields<'a, V: Visitor<'a>>(
    mut message: Message<'a>,
    reading: &mut Reading<'a>,
    visitor: &mut V,
) -> Read<LinkFields<'a>> {
    let (mut fields, mut attributes, mut texts) =
        (LinkFields::default(), Attributes::default(), reading.texts());
    while let Some((field, wire_type)) = message.key()? {
        match field {
            1 => fields.trace_id = message.bytes(wire_type).map_err(of("trace_id"))?,
            2 => fields.span_id = message.bytes(wire_type).map_err(of("span_id"))?,
            3 => fields.trace_state = texts.read(&mut message, wire_type, "trace_state")?,
            4 => attributes.read(&mut message, (field, wire_type), Owner::Link, reading, visitor)?,
            5 => {
                fields.dropped_attributes =
                    message.varint(wire_type).map_err(of("dropped_attributes_count"))? as u32
            }
            6 => fields.flags = message.fixed32(wire_type).map_err(of("flags"))?,
            _ => message.skip(field, wire_type)?,
        }
    }
    if texts.broken || fields.trace_state.len() > reading.bounds.value {
        fields.trace_state = reading.value_text(fields.trace_state);
    }
    fields.dropped_attributes = fields.dropped_attributes.saturating_add(attributes.dropped);
    Ok(fields)
}

/// Reads something that is left out: it has to be well formed, and its own repairs are none.
#[cold]
fn pass_over<'a>(reading: &mut Reading<'a>, read: impl FnOnce(&mut Reading<'a>) -> Read<()>) -> Read<()> {
    let found = reading.found;
    read(reading)?;
    reading.found = found;
    Ok(())
}

fn status<'a>(mut message: Message<'a>, fields: &mut SpanFields<'a>, texts: &mut Texts) -> Read<()> {
    while let Some((field, wire_type)) = message.key()? {
        match field {
            2 => fields.status_message = texts.read(&mut message, wire_type, "message")?,
            3 => fields.status_code = message.varint(wire_type).map_err(of("code"))? as i32,
            _ => message.skip(field, wire_type)?,
        }
    }
    Ok(())
}
