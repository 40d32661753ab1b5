//! ClickHouse down, slow, or refusing.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::json;
use spillway_tests::export::Export;
use spillway_tests::faults::TcpFault;

use super::bench::Bench;

const A_WHILE: Duration = Duration::from_secs(6);
const DAY_NANOS: u128 = 86_400_000_000_000;

#[tokio::test]
async fn down_under_load_it_gets_everything_in_few_large_batches_when_it_is_back() -> Result<()> {
    let mut bench = Bench::start().await?;
    bench.load(Duration::from_secs(1)).await?;
    bench.await_each_span_once().await?;
    let batches_before = bench.count("SELECT count(*) FROM batches")?;
    let objects_before = bench.count("SELECT count(*) FROM objects")?;
    let Some(engine) = bench.stack.engine.process() else { return bench.stack.stop_now().await };
    engine.kill().await?;
    bench.load(A_WHILE).await?;
    bench.stack.engine.restart().await?;
    bench.await_each_span_once().await?;
    let batches = bench.count("SELECT count(*) FROM batches")? - batches_before;
    let objects = bench.count("SELECT count(*) FROM objects")? - objects_before;
    ensure!(objects >= 30 && batches <= 8, "{objects} objects were stored in {batches} batches");
    bench.stack.stop_now().await
}

#[tokio::test]
async fn slow_under_load_it_gets_everything_once() -> Result<()> {
    let mut bench = Bench::start_with(&[("SPILLWAY_CONSUMER__INSERT_TIMEOUT_SECONDS", "2")]).await?;
    bench.clickhouse.always(TcpFault::Slow(4_000));
    bench.load(A_WHILE).await?;
    bench.clickhouse.pass();
    bench.await_each_span_once().await?;
    bench.stack.stop_now().await
}

#[tokio::test]
async fn read_only_for_a_while_costs_time_only() -> Result<()> {
    refusing(
        "MODIFY SETTING table_readonly = 1",
        "MODIFY SETTING table_readonly = 0",
        "(TABLE_IS_PERMANENTLY_READ_ONLY)",
    )
    .await
}

#[tokio::test]
async fn too_many_parts_for_a_while_cost_time_only() -> Result<()> {
    let refuse = "MODIFY SETTING parts_to_throw_insert = 1, parts_to_delay_insert = 1, inactive_parts_to_throw_insert = 1";
    let accept = "RESET SETTING parts_to_throw_insert, parts_to_delay_insert, inactive_parts_to_throw_insert";
    refusing(refuse, accept, "(TOO_MANY_PARTS)").await
}

#[tokio::test]
async fn a_disk_that_is_full_for_a_while_costs_time_only() -> Result<()> {
    let refuse = "MODIFY SETTING min_free_disk_bytes_to_perform_insert = 1000000000000000";
    refusing(refuse, "RESET SETTING min_free_disk_bytes_to_perform_insert", "(NOT_ENOUGH_SPACE)").await
}

/// The table does not take rows, by a setting of its own, until it does again.
async fn refusing(refuse: &str, accept: &str, code: &str) -> Result<()> {
    let mut bench = Bench::start().await?;
    bench.export().await?;
    bench.await_each_span_once().await?;
    bench.execute(&format!("ALTER TABLE otel_traces {refuse}")).await?;
    bench.load(A_WHILE).await?;
    bench.await_failed_try().await?;
    let error = bench.last_error()?;
    ensure!(error.contains(code), "{error}");
    bench.execute(&format!("ALTER TABLE otel_traces {accept}")).await?;
    bench.await_each_span_once().await?;
    ensure!(bench.count("SELECT count(*) FROM objects WHERE state = 'dead'")? == 0);
    bench.stack.stop_now().await
}

#[tokio::test]
async fn of_a_batch_with_refused_rows_only_their_object_is_dead_and_no_other_is_doubled() -> Result<()> {
    let mut bench = Bench::start_with(&[("SPILLWAY_CONSUMER__POISON_TRIES", "2")]).await?;
    bench.execute("ALTER TABLE otel_traces ADD CONSTRAINT wanted CHECK SpanName != 'refused'").await?;
    bench.restart(&["--without-consumer"]).await?;
    for _ in 0..20 {
        // The first day of a batch is stored before the second is refused.
        let mut export = Export::new(3);
        yesterday(&mut export);
        bench.accept(&export, 3).await?;
    }
    let mut refused = Export::new(3);
    yesterday(&mut refused);
    refused.request["resourceSpans"][0]["scopeSpans"][0]["spans"][2]["name"] = json!("refused");
    bench.accept(&refused, 3).await?;
    bench.await_ledger("SELECT count(*) FROM objects WHERE state = 'pending'", 21).await?;
    bench.restart(&[]).await?;
    bench.await_ledger("SELECT count(*) FROM objects WHERE state = 'dead'", 1).await?;
    bench.give_up(2);
    // What was stored of the dead one before its second day was refused is there, and stays.
    bench.stack.await_trace(&refused.trace_id, 1).await?;
    bench.await_each_span_once().await?;
    let listed = bench.stack.origin_command(&["dlq", "list", "--json"])?.output()?;
    let text = String::from_utf8(listed.stdout)?;
    ensure!(text.contains("VIOLATED_CONSTRAINT"), "{text}");
    bench.stack.stop_now().await
}

/// The first span began a day before the others.
fn yesterday(export: &mut Export) {
    let span = export.first_span();
    for time in ["startTimeUnixNano", "endTimeUnixNano"] {
        let nanos: u128 = span[time].as_str().and_then(|nanos| nanos.parse().ok()).unwrap_or(DAY_NANOS);
        span[time] = json!((nanos - DAY_NANOS).to_string());
    }
}
