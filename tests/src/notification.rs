//! Notifications, as the edge sends them.

use anyhow::Result;
use spillway_proto::notification::{Notification, QueuedNotification};
use spillway_proto::signature::sign;
use spillway_proto::trace_context::TraceContext;
use spillway_proto::{ObjectId, ObjectKey, Sha256Digest, UnixMillis};
use ulid::Ulid;

/// The time of day.
pub fn now() -> UnixMillis {
    UnixMillis(Ulid::generate().timestamp_ms())
}

/// Of an object that is nowhere, with the id that `body` would have.
pub fn notification(body: &str) -> Result<Notification> {
    let tenant = "acme".parse()?;
    Ok(Notification {
        object_key: ObjectKey::new(now(), 1, ObjectId::of(&tenant, &Sha256Digest::of(body.as_bytes())), 1),
        tenant,
        bytes: 1,
        payload_bytes: 100,
        sha256: Sha256Digest::of(b""),
        received_at_unix_ms: now(),
        stored_at_unix_ms: now(),
        trace_context: TraceContext::root([1; 16], [2; 8]),
        parent_span_id: None,
        edge_reports_span: false,
    })
}

/// As it goes through a Cloudflare Queue, signed at `at`.
pub fn queued(notification: &Notification, signing_key: &str, at: UnixMillis) -> Result<QueuedNotification> {
    let notification = serde_json::to_string(notification)?;
    let signature = sign(signing_key.as_bytes(), at, notification.as_bytes());
    Ok(QueuedNotification { notification, signature })
}
