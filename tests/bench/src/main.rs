//! `make bench-edge`: what a request costs the edge in CPU, in raw workerd.
//!
//! Every Worker is a workerd process of its own, with stubs for what it calls (see `workerd.capnp`). They take turns: in each
//! round every payload is sent to every Worker, and what the kernel then says that the process has used is divided by
//! the requests. The load comes from this process, which is not counted.

mod compare;
mod contestants;
mod load;
mod measure;
mod report;
mod workerd;

use std::fs;
use std::io::{Write, stdout};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use local_stack::command::run_to_end;
use spillway_bench::machine::Machine;
use spillway_generator::order::Order;
use tempfile::TempDir;

use crate::compare::Compared;
use crate::measure::Plan;
use crate::report::Report;

/// Measures what a request costs the edge in CPU, in raw workerd, beside Workers that do less.
#[derive(Parser)]
struct Cli {
    /// Only see that everything works: one short round, whose figures say nothing
    #[arg(long)]
    short: bool,
    /// How often every Worker has its turn
    #[arg(long, default_value_t = 9)]
    rounds: usize,
    /// How long one payload is sent to one Worker in a round, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 1_000)]
    turn: u64,
    /// Requests in flight; calls from Worker to Worker are measured one at a time as well
    #[arg(long, default_value_t = 8)]
    concurrency: usize,
    /// Only the Workers whose name contains this, and no calls from Worker to Worker; may be given several times
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Only the payloads whose name contains this; may be given several times
    #[arg(long, value_name = "NAME")]
    payload: Vec<String>,
    /// Another checkout, in which the edge was built: it has turns too, with the bindings and stubs of this checkout, so that a
    /// change is compared in one run. The digest's cost is then measured whatever --only says
    #[arg(long, value_name = "FOLDER")]
    beside: Option<PathBuf>,
    /// The order of the fields in all payloads; without it they are ascending, and 135 spans are compared in both orders
    #[arg(long, value_enum)]
    order: Option<Order>,
    /// Where the figures go, all of them
    #[arg(long, value_name = "FILE", default_value = "target/bench-edge.json")]
    json: PathBuf,
}

impl Cli {
    fn plan(&self) -> Plan {
        let (rounds, turn) = if self.short { (1, 100) } else { (self.rounds.max(1), self.turn) };
        Plan {
            rounds,
            turn: Duration::from_millis(turn),
            concurrency: self.concurrency.max(1),
            only: self.only.clone(),
            payloads: self.payload.clone(),
            beside: self.beside.clone(),
            order: self.order,
        }
    }
}

fn main() -> ExitCode {
    run_to_end("bench-edge", run(&Cli::parse()))
}

async fn run(cli: &Cli) -> Result<()> {
    let plan = cli.plan();
    let folder = TempDir::with_prefix("spillway-bench-")?;
    let machine = Machine::now()?;
    let compared = Compared::of(&measure::workers(&plan, folder.path()).await?, &plan);
    let calls = if plan.only.is_empty() { measure::calls(&plan, folder.path()).await? } else { Vec::new() };
    let report = Report::new(&plan, cli.short, machine, compared, calls)?;
    fs::write(&cli.json, serde_json::to_vec_pretty(&report)?)
        .with_context(|| format!("cannot write {}", cli.json.display()))?;
    write!(stdout(), "{report}")?;
    eprintln!("bench-edge: the figures are also in {}", cli.json.display());
    Ok(())
}
