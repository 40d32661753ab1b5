//! The clock, and how long to wait.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use spillway_proto::UnixMillis;

/// The wait after the first failure; it doubles with each further one.
const BACKOFF: Duration = Duration::from_millis(500);
/// No wait after a failure is longer.
const BACKOFF_CAP: Duration = Duration::from_secs(30);

/// How long to wait before the next try, after so many failures before the last one.
pub(crate) fn backoff(failures: u32) -> Duration {
    BACKOFF.saturating_mul(2u32.saturating_pow(failures)).min(BACKOFF_CAP)
}

/// The time of day.
pub(crate) fn now() -> UnixMillis {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(millis(since_epoch))
}

/// A moment as the standard library has it.
pub(crate) fn system_time(at: UnixMillis) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(at.0)
}

/// Later by `duration`.
pub(crate) fn after(at: UnixMillis, duration: Duration) -> UnixMillis {
    UnixMillis(at.0.saturating_add(millis(duration)))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
