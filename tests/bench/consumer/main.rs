//! `make bench-consumer`: what a million spans cost the consumer and ClickHouse in CPU, from the GET of an object to the
//! acknowledged insert, in the way over the wire and in that by `prost`.
//!
//! The ways take turns in each round, on the same objects. The stages of each are measured alone, in one thread; then the
//! consumer itself brings all objects from the bucket (Miniflare's R2) into a new table of the real schema, and what it has
//! used is counted once the queue is empty, and what ClickHouse has used once it has nothing left to merge.
//!
//! With `--scaling`: how all that changes with threads, processes, the size of objects and that of the table.

mod report;
mod scaling;
mod stages;
mod whole;

use std::fmt::Display;
use std::fs;
use std::io::{Write, stdout};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use local_stack::command::run_to_end;
use origin_consumer::consume::Decoder;
use serde::Serialize;
use spillway_bench::ledgers::Ledgers;
use spillway_bench::machine::Machine;
use spillway_bench::rig::Rig;
use spillway_bench::workload::{self, Shape};
use spillway_generator::order::Order;

use crate::report::{Figures, Report};

/// The consumer's own; with the feature `system-allocator` that of the system, to compare.
#[cfg(not(feature = "system-allocator"))]
#[global_allocator]
static ALLOCATOR: origin_consumer::Allocator = origin_consumer::ALLOCATOR;

/// Measures what a million spans cost the consumer and ClickHouse in CPU, by the wire and by `prost`.
#[derive(Parser)]
struct Cli {
    /// Only see that everything works: one small round, whose figures say nothing
    #[arg(long)]
    short: bool,
    /// How often every way has its turn
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Spans of a round
    #[arg(long, default_value_t = 1_000_000)]
    spans: usize,
    /// The most spans of a batch
    #[arg(long, default_value_t = 100_000)]
    batch_spans: usize,
    /// Only one shape of spans
    #[arg(long, value_enum)]
    shape: Option<Shape>,
    /// The order of the fields in all objects; without it they are ascending, and realistic spans go through the stages by the wire in
    /// descending order as well
    #[arg(long, value_enum)]
    order: Option<Order>,
    /// Only the stages: no bucket, and nothing is merged
    #[arg(long)]
    stages: bool,
    /// Instead: one and two threads, one and two processes on one ledger, 1 to 100,000 spans an object, and tables that hold
    /// rows already; realistic spans unless another shape is named
    #[arg(long, conflicts_with = "stages")]
    scaling: bool,
    /// With --scaling: how many rows the table holds before; 100000000 takes some 12 GB where temporary files lie
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_values_t = [0, 1_000_000, 10_000_000])]
    table_rows: Vec<u64>,
    /// Where the figures go, all of them [default: target/bench-consumer.json, target/bench-scaling.json]
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// The ways, in the order of their turns.
const DECODERS: [Decoder; 2] = [Decoder::Wire, Decoder::Prost];

fn main() -> ExitCode {
    run_to_end("bench-consumer", run(&Cli::parse()))
}

async fn run(cli: &Cli) -> Result<()> {
    if cli.scaling { scale(cli).await } else { compare(cli).await }
}

async fn scale(cli: &Cli) -> Result<()> {
    let short = cli.short;
    let plan = scaling::Plan {
        short,
        rounds: if short { 1 } else { cli.rounds.max(1) },
        spans: if short { 200 } else { cli.spans.max(1) },
        shape: cli.shape.unwrap_or(Shape::Realistic),
        order: cli.order.unwrap_or_default(),
        table_rows: if short { vec![1_000] } else { cli.table_rows.clone() },
    };
    let report = scaling::measure(&plan, Machine::now()?).await?;
    finish(cli, "target/bench-scaling.json", &report)
}

/// The report goes to the standard output, and into a file with all of its figures.
fn finish(cli: &Cli, json: &str, report: &(impl Display + Serialize)) -> Result<()> {
    let json = cli.json.clone().unwrap_or_else(|| json.into());
    fs::write(&json, serde_json::to_vec_pretty(report)?)
        .with_context(|| format!("cannot write {}", json.display()))?;
    write!(stdout(), "{report}")?;
    eprintln!("bench-consumer: the figures are also in {}", json.display());
    Ok(())
}

async fn compare(cli: &Cli) -> Result<()> {
    let (rounds, spans) = if cli.short { (1, 2_000) } else { (cli.rounds.max(1), cli.spans.max(1)) };
    let machine = Machine::now()?;
    let mut rig = Rig::start(!cli.stages).await?;
    let turns = if cli.stages { 0 } else { Shape::wanted(cli.shape).count() * rounds * DECODERS.len() };
    let mut ledgers = Ledgers::make_in_memory(turns).await?;
    let (order, mut figures) = (cli.order.unwrap_or_default(), Figures::default());
    for shape in Shape::wanted(cli.shape) {
        let objects = workload::make(shape, order, spans)?;
        let in_other_order = match workload::other_order(shape, cli.order) {
            Some(other) => Some((other, workload::make(shape, other, spans)?)),
            None => None,
        };
        if let Some(bucket) = &rig.bucket {
            eprintln!("bench-consumer: {shape}: {} objects into the bucket", objects.len());
            workload::put(&objects, bucket).await?;
        }
        for round in 1..=rounds {
            eprintln!("bench-consumer: {shape}: round {round} of {rounds}");
            // The other order goes first in every other round.
            let mut turns: Vec<_> = DECODERS.iter().map(|decoder| (order, *decoder, &objects)).collect();
            if let Some((other, objects)) = &in_other_order {
                let place = if round % 2 == 1 { 0 } else { turns.len() };
                turns.insert(place, (*other, Decoder::Wire, objects));
            }
            for (of_order, decoder, objects) in turns {
                let mut turn = figures.turn(shape, of_order, decoder, spans);
                stages::measure(&mut turn, decoder, objects, cli.batch_spans, &mut rig).await?;
                if rig.bucket.is_some() && of_order == order {
                    whole::measure(&mut turn, decoder, objects, cli.batch_spans, &mut ledgers, &mut rig)
                        .await?;
                }
            }
        }
    }
    let batch_spans = cli.batch_spans;
    let report = Report { short: cli.short, rounds, spans, batch_spans, order, machine, figures };
    finish(cli, "target/bench-consumer.json", &report)
}
