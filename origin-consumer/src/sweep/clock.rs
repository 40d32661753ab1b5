//! Whether the clock was set.

use std::time::{Duration, Instant};

use spillway_proto::UnixMillis;

use crate::time::{after, now};

/// How far the clock may move against the time that passes before it is said.
const CLOCK_JUMP: Duration = Duration::from_secs(10);

/// The time of day against the time that passes.
pub(super) struct Clock {
    wall: UnixMillis,
    steady: Instant,
}

impl Clock {
    pub(super) fn started() -> Self {
        Self { wall: now(), steady: Instant::now() }
    }

    /// By how many milliseconds the clock was set since this was last asked, if it was.
    pub(super) fn jumped(&mut self) -> Option<i64> {
        let expected = after(self.wall, self.steady.elapsed());
        *self = Self::started();
        let jump = i64::try_from(self.wall.0).ok()?.checked_sub(i64::try_from(expected.0).ok()?)?;
        (jump.unsigned_abs() > CLOCK_JUMP.as_millis() as u64).then_some(jump)
    }
}
