//! The side of the Durable Object: a tenant's token buckets, and the counts of its months.

use spillway_proto::UnixMillis;
use spillway_proto::key_record::{Rate, RateLimits};
use spillway_proto::usage::Usage;

use super::bucket::{Bucket, Size};
use super::{Amounts, Ask, Grant, Kind, Settlement};
use crate::ports::PortError;

/// Where the counts of an object are durable.
pub trait Ledger {
    /// Counts a settlement of `isolate`, unless it was counted before.
    fn settle(&self, isolate: &str, settlement: &Settlement, now: UnixMillis) -> Result<(), PortError>;

    /// The last settlement of `isolate` that was counted, or 0.
    fn settled(&self, isolate: &str) -> Result<u64, PortError>;

    /// What was counted in `month`.
    fn usage(&self, month: &str) -> Result<Usage, PortError>;
}

/// The buckets of an object. They begin full: an object that was moved or restarted grants at most a burst too much.
#[derive(Debug, Default)]
pub struct Buckets {
    requests: Option<Bucket>,
    spans: Option<Bucket>,
    bytes: Option<Bucket>,
}

impl Buckets {
    /// Answers an ask, but for the other shards' usage.
    pub fn answer(&mut self, ask: &Ask, ledger: &impl Ledger, now: UnixMillis) -> Result<Grant, PortError> {
        if let Some(settlement) = &ask.settlement {
            ledger.settle(&ask.isolate, settlement, now)?;
        }
        let (granted, retry_after_ms) = self.grant(ask, now);
        let settled = ledger.settled(&ask.isolate)?;
        Ok(Grant { granted, retry_after_ms, settled, usage: ledger.usage(&ask.month)? })
    }

    fn grant(&mut self, ask: &Ask, now: UnixMillis) -> (Amounts, u64) {
        let (mut granted, mut wait) = (Amounts::default(), 0);
        for kind in Kind::ALL {
            let Some(rate) = rate_of(&ask.limits, kind) else { continue };
            let size = size(rate, ask.limits.shards.count());
            let bucket = self.bucket(kind).get_or_insert_with(|| Bucket::full(size, now));
            let (want, owed) = (ask.want.of(kind), ask.owed.of(kind));
            if owed > 0 {
                bucket.overdraw(owed, size, now);
            }
            *granted.of_mut(kind) = bucket.take(want, size, now);
            if want > 0 && granted.of(kind) == 0 {
                wait = wait.max(bucket.wait_ms(size));
            }
        }
        (granted, wait)
    }

    fn bucket(&mut self, kind: Kind) -> &mut Option<Bucket> {
        match kind {
            Kind::Requests => &mut self.requests,
            Kind::Spans => &mut self.spans,
            Kind::Bytes => &mut self.bytes,
        }
    }
}

/// The limit of a kind, if there is one.
pub fn rate_of(limits: &RateLimits, kind: Kind) -> Option<Rate> {
    match kind {
        Kind::Requests => Some(limits.requests),
        Kind::Spans => limits.spans,
        Kind::Bytes => limits.bytes,
    }
}

/// A shard's part; at least one token fits, else nothing would ever pass.
fn size(rate: Rate, shards: u8) -> Size {
    let shards = f64::from(shards.max(1));
    Size {
        per_second: f64::from(rate.per_second.get()) / shards,
        burst: (f64::from(rate.burst().get()) / shards).max(1.0),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::BTreeMap;

    use super::super::Shard;
    use super::*;

    /// Counts in memory.
    #[derive(Default)]
    struct Memory {
        months: RefCell<BTreeMap<String, Usage>>,
        settled: RefCell<BTreeMap<String, u64>>,
    }

    impl Ledger for Memory {
        fn settled(&self, isolate: &str) -> Result<u64, PortError> {
            Ok(self.settled.borrow().get(isolate).copied().unwrap_or_default())
        }

        fn settle(&self, isolate: &str, settlement: &Settlement, _: UnixMillis) -> Result<(), PortError> {
            let mut settled = self.settled.borrow_mut();
            let last = settled.entry(isolate.to_owned()).or_default();
            if settlement.sequence > *last {
                *last = settlement.sequence;
                let mut months = self.months.borrow_mut();
                let month = months.entry(settlement.month.clone()).or_default();
                *month = month.plus(settlement.usage);
            }
            Ok(())
        }

        fn usage(&self, month: &str) -> Result<Usage, PortError> {
            Ok(self.months.borrow().get(month).copied().unwrap_or_default())
        }
    }

    fn ask(limits: &str, want: Amounts) -> Ask {
        Ask {
            limits: serde_json::from_str(limits).unwrap(),
            shard: Shard { tenant: "acme".parse().unwrap(), index: 0 },
            want,
            owed: Amounts::default(),
            isolate: "i".to_owned(),
            month: "2026-11".to_owned(),
            settlement: None,
        }
    }

    const NOW: UnixMillis = UnixMillis(1_795_230_245_678);

    #[test]
    fn kinds_without_a_limit_are_not_granted_and_do_not_wait() {
        let mut buckets = Buckets::default();
        let asked =
            ask(r#"{"requests":{"per_second":2,"burst":2}}"#, Amounts { requests: 1, spans: 5, bytes: 5 });
        let grants: Vec<_> =
            (0..3).map(|_| buckets.answer(&asked, &Memory::default(), NOW).unwrap()).collect();
        assert_eq!(grants[1].granted, Amounts { requests: 1, spans: 0, bytes: 0 });
        assert_eq!((grants[2].granted.requests, grants[2].retry_after_ms), (0, 500));
    }

    #[test]
    fn shards_have_their_part_of_the_limit() {
        let mut buckets = Buckets::default();
        let asked = ask(
            r#"{"requests":{"per_second":8,"burst":8},"shards":4}"#,
            Amounts { requests: 8, ..Amounts::default() },
        );
        let granted: i64 =
            (0..5).map(|_| buckets.answer(&asked, &Memory::default(), NOW).unwrap().granted.requests).sum();
        assert_eq!(granted, 2);
    }

    #[test]
    fn a_settlement_that_is_told_twice_counts_once() {
        let (mut buckets, ledger) = (Buckets::default(), Memory::default());
        let mut asked = ask("{}", Amounts::default());
        let settlement = |sequence| Settlement {
            sequence,
            month: "2026-11".to_owned(),
            usage: Usage { spans: 5, bytes: 7 },
        };
        for (sequence, spans) in [(1, 5), (1, 5), (2, 10)] {
            asked.settlement = Some(settlement(sequence));
            assert_eq!(buckets.answer(&asked, &ledger, NOW).unwrap().usage.spans, spans);
        }
        asked.month = "2026-12".to_owned();
        assert_eq!(buckets.answer(&asked, &ledger, NOW).unwrap().usage, Usage::default());
    }
}
