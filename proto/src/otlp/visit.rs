//! What the pass over a request's wire tells of it.

use super::nested::Nested;

/// Is told what a pass meets. An attribute comes before what has it: those of a resource before [`Visitor::resource`], then
/// those of its first scope before [`Visitor::scope`], then those of that scope's first span, of its events and of its links
/// (which may stand between the span's own) before [`Visitor::span`], and so on.
///
/// Text is bytes that are UTF-8. Of a field that is there twice the last one holds, as `prost` has it.
pub trait Visitor<'a> {
    /// An attribute of the next `owner` that is told.
    fn attribute(&mut self, _owner: Owner, _key: &'a [u8], _value: Value<'a>) {}

    /// A resource, with its schema URL: that of the scopes that follow.
    fn resource(&mut self, _schema_url: &'a [u8]) {}

    /// A scope: that of the spans that follow.
    fn scope(&mut self, _scope: ScopeFields<'a>) {}

    /// An event of the next span.
    fn event(&mut self, _event: &EventFields<'a>) {}

    /// A link of the next span.
    fn link(&mut self, _link: &LinkFields<'a>) {}

    /// A span, and whether it is valid. One that is not may have any ids and times.
    fn span(&mut self, _span: &SpanFields<'a>, _is_valid: bool) {}
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
    /// Text, which is UTF-8.
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

/// An instrumentation scope.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[expect(missing_docs, reason = "opentelemetry/proto/common/v1/common.proto has them")]
pub struct ScopeFields<'a> {
    pub name: &'a [u8],
    pub version: &'a [u8],
    pub schema_url: &'a [u8],
}

/// A span, without what is told apart; times are nanoseconds since the Unix epoch, and 0 where there is none.
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
}

/// A link.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[expect(missing_docs, reason = "opentelemetry/proto/trace/v1/trace.proto has them")]
pub struct LinkFields<'a> {
    pub trace_id: &'a [u8],
    pub span_id: &'a [u8],
    pub trace_state: &'a [u8],
}
