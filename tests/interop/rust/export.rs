//! Exports spans with the crate `opentelemetry-otlp`, and prints what became of each batch as one line of JSON.
//!
//! ```text
//! interop-rust ORDER
//! ```
//!
//! `ORDER` is that of `../clients/mod.rs`. Endpoint, key, compression and service name come from the variables of
//! OpenTelemetry.

use std::io::Write;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result};
use opentelemetry::trace::{
    Link, SpanContext, SpanId, SpanKind, Status, TraceContextExt, TraceFlags, TraceId, TraceState, Tracer,
    TracerProvider,
};
use opentelemetry::{Array, Context as OtelContext, InstrumentationScope, KeyValue, StringValue, Value};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use serde::Deserialize;
use serde_json::json;

const DAY: Duration = Duration::from_secs(86_400);

#[derive(Deserialize)]
struct Order {
    batches: u32,
    padding: usize,
    ahead_days: u32,
}

fn main() -> Result<()> {
    let order = std::env::args().nth(1).context("no order")?;
    let order: Order = serde_json::from_str(&order)?;
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(local_stack::http::blocking_client())
        .with_protocol(Protocol::HttpBinary)
        .build()?;
    let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).build();
    let scope = InstrumentationScope::builder("interop").with_version("1.2.3").build();
    let tracer = provider.tracer_with_scope(scope);
    let mut batches = Vec::new();
    for _ in 0..order.batches {
        make_spans(&tracer, &order);
        let start = Instant::now();
        let flushed = provider.force_flush();
        if let Err(error) = &flushed {
            eprintln!("{error}");
        }
        batches.push(json!({ "exported": flushed.is_ok(), "seconds": start.elapsed().as_secs_f64() }));
    }
    provider.shutdown()?;
    writeln!(std::io::stdout(), "{}", json!(batches))?;
    Ok(())
}

fn make_spans(tracer: &SdkTracer, order: &Order) {
    let start = SystemTime::now();
    let first_start = start + DAY * order.ahead_days;
    let root = tracer
        .span_builder("span 1")
        .with_kind(SpanKind::Server)
        .with_start_time(first_start)
        .with_attributes(attributes(order.padding))
        .with_links(vec![Link::new(linked(), vec![KeyValue::new("l", 2)], 0)])
        .start_with_context(tracer, &OtelContext::new());
    let root = OtelContext::new().with_span(root);
    root.span().add_event("happened", vec![KeyValue::new("e", 1)]);
    let kinds = [SpanKind::Client, SpanKind::Internal, SpanKind::Producer, SpanKind::Consumer];
    for (kind, n) in kinds.into_iter().zip(2..) {
        let name = format!("span {n}");
        let child = tracer.span_builder(name).with_kind(kind).with_start_time(start);
        let child = root.with_span(child.start_with_context(tracer, &root));
        if n == 2 {
            child.span().set_status(Status::error("bad"));
        }
        child.span().end_with_timestamp(start + Duration::from_millis(1));
    }
    root.span().end_with_timestamp(first_start + Duration::from_millis(2));
}

fn attributes(padding: usize) -> Vec<KeyValue> {
    let list = ["a", "b"].map(StringValue::from).to_vec();
    let mut attributes = vec![
        KeyValue::new("text", "ü"),
        KeyValue::new("int", -5),
        KeyValue::new("double", 0.25),
        KeyValue::new("bool", true),
        KeyValue::new("list", Value::Array(Array::String(list))),
    ];
    if padding > 0 {
        attributes.push(KeyValue::new("padding", "x".repeat(padding)));
    }
    attributes
}

fn linked() -> SpanContext {
    let trace = TraceId::from(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10);
    let span = SpanId::from(0x0102_0304_0506_0708);
    SpanContext::new(trace, span, TraceFlags::NOT_SAMPLED, true, TraceState::NONE)
}
