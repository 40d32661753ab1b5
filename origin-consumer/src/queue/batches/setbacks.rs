//! What keeps a batch from being stored: objects leave it, or it is split.

use spillway_proto::UnixMillis;

use super::forming::{NewBatch, open};
use super::{Batch, Fault, Fence, Setback, count};
use crate::queue::QueueError;
use crate::queue::dead::bury;
use crate::queue::resends::leave_to;
use crate::queue::session::{Session, values};
use crate::time::{after, backoff};

/// What was done with a batch. Not what whoever claimed it knows: that is from before this try.
#[derive(Clone, Copy)]
pub(super) struct Past {
    priority: u64,
    pub(super) inserts: u64,
    look_first: bool,
}

impl Past {
    /// Whether rows of its objects may be in ClickHouse.
    pub(super) fn may_be_there(self) -> bool {
        self.look_first || self.inserts > 0
    }
}

pub(super) fn past(session: &mut dyn Session, fence: &Fence) -> Result<Past, QueueError> {
    let sql = "SELECT priority, inserts, look_first FROM batches WHERE batch_id = $1";
    let row = session.query_one(sql, values![fence.batch()])?.ok_or(QueueError::LeaseLost(fence.batch_id))?;
    Ok(Past { priority: row.number(0)?, inserts: row.number(1)?, look_first: row.number(2)? == 1 })
}

/// What becomes of an object that is set back.
pub(super) enum Fate {
    Dead,
    Later,
    Resend,
}

/// Nothing becomes of an object that is not of the batch.
pub(super) fn set_back(
    session: &mut dyn Session,
    fence: &Fence,
    setback: &Setback,
    tries: u32,
    past: Past,
    now: UnixMillis,
) -> Result<Option<Fate>, QueueError> {
    let key = setback.object_key.to_string();
    let sql = "SELECT failures FROM objects WHERE object_key = $1 AND batch_id = $2";
    let Some(row) = session.query_one(sql, values![key.as_str(), fence.batch()])? else { return Ok(None) };
    let failures = count(row.number(0)?);
    let (is_dead, failures) = match &setback.fault {
        Fault::Fatal => (true, failures + 1),
        Fault::Poison => (failures + 1 >= tries, failures + 1),
        Fault::Passing => (false, failures),
        Fault::Resend { of } => {
            return leave_to(session, &setback.object_key, of).map(|()| Some(Fate::Resend));
        }
    };
    if is_dead {
        bury(session, &setback.object_key, &setback.reason, now)?;
        return Ok(Some(Fate::Dead));
    }
    let retry_at = after(now, backoff(failures));
    session.execute(
        "UPDATE objects SET state = 'pending', batch_id = NULL, failures = $1, not_before_ms = $2, reason = $3,
         look_first = CASE WHEN CAST($4 AS BIGINT) = 1 THEN 1 ELSE look_first END WHERE object_key = $5",
        values![failures, retry_at.0, setback.reason.as_str(), past.may_be_there(), key],
    )?;
    Ok(Some(Fate::Later))
}

pub(super) fn delete_if_empty(session: &mut dyn Session, fence: &Fence) -> Result<(), QueueError> {
    let sql = "DELETE FROM batches WHERE batch_id = $1
               AND NOT EXISTS (SELECT 1 FROM objects WHERE objects.batch_id = batches.batch_id)";
    session.execute(sql, values![fence.batch()]).map(drop)
}

pub(super) fn split(session: &mut dyn Session, batch: &Batch, now: UnixMillis) -> Result<(), QueueError> {
    let fence = Fence::of(batch);
    fence.update(session, "leased_until_ms = $1", now.0)?;
    let past = past(session, &fence)?;
    let new = NewBatch {
        priority: past.priority,
        look_first: past.may_be_there(),
        // One more, and the half is split as well.
        abandoned: batch.abandoned.saturating_sub(1),
        lease: None,
    };
    let (first, second) = batch.objects.split_at(batch.objects.len() / 2);
    for half in [first, second] {
        let keys: Vec<_> = half.iter().map(|object| object.notification.object_key.to_string()).collect();
        if !keys.is_empty() {
            open(session, &keys, new, now)?;
        }
    }
    session.execute("DELETE FROM batches WHERE batch_id = $1", values![fence.batch()]).map(drop)
}
