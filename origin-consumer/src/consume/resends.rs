//! What a batch's objects hold of requests that other objects hold as well: it is stored once.
//!
//! The ledger names the objects of a request that came before a resend. A ledger that may not know all that was stored is not
//! enough: for its batches, the table is asked which other objects of the same requests it has.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use spillway_decode::stored::{StoredElsewhere, ValidSpans};
use spillway_proto::ObjectKey;
use spillway_proto::notification::Notification;
use spillway_proto::otlp::RulesVersion;
use spillway_proto::record::{ObjectRecord, records_of};

use super::{BatchError, Consumer};
use crate::insert::{SpanSink, same_requests};
use crate::objects::ObjectError;
use crate::queue::{Batch, Fault, Setback};

/// The spans of a batch's objects that other objects hold.
#[derive(Default)]
pub(super) struct Elsewhere(HashMap<ObjectKey, Shared>);

/// The spans of an object that others hold.
struct Shared {
    spans: StoredElsewhere,
    /// One of the others.
    holder: ObjectKey,
}

impl Elsewhere {
    /// The spans of an object that others hold, and one of those others.
    pub(super) fn of(&self, object: &ObjectKey) -> (Option<&StoredElsewhere>, Option<&ObjectKey>) {
        let shared = self.0.get(object);
        (shared.map(|shared| &shared.spans), shared.map(|shared| &shared.holder))
    }

    fn share(&mut self, object: &ObjectKey, holder: &ObjectKey) -> &mut StoredElsewhere {
        let shared = self
            .0
            .entry(object.clone())
            .or_insert_with(|| Shared { spans: StoredElsewhere::default(), holder: holder.clone() });
        &mut shared.spans
    }
}

/// An object that shares its request with another.
struct Pair<'b> {
    object: &'b Notification,
    other: ObjectKey,
    /// The table has rows of the other; what the ledger knows of, it will have.
    is_in_table: bool,
}

impl Consumer {
    /// What other objects hold of the requests of these. Those that cannot be told are set back.
    pub(super) async fn elsewhere(
        &self,
        batch: &Batch,
        fetched: &[(Notification, Bytes)],
    ) -> Result<Elsewhere, BatchError> {
        let pairs = self.pairs(batch).await?;
        let (mut elsewhere, mut setbacks) = (Elsewhere::default(), Vec::new());
        let mut read = HashMap::new();
        for pair in &pairs {
            let Some((_, bytes)) =
                fetched.iter().find(|(object, _)| object.object_key == pair.object.object_key)
            else {
                continue;
            };
            match self.share(pair, bytes, batch, &mut read, &mut elsewhere).await {
                Ok(()) => {}
                Err(BatchError::Objects(of_pair)) => setbacks.extend(of_pair),
                Err(error) => return Err(error),
            }
        }
        self.spare(batch, setbacks).await?;
        Ok(elsewhere)
    }

    async fn pairs<'b>(&self, batch: &'b Batch) -> Result<Vec<Pair<'b>>, BatchError> {
        let mut pairs = Vec::new();
        for object in &batch.objects {
            pairs.extend(object.predecessors.iter().map(|other| Pair {
                object: &object.notification,
                other: other.clone(),
                is_in_table: false,
            }));
        }
        let window_ms = self.queue.resend_window_ms();
        if batch.look_first && !self.replaces && window_ms > 0 {
            // What is being inserted is seen when it is there.
            self.table.await_inserts().await?;
            let objects: Vec<_> = batch.objects.iter().map(|object| object.notification.clone()).collect();
            for (key, other) in same_requests(&self.table, &objects, window_ms).await? {
                let object = batch.objects.iter().find(|object| object.notification.object_key == key);
                pairs.extend(object.map(|object| Pair {
                    object: &object.notification,
                    other,
                    is_in_table: true,
                }));
            }
        }
        Ok(pairs)
    }

    async fn share(
        &self,
        pair: &Pair<'_>,
        bytes: &Bytes,
        batch: &Batch,
        read: &mut HashMap<ObjectKey, Result<Arc<ValidSpans>, String>>,
        elsewhere: &mut Elsewhere,
    ) -> Result<(), BatchError> {
        let Pair { object, other, is_in_table } = pair;
        let key = &object.object_key;
        let spans = match read.entry(other.clone()) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(self.valid_spans(other).await?),
        };
        let own = records_of(bytes.clone()).unwrap_or_default();
        let positions = match spans {
            // Requests of two projects are not the same, though Spillway 0.1 took them for it.
            Ok(spans) if own.iter().any(|record| record.project != spans.project) => return Ok(()),
            Ok(spans) if *is_in_table => spans.of_rows(&self.table.row_numbers(other).await?),
            Ok(spans) => spans.positions.iter().copied().collect(),
            Err(reason) => match self.positions_by_rows(object, bytes, &own, other).await? {
                Some(positions) => positions,
                None => {
                    let reason = format!("{other} is of the same request, and cannot be read: {reason}");
                    let setback = Setback { object_key: key.clone(), fault: Fault::Poison, reason };
                    return Err(BatchError::Objects(vec![setback]));
                }
            },
        };
        let shared = elsewhere.share(key, other);
        shared.positions.extend(positions);
        if batch.look_first && shared.here.is_empty() {
            shared.here = self.table.row_numbers(key).await?;
        }
        Ok(())
    }

    /// What another object holds of a request, where it is in the bucket no more: its rows are in the table, and tell the
    /// positions of their spans, if both objects number their rows alike.
    async fn positions_by_rows(
        &self,
        object: &Notification,
        bytes: &Bytes,
        records: &[ObjectRecord],
        other: &ObjectKey,
    ) -> Result<Option<HashSet<u32>>, BatchError> {
        let key = &object.object_key;
        if other.object_id() != key.object_id() {
            return Ok(None);
        }
        let rows = self.table.row_numbers(other).await?;
        let counts_valid = records.iter().any(|record| record.rules == RulesVersion::V1);
        match ValidSpans::of(bytes.clone(), self.config.decompress_limits()) {
            Ok(spans) if !counts_valid || other.spans() == key.spans() => Ok(Some(spans.of_rows(&rows))),
            _ => Ok(None),
        }
    }

    /// The spans of another object; or why it cannot be read, now or ever.
    async fn valid_spans(&self, key: &ObjectKey) -> Result<Result<Arc<ValidSpans>, String>, BatchError> {
        let bytes = async { self.objects.fetch(&self.objects.describe(key).await?).await };
        let bytes = match bytes.await {
            Ok(bytes) => bytes,
            Err(ObjectError::Poison(reason)) => return Ok(Err(reason)),
            Err(ObjectError::Transient(reason)) => return Err(BatchError::Transient(reason)),
        };
        let limits = self.config.decompress_limits();
        let spans = tokio::task::spawn_blocking(move || ValidSpans::of(bytes, limits)).await;
        let spans = spans.map_err(|error| BatchError::Transient(format!("decoding: {error}")))?;
        Ok(spans.map(Arc::new).map_err(|error| error.to_string()))
    }
}
