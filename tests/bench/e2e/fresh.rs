//! How long it takes from an exporter's 200 until its rows are seen.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::Serialize;
use spillway_bench::send::{percentile, send_all};
use spillway_bench::workload::Shape;
use spillway_generator::payloads::Generator;

use crate::Plan;
use crate::load::body;
use crate::parts::Parts;

/// Other traces than those of the load before it.
const SEED: u64 = 20_261_123;
const LOOK_INTERVAL: Duration = Duration::from_millis(20);
const SEEN_WITHIN: Duration = Duration::from_secs(300);

/// Seconds from a request's 200 until a query saw its rows.
#[derive(Debug, Serialize)]
pub struct Fresh {
    pub p50: f64,
    pub p99: f64,
    pub max: f64,
    /// Between two looks, the last one in it included: a figure is too large by up to this.
    pub look_seconds: f64,
}

/// Sends the steady load and looks for its traces all the while; `stored` spans are in the table before.
pub async fn measure(parts: &Parts, shape: Shape, plan: &Plan, stored: u64) -> Result<Fresh> {
    let mut generator = Generator::new(SEED);
    let requests: Vec<_> =
        (0..plan.steady_requests).map(|_| body(shape, &mut generator, plan)).collect::<Result<_>>()?;
    let (traces, bodies): (Vec<String>, Vec<_>) = requests.into_iter().unzip();
    let sent_all = AtomicBool::new(false);
    let sending = async {
        let target = parts.target(plan, Some(plan.steady_rate));
        let sent = send_all(&local_stack::http::client(), &target, &bodies).await;
        sent_all.store(true, Ordering::Relaxed);
        sent
    };
    let (sent, looked) = tokio::join!(sending, look(parts, &traces, &sent_all));
    let (sent, Looks { seen, longest }) = (sent?, looked?);
    let mut seconds = Vec::with_capacity(traces.len());
    for (trace, accepted) in traces.iter().zip(&sent.accepted) {
        // A row may be seen before its exporter has read the answer.
        let seen = seen.get(trace.as_str()).context("a trace was not looked for")?;
        seconds.push(seen.saturating_duration_since(*accepted).as_secs_f64());
    }
    seconds.sort_unstable_by(f64::total_cmp);
    let spans = stored + (plan.steady_requests * plan.request_spans) as u64;
    parts.await_rows(spans, SEEN_WITHIN).await?;
    Ok(Fresh {
        p50: percentile(&seconds, 50.0)?,
        p99: percentile(&seconds, 99.0)?,
        max: percentile(&seconds, 100.0)?,
        look_seconds: longest.as_secs_f64(),
    })
}

struct Looks<'t> {
    /// When each trace was seen first.
    seen: BTreeMap<&'t str, Instant>,
    longest: Duration,
}

impl<'t> Looks<'t> {
    fn missing(&self, traces: &'t [String]) -> Vec<&'t str> {
        traces.iter().map(String::as_str).filter(|trace| !self.seen.contains_key(trace)).collect()
    }
}

/// Looks for all that was not seen yet, until all was.
async fn look<'t>(parts: &Parts, traces: &'t [String], sent_all: &AtomicBool) -> Result<Looks<'t>> {
    let (mut looks, mut progress) =
        (Looks { seen: BTreeMap::new(), longest: Duration::ZERO }, Instant::now());
    let mut last = Instant::now();
    loop {
        let missing = looks.missing(traces);
        if missing.is_empty() {
            return Ok(looks);
        }
        let found = parts.seen(&missing).await?;
        let now = Instant::now();
        if !found.is_empty() || !sent_all.load(Ordering::Relaxed) {
            progress = now;
        }
        let found = missing.into_iter().filter(|trace| found.iter().any(|found| found == trace));
        looks.seen.extend(found.map(|trace| (trace, now)));
        looks.longest = looks.longest.max(now - last);
        last = now;
        ensure!(progress.elapsed() < SEEN_WITHIN, "{} requests are not seen", looks.missing(traces).len());
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}
