//! The queue and the ledger, in one store: SQLite or PostgreSQL, chosen by URL, with the same schema and the same
//! statements.
//!
//! An object comes in with its notification, or because the sweep found it; it waits, is taken into a batch (a manifest
//! under a lease), and ends as stored, or as dead with a reason. Nothing is ever deleted from here in silence.

mod audit;
mod batches;
mod config;
mod dead;
mod executor;
mod intake;
mod lease;
mod meter;
mod postgres;
mod resends;
mod routes;
mod session;
mod sqlite;
mod standing;
mod store;
mod sweeps;

use std::sync::Arc;
use std::time::Duration;

use spillway_proto::UnixMillis;
use spillway_proto::notification::Notification;
use tokio::sync::Notify;
use ulid::Ulid;

pub use audit::{Audited, Finding};
pub use batches::{Adopted, Batch, Claim, ClaimLimits, Claimed, Fault, Setback, Spared, StoredRows};
pub use config::QueueConfig;
pub use dead::{DeadFilter, DeadObject};
pub use intake::{Enqueued, Source};
pub use lease::Lease;
pub use meter::{Depth, IntakeCount, MinuteCounts, Missing};
pub use routes::{KnownRoute, RouteCount, RouteStep, TracedObject};
pub use standing::Standing;
pub use sweeps::{Listed, SweepMinute};

use intake::Intake;
use store::Store;

/// The queue failed. The notification or the lease in hand is not lost: the work is done again.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The database refused, or is away. What was asked may have been done all the same.
    #[error("{0}")]
    Store(String),
    /// Another transaction was in the way, each time.
    #[error("other transactions were in the way")]
    Conflict,
    /// A row does not hold what was put there.
    #[error("the ledger holds something unreadable: {0}")]
    Unreadable(String),
    /// What ran in the transaction did not end well; its bug has been logged.
    #[error("a transaction panicked")]
    Panicked,
    /// The threads of the queue have ended.
    #[error("the queue is closed")]
    Closed,
    /// The URL is of no database that is known here.
    #[error("not a URL of the form sqlite:PATH or postgres://USER:PASSWORD@HOST/DATABASE")]
    Url,
    /// The store was written by another version of this program.
    #[error(
        "its schema is {found}, this program reads {}; give it another file or database, and the sweep fills that one",
        store::SCHEMA_VERSION
    )]
    Version {
        /// The store's.
        found: u64,
    },
    /// A thread could not be started.
    #[error("cannot start a thread: {0}")]
    Thread(#[source] std::io::Error),
    /// Another consumer holds the batch by now.
    #[error("the lease on batch {0} is lost")]
    LeaseLost(Ulid),
    /// `rebuild-table` has paused inserts, at most until then.
    #[error("inserts are paused until {}", .0.date().to_rfc3339())]
    Paused(UnixMillis),
}

impl QueueError {
    /// Whether the next transaction would meet the same.
    fn is_of_the_store(&self) -> bool {
        matches!(self, Self::Store(_) | Self::Closed)
    }
}

/// No lease and no wait is that long: one that ends later was given by a clock that has been set back since.
const LONGEST_LEASE: Duration = Duration::from_secs(2 * 3600);

/// Leases and waits that end after this count as over.
fn too_far(now: UnixMillis) -> UnixMillis {
    crate::time::after(now, LONGEST_LEASE)
}

/// The queue; cheap to share.
pub struct Queue {
    store: Store,
    intake: Intake,
    arrived: Arc<Notify>,
}

impl Queue {
    /// Opens the queue, and makes it where it is missing. Must be called within a tokio runtime.
    pub async fn open(config: &QueueConfig) -> Result<Self, QueueError> {
        let store = Store::open(config, crate::time::now()).await?;
        let arrived = Arc::new(Notify::new());
        let intake = Intake::start(store.clone(), config, Arc::clone(&arrived));
        Ok(Self { store, intake, arrived })
    }

    /// A queue in memory that ends with this process: for work whose whole state is elsewhere.
    pub async fn in_memory(resend_window_seconds: u64) -> Result<Self, QueueError> {
        let config = QueueConfig::in_memory(resend_window_seconds);
        Self::open(&config).await
    }

    /// An exporter's resend is received within this time after the request, in milliseconds; 0: nothing is taken for one.
    pub(crate) fn resend_window_ms(&self) -> u64 {
        self.intake.resend_window_ms()
    }

    /// Returns when an object came in through this process, or after `at_most`.
    pub async fn wait(&self, at_most: Duration) {
        let _ = tokio::time::timeout(at_most, self.arrived.notified()).await;
    }

    /// Takes an object in that was notified. Durable when it returns.
    pub async fn enqueue(&self, notification: Notification, now: UnixMillis) -> Result<Enqueued, QueueError> {
        self.intake.enqueue(notification, now).await
    }

    /// Takes objects in that the sweep has found; what became of each, in their order.
    pub async fn sweep_in(
        &self,
        found: Vec<Notification>,
        now: UnixMillis,
    ) -> Result<Vec<Enqueued>, QueueError> {
        self.intake.take_all(found, Source::Swept, now).await
    }
}
