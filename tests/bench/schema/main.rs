//! `make bench-schema`: what each part of the table costs ClickHouse, and what the usual questions take beside the table that
//! the Collector's exporter makes.
//!
//! The tables are made of the migration that is shipped, with one part left out each, or written otherwise. All of them get the same batches, each
//! sorted by the table's key as the consumer sorts it, and are then merged into one part each.

mod costs;
mod engine;
mod questions;
mod report;
mod spans;

use std::fs;
use std::io::{Write, stdout};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use local_stack::command::run_to_end;
use spillway_bench::machine::Machine;

use crate::engine::Server;
use crate::report::Report;

/// Measures what each part of the table costs ClickHouse, and what the usual questions take beside the stock table.
#[derive(Parser)]
struct Cli {
    /// Only see that everything works: a few rows, whose figures say nothing
    #[arg(long)]
    short: bool,
    /// Rows that each table gets, to see what its parts cost
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    rows: u64,
    /// How often each table has its turn
    #[arg(long, value_name = "N", default_value_t = 3)]
    rounds: usize,
    /// Rows of the two tables that are asked questions; 0: none are asked
    #[arg(long, value_name = "N", default_value_t = 5_000_000)]
    question_rows: u64,
    /// How often each question is asked
    #[arg(long, value_name = "N", default_value_t = 7)]
    times: usize,
    /// Rows of an insert
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    batch: u64,
    /// Where the tables lie meanwhile: 50 million rows take some 15 GB
    #[arg(long, value_name = "FOLDER", default_value = "target")]
    folder: PathBuf,
    /// Where the figures go, all of them
    #[arg(long, value_name = "FILE", default_value = "target/bench-schema.json")]
    json: PathBuf,
}

/// How much is measured.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub struct Plan {
    rows: u64,
    rounds: usize,
    question_rows: u64,
    times: usize,
    batch: u64,
}

impl Cli {
    fn plan(&self) -> Plan {
        if self.short {
            return Plan { rows: 2_000, rounds: 1, question_rows: 4_000, times: 1, batch: 1_000 };
        }
        Plan {
            rows: self.rows.max(1),
            rounds: self.rounds.max(1),
            question_rows: self.question_rows,
            times: self.times.max(1),
            batch: self.batch.max(1),
        }
    }
}

fn main() -> ExitCode {
    run_to_end("bench-schema", run(&Cli::parse()))
}

async fn run(cli: &Cli) -> Result<()> {
    let plan = cli.plan();
    let machine = Machine::now()?;
    let mut server = Server::start(&cli.folder).await?;
    let costs = costs::measure(&mut server, &plan).await?;
    let questions = questions::measure(&mut server, &plan).await?;
    let clickhouse = server.version().await?;
    let report = Report { short: cli.short, plan, machine, clickhouse, costs, questions };
    fs::write(&cli.json, serde_json::to_vec_pretty(&report)?)
        .with_context(|| format!("cannot write {}", cli.json.display()))?;
    write!(stdout(), "{report}")?;
    eprintln!("bench-schema: the figures are also in {}", cli.json.display());
    Ok(())
}
