//! A database server that dies under load.

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use futures_util::future::try_join_all;
use local_stack::postgres::Postgres;
use origin_consumer::queue::{Claim, Queue, QueueConfig};
use spillway_proto::{ObjectKey, UnixMillis};
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

use crate::objects::{LIMITS, NOW, at, object};

const KILLS: usize = 3;
const PATIENCE: Duration = Duration::from_secs(60);

/// What the callers were told.
#[derive(Default)]
struct Told {
    enqueued: Mutex<HashSet<ObjectKey>>,
    acknowledged: Mutex<HashSet<ObjectKey>>,
    refused: std::sync::atomic::AtomicUsize,
    stop: AtomicBool,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_was_acknowledged_is_lost_when_postgresql_is_killed() -> Result<()> {
    let folder = TempDir::with_prefix("spillway-test-")?;
    let mut postgres = Postgres::start(folder.path()).await?;
    let config = QueueConfig { url: postgres.url().into(), ..QueueConfig::default() };
    let (queue, other) = (Queue::open(&config).await?, Queue::open(&config).await?);
    let told = Told::default();
    let enqueuers = (0..8).map(|n| enqueue(&queue, n, &told));
    let workers = (0..3).map(|n| work(if n == 0 { &queue } else { &other }, &told));
    let kills = async {
        for _ in 0..KILLS {
            sleep(Duration::from_millis(700)).await;
            postgres.process().kill().await?;
            sleep(Duration::from_millis(300)).await;
            let before = told.enqueued.lock().unwrap().len();
            postgres.restart().await?;
            let goes_on = async {
                while told.enqueued.lock().unwrap().len() < before + 50 {
                    sleep(Duration::from_millis(20)).await;
                }
            };
            timeout(PATIENCE, goes_on).await.context("the queue does not connect again")?;
        }
        told.stop.store(true, Ordering::Relaxed);
        anyhow::Ok(())
    };
    tokio::try_join!(kills, try_join_all(enqueuers), try_join_all(workers))?;
    assert!(told.refused.load(Ordering::Relaxed) > 0, "the kills were felt");

    let fresh = Queue::open(&config).await?;
    let enqueued = told.enqueued.into_inner()?;
    let known = fresh.tenants_of(enqueued.iter().cloned().collect()).await?;
    assert_eq!(known.len(), enqueued.len(), "objects were acknowledged and are gone");
    let acknowledged = told.acknowledged.into_inner()?;
    // Whatever was not acknowledged comes again; of the others none does.
    while let Some(batch) = fresh.claim(LIMITS, at(10_000_000)).await?.batch() {
        for object in &batch.objects {
            let key = &object.notification.object_key;
            assert!(!acknowledged.contains(key), "{key} was acknowledged and comes again");
        }
        fresh.ack(&batch, at(10_000_000)).await?;
    }
    let stored = fresh.minutes(UnixMillis(0), at(60_000)).await?;
    let stored: u64 = stored.values().map(|counts| counts.stored).sum();
    assert!(stored >= enqueued.len() as u64);
    Ok(())
}

async fn enqueue(queue: &Queue, caller: usize, told: &Told) -> Result<()> {
    for n in 0.. {
        if told.stop.load(Ordering::Relaxed) {
            break;
        }
        let object = object(&format!("{caller} {n}"));
        match queue.enqueue(object.clone(), NOW).await {
            Ok(_) => drop(told.enqueued.lock().unwrap().insert(object.object_key)),
            Err(_) => {
                told.refused.fetch_add(1, Ordering::Relaxed);
                sleep(Duration::from_millis(20)).await;
            }
        }
    }
    Ok(())
}

async fn work(queue: &Queue, told: &Told) -> Result<()> {
    while !told.stop.load(Ordering::Relaxed) {
        let Ok(Claim::Batch(batch)) = queue.claim(LIMITS, NOW).await else {
            sleep(Duration::from_millis(20)).await;
            continue;
        };
        if queue.ack(&batch, NOW).await.is_ok() {
            let keys = batch.objects.iter().map(|object| object.notification.object_key.clone());
            told.acknowledged.lock().unwrap().extend(keys);
        }
    }
    Ok(())
}
