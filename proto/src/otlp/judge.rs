//! One pass over an `ExportTraceServiceRequest` on the wire: is it well formed, which of its spans are valid, and what of them is
//! repaired? No message is built, and nothing is copied but what is repaired. The edge answers by it, the consumer drops and
//! repairs by it, and what it meets it tells a [`Visitor`], which the consumer makes its columns by.
//!
//! Reads what `prost` would decode: of a field that is there twice the last one holds, and messages are merged,
//! <https://protobuf.dev/programming-guides/encoding/#last-one-wins>.

mod attribute;
mod reading;
mod shared;
mod span;

pub(super) use attribute::SCALAR_BYTES;
pub use reading::Mended;

use attribute::Attributes;
use reading::{Reading, Texts};
use shared::SharedCut;
use span::span;

use super::criteria::{Criteria, RulesVersion};
use super::repair::{Cursor, Repair, RepairedRuns, Repairs};
use super::rules::{Rules, SpanFacts};
use super::verdict::{SpanPath, Verdict};
use super::visit::{EntityRef, Judged, Owner, ResourceFields, ScopeFields, SpanFields, Visitor};
use super::wire::{Message, Read, WireError, WireType};

/// The field of `ResourceSpans` that scopes had before 2022, with messages that are read as `ScopeSpans`:
/// <https://github.com/open-telemetry/opentelemetry-proto/releases/tag/v0.15.0>.
pub(super) const INSTRUMENTATION_LIBRARY_SPANS: u32 = 1000;

/// Judges the spans of `request`, of which transcoding has repaired `transcoded`.
pub fn judge(
    request: &[u8],
    criteria: &Criteria,
    transcoded: &RepairedRuns,
) -> Result<Verdict, Box<WireError>> {
    judge_and_visit(request, criteria, transcoded, &Mended::default(), &mut Unseen)
}

/// As [`judge`](judge()); all that is met is told `visitor`, in the order that [`Visitor`] says. What was told before an
/// error is worth nothing. What is repaired lies in `mended`.
pub fn judge_and_visit<'a, V: Visitor<'a>>(
    request: &'a [u8],
    criteria: &Criteria,
    transcoded: &RepairedRuns,
    mended: &'a Mended,
    visitor: &mut V,
) -> Result<Verdict, Box<WireError>> {
    let shared = match criteria.rules {
        RulesVersion::V1 => SharedCut::None,
        RulesVersion::V2 => SharedCut::of(request, &criteria.limits),
    };
    let mut pass = Pass {
        rules: Rules::new(criteria),
        reading: Reading::new(criteria, shared, V::WANTS_REPAIRED, mended),
        verdict: Verdict::default(),
        path: SpanPath::default(),
        position: 0,
        transcoded: transcoded.cursor(),
        visitor,
    };
    pass.request(Message::new(request))?;
    Ok(pass.verdict)
}

/// Where the verdict is all that is asked for.
struct Unseen;

impl Visitor<'_> for Unseen {
    const WANTS_REPAIRED: bool = false;
}

struct Pass<'v, 'a, V> {
    rules: Rules,
    reading: Reading<'a>,
    verdict: Verdict,
    path: SpanPath,
    /// That of the next span.
    position: u32,
    transcoded: Cursor<'v>,
    visitor: &'v mut V,
}

impl<'a, V: Visitor<'a>> Pass<'_, 'a, V> {
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
        let (shared, facts) =
            shared_of(message, "resource", resource, &mut self.reading, &mut *self.visitor)?;
        self.visitor.resource(&ResourceFields {
            schema_url: facts.schema_url,
            dropped_attributes: facts.dropped_attributes,
            keeps_entity_refs: facts.keeps_entity_refs,
        });
        let mut index = 0;
        while let Some((field, wire_type)) = message.key()? {
            match field {
                2 => {
                    self.scope_at(&mut index, &mut message, wire_type, shared)?;
                }
                INSTRUMENTATION_LIBRARY_SPANS if !self.reading.strict => {
                    self.scope_at(&mut index, &mut message, wire_type, shared)?;
                }
                _ => message.skip(field, wire_type)?,
            }
        }
        Ok(())
    }

    fn scope_at(
        &mut self,
        index: &mut u32,
        message: &mut Message<'a>,
        wire_type: WireType,
        shared: Shared,
    ) -> Read<()> {
        self.path = SpanPath { scope: *index, span: 0, ..self.path };
        let inner = message.message(wire_type);
        inner
            .and_then(|inner| self.scope_spans(inner, shared))
            .map_err(|error| error.within("scope_spans", Some(*index)))?;
        *index += 1;
        Ok(())
    }

    fn scope_spans(&mut self, mut message: Message<'a>, of_resource: Shared) -> Read<()> {
        let (of_scope, facts) = shared_of(message, "scope", scope, &mut self.reading, &mut *self.visitor)?;
        let shared = of_resource.and(of_scope);
        let SharedFacts { name, version, schema_url, dropped_attributes, .. } = facts;
        self.visitor.scope(&ScopeFields { name, version, schema_url, dropped_attributes });
        while let Some((field, wire_type)) = message.key()? {
            match field {
                2 => {
                    let inner = message.message(wire_type);
                    let (mut facts, fields) = inner
                        .and_then(|inner| span(inner, &mut self.reading, &mut *self.visitor))
                        .map_err(|error| error.within("spans", Some(self.path.span)))?;
                    facts.shared_bytes = shared.bytes;
                    facts.found = facts.found.and(shared.found).and(self.transcoded.at(self.position));
                    self.judge(&mut facts, &fields);
                }
                _ => message.skip(field, wire_type)?,
            }
        }
        Ok(())
    }

    #[inline]
    fn judge(&mut self, facts: &mut SpanFacts<'a>, fields: &SpanFields<'a>) {
        let judgement = self.rules.judge(facts);
        let repairs = if self.reading.strict { Repairs::NONE } else { facts.found };
        let judged = Judged { is_valid: judgement.is_ok(), position: self.position, repairs };
        self.visitor.span(fields, judged);
        self.verdict.count(judgement, repairs, self.path);
        self.path.span += 1;
        self.position += 1;
    }
}

/// What the spans of a resource, or of a scope, have in common.
#[derive(Debug, Clone, Copy, Default)]
struct Shared {
    /// On the wire.
    bytes: usize,
    found: Repairs,
}

impl Shared {
    fn and(self, other: Self) -> Self {
        Self { bytes: self.bytes.saturating_add(other.bytes), found: self.found.and(other.found) }
    }
}

/// What is gathered of a resource, which has no name, or of a scope.
#[derive(Default)]
struct SharedFacts<'a> {
    attributes: Attributes,
    name: &'a [u8],
    version: &'a [u8],
    schema_url: &'a [u8],
    dropped_attributes: u32,
    entity_ref_bytes: usize,
    keeps_entity_refs: bool,
}

/// Everything of a `ResourceSpans` but its scopes, or of a `ScopeSpans` but its spans: those may stand before it, as the
/// Collector writes them. Both have what is shared, called `field_name`, as field 1, and the schema URL as field 3.
fn shared_of<'a, V: Visitor<'a>>(
    mut message: Message<'a>,
    field_name: &'static str,
    read: fn(Message<'a>, &mut SharedFacts<'a>, &mut Texts, &mut Reading<'a>, &mut V) -> Read<()>,
    reading: &mut Reading<'a>,
    visitor: &mut V,
) -> Read<(Shared, SharedFacts<'a>)> {
    let (mut facts, mut bytes, mut texts) = (SharedFacts::default(), 0usize, reading.texts());
    reading.begin_shared();
    while let Some((field, wire_type)) = message.key()? {
        match field {
            1 => {
                let inner = message.message(wire_type).map_err(of(field_name))?;
                bytes = bytes.saturating_add(inner.len());
                read(inner, &mut facts, &mut texts, reading, visitor).map_err(of(field_name))?;
            }
            3 => facts.schema_url = texts.read(&mut message, wire_type, "schema_url")?,
            _ => message.skip(field, wire_type)?,
        }
    }
    let shared_bytes = bytes.saturating_add(facts.schema_url.len());
    repair_shared(&mut facts, &texts, reading);
    facts.dropped_attributes = facts.dropped_attributes.saturating_add(facts.attributes.dropped);
    Ok((Shared { bytes: shared_bytes, found: reading.end_shared() }, facts))
}

fn repair_shared<'a>(facts: &mut SharedFacts<'a>, texts: &Texts, reading: &mut Reading<'a>) {
    let (names, values) = (reading.bounds.name, reading.bounds.value);
    let is_over = facts.name.len().max(facts.version.len()) > names.min(values)
        || facts.schema_url.len() > values
        || facts.entity_ref_bytes > values;
    facts.keeps_entity_refs = facts.entity_ref_bytes > 0;
    if is_over || texts.broken {
        repair_shared_texts(facts, reading);
    }
}

#[cold]
fn repair_shared_texts<'a>(facts: &mut SharedFacts<'a>, reading: &mut Reading<'a>) {
    for name in [&mut facts.name, &mut facts.version] {
        *name = reading.shared_name(name);
    }
    facts.schema_url = reading.value_text(facts.schema_url);
    if facts.entity_ref_bytes > reading.bounds.value {
        facts.keeps_entity_refs = false;
        reading.leave_out_entity_refs(facts.entity_ref_bytes);
    }
}

/// Names the field of an error.
fn of(field: &'static str) -> impl FnOnce(Box<WireError>) -> Box<WireError> {
    move |error| error.within(field, None)
}

fn resource<'a, V: Visitor<'a>>(
    mut message: Message<'a>,
    facts: &mut SharedFacts<'a>,
    _texts: &mut Texts,
    reading: &mut Reading<'a>,
    visitor: &mut V,
) -> Read<()> {
    while let Some((field, wire_type)) = message.key()? {
        match field {
            1 => {
                facts.attributes.read(&mut message, (field, wire_type), Owner::Resource, reading, visitor)?
            }
            2 => {
                facts.dropped_attributes =
                    message.varint(wire_type).map_err(of("dropped_attributes_count"))? as u32
            }
            3 => {
                let inner = message.message(wire_type).map_err(of("entity_refs"))?;
                facts.entity_ref_bytes = facts.entity_ref_bytes.saturating_add(inner.len());
                let mut texts = reading.texts();
                entity_ref(inner, &mut texts).map_err(of("entity_refs"))?;
                if texts.broken {
                    reading.found.insert(Repair::InvalidUtf8);
                }
                visitor.entity_ref(EntityRef(inner.rest()));
            }
            _ => message.skip(field, wire_type)?,
        }
    }
    Ok(())
}

fn entity_ref(mut message: Message, texts: &mut Texts) -> Read<()> {
    while let Some((field, wire_type)) = message.key()? {
        match field {
            1 => drop(texts.read(&mut message, wire_type, "schema_url")?),
            2 => drop(texts.read(&mut message, wire_type, "type")?),
            3 => drop(texts.read(&mut message, wire_type, "id_keys")?),
            4 => drop(texts.read(&mut message, wire_type, "description_keys")?),
            _ => message.skip(field, wire_type)?,
        }
    }
    Ok(())
}

fn scope<'a, V: Visitor<'a>>(
    mut message: Message<'a>,
    facts: &mut SharedFacts<'a>,
    texts: &mut Texts,
    reading: &mut Reading<'a>,
    visitor: &mut V,
) -> Read<()> {
    while let Some((field, wire_type)) = message.key()? {
        match field {
            1 => facts.name = texts.read(&mut message, wire_type, "name")?,
            2 => facts.version = texts.read(&mut message, wire_type, "version")?,
            3 => facts.attributes.read(&mut message, (field, wire_type), Owner::Scope, reading, visitor)?,
            4 => {
                facts.dropped_attributes =
                    message.varint(wire_type).map_err(of("dropped_attributes_count"))? as u32
            }
            _ => message.skip(field, wire_type)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
