//! What the spans of a request write of their resources and scopes, and how those are cut where it is too much.
//!
//! Each row of the table repeats its resource and its scope, so a large resource with many small spans takes their product.
//! Edge and consumer find the cut by the same look at the wire, before the pass: the largest power of two to which the texts
//! and values of all resources and scopes can be cut so that the product keeps to `max_shared_bytes`. What a row does not get
//! does not count: unknown fields, values that another replaces, and attributes that are left out.

use super::super::limits::SpanLimits;
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
    pub(super) fn of(request: &[u8], limits: &SpanLimits) -> Self {
        let max_bytes = limits.max_shared_bytes;
        // A span has two bytes at least, and what it shares is elsewhere in the request.
        let most = (request.len() as u64).saturating_mul(request.len() as u64) / 8;
        if most <= max_bytes {
            return Self::None;
        }
        let fits = |measure| total(request, measure).is_none_or(|total| total <= max_bytes);
        let cut_to = |bytes| Measure::Rows(Bounds::new(limits, bytes));
        // Most requests keep to the limit by the lengths of their messages, which are read at once.
        if fits(Measure::Wire) || fits(cut_to(usize::MAX)) {
            return Self::None;
        }
        let halved = std::iter::successors(Some(MOST_BYTES), |bytes| Some(bytes / 2));
        let mut lengths = halved.take_while(|bytes| *bytes >= LEAST_BYTES);
        lengths.find(|bytes| fits(cut_to(*bytes))).map_or(Self::OnlyServiceName, Self::To)
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

/// How resources and scopes are measured.
#[derive(Debug, Clone, Copy)]
enum Measure {
    /// By the length of their messages.
    Wire,
    /// By what a row gets of them.
    Rows(Bounds),
}

/// What is left of a resource or a scope in a row.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    attributes: usize,
    name: usize,
    value: usize,
}

impl Bounds {
    /// Those of `limits`, where texts and values are cut to `bytes` besides.
    fn new(limits: &SpanLimits, bytes: usize) -> Self {
        Self {
            attributes: limits.max_attributes as usize,
            name: limits.max_name_bytes as usize,
            value: (limits.max_value_bytes as usize).min(bytes),
        }
    }
}

/// What the spans of `request` write of their resources and scopes, in bytes.
fn total(request: &[u8], measure: Measure) -> Option<u64> {
    let (mut request, mut total) = (Message::new(request), 0u64);
    while let Some((field, wire_type)) = request.key().ok()? {
        match field {
            1 => total = total.saturating_add(of_resource(request.message(wire_type).ok()?, measure).ok()?),
            _ => request.skip(field, wire_type).ok()?,
        }
    }
    Some(total)
}

fn of_resource(mut message: Message<'_>, measure: Measure) -> Read<u64> {
    let (mut shared, mut spans, mut of_scopes) = (Shared::default(), 0u64, 0u64);
    while let Some((field, wire_type)) = message.key()? {
        match field {
            1 => shared.add(message.message(wire_type)?, measure, Shared::add_resource)?,
            2 | super::INSTRUMENTATION_LIBRARY_SPANS => {
                let (spans_of_scope, bytes) = of_scope(message.message(wire_type)?, measure)?;
                spans += spans_of_scope;
                of_scopes = of_scopes.saturating_add(bytes);
            }
            3 => shared.schema_url = message.bytes(wire_type)?.len(),
            _ => message.skip(field, wire_type)?,
        }
    }
    Ok(of_scopes.saturating_add(shared.bytes(measure).saturating_mul(spans)))
}

/// How many spans the scope has, and what they write of it.
fn of_scope(mut message: Message<'_>, measure: Measure) -> Read<(u64, u64)> {
    let (mut shared, mut spans) = (Shared::default(), 0u64);
    while let Some((field, wire_type)) = message.key()? {
        match field {
            1 => shared.add(message.message(wire_type)?, measure, Shared::add_scope)?,
            2 => {
                message.skip(field, wire_type)?;
                spans += 1;
            }
            3 => shared.schema_url = message.bytes(wire_type)?.len(),
            _ => message.skip(field, wire_type)?,
        }
    }
    Ok((spans, shared.bytes(measure).saturating_mul(spans)))
}

/// What a resource or a scope takes. A message that comes in pieces is one, and of a text that comes twice the last one holds.
#[derive(Default)]
struct Shared {
    wire: usize,
    /// Keys and values of the attributes that are kept.
    attributes: usize,
    attributes_met: usize,
    name: usize,
    version: usize,
    entity_refs: usize,
    schema_url: usize,
}

impl Shared {
    fn add(
        &mut self,
        message: Message<'_>,
        measure: Measure,
        read: fn(&mut Self, Message<'_>, Bounds) -> Read<()>,
    ) -> Read<()> {
        self.wire += message.len();
        match measure {
            Measure::Wire => Ok(()),
            Measure::Rows(bounds) => read(self, message, bounds),
        }
    }

    fn add_resource(&mut self, mut message: Message<'_>, bounds: Bounds) -> Read<()> {
        while let Some((field, wire_type)) = message.key()? {
            match field {
                1 => self.add_attribute(message.message(wire_type)?, bounds),
                3 => self.entity_refs += message.bytes(wire_type)?.len(),
                _ => message.skip(field, wire_type)?,
            }
        }
        Ok(())
    }

    fn add_scope(&mut self, mut message: Message<'_>, bounds: Bounds) -> Read<()> {
        while let Some((field, wire_type)) = message.key()? {
            match field {
                1 => self.name = message.bytes(wire_type)?.len(),
                2 => self.version = message.bytes(wire_type)?.len(),
                3 => self.add_attribute(message.message(wire_type)?, bounds),
                _ => message.skip(field, wire_type)?,
            }
        }
        Ok(())
    }

    /// One that cannot be read, or nests too deep, is left out.
    fn add_attribute(&mut self, message: Message<'_>, bounds: Bounds) {
        let Ok(pair) = key_value(message, false) else { return };
        self.attributes_met += 1;
        if self.attributes_met <= bounds.attributes {
            self.attributes += pair.key.len().min(bounds.name) + pair.value_bytes.min(bounds.value);
        }
    }

    /// What each span writes of it.
    fn bytes(&self, measure: Measure) -> u64 {
        let bytes = match measure {
            Measure::Wire => self.wire + self.schema_url,
            Measure::Rows(Bounds { name, value, .. }) => {
                let names = [self.name, self.version].map(|bytes| bytes.min(name).min(value));
                let entity_refs = if self.entity_refs <= value { self.entity_refs } else { 0 };
                self.attributes + names[0] + names[1] + entity_refs + self.schema_url.min(value)
            }
        };
        bytes as u64
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

    fn within(max_shared_bytes: u64) -> SpanLimits {
        SpanLimits { max_shared_bytes, ..SpanLimits::default() }
    }

    #[test]
    fn values_are_cut_no_further_than_they_must() {
        let body = request(&[200_000, 1_000, 10], 4, 1_000);
        let cut = |max_shared_bytes| SharedCut::of(&body, &within(max_shared_bytes));
        assert_eq!(cut(300_000_000), SharedCut::None);
        assert_eq!(cut(201_100_000), SharedCut::None);
        assert_eq!(cut(200_000_000), SharedCut::To(131_072));
        assert_eq!(cut(20_000_000), SharedCut::To(16_384));
        assert_eq!(cut(200_000), SharedCut::To(64));
        assert_eq!(cut(100_000), SharedCut::OnlyServiceName);
    }

    #[test]
    fn keys_alone_may_be_too_much() {
        assert_eq!(
            SharedCut::of(&request(&[1; 100], 1_000, 100), &within(1_000_000)),
            SharedCut::OnlyServiceName
        );
    }

    /// Each takes 200 kB on the wire, and less than a hundredth of that in a row.
    #[test]
    fn what_no_row_gets_does_not_count() {
        let large = "x".repeat(200_000);
        let text = |text: &str| AnyValue { value: Some(Value::StringValue(text.to_owned())) };
        let pair = |key: &str, value: AnyValue| {
            KeyValue { key: key.to_owned(), value: Some(value), key_strindex: 0 }.encode_to_vec()
        };
        let field = |number: u32, content: &[u8]| {
            let mut bytes = Vec::new();
            prost::encoding::bytes::encode(number, &content.to_vec(), &mut bytes);
            bytes
        };
        let deep = (0..60).fold(text(&large), |value, _| AnyValue {
            value: Some(Value::ArrayValue(opentelemetry_proto::tonic::common::v1::ArrayValue {
                values: vec![value],
            })),
        });
        let replaced =
            [field(1, b"k"), field(2, &text(&large).encode_to_vec()), field(2, &text("y").encode_to_vec())]
                .concat();
        let many: Vec<u8> = (0..8_000)
            .flat_map(|n| field(1, &pair(&format!("a rather long key {n:06}"), text("v"))))
            .collect();
        for (name, odd) in [
            ("an unknown field", field(99, large.as_bytes())),
            ("an attribute that nests too deep", field(1, &pair("deep", deep))),
            ("a value that is replaced", field(1, &replaced)),
            ("attributes beyond their limit", many),
            ("entity references that are left out", field(3, &field(1, &[b'x'; 300_000]))),
        ] {
            let resource = [field(1, &pair("host.name", text("h1"))), odd].concat();
            let spans = ScopeSpans { spans: vec![Span::default(); 2_000], ..ScopeSpans::default() };
            let resource_spans = [field(1, &resource), field(2, &spans.encode_to_vec())].concat();
            let body = field(1, &resource_spans);
            assert_eq!(SharedCut::of(&body, &within(100_000_000)), SharedCut::None, "{name}");
        }
    }
}
