//! As many requests as the edge takes.

use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use prost::Message;
use serde::Serialize;
use spillway_bench::send::send_all;
use spillway_bench::workload::Shape;
use spillway_generator::payloads::{Generator, gzipped};

use crate::Plan;
use crate::parts::{Parts, Used};

const SEED: u64 = 20_261_122;
/// How long the last rows may take. A hint that was lost is found by the sweep.
const STORED_WITHIN: Duration = Duration::from_secs(600);

/// What it took.
#[derive(Debug, Serialize)]
pub struct Loaded {
    /// All that were accepted, and are in the table.
    pub spans: u64,
    /// Accepted, from the first request to the last 200.
    pub accepted_per_second: f64,
    /// From the first request until the last row was seen.
    pub stored_per_second: f64,
    /// Requests that were put off (429, 503).
    pub put_off: u32,
    /// Until all was merged.
    pub used: Used,
}

/// Sends the spans, and waits until they are stored and merged.
pub async fn measure(parts: &mut Parts, shape: Shape, plan: &Plan) -> Result<Loaded> {
    let requests = plan.spans.div_ceil(plan.request_spans);
    let mut generator = Generator::new(SEED);
    let bodies =
        (0..requests).map(|_| Ok(body(shape, &mut generator, plan)?.1)).collect::<Result<Vec<_>>>()?;
    let spans = (requests * plan.request_spans) as u64;
    let before = parts.used()?;
    let sent = send_all(&local_stack::http::client(), &parts.target(plan, None), &bodies).await?;
    let waited = parts.await_rows(spans, STORED_WITHIN).await?;
    parts.drain_merges().await?;
    Ok(Loaded {
        spans,
        accepted_per_second: spans as f64 / sent.took.as_secs_f64(),
        stored_per_second: spans as f64 / (sent.took + waited).as_secs_f64(),
        put_off: sent.put_off,
        used: parts.used()? - before,
    })
}

/// A request, and the id of its first trace in hex.
pub fn body(shape: Shape, generator: &mut Generator, plan: &Plan) -> Result<(String, Bytes)> {
    let request = shape.request(generator, plan.request_spans);
    let first = &request.resource_spans[0].scope_spans[0].spans[0].trace_id;
    let trace = first.iter().map(|byte| format!("{byte:02x}")).collect();
    let plain = request.encode_to_vec();
    Ok((trace, if plan.gzip { gzipped(&plain)?.into() } else { plain.into() }))
}
