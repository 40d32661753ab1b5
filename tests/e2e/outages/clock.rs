//! The clock is set.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use origin_consumer::queue::{ClaimLimits, Queue, QueueError};
use spillway_proto::UnixMillis;
use spillway_tests::export::Export;
use spillway_tests::notification::{now, stored};
use ulid::Ulid;

const DAY_MS: u64 = 86_400_000;
const LIMITS: ClaimLimits = ClaimLimits {
    objects: 10,
    spans: 1000,
    bytes: 1 << 20,
    delay: Duration::ZERO,
    lease: Duration::from_secs(30),
};

async fn queue_with_one() -> Result<Queue> {
    let queue = Queue::in_memory(0).await?;
    let (notification, _) = stored(&Export::new(1).body()?, 1)?;
    queue.enqueue(notification, now()).await?;
    Ok(queue)
}

fn later(ms: u64) -> UnixMillis {
    UnixMillis(now().0 + ms)
}

#[tokio::test]
async fn a_lease_of_a_clock_that_was_set_back_does_not_hold_for_a_day() -> Result<()> {
    let queue = queue_with_one().await?;
    let lost = queue.claim(LIMITS, later(DAY_MS)).await?.batch().context("nothing waits")?;
    let taken = queue.claim(LIMITS, now()).await?.batch().context("the dead consumer's lease holds")?;
    ensure!(taken.id == lost.id);
    let late = queue.ack(&lost, now()).await;
    ensure!(matches!(late, Err(QueueError::LeaseLost(_))), "{late:?}");
    queue.ack(&taken, now()).await?;
    Ok(())
}

#[tokio::test]
async fn a_failed_batch_of_a_clock_that_was_set_back_is_tried_again() -> Result<()> {
    let queue = queue_with_one().await?;
    let batch = queue.claim(LIMITS, later(DAY_MS)).await?.batch().context("nothing waits")?;
    queue.release(&batch, later(DAY_MS + 500), "away".to_owned()).await?;
    ensure!(queue.claim(LIMITS, now()).await?.batch().is_some());
    Ok(())
}

#[tokio::test]
async fn a_clock_that_jumps_ahead_takes_a_batch_away_and_doubles_nothing() -> Result<()> {
    let queue = queue_with_one().await?;
    let first = queue.claim(LIMITS, now()).await?.batch().context("nothing waits")?;
    queue.begin_insert(&first, later(30_000)).await?;
    let second = queue.claim(LIMITS, later(DAY_MS)).await?.batch().context("the lease holds")?;
    ensure!((second.inserts, second.abandoned) == (1, 1), "whoever takes it knows that it must look");
    let late = queue.ack(&first, now()).await;
    ensure!(matches!(late, Err(QueueError::LeaseLost(_))), "{late:?}");
    queue.ack(&second, now()).await?;
    ensure!(queue.claim(LIMITS, later(2 * DAY_MS)).await?.batch().is_none());
    Ok(())
}

#[tokio::test]
async fn the_sweeps_work_is_taken_over_from_a_process_whose_clock_was_ahead() -> Result<()> {
    let queue = Queue::in_memory(0).await?;
    let (ahead, other) = (Ulid::generate(), Ulid::generate());
    ensure!(queue.hold_chore("look", ahead, later(DAY_MS + 30_000), later(DAY_MS)).await?);
    ensure!(queue.hold_chore("look", other, later(30_000), now()).await?, "for a day nobody would look");
    ensure!(!queue.hold_chore("look", ahead, later(30_000), now()).await?, "one at a time");
    Ok(())
}
