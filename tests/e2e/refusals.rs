//! What the edge refuses, in workerd: the right status, a Status body in the request's type, and nothing stored.

use anyhow::Result;
use reqwest::{RequestBuilder, Response};
use serde_json::{Value, json};
use spillway_proto::otlp::answer::read_status;
use spillway_tests::bucket::Bucket;
use spillway_tests::export::{Export, gzipped};
use spillway_tests::stack::{Setup, TestStack};

const PROTOBUF: &str = "application/x-protobuf";

#[tokio::test]
async fn each_refusal_has_its_status_and_stores_nothing() -> Result<()> {
    let vars = vec![("MAX_BODY_BYTES", "100000"), ("MAX_DECOMPRESSED_BYTES", "200000")];
    let stack = TestStack::start_with(Setup { edge_vars: vars, ..Setup::default() }).await?;
    let with_body = |export: Export, body: Vec<u8>| Ok(export.to(&stack, "acme")?.body(body));
    let with_header = |export: Export, name: &str, value: &str| -> Result<_> {
        let request = export.to(&stack, "acme")?.build()?;
        let mut changed = local_stack::http::client().post(request.url().clone());
        for (known, old) in request.headers().iter().filter(|(known, _)| known.as_str() != name) {
            changed = changed.header(known, old);
        }
        let changed = if value.is_empty() { changed } else { changed.header(name, value) };
        Ok(changed.body(export.body()?))
    };
    for json in [false, true] {
        let export = || if json { Export::new(1).json() } else { Export::new(1) };
        let own_type = if json { "application/json" } else { PROTOBUF };
        let cases: Vec<(Result<RequestBuilder>, u16, &str)> = vec![
            (with_header(export(), "x-api-key", ""), 401, own_type),
            (with_header(export(), "x-api-key", "wrong"), 401, own_type),
            (export().to(&stack, "gone"), 401, own_type),
            (with_body(export(), b"\xff{".to_vec()), 400, own_type),
            (with_header(export(), "content-encoding", "gzip"), 400, own_type),
            (with_header(export(), "content-encoding", "br"), 415, own_type),
            (with_header(export(), "content-type", "text/plain"), 415, "application/json"),
            (with_body(export(), vec![b' '; 100_001]), 413, own_type),
            (with_body(export().gzip(), gzipped(&vec![b' '; 200_001])?), 413, own_type),
        ];
        for (request, status, content_type) in cases {
            let answer = request?.send().await?;
            assert_eq!(answer.status(), status);
            assert_eq!(answer.headers()["content-type"], content_type);
            assert!(answer.headers().get("retry-after").is_none());
            assert!(!message(answer).await?.is_empty());
        }
    }
    assert!(Bucket::of(&stack).keys().await?.is_empty());
    stack.stop_now().await
}

#[tokio::test]
async fn a_malformed_request_is_told_which_field() -> Result<()> {
    let stack = TestStack::start().await?;
    let mut export = Export::new(1).json();
    export.first_span()["traceId"] = json!("W47/95gDgQPSabYzgT/GDA==");
    let status: Value = export.send(&stack, "acme").await?.json().await?;
    let violation = &status["details"][0]["fieldViolations"][0];
    assert_eq!(violation["field"], "resourceSpans[0].scopeSpans[0].spans[0].traceId");
    assert!(violation["description"].as_str().is_some_and(|text| text.contains("base64")));
    stack.stop_now().await
}

#[tokio::test]
async fn over_the_rate_the_wait_is_one_that_exporters_survive() -> Result<()> {
    let stack = TestStack::start().await?;
    // Side by side: on a busy machine, a second may pass between two that follow each other.
    let (one, other) = (Export::new(1), Export::new(1));
    let (one, other) = tokio::try_join!(one.send(&stack, "slow"), other.send(&stack, "slow"))?;
    let (taken, answer) = if one.status() == 200 { (one, other) } else { (other, one) };
    assert_eq!((taken.status().as_u16(), answer.status().as_u16()), (200, 429));
    assert_eq!(answer.headers()["content-type"], PROTOBUF);
    let wait: u64 = answer.headers()["retry-after"].to_str()?.parse()?;
    assert!((1..=3).contains(&wait), "{wait}");
    assert!(message(answer).await?.contains("1 requests per second"));
    assert_eq!(Bucket::of(&stack).keys().await?.len(), 1);
    stack.stop_now().await
}

#[tokio::test]
async fn over_the_quota_is_403_also_after_a_restart_of_the_edge() -> Result<()> {
    let mut stack = TestStack::start().await?;
    assert_eq!(Export::new(11).send(&stack, "small").await?.status(), 200);
    for restart in [false, true] {
        if restart {
            stack.restart_edge().await?;
        }
        let answer = Export::new(1).send(&stack, "small").await?;
        assert_eq!(answer.status(), 403);
        assert!(message(answer).await?.contains("10 spans"));
    }
    assert_eq!(Bucket::of(&stack).keys().await?.len(), 1);
    stack.stop_now().await
}

#[tokio::test]
async fn the_quota_of_a_tenant_that_is_spread_holds_whichever_of_its_objects_is_asked() -> Result<()> {
    let mut stack = TestStack::start().await?;
    assert_eq!(Export::new(11).send(&stack, "spread").await?.status(), 200);
    // What is settled after the answer is there before an isolate ends.
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    for _ in 0..3 {
        // Another isolate, which may ask another object.
        stack.restart_edge().await?;
        assert_eq!(Export::new(1).send(&stack, "spread").await?.status(), 403);
    }
    stack.stop_now().await
}

#[tokio::test]
async fn the_key_is_found_in_all_four_places() -> Result<()> {
    let stack = TestStack::start().await?;
    let (url, key) = (format!("{}/v1/traces", stack.edge.url), stack.key("acme")?.to_owned());
    let http = local_stack::http::client();
    for request in [
        http.post(&url).bearer_auth(&key),
        http.post(&url).header("x-api-key", &key),
        http.post(&url).header("x-api-token", &key),
        http.post(format!("{url}?key={key}")),
    ] {
        let export = Export::new(1);
        let answer = request.header("content-type", PROTOBUF).body(export.body()?).send().await?;
        assert_eq!(answer.status(), 200);
        stack.await_trace(&export.trace_id, 1).await?;
    }
    stack.stop_now().await
}

#[tokio::test]
async fn some_invalid_spans_make_a_partial_success_and_the_others_arrive() -> Result<()> {
    let stack = TestStack::start().await?;
    let mut export = Export::new(3).json();
    export.first_span()["spanId"] = json!("0000000000000000");
    let answer = export.send(&stack, "acme").await?;
    assert_eq!(answer.status(), 200);
    let body: Value = answer.json().await?;
    assert_eq!(body["partialSuccess"]["rejectedSpans"], "1");
    stack.await_trace(&export.trace_id, 2).await?;
    stack.stop_now().await
}

/// The message of the Status, in whichever encoding.
async fn message(answer: Response) -> Result<String> {
    if answer.headers()["content-type"] == PROTOBUF {
        return Ok(read_status(answer.bytes().await?)?.1);
    }
    let status: Value = answer.json().await?;
    Ok(status["message"].as_str().unwrap_or_default().to_owned())
}
