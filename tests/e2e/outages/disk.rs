//! The disk under the queue is full.

use std::time::Duration;

use anyhow::{Result, ensure};
use spillway_tests::faults::FullDisk;
use spillway_tests::metrics;

use super::bench::Bench;

#[tokio::test]
async fn a_full_disk_under_the_queue_turns_notifications_away_and_loses_nothing() -> Result<()> {
    let disk = FullDisk::build("queue.sqlite")?;
    let vars = disk.vars();
    let vars: Vec<_> = vars.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let mut bench = Bench::start_with(&vars).await?;
    bench.load(Duration::from_secs(1)).await?;
    bench.await_each_span_once().await?;
    disk.fill()?;
    bench.load(Duration::from_secs(5)).await?;
    let text = metrics::text(&bench.stack.origin.url).await?;
    ensure!(text.contains("outcome=\"QueueUnavailable\""), "{text}");
    disk.free()?;
    bench.await_each_span_once().await?;
    bench.stack.stop_now().await
}
