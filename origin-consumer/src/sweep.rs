//! Step s: look through R2 for objects that the ledger does not know, because nobody was told of them.
//!
//! Keys begin with the time of receipt, so one listing from a watermark on sees everything newer, in order. Each pass
//! goes up to now, less a moment in which a notification may still be on its way; the watermark follows at a distance,
//! since an object may become visible after a newer one.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use spillway_proto::{ObjectKey, UnixMillis};
use tokio_util::sync::CancellationToken;

use crate::config::{ConfigError, in_range};
use crate::fetch::{FetchError, Objects};
use crate::metrics::Metrics;
use crate::queue::{Enqueued, Queue, QueueError};
use crate::time::now;

/// `[sweep]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SweepConfig {
    /// The time between two passes, in seconds; the first comes at the start.
    pub interval_seconds: u64,
    /// How long a notification may be on its way before the sweep takes its place, in seconds.
    pub grace_seconds: u64,
    /// How far the watermark stays behind, in seconds: a put that took longer is not seen.
    pub overlap_seconds: u64,
    /// How far the very first pass looks back, in seconds.
    pub lookback_seconds: u64,
}

impl Default for SweepConfig {
    fn default() -> Self {
        Self { interval_seconds: 60, grace_seconds: 10, overlap_seconds: 900, lookback_seconds: 86_400 }
    }
}

impl SweepConfig {
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        in_range("sweep.interval_seconds", self.interval_seconds, 1..=3600)?;
        in_range("sweep.grace_seconds", self.grace_seconds, 0..=3600)?;
        in_range("sweep.overlap_seconds", self.overlap_seconds, 60..=86_400)?;
        in_range("sweep.lookback_seconds", self.lookback_seconds, 0..=31 * 86_400)
    }
}

/// A pass could not be finished; the next one begins where it began.
#[derive(Debug, thiserror::Error)]
enum SweepError {
    #[error(transparent)]
    Bucket(#[from] FetchError),
    #[error(transparent)]
    Queue(#[from] QueueError),
}

/// What a pass has seen.
#[derive(Debug, Default, PartialEq, Eq)]
struct Pass {
    listed: usize,
    found: usize,
}

/// The sweep.
pub struct Sweep {
    /// What it was told.
    pub config: SweepConfig,
    /// The ledger.
    pub queue: Arc<Queue>,
    /// The bucket.
    pub objects: Objects,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

impl Sweep {
    /// Makes passes until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let mut interval = tokio::time::interval(Duration::from_secs(self.config.interval_seconds));
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = interval.tick() => {}
                () = stop.cancelled() => return,
            }
            tokio::select! {
                pass = self.pass(now()) => match pass {
                    Ok(Pass { found: 0, listed }) => tracing::debug!(listed, "nothing was missed"),
                    Ok(Pass { found, listed }) => {
                        tracing::warn!(found, listed, "objects had been stored without a notification");
                    }
                    Err(error) => tracing::warn!(%error, "the sweep could not finish a pass"),
                },
                () = stop.cancelled() => return,
            }
        }
    }

    async fn pass(&self, now: UnixMillis) -> Result<Pass, SweepError> {
        let before = |seconds: u64| UnixMillis(now.0.saturating_sub(seconds.saturating_mul(1000)));
        let from = self.queue.watermark().await?.unwrap_or(before(self.config.lookback_seconds));
        let until = before(self.config.grace_seconds);
        // Within a minute the order is that of the shards, so the whole minute of `until` is listed.
        let end = ObjectKey::folder_of(UnixMillis(until.0 + 60_000));
        let (mut pass, mut after) = (Pass::default(), ObjectKey::folder_of(from));
        loop {
            let keys = self.objects.list_after(&after).await?;
            let Some(last) = keys.last() else { break };
            after = last.clone();
            let ours = keys.iter().filter_map(|key| key.parse::<ObjectKey>().ok());
            let due: Vec<_> = ours.filter(|key| key.received_at() < until).collect();
            pass.listed += due.len();
            for key in self.queue.unknown(due).await? {
                pass.found += self.take_in(key, now).await?;
            }
            if end <= after {
                break;
            }
        }
        self.queue.set_watermark(before(self.config.overlap_seconds).max(from)).await?;
        Ok(pass)
    }

    async fn take_in(&self, key: ObjectKey, now: UnixMillis) -> Result<usize, SweepError> {
        let notification = match self.objects.describe(&key).await {
            Ok(notification) => notification,
            Err(FetchError::Poison(reason)) => {
                tracing::error!(object = %key, reason, "an object in the bucket is not one of ours");
                return Ok(0);
            }
            Err(error) => return Err(error.into()),
        };
        let enqueued = self.queue.enqueue(notification, now).await?;
        self.metrics.swept();
        Ok(usize::from(enqueued == Enqueued::New))
    }
}
