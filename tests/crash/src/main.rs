//! `make crash`: parts are killed at random, and nothing may be lost or doubled.

mod load;
mod logs;
mod lossy;
mod plan;
mod run;
mod strikes;
mod summary;
mod verdict;
mod world;

use std::process::ExitCode;

use clap::Parser;
use local_stack::command::run_to_end;

use crate::plan::Plan;

fn main() -> ExitCode {
    run_to_end("crash", run::run(Plan::parse()))
}
