//! Work that is done in rounds, some of it by one process at a time.

use std::fmt::Display;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use ulid::Ulid;

use crate::panics::caught;
use crate::queue::{Queue, QueueError};
use crate::time::{after, now, ticks};

/// Work that is done again and again.
pub(crate) trait Rounds: Send {
    /// What a round is called in the log.
    const WHAT: &'static str;
    /// Why one may fail.
    type Error: Display + Send;

    /// One of them.
    fn round(&mut self) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

/// Does a round at once, and then every `interval`, until `stop`. One that fails, or panics, costs no more than itself.
pub(crate) async fn repeat<R: Rounds>(rounds: &mut R, interval: Duration, stop: &CancellationToken) {
    let mut ticks = ticks(interval);
    let forever = async {
        loop {
            ticks.tick().await;
            if let Some(Err(error)) = caught(R::WHAT, rounds.round()).await {
                tracing::warn!(%error, "{} has failed; it goes on with the next one", R::WHAT);
            }
        }
    };
    stop.run_until_cancelled(forever).await;
}

/// Work that one process at a time does: whoever has the turn keeps it as long as it comes back for it.
pub(crate) struct Chore {
    name: &'static str,
    turn: Duration,
    queue: Arc<Queue>,
    holder: Ulid,
}

impl Chore {
    /// One that is done every `interval`: a turn lasts for three of them.
    pub(crate) fn new(name: &'static str, interval: Duration, queue: Arc<Queue>) -> Self {
        Self { name, turn: interval * 3, queue, holder: Ulid::generate() }
    }

    /// Whether it is this one's turn, from now on.
    pub(crate) async fn take(&self) -> Result<bool, QueueError> {
        let now = now();
        self.queue.hold_chore(self.name, self.holder, after(now, self.turn), now).await
    }

    /// Leaves it to others.
    pub(crate) async fn leave(&self) {
        if let Err(error) = self.queue.leave_chore(self.name, self.holder).await {
            tracing::debug!(%error, "others wait until the turn is over");
        }
    }
}
