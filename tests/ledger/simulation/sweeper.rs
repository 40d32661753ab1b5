//! What brings objects to the ledger: notifications that are lost or come twice, and sweepers, as `origin_consumer::sweep`
//! has them.

use std::collections::HashMap;
use std::time::Duration;

use origin_consumer::queue::{Listed, QueueError, SweepMinute};
use spillway_proto::UnixMillis;
use spillway_proto::notification::Notification;

use super::world::World;
use crate::objects::{LEASE, MINUTE};

const PASSES: [Duration; 2] = [Duration::from_secs(60), Duration::from_secs(180)];

/// Tells of objects when it likes to; of some never.
pub async fn notify(world: &World) {
    loop {
        world.rest(2_000).await;
        if let Some(object) = world.next_notification() {
            // Not confirmed: the edge sends it again, or does not.
            let _ = world.queue.enqueue(object, world.now()).await;
        }
    }
}

pub async fn sweep(world: &World) {
    loop {
        world.step().await;
        let _ = world.queue.open_minutes(world.now(), Duration::from_secs(300), PASSES[0]).await;
        world.step().await;
        if let Ok(Some(minute)) = world.queue.claim_minute(world.now(), LEASE).await {
            world.step().await;
            let _ = pass(world, &minute).await;
        } else {
            world.rest(10_000).await;
        }
    }
}

async fn pass(world: &World, minute: &SweepMinute) -> Result<(), QueueError> {
    let end = UnixMillis(minute.minute.0 + MINUTE.as_millis() as u64);
    let listed = world.listing(minute.minute, end);
    world.step().await;
    let keys = listed.iter().map(|object| object.object_key.clone()).collect();
    let known = world.queue.tenants_of(keys).await?;
    world.step().await;
    let unknown = listed.iter().filter(|object| !known.contains_key(&object.object_key)).cloned();
    world.queue.sweep_in(unknown.collect(), world.now()).await?;
    world.step().await;
    world.queue.note_listing(minute.minute, by_tenant(&listed), world.now()).await?;
    world.step().await;
    let next =
        PASSES.get(minute.passes_done as usize + 1).map(|pass| UnixMillis(end.0 + pass.as_millis() as u64));
    world.queue.finish_minute(minute, next).await.map(drop)
}

fn by_tenant(listed: &[Notification]) -> HashMap<String, Listed> {
    let mut by_tenant: HashMap<String, Listed> = HashMap::new();
    for object in listed {
        let listed = by_tenant.entry(object.tenant.to_string()).or_default();
        listed.objects += 1;
        listed.spans += u64::from(object.object_key.spans());
    }
    by_tenant
}
