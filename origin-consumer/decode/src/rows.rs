//! Step e by way of `prost`: from an object's bytes to rows of `otel_traces`. The reference for [`crate::columns`], and a way
//! that can be chosen by configuration. It shares with the hot path the verdict on each span, and nothing else: texts, values
//! and repairs are made by code of its own, message by message.
//!
//! The texts of values, kinds and status codes are those that the Collector's ClickHouse exporter writes, since that is what
//! dashboards and queries expect. `docs/COLLECTOR.md` lists what is written otherwise.

mod loose;
mod repairing;
mod shared;
mod tree;

pub(crate) use tree::double_text;

use std::sync::Arc;

use bytes::Bytes;
use clickhouse::Row;
use prost::Message;
use serde::Serialize;
use spillway_proto::notification::Notification;
use spillway_proto::otlp::trace::v1::span::SpanKind;
use spillway_proto::otlp::trace::v1::status::StatusCode;
use spillway_proto::otlp::visit::{Judged, SpanFields, Visitor};
use spillway_proto::otlp::{
    DecodeError, DecompressError, DecompressLimits, Mended, Repair, Repairs, RulesVersion, decompress,
    judge_and_visit,
};
use spillway_proto::record::{ObjectRecord, RecordError, records_of};

use self::loose::{ResourceSpans, ScopeSpans, Span};
use self::repairing::{Repairing, depth};
use crate::stored::StoredElsewhere;

/// A map column: names and texts, in the order in which they came.
pub(crate) type Attributes = Vec<(String, String)>;

/// What the rows of a resource or a scope have in common is there once: a large resource with many small spans would
/// otherwise take memory by their product.
type Shared<T> = Arc<T>;

/// A row of `otel_traces`; the fields have the columns' names.
#[derive(Debug, Clone, PartialEq, Row, Serialize)]
#[serde(rename_all = "PascalCase")]
#[expect(missing_docs, reason = "the columns are documented in migrations/schema.sql")]
pub struct SpanRow {
    pub timestamp: i64,
    pub trace_id: String,
    pub span_id: String,
    pub parent_span_id: String,
    pub trace_state: String,
    pub span_name: String,
    pub span_kind: &'static str,
    pub service_name: Shared<str>,
    pub resource_attributes: Shared<Attributes>,
    pub scope_name: Shared<str>,
    pub scope_version: Shared<str>,
    pub span_attributes: Attributes,
    pub duration: u64,
    pub status_code: &'static str,
    pub status_message: String,
    #[serde(rename = "Events.Timestamp")]
    pub event_timestamps: Vec<i64>,
    #[serde(rename = "Events.Name")]
    pub event_names: Vec<String>,
    #[serde(rename = "Events.Attributes")]
    pub event_attributes: Vec<Attributes>,
    #[serde(rename = "Links.TraceId")]
    pub link_trace_ids: Vec<String>,
    #[serde(rename = "Links.SpanId")]
    pub link_span_ids: Vec<String>,
    #[serde(rename = "Links.TraceState")]
    pub link_trace_states: Vec<String>,
    #[serde(rename = "Links.Attributes")]
    pub link_attributes: Vec<Attributes>,
    pub tenant_id: Shared<str>,
    pub project_id: Shared<str>,
    pub object_key: Shared<str>,
    pub row_no: u32,
    pub received_at: i64,
    pub trace_flags: u32,
    pub dropped_attributes_count: u32,
    pub dropped_events_count: u32,
    pub dropped_links_count: u32,
    pub resource_schema_url: Shared<str>,
    pub scope_schema_url: Shared<str>,
    pub scope_attributes: Shared<Attributes>,
    #[serde(rename = "Events.DroppedAttributesCount")]
    pub event_dropped_attributes_counts: Vec<u32>,
    #[serde(rename = "Links.DroppedAttributesCount")]
    pub link_dropped_attributes_counts: Vec<u32>,
    #[serde(rename = "Links.Flags")]
    pub link_flags: Vec<u32>,
    pub resource_dropped_attributes_count: u32,
    pub scope_dropped_attributes_count: u32,
    pub resource_entity_refs: Shared<str>,
    pub repairs: Vec<&'static str>,
}

/// An object is not what the edge writes. Trying again will not help, unless by a newer version of this program.
#[derive(Debug, thiserror::Error)]
pub enum RowsError {
    /// Its records cannot be read.
    #[error("{0}")]
    Records(#[from] RecordError),
    /// A payload does not decompress within the limits.
    #[error("{0}")]
    Decompress(#[from] DecompressError),
    /// A payload is no export request.
    #[error("{0}")]
    Decode(#[from] DecodeError),
    /// It holds another number of valid spans than its name says.
    #[error("the object holds {found} valid spans, its name says {expected}")]
    Count {
        /// What its name says.
        expected: u32,
        /// What is in it.
        found: usize,
    },
    /// A record is of another tenant than the notification says.
    #[error("the object holds spans of another tenant than the one that was notified")]
    Tenant,
}

impl RowsError {
    /// Whether a newer version of this program reads the object.
    pub fn is_of_a_newer_version(&self) -> bool {
        matches!(self, Self::Records(error) if error.is_of_a_newer_version())
    }
}

/// The rows of an object: its valid spans, in their order, but for those that other objects have stored.
pub fn rows_of(
    notification: &Notification,
    object: Bytes,
    limits: DecompressLimits,
    elsewhere: Option<&StoredElsewhere>,
) -> Result<Vec<SpanRow>, RowsError> {
    let key = &notification.object_key;
    let mut object_rows = ObjectRows {
        object_key: key.to_string().into(),
        elsewhere,
        rows: Vec::new(),
        positions: 0,
        valid: 0,
    };
    for record in records_of(object)? {
        if record.tenant != notification.tenant {
            return Err(RowsError::Tenant);
        }
        let payload = decompress(&record.payload, record.compression, limits)?;
        object_rows.add(&payload, &record)?;
    }
    let ObjectRows { rows, valid: found, .. } = object_rows;
    if found == key.spans() as usize {
        Ok(rows)
    } else {
        Err(RowsError::Count { expected: key.spans(), found })
    }
}

/// The rows of an object so far.
struct ObjectRows<'e> {
    object_key: Shared<str>,
    elsewhere: Option<&'e StoredElsewhere>,
    rows: Vec<SpanRow>,
    /// How many spans there were, valid or not.
    positions: u32,
    /// How many of them were valid.
    valid: usize,
}

/// Is told which spans are valid.
#[derive(Default)]
struct Verdicts(Vec<bool>);

impl Visitor<'_> for Verdicts {
    const WANTS_REPAIRED: bool = false;

    fn span(&mut self, _: &SpanFields<'_>, judged: Judged) {
        self.0.push(judged.is_valid);
    }
}

impl ObjectRows<'_> {
    fn add(&mut self, request: &[u8], record: &ObjectRecord) -> Result<(), DecodeError> {
        let (mut verdicts, mended) = (Verdicts::default(), Mended::default());
        judge_and_visit(request, &record.criteria(), &record.transcoding_repairs, &mended, &mut verdicts)?;
        let mut verdicts = verdicts.0.into_iter();
        let resources = loose::resource_spans(request, record.rules)?;
        let shared_cut = shared::cut(&resources, &record.criteria())?;
        let of_record = OfRecord {
            tenant: record.tenant.as_str().into(),
            project: record.project.as_ref().map_or("", |project| project.as_str()).into(),
            received_at: record.received_at.0.try_into().unwrap_or(i64::MAX),
            first_position: self.positions,
            record,
            shared_cut,
        };
        for of_resource in &resources {
            let resource = Resource::of(of_resource, &of_record)?;
            for scope_spans in &of_resource.scope_spans {
                let scope_spans = ScopeSpans::decode(&**scope_spans)?;
                let scope = Scope::of(&scope_spans, &of_record)?;
                for span in &scope_spans.spans {
                    let is_valid = verdicts.next().unwrap_or(false);
                    self.add_span(span, is_valid, &of_record, &resource, &scope)?;
                }
            }
        }
        Ok(())
    }

    fn add_span(
        &mut self,
        span: &[u8],
        is_valid: bool,
        of_record: &OfRecord<'_>,
        resource: &Resource,
        scope: &Scope,
    ) -> Result<(), DecodeError> {
        let (position, valid) = (self.positions, u32::try_from(self.valid).unwrap_or(u32::MAX));
        self.positions += 1;
        if !is_valid {
            return Ok(());
        }
        self.valid += 1;
        let row_no = match of_record.record.rules {
            RulesVersion::V1 => valid,
            RulesVersion::V2 => position,
        };
        if self.elsewhere.is_some_and(|elsewhere| elsewhere.has(position, row_no)) {
            return Ok(());
        }
        let row = row(Span::decode(span)?, position, of_record, resource, scope)?;
        self.rows.push(SpanRow { row_no, object_key: self.object_key.clone(), ..row });
        Ok(())
    }
}

/// What the rows of a record have in common.
struct OfRecord<'r> {
    tenant: Shared<str>,
    project: Shared<str>,
    received_at: i64,
    /// The position in the object of the record's first span.
    first_position: u32,
    record: &'r ObjectRecord,
    shared_cut: shared::Cut,
}

impl OfRecord<'_> {
    fn repairing(&self) -> Repairing {
        Repairing::new(&self.record.criteria())
    }

    fn transcoding_repairs(&self, position: u32) -> Repairs {
        let position = position - self.first_position;
        let runs = self.record.transcoding_repairs.as_slice().iter();
        runs.filter(|run| position >= run.first && position - run.first < run.spans)
            .fold(Repairs::NONE, |repairs, run| repairs.and(run.repairs))
    }
}

/// A resource as its rows have it.
struct Resource {
    service: Shared<str>,
    attributes: Shared<Attributes>,
    schema_url: Shared<str>,
    dropped_attributes: u32,
    entity_refs: Shared<str>,
    repairs: Repairs,
}

impl Resource {
    fn of(of_resource: &ResourceSpans, of_record: &OfRecord<'_>) -> Result<Self, DecodeError> {
        let resource = loose::Resource::decode(&*of_resource.resource)?;
        let mut repairing = of_record.repairing().shared(&of_record.shared_cut);
        let (attributes, left_out) = repairing.attributes(&resource.attributes, depth::RESOURCE);
        let service = attributes.iter().find(|(key, _)| key == "service.name");
        let entity_refs = repairing.entity_refs(&resource.entity_refs)?;
        Ok(Self {
            service: service.map_or("", |(_, value)| value.as_str()).into(),
            attributes: attributes.into(),
            schema_url: repairing.value_text(&of_resource.schema_url).into(),
            dropped_attributes: resource.dropped_attributes_count.saturating_add(left_out),
            entity_refs: entity_refs.into(),
            repairs: repairing.found,
        })
    }
}

/// A scope as its rows have it.
struct Scope {
    name: Shared<str>,
    version: Shared<str>,
    attributes: Shared<Attributes>,
    schema_url: Shared<str>,
    dropped_attributes: u32,
    repairs: Repairs,
}

impl Scope {
    fn of(scope_spans: &ScopeSpans, of_record: &OfRecord<'_>) -> Result<Self, DecodeError> {
        let scope = scope_spans.scope.clone().unwrap_or_default();
        let mut repairing = of_record.repairing().shared(&of_record.shared_cut);
        let (attributes, left_out) = repairing.attributes(&scope.attributes, depth::SCOPE);
        Ok(Self {
            name: repairing.shared_name(&scope.name).into(),
            version: repairing.shared_name(&scope.version).into(),
            attributes: attributes.into(),
            schema_url: repairing.value_text(&scope_spans.schema_url).into(),
            dropped_attributes: scope.dropped_attributes_count.saturating_add(left_out),
            repairs: repairing.found,
        })
    }
}

fn row(
    span: Span,
    position: u32,
    of_record: &OfRecord<'_>,
    resource: &Resource,
    scope: &Scope,
) -> Result<SpanRow, DecodeError> {
    let mut repairing = of_record.repairing();
    let (attributes, attributes_left_out) = repairing.attributes(&span.attributes, depth::SPAN);
    let (events, events_left_out) = repairing.events(span.events);
    let (links, links_left_out) = repairing.links(span.links);
    let status = span.status.unwrap_or_default();
    let (kind, status_code) = (repairing.kind(span.kind), repairing.status_code(status.code));
    if span.end_time_unix_nano != 0 && span.end_time_unix_nano < span.start_time_unix_nano {
        repairing.found.insert(Repair::EndBeforeStart);
    }
    let (span_name, trace_state) = (repairing.name(&span.name), repairing.value_text(&span.trace_state));
    let status_message = repairing.value_text(&status.message);
    let link_id = |id: &Vec<u8>| match of_record.record.rules {
        RulesVersion::V1 => hex::encode(id),
        RulesVersion::V2 => id_text(id),
    };
    let repairs = match of_record.record.rules {
        RulesVersion::V1 => Repairs::NONE,
        RulesVersion::V2 => repairing
            .found
            .and(resource.repairs)
            .and(scope.repairs)
            .and(of_record.transcoding_repairs(position)),
    };
    Ok(SpanRow {
        timestamp: nanos(span.start_time_unix_nano),
        trace_id: hex::encode(span.trace_id),
        span_id: hex::encode(span.span_id),
        parent_span_id: id_text(&span.parent_span_id),
        trace_state,
        span_name,
        span_kind: kind_name(kind),
        service_name: resource.service.clone(),
        resource_attributes: resource.attributes.clone(),
        scope_name: scope.name.clone(),
        scope_version: scope.version.clone(),
        span_attributes: attributes,
        // A clock that ran backwards must not become a duration of centuries.
        duration: span.end_time_unix_nano.saturating_sub(span.start_time_unix_nano),
        status_code: status_name(status_code),
        status_message,
        event_timestamps: events.iter().map(|event| nanos(event.time_unix_nano)).collect(),
        event_names: events.iter().map(|event| event.name.clone()).collect(),
        event_dropped_attributes_counts: events.iter().map(|event| event.dropped_attributes).collect(),
        event_attributes: events.into_iter().map(|event| event.attributes).collect(),
        link_trace_ids: links.iter().map(|link| link_id(&link.trace_id)).collect(),
        link_span_ids: links.iter().map(|link| link_id(&link.span_id)).collect(),
        link_trace_states: links.iter().map(|link| link.trace_state.clone()).collect(),
        link_dropped_attributes_counts: links.iter().map(|link| link.dropped_attributes).collect(),
        link_flags: links.iter().map(|link| link.flags).collect(),
        link_attributes: links.into_iter().map(|link| link.attributes).collect(),
        tenant_id: of_record.tenant.clone(),
        project_id: of_record.project.clone(),
        object_key: "".into(),
        row_no: position,
        received_at: of_record.received_at,
        trace_flags: span.flags,
        dropped_attributes_count: span.dropped_attributes_count.saturating_add(attributes_left_out),
        dropped_events_count: span.dropped_events_count.saturating_add(events_left_out),
        dropped_links_count: span.dropped_links_count.saturating_add(links_left_out),
        resource_schema_url: resource.schema_url.clone(),
        scope_schema_url: scope.schema_url.clone(),
        scope_attributes: scope.attributes.clone(),
        resource_dropped_attributes_count: resource.dropped_attributes,
        scope_dropped_attributes_count: scope.dropped_attributes,
        resource_entity_refs: resource.entity_refs.clone(),
        repairs: repairs.iter().map(Repair::code).collect(),
    })
}

/// The hex of an id that may be missing. Some SDKs write zeros for a missing one, and queries look for an empty text.
fn id_text(id: &[u8]) -> String {
    if id.iter().all(|byte| *byte == 0) { String::new() } else { hex::encode(id) }
}

/// The rules have refused, or set to the last moment, what does not fit.
pub(crate) fn nanos(unix_nano: u64) -> i64 {
    i64::try_from(unix_nano).unwrap_or(i64::MAX)
}

pub(crate) fn status_name(code: StatusCode) -> &'static str {
    match code {
        StatusCode::Unset => "Unset",
        StatusCode::Ok => "Ok",
        StatusCode::Error => "Error",
    }
}

pub(crate) fn kind_name(kind: SpanKind) -> &'static str {
    match kind {
        SpanKind::Unspecified => "Unspecified",
        SpanKind::Internal => "Internal",
        SpanKind::Server => "Server",
        SpanKind::Client => "Client",
        SpanKind::Producer => "Producer",
        SpanKind::Consumer => "Consumer",
    }
}

#[cfg(test)]
mod tests;
