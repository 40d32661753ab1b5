//! An object that ends every process that works on it.

use std::time::Instant;

use anyhow::{Result, ensure};
use spillway_tests::export::Export;

use super::bench::{Bench, PATIENCE};

#[tokio::test]
async fn only_the_deadly_object_of_many_is_dead_in_the_end() -> Result<()> {
    let deadly = [
        ("FAILPOINTS", "consume::deadly=return(neighbour)"),
        ("SPILLWAY_CONSUMER__DEATHS", "5"),
        // Several batches, so that others are worked on beside the deadly one.
        ("SPILLWAY_CONSUMER__BATCH_OBJECTS", "4"),
    ];
    let mut bench = Bench::start_with(&deadly).await?;
    bench.restart(&["--without-consumer"]).await?;
    for n in 0..12 {
        if n == 5 {
            let answer = Export::new(3).send(&bench.stack, "neighbour").await?;
            ensure!(answer.status() == 200, "{}", answer.status());
        }
        bench.export().await?;
    }
    bench.await_ledger("SELECT count(*) FROM objects WHERE state = 'pending'", 13).await?;
    revive(&mut bench).await?;
    let (mut deaths, deadline) = (0, Instant::now() + PATIENCE);
    while bench.count("SELECT count(*) FROM objects WHERE state = 'dead'")? == 0 {
        if bench.stack.origin.process.ended()?.is_some() {
            deaths += 1;
            revive(&mut bench).await?;
        }
        ensure!(Instant::now() < deadline, "{deaths} deaths, and the object lives");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    bench.await_each_span_once().await?;
    let dead = "SELECT count(*) FROM objects WHERE state = 'dead'";
    ensure!(bench.count(dead)? == 1, "{} objects are dead", bench.count(dead)?);
    ensure!(bench.count(&format!("{dead} AND tenant = 'neighbour'"))? == 1, "another one is dead");
    ensure!(deaths >= 5, "it was dead after {deaths} deaths");
    bench.stack.stop_now().await
}

/// Starts the origin, which may have come to the object before it is seen to be ready.
async fn revive(bench: &mut Bench) -> Result<()> {
    match bench.restart(&[]).await {
        Err(error) if error.to_string().contains("SIGABRT") => Ok(()),
        restarted => restarted,
    }
}
