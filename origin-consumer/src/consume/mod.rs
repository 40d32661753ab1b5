//! The consumer: what happens to the objects that wait in the queue, step by step.

mod claim;
mod config;
mod decode;
mod fetch;
mod memory;
mod outage;
mod resends;
mod worker;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use spillway_proto::UnixMillis;
use spillway_proto::notification::Notification;
use tokio::sync::{Mutex, RwLock, Semaphore};

pub use config::ConsumerConfig;
pub use decode::Decoder;

use crate::failpoints;
use crate::insert::{self, BatchRows, Before, SpanSink, SpanTable, StoreError, TableError};
use crate::metrics::Metrics;
use crate::objects::Objects;
use crate::queue::{Batch, Queue, QueueError, Setback};
use crate::telemetry::Telemetry;
use crate::telemetry::hop::{self, StepTimes};
use crate::time::{after, now};
use decode::Reuse;
use memory::Memory;
use outage::Outage;
use resends::Elsewhere;

/// Memory of columns is taken ahead of their spans, and kept for the next batch, up to so many times what a batch's payload may
/// have.
const REUSED_TIMES: u64 = 4;

/// The consumer: its configuration and what it works on.
pub struct Consumer {
    config: ConsumerConfig,
    queue: Arc<Queue>,
    objects: Objects,
    table: SpanTable,
    metrics: Arc<Metrics>,
    telemetry: Telemetry,
    outage: Outage,
    reuse: Reuse,
    looks: Mutex<()>,
    /// A batch takes of these three in their order, and each goes on once it has them: so none waits for ever.
    turns: RwLock<()>,
    memory: Memory,
    inserts: Semaphore,
    replaces: bool,
}

/// Why a batch was not stored.
#[derive(Debug, thiserror::Error)]
enum BatchError {
    /// These objects keep the others from being stored.
    #[error("{} objects cannot be stored", .0.len())]
    Objects(Vec<Setback>),
    /// One of its objects will never be stored, and it is not known which.
    #[error("{0}")]
    Suspect(String),
    /// Another try may succeed; so may one with fewer rows.
    #[error("{0}")]
    TooMany(String),
    /// Another try may succeed.
    #[error("{0}")]
    Transient(String),
    /// The queue failed, or the batch is no longer ours.
    #[error(transparent)]
    Queue(#[from] QueueError),
}

impl From<TableError> for BatchError {
    fn from(error: TableError) -> Self {
        let text = error.to_string();
        match error {
            error if error.is_of_the_rows() => Self::Suspect(text),
            error if error.is_of_their_number() => Self::TooMany(text),
            TableError::LeaseOver(batch) => Self::Queue(QueueError::LeaseLost(batch)),
            _ => Self::Transient(text),
        }
    }
}

impl From<StoreError<TableError>> for BatchError {
    fn from(error: StoreError<TableError>) -> Self {
        match error {
            StoreError::Sink(error) => error.into(),
            StoreError::NotThere(_) => Self::Transient(error.to_string()),
        }
    }
}

impl Consumer {
    /// A consumer that does nothing yet.
    pub fn new(
        config: ConsumerConfig,
        queue: Arc<Queue>,
        objects: Objects,
        table: SpanTable,
        metrics: Arc<Metrics>,
        telemetry: Telemetry,
    ) -> Self {
        Self {
            memory: Memory::of(config.memory_bytes, Arc::clone(&metrics)),
            inserts: Semaphore::new(config.inserts),
            reuse: Reuse::of(config.batch_bytes.saturating_mul(REUSED_TIMES)),
            config,
            queue,
            objects,
            table,
            metrics,
            telemetry,
            outage: Outage::default(),
            looks: Mutex::default(),
            turns: RwLock::default(),
            replaces: false,
        }
    }

    /// One that deletes what the table holds of an object before it stores it.
    pub fn replacing(self) -> Self {
        Self { replaces: true, ..self }
    }

    /// Takes a claimed batch through steps d to g:
    ///
    /// * d: fetch its objects from R2, and check their digests
    /// * e: decode them to rows, but for spans that other objects of the same request hold
    /// * f: insert the rows into ClickHouse, and verify where an earlier try may have done so
    /// * g: acknowledge
    async fn store(&self, batch: &Batch) -> Result<(), BatchError> {
        let claimed = now();
        failpoints::pass("consume::claimed");
        failpoints::meet("consume::deadly", |tenant| {
            batch.objects.iter().any(|object| object.notification.tenant.as_str() == tenant)
        });
        self.queue.refuse_while_paused(now()).await?;
        // d
        let mut memory = self.memory.take(batch.payload_bytes()).await;
        let fetched = self.fetch_all(batch).await?;
        let fetched_at = now();
        failpoints::pass("consume::fetched");
        // e
        let elsewhere = self.elsewhere(batch, &fetched).await?;
        let rows = self.decode_all(batch, fetched, elsewhere).await?;
        memory.has_become(rows.bytes());
        let decoded_at = now();
        failpoints::pass("consume::decoded");
        // f
        let _place = self.inserts.acquire().await.ok();
        let inserting = now();
        self.queue.begin_insert(batch, after(now(), self.config.lease())).await?;
        failpoints::pass("consume::insert_begun");
        // After that is noted: whoever pauses inserts looks for those that have begun.
        self.queue.refuse_while_paused(now()).await?;
        let table = self.table.under(&batch.lease);
        if self.replaces {
            self.delete(&table, &rows).await?;
        }
        let began = Instant::now();
        let before = Before { inserts: batch.inserts, look_first: batch.look_first };
        insert::store(&table, &rows, before).await?;
        let insert_seconds = began.elapsed().as_secs_f64();
        let inserted_at = now();
        let (stored, unusual, repaired) = (rows.count() as u64, rows.unusual(), rows.repaired());
        self.reuse.give(rows);
        failpoints::pass("consume::inserted");
        // g
        self.queue.ack_rows(batch, unusual, inserted_at).await?;
        failpoints::pass("consume::acknowledged");
        self.metrics.stored(stored, insert_seconds);
        self.metrics.repaired(&repaired);
        self.report(
            batch,
            &StepTimes {
                claimed,
                fetched: fetched_at,
                decoded: decoded_at,
                inserting,
                inserted: inserted_at,
                acked: now(),
            },
        );
        Ok(())
    }

    /// Decoding is work for a processor, so it has a thread of its own.
    async fn decode_all(
        &self,
        batch: &Batch,
        fetched: Vec<(Notification, Bytes)>,
        elsewhere: Elsewhere,
    ) -> Result<BatchRows, BatchError> {
        let (batch_id, decoder) = (batch.id, self.config.decoder);
        let (limits, columns) = (self.config.decompress_limits(), self.reuse.take());
        let most_bytes = self.reuse.most_bytes();
        let decoded = tokio::task::spawn_blocking(move || {
            decode::batch(batch_id, fetched, &elsewhere, decoder, limits, columns, most_bytes)
        });
        let decoded = decoded.await.map_err(|error| BatchError::Transient(format!("decoding: {error}")))?;
        let (rows, setbacks) = decoded;
        self.spare(batch, setbacks).await?;
        Ok(rows)
    }

    /// An error of those that cannot be had, unless an earlier try has stored them whole.
    async fn spare(&self, batch: &Batch, mut setbacks: Vec<Setback>) -> Result<(), BatchError> {
        if !setbacks.is_empty() && (batch.inserts > 0 || batch.look_first) {
            let keys: Vec<_> = setbacks.iter().map(|setback| setback.object_key.clone()).collect();
            let complete = insert::complete(&self.table, &keys).await?;
            setbacks.retain(|setback| !complete.contains(&setback.object_key));
        }
        if setbacks.is_empty() { Ok(()) } else { Err(BatchError::Objects(setbacks)) }
    }

    async fn delete(&self, table: &SpanTable, rows: &BatchRows) -> Result<(), BatchError> {
        let keys: Vec<_> = rows.objects.iter().map(|(key, _)| key.clone()).collect();
        let there: HashSet<_> = table.counts(&keys).await?.into_keys().collect();
        if there.is_empty() {
            return Ok(());
        }
        Ok(table.delete(&there.into_iter().collect::<Vec<_>>()).await?)
    }

    fn report(&self, batch: &Batch, times: &StepTimes) {
        tracing::info!(
            batch = %batch.id, objects = batch.objects.len(), spans = batch.spans(), tries = batch.inserts + 1,
            fetch_ms = times.fetched.0.saturating_sub(times.claimed.0),
            insert_ms = times.inserted.0.saturating_sub(times.inserting.0), "stored"
        );
        for object in &batch.objects {
            let UnixMillis(received) = object.notification.received_at_unix_ms;
            self.metrics.delay(times.acked.0.saturating_sub(received) as f64 / 1000.0);
            self.telemetry.record(hop::consumed(&object.notification, batch.id, times));
        }
    }
}
