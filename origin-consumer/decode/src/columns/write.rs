//! From columns to a Native block of the table.

use std::ops::Range;

use spillway_proto::otlp::Repair;
use spillway_proto::otlp::trace::v1::span::SpanKind;
use spillway_proto::otlp::trace::v1::status::StatusCode;

use super::{Dictionaries, Scope, SpanColumns};
use crate::native::{Block, CommonMaps, Dictionary, Gone};
use crate::rows::{kind_name, status_name};

/// About how many bytes of a block are handed on at once: they are compressed while they are in the processor's cache.
const PIECE_BYTES: usize = 256 << 10;

/// A column of the table that is written.
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// Its type, as the server spells it.
    pub column_type: &'static str,
    /// The type that it is sent as; where it is another one, the server casts it.
    sent_as: &'static str,
    /// Whether any span has more than the default in it. Few batches do, and those that do not leave the column out.
    is_used: IsUsed,
    write: Write,
}

/// Whether any of the spans needs the column.
type IsUsed = fn(&SpanColumns) -> bool;

/// Writes a column of the spans that are named, in that order.
type Write = fn(&SpanColumns, &[u32], &mut Block<'_>) -> Result<(), Gone>;

const fn column(name: &'static str, column_type: &'static str, write: Write) -> Column {
    Column { name, column_type, sent_as: column_type, is_used: |_| true, write }
}

/// A column that most batches have nothing in.
const fn rare(name: &'static str, column_type: &'static str, is_used: IsUsed, write: Write) -> Column {
    Column { name, column_type, sent_as: column_type, is_used, write }
}

/// A column of whose texts many spans have the same. Sent as `LowCardinality`, each of them is in a block once, and need
/// not be compressed and parsed for every span: a block of usual spans is three fifths as large.
const fn common(
    name: &'static str,
    column_type: &'static str,
    sent_as: &'static str,
    write: Write,
) -> Column {
    Column { name, column_type, sent_as, is_used: |_| true, write }
}

const TEXT: &str = "String";
const NAME: &str = "LowCardinality(String)";
const MAP: &str = "Map(LowCardinality(String), String)";
const COMMON_MAP: &str = "Map(LowCardinality(String), LowCardinality(String))";

/// All of them, in the order in which they are written.
pub static COLUMNS: [Column; 41] = [
    column("Timestamp", "DateTime64(9)", |of, spans, block| {
        block.numbers(each(spans).map(|span| of.timestamp[span].to_le_bytes()))
    }),
    column("TraceId", TEXT, |of, spans, block| block.hex(each(spans).map(|span| of.trace_id[span]))),
    column("SpanId", TEXT, |of, spans, block| block.hex(each(spans).map(|span| of.span_id[span]))),
    column("ParentSpanId", TEXT, |of, spans, block| {
        block.hex(each(spans).map(|span| of.parent_span_id[span]))
    }),
    column("TraceState", TEXT, |of, spans, block| block.texts(&of.trace_state, each(spans))),
    column("SpanName", NAME, |of, spans, block| {
        names(block, &of.dictionaries.names, each(spans).map(|span| of.name[span]))
    }),
    column("SpanKind", NAME, |of, spans, block| {
        let kinds = (0..).map_while(|kind| SpanKind::try_from(kind).ok()).map(kind_name).collect();
        names(block, &kinds, each(spans).map(|span| of.kind[span]))
    }),
    column("ServiceName", NAME, |of, spans, block| {
        names(block, &of.dictionaries.services, scopes(of, spans).map(|scope| scope.service))
    }),
    common("ResourceAttributes", MAP, COMMON_MAP, |of, spans, block| {
        let resources = scopes(of, spans).map(|scope| scope.resource as usize);
        common_maps(block, of, &of.resource_attributes, resources)
    }),
    common("ScopeName", TEXT, NAME, |of, spans, block| {
        names(block, &of.dictionaries.scope_names, scopes(of, spans).map(|scope| scope.name))
    }),
    common("ScopeVersion", TEXT, NAME, |of, spans, block| {
        names(block, &of.dictionaries.scope_versions, scopes(of, spans).map(|scope| scope.version))
    }),
    column("SpanAttributes", MAP, |of, spans, block| {
        block.low_cardinality_prefix();
        block.maps(&of.dictionaries.keys, &of.attributes, each(spans))
    }),
    column("Duration", "UInt64", |of, spans, block| {
        block.numbers(each(spans).map(|span| of.duration[span].to_le_bytes()))
    }),
    column("StatusCode", NAME, |of, spans, block| {
        let codes = (0..).map_while(|code| StatusCode::try_from(code).ok()).map(status_name).collect();
        names(block, &codes, each(spans).map(|span| of.status_code[span]))
    }),
    column("StatusMessage", TEXT, |of, spans, block| block.texts(&of.status_message, each(spans))),
    column("Events.Timestamp", "Array(DateTime64(9))", |of, spans, block| {
        block.offsets(each(spans).map(|span| of.events_of(span).len()))?;
        block.numbers(events(of, spans).map(|event| of.events.timestamp[event].to_le_bytes()))
    }),
    column("Events.Name", "Array(LowCardinality(String))", |of, spans, block| {
        block.low_cardinality_prefix();
        block.offsets(each(spans).map(|span| of.events_of(span).len()))?;
        let numbers = events(of, spans).map(|event| of.events.name[event]);
        block.low_cardinality(&of.dictionaries.event_names, numbers)
    }),
    column("Events.Attributes", "Array(Map(LowCardinality(String), String))", |of, spans, block| {
        block.low_cardinality_prefix();
        block.offsets(each(spans).map(|span| of.events_of(span).len()))?;
        block.maps(&of.dictionaries.keys, &of.events.attributes, events(of, spans))
    }),
    column("Links.TraceId", "Array(String)", |of, spans, block| {
        block.offsets(each(spans).map(|span| of.links_of(span).len()))?;
        block.texts(&of.links.trace_id, links(of, spans))
    }),
    column("Links.SpanId", "Array(String)", |of, spans, block| {
        block.offsets(each(spans).map(|span| of.links_of(span).len()))?;
        block.texts(&of.links.span_id, links(of, spans))
    }),
    column("Links.TraceState", "Array(String)", |of, spans, block| {
        block.offsets(each(spans).map(|span| of.links_of(span).len()))?;
        block.texts(&of.links.trace_state, links(of, spans))
    }),
    column("Links.Attributes", "Array(Map(LowCardinality(String), String))", |of, spans, block| {
        block.low_cardinality_prefix();
        block.offsets(each(spans).map(|span| of.links_of(span).len()))?;
        block.maps(&of.dictionaries.keys, &of.links.attributes, links(of, spans))
    }),
    column("TenantId", NAME, |of, spans, block| {
        names(block, &of.dictionaries.tenants, scopes(of, spans).map(|scope| scope.tenant))
    }),
    column("ProjectId", NAME, |of, spans, block| {
        names(block, &of.dictionaries.projects, scopes(of, spans).map(|scope| scope.project))
    }),
    common("ObjectKey", TEXT, NAME, |of, spans, block| {
        names(block, &of.dictionaries.objects, scopes(of, spans).map(|scope| scope.object))
    }),
    column("RowNo", "UInt32", |of, spans, block| numbers(block, &of.row_no, spans)),
    column("ReceivedAt", "DateTime64(3)", |of, spans, block| {
        block.numbers(scopes(of, spans).map(|scope| scope.received_at.to_le_bytes()))
    }),
    column("TraceFlags", "UInt32", |of, spans, block| numbers(block, &of.flags, spans)),
    column("DroppedAttributesCount", "UInt32", |of, spans, block| {
        numbers(block, &of.dropped_attributes, spans)
    }),
    column("DroppedEventsCount", "UInt32", |of, spans, block| numbers(block, &of.dropped_events, spans)),
    column("DroppedLinksCount", "UInt32", |of, spans, block| numbers(block, &of.dropped_links, spans)),
    column("ResourceSchemaUrl", NAME, |of, spans, block| {
        let urls = scopes(of, spans).map(|scope| scope.resource_schema_url);
        names(block, &of.dictionaries.resource_schema_urls, urls)
    }),
    column("ScopeSchemaUrl", NAME, |of, spans, block| {
        let urls = scopes(of, spans).map(|scope| scope.schema_url);
        names(block, &of.dictionaries.scope_schema_urls, urls)
    }),
    common("ScopeAttributes", MAP, COMMON_MAP, |of, spans, block| {
        common_maps(block, of, &of.scope_attributes, each(spans).map(|span| of.scope[span] as usize))
    }),
    rare(
        "Events.DroppedAttributesCount",
        "Array(UInt32)",
        |of| any_above_0(&of.events.dropped_attributes),
        |of, spans, block| {
            block.offsets(each(spans).map(|span| of.events_of(span).len()))?;
            block.numbers(events(of, spans).map(|event| of.events.dropped_attributes[event].to_le_bytes()))
        },
    ),
    rare(
        "Links.DroppedAttributesCount",
        "Array(UInt32)",
        |of| any_above_0(&of.links.dropped_attributes),
        |of, spans, block| {
            block.offsets(each(spans).map(|span| of.links_of(span).len()))?;
            block.numbers(links(of, spans).map(|link| of.links.dropped_attributes[link].to_le_bytes()))
        },
    ),
    rare(
        "Links.Flags",
        "Array(UInt32)",
        |of| any_above_0(&of.links.flags),
        |of, spans, block| {
            block.offsets(each(spans).map(|span| of.links_of(span).len()))?;
            block.numbers(links(of, spans).map(|link| of.links.flags[link].to_le_bytes()))
        },
    ),
    rare(
        "ResourceDroppedAttributesCount",
        "UInt32",
        |of| of.scopes.iter().any(|scope| scope.resource_dropped_attributes > 0),
        |of, spans, block| {
            block.numbers(scopes(of, spans).map(|scope| scope.resource_dropped_attributes.to_le_bytes()))
        },
    ),
    rare(
        "ScopeDroppedAttributesCount",
        "UInt32",
        |of| of.scopes.iter().any(|scope| scope.dropped_attributes > 0),
        |of, spans, block| {
            block.numbers(scopes(of, spans).map(|scope| scope.dropped_attributes.to_le_bytes()))
        },
    ),
    rare(
        "ResourceEntityRefs",
        NAME,
        |of| of.scopes.iter().any(|scope| !of.dictionaries.entity_refs.text(scope.entity_refs).is_empty()),
        |of, spans, block| {
            names(block, &of.dictionaries.entity_refs, scopes(of, spans).map(|scope| scope.entity_refs))
        },
    ),
    rare(
        "Repairs",
        "Array(LowCardinality(String))",
        |of| of.repairs.iter().any(|repairs| !repairs.is_empty()),
        |of, spans, block| {
            block.low_cardinality_prefix();
            block.offsets(each(spans).map(|span| of.repairs[span].iter().count()))?;
            let codes = Repair::ALL.map(Repair::code).into_iter().collect();
            let repairs = each(spans).flat_map(|span| of.repairs[span].iter());
            block.low_cardinality(&codes, repairs.map(|repair| u32::from(repair.number()) - 1))
        },
    ),
];

fn any_above_0(numbers: &[u32]) -> bool {
    numbers.iter().any(|number| *number > 0)
}

impl SpanColumns {
    /// The columns that blocks of these spans have. All others hold the default in each span.
    pub fn used_columns(&self) -> Vec<&'static Column> {
        COLUMNS.iter().filter(|column| (column.is_used)(self)).collect()
    }

    /// Writes a block of `spans`, in the order of the table's sorting key; `take` is handed its bytes.
    pub fn write(&self, spans: &[u32], take: &mut dyn FnMut(&[u8]) -> Result<(), Gone>) -> Result<(), Gone> {
        let (sorted, columns) = (self.sorted(spans), self.used_columns());
        let mut block = Block::new(columns.len(), sorted.len(), PIECE_BYTES, take);
        for Column { name, sent_as, write, .. } in columns {
            block.column(name, sent_as);
            write(self, &sorted, &mut block)?;
        }
        block.finish()
    }

    #[inline]
    fn events_of(&self, span: usize) -> Range<usize> {
        within(&self.event_ends, span)
    }

    #[inline]
    fn links_of(&self, span: usize) -> Range<usize> {
        within(&self.link_ends, span)
    }
}

#[inline]
fn within(ends: &[usize], span: usize) -> Range<usize> {
    span.checked_sub(1).map_or(0, |before| ends[before])..ends[span]
}

#[inline]
fn each(spans: &[u32]) -> impl Iterator<Item = usize> + Clone {
    spans.iter().map(|span| *span as usize)
}

#[inline]
fn scopes<'c>(of: &'c SpanColumns, spans: &'c [u32]) -> impl Iterator<Item = &'c Scope> + Clone {
    each(spans).map(|span| &of.scopes[of.scope[span] as usize])
}

#[inline]
fn events(of: &SpanColumns, spans: &[u32]) -> impl Iterator<Item = usize> + Clone {
    each(spans).flat_map(|span| of.events_of(span))
}

#[inline]
fn links(of: &SpanColumns, spans: &[u32]) -> impl Iterator<Item = usize> + Clone {
    each(spans).flat_map(|span| of.links_of(span))
}

fn numbers(block: &mut Block<'_>, column: &[u32], spans: &[u32]) -> Result<(), Gone> {
    block.numbers(each(spans).map(|span| column[span].to_le_bytes()))
}

fn names(
    block: &mut Block<'_>,
    dictionary: &Dictionary,
    numbers: impl Iterator<Item = u32> + Clone,
) -> Result<(), Gone> {
    block.low_cardinality_prefix();
    block.low_cardinality(dictionary, numbers)
}

fn common_maps(
    block: &mut Block<'_>,
    of: &SpanColumns,
    maps: &CommonMaps,
    which: impl Iterator<Item = usize> + Clone,
) -> Result<(), Gone> {
    let Dictionaries { keys, common_values, .. } = &of.dictionaries;
    block.low_cardinality_prefix();
    block.low_cardinality_prefix();
    block.common_maps([keys, common_values], maps, which)
}
