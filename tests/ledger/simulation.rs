//! Lease, fence, sweep and insert, simulated: consumers and sweepers run the real ledger and the real protocol of inserts
//! against a model of ClickHouse, one step at a time. Everything that happens follows from a seed: who goes on, who
//! crashes, who is paused past its lease, which notifications come, and when the server dies.

mod chance;
mod clickhouse;
mod consumer;
mod sweeper;
mod tasks;
mod world;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::{Context, Result, anyhow};

use clickhouse::{Lease, Tokens};
use consumer::Verification;
use world::{Harm, Rules, World};

/// Runs one seed alone, in each test, and prints what happens.
const SEED: &str = "SPILLWAY_SIMULATION_SEED";
/// How many seeds to run.
const SEEDS: &str = "SPILLWAY_SIMULATION_SEEDS";
const USUAL_SEEDS: u64 = 500;

fn from_environment(name: &str) -> Result<Option<u64>> {
    let Ok(value) = std::env::var(name) else { return Ok(None) };
    value.parse().map(Some).with_context(|| format!("{name} is no number: {value}"))
}

/// The first seed whose end shows this, and how many were run.
fn first(shows: fn(&Harm) -> bool, rules: Rules) -> Result<(Option<(u64, Harm)>, u64)> {
    let seeds = match from_environment(SEED)? {
        Some(seed) => seed..seed + 1,
        None => 0..from_environment(SEEDS)?.unwrap_or(USUAL_SEEDS),
    };
    let (next, end) = (AtomicU64::new(seeds.start), AtomicU64::new(seeds.end));
    let work = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let mut first = None;
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end.load(Ordering::Relaxed) {
                return anyhow::Ok(first);
            }
            let run = async { World::new(seed, rules, from_environment(SEED)?.is_some()).await?.run().await };
            let harm = runtime.block_on(run).with_context(|| format!("{SEED}={seed}"))?;
            if shows(&harm) {
                // Those before it may show something as well.
                end.fetch_min(seed, Ordering::Relaxed);
                first = Some((seed, harm));
            }
        }
    };
    let workers = std::thread::available_parallelism()?.get();
    let first = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        let ended =
            workers.into_iter().map(|worker| worker.join().map_err(|_| anyhow!("a simulation panicked"))?);
        ended.collect::<Result<Vec<_>>>()
    })?;
    Ok((first.into_iter().flatten().min_by_key(|(seed, _)| *seed), end.load(Ordering::Relaxed) - seeds.start))
}

/// That no seed shows any harm.
fn holds(rules: Rules) -> Result<()> {
    let began = Instant::now();
    let (harm, run) = first(Harm::is_any, rules)?;
    if let Some((seed, harm)) = harm {
        anyhow::bail!("seed {seed}: {harm}; run it alone with {SEED}={seed}");
    }
    eprintln!("{run} seeds in {:?}", began.elapsed());
    Ok(())
}

/// That a part of the protocol is needed: without it, some seed shows the harm.
fn fails(shows: fn(&Harm) -> bool, rules: Rules) -> Result<()> {
    let (harm, _) = first(shows, rules)?;
    let (seed, harm) = harm.context("no seed shows it: the simulation proves nothing")?;
    eprintln!("seed {seed}: {harm}");
    Ok(())
}

#[test]
fn every_accepted_span_is_there_once() -> Result<()> {
    holds(Rules::default())
}

#[test]
fn where_a_resend_leaves_nothing_to_those_before_it_spans_are_doubled() -> Result<()> {
    fails(|harm| harm.doubled > 0, Rules { leaves: false, ..Rules::default() })
}

#[test]
fn without_verification_spans_are_lost() -> Result<()> {
    fails(|harm| harm.lost > 0, Rules { verification: Verification::Off, ..Rules::default() })
}

/// A late insert is kept out by its token while its objects stay in their batch, and by the clock where they do not.
#[test]
fn without_a_look_at_the_clock_spans_that_came_into_another_batch_are_doubled() -> Result<()> {
    let late = Rules { lease: Lease::Unchecked, ..Rules::default() };
    fails(|harm| harm.doubled > 0, late)?;
    holds(Rules { moves: false, ..late })
}

#[test]
fn with_another_healing_token_for_each_try_spans_are_doubled() -> Result<()> {
    // Only where a server crash has used a token up is there anything to heal.
    let late = Rules { lease: Lease::Unchecked, moves: false, server_crashes: 200, ..Rules::default() };
    fails(|harm| harm.doubled > 0, Rules { tokens: Tokens::HealingOfOneTry, ..late })
}
