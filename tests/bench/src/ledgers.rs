//! Ledgers that are older than the objects that go through them.
//!
//! A ledger that is younger than an object relies on nothing: the consumer then looks in ClickHouse before it inserts, and again
//! after. That is how it recovers, not how it works from day to day, so ledgers are made first and objects later.

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::{Context, Result};
use futures_util::future::try_join_all;
use origin_consumer::queue::{Queue, QueueConfig};
use spillway_proto::UnixMillis;
use ulid::Ulid;

use spillway_generator::objects::Object;

/// The edge's clock is allowed to be ahead by so much, and a moment.
const WHOLE_AFTER: Duration = Duration::from_millis(5_100);
/// Callers that enqueue side by side.
const CALLERS: usize = 64;

/// Ledgers that wait for their turns.
pub struct Ledgers(VecDeque<Ledger>);

/// A ledger, empty at first.
pub struct Ledger {
    /// Where other processes find it; in memory, nowhere.
    pub url: String,
    /// It.
    pub queue: Queue,
}

impl Ledgers {
    /// Makes one at each of these URLs, and waits until objects that are received from now on are younger.
    pub async fn make(urls: Vec<String>) -> Result<Self> {
        let mut ledgers = VecDeque::with_capacity(urls.len());
        for url in urls {
            let config = QueueConfig { url: url.as_str().into(), ..QueueConfig::default() };
            ledgers.push_back(Ledger { queue: Queue::open(&config).await?, url });
        }
        Ok(Self::younger(ledgers).await)
    }

    /// Makes so many in the memory of this process, likewise.
    pub async fn make_in_memory(count: usize) -> Result<Self> {
        let mut ledgers = VecDeque::with_capacity(count);
        for _ in 0..count {
            ledgers.push_back(Ledger { url: String::new(), queue: Queue::in_memory(0).await? });
        }
        Ok(Self::younger(ledgers).await)
    }

    async fn younger(ledgers: VecDeque<Ledger>) -> Self {
        tokio::time::sleep(WHOLE_AFTER).await;
        Self(ledgers)
    }

    /// The next one, which holds these objects.
    pub async fn next(&mut self, objects: &[Object]) -> Result<Ledger> {
        let ledger = self.0.pop_front().context("no ledger is left")?;
        let share = objects.len().div_ceil(CALLERS).max(1);
        let queue = &ledger.queue;
        let callers = objects.chunks(share).map(|share| async move {
            for object in share {
                queue.enqueue(object.notification.clone(), now()).await?;
            }
            anyhow::Ok(())
        });
        try_join_all(callers).await?;
        // One that was not used for a while may be an older copy of itself.
        queue.note_use(now()).await?;
        Ok(ledger)
    }
}

fn now() -> UnixMillis {
    UnixMillis(Ulid::generate().timestamp_ms())
}
