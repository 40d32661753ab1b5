//! What the pass over a request's wire tells of it.

use super::nested::Nested;
use super::repair::Repairs;
use super::wire::{Message, Read};

/// Is told what a pass meets. An attribute comes before its owner: those of a resource before [`Visitor::resource`], then
/// those of its first scope before [`Visitor::scope`], then those of that scope's first span, of its events and of its links
/// (which may stand between the span's own) before [`Visitor::span`], and so on.
///
/// Everything is told as it is stored, repairs included: text is UTF-8, lengths and counts keep to the limits. Of a field
/// that is there twice the last one holds.
pub trait Visitor<'a> {
    /// Whether repaired texts and values are needed. A visitor that looks at neither is told those as they were sent, and
    /// the pass takes no memory for them.
    const WANTS_REPAIRED: bool = true;

    /// An attribute of the next `owner`.
    fn attribute(&mut self, _owner: Owner, _key: &'a [u8], _value: Value<'a>) {}

    /// An entity reference of the next resource.
    fn entity_ref(&mut self, _entity_ref: EntityRef<'a>) {}

    /// A resource: that of the scopes that follow.
    fn resource(&mut self, _resource: &ResourceFields<'a>) {}

    /// A scope: that of the spans that follow.
    fn scope(&mut self, _scope: &ScopeFields<'a>) {}

    /// An event of the next span.
    fn event(&mut self, _event: &EventFields<'a>) {}

    /// A link of the next span.
    fn link(&mut self, _link: &LinkFields<'a>) {}

    /// A span. One that is not valid may have any ids and times.
    fn span(&mut self, _span: &SpanFields<'a>, _judged: Judged) {}
}

/// What has an attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// A resource.
    Resource,
    /// An instrumentation scope.
    Scope,
    /// A span.
    Span,
    /// A span's event.
    Event,
    /// A span's link.
    Link,
}

/// The value of an attribute.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// None, or an index into a dictionary, which OTLP has none of.
    None,
    /// Text.
    Text(&'a [u8]),
    /// True or false.
    Bool(bool),
    /// A number.
    Int(i64),
    /// A number.
    Double(f64),
    /// Bytes.
    Bytes(&'a [u8]),
    /// A list or a map. It is well formed.
    Nested(Nested<'a>),
}

/// What the rules say of a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Judged {
    /// Whether it is stored.
    pub is_valid: bool,
    /// The position of the span in its request, from 0.
    pub position: u32,
    /// What was repaired of the span, its resource and its scope.
    pub repairs: Repairs,
}

/// A resource, without its attributes.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ResourceFields<'a> {
    /// The schema URL of the `ResourceSpans` message.
    pub schema_url: &'a [u8],
    /// How many attributes the sender, and the limits, left out.
    pub dropped_attributes: u32,
    /// Whether the entity references that were told are within the limits, and are stored.
    pub keeps_entity_refs: bool,
}

/// An instrumentation scope, without its attributes.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[expect(missing_docs, reason = "opentelemetry/proto/common/v1/common.proto has them")]
pub struct ScopeFields<'a> {
    pub name: &'a [u8],
    pub version: &'a [u8],
    /// The schema URL of the `ScopeSpans` message.
    pub schema_url: &'a [u8],
    /// How many attributes the sender, and the limits, left out.
    pub dropped_attributes: u32,
}

/// A span, without its attributes, events and links; times are nanoseconds since the Unix epoch, and 0 where there is none.
/// The dropped counts are the sender's, and what the limits left out.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[expect(missing_docs, reason = "opentelemetry/proto/trace/v1/trace.proto has them")]
pub struct SpanFields<'a> {
    pub trace_id: &'a [u8],
    pub span_id: &'a [u8],
    pub parent_span_id: &'a [u8],
    pub trace_state: &'a [u8],
    pub name: &'a [u8],
    pub kind: i32,
    pub start_unix_nano: u64,
    pub end_unix_nano: u64,
    pub status_code: i32,
    pub status_message: &'a [u8],
    pub flags: u32,
    pub dropped_attributes: u32,
    pub dropped_events: u32,
    pub dropped_links: u32,
}

/// An event; its time is in nanoseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[expect(missing_docs, reason = "opentelemetry/proto/trace/v1/trace.proto has them")]
pub struct EventFields<'a> {
    pub time_unix_nano: u64,
    pub name: &'a [u8],
    pub dropped_attributes: u32,
}

/// A link.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[expect(missing_docs, reason = "opentelemetry/proto/trace/v1/trace.proto has them")]
pub struct LinkFields<'a> {
    pub trace_id: &'a [u8],
    pub span_id: &'a [u8],
    pub trace_state: &'a [u8],
    pub dropped_attributes: u32,
    pub flags: u32,
}

/// A reference from a resource to an entity, in place: the bytes of an `EntityRef` message, which is well formed. Its texts
/// may not be UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntityRef<'a>(pub(super) &'a [u8]);

/// The fields of an [`EntityRef`], as bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "opentelemetry/proto/common/v1/common.proto has them")]
pub struct EntityRefFields<'a> {
    pub schema_url: &'a [u8],
    pub entity_type: &'a [u8],
    pub id_keys: Vec<&'a [u8]>,
    pub description_keys: Vec<&'a [u8]>,
}

impl<'a> EntityRef<'a> {
    /// What it holds.
    pub fn fields(self) -> EntityRefFields<'a> {
        // The pass has read it already; of one that it would not have told, nothing is read.
        self.read().unwrap_or_default()
    }

    pub(super) fn read(self) -> Read<EntityRefFields<'a>> {
        let (mut message, mut fields) = (Message::new(self.0), EntityRefFields::default());
        while let Some((field, wire_type)) = message.key()? {
            match field {
                1 => fields.schema_url = message.bytes(wire_type)?,
                2 => fields.entity_type = message.bytes(wire_type)?,
                3 => fields.id_keys.push(message.bytes(wire_type)?),
                4 => fields.description_keys.push(message.bytes(wire_type)?),
                _ => message.skip(field, wire_type)?,
            }
        }
        Ok(fields)
    }
}
