//! Objects for the tests of this crate.

use spillway_proto::notification::Notification;
use spillway_proto::otlp::{Compression, RepairedRuns, RulesVersion, SpanLimits};
use spillway_proto::record::ObjectRecord;
use spillway_proto::trace_context::TraceContext;
use spillway_proto::{ObjectId, ObjectKey, TenantId, UnixMillis};

/// 2026-11-20T00:00:00Z.
pub const DAY: UnixMillis = UnixMillis(1_795_132_800_000);

/// A record that holds this payload as it is.
pub fn record(tenant: &str, payload: &[u8]) -> ObjectRecord {
    ObjectRecord {
        tenant: tenant.parse().unwrap(),
        key_id: "k1".parse().unwrap(),
        project: None,
        received_at: DAY,
        span_limits: SpanLimits::default(),
        rules: RulesVersion::default(),
        transcoding_repairs: RepairedRuns::default(),
        compression: Compression::Identity,
        payload: payload.to_vec().into(),
        trace_context: TraceContext::root([1; 16], [2; 8]),
    }
}

/// An object that was received so many milliseconds after [`DAY`] began; it does not hold the spans that its name says.
pub fn object(tenant: &str, after_millis: u64, spans: u32) -> (ObjectKey, Vec<u8>) {
    let name: TenantId = tenant.parse().unwrap();
    let payload = after_millis.to_be_bytes();
    let id = ObjectId::new(&name, None, &payload);
    let key = ObjectKey::new(UnixMillis(DAY.0 + after_millis), 7, id, spans);
    (key, record(tenant, &payload).to_object())
}

/// What is notified of [`object`].
pub fn notification(tenant: &str, after_millis: u64, spans: u32) -> Notification {
    let (key, bytes) = object(tenant, after_millis, spans);
    super::describe::from_content(&key, bytes.into(), usize::MAX).unwrap()
}
