//! How the texts and values of resources and scopes are cut, so that what all spans repeat of them keeps to the limit.

use prost::Message;
use spillway_proto::otlp::{Criteria, DecodeError, RulesVersion};

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

/// The cut that the resources of a request need.
pub(super) fn cut(resources: &[ResourceSpans], criteria: &Criteria) -> Result<Cut, DecodeError> {
    let max_bytes = criteria.limits.max_shared_bytes;
    if criteria.rules == RulesVersion::V1 || total(resources, usize::MAX)? <= max_bytes {
        return Ok(Cut::None);
    }
    for exponent in EXPONENTS.rev() {
        let bytes = 1 << exponent;
        if total(resources, bytes)? <= max_bytes {
            return Ok(Cut::To(bytes));
        }
    }
    Ok(Cut::OnlyServiceName)
}

fn total(resources: &[ResourceSpans], most: usize) -> Result<u64, DecodeError> {
    let mut total = 0u64;
    for of_resource in resources {
        let resource = Resource::decode(&*of_resource.resource)?;
        let mut of_spans = 0u64;
        for scope_spans in &of_resource.scope_spans {
            let raw = raw_scope(scope_spans)?;
            let ScopeSpans { scope, spans, schema_url } = ScopeSpans::decode(&**scope_spans)?;
            let Scope { name, version, attributes, .. } = scope.unwrap_or_default();
            let cut =
                [name.len(), version.len()].iter().map(|bytes| bytes.saturating_sub(most)).sum::<usize>()
                    + cut_of(&attributes, depth::SCOPE, most);
            let bytes = raw.saturating_sub(cut) + schema_url.len().min(most);
            of_spans += spans.len() as u64;
            total += (bytes * spans.len()) as u64;
        }
        let bytes =
            of_resource.resource.len().saturating_sub(cut_of(&resource.attributes, depth::RESOURCE, most))
                + of_resource.schema_url.len().min(most);
        total += bytes as u64 * of_spans;
    }
    Ok(total)
}

/// What a cut takes away of attributes.
fn cut_of(attributes: &[Vec<u8>], depth: u32, most: usize) -> usize {
    let over =
        |pair: &Vec<u8>| key_value(pair, depth).map_or(0, |(_, value)| value.counted().saturating_sub(most));
    attributes.iter().map(over).sum()
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
