//! Spillway's spans about its own work: the hops of an object, in the trace of the request that brought it.
//!
//! They are sent as OTLP to where the configuration says, which may be the edge of this very installation. Objects of
//! the tenant that such spans belong to are not traced themselves: a span about a span would never end.

pub mod hop;

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanExporter as _};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::config::{ConfigError, is_url};
use crate::metrics::Metrics;

/// Spans that wait to be sent; more are dropped, and counted.
const CAPACITY: usize = 8192;
/// Spans that are sent at once.
const GROUP: usize = 512;
/// How long spans wait for company.
const LINGER: Duration = Duration::from_millis(500);
/// The time that sending may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// `[telemetry]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TelemetryConfig {
    /// Where the spans go: an OTLP/HTTP endpoint with its path, such as `https://ingress.example.com/v1/traces`. Unset
    /// means that none are made.
    pub endpoint: Option<String>,
    /// Sent as `Authorization: Bearer`.
    pub api_key: Option<SecretString>,
    /// The tenant of `api_key`, where the endpoint is this installation's own edge. Its objects are not traced.
    pub own_tenant: Option<String>,
}

impl TelemetryConfig {
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        self.endpoint.as_deref().map_or(Ok(()), |url| is_url("telemetry.endpoint", url))
    }
}

/// Takes spans; cheap to clone. Without an endpoint it takes them nowhere.
#[derive(Clone, Default)]
pub struct Telemetry(Option<Arc<Sender>>);

struct Sender {
    spans: mpsc::Sender<SpanData>,
    own_tenant: Option<String>,
    metrics: Arc<Metrics>,
}

impl Telemetry {
    /// Starts the task that sends; it ends, after its last spans, once every clone of the other half is gone.
    pub fn start(
        config: &TelemetryConfig,
        metrics: &Arc<Metrics>,
    ) -> Result<(Self, JoinHandle<()>), opentelemetry_otlp::ExporterBuildError> {
        let Some(endpoint) = &config.endpoint else { return Ok((Self::default(), tokio::spawn(async {}))) };
        let bearer = config
            .api_key
            .iter()
            .map(|key| ("authorization".to_owned(), format!("Bearer {}", key.expose_secret())));
        let mut exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(reqwest::Client::new())
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(endpoint)
            .with_timeout(TIMEOUT)
            .with_headers(bearer.collect())
            .build()?;
        let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        exporter
            .set_resource(&Resource::builder().with_service_name("spillway").with_attribute(version).build());
        let (spans, waiting) = mpsc::channel(CAPACITY);
        let task = tokio::spawn(send_all(exporter, waiting, Arc::clone(metrics)));
        let own_tenant = config.own_tenant.clone();
        Ok((Self(Some(Arc::new(Sender { spans, own_tenant, metrics: Arc::clone(metrics) }))), task))
    }

    /// Takes the spans of an object's hops, if they are to be recorded.
    pub fn record(&self, hops: Vec<hop::Hop>) {
        let Some(sender) = &self.0 else { return };
        for hop in hops {
            let wanted = hop.sampled() && sender.own_tenant.as_deref() != Some(hop.tenant());
            if wanted && sender.spans.try_send(hop.into_span()).is_err() {
                sender.metrics.own_spans_dropped(1);
            }
        }
    }
}

async fn send_all(exporter: SpanExporter, mut waiting: mpsc::Receiver<SpanData>, metrics: Arc<Metrics>) {
    let mut group = Vec::with_capacity(GROUP);
    while waiting.recv_many(&mut group, GROUP).await > 0 {
        let _ = tokio::time::timeout(LINGER, async {
            while group.len() < GROUP && waiting.recv_many(&mut group, GROUP).await > 0 {}
        })
        .await;
        let spans = std::mem::take(&mut group);
        let count = spans.len();
        if let Err(error) = exporter.export(spans).await {
            metrics.own_spans_dropped(count);
            tracing::warn!(%error, spans = count, "own spans could not be exported");
        }
    }
}
