//! What the ledger remembers of objects after they were stored: found in ClickHouse once more, deleted from the bucket,
//! and at last forgotten.

use std::time::Duration;

use spillway_proto::{ObjectKey, UnixMillis};

use super::dead::bury;
use super::resends::release_forgotten;
use super::session::{Row, Session, Value, in_powers, placeholders, values};
use super::{Queue, QueueError};
use crate::time::{after, before};

/// By then every process has read since when the ledger is whole.
const OTHERS_READ_IT: Duration = Duration::from_secs(3600);

/// An object whose spans the audit has missed so often is dead: the table does not keep them.
const SHORTS: u64 = 4;

/// An object that is due for the audit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audited {
    /// Which.
    pub object_key: ObjectKey,
    /// The batch that has stored it.
    pub batch_id: String,
    /// How many rows it has, and the sum of the hashes of their numbers. None: the rows from 0 on, one for each span.
    pub rows: Option<(u64, u64)>,
}

/// What the audit has found of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finding {
    /// Every span is there once.
    Whole,
    /// Spans are missing: the object waits to be stored again. Where that has not helped several times, it is dead.
    Short,
    /// Spans are there more than once: somebody has to look.
    Doubled,
}

impl Finding {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Short => "short",
            Self::Doubled => "doubled",
        }
    }
}

impl Queue {
    /// Lets resends wait for a batch whose predecessors have ended unseen.
    pub async fn release_forgotten(&self) -> Result<(), QueueError> {
        self.store.writer.run(release_forgotten).await
    }

    /// Objects that were stored before `until`, the oldest first.
    pub async fn due_for_audit(&self, until: UnixMillis, limit: u32) -> Result<Vec<Audited>, QueueError> {
        let read = move |session: &mut dyn Session| {
            let sql = "SELECT object_key, batch_id, stored_rows, stored_hash FROM objects
                       WHERE state = 'stored' AND ended_at_ms <= $1 ORDER BY ended_at_ms LIMIT $2";
            let audited = |row: &Row| {
                let batch_id = row.optional_text(1)?.unwrap_or_default().to_owned();
                let hash = |text: &str| {
                    u64::from_str_radix(text, 16).map_err(|_| QueueError::Unreadable(text.to_owned()))
                };
                let rows = match (row.optional_number(2)?, row.optional_text(3)?) {
                    (Some(rows), Some(text)) => Some((rows, hash(text)?)),
                    _ => None,
                };
                Ok(Audited { object_key: row.parsed(0)?, batch_id, rows })
            };
            session.query(sql, values![until.0, limit])?.iter().map(audited).collect()
        };
        self.store.reader.run(read).await
    }

    /// Notes what the audit has found of objects that were stored before `until`. Those that were stored again meanwhile
    /// stay as they are. A doubled one is looked at again `again_after` now.
    pub async fn note_audit(
        &self,
        found: Vec<(ObjectKey, Finding)>,
        until: UnixMillis,
        again_after: Duration,
        now: UnixMillis,
    ) -> Result<(), QueueError> {
        let again_at = after(now, again_after);
        let write = move |session: &mut dyn Session| {
            for (key, finding) in &found {
                // What the ledger kept to fetch the object is of no more use; the bucket knows it as well.
                let (set, value) = match finding {
                    Finding::Whole => {
                        ("state = 'audited', notification = '', reason = NULL, ended_at_ms = $1", now)
                    }
                    Finding::Short => (
                        "state = 'pending', batch_id = NULL, look_first = 1, not_before_ms = $1,
                         shorts = shorts + 1, reason = 'the audit found spans missing'",
                        now,
                    ),
                    Finding::Doubled => {
                        ("ended_at_ms = $1, reason = 'the audit found spans more than once'", again_at)
                    }
                };
                let sql = format!(
                    "UPDATE objects SET {set} WHERE object_key = $2 AND state = 'stored' AND ended_at_ms <= $3
                     RETURNING shorts"
                );
                let noted = session.query_one(&sql, values![value.0, key.to_string(), until.0])?;
                let shorts = noted.map_or(Ok(0), |row| row.number(0))?;
                if *finding == Finding::Short && shorts >= SHORTS {
                    let reason = format!(
                        "the audit found spans missing {shorts} times: does a TTL or a deletion remove them?"
                    );
                    bury(session, key, &reason, now)?;
                }
            }
            Ok(())
        };
        self.store.writer.run(write).await
    }

    /// Audited objects that were received before, and resends of audited ones.
    pub async fn due_for_expiry(
        &self,
        received_before: UnixMillis,
        limit: u32,
    ) -> Result<Vec<ObjectKey>, QueueError> {
        let read = move |session: &mut dyn Session| {
            let audited = "SELECT object_key FROM objects WHERE state = 'audited' AND received_at_ms < $1
                           ORDER BY received_at_ms LIMIT $2";
            let resends =
                "SELECT o.object_key FROM objects o JOIN objects held ON held.object_key = o.resend_of
                           WHERE o.state = 'duplicate' AND o.received_at_ms < $1
                             AND held.state IN ('audited', 'expired')
                           ORDER BY o.object_key LIMIT $2";
            let mut keys = Vec::new();
            for sql in [audited, resends] {
                for row in session.query(sql, values![received_before.0, limit])? {
                    keys.push(row.parsed(0)?);
                }
            }
            Ok(keys)
        };
        self.store.reader.run(read).await
    }

    /// Says that the objects are no longer in the bucket.
    pub async fn expired(&self, keys: Vec<ObjectKey>, now: UnixMillis) -> Result<(), QueueError> {
        let write = move |session: &mut dyn Session| {
            for keys in in_powers(&keys) {
                let mut values = vec![Value::from(now.0)];
                values.extend(keys.iter().map(|key| Value::from(key.to_string())));
                let list = placeholders(2, keys.len());
                let sql = format!(
                    "UPDATE objects SET state = 'expired', ended_at_ms = $1
                     WHERE state IN ('audited', 'duplicate') AND object_key IN {list}"
                );
                session.execute(&sql, &values)?;
            }
            Ok(())
        };
        self.store.writer.run(write).await
    }

    /// Forgets what was received before, but for objects that are dead or not yet audited. From now on the ledger says of
    /// such objects that it does not know; what is deleted is only what it has said so of before, since others may
    /// have asked meanwhile. Returns how many objects it has forgotten.
    pub async fn forget(&self, received_before: UnixMillis, limit: u32) -> Result<u64, QueueError> {
        let said_before = self.store.set_whole_since(received_before).await?;
        let before = before(said_before.min(received_before), OTHERS_READ_IT).0;
        let write = move |session: &mut dyn Session| {
            let forgotten = session.execute(
                "DELETE FROM objects WHERE object_key IN (
                     SELECT object_key FROM objects WHERE received_minute_ms < $1 AND received_at_ms < $1
                     AND state IN ('audited', 'expired', 'duplicate', 'discarded') LIMIT $2)",
                values![before, limit],
            )?;
            let sql = "DELETE FROM requests WHERE received_at_ms < $1
                       AND NOT EXISTS (SELECT 1 FROM objects WHERE objects.object_key = requests.object_key)";
            session.execute(sql, values![before])?;
            let sql = "DELETE FROM batches WHERE state = 'stored' AND ended_at_ms < $1
                       AND NOT EXISTS (SELECT 1 FROM objects WHERE objects.batch_id = batches.batch_id)";
            session.execute(sql, values![before])?;
            for table in ["listed_minutes", "intake_minutes"] {
                session.execute(&format!("DELETE FROM {table} WHERE minute_ms < $1"), values![before])?;
            }
            Ok(forgotten)
        };
        self.store.writer.run(write).await
    }
}
