//! One pass over an `ExportTraceServiceRequest` on the wire: is it well formed, and which of its spans are valid? No message
//! is built and nothing is copied. The edge answers by it, the consumer drops by it, and what it meets it tells a
//! [`Visitor`], which the consumer makes its columns by.
//!
//! Takes what `prost` takes, and counts what `prost` would have decoded: of a field that is there twice the last one holds,
//! and messages are merged, <https://protobuf.dev/programming-guides/encoding/#last-one-wins>.

mod attribute;

use attribute::Attributes;
#[cfg(test)]
pub(super) use attribute::SCALAR_BYTES;

use super::limits::SpanLimits;
use super::rules::{Rules, SpanFacts};
use super::verdict::{SpanPath, Verdict};
use super::visit::{EventFields, LinkFields, Owner, ScopeFields, SpanFields, Visitor};
use super::wire::{Message, Read, WireError};
use crate::ids::UnixMillis;

/// Judges the spans of `request`, which was received at `received_at`, by `limits`.
pub fn judge(
    request: &[u8],
    limits: &SpanLimits,
    received_at: UnixMillis,
) -> Result<Verdict, Box<WireError>> {
    judge_and_visit(request, limits, received_at, &mut Unseen)
}

/// As [`judge`]; `each` is told in their order which spans are valid.
pub(super) fn judge_each(
    request: &[u8],
    limits: &SpanLimits,
    received_at: UnixMillis,
    each: impl FnMut(bool),
) -> Read<Verdict> {
    judge_and_visit(request, limits, received_at, &mut Each(each))
}

/// As [`judge`](judge()); all that is met is told `visitor`, in the order that [`Visitor`] says. What was told before an
/// error is worth nothing.
pub fn judge_and_visit<'a>(
    request: &'a [u8],
    limits: &SpanLimits,
    received_at: UnixMillis,
    visitor: &mut impl Visitor<'a>,
) -> Result<Verdict, Box<WireError>> {
    let rules = Rules::new(*limits, received_at);
    let mut pass = Pass { rules, verdict: Verdict::default(), path: SpanPath::default(), visitor };
    pass.request(Message::new(request))?;
    Ok(pass.verdict)
}

/// Where the verdict is all that is asked for.
struct Unseen;

impl Visitor<'_> for Unseen {}

struct Each<F>(F);

impl<F: FnMut(bool)> Visitor<'_> for Each<F> {
    fn span(&mut self, _: &SpanFields<'_>, is_valid: bool) {
        (self.0)(is_valid);
    }
}

struct Pass<'v, V> {
    rules: Rules,
    verdict: Verdict,
    path: SpanPath,
    visitor: &'v mut V,
}

impl<'a, V: Visitor<'a>> Pass<'_, V> {
    fn request(&mut self, mut request: Message<'a>) -> Read<()> {
        let mut index = 0;
        while let Some((field, wire_type)) = request.key()? {
            match field {
                1 => {
                    self.path = SpanPath { resource: index, ..SpanPath::default() };
                    let inner = request.message(wire_type);
                    inner
                        .and_then(|inner| self.resource_spans(inner))
                        .map_err(|error| error.within("resource_spans", Some(index)))?;
                    index += 1;
                }
                _ => request.skip(field, wire_type)?,
            }
        }
        Ok(())
    }

    fn resource_spans(&mut self, mut message: Message<'a>) -> Read<()> {
        let (shared, SharedFacts { schema_url, .. }) =
            shared_of(message, "resource", resource, self.visitor)?;
        self.visitor.resource(schema_url);
        let mut index = 0;
        while let Some((field, wire_type)) = message.key()? {
            match field {
                2 => {
                    self.path = SpanPath { scope: index, span: 0, ..self.path };
                    let inner = message.message(wire_type);
                    inner
                        .and_then(|inner| self.scope_spans(inner, shared))
                        .map_err(|error| error.within("scope_spans", Some(index)))?;
                    index += 1;
                }
                _ => message.skip(field, wire_type)?,
            }
        }
        Ok(())
    }

    fn scope_spans(&mut self, mut message: Message<'a>, of_resource: Shared) -> Read<()> {
        let (of_scope, SharedFacts { name, version, schema_url, .. }) =
            shared_of(message, "scope", scope, self.visitor)?;
        let shared = of_resource.and(of_scope);
        self.visitor.scope(ScopeFields { name, version, schema_url });
        while let Some((field, wire_type)) = message.key()? {
            match field {
                2 => {
                    let inner = message.message(wire_type);
                    let (mut facts, fields) = inner
                        .and_then(|inner| span(inner, self.visitor))
                        .map_err(|error| error.within("spans", Some(self.path.span)))?;
                    facts.share(&shared);
                    let judgement = self.rules.judge(&facts);
                    self.visitor.span(&fields, judgement.is_ok());
                    self.verdict.count(judgement, self.path);
                    self.path.span += 1;
                }
                _ => message.skip(field, wire_type)?,
            }
        }
        Ok(())
    }
}

/// What the spans of a resource, or of a scope, have in common.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Shared {
    pub(super) bytes: usize,
    pub(super) longest_name: usize,
    pub(super) most_attributes: usize,
    pub(super) largest_value: usize,
}

impl Shared {
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_add(other.bytes),
            longest_name: self.longest_name.max(other.longest_name),
            most_attributes: self.most_attributes.max(other.most_attributes),
            largest_value: self.largest_value.max(other.largest_value),
        }
    }
}

/// Everything of a `ResourceSpans` but its scopes, or of a `ScopeSpans` but its spans: those may stand before it. Both have
/// what is shared, called `name`, as field 1, and the schema URL as field 3.
fn shared_of<'a, V: Visitor<'a>>(
    mut message: Message<'a>,
    name: &'static str,
    read: fn(Message<'a>, &mut SharedFacts<'a>, &mut V) -> Read<()>,
    visitor: &mut V,
) -> Read<(Shared, SharedFacts<'a>)> {
    let (mut facts, mut bytes) = (SharedFacts::default(), 0usize);
    while let Some((field, wire_type)) = message.key()? {
        match field {
            1 => {
                let inner = message.message(wire_type).map_err(|error| error.within(name, None))?;
                bytes = bytes.saturating_add(inner.len());
                read(inner, &mut facts, visitor).map_err(|error| error.within(name, None))?;
            }
            3 => facts.schema_url = message.text(wire_type, "schema_url")?,
            _ => message.skip(field, wire_type)?,
        }
    }
    let SharedFacts { attributes, name, version, schema_url } = &facts;
    let shared = Shared {
        bytes: bytes.saturating_add(schema_url.len()),
        longest_name: attributes.longest_key.max(name.len()).max(version.len()),
        most_attributes: attributes.count,
        largest_value: attributes.largest_value.max(schema_url.len()),
    };
    Ok((shared, facts))
}

/// What is gathered of a resource, which has attributes and a schema URL only, or of a scope.
#[derive(Default)]
struct SharedFacts<'a> {
    attributes: Attributes,
    name: &'a [u8],
    version: &'a [u8],
    schema_url: &'a [u8],
}

fn resource<'a>(
    mut message: Message<'a>,
    facts: &mut SharedFacts<'a>,
    visitor: &mut impl Visitor<'a>,
) -> Read<()> {
    while let Some((field, wire_type)) = message.key()? {
        match field {
            1 => facts.attributes.read(&mut message, (field, wire_type), Owner::Resource, visitor)?,
            2 => drop(message.varint(wire_type)?),
            3 => {
                entity_ref(message.message(wire_type)?).map_err(|error| error.within("entity_refs", None))?
            }
            _ => message.skip(field, wire_type)?,
        }
    }
    Ok(())
}

fn entity_ref(mut message: Message) -> Read<()> {
    while let Some((field, wire_type)) = message.key()? {
        match field {
            1 => drop(message.text(wire_type, "schema_url")?),
            2 => drop(message.text(wire_type, "type")?),
            3 => drop(message.text(wire_type, "id_keys")?),
            4 => drop(message.text(wire_type, "description_keys")?),
            _ => message.skip(field, wire_type)?,
        }
    }
    Ok(())
}

fn scope<'a>(
    mut message: Message<'a>,
    facts: &mut SharedFacts<'a>,
    visitor: &mut impl Visitor<'a>,
) -> Read<()> {
    while let Some((field, wire_type)) = message.key()? {
        match field {
            1 => facts.name = message.text(wire_type, "name")?,
            2 => facts.version = message.text(wire_type, "version")?,
            3 => facts.attributes.read(&mut message, (field, wire_type), Owner::Scope, visitor)?,
            4 => drop(message.varint(wire_type)?),
            _ => message.skip(field, wire_type)?,
        }
    }
    Ok(())
}

impl SpanFacts<'_> {
    pub(super) fn share(&mut self, shared: &Shared) {
        self.shared_bytes = shared.bytes;
        self.longest_name = self.longest_name.max(shared.longest_name);
        self.most_attributes = self.most_attributes.max(shared.most_attributes);
        self.largest_value = self.largest_value.max(shared.largest_value);
    }

    fn include(&mut self, attributes: &Attributes) {
        self.most_attributes = self.most_attributes.max(attributes.count);
        self.longest_name = self.longest_name.max(attributes.longest_key);
        self.largest_value = self.largest_value.max(attributes.largest_value);
    }
}

fn span<'a>(
    mut message: Message<'a>,
    visitor: &mut impl Visitor<'a>,
) -> Read<(SpanFacts<'a>, SpanFields<'a>)> {
    let (mut facts, mut fields) = (SpanFacts::default(), SpanFields::default());
    let mut attributes = Attributes::default();
    while let Some((field, wire_type)) = message.key()? {
        match field {
            1 => fields.trace_id = message.bytes(wire_type)?,
            2 => fields.span_id = message.bytes(wire_type)?,
            3 => fields.trace_state = message.text(wire_type, "trace_state")?,
            4 => fields.parent_span_id = message.bytes(wire_type)?,
            5 => fields.name = message.text(wire_type, "name")?,
            6 => fields.kind = message.varint(wire_type)? as i32,
            7 => fields.start_unix_nano = message.fixed64(wire_type)?,
            8 => fields.end_unix_nano = message.fixed64(wire_type)?,
            9 => attributes.read(&mut message, (field, wire_type), Owner::Span, visitor)?,
            10 => fields.dropped_attributes = message.varint(wire_type)? as u32,
            11 => {
                event(message.message(wire_type)?, &mut facts, visitor)
                    .map_err(|error| error.within("events", Some(facts.events as u32)))?;
                facts.events += 1;
            }
            12 => fields.dropped_events = message.varint(wire_type)? as u32,
            13 => {
                link(message.message(wire_type)?, &mut facts, visitor)
                    .map_err(|error| error.within("links", Some(facts.links as u32)))?;
                facts.links += 1;
            }
            14 => fields.dropped_links = message.varint(wire_type)? as u32,
            15 => status(message.message(wire_type)?, &mut fields)
                .map_err(|error| error.within("status", None))?,
            16 => fields.flags = message.fixed32(wire_type)?,
            _ => message.skip(field, wire_type)?,
        }
    }
    facts.include(&attributes);
    facts.longest_name = facts.longest_name.max(fields.name.len());
    facts.largest_value = facts.largest_value.max(fields.trace_state.len()).max(fields.status_message.len());
    facts.trace_id = fields.trace_id;
    facts.span_id = fields.span_id;
    facts.parent_span_id = fields.parent_span_id;
    (facts.start, facts.end) = (fields.start_unix_nano, fields.end_unix_nano);
    Ok((facts, fields))
}

fn event<'a>(mut message: Message<'a>, facts: &mut SpanFacts, visitor: &mut impl Visitor<'a>) -> Read<()> {
    let (mut fields, mut attributes) = (EventFields::default(), Attributes::default());
    while let Some((field, wire_type)) = message.key()? {
        match field {
            1 => fields.time_unix_nano = message.fixed64(wire_type)?,
            2 => fields.name = message.text(wire_type, "name")?,
            3 => attributes.read(&mut message, (field, wire_type), Owner::Event, visitor)?,
            4 => drop(message.varint(wire_type)?),
            _ => message.skip(field, wire_type)?,
        }
    }
    facts.include(&attributes);
    facts.latest_event = facts.latest_event.max(fields.time_unix_nano);
    facts.longest_name = facts.longest_name.max(fields.name.len());
    visitor.event(&fields);
    Ok(())
}

fn link<'a>(mut message: Message<'a>, facts: &mut SpanFacts, visitor: &mut impl Visitor<'a>) -> Read<()> {
    let (mut fields, mut attributes) = (LinkFields::default(), Attributes::default());
    while let Some((field, wire_type)) = message.key()? {
        match field {
            1 => fields.trace_id = message.bytes(wire_type)?,
            2 => fields.span_id = message.bytes(wire_type)?,
            3 => fields.trace_state = message.text(wire_type, "trace_state")?,
            4 => attributes.read(&mut message, (field, wire_type), Owner::Link, visitor)?,
            5 => drop(message.varint(wire_type)?),
            6 => drop(message.fixed32(wire_type)?),
            _ => message.skip(field, wire_type)?,
        }
    }
    facts.include(&attributes);
    facts.bad_link |= !matches!(fields.trace_id.len(), 0 | 16) || !matches!(fields.span_id.len(), 0 | 8);
    facts.largest_value = facts.largest_value.max(fields.trace_state.len());
    visitor.link(&fields);
    Ok(())
}

fn status<'a>(mut message: Message<'a>, fields: &mut SpanFields<'a>) -> Read<()> {
    while let Some((field, wire_type)) = message.key()? {
        match field {
            2 => fields.status_message = message.text(wire_type, "message")?,
            3 => fields.status_code = message.varint(wire_type)? as i32,
            _ => message.skip(field, wire_type)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
