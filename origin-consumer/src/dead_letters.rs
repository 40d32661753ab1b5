//! Objects that were set aside are copied to `dlq/` in the bucket, each with its reason beside it, so that a lifecycle
//! rule for `v1/` does not take them away before somebody has looked.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use spillway_proto::ObjectKey;
use tokio_util::sync::CancellationToken;

use crate::failpoints;
use crate::objects::{Bucket, ObjectError};
use crate::queue::{DeadObject, Queue, QueueError};
use crate::rounds::{Chore, Rounds, repeat};

const INTERVAL: Duration = Duration::from_secs(10);
const OBJECTS: u32 = 100;
const FOLDER: &str = "dlq/";

/// Where the copy of an object lies.
pub fn copy_of(key: &ObjectKey) -> String {
    format!("{FOLDER}{key}")
}

/// Where its reason lies.
pub fn reason_of(key: &ObjectKey) -> String {
    format!("{FOLDER}{key}.json")
}

/// What is known of a dead object, as it lies beside its copy.
pub fn as_json(dead: &DeadObject) -> serde_json::Value {
    json!({
        "object_key": dead.notification.object_key,
        "tenant": dead.notification.tenant,
        "spans": dead.notification.object_key.spans(),
        "bytes": dead.notification.bytes,
        "received_at": dead.notification.received_at_unix_ms.date().to_rfc3339(),
        "dead_at": dead.dead_at.date().to_rfc3339(),
        "tries": dead.failures,
        "reason": dead.reason,
    })
}

/// A dead object could not be copied; it is tried again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CopyError {
    #[error("the queue: {0}")]
    Queue(#[from] QueueError),
    #[error("{0}")]
    Bucket(#[from] ObjectError),
}

/// Copies dead objects; one process at a time does it.
pub struct DeadLetters {
    queue: Arc<Queue>,
    bucket: Bucket,
    chore: Chore,
}

impl DeadLetters {
    /// One that does nothing yet.
    pub fn new(queue: Arc<Queue>, bucket: Bucket) -> Self {
        let chore = Chore::new("dead-letters", INTERVAL, Arc::clone(&queue));
        Self { queue, bucket, chore }
    }

    /// Copies until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        repeat(&mut self, INTERVAL, &stop).await;
        self.chore.leave().await;
    }
}

impl Rounds for DeadLetters {
    const WHAT: &'static str = "a round of copying to dlq/";
    type Error = CopyError;

    async fn round(&mut self) -> Result<(), CopyError> {
        if !self.chore.take().await? {
            return Ok(());
        }
        for dead in self.queue.uncopied(OBJECTS).await? {
            let key = &dead.notification.object_key;
            match self.bucket.copy(&key.to_string(), &copy_of(key)).await {
                Ok(()) => {}
                // There is nothing to copy; the reason says so.
                Err(ObjectError::Poison(_)) => {}
                Err(error) => return Err(error.into()),
            }
            failpoints::pass("dead_letters::copied");
            let reason = Bytes::from(as_json(&dead).to_string());
            self.bucket.put(&reason_of(key), reason, "application/json").await?;
            self.queue.copied(key).await?;
        }
        Ok(())
    }
}
