//! The side of an isolate: what it holds of one tenant's allowance, and what it has stored of its spans.

use std::collections::VecDeque;

use spillway_proto::UnixMillis;
use spillway_proto::key_record::RateLimits;
use spillway_proto::usage::Usage;

use super::object::rate_of;
use super::{Amounts, Grant, Kind, Settlement};

/// How long a lease can be spent, in milliseconds. What is left of it then is lost, to the tenant's disadvantage.
const LEASE_MS: u64 = 5_000;

/// How long a refusal of the object holds at most, in milliseconds: a limit that was raised is seen soon.
const MAX_REFUSAL_MS: u64 = 1_000;

/// A renewal that has not come back by then was cancelled with its request, in milliseconds.
const RENEWAL_LOST_MS: u64 = 5_000;

/// What an isolate knows of a tenant.
#[derive(Debug, Default)]
pub struct Tenant {
    lease: Amounts,
    leased_at: Option<UnixMillis>,
    /// What was spent since the lease was taken: as much is asked for the next time, and some more.
    spent: Amounts,
    /// Until then the object has nothing to grant.
    refused_until: Option<UnixMillis>,
    /// Somebody fetches the next lease.
    renewing_since: Option<UnixMillis>,
    /// As the object told, and for which month.
    used: Option<(String, Usage)>,
    /// Stored, and not settled: by month, the oldest first.
    unsettled: VecDeque<(String, Usage)>,
    /// Told to the object, which has not confirmed it. It is told again as it is.
    in_flight: Option<Settlement>,
    sequence: u64,
}

/// A limit was met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitMet {
    /// Which.
    pub kind: Kind,
    /// When it is worth to come back, in milliseconds.
    pub wait_ms: u64,
}

impl Tenant {
    /// Whether the object has to be asked before a request can be judged.
    pub fn needs_lease(&self, limits: &RateLimits, month: &str, now: UnixMillis) -> bool {
        let knows_month = self.used.as_ref().is_some_and(|(known, _)| known == month);
        if !knows_month || self.is_stale(now) {
            return true;
        }
        !self.is_refused(now) && self.missing(limits).is_some()
    }

    /// Whether so little is left of the lease that the next one should be fetched in the background, by the caller and nobody
    /// else.
    pub fn runs_low(&mut self, limits: &RateLimits, now: UnixMillis) -> bool {
        let renewing = self.renewing_since.is_some_and(|since| now.0.abs_diff(since.0) < RENEWAL_LOST_MS);
        let low = !renewing
            && !self.is_refused(now)
            && Kind::ALL.into_iter().any(|kind| {
                rate_of(limits, kind).is_some() && self.spent.of(kind) > 3 * self.lease.of(kind).max(0)
            });
        if low {
            self.renewing_since = Some(now);
        }
        low
    }

    /// What to ask for: what was spent in the last lease and half as much again, from a tenth of a second's worth to all of it.
    pub fn want(&self, limits: &RateLimits) -> Amounts {
        let mut want = Amounts::default();
        for kind in Kind::ALL {
            let Some(rate) = rate_of(limits, kind) else { continue };
            let (spent, second) = (self.spent.of(kind), i64::from(rate.per_second.get()));
            *want.of_mut(kind) = spent.saturating_add(spent / 2).clamp((second / 10).max(1), second.max(1));
        }
        want
    }

    /// Takes out what is overdrawn: it is told by one ask and no other. [`Self::unanswered`] takes it back.
    pub fn owed(&mut self) -> Amounts {
        let mut owed = Amounts::default();
        for kind in Kind::ALL {
            let overdrawn = self.lease.of(kind).min(0);
            *owed.of_mut(kind) = overdrawn.saturating_neg();
            *self.lease.of_mut(kind) -= overdrawn;
        }
        owed
    }

    /// Nobody has answered the ask that told `owed`.
    pub fn unanswered(&mut self, owed: &Amounts) {
        for kind in Kind::ALL {
            *self.lease.of_mut(kind) = self.lease.of(kind).saturating_sub(owed.of(kind));
        }
    }

    /// Takes in what the object has granted, of what was asked as `want`. No isolate holds more than a second's worth, however
    /// many asks are answered at a time.
    pub fn granted(
        &mut self,
        limits: &RateLimits,
        want: &Amounts,
        grant: &Grant,
        month: &str,
        now: UnixMillis,
    ) {
        let fresh = !self.is_stale(now);
        let mut lease = Amounts::default();
        for kind in Kind::ALL {
            let Some(rate) = rate_of(limits, kind) else { continue };
            let left = self.lease.of(kind);
            let kept = if fresh || left < 0 { left } else { 0 };
            let second = i64::from(rate.per_second.get());
            *lease.of_mut(kind) = kept.saturating_add(grant.granted.of(kind)).min(second);
        }
        *self = Self {
            lease,
            leased_at: Some(now),
            spent: Amounts::default(),
            refused_until: None,
            renewing_since: None,
            ..std::mem::take(self)
        };
        let refused = |kind| want.of(kind) > 0 && grant.granted.of(kind) == 0 && lease.of(kind) < 1;
        self.told(month, grant);
        let wait_ms = grant.retry_after_ms.clamp(1, MAX_REFUSAL_MS);
        self.refused_until = Kind::ALL.into_iter().any(refused).then(|| UnixMillis(now.0 + wait_ms));
    }

    /// Takes a request out of the lease. How many bytes and spans it has is not known yet; they are charged whole, and what
    /// one request overdraws is missing to the next.
    pub fn spend(&mut self, limits: &RateLimits, now: UnixMillis) -> Result<(), LimitMet> {
        if let Some(kind) = self.missing(limits) {
            let wait_ms = self.refused_until.map_or(MAX_REFUSAL_MS, |until| until.0.saturating_sub(now.0));
            return Err(LimitMet { kind, wait_ms });
        }
        self.charge(Amounts { requests: 1, spans: 0, bytes: 0 });
        Ok(())
    }

    /// Takes what a request turned out to have out of the lease.
    pub fn charge(&mut self, amounts: Amounts) {
        for kind in Kind::ALL {
            *self.lease.of_mut(kind) = self.lease.of(kind).saturating_sub(amounts.of(kind));
            *self.spent.of_mut(kind) = self.spent.of(kind).saturating_add(amounts.of(kind));
        }
    }

    /// The limit of which nothing is left.
    fn missing(&self, limits: &RateLimits) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| rate_of(limits, *kind).is_some() && self.lease.of(*kind) < 1)
    }

    fn is_refused(&self, now: UnixMillis) -> bool {
        // A clock that stepped back must not make it last.
        self.refused_until.is_some_and(|until| now < until && until.0 - now.0 <= MAX_REFUSAL_MS)
    }

    fn is_stale(&self, now: UnixMillis) -> bool {
        self.leased_at.is_none_or(|at| now.0.abs_diff(at.0) >= LEASE_MS)
    }

    /// What the tenant has used in `month`, as far as this isolate knows; none if the object has never told.
    pub fn usage(&self, month: &str) -> Option<Usage> {
        let (_, told) = self.used.as_ref().filter(|(known, _)| known == month)?;
        let unsettled = self.unsettled.iter().map(|(month, usage)| (month, *usage));
        let in_flight = self.in_flight.iter().map(|settlement| (&settlement.month, settlement.usage));
        let own = unsettled.chain(in_flight).filter(|(of, _)| *of == month);
        Some(own.fold(*told, |sum, (_, usage)| sum.plus(usage)))
    }

    /// Takes in what the object says was used, and which settlement that includes.
    pub fn told(&mut self, month: &str, grant: &Grant) {
        if self.in_flight.as_ref().is_some_and(|settlement| settlement.sequence <= grant.settled) {
            self.in_flight = None;
        }
        self.used = Some((month.to_owned(), grant.usage));
    }

    /// Counts what was stored.
    pub fn stored(&mut self, month: &str, usage: Usage) {
        match self.unsettled.back_mut().filter(|(last, _)| last == month) {
            Some((_, sum)) => *sum = sum.plus(usage),
            None => self.unsettled.push_back((month.to_owned(), usage)),
        }
    }

    /// What to tell the object next; the same until it is confirmed.
    pub fn settlement(&mut self) -> Option<Settlement> {
        if self.in_flight.is_none() {
            let (month, usage) = self.unsettled.pop_front()?;
            self.sequence += 1;
            self.in_flight = Some(Settlement { sequence: self.sequence, month, usage });
        }
        self.in_flight.clone()
    }

    /// Whether anything waits to be settled.
    pub fn is_unsettled(&self) -> bool {
        self.in_flight.is_some() || !self.unsettled.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_795_230_245_678);
    const MONTH: &str = "2026-11";

    fn limits(json: &str) -> RateLimits {
        serde_json::from_str(json).unwrap()
    }

    fn grant(requests: i64, spans: i64) -> Grant {
        Grant {
            granted: Amounts { requests, spans, bytes: 0 },
            retry_after_ms: 700,
            settled: 0,
            usage: Usage { spans: 100, bytes: 0 },
        }
    }

    #[test]
    fn a_lease_is_spent_and_then_another_is_needed() {
        let (limits, mut tenant) = (RateLimits::default(), Tenant::default());
        assert!(tenant.needs_lease(&limits, MONTH, NOW));
        let want = tenant.want(&limits);
        tenant.granted(&limits, &want, &grant(2, 0), MONTH, NOW);
        for _ in 0..2 {
            assert!(!tenant.needs_lease(&limits, MONTH, NOW));
            assert_eq!(tenant.spend(&limits, NOW), Ok(()));
        }
        assert!(tenant.needs_lease(&limits, MONTH, NOW) && tenant.runs_low(&limits, NOW));
        assert_eq!(tenant.want(&limits).requests, 10);
        assert!(tenant.needs_lease(&limits, "2026-12", NOW), "another month");
    }

    #[test]
    fn a_refusal_is_remembered_so_that_a_flood_does_not_reach_the_object() {
        let (limits, mut tenant) = (RateLimits::default(), Tenant::default());
        let want = tenant.want(&limits);
        tenant.granted(&limits, &want, &grant(0, 0), MONTH, NOW);
        let later = UnixMillis(NOW.0 + 300);
        assert!(!tenant.needs_lease(&limits, MONTH, later));
        assert_eq!(tenant.spend(&limits, later), Err(LimitMet { kind: Kind::Requests, wait_ms: 400 }));
        assert!(tenant.needs_lease(&limits, MONTH, UnixMillis(NOW.0 + 700)));
    }

    #[test]
    fn a_large_request_passes_whole_and_the_next_one_waits() {
        let limits = limits(r#"{"spans":{"per_second":10}}"#);
        let mut tenant = Tenant::default();
        let want = tenant.want(&limits);
        tenant.granted(&limits, &want, &grant(9, 1), MONTH, NOW);
        assert_eq!(tenant.spend(&limits, NOW), Ok(()));
        tenant.charge(Amounts { spans: 500, ..Amounts::default() });
        let want = tenant.want(&limits);
        assert_eq!((tenant.owed().spans, tenant.owed().spans), (499, 0), "it is told once");
        tenant.granted(&limits, &want, &grant(0, 0), MONTH, NOW);
        assert_eq!(tenant.spend(&limits, NOW).unwrap_err().kind, Kind::Spans);
        assert!(tenant.want(&limits).spans > 0);
    }

    #[test]
    fn many_answers_at_a_time_are_no_more_than_a_second() {
        let (limits, mut tenant) = (RateLimits::default(), Tenant::default());
        for _ in 0..50 {
            let want = tenant.want(&limits);
            tenant.granted(&limits, &want, &grant(90, 0), MONTH, NOW);
        }
        let passed = (0..1_000).filter(|_| tenant.spend(&limits, NOW).is_ok()).count();
        assert_eq!(passed, 100);
    }

    #[test]
    fn a_debt_that_nobody_heard_of_is_still_owed() {
        let mut tenant = Tenant::default();
        tenant.charge(Amounts { spans: 7, ..Amounts::default() });
        let owed = tenant.owed();
        tenant.unanswered(&owed);
        assert_eq!(tenant.owed().spans, 7);
    }

    #[test]
    fn an_old_lease_is_not_added_to_a_new_one() {
        let (limits, mut tenant) = (RateLimits::default(), Tenant::default());
        let want = tenant.want(&limits);
        tenant.granted(&limits, &want, &grant(50, 0), MONTH, NOW);
        let later = UnixMillis(NOW.0 + LEASE_MS);
        assert!(tenant.needs_lease(&limits, MONTH, later));
        let want = tenant.want(&limits);
        tenant.granted(&limits, &want, &grant(1, 0), MONTH, later);
        assert_eq!(tenant.spend(&limits, later), Ok(()));
        assert!(tenant.spend(&limits, later).is_err());
    }

    #[test]
    fn what_was_stored_is_settled_once_by_month() {
        let mut tenant = Tenant::default();
        let spans = |spans| Usage { spans, bytes: 1 };
        tenant.stored("2026-11", spans(3));
        tenant.stored("2026-11", spans(4));
        tenant.stored("2026-12", spans(5));
        let first = tenant.settlement().unwrap();
        assert_eq!((first.sequence, first.month.as_str(), first.usage.spans), (1, "2026-11", 7));
        tenant.stored("2026-11", spans(1));
        assert_eq!(tenant.settlement(), Some(first), "the same until it is confirmed");
        tenant.told(MONTH, &Grant { settled: 1, ..grant(0, 0) });
        assert_eq!(tenant.settlement().unwrap().month, "2026-12");
        tenant.told(MONTH, &Grant { settled: 2, ..grant(0, 0) });
        assert_eq!(tenant.settlement().unwrap().usage.spans, 1);
        tenant.told(MONTH, &Grant { settled: 3, ..grant(0, 0) });
        assert!(!tenant.is_unsettled() && tenant.settlement().is_none());
    }

    #[test]
    fn usage_is_what_was_told_and_what_is_not_settled() {
        let mut tenant = Tenant::default();
        assert_eq!(tenant.usage(MONTH), None);
        tenant.granted(&RateLimits::default(), &Amounts::default(), &grant(1, 0), MONTH, NOW);
        tenant.stored(MONTH, Usage { spans: 5, bytes: 9 });
        tenant.settlement();
        tenant.stored(MONTH, Usage { spans: 2, bytes: 1 });
        assert_eq!(tenant.usage(MONTH), Some(Usage { spans: 107, bytes: 10 }));
    }
}
