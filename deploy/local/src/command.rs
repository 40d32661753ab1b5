//! The frame of a command line program.

use std::process::ExitCode;

use anyhow::{Context, Result};

/// Runs `work`, and says as `name` why it stopped, if it did not end well.
pub fn run_to_end(name: &str, work: impl Future<Output = Result<()>>) -> ExitCode {
    let runtime = tokio::runtime::Runtime::new().context("no async runtime");
    match runtime.and_then(|runtime| runtime.block_on(work)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{name}: stopped: {error:#}");
            ExitCode::FAILURE
        }
    }
}
