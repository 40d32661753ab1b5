//! Objects as the edge stores them, and notifications as it sends them.

use anyhow::Result;
use spillway_proto::notification::{Notification, QueuedNotification};
use spillway_proto::otlp::{Compression, RepairedRuns, RulesVersion, SpanLimits};
use spillway_proto::record::ObjectRecord;
use spillway_proto::signature::sign;
use spillway_proto::trace_context::TraceContext;
use spillway_proto::{ObjectId, ObjectKey, Sha256Digest, TenantId, UnixMillis};
use ulid::Ulid;

/// The time of day.
pub fn now() -> UnixMillis {
    UnixMillis(Ulid::generate().timestamp_ms())
}

/// An object whose payload holds so many spans, as the edge stores it, and what it notifies of it.
pub fn stored(payload: &[u8], spans: u32) -> Result<(Notification, Vec<u8>)> {
    stored_at(payload, spans, now())
}

/// The same, received at another time.
pub fn stored_at(payload: &[u8], spans: u32, received_at: UnixMillis) -> Result<(Notification, Vec<u8>)> {
    stored_under(SpanLimits::default(), payload, spans, received_at)
}

/// The same, of a tenant with these limits.
pub fn stored_under(
    span_limits: SpanLimits,
    payload: &[u8],
    spans: u32,
    received_at: UnixMillis,
) -> Result<(Notification, Vec<u8>)> {
    let tenant: TenantId = "acme".parse()?;
    let record = ObjectRecord {
        tenant: tenant.clone(),
        key_id: "k1".parse()?,
        project: None,
        received_at,
        span_limits,
        rules: RulesVersion::default(),
        transcoding_repairs: RepairedRuns::default(),
        compression: Compression::Identity,
        payload: payload.to_vec().into(),
        trace_context: TraceContext::root([1; 16], [2; 8]),
    };
    let object = record.to_object();
    let id = ObjectId::new(&tenant, None, payload);
    let previous_id = ObjectId::of_first_version(&tenant, &Sha256Digest::of(payload));
    let notification = Notification {
        object_key: ObjectKey::new(received_at, Ulid::generate().0, id, spans),
        tenant,
        bytes: object.len() as u64,
        payload_bytes: payload.len() as u64,
        previous_id: Some(previous_id),
        rejected_spans: Some(0),
        sha256: Sha256Digest::of(&object),
        received_at_unix_ms: received_at,
        stored_at_unix_ms: received_at,
        trace_context: record.trace_context,
        parent_span_id: None,
        edge_reports_span: false,
    };
    Ok((notification, object))
}

/// Of an object that is nowhere, with the id that `body` would have.
pub fn notification(body: &str) -> Result<Notification> {
    Ok(stored(body.as_bytes(), 1)?.0)
}

/// As it goes through a Cloudflare Queue, signed at `at`.
pub fn queued(notification: &Notification, signing_key: &str, at: UnixMillis) -> Result<QueuedNotification> {
    let notification = serde_json::to_string(notification)?;
    let signature = sign(signing_key.as_bytes(), at, notification.as_bytes());
    Ok(QueuedNotification { notification, signature })
}
