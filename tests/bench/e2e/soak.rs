//! A steady load for as long as is asked for, and what memory the origin and the consumer hold meanwhile.

use std::time::{Duration, Instant};

use anyhow::Result;
use serde::Serialize;
use spillway_bench::memory;
use spillway_bench::send::send_all;
use spillway_bench::workload::Shape;
use spillway_generator::payloads::Generator;

use crate::Plan;
use crate::load::body;
use crate::parts::Parts;

/// Other traces than those before it.
const SEED: u64 = 20_261_124;
const SLICES: u32 = 10;
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// Requests are made so much ahead: those of an hour would not fit into memory.
const MADE_AHEAD: Duration = Duration::from_secs(10);
const STORED_WITHIN: Duration = Duration::from_secs(600);

/// Resident memory of the origin's process in a tenth of the time, in MiB.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Slice {
    /// When it ended, in minutes from the first request.
    pub until_minute: f64,
    pub lowest: f64,
    pub highest: f64,
}

/// What a load that lasts did.
#[derive(Debug, Default, Serialize)]
pub struct Soaked {
    /// Requests that were sent and stored.
    pub requests: usize,
    pub memory: Vec<Slice>,
}

/// Sends for `plan.soak`, and waits until all of it is stored; `stored` spans are in the table before.
pub async fn measure(parts: &Parts, shape: Shape, plan: &Plan, stored: u64) -> Result<Soaked> {
    if plan.soak.is_zero() {
        return Ok(Soaked::default());
    }
    let began = Instant::now();
    let (requests, memory) = tokio::try_join!(send(parts, shape, plan, began), watch(parts, plan, began))?;
    parts.await_rows(stored + (requests * plan.request_spans) as u64, STORED_WITHIN).await?;
    Ok(Soaked { requests, memory })
}

/// How many requests were sent.
async fn send(parts: &Parts, shape: Shape, plan: &Plan, began: Instant) -> Result<usize> {
    let (client, target) = (local_stack::http::client(), parts.target(plan, Some(plan.steady_rate)));
    let (mut generator, mut sent) = (Generator::new(SEED), 0);
    let at_once = (MADE_AHEAD.min(plan.soak).as_secs_f64() * plan.steady_rate).ceil() as usize;
    while began.elapsed() < plan.soak {
        let bodies: Vec<_> =
            (0..at_once).map(|_| Ok(body(shape, &mut generator, plan)?.1)).collect::<Result<_>>()?;
        let due = began + Duration::from_secs_f64(sent as f64 / plan.steady_rate);
        tokio::time::sleep_until(due.into()).await;
        sent += send_all(&client, &target, &bodies).await?.accepted.len();
    }
    Ok(sent)
}

async fn watch(parts: &Parts, plan: &Plan, began: Instant) -> Result<Vec<Slice>> {
    let mut slices = Vec::new();
    for slice in 1..=SLICES {
        let end = plan.soak * slice / SLICES;
        let (mut lowest, mut highest) = (f64::INFINITY, 0.0_f64);
        loop {
            let resident = memory::resident(parts.origin())? as f64 / f64::from(1 << 20);
            (lowest, highest) = (lowest.min(resident), highest.max(resident));
            let Some(left) = end.checked_sub(began.elapsed()) else { break };
            tokio::time::sleep(left.min(LOOK_INTERVAL)).await;
        }
        slices.push(Slice { until_minute: end.as_secs_f64() / 60.0, lowest, highest });
    }
    Ok(slices)
}
