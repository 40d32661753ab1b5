//! Trying again, with exponential backoff and jitter.

use std::time::Duration;

use crate::ports::{Runtime, random};

/// How often, and how long to wait between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Tries in all, the first included; at least one is made.
    pub attempts: u32,
    /// The longest wait after the first try; it doubles with every further one.
    pub base: Duration,
    /// No wait is longer than this.
    pub cap: Duration,
}

impl RetryPolicy {
    /// The wait after the `failed`th try (from 1): between half and all of the doubled base. `jitter` is uniform.
    pub fn delay(&self, failed: u32, jitter: u16) -> Duration {
        let doubled = self.base.saturating_mul(2u32.saturating_pow(failed.saturating_sub(1)));
        let longest = doubled.min(self.cap);
        longest.mul_f64(0.5 + 0.5 * f64::from(jitter) / f64::from(u16::MAX))
    }
}

/// Calls `attempt` until it succeeds or the policy ends; the last error is returned.
pub async fn retry<T, E>(
    policy: &RetryPolicy,
    runtime: &impl Runtime,
    mut attempt: impl AsyncFnMut() -> Result<T, E>,
) -> Result<T, E> {
    let mut failed = 0;
    loop {
        match attempt().await {
            Ok(value) => return Ok(value),
            Err(error) => {
                failed += 1;
                if failed >= policy.attempts {
                    return Err(error);
                }
                runtime.sleep(policy.delay(failed, u16::from_le_bytes(random(runtime)))).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_cap_and_jitter_takes_at_most_half() {
        let policy =
            RetryPolicy { attempts: 9, base: Duration::from_millis(100), cap: Duration::from_millis(2_000) };
        let waits = |jitter| [1, 2, 5, 6, 200].map(|failed| policy.delay(failed, jitter).as_millis());
        assert_eq!(waits(u16::MAX), [100, 200, 1_600, 2_000, 2_000]);
        assert_eq!(waits(0), [50, 100, 800, 1_000, 1_000]);
    }
}
