//! Exporters at the edge of the zone's limit.

use std::time::Duration;

use anyhow::{Context, Result};
use futures_util::future::join_all;
use spillway_tests::export::Export;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::company::HOST;

/// Exporters by their requests a second, each at an address of its own. The zone takes 6 a second of an address for longer: the first
/// stays below that, the second goes just over it, the third sends twice as much.
const EXPORTERS: [u64; 3] = [3, 7, 12];
pub const SPANS: u64 = 2;

/// What became of the exports.
#[derive(Debug, Default, Clone, Copy)]
pub struct Sent {
    /// Answered 200.
    pub accepted: u64,
    /// Answered otherwise.
    pub refused: u64,
}

/// Exports for so long, as the tenant with this key.
pub async fn send(zone: &str, key: &str, duration: Duration) -> Result<Sent> {
    let exporters = EXPORTERS.iter().zip(1..).map(|(rate, n)| exporter(zone, key, *rate, n, duration));
    let mut all = Sent::default();
    for sent in join_all(exporters).await {
        let sent = sent?;
        all.accepted += sent.accepted;
        all.refused += sent.refused;
    }
    Ok(all)
}

async fn exporter(zone: &str, key: &str, rate: u64, n: u8, duration: Duration) -> Result<Sent> {
    let http = local_stack::http::client();
    let mut clock = interval(Duration::from_micros(1_000_000 / rate));
    // A machine that is busy delays requests, and does not make them fewer.
    clock.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let (end, mut sending) = (Instant::now() + duration, Vec::new());
    while Instant::now() < end {
        clock.tick().await;
        let export = Export::new(SPANS as usize);
        let request = http
            .post(format!("{zone}/v1/traces"))
            .header("host", HOST)
            .header("zone-client-ip", format!("198.51.100.{n}"))
            .header("user-agent", "OTel-OTLP-Exporter-Python/1.45.2")
            .header("content-type", "application/x-protobuf")
            .header("x-api-key", key)
            .body(export.body()?);
        sending.push(tokio::spawn(request.send()));
    }
    let mut sent = Sent::default();
    for answer in sending {
        let status =
            answer.await.context("an export panicked")?.context("an export was not answered")?.status();
        if status == 200 { sent.accepted += 1 } else { sent.refused += 1 }
    }
    Ok(sent)
}
