//! Step 6: put the object into R2. From here on it cannot be lost.

use futures_util::join;
use spillway_proto::key_record::KeyRecord;
use spillway_proto::notification::Notification;
use spillway_proto::record::ObjectRecord;
use spillway_proto::trace_context::TraceContext;
use spillway_proto::{ObjectId, ObjectKey, UnixMillis};

use crate::config::Config;
use crate::mesh::link::Link;
use crate::payload::{Payload, RULES};
use crate::ports::{NewObject, ObjectStore, Runtime, random};
use crate::reject::Rejection;

/// What is known of a request when its payload is stored.
pub struct Received {
    /// When it had been read.
    pub at: UnixMillis,
    /// The edge's span.
    pub trace_context: TraceContext,
    /// The exporter's, if it sent one.
    pub caller: Option<TraceContext>,
    /// Whether the edge reports its span for the request itself.
    pub edge_reports_span: bool,
}

/// R2, and how it is called.
pub struct Bucket<'a, O> {
    /// The bucket.
    pub objects: &'a O,
    /// What the isolate remembers of it.
    pub link: &'a Link,
    /// What a put may take.
    pub config: &'a Config,
}

/// Stores the payload and says where. A put that outlives its deadline may still succeed: then the exporter's next try is
/// the same request to the ledger, and is stored once.
pub async fn store(
    payload: Payload,
    key: &KeyRecord,
    received: &Received,
    bucket: &Bucket<'_, impl ObjectStore>,
    runtime: &impl Runtime,
) -> Result<Notification, Rejection> {
    let Payload { verdict, object_id, .. } = payload;
    let record = ObjectRecord {
        tenant: key.tenant.clone(),
        project: key.project.clone(),
        key_id: key.key_id.clone(),
        received_at: received.at,
        span_limits: key.span_limits,
        rules: RULES,
        transcoding_repairs: payload.transcoding_repairs,
        compression: payload.compression,
        payload: payload.bytes,
        trace_context: received.trace_context,
    };
    let bytes = record.to_object();
    drop(record);
    let (body, sha256) = join!(runtime.sha256(&payload.received), runtime.sha256(&bytes));
    drop(payload.received);
    let size = bytes.len() as u64;
    let previous_id = ObjectId::of_first_version(&key.tenant, &body);
    let unique = u128::from_le_bytes(random(runtime));
    let object_key = ObjectKey::new(received.at, unique, object_id, verdict.accepted);
    let metadata = vec![
        ("tenant", key.tenant.to_string()),
        ("key-id", key.key_id.to_string()),
        ("sha256", sha256.to_string()),
        ("payload-bytes", payload.decompressed_bytes.to_string()),
        ("previous-id", previous_id.to_string()),
        ("rejected-spans", verdict.rejected.to_string()),
        ("traceparent", received.trace_context.to_string()),
    ];
    let object = NewObject { key: object_key.clone(), bytes, sha256, metadata };
    let policy = &bucket.config.put;
    let put = bucket.link.call_in_all(policy, runtime, async || bucket.objects.put(&object).await);
    put.await.map_err(Rejection::Fault)?;
    Ok(Notification {
        object_key,
        tenant: key.tenant.clone(),
        bytes: size,
        payload_bytes: payload.decompressed_bytes,
        previous_id: Some(previous_id),
        rejected_spans: Some(verdict.rejected),
        sha256,
        received_at_unix_ms: received.at,
        stored_at_unix_ms: runtime.now(),
        trace_context: received.trace_context,
        parent_span_id: received.caller.map(|caller| caller.span_id_hex()),
        edge_reports_span: received.edge_reports_span,
    })
}
