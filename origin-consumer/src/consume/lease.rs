//! How long a batch is surely ours, by a clock that goes on while the process stands still.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use spillway_proto::ObjectKey;

use crate::insert::{BatchRows, Insert, SpanSink, SpanTable, TableError};

/// The end of a lease.
pub(super) struct Lease(Mutex<Instant>);

impl Lease {
    /// One that is over until it is kept.
    pub(super) fn new() -> Self {
        Self(Mutex::new(Instant::now()))
    }

    /// It was asked for until then, and the ledger has agreed.
    pub(super) fn keep(&self, until: Instant) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = until;
    }

    /// An error once others may have the batch.
    pub(super) fn check(&self) -> Result<(), TableError> {
        let until = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if Instant::now() < until { Ok(()) } else { Err(TableError::LeaseOver) }
    }
}

/// The table, for as long as the lease holds. Whoever stood still past it must not begin an insert: its objects may be in
/// another batch by then, whose tokens are others.
pub(super) struct UnderLease<'a> {
    pub(super) table: &'a SpanTable,
    pub(super) lease: &'a Lease,
}

impl SpanSink for UnderLease<'_> {
    type Error = TableError;

    async fn insert(&self, insert: Insert<'_>) -> Result<(), TableError> {
        self.lease.check()?;
        self.table.insert(insert).await
    }

    async fn end_inserts(&self, query_ids: &str) -> Result<(), TableError> {
        self.table.end_inserts(query_ids).await
    }

    async fn await_inserts(&self) -> Result<(), TableError> {
        self.table.await_inserts().await
    }

    async fn counts(&self, keys: &[ObjectKey]) -> Result<HashMap<ObjectKey, u64>, TableError> {
        self.table.counts(keys).await
    }

    async fn row_numbers(&self, key: &ObjectKey) -> Result<HashSet<u32>, TableError> {
        self.table.row_numbers(key).await
    }

    async fn derive(&self, batch: &BatchRows) -> Result<(), TableError> {
        self.table.derive(batch).await
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn it_holds_until_its_end() {
        let lease = Lease::new();
        assert!(matches!(lease.check(), Err(TableError::LeaseOver)));
        lease.keep(Instant::now() + Duration::from_secs(60));
        assert!(lease.check().is_ok());
        lease.keep(Instant::now());
        assert!(lease.check().is_err());
    }
}
