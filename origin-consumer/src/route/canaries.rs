//! The edge's canaries: when the last one was sent, and which of them are stored.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use spillway_proto::ObjectKey;
use spillway_proto::UnixMillis;
use spillway_proto::probe::RouteProbe;

use crate::queue::{Queue, QueueError};

/// Canaries that are waited for; one comes a minute, and older ones tell nothing that newer ones do not.
const MOST: usize = 120;

/// Those that this origin has heard of.
#[derive(Debug, Default)]
pub struct Canaries {
    waiting: Mutex<VecDeque<ObjectKey>>,
    sent_at: Mutex<Option<UnixMillis>>,
}

impl Canaries {
    /// A probe of the canary's has come.
    pub(crate) fn heard(&self, probe: RouteProbe) {
        if let Some(key) = probe.object_key {
            let mut waiting = lock(&self.waiting);
            waiting.push_back(key);
            if waiting.len() > MOST {
                waiting.pop_front();
            }
        }
        let mut sent_at = lock(&self.sent_at);
        *sent_at = (*sent_at).max(Some(probe.sent_at_unix_ms));
    }

    /// Tells the ledger of those that were heard of and of those that are stored.
    pub(crate) async fn settle(&self, queue: &Queue) -> Result<(), QueueError> {
        let waiting: Vec<_> = lock(&self.waiting).iter().cloned().collect();
        let standings = queue.standings(&waiting).await?;
        let is_stored = |key: &ObjectKey| {
            standings
                .get(key)
                .is_some_and(|standing| ["stored", "audited", "expired"].contains(&standing.state.as_str()))
        };
        let stored_at = waiting.iter().filter(|key| is_stored(key)).map(ObjectKey::received_at).max();
        let sent_at = *lock(&self.sent_at);
        if sent_at.is_some() || stored_at.is_some() {
            queue.note_canary(sent_at, stored_at).await?;
        }
        lock(&self.waiting).retain(|key| !is_stored(key));
        let mut still = lock(&self.sent_at);
        if *still == sent_at {
            *still = None;
        }
        Ok(())
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
