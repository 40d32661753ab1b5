//! A consumer: claims, stores, acknowledges, as `origin_consumer::consume` does.

use std::cell::Cell;
use std::collections::{BTreeSet, HashMap};

use origin_consumer::insert::{self, BatchRows, Before, SpanSink, StoreError};
use origin_consumer::queue::{Audited, Batch, Claim, Fault, Finding, QueueError, Setback};
use spillway_proto::{ObjectKey, UnixMillis};
use std::time::Duration;

use super::clickhouse::{Client, SinkError};
use super::world::World;
use crate::objects::{LIMITS, at};

/// Whether later tries look at what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verification {
    On,
    /// Each try trusts its tokens, as if it were the first.
    Off,
}

/// As the consumer has it.
const DEATHS_BEFORE_SPLIT: u32 = 3;
const TRIES: u32 = 1_000_000;

pub async fn consume(world: &World) {
    loop {
        world.step().await;
        let Ok(Claim::Batch(batch)) = world.queue.claim(LIMITS, world.now()).await else {
            world.rest(2_000).await;
            continue;
        };
        world.step().await;
        // A lost lease or a batch that was not stored: it comes again.
        let _ = settle(world, &batch).await;
    }
}

/// Takes objects again that may have been stored already, as a replay does.
pub async fn replay(world: &World) {
    loop {
        world.rest(60_000).await;
        if world.is_quiet() || !world.rules.moves {
            continue;
        }
        let objects = world.some_objects();
        if let Ok(adopted) = world.queue.adopt(objects, LIMITS.lease, world.now()).await {
            world.step().await;
            if let Some(batch) = adopted.batch {
                let _ = settle(world, &batch).await;
            }
        }
    }
}

/// Looks for what was stored once more, as the audit does.
pub async fn audit(world: &World) {
    loop {
        world.rest(20_000).await;
        let until = UnixMillis(world.now().0.saturating_sub(20_000));
        let Ok(due) = world.queue.due_for_audit(until, 5).await else { continue };
        world.step().await;
        let finding = |due: &Audited| {
            let rows = world.server.borrow().rows(&due.object_key);
            // By their number alone: the sums of their hashes are another test's.
            let expected = due.rows.map_or(u64::from(due.object_key.spans()), |(rows, _)| rows);
            match rows.values().map(|times| u64::from(*times)).sum::<u64>() {
                there if there < expected => Finding::Short,
                there if there > expected => Finding::Doubled,
                _ => Finding::Whole,
            }
        };
        let found: Vec<_> = due.into_iter().map(|due| (finding(&due), due.object_key)).collect();
        if found.is_empty() {
            continue;
        }
        world.found(&found);
        let found = found.into_iter().map(|(finding, key)| (key, finding)).collect();
        world.step().await;
        let _ = world.queue.note_audit(found, until, Duration::from_secs(60), world.now()).await;
    }
}

async fn settle(world: &World, batch: &Batch) -> Result<(), QueueError> {
    world.tell(|| format!("has {}", in_short(batch)));
    let settled = bring_home(world, batch).await;
    world.tell(|| format!("is done with {}: {settled:?}", batch.id));
    settled
}

fn in_short(batch: &Batch) -> String {
    let Batch { id, inserts, look_first, abandoned, .. } = batch;
    let objects: Vec<_> =
        batch.objects.iter().map(|object| object.notification.object_key.file_name()).collect();
    format!("{id}, inserts {inserts}, look first {look_first}, abandoned {abandoned}: {}", objects.join(" "))
}

async fn bring_home(world: &World, batch: &Batch) -> Result<(), QueueError> {
    if world.rules.moves && batch.abandoned >= DEATHS_BEFORE_SPLIT && batch.objects.len() > 1 {
        return world.queue.split(batch, world.now()).await;
    }
    let client =
        Client { world, batch, try_no: world.chance.below(u64::MAX), lease: Cell::new(world.now().0) };
    if batch.abandoned > 0 {
        world.queue.begin_alone(batch).await?;
    }
    // d, e
    let setbacks = world.away(batch);
    if !setbacks.is_empty() {
        return spare(&client, setbacks).await;
    }
    let Ok(elsewhere) = elsewhere(&client).await else { return Ok(()) };
    let mut setbacks = Vec::new();
    let mut objects = Vec::new();
    for object in &batch.objects {
        let key = &object.notification.object_key;
        let (of_others, holder) = elsewhere.get(key).cloned().unwrap_or_default();
        let spans: BTreeSet<_> = world.valid(key).difference(&of_others).copied().collect();
        match holder.filter(|_| spans.is_empty()) {
            Some(of) => setbacks.push(Setback {
                object_key: key.clone(),
                fault: Fault::Resend { of },
                reason: "a resend".to_owned(),
            }),
            None => objects.push((key.clone(), spans)),
        }
    }
    if !setbacks.is_empty() {
        return spare(&client, setbacks).await;
    }
    let rows = world.rows_of(batch.id, objects);
    world.step().await;
    // f
    let asked = world.now();
    world.queue.begin_insert(batch, world.after_lease(asked)).await?;
    client.lease.set(asked.0);
    world.tell(|| format!("begins to insert {}", batch.id));
    let stored = store(&client, &rows).await;
    world.tell(|| format!("has inserted {}: {stored:?}", batch.id));
    // g
    match stored {
        Ok(()) => world.queue.ack_rows(batch, rows.unusual(), world.now()).await,
        Err(StoreError::Sink(SinkError::LeaseLost)) => Ok(()),
        Err(StoreError::Sink(SinkError::Refused)) if batch.objects.len() > 1 => {
            world.queue.split(batch, world.now()).await
        }
        Err(StoreError::Sink(SinkError::Refused)) => {
            let object_key = batch.objects[0].notification.object_key.clone();
            let setback = Setback { object_key, fault: Fault::Poison, reason: "refused".to_owned() };
            world.queue.set_back(batch, vec![setback], TRIES, world.now()).await.map(drop)
        }
        Err(error) => {
            let retry_at = UnixMillis(world.now().0 + 500);
            world.queue.release(batch, retry_at, error.to_string()).await
        }
    }
}

/// The positions of each object's spans that others hold, and one of those, as `origin_consumer::consume::resends` tells them.
async fn elsewhere(
    client: &Client<'_>,
) -> Result<HashMap<ObjectKey, (BTreeSet<u32>, Option<ObjectKey>)>, SinkError> {
    let Client { world, batch, .. } = client;
    if batch.look_first {
        client.await_inserts().await?;
    }
    let mut elsewhere = HashMap::new();
    for object in &batch.objects {
        let key = &object.notification.object_key;
        let (mut of_others, mut holder) = (BTreeSet::new(), None);
        for other in object.predecessors.iter().filter(|_| world.rules.leaves) {
            of_others.extend(world.valid(other));
            holder = Some(other.clone());
        }
        if batch.look_first {
            for other in world.others(key) {
                let rows = client.row_numbers(other).await?;
                if !rows.is_empty() {
                    of_others.extend(rows);
                    holder = Some(other.clone());
                }
            }
            for row in client.row_numbers(key).await? {
                of_others.remove(&row);
            }
        }
        elsewhere.insert(key.clone(), (of_others, holder));
    }
    Ok(elsewhere)
}

async fn store(client: &Client<'_>, rows: &BatchRows) -> Result<(), StoreError<SinkError>> {
    client.step().await?;
    let before = match client.world.rules.verification {
        Verification::On => Before { inserts: client.batch.inserts, look_first: client.batch.look_first },
        Verification::Off => Before { inserts: 0, look_first: false },
    };
    insert::store(client, rows, before).await?;
    Ok(client.step().await?)
}

/// Those that cannot be had leave the batch, unless an earlier try has stored them whole.
async fn spare(client: &Client<'_>, mut setbacks: Vec<Setback>) -> Result<(), QueueError> {
    let (world, batch) = (client.world, client.batch);
    if batch.inserts > 0 || batch.look_first {
        let keys: Vec<_> = setbacks.iter().map(|setback| setback.object_key.clone()).collect();
        let Ok(complete) = insert::complete(client, &keys).await else { return Ok(()) };
        setbacks.retain(|setback| !complete.contains(&setback.object_key));
    }
    if setbacks.is_empty() {
        return world.queue.release(batch, at(0), "away".to_owned()).await;
    }
    world.queue.set_back(batch, setbacks, TRIES, world.now()).await.map(drop)
}
