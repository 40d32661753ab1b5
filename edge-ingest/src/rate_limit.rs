//! Step 4: whether the tenant sends too much.
//!
//! Two looks. The isolate's own: a GCRA limiter of `governor` for each tenant, on the Worker's clock, which no isolate can
//! pass, whatever else fails. And the lease that the tenant's Durable Object has granted ([`crate::allowance`]), which holds
//! over all isolates.

use std::cell::{Cell, RefCell};
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use lru::LruCache;
use spillway_proto::key_record::{KeyRecord, Rate, RateLimits};
use spillway_proto::{TenantId, UnixMillis};

use crate::allowance::Kind;
use crate::allowance::object::rate_of;
use crate::allowance::tenant::LimitMet;
use crate::reject::Rejection;

/// Tenants whose limiters an isolate remembers; the least used one is forgotten, and begins anew with a full bucket.
const MAX_LIMITERS: NonZeroUsize = const { NonZeroUsize::new(10_000).unwrap() };

/// What `Retry-After` may say, in seconds: with more, exporters drop the batch at once.
const RETRY_AFTER_SECONDS: std::ops::RangeInclusive<u64> = 1..=3;

/// The limiters of an isolate.
pub struct RateLimiters {
    clock: RequestClock,
    /// Keys of a tenant that say different limits have different buckets.
    by_tenant: RefCell<LruCache<(TenantId, Rate), Limiter>>,
}

type Limiter = RateLimiter<NotKeyed, InMemoryState, RequestClock, NoOpMiddleware<Duration>>;

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
        Self { clock: RequestClock::default(), by_tenant: RefCell::new(LruCache::new(MAX_LIMITERS)) }
    }
}

impl RateLimiters {
    /// Takes one request out of the tenant's bucket in this isolate.
    pub fn check(&self, key: &KeyRecord, now: UnixMillis) -> Result<(), Rejection> {
        let limit = key.limits.requests;
        let now = Duration::from_millis(now.0);
        let mut by_tenant = self.by_tenant.borrow_mut();
        if now < self.clock.0.replace(now) {
            // The clock stepped back: what was spent at a time to come would be missing until then.
            by_tenant.clear();
        }
        let limiter = by_tenant.get_or_insert((key.tenant.clone(), limit), || self.limiter(limit));
        limiter.check().map_err(|not_until| {
            let wait = not_until.wait_time_from(self.clock.now());
            let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
            rejection(LimitMet { kind: Kind::Requests, wait_ms }, &key.limits)
        })
    }

    fn limiter(&self, limit: Rate) -> Limiter {
        let quota = Quota::per_second(limit.per_second).allow_burst(limit.burst());
        RateLimiter::direct_with_clock(quota, self.clock.clone())
    }
}

/// The answer to a tenant that has met a limit.
pub fn rejection(met: LimitMet, limits: &RateLimits) -> Rejection {
    Rejection::RateLimited {
        kind: met.kind,
        per_second: rate_of(limits, met.kind).map_or(0, |rate| rate.per_second.get()),
        retry_after_seconds: met
            .wait_ms
            .div_ceil(1_000)
            .clamp(*RETRY_AFTER_SECONDS.start(), *RETRY_AFTER_SECONDS.end()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(tenant: &str, per_second: u32, burst: u32) -> KeyRecord {
        let requests = serde_json::json!({ "per_second": per_second, "burst": burst });
        let record =
            serde_json::json!({ "tenant": tenant, "key_id": "k", "limits": { "requests": requests } });
        serde_json::from_value(record).unwrap()
    }

    fn passed(limiters: &RateLimiters, key: &KeyRecord, at_ms: u64) -> usize {
        (0..100).take_while(|_| limiters.check(key, UnixMillis(at_ms)).is_ok()).count()
    }

    #[test]
    fn a_burst_passes_and_then_the_rate() {
        let (limiters, key) = (RateLimiters::default(), key("acme", 2, 5));
        assert_eq!(passed(&limiters, &key, 1_000_000), 5);
        assert_eq!(passed(&limiters, &key, 1_000_499), 0);
        assert_eq!(passed(&limiters, &key, 1_001_000), 2);
        assert_eq!(passed(&limiters, &key, 1_010_000), 5);
    }

    #[test]
    fn one_tenant_does_not_spend_the_allowance_of_another() {
        let limiters = RateLimiters::default();
        assert_eq!(passed(&limiters, &key("a", 1, 3), 1_000_000), 3);
        assert_eq!(passed(&limiters, &key("b", 1, 3), 1_000_000), 3);
    }

    #[test]
    fn keys_with_different_limits_do_not_refill_each_other() {
        let (limiters, one, other) = (RateLimiters::default(), key("acme", 1, 1), key("acme", 1, 2));
        let passed: usize =
            (0..50).map(|_| passed(&limiters, &one, 1_000_000) + passed(&limiters, &other, 1_000_000)).sum();
        assert_eq!(passed, 3);
    }

    #[test]
    fn a_changed_limit_counts_at_once() {
        let limiters = RateLimiters::default();
        assert_eq!(passed(&limiters, &key("acme", 1, 3), 1_000_000), 3);
        assert_eq!(passed(&limiters, &key("acme", 1, 9), 1_000_000), 9);
    }

    #[test]
    fn the_answer_names_the_limit_and_waits_one_to_three_seconds() {
        let limits: RateLimits = serde_json::from_str(r#"{"spans":{"per_second":7}}"#).unwrap();
        for (wait_ms, seconds) in [(1, 1), (1_000, 1), (1_001, 2), (60_000, 3)] {
            let rejection = rejection(LimitMet { kind: Kind::Spans, wait_ms }, &limits);
            assert_eq!(rejection.retry_after_seconds(), Some(seconds));
            assert!(rejection.to_string().starts_with("the limit of 7 spans per second is reached"));
        }
    }

    #[test]
    fn a_clock_that_steps_back_stops_nobody_for_long() {
        let (limiters, key) = (RateLimiters::default(), key("acme", 10, 10));
        assert_eq!(passed(&limiters, &key, 2_000_000), 10);
        assert_eq!(passed(&limiters, &key, 1_000_000), 10);
        assert_eq!(passed(&limiters, &key, 1_000_000), 0);
    }
}
