//! `origin-consumer replay`, end to end.

mod interrupted;
mod linked;
mod selected;
mod stored_again;

use anyhow::{Result, ensure};
use spillway_tests::export::Export;
use spillway_tests::stack::{ARRIVAL, TestStack};

/// Sends so many exports of so many spans, and waits until they are stored.
async fn stored(stack: &TestStack, exports: u64, spans: usize) -> Result<u64> {
    for _ in 0..exports {
        Export::new(spans).accepted(stack).await?;
    }
    let all = exports * spans as u64;
    stack.await_count("SELECT count() FROM otel_traces", all, ARRIVAL).await?;
    Ok(all)
}

async fn count(stack: &TestStack, query: &str) -> Result<u64> {
    Ok(stack.clickhouse().query_raw(query).fetch_one().await?)
}

async fn execute(stack: &TestStack, statement: &str) -> Result<()> {
    Ok(stack.clickhouse().query_raw(statement).with_setting("mutations_sync", "2").execute().await?)
}

/// An error unless the table has so many rows, each of them once.
async fn assert_once(stack: &TestStack, table: &str, spans: u64) -> Result<()> {
    let rows = count(stack, &format!("SELECT count() FROM {table}")).await?;
    let distinct = count(stack, &format!("SELECT uniqExact(ObjectKey, RowNo) FROM {table}")).await?;
    let requests =
        count(stack, &format!("SELECT uniqExact(splitByChar('-', ObjectKey)[2], RowNo) FROM {table}"))
            .await?;
    ensure!(
        (rows, distinct, requests) == (spans, spans, spans),
        "{rows} rows, {distinct} of them distinct, of {requests} spans of requests, instead of {spans}"
    );
    Ok(())
}
