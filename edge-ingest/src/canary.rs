//! What the cron does: a trace of its own goes the way of all traces, and a probe tells by which route notifications go.

use prost::Message;
use serde_json::Value;
use spillway_proto::TenantId;
use spillway_proto::key_record::KeyRecord;
use spillway_proto::otlp::ExportTraceServiceRequest;
use spillway_proto::otlp::common::v1::{AnyValue, KeyValue, any_value};
use spillway_proto::otlp::resource::v1::Resource;
use spillway_proto::otlp::trace::v1::span::SpanKind;
use spillway_proto::otlp::trace::v1::{ResourceSpans, ScopeSpans, Span};
use spillway_proto::probe::{ProbeKind, ProbeReport};
use spillway_proto::trace_context::TraceContext;

use crate::config::Config;
use crate::ingest::ingest_own;
use crate::isolate::Isolate;
use crate::notify::{Notified, notify};
use crate::ports::{Notifier, ObjectStore, Prober, Runtime, random};
use crate::probe::probe;
use crate::reject::Rejection;
use crate::store::Bucket;

/// The service that the canary's span is of.
pub const SERVICE: &str = "spillway-canary";
/// The attribute that marks it.
pub const MARK: &str = "spillway.canary";

/// What became of a canary.
#[derive(Debug)]
pub struct Canary {
    /// How its notification fared; none where it was not stored.
    pub notified: Option<Notified>,
    /// How the probe fared.
    pub probed: ProbeReport,
    /// Why it was not stored.
    pub rejection: Option<Rejection>,
}

/// Sends one: stored by the same steps as any export (5 to 8), of the canary's tenant.
pub async fn run<P: Notifier + Prober>(
    config: &Config,
    isolate: &Isolate,
    objects: &impl ObjectStore,
    notifier: &P,
    runtime: &impl Runtime,
) -> Canary {
    let stored = match record(&config.canary_tenant) {
        Ok(key) => {
            let bucket = Bucket { objects, link: &isolate.bucket_link, config };
            ingest_own(export(runtime), &key, config, &bucket, runtime).await
        }
        Err(error) => {
            let detail = error.to_string();
            Err(Rejection::Fault(crate::ports::PortError { what: "canary", detail }))
        }
    };
    let (notification, rejection) = match stored {
        Ok(notification) => (notification, None),
        Err(rejection) => (None, Some(rejection)),
    };
    let notified = match &notification {
        Some(notification) => {
            Some(notify(notification, &config.notify, &isolate.notify_links, notifier, runtime).await)
        }
        None => None,
    };
    let object_key = notification.map(|notification| notification.object_key);
    let probed = probe(ProbeKind::Canary, object_key, config, notifier, runtime).await;
    Canary { notified, probed, rejection }
}

/// The record that its span is stored by; nobody has a key to it.
fn record(tenant: &TenantId) -> Result<KeyRecord, serde_json::Error> {
    serde_json::from_value(Value::from_iter([("tenant", tenant.as_str()), ("key_id", "canary")]))
}

/// One span, of a trace of its own.
fn export(runtime: &impl Runtime) -> Vec<u8> {
    let context = TraceContext::root(random(runtime), random(runtime));
    let now = runtime.now().as_nanos();
    let attribute = |key: &str, value| KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        key_strindex: 0,
    };
    let span = Span {
        trace_id: context.trace_id.to_vec(),
        span_id: context.span_id.to_vec(),
        name: "canary".to_owned(),
        kind: SpanKind::Internal.into(),
        start_time_unix_nano: now,
        end_time_unix_nano: now,
        attributes: vec![attribute(MARK, any_value::Value::BoolValue(true))],
        ..Span::default()
    };
    let service = attribute("service.name", any_value::Value::StringValue(SERVICE.to_owned()));
    let of_resource = ResourceSpans {
        resource: Some(Resource { attributes: vec![service], ..Resource::default() }),
        scope_spans: vec![ScopeSpans { spans: vec![span], ..ScopeSpans::default() }],
        schema_url: String::new(),
    };
    ExportTraceServiceRequest { resource_spans: vec![of_resource] }.encode_to_vec()
}
