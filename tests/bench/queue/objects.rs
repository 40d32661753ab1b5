//! Objects to enqueue, as notifications of the edge tell of them.

use anyhow::Result;
use spillway_proto::notification::Notification;
use spillway_proto::trace_context::TraceContext;
use spillway_proto::{ObjectId, ObjectKey, Sha256Digest, TenantId, UnixMillis};
use ulid::Ulid;

/// So many, of as many requests, received just now.
pub fn make(count: usize, tenants: usize) -> Result<Vec<Notification>> {
    let tenants: Vec<TenantId> =
        (0..tenants).map(|number| format!("tenant-{number}").parse()).collect::<Result<_, _>>()?;
    let object = |number: usize| {
        let (id, tenant) = (Ulid::generate(), &tenants[number % tenants.len()]);
        let sha256 = Sha256Digest::of(id.to_string().as_bytes());
        let received_at = UnixMillis(id.timestamp_ms());
        Notification {
            object_key: ObjectKey::new(
                received_at,
                id.random(),
                ObjectId::new(tenant, None, sha256.as_bytes()),
                100,
            ),
            tenant: tenant.clone(),
            bytes: 12_000,
            payload_bytes: 75_000,
            previous_id: Some(ObjectId::of_first_version(tenant, &sha256)),
            rejected_spans: Some(0),
            sha256,
            received_at_unix_ms: received_at,
            stored_at_unix_ms: received_at,
            trace_context: TraceContext::root([1; 16], [2; 8]),
            parent_span_id: None,
            edge_reports_span: false,
        }
    };
    Ok((0..count).map(object).collect())
}
