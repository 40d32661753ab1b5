//! A tenant who does nothing wrong while others attack the edge, and what the attack costs the machine.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::time::{sleep, timeout};

use crate::export::Export;
use crate::stack::TestStack;

/// How long one of the neighbour's exports may take, on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(50);

/// Runs `attack` while the neighbour exports, again and again. An error if one of its exports is refused or late, during
/// the attack or after it.
pub async fn beside<T>(stack: &TestStack, attack: impl Future<Output = Result<T>>) -> Result<T> {
    let neighbour = async {
        loop {
            let failed = export(stack).await.err();
            if failed.is_some() {
                return failed;
            }
            sleep(PAUSE).await;
        }
    };
    let done = tokio::select! {
        done = attack => done?,
        failed = neighbour => return Err(failed.context("an endless loop")?.context("during the attack")),
    };
    let last = export(stack).await.context("after the attack")?;
    stack.await_trace(&last, 1).await?;
    Ok(done)
}

async fn export(stack: &TestStack) -> Result<String> {
    let export = Export::new(1);
    let answer =
        timeout(PATIENCE, export.send(stack, "neighbour")).await.context("the neighbour waits")??;
    ensure!(answer.status() == 200, "the neighbour was answered {}", answer.status());
    Ok(export.trace_id)
}

/// The most memory that the edge's workerd has ever had, in MiB.
pub fn peak_of_workerd(stack: &TestStack) -> Result<u64> {
    status(workerd(stack)?, "VmHWM:").map(|kib| kib / 1024)
}

/// The memory that the edge's workerd has now, in MiB.
pub fn memory_of_workerd(stack: &TestStack) -> Result<u64> {
    status(workerd(stack)?, "VmRSS:").map(|kib| kib / 1024)
}

/// workerd is a child of the edge's process.
fn workerd(stack: &TestStack) -> Result<u64> {
    let owner = u64::from(stack.edge.process.id());
    fs::read_dir("/proc")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .find(|process| matches!(status(*process, "PPid:"), Ok(parent) if parent == owner))
        .context("the edge has no workerd")
}

fn status(process: u64, field: &str) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let value = status.lines().find_map(|line| line.strip_prefix(field)?.split_whitespace().next());
    Ok(value.with_context(|| format!("no {field}"))?.parse()?)
}
