//! `otel_traces_trace_id_ts`: where in time a trace lies.

use std::collections::BTreeMap;

use clickhouse::Row;
use clickhouse::insert::Insert;
use serde::Serialize;

use super::clickhouse::{QUERY_TIMEOUT, SpanTable, TableError, in_time};
use super::rows::BatchRows;

const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// A row of the first layout; the times are seconds since the Unix epoch.
#[derive(Row, Serialize)]
#[serde(rename_all = "PascalCase")]
struct TraceTime<'a> {
    trace_id: &'a str,
    start: u32,
    end: u32,
}

/// A row of the present layout.
#[derive(Row, Serialize)]
#[serde(rename_all = "PascalCase")]
struct TenantTraceTime<'a> {
    trace_id: &'a str,
    tenant_id: &'a str,
    start: u32,
    end: u32,
}

/// First and last second, by the ids of trace and tenant.
type Times = BTreeMap<(String, String), (u32, u32)>;

impl SpanTable {
    /// Writes what the view makes of the rows. To write the same once more changes nothing, since the table keeps the first and
    /// the last moment of a trace.
    pub(super) async fn write_trace_times(&self, batch: &BatchRows) -> Result<(), TableError> {
        let table = format!("{}_trace_id_ts", self.table);
        let sql = "SELECT count(), countIf(name = 'TenantId') FROM system.columns
                   WHERE database = currentDatabase() AND table = ?";
        let query = self.client.query(sql).bind(&table).fetch_one::<(u64, u64)>();
        match in_time("the list of columns", QUERY_TIMEOUT, query).await? {
            (0, _) => Ok(()),
            (_, 0) => self.write_times(&table, &times(batch, false)).await,
            _ => self.write_times_by_tenant(&table, &times(batch, true)).await,
        }
    }

    async fn write_times(&self, table: &str, times: &Times) -> Result<(), TableError> {
        let mut insert = self.times_insert::<TraceTime<'_>>(table).await?;
        for ((trace_id, _), (start, end)) in times {
            insert.write(&TraceTime { trace_id, start: *start, end: *end }).await?;
        }
        Ok(insert.end().await?)
    }

    async fn write_times_by_tenant(&self, table: &str, times: &Times) -> Result<(), TableError> {
        let mut insert = self.times_insert::<TenantTraceTime<'_>>(table).await?;
        for ((trace_id, tenant_id), (start, end)) in times {
            insert.write(&TenantTraceTime { trace_id, tenant_id, start: *start, end: *end }).await?;
        }
        Ok(insert.end().await?)
    }

    async fn times_insert<T: Row>(&self, table: &str) -> Result<Insert<T>, TableError> {
        let (client, [send, end]) = self.writing();
        // Any number of days at once: what is written twice here counts once.
        let client = client.with_setting("max_partitions_per_insert_block", "0");
        // What the client remembers of the table may be of the one that it was exchanged for.
        client.clear_cached_metadata().await;
        let insert = in_time("the list of columns", QUERY_TIMEOUT, client.insert::<T>(table)).await?;
        Ok(insert.with_timeouts(Some(send), Some(end)))
    }
}

fn times(batch: &BatchRows, by_tenant: bool) -> Times {
    let mut times = Times::new();
    for row in batch.all() {
        let second = u32::try_from(batch.rows.timestamp(row) / NANOS_PER_SECOND).unwrap_or(u32::MAX);
        let tenant = if by_tenant { batch.rows.tenant_id(row) } else { String::new() };
        let (start, end) = times.entry((batch.rows.trace_id(row), tenant)).or_insert((second, second));
        (*start, *end) = ((*start).min(second), (*end).max(second));
    }
    times
}
