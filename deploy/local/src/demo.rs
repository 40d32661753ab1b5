//! One real trace, by a real exporter: a shop's checkout.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use opentelemetry::trace::{SpanId, SpanKind, Status, TraceContextExt, TraceId, Tracer, TracerProvider};
use opentelemetry::{Context as OtelContext, KeyValue};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator, SdkTracerProvider};

use crate::http;

/// The spans of the trace.
pub const SPANS: u64 = 5;
const EXPORT_TIMEOUT: Duration = Duration::from_secs(10);

/// Gives the first trace and its root the ids that they were promised: the export carries them in its `traceparent`, so
/// that the hops of the export lie in the very trace that it brings.
#[derive(Debug)]
struct PromisedIds {
    trace: TraceId,
    root: SpanId,
    root_given: AtomicBool,
}

impl IdGenerator for PromisedIds {
    fn new_trace_id(&self) -> TraceId {
        self.trace
    }

    fn new_span_id(&self) -> SpanId {
        if self.root_given.swap(true, Ordering::Relaxed) {
            RandomIdGenerator::default().new_span_id()
        } else {
            self.root
        }
    }
}

/// Sends the trace with `key` to `ingress`, and returns its id in hex. Blocks: the exporter has a thread of its own.
pub fn send(ingress: &str, key: &str) -> Result<String> {
    let ids = RandomIdGenerator::default();
    let (trace, root) = (ids.new_trace_id(), ids.new_span_id());
    let headers = HashMap::from([
        ("x-api-key".to_owned(), key.to_owned()),
        ("traceparent".to_owned(), format!("00-{trace}-{root}-01")),
    ]);
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(http::blocking_client())
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(format!("{ingress}/v1/traces"))
        .with_timeout(EXPORT_TIMEOUT)
        .with_headers(headers)
        .build()?;
    let provider = SdkTracerProvider::builder()
        .with_id_generator(PromisedIds { trace, root, root_given: AtomicBool::new(false) })
        .with_resource(Resource::builder().with_service_name("demo-shop").build())
        .with_batch_exporter(exporter)
        .build();
    checkout(&provider);
    provider.force_flush().context("the exporter could not send the trace")?;
    provider.shutdown().context("the exporter could not be shut down")?;
    Ok(trace.to_string())
}

/// [`SPANS`] spans that really take the time that they show.
fn checkout(provider: &SdkTracerProvider) {
    let tracer = provider.tracer("spillway.demo");
    let work = |millis| std::thread::sleep(Duration::from_millis(millis));
    let start = |name: &'static str, kind, parent: &OtelContext| {
        parent.with_span(tracer.span_builder(name).with_kind(kind).start_with_context(&tracer, parent))
    };
    let root = start("POST /checkout", SpanKind::Server, &OtelContext::new());
    root.span().set_attribute(KeyValue::new("http.request.method", "POST"));
    work(2);
    let stock = start("reserve stock", SpanKind::Internal, &root);
    let query = start("UPDATE stock", SpanKind::Client, &stock);
    query.span().set_attribute(KeyValue::new("db.system.name", "postgresql"));
    work(3);
    query.span().end();
    stock.span().end();
    let payment = start("POST /charge", SpanKind::Client, &root);
    payment.span().add_event("retry", vec![KeyValue::new("attempt", 2)]);
    work(4);
    payment.span().end();
    let mail = start("send receipt", SpanKind::Producer, &root);
    mail.span().set_status(Status::error("the mail server is busy"));
    work(1);
    mail.span().end();
    root.span().end();
}
