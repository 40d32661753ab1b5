//! What an isolate remembers from one request to the next.

use std::cell::Cell;

use spillway_proto::UnixMillis;

use crate::allowance::isolate::Allowances;
use crate::key_cache::KeyCache;
use crate::mesh::link::Link;
use crate::notify::NotifyLinks;
use crate::rate_limit::RateLimiters;
use crate::telemetry::Telemetry;

/// A round of the background that has not come back by then was cancelled with its request.
const ROUND_LOST_MS: u64 = 15_000;

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
    /// What there is to tell.
    pub telemetry: Telemetry,
    round_since: Cell<Option<UnixMillis>>,
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
            telemetry: Telemetry::default(),
            round_since: Cell::new(None),
        }
    }
}

impl Isolate {
    /// Whether the caller is the one request that does the background's next round.
    pub fn begin_round(&self, now: UnixMillis) -> bool {
        let running =
            self.round_since.get().is_some_and(|since| now.0.saturating_sub(since.0) < ROUND_LOST_MS);
        if !running {
            self.round_since.set(Some(now));
        }
        !running
    }

    /// The round is over.
    pub fn end_round(&self) {
        self.round_since.set(None);
    }
}
