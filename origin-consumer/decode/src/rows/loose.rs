//! OTLP's messages with bytes in place of texts, and attributes in place: `prost` refuses text that is not UTF-8 and values that
//! are nested too deep, and both are to be repaired. The fields' numbers are those of
//! <https://github.com/open-telemetry/opentelemetry-proto/blob/main/opentelemetry/proto/trace/v1/trace.proto>.

use prost::encoding::{DecodeContext, decode_key, skip_field};
use prost::{DecodeError, Message};
use spillway_proto::otlp::RulesVersion;

#[derive(Clone, PartialEq, Message)]
struct Request {
    #[prost(bytes = "vec", repeated, tag = "1")]
    resource_spans: Vec<Vec<u8>>,
}

/// A `ResourceSpans`, read by hand: its scopes have two fields, whose messages stay in their order.
#[derive(Default)]
pub(super) struct ResourceSpans {
    /// A `Resource` message.
    pub(super) resource: Vec<u8>,
    /// `ScopeSpans` messages.
    pub(super) scope_spans: Vec<Vec<u8>>,
    pub(super) schema_url: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Resource {
    #[prost(bytes = "vec", repeated, tag = "1")]
    pub(super) attributes: Vec<Vec<u8>>,
    #[prost(uint32, tag = "2")]
    pub(super) dropped_attributes_count: u32,
    #[prost(bytes = "vec", repeated, tag = "3")]
    pub(super) entity_refs: Vec<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct EntityRef {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) schema_url: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) r#type: Vec<u8>,
    #[prost(bytes = "vec", repeated, tag = "3")]
    pub(super) id_keys: Vec<Vec<u8>>,
    #[prost(bytes = "vec", repeated, tag = "4")]
    pub(super) description_keys: Vec<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ScopeSpans {
    #[prost(message, optional, tag = "1")]
    pub(super) scope: Option<Scope>,
    /// `Span` messages.
    #[prost(bytes = "vec", repeated, tag = "2")]
    pub(super) spans: Vec<Vec<u8>>,
    #[prost(bytes = "vec", tag = "3")]
    pub(super) schema_url: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Scope {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) name: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) version: Vec<u8>,
    #[prost(bytes = "vec", repeated, tag = "3")]
    pub(super) attributes: Vec<Vec<u8>>,
    #[prost(uint32, tag = "4")]
    pub(super) dropped_attributes_count: u32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Span {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) span_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    pub(super) trace_state: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    pub(super) parent_span_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "5")]
    pub(super) name: Vec<u8>,
    #[prost(int32, tag = "6")]
    pub(super) kind: i32,
    #[prost(fixed64, tag = "7")]
    pub(super) start_time_unix_nano: u64,
    #[prost(fixed64, tag = "8")]
    pub(super) end_time_unix_nano: u64,
    #[prost(bytes = "vec", repeated, tag = "9")]
    pub(super) attributes: Vec<Vec<u8>>,
    #[prost(uint32, tag = "10")]
    pub(super) dropped_attributes_count: u32,
    #[prost(message, repeated, tag = "11")]
    pub(super) events: Vec<Event>,
    #[prost(uint32, tag = "12")]
    pub(super) dropped_events_count: u32,
    #[prost(message, repeated, tag = "13")]
    pub(super) links: Vec<Link>,
    #[prost(uint32, tag = "14")]
    pub(super) dropped_links_count: u32,
    #[prost(message, optional, tag = "15")]
    pub(super) status: Option<Status>,
    #[prost(fixed32, tag = "16")]
    pub(super) flags: u32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Event {
    #[prost(fixed64, tag = "1")]
    pub(super) time_unix_nano: u64,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) name: Vec<u8>,
    #[prost(bytes = "vec", repeated, tag = "3")]
    pub(super) attributes: Vec<Vec<u8>>,
    #[prost(uint32, tag = "4")]
    pub(super) dropped_attributes_count: u32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Link {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) span_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    pub(super) trace_state: Vec<u8>,
    #[prost(bytes = "vec", repeated, tag = "4")]
    pub(super) attributes: Vec<Vec<u8>>,
    #[prost(uint32, tag = "5")]
    pub(super) dropped_attributes_count: u32,
    #[prost(fixed32, tag = "6")]
    pub(super) flags: u32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Status {
    #[prost(bytes = "vec", tag = "2")]
    pub(super) message: Vec<u8>,
    #[prost(int32, tag = "3")]
    pub(super) code: i32,
}

/// The `ResourceSpans` of a request.
pub(super) fn resource_spans(request: &[u8], rules: RulesVersion) -> Result<Vec<ResourceSpans>, DecodeError> {
    let request = Request::decode(request)?;
    request.resource_spans.iter().map(|message| ResourceSpans::read(message, rules)).collect()
}

impl ResourceSpans {
    fn read(mut message: &[u8], rules: RulesVersion) -> Result<Self, DecodeError> {
        let mut read = Self::default();
        while !message.is_empty() {
            let (field, wire_type) = decode_key(&mut message)?;
            let mut bytes = Vec::new();
            match (field, rules) {
                (1..=3, _) | (1000, RulesVersion::V2) => {
                    prost::encoding::bytes::merge(
                        wire_type,
                        &mut bytes,
                        &mut message,
                        DecodeContext::default(),
                    )?;
                }
                _ => skip_field(wire_type, field, &mut message, DecodeContext::default())?,
            }
            match field {
                1 => read.resource.extend(bytes),
                3 => read.schema_url = bytes,
                2 => read.scope_spans.push(bytes),
                1000 if rules == RulesVersion::V2 => read.scope_spans.push(bytes),
                _ => {}
            }
        }
        Ok(read)
    }
}
