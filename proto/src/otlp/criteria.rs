//! What a request is judged by.

use super::limits::SpanLimits;
use crate::ids::UnixMillis;

/// A version of the rules that say which spans are valid and what is repaired. The object's record names it, so that the
/// consumer comes to the spans that the edge answered for, whatever version of Spillway reads the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RulesVersion {
    /// The rules of records that name none, up to Spillway 0.1. A span above a limit is rejected; text that is not UTF-8
    /// makes the whole request malformed. `RowNo` counts the valid spans.
    V1,
    /// What can be repaired is repaired ([`super::Repair`]). `RowNo` is the span's position in the request as sent.
    #[default]
    V2,
}

impl RulesVersion {
    /// The number that the record carries; none is [`Self::V1`].
    pub fn number(self) -> u32 {
        match self {
            Self::V1 => 0,
            Self::V2 => 2,
        }
    }

    /// The version of this number; none if this program does not know it.
    pub fn from_number(number: u32) -> Option<Self> {
        match number {
            0 => Some(Self::V1),
            2 => Some(Self::V2),
            _ => None,
        }
    }
}

/// What the spans of a request are judged by. The same criteria always come to the same spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Criteria {
    /// Which rules.
    pub rules: RulesVersion,
    /// The tenant's limits.
    pub limits: SpanLimits,
    /// When the edge had read the request: the clock for the age of spans.
    pub received_at: UnixMillis,
}

impl Criteria {
    /// The present rules, with these limits and this clock.
    pub fn new(limits: SpanLimits, received_at: UnixMillis) -> Self {
        Self { rules: RulesVersion::default(), limits, received_at }
    }
}
