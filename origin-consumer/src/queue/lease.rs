//! Until when a batch is ours, without asking the ledger.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use spillway_proto::UnixMillis;
use ulid::Ulid;

/// A lease on a batch, as this process knows it. The ledger refuses whoever has lost one; ClickHouse does not, so whoever
/// stood still has to look at the clock before it writes there.
#[derive(Debug, Clone)]
pub struct Lease {
    batch: Ulid,
    until_ms: Arc<AtomicU64>,
}

impl Lease {
    pub(super) fn new(batch: Ulid, until: UnixMillis) -> Self {
        Self { batch, until_ms: Arc::new(AtomicU64::new(until.0)) }
    }

    pub(super) fn renewed(&self, until: UnixMillis) {
        self.until_ms.store(until.0, Ordering::Relaxed);
    }

    /// Whether another consumer may have the batch by now.
    pub fn is_over(&self, now: UnixMillis) -> bool {
        now.0 >= self.until_ms.load(Ordering::Relaxed)
    }

    /// Of which batch.
    pub fn batch(&self) -> Ulid {
        self.batch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_over_at_its_end_unless_it_was_renewed() {
        let lease = Lease::new(Ulid::nil(), UnixMillis(10));
        assert!(!lease.is_over(UnixMillis(9)) && lease.is_over(UnixMillis(10)));
        lease.clone().renewed(UnixMillis(20));
        assert!(!lease.is_over(UnixMillis(19)) && lease.is_over(UnixMillis(20)));
    }
}
