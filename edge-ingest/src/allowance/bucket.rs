//! A token bucket that is emptied in parts and may be overdrawn.

use spillway_proto::UnixMillis;

/// The tokens of one limit.
#[derive(Debug, Clone, Copy)]
pub struct Bucket {
    level: f64,
    filled_at: UnixMillis,
}

/// What refills a bucket, and what it holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Size {
    /// Tokens a second.
    pub per_second: f64,
    /// The most tokens.
    pub burst: f64,
}

/// What was overdrawn is paid back in at most this time.
const MAX_DEBT_SECONDS: f64 = 60.0;

impl Bucket {
    /// A full one.
    pub fn full(size: Size, now: UnixMillis) -> Self {
        Self { level: size.burst, filled_at: now }
    }

    /// Takes up to `want` tokens: at most half of what is left, so that others find some too, and at least one if there is one.
    pub fn take(&mut self, want: i64, size: Size, now: UnixMillis) -> i64 {
        self.refill(size, now);
        let left = self.level.floor() as i64;
        if left < 1 {
            return 0;
        }
        let taken = want.min((left + 1) / 2).max(0);
        self.level -= taken as f64;
        taken
    }

    /// Takes what was spent already. The bucket goes below zero by no more than a minute refills, so that nobody waits for ever.
    pub fn overdraw(&mut self, spent: i64, size: Size, now: UnixMillis) {
        self.refill(size, now);
        self.level = (self.level - spent as f64).max(-MAX_DEBT_SECONDS * size.per_second);
    }

    /// When there is a token again, in milliseconds from `now`.
    pub fn wait_ms(&self, size: Size) -> u64 {
        let missing = (1.0 - self.level).max(0.0);
        (missing / size.per_second * 1000.0).ceil() as u64
    }

    fn refill(&mut self, size: Size, now: UnixMillis) {
        // A clock that steps back refills nothing and takes nothing away.
        let seconds = now.0.saturating_sub(self.filled_at.0) as f64 / 1000.0;
        self.level = (self.level + seconds * size.per_second).min(size.burst);
        self.filled_at = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = Size { per_second: 10.0, burst: 20.0 };

    #[test]
    fn half_of_what_is_left_is_given_and_all_in_the_end() {
        let now = UnixMillis(1_000_000);
        let mut bucket = Bucket::full(SIZE, now);
        let taken: Vec<_> = (0..7).map(|_| bucket.take(100, SIZE, now)).collect();
        assert_eq!(taken, [10, 5, 3, 1, 1, 0, 0]);
        assert_eq!(bucket.wait_ms(SIZE), 100);
        assert_eq!(bucket.take(3, SIZE, UnixMillis(1_001_000)), 3);
    }

    #[test]
    fn what_was_overdrawn_is_paid_back() {
        let now = UnixMillis(1_000_000);
        let mut bucket = Bucket::full(SIZE, now);
        bucket.overdraw(25, SIZE, now);
        assert_eq!((bucket.take(1, SIZE, now), bucket.wait_ms(SIZE)), (0, 600));
        bucket.overdraw(1_000_000, SIZE, now);
        assert_eq!(bucket.wait_ms(SIZE), 60_100);
    }

    #[test]
    fn a_clock_that_steps_back_gives_nothing() {
        let mut bucket = Bucket::full(SIZE, UnixMillis(2_000_000));
        bucket.overdraw(20, SIZE, UnixMillis(2_000_000));
        assert_eq!(bucket.take(1, SIZE, UnixMillis(1_000_000)), 0);
        assert_eq!(bucket.take(1, SIZE, UnixMillis(1_000_100)), 1);
    }
}
