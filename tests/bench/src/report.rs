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

use crate::compare::{Compared, OrderResult, Spread, WorkerResult};
use crate::contestants::{DIGESTS, READS, STORES};
use crate::measure::{CallResult, Plan};
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
    #[serde(flatten)]
    compared: Compared,
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
        compared: Compared,
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
            compared,
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
        self.orders_table(f)?;
        self.digest_table(f)?;
        self.beside_table(f)?;
        self.calls_table(f)
    }
}

impl Report {
    fn workers_table(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let workers = &self.compared.workers;
        let Some(WorkerResult { worker: first, order, .. }) = workers.first() else { return Ok(()) };
        writeln!(
            f,
            "\n| request, fields in {order} order | Worker | µs CPU a request | times \"{first}\" | times \"{STORES}\" \
             | requests/s |"
        )?;
        writeln!(f, "| --- | --- | ---: | ---: | ---: | ---: |")?;
        for result in workers {
            let request = format!("{} ({:.1} KB)", result.payload, result.body_bytes as f64 / 1e3);
            let (cpu, ratio) = (spread(result.cpu_us, 0), spread(result.ratio, 2));
            let to_storing = result.ratio_to_storing.map_or_else(String::new, |ratio| spread(ratio, 2));
            let per_second = spread(result.requests_per_second, 0);
            writeln!(f, "| {request} | {} | {cpu} | {ratio} | {to_storing} | {per_second} |", result.worker)?;
        }
        Ok(())
    }

    fn orders_table(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.compared.orders.is_empty() {
            return Ok(());
        }
        writeln!(
            f,
            "\n| request | Worker | µs CPU, fields in ascending order | in descending order | times |"
        )?;
        writeln!(f, "| --- | --- | ---: | ---: | ---: |")?;
        for OrderResult { worker, payload, ascending_us, descending_us, ratio } in &self.compared.orders {
            let [ascending, descending] = [*ascending_us, *descending_us].map(|figure| spread(figure, 0));
            let ratio = spread(*ratio, 2);
            writeln!(f, "| {payload} | {worker} | {ascending} | {descending} | {ratio} |")?;
        }
        Ok(())
    }

    fn digest_table(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(digest) = &self.compared.digest else { return Ok(()) };
        let request = format!("{} ({:.1} KB)", digest.payload, digest.body_bytes as f64 / 1e3);
        let [reads, digests, a_megabyte] =
            [digest.reads_us, digest.digests_us, digest.us_a_megabyte].map(|figure| spread(figure, 0));
        writeln!(f, "\n| request | µs CPU, \"{READS}\" | \"{DIGESTS}\" | µs a MB for the id |")?;
        writeln!(f, "| --- | ---: | ---: | ---: |")?;
        writeln!(f, "| {request} | {reads} | {digests} | {a_megabyte} |")
    }

    fn beside_table(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.compared.beside.is_empty() {
            return Ok(());
        }
        writeln!(
            f,
            "\n| request | µs CPU, this edge | the other checkout's | times | of that µs for the id | times, without it |"
        )?;
        writeln!(f, "| --- | ---: | ---: | ---: | ---: | ---: |")?;
        for result in &self.compared.beside {
            let [this, other] = [result.this_us, result.other_us].map(|figure| spread(figure, 0));
            let digest = result.digest_us.map_or_else(String::new, |digest| format!("{digest:.0}"));
            let without = result.ratio_without_digest.map_or_else(String::new, |ratio| spread(ratio, 2));
            let (payload, ratio) = (result.payload, spread(result.ratio, 2));
            writeln!(f, "| {payload} | {this} | {other} | {ratio} | {digest} | {without} |")?;
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
