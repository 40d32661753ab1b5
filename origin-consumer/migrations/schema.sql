-- The present schema: what a new database gets. The numbered files beside it are the steps of databases that are older.
--
-- The table that the Collector's exporter, Grafana and HyperDX know, with Spillway's own columns at its end.
-- Sorted tenant first: a query that filters by tenant reads that tenant's rows alone.
-- Every time carries its zone, and the partition names it: what a row's day is, and what a text means that a time is compared
-- with, is then the same on every server and in every session (docs/decisions/0023-the-table-is-in-utc.md).
CREATE TABLE otel_traces
(
    Timestamp DateTime64(9, 'UTC') CODEC(Delta, ZSTD(1)),
    TraceId String CODEC(ZSTD(1)),
    SpanId String CODEC(ZSTD(1)),
    ParentSpanId String CODEC(ZSTD(1)),
    TraceState String CODEC(ZSTD(1)),
    SpanName LowCardinality(String) CODEC(ZSTD(1)),
    SpanKind LowCardinality(String) CODEC(ZSTD(1)),
    ServiceName LowCardinality(String) CODEC(ZSTD(1)),
    ResourceAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    ScopeName String CODEC(ZSTD(1)),
    ScopeVersion String CODEC(ZSTD(1)),
    SpanAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    Duration UInt64 CODEC(ZSTD(1)),
    StatusCode LowCardinality(String) CODEC(ZSTD(1)),
    StatusMessage String CODEC(ZSTD(1)),
    Events Nested
    (
        Timestamp DateTime64(9, 'UTC'),
        Name LowCardinality(String),
        Attributes Map(LowCardinality(String), String),
        DroppedAttributesCount UInt32
    ) CODEC(ZSTD(1)),
    Links Nested
    (
        TraceId String,
        SpanId String,
        TraceState String,
        Attributes Map(LowCardinality(String), String),
        DroppedAttributesCount UInt32,
        Flags UInt32
    ) CODEC(ZSTD(1)),

    TenantId LowCardinality(String) COMMENT 'whose key the span came with' CODEC(ZSTD(1)),
    ProjectId LowCardinality(String) COMMENT 'the project of that key, if it has one' CODEC(ZSTD(1)),
    ObjectKey String COMMENT 'the R2 object that holds the span' CODEC(ZSTD(1)),
    RowNo UInt32 COMMENT 'the position of the span in the request as sent, from 0; of objects of the first version: among the valid ones' CODEC(Delta, ZSTD(1)),
    ReceivedAt DateTime64(3, 'UTC') COMMENT 'when the edge had read the request' CODEC(Delta, ZSTD(1)),
    TraceFlags UInt32 COMMENT 'the flags of the span: W3C trace flags and is-remote bits' CODEC(ZSTD(1)),
    DroppedAttributesCount UInt32 CODEC(ZSTD(1)),
    DroppedEventsCount UInt32 CODEC(ZSTD(1)),
    DroppedLinksCount UInt32 CODEC(ZSTD(1)),
    ResourceSchemaUrl LowCardinality(String) CODEC(ZSTD(1)),
    ScopeSchemaUrl LowCardinality(String) CODEC(ZSTD(1)),
    ScopeAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    ResourceDroppedAttributesCount UInt32 CODEC(ZSTD(1)),
    ScopeDroppedAttributesCount UInt32 CODEC(ZSTD(1)),
    ResourceEntityRefs LowCardinality(String) COMMENT 'JSON array in OTLP''s JSON form, empty where there are none' CODEC(ZSTD(1)),
    Repairs Array(LowCardinality(String)) COMMENT 'stable codes of what was repaired before the span was stored' CODEC(ZSTD(1)),

    INDEX idx_trace_id TraceId TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX idx_res_attr_key mapKeys(ResourceAttributes) TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX idx_res_attr_value mapValues(ResourceAttributes) TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX idx_span_attr_key mapKeys(SpanAttributes) TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX idx_span_attr_value mapValues(SpanAttributes) TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX idx_duration Duration TYPE minmax GRANULARITY 1,

    -- Becomes visible in the same rename as the rows that it counts: the word on what an insert has stored.
    PROJECTION by_object (SELECT ObjectKey, count(), sum(cityHash64(RowNo)) GROUP BY ObjectKey)
)
ENGINE = MergeTree
PARTITION BY toDate(Timestamp, 'UTC')
ORDER BY (TenantId, ServiceName, SpanName, toDateTime(Timestamp))
-- A string's length lies before it, not in a stream of its own: inserts and merges take less (docs/BENCHMARKS.md, "The table").
SETTINGS index_granularity = 8192, ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000,
    string_serialization_version = 'single_stream';

-- Where in time a trace lies, so that a look-up by its id reads few parts. Merges leave one row for a tenant's trace and day. The
-- key serves look-ups by the id alone, and those by id and tenant: another tenant's span with the same id is not in their way.
CREATE TABLE otel_traces_trace_id_ts
(
    TraceId String CODEC(ZSTD(1)),
    Start SimpleAggregateFunction(min, DateTime('UTC')) CODEC(Delta, ZSTD(1)),
    End SimpleAggregateFunction(max, DateTime('UTC')) CODEC(Delta, ZSTD(1)),
    TenantId LowCardinality(String) COMMENT 'whose spans these are' CODEC(ZSTD(1)),

    INDEX idx_trace_id TraceId TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = AggregatingMergeTree
PARTITION BY toDate(Start, 'UTC')
ORDER BY (TraceId, TenantId)
SETTINGS index_granularity = 8192, ttl_only_drop_parts = 1;

CREATE MATERIALIZED VIEW otel_traces_trace_id_ts_mv TO otel_traces_trace_id_ts AS
SELECT TraceId, TenantId, min(toDateTime(Timestamp)) AS Start, max(toDateTime(Timestamp)) AS End
FROM otel_traces
GROUP BY TraceId, TenantId;
