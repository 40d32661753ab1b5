//! Dead letters: objects that were set aside, and what people do with them.

use spillway_proto::notification::Notification;
use spillway_proto::{ObjectKey, UnixMillis};

use super::intake::Source;
use super::resends::{Precedence, precedence_again, release, take_over};
use super::session::{Row, Session, notification, values};
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

    /// Lets a dead object wait again. Not where it is not dead, or where a resend that holds all of its request has taken its
    /// place.
    pub async fn retry_dead(&self, key: &ObjectKey, now: UnixMillis) -> Result<bool, QueueError> {
        let key = key.clone();
        let write = move |session: &mut dyn Session| {
            let key = key.to_string();
            let sql =
                "SELECT notification FROM objects WHERE object_key = $1 AND state IN ('dead', 'discarded')";
            let Some(dead) = session.query_one(sql, values![key.as_str()])? else { return Ok(false) };
            let precedence = precedence_again(session, &notification(&dead, 0)?)?;
            let state = match &precedence {
                Precedence::Duplicate { .. } => return Ok(false),
                Precedence::Held { .. } => "held",
                Precedence::First => "pending",
            };
            let sql = "UPDATE objects SET state = $1, failures = 0, reason = NULL, ended_at_ms = NULL, priority = $2,
                       look_first = 1, not_before_ms = $3, copied = 0, resend_of = $4, resend_no = NULL
                       WHERE object_key = $5";
            let values =
                values![state, Source::Replayed.priority(), now.0, precedence.resend_of(), key.as_str()];
            let retried = session.execute(sql, values)? == 1;
            if let Precedence::Held { root } = &precedence {
                release(session, root)?;
            }
            Ok(retried)
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
        notification: notification(row, 0)?,
        reason: row.optional_text(1)?.unwrap_or_default().to_owned(),
        failures: u32::try_from(row.number(2)?).unwrap_or(u32::MAX),
        dead_at: UnixMillis(row.optional_number(3)?.unwrap_or_default()),
        copied: row.number(4)? == 1,
    })
}

/// Sets an object aside. Resends of its request, which may be whole where it is not, take its place.
pub(super) fn bury(
    session: &mut dyn Session,
    key: &ObjectKey,
    reason: &str,
    now: UnixMillis,
) -> Result<(), QueueError> {
    let key = key.to_string();
    session.execute(
        "UPDATE objects SET state = 'dead', reason = $1, ended_at_ms = $2, batch_id = NULL, copied = 0,
         failures = failures + 1 WHERE object_key = $3",
        values![reason, now.0, key.as_str()],
    )?;
    take_over(session, &key)
}
