//! The consumer: what happens to the objects that wait in the queue, step by step.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use serde::Deserialize;
use spillway_proto::notification::Notification;
use spillway_proto::otlp::DecompressLimits;
use spillway_proto::{ObjectKey, UnixMillis};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::config::{ConfigError, in_range};
use crate::fetch::{FetchError, Objects};
use crate::insert::{BatchRows, SpanTable};
use crate::metrics::{BatchOutcome, Metrics};
use crate::queue::{Batch, ClaimLimits, Queue, QueueError};
use crate::rows::{SpanRow, rows_of};
use crate::telemetry::Telemetry;
use crate::telemetry::hop::{self, StepTimes};
use crate::time::{after, backoff, now};

/// How long an idle worker waits before it looks again; an object that comes in through the same process wakes it.
const IDLE: Duration = Duration::from_millis(250);

/// `[consumer]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConsumerConfig {
    /// Batches that are worked on side by side.
    pub workers: usize,
    /// Objects that a worker fetches side by side.
    pub fetches: usize,
    /// The most objects of a batch.
    pub batch_objects: u32,
    /// The most spans of a batch; one object alone may hold more.
    pub batch_spans: u64,
    /// The most bytes of payload of a batch, decompressed; one object alone may hold more.
    pub batch_bytes: u64,
    /// The most bytes of one payload after decompression.
    pub max_decompressed_bytes: usize,
    /// How long a batch stays with a consumer that does not renew its lease, in seconds. A consumer that died is
    /// replaced after that.
    pub lease_seconds: u64,
    /// How long ClickHouse may take to confirm an insert, in seconds.
    pub insert_timeout_seconds: u64,
    /// How long a batch in hand may take after SIGTERM, in seconds.
    pub drain_seconds: u64,
}

impl Default for ConsumerConfig {
    fn default() -> Self {
        Self {
            workers: 2,
            fetches: 8,
            batch_objects: 1_000,
            batch_spans: 100_000,
            batch_bytes: 64 << 20,
            max_decompressed_bytes: 100 << 20,
            lease_seconds: 30,
            insert_timeout_seconds: 120,
            drain_seconds: 30,
        }
    }
}

impl ConsumerConfig {
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        in_range("consumer.workers", self.workers, 1..=64)?;
        in_range("consumer.fetches", self.fetches, 1..=64)?;
        in_range("consumer.batch_objects", self.batch_objects, 1..=100_000)?;
        in_range("consumer.batch_spans", self.batch_spans, 1..=1_000_000)?;
        in_range("consumer.batch_bytes", self.batch_bytes, 1..=1 << 30)?;
        in_range("consumer.max_decompressed_bytes", self.max_decompressed_bytes, 1 << 20..=1 << 30)?;
        in_range("consumer.lease_seconds", self.lease_seconds, 3..=3600)?;
        in_range("consumer.insert_timeout_seconds", self.insert_timeout_seconds, 1..=3600)?;
        in_range("consumer.drain_seconds", self.drain_seconds, 0..=3600)
    }

    /// How long ClickHouse may take to confirm an insert.
    pub fn insert_timeout(&self) -> Duration {
        Duration::from_secs(self.insert_timeout_seconds)
    }

    fn lease(&self) -> Duration {
        Duration::from_secs(self.lease_seconds)
    }

    fn claim_limits(&self) -> ClaimLimits {
        ClaimLimits {
            objects: self.batch_objects,
            spans: self.batch_spans,
            bytes: self.batch_bytes,
            lease: self.lease(),
        }
    }

    fn decompress_limits(&self) -> DecompressLimits {
        // The edge has judged the ratio; here only the size counts.
        DecompressLimits { max_bytes: self.max_decompressed_bytes, max_ratio: usize::MAX }
    }
}

/// The consumer: its configuration and what it works on.
pub struct Consumer {
    /// What it was told.
    pub config: ConsumerConfig,
    /// Where the objects wait.
    pub queue: Arc<Queue>,
    /// Where they lie.
    pub objects: Objects,
    /// Where their spans go.
    pub table: SpanTable,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Where the consumer's own spans go.
    pub telemetry: Telemetry,
}

/// Why a batch was not stored.
#[derive(Debug, thiserror::Error)]
enum BatchError {
    /// These objects will never be stored; the others may.
    #[error("{} objects cannot be stored", .0.len())]
    Poison(Vec<(ObjectKey, String)>),
    /// Another try may succeed.
    #[error("{0}")]
    Transient(String),
    /// The queue failed, or the batch is no longer ours.
    #[error(transparent)]
    Queue(#[from] QueueError),
}

impl From<clickhouse::error::Error> for BatchError {
    fn from(error: clickhouse::error::Error) -> Self {
        Self::Transient(format!("clickhouse: {error}"))
    }
}

impl Consumer {
    /// Works until `stop`; a batch in hand is finished, if that does not take longer than configured.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut workers = JoinSet::new();
        for _ in 0..self.config.workers {
            workers.spawn(Arc::clone(&self).work(stop.clone()));
        }
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                Some(Err(panic)) = workers.join_next() => {
                    // Its batch is taken up after the lease; a worker less for ever would go unnoticed.
                    tracing::error!(%panic, "a worker ended by itself; another takes its place");
                    workers.spawn(Arc::clone(&self).work(stop.clone()));
                }
            }
        }
        let drain = Duration::from_secs(self.config.drain_seconds);
        let drained = tokio::time::timeout(drain, async { while workers.join_next().await.is_some() {} });
        if drained.await.is_err() {
            // Nothing is lost: the leases run out, and the batches are taken up again.
            tracing::warn!("batches in hand were not finished in time; they are taken up after their leases");
        }
    }

    async fn work(self: Arc<Self>, stop: CancellationToken) {
        while !stop.is_cancelled() {
            // c
            match self.queue.claim(self.config.claim_limits(), now()).await {
                Ok(Some(batch)) => self.settle(&batch).await,
                Ok(None) => tokio::select! {
                    () = self.queue.wait(IDLE) => {}
                    () = stop.cancelled() => {}
                },
                Err(error) => {
                    tracing::error!(%error, "no batch can be claimed");
                    tokio::time::sleep(IDLE).await;
                }
            }
        }
    }

    /// Brings a claimed batch to exactly one outcome.
    async fn settle(&self, batch: &Batch) {
        let outcome = match self.store_under_lease(batch).await {
            Ok(()) => BatchOutcome::Stored,
            Err(BatchError::Poison(objects)) => self.set_aside(batch, objects).await,
            Err(BatchError::Queue(QueueError::LeaseLost(id))) => {
                tracing::warn!(batch = %id, "another consumer has the batch by now");
                BatchOutcome::LeaseLost
            }
            Err(error @ (BatchError::Transient(_) | BatchError::Queue(_))) => {
                self.release(batch, error.to_string()).await
            }
        };
        self.metrics.batch(outcome);
    }

    async fn set_aside(&self, batch: &Batch, objects: Vec<(ObjectKey, String)>) -> BatchOutcome {
        for (key, reason) in &objects {
            tracing::error!(object = %key, reason, "an object cannot be stored and is set aside");
        }
        if batch.inserts > 0 {
            // Its rows may be there under its id, so it must stay as it is until somebody looks.
            return self
                .release(batch, "objects of a batch that was inserted before turned bad".to_owned())
                .await;
        }
        let dead = objects.len();
        match self.queue.set_aside(batch, objects, now()).await {
            Ok(()) => {
                self.metrics.dead(dead);
                BatchOutcome::Poisoned
            }
            Err(error) => {
                tracing::error!(batch = %batch.id, %error, "objects could not be set aside");
                BatchOutcome::Failed
            }
        }
    }

    async fn release(&self, batch: &Batch, error: String) -> BatchOutcome {
        let wait = backoff(batch.failures);
        tracing::warn!(batch = %batch.id, objects = batch.objects.len(), error, retry_in = ?wait, "a batch was not stored");
        if let Err(error) = self.queue.release(batch, after(now(), wait), error).await {
            tracing::warn!(batch = %batch.id, %error, "a batch could not be given back; its lease will run out");
        }
        BatchOutcome::Failed
    }

    /// Stores the batch, and keeps its lease meanwhile.
    async fn store_under_lease(&self, batch: &Batch) -> Result<(), BatchError> {
        tokio::select! {
            stored = self.store(batch) => stored,
            lost = self.keep_lease(batch) => Err(lost.into()),
        }
    }

    /// Returns when the lease cannot be kept.
    async fn keep_lease(&self, batch: &Batch) -> QueueError {
        let lease = self.config.lease();
        loop {
            tokio::time::sleep(lease / 3).await;
            if let Err(error) = self.queue.renew(batch, after(now(), lease)).await {
                return error;
            }
        }
    }

    /// Takes a claimed batch through steps d to g:
    ///
    /// * d: fetch its objects from R2, and check their digests
    /// * e: decode them to rows
    /// * f: insert the rows into ClickHouse, and verify where an earlier try may have done so
    /// * g: acknowledge
    async fn store(&self, batch: &Batch) -> Result<(), BatchError> {
        let claimed = now();
        // d
        let fetched = self.fetch_all(batch).await?;
        let fetched_at = now();
        // e
        let rows = self.decode_all(batch, fetched).await?;
        let decoded_at = now();
        // f
        self.queue.begin_insert(batch).await?;
        let began = Instant::now();
        self.table.store(&rows, batch.inserts).await?;
        let insert_seconds = began.elapsed().as_secs_f64();
        let inserted_at = now();
        // g
        self.queue.ack(batch, inserted_at).await?;
        self.metrics.stored(batch.spans(), insert_seconds);
        self.report(
            batch,
            &StepTimes {
                claimed,
                fetched: fetched_at,
                decoded: decoded_at,
                inserted: inserted_at,
                acked: now(),
            },
        );
        Ok(())
    }

    /// Every object of the batch, or what is wrong with those that cannot be had.
    async fn fetch_all(&self, batch: &Batch) -> Result<Vec<(Notification, Bytes)>, BatchError> {
        let fetches = batch.objects.iter().map(|(notification, _)| {
            let (objects, notification) = (self.objects.clone(), notification.clone());
            async move {
                let object = objects.fetch(&notification).await;
                (notification, object)
            }
        });
        let fetches: Vec<_> = fetches.collect();
        let mut fetches = stream::iter(fetches).buffered(self.config.fetches);
        let (mut fetched, mut poison) = (Vec::with_capacity(batch.objects.len()), Vec::new());
        while let Some((notification, object)) = fetches.next().await {
            match object {
                Ok(bytes) => fetched.push((notification, bytes)),
                Err(FetchError::Poison(reason)) => poison.push((notification.object_key.clone(), reason)),
                Err(FetchError::Transient(error)) => {
                    return Err(BatchError::Transient(format!("{}: {error}", notification.object_key)));
                }
            }
        }
        if poison.is_empty() { Ok(fetched) } else { Err(BatchError::Poison(poison)) }
    }

    /// Decoding is work for a processor, so it has a thread of its own.
    async fn decode_all(
        &self,
        batch: &Batch,
        fetched: Vec<(Notification, Bytes)>,
    ) -> Result<BatchRows, BatchError> {
        let limits = self.config.decompress_limits();
        let decoded = tokio::task::spawn_blocking(move || {
            let decode = |(object, bytes): (Notification, _)| {
                let rows = rows_of(&object, bytes, limits).map_err(|error| error.to_string());
                (object.object_key, rows)
            };
            fetched.into_iter().map(decode).collect::<Vec<(ObjectKey, Result<Vec<SpanRow>, String>)>>()
        });
        let decoded = decoded.await.map_err(|error| BatchError::Transient(format!("decoding: {error}")))?;
        let (mut objects, mut poison) = (Vec::with_capacity(decoded.len()), Vec::new());
        for (key, rows) in decoded {
            match rows {
                Ok(rows) => objects.push((key, rows)),
                Err(reason) => poison.push((key, reason)),
            }
        }
        if poison.is_empty() {
            Ok(BatchRows { batch_id: batch.id, objects })
        } else {
            Err(BatchError::Poison(poison))
        }
    }

    fn report(&self, batch: &Batch, times: &StepTimes) {
        tracing::info!(
            batch = %batch.id, objects = batch.objects.len(), spans = batch.spans(), tries = batch.inserts + 1,
            fetch_ms = times.fetched.0 - times.claimed.0, insert_ms = times.inserted.0 - times.decoded.0, "stored"
        );
        for (notification, _) in &batch.objects {
            let UnixMillis(received) = notification.received_at_unix_ms;
            self.metrics.delay(times.acked.0.saturating_sub(received) as f64 / 1000.0);
            self.telemetry.record(hop::consumed(notification, batch.id, times));
        }
    }
}
