//! The new tables, made out of the old ones' own statements: columns, indexes, settings, storage and comments of an operator's
//! stay as they are.

/// What the old table says of itself does not lead to the present layout.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{table} cannot be moved: {reason}")]
pub struct NotMovable {
    /// Which table.
    pub table: String,
    /// What it has that is not known.
    pub reason: String,
}

/// A statement that makes a table of the present layout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NewTable {
    pub(super) create: String,
    /// The TTL of the old table, which the statement leaves out: it is to take nothing away while the two are compared.
    pub(super) ttl: Option<String>,
}

/// Of `create`, the statement of the table of spans as `system.tables` has it, the one for `new` in `database`.
pub(super) fn spans(create: &str, table: &str, database: &str, new: &str) -> Result<NewTable, NotMovable> {
    let of = Statement::of(create, table)?;
    let columns = of.columns.clone();
    let columns = of.replaced(&columns, "`Timestamp` DateTime64(9)", "`Timestamp` DateTime64(9, 'UTC')")?;
    let events =
        ["`Events.Timestamp` Array(DateTime64(9))", "`Events.Timestamp` Array(DateTime64(9, 'UTC'))"];
    let columns = of.replaced(&columns, events[0], events[1])?;
    let columns = of.replaced(&columns, "`ReceivedAt` DateTime64(3)", "`ReceivedAt` DateTime64(3, 'UTC')")?;
    let (engine, ttl) = of.without_ttl();
    let engine = of.replaced(
        &engine,
        "MergeTree PARTITION BY toDate(Timestamp) ",
        "MergeTree PARTITION BY toDate(Timestamp, 'UTC') ",
    )?;
    Ok(NewTable { create: format!("CREATE TABLE {database}.{new} ({columns}) ENGINE = {engine}"), ttl })
}

/// Likewise of the table of the traces' times.
pub(super) fn trace_times(
    create: &str,
    table: &str,
    database: &str,
    new: &str,
) -> Result<String, NotMovable> {
    const TENANT: &str = "`TenantId` LowCardinality(String) COMMENT 'whose spans these are' CODEC(ZSTD(1))";
    let of = Statement::of(create, table)?;
    let mut columns = of.columns.clone();
    for aggregate in ["min", "max"] {
        let old = format!("SimpleAggregateFunction({aggregate}, DateTime)");
        let new = format!("SimpleAggregateFunction({aggregate}, DateTime('UTC'))");
        columns = of.replaced(&columns, &old, &new)?;
    }
    let columns = match columns.split_once(", INDEX ") {
        Some((columns, indexes)) => format!("{columns}, {TENANT}, INDEX {indexes}"),
        None => format!("{columns}, {TENANT}"),
    };
    let engine = of.replaced(
        &of.engine,
        "AggregatingMergeTree PARTITION BY toDate(Start) ORDER BY TraceId",
        "AggregatingMergeTree PARTITION BY toDate(Start, 'UTC') ORDER BY (TraceId, TenantId)",
    )?;
    Ok(format!("CREATE TABLE {database}.{new} ({columns}) ENGINE = {engine}"))
}

/// The query of the view that fills the times of traces. It serves both layouts of both tables: what the target lacks is left
/// out.
pub(super) fn view_query(database: &str, table: &str) -> String {
    format!(
        "SELECT TraceId, TenantId, min(toDateTime(Timestamp)) AS Start, max(toDateTime(Timestamp)) AS End \
         FROM {database}.{table} GROUP BY TraceId, TenantId"
    )
}

/// The query that the view had before.
pub(super) fn first_view_query(database: &str, table: &str) -> String {
    format!(
        "SELECT TraceId, min(toDateTime(Timestamp)) AS Start, max(toDateTime(Timestamp)) AS End \
         FROM {database}.{table} GROUP BY TraceId"
    )
}

/// The TTL of a table's rows.
pub(super) fn ttl(create: &str, table: &str) -> Result<Option<String>, NotMovable> {
    Ok(Statement::of(create, table)?.without_ttl().1)
}

/// `CREATE TABLE ... (columns) ENGINE = engine`, as the server writes it, on one line.
struct Statement {
    table: String,
    columns: String,
    engine: String,
}

impl Statement {
    fn of(create: &str, table: &str) -> Result<Self, NotMovable> {
        let split = create.split_once(" (`").and_then(|(_, rest)| rest.split_once(") ENGINE = "));
        let (columns, engine) = split.ok_or_else(|| not_movable(table, "its statement cannot be read"))?;
        Ok(Self { table: table.to_owned(), columns: format!("`{columns}"), engine: engine.to_owned() })
    }

    fn replaced(&self, text: &str, old: &str, new: &str) -> Result<String, NotMovable> {
        match text.matches(old).count() {
            1 => Ok(text.replacen(old, new, 1)),
            0 => {
                Err(not_movable(&self.table, &format!("it has no `{}`, as the first layout has", old.trim())))
            }
            found => Err(not_movable(&self.table, &format!("it has `{}` {found} times", old.trim()))),
        }
    }

    /// The engine and the TTL of the rows, which stands between the key and the settings.
    fn without_ttl(&self) -> (String, Option<String>) {
        let Some((before, rest)) = self.engine.split_once(" TTL ") else {
            return (self.engine.clone(), None);
        };
        let (ttl, settings) = rest.split_once(" SETTINGS ").unwrap_or((rest, ""));
        let settings = if settings.is_empty() { String::new() } else { format!(" SETTINGS {settings}") };
        (format!("{before}{settings}"), Some(ttl.to_owned()))
    }
}

fn not_movable(table: &str, reason: &str) -> NotMovable {
    NotMovable { table: table.to_owned(), reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a server shows it, but for most of the columns.
    const FIRST: &str = "CREATE TABLE spillway.otel_traces (`Timestamp` DateTime64(9) CODEC(Delta(8), ZSTD(1)), \
        `Events.Timestamp` Array(DateTime64(9)) CODEC(ZSTD(1)), `ReceivedAt` DateTime64(3) COMMENT 'when' CODEC(ZSTD(1)), \
        `Mine` String DEFAULT concat(TraceId, 'x'), INDEX i TraceId TYPE bloom_filter(0.001) GRANULARITY 1, \
        PROJECTION by_object (SELECT ObjectKey, count() GROUP BY ObjectKey)) ENGINE = MergeTree PARTITION BY toDate(Timestamp) \
        ORDER BY (TenantId, toDateTime(Timestamp)) TTL toDateTime(Timestamp) + toIntervalDay(30) \
        SETTINGS index_granularity = 8192, storage_policy = 'cold'";

    #[test]
    fn all_but_the_zones_and_the_ttl_stays() {
        let new = spans(FIRST, "otel_traces", "spillway", "otel_traces_rebuild").unwrap();
        insta::assert_snapshot!(new.create, @"CREATE TABLE spillway.otel_traces_rebuild (`Timestamp` DateTime64(9, 'UTC') CODEC(Delta(8), ZSTD(1)), `Events.Timestamp` Array(DateTime64(9, 'UTC')) CODEC(ZSTD(1)), `ReceivedAt` DateTime64(3, 'UTC') COMMENT 'when' CODEC(ZSTD(1)), `Mine` String DEFAULT concat(TraceId, 'x'), INDEX i TraceId TYPE bloom_filter(0.001) GRANULARITY 1, PROJECTION by_object (SELECT ObjectKey, count() GROUP BY ObjectKey)) ENGINE = MergeTree PARTITION BY toDate(Timestamp, 'UTC') ORDER BY (TenantId, toDateTime(Timestamp)) SETTINGS index_granularity = 8192, storage_policy = 'cold'");
        assert_eq!(new.ttl.as_deref(), Some("toDateTime(Timestamp) + toIntervalDay(30)"));
        let without = FIRST.replace(" TTL toDateTime(Timestamp) + toIntervalDay(30)", "");
        let without = spans(&without, "otel_traces", "spillway", "otel_traces_rebuild").unwrap();
        assert_eq!((without.create, without.ttl), (new.create, None));
    }

    #[test]
    fn another_partition_or_type_is_refused_by_name() {
        for (first, other) in [
            ("PARTITION BY toDate(Timestamp) ", "PARTITION BY toYYYYMM(Timestamp) "),
            ("MergeTree PARTITION", "ReplicatedMergeTree('/x', '{replica}') PARTITION"),
            ("`ReceivedAt` DateTime64(3) ", "`ReceivedAt` DateTime64(6) "),
            ("`Timestamp` DateTime64(9) ", "`Timestamp` DateTime64(9, 'UTC') "),
        ] {
            let error = spans(&FIRST.replace(first, other), "otel_traces", "spillway", "new").unwrap_err();
            assert!(error.to_string().starts_with("otel_traces cannot be moved: it has no `"), "{error}");
        }
        assert!(spans("CREATE VIEW x AS SELECT 1", "x", "spillway", "new").is_err());
    }

    #[test]
    fn the_times_of_traces_get_the_tenant_into_their_key() {
        let first = "CREATE TABLE spillway.t_trace_id_ts (`TraceId` String CODEC(ZSTD(1)), \
            `Start` SimpleAggregateFunction(min, DateTime) CODEC(Delta(4), ZSTD(1)), \
            `End` SimpleAggregateFunction(max, DateTime) CODEC(Delta(4), ZSTD(1)), \
            INDEX idx_trace_id TraceId TYPE bloom_filter(0.01) GRANULARITY 1) ENGINE = AggregatingMergeTree \
            PARTITION BY toDate(Start) ORDER BY TraceId SETTINGS index_granularity = 8192";
        let new = trace_times(first, "t_trace_id_ts", "spillway", "t_trace_id_ts_rebuild").unwrap();
        insta::assert_snapshot!(new, @"CREATE TABLE spillway.t_trace_id_ts_rebuild (`TraceId` String CODEC(ZSTD(1)), `Start` SimpleAggregateFunction(min, DateTime('UTC')) CODEC(Delta(4), ZSTD(1)), `End` SimpleAggregateFunction(max, DateTime('UTC')) CODEC(Delta(4), ZSTD(1)), `TenantId` LowCardinality(String) COMMENT 'whose spans these are' CODEC(ZSTD(1)), INDEX idx_trace_id TraceId TYPE bloom_filter(0.01) GRANULARITY 1) ENGINE = AggregatingMergeTree PARTITION BY toDate(Start, 'UTC') ORDER BY (TraceId, TenantId) SETTINGS index_granularity = 8192");
    }
}
