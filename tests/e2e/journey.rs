//! A span's way, and what arrives.

use anyhow::Result;
use clickhouse::Row;
use serde::Deserialize;
use serde_json::{Value, json};
use spillway_proto::Sha256Digest;
use spillway_tests::bucket::Bucket;
use spillway_tests::export::Export;
use spillway_tests::rows::check_columns;
use spillway_tests::stack::{ARRIVAL, Setup, TestStack};

#[tokio::test]
async fn every_encoding_arrives_and_is_answered_in_kind() -> Result<()> {
    let stack = TestStack::start().await?;
    for export in [Export::new(3), Export::new(3).gzip(), Export::new(3).json(), Export::new(3).json().gzip()]
    {
        let answer = export.send(&stack, "acme").await?;
        assert_eq!(answer.status(), 200);
        let content_type = answer.headers()["content-type"].to_str()?.to_owned();
        let empty: &[u8] = if content_type == "application/json" { b"{}" } else { b"" };
        assert_eq!(answer.bytes().await?, empty, "{content_type}");
        stack.await_trace(&export.trace_id, 3).await?;
    }
    stack.stop_now().await
}

#[tokio::test]
async fn every_attribute_event_and_link_is_right() -> Result<()> {
    let stack = TestStack::start().await?;
    let mut export = Export::new(1);
    let span = export.first_span();
    span["parentSpanId"] = json!("00f067aa0ba902b7");
    span["traceState"] = json!("vendor=x");
    span["startTimeUnixNano"] = json!("1795230245000000001");
    span["endTimeUnixNano"] = json!("1795230246000000003");
    span["attributes"] = json!([
        { "key": "text", "value": { "stringValue": "ü" } },
        { "key": "int", "value": { "intValue": "-5" } },
        { "key": "double", "value": { "doubleValue": 0.25 } },
        { "key": "bool", "value": { "boolValue": true } },
        { "key": "list", "value": { "arrayValue": { "values": [{ "intValue": 1 }, { "stringValue": "a" }] } } },
    ]);
    span["events"] = json!([{ "timeUnixNano": "1795230245500000007", "name": "happened",
        "attributes": [{ "key": "e", "value": { "stringValue": "1" } }] }]);
    span["links"] = json!([{ "traceId": "0102030405060708090a0b0c0d0e0f10", "spanId": "0102030405060708",
        "traceState": "l=m", "attributes": [{ "key": "l", "value": { "intValue": 2 } }] }]);
    span["status"] = json!({ "code": 2, "message": "bad" });
    export.accepted(&stack).await?;
    stack.await_trace(&export.trace_id, 1).await?;

    let row = stack.rows_of_trace(&export.trace_id).await?.remove(0);
    let expected = json!({
        "Timestamp": "2026-11-21 03:04:05.000000001", "TraceId": export.trace_id, "SpanId": "0000000000000001",
        "ParentSpanId": "00f067aa0ba902b7", "TraceState": "vendor=x", "SpanName": "span 1", "SpanKind": "Server",
        "ServiceName": "shop", "ResourceAttributes": { "service.name": "shop" }, "ScopeName": "", "ScopeVersion": "",
        "SpanAttributes": { "text": "ü", "int": "-5", "double": "0.25", "bool": "true", "list": "[1,\"a\"]" },
        "Duration": "1000000002", "StatusCode": "Error", "StatusMessage": "bad",
        "Events.Timestamp": ["2026-11-21 03:04:05.500000007"], "Events.Name": ["happened"],
        "Events.Attributes": [{ "e": "1" }],
        "Links.TraceId": ["0102030405060708090a0b0c0d0e0f10"], "Links.SpanId": ["0102030405060708"],
        "Links.TraceState": ["l=m"], "Links.Attributes": [{ "l": "2" }], "TenantId": "acme", "RowNo": 0,
    });
    check_columns(&row, &expected)?;
    stack.stop_now().await
}

#[tokio::test]
async fn the_object_in_r2_is_named_and_described_as_documented() -> Result<()> {
    let stack = TestStack::start().await?;
    let export = Export::new(4);
    export.accepted(&stack).await?;
    stack.await_trace(&export.trace_id, 4).await?;
    let bucket = Bucket::of(&stack);
    let keys = bucket.keys().await?;
    assert_eq!(keys.len(), 1);
    assert!(keys[0].starts_with("v1/20") && keys[0].ends_with("-4.otlp"), "{}", keys[0]);
    let (bytes, metadata) = bucket.get(&keys[0]).await?;
    let digest = Sha256Digest::of(&bytes).to_string();
    for (name, value) in [("tenant", "acme"), ("key-id", "acme-key"), ("sha256", digest.as_str())] {
        assert!(metadata.contains(&(name.to_owned(), value.to_owned())), "{name}: {metadata:?}");
    }
    assert_eq!(stack.rows_of_trace(&export.trace_id).await?[0]["ObjectKey"], keys[0]);
    stack.stop_now().await
}

#[tokio::test]
async fn the_same_request_sent_again_is_stored_once() -> Result<()> {
    let stack = TestStack::start().await?;
    let (export, other) = (Export::new(2), Export::new(1));
    export.accepted(&stack).await?;
    export.accepted(&stack).await?;
    stack.await_trace(&export.trace_id, 2).await?;
    // Once a later trace is there, the resend has been through as well.
    other.accepted(&stack).await?;
    stack.await_trace(&other.trace_id, 1).await?;
    assert_eq!(stack.count(&export.trace_id).await?, 2);
    stack.stop_now().await
}

#[tokio::test]
async fn a_request_over_many_days_is_stored_up_to_the_bound() -> Result<()> {
    let stack = TestStack::start().await?;
    let mut export = Export::new(40);
    let spans =
        export.request["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array_mut().into_iter().flatten();
    for (day, span) in spans.enumerate() {
        span["endTimeUnixNano"] = json!(null);
        span["startTimeUnixNano"] = json!((1_700_000_000 + day as u64 * 86_400).to_string() + "000000000");
    }
    let trace_id = export.trace_id.clone();
    let answer: Value = export.json().send(&stack, "acme").await?.json().await?;
    assert_eq!(answer["partialSuccess"]["rejectedSpans"], "9");
    let message = answer["partialSuccess"]["errorMessage"].as_str().unwrap_or_default();
    assert!(
        message.starts_with("too_many_days (9, the first is resource_spans[0].scope_spans[0].spans[31])"),
        "{message}"
    );
    stack.await_trace(&trace_id, 31).await?;
    stack.stop_now().await
}

#[tokio::test]
async fn the_view_finds_when_a_trace_was() -> Result<()> {
    let stack = TestStack::start().await?;
    let export = Export::new(3);
    export.accepted(&stack).await?;
    stack.await_trace(&export.trace_id, 3).await?;
    let found = format!(
        "SELECT count() FROM otel_traces WHERE TraceId = '{id}'
         AND Timestamp >= (SELECT min(Start) FROM otel_traces_trace_id_ts WHERE TraceId = '{id}')
         AND Timestamp <= (SELECT max(End) + 1 FROM otel_traces_trace_id_ts WHERE TraceId = '{id}')",
        id = export.trace_id
    );
    // The view follows the table a moment later.
    stack.await_count(&found, 3, ARRIVAL).await?;
    stack.stop_now().await
}

#[tokio::test]
async fn the_trace_context_goes_from_the_exporter_to_the_consumers_own_spans() -> Result<()> {
    let stack = TestStack::start_with(Setup { own_spans: true, ..Setup::default() }).await?;
    let caller_trace = Export::new(0).trace_id;
    let export = Export::new(1).within(format!("00-{caller_trace}-00f067aa0ba902b7-01"));
    export.accepted(&stack).await?;
    stack.await_trace(&caller_trace, 12).await?;
    #[derive(Row, Deserialize)]
    struct Hop {
        name: String,
        id: String,
        parent: String,
    }
    let hops = format!(
        "SELECT toString(SpanName) AS name, SpanId AS id, ParentSpanId AS parent FROM otel_traces
         WHERE TraceId = '{caller_trace}' AND ServiceName LIKE 'spillway%' AND TenantId = 'spillway-operator'"
    );
    let hops = stack.clickhouse().query_raw(&hops).fetch_all::<Hop>().await?;
    let parent_of = |name: &str| {
        let hop = hops.iter().find(|hop| hop.name == name);
        let parent = hop.map(|hop| hop.parent.as_str()).unwrap_or_default();
        hops.iter().find(|hop| hop.id == parent).map_or(parent, |hop| hop.name.as_str())
    };
    assert_eq!(parent_of("ingest"), "00f067aa0ba902b7");
    assert_eq!(["auth", "allowance", "read", "validate", "store", "notify"].map(parent_of), ["ingest"; 6]);
    assert_eq!((parent_of("enqueue"), parent_of("consume")), ("ingest", "ingest"));
    assert_eq!([parent_of("fetch"), parent_of("decode"), parent_of("insert")], ["consume"; 3]);
    stack.stop_now().await
}
