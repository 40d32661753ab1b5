//! The exporters, each in a process of its own, configured as their users do: by the variables of OpenTelemetry.

mod command;
mod profile;

use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

pub use profile::{Client, Kind};

/// More than the longest that one of them tries.
const AT_MOST: Duration = Duration::from_secs(150);

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
#[derive(Clone, Copy)]
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
    /// How long it waits for an answer, where that is not its default.
    pub timeout: Option<Duration>,
}

/// What the exporter said of a batch.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Batch {
    /// Whether it takes it to be exported; none where it does not say, as an agent.
    pub exported: Option<bool>,
    /// How long it was busy with it; none where it does not say.
    pub seconds: Option<f64>,
}

/// What a client did.
#[derive(Debug)]
pub struct Report {
    /// Its batches, in order.
    pub batches: Vec<Batch>,
    /// Its log.
    pub log: String,
}

impl Report {
    /// Whether no batch failed, as far as the client says.
    pub fn none_failed(&self) -> bool {
        self.batches.iter().all(|batch| batch.exported != Some(false))
    }

    /// Whether no batch was exported, as far as the client says.
    pub fn none_exported(&self) -> bool {
        self.batches.iter().all(|batch| batch.exported != Some(true))
    }
}

impl Client {
    /// Lets it send what `order` says.
    pub async fn send(self, order: &Order, to: &Destination<'_>) -> Result<Report> {
        let mut command = self.command(order, to)?;
        command
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", to.endpoint)
            .env("OTEL_EXPORTER_OTLP_HEADERS", format!("x-api-key={}", to.key))
            .env("OTEL_SERVICE_NAME", to.service)
            .env("OTEL_METRICS_EXPORTER", "none")
            .env("OTEL_LOGS_EXPORTER", "none")
            // Some of them would send to loopback through a proxy, too.
            .env("NO_PROXY", "127.0.0.1")
            .env("no_proxy", "127.0.0.1")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        if to.gzip {
            command.env("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip");
        }
        if let Some(timeout) = to.timeout {
            command.env("OTEL_EXPORTER_OTLP_TIMEOUT", self.timeout_text(timeout));
        }
        // The program of Python looks at it; those that are fixed to HTTP do not.
        let protocol = if to.grpc { "grpc" } else { self.protocol() };
        command.env("OTEL_EXPORTER_OTLP_PROTOCOL", protocol);
        let output = tokio::time::timeout(AT_MOST, command.output()).await;
        let output = output.with_context(|| format!("{self:?} takes more than {AT_MOST:?}"))??;
        self.report(&output)
    }

    fn report(self, output: &Output) -> Result<Report> {
        let log = String::from_utf8_lossy(&output.stderr).into_owned();
        let said = String::from_utf8_lossy(&output.stdout);
        ensure!(output.status.success(), "{self:?} ended with {}:\n{log}\n{said}", output.status);
        if let Some(sign) = self.sign_of_failure() {
            let exported = Some(!log.contains(sign));
            return Ok(Report { batches: vec![Batch { exported, seconds: None }], log });
        }
        let line = said.lines().last().with_context(|| format!("{self:?} printed nothing:\n{log}"))?;
        let batches: Vec<_> =
            serde_json::from_str(line).with_context(|| format!("{self:?} printed {line}"))?;
        ensure!(!batches.is_empty(), "{self:?} has exported nothing:\n{log}");
        Ok(Report { batches, log })
    }
}
