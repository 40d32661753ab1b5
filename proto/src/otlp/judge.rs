//! One pass over an `ExportTraceServiceRequest` on the wire: is it well formed, and which of its spans are valid? No message
//! is built and nothing is copied. The edge answers by it, and the consumer drops by it.
//!
//! Takes what `prost` takes, and counts what `prost` would have decoded: of a field that is there twice the last one holds,
//! and messages are merged, <https://protobuf.dev/programming-guides/encoding/#last-one-wins>.

use super::limits::SpanLimits;
use super::rules::{Rules, SpanFacts};
use super::verdict::{SpanPath, Verdict};
use super::wire::{Message, Read, WireError, WireType};
use crate::ids::UnixMillis;

/// Judges the spans of `request`, which was received at `received_at`, by `limits`.
pub fn judge(
    request: &[u8],
    limits: &SpanLimits,
    received_at: UnixMillis,
) -> Result<Verdict, Box<WireError>> {
    judge_each(request, limits, received_at, |_| {})
}

/// As [`judge`]; `each` is told in their order which spans are valid.
pub(super) fn judge_each(
    request: &[u8],
    limits: &SpanLimits,
    received_at: UnixMillis,
    each: impl FnMut(bool),
) -> Read<Verdict> {
    let rules = Rules::new(*limits, received_at);
    let mut pass = Pass { rules, verdict: Verdict::default(), path: SpanPath::default(), each };
    pass.request(Message::new(request))?;
    Ok(pass.verdict)
}

struct Pass<F> {
    rules: Rules,
    verdict: Verdict,
    path: SpanPath,
    each: F,
}

impl<F: FnMut(bool)> Pass<F> {
    fn request(&mut self, mut request: Message) -> Read<()> {
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

    fn resource_spans(&mut self, mut message: Message) -> Read<()> {
        let shared = shared_of(message, "resource", resource)?;
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

    fn scope_spans(&mut self, mut message: Message, of_resource: Shared) -> Read<()> {
        let shared = of_resource.and(shared_of(message, "scope", scope)?);
        while let Some((field, wire_type)) = message.key()? {
            match field {
                2 => {
                    let inner = message.message(wire_type);
                    let mut facts =
                        inner.and_then(span).map_err(|error| error.within("spans", Some(self.path.span)))?;
                    facts.share(&shared);
                    let judgement = self.rules.judge(&facts);
                    (self.each)(judgement.is_ok());
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
fn shared_of(
    mut message: Message,
    name: &'static str,
    read: fn(Message, &mut SharedFacts) -> Read<()>,
) -> Read<Shared> {
    let (mut facts, mut schema_url, mut bytes) = (SharedFacts::default(), 0, 0usize);
    while let Some((field, wire_type)) = message.key()? {
        match field {
            1 => {
                let inner = message.message(wire_type).map_err(|error| error.within(name, None))?;
                bytes = bytes.saturating_add(inner.len());
                read(inner, &mut facts).map_err(|error| error.within(name, None))?;
            }
            3 => schema_url = message.text(wire_type, "schema_url")?.len(),
            _ => message.skip(field, wire_type)?,
        }
    }
    let SharedFacts { attributes, name, version } = facts;
    Ok(Shared {
        bytes: bytes.saturating_add(schema_url),
        longest_name: attributes.longest_key.max(name).max(version),
        most_attributes: attributes.count,
        largest_value: attributes.largest_value.max(schema_url),
    })
}

/// What is gathered of a resource, which has attributes only, or of a scope.
#[derive(Default)]
struct SharedFacts {
    attributes: Attributes,
    name: usize,
    version: usize,
}

fn resource(mut message: Message, facts: &mut SharedFacts) -> Read<()> {
    while let Some((field, wire_type)) = message.key()? {
        match field {
            1 => facts.attributes.add(attribute(&mut message, wire_type)?),
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

fn scope(mut message: Message, facts: &mut SharedFacts) -> Read<()> {
    while let Some((field, wire_type)) = message.key()? {
        match field {
            1 => facts.name = message.text(wire_type, "name")?.len(),
            2 => facts.version = message.text(wire_type, "version")?.len(),
            3 => facts.attributes.add(attribute(&mut message, wire_type)?),
            4 => drop(message.varint(wire_type)?),
            _ => message.skip(field, wire_type)?,
        }
    }
    Ok(())
}

/// The attributes of one span, event, link, resource or scope.
#[derive(Default)]
struct Attributes {
    count: usize,
    longest_key: usize,
    largest_value: usize,
}

impl Attributes {
    #[inline]
    fn add(&mut self, (key, value): (usize, usize)) {
        self.count += 1;
        self.longest_key = self.longest_key.max(key);
        self.largest_value = self.largest_value.max(value);
    }
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

fn span(mut message: Message<'_>) -> Read<SpanFacts<'_>> {
    let mut facts = SpanFacts::default();
    let (mut name, mut trace_state, mut status_message) = (0, 0, 0);
    let mut attributes = Attributes::default();
    while let Some((field, wire_type)) = message.key()? {
        match field {
            1 => facts.trace_id = message.bytes(wire_type)?,
            2 => facts.span_id = message.bytes(wire_type)?,
            3 => trace_state = message.text(wire_type, "trace_state")?.len(),
            4 => facts.parent_span_id = message.bytes(wire_type)?,
            5 => name = message.text(wire_type, "name")?.len(),
            7 => facts.start = message.fixed64(wire_type)?,
            8 => facts.end = message.fixed64(wire_type)?,
            9 => attributes.add(attribute(&mut message, wire_type)?),
            11 => {
                event(message.message(wire_type)?, &mut facts)
                    .map_err(|error| error.within("events", Some(facts.events as u32)))?;
                facts.events += 1;
            }
            13 => {
                link(message.message(wire_type)?, &mut facts)
                    .map_err(|error| error.within("links", Some(facts.links as u32)))?;
                facts.links += 1;
            }
            15 => status(message.message(wire_type)?, &mut status_message)
                .map_err(|error| error.within("status", None))?,
            6 | 10 | 12 | 14 => drop(message.varint(wire_type)?),
            16 => drop(message.fixed32(wire_type)?),
            _ => message.skip(field, wire_type)?,
        }
    }
    facts.include(&attributes);
    facts.longest_name = facts.longest_name.max(name);
    facts.largest_value = facts.largest_value.max(trace_state).max(status_message);
    Ok(facts)
}

fn event(mut message: Message, facts: &mut SpanFacts) -> Read<()> {
    let (mut time, mut name, mut attributes) = (0, 0, Attributes::default());
    while let Some((field, wire_type)) = message.key()? {
        match field {
            1 => time = message.fixed64(wire_type)?,
            2 => name = message.text(wire_type, "name")?.len(),
            3 => attributes.add(attribute(&mut message, wire_type)?),
            4 => drop(message.varint(wire_type)?),
            _ => message.skip(field, wire_type)?,
        }
    }
    facts.include(&attributes);
    facts.latest_event = facts.latest_event.max(time);
    facts.longest_name = facts.longest_name.max(name);
    Ok(())
}

fn link(mut message: Message, facts: &mut SpanFacts) -> Read<()> {
    let (mut trace_id, mut span_id, mut trace_state) = (0, 0, 0);
    let mut attributes = Attributes::default();
    while let Some((field, wire_type)) = message.key()? {
        match field {
            1 => trace_id = message.bytes(wire_type)?.len(),
            2 => span_id = message.bytes(wire_type)?.len(),
            3 => trace_state = message.text(wire_type, "trace_state")?.len(),
            4 => attributes.add(attribute(&mut message, wire_type)?),
            5 => drop(message.varint(wire_type)?),
            6 => drop(message.fixed32(wire_type)?),
            _ => message.skip(field, wire_type)?,
        }
    }
    facts.include(&attributes);
    facts.bad_link |= !matches!(trace_id, 0 | 16) || !matches!(span_id, 0 | 8);
    facts.largest_value = facts.largest_value.max(trace_state);
    Ok(())
}

fn status(mut message: Message, status_message: &mut usize) -> Read<()> {
    while let Some((field, wire_type)) = message.key()? {
        match field {
            2 => *status_message = message.text(wire_type, "message")?.len(),
            3 => drop(message.varint(wire_type)?),
            _ => message.skip(field, wire_type)?,
        }
    }
    Ok(())
}

/// The sizes of an attribute's key and value.
#[inline]
fn attribute(parent: &mut Message, wire_type: WireType) -> Read<(usize, usize)> {
    let sizes = parent.message(wire_type).and_then(key_value);
    sizes.map_err(|error| error.within("attributes", None))
}

fn key_value(mut message: Message) -> Read<(usize, usize)> {
    let (mut key, mut value) = (0, Value::default());
    while let Some((field, wire_type)) = message.key()? {
        match field {
            1 => key = message.text(wire_type, "key")?.len(),
            2 => any_value(message.message(wire_type)?, &mut value)?,
            3 => drop(message.varint(wire_type)?),
            _ => message.skip(field, wire_type)?,
        }
    }
    Ok((key, value.bytes))
}

/// Which of its kinds a value is, as its field's number, and how many bytes it counts.
struct Value {
    kind: u32,
    bytes: usize,
}

/// What a value that is neither text, bytes, list nor map counts.
pub(super) const SCALAR_BYTES: usize = 8;

impl Default for Value {
    fn default() -> Self {
        Self { kind: 0, bytes: SCALAR_BYTES }
    }
}

impl Value {
    /// Lists and maps that come twice are merged, all else is replaced.
    fn begin(&mut self, kind: u32) -> &mut usize {
        if self.kind != kind {
            *self = Self { kind, bytes: 0 };
        }
        &mut self.bytes
    }
}

fn any_value(mut message: Message, value: &mut Value) -> Read<()> {
    while let Some((field, wire_type)) = message.key()? {
        match field {
            1 => *value = Value { kind: field, bytes: message.text(wire_type, "string_value")?.len() },
            7 => *value = Value { kind: field, bytes: message.bytes(wire_type)?.len() },
            2 | 3 | 8 => {
                message.varint(wire_type)?;
                *value = Value { kind: field, bytes: SCALAR_BYTES };
            }
            4 => {
                message.fixed64(wire_type)?;
                *value = Value { kind: field, bytes: SCALAR_BYTES };
            }
            5 => list(message.message(wire_type)?, value.begin(field))?,
            6 => map(message.message(wire_type)?, value.begin(field))?,
            _ => message.skip(field, wire_type)?,
        }
    }
    Ok(())
}

fn list(mut message: Message, bytes: &mut usize) -> Read<()> {
    while let Some((field, wire_type)) = message.key()? {
        match field {
            1 => {
                let mut value = Value::default();
                any_value(message.message(wire_type)?, &mut value)?;
                *bytes = bytes.saturating_add(value.bytes);
            }
            _ => message.skip(field, wire_type)?,
        }
    }
    Ok(())
}

fn map(mut message: Message, bytes: &mut usize) -> Read<()> {
    while let Some((field, wire_type)) = message.key()? {
        match field {
            1 => {
                let (key, value) = message.message(wire_type).and_then(key_value)?;
                *bytes = bytes.saturating_add(key).saturating_add(value);
            }
            _ => message.skip(field, wire_type)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
