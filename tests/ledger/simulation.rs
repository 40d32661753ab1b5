//! Lease, fence, sweep and insert, simulated: consumers and sweepers run the real ledger and the real protocol of inserts
//! against a model of ClickHouse, one step at a time. Everything that happens follows from a seed: who goes on, who
//! crashes, who is paused past its lease, which notifications come, and when the server dies.

mod chance;
mod clickhouse;
mod consumer;
mod sweeper;
mod tasks;
mod world;

use std::time::Instant;

use anyhow::{Context, Result, ensure};

use clickhouse::Tokens;
use consumer::Verification;
use world::{Rules, World};

/// Runs one seed alone, in each test.
const SEED: &str = "SPILLWAY_SIMULATION_SEED";
/// How many seeds to run.
const SEEDS: &str = "SPILLWAY_SIMULATION_SEEDS";
const USUAL_SEEDS: u64 = 1_000;

fn from_environment(name: &str) -> Result<Option<u64>> {
    let Ok(value) = std::env::var(name) else { return Ok(None) };
    value.parse().map(Some).with_context(|| format!("{name} is no number: {value}"))
}

/// What the first seed shows that shows anything, and how many were run.
async fn first_harm(rules: Rules) -> Result<(Option<(u64, String)>, u64)> {
    let seeds = match from_environment(SEED)? {
        Some(seed) => seed..seed + 1,
        None => 0..from_environment(SEEDS)?.unwrap_or(USUAL_SEEDS),
    };
    let mut run = 0;
    for seed in seeds {
        run += 1;
        let harm = World::new(seed, rules).await?.run().await.with_context(|| format!("{SEED}={seed}"))?;
        if harm.is_any() {
            return Ok((Some((seed, harm.to_string())), run));
        }
    }
    Ok((None, run))
}

#[tokio::test]
async fn every_accepted_span_is_there_once() -> Result<()> {
    let began = Instant::now();
    let (harm, run) = first_harm(Rules::default()).await?;
    if let Some((seed, harm)) = harm {
        anyhow::bail!("seed {seed}: {harm}; run it alone with {SEED}={seed}");
    }
    eprintln!("{run} seeds in {:?}", began.elapsed());
    Ok(())
}

#[tokio::test]
async fn without_verification_spans_are_lost() -> Result<()> {
    let rules = Rules { verification: Verification::Off, ..Rules::default() };
    let (harm, _) = first_harm(rules).await?;
    let (_, harm) = harm.context("it cannot fail, so it proves nothing")?;
    ensure!(harm.contains("lost"), "{harm}");
    Ok(())
}

#[tokio::test]
async fn with_another_healing_token_for_each_try_spans_are_doubled() -> Result<()> {
    let rules = Rules { tokens: Tokens::HealingOfOneTry, ..Rules::default() };
    let (harm, _) = first_harm(rules).await?;
    let (_, harm) = harm.context("it cannot fail, so it proves nothing")?;
    ensure!(harm.contains("doubled"), "{harm}");
    Ok(())
}
