//! Steps e and f on the hot path: from the bytes of objects straight to columns of `otel_traces`, in one pass over the wire,
//! and from those to a Native block in the table's order. No message and no row is built.
//!
//! [`crate::rows`] is the reference: both ways give the same rows of every object, and refuse the same ones.

mod entity_refs;
mod json;
mod memory;
mod order;
mod read;
mod unzip;
mod value;
mod write;

pub use unzip::Unzip;
pub use write::{COLUMNS, Column};

use std::collections::BTreeMap;
use std::sync::OnceLock;

use spillway_proto::otlp::Repairs;

use self::order::Ranks;
use crate::native::{CommonMaps, Dictionary, Maps, Texts};

/// Spans of many objects, column by column; a span is known by its place, from 0.
///
/// What many spans have in common is there once: what is a resource's, a scope's or an object's is found by the span's scope.
#[derive(Debug, Default)]
pub struct SpanColumns {
    dictionaries: Dictionaries,
    resource_attributes: CommonMaps,
    scopes: Vec<Scope>,
    scope_attributes: CommonMaps,

    scope: Vec<u32>,
    row_no: Vec<u32>,
    timestamp: Vec<i64>,
    duration: Vec<u64>,
    trace_id: Vec<[u8; 16]>,
    span_id: Vec<[u8; 8]>,
    parent_span_id: Vec<[u8; 8]>,
    trace_state: Texts,
    name: Vec<u32>,
    /// A [`SpanKind`](spillway_proto::otlp::trace::v1::span::SpanKind).
    kind: Vec<u32>,
    /// A [`StatusCode`](spillway_proto::otlp::trace::v1::status::StatusCode).
    status_code: Vec<u32>,
    status_message: Texts,
    flags: Vec<u32>,
    dropped_attributes: Vec<u32>,
    dropped_events: Vec<u32>,
    dropped_links: Vec<u32>,
    repairs: Vec<Repairs>,
    attributes: Maps,
    event_ends: Vec<usize>,
    events: Events,
    link_ends: Vec<usize>,
    links: Links,

    /// What the order of all of them goes by, once it was asked for.
    ranks: OnceLock<Ranks>,
}

/// The texts of `LowCardinality` columns. All maps have their keys in one, and those of resources and scopes their values.
#[derive(Debug, Default)]
struct Dictionaries {
    objects: Dictionary,
    tenants: Dictionary,
    projects: Dictionary,
    services: Dictionary,
    names: Dictionary,
    event_names: Dictionary,
    resource_schema_urls: Dictionary,
    scope_names: Dictionary,
    scope_versions: Dictionary,
    scope_schema_urls: Dictionary,
    entity_refs: Dictionary,
    keys: Dictionary,
    common_values: Dictionary,
}

/// What the spans of a scope have in common: places in columns, and numbers in dictionaries.
#[derive(Debug, Clone, Copy)]
struct Scope {
    object: u32,
    tenant: u32,
    project: u32,
    /// In milliseconds since the Unix epoch.
    received_at: i64,
    resource: u32,
    service: u32,
    resource_schema_url: u32,
    resource_dropped_attributes: u32,
    entity_refs: u32,
    name: u32,
    version: u32,
    schema_url: u32,
    dropped_attributes: u32,
}

/// The events of all spans, one after another.
#[derive(Debug, Default)]
struct Events {
    timestamp: Vec<i64>,
    name: Vec<u32>,
    attributes: Maps,
    dropped_attributes: Vec<u32>,
}

/// The links of all spans.
#[derive(Debug, Default)]
struct Links {
    trace_id: Texts,
    span_id: Texts,
    trace_state: Texts,
    attributes: Maps,
    dropped_attributes: Vec<u32>,
    flags: Vec<u32>,
}

/// How far the columns are filled.
#[derive(Debug, Clone, Copy)]
struct Mark {
    resources: usize,
    scopes: usize,
    spans: usize,
}

impl SpanColumns {
    /// How many spans there are.
    pub fn len(&self) -> usize {
        self.row_no.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.row_no.is_empty()
    }

    /// The number of a span's row in its object.
    pub fn row_no(&self, span: usize) -> u32 {
        self.row_no[span]
    }

    /// When a span began, in nanoseconds since the Unix epoch.
    pub fn timestamp(&self, span: usize) -> i64 {
        self.timestamp[span]
    }

    /// The id of its trace.
    pub fn trace_id(&self, span: usize) -> [u8; 16] {
        self.trace_id[span]
    }

    /// How many spans were repaired, by tenant and by the repair's code.
    pub fn repaired(&self) -> BTreeMap<(String, &'static str), u64> {
        let mut repaired = BTreeMap::new();
        for (repairs, scope) in
            self.repairs.iter().zip(&self.scope).filter(|(repairs, _)| !repairs.is_empty())
        {
            let tenant = self.dictionaries.tenants.text(self.scopes[*scope as usize].tenant);
            for repair in repairs.iter() {
                let tenant = String::from_utf8_lossy(tenant).into_owned();
                *repaired.entry((tenant, repair.code())).or_default() += 1;
            }
        }
        repaired
    }

    /// The tenant whose span it is.
    pub fn tenant_id(&self, span: usize) -> &[u8] {
        self.dictionaries.tenants.text(self.scopes[self.scope[span] as usize].tenant)
    }

    /// Forgets all, and keeps the memory for what comes next, but for that of the dictionaries.
    pub fn clear(&mut self) {
        self.truncate(Mark { resources: 0, scopes: 0, spans: 0 });
        self.dictionaries = Dictionaries::default();
    }

    fn mark(&self) -> Mark {
        Mark { resources: self.resource_attributes.len(), scopes: self.scopes.len(), spans: self.len() }
    }

    /// Forgets what was added after the mark. Texts stay in the dictionaries: those that no span has are not written.
    fn truncate(&mut self, mark: Mark) {
        let Mark { resources, scopes, spans } = mark;
        self.resource_attributes.truncate(resources);
        self.scopes.truncate(scopes);
        self.scope_attributes.truncate(scopes);
        for column in [
            &mut self.scope,
            &mut self.row_no,
            &mut self.name,
            &mut self.kind,
            &mut self.status_code,
            &mut self.flags,
            &mut self.dropped_attributes,
            &mut self.dropped_events,
            &mut self.dropped_links,
        ] {
            column.truncate(spans);
        }
        self.timestamp.truncate(spans);
        self.duration.truncate(spans);
        self.trace_id.truncate(spans);
        self.span_id.truncate(spans);
        self.parent_span_id.truncate(spans);
        self.trace_state.truncate(spans);
        self.status_message.truncate(spans);
        self.repairs.truncate(spans);
        self.event_ends.truncate(spans);
        self.link_ends.truncate(spans);
        self.ranks.take();
        self.drop_open_span();
    }

    /// Forgets attributes, events and links of a span that was not added.
    fn drop_open_span(&mut self) {
        self.attributes.truncate(self.len());
        let events = self.event_ends.last().copied().unwrap_or_default();
        self.events.timestamp.truncate(events);
        self.events.name.truncate(events);
        self.events.attributes.truncate(events);
        self.events.dropped_attributes.truncate(events);
        let links = self.link_ends.last().copied().unwrap_or_default();
        self.links.trace_id.truncate(links);
        self.links.span_id.truncate(links);
        self.links.trace_state.truncate(links);
        self.links.attributes.truncate(links);
        self.links.dropped_attributes.truncate(links);
        self.links.flags.truncate(links);
    }
}
