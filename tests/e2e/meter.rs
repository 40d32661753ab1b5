//! What was accepted and what became of it: the loss meter, the alert, and the audit.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::Value;
use spillway_proto::UnixMillis;
use spillway_tests::bucket::Bucket;
use spillway_tests::export::Export;
use spillway_tests::faults::{TcpFault, TcpFaults};
use spillway_tests::metrics::await_metric;
use spillway_tests::notification::{now, stored_at};
use spillway_tests::stack::{ARRIVAL, Setup, TestStack};

const NOBODY_LISTENS: (&str, &str) = ("NOTIFY_URL", "http://127.0.0.1:9/v1/traces");
const ONE_TRY: (&str, &str) = ("NOTIFY_ATTEMPTS", "1");
/// The sweep looks at once, and often.
const EAGER: [(&str, &str); 2] =
    [("SPILLWAY_SWEEP__INTERVAL_SECONDS", "1"), ("SPILLWAY_SWEEP__GRACE_SECONDS", "1")];

async fn meter(stack: &TestStack, query: &str) -> Result<Value> {
    let url = format!("{}/api/meter{query}", stack.origin.url);
    Ok(local_stack::http::client().get(url).send().await?.json().await?)
}

/// Waits until `is_so` of the meter.
async fn await_meter(stack: &TestStack, is_so: impl Fn(&Value) -> bool) -> Result<Value> {
    let deadline = Instant::now() + ARRIVAL;
    loop {
        let report = meter(stack, "").await?;
        if is_so(&report) {
            return Ok(report);
        }
        ensure!(Instant::now() < deadline, "waited in vain: {report:#}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test]
async fn what_was_accepted_is_stored_and_then_audited_and_nothing_is_outstanding() -> Result<()> {
    let vars = [EAGER.as_slice(), &[("SPILLWAY_AUDIT__AFTER_SECONDS", "0")]].concat();
    let stack = TestStack::start_with(Setup { origin_vars: vars, ..Setup::default() }).await?;
    for spans in [3, 4] {
        Export::new(spans).accepted(&stack).await?;
    }
    let neighbours = Export::new(5);
    assert_eq!(neighbours.send(&stack, "neighbour").await?.status(), 200);
    let report = await_meter(&stack, |report| {
        let total = &report["total"];
        total["accepted"] == 12 && total["audited"] == 12
    })
    .await?;
    let total = &report["total"];
    assert_eq!((&total["stored"], &total["outstanding"]), (&12.into(), &0.into()), "{report:#}");
    assert_eq!(report["alert"], Value::Null);
    let of_tenant = meter(&stack, "?tenant=neighbour").await?;
    assert_eq!(of_tenant["total"]["stored"], 5, "{of_tenant:#}");
    assert_eq!(meter(&stack, "?minutes=0").await?["code"], "bad_minutes");

    let shown = stack.origin_consumer("meter --minutes 5").await?.success()?;
    assert!(shown.contains("acme") && shown.contains("neighbour"), "{shown}");
    let json: Value = serde_json::from_str(&stack.origin_consumer("meter --json").await?.success()?)?;
    assert_eq!(json["total"]["audited"], 12);
    await_metric(&stack.origin.url, "spillway_meter_spans{kind=\"audited\",tenant=\"neighbour\"} 5\n")
        .await?;
    stack.stop_now().await
}

#[tokio::test]
async fn within_a_minute_the_alert_says_that_no_notification_arrives() -> Result<()> {
    // The sweep's own times, not those of the other tests.
    let defaults = vec![("SPILLWAY_SWEEP__INTERVAL_SECONDS", "10"), ("SPILLWAY_SWEEP__GRACE_SECONDS", "30")];
    let setup = Setup { edge_vars: vec![NOBODY_LISTENS], origin_vars: defaults, ..Setup::default() };
    let stack = TestStack::start_with(setup).await?;
    let (began, export) = (Instant::now(), Export::new(3));
    export.accepted(&stack).await?;
    let alert = loop {
        ensure!(began.elapsed() < Duration::from_secs(60), "no alert after a minute");
        let report = meter(&stack, "").await?;
        if report["alert"] != Value::Null {
            break report["alert"].clone();
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    };
    assert_eq!(alert["name"], "spillway_notifications_missing");
    assert_eq!(alert["cause"], "none_arrives");
    await_metric(&stack.origin.url, "spillway_notifications_missing{cause=\"none_arrives\"} 1\n").await?;
    let shown = stack.origin_consumer("meter").await?;
    assert_eq!(shown.code, 3, "{shown:?}");
    assert!(shown.out.contains("ALERT") && shown.out.contains("NOTIFY_URL"), "{shown:?}");
    stack.await_trace(&export.trace_id, 3).await?;
    stack.stop_now().await
}

#[tokio::test]
async fn notifications_of_which_every_other_one_is_dropped_point_to_the_firewall() -> Result<()> {
    let vars = vec![ONE_TRY, ("BREAKER_FAILURES", "1000")];
    let setup = Setup { edge_vars: vars, origin_vars: EAGER.to_vec(), ..Setup::default() };
    let mut stack = TestStack::start_with(setup).await?;
    let firewall = TcpFaults::start(&stack.origin.url).await?;
    stack.set_edge_var("NOTIFY_URL", &format!("{}/v1/traces", firewall.url()));
    stack.restart_edge().await?;
    for round in 1..=3 {
        firewall.next(1, TcpFault::Refuse);
        Export::new(2).accepted(&stack).await?;
        firewall.await_faults(round).await?;
        Export::new(2).accepted(&stack).await?;
        let enqueued = "spillway_notifications_total{outcome=\"Enqueued\",transport=\"http\"}";
        await_metric(&stack.origin.url, &format!("{enqueued} {round}\n")).await?;
    }
    await_meter(&stack, |report| {
        report["alert"]["not_notified"] == 3 && report["alert"]["cause"] == "dropped_on_the_way"
    })
    .await?;
    stack.await_count("SELECT count() FROM otel_traces", 12, ARRIVAL).await?;
    stack.stop_now().await
}

#[tokio::test]
async fn notifications_that_are_signed_with_another_key_are_named_as_the_cause() -> Result<()> {
    let setup = Setup {
        edge_vars: vec![("NOTIFY_SIGNING_KEY", "another-key-than-the-origin-knows-of")],
        origin_vars: EAGER.to_vec(),
        ..Setup::default()
    };
    let stack = TestStack::start_with(setup).await?;
    Export::new(2).accepted(&stack).await?;
    await_meter(&stack, |report| report["alert"]["cause"] == "signing_key").await?;
    stack.stop_now().await
}

#[tokio::test]
async fn what_watches_is_not_there_for_those_who_come_through_cloudflare() -> Result<()> {
    let stack = TestStack::start().await?;
    for (path, inside, outside) in
        [("/healthz", 200, 200), ("/metrics", 200, 404), ("/api/meter", 200, 404), ("/readyz", 200, 404)]
    {
        let get = || local_stack::http::client().get(format!("{}{path}", stack.origin.url));
        assert_eq!(get().send().await?.status(), inside, "{path}");
        assert_eq!(get().header("cf-ray", "9a1b2c3d4e5f6a7b-FRA").send().await?.status(), outside, "{path}");
    }
    stack.stop_now().await
}

#[tokio::test]
async fn rows_that_are_gone_before_the_audit_are_stored_again() -> Result<()> {
    let vars = [EAGER.as_slice(), &[("SPILLWAY_AUDIT__AFTER_SECONDS", "4")]].concat();
    let stack = TestStack::start_with(Setup { origin_vars: vars, ..Setup::default() }).await?;
    let export = Export::new(6);
    export.accepted(&stack).await?;
    stack.await_trace(&export.trace_id, 6).await?;
    let delete = "ALTER TABLE otel_traces DELETE WHERE RowNo IN (1, 4)";
    stack.clickhouse().query_raw(delete).with_setting("mutations_sync", "2").execute().await?;
    await_metric(&stack.origin.url, "spillway_objects_audited_total{finding=\"short\"} 1\n").await?;
    stack.await_trace(&export.trace_id, 6).await?;
    await_metric(&stack.origin.url, "spillway_objects_audited_total{finding=\"whole\"} 1\n").await?;
    stack.stop_now().await
}

#[tokio::test]
async fn rows_that_are_there_twice_are_found_by_the_audit() -> Result<()> {
    let vars = [EAGER.as_slice(), &[("SPILLWAY_AUDIT__AFTER_SECONDS", "2")]].concat();
    let stack = TestStack::start_with(Setup { origin_vars: vars, ..Setup::default() }).await?;
    let export = Export::new(2);
    export.accepted(&stack).await?;
    stack.await_trace(&export.trace_id, 2).await?;
    stack.clickhouse().query_raw("INSERT INTO otel_traces SELECT * FROM otel_traces").execute().await?;
    await_metric(&stack.origin.url, "spillway_objects_audited_total{finding=\"doubled\"} 1\n").await?;
    stack.stop_now().await
}

#[tokio::test]
async fn audited_objects_leave_the_bucket_where_that_is_asked_for() -> Result<()> {
    const TWO_DAYS_MS: u64 = 2 * 86_400_000;
    let vars = vec![
        ("SPILLWAY_AUDIT__AFTER_SECONDS", "0"),
        ("SPILLWAY_AUDIT__DELETE_AFTER_DAYS", "2"),
        ("SPILLWAY_SWEEP__PASSES_SECONDS", "[1]"),
    ];
    let stack = TestStack::start_with(Setup { origin_vars: vars, ..Setup::default() }).await?;
    let young = Export::new(2);
    young.accepted(&stack).await?;
    stack.await_trace(&young.trace_id, 2).await?;
    let received_at = UnixMillis(now().0 - TWO_DAYS_MS - 60_000);
    let (old, bytes) = stored_at(&Export::new(3).begun_at(received_at).body()?, 3, received_at)?;
    let (bucket, old) = (Bucket::of(&stack), old.object_key.to_string());
    bucket.put(&old, bytes).await?;
    stack.origin_consumer(&format!("replay --object {old}")).await?.success()?;
    await_metric(&stack.origin.url, "spillway_objects_expired_total 1\n").await?;
    let left = bucket.keys().await?;
    assert!(left.len() == 1 && left[0] != old, "{left:?}");
    stack.await_count("SELECT count() FROM otel_traces", 5, ARRIVAL).await?;
    stack.stop_now().await
}
