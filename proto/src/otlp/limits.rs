//! What a span may hold. Each limit is the tenant's own, with a default.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

/// The limits that a tenant's spans are judged by: in the key's record, and in each object, so that the consumer judges
/// by those that the edge answered by. Defaults are far above what the SDKs write (128 attributes, events and links).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SpanLimits {
    /// How long before its receipt a span may have begun, in seconds. Default: ten years. 0 is no bound.
    pub max_age_seconds: u64,
    /// How long after its receipt a span may begin or end, in seconds, for clocks that are ahead. Default: one day.
    pub max_future_seconds: u64,
    /// How long before its start a span may end, in milliseconds; above that it is rejected. A span that ends before its
    /// start, as two readings of a clock that stepped back have it, is stored with a duration of 0. Default: unset, no bound.
    /// A span without an end is always taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_backwards_ms: Option<u64>,
    /// On how many UTC days the spans of one request may begin: each day costs a partition's INSERT. Default: 31.
    pub max_days: NonZeroU32,
    /// What the spans of one request may write of their resources and scopes, in bytes: those stand beside each span in the
    /// table, and a large one with many small spans would take their product. Above it, the largest texts and values of
    /// resources and scopes are cut. Default: 256 MiB.
    pub max_shared_bytes: u64,
    /// The longest name of a span, an event, a scope or an attribute, in bytes; a longer one is cut. Default: 4 KiB.
    pub max_name_bytes: u32,
    /// The most attributes of a span, an event, a link, a resource and a scope; those beyond are left out. Default: 1,024.
    pub max_attributes: u32,
    /// The largest value of an attribute, in bytes, and the longest status message, trace state and schema URL; a larger one
    /// is cut. Text and bytes count by their length, other values 8 bytes each, lists and maps by what they hold, keys
    /// included; of those the first elements stay. Default: 256 KiB.
    pub max_value_bytes: u32,
    /// The most events of a span; those beyond are left out. Default: 1,024.
    pub max_events: u32,
    /// The most links of a span; those beyond are left out. Default: 1,024.
    pub max_links: u32,
}

impl Default for SpanLimits {
    fn default() -> Self {
        Self {
            max_age_seconds: 3_650 * 86_400,
            max_future_seconds: 86_400,
            max_backwards_ms: None,
            max_days: const { NonZeroU32::new(31).unwrap() },
            max_shared_bytes: 256 << 20,
            max_name_bytes: 4 << 10,
            max_attributes: 1_024,
            max_value_bytes: 256 << 10,
            max_events: 1_024,
            max_links: 1_024,
        }
    }
}
