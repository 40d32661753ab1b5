//! A look covers the last minutes: what is there, and was not notified, was missed.

use std::time::{Duration, Instant};

use spillway_proto::UnixMillis;

use super::clock::Clock;
use super::{MINUTE, Sweep, SweepError};
use crate::failpoints;
use crate::rounds::Rounds;
use crate::time::{after, before, minute_of, now};

/// How far a look goes back beyond the time that a notification may take.
const WINDOW: Duration = Duration::from_secs(60);

pub(super) struct Looks<'s> {
    sweep: &'s Sweep,
    clock: Clock,
    /// When the last one began that came to its end.
    looked: Option<Instant>,
}

impl<'s> Looks<'s> {
    pub(super) fn of(sweep: &'s Sweep) -> Self {
        Self { sweep, clock: Clock::started(), looked: None }
    }

    /// Lists the last minutes, as one of the sweepers. Returns how many objects were not known; nothing, where it is the turn
    /// of another one.
    async fn look(&self, now: UnixMillis, window: Duration) -> Result<Option<usize>, SweepError> {
        if !self.sweep.chore.take().await? {
            return Ok(None);
        }
        failpoints::pass("sweep::looking");
        let due_before = before(now, self.sweep.config.grace());
        let mut minute = minute_of(before(due_before, window));
        let mut found = 0;
        // A minute that cannot be listed in whole must not hide those after it.
        let mut failed = Ok(());
        while minute < due_before {
            match self.sweep.list(minute, due_before).await {
                Ok(seen) => {
                    found += seen.found;
                    self.sweep.queue.note_listing(minute, seen.by_tenant, now).await?;
                }
                Err(error) => failed = Err(error),
            }
            minute = after(minute, MINUTE);
        }
        failed?;
        self.sweep.metrics.looked(due_before);
        Ok(Some(found))
    }
}

impl Rounds for Looks<'_> {
    const WHAT: &'static str = "a look of the sweep";
    type Error = SweepError;

    async fn round(&mut self) -> Result<(), SweepError> {
        if let Some(jump_ms) = self.clock.jumped() {
            tracing::error!(
                jump_ms,
                "the clock was set: leases and passes may come early or late, and nothing is lost"
            );
        }
        // Farther back, the passes have come.
        let farthest = self.sweep.config.pass(0).unwrap_or_default() + MINUTE;
        let window = self.looked.map_or(farthest, |at| (at.elapsed() + WINDOW).min(farthest));
        let began = Instant::now();
        // Else another sweeper looks, or the one that this one takes the place of was to.
        if let Some(found) = self.look(now(), window).await? {
            self.looked = Some(began);
            if found > 0 {
                tracing::warn!(found, "objects had been stored without a notification");
            }
        }
        Ok(())
    }
}
