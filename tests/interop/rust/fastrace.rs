//! Exports 2,001 spans in one request with the crate `fastrace-opentelemetry`, as JSON, and prints what became of each batch as
//! one line of JSON. `opentelemetry-otlp` indents its JSON, as for people to read.
//!
//! ```text
//! interop-fastrace ORDER
//! ```
//!
//! `ORDER` is that of `../clients/mod.rs`. Endpoint, key, compression and service name come from the variables of
//! OpenTelemetry.

use std::borrow::Cow;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use fastrace::Span;
use fastrace::collector::{Config, SpanContext};
use fastrace::local::LocalSpan;
use fastrace_opentelemetry::OpenTelemetryReporter;
use opentelemetry::InstrumentationScope;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter as Export};
use serde_json::{Value, json};

/// Below the root.
const CHILDREN: usize = 2_000;

/// Hands batches on to the real exporter, and remembers what became of them.
#[derive(Debug)]
struct Recorder {
    exporter: SpanExporter,
    batches: Arc<Mutex<Vec<Value>>>,
}

impl Export for Recorder {
    async fn export(&self, spans: Vec<SpanData>) -> OTelSdkResult {
        let start = Instant::now();
        let result = self.exporter.export(spans).await;
        if let Err(error) = &result {
            eprintln!("{error}");
        }
        let batch = json!({ "exported": result.is_ok(), "seconds": start.elapsed().as_secs_f64() });
        self.batches.lock().unwrap_or_else(PoisonError::into_inner).push(batch);
        result
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

fn main() -> Result<()> {
    let order = std::env::args().nth(1).context("no order")?;
    let order: Value = serde_json::from_str(&order)?;
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(local_stack::http::blocking_client())
        .with_protocol(Protocol::HttpJson)
        .build()?;
    let batches = Arc::<Mutex<Vec<Value>>>::default();
    let recorder = Recorder { exporter, batches: Arc::clone(&batches) };
    let resource = Cow::Owned(Resource::builder().build());
    let scope = InstrumentationScope::builder("interop").with_version("1.2.3").build();
    // What is reported is what is flushed: one request a batch.
    let config = Config::default().report_interval(Duration::from_secs(3_600));
    fastrace::set_reporter(OpenTelemetryReporter::new(recorder, resource, scope), config);
    for _ in 0..order["batches"].as_u64().context("no batches")? {
        make_spans();
        fastrace::flush();
    }
    writeln!(std::io::stdout(), "{}", json!(*batches.lock().unwrap_or_else(PoisonError::into_inner)))?;
    Ok(())
}

fn make_spans() {
    let root = Span::root("root", SpanContext::random())
        .with_properties(|| [("text", "ü"), ("span.kind", "server"), ("span.status_code", "ok")]);
    let _guard = root.set_local_parent();
    for n in 0..CHILDREN {
        let _child = LocalSpan::enter_with_local_parent("below").with_property(|| ("n", n.to_string()));
    }
}
