//! A pass lists a minute again, later: an object can become visible late.

use std::time::Duration;

use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::{MINUTE, Sweep, SweepError};
use crate::failpoints;
use crate::queue::SweepMinute;
use crate::rounds::Rounds;
use crate::time::{after, now};

/// How long a minute stays with a sweeper that died.
const MINUTE_LEASE: Duration = Duration::from_secs(60);

/// All passes that are due, several minutes side by side.
pub(super) struct Passes<'s>(pub(super) &'s Sweep);

impl Rounds for Passes<'_> {
    const WHAT: &'static str = "a round of passes of the sweep";
    type Error = SweepError;

    async fn round(&mut self) -> Result<(), SweepError> {
        let Self(sweep) = *self;
        let first = sweep.config.pass(0).unwrap_or_default();
        let lookback = Duration::from_secs(sweep.config.lookback_seconds);
        sweep.queue.open_minutes(now(), lookback, first).await?;
        let sweepers = (0..sweep.config.listings).map(|_| async {
            while let Some(minute) = sweep.queue.claim_minute(now(), MINUTE_LEASE).await? {
                sweep.pass(&minute).await?;
            }
            Ok::<_, SweepError>(())
        });
        stream::iter(sweepers).buffer_unordered(sweep.config.listings).try_collect().await
    }
}

impl Sweep {
    async fn pass(&self, minute: &SweepMinute) -> Result<(), SweepError> {
        failpoints::pass("sweep::claimed");
        let began = now();
        let seen = self.list(minute.minute, after(minute.minute, MINUTE)).await?;
        failpoints::pass("sweep::listed");
        if seen.found > 0 {
            tracing::warn!(found = seen.found, minute = %minute.minute.date(), "a pass found objects that nobody had told of");
        }
        self.queue.note_listing(minute.minute, seen.by_tenant, began).await?;
        let end = after(minute.minute, MINUTE);
        let next = self.config.pass(minute.passes_done + 1).map(|pass| after(end, pass));
        if !self.queue.finish_minute(minute, next).await? {
            tracing::debug!(minute = %minute.minute.date(), "another sweeper has the minute by now");
        }
        Ok(())
    }
}
