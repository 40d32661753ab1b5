//! What the origin counts.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::stack::ARRIVAL;

/// Waits until the metrics of the origin at `url` hold `line`, or what it begins with.
pub async fn await_metric(url: &str, line: &str) -> Result<()> {
    let deadline = Instant::now() + ARRIVAL;
    loop {
        let text = text(url).await?;
        if text.contains(line) {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "waited in vain for {line} in\n{text}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The metrics of the origin at `url`.
pub async fn text(url: &str) -> Result<String> {
    Ok(local_stack::http::client().get(format!("{url}/metrics")).send().await?.text().await?)
}
