//! `make bench-consumer`: what a million spans cost the consumer and ClickHouse in CPU, from the GET of an object to the
//! acknowledged insert, in the way over the wire and in that by `prost`.
//!
//! The ways take turns in each round, on the same objects. The stages of each are measured alone, in one thread; then the
//! consumer itself brings all objects from the bucket (Miniflare's R2) into a new table of the real schema, and what it has
//! used is counted once the queue is empty, and what ClickHouse has used once it has nothing left to merge.

mod report;
mod stages;
mod whole;

use std::fs;
use std::io::{Write, stdout};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use local_stack::command::run_to_end;
use origin_consumer::consume::Decoder;
use spillway_bench::rig::Rig;
use spillway_bench::workload::{self, Shape};

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
    /// Only the stages: no bucket, and nothing is merged
    #[arg(long)]
    stages: bool,
    /// Where the figures go, all of them
    #[arg(long, value_name = "FILE", default_value = "target/bench-consumer.json")]
    json: PathBuf,
}

/// The ways, in the order of their turns.
const DECODERS: [Decoder; 2] = [Decoder::Wire, Decoder::Prost];

fn main() -> ExitCode {
    run_to_end("bench-consumer", run(&Cli::parse()))
}

async fn run(cli: &Cli) -> Result<()> {
    let (rounds, spans) = if cli.short { (1, 2_000) } else { (cli.rounds.max(1), cli.spans.max(1)) };
    let mut rig = Rig::start(!cli.stages).await?;
    let mut figures = Figures::default();
    for shape in [Shape::Realistic, Shape::Tiny] {
        if cli.shape.is_some_and(|only| only != shape) {
            continue;
        }
        let objects = workload::make(shape, spans)?;
        if let Some(bucket) = &rig.bucket {
            eprintln!("bench-consumer: {shape}: {} objects into the bucket", objects.len());
            workload::put(&objects, bucket).await?;
        }
        for round in 1..=rounds {
            eprintln!("bench-consumer: {shape}: round {round} of {rounds}");
            for decoder in DECODERS {
                let mut turn = figures.turn(shape, decoder, spans);
                stages::measure(&mut turn, decoder, &objects, cli.batch_spans, &mut rig).await?;
                if rig.bucket.is_some() {
                    whole::measure(&mut turn, decoder, &objects, cli.batch_spans, &mut rig).await?;
                }
            }
        }
    }
    let report = Report::new(cli.short, rounds, spans, cli.batch_spans, figures)?;
    fs::write(&cli.json, serde_json::to_vec_pretty(&report)?)
        .with_context(|| format!("cannot write {}", cli.json.display()))?;
    write!(stdout(), "{report}")?;
    eprintln!("bench-consumer: the figures are also in {}", cli.json.display());
    Ok(())
}
