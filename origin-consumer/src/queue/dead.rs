//! Dead letters: objects that were set aside, and what people do with them.

use spillway_proto::notification::Notification;
use spillway_proto::{ObjectKey, UnixMillis};

use super::intake::Source;
use super::session::{Row, Session, Value, values};
use super::{Queue, QueueError};

/// Which of the objects that were set aside.
#[derive(Debug, Clone, Default)]
pub struct DeadFilter {
    /// Of this tenant.
    pub tenant: Option<String>,
    /// Those that were discarded, instead of those that wait for somebody.
    pub discarded: bool,
    /// After this one, in the order of the keys.
    pub after: Option<ObjectKey>,
    /// At most so many.
    pub limit: u32,
}

/// An object that was set aside.
#[derive(Debug, Clone)]
pub struct DeadObject {
    /// What the ledger keeps to fetch it.
    pub notification: Notification,
    /// Why it is dead, or why it was discarded.
    pub reason: String,
    /// Tries that failed by its own fault.
    pub failures: u32,
    /// Since when.
    pub dead_at: UnixMillis,
    /// Whether its copy lies under `dlq/`.
    pub copied: bool,
}

const COLUMNS: &str = "notification, reason, failures, ended_at_ms, copied";

impl Queue {
    /// The objects that were set aside, in the order of their keys.
    pub async fn dead(&self, filter: DeadFilter) -> Result<Vec<DeadObject>, QueueError> {
        let read = move |session: &mut dyn Session| {
            let sql = format!(
                "SELECT {COLUMNS} FROM objects
                 WHERE state IN ('dead', 'discarded') AND state = $1 AND object_key > $2 AND ($3 = '' OR tenant = $3)
                 ORDER BY object_key LIMIT $4"
            );
            let state = if filter.discarded { "discarded" } else { "dead" };
            let after = filter.after.as_ref().map_or_else(String::new, ObjectKey::to_string);
            let tenant = filter.tenant.clone().unwrap_or_default();
            session
                .query(&sql, values![state, after, tenant, filter.limit])?
                .iter()
                .map(dead_object)
                .collect()
        };
        self.store.reader.run(read).await
    }

    /// One that was set aside, if it was.
    pub async fn dead_object(&self, key: &ObjectKey) -> Result<Option<DeadObject>, QueueError> {
        let key = key.to_string();
        let read = move |session: &mut dyn Session| {
            let sql = format!(
                "SELECT {COLUMNS} FROM objects WHERE object_key = $1 AND state IN ('dead', 'discarded')"
            );
            session.query_one(&sql, values![key.as_str()])?.as_ref().map(dead_object).transpose()
        };
        self.store.reader.run(read).await
    }

    /// Lets a dead object wait again. Not where it is not dead, or where a resend of it has taken its place.
    pub async fn retry_dead(&self, key: &ObjectKey, now: UnixMillis) -> Result<bool, QueueError> {
        let key = key.clone();
        let write = move |session: &mut dyn Session| {
            let sql = "SELECT 1 FROM objects WHERE object_key = $1 AND state IN ('dead', 'discarded')";
            let is_dead = session.query_one(sql, values![key.to_string()])?.is_some();
            if !is_dead || !holds_its_request(session, &key)? {
                return Ok(false);
            }
            let sql = "UPDATE objects SET state = 'pending', failures = 0, reason = NULL, ended_at_ms = NULL,
                       priority = $1, look_first = 1, not_before_ms = $2, copied = 0
                       WHERE object_key = $3 AND state IN ('dead', 'discarded')";
            let priority = Source::Replayed.priority();
            Ok(session.execute(sql, values![priority, now.0, key.to_string()])? == 1)
        };
        let retried = self.store.writer.run(write).await?;
        self.arrived.notify_one();
        Ok(retried)
    }

    /// Says that nobody wants a dead object any more. Returns whether it was one.
    pub async fn discard(&self, key: &ObjectKey, why: String, now: UnixMillis) -> Result<bool, QueueError> {
        let key = key.to_string();
        let write = move |session: &mut dyn Session| {
            let sql = "UPDATE objects SET state = 'discarded', reason = $1, ended_at_ms = $2
                       WHERE object_key = $3 AND state = 'dead'";
            Ok(session.execute(sql, values![why.as_str(), now.0, key.as_str()])? == 1)
        };
        self.store.writer.run(write).await
    }

    /// Dead objects without a copy under `dlq/`.
    pub async fn uncopied(&self, limit: u32) -> Result<Vec<DeadObject>, QueueError> {
        let read = move |session: &mut dyn Session| {
            let sql = format!(
                "SELECT {COLUMNS} FROM objects WHERE state IN ('dead', 'discarded') AND state = 'dead' AND copied = 0
                 ORDER BY object_key LIMIT $1"
            );
            session.query(&sql, values![limit])?.iter().map(dead_object).collect()
        };
        self.store.reader.run(read).await
    }

    /// Says that the copy is there.
    pub async fn copied(&self, key: &ObjectKey) -> Result<(), QueueError> {
        let key = key.to_string();
        let sql = "UPDATE objects SET copied = 1 WHERE object_key = $1";
        self.store.writer.run(move |session| session.execute(sql, values![key.as_str()]).map(drop)).await
    }
}

fn dead_object(row: &Row) -> Result<DeadObject, QueueError> {
    Ok(DeadObject {
        notification: serde_json::from_str(row.text(0)?)
            .map_err(|error| QueueError::Unreadable(error.to_string()))?,
        reason: row.optional_text(1)?.unwrap_or_default().to_owned(),
        failures: u32::try_from(row.number(2)?).unwrap_or(u32::MAX),
        dead_at: UnixMillis(row.optional_number(3)?.unwrap_or_default()),
        copied: row.number(4)? == 1,
    })
}

/// Sets an object aside. If it holds its request, a resend of it, which may be whole where it is not, takes its place.
pub(super) fn bury(
    session: &mut dyn Session,
    key: &ObjectKey,
    reason: &str,
    now: UnixMillis,
) -> Result<(), QueueError> {
    let (key_text, id) = (key.to_string(), key.object_id().to_string());
    session.execute(
        "UPDATE objects SET state = 'dead', reason = $1, ended_at_ms = $2, batch_id = NULL, copied = 0,
         failures = failures + 1 WHERE object_key = $3",
        values![reason, now.0, key_text.as_str()],
    )?;
    let sql = "DELETE FROM requests WHERE object_id = $1 AND object_key = $2 RETURNING received_at_ms";
    let Some(held) = session.query_one(sql, values![id.as_str(), key_text])? else { return Ok(()) };
    let sql = "SELECT object_key FROM objects WHERE object_id = $1 AND state = 'duplicate' ORDER BY object_key LIMIT 1";
    let Some(row) = session.query_one(sql, values![id.as_str()])? else { return Ok(()) };
    let resend: Value = row.text(0)?.into();
    session.execute(
        "UPDATE objects SET state = 'pending' WHERE object_key = $1",
        std::slice::from_ref(&resend),
    )?;
    let sql = "INSERT INTO requests (object_id, object_key, received_at_ms) VALUES ($1, $2, $3)";
    session.execute(sql, &[id.into(), resend, held.number(0)?.into()]).map(drop)
}

/// Whether the request is not held by another object; from here on it is held by this one.
pub(super) fn holds_its_request(session: &mut dyn Session, key: &ObjectKey) -> Result<bool, QueueError> {
    let sql = "INSERT INTO requests (object_id, object_key, received_at_ms) VALUES ($1, $2, $3)
               ON CONFLICT (object_id) DO NOTHING";
    let id = key.object_id().to_string();
    session.execute(sql, values![id.as_str(), key.to_string(), key.received_at().0])?;
    let sql = "SELECT 1 FROM requests WHERE object_id = $1 AND object_key = $2";
    Ok(session.query_one(sql, values![id, key.to_string()])?.is_some())
}
