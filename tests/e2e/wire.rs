//! Requests byte for byte as clients that are not run here send them.

use std::io::Read;

use anyhow::{Context, Result, ensure};
use flate2::read::GzDecoder;
use serde_json::{Value, json};
use spillway_tests::export::Export;
use spillway_tests::rows::check_columns;
use spillway_tests::stack::TestStack;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The example of the repository opentelemetry-proto: ids in upper case, times of 2018.
const SPECIFICATION_EXAMPLE: &str = include_str!("../fixtures/opentelemetry-proto-trace.json");
/// What the exporter of spatie/flare-client-php makes: PHP's escapes, null for what is not known, numbers for
/// nanoseconds, no `kind`.
const FLARE_TRACE: &str = include_str!("../fixtures/flare-client-php-trace.json");

#[tokio::test]
async fn the_example_of_the_specification_is_stored() -> Result<()> {
    let stack = TestStack::start().await?;
    let answer = Export::new(0).json().to(&stack, "acme")?.body(SPECIFICATION_EXAMPLE).send().await?;
    assert_eq!((answer.status().as_u16(), answer.text().await?.as_str()), (200, "{}"));
    let trace_id = "5b8efff798038103d269b633813fc60c";
    stack.await_trace(trace_id, 1).await?;
    let row = stack.rows_of_trace(trace_id).await?.remove(0);
    let expected = json!({
        "Timestamp": "2018-12-13 14:51:00.000000000", "SpanId": "eee19b7ec3c1b174", "ParentSpanId": "eee19b7ec3c1b173",
        "SpanName": "I'm a server span", "SpanKind": "Server", "Duration": "1000000000", "ServiceName": "my.service",
        "ScopeName": "my.library", "ScopeVersion": "1.0.0", "SpanAttributes": { "my.span.attr": "some value" },
        "ScopeAttributes": { "my.scope.attribute": "some scope attribute" },
    });
    check_columns(&row, &expected)?;
    stack.stop_now().await
}

#[tokio::test]
async fn a_trace_of_flares_php_client_is_stored() -> Result<()> {
    let stack = TestStack::start().await?;
    let answer = curl_sender(&stack, FLARE_TRACE).await?;
    assert_eq!((answer.status, answer.body.as_str()), (200, "{}"), "{}", answer.head);
    let trace_id = "0af7651916cd43dd8448eb211c80319c";
    stack.await_trace(trace_id, 2).await?;
    let rows = stack.rows_of_trace(trace_id).await?;
    let request = json!({
        "Timestamp": "2026-11-21 03:04:05.123456789", "SpanId": "b7ad6b7169203331", "ParentSpanId": "",
        "SpanName": "Request - /café", "SpanKind": "Unspecified", "Duration": "500000000", "ServiceName": "Laravel",
        "ScopeName": "spatie/laravel-flare", "StatusCode": "Unset",
        "SpanAttributes": {
            "flare.span_type": "php_request", "http.response.status_code": "200",
            "http.request.headers": "{\"accept\":\"*/*\",\"referer\":null}", "laravel.middleware": "[\"web\",null,[]]",
            "flare.peak_memory_usage": "20971520", "sample.rate": "0.1", "laravel.is_octane": "false",
        },
        "Events.Name": ["Cache hit - users"], "Events.Timestamp": ["2026-11-21 03:04:05.223456789"],
    });
    check_columns(&rows[0], &request)?;
    let unfinished = json!({
        "Timestamp": "2026-11-21 03:04:05.323456789", "ParentSpanId": "b7ad6b7169203331", "Duration": "0",
        "StatusCode": "Error", "StatusMessage": "", "DroppedAttributesCount": 2,
    });
    check_columns(&rows[1], &unfinished)?;
    stack.stop_now().await
}

#[tokio::test]
async fn flares_php_client_can_read_a_refusal() -> Result<()> {
    let stack = TestStack::start().await?;
    let answer = curl_sender(&stack, r#"{"resourceSpans":[{"scopeSpans":5}]}"#).await?;
    assert_eq!(answer.status, 400, "{}", answer.head);
    let status: Value = serde_json::from_str(&answer.body)?;
    assert!(status["message"].as_str().is_some_and(|message| message.contains("scopeSpans")), "{status}");
    stack.stop_now().await
}

struct Answer {
    head: String,
    status: u16,
    body: String,
}

/// What `CurlSender` of spatie/flare-client-php 3.3.1 sends: HTTP/1.0, the key in the query and in a header.
async fn curl_sender(stack: &TestStack, body: &str) -> Result<Answer> {
    let (address, key) = (stack.edge.url.trim_start_matches("http://"), stack.key("acme")?);
    let head = [
        format!("POST /v1/traces?key={key} HTTP/1.0"),
        format!("Host: {address}"),
        "User-Agent: Laravel/Flare API 1.0".to_owned(),
        "Accept-Encoding: deflate, gzip, br, zstd".to_owned(),
        "Accept: application/json".to_owned(),
        "Content-Type: application/json".to_owned(),
        format!("x-api-token: {key}"),
        format!("Content-Length: {}", body.len()),
    ];
    let mut connection = TcpStream::connect(address).await?;
    connection.write_all(format!("{}\r\n\r\n{body}", head.join("\r\n")).as_bytes()).await?;
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer).await?;
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").context("no end of the headers")?;
    let head = String::from_utf8(answer[..end].to_vec())?;
    // Chunks are of HTTP/1.1.
    ensure!(!head.to_lowercase().contains("transfer-encoding"), "{head}");
    let status = head.split(' ').nth(1).context("no status")?.parse()?;
    let body = decoded(&head, &answer[end + 4..])?;
    Ok(Answer { head, status, body })
}

/// The body, as curl decodes it.
fn decoded(head: &str, body: &[u8]) -> Result<String> {
    let mut text = String::new();
    if head.to_lowercase().contains("content-encoding: gzip") {
        GzDecoder::new(body).read_to_string(&mut text)?;
    } else {
        text.push_str(std::str::from_utf8(body)?);
    }
    Ok(text)
}
