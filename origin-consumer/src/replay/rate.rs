//! How fast a replay may go.

use std::num::NonZeroU32;
use std::str::FromStr;

use governor::clock::MonotonicClock;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

/// So many of something a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub per_second: NonZeroU32,
    /// Of what.
    pub of: Unit,
}

/// No object waits for longer, whatever its name says of its spans.
const LONGEST_WAIT_SECONDS: u32 = 60;

/// What a rate counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Spans, as the objects' names have them.
    Spans,
    /// Objects.
    Objects,
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let units = [("spans/s", Unit::Spans), ("objects/s", Unit::Objects)];
        let read = |(suffix, of)| {
            let per_second = text.strip_suffix(suffix)?.parse().ok()?;
            Some(Self { per_second, of })
        };
        let expected =
            || "must be a number of spans or objects a second, such as 5000spans/s or 20objects/s".to_owned();
        units.into_iter().find_map(read).ok_or_else(expected)
    }
}

/// Lets objects through at a rate, after those of the first second; without one, at once.
pub struct Throttle(Option<Limited>);

struct Limited {
    rate: Rate,
    limiter: RateLimiter<NotKeyed, InMemoryState, MonotonicClock>,
}

impl Throttle {
    /// For this rate, if there is one.
    pub fn new(rate: Option<Rate>) -> Self {
        Self(rate.map(|rate| {
            let quota = Quota::per_second(rate.per_second);
            Limited { rate, limiter: RateLimiter::direct_with_clock(quota, MonotonicClock) }
        }))
    }

    /// Waits until an object of so many spans may go.
    pub async fn admit(&self, spans: u32) {
        let Some(Limited { rate, limiter }) = &self.0 else { return };
        let mut waiting = match rate.of {
            Unit::Spans => spans.min(rate.per_second.get().saturating_mul(LONGEST_WAIT_SECONDS)),
            Unit::Objects => 1,
        };
        // An object may hold more than a second's worth.
        while let Some(part) = NonZeroU32::new(waiting.min(rate.per_second.get())) {
            // No part is larger than what the limiter holds, which is all that it refuses.
            let _ = limiter.until_n_ready(part).await;
            waiting -= part.get();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    #[test]
    fn a_rate_names_what_it_counts() {
        let per_second = NonZeroU32::new(5_000).unwrap();
        assert_eq!("5000spans/s".parse(), Ok(Rate { per_second, of: Unit::Spans }));
        assert_eq!("5000objects/s".parse(), Ok(Rate { per_second, of: Unit::Objects }));
        for bad in ["", "5000", "spans/s", "0spans/s", "5 spans/s", "5bytes/s", "-5spans/s"] {
            assert!(bad.parse::<Rate>().is_err(), "{bad}");
        }
    }

    async fn seconds(rate: &str, objects: &[u32]) -> Duration {
        let (throttle, began) = (Throttle::new(Some(rate.parse().unwrap())), Instant::now());
        for spans in objects {
            throttle.admit(*spans).await;
        }
        began.elapsed()
    }

    #[tokio::test]
    async fn what_is_above_the_first_second_waits() {
        assert!(seconds("1000spans/s", &[1_200]).await >= Duration::from_millis(190));
        assert!(seconds("10objects/s", &[5_000; 12]).await >= Duration::from_millis(190));
        let unlimited = Instant::now();
        Throttle::new(None).admit(u32::MAX).await;
        assert!(unlimited.elapsed() < Duration::from_secs(1));
    }
}
