//! The clock, and how long to wait.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use spillway_proto::UnixMillis;
use tokio::time::{Interval, MissedTickBehavior};
use ulid::Ulid;

/// A minute, in milliseconds.
pub(crate) const MINUTE_MS: u64 = 60_000;
/// The wait after the first failure; it doubles with each further one.
const BACKOFF: Duration = Duration::from_millis(500);
/// No wait after a failure is longer.
const BACKOFF_CAP: Duration = Duration::from_secs(30);

/// How long to wait before the next try, after so many failures before the last one.
pub(crate) fn backoff(failures: u32) -> Duration {
    BACKOFF.saturating_mul(2u32.saturating_pow(failures)).min(BACKOFF_CAP)
}

/// Between half of `wait` and all of it, as `random` has it: those who failed together do not come back together.
pub(crate) fn jittered(wait: Duration, random: u64) -> Duration {
    let half = wait / 2;
    half + half.mul_f64(random as f64 / u64::MAX as f64)
}

/// For [`jittered`]: nothing secret rests on it.
pub(crate) fn random() -> u64 {
    // A ULID's low half is random.
    Ulid::generate().0 as u64
}

/// Ticks at once, and then every `interval`; what takes longer than that puts the next one off.
pub(crate) fn ticks(interval: Duration) -> Interval {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// The time of day.
pub(crate) fn now() -> UnixMillis {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(millis(since_epoch))
}

/// The minute that `at` is in.
pub(crate) fn minute_of(at: UnixMillis) -> UnixMillis {
    UnixMillis(at.0 - at.0 % MINUTE_MS)
}

/// A moment as the standard library has it.
pub(crate) fn system_time(at: UnixMillis) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(at.0)
}

/// Earlier by `duration`.
pub(crate) fn before(at: UnixMillis, duration: Duration) -> UnixMillis {
    UnixMillis(at.0.saturating_sub(millis(duration)))
}

/// Later by `duration`.
pub(crate) fn after(at: UnixMillis, duration: Duration) -> UnixMillis {
    UnixMillis(at.0.saturating_add(millis(duration)))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_who_failed_together_do_not_come_back_together() {
        let wait = Duration::from_secs(8);
        assert_eq!(jittered(wait, 0), wait / 2);
        assert_eq!(jittered(wait, u64::MAX), wait);
    }
}
