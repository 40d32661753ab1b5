//! Objects, as the edge stores them.

use anyhow::Result;
use bytes::Bytes;
use spillway_proto::notification::Notification;
use spillway_proto::otlp::{Compression, RepairedRuns, RulesVersion, SpanLimits};
use spillway_proto::record::ObjectRecord;
use spillway_proto::trace_context::TraceContext;
use spillway_proto::{ObjectId, ObjectKey, Sha256Digest, TenantId, UnixMillis};

use crate::payloads::gzipped;

/// An object, and what the edge notifies of it.
#[derive(Clone)]
pub struct Object {
    /// Its key, its digest, and whose it is.
    pub notification: Notification,
    /// As it lies in the bucket: its payload is compressed by gzip.
    pub stored: Bytes,
    /// The same with its payload as it is.
    pub plain: Bytes,
    /// The payload as it is.
    pub payload: Bytes,
}

/// The object of a request of so many spans, received then; `random` is the part of its key that is.
pub fn object(
    tenant: TenantId,
    payload: Bytes,
    spans: u32,
    received_at: UnixMillis,
    random: u128,
) -> Result<Object> {
    let record = |compression, payload| ObjectRecord {
        tenant: tenant.clone(),
        key_id: "k1".parse().expect("a key's id"),
        project: None,
        received_at,
        span_limits: SpanLimits::default(),
        rules: RulesVersion::default(),
        transcoding_repairs: RepairedRuns::default(),
        compression,
        payload,
        trace_context: TraceContext::root([1; 16], [2; 8]),
    };
    let compressed = Bytes::from(gzipped(&payload)?);
    let stored = Bytes::from(record(Compression::Gzip, compressed).to_object());
    let plain = Bytes::from(record(Compression::Identity, payload.clone()).to_object());
    let object_id = ObjectId::new(&tenant, None, &payload);
    let notification = Notification {
        object_key: ObjectKey::new(received_at, random, object_id, spans),
        tenant: tenant.clone(),
        bytes: stored.len() as u64,
        payload_bytes: payload.len() as u64,
        previous_id: None,
        rejected_spans: Some(0),
        sha256: Sha256Digest::of(&stored),
        received_at_unix_ms: received_at,
        stored_at_unix_ms: received_at,
        trace_context: TraceContext::root([1; 16], [2; 8]),
        parent_span_id: None,
        edge_reports_span: false,
    };
    Ok(Object { notification, stored, plain, payload })
}
