//! What the spans of a request write of their resources and scopes, and how those are cut where it is too much.
//!
//! Each row of the table repeats its resource and its scope, so a large resource with many small spans takes their product.
//! Edge and consumer find the cut by the same look at the wire, before the pass: the largest power of two to which the texts
//! and values of all resources and scopes can be cut so that the product keeps to `max_shared_bytes`.

use super::super::wire::{Message, Read};
use super::attribute::key_value;

/// The largest and the least that values are cut to, in bytes.
const MOST_BYTES: usize = 128 << 10;
const LEAST_BYTES: usize = 64;

/// How the texts and values of all resources and scopes are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SharedCut {
    /// Not at all.
    None,
    /// To this length, in bytes.
    To(usize),
    /// To [`LEAST_BYTES`], and of the attributes only `service.name` stays: keys alone take too much.
    OnlyServiceName,
}

impl SharedCut {
    /// The cut that `request` needs. The fields of a request that is malformed are not cut: the pass finds out.
    pub(super) fn of(request: &[u8], max_bytes: u64) -> Self {
        // A span has two bytes at least, and what it shares is elsewhere in the request.
        let most = (request.len() as u64).saturating_mul(request.len() as u64) / 8;
        if most <= max_bytes || total(request, None).is_none_or(|total| total <= max_bytes) {
            return Self::None;
        }
        let halved = std::iter::successors(Some(MOST_BYTES), |bytes| Some(bytes / 2));
        let mut lengths = halved.take_while(|bytes| *bytes >= LEAST_BYTES);
        let fits = |bytes: &usize| total(request, Some(*bytes)).is_none_or(|total| total <= max_bytes);
        lengths.find(fits).map_or(Self::OnlyServiceName, Self::To)
    }

    /// What a text or a value of a resource or a scope may count.
    pub(super) fn value_bytes(self) -> usize {
        match self {
            Self::None => usize::MAX,
            Self::To(bytes) => bytes,
            Self::OnlyServiceName => LEAST_BYTES,
        }
    }

    pub(super) fn keeps_only_service_name(self) -> bool {
        self == Self::OnlyServiceName
    }
}

/// What the spans of `request` write of their resources and scopes, in bytes, where texts and values are cut to a length.
fn total(request: &[u8], cut: Option<usize>) -> Option<u64> {
    let (mut request, mut total) = (Message::new(request), 0u64);
    while let Some((field, wire_type)) = request.key().ok()? {
        match field {
            1 => total = total.saturating_add(of_resource(request.message(wire_type).ok()?, cut).ok()?),
            _ => request.skip(field, wire_type).ok()?,
        }
    }
    Some(total)
}

fn of_resource(mut message: Message<'_>, cut: Option<usize>) -> Read<u64> {
    let (mut shared, mut spans, mut of_scopes) = (Shared::default(), 0u64, 0u64);
    while let Some((field, wire_type)) = message.key()? {
        match field {
            1 => shared.add(message.message(wire_type)?, cut, ATTRIBUTES_OF_RESOURCE)?,
            2 | super::INSTRUMENTATION_LIBRARY_SPANS => {
                let (spans_of_scope, bytes) = of_scope(message.message(wire_type)?, cut)?;
                spans += spans_of_scope;
                of_scopes = of_scopes.saturating_add(bytes);
            }
            3 => shared.schema_url = message.bytes(wire_type)?.len(),
            _ => message.skip(field, wire_type)?,
        }
    }
    Ok(of_scopes.saturating_add(shared.bytes(cut).saturating_mul(spans)))
}

/// How many spans the scope has, and what they write of it.
fn of_scope(mut message: Message<'_>, cut: Option<usize>) -> Read<(u64, u64)> {
    let (mut shared, mut spans) = (Shared::default(), 0u64);
    while let Some((field, wire_type)) = message.key()? {
        match field {
            1 => shared.add(message.message(wire_type)?, cut, ATTRIBUTES_OF_SCOPE)?,
            2 => {
                message.skip(field, wire_type)?;
                spans += 1;
            }
            3 => shared.schema_url = message.bytes(wire_type)?.len(),
            _ => message.skip(field, wire_type)?,
        }
    }
    Ok((spans, shared.bytes(cut).saturating_mul(spans)))
}

const ATTRIBUTES_OF_RESOURCE: u32 = 1;
const ATTRIBUTES_OF_SCOPE: u32 = 3;

/// What a resource or a scope takes.
#[derive(Default)]
struct Shared {
    bytes: usize,
    /// What the cut takes away of it.
    cut: usize,
    schema_url: usize,
}

impl Shared {
    fn add(&mut self, mut message: Message<'_>, cut: Option<usize>, attributes: u32) -> Read<()> {
        self.bytes += message.len();
        let Some(cut) = cut else { return Ok(()) };
        while let Some((field, wire_type)) = message.key()? {
            if field == attributes {
                // One that is nested too deep is left out, and its length stays counted.
                if let Ok(pair) = key_value(message.message(wire_type)?, false) {
                    self.cut += pair.value_bytes.saturating_sub(cut);
                }
            } else if attributes == ATTRIBUTES_OF_SCOPE && matches!(field, 1 | 2) {
                self.cut += message.bytes(wire_type)?.len().saturating_sub(cut);
            } else {
                message.skip(field, wire_type)?;
            }
        }
        Ok(())
    }

    fn bytes(&self, cut: Option<usize>) -> u64 {
        let schema_url = cut.map_or(self.schema_url, |cut| self.schema_url.min(cut));
        self.bytes.saturating_sub(self.cut).saturating_add(schema_url) as u64
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
    use opentelemetry_proto::tonic::resource::v1::Resource;
    use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
    use prost::Message as _;

    use super::*;

    fn request(values: &[usize], key: usize, spans: usize) -> Vec<u8> {
        let attribute = |bytes: &usize| KeyValue {
            key: "k".repeat(key),
            value: Some(AnyValue { value: Some(Value::StringValue("v".repeat(*bytes))) }),
            key_strindex: 0,
        };
        let resource = Resource { attributes: values.iter().map(attribute).collect(), ..Resource::default() };
        let scope_spans = vec![ScopeSpans { spans: vec![Span::default(); spans], ..ScopeSpans::default() }];
        ExportTraceServiceRequest {
            resource_spans: vec![ResourceSpans {
                resource: Some(resource),
                scope_spans,
                ..ResourceSpans::default()
            }],
        }
        .encode_to_vec()
    }

    #[test]
    fn values_are_cut_no_further_than_they_must() {
        let body = request(&[200_000, 1_000, 10], 4, 1_000);
        let cut = |max_bytes| SharedCut::of(&body, max_bytes);
        assert_eq!(cut(300_000_000), SharedCut::None);
        assert_eq!(cut(201_100_000), SharedCut::None);
        assert_eq!(cut(200_000_000), SharedCut::To(131_072));
        assert_eq!(cut(20_000_000), SharedCut::To(16_384));
        assert_eq!(cut(200_000), SharedCut::To(64));
        assert_eq!(cut(100_000), SharedCut::OnlyServiceName);
    }

    #[test]
    fn keys_alone_may_be_too_much() {
        assert_eq!(SharedCut::of(&request(&[1; 100], 1_000, 100), 1_000_000), SharedCut::OnlyServiceName);
    }
}
