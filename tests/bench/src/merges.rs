//! When ClickHouse has merged what it wants to.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

/// Seldom, since looks are the server's work.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// A merge may begin a moment after another one.
const QUIET_LOOKS: u32 = 2;
const MERGED_WITHIN: Duration = Duration::from_secs(1800);

/// Returns once nothing is merged any more. `running` says how many merges there are.
pub async fn drain(running: impl AsyncFn() -> Result<u64>) -> Result<()> {
    let (mut quiet, began) = (0, Instant::now());
    while quiet < QUIET_LOOKS {
        ensure!(began.elapsed() < MERGED_WITHIN, "ClickHouse is still merging after {MERGED_WITHIN:?}");
        tokio::time::sleep(LOOK_INTERVAL).await;
        quiet = if running().await? == 0 { quiet + 1 } else { 0 };
    }
    Ok(())
}
