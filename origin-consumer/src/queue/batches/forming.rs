//! Which batch comes next: one whose lease has run out, or a new one of what waits, if that is ripe.

use std::time::Duration;

use spillway_proto::UnixMillis;
use ulid::Ulid;

use super::ripe::{Ripeness, waiting};
use super::{Batch, Claim, ClaimLimits, Claimed, count};
use crate::queue::lease::Lease;
use crate::queue::resends::predecessors;
use crate::queue::session::{Session, Value, in_powers, notification, placeholders, values};
use crate::queue::{QueueError, too_far};
use crate::time::after;

/// Tenants that share a batch at most.
const TENANTS: usize = 64;
/// Where so many objects do not fill a batch, so many times as many are looked at.
const MORE: u64 = 4;

/// Takes the batch whose lease ran out first.
pub(super) fn reclaim(
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
struct Candidate {
    object_key: String,
    spans: u64,
    bytes: u64,
    look_first: bool,
}

/// Makes a batch of what has waited the longest, if that is ripe.
pub(super) fn form(
    session: &mut dyn Session,
    priority: u64,
    limits: ClaimLimits,
    now: UnixMillis,
) -> Result<Claim, QueueError> {
    let candidates = match waiting(session, priority, limits, now)?.ripeness(limits, now) {
        Ripeness::Nothing => return Ok(Claim::Nothing),
        Ripeness::Unripe(until) => return Ok(Claim::Unripe(until)),
        Ripeness::Due => oldest(session, None, priority, limits.objects.into(), now)?,
        Ripeness::Full(enough) => {
            let tenants = tenants_that_wait(session, priority)?;
            shares_that_fill(session, &tenants, priority, limits, enough, now)?
        }
    };
    let (mut keys, mut spans, mut bytes, mut look_first) = (Vec::new(), 0u64, 0u64, false);
    for object in candidates {
        spans = spans.saturating_add(object.spans);
        bytes = bytes.saturating_add(object.bytes);
        if !keys.is_empty() && (spans > limits.spans || bytes > limits.bytes) {
            break;
        }
        look_first |= object.look_first;
        keys.push(object.object_key);
    }
    if keys.is_empty() {
        return Ok(Claim::Nothing);
    }
    let new = NewBatch { priority, look_first, abandoned: 0, lease: Some(limits.lease) };
    open(session, &keys, new, now).map(Claim::Batch)
}

/// In turn: which of them comes first is up to chance, so that those whose objects a batch has no room for all have their turn.
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
    let turn = Ulid::generate().random() % tenants.len().max(1) as u128;
    tenants.rotate_left(usize::try_from(turn).unwrap_or_default());
    tenants.truncate(TENANTS);
    Ok(tenants)
}

/// The shares that fill a batch, which `enough` objects do if those of all tenants are like those that were counted. If not, more
/// are taken.
fn shares_that_fill(
    session: &mut dyn Session,
    tenants: &[String],
    priority: u64,
    limits: ClaimLimits,
    enough: u64,
    now: UnixMillis,
) -> Result<Vec<Candidate>, QueueError> {
    let mut most = enough.min(limits.objects.into());
    loop {
        let shares = shares_of(session, tenants, priority, most, now)?;
        let spans = shares.iter().fold(0, |spans: u64, object| spans.saturating_add(object.spans));
        let bytes = shares.iter().fold(0, |bytes: u64, object| bytes.saturating_add(object.bytes));
        let is_full = spans >= limits.spans || bytes >= limits.bytes || most >= limits.objects.into();
        if is_full || (shares.len() as u64) < most {
            return Ok(shares);
        }
        most = most.saturating_mul(MORE).min(limits.objects.into());
    }
}

/// The objects that have waited the longest, one of each tenant after the other. What one tenant leaves of its share, others
/// may take.
fn shares_of(
    session: &mut dyn Session,
    tenants: &[String],
    priority: u64,
    most: u64,
    now: UnixMillis,
) -> Result<Vec<Candidate>, QueueError> {
    if tenants.is_empty() {
        return Ok(Vec::new());
    }
    let share = most.div_ceil(tenants.len() as u64);
    let mut of_tenants = Vec::with_capacity(tenants.len());
    for tenant in tenants {
        of_tenants.push(oldest(session, Some(tenant), priority, share, now)?);
    }
    let taken: u64 = of_tenants.iter().map(|candidates| candidates.len() as u64).sum();
    let mut left = most.saturating_sub(taken);
    for (tenant, candidates) in tenants.iter().zip(&mut of_tenants) {
        if left > 0 && candidates.len() as u64 == share && share < most {
            *candidates = oldest(session, Some(tenant), priority, share + left, now)?;
            left = left.saturating_sub(candidates.len() as u64 - share);
        }
    }
    let mut of_tenants: Vec<_> = of_tenants.into_iter().map(Vec::into_iter).collect();
    let mut in_turn = Vec::new();
    loop {
        let before = in_turn.len();
        in_turn.extend(of_tenants.iter_mut().filter_map(Iterator::next));
        if in_turn.len() == before {
            in_turn.truncate(usize::try_from(most).unwrap_or(usize::MAX));
            return Ok(in_turn);
        }
    }
}

/// Those of a tenant, or of all, that have waited the longest.
fn oldest(
    session: &mut dyn Session,
    tenant: Option<&str>,
    priority: u64,
    most: u64,
    now: UnixMillis,
) -> Result<Vec<Candidate>, QueueError> {
    let mut values = values![priority, now.0, too_far(now).0].to_vec();
    values.extend(tenant.map(Value::from));
    let of_tenant = if tenant.is_some() { "AND tenant = $4" } else { "" };
    values.push(most.into());
    let sql = format!(
        "SELECT object_key, spans, payload_bytes, look_first FROM objects
         WHERE state = 'pending' AND priority = $1 AND (not_before_ms <= $2 OR not_before_ms > $3) {of_tenant}
         ORDER BY tenant, enqueued_at_ms LIMIT ${}{}",
        values.len(),
        session.skip_locked()
    );
    let rows = session.query(&sql, &values)?;
    let candidates = rows.iter().map(|row| {
        Ok(Candidate {
            object_key: row.text(0)?.to_owned(),
            spans: row.number(1)?,
            bytes: row.number(2)?,
            look_first: row.number(3)? == 1,
        })
    });
    candidates.collect()
}

/// What a batch begins with.
#[derive(Clone, Copy)]
pub(super) struct NewBatch {
    pub(super) priority: u64,
    pub(super) look_first: bool,
    pub(super) abandoned: u32,
    /// Whoever wants it may have it, where there is none.
    pub(super) lease: Option<Duration>,
}

/// Makes a batch of objects that are in none.
pub(super) fn open(
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
        "SELECT notification, enqueued_at_ms, failures, resend_of, resend_no FROM objects WHERE batch_id = $1
               ORDER BY object_key";
    let rows = session.query(sql, values![batch.to_string()])?;
    let claimed = rows.iter().map(|row| {
        let notification = notification(row, 0)?;
        let predecessors = match (row.optional_text(3)?, row.optional_number(4)?) {
            (Some(root), Some(place)) => predecessors(session, root, place)?,
            _ => Vec::new(),
        };
        Ok(Claimed {
            notification,
            enqueued_at: UnixMillis(row.number(1)?),
            failures: count(row.number(2)?),
            predecessors,
        })
    });
    claimed.collect()
}
