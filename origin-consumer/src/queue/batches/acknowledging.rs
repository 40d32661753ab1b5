//! The end of a batch: its objects are stored.

use spillway_proto::UnixMillis;

use super::{Claimed, Fence, StoredRows};
use crate::queue::QueueError;
use crate::queue::session::{Session, Value, placeholders, values};

/// Says of the batch's objects that they are stored, and by which rows, where those are not the usual ones.
pub(super) fn acknowledge(
    session: &mut dyn Session,
    fence: &Fence,
    rows: &[StoredRows],
    now: UnixMillis,
) -> Result<(), QueueError> {
    let sql = "UPDATE objects SET state = 'stored', ended_at_ms = $1, reason = NULL, failures = 0,
               stored_rows = NULL, stored_hash = NULL WHERE batch_id = $2";
    session.execute(sql, values![now.0, fence.batch()])?;
    for StoredRows { object_key, rows, hash } in rows {
        let sql = "UPDATE objects SET stored_rows = $1, stored_hash = $2 WHERE object_key = $3";
        session.execute(sql, values![*rows, format!("{hash:016x}"), object_key.to_string()])?;
    }
    Ok(())
}

/// A resend whose predecessors have died meanwhile has left spans to them that nobody holds: it waits once more.
pub(super) fn look_again_after_deaths(
    session: &mut dyn Session,
    resends: &[Claimed],
) -> Result<(), QueueError> {
    for resend in resends {
        let keys: Vec<Value> = resend.predecessors.iter().map(|key| key.to_string().into()).collect();
        let list = placeholders(1, keys.len());
        let sql = format!(
            "SELECT 1 FROM objects WHERE object_key IN {list} AND state IN ('dead', 'discarded') LIMIT 1"
        );
        if session.query_one(&sql, &keys)?.is_some() {
            let sql =
                "UPDATE objects SET state = 'pending', batch_id = NULL, look_first = 1 WHERE object_key = $1";
            session.execute(sql, values![resend.notification.object_key.to_string()])?;
        }
    }
    Ok(())
}
