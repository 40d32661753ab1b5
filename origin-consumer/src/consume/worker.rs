//! The workers: each claims a batch, and brings it to exactly one outcome.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{RwLockReadGuard, RwLockWriteGuard};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{BatchError, Consumer};
use crate::metrics::BatchOutcome;
use crate::queue::{Batch, Fault, QueueError, Setback};
use crate::time::{after, backoff, jittered, now, random};

/// Consumers that may die over a batch before it is split: which of its objects was it?
const DEATHS_BEFORE_SPLIT: u32 = 3;
/// Tries of a batch that is too large for the server before it is split: it may only have been busy.
const TRIES_BEFORE_SPLIT: u32 = 3;

/// How long a batch waits that meets a pause of the inserts.
const PAUSED: Duration = Duration::from_secs(1);

/// The right to work on a batch.
#[expect(dead_code, reason = "held, and never looked at")]
enum Turn<'c> {
    /// Beside others.
    Together(RwLockReadGuard<'c, ()>),
    /// While nobody else in this process does.
    Alone(RwLockWriteGuard<'c, ()>),
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
        let drained =
            tokio::time::timeout(self.config.drain(), async { while workers.join_next().await.is_some() {} });
        if drained.await.is_err() {
            // Nothing is lost: the leases run out, and the batches are taken up again.
            tracing::warn!("batches in hand were not finished in time; they are taken up after their leases");
        }
    }

    async fn work(self: Arc<Self>, stop: CancellationToken) {
        while let Some(batch) = self.next_batch(&stop).await {
            self.settle(&batch).await;
        }
    }

    /// Brings a claimed batch to exactly one outcome.
    pub(crate) async fn settle(&self, batch: &Batch) -> BatchOutcome {
        let stored = match self.too_deadly(batch) {
            Some(error) => Err(error),
            None => self.store_under_lease(batch).await,
        };
        let outcome = match stored {
            Ok(()) => {
                self.outage.over();
                BatchOutcome::Stored
            }
            Err(BatchError::Objects(setbacks)) => self.set_back(batch, setbacks).await,
            Err(BatchError::Suspect(reason)) => self.split(batch, reason).await,
            Err(BatchError::Queue(QueueError::LeaseLost(id))) => {
                tracing::warn!(batch = %id, "another consumer has the batch by now");
                BatchOutcome::LeaseLost
            }
            Err(BatchError::Queue(QueueError::Paused(_))) => self.put_off(batch).await,
            Err(BatchError::TooMany(reason)) if batch.failures + 1 >= TRIES_BEFORE_SPLIT => {
                self.split(batch, reason).await
            }
            Err(error @ (BatchError::Transient(_) | BatchError::TooMany(_) | BatchError::Queue(_))) => {
                self.outage.failed(Instant::now());
                self.release(batch, error.to_string()).await
            }
        };
        self.metrics.batch(outcome);
        outcome
    }

    /// What the deaths of those who worked on the batch before say of it.
    fn too_deadly(&self, batch: &Batch) -> Option<BatchError> {
        let deaths = batch.abandoned;
        let reason = format!("{deaths} consumers died or stood still while they worked on it");
        match batch.objects.as_slice() {
            [object] if deaths >= self.config.deaths => {
                let object_key = object.notification.object_key.clone();
                Some(BatchError::Objects(vec![Setback { object_key, fault: Fault::Fatal, reason }]))
            }
            [_, _, ..] if deaths >= DEATHS_BEFORE_SPLIT => Some(BatchError::Suspect(reason)),
            _ => None,
        }
    }

    async fn set_back(&self, batch: &Batch, setbacks: Vec<Setback>) -> BatchOutcome {
        for Setback { object_key, fault, reason } in &setbacks {
            match fault {
                Fault::Resend { of } => {
                    tracing::info!(object = %object_key, %of, "an exporter's resend of what is stored")
                }
                _ => tracing::error!(object = %object_key, reason, "an object cannot be stored"),
            }
        }
        match self.queue.set_back(batch, setbacks, self.config.poison_tries, now()).await {
            Ok(spared) => {
                self.metrics.dead(spared.dead);
                BatchOutcome::SetBack
            }
            Err(error) => {
                tracing::error!(batch = %batch.id, %error, "objects could not be set back");
                BatchOutcome::Failed
            }
        }
    }

    async fn split(&self, batch: &Batch, reason: String) -> BatchOutcome {
        if let [object] = batch.objects.as_slice() {
            let object_key = object.notification.object_key.clone();
            return self.set_back(batch, vec![Setback { object_key, fault: Fault::Poison, reason }]).await;
        }
        tracing::warn!(batch = %batch.id, objects = batch.objects.len(), reason, "a batch is split");
        match self.queue.split(batch, now()).await {
            Ok(()) => BatchOutcome::Split,
            Err(error) => {
                tracing::error!(batch = %batch.id, %error, "a batch could not be split");
                BatchOutcome::Failed
            }
        }
    }

    async fn release(&self, batch: &Batch, error: String) -> BatchOutcome {
        let wait = jittered(backoff(batch.failures), random());
        tracing::warn!(batch = %batch.id, objects = batch.objects.len(), error, retry_in = ?wait, "a batch was not stored");
        if let Err(error) = self.queue.release(batch, after(now(), wait), error).await {
            tracing::warn!(batch = %batch.id, %error, "a batch could not be given back; its lease will run out");
        }
        BatchOutcome::Failed
    }

    /// The table is about to be exchanged for another, which takes seconds.
    async fn put_off(&self, batch: &Batch) -> BatchOutcome {
        self.outage.put_off(Instant::now() + PAUSED);
        tracing::info!(batch = %batch.id, "inserts are paused; the batch waits");
        if let Err(error) = self.queue.put_off(batch, after(now(), PAUSED)).await {
            tracing::warn!(batch = %batch.id, %error, "a batch could not be given back; its lease will run out");
        }
        BatchOutcome::PutOff
    }

    /// Stores the batch, and keeps its lease meanwhile.
    async fn store_under_lease(&self, batch: &Batch) -> Result<(), BatchError> {
        let in_turn = async {
            let _turn = self.turn(batch).await?;
            self.store(batch).await
        };
        tokio::select! {
            // A renewal that shares a commit with the acknowledgement finds the batch closed: that is no loss.
            biased;
            stored = in_turn => stored,
            lost = self.keep_lease(batch) => Err(lost.into()),
        }
    }

    /// A batch over which a consumer has died is worked on alone: should it be deadly, it must not take others with it, which
    /// would then be under suspicion for ever.
    async fn turn(&self, batch: &Batch) -> Result<Turn<'_>, QueueError> {
        if batch.abandoned == 0 {
            return Ok(Turn::Together(self.turns.read().await));
        }
        let turn = Turn::Alone(self.turns.write().await);
        self.queue.begin_alone(batch).await?;
        Ok(turn)
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
}
