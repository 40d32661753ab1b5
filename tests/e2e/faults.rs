//! Parts die, and nothing is lost and nothing doubled.

use std::time::Duration;

use anyhow::{Context, Result};
use spillway_proto::notification::{CONTENT_TYPE, QueuedNotification};
use spillway_proto::signature::HEADER;
use spillway_tests::bucket::Bucket;
use spillway_tests::export::Export;
use spillway_tests::metrics;
use spillway_tests::notification::{now, queued, stored};
use spillway_tests::stack::{ARRIVAL, Setup, TestStack};

#[tokio::test]
async fn a_consumer_killed_between_the_answer_and_the_insert_loses_nothing() -> Result<()> {
    let without_consumer = Setup { origin_arguments: vec!["--without-consumer"], ..Setup::default() };
    let mut stack = TestStack::start_with(without_consumer).await?;
    let export = Export::new(3);
    export.accepted(&stack).await?;
    await_metric(&stack, "spillway_queue_objects{state=\"pending\"} 1").await?;
    stack.origin.process.kill().await?;
    let nothing = "SELECT count() FROM otel_traces";
    stack.await_count(nothing, 0, ARRIVAL).await.context("the kill came before the insert")?;
    stack.restart_origin(&[]).await?;
    stack.await_trace(&export.trace_id, 3).await?;
    stack.stop_now().await
}

#[tokio::test]
async fn with_notifications_cut_off_every_trace_still_arrives() -> Result<()> {
    let nobody_listens = vec![("NOTIFY_URL", "http://127.0.0.1:9/v1/traces")];
    let eager = vec![("SPILLWAY_SWEEP__INTERVAL_SECONDS", "1"), ("SPILLWAY_SWEEP__GRACE_SECONDS", "0")];
    let setup = Setup { edge_vars: nobody_listens, origin_vars: eager, ..Setup::default() };
    let stack = TestStack::start_with(setup).await?;
    let exports: Vec<_> = (0..10).map(|_| Export::new(3)).collect();
    for export in &exports {
        export.accepted(&stack).await?;
    }
    stack.await_count("SELECT count() FROM otel_traces", 30, ARRIVAL).await?;
    await_metric(&stack, "spillway_objects_swept_total 10\n").await?;
    stack.stop_now().await
}

#[tokio::test]
async fn objects_that_were_put_there_by_hand_are_stored() -> Result<()> {
    let eager = vec![("SPILLWAY_SWEEP__INTERVAL_SECONDS", "1"), ("SPILLWAY_SWEEP__GRACE_SECONDS", "0")];
    let stack = TestStack::start_with(Setup { origin_vars: eager, ..Setup::default() }).await?;
    let (export, bucket) = (Export::new(4), Bucket::of(&stack));
    let (notification, object) = stored(&export.body()?, 4)?;
    bucket.put(&notification.object_key.to_string(), object).await?;
    bucket.put("v1/2026/not-one-of-ours", b"and no harm".to_vec()).await?;
    stack.await_trace(&export.trace_id, 4).await?;
    stack.stop_now().await
}

#[tokio::test]
async fn a_notification_that_comes_a_hundred_times_counts_once() -> Result<()> {
    let blind = vec![("SPILLWAY_SWEEP__GRACE_SECONDS", "3600")];
    let stack = TestStack::start_with(Setup { origin_vars: blind, ..Setup::default() }).await?;
    let (export, bucket) = (Export::new(4), Bucket::of(&stack));
    let (notification, object) = stored(&export.body()?, 4)?;
    bucket.put(&notification.object_key.to_string(), object).await?;
    let QueuedNotification { notification: body, signature } =
        queued(&notification, &stack.signing_key, now())?;
    let sends = (0..100).map(|_| {
        let request = local_stack::http::client().post(format!("{}/v1/traces", stack.origin.url));
        request.header("content-type", CONTENT_TYPE).header(HEADER, &signature).body(body.clone()).send()
    });
    for answer in futures_util::future::join_all(sends).await {
        assert_eq!(answer?.status(), 202);
    }
    stack.await_trace(&export.trace_id, 4).await?;
    await_metric(&stack, "spillway_notifications_total{outcome=\"Known\",transport=\"http\"} 99\n").await?;
    stack.stop_now().await
}

#[tokio::test]
async fn an_origin_that_was_away_finds_what_it_missed() -> Result<()> {
    let at_once = Setup { origin_vars: vec![("SPILLWAY_SWEEP__GRACE_SECONDS", "0")], ..Setup::default() };
    let mut stack = TestStack::start_with(at_once).await?;
    stack.origin.process.kill().await?;
    let export = Export::new(3);
    export.accepted(&stack).await?;
    // Longer than the edge tries to notify.
    tokio::time::sleep(Duration::from_secs(2)).await;
    stack.restart_origin(&[]).await?;
    stack.await_trace(&export.trace_id, 3).await?;
    stack.stop_now().await
}

#[tokio::test]
async fn consumers_killed_at_work_store_every_span_once() -> Result<()> {
    let short_lease =
        Setup { origin_vars: vec![("SPILLWAY_CONSUMER__LEASE_SECONDS", "3")], ..Setup::default() };
    let mut stack = TestStack::start_with(short_lease).await?;
    let mut sent = 0;
    for round in 0..4u64 {
        stack.origin.process.kill().await?;
        stack.restart_origin(&["--without-consumer"]).await?;
        for _ in 0..25 {
            Export::new(7).accepted(&stack).await?;
            sent += 7;
        }
        await_notified(&stack, 25).await?;
        stack.origin.process.kill().await?;
        stack.restart_origin(&[]).await?;
        tokio::time::sleep(Duration::from_millis(20 + 30 * round)).await;
    }
    stack.origin.process.kill().await?;
    stack.restart_origin(&[]).await?;
    stack.await_count("SELECT count() FROM otel_traces", sent, ARRIVAL).await?;
    let distinct = "SELECT uniqExact(ObjectKey, RowNo) FROM otel_traces";
    assert_eq!(stack.clickhouse().query_raw(distinct).fetch_one::<u64>().await?, sent);
    stack.stop_now().await
}

#[tokio::test]
async fn sigterm_finishes_what_is_in_hand_and_ends_with_success() -> Result<()> {
    let mut stack = TestStack::start().await?;
    let exports: Vec<_> = (0..20).map(|_| Export::new(2)).collect();
    for export in &exports {
        export.accepted(&stack).await?;
    }
    await_notified(&stack, 20).await?;
    assert!(stack.origin.process.stop().await?.success());
    stack.restart_origin(&[]).await?;
    stack.await_count("SELECT count() FROM otel_traces", 40, ARRIVAL).await?;
    stack.stop_now().await
}

#[tokio::test]
async fn clickhouse_away_costs_time_and_nothing_else() -> Result<()> {
    let mut stack = TestStack::start().await?;
    let Some(engine) = stack.engine.process() else {
        // A server that others use is not ours to kill.
        return stack.stop_now().await;
    };
    engine.kill().await?;
    let export = Export::new(3);
    export.accepted(&stack).await?;
    await_metric(&stack, "spillway_batches_total{outcome=\"Failed\"}").await?;
    let ready = text_of(&format!("{}/readyz", stack.origin.url)).await?;
    assert!(ready.contains("\"clickhouse\":\"unavailable\""), "{ready}");
    stack.engine.restart().await?;
    stack.await_trace(&export.trace_id, 3).await?;
    stack.stop_now().await
}

#[tokio::test]
async fn the_origin_starts_and_takes_notifications_while_clickhouse_is_away() -> Result<()> {
    let mut stack = TestStack::start().await?;
    let Some(engine) = stack.engine.process() else {
        return stack.stop_now().await;
    };
    engine.kill().await?;
    stack.origin.process.kill().await?;
    stack.restart_origin(&[]).await?;
    let export = Export::new(3);
    export.accepted(&stack).await?;
    await_notified(&stack, 1).await?;
    stack.engine.restart().await?;
    stack.await_trace(&export.trace_id, 3).await?;
    stack.stop_now().await
}

#[tokio::test]
async fn sigterm_does_not_wait_for_a_client_that_sends_half_a_request() -> Result<()> {
    let mut stack = TestStack::start().await?;
    let address = stack.origin.url.trim_start_matches("http://").to_owned();
    let mut half_sent = std::net::TcpStream::connect(&address)?;
    let head = "POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nabc";
    std::io::Write::write_all(&mut half_sent, head.as_bytes())?;
    assert!(stack.origin.process.stop().await?.success());
    stack.stop_now().await
}

#[tokio::test]
async fn an_object_that_was_changed_is_set_aside_and_harms_no_other() -> Result<()> {
    let mut stack = TestStack::start_with(Setup {
        origin_arguments: vec!["--without-consumer"],
        origin_vars: vec![("SPILLWAY_CONSUMER__POISON_TRIES", "1")],
        ..Setup::default()
    })
    .await?;
    let (bad, good) = (Export::new(1), Export::new(2));
    bad.accepted(&stack).await?;
    let bucket = Bucket::of(&stack);
    let key = bucket.keys().await?.remove(0);
    let (mut bytes, _) = bucket.get(&key).await?;
    bytes.reverse();
    bucket.put(&key, bytes).await?;
    good.accepted(&stack).await?;
    await_notified(&stack, 2).await?;
    stack.origin.process.kill().await?;
    stack.restart_origin(&[]).await?;
    stack.await_trace(&good.trace_id, 2).await?;
    await_metric(&stack, "spillway_queue_objects{state=\"dead\"} 1").await?;
    assert_eq!(stack.count(&bad.trace_id).await?, 0);
    assert!(bucket.keys().await?.contains(&key), "nothing is deleted");
    stack.stop_now().await
}

#[tokio::test]
async fn an_object_that_is_gone_is_set_aside() -> Result<()> {
    let mut stack = TestStack::start_with(Setup {
        origin_arguments: vec!["--without-consumer"],
        origin_vars: vec![("SPILLWAY_CONSUMER__POISON_TRIES", "1")],
        ..Setup::default()
    })
    .await?;
    Export::new(1).accepted(&stack).await?;
    await_notified(&stack, 1).await?;
    let bucket = Bucket::of(&stack);
    bucket.delete(&bucket.keys().await?.remove(0)).await?;
    stack.origin.process.kill().await?;
    stack.restart_origin(&[]).await?;
    await_metric(&stack, "spillway_queue_objects{state=\"dead\"} 1").await?;
    stack.stop_now().await
}

#[tokio::test]
async fn while_a_part_of_the_platform_is_out_of_reach_exporters_keep_their_batches() -> Result<()> {
    let stack = TestStack::start().await?;
    for binding in ["KEYS", "ALLOWANCE", "OBJECTS"] {
        let edge = stack.edge_without(&[binding]).await?;
        let request = local_stack::http::client().post(format!("{}/v1/traces", edge.url));
        let request =
            request.header("content-type", "application/x-protobuf").header("x-api-key", stack.key("acme")?);
        let answer = request.body(Export::new(1).body()?).send().await?;
        assert_eq!(answer.status(), 503, "without {binding}");
        assert_eq!(answer.headers()["retry-after"], "2");
    }
    assert!(Bucket::of(&stack).keys().await?.is_empty());
    stack.stop_now().await
}

/// Waits until the origin has taken so many notifications since it was started.
async fn await_notified(stack: &TestStack, objects: u64) -> Result<()> {
    await_metric(
        stack,
        &format!("spillway_notifications_total{{outcome=\"Enqueued\",transport=\"http\"}} {objects}\n"),
    )
    .await
}

async fn await_metric(stack: &TestStack, line: &str) -> Result<()> {
    metrics::await_metric(&stack.origin.url, line).await
}

async fn text_of(url: &str) -> Result<String> {
    Ok(local_stack::http::client().get(url).send().await?.text().await?)
}
