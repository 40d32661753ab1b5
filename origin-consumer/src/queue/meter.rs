//! What the ledger counts: the depth of the queue, and for the loss meter what became of each minute's spans.

use std::collections::BTreeMap;

use serde::Serialize;
use spillway_proto::UnixMillis;

use super::session::{Session, values};
use super::{Queue, QueueError};
use crate::time::minute_of;

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

/// Spans of a tenant that were received within a minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct MinuteCounts {
    /// Accepted by the edge, as the names of the objects in the bucket say. Resends are in it.
    pub accepted: u64,
    /// Known to the ledger.
    pub in_ledger: u64,
    /// Resends of spans that another object holds.
    pub duplicate: u64,
    /// Acknowledged by ClickHouse.
    pub stored: u64,
    /// Found in ClickHouse once more, later.
    pub audited: u64,
    /// Set aside, and waiting for somebody.
    pub dead: u64,
    /// Set aside, and given up by somebody.
    pub discarded: u64,
    /// Accepted, and the sweep came before a notification did.
    pub not_notified: u64,
}

impl MinuteCounts {
    /// Adds those of another tenant or minute.
    pub fn add(&mut self, other: &Self) {
        self.accepted += other.accepted;
        self.in_ledger += other.in_ledger;
        self.duplicate += other.duplicate;
        self.stored += other.stored;
        self.audited += other.audited;
        self.dead += other.dead;
        self.discarded += other.discarded;
        self.not_notified += other.not_notified;
    }

    /// Accepted, and neither in ClickHouse nor accounted for in another way.
    pub fn outstanding(&self) -> u64 {
        let known = self.accepted.max(self.in_ledger);
        known.saturating_sub(self.stored + self.duplicate + self.dead + self.discarded)
    }
}

/// Objects that were accepted, and how many of them without a notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Missing {
    /// Objects that the ledger came to know of otherwise than by hand.
    pub objects: u64,
    /// Those of them that the sweep found, and that no notification has told of since.
    pub not_notified: u64,
    /// The first of those was received then.
    pub since: Option<UnixMillis>,
}

/// Notifications of a minute that had one outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntakeCount {
    /// Its name.
    pub outcome: String,
    /// How many.
    pub notifications: u64,
}

impl Queue {
    /// How many objects are in which state.
    pub async fn depth(&self) -> Result<Depth, QueueError> {
        let read = |session: &mut dyn Session| {
            let mut count = |sql| session.query_one(sql, &[])?.map_or(Ok(0), |row| row.number(0));
            Ok(Depth {
                pending: count("SELECT count(*) FROM objects WHERE state = 'pending'")?,
                batched: count(
                    "SELECT count(*) FROM objects WHERE batch_id IN (SELECT batch_id FROM batches WHERE state = 'open')",
                )?,
                dead: count(
                    "SELECT count(*) FROM objects WHERE state IN ('dead', 'discarded') AND state = 'dead'",
                )?,
            })
        };
        self.store.reader.run(read).await
    }

    /// What became of the spans that were received in the minutes from `from` to before `to`, by minute and tenant.
    pub async fn minutes(
        &self,
        from: UnixMillis,
        to: UnixMillis,
    ) -> Result<BTreeMap<(UnixMillis, String), MinuteCounts>, QueueError> {
        let read = move |session: &mut dyn Session| {
            let mut minutes: BTreeMap<(UnixMillis, String), MinuteCounts> = BTreeMap::new();
            let sql = "SELECT minute_ms, tenant, spans FROM listed_minutes WHERE minute_ms >= $1 AND minute_ms < $2";
            for row in session.query(sql, values![from.0, to.0])? {
                let counts =
                    minutes.entry((UnixMillis(row.number(0)?), row.text(1)?.to_owned())).or_default();
                counts.accepted += row.number(2)?;
            }
            let sql = "SELECT received_minute_ms, tenant, state, CAST(sum(spans) AS BIGINT),
                              CAST(sum(CASE WHEN source = 'swept' AND notified_at_ms IS NULL THEN spans ELSE 0 END) AS BIGINT),
                              CAST(sum(coalesce(stored_rows, spans)) AS BIGINT)
                       FROM objects WHERE received_minute_ms >= $1 AND received_minute_ms < $2
                       GROUP BY received_minute_ms, tenant, state";
            for row in session.query(sql, values![from.0, to.0])? {
                let counts =
                    minutes.entry((UnixMillis(row.number(0)?), row.text(1)?.to_owned())).or_default();
                let (spans, rows) = (row.number(3)?, row.number(5)?);
                counts.in_ledger += spans;
                counts.not_notified += row.number(4)?;
                match row.text(2)? {
                    // Of a resend that has added to its request, what the others hold is a duplicate.
                    state @ ("stored" | "audited" | "expired") => {
                        counts.stored += rows;
                        counts.duplicate += spans.saturating_sub(rows);
                        counts.audited += if state == "stored" { 0 } else { rows };
                    }
                    "duplicate" => counts.duplicate += spans,
                    "dead" => counts.dead += spans,
                    "discarded" => counts.discarded += spans,
                    _ => {}
                }
            }
            Ok(minutes)
        };
        self.store.reader.run(read).await
    }

    /// How many of the objects that were received from `from` to before `to` came without a notification.
    pub async fn missing(&self, from: UnixMillis, to: UnixMillis) -> Result<Missing, QueueError> {
        // Of what came before, another ledger may know how.
        let from = from.max(self.store.made_at());
        let read = move |session: &mut dyn Session| {
            let sql = "SELECT count(*),
                              CAST(coalesce(sum(CASE WHEN source = 'swept' AND notified_at_ms IS NULL
                                                THEN 1 ELSE 0 END), 0) AS BIGINT),
                              min(CASE WHEN source = 'swept' AND notified_at_ms IS NULL THEN received_at_ms END)
                       FROM objects
                       WHERE received_minute_ms >= $1 AND received_at_ms >= $2 AND received_at_ms < $3
                         AND source <> 'replayed'";
            let row = session.query_one(sql, values![minute_of(from).0, from.0, to.0])?;
            let Some(row) = row else { return Ok(Missing::default()) };
            let since = row.optional_number(2)?.map(UnixMillis);
            Ok(Missing { objects: row.number(0)?, not_notified: row.number(1)?, since })
        };
        self.store.reader.run(read).await
    }

    /// Adds to what became of the notifications of a minute.
    pub async fn count_intake(&self, minute: UnixMillis, counts: Vec<IntakeCount>) -> Result<(), QueueError> {
        let write = move |session: &mut dyn Session| {
            for IntakeCount { outcome, notifications } in &counts {
                session.execute(
                    "INSERT INTO intake_minutes (minute_ms, outcome, notifications) VALUES ($1, $2, $3)
                     ON CONFLICT (minute_ms, outcome) DO UPDATE
                     SET notifications = intake_minutes.notifications + excluded.notifications",
                    values![minute_of(minute).0, outcome.as_str(), *notifications],
                )?;
            }
            Ok(())
        };
        self.store.writer.run(write).await
    }

    /// What became of the notifications that came from the minute of `from` on.
    pub async fn intake_since(&self, from: UnixMillis) -> Result<Vec<IntakeCount>, QueueError> {
        let read = move |session: &mut dyn Session| {
            let sql = "SELECT outcome, CAST(sum(notifications) AS BIGINT) FROM intake_minutes
                       WHERE minute_ms >= $1 GROUP BY outcome ORDER BY outcome";
            let rows = session.query(sql, values![minute_of(from).0])?;
            let count = |row: &super::session::Row| {
                Ok(IntakeCount { outcome: row.text(0)?.to_owned(), notifications: row.number(1)? })
            };
            rows.iter().map(count).collect()
        };
        self.store.reader.run(read).await
    }
}
