//! While something that every batch needs is away, no new batches are made: those in hand are tried again, and tell when
//! it is back. So an outage leaves few batches behind, and they are large.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::time::backoff;

/// What the workers of a process know of it.
#[derive(Debug, Default)]
pub(super) struct Outage(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    failures: u32,
    until: Option<Instant>,
}

impl Outage {
    /// A batch has failed, and not by its own fault. Returns how long to wait.
    pub(super) fn failed(&self, now: Instant) -> Duration {
        let mut state = self.state();
        let wait = backoff(state.failures);
        state.failures = state.failures.saturating_add(1);
        state.until = Some(now + wait);
        wait
    }

    /// Nothing has failed, and nothing new is to be begun before `until`.
    pub(super) fn put_off(&self, until: Instant) {
        let mut state = self.state();
        state.until = Some(state.until.map_or(until, |other| other.max(until)));
    }

    /// A batch was stored.
    pub(super) fn over(&self) {
        *self.state() = State::default();
    }

    /// Whether to wait before a new batch is tried.
    pub(super) fn is_on(&self, now: Instant) -> bool {
        self.state().until.is_some_and(|until| now < until)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_makes_the_wait_longer_and_a_success_ends_it() {
        let (outage, now) = (Outage::default(), Instant::now());
        assert!(!outage.is_on(now));
        let (first, second) = (outage.failed(now), outage.failed(now));
        assert!(first < second);
        assert!(outage.is_on(now) && !outage.is_on(now + second));
        for _ in 0..100 {
            outage.failed(now);
        }
        assert!(outage.failed(now) <= Duration::from_secs(30));
        outage.over();
        assert!(!outage.is_on(now));
    }
}
