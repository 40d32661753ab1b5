//! `make bench-e2e`: the whole way, on real parts: exporters' requests over HTTP into the Worker in workerd, R2 (Miniflare's), the
//! origin, its queue, the consumer, ClickHouse.
//!
//! For each shape of spans there are two parts. First as many requests as the edge takes: what it accepts in a second, and what
//! each process has used of the processor once all rows are stored and merged. Then a steady load that leaves the machine idle
//! time: how long it takes from an exporter's 200 until its rows are seen by a query. Where it is asked for, the steady load goes
//! on for so long, and the memory of the origin is watched. After each part the table must hold every span that was accepted, once.

mod fresh;
mod load;
mod parts;
mod report;
mod soak;

use std::fs;
use std::io::{Write, stdout};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use local_stack::command::run_to_end;
use spillway_bench::machine::Machine;
use spillway_bench::workload::Shape;
use tempfile::TempDir;

use crate::parts::Parts;
use crate::report::{Figures, Report};

/// Measures the whole way of a span, from an exporter's request to its row, on the parts of the local stack.
#[derive(Parser)]
struct Cli {
    /// Only see that everything works: a few requests, whose figures say nothing
    #[arg(long)]
    short: bool,
    /// Spans that are sent as fast as they are accepted
    #[arg(long, value_name = "N", default_value_t = 500_000)]
    spans: usize,
    /// Spans of a request
    #[arg(long, value_name = "N", default_value_t = 100)]
    request_spans: usize,
    /// Exporters that send side by side, each its next request after the answer to its last one
    #[arg(long, value_name = "N", default_value_t = 16)]
    exporters: usize,
    /// Requests in a second of the steady load
    #[arg(long, value_name = "N", default_value_t = 20.0)]
    steady_rate: f64,
    /// How long the steady load lasts, in seconds
    #[arg(long, value_name = "S", default_value_t = 30)]
    steady_seconds: u64,
    /// Go on with the steady load for so many minutes, and watch the memory of the origin and the consumer; 0: do not
    #[arg(long, value_name = "M", default_value_t = 0.0)]
    soak_minutes: f64,
    /// Compress the requests, as the Collector does; most SDKs do not
    #[arg(long)]
    gzip: bool,
    /// Only one shape of spans
    #[arg(long, value_enum)]
    shape: Option<Shape>,
    /// Where the data lie meanwhile
    #[arg(long, value_name = "FOLDER", default_value_os_t = std::env::temp_dir())]
    folder: PathBuf,
    /// Where the figures go, all of them
    #[arg(long, value_name = "FILE", default_value = "target/bench-e2e.json")]
    json: PathBuf,
}

/// How much is measured.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub struct Plan {
    short: bool,
    spans: usize,
    request_spans: usize,
    exporters: usize,
    steady_rate: f64,
    steady_requests: usize,
    soak: Duration,
    gzip: bool,
}

impl Cli {
    fn plan(&self) -> Plan {
        let (spans, steady_seconds, soak) = if self.short {
            (1_000, 1, Duration::from_secs(2))
        } else {
            let soak = Duration::try_from_secs_f64(self.soak_minutes * 60.0);
            (self.spans, self.steady_seconds, soak.unwrap_or_default())
        };
        let steady_rate = self.steady_rate.max(0.1);
        Plan {
            short: self.short,
            spans: spans.max(1),
            request_spans: self.request_spans.max(1),
            exporters: self.exporters.max(1),
            steady_rate,
            soak,
            steady_requests: ((steady_seconds as f64 * steady_rate) as usize).max(1),
            gzip: self.gzip,
        }
    }
}

fn main() -> ExitCode {
    run_to_end("bench-e2e", run(&Cli::parse()))
}

async fn run(cli: &Cli) -> Result<()> {
    let (plan, machine) = (cli.plan(), Machine::now()?);
    let folder = TempDir::with_prefix_in("spillway-bench-", &cli.folder)?;
    let mut figures = Vec::new();
    for shape in Shape::wanted(cli.shape) {
        eprintln!("bench-e2e: {shape}: starting the stack");
        let mut parts = Parts::start(&folder.path().join(shape.to_string())).await?;
        eprintln!("bench-e2e: {shape}: {} spans as fast as they are accepted", plan.spans);
        let loaded = load::measure(&mut parts, shape, &plan).await?;
        eprintln!("bench-e2e: {shape}: {} requests, {} a second", plan.steady_requests, plan.steady_rate);
        let fresh = fresh::measure(&parts, shape, &plan, loaded.spans).await?;
        if !plan.soak.is_zero() {
            eprintln!("bench-e2e: {shape}: {} requests a second for {:?}", plan.steady_rate, plan.soak);
        }
        let stored = loaded.spans + (plan.steady_requests * plan.request_spans) as u64;
        let soaked = soak::measure(&parts, shape, &plan, stored).await?;
        parts.stop().await?;
        figures.push(Figures { shape, loaded, fresh, soaked });
    }
    let report = Report { plan, machine, figures };
    fs::write(&cli.json, serde_json::to_vec_pretty(&report)?)
        .with_context(|| format!("cannot write {}", cli.json.display()))?;
    write!(stdout(), "{report}")?;
    eprintln!("bench-e2e: the figures are also in {}", cli.json.display());
    Ok(())
}
