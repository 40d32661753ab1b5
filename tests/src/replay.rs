//! `origin-consumer replay` beside a stack.

use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use local_stack::process::Process;
use local_stack::tools::binary;

use crate::command::CommandOutput;
use crate::stack::TestStack;

/// Runs it to its end with the arguments, which spaces separate, and further variables.
pub async fn replay_with(stack: &TestStack, arguments: &str, vars: &[(&str, &str)]) -> Result<CommandOutput> {
    let mut command = command(stack, arguments, vars)?;
    let Output { status, stdout, stderr } = tokio::task::spawn_blocking(move || command.output()).await??;
    let said = String::from_utf8(stderr)?;
    let code = status.code().with_context(|| format!("ended by a signal\n{said}"))?;
    Ok(CommandOutput { code, out: String::from_utf8(stdout)?, said })
}

/// Runs it to its end with the arguments, which spaces separate.
pub async fn replay(stack: &TestStack, arguments: &str) -> Result<CommandOutput> {
    replay_with(stack, arguments, &[]).await
}

/// Runs it until it aborts at a failpoint.
pub async fn replay_until_abort(stack: &TestStack, arguments: &str, failpoint: &str) -> Result<()> {
    let mut command = command(stack, arguments, &[("FAILPOINTS", failpoint)])?;
    let Output { status, stderr, .. } = tokio::task::spawn_blocking(move || command.output()).await??;
    let said = String::from_utf8(stderr)?;
    ensure!(status.code().is_none(), "it did not come to {failpoint}: {status}\n{said}");
    Ok(())
}

/// Starts it; its output is in `replay.log` of the stack's folder.
pub fn start_replay(stack: &TestStack, arguments: &str, vars: &[(&str, &str)]) -> Result<Process> {
    Process::start("replay", command(stack, arguments, vars)?, stack.folder())
}

fn command(stack: &TestStack, arguments: &str, vars: &[(&str, &str)]) -> Result<Command> {
    let mut command = Command::new(binary("origin-consumer")?);
    command.current_dir(stack.folder()).envs(stack.origin_variables());
    command.envs(vars.iter().copied()).arg("replay").args(arguments.split_whitespace());
    Ok(command)
}
