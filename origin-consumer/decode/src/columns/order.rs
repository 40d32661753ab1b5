//! The order of the table's sorting key. The server sorts what is not sorted, at a higher price than ours, and merges parts
//! that are alike for less.

use super::SpanColumns;
use crate::native::Dictionary;

const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// Where what many spans have in common stands in the order. It is the same for each day of a batch.
#[derive(Debug)]
pub(super) struct Ranks {
    /// The tenant and the service of each scope.
    scopes: Vec<Key>,
    /// Of the names of spans.
    names: Vec<u32>,
    first_second: i64,
}

impl Ranks {
    fn of(columns: &SpanColumns) -> Self {
        let dictionaries = &columns.dictionaries;
        let [tenants, services, names] =
            [&dictionaries.tenants, &dictionaries.services, &dictionaries.names].map(Dictionary::ranks);
        let scopes = columns.scopes.iter().map(|scope| {
            let tenant = Key(0).then(tenants[scope.tenant as usize], &tenants);
            tenant.then(services[scope.service as usize], &services)
        });
        let first_second = columns.timestamp.iter().min().map_or(0, |first| first / NANOS_PER_SECOND);
        Self { scopes: scopes.collect(), names, first_second }
    }
}

impl SpanColumns {
    /// `spans` in the order of `(TenantId, ServiceName, SpanName, toDateTime(Timestamp))`, and those that are alike in that in
    /// their own.
    pub fn sorted(&self, spans: &[u32]) -> Vec<u32> {
        let Ranks { scopes, names, first_second } = self.ranks.get_or_init(|| Ranks::of(self));
        let mut keys: Vec<_> = spans
            .iter()
            .map(|&span| {
                let at = span as usize;
                let Key(key) = scopes[self.scope[at] as usize].then(names[self.name[at] as usize], names);
                let second = (self.timestamp[at] / NANOS_PER_SECOND - first_second) as u32;
                key << 64 | u128::from(second) << 32 | u128::from(span)
            })
            .collect();
        keys.sort_unstable();
        keys.into_iter().map(|key| key as u32).collect()
    }
}

/// The ranks of texts one after another, each with as many bits as it takes. Of more than 64 bits the first would be lost, for
/// which there would have to be billions of spans; the server would then sort.
#[derive(Debug, Clone, Copy)]
struct Key(u128);

impl Key {
    fn then(self, rank: u32, of: &[u32]) -> Self {
        let bits = usize::BITS - of.len().leading_zeros();
        Self(self.0 << bits | u128::from(rank))
    }
}
