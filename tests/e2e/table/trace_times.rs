//! The times of traces: found by the id alone, and by tenant and id.

use anyhow::{Result, ensure};
use clickhouse::Client;

use super::{Server, count, execute, text};

/// A million traces of two tenants.
const TRACES: &str = "INSERT INTO otel_traces_trace_id_ts (TraceId, TenantId, Start, End)
    SELECT lower(hex(sipHash128(number))), if(number % 2 = 0, 'acme', 'other'),
        toDateTime('2026-11-20 00:00:00', 'UTC') + intDiv(number, 20), toDateTime('2026-11-20 00:00:00', 'UTC') + intDiv(number, 20)
    FROM numbers(1000000)";
/// A span of somebody else's, eight years ago, with the id of a trace of acme's.
const FOREIGN: &str = "INSERT INTO otel_traces_trace_id_ts (TraceId, TenantId, Start, End)
    SELECT lower(hex(sipHash128(toUInt64(4242)))), 'other', toDateTime('2018-11-20 00:00:00', 'UTC'), toDateTime('2018-11-20 00:00:00', 'UTC')";
const WANTED: &str = "TraceId = lower(hex(sipHash128(toUInt64(4242))))";

async fn granules(client: &Client, condition: &str) -> Result<u64> {
    let sql = format!(
        "EXPLAIN ESTIMATE SELECT min(Start), max(End) + 1 FROM otel_traces_trace_id_ts WHERE {condition}"
    );
    let marks = format!("SELECT toUInt64(sum(marks)) FROM ({sql})");
    count(client, &marks).await
}

#[tokio::test]
async fn both_look_ups_are_fast_and_another_tenants_span_is_in_nobodys_way() -> Result<()> {
    let server = Server::start("UTC").await?;
    let (client, _) = server.database("spillway", false).await?;
    execute(&client, TRACES).await?;
    execute(&client, "OPTIMIZE TABLE otel_traces_trace_id_ts FINAL").await?;
    execute(&client, FOREIGN).await?;
    let by_tenant = format!("{WANTED} AND TenantId = 'acme'");
    let start = "SELECT toString(min(Start)) FROM otel_traces_trace_id_ts WHERE";
    assert_eq!(text(&client, &format!("{start} {WANTED}")).await?, "2018-11-20 00:00:00");
    assert_eq!(text(&client, &format!("{start} {by_tenant}")).await?, "2026-11-20 00:03:32");
    // Of 123 granules of the day, and one of eight years ago.
    for condition in [WANTED, &by_tenant] {
        let read = granules(&client, condition).await?;
        ensure!(read <= 3, "{read} granules for {condition}");
    }
    Ok(())
}

#[tokio::test]
async fn the_view_keeps_the_tenants_of_a_trace_apart() -> Result<()> {
    let server = Server::start("Asia/Kolkata").await?;
    let (client, _) = server.database("spillway", false).await?;
    for (tenant, at) in
        [("acme", "2026-11-20 10:00:00"), ("acme", "2026-11-20 11:00:00"), ("other", "2019-01-01 00:00:00")]
    {
        let insert = format!(
            "INSERT INTO otel_traces (Timestamp, TraceId, TenantId) SELECT toDateTime64('{at}', 9, 'UTC'), 'abc', '{tenant}'"
        );
        execute(&client, &insert).await?;
    }
    let times = "SELECT toString(groupArray((TenantId, start, end))) FROM (
        SELECT TenantId, toString(min(Start)) AS start, toString(max(End)) AS end FROM otel_traces_trace_id_ts
        WHERE TraceId = 'abc' GROUP BY TenantId ORDER BY TenantId)";
    assert_eq!(
        text(&client, times).await?,
        "[('acme','2026-11-20 10:00:00','2026-11-20 11:00:00'),('other','2019-01-01 00:00:00','2019-01-01 00:00:00')]"
    );
    Ok(())
}
