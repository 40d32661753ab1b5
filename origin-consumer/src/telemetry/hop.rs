//! The hops of an object, each a span: `ingest` at the edge, `enqueue` at the origin, `consume` and its steps here.
//!
//! The edge's span is made here, of what the notification says, unless the edge reports it itself. Its id is the one that the
//! edge gave out, so that the others lie below it.

use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use spillway_proto::UnixMillis;
use spillway_proto::notification::Notification;
use spillway_proto::trace_context::TraceContext;
use ulid::Ulid;

use crate::time::system_time;

/// A piece of work on an object: from when to when, below which span.
#[derive(Debug, Clone)]
pub struct Hop {
    name: &'static str,
    kind: SpanKind,
    context: TraceContext,
    parent: Option<[u8; 8]>,
    began: UnixMillis,
    ended: UnixMillis,
    tenant: String,
    attributes: Vec<KeyValue>,
}

/// When the steps of a batch began and ended.
#[derive(Debug, Clone, Copy)]
pub struct StepTimes {
    /// The batch was claimed, and its objects asked for.
    pub claimed: UnixMillis,
    /// All objects were there.
    pub fetched: UnixMillis,
    /// All rows were made.
    pub decoded: UnixMillis,
    /// It was their turn to be inserted.
    pub inserting: UnixMillis,
    /// ClickHouse had confirmed them.
    pub inserted: UnixMillis,
    /// The batch was acknowledged.
    pub acked: UnixMillis,
}

/// The hops up to the queue; the second one has not ended yet.
pub struct Enqueueing {
    ingest: Hop,
    enqueue: Hop,
    edge_reports: bool,
}

/// The edge's hop, and the origin's that began at `began`.
pub fn enqueued(notification: &Notification, began: UnixMillis) -> Enqueueing {
    let parent = notification.parent_span_id.as_deref().and_then(parse_span_id);
    let ingest = Hop {
        name: "ingest",
        kind: SpanKind::Server,
        context: notification.trace_context,
        parent,
        began: notification.received_at_unix_ms,
        ended: notification.stored_at_unix_ms,
        tenant: notification.tenant.to_string(),
        attributes: vec![
            KeyValue::new("spillway.tenant", notification.tenant.to_string()),
            KeyValue::new("spillway.object_key", notification.object_key.to_string()),
            KeyValue::new("spillway.spans", i64::from(notification.object_key.spans())),
            KeyValue::new("spillway.bytes", i64::try_from(notification.bytes).unwrap_or(i64::MAX)),
        ],
    };
    let enqueue = ingest.below("enqueue", SpanKind::Producer, began, began);
    Enqueueing { ingest, enqueue, edge_reports: notification.edge_reports_span }
}

impl Enqueueing {
    /// The hops that are to be reported, now that the object is in the queue.
    pub fn ended(self, ended: UnixMillis) -> Vec<Hop> {
        let ingest = (!self.edge_reports).then_some(self.ingest);
        ingest.into_iter().chain([Hop { ended, ..self.enqueue }]).collect()
    }
}

/// The consumer's hops of an object.
pub fn consumed(notification: &Notification, batch: Ulid, times: &StepTimes) -> Vec<Hop> {
    let Enqueueing { ingest, .. } = enqueued(notification, times.claimed);
    let mut consume = ingest.below("consume", SpanKind::Consumer, times.claimed, times.acked);
    consume.attributes.push(KeyValue::new("spillway.batch", batch.to_string()));
    let fetch = consume.below("fetch", SpanKind::Client, times.claimed, times.fetched);
    let decode = consume.below("decode", SpanKind::Internal, times.fetched, times.decoded);
    let mut insert = consume.below("insert", SpanKind::Client, times.inserting, times.inserted);
    insert.attributes.push(KeyValue::new("db.system.name", "clickhouse"));
    vec![consume, fetch, decode, insert]
}

fn parse_span_id(text: &str) -> Option<[u8; 8]> {
    let mut id = [0; 8];
    hex::decode_to_slice(text, &mut id).ok()?;
    Some(id)
}

impl Hop {
    fn below(&self, name: &'static str, kind: SpanKind, began: UnixMillis, ended: UnixMillis) -> Self {
        // A ULID's low half is random.
        let span_id = (Ulid::generate().0 as u64).to_be_bytes();
        Self {
            name,
            kind,
            context: self.context.child(span_id),
            parent: Some(self.context.span_id),
            began,
            ended,
            tenant: self.tenant.clone(),
            attributes: Vec::new(),
        }
    }

    pub(super) fn sampled(&self) -> bool {
        self.context.sampled
    }

    pub(super) fn tenant(&self) -> &str {
        &self.tenant
    }

    pub(super) fn into_span(self) -> SpanData {
        let context = SpanContext::new(
            TraceId::from_bytes(self.context.trace_id),
            SpanId::from_bytes(self.context.span_id),
            TraceFlags::SAMPLED,
            false,
            TraceState::NONE,
        );
        SpanData {
            span_context: context,
            parent_span_id: self.parent.map_or(SpanId::INVALID, SpanId::from_bytes),
            parent_span_is_remote: self.name == "ingest",
            span_kind: self.kind,
            name: self.name.into(),
            start_time: system_time(self.began),
            end_time: system_time(self.ended),
            attributes: self.attributes,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: Status::Unset,
            instrumentation_scope: InstrumentationScope::builder("spillway").build(),
        }
    }
}
