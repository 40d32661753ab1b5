//! One batch's worth of objects to its end: each is stored, or it is known why it is not.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::stream::{self, StreamExt};
use spillway_proto::ObjectKey;
use spillway_proto::notification::Notification;
use tokio_util::sync::CancellationToken;

use crate::consume::Consumer;
use crate::metrics::BatchOutcome;
use crate::objects::{Bucket, ObjectError, Objects};
use crate::queue::{ClaimLimits, Queue, QueueError, Standing};
use crate::time::{backoff, now};

/// How often something that is away is tried: for some four minutes.
const TRIES: u32 = 12;
/// How often an object is tried that fails by its own fault.
const POISON_TRIES: u32 = 3;
/// What a consumer has in hand is waited for so long after its lease.
const PATIENCE: Duration = Duration::from_secs(60);
/// No wait for a consumer is longer.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// Objects of a folder that are put into the bucket side by side.
const PUTS: usize = 8;

/// What has become of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fate {
    /// Each of its spans is in the table, once.
    Stored,
    /// Another object holds the same request.
    Resend,
    /// A consumer has it in hand, and will store it.
    InHand,
    /// It cannot be read.
    Unreadable(String),
    /// Something was away for too long.
    Unstored(String),
    /// The replay is to end.
    Interrupted,
}

/// What stores objects.
pub(super) struct Bring {
    pub(super) queue: Arc<Queue>,
    /// Stores what the replay reads.
    pub(super) consumer: Consumer,
    /// Stores batches that others have left behind.
    pub(super) successor: Consumer,
    pub(super) limits: ClaimLimits,
    pub(super) force: bool,
    /// What consumers that take over a batch have to find in the bucket.
    pub(super) put_back: Option<PutBack>,
    pub(super) stop: CancellationToken,
}

/// From a folder into the bucket.
pub(super) struct PutBack {
    pub(super) folder: Objects,
    pub(super) bucket: Bucket,
}

/// Another try may succeed.
#[derive(Debug, thiserror::Error)]
enum RoundError {
    #[error("the ledger: {0}")]
    Queue(#[from] QueueError),
    #[error("{0}")]
    Bucket(String),
    #[error("a batch was not stored; the log says why")]
    Batch,
}

/// What keeps an object from being stored.
struct Setback {
    tries: u32,
    reason: String,
    is_its_own: bool,
}

/// The objects that are not at their end.
struct Left {
    objects: BTreeMap<ObjectKey, Notification>,
    set_back: HashMap<ObjectKey, Setback>,
    in_hand: BTreeSet<ObjectKey>,
    /// Those of a folder that the bucket has by now.
    put_back: BTreeSet<ObjectKey>,
    /// How often a batch of them was too much, or suspect.
    splits: u32,
    ended: Vec<(Notification, Fate)>,
}

impl Left {
    fn end(&mut self, key: &ObjectKey, fate: Fate) {
        self.in_hand.remove(key);
        if let Some(object) = self.objects.remove(key) {
            self.ended.push((object, fate));
        }
    }

    fn end_all(&mut self, fate: &Fate) {
        let objects = std::mem::take(&mut self.objects);
        self.ended.extend(objects.into_values().map(|object| (object, fate.clone())));
    }
}

impl Bring {
    /// Returns what has become of each.
    pub(super) async fn bring(&self, objects: Vec<Notification>) -> Vec<(Notification, Fate)> {
        let objects = objects.into_iter().map(|object| (object.object_key.clone(), object)).collect();
        let mut left = Left {
            objects,
            set_back: HashMap::new(),
            in_hand: BTreeSet::new(),
            put_back: BTreeSet::new(),
            splits: 0,
            ended: Vec::new(),
        };
        let (mut rounds, mut failures, mut patience_from) = (0, 0, Instant::now());
        loop {
            if let Err(error) = self.round(&mut left).await {
                tracing::warn!(%error, objects = left.objects.len(), "a replayed batch was not stored; it is tried again");
                failures += 1;
                patience_from = Instant::now();
                if failures >= TRIES {
                    left.end_all(&Fate::Unstored(error.to_string()));
                }
            }
            self.end_set_back(&mut left);
            if patience_from.elapsed() > self.limits.lease * 3 + PATIENCE {
                self.leave_in_hand(&mut left);
            }
            if self.stop.is_cancelled() {
                left.end_all(&Fate::Interrupted);
            }
            if left.objects.is_empty() {
                return left.ended;
            }
            let wait = if failures > 0 { backoff(failures - 1) } else { backoff(rounds).min(LOOK_AGAIN) };
            self.stop.run_until_cancelled(tokio::time::sleep(wait)).await;
            rounds += 1;
            if !left.in_hand.is_empty()
                && let Err(error) = self.succeed().await
            {
                tracing::warn!(%error, "a batch that was left behind was not stored; it is tried again");
                failures += 1;
                patience_from = Instant::now();
            }
        }
    }

    /// Tries each once: those that were set back alone, so that the others do not wait for them.
    async fn round(&self, left: &mut Left) -> Result<(), RoundError> {
        self.put_back(left).await?;
        let (alone, together): (Vec<_>, Vec<_>) =
            left.objects.keys().cloned().partition(|key| left.set_back.contains_key(key));
        let most = (together.len() >> left.splits.min(16)).max(1);
        let pieces: Vec<_> = together.chunks(most).chain(alone.chunks(1)).map(<[_]>::to_vec).collect();
        let mut failed = None;
        for piece in pieces {
            if self.stop.is_cancelled() {
                break;
            }
            if let Err(error) = self.store(left, &piece).await {
                failed = Some(error);
            }
        }
        failed.map_or(Ok(()), Err)
    }

    async fn store(&self, left: &mut Left, piece: &[ObjectKey]) -> Result<(), RoundError> {
        let objects = piece.iter().filter_map(|key| left.objects.get(key).cloned()).collect();
        let adopted = self.queue.adopt(objects, self.limits.lease, now()).await?;
        left.in_hand.retain(|key| !piece.contains(key));
        left.in_hand.extend(adopted.in_hand);
        adopted.duplicates.iter().for_each(|key| left.end(key, Fate::Resend));
        let Some(batch) = adopted.batch else { return Ok(()) };
        let outcome = self.consumer.settle(&batch).await;
        let keys: Vec<_> =
            batch.objects.iter().map(|object| object.notification.object_key.clone()).collect();
        if outcome == BatchOutcome::Stored {
            keys.iter().for_each(|key| left.end(key, Fate::Stored));
            return Ok(());
        }
        for (key, standing) in self.queue.standings(&keys).await? {
            note(left, key, standing);
        }
        match outcome {
            BatchOutcome::Stored | BatchOutcome::SetBack | BatchOutcome::PutOff => Ok(()),
            BatchOutcome::Split => {
                left.splits += 1;
                Ok(())
            }
            BatchOutcome::Failed | BatchOutcome::LeaseLost => Err(RoundError::Batch),
        }
    }

    /// Stores batches whose consumers have died: of an earlier run of this replay, it may be.
    async fn succeed(&self) -> Result<(), RoundError> {
        while !self.stop.is_cancelled() {
            let Some(batch) = self.queue.reclaim(self.limits, now()).await? else { break };
            match self.successor.settle(&batch).await {
                BatchOutcome::Stored => {}
                BatchOutcome::PutOff => break,
                _ => return Err(RoundError::Batch),
            }
        }
        Ok(())
    }

    async fn put_back(&self, left: &mut Left) -> Result<(), RoundError> {
        let Some(PutBack { folder, bucket }) = &self.put_back else { return Ok(()) };
        let objects =
            left.objects.values().filter(|object| !left.put_back.contains(&object.object_key)).cloned();
        let puts = objects.map(|object| async move {
            let put = bucket.put_back(&object, folder).await;
            (object.object_key, put)
        });
        let puts: Vec<_> = puts.collect();
        let puts: Vec<_> = stream::iter(puts).buffer_unordered(PUTS).collect().await;
        let mut failed = None;
        for (key, put) in puts {
            match put {
                Ok(()) => {
                    left.put_back.insert(key);
                }
                Err(ObjectError::Poison(reason)) => left.end(&key, Fate::Unreadable(reason)),
                Err(ObjectError::Transient(reason)) => failed = Some(RoundError::Bucket(reason)),
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// Gives those up that have been tried often enough.
    fn end_set_back(&self, left: &mut Left) {
        let hopeless: Vec<_> = left
            .set_back
            .iter()
            .filter(|(_, setback)| setback.tries >= if setback.is_its_own { POISON_TRIES } else { TRIES })
            .map(|(key, Setback { reason, is_its_own, .. })| {
                let reason = reason.clone();
                (key.clone(), if *is_its_own { Fate::Unreadable(reason) } else { Fate::Unstored(reason) })
            })
            .collect();
        hopeless.into_iter().for_each(|(key, fate)| left.end(&key, fate));
    }

    fn leave_in_hand(&self, left: &mut Left) {
        for key in left.in_hand.clone() {
            // A consumer stores it, and does not replace what is there.
            let fate = match self.force {
                true => Fate::Unstored("a consumer has had it in hand for too long".to_owned()),
                false => Fate::InHand,
            };
            left.end(&key, fate);
        }
    }
}

/// What the ledger says of an object whose batch was not stored.
fn note(left: &mut Left, key: ObjectKey, standing: Standing) {
    let Standing { state, reason, failures } = standing;
    if state == "duplicate" {
        left.end(&key, Fate::Resend);
        return;
    }
    let is_dead = matches!(state.as_str(), "dead" | "discarded");
    let Some(reason) = reason.filter(|_| is_dead || state == "pending") else { return };
    let tries = left.set_back.get(&key).map_or(0, |setback| setback.tries) + 1;
    left.set_back.insert(key, Setback { tries, reason, is_its_own: is_dead || failures > 0 });
}
