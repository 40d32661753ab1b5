//! How the texts and values of resources and scopes are cut, so that what all spans repeat of them keeps to the limit.

use prost::Message;
use spillway_proto::otlp::{Criteria, DecodeError, RulesVersion, SpanLimits};

use super::loose::{Resource, ResourceSpans, Scope, ScopeSpans};
use super::repairing::depth;
use super::tree::key_value;

/// Powers of two, from 128 KiB down to 64 bytes.
const EXPONENTS: std::ops::RangeInclusive<u32> = 6..=17;
const LEAST_BYTES: usize = 64;

/// What texts and values are cut to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    None,
    To(usize),
    OnlyServiceName,
}

impl Cut {
    pub(super) fn bytes(self) -> Option<usize> {
        match self {
            Self::None => None,
            Self::To(bytes) => Some(bytes),
            Self::OnlyServiceName => Some(LEAST_BYTES),
        }
    }

    pub(super) fn keeps_only_service_name(self) -> bool {
        self == Self::OnlyServiceName
    }
}

/// The cut that the resources of a request need: none if they fit as they are on the wire, or by what rows get of them.
pub(super) fn cut(resources: &[ResourceSpans], criteria: &Criteria) -> Result<Cut, DecodeError> {
    let limits = &criteria.limits;
    let max_bytes = limits.max_shared_bytes;
    if criteria.rules == RulesVersion::V1
        || total_on_wire(resources)? <= max_bytes
        || total(resources, limits, usize::MAX)? <= max_bytes
    {
        return Ok(Cut::None);
    }
    for exponent in EXPONENTS.rev() {
        let bytes = 1 << exponent;
        if total(resources, limits, bytes)? <= max_bytes {
            return Ok(Cut::To(bytes));
        }
    }
    Ok(Cut::OnlyServiceName)
}

fn total_on_wire(resources: &[ResourceSpans]) -> Result<u64, DecodeError> {
    let mut total = 0;
    for of_resource in resources {
        let of_resource_bytes = of_resource.resource.len() + of_resource.schema_url.len();
        for scope_spans in &of_resource.scope_spans {
            let ScopeSpans { spans, schema_url, .. } = ScopeSpans::decode(&**scope_spans)?;
            let bytes = of_resource_bytes + raw_scope(scope_spans)? + schema_url.len();
            total += (bytes * spans.len()) as u64;
        }
    }
    Ok(total)
}

/// What rows get of resources and scopes, whose texts and values are cut to `most` bytes besides the limits.
fn total(resources: &[ResourceSpans], limits: &SpanLimits, most: usize) -> Result<u64, DecodeError> {
    let of_value = most.min(limits.max_value_bytes as usize);
    let of_name = of_value.min(limits.max_name_bytes as usize);
    let mut total = 0;
    for of_resource in resources {
        let resource = Resource::decode(&*of_resource.resource)?;
        let entity_refs: usize = resource.entity_refs.iter().map(Vec::len).sum();
        let of_resource_bytes = kept(&resource.attributes, depth::RESOURCE, limits, of_value)
            + if entity_refs <= of_value { entity_refs } else { 0 }
            + of_resource.schema_url.len().min(of_value);
        for scope_spans in &of_resource.scope_spans {
            let ScopeSpans { scope, spans, schema_url } = ScopeSpans::decode(&**scope_spans)?;
            let Scope { name, version, attributes, .. } = scope.unwrap_or_default();
            let bytes = of_resource_bytes
                + name.len().min(of_name)
                + version.len().min(of_name)
                + kept(&attributes, depth::SCOPE, limits, of_value)
                + schema_url.len().min(of_value);
            total += (bytes * spans.len()) as u64;
        }
    }
    Ok(total)
}

/// What the attributes that are kept take, keys included.
fn kept(attributes: &[Vec<u8>], depth: u32, limits: &SpanLimits, of_value: usize) -> usize {
    let pairs = attributes.iter().filter_map(|pair| key_value(pair, depth).ok());
    let kept = pairs.take(limits.max_attributes as usize);
    let max_name = limits.max_name_bytes as usize;
    kept.map(|(key, value)| key.len().min(max_name) + value.counted().min(of_value)).sum()
}

/// How many bytes the scope of a `ScopeSpans` message takes.
fn raw_scope(scope_spans: &[u8]) -> Result<usize, DecodeError> {
    #[derive(Clone, PartialEq, Message)]
    struct Raw {
        #[prost(bytes = "vec", repeated, tag = "1")]
        scope: Vec<Vec<u8>>,
    }
    Ok(Raw::decode(scope_spans)?.scope.iter().map(Vec::len).sum())
}
