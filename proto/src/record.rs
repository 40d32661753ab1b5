//! What an R2 object holds: a sequence of length-delimited records, each one export request.

use std::num::NonZeroU32;

use prost::Message;
use prost::bytes::{Buf, Bytes};

use crate::generated::object;
use crate::ids::{KeyId, ProjectId, TenantId, UnixMillis};
use crate::otlp::{Compression, Criteria, Repair, RepairedRun, RepairedRuns, RulesVersion, SpanLimits};
use crate::trace_context::TraceContext;

/// The most records that one object may hold; an object with more was not written by Spillway.
pub const MAX_RECORDS: usize = 10_000;

/// One export request as the edge accepted it. See `schema/spillway/v1/object.proto`.
#[derive(Debug, Clone, PartialEq)]
pub struct ObjectRecord {
    /// Whose spans they are.
    pub tenant: TenantId,
    /// The tenant's project, if the key names one.
    pub project: Option<ProjectId>,
    /// The key that they came with.
    pub key_id: KeyId,
    /// When the edge had read the request. The clock that its spans are judged by.
    pub received_at: UnixMillis,
    /// The limits that they are judged by.
    pub span_limits: SpanLimits,
    /// The rules that they are judged by.
    pub rules: RulesVersion,
    /// What was repaired while JSON was transcoded to `payload`.
    pub transcoding_repairs: RepairedRuns,
    /// How `payload` is compressed.
    pub compression: Compression,
    /// An OTLP `ExportTraceServiceRequest` in protobuf, compressed as said.
    pub payload: Bytes,
    /// The trace that the request itself is a span of.
    pub trace_context: TraceContext,
}

/// An object's bytes are not what the edge writes. It will not get better by trying again.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Not a sequence of length-delimited `ObjectRecord`s.
    #[error("not a sequence of records: {0}")]
    Malformed(#[from] prost::DecodeError),
    /// A field of a record is missing or wrong.
    #[error("record {index}: {field} is missing or wrong")]
    Field {
        /// The record's place in the object, from 0.
        index: usize,
        /// The field, as the schema names it.
        field: &'static str,
    },
    /// A newer version of Spillway wrote it, by rules that this one does not know.
    #[error(
        "record {index} was judged by version {version} of the rules, which this program does not know; upgrade it"
    )]
    Newer {
        /// The record's place in the object, from 0.
        index: usize,
        /// The version of the rules.
        version: u32,
    },
    /// No record, or more than [`MAX_RECORDS`].
    #[error("{0} records; 1 to {MAX_RECORDS} are allowed")]
    Count(usize),
}

impl RecordError {
    /// Whether a newer version of this program reads the object.
    pub fn is_of_a_newer_version(&self) -> bool {
        matches!(self, Self::Newer { .. })
    }
}

impl ObjectRecord {
    /// What its spans are judged by.
    pub fn criteria(&self) -> Criteria {
        Criteria { rules: self.rules, limits: self.span_limits, received_at: self.received_at }
    }

    /// The bytes of an object that holds this record alone.
    pub fn to_object(&self) -> Vec<u8> {
        object::ObjectRecord {
            tenant: self.tenant.to_string(),
            key_id: self.key_id.to_string(),
            project: self.project.as_ref().map_or_else(String::new, ToString::to_string),
            received_at_unix_nano: self.received_at.as_nanos(),
            span_limits: Some(written(&self.span_limits)),
            payload_encoding: payload_encoding(self.compression).into(),
            payload: self.payload.clone(),
            traceparent: self.trace_context.to_string(),
            rules_version: self.rules.number(),
            transcoding_repairs: self.transcoding_repairs.as_slice().iter().map(written_run).collect(),
        }
        .encode_length_delimited_to_vec()
    }
}

/// The records of an object. The payloads share the memory of `bytes`.
pub fn records_of(mut bytes: Bytes) -> Result<Vec<ObjectRecord>, RecordError> {
    let mut records = Vec::new();
    while bytes.has_remaining() && records.len() <= MAX_RECORDS {
        let raw = object::ObjectRecord::decode_length_delimited(&mut bytes)?;
        records.push(checked(raw, records.len())?);
    }
    if records.is_empty() || records.len() > MAX_RECORDS {
        return Err(RecordError::Count(records.len()));
    }
    Ok(records)
}

fn checked(raw: object::ObjectRecord, index: usize) -> Result<ObjectRecord, RecordError> {
    let wrong = |field| RecordError::Field { index, field };
    let compression = match raw.payload_encoding() {
        object::PayloadEncoding::Identity => Compression::Identity,
        object::PayloadEncoding::Gzip => Compression::Gzip,
        object::PayloadEncoding::Zstd => Compression::Zstd,
        object::PayloadEncoding::Deflate => Compression::Deflate,
        object::PayloadEncoding::Snappy => Compression::Snappy,
        object::PayloadEncoding::Unspecified => return Err(wrong("payload_encoding")),
    };
    let version = raw.rules_version;
    let rules = RulesVersion::from_number(version).ok_or(RecordError::Newer { index, version })?;
    Ok(ObjectRecord {
        rules,
        transcoding_repairs: RepairedRuns::new(raw.transcoding_repairs.iter().map(read_run).collect()),
        tenant: raw.tenant.parse().map_err(|_| wrong("tenant"))?,
        key_id: raw.key_id.parse().map_err(|_| wrong("key_id"))?,
        project: match raw.project.as_str() {
            "" => None,
            name => Some(name.parse().map_err(|_| wrong("project"))?),
        },
        received_at: UnixMillis(raw.received_at_unix_nano / 1_000_000),
        span_limits: raw.span_limits.and_then(read).ok_or_else(|| wrong("span_limits"))?,
        compression,
        trace_context: raw.traceparent.parse().map_err(|_| wrong("traceparent"))?,
        payload: raw.payload,
    })
}

fn written_run(run: &RepairedRun) -> object::TranscodingRepair {
    object::TranscodingRepair {
        first_span: run.first,
        spans: run.spans,
        repairs: run.repairs.iter().map(|repair| repair.number().into()).collect(),
    }
}

fn read_run(run: &object::TranscodingRepair) -> RepairedRun {
    let known = |number: &u32| Repair::ALL.into_iter().find(|repair| u32::from(repair.number()) == *number);
    RepairedRun {
        first: run.first_span,
        spans: run.spans,
        repairs: run.repairs.iter().filter_map(known).collect(),
    }
}

/// How records write that a span may end before its start by any time.
const NO_BOUND: u64 = u64::MAX;

fn written(limits: &SpanLimits) -> object::SpanLimits {
    object::SpanLimits {
        max_age_seconds: limits.max_age_seconds,
        max_future_seconds: limits.max_future_seconds,
        max_backwards_ms: limits.max_backwards_ms.unwrap_or(NO_BOUND),
        max_days: limits.max_days.get(),
        max_name_bytes: limits.max_name_bytes,
        max_attributes: limits.max_attributes,
        max_value_bytes: limits.max_value_bytes,
        max_events: limits.max_events,
        max_links: limits.max_links,
        max_shared_bytes: limits.max_shared_bytes,
    }
}

fn read(limits: object::SpanLimits) -> Option<SpanLimits> {
    Some(SpanLimits {
        max_age_seconds: limits.max_age_seconds,
        max_future_seconds: limits.max_future_seconds,
        max_backwards_ms: (limits.max_backwards_ms != NO_BOUND).then_some(limits.max_backwards_ms),
        max_days: NonZeroU32::new(limits.max_days)?,
        max_name_bytes: limits.max_name_bytes,
        max_attributes: limits.max_attributes,
        max_value_bytes: limits.max_value_bytes,
        max_events: limits.max_events,
        max_links: limits.max_links,
        max_shared_bytes: limits.max_shared_bytes,
    })
}

fn payload_encoding(compression: Compression) -> object::PayloadEncoding {
    match compression {
        Compression::Identity => object::PayloadEncoding::Identity,
        Compression::Gzip => object::PayloadEncoding::Gzip,
        Compression::Zstd => object::PayloadEncoding::Zstd,
        Compression::Deflate => object::PayloadEncoding::Deflate,
        Compression::Snappy => object::PayloadEncoding::Snappy,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record(payload: Vec<u8>) -> ObjectRecord {
        ObjectRecord {
            tenant: "acme".parse().unwrap(),
            key_id: "k1".parse().unwrap(),
            project: Some("shop".parse().unwrap()),
            received_at: UnixMillis(1_795_230_245_678),
            span_limits: SpanLimits { max_days: NonZeroU32::MIN, ..SpanLimits::default() },
            rules: RulesVersion::V2,
            transcoding_repairs: RepairedRuns::new(vec![RepairedRun {
                first: 3,
                spans: 2,
                repairs: [Repair::InvalidUtf8, Repair::WrongType].into_iter().collect(),
            }]),
            compression: Compression::Zstd,
            payload: payload.into(),
            trace_context: TraceContext::root([7; 16], [9; 8]),
        }
    }

    #[test]
    fn every_compression_comes_back() {
        for compression in Compression::ALL {
            let written = ObjectRecord { compression, ..record(vec![1, 2, 3]) };
            assert_eq!(records_of(written.to_object().into()).unwrap(), [written]);
        }
    }

    #[test]
    fn an_object_of_nothing_is_refused() {
        assert!(matches!(records_of(Bytes::new()), Err(RecordError::Count(0))));
    }

    #[test]
    fn a_record_without_rules_is_of_the_first_ones_and_an_unknown_version_is_newer() {
        let raw = |rules_version| object::ObjectRecord {
            tenant: "acme".to_owned(),
            key_id: "k1".to_owned(),
            payload_encoding: object::PayloadEncoding::Identity.into(),
            traceparent: TraceContext::root([7; 16], [9; 8]).to_string(),
            span_limits: Some(written(&SpanLimits::default())),
            rules_version,
            ..object::ObjectRecord::default()
        };
        let read = |rules_version| records_of(raw(rules_version).encode_length_delimited_to_vec().into());
        assert_eq!(read(0).unwrap()[0].rules, RulesVersion::V1);
        let error = read(9).unwrap_err();
        assert!(error.is_of_a_newer_version(), "{error}");
    }

    #[test]
    fn a_cut_object_is_refused() {
        let whole = record(vec![1; 100]).to_object();
        for end in 1..whole.len() {
            assert!(records_of(Bytes::copy_from_slice(&whole[..end])).is_err(), "{end} bytes");
        }
    }

    proptest! {
        #[test]
        fn records_come_back_in_order(payloads in proptest::collection::vec(any::<Vec<u8>>(), 1..5)) {
            let written: Vec<_> = payloads.into_iter().map(record).collect();
            let object: Vec<u8> = written.iter().flat_map(ObjectRecord::to_object).collect();
            prop_assert_eq!(records_of(object.into()).unwrap(), written);
        }

        #[test]
        fn never_panics(bytes: Vec<u8>) {
            let _ = records_of(bytes.into());
        }
    }
}
