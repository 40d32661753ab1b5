//! What is known of each exporter.

use std::path::PathBuf;
use std::time::Duration;

use local_stack::tools::exported;

/// An exporter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Client {
    /// PyPI's `opentelemetry-exporter-otlp-proto-http`, the newest.
    Python,
    /// The same of February 2025: 1.30.
    Python130,
    /// PyPI's `logfire`, with an exporter of its own around Python's.
    Logfire,
    /// npm's `@opentelemetry/exporter-trace-otlp-http`: JSON.
    NodeJson,
    /// npm's `@opentelemetry/exporter-trace-otlp-proto`.
    NodeProtobuf,
    /// The program of [`Client::NodeProtobuf`], run by Bun.
    Bun,
    /// Deno's own exporter, which is part of the runtime (`OTEL_DENO`).
    Deno,
    /// npm's `@vercel/otel`, with exporters of its own.
    Vercel,
    /// npm's `@microlabs/otel-cf-workers`, in a Worker in workerd.
    Worker,
    /// npm's `@opentelemetry/sdk-trace-web` in a page in Chromium, which sends by `fetch`.
    Page,
    /// The same, by `navigator.sendBeacon`.
    Beacon,
    /// The crate `opentelemetry-otlp`.
    Rust,
    /// The crate `fastrace-opentelemetry`, by `opentelemetry-otlp` in JSON: 2,001 spans in one request, which is indented.
    Fastrace,
    /// Java's SDK over the JDK's `HttpClient` (`opentelemetry-exporter-sender-jdk`).
    JavaJdk,
    /// Java's SDK over OkHttp.
    JavaOkHttp,
    /// The Java agent.
    JavaAgent,
    /// Go's `otlptracehttp`.
    Go,
    /// The Collector's `telemetrygen`, over Go's `otlptracehttp`.
    Telemetrygen,
    /// A Collector of today: `otlpreceiver`, `batchprocessor`, `otlphttpexporter`.
    Collector,
    /// A Collector of July 2025, which writes the fields of a message in the opposite order.
    OldCollector,
}

/// How a client's program is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It makes the five spans of `export.py`, in all languages alike.
    FiveSpans,
    /// It makes spans of its own.
    Own,
}

/// What the variables of `setup.sh` are called.
const PREFIX: &str = "SPILLWAY_INTEROP_";

impl Client {
    /// All of them, in the order of the table.
    pub const ALL: [Self; 20] = [
        Self::Python,
        Self::Python130,
        Self::Logfire,
        Self::NodeJson,
        Self::NodeProtobuf,
        Self::Bun,
        Self::Deno,
        Self::Vercel,
        Self::Worker,
        Self::Page,
        Self::Beacon,
        Self::Rust,
        Self::Fastrace,
        Self::JavaJdk,
        Self::JavaOkHttp,
        Self::JavaAgent,
        Self::Go,
        Self::Telemetrygen,
        Self::Collector,
        Self::OldCollector,
    ];

    /// Its name in the table, with the version that is pinned.
    pub fn name(self) -> &'static str {
        match self {
            Self::Python => "Python 1.45.2",
            Self::Python130 => "Python 1.30.0",
            Self::Logfire => "logfire 5.4.0 (Python)",
            Self::NodeJson => "Node 0.301.0, JSON",
            Self::NodeProtobuf => "Node 0.301.0, protobuf",
            Self::Bun => "Bun 1.4.5 (Node's exporter)",
            Self::Deno => "Deno 2.9.6 (its own exporter)",
            Self::Vercel => "`@vercel/otel` 2.1.3",
            Self::Worker => "`otel-cf-workers` 1.0.0-rc.52",
            Self::Page => "page in Chromium, `fetch`",
            Self::Beacon => "page in Chromium, `sendBeacon`",
            Self::Rust => "Rust 0.33.1",
            Self::Fastrace => "fastrace 0.7, indented JSON, 2,001 spans",
            Self::JavaJdk => "Java SDK, `HttpClient`",
            Self::JavaOkHttp => "Java SDK, OkHttp",
            Self::JavaAgent => "Java agent",
            Self::Go => "Go 1.47.0",
            Self::Telemetrygen => "`telemetrygen` 0.161.0 (Go)",
            Self::Collector => "Collector 0.165.0",
            Self::OldCollector => "Collector 0.130.0",
        }
    }

    /// The variable of `setup.sh` that names what this client needs; none where cargo builds it.
    fn variable(self) -> Option<&'static str> {
        Some(match self {
            Self::Python => "PYTHON",
            Self::Python130 => "PYTHON_1_30",
            Self::Logfire => "LOGFIRE",
            Self::NodeJson | Self::NodeProtobuf => "NODE_MODULES",
            Self::Bun => "BUN",
            Self::Deno => "DENO",
            Self::Vercel => "VERCEL",
            Self::Worker => "WORKER",
            Self::Page | Self::Beacon => "CHROMIUM",
            Self::Rust | Self::Fastrace => return None,
            Self::JavaJdk | Self::JavaOkHttp | Self::JavaAgent => "JAVA",
            Self::Go => "GO",
            Self::Telemetrygen => "TELEMETRYGEN",
            Self::Collector => "COLLECTOR",
            Self::OldCollector => "OLD_COLLECTOR",
        })
    }

    /// What its variable names.
    pub(super) fn tool(self) -> anyhow::Result<PathBuf> {
        exported(&format!("{PREFIX}{}", self.variable().unwrap_or_default()))
    }

    /// Why it cannot be run on this machine; none where it can.
    pub fn why_left_out(self) -> Option<String> {
        let variable = self.variable()?;
        if self.tool().is_ok() {
            return None;
        }
        let reason = std::env::var(format!("{PREFIX}{variable}_LEFT_OUT")).unwrap_or_default();
        Some(if reason.is_empty() { format!("{PREFIX}{variable} is not set") } else { reason })
    }

    /// What its program makes.
    pub fn kind(self) -> Kind {
        match self {
            Self::Python
            | Self::Python130
            | Self::NodeJson
            | Self::NodeProtobuf
            | Self::Bun
            | Self::Deno
            | Self::Page
            | Self::Beacon
            | Self::Rust
            | Self::JavaJdk
            | Self::JavaOkHttp
            | Self::Go => Kind::FiveSpans,
            _ => Kind::Own,
        }
    }

    /// The spans of one batch, at least: some make further ones of their own accord.
    pub fn spans(self) -> usize {
        match self {
            Self::Telemetrygen => 2,
            Self::Fastrace => 2_001,
            Self::Worker => 1,
            _ => 5,
        }
    }

    /// The `Content-Type` of its requests.
    pub fn content_type(self) -> &'static str {
        if self.protocol() == "http/json" { "application/json" } else { "application/x-protobuf" }
    }

    /// The value of `OTEL_EXPORTER_OTLP_PROTOCOL`.
    pub(super) fn protocol(self) -> &'static str {
        match self {
            Self::NodeJson | Self::Worker | Self::Page | Self::Beacon | Self::Fastrace => "http/json",
            _ => "http/protobuf",
        }
    }

    /// Whether it compresses when it is asked to.
    pub fn can_gzip(self) -> bool {
        !matches!(self, Self::Deno | Self::Vercel | Self::Worker | Self::Page | Self::Beacon)
    }

    /// Whether the order's padding and days reach its spans.
    pub fn can_pad(self) -> bool {
        self != Self::Fastrace
    }

    /// See [`Client::can_pad`].
    pub fn can_be_ahead(self) -> bool {
        self.kind() == Kind::FiveSpans
            || matches!(self, Self::Vercel | Self::JavaAgent | Self::Collector | Self::OldCollector)
    }

    /// Whether it may send a batch in more than one request. Those of Deno and the Java agent are parted by time.
    pub fn splits(self) -> bool {
        matches!(self, Self::Vercel | Self::Logfire | Self::Deno | Self::JavaAgent)
    }

    /// Whether it takes every answer for success: `@vercel/otel` does not look at the status, and a beacon has no answer.
    pub fn is_blind(self) -> bool {
        matches!(self, Self::Vercel | Self::Beacon)
    }

    /// Whether it sends a batch again after 503.
    pub fn tries_again(self) -> bool {
        !matches!(self, Self::Deno | Self::Vercel | Self::Worker | Self::Beacon)
    }

    /// Whether it sends a batch again after 429. Python's did so after 408 and 5xx only, until 2025.
    pub fn tries_again_over_the_rate(self) -> bool {
        self.tries_again() && self != Self::Python130
    }

    /// By how many nanoseconds a duration may be off: Deno's exporter computes times in floating point.
    pub fn duration_error(self) -> u64 {
        if self == Self::Deno { 1_000 } else { 0 }
    }

    /// Whether the number of its tries is bounded, so that it gives up the sooner the shorter the edge tells it to wait.
    pub fn counts_tries(self) -> bool {
        matches!(
            self,
            Self::Python
                | Self::Logfire
                | Self::NodeJson
                | Self::NodeProtobuf
                | Self::Bun
                | Self::Page
                | Self::JavaJdk
                | Self::JavaOkHttp
        )
    }

    /// What it sends of the text "ü": Deno's exporter replaces what V8 keeps as Latin-1.
    pub fn sent_text(self) -> &'static str {
        if self == Self::Deno { "\u{fffd}" } else { "ü" }
    }

    /// How many seconds after its first try its last one comes at least, where every try is answered 503 with `Retry-After: 2`;
    /// none where that is not known. With 1, those that count their tries have ended by then.
    pub fn patience_with_faults(self) -> Option<f64> {
        match self {
            _ if self.counts_tries() => Some(7.0),
            Self::Rust | Self::Fastrace => Some(3.5),
            Self::Python130 | Self::Go => Some(20.0),
            Self::Telemetrygen => Some(10.0),
            _ => None,
        }
    }

    /// The value of `OTEL_EXPORTER_OTLP_TIMEOUT`: Python counts seconds, all others milliseconds.
    pub(super) fn timeout_text(self, timeout: Duration) -> String {
        match self {
            Self::Python | Self::Python130 | Self::Logfire => timeout.as_secs().to_string(),
            _ => timeout.as_millis().to_string(),
        }
    }

    /// What its log says only if a batch failed, for those that print nothing of their batches.
    pub(super) fn sign_of_failure(self) -> Option<&'static str> {
        match self {
            Self::Telemetrygen => Some("traces export: "),
            Self::JavaAgent => Some("Failed to export "),
            _ => None,
        }
    }
}
