//! What is said to SQLite, each within a transaction of the writer.

use rusqlite::{Connection, OptionalExtension, Row, named_params, params};
use spillway_proto::UnixMillis;
use spillway_proto::notification::Notification;
use ulid::Ulid;

use super::{Batch, ClaimLimits, Enqueued, QueueError};

/// The right to write to a batch, checked in the transaction that writes.
pub(super) struct Fence {
    batch_id: Ulid,
    lease_id: Ulid,
}

impl Fence {
    pub(super) fn of(batch: &Batch) -> Self {
        Self { batch_id: batch.id, lease_id: batch.lease_id }
    }

    pub(super) fn batch(&self) -> String {
        self.batch_id.to_string()
    }

    pub(super) fn update(&self, db: &Connection, set: &str, value: u64) -> Result<(), QueueError> {
        let sql = format!(
            "UPDATE batches SET {set} WHERE batch_id = :batch AND lease_id = :lease AND state = 'open'"
        );
        let values =
            named_params! { ":value": value, ":batch": self.batch(), ":lease": self.lease_id.to_string() };
        match db.prepare_cached(&sql)?.execute(values)? {
            1 => Ok(()),
            _ => Err(QueueError::LeaseLost(self.batch_id)),
        }
    }
}

pub(super) fn enqueue(
    db: &Connection,
    notification: &Notification,
    now: UnixMillis,
    resends_since_ms: u64,
) -> Result<Enqueued, QueueError> {
    let key = &notification.object_key;
    let (key_text, id_text) = (key.to_string(), key.object_id().to_string());
    if db.prepare_cached("SELECT 1 FROM objects WHERE object_key = ?1")?.exists([&key_text])? {
        return Ok(Enqueued::Known);
    }
    let resend = resends_since_ms < now.0
        && db
            .prepare_cached(
                "SELECT 1 FROM objects WHERE object_id = ?1 AND enqueued_at_ms >= ?2 AND state NOT IN ('dead', 'duplicate')",
            )?
            .exists(params![id_text, resends_since_ms])?;
    let (state, enqueued) = if resend { ("duplicate", Enqueued::Resend) } else { ("pending", Enqueued::New) };
    db.prepare_cached(
        "INSERT INTO objects (object_key, object_id, notification, tenant, spans, payload_bytes, state, enqueued_at_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?
    .execute(params![
        key_text,
        id_text,
        serde_json::to_string(notification)?,
        notification.tenant.as_str(),
        key.spans(),
        notification.payload_bytes,
        state,
        now.0
    ])?;
    Ok(enqueued)
}

pub(super) fn reclaim(
    db: &Connection,
    limits: ClaimLimits,
    now: UnixMillis,
) -> Result<Option<Batch>, QueueError> {
    let lease_id = Ulid::generate();
    let batch = db
        .prepare_cached(
            "UPDATE batches SET lease_id = ?1, leased_until_ms = ?2
             WHERE batch_id = (SELECT batch_id FROM batches WHERE state = 'open' AND leased_until_ms <= ?3
                               ORDER BY leased_until_ms LIMIT 1)
             RETURNING batch_id, inserts, failures",
        )?
        .query_row(params![lease_id.to_string(), leased_until(limits, now), now.0], |row| {
            Ok((ulid(row, 0)?, row.get(1)?, row.get(2)?))
        })
        .optional()?;
    let Some((id, inserts, failures)) = batch else { return Ok(None) };
    Ok(Some(Batch { id, lease_id, objects: objects_of(db, id)?, inserts, failures }))
}

pub(super) fn form(
    db: &Connection,
    limits: ClaimLimits,
    now: UnixMillis,
) -> Result<Option<Batch>, QueueError> {
    let mut waiting = db.prepare_cached(
        "SELECT object_key, spans, payload_bytes FROM objects WHERE state = 'pending' ORDER BY enqueued_at_ms LIMIT ?1",
    )?;
    let mut rows = waiting.query([limits.objects])?;
    let (mut keys, mut spans, mut bytes) = (Vec::<String>::new(), 0u64, 0u64);
    while let Some(row) = rows.next()? {
        spans = spans.saturating_add(row.get(1)?);
        bytes = bytes.saturating_add(row.get(2)?);
        if !keys.is_empty() && (spans > limits.spans || bytes > limits.bytes) {
            break;
        }
        keys.push(row.get(0)?);
    }
    if keys.is_empty() {
        return Ok(None);
    }
    let (id, lease_id) = (Ulid::generate(), Ulid::generate());
    db.execute(
        "INSERT INTO batches (batch_id, state, lease_id, leased_until_ms) VALUES (?1, 'open', ?2, ?3)",
        params![id.to_string(), lease_id.to_string(), leased_until(limits, now)],
    )?;
    let mut take =
        db.prepare_cached("UPDATE objects SET state = 'batched', batch_id = ?2 WHERE object_key = ?1")?;
    for key in &keys {
        take.execute(params![key, id.to_string()])?;
    }
    Ok(Some(Batch { id, lease_id, objects: objects_of(db, id)?, inserts: 0, failures: 0 }))
}

fn leased_until(limits: ClaimLimits, now: UnixMillis) -> u64 {
    now.0.saturating_add(u64::try_from(limits.lease.as_millis()).unwrap_or(u64::MAX))
}

fn objects_of(db: &Connection, batch: Ulid) -> Result<Vec<(Notification, UnixMillis)>, QueueError> {
    let mut objects = db.prepare_cached(
        "SELECT notification, enqueued_at_ms FROM objects WHERE batch_id = ?1 ORDER BY object_key",
    )?;
    let rows = objects.query_map([batch.to_string()], |row| Ok((row.get::<_, String>(0)?, row.get(1)?)))?;
    rows.map(|row| {
        let (notification, enqueued_at) = row?;
        Ok((serde_json::from_str(&notification)?, UnixMillis(enqueued_at)))
    })
    .collect()
}

fn ulid(row: &Row<'_>, column: usize) -> rusqlite::Result<Ulid> {
    let text: String = row.get(column)?;
    Ulid::from_string(&text).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(error))
    })
}
