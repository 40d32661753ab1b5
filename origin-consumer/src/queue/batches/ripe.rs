//! Whether what waits is a batch yet: enough of it to fill one, or some of it for long enough.

use std::time::Duration;

use spillway_proto::UnixMillis;

use super::ClaimLimits;
use crate::queue::session::{Session, values};
use crate::queue::{QueueError, too_far};
use crate::time::after;

/// More than any object has.
const MOST_BYTES: u64 = 1 << 40;

/// What waits, counted no further than one batch may hold objects.
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
    /// More than a batch, or just one: it is shared among the tenants.
    Full,
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
        let objects = self.objects >= limits.objects.into();
        if objects || self.spans >= limits.spans || self.bytes >= limits.bytes {
            return Ripeness::Full;
        }
        match due_at(oldest, limits.delay, now) {
            Some(due) => Ripeness::Unripe(due),
            None => Ripeness::Due,
        }
    }
}

/// When an object has waited for long enough; none where it has. One that seems to come out of the future was noted by a clock
/// that is ahead, or has been set back since: it never waits for more than twice the delay.
fn due_at(enqueued_at: UnixMillis, delay: Duration, now: UnixMillis) -> Option<UnixMillis> {
    let waited = now.0.abs_diff(enqueued_at.0);
    (u128::from(waited) < delay.as_millis()).then(|| after(enqueued_at, delay))
}
