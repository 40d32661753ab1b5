//! Step c: the next batch, or the wait for one.

use std::time::{Duration, Instant};

use spillway_proto::UnixMillis;
use tokio_util::sync::CancellationToken;

use super::Consumer;
use crate::queue::{Batch, Claim, QueueError};
use crate::time::{after, now};

/// How long an idle worker waits before it looks again; an object that comes in through the same process wakes it.
const IDLE: Duration = Duration::from_millis(250);
/// Objects that wait for others are counted so often at most, however many come in.
const LOOK: Duration = Duration::from_millis(100);
/// At least so long between two looks, whatever the clock says.
const BREATH: Duration = Duration::from_millis(5);

impl Consumer {
    /// The next batch, however long that takes; none after `stop`: what waits then stays in the queue.
    pub(super) async fn next_batch(&self, stop: &CancellationToken) -> Option<Batch> {
        // One worker looks, and the others wait for it: each look is a transaction.
        let _looks = stop.run_until_cancelled(self.looks.lock()).await?;
        while !stop.is_cancelled() {
            let (deaf, awake) = match self.claim().await {
                Ok(Claim::Batch(batch)) => return Some(batch),
                // What comes in meanwhile is no reason to look again.
                Ok(Claim::Unripe(_)) if self.outage.is_on(Instant::now()) => (IDLE, Duration::ZERO),
                Ok(Claim::Unripe(due)) => rest(due, now()),
                Ok(Claim::Nothing) => (Duration::ZERO, IDLE),
                Err(error) => {
                    tracing::error!(%error, "no batch can be claimed");
                    (IDLE, Duration::ZERO)
                }
            };
            let rest = async {
                tokio::time::sleep(deaf).await;
                self.queue.wait(awake).await;
            };
            stop.run_until_cancelled(rest).await;
        }
        None
    }

    async fn claim(&self) -> Result<Claim, QueueError> {
        let limits = self.config.claim_limits();
        if self.outage.is_on(Instant::now()) {
            let batch = self.queue.reclaim(limits, now()).await?;
            return Ok(batch.map_or_else(|| Claim::Unripe(after(now(), IDLE)), Claim::Batch));
        }
        self.queue.claim(limits, now()).await
    }
}

/// How long to wait for objects that are due later: first whatever comes in, and then unless something does, which may fill the
/// batch.
fn rest(due: UnixMillis, now: UnixMillis) -> (Duration, Duration) {
    let rest = Duration::from_millis(due.0.saturating_sub(now.0)).clamp(BREATH, IDLE);
    let deaf = rest.min(LOOK);
    (deaf, rest - deaf)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clickhouse::ClickHouseConfig;
    use crate::consume::ConsumerConfig;
    use crate::insert::SpanTable;
    use crate::objects::samples::notification;
    use crate::objects::{Objects, S3Config};
    use crate::queue::Queue;
    use crate::telemetry::Telemetry;

    const NOW: UnixMillis = UnixMillis(1_795_200_000_000);

    fn millis(due_in: u64) -> (u128, u128) {
        let (deaf, awake) = rest(UnixMillis(NOW.0 + due_in), NOW);
        (deaf.as_millis(), awake.as_millis())
    }

    #[test]
    fn it_looks_when_objects_are_due_and_not_at_each_that_comes_in() {
        assert_eq!(millis(40), (40, 0));
        assert_eq!(millis(130), (100, 30));
        // A batch of a consumer that has died may be free before.
        assert_eq!(millis(2_000), (100, 150));
        assert_eq!(millis(0), (5, 0));
        let set_back = rest(UnixMillis(NOW.0 - 1), NOW);
        assert_eq!(set_back, (BREATH, Duration::ZERO));
    }

    /// It reaches neither a bucket nor a table.
    async fn consumer(batch_delay_ms: u64) -> Arc<Consumer> {
        let config = ConsumerConfig { batch_delay_ms, batch_objects: 50, ..ConsumerConfig::default() };
        let table = SpanTable::new(&ClickHouseConfig::default(), Duration::from_secs(1));
        let (queue, objects) =
            (Queue::in_memory(0).await.unwrap().into(), Objects::new(&S3Config::default()));
        Arc::new(Consumer::new(config, queue, objects, table, Arc::default(), Telemetry::default()))
    }

    async fn bring(consumer: &Consumer, objects: u64) {
        for n in 0..objects {
            consumer.queue.enqueue(notification("acme", now().0 + n, 1), now()).await.unwrap();
        }
    }

    #[tokio::test]
    async fn it_waits_for_the_delay_or_for_a_full_batch() {
        let consumer = consumer(400).await;
        let (stop, began) = (CancellationToken::new(), Instant::now());
        bring(&consumer, 1).await;
        let waiting = tokio::spawn({
            let (consumer, stop) = (Arc::clone(&consumer), stop.clone());
            async move { consumer.next_batch(&stop).await }
        });
        tokio::time::sleep(Duration::from_millis(20)).await;
        bring(&consumer, 10).await;
        assert_eq!(waiting.await.unwrap().unwrap().objects.len(), 11);
        assert!(began.elapsed() >= Duration::from_millis(400));

        let consumer = self::consumer(60_000).await;
        bring(&consumer, 60).await;
        assert_eq!(consumer.next_batch(&stop).await.unwrap().objects.len(), 50);
    }

    #[tokio::test]
    async fn at_the_end_all_workers_leave_what_waits() {
        let consumer = consumer(60_000).await;
        bring(&consumer, 1).await;
        let stop = CancellationToken::new();
        let workers: Vec<_> = (0..3)
            .map(|_| {
                let (consumer, stop) = (Arc::clone(&consumer), stop.clone());
                tokio::spawn(async move { consumer.next_batch(&stop).await })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(150)).await;
        stop.cancel();
        for worker in workers {
            assert!(worker.await.unwrap().is_none());
        }
        assert_eq!(consumer.queue.depth().await.unwrap().pending, 1);
    }
}
