//! Batches: manifests under a lease.

mod acknowledging;
mod adopt;
mod forming;
mod pause;
mod ripe;
mod setbacks;
#[cfg(test)]
mod tests;

use std::time::Duration;

use spillway_proto::notification::Notification;
use spillway_proto::{ObjectKey, UnixMillis};
use ulid::Ulid;

use super::intake::{Arrival, Rules, Source};
use super::lease::Lease;
use super::resends::release_of_batch;
use super::session::{Session, values};
use super::{Queue, QueueError};
use acknowledging::{acknowledge, look_again_after_deaths};
use adopt::adopt;
use forming::{form, reclaim};
use setbacks::{Fate, delete_if_empty, past, set_back, split};

/// Live ones come first.
const PRIORITIES: [u64; 2] = [0, 1];

/// What the caller may take at most, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct ClaimLimits {
    /// Objects a batch.
    pub objects: u32,
    /// Spans a batch; one object alone may hold more.
    pub spans: u64,
    /// Bytes of payload a batch, decompressed; one object alone may hold more.
    pub bytes: u64,
    /// How long objects that do not fill a batch wait for others.
    pub delay: Duration,
    /// How long the batch is the caller's, unless it renews the lease.
    pub lease: Duration,
}

/// An object of a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Claimed {
    /// What is needed to fetch and check it.
    pub notification: Notification,
    /// When it came in.
    pub enqueued_at: UnixMillis,
    /// Tries that failed by its own fault.
    pub failures: u32,
    /// The objects of the same request before it: what they hold of it is not stored again.
    pub predecessors: Vec<ObjectKey>,
}

/// The rows of an object in ClickHouse, where they are not those from 0 on to its spans: some of its spans were rejected, or are
/// another object's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRows {
    /// Which object.
    pub object_key: ObjectKey,
    /// How many rows.
    pub rows: u64,
    /// The sum of the hashes of their numbers, as the projection `by_object` has it.
    pub hash: u64,
}

/// A batch and the right to work on it.
#[derive(Debug, Clone)]
pub struct Batch {
    /// The manifest's id: a ULID, never used twice.
    pub id: Ulid,
    /// The fence.
    lease_id: Ulid,
    /// What this process knows of it.
    pub lease: Lease,
    /// The objects, in the order of their keys.
    pub objects: Vec<Claimed>,
    /// Its rows may be in ClickHouse though no insert of this batch was begun.
    pub look_first: bool,
    /// Tries that may have reached ClickHouse before this one.
    pub inserts: u32,
    /// Tries that failed.
    pub failures: u32,
    /// Leases on it that ran out.
    pub abandoned: u32,
}

impl Batch {
    /// The spans that its objects hold.
    pub fn spans(&self) -> u64 {
        self.objects.iter().map(|object| u64::from(object.notification.object_key.spans())).sum()
    }

    /// The bytes of their payloads, decompressed, as far as their notifications tell.
    pub fn payload_bytes(&self) -> u64 {
        self.objects.iter().fold(0, |sum, object| sum.saturating_add(object.notification.payload_bytes))
    }
}

/// What a claim has come to.
#[derive(Debug)]
pub enum Claim {
    /// A batch, which is the caller's.
    Batch(Batch),
    /// Objects wait that do not fill a batch. Unless others come, the next batch is made of them then.
    Unripe(UnixMillis),
    /// Nothing waits, or not yet, or another transaction is taking it.
    Nothing,
}

impl Claim {
    /// The batch, if it is one.
    pub fn batch(self) -> Option<Batch> {
        match self {
            Self::Batch(batch) => Some(batch),
            Self::Unripe(_) | Self::Nothing => None,
        }
    }
}

/// Whose fault it is that an object was not stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Its own, as it seems: after some tries it is dead.
    Poison,
    /// Its own, and no try will change that.
    Fatal,
    /// Of something between: it is tried again later.
    Passing,
    /// Of the exporter, which has sent the request before: ClickHouse has it by another object.
    Resend {
        /// That one.
        of: ObjectKey,
    },
}

/// An object that keeps its batch from being stored.
#[derive(Debug, Clone)]
pub struct Setback {
    /// Which.
    pub object_key: ObjectKey,
    /// Whose fault.
    pub fault: Fault,
    /// In words.
    pub reason: String,
}

/// What became of the objects that kept their batch from being stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Spared {
    /// Set aside.
    pub dead: usize,
    /// To be tried again, later.
    pub later: usize,
    /// Left to the objects that they are resends of.
    pub resends: usize,
}

/// What became of objects that somebody has asked for.
#[derive(Debug, Default)]
pub struct Adopted {
    /// A batch of those that can be worked on.
    pub batch: Option<Batch>,
    /// In a batch that somebody works on: they will be stored.
    pub in_hand: Vec<ObjectKey>,
    /// Resends: another object holds the same request.
    pub duplicates: Vec<ObjectKey>,
}

impl Queue {
    /// Takes a batch: one whose lease has run out, as it is, else a new one of the objects that wait the longest, each
    /// tenant its share, if they fill one or have waited for the delay. Live ones come before replayed ones.
    pub async fn claim(&self, limits: ClaimLimits, now: UnixMillis) -> Result<Claim, QueueError> {
        let claim = move |session: &mut dyn Session| {
            let mut due = None;
            for priority in PRIORITIES {
                if let Some(batch) = reclaim(session, priority, limits, now)? {
                    return Ok(Claim::Batch(batch));
                }
                match form(session, priority, limits, now)? {
                    Claim::Batch(batch) => return Ok(Claim::Batch(batch)),
                    Claim::Unripe(at) => due = Some(due.map_or(at, |due: UnixMillis| due.min(at))),
                    Claim::Nothing => {}
                }
            }
            Ok(due.map_or(Claim::Nothing, Claim::Unripe))
        };
        self.store.writer.run(claim).await
    }

    /// Takes a batch whose lease has run out, if there is one.
    pub async fn reclaim(&self, limits: ClaimLimits, now: UnixMillis) -> Result<Option<Batch>, QueueError> {
        let reclaim = move |session: &mut dyn Session| {
            for priority in PRIORITIES {
                if let Some(batch) = reclaim(session, priority, limits, now)? {
                    return Ok(Some(batch));
                }
            }
            Ok(None)
        };
        self.store.writer.run(reclaim).await
    }

    /// Takes these objects, whatever became of them before, as a batch of the caller's own.
    pub async fn adopt(
        &self,
        objects: Vec<Notification>,
        lease: Duration,
        now: UnixMillis,
    ) -> Result<Adopted, QueueError> {
        let rules = Rules {
            source: Source::Replayed,
            resend_window_ms: self.intake.resend_window_ms(),
            whole_since: self.store.whole_since(),
        };
        let arrivals: Vec<_> =
            objects.into_iter().map(|notification| Arrival { notification, at: now }).collect();
        self.store.writer.run(move |session| adopt(session, &arrivals, rules, lease, now)).await
    }

    /// Keeps the batch until `until`.
    pub async fn renew(&self, batch: &Batch, until: UnixMillis) -> Result<(), QueueError> {
        self.fenced(batch, "leased_until_ms = $1", until.0).await?;
        batch.lease.renewed(until);
        Ok(())
    }

    /// Says that from here on the caller works on this batch, and on no other: should it die now, it is this batch's doing.
    pub async fn begin_alone(&self, batch: &Batch) -> Result<(), QueueError> {
        self.fenced(batch, "given_back = $1", 0).await
    }

    /// Says that an insert of the batch is about to begin: from here on its rows may be in ClickHouse. Keeps the batch until
    /// `until`.
    pub async fn begin_insert(&self, batch: &Batch, until: UnixMillis) -> Result<(), QueueError> {
        self.fenced(batch, "inserts = inserts + 1, leased_until_ms = $1", until.0).await?;
        batch.lease.renewed(until);
        Ok(())
    }

    /// Gives the batch back after a failure, to be tried again at `retry_at`.
    pub async fn release(
        &self,
        batch: &Batch,
        retry_at: UnixMillis,
        error: String,
    ) -> Result<(), QueueError> {
        let fence = Fence::of(batch);
        self.store
            .writer
            .run(move |session| {
                let set = "leased_until_ms = $1, given_back = 1, lease_id = '', failures = failures + 1";
                fence.update(session, set, retry_at.0)?;
                // Who gives it back has survived it: those who died over it before were killed by something else.
                let sql = "UPDATE batches SET last_error = $1, abandoned = 0 WHERE batch_id = $2";
                session.execute(sql, values![error.as_str(), fence.batch()]).map(drop)
            })
            .await
    }

    /// Acknowledges the batch: the rows of each object, from 0 on to its spans, are in ClickHouse.
    pub async fn ack(&self, batch: &Batch, now: UnixMillis) -> Result<(), QueueError> {
        self.ack_rows(batch, Vec::new(), now).await
    }

    /// Acknowledges the batch: its rows are in ClickHouse. `rows` tells of those objects whose rows are not the usual ones.
    pub async fn ack_rows(
        &self,
        batch: &Batch,
        rows: Vec<StoredRows>,
        now: UnixMillis,
    ) -> Result<(), QueueError> {
        let fence = Fence::of(batch);
        let resends = batch.objects.iter().filter(|object| !object.predecessors.is_empty());
        let resends: Vec<_> = resends.cloned().collect();
        self.store
            .writer
            .run(move |session| {
                fence.update(session, "state = 'stored', ended_at_ms = $1", now.0)?;
                acknowledge(session, &fence, &rows, now)?;
                look_again_after_deaths(session, &resends)?;
                release_of_batch(session, &fence.batch())
            })
            .await
    }

    /// Takes the objects out of the batch that keep it from being stored. One that failed so often as `tries` by its own
    /// fault is dead. The others of a batch that was never inserted wait for another one; those of a batch that was
    /// inserted stay in it, since ClickHouse may know them by its id.
    pub async fn set_back(
        &self,
        batch: &Batch,
        setbacks: Vec<Setback>,
        tries: u32,
        now: UnixMillis,
    ) -> Result<Spared, QueueError> {
        let fence = Fence::of(batch);
        self.store
            .writer
            .run(move |session| {
                fence.update(session, "leased_until_ms = $1, given_back = 1, lease_id = ''", now.0)?;
                let past = past(session, &fence)?;
                let mut spared = Spared::default();
                for setback in &setbacks {
                    match set_back(session, &fence, setback, tries, past, now)? {
                        Some(Fate::Dead) => spared.dead += 1,
                        Some(Fate::Later) => spared.later += 1,
                        Some(Fate::Resend) => spared.resends += 1,
                        None => {}
                    }
                }
                if past.inserts == 0 {
                    let sql = "UPDATE objects SET state = 'pending', batch_id = NULL,
                               look_first = CASE WHEN CAST($1 AS BIGINT) = 1 THEN 1 ELSE look_first END
                               WHERE batch_id = $2";
                    session.execute(sql, values![past.may_be_there(), fence.batch()])?;
                }
                delete_if_empty(session, &fence)?;
                Ok(spared)
            })
            .await
    }

    /// Makes two batches of one: each has half of its objects, and half of its dangers. Whoever claims them looks first
    /// where the whole one may have been inserted.
    pub async fn split(&self, batch: &Batch, now: UnixMillis) -> Result<(), QueueError> {
        let batch = batch.clone();
        self.store.writer.run(move |session| split(session, &batch, now)).await
    }

    async fn fenced(&self, batch: &Batch, set: &'static str, value: u64) -> Result<(), QueueError> {
        let fence = Fence::of(batch);
        self.store.writer.run(move |session| fence.update(session, set, value)).await
    }
}

/// The right to write to a batch, checked in the transaction that writes.
#[derive(Clone, Copy)]
struct Fence {
    batch_id: Ulid,
    lease_id: Ulid,
}

impl Fence {
    fn of(batch: &Batch) -> Self {
        Self { batch_id: batch.id, lease_id: batch.lease_id }
    }

    fn batch(&self) -> String {
        self.batch_id.to_string()
    }

    fn update(&self, session: &mut dyn Session, set: &str, value: u64) -> Result<(), QueueError> {
        let sql =
            format!("UPDATE batches SET {set} WHERE batch_id = $2 AND lease_id = $3 AND state = 'open'");
        match session.execute(&sql, values![value, self.batch(), self.lease_id.to_string()])? {
            1 => Ok(()),
            _ => Err(QueueError::LeaseLost(self.batch_id)),
        }
    }
}

fn count(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
