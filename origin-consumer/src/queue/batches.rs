//! Batches: manifests under a lease.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use spillway_proto::notification::Notification;
use spillway_proto::{ObjectKey, UnixMillis};
use ulid::Ulid;

use super::dead::{bury, holds_its_request};
use super::intake::{Arrival, Rules, Source, as_json, enqueue};
use super::lease::Lease;
use super::session::{Session, Value, in_powers, placeholders, values};
use super::{Queue, QueueError, too_far};
use crate::time::{after, backoff};

/// Tenants that share a batch at most.
const TENANTS: u64 = 64;
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
}

/// Whose fault it is that an object was not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Its own, as it seems: after some tries it is dead.
    Poison,
    /// Its own, and no try will change that.
    Fatal,
    /// Of something between: it is tried again later.
    Passing,
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
    /// tenant its share. Live ones come before replayed ones.
    pub async fn claim(&self, limits: ClaimLimits, now: UnixMillis) -> Result<Option<Batch>, QueueError> {
        let claim = move |session: &mut dyn Session| {
            for priority in PRIORITIES {
                if let Some(batch) = reclaim(session, priority, limits, now)? {
                    return Ok(Some(batch));
                }
                if let Some(batch) = form(session, priority, limits, now)? {
                    return Ok(Some(batch));
                }
            }
            Ok(None)
        };
        self.store.writer.run(claim).await
    }

    /// Takes a batch whose lease has run out, if there is one.
    pub async fn reclaim(&self, limits: ClaimLimits, now: UnixMillis) -> Result<Option<Batch>, QueueError> {
        let claim = move |session: &mut dyn Session| {
            for priority in PRIORITIES {
                if let Some(batch) = reclaim(session, priority, limits, now)? {
                    return Ok(Some(batch));
                }
            }
            Ok(None)
        };
        self.store.writer.run(claim).await
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

    /// Acknowledges the batch: its rows are in ClickHouse.
    pub async fn ack(&self, batch: &Batch, now: UnixMillis) -> Result<(), QueueError> {
        let fence = Fence::of(batch);
        self.store
            .writer
            .run(move |session| {
                fence.update(session, "state = 'stored', ended_at_ms = $1", now.0)?;
                let sql = "UPDATE objects SET state = 'stored', ended_at_ms = $1, reason = NULL, failures = 0
                           WHERE batch_id = $2";
                session.execute(sql, values![now.0, fence.batch()]).map(drop)
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
                        true => spared.dead += 1,
                        false => spared.later += 1,
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

/// What was done with a batch. Not what whoever claimed it knows: that is from before this try.
#[derive(Clone, Copy)]
struct Past {
    priority: u64,
    inserts: u64,
    look_first: bool,
}

impl Past {
    /// Whether rows of its objects may be in ClickHouse.
    fn may_be_there(self) -> bool {
        self.look_first || self.inserts > 0
    }
}

fn past(session: &mut dyn Session, fence: &Fence) -> Result<Past, QueueError> {
    let sql = "SELECT priority, inserts, look_first FROM batches WHERE batch_id = $1";
    let row = session.query_one(sql, values![fence.batch()])?.ok_or(QueueError::LeaseLost(fence.batch_id))?;
    Ok(Past { priority: row.number(0)?, inserts: row.number(1)?, look_first: row.number(2)? == 1 })
}

fn reclaim(
    session: &mut dyn Session,
    priority: u64,
    limits: ClaimLimits,
    now: UnixMillis,
) -> Result<Option<Batch>, QueueError> {
    let sql = format!(
        "SELECT batch_id, look_first, inserts, failures, abandoned, given_back FROM batches
         WHERE state = 'open' AND priority = $1 AND (leased_until_ms <= $2 OR leased_until_ms > $3)
         ORDER BY leased_until_ms LIMIT 1{}",
        session.skip_locked()
    );
    let far = too_far(now).0;
    let Some(row) = session.query_one(&sql, values![priority, now.0, far])? else { return Ok(None) };
    let (id, lease_id): (Ulid, _) = (row.parsed(0)?, Ulid::generate());
    let was_given_back = row.number(5)? == 1;
    let abandoned = count(row.number(4)?) + u32::from(!was_given_back);
    let sql = "UPDATE batches SET lease_id = $1, leased_until_ms = $2, given_back = $3, abandoned = $4
               WHERE batch_id = $5";
    let leased_until = after(now, limits.lease);
    // Of one that is under suspicion, nothing counts before its turn: see `begin_alone`.
    let waits = abandoned > 0;
    session.execute(sql, values![lease_id.to_string(), leased_until.0, waits, abandoned, id.to_string()])?;
    Ok(Some(Batch {
        id,
        lease_id,
        lease: Lease::new(id, leased_until),
        objects: objects_of(session, id)?,
        look_first: row.number(1)? == 1,
        inserts: count(row.number(2)?),
        failures: count(row.number(3)?),
        abandoned,
    }))
}

/// An object that waits.
struct Waiting {
    object_key: String,
    spans: u64,
    bytes: u64,
    look_first: bool,
}

fn form(
    session: &mut dyn Session,
    priority: u64,
    limits: ClaimLimits,
    now: UnixMillis,
) -> Result<Option<Batch>, QueueError> {
    let tenants = tenants_that_wait(session, priority)?;
    let waiting = waiting_of(session, &tenants, priority, limits, now)?;
    let (mut keys, mut spans, mut bytes, mut look_first) = (Vec::new(), 0u64, 0u64, false);
    for object in waiting {
        spans = spans.saturating_add(object.spans);
        bytes = bytes.saturating_add(object.bytes);
        if !keys.is_empty() && (spans > limits.spans || bytes > limits.bytes) {
            break;
        }
        look_first |= object.look_first;
        keys.push(object.object_key);
    }
    if keys.is_empty() {
        return Ok(None);
    }
    let new = NewBatch { priority, look_first, abandoned: 0, lease: Some(limits.lease) };
    open(session, &keys, new, now).map(Some)
}

/// In turn: which tenants come first depends on the time, so that more of them than share a batch all have their turn.
fn tenants_that_wait(session: &mut dyn Session, priority: u64) -> Result<Vec<String>, QueueError> {
    // From one tenant to the next by the index; a DISTINCT would read all that wait.
    let sql = "WITH RECURSIVE tenants (tenant) AS (
                   SELECT min(tenant) FROM objects WHERE state = 'pending' AND priority = $1
                   UNION ALL
                   SELECT (SELECT min(o.tenant) FROM objects o
                           WHERE o.state = 'pending' AND o.priority = $1 AND o.tenant > tenants.tenant)
                   FROM tenants WHERE tenants.tenant IS NOT NULL
               )
               SELECT tenant FROM tenants WHERE tenant IS NOT NULL";
    let rows = session.query(sql, values![priority])?;
    let mut tenants =
        rows.iter().map(|row| Ok(row.text(0)?.to_owned())).collect::<Result<Vec<_>, QueueError>>()?;
    if tenants.len() as u64 > TENANTS {
        let turn = Ulid::generate().random() % tenants.len() as u128;
        tenants.rotate_left(usize::try_from(turn).unwrap_or_default());
        tenants.truncate(usize::try_from(TENANTS).unwrap_or(usize::MAX));
    }
    Ok(tenants)
}

/// The objects that have waited the longest, one of each tenant after the other. What one tenant leaves of its share, others
/// may take.
fn waiting_of(
    session: &mut dyn Session,
    tenants: &[String],
    priority: u64,
    limits: ClaimLimits,
    now: UnixMillis,
) -> Result<Vec<Waiting>, QueueError> {
    if tenants.is_empty() {
        return Ok(Vec::new());
    }
    let most = u64::from(limits.objects);
    let share = most.div_ceil(tenants.len() as u64);
    let mut of_tenants = Vec::with_capacity(tenants.len());
    for tenant in tenants {
        of_tenants.push(oldest_of(session, tenant, priority, share, now)?);
    }
    let taken: u64 = of_tenants.iter().map(|waiting| waiting.len() as u64).sum();
    let mut left = most.saturating_sub(taken);
    for (tenant, waiting) in tenants.iter().zip(&mut of_tenants) {
        if left > 0 && waiting.len() as u64 == share && share < most {
            *waiting = oldest_of(session, tenant, priority, share + left, now)?;
            left = left.saturating_sub(waiting.len() as u64 - share);
        }
    }
    let mut of_tenants: Vec<_> = of_tenants.into_iter().map(Vec::into_iter).collect();
    let mut in_turn = Vec::new();
    loop {
        let before = in_turn.len();
        in_turn.extend(of_tenants.iter_mut().filter_map(Iterator::next));
        if in_turn.len() == before {
            in_turn.truncate(limits.objects as usize);
            return Ok(in_turn);
        }
    }
}

fn oldest_of(
    session: &mut dyn Session,
    tenant: &str,
    priority: u64,
    most: u64,
    now: UnixMillis,
) -> Result<Vec<Waiting>, QueueError> {
    let sql = format!(
        "SELECT object_key, spans, payload_bytes, look_first FROM objects
         WHERE state = 'pending' AND priority = $1 AND tenant = $2 AND (not_before_ms <= $3 OR not_before_ms > $4)
         ORDER BY enqueued_at_ms LIMIT $5{}",
        session.skip_locked()
    );
    let rows = session.query(&sql, values![priority, tenant, now.0, too_far(now).0, most])?;
    let waiting = rows.iter().map(|row| {
        Ok(Waiting {
            object_key: row.text(0)?.to_owned(),
            spans: row.number(1)?,
            bytes: row.number(2)?,
            look_first: row.number(3)? == 1,
        })
    });
    waiting.collect()
}

/// What a batch begins with.
#[derive(Clone, Copy)]
struct NewBatch {
    priority: u64,
    look_first: bool,
    abandoned: u32,
    /// Whoever wants it may have it, where there is none.
    lease: Option<Duration>,
}

/// Makes a batch of objects that are in none.
fn open(
    session: &mut dyn Session,
    keys: &[String],
    new: NewBatch,
    now: UnixMillis,
) -> Result<Batch, QueueError> {
    let (id, lease_id) = (Ulid::generate(), Ulid::generate());
    let leased_until = new.lease.map_or(now, |lease| after(now, lease));
    session.execute(
        "INSERT INTO batches (batch_id, state, priority, lease_id, leased_until_ms, given_back, look_first, abandoned)
         VALUES ($1, 'open', $2, $3, $4, $5, $6, $7)",
        values![
            id.to_string(),
            new.priority,
            lease_id.to_string(),
            leased_until.0,
            new.lease.is_none(),
            new.look_first,
            new.abandoned
        ],
    )?;
    for keys in in_powers(keys) {
        let mut values = vec![Value::from(id.to_string())];
        values.extend(keys.iter().map(|key| Value::from(key.as_str())));
        let list = placeholders(2, keys.len());
        let sql = format!("UPDATE objects SET state = 'batched', batch_id = $1 WHERE object_key IN {list}");
        session.execute(&sql, &values)?;
    }
    let objects = objects_of(session, id)?;
    let NewBatch { look_first, abandoned, .. } = new;
    let lease = Lease::new(id, leased_until);
    Ok(Batch { id, lease_id, lease, objects, look_first, inserts: 0, failures: 0, abandoned })
}

fn objects_of(session: &mut dyn Session, batch: Ulid) -> Result<Vec<Claimed>, QueueError> {
    let sql =
        "SELECT notification, enqueued_at_ms, failures FROM objects WHERE batch_id = $1 ORDER BY object_key";
    let rows = session.query(sql, values![batch.to_string()])?;
    let claimed = rows.iter().map(|row| {
        Ok(Claimed {
            notification: serde_json::from_str(row.text(0)?)
                .map_err(|error| QueueError::Unreadable(error.to_string()))?,
            enqueued_at: UnixMillis(row.number(1)?),
            failures: count(row.number(2)?),
        })
    });
    claimed.collect()
}

/// Returns whether the object is dead.
fn set_back(
    session: &mut dyn Session,
    fence: &Fence,
    setback: &Setback,
    tries: u32,
    past: Past,
    now: UnixMillis,
) -> Result<bool, QueueError> {
    let key = setback.object_key.to_string();
    let sql = "SELECT failures FROM objects WHERE object_key = $1 AND batch_id = $2";
    let Some(row) = session.query_one(sql, values![key.as_str(), fence.batch()])? else { return Ok(false) };
    let failures = count(row.number(0)?) + u32::from(setback.fault != Fault::Passing);
    let is_dead = match setback.fault {
        Fault::Fatal => true,
        Fault::Poison => failures >= tries,
        Fault::Passing => false,
    };
    if is_dead {
        bury(session, &setback.object_key, &setback.reason, now)?;
    } else {
        let retry_at = after(now, backoff(failures));
        session.execute(
            "UPDATE objects SET state = 'pending', batch_id = NULL, failures = $1, not_before_ms = $2, reason = $3,
             look_first = CASE WHEN CAST($4 AS BIGINT) = 1 THEN 1 ELSE look_first END WHERE object_key = $5",
            values![failures, retry_at.0, setback.reason.as_str(), past.may_be_there(), key],
        )?;
    }
    Ok(is_dead)
}

fn delete_if_empty(session: &mut dyn Session, fence: &Fence) -> Result<(), QueueError> {
    let sql = "DELETE FROM batches WHERE batch_id = $1
               AND NOT EXISTS (SELECT 1 FROM objects WHERE objects.batch_id = batches.batch_id)";
    session.execute(sql, values![fence.batch()]).map(drop)
}

fn split(session: &mut dyn Session, batch: &Batch, now: UnixMillis) -> Result<(), QueueError> {
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

fn adopt(
    session: &mut dyn Session,
    arrivals: &[Arrival],
    rules: Rules,
    lease: Duration,
    now: UnixMillis,
) -> Result<Adopted, QueueError> {
    enqueue(session, arrivals, rules)?;
    let by_key: BTreeMap<String, &Arrival> =
        arrivals.iter().map(|arrival| (arrival.notification.object_key.to_string(), arrival)).collect();
    let states = states_of(session, by_key.keys())?;
    let (mut adopted, mut keys) = (Adopted::default(), Vec::new());
    for (key, arrival) in by_key {
        let object_key = &arrival.notification.object_key;
        match states.get(&key).map(String::as_str) {
            // Locked by somebody, or in a batch of somebody.
            None | Some("batched") => adopted.in_hand.push(object_key.clone()),
            Some("duplicate") => adopted.duplicates.push(object_key.clone()),
            Some("dead" | "discarded" | "expired") if !holds_its_request(session, object_key)? => {
                adopted.duplicates.push(object_key.clone());
            }
            Some(_) => {
                // A ledger keeps less of what has long been stored; and should it be set back, whoever takes it next must
                // look as well.
                let sql =
                    "UPDATE objects SET notification = $1, failures = 0, reason = NULL, ended_at_ms = NULL,
                           look_first = 1 WHERE object_key = $2";
                session.execute(sql, values![as_json(&arrival.notification)?, key.as_str()])?;
                keys.push(key);
            }
        }
    }
    if !keys.is_empty() {
        let priority = Source::Replayed.priority();
        let new = NewBatch { priority, look_first: true, abandoned: 0, lease: Some(lease) };
        adopted.batch = Some(open(session, &keys, new, now)?);
    }
    Ok(adopted)
}

/// The states of those that nobody else is changing.
fn states_of<'k>(
    session: &mut dyn Session,
    keys: impl Iterator<Item = &'k String>,
) -> Result<HashMap<String, String>, QueueError> {
    let keys: Vec<_> = keys.collect::<HashSet<_>>().into_iter().collect();
    let mut states = HashMap::new();
    for keys in in_powers(&keys) {
        let list = placeholders(1, keys.len());
        let sql = format!(
            "SELECT object_key, state FROM objects WHERE object_key IN {list}{}",
            session.skip_locked()
        );
        let values: Vec<Value> = keys.iter().map(|key| key.as_str().into()).collect();
        for row in session.query(&sql, &values)? {
            states.insert(row.text(0)?.to_owned(), row.text(1)?.to_owned());
        }
    }
    Ok(states)
}

fn count(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::samples::notification;

    const LIMITS: ClaimLimits =
        ClaimLimits { objects: 100, spans: 1_000, bytes: 1 << 20, lease: Duration::from_secs(30) };
    const NOW: UnixMillis = UnixMillis(1_795_200_000_000);
    const LATER: UnixMillis = UnixMillis(NOW.0 + 3_600_000);

    async fn claimed(objects: u64) -> (Queue, Batch) {
        let queue = Queue::in_memory(0).await.unwrap();
        for n in 0..objects {
            // Received after the ledger was made: nobody else can have stored it.
            let future = crate::time::now().0;
            queue.enqueue(notification("acme", future + n, 1), NOW).await.unwrap();
        }
        let batch = queue.claim(LIMITS, NOW).await.unwrap().unwrap();
        assert!(!batch.look_first);
        (queue, batch)
    }

    fn setback(batch: &Batch) -> Vec<Setback> {
        let object_key = batch.objects[0].notification.object_key.clone();
        vec![Setback { object_key, fault: Fault::Poison, reason: "bad".to_owned() }]
    }

    #[tokio::test]
    async fn an_object_that_was_replayed_and_set_back_is_looked_for() {
        let (queue, batch) = claimed(2).await;
        queue.ack(&batch, NOW).await.unwrap();
        let objects = batch.objects.iter().map(|object| object.notification.clone()).collect();
        let adopted = queue.adopt(objects, LIMITS.lease, NOW).await.unwrap().batch.unwrap();
        queue.set_back(&adopted, setback(&adopted), 5, NOW).await.unwrap();
        // First the one beside it, then itself.
        for at in [NOW, LATER] {
            let again = queue.claim(LIMITS, at).await.unwrap().unwrap();
            assert_eq!(again.objects.len(), 1);
            assert!(again.look_first);
        }
    }

    #[tokio::test]
    async fn the_halves_of_a_batch_whose_first_insert_was_refused_are_looked_for() {
        let (queue, batch) = claimed(4).await;
        queue.begin_insert(&batch, LATER).await.unwrap();
        queue.split(&batch, NOW).await.unwrap();
        for _ in 0..2 {
            let half = queue.claim(LIMITS, NOW).await.unwrap().unwrap();
            assert!(half.look_first);
            // Nothing of the halves themselves has begun, so all of them waits again.
            queue.set_back(&half, setback(&half), 5, NOW).await.unwrap();
        }
        for at in [NOW, LATER] {
            let again = queue.claim(LIMITS, at).await.unwrap().unwrap();
            assert_eq!(again.objects.len(), 2);
            assert!(again.look_first);
        }
    }

    #[tokio::test]
    async fn an_object_whose_first_insert_was_refused_is_looked_for() {
        let (queue, batch) = claimed(1).await;
        queue.begin_insert(&batch, LATER).await.unwrap();
        queue.set_back(&batch, setback(&batch), 5, NOW).await.unwrap();
        assert!(queue.claim(LIMITS, LATER).await.unwrap().unwrap().look_first);
    }
}
