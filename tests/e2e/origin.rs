//! The origin's own interface: whom it believes, and what it shows.

use anyhow::Result;
use local_stack::http;
use reqwest::StatusCode;
use spillway_proto::notification::{CONTENT_TYPE, Notification};
use spillway_proto::signature::{HEADER, sign};
use spillway_proto::{ObjectKey, Sha256Digest, UnixMillis};
use spillway_tests::bucket::Bucket;
use spillway_tests::export::Export;
use spillway_tests::notification::{notification, now};
use spillway_tests::stack::TestStack;

#[tokio::test]
async fn only_what_is_signed_and_fresh_is_believed() -> Result<()> {
    let stack = TestStack::start().await?;
    let body = serde_json::to_vec(&notification("v1-unknown")?)?;
    let (key, now) = (stack.signing_key.as_bytes().to_vec(), now());
    let good = sign(&key, now, &body);
    let old = sign(&key, UnixMillis(now.0 - 301_000), &body);
    let foreign = sign(b"another key of thirty-two bytes!", now, &body);
    let unread = sign(&key, now, b"{}");
    let large = vec![b' '; 16 * 1024 + 1];
    for (signature, body, status) in [
        ("", body.clone(), 401),
        (&foreign, body.clone(), 401),
        (&old, body.clone(), 401),
        (&unread, b"{}".to_vec(), 400),
        (&good, large, 413),
        (&good, body, 202),
    ] {
        let answer = http::client()
            .post(format!("{}/v1/traces", stack.origin.url))
            .header("content-type", CONTENT_TYPE)
            .header(HEADER, signature)
            .body(body)
            .send()
            .await?;
        assert_eq!(answer.status(), status);
    }
    stack.stop_now().await
}

#[tokio::test]
async fn a_notification_sent_many_times_stores_once() -> Result<()> {
    let stack = TestStack::start().await?;
    let export = Export::new(2);
    export.accepted(&stack).await?;
    stack.await_trace(&export.trace_id, 2).await?;
    let bucket = Bucket::of(&stack);
    let key: ObjectKey = bucket.keys().await?.remove(0).parse()?;
    let (bytes, _) = bucket.get(&key.to_string()).await?;
    let again = Notification {
        bytes: bytes.len() as u64,
        sha256: Sha256Digest::of(&bytes),
        object_key: key,
        ..notification("x")?
    };
    let body = serde_json::to_vec(&again)?;
    for _ in 0..50 {
        let signature = sign(stack.signing_key.as_bytes(), now(), &body);
        let request = http::client()
            .post(format!("{}/v1/traces", stack.origin.url))
            .header("content-type", CONTENT_TYPE);
        assert_eq!(request.header(HEADER, signature).body(body.clone()).send().await?.status(), 202);
    }
    let other = Export::new(1);
    other.accepted(&stack).await?;
    stack.await_trace(&other.trace_id, 1).await?;
    assert_eq!(stack.count(&export.trace_id).await?, 2);
    stack.stop_now().await
}

#[tokio::test]
async fn an_exporter_that_ends_up_at_the_origin_keeps_its_batch() -> Result<()> {
    let stack = TestStack::start().await?;
    let export = Export::new(1);
    let request = http::client().post(format!("{}/v1/traces", stack.origin.url));
    let answer = request.header("content-type", "application/x-protobuf").body(export.body()?).send().await?;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.headers()["retry-after"], "2");
    stack.stop_now().await
}

#[tokio::test]
async fn health_readiness_and_metrics_are_shown() -> Result<()> {
    let stack = TestStack::start().await?;
    let export = Export::new(5);
    export.accepted(&stack).await?;
    stack.await_trace(&export.trace_id, 5).await?;
    let get = async |path: &str| -> Result<(StatusCode, String)> {
        let answer = http::client().get(format!("{}{path}", stack.origin.url)).send().await?;
        Ok((answer.status(), answer.text().await?))
    };
    assert_eq!(get("/healthz").await?, (StatusCode::OK, "ok\n".to_owned()));
    let (status, ready) = get("/readyz").await?;
    assert_eq!(
        (status, ready.as_str()),
        (StatusCode::OK, r#"{"clickhouse":"ok","queue":"ok","schema":"ok"}"#)
    );
    let deadline = tokio::time::Instant::now() + spillway_tests::stack::ARRIVAL;
    loop {
        let (_, metrics) = get("/metrics").await?;
        let lines = [
            "spillway_notifications_total{outcome=\"Enqueued\",transport=\"http\"} 1",
            "spillway_spans_stored_total 5",
        ];
        if lines.iter().all(|line| metrics.contains(line)) {
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "{metrics}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    stack.stop_now().await
}
