//! Step s: look through R2 for objects that the ledger does not know, because nobody was told of them.
//!
//! A first look comes soon after the objects, and covers the last minutes again and again: what it finds was not
//! notified. Passes over each minute follow, the last of them after a day, since an object can become visible late. Several
//! sweepers share the minutes by leases in the ledger.

mod clock;
mod config;
mod listing;
mod looks;
mod passes;

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

pub use config::SweepConfig;

use crate::metrics::Metrics;
use crate::objects::{ObjectError, Objects};
use crate::queue::{Queue, QueueError};
use crate::rounds::{Chore, repeat};
use looks::Looks;
use passes::Passes;

const MINUTE: Duration = Duration::from_secs(60);

/// A minute could not be listed in whole; it is listed again.
#[derive(Debug, thiserror::Error)]
enum SweepError {
    #[error("{0}")]
    Bucket(#[from] ObjectError),
    #[error("the queue: {0}")]
    Queue(#[from] QueueError),
    #[error("the queue is full (queue.max_pending); what was found waits in the bucket")]
    Full,
}

/// The sweep.
pub struct Sweep {
    config: SweepConfig,
    queue: Arc<Queue>,
    objects: Objects,
    metrics: Arc<Metrics>,
    /// The looks: whose turn it is.
    chore: Chore,
}

impl Sweep {
    /// A sweep that does nothing yet.
    pub fn new(config: SweepConfig, queue: Arc<Queue>, objects: Objects, metrics: Arc<Metrics>) -> Self {
        let chore = Chore::new("look", config.interval(), Arc::clone(&queue));
        Self { config, queue, objects, metrics, chore }
    }

    /// Looks and makes passes until `stop`. The looks do not wait for the passes: after an outage there are many.
    pub async fn run(self, stop: CancellationToken) {
        let interval = self.config.interval();
        let (mut looks, mut passes) = (Looks::of(&self), Passes(&self));
        tokio::join!(repeat(&mut looks, interval, &stop), repeat(&mut passes, interval, &stop));
        self.chore.leave().await;
    }
}
