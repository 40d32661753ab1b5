//! How often the sweep looks, and when it lists each minute again.

use std::time::Duration;

use serde::Deserialize;

use crate::config::{ConfigError, in_range, wrong};

/// `[sweep]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SweepConfig {
    /// The time between two looks, in seconds; the first comes at the start.
    pub interval_seconds: u64,
    /// How long a notification may be on its way before the sweep takes its place, in seconds.
    pub grace_seconds: u64,
    /// When each minute is listed again, in seconds after its end, rising.
    pub passes_seconds: Vec<u64>,
    /// How far the very first passes go back, in seconds.
    pub lookback_seconds: u64,
    /// Listings side by side.
    pub listings: usize,
}

impl Default for SweepConfig {
    fn default() -> Self {
        Self {
            interval_seconds: 10,
            grace_seconds: 30,
            passes_seconds: vec![180, 900, 86_400],
            lookback_seconds: 86_400,
            listings: 4,
        }
    }
}

impl SweepConfig {
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        in_range("sweep.interval_seconds", self.interval_seconds, 1..=600)?;
        in_range("sweep.grace_seconds", self.grace_seconds, 0..=3600)?;
        let rising = self.passes_seconds.windows(2).all(|pair| pair[0] < pair[1]);
        let in_range_all = self.passes_seconds.iter().all(|seconds| (1..=7 * 86_400).contains(seconds));
        if self.passes_seconds.is_empty() || !rising || !in_range_all {
            let expected = "a rising list of seconds between 1 and 604800";
            return Err(wrong("sweep.passes_seconds", expected, format!("{:?}", self.passes_seconds)));
        }
        in_range("sweep.lookback_seconds", self.lookback_seconds, 0..=31 * 86_400)?;
        in_range("sweep.listings", self.listings, 1..=64)
    }

    pub(super) fn interval(&self) -> Duration {
        Duration::from_secs(self.interval_seconds)
    }

    /// How long a notification may take.
    pub fn grace(&self) -> Duration {
        Duration::from_secs(self.grace_seconds)
    }

    /// The last pass over a minute comes so long after its end.
    pub fn last_pass(&self) -> Duration {
        Duration::from_secs(self.passes_seconds.last().copied().unwrap_or_default())
    }

    pub(super) fn pass(&self, pass: u32) -> Option<Duration> {
        self.passes_seconds.get(pass as usize).copied().map(Duration::from_secs)
    }
}
