//! `origin-consumer rebuild-table`: every row moves, once, whatever is killed meanwhile.

mod alone;
mod beside_consumers;

use anyhow::{Result, ensure};
use clickhouse::Client;

/// An error unless both tables have the same rows, the times of whose traces are there, and neither has one twice.
pub async fn assert_same_rows(client: &Client, old: &str, new: &str) -> Result<()> {
    let columns = "SELECT arrayStringConcat(groupArray(name), ', ') FROM (SELECT name FROM system.columns
                   WHERE database = currentDatabase() AND table = 'otel_traces' ORDER BY position)";
    let columns: String = client.query_raw(columns).fetch_one().await?;
    // By what they hold, not by how their times are shown.
    let hashes = |table: &str| {
        format!(
            "SELECT cityHash64(toUnixTimestamp64Nano(Timestamp), {}) AS hash FROM {table}",
            columns.replacen("Timestamp, ", "", 1)
        )
    };
    let summary = |table: &str| {
        format!("SELECT toString((count(), uniqExact(hash), sum(hash))) FROM ({})", hashes(table))
    };
    let [of_old, of_new] = [
        client.query_raw(&summary(old)).fetch_one::<String>().await?,
        client.query_raw(&summary(new)).fetch_one::<String>().await?,
    ];
    ensure!(of_old == of_new, "{old} has {of_old}, {new} has {of_new}");
    Ok(())
}

/// An error unless the tables of `database` are made as those of a new one.
pub async fn assert_present_layout(client: &Client, present: &Client) -> Result<()> {
    let made = "SELECT arrayStringConcat(groupArray(replaceAll(create_table_query, currentDatabase() || '.', '')), '\n') FROM (
        SELECT create_table_query FROM system.tables WHERE database = currentDatabase() AND name LIKE 'otel_traces%'
        AND name NOT LIKE '%_rebuild' ORDER BY name)";
    let [found, expected] = [
        client.query_raw(made).fetch_one::<String>().await?,
        present.query_raw(made).fetch_one::<String>().await?,
    ];
    ensure!(found == expected, "{found}\ninstead of\n{expected}");
    Ok(())
}

/// An error unless the times of each trace are there, with its tenant, as its spans have them.
pub async fn assert_trace_times(client: &Client) -> Result<()> {
    let wrong = "SELECT count() FROM
        (SELECT TraceId, TenantId, min(toDateTime(Timestamp)) AS start, max(toDateTime(Timestamp)) AS end
         FROM otel_traces GROUP BY TraceId, TenantId) AS spans
        LEFT JOIN (SELECT TraceId, TenantId, min(Start) AS start, max(End) AS end, 1 AS is_there
                   FROM otel_traces_trace_id_ts GROUP BY TraceId, TenantId) AS times
        ON spans.TraceId = times.TraceId AND spans.TenantId = times.TenantId
        WHERE is_there = 0 OR times.start > spans.start OR times.end < spans.end";
    let wrong: u64 = client.query_raw(wrong).fetch_one().await?;
    ensure!(wrong == 0, "the times of {wrong} traces are wrong");
    Ok(())
}
