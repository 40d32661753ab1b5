//! What a tenant has used of its monthly quotas, as the edge tells an operator who asks.
//!
//! `POST /spillway/usage` with a [`UsageRequest`], signed as a notification is ([`crate::signature`]), is answered with a
//! [`UsageReport`].

use serde::{Deserialize, Serialize};

use crate::ids::TenantId;

/// Where the edge is asked.
pub const PATH: &str = "/spillway/usage";

/// The `Content-Type` of the request.
pub const CONTENT_TYPE: &str = "application/vnd.spillway.usage.v1+json";

/// The largest request that the edge reads, in bytes.
pub const MAX_REQUEST_BYTES: usize = 1024;

/// Asks for a tenant's usage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UsageRequest {
    /// Whose.
    pub tenant: TenantId,
    /// The UTC month, as `YYYY-MM`.
    pub month: String,
    /// By how many Durable Objects the tenant is counted ([`crate::key_record::RateLimits::shards`]).
    #[serde(default)]
    pub shards: crate::key_record::Shards,
}

/// A tenant's usage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Usage {
    /// Spans that were stored.
    pub spans: u64,
    /// Bytes of the request bodies that they came in, as sent.
    pub bytes: u64,
}

impl Usage {
    /// Both together.
    pub fn plus(self, other: Self) -> Self {
        Self { spans: self.spans.saturating_add(other.spans), bytes: self.bytes.saturating_add(other.bytes) }
    }
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageReport {
    /// Whose.
    pub tenant: TenantId,
    /// The UTC month, as `YYYY-MM`.
    pub month: String,
    /// How much.
    #[serde(flatten)]
    pub usage: Usage,
}
