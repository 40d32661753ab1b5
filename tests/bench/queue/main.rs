//! `make bench-queue`: how many objects the ledger takes in and hands out in a second, durably, in SQLite and in PostgreSQL.
//!
//! The stores take turns. In each round a new store takes objects from many callers at once, as the origin does, until all of
//! them are durable; then workers claim and acknowledge them in batches until none is left, as consumers do.

mod measure;
mod objects;
mod report;

use std::fs;
use std::io::{Write, stdout};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use local_stack::command::run_to_end;
use spillway_bench::machine::Machine;

use crate::measure::{Plan, measure};
use crate::report::Report;

/// Measures how many objects the ledger takes in and hands out in a second, durably, in SQLite and in PostgreSQL.
#[derive(Parser)]
struct Cli {
    /// Only see that everything works: one small round, whose figures say nothing
    #[arg(long)]
    short: bool,
    /// How often every store has its turn
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Objects of a round
    #[arg(long, default_value_t = 50_000)]
    objects: usize,
    /// Callers that enqueue side by side
    #[arg(long, default_value_t = 1_024)]
    callers: usize,
    /// Workers that claim and acknowledge side by side
    #[arg(long, default_value_t = 4)]
    workers: usize,
    /// Objects of a batch
    #[arg(long, default_value_t = 1_000)]
    batch: u32,
    /// Tenants
    #[arg(long, default_value_t = 8)]
    tenants: usize,
    /// Where the stores lie while they are measured; a disk, since its syncs are what is measured
    #[arg(long, value_name = "FOLDER", default_value = "target")]
    folder: PathBuf,
    /// Where the figures go, all of them
    #[arg(long, value_name = "FILE", default_value = "target/bench-queue.json")]
    json: PathBuf,
}

impl Cli {
    fn plan(&self) -> Plan {
        let (rounds, objects) = if self.short { (1, 500) } else { (self.rounds.max(1), self.objects.max(1)) };
        Plan {
            rounds,
            objects,
            callers: self.callers.clamp(1, objects),
            workers: self.workers.max(1),
            batch: self.batch.max(1),
            tenants: self.tenants.max(1),
        }
    }
}

fn main() -> ExitCode {
    run_to_end("bench-queue", run(&Cli::parse()))
}

async fn run(cli: &Cli) -> Result<()> {
    let plan = cli.plan();
    let machine = Machine::now()?;
    let stores = measure(&plan, &cli.folder).await?;
    let report = Report { short: cli.short, plan, machine, stores };
    fs::write(&cli.json, serde_json::to_vec_pretty(&report)?)
        .with_context(|| format!("cannot write {}", cli.json.display()))?;
    write!(stdout(), "{report}")?;
    eprintln!("bench-queue: the figures are also in {}", cli.json.display());
    Ok(())
}
