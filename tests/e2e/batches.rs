//! How what comes in becomes batches.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use rusqlite::Connection;
use serde_json::json;
use spillway_tests::export::Export;
use spillway_tests::metrics;
use spillway_tests::stack::{Setup, TestStack};

const DEFAULT_DELAY_MS: u64 = 2_000;
/// What the rest of the way may take, on a machine that is busy with others.
const WAY: Duration = Duration::from_secs(2);

/// With the delay of the default, or another.
async fn stack(delay_ms: u64, further: &[(&'static str, &'static str)]) -> Result<TestStack> {
    let delay = delay_ms.to_string();
    let mut origin_vars = vec![("SPILLWAY_CONSUMER__BATCH_DELAY_MS", delay.as_str())];
    origin_vars.extend(further);
    TestStack::start_with(Setup { origin_vars, ..Setup::default() }).await
}

/// Objects in batches, and batches, that the ledger has acknowledged.
fn stored(stack: &TestStack) -> Result<(u64, u64)> {
    let ledger = Connection::open(stack.folder().join("queue.sqlite"))?;
    ledger.busy_timeout(Duration::from_secs(10))?;
    let sql = "SELECT (SELECT count(*) FROM objects WHERE state = 'stored'),
                      (SELECT count(*) FROM batches WHERE state = 'stored')";
    Ok(ledger.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?)))?)
}

async fn await_stored(stack: &TestStack, objects: u64) -> Result<u64> {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let (found, batches) = stored(stack)?;
        if found == objects {
            return Ok(batches);
        }
        ensure!(Instant::now() < deadline, "{found} of {objects} objects are stored");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn at_low_load_a_trace_is_there_soon_after_the_delay() -> Result<()> {
    let stack = stack(DEFAULT_DELAY_MS, &[]).await?;
    // The first one finds the way.
    let first = Export::new(1);
    first.accepted(&stack).await?;
    stack.await_trace(&first.trace_id, 1).await?;
    for _ in 0..3 {
        let export = Export::new(3);
        export.accepted(&stack).await?;
        let accepted = Instant::now();
        stack.await_trace(&export.trace_id, 3).await?;
        let took = accepted.elapsed();
        let delay = Duration::from_millis(DEFAULT_DELAY_MS);
        ensure!(took < delay + WAY, "it took {took:?}");
        ensure!(took > delay / 2, "nothing was waited for: {took:?}");
    }
    stack.stop_now().await
}

#[tokio::test]
async fn small_requests_within_the_delay_become_one_batch() -> Result<()> {
    const ROUNDS: u64 = 10;
    const REQUESTS: u64 = 12;
    let stack = stack(DEFAULT_DELAY_MS, &[]).await?;
    let began = Instant::now();
    for _ in 0..ROUNDS {
        let exports: Vec<_> = (0..REQUESTS).map(|_| Export::new(2)).collect();
        try_join_all(exports.iter().map(|export| export.accepted(&stack))).await?;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let batches = await_stored(&stack, ROUNDS * REQUESTS).await?;
    // On a machine that is slow, they were not all within the delay.
    let delays = began.elapsed().as_millis() / u128::from(DEFAULT_DELAY_MS);
    ensure!(u128::from(batches) <= delays, "{batches} batches within {delays} times the delay");
    let text = metrics::text(&stack.origin.url).await?;
    ensure!(text.contains("\nspillway_batch_spans_sum 240.0\n"), "{text}");
    ensure!(text.contains("\nspillway_payload_in_work_bytes 0\n"), "{text}");
    stack.stop_now().await
}

#[tokio::test]
async fn what_waits_at_the_end_is_stored_by_the_next_process() -> Result<()> {
    let mut stack = stack(60_000, &[]).await?;
    let export = Export::new(2);
    export.accepted(&stack).await?;
    let waits = "spillway_queue_objects{state=\"pending\"} 1";
    metrics::await_metric(&stack.origin.url, waits).await?;
    let began = Instant::now();
    stack.origin.process.stop().await?;
    ensure!(began.elapsed() < Duration::from_secs(20), "its end waits for the delay");
    ensure!(stored(&stack)? == (0, 0));
    stack.set_origin_var("SPILLWAY_CONSUMER__BATCH_DELAY_MS", "0");
    stack.restart_origin(&[]).await?;
    stack.await_trace(&export.trace_id, 2).await?;
    stack.stop_now().await
}

/// Whatever the bounds are, all goes on: every worker has a batch, and each wants more memory than there is.
#[tokio::test]
async fn bounds_that_are_too_small_for_two_batches_make_them_wait_for_each_other() -> Result<()> {
    const OBJECTS: u64 = 24;
    let tight = [
        ("SPILLWAY_CONSUMER__BATCH_OBJECTS", "2"),
        ("SPILLWAY_CONSUMER__WORKERS", "6"),
        ("SPILLWAY_CONSUMER__INSERTS", "1"),
        ("SPILLWAY_CONSUMER__MEMORY_BYTES", "1048576"),
    ];
    let stack = stack(0, &tight).await?;
    let padding = "x".repeat(120_000);
    let attributes: Vec<_> =
        (0..6).map(|n| json!({ "key": n.to_string(), "value": { "stringValue": padding } })).collect();
    let exports: Vec<_> = (0..OBJECTS)
        .map(|_| {
            let mut export = Export::new(1);
            export.first_span()["attributes"] = json!(attributes);
            export
        })
        .collect();
    for some in exports.chunks(8) {
        try_join_all(some.iter().map(|export| export.accepted(&stack))).await?;
    }
    await_stored(&stack, OBJECTS).await?;
    let rows: u64 = stack.clickhouse().query_raw("SELECT count() FROM otel_traces").fetch_one().await?;
    assert_eq!(rows, OBJECTS);
    let text = metrics::text(&stack.origin.url).await?;
    let failed = text.lines().find(|line| line.starts_with("spillway_batches_total{outcome=\"Failed\"}"));
    ensure!(failed.is_none(), "{failed:?}");
    text.contains("spillway_payload_in_work_bytes 0").then_some(()).context("memory is not given back")?;
    stack.stop_now().await
}
