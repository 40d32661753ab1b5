//! The rounds.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use futures_util::future::try_join_all;
use local_stack::postgres::Postgres;
use origin_consumer::queue::{ClaimLimits, Enqueued, Queue, QueueConfig};
use serde::Serialize;
use spillway_bench::cpu;
use spillway_proto::UnixMillis;
use spillway_proto::notification::Notification;
use tempfile::TempDir;
use ulid::Ulid;

use crate::objects::make;

/// How much is measured.
#[derive(Serialize)]
pub struct Plan {
    pub rounds: usize,
    pub objects: usize,
    pub callers: usize,
    pub workers: usize,
    pub batch: u32,
    pub tenants: usize,
}

/// What was measured in each round.
#[derive(Serialize)]
pub struct StoreResult {
    pub store: String,
    pub enqueued: Figures,
    pub acknowledged: Figures,
}

#[derive(Default, Serialize)]
pub struct Figures {
    /// Objects.
    pub per_second: Vec<f64>,
    /// What this process has used for an object. A server's share is not in it.
    pub cpu_us: Vec<f64>,
}

impl Figures {
    async fn add(&mut self, objects: usize, work: impl Future<Output = Result<Duration>>) -> Result<()> {
        let before = cpu_us();
        let took = work.await?;
        self.per_second.push(objects as f64 / took.as_secs_f64());
        self.cpu_us.push((cpu_us() - before) / objects as f64);
        Ok(())
    }
}

fn cpu_us() -> f64 {
    cpu::of_this_process().as_secs_f64() * 1e6
}

/// Measures both stores in turns.
pub async fn measure(plan: &Plan, folder: &Path) -> Result<Vec<StoreResult>> {
    let folder = TempDir::with_prefix_in("bench-queue-", folder)?;
    let postgres = Postgres::start(&folder.path().join("server")).await?;
    let version: String = postgres.client().await?.query_one("SHOW server_version", &[]).await?.get(0);
    let mut results = ["SQLite".to_owned(), format!("PostgreSQL {version}")].map(|store| StoreResult {
        store,
        enqueued: Figures::default(),
        acknowledged: Figures::default(),
    });
    for round in 0..plan.rounds {
        let file = folder.path().join(format!("queue-{round}.sqlite"));
        let urls = [
            format!("sqlite:{}", file.display()),
            postgres.create_database(&format!("round-{round}")).await?,
        ];
        for (url, result) in urls.into_iter().zip(&mut results) {
            let config = QueueConfig { url: url.into(), ..QueueConfig::default() };
            let queue = Queue::open(&config).await?;
            let shares = shares(plan)?;
            result.enqueued.add(plan.objects, enqueue_all(&queue, shares)).await?;
            result.acknowledged.add(plan.objects, acknowledge_all(&queue, plan)).await?;
        }
    }
    Ok(results.into())
}

/// What each caller brings.
fn shares(plan: &Plan) -> Result<Vec<Vec<Notification>>> {
    let objects = make(plan.objects, plan.tenants)?;
    let mut shares: Vec<Vec<Notification>> = vec![Vec::new(); plan.callers];
    for (number, object) in objects.into_iter().enumerate() {
        shares[number % plan.callers].push(object);
    }
    Ok(shares)
}

async fn enqueue_all(queue: &Queue, shares: Vec<Vec<Notification>>) -> Result<Duration> {
    let callers = shares.into_iter().map(|share| async move {
        for object in share {
            let enqueued = queue.enqueue(object, now()).await?;
            ensure!(enqueued == Enqueued::New, "{enqueued:?}");
        }
        Ok(())
    });
    let began = Instant::now();
    try_join_all(callers).await?;
    Ok(began.elapsed())
}

async fn acknowledge_all(queue: &Queue, plan: &Plan) -> Result<Duration> {
    let limits = ClaimLimits {
        objects: plan.batch,
        spans: u64::MAX,
        bytes: u64::MAX,
        delay: Duration::ZERO,
        lease: Duration::from_secs(3600),
    };
    let workers = (0..plan.workers).map(|_| async move {
        let mut acknowledged = 0;
        // What another worker holds is passed over, so one that finds nothing looks once more.
        loop {
            while let Some(batch) = queue.claim(limits, now()).await?.batch() {
                queue.ack(&batch, now()).await?;
                acknowledged += batch.objects.len();
            }
            if queue.depth().await?.pending == 0 {
                return anyhow::Ok(acknowledged);
            }
        }
    });
    let began = Instant::now();
    let acknowledged: usize = try_join_all(workers).await?.into_iter().sum();
    let took = began.elapsed();
    ensure!(acknowledged == plan.objects, "{acknowledged} of {} objects", plan.objects);
    let stored = queue.minutes(UnixMillis(0), UnixMillis(u64::MAX >> 1)).await?;
    let stored: u64 = stored.values().map(|counts| counts.stored).sum();
    ensure!(stored == 100 * plan.objects as u64, "{stored} spans are stored");
    Ok(took)
}

fn now() -> UnixMillis {
    UnixMillis(Ulid::generate().timestamp_ms())
}
