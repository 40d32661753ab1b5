//! The tables, and what goes into the file.

use std::fmt::{self, Write};
use std::fs;
use std::io;

use anyhow::{Context, Result};
use flate2::Compression;
use flate2::write::GzEncoder;
use local_stack::tools::edge_build;
use serde::Serialize;
use spillway_bench::machine::Machine;

use crate::measure::{CallResult, Plan, STORES, Spread, WorkerResult};
use crate::workerd;

/// All that was measured, and where. [`fmt::Display`] makes tables of it, in Markdown.
#[derive(Serialize)]
pub struct Report {
    short: bool,
    rounds: usize,
    turn_ms: u128,
    concurrency: usize,
    machine: Machine,
    workerd: String,
    edge_wasm: Size,
    workers: Vec<WorkerResult>,
    calls: Vec<CallResult>,
}

#[derive(Serialize)]
struct Size {
    bytes: usize,
    gzipped_bytes: usize,
}

impl Report {
    /// Adds to the results what they depend on.
    pub fn new(
        plan: &Plan,
        short: bool,
        machine: Machine,
        workers: Vec<WorkerResult>,
        calls: Vec<CallResult>,
    ) -> Result<Self> {
        Ok(Self {
            short,
            rounds: plan.rounds,
            turn_ms: plan.turn.as_millis(),
            concurrency: plan.concurrency,
            machine,
            workerd: workerd::version()?,
            edge_wasm: wasm_size()?,
            workers,
            calls,
        })
    }
}

fn wasm_size() -> Result<Size> {
    let wasm = fs::read(edge_build()?.join("index_bg.wasm")).context("the Worker's wasm")?;
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    io::Write::write_all(&mut encoder, &wasm)?;
    Ok(Size { bytes: wasm.len(), gzipped_bytes: encoder.finish()?.len() })
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}, {}, {} requests in flight", self.workerd, self.machine, self.concurrency)?;
        writeln!(f, "medians of {} rounds of {} ms (lowest to highest)", self.rounds, self.turn_ms)?;
        let Size { bytes, gzipped_bytes } = self.edge_wasm;
        writeln!(f, "the edge's wasm: {bytes} bytes, {gzipped_bytes} gzipped")?;
        if self.short {
            writeln!(f, "this was a short run: the figures say nothing")?;
        }
        self.workers_table(f)?;
        self.calls_table(f)
    }
}

impl Report {
    fn workers_table(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first = self.workers.first().map_or("", |result| result.worker);
        writeln!(
            f,
            "\n| request | Worker | µs CPU a request | times \"{first}\" | times \"{STORES}\" | requests/s |"
        )?;
        writeln!(f, "| --- | --- | ---: | ---: | ---: | ---: |")?;
        for result in &self.workers {
            let request = format!("{} ({:.1} KB)", result.payload, result.body_bytes as f64 / 1e3);
            let (cpu, ratio) = (spread(result.cpu_us, 0), spread(result.ratio, 2));
            let to_storing = result.ratio_to_storing.map_or_else(String::new, |ratio| spread(ratio, 2));
            let per_second = spread(result.requests_per_second, 0);
            writeln!(f, "| {request} | {} | {cpu} | {ratio} | {to_storing} | {per_second} |", result.worker)?;
        }
        Ok(())
    }

    fn calls_table(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.calls.is_empty() {
            return Ok(());
        }
        writeln!(
            f,
            "\n| in flight | call | µs CPU a request | above no call | µs latency (p50) | above no call |"
        )?;
        writeln!(f, "| ---: | --- | ---: | ---: | ---: | ---: |")?;
        for result in &self.calls {
            let [cpu, cpu_above, latency, latency_above] =
                [result.cpu_us, result.cpu_above_none_us, result.latency_us, result.latency_above_none_us]
                    .map(|figure| spread(figure, 0));
            let CallResult { call, concurrency, .. } = result;
            writeln!(f, "| {concurrency} | {call} | {cpu} | {cpu_above} | {latency} | {latency_above} |")?;
        }
        Ok(())
    }
}

fn spread(figure: Spread, decimals: usize) -> String {
    let Spread { median, min, max } = figure;
    let mut text = format!("{median:.decimals$}");
    if min != max {
        // Writing into a String cannot fail.
        let _ = write!(text, " ({min:.decimals$} to {max:.decimals$})");
    }
    text
}
