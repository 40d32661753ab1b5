//! Whether what waits is a batch yet: enough of it to fill one, or some of it for long enough.

use std::time::Duration;

use spillway_proto::UnixMillis;

use super::ClaimLimits;
use crate::queue::session::{Session, values};
use crate::queue::{QueueError, too_far};
use crate::time::after;

/// More than any object has.
const MOST_BYTES: u64 = 1 << 40;
/// As a rule, so many fill a batch: more are counted only where they do not.
const FIRST: u32 = 1_000;

/// What waits, counted no further than one batch may hold.
pub(super) struct Waiting {
    objects: u64,
    spans: u64,
    bytes: u64,
    /// When the oldest of those that were counted came in.
    oldest: Option<UnixMillis>,
}

/// What is to be done with what waits.
pub(super) enum Ripeness {
    /// Nothing does.
    Nothing,
    /// More than a batch, or just one: it is shared among the tenants. So many objects are enough for it.
    Full(u64),
    /// Less, and all of it has a place in the batch.
    Due,
    /// Less, and more may come until then.
    Unripe(UnixMillis),
}

/// Counts what waits. That somebody else is taking is counted as well: the batch is a smaller one then.
pub(super) fn waiting(
    session: &mut dyn Session,
    priority: u64,
    limits: ClaimLimits,
    now: UnixMillis,
) -> Result<Waiting, QueueError> {
    let some = count(session, priority, ClaimLimits { objects: limits.objects.min(FIRST), ..limits }, now)?;
    if some.objects < FIRST.into() || some.fill(limits) {
        return Ok(some);
    }
    count(session, priority, limits, now)
}

fn count(
    session: &mut dyn Session,
    priority: u64,
    limits: ClaimLimits,
    now: UnixMillis,
) -> Result<Waiting, QueueError> {
    // In the order of the index, so that no database reads or sorts all that waits; and no object counts more than it can
    // matter, so that no sum is too large for its type.
    let sql = "SELECT count(*), coalesce(CAST(sum(spans) AS BIGINT), 0), coalesce(CAST(sum(bytes) AS BIGINT), 0),
                      min(enqueued_at_ms)
               FROM (SELECT spans, CASE WHEN payload_bytes < $1 THEN payload_bytes ELSE $1 END AS bytes, enqueued_at_ms
                     FROM objects
                     WHERE state = 'pending' AND priority = $2 AND (not_before_ms <= $3 OR not_before_ms > $4)
                     ORDER BY tenant, enqueued_at_ms LIMIT $5) AS waiting";
    let most_bytes = limits.bytes.min(MOST_BYTES);
    let values = values![most_bytes, priority, now.0, too_far(now).0, limits.objects];
    let Some(row) = session.query_one(sql, values)? else { return Err(QueueError::Closed) };
    Ok(Waiting {
        objects: row.number(0)?,
        spans: row.number(1)?,
        bytes: row.number(2)?,
        oldest: row.optional_number(3)?.map(UnixMillis),
    })
}

impl Waiting {
    pub(super) fn ripeness(&self, limits: ClaimLimits, now: UnixMillis) -> Ripeness {
        let Some(oldest) = self.oldest else { return Ripeness::Nothing };
        if self.fill(limits) {
            return Ripeness::Full(self.enough(limits));
        }
        match due_at(oldest, limits.delay, now) {
            Some(due) => Ripeness::Unripe(due),
            None => Ripeness::Due,
        }
    }

    fn fill(&self, limits: ClaimLimits) -> bool {
        self.objects >= limits.objects.into() || self.spans >= limits.spans || self.bytes >= limits.bytes
    }

    /// Twice as many objects as would do if all were like those that were counted: who takes a batch locks no more of what waits
    /// than it needs.
    fn enough(&self, limits: ClaimLimits) -> u64 {
        let for_all = |of_them: u64, limit: u64| {
            let objects = u128::from(self.objects) * u128::from(limit) / u128::from(of_them.max(1));
            u64::try_from(objects).unwrap_or(u64::MAX).saturating_add(1).saturating_mul(2)
        };
        let most = for_all(self.spans, limits.spans).min(for_all(self.bytes, limits.bytes));
        most.min(limits.objects.into())
    }
}

/// When an object has waited for long enough; none where it has. One that seems to come out of the future was noted by a clock
/// that is ahead, or has been set back since: it never waits for more than twice the delay.
fn due_at(enqueued_at: UnixMillis, delay: Duration, now: UnixMillis) -> Option<UnixMillis> {
    let waited = now.0.abs_diff(enqueued_at.0);
    (u128::from(waited) < delay.as_millis()).then(|| after(enqueued_at, delay))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: ClaimLimits = ClaimLimits {
        objects: 10_000,
        spans: 100_000,
        bytes: 64 << 20,
        delay: Duration::ZERO,
        lease: Duration::ZERO,
    };

    fn enough(objects: u64, spans: u64, bytes: u64) -> u64 {
        Waiting { objects, spans, bytes, oldest: None }.enough(LIMITS)
    }

    #[test]
    fn no_more_is_taken_than_a_batch_needs() {
        assert_eq!(enough(1_000, 300_000, 1 << 20), 2 * 334);
        assert_eq!(enough(1_000, 1_000, 128 << 20), 2 * 501);
        assert_eq!(enough(10_000, 10_000, 10_000), 10_000);
        assert_eq!(enough(1, 200_000, 0), 2);
    }
}
