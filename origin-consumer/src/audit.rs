//! After the acknowledgement: what was stored is looked for once more, later; then the bucket may forget it, and at last
//! the ledger.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use spillway_proto::{ObjectKey, UnixMillis};
use tokio_util::sync::CancellationToken;

use crate::config::{ConfigError, in_range, wrong};
use crate::failpoints;
use crate::insert::{SpanTable, TableError, hash_of_rows};
use crate::metrics::Metrics;
use crate::objects::{Bucket, ObjectError};
use crate::queue::{Audited, Finding, Queue, QueueError};
use crate::rounds::{Chore, Rounds, repeat};
use crate::sweep::SweepConfig;
use crate::time::{before, now};

const INTERVAL: Duration = Duration::from_secs(10);
/// Objects of one question to ClickHouse, or of one deletion.
const OBJECTS: u32 = 1000;
/// Rounds of one call: between two, another process may take over.
const ROUNDS: usize = 100;
const DAY: u64 = 86_400;

/// `[audit]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuditConfig {
    /// How long after its acknowledgement an object is audited, in seconds.
    pub after_seconds: u64,
    /// Audited objects are deleted from the bucket so many days after they were received. 0: never; a lifecycle rule of
    /// the bucket may do it. Wants a token that may delete.
    pub delete_after_days: u64,
    /// The ledger forgets objects so many days after they were received. What is older is looked for in ClickHouse before
    /// it is stored again.
    pub ledger_days: u64,
}

impl Default for AuditConfig {
    fn default() -> Self {
        Self { after_seconds: 900, delete_after_days: 0, ledger_days: 31 }
    }
}

impl AuditConfig {
    pub(crate) fn check(&self, sweep: &SweepConfig) -> Result<(), ConfigError> {
        in_range("audit.after_seconds", self.after_seconds, 0..=7 * DAY)?;
        in_range("audit.delete_after_days", self.delete_after_days, 0..=3650)?;
        in_range("audit.ledger_days", self.ledger_days, 1..=3650)?;
        // A sweep must not find what the ledger has forgotten, and must find what it still has to count.
        let last_pass_days = sweep.last_pass().as_secs() / DAY + 1;
        if self.ledger_days <= last_pass_days {
            let expected = format!("more than {last_pass_days}, the days until the last pass of the sweep");
            return Err(wrong("audit.ledger_days", expected, self.ledger_days.to_string()));
        }
        if self.delete_after_days > 0 && self.delete_after_days <= last_pass_days {
            let expected =
                format!("0, or more than {last_pass_days}, the days until the last pass of the sweep");
            return Err(wrong("audit.delete_after_days", expected, self.delete_after_days.to_string()));
        }
        Ok(())
    }

    fn after(&self) -> Duration {
        Duration::from_secs(self.after_seconds)
    }
}

/// A round of the audit did not come to its end; the next one goes on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AuditError {
    #[error("the queue: {0}")]
    Queue(#[from] QueueError),
    #[error("{0}")]
    Table(#[from] TableError),
    #[error("{0}")]
    Bucket(#[from] ObjectError),
}

/// The audit; one process at a time does it.
pub struct Audit {
    config: AuditConfig,
    queue: Arc<Queue>,
    table: SpanTable,
    bucket: Bucket,
    metrics: Arc<Metrics>,
    chore: Chore,
}

impl Audit {
    /// An audit that does nothing yet.
    pub fn new(
        config: AuditConfig,
        queue: Arc<Queue>,
        table: SpanTable,
        bucket: Bucket,
        metrics: Arc<Metrics>,
    ) -> Self {
        let chore = Chore::new("audit", INTERVAL, Arc::clone(&queue));
        Self { config, queue, table, bucket, metrics, chore }
    }

    /// Audits until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        repeat(&mut self, INTERVAL, &stop).await;
        self.chore.leave().await;
    }

    /// Compares what ClickHouse shows of some objects with their names.
    async fn audit(&self, now: UnixMillis) -> Result<usize, AuditError> {
        let until = before(now, self.config.after());
        let due = self.queue.due_for_audit(until, OBJECTS).await?;
        if due.is_empty() {
            return Ok(0);
        }
        let keys: Vec<_> = due.iter().map(|audited| audited.object_key.clone()).collect();
        let there = self.table.audit(&keys).await?;
        failpoints::pass("audit::asked");
        let found = due.iter().map(|audited| {
            let finding = finding(audited, &there);
            if finding != Finding::Whole {
                let (rows, _) = there.get(&audited.object_key).copied().unwrap_or_default();
                tracing::error!(
                    object = %audited.object_key, batch = audited.batch_id, rows, ?finding,
                    "an object that was acknowledged is not in ClickHouse as it should be"
                );
            }
            self.metrics.audited(finding);
            (audited.object_key.clone(), finding)
        });
        let found = found.collect();
        // What is doubled stays so until somebody has looked.
        let again_after = self.config.after() + Duration::from_secs(3600);
        self.queue.note_audit(found, until, again_after, now).await?;
        Ok(due.len())
    }

    async fn delete(&self, now: UnixMillis) -> Result<usize, AuditError> {
        if self.config.delete_after_days == 0 {
            return Ok(0);
        }
        let received_before = before(now, Duration::from_secs(self.config.delete_after_days * DAY));
        let keys = self.queue.due_for_expiry(received_before, OBJECTS).await?;
        if !keys.is_empty() {
            let texts: Vec<_> = keys.iter().map(ObjectKey::to_string).collect();
            self.bucket.delete(&texts).await?;
            self.metrics.expired(keys.len());
        }
        let deleted = keys.len();
        self.queue.expired(keys, now).await?;
        Ok(deleted)
    }

    async fn forget(&self, now: UnixMillis) -> Result<usize, AuditError> {
        let received_before = before(now, Duration::from_secs(self.config.ledger_days * DAY));
        Ok(self.queue.forget(received_before, OBJECTS).await? as usize)
    }
}

impl Rounds for Audit {
    const WHAT: &'static str = "a round of the audit";
    type Error = AuditError;

    async fn round(&mut self) -> Result<(), AuditError> {
        for _ in 0..ROUNDS {
            if !self.chore.take().await? {
                return Ok(());
            }
            let now = now();
            self.queue.release_forgotten().await?;
            let audited = self.audit(now).await?;
            let deleted = self.delete(now).await?;
            let forgotten = self.forget(now).await?;
            if audited + deleted + forgotten == 0 {
                return Ok(());
            }
        }
        Ok(())
    }
}

/// `there`: how many rows ClickHouse shows of each object, and the sum of the hashes of their numbers.
fn finding(audited: &Audited, there: &HashMap<ObjectKey, (u64, u64)>) -> Finding {
    let key = &audited.object_key;
    let (expected, hash) = audited.rows.unwrap_or_else(|| (key.spans().into(), hash_of_rows(0..key.spans())));
    let (rows, hash_there) = there.get(key).copied().unwrap_or_default();
    match rows.cmp(&expected) {
        Ordering::Less => Finding::Short,
        Ordering::Equal if hash_there == hash => Finding::Whole,
        Ordering::Equal | Ordering::Greater => Finding::Doubled,
    }
}
