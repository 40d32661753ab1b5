//! The loss meter: of each minute, what the edge has accepted, and what became of it. Everything that was accepted must be
//! in ClickHouse within minutes, or be accounted for; whatever is not is seen here.

mod cause;
mod command;
mod watch;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use spillway_proto::UnixMillis;

pub use cause::Cause;
pub use command::{MeterArgs, MeterError, run};
pub use watch::{Arrivals, Watch};

use crate::queue::{KnownRoute, MinuteCounts, Missing, Queue, QueueError};
use crate::route::{RouteChange, latest_change};
use crate::time::{after, before, minute_of};

/// The alert looks back so far.
const ALERT_WINDOW: Duration = Duration::from_secs(300);
/// Fewer missing notifications than one of so many are no alert: an isolate that is killed takes some along.
const TOLERATED_ONE_OF: u64 = 100;
const MINUTE: Duration = Duration::from_secs(60);

/// What is asked of the meter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    /// So many minutes, the one that is running included.
    pub minutes: u32,
    /// Of one tenant.
    pub tenant: Option<String>,
}

/// Spans of a minute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Minute {
    /// Its beginning, in RFC 3339.
    pub minute: String,
    /// The sums over its tenants.
    pub total: Spans,
    /// By tenant; without a name where an object does not tell whose it is.
    pub tenants: BTreeMap<String, Spans>,
}

/// Numbers of spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Spans {
    /// What is counted.
    #[serde(flatten)]
    pub counts: MinuteCounts,
    /// Accepted, and neither in ClickHouse nor accounted for in another way.
    pub outstanding: u64,
}

impl Spans {
    /// The numbers with their names.
    pub fn by_kind(&self) -> [(&'static str, u64); 9] {
        let counts = &self.counts;
        [
            ("accepted", counts.accepted),
            ("in_ledger", counts.in_ledger),
            ("stored", counts.stored),
            ("audited", counts.audited),
            ("duplicate", counts.duplicate),
            ("dead", counts.dead),
            ("discarded", counts.discarded),
            ("not_notified", counts.not_notified),
            ("outstanding", self.outstanding),
        ]
    }
}

impl From<MinuteCounts> for Spans {
    fn from(counts: MinuteCounts) -> Self {
        Self { counts, outstanding: counts.outstanding() }
    }
}

/// Notifications are failing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Alert {
    /// Its name, as in the alert rules.
    pub name: &'static str,
    /// Objects of the last minutes.
    pub objects: u64,
    /// Those of them that were accepted without a notification.
    pub not_notified: u64,
    /// When the first of those was received, in RFC 3339.
    pub since: String,
    /// The likely cause: its code.
    pub cause: Cause,
    /// And in words, with what to do.
    pub meaning: &'static str,
}

/// What the meter shows.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// When it was made, in RFC 3339.
    pub at: String,
    /// The sums over all minutes.
    pub total: Spans,
    /// Notifications are failing, where they are.
    pub alert: Option<Alert>,
    /// Notifications come by another way than before, where that is news.
    pub route_changed: Option<RouteChange>,
    /// The ways that notifications and canaries have come, the last ones first.
    pub routes: Vec<KnownRoute>,
    /// The minutes in which something was received, in their order.
    pub minutes: Vec<Minute>,
}

impl Report {
    /// Reads the ledger.
    pub async fn read(
        queue: &Queue,
        range: &Range,
        grace: Duration,
        now: UnixMillis,
    ) -> Result<Self, QueueError> {
        let end = after(minute_of(now), MINUTE);
        let counts = queue.minutes(before(end, MINUTE * range.minutes), end).await?;
        let alert = Alert::read(queue, grace, now).await?;
        let mut by_minute: BTreeMap<UnixMillis, BTreeMap<String, MinuteCounts>> = BTreeMap::new();
        for ((minute, tenant), counts) in counts {
            if range.tenant.as_ref().is_none_or(|wanted| *wanted == tenant) {
                by_minute.entry(minute).or_default().insert(tenant, counts);
            }
        }
        let mut total = MinuteCounts::default();
        let minutes = by_minute.into_iter().map(|(minute, tenants)| {
            let mut sum = MinuteCounts::default();
            tenants.values().for_each(|counts| sum.add(counts));
            total.add(&sum);
            let tenants = tenants.into_iter().map(|(tenant, counts)| (tenant, counts.into()));
            Minute { minute: minute.date().to_rfc3339(), total: sum.into(), tenants: tenants.collect() }
        });
        let minutes = minutes.collect();
        let (route_changed, routes) = (latest_change(queue, now).await?, queue.routes().await?);
        let at = now.date().to_rfc3339();
        Ok(Self { at, total: total.into(), alert, route_changed, routes, minutes })
    }
}

/// The sums of the last hour by tenant, for the `most` tenants that sent the most, and of all others
/// together.
pub(crate) async fn last_hour(
    queue: &Queue,
    most: usize,
    now: UnixMillis,
) -> Result<BTreeMap<String, Spans>, QueueError> {
    let (from, to) = (before(now, MINUTE * 60), after(now, MINUTE));
    let mut by_tenant: BTreeMap<String, MinuteCounts> = BTreeMap::new();
    for ((_, tenant), counts) in queue.minutes(from, to).await? {
        by_tenant.entry(tenant).or_default().add(&counts);
    }
    let mut by_size: Vec<_> = by_tenant.into_iter().collect();
    by_size.sort_by_key(|(_, counts)| std::cmp::Reverse(counts.accepted.max(counts.in_ledger)));
    let others = by_size.split_off(most.min(by_size.len()));
    let mut shown: BTreeMap<_, _> =
        by_size.into_iter().map(|(tenant, counts)| (tenant, counts.into())).collect();
    if !others.is_empty() {
        let mut sum = MinuteCounts::default();
        others.iter().for_each(|(_, counts)| sum.add(counts));
        // No tenant's name holds a space.
        shown.insert("all others".to_owned(), sum.into());
    }
    Ok(shown)
}

impl Alert {
    /// Whether notifications are failing, as the ledger shows it.
    pub async fn read(queue: &Queue, grace: Duration, now: UnixMillis) -> Result<Option<Self>, QueueError> {
        let (from, to) = (before(now, ALERT_WINDOW + grace), before(now, grace));
        let missing = queue.missing(from, after(to, Duration::from_millis(1))).await?;
        let arrived = queue.intake_since(from).await?;
        Ok(Self::of(missing, |objects| Cause::of(objects, &arrived)))
    }

    fn of(missing: Missing, cause: impl FnOnce(Missing) -> Cause) -> Option<Self> {
        let since = missing.since?;
        if missing.not_notified * TOLERATED_ONE_OF < missing.objects {
            return None;
        }
        let cause = cause(missing);
        Some(Self {
            name: "spillway_notifications_missing",
            objects: missing.objects,
            not_notified: missing.not_notified,
            since: since.date().to_rfc3339(),
            cause,
            meaning: cause.meaning(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_many_is_no_alert_and_one_of_few_is() {
        let missing = |not_notified, objects| Missing { objects, not_notified, since: Some(UnixMillis(1)) };
        let cause = |_| Cause::DroppedOnTheWay;
        assert_eq!(Alert::of(Missing { objects: 5, ..Missing::default() }, cause), None);
        assert_eq!(Alert::of(missing(1, 1_000), cause), None);
        assert!(Alert::of(missing(10, 1_000), cause).is_some());
        assert!(Alert::of(missing(1, 3), cause).is_some());
    }

    #[test]
    fn what_is_accounted_for_is_not_outstanding() {
        let counts = MinuteCounts {
            accepted: 100,
            in_ledger: 90,
            duplicate: 10,
            stored: 60,
            dead: 5,
            discarded: 5,
            ..MinuteCounts::default()
        };
        assert_eq!(counts.outstanding(), 20);
    }
}
