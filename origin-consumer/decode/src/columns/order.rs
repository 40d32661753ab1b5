//! The order of the table's sorting key. The server sorts what is not sorted, at a higher price than ours, and merges parts
//! that are alike for less.

use super::SpanColumns;
use crate::native::Dictionary;

const NANOS_PER_SECOND: i64 = 1_000_000_000;

impl SpanColumns {
    /// `spans` in the order of `(TenantId, ServiceName, SpanName, toDateTime(Timestamp))`, and those that are alike in that in
    /// their own.
    pub fn sorted(&self, spans: &[u32]) -> Vec<u32> {
        let dictionaries = &self.dictionaries;
        let [tenants, services, names] =
            [&dictionaries.tenants, &dictionaries.services, &dictionaries.names].map(Dictionary::ranks);
        let first_second = self.timestamp.iter().min().map_or(0, |first| first / NANOS_PER_SECOND);
        let by_scope: Vec<_> = self
            .scopes
            .iter()
            .map(|scope| Key(0).then(tenants[scope.tenant as usize], &tenants))
            .zip(&self.scopes)
            .map(|(key, scope)| key.then(services[scope.service as usize], &services))
            .collect();
        let mut keys: Vec<_> = spans
            .iter()
            .map(|&span| {
                let at = span as usize;
                let Key(key) = by_scope[self.scope[at] as usize].then(names[self.name[at] as usize], &names);
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
#[derive(Clone, Copy)]
struct Key(u128);

impl Key {
    fn then(self, rank: u32, of: &[u32]) -> Self {
        let bits = usize::BITS - of.len().leading_zeros();
        Self(self.0 << bits | u128::from(rank))
    }
}
