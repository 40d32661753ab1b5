//! The queue and the ledger, in one SQLite file.
//!
//! An object comes in with its notification, waits, is taken into a batch (an immutable manifest under a lease), and
//! ends as stored, or as dead with a reason. Nothing is ever deleted from here in silence.

mod statements;
mod writer;

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};
use serde::Deserialize;
use spillway_proto::notification::Notification;
use spillway_proto::{ObjectKey, UnixMillis};
use tokio::sync::Notify;
use ulid::Ulid;

use statements::{Fence, enqueue, form, reclaim};
use writer::{SCHEMA_VERSION, Writer};

/// Where the queue lies and what it takes for a resend.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct QueueConfig {
    /// The SQLite file; it is made where it is missing.
    pub path: std::path::PathBuf,
    /// Two objects with the same body and tenant within this many seconds are one: an exporter's resend after a lost
    /// answer. 0 stores both.
    pub resend_window_seconds: u64,
}

impl Default for QueueConfig {
    fn default() -> Self {
        Self { path: "spillway-queue.sqlite".into(), resend_window_seconds: 24 * 60 * 60 }
    }
}

/// The queue failed. The notification or the lease in hand is not lost: the work is done again.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// SQLite refused.
    #[error("sqlite: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// A row does not hold what was put there.
    #[error("the ledger holds an unreadable notification: {0}")]
    Unreadable(#[from] serde_json::Error),
    /// The transaction was not committed, so none of the work in it counts.
    #[error("the write was not committed")]
    NotCommitted,
    /// The writer has ended, or could not begin a transaction.
    #[error("the queue did not take the write")]
    Closed,
    /// The file was written by another version of this program.
    #[error(
        "the file has the schema {found}, this program reads {SCHEMA_VERSION}; give it another file, and the sweep fills that one"
    )]
    Version {
        /// The file's.
        found: u32,
    },
    /// The writer's thread could not be started.
    #[error("cannot start the writer's thread: {0}")]
    Thread(#[source] std::io::Error),
    /// Another consumer holds the batch by now.
    #[error("the lease on batch {0} is lost")]
    LeaseLost(Ulid),
}

/// What became of a notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enqueued {
    /// The object waits to be stored.
    New,
    /// The object is known already.
    Known,
    /// Another object holds the same request.
    Resend,
}

/// What the caller may take at most, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct ClaimLimits {
    /// Objects a batch.
    pub objects: u32,
    /// Spans a batch; one object alone may hold more.
    pub spans: u64,
    /// Bytes of payload a batch, decompressed; one object alone may hold more.
    pub bytes: u64,
    /// How long the batch is the caller's, unless it renews the lease.
    pub lease: Duration,
}

/// A batch and the right to work on it.
#[derive(Debug, Clone)]
pub struct Batch {
    /// The manifest's id: a ULID, never used twice.
    pub id: Ulid,
    /// The fence.
    lease_id: Ulid,
    /// The objects, in the order of their keys, and when each was enqueued.
    pub objects: Vec<(Notification, UnixMillis)>,
    /// Tries that may have reached ClickHouse before this one.
    pub inserts: u32,
    /// Tries that failed.
    pub failures: u32,
}

impl Batch {
    /// The spans that its objects hold.
    pub fn spans(&self) -> u64 {
        self.objects.iter().map(|(object, _)| u64::from(object.object_key.spans())).sum()
    }
}

/// Objects by state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Depth {
    /// They wait.
    pub pending: u64,
    /// They are in an open batch.
    pub batched: u64,
    /// They were set aside, with their reason.
    pub dead: u64,
}

/// The queue; cheap to share.
pub struct Queue {
    writer: Writer,
    resend_window_ms: u64,
    arrived: Notify,
}

impl Queue {
    /// Opens the queue, and makes it where it is missing.
    pub fn open(config: &QueueConfig) -> Result<Self, QueueError> {
        Self::open_at(&config.path, config.resend_window_seconds.saturating_mul(1000))
    }

    fn open_at(path: &Path, resend_window_ms: u64) -> Result<Self, QueueError> {
        let writer = Writer::start(path)?;
        Ok(Self { writer, resend_window_ms, arrived: Notify::new() })
    }

    /// Returns when an object came in through this process, or after `at_most`.
    pub async fn wait(&self, at_most: Duration) {
        let _ = tokio::time::timeout(at_most, self.arrived.notified()).await;
    }

    /// Takes an object in. Durable when it returns.
    pub async fn enqueue(&self, notification: Notification, now: UnixMillis) -> Result<Enqueued, QueueError> {
        let since = now.0.saturating_sub(self.resend_window_ms);
        let enqueued = self.writer.write(move |db| enqueue(db, &notification, now, since)).await?;
        if enqueued == Enqueued::New {
            self.arrived.notify_one();
        }
        Ok(enqueued)
    }

    /// Takes a batch: one whose lease has run out, as it is, else a new one of the objects that wait the longest.
    pub async fn claim(&self, limits: ClaimLimits, now: UnixMillis) -> Result<Option<Batch>, QueueError> {
        self.writer
            .write(move |db| match reclaim(db, limits, now)? {
                Some(batch) => Ok(Some(batch)),
                None => form(db, limits, now),
            })
            .await
    }

    /// Keeps the batch until `until`.
    pub async fn renew(&self, batch: &Batch, until: UnixMillis) -> Result<(), QueueError> {
        self.fenced(batch, "leased_until_ms = :value", until.0).await
    }

    /// Says that an insert of the batch is about to begin: from here on its rows may be in ClickHouse.
    pub async fn begin_insert(&self, batch: &Batch) -> Result<(), QueueError> {
        self.fenced(batch, "inserts = inserts + :value", 1).await
    }

    /// Gives the batch back after a failure, to be tried again at `retry_at`.
    pub async fn release(
        &self,
        batch: &Batch,
        retry_at: UnixMillis,
        error: String,
    ) -> Result<(), QueueError> {
        let fence = Fence::of(batch);
        self.writer
            .write(move |db| {
                let set = "leased_until_ms = :value, failures = failures + 1";
                fence.update(db, set, retry_at.0)?;
                db.execute(
                    "UPDATE batches SET last_error = ?2 WHERE batch_id = ?1",
                    params![fence.batch(), error],
                )?;
                Ok(())
            })
            .await
    }

    /// Acknowledges the batch: its rows are in ClickHouse.
    pub async fn ack(&self, batch: &Batch, now: UnixMillis) -> Result<(), QueueError> {
        let fence = Fence::of(batch);
        self.writer
            .write(move |db| {
                fence.update(db, "state = 'stored', leased_until_ms = :value", now.0)?;
                db.execute(
                    "UPDATE objects SET state = 'stored', ended_at_ms = ?2 WHERE batch_id = ?1",
                    params![fence.batch(), now.0],
                )?;
                Ok(())
            })
            .await
    }

    /// Sets objects of a batch aside, with the reason of each, and lets the others wait for a batch without them. Only
    /// for a batch that no insert was begun for: its id must not be known to ClickHouse.
    pub async fn set_aside(
        &self,
        batch: &Batch,
        poison: Vec<(ObjectKey, String)>,
        now: UnixMillis,
    ) -> Result<(), QueueError> {
        let fence = Fence::of(batch);
        self.writer
            .write(move |db| {
                fence.update(db, "leased_until_ms = :value", now.0)?;
                for (key, reason) in &poison {
                    db.execute(
                        "UPDATE objects SET state = 'dead', reason = ?3, ended_at_ms = ?4, batch_id = NULL
                         WHERE object_key = ?1 AND batch_id = ?2",
                        params![key.to_string(), fence.batch(), reason, now.0],
                    )?;
                    // A resend of it may be whole where it is not.
                    db.execute(
                        "UPDATE objects SET state = 'pending' WHERE object_key =
                         (SELECT object_key FROM objects WHERE object_id = ?1 AND state = 'duplicate' LIMIT 1)",
                        [key.object_id().to_string()],
                    )?;
                }
                db.execute(
                    "UPDATE objects SET state = 'pending', batch_id = NULL WHERE batch_id = ?1",
                    [fence.batch()],
                )?;
                db.execute("DELETE FROM batches WHERE batch_id = ?1", [fence.batch()])?;
                Ok(())
            })
            .await
    }

    /// Those of `keys` that the ledger does not know.
    pub async fn unknown(&self, keys: Vec<ObjectKey>) -> Result<Vec<ObjectKey>, QueueError> {
        self.writer
            .write(move |db| {
                let mut known = db.prepare_cached("SELECT 1 FROM objects WHERE object_key = ?1")?;
                let mut unknown = Vec::new();
                for key in keys {
                    if !known.exists([key.to_string()])? {
                        unknown.push(key);
                    }
                }
                Ok(unknown)
            })
            .await
    }

    /// How far the sweep has come: it has seen every object that was received before.
    pub async fn watermark(&self) -> Result<Option<UnixMillis>, QueueError> {
        let read = |db: &Connection| {
            let mut watermark = db.prepare_cached("SELECT unix_ms FROM sweep_watermark")?;
            Ok(watermark.query_row([], |row| row.get(0)).optional()?.map(UnixMillis))
        };
        self.writer.write(read).await
    }

    /// Moves the watermark.
    pub async fn set_watermark(&self, to: UnixMillis) -> Result<(), QueueError> {
        let set = move |db: &Connection| {
            db.prepare_cached("INSERT OR REPLACE INTO sweep_watermark (only_row, unix_ms) VALUES (1, ?1)")?
                .execute([to.0])?;
            Ok(())
        };
        self.writer.write(set).await
    }

    /// How many objects are in which state.
    pub async fn depth(&self) -> Result<Depth, QueueError> {
        self.writer
            .write(|db| {
                let mut counts = db.prepare_cached(
                    "SELECT state, count(*) FROM objects WHERE state IN ('pending', 'batched', 'dead') GROUP BY state",
                )?;
                let mut depth = Depth::default();
                for row in counts.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get(1)?)))? {
                    match row? {
                        (state, count) if state == "pending" => depth.pending = count,
                        (state, count) if state == "batched" => depth.batched = count,
                        (_, count) => depth.dead = count,
                    }
                }
                Ok(depth)
            })
            .await
    }

    async fn fenced(&self, batch: &Batch, set: &'static str, value: u64) -> Result<(), QueueError> {
        let fence = Fence::of(batch);
        self.writer.write(move |db| fence.update(db, set, value)).await
    }
}

#[cfg(test)]
mod tests;
