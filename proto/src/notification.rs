//! The hint that an object is there.
//!
//! The edge sends it to the origin after the exporter has its answer. It may come twice, late, or not at all: R2 holds
//! the truth, a notification only says where to look first.

use serde::{Deserialize, Serialize};

use crate::ids::{ObjectId, Sha256Digest, TenantId, UnixMillis};
use crate::object_key::ObjectKey;
use crate::trace_context::TraceContext;

/// What tells a notification from an exporter's request on the path that both are routed on.
pub const CONTENT_TYPE: &str = "application/vnd.spillway.notification.v1+json";

/// The largest notification that an origin reads, in bytes; those that the edge writes have about 500.
pub const MAX_BYTES: usize = 16 * 1024;

/// Says that an object was stored, with all that is needed to fetch and check it. JSON on the wire.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Notification {
    /// Where the object lies.
    pub object_key: ObjectKey,
    /// Whose spans it holds.
    pub tenant: TenantId,
    /// The object's size.
    pub bytes: u64,
    /// The size of its payloads after decompression, by which batches are bounded.
    pub payload_bytes: u64,
    /// The id that Spillway 0.1 would have given its request, so that a resend is known whose first try met a Worker of that
    /// version. Workers of that version send none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_id: Option<ObjectId>,
    /// How many spans of the request are not valid. Where there are any, a resend may be judged more generously, and holds
    /// spans that this object does not. Workers of Spillway 0.1 do not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejected_spans: Option<u32>,
    /// The object's digest, which R2 has checked on writing.
    pub sha256: Sha256Digest,
    /// When the edge had read the request.
    pub received_at_unix_ms: UnixMillis,
    /// When R2 had confirmed the object.
    pub stored_at_unix_ms: UnixMillis,
    /// The edge's span for this request.
    pub trace_context: TraceContext,
    /// The span of the exporter's own trace that the edge's span lies under, where the exporter sent a `traceparent`:
    /// 16 hex digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_span_id: Option<String>,
    /// Whether the edge reports its span for this request itself; else the origin does it from what stands here.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub edge_reports_span: bool,
}

/// A notification on its way through a Cloudflare Queue, as JSON text: the signed bytes and their signature. It may wait for
/// days, so its signature's age says nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueuedNotification {
    /// A [`Notification`] in JSON, byte for byte as it was signed.
    pub notification: String,
    /// The value that the header [`crate::signature::HEADER`] would have.
    pub signature: String,
}
