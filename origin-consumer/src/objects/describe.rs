//! What would have been notified of an object, from what is there of it.

use std::collections::HashMap;
use std::str::FromStr;

use bytes::Bytes;
use spillway_proto::notification::Notification;
use spillway_proto::otlp::{DecompressLimits, RulesVersion, decompress};
use spillway_proto::record::records_of;
use spillway_proto::trace_context::TraceContext;
use spillway_proto::{ObjectId, ObjectKey, Sha256Digest, TenantId};

use super::ObjectError;

/// What R2 keeps of an object beside its content.
pub struct Kept {
    /// Its size.
    pub bytes: u64,
    /// What the edge gave along.
    pub metadata: HashMap<String, String>,
}

/// From what the edge gave along; nothing if a part of it is missing or wrong.
pub fn from_metadata(key: &ObjectKey, kept: &Kept) -> Option<Notification> {
    let field = |name: &str| kept.metadata.get(name).map(String::as_str);
    let of = Facts {
        tenant: field("tenant")?.parse().ok()?,
        bytes: kept.bytes,
        payload_bytes: field("payload-bytes")?.parse().ok()?,
        sha256: field("sha256")?.parse().ok()?,
        // Spillway 0.1 wrote neither.
        previous_id: optional(field(PREVIOUS_ID))?,
        rejected_spans: optional(field(REJECTED_SPANS))?,
        trace_context: field("traceparent")?.parse().ok()?,
    };
    Some(notification(key, of))
}

const PREVIOUS_ID: &str = "previous-id";
const REJECTED_SPANS: &str = "rejected-spans";

/// None where the text is there, and cannot be read.
fn optional<T: FromStr>(text: Option<&str>) -> Option<Option<T>> {
    text.map_or(Some(None), |text| text.parse().ok().map(Some))
}

/// What is kept beside an object, as [`from_metadata`] reads it.
pub fn metadata_of(notification: &Notification) -> HashMap<String, String> {
    let metadata = [
        ("tenant", notification.tenant.to_string()),
        ("sha256", notification.sha256.to_string()),
        ("payload-bytes", notification.payload_bytes.to_string()),
        ("traceparent", notification.trace_context.to_string()),
    ];
    let optional = [
        (PREVIOUS_ID, notification.previous_id.map(|id| id.to_string())),
        (REJECTED_SPANS, notification.rejected_spans.map(|spans| spans.to_string())),
    ];
    let optional = optional.into_iter().filter_map(|(name, value)| Some((name, value?)));
    metadata.into_iter().chain(optional).map(|(name, value)| (name.to_owned(), value)).collect()
}

/// From its content, whose payloads decompress to `max_bytes` together at most.
pub fn from_content(key: &ObjectKey, object: Bytes, max_bytes: usize) -> Result<Notification, ObjectError> {
    let poison = |error: &dyn std::error::Error| ObjectError::Poison(error.to_string());
    let (bytes, sha256) = (object.len() as u64, Sha256Digest::of(&object));
    let records = records_of(object).map_err(|error| poison(&error))?;
    let first = records.first().ok_or_else(|| ObjectError::Poison("the object is empty".to_owned()))?;
    if records.iter().any(|record| record.tenant != first.tenant) {
        return Err(ObjectError::Poison("the object holds spans of several tenants".to_owned()));
    }
    let mut payload_bytes = 0;
    for record in &records {
        let limits = DecompressLimits { max_bytes: max_bytes - payload_bytes };
        let payload = decompress(&record.payload, record.compression, limits);
        payload_bytes += payload.map_err(|error| poison(&error))?.len();
    }
    let of = Facts {
        tenant: first.tenant.clone(),
        bytes,
        payload_bytes: payload_bytes as u64,
        sha256,
        // As it is of protobuf; the id of JSON was that of its text, which is not kept. Spillway 0.1 wrote none.
        previous_id: (first.rules != RulesVersion::V1)
            .then(|| ObjectId::of_first_version(&first.tenant, &Sha256Digest::of(&first.payload))),
        rejected_spans: None,
        trace_context: first.trace_context,
    };
    Ok(notification(key, of))
}

struct Facts {
    tenant: TenantId,
    bytes: u64,
    payload_bytes: u64,
    sha256: Sha256Digest,
    previous_id: Option<ObjectId>,
    rejected_spans: Option<u32>,
    trace_context: TraceContext,
}

fn notification(key: &ObjectKey, of: Facts) -> Notification {
    Notification {
        object_key: key.clone(),
        tenant: of.tenant,
        bytes: of.bytes,
        payload_bytes: of.payload_bytes,
        previous_id: of.previous_id,
        rejected_spans: of.rejected_spans,
        sha256: of.sha256,
        received_at_unix_ms: key.received_at(),
        // R2 tells to the second when it had the object; it cannot have been earlier than this.
        stored_at_unix_ms: key.received_at(),
        trace_context: of.trace_context,
        parent_span_id: None,
        edge_reports_span: false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{object, record};
    use super::*;

    #[test]
    fn metadata_and_content_tell_the_same() {
        let (key, bytes) = object("acme", 0, 3);
        let content = from_content(&key, bytes.clone().into(), 1 << 20).unwrap();
        assert_eq!((content.tenant.as_str(), content.bytes), ("acme", bytes.len() as u64));
        let metadata = metadata_of(&content);
        let kept = |metadata| Kept { bytes: bytes.len() as u64, metadata };
        assert_eq!(from_metadata(&key, &kept(metadata.clone())), Some(content));
        for name in metadata.keys() {
            let mut wrong = metadata.clone();
            wrong.insert(name.clone(), "wrong of itself".to_owned());
            assert_eq!(from_metadata(&key, &kept(wrong.clone())), None, "{name}");
            wrong.remove(name);
            assert_eq!(from_metadata(&key, &kept(wrong)), None, "{name}");
        }
    }

    #[test]
    fn what_is_no_object_of_one_tenant_within_bounds_is_poison() {
        let (key, good) = object("acme", 0, 3);
        let two_tenants = [record("acme", b"a").to_object(), record("other", b"b").to_object()].concat();
        let twice =
            [record("acme", &[b'x'; 600]).to_object(), record("acme", &[b'x'; 600]).to_object()].concat();
        for (bytes, named) in [
            (good[..good.len() - 1].to_vec(), "not a sequence of records"),
            (Vec::new(), "0 records"),
            (two_tenants, "several tenants"),
            (twice, "grows over"),
        ] {
            let error = from_content(&key, bytes.into(), 1_000).unwrap_err();
            assert!(matches!(&error, ObjectError::Poison(reason) if reason.contains(named)), "{error}");
        }
    }
}
