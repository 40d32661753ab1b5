//! Step 4: whether the key is used too often.
//!
//! A GCRA limiter of `governor` for each key, in the memory of the isolate, on the Worker's clock.

use std::cell::{Cell, RefCell};
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use lru::LruCache;
use spillway_proto::api_key::{KeyRecord, RateLimit};
use spillway_proto::{KeyId, TenantId, UnixMillis};

use crate::reject::Rejection;

/// Keys whose limiters an isolate remembers; the least used one is forgotten, and begins anew with a full bucket.
const MAX_LIMITERS: NonZeroUsize = const { NonZeroUsize::new(10_000).unwrap() };

/// What `Retry-After` may say, in seconds: with more, exporters drop the batch at once.
const RETRY_AFTER_SECONDS: std::ops::RangeInclusive<u64> = 1..=3;

/// The limiters of an isolate.
pub struct RateLimiters {
    clock: RequestClock,
    by_key: RefCell<LruCache<(TenantId, KeyId), Limiter>>,
}

struct Limiter {
    limit: RateLimit,
    bucket: RateLimiter<NotKeyed, InMemoryState, RequestClock, NoOpMiddleware<Duration>>,
}

/// Shows the time that it was last told.
#[derive(Clone, Default)]
struct RequestClock(Rc<Cell<Duration>>);

impl Clock for RequestClock {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.get()
    }
}

impl Default for RateLimiters {
    fn default() -> Self {
        Self { clock: RequestClock::default(), by_key: RefCell::new(LruCache::new(MAX_LIMITERS)) }
    }
}

impl RateLimiters {
    /// Takes one request out of the key's bucket.
    pub fn check(&self, key: &KeyRecord, now: UnixMillis) -> Result<(), Rejection> {
        self.clock.0.set(Duration::from_millis(now.0));
        let mut by_key = self.by_key.borrow_mut();
        let limiter =
            by_key.get_or_insert_mut((key.tenant.clone(), key.key_id.clone()), || self.limiter(key.rate));
        if limiter.limit != key.rate {
            *limiter = self.limiter(key.rate);
        }
        limiter.bucket.check().map_err(|not_until| Rejection::RateLimited {
            requests_per_second: key.rate.requests_per_second.get(),
            retry_after_seconds: whole_seconds(not_until.wait_time_from(self.clock.now())),
        })
    }

    fn limiter(&self, limit: RateLimit) -> Limiter {
        let quota = Quota::per_second(limit.requests_per_second).allow_burst(limit.burst);
        Limiter { limit, bucket: RateLimiter::direct_with_clock(quota, self.clock.clone()) }
    }
}

fn whole_seconds(wait: Duration) -> u64 {
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    seconds.clamp(*RETRY_AFTER_SECONDS.start(), *RETRY_AFTER_SECONDS.end())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(id: &str, requests_per_second: u32, burst: u32) -> KeyRecord {
        let rate = serde_json::json!({ "requests_per_second": requests_per_second, "burst": burst });
        serde_json::from_value(serde_json::json!({ "tenant": "acme", "key_id": id, "rate": rate })).unwrap()
    }

    fn passed(limiters: &RateLimiters, key: &KeyRecord, at_ms: u64) -> usize {
        (0..100).take_while(|_| limiters.check(key, UnixMillis(at_ms)).is_ok()).count()
    }

    #[test]
    fn a_burst_passes_and_then_the_rate() {
        let (limiters, key) = (RateLimiters::default(), key("k", 2, 5));
        assert_eq!(passed(&limiters, &key, 1_000_000), 5);
        assert_eq!(passed(&limiters, &key, 1_000_499), 0);
        assert_eq!(passed(&limiters, &key, 1_001_000), 2);
        assert_eq!(passed(&limiters, &key, 1_010_000), 5);
    }

    #[test]
    fn one_key_does_not_spend_the_allowance_of_another() {
        let limiters = RateLimiters::default();
        assert_eq!(passed(&limiters, &key("a", 1, 3), 1_000_000), 3);
        assert_eq!(passed(&limiters, &key("b", 1, 3), 1_000_000), 3);
    }

    #[test]
    fn a_changed_limit_counts_at_once() {
        let limiters = RateLimiters::default();
        assert_eq!(passed(&limiters, &key("k", 1, 3), 1_000_000), 3);
        assert_eq!(passed(&limiters, &key("k", 1, 9), 1_000_000), 9);
    }

    #[test]
    fn retry_after_is_one_to_three_seconds() {
        for (wait_ms, seconds) in [(1, 1), (1_000, 1), (1_001, 2), (60_000, 3)] {
            assert_eq!(whole_seconds(Duration::from_millis(wait_ms)), seconds);
        }
    }

    #[test]
    fn a_clock_that_steps_back_stops_nobody_for_long() {
        let (limiters, key) = (RateLimiters::default(), key("k", 10, 10));
        assert_eq!(passed(&limiters, &key, 2_000_000), 10);
        let Err(Rejection::RateLimited { retry_after_seconds, .. }) =
            limiters.check(&key, UnixMillis(1_000_000))
        else {
            panic!("the bucket was empty")
        };
        assert!(retry_after_seconds <= 3);
    }
}
