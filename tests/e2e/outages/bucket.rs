//! R2 throttling, answering with wrong bodies, or without an object.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use spillway_tests::bucket::Bucket;
use spillway_tests::faults::{On, S3Fault, S3Operation};

use super::bench::Bench;

#[tokio::test]
async fn throttling_under_load_costs_time_only() -> Result<()> {
    let mut bench = Bench::start().await?;
    for operation in [S3Operation::GetObject, S3Operation::HeadObject, S3Operation::ListObjectsV2] {
        bench.s3.set(On::every(operation), S3Fault::SlowDown);
    }
    bench.load(Duration::from_secs(6)).await?;
    bench.await_failed_try().await?;
    bench.s3.pass();
    bench.await_each_span_once().await?;
    ensure!(bench.count("SELECT count(*) FROM objects WHERE state = 'dead'")? == 0);
    bench.stack.stop_now().await
}

#[tokio::test]
async fn wrong_and_truncated_bodies_for_a_while_cost_time_only() -> Result<()> {
    let mut bench = Bench::start().await?;
    for fault in [S3Fault::WrongBytes, S3Fault::TruncateBody(50), S3Fault::OtherBody("short".into())] {
        bench.s3.set(On::every(S3Operation::GetObject), fault);
        bench.load(Duration::from_secs(1)).await?;
        bench.s3.pass();
        bench.await_each_span_once().await?;
    }
    ensure!(bench.count("SELECT count(*) FROM objects WHERE state = 'dead'")? == 0);
    bench.stack.stop_now().await
}

#[tokio::test]
async fn a_wrong_body_for_ever_is_a_dead_letter_with_its_reason_beside_its_copy() -> Result<()> {
    let mut bench = Bench::start_with(&[("SPILLWAY_CONSUMER__POISON_TRIES", "2")]).await?;
    bench.restart(&["--without-consumer"]).await?;
    bench.export().await?;
    let bucket = Bucket::of(&bench.stack);
    let key = bucket.keys().await?.pop().context("no object")?;
    let bad = key.clone();
    bench.s3.set(On::every(S3Operation::GetObject).key(move |key| key == bad), S3Fault::WrongBytes);
    for _ in 0..5 {
        bench.export().await?;
    }
    bench.restart(&[]).await?;
    bench.give_up(3);
    bench.await_each_span_once().await?;
    bench.await_ledger("SELECT count(*) FROM objects WHERE state = 'dead' AND copied = 1", 1).await?;
    let keys = bucket.keys().await?;
    ensure!(keys.contains(&key) && keys.contains(&format!("dlq/{key}")), "{keys:?}");
    let (reason, _) = bucket.get(&format!("dlq/{key}.json")).await?;
    let reason = String::from_utf8(reason)?;
    ensure!(reason.contains("digest") && reason.contains("\"tries\":2"), "{reason}");
    bench.stack.stop_now().await
}

#[tokio::test]
async fn an_object_that_is_missing_is_dead_until_it_is_put_back_and_tried_again() -> Result<()> {
    let mut bench = Bench::start_with(&[("SPILLWAY_CONSUMER__POISON_TRIES", "2")]).await?;
    bench.restart(&["--without-consumer"]).await?;
    bench.export().await?;
    bench.await_ledger("SELECT count(*) FROM objects WHERE state = 'pending'", 1).await?;
    let bucket = Bucket::of(&bench.stack);
    let key = bucket.keys().await?.pop().context("no object")?;
    let (bytes, _) = bucket.get(&key).await?;
    bucket.delete(&key).await?;
    bench.restart(&[]).await?;
    bench.await_ledger("SELECT count(*) FROM objects WHERE state = 'dead' AND copied = 1", 1).await?;
    let shown = bench.stack.origin_command(&["dlq", "show", &key])?.output()?;
    let text = String::from_utf8(shown.stdout)?;
    ensure!(text.contains("not in the bucket"), "{text}");
    bucket.put(&key, bytes).await?;
    // Not waited for in this thread, in which the proxy before the bucket runs.
    bench.stack.origin_consumer(&format!("dlq retry {key}")).await?.success()?;
    bench.await_each_span_once().await?;
    bench.stack.stop_now().await
}
