//! What the sweep remembers: which minutes of the bucket are due for which pass, and what their listings have shown.

use std::collections::HashMap;
use std::time::Duration;

use spillway_proto::{ObjectKey, UnixMillis};
use ulid::Ulid;

use super::session::{Session, Value, in_powers, rows_of, rows_of_placeholders, values};
use super::store::{mark, set_mark};
use super::{Queue, QueueError, too_far};
use crate::time::{MINUTE_MS, after, before, minute_of};

const SWEPT_UNTIL: &str = "minutes_until_ms";

/// A minute of the bucket, and the right to list it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SweepMinute {
    /// Its beginning.
    pub minute: UnixMillis,
    /// Passes over it that are done.
    pub passes_done: u32,
    lease_id: Ulid,
}

/// What a listing of a minute has shown of a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Listed {
    /// Objects.
    pub objects: u64,
    /// Spans, by the objects' names.
    pub spans: u64,
}

impl Queue {
    /// Up to when a sweep has taken minutes in hand: it does so with each look. Nothing where there was none.
    pub async fn sweep_reaches(&self) -> Result<Option<UnixMillis>, QueueError> {
        let until = self.store.reader.run(|session| mark(session, SWEPT_UNTIL)).await?;
        Ok(until.map(UnixMillis))
    }

    /// Makes the minutes up to the one that `now` is in due for their first pass, `first_after` their end. The first time,
    /// from `lookback` before `now` on. Where the clock has gone back, minutes that were made in its future are made again.
    pub async fn open_minutes(
        &self,
        now: UnixMillis,
        lookback: Duration,
        first_after: Duration,
    ) -> Result<(), QueueError> {
        let write = move |session: &mut dyn Session| {
            let until = minute_of(now).0 + MINUTE_MS;
            let from = match mark(session, SWEPT_UNTIL)? {
                Some(from) if from <= until => from,
                _ => minute_of(before(now, lookback)).0,
            };
            if from == until {
                return Ok(());
            }
            let minutes: Vec<u64> = (from..until).step_by(MINUTE_MS as usize).collect();
            for rows in in_powers(&minutes) {
                let sql = format!(
                    "INSERT INTO sweep_minutes (minute_ms, passes_done, due_at_ms, lease_id, leased_until_ms)
                     VALUES {} ON CONFLICT (minute_ms) DO NOTHING",
                    rows_of_placeholders(rows.len(), 5)
                );
                let due = |minute: u64| after(UnixMillis(minute + MINUTE_MS), first_after).0;
                let values = rows.iter().flat_map(|minute| {
                    [(*minute).into(), 0u64.into(), due(*minute).into(), Value::from(""), 0u64.into()]
                });
                session.execute(&sql, &values.collect::<Vec<_>>())?;
            }
            set_mark(session, SWEPT_UNTIL, until)
        };
        self.store.writer.run(write).await
    }

    /// Takes the newest of the minutes that are due, for as long as `lease`: a day that has to be gone through after an
    /// outage must not hold up what comes in meanwhile.
    pub async fn claim_minute(
        &self,
        now: UnixMillis,
        lease: Duration,
    ) -> Result<Option<SweepMinute>, QueueError> {
        let write = move |session: &mut dyn Session| {
            let sql = format!(
                "SELECT minute_ms, passes_done FROM sweep_minutes
                 WHERE due_at_ms <= $1 AND (leased_until_ms <= $1 OR leased_until_ms > $2)
                 ORDER BY minute_ms DESC LIMIT 1{}",
                session.skip_locked()
            );
            let Some(row) = session.query_one(&sql, values![now.0, too_far(now).0])? else { return Ok(None) };
            let (minute, lease_id) = (row.number(0)?, Ulid::generate());
            session.execute(
                "UPDATE sweep_minutes SET lease_id = $1, leased_until_ms = $2 WHERE minute_ms = $3",
                values![lease_id.to_string(), after(now, lease).0, minute],
            )?;
            let passes_done = u32::try_from(row.number(1)?).unwrap_or(u32::MAX);
            Ok(Some(SweepMinute { minute: UnixMillis(minute), passes_done, lease_id }))
        };
        self.store.writer.run(write).await
    }

    /// Ends a pass over a minute: the next one is due at `next`, or there is none. False where another sweeper has the
    /// minute by now.
    pub async fn finish_minute(
        &self,
        minute: &SweepMinute,
        next: Option<UnixMillis>,
    ) -> Result<bool, QueueError> {
        let minute = minute.clone();
        let write = move |session: &mut dyn Session| {
            let ours = values![minute.minute.0, minute.lease_id.to_string()].to_vec();
            let Some(next) = next else {
                let sql = "DELETE FROM sweep_minutes WHERE minute_ms = $1 AND lease_id = $2";
                return Ok(session.execute(sql, &ours)? == 1);
            };
            let sql =
                "UPDATE sweep_minutes SET passes_done = passes_done + 1, leased_until_ms = 0, due_at_ms = $3
                       WHERE minute_ms = $1 AND lease_id = $2";
            let values: Vec<Value> = ours.into_iter().chain([next.0.into()]).collect();
            Ok(session.execute(sql, &values)? == 1)
        };
        self.store.writer.run(write).await
    }

    /// The tenants of those of `keys` that the ledger knows; the others are missing in it.
    pub async fn tenants_of(&self, keys: Vec<ObjectKey>) -> Result<HashMap<ObjectKey, String>, QueueError> {
        let read = move |session: &mut dyn Session| {
            let mut rows = rows_of(session, "tenant", keys.iter().map(ObjectKey::to_string), "")?;
            let mut tenants = HashMap::with_capacity(rows.len());
            for key in &keys {
                if let Some(row) = rows.remove(&key.to_string()) {
                    tenants.insert(key.clone(), row.text(0)?.to_owned());
                }
            }
            Ok(tenants)
        };
        self.store.reader.run(read).await
    }

    /// Notes what a listing of the whole minute has shown, by tenant, in place of what an earlier one did.
    pub async fn note_listing(
        &self,
        minute: UnixMillis,
        listed: HashMap<String, Listed>,
        now: UnixMillis,
    ) -> Result<(), QueueError> {
        let write = move |session: &mut dyn Session| {
            session.execute("DELETE FROM listed_minutes WHERE minute_ms = $1", values![minute.0])?;
            for (tenant, Listed { objects, spans }) in &listed {
                session.execute(
                    "INSERT INTO listed_minutes (minute_ms, tenant, objects, spans, listed_at_ms)
                     VALUES ($1, $2, $3, $4, $5)
                     ON CONFLICT (minute_ms, tenant) DO UPDATE
                     SET objects = excluded.objects, spans = excluded.spans, listed_at_ms = excluded.listed_at_ms",
                    values![minute.0, tenant.as_str(), *objects, *spans, now.0],
                )?;
            }
            Ok(())
        };
        self.store.writer.run(write).await
    }

    /// Leaves a chore to others, where it is ours.
    pub async fn leave_chore(&self, chore: &'static str, holder: Ulid) -> Result<(), QueueError> {
        let write = move |session: &mut dyn Session| {
            let sql = "UPDATE chores SET leased_until_ms = 0 WHERE chore = $1 AND lease_id = $2";
            session.execute(sql, values![chore, holder.to_string()]).map(drop)
        };
        self.store.writer.run(write).await
    }

    /// Takes a chore that one process does at a time, or keeps it, until `until`. `holder` is an id of the process.
    pub async fn hold_chore(
        &self,
        chore: &'static str,
        holder: Ulid,
        until: UnixMillis,
        now: UnixMillis,
    ) -> Result<bool, QueueError> {
        let write = move |session: &mut dyn Session| {
            let sql = "INSERT INTO chores (chore, lease_id, leased_until_ms) VALUES ($1, $2, $3)
                       ON CONFLICT (chore) DO UPDATE
                       SET lease_id = excluded.lease_id, leased_until_ms = excluded.leased_until_ms
                       WHERE chores.leased_until_ms <= $4 OR chores.leased_until_ms > $5
                          OR chores.lease_id = excluded.lease_id";
            let values = values![chore, holder.to_string(), until.0, now.0, too_far(now).0];
            Ok(session.execute(sql, values)? == 1)
        };
        self.store.writer.run(write).await
    }
}
