//! What an isolate remembers from one request to the next.

use std::cell::Cell;
use std::time::Duration;

use spillway_proto::UnixMillis;

use crate::allowance::isolate::Allowances;
use crate::body_budget::BodyBudget;
use crate::discard::Discards;
use crate::key_cache::KeyCache;
use crate::mesh::link::Link;
use crate::notify::NotifyLinks;
use crate::rate_limit::RateLimiters;
use crate::telemetry::Telemetry;

/// A round of the background that has not come back by then was cancelled with its request.
const ROUND_LOST: Duration = Duration::from_secs(15);

/// What an isolate remembers.
pub struct Isolate {
    /// Key records.
    pub keys: KeyCache,
    /// How the key store fares.
    pub key_link: Link,
    /// The tenants' limiters.
    pub limiters: RateLimiters,
    /// The tenants' leases and counts.
    pub allowances: Allowances,
    /// How R2 fares.
    pub bucket_link: Link,
    /// How the ways to the origin fare.
    pub notify_links: NotifyLinks,
    /// The bodies in hand.
    pub bodies: BodyBudget,
    /// The bodies that are read and thrown away.
    pub discards: Discards,
    /// What there is to tell.
    pub telemetry: Telemetry,
    round_since: Cell<Option<UnixMillis>>,
    last_round: Cell<Option<UnixMillis>>,
}

impl Default for Isolate {
    fn default() -> Self {
        Self {
            keys: KeyCache::default(),
            key_link: Link::new("key store"),
            limiters: RateLimiters::default(),
            allowances: Allowances::default(),
            bucket_link: Link::new("object store"),
            notify_links: NotifyLinks::default(),
            bodies: BodyBudget::default(),
            discards: Discards::default(),
            telemetry: Telemetry::default(),
            round_since: Cell::new(None),
            last_round: Cell::new(None),
        }
    }
}

impl Isolate {
    /// Makes the caller the one request that does the background's next round, and tells it how long to wait: rounds are at
    /// least `interval` apart, and the first one after a pause is at once. None if another request does it.
    pub fn begin_round(&self, interval: Duration, now: UnixMillis) -> Option<Duration> {
        let since = |at: UnixMillis| Duration::from_millis(now.0.abs_diff(at.0));
        if self.round_since.get().is_some_and(|at| since(at) < ROUND_LOST) {
            return None;
        }
        self.round_since.set(Some(now));
        let last = self.last_round.get();
        Some(last.map_or(Duration::ZERO, |at| interval.saturating_sub(since(at))))
    }

    /// The round begins its work; what comes in from here on needs another one.
    pub fn end_round(&self, now: UnixMillis) {
        self.round_since.set(None);
        self.last_round.set(Some(now));
    }
}
