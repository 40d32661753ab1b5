//! The forms in which clients send, in workerd: encodings, paths, browsers, gRPC.

use std::io::Write;

use anyhow::{Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use reqwest::{Method, Response};
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use serde_json::{Value, json};
use spillway_tests::export::{Export, gzipped};
use spillway_tests::raw::Connection;
use spillway_tests::stack::TestStack;
use tokio::io::AsyncWriteExt;

const PAGE: &str = "https://app.example";

fn zlib(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?)
}

fn bare_deflate(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?)
}

fn zstd(bytes: &[u8]) -> Result<Vec<u8>> {
    Ok(compress_to_vec(bytes, CompressionLevel::Fastest))
}

fn snappy_block(bytes: &[u8]) -> Result<Vec<u8>> {
    Ok(snap::raw::Encoder::new().compress_vec(bytes)?)
}

fn snappy_frames(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = snap::write::FrameEncoder::new(Vec::new());
    encoder.write_all(bytes)?;
    Ok(encoder.into_inner()?)
}

#[tokio::test]
async fn spans_arrive_from_every_encoding() -> Result<()> {
    let stack = TestStack::start().await?;
    for (header, encode) in [
        ("gzip", gzipped as fn(&[u8]) -> Result<Vec<u8>>),
        ("x-gzip", gzipped),
        ("zstd", zstd),
        ("deflate", zlib),
        ("deflate", bare_deflate),
        ("snappy", snappy_block),
        ("snappy", snappy_frames),
        ("x-snappy-framed", snappy_frames),
    ] {
        for json in [false, true] {
            let export = if json { Export::new(3).json() } else { Export::new(3) };
            let body = encode(&export.body()?)?;
            let request = export.to(&stack, "acme")?.header("content-encoding", header).body(body);
            let answer = request.send().await?;
            ensure!(answer.status() == 200, "{header}: {}: {}", answer.status(), answer.text().await?);
            stack.await_trace(&export.trace_id, 3).await?;
        }
    }
    stack.stop_now().await
}

/// Every span with the same long text, as the events of an error storm and the prompts of a chat have it.
fn with_text(spans: usize, text: &str) -> Export {
    let mut export = Export::new(spans);
    let spans = &mut export.request["resourceSpans"][0]["scopeSpans"][0]["spans"];
    for span in spans.as_array_mut().into_iter().flatten() {
        let attribute = json!({ "key": "exception.stacktrace", "value": { "stringValue": text } });
        let time = span["startTimeUnixNano"].clone();
        span["events"] = json!([{ "name": "exception", "timeUnixNano": time, "attributes": [attribute] }]);
    }
    export
}

#[tokio::test]
async fn error_storms_arrive_however_well_they_compress() -> Result<()> {
    let stack = TestStack::start().await?;
    let frame = "\tat com.example.shop.checkout.CheckoutService.reserve(CheckoutService.java:217)\n";
    let stack_trace = with_text(512, &frame.repeat(80));
    let prompts = with_text(200, &"You are a helpful assistant of a shop. ".repeat(512));
    for (export, spans) in [(stack_trace, 512), (prompts, 200)] {
        let plain = export.body()?;
        let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(&plain)?;
        let body = encoder.finish()?;
        ensure!(plain.len() > 100 * body.len(), "{} bytes become {}", plain.len(), body.len());
        let request = export.to(&stack, "acme")?.header("content-encoding", "gzip").body(body);
        assert_eq!(request.send().await?.status(), 200);
        stack.await_trace(&export.trace_id, spans).await?;
    }
    stack.stop_now().await
}

#[tokio::test]
async fn paths_that_sdks_join_reach_the_handler_and_other_signals_are_told_how_to_stop() -> Result<()> {
    let stack = TestStack::start().await?;
    for path in ["//v1/traces", "/v1/traces/v1/traces", "/v1/traces//v1/traces/"] {
        let export = Export::new(1);
        let request = local_stack::http::client().post(format!("{}{path}", stack.edge.url));
        let request = request.header("x-api-key", stack.key("acme")?);
        let request = request.header("content-type", "application/x-protobuf").body(export.body()?);
        assert_eq!(request.send().await?.status(), 200, "{path}");
        stack.await_trace(&export.trace_id, 1).await?;
    }
    for path in ["/v1/metrics", "/v1/logs/", "//v1/logs"] {
        let request = local_stack::http::client().post(format!("{}{path}", stack.edge.url));
        let answer = request.header("content-type", "application/json").body("{}").send().await?;
        assert_eq!(answer.status(), 404, "{path}");
        let message = message(answer).await?;
        for variable in ["OTEL_METRICS_EXPORTER=none", "OTEL_LOGS_EXPORTER=none"] {
            assert!(message.contains(variable), "{path}: {message}");
        }
    }
    stack.stop_now().await
}

#[tokio::test]
async fn a_content_type_that_is_sent_twice_is_taken() -> Result<()> {
    let stack = TestStack::start().await?;
    let (one, other) = ("application/json", "application/x-protobuf");
    let export = Export::new(1).json();
    let twice = |second: &str| -> Result<_> { Ok(export.to(&stack, "acme")?.header("content-type", second)) };
    assert_eq!(twice(one)?.send().await?.status(), 200);
    stack.await_trace(&export.trace_id, 1).await?;
    let refused = twice(other)?.send().await?;
    assert_eq!(refused.status(), 415);
    let message = message(refused).await?;
    assert!(message.contains(one) && message.contains(other), "{message}");
    stack.stop_now().await
}

#[tokio::test]
async fn a_browser_may_ask_send_and_read_the_answer() -> Result<()> {
    let stack = TestStack::start().await?;
    let url = format!("{}/v1/traces", stack.edge.url);
    // What Chromium asks before `navigator.sendBeacon` with a `Blob` in JSON, and what instrumented pages add.
    let preflight = local_stack::http::client().request(Method::OPTIONS, &url);
    let preflight = preflight
        .header("origin", PAGE)
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "baggage,content-type,sentry-trace,x-api-key");
    let answer = preflight.send().await?;
    assert_eq!(answer.status(), 204);
    readable_by_page(&answer)?;
    let allowed = answer.headers()["access-control-allow-headers"].to_str()?;
    for name in ["baggage", "content-type", "sentry-trace", "x-api-key", "authorization", "traceparent"] {
        assert!(allowed.split(", ").any(|known| known == name), "{name}: {allowed}");
    }
    let vary = answer.headers()["vary"].to_str()?.to_lowercase();
    assert!(vary.contains("origin") && vary.contains("access-control-request-headers"), "{vary}");
    // The beacon itself: the key is in the URL, since it cannot have headers of its own.
    let export = Export::new(1).json();
    let beacon = local_stack::http::client().post(format!("{url}?key={}", stack.key("acme")?));
    let beacon =
        beacon.header("origin", PAGE).header("content-type", "application/json").body(export.body()?);
    let answer = beacon.send().await?;
    assert_eq!(answer.status(), 200);
    readable_by_page(&answer)?;
    assert!(answer.headers().get("set-cookie").is_none());
    stack.await_trace(&export.trace_id, 1).await?;
    stack.stop_now().await
}

#[tokio::test]
async fn a_page_may_ask_and_send_where_it_is_refused_with_an_advice() -> Result<()> {
    let stack = TestStack::start().await?;
    let http = local_stack::http::client();
    let grpc = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
    for (path, content_type, status, named) in [
        ("/v1/metrics", "application/json", 404, "OTEL_METRICS_EXPORTER=none"),
        ("/v1/logs", "application/json", 404, "OTEL_LOGS_EXPORTER=none"),
        ("/v1/trace", "application/json", 404, "/v1/traces"),
        ("/nope", "application/json", 404, "/v1/traces"),
        ("/healthz", "application/json", 405, "GET, HEAD, OPTIONS"),
        (grpc, "application/grpc-web+proto", 200, "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf"),
        (grpc, "application/grpc-web-text", 200, "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf"),
    ] {
        let url = format!("{}{path}", stack.edge.url);
        let preflight = http.request(Method::OPTIONS, &url).header("origin", PAGE);
        let preflight = preflight
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "content-type,x-api-key,x-grpc-web");
        let answer = preflight.send().await?;
        assert_eq!(answer.status(), 204, "{path}");
        readable_by_page(&answer)?;
        let allowed = answer.headers()["access-control-allow-headers"].to_str()?;
        for name in ["content-type", "x-api-key", "x-grpc-web"] {
            assert!(allowed.split(", ").any(|known| known == name), "{path}: {name}: {allowed}");
        }
        let request = http.post(&url).header("origin", PAGE).header("content-type", content_type).body("{}");
        let answer = request.send().await?;
        assert_eq!(answer.status(), status, "{path}");
        readable_by_page(&answer)?;
        let told = if content_type.contains("grpc") {
            assert_eq!(answer.headers()["grpc-status"], "12");
            assert!(answer.headers()["access-control-expose-headers"].to_str()?.contains("grpc-message"));
            let is_text = content_type.contains("text");
            let expected =
                if is_text { "application/grpc-web-text+proto" } else { "application/grpc-web+proto" };
            assert_eq!(answer.headers()["content-type"], expected);
            let body = answer.bytes().await?;
            let frame = if is_text { STANDARD.decode(body)? } else { body.to_vec() };
            assert_eq!(frame.first(), Some(&0x80));
            String::from_utf8(frame.get(5..).unwrap_or_default().to_vec())?
        } else {
            message(answer).await?
        };
        assert!(told.contains(named), "{path}: {told}");
    }
    assert!(spillway_tests::bucket::Bucket::of(&stack).keys().await?.is_empty());
    stack.stop_now().await
}

#[tokio::test]
async fn a_key_in_another_form_is_told_what_is_wrong() -> Result<()> {
    let stack = TestStack::start().await?;
    let export = Export::new(1).json();
    let key = stack.key("acme")?;
    for (name, value, named) in [
        ("authorization", format!("Bearer\t{key}"), "other than one space"),
        ("authorization", format!("Bearer%2520{key}"), "percent-encoded"),
        ("authorization", format!("Bearer %22{key}%22"), "percent-encoded"),
        ("authorization", format!("Bearer <{key}>"), "brackets"),
        ("authorization", format!("Bearer Bearer {key}"), "scheme twice"),
        ("authorization", format!("Bearer “{key}”"), "outside of ASCII"),
        ("x-api-key", format!("Bearer {key}"), "scheme before the key"),
    ] {
        let request = local_stack::http::client().post(format!("{}/v1/traces", stack.edge.url));
        let request = request.header("content-type", "application/json").body(export.body()?);
        let answer = request.header(name, value.as_bytes()).send().await?;
        assert_eq!(answer.status(), 401, "{named}");
        let message = message(answer).await?;
        assert!(message.contains(named) && !message.contains(key), "{named}: {message}");
    }
    stack.stop_now().await
}

#[tokio::test]
async fn a_page_can_read_every_refusal() -> Result<()> {
    let stack = TestStack::start().await?;
    let url = format!("{}/v1/traces", stack.edge.url);
    let foreign =
        Export::new(1).json().to(&stack, "pages")?.header("origin", "https://evil.example").send().await?;
    assert_eq!(foreign.status(), 403);
    assert_eq!(foreign.headers()["access-control-allow-origin"], "https://evil.example");
    assert_eq!(foreign.headers()["access-control-allow-credentials"], "true");
    assert!(message(foreign).await?.contains("may not be used by pages of this origin"));
    let http = local_stack::http::client();
    for (request, status) in [
        (Export::new(1).json().to(&stack, "gone")?, 401),
        (Export::new(1).json().to(&stack, "acme")?.body("{"), 400),
        (Export::new(1).json().to(&stack, "acme")?.body(vec![b' '; 9 << 20]), 413),
        (http.post(format!("{}/v1/logs", stack.edge.url)), 404),
        (http.put(&url), 405),
    ] {
        let answer = request.header("origin", PAGE).send().await?;
        assert_eq!(answer.status(), status);
        readable_by_page(&answer)?;
        assert!(!message(answer).await?.is_empty());
    }
    let answer = Export::new(1).json().to(&stack, "pages")?.header("origin", PAGE).send().await?;
    assert_eq!(answer.status(), 200);
    stack.stop_now().await
}

/// What a browser looks for before a page sees an answer to a request with credentials:
/// <https://fetch.spec.whatwg.org/#cors-check>.
fn readable_by_page(answer: &Response) -> Result<()> {
    let headers = answer.headers();
    assert_eq!(headers["access-control-allow-origin"], PAGE);
    assert_eq!(headers["access-control-allow-credentials"], "true");
    assert!(headers["access-control-expose-headers"].to_str()?.contains("retry-after"));
    Ok(())
}

#[tokio::test]
async fn a_call_of_grpc_is_answered_by_trailers_only_before_any_key_is_looked_at() -> Result<()> {
    let stack = TestStack::start().await?;
    for (service, named) in [
        ("trace.v1.TraceService", "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf"),
        ("metrics.v1.MetricsService", "OTEL_METRICS_EXPORTER=none"),
        ("logs.v1.LogsService", "OTEL_LOGS_EXPORTER=none"),
    ] {
        let mut connection = Connection::open(&stack).await?;
        let head = format!(
            "POST /opentelemetry.proto.collector.{service}/Export HTTP/1.1\r\nhost: edge\r\nte: trailers\r\n\
             content-type: application/grpc\r\ncontent-length: 5\r\n\r\n"
        );
        connection.sender.write_all(&[head.as_bytes(), &[0; 5]].concat()).await?;
        let answer = connection.answers.next().await?.expect("an answer");
        let head = answer.head.to_lowercase();
        for line in
            ["http/1.1 200 ok", "content-length: 0", "content-type: application/grpc", "grpc-status: 12"]
        {
            assert!(head.lines().any(|found| found == line), "{line}: {head}");
        }
        let message = answer.head.lines().find_map(|line| line.strip_prefix("grpc-message: "));
        assert!(message.is_some_and(|message| message.contains(named)), "{head}");
        assert!(answer.body.is_empty());
    }
    assert!(spillway_tests::bucket::Bucket::of(&stack).keys().await?.is_empty());
    stack.stop_now().await
}

/// The message of a Status in JSON.
async fn message(answer: Response) -> Result<String> {
    let status: Value = answer.json().await?;
    Ok(status["message"].as_str().unwrap_or_default().to_owned())
}
