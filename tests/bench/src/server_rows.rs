//! Rows that the server makes itself: the same numbers give the same rows.

const ROWS: &str = include_str!("rows.sql");

/// The columns that every table has.
pub const COLUMNS: &str = "Timestamp, TraceId, SpanId, ParentSpanId, TraceState, SpanName, SpanKind, ServiceName, \
    ResourceAttributes, ScopeName, ScopeVersion, SpanAttributes, Duration, StatusCode, StatusMessage, Events.Timestamp, \
    Events.Name, Events.Attributes, Links.TraceId, Links.SpanId, Links.TraceState, Links.Attributes";
/// Those that are Spillway's own.
pub const OWN_COLUMNS: &str = "TenantId, ProjectId, ObjectKey, RowNo, ReceivedAt, TraceFlags, DroppedAttributesCount, \
    DroppedEventsCount, DroppedLinksCount, ResourceSchemaUrl, ScopeSchemaUrl, ScopeAttributes";

/// Rows of a day (`2026-11-20`) that has `total`: a query whose columns are `Batch`, the number of the batch of `batch` rows
/// that a row is of, and then [`COLUMNS`] and [`OWN_COLUMNS`].
pub fn rows(numbers: std::ops::Range<u64>, total: u64, batch: u64, day: &str) -> String {
    ROWS.replace("{from}", &numbers.start.to_string())
        .replace("{rows}", &(numbers.end - numbers.start).to_string())
        .replace("{total}", &total.to_string())
        .replace("{batch}", &batch.to_string())
        .replace("{day}", day)
}
