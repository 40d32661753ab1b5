//! Which batches are taken for deadly: those over which one consumer after the other dies.

use std::time::Duration;

use anyhow::{Context, Result};
use origin_consumer::queue::{Batch, ClaimLimits, Queue};
use spillway_tests::export::Export;
use spillway_tests::notification::{now, stored};

/// Each claim is over at once, as if its consumer had died.
const OVER_AT_ONCE: ClaimLimits =
    ClaimLimits { objects: 1, spans: 1, bytes: 1 << 20, delay: Duration::ZERO, lease: Duration::ZERO };

async fn claimed(queue: &Queue) -> Result<Batch> {
    let batch = queue.claim(OVER_AT_ONCE, now()).await?.batch().context("no batch")?;
    // A consumer's death counts from here on, where another one has died before.
    queue.begin_alone(&batch).await?;
    Ok(batch)
}

#[tokio::test]
async fn a_batch_that_a_consumer_gave_back_is_cleared_of_the_deaths_before() -> Result<()> {
    let queue = Queue::in_memory(0).await?;
    queue.enqueue(stored(&Export::new(1).body()?, 1)?.0, now()).await?;
    for deaths in 0..3 {
        assert_eq!(claimed(&queue).await?.abandoned, deaths);
    }
    let survived = claimed(&queue).await?;
    queue.release(&survived, now(), "clickhouse is away".to_owned()).await?;
    assert_eq!(claimed(&queue).await?.abandoned, 0);
    assert_eq!(claimed(&queue).await?.abandoned, 1);
    Ok(())
}
