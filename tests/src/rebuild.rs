//! `origin-consumer rebuild-table` beside a stack.

use std::process::{Command, Output};

use anyhow::{Result, ensure};
use local_stack::process::Process;
use local_stack::tools::binary;

use crate::command::{CommandOutput, origin_consumer};
use crate::stack::TestStack;

/// Runs it to its end with the arguments, which spaces separate.
pub async fn rebuild(stack: &TestStack, arguments: &str) -> Result<CommandOutput> {
    origin_consumer(&format!("rebuild-table {arguments}"), stack.origin_variables()).await
}

/// Runs it until it aborts at a failpoint.
pub async fn rebuild_until_abort(stack: &TestStack, failpoint: &str) -> Result<()> {
    let mut command = command(stack)?;
    command.env("FAILPOINTS", failpoint);
    let Output { status, stderr, .. } = tokio::task::spawn_blocking(move || command.output()).await??;
    let said = String::from_utf8(stderr)?;
    ensure!(status.code().is_none(), "it did not come to {failpoint}: {status}\n{said}");
    Ok(())
}

/// Starts it; its output is in `rebuild.log` of the stack's folder.
pub fn start_rebuild(stack: &TestStack, vars: &[(&str, &str)]) -> Result<Process> {
    let mut command = command(stack)?;
    command.envs(vars.iter().copied());
    Process::start("rebuild", command, stack.folder())
}

fn command(stack: &TestStack) -> Result<Command> {
    let mut command = Command::new(binary("origin-consumer")?);
    command.current_dir(stack.folder()).envs(stack.origin_variables()).arg("rebuild-table");
    Ok(command)
}
