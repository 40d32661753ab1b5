//! The exporters, each in a process of its own, configured as their users do: by the variables of OpenTelemetry.

use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use local_stack::tools::{checkout, exported};
use serde::{Deserialize, Serialize};
use tokio::process::Command;

/// More than the longest that one of them tries.
const AT_MOST: Duration = Duration::from_secs(120);

/// An exporter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Client {
    /// PyPI's `opentelemetry-exporter-otlp-proto-http`.
    Python,
    /// npm's `@opentelemetry/exporter-trace-otlp-http`: JSON.
    NodeJson,
    /// npm's `@opentelemetry/exporter-trace-otlp-proto`.
    NodeProtobuf,
    /// The crate `opentelemetry-otlp`.
    Rust,
    /// The Collector's `telemetrygen`, over Go's `otlptracehttp`.
    Telemetrygen,
}

/// What a client is to send.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Order {
    /// How many batches, one after the other, each of [`Client::spans`] spans.
    pub batches: u32,
    /// The bytes of an attribute that does nothing but make the batch larger.
    pub padding: usize,
    /// How many days in the future the first span of each batch begins.
    pub ahead_days: u32,
}

/// One small batch of good spans.
pub const ONE_BATCH: Order = Order { batches: 1, padding: 0, ahead_days: 0 };

/// Where it sends, and as whom.
pub struct Destination<'a> {
    /// The edge.
    pub endpoint: &'a str,
    /// Its API key.
    pub key: &'a str,
    /// The name of its service.
    pub service: &'a str,
    /// Whether it compresses.
    pub gzip: bool,
    /// Whether it speaks gRPC, as those of Python and Go can.
    pub grpc: bool,
}

/// What the exporter said of a batch.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Batch {
    /// Whether it takes it to be exported.
    pub exported: bool,
    /// How long it was busy with it.
    pub seconds: f64,
}

/// What a client did.
#[derive(Debug)]
pub struct Report {
    /// Its batches, in order.
    pub batches: Vec<Batch>,
    /// Its log.
    pub log: String,
}

impl Client {
    /// The spans of one batch.
    pub fn spans(self) -> u64 {
        if self == Self::Telemetrygen { 2 } else { 5 }
    }

    /// How long it goes on at least where every try is answered 503, in seconds. Python's and Node's would give up after 4 to 5 s
    /// were they told to wait for 1 s: then it is the number of tries that ends it.
    pub fn patience_with_faults(self) -> f64 {
        match self {
            Self::Python | Self::NodeJson | Self::NodeProtobuf => 7.0,
            Self::Rust => 4.0,
            Self::Telemetrygen => 20.0,
        }
    }

    /// The `Content-Type` of its requests.
    pub fn content_type(self) -> &'static str {
        if self == Self::NodeJson { "application/json" } else { "application/x-protobuf" }
    }

    /// Lets it send what `order` says.
    pub async fn send(self, order: &Order, to: &Destination<'_>) -> Result<Report> {
        let mut command = self.command(order, to)?;
        command
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", to.endpoint)
            .env("OTEL_EXPORTER_OTLP_HEADERS", format!("x-api-key={}", to.key))
            .env("OTEL_SERVICE_NAME", to.service)
            // Some of them would send to loopback through a proxy, too.
            .env("NO_PROXY", "127.0.0.1")
            .env("no_proxy", "127.0.0.1")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        if to.gzip {
            command.env("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip");
        }
        if to.grpc {
            command.env("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
        }
        let start = std::time::Instant::now();
        let output = tokio::time::timeout(AT_MOST, command.output()).await;
        let output = output.with_context(|| format!("{self:?} takes more than {AT_MOST:?}"))??;
        self.report(&output, start.elapsed())
    }

    fn command(self, order: &Order, to: &Destination<'_>) -> Result<Command> {
        let order_json = serde_json::to_string(order)?;
        let programs = checkout().join("tests/interop");
        let node = |protocol: &str| -> Result<_> {
            let mut command = Command::new(exported("SPILLWAY_NODE")?);
            command.env("SPILLWAY_INTEROP_NODE_MODULES", exported("SPILLWAY_INTEROP_NODE_MODULES")?);
            command.arg(programs.join("node/export.mjs")).arg(protocol).arg(&order_json);
            Ok(command)
        };
        match self {
            Self::Python => {
                let mut command = Command::new(exported("SPILLWAY_INTEROP_PYTHON")?);
                command.arg(programs.join("python/export.py")).arg(order_json);
                Ok(command)
            }
            Self::NodeJson => node("http"),
            Self::NodeProtobuf => node("proto"),
            Self::Rust => {
                let mut command = Command::new(env!("CARGO_BIN_EXE_interop-rust"));
                command.arg(order_json);
                Ok(command)
            }
            Self::Telemetrygen => {
                let mut command = Command::new(telemetrygen().context("there is no telemetrygen")?);
                command.args(telemetrygen_arguments(order, to)?);
                Ok(command)
            }
        }
    }

    fn report(self, output: &Output, took: Duration) -> Result<Report> {
        let log = String::from_utf8_lossy(&output.stderr).into_owned();
        let said = String::from_utf8_lossy(&output.stdout);
        ensure!(output.status.success(), "{self:?} ended with {}:\n{log}", output.status);
        if self == Self::Telemetrygen {
            // It ends well even where nothing was exported.
            let exported = !log.contains("traces export: ");
            return Ok(Report { batches: vec![Batch { exported, seconds: took.as_secs_f64() }], log });
        }
        let line = said.lines().last().with_context(|| format!("{self:?} printed nothing:\n{log}"))?;
        let batches = serde_json::from_str(line).with_context(|| format!("{self:?} printed {line}"))?;
        Ok(Report { batches, log })
    }
}

/// The program, where set-up found Go to compile it with.
pub fn telemetrygen() -> Option<PathBuf> {
    exported("SPILLWAY_INTEROP_TELEMETRYGEN").ok()
}

fn telemetrygen_arguments(order: &Order, to: &Destination<'_>) -> Result<Vec<String>> {
    ensure!(order.ahead_days == 0, "telemetrygen has no option for the time of its spans");
    let address = to.endpoint.trim_start_matches("http://");
    let mut arguments: Vec<String> = ["traces", "--otlp-insecure", "--rate=0"].map(str::to_owned).to_vec();
    if !to.grpc {
        arguments.push("--otlp-http".to_owned());
    }
    arguments.extend([
        format!("--otlp-endpoint={address}"),
        format!("--otlp-header=x-api-key=\"{}\"", to.key),
        format!("--service={}", to.service),
        format!("--traces={}", order.batches),
        format!("--batch-size={}", Client::Telemetrygen.spans()),
    ]);
    if order.padding > 0 {
        arguments.push(format!("--telemetry-attributes=padding=\"{}\"", "x".repeat(order.padding)));
    }
    Ok(arguments)
}
