//! Step 5, its beginning: consumers insert nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use spillway_proto::UnixMillis;
use tokio::task::JoinHandle;

use super::catalog::mutations;
use super::command::{Rebuild, RebuildError};
use crate::insert::OUR_INSERTS;
use crate::queue::{Queue, QueueError};
use crate::time::{after, now};

/// How long inserts are paused, unless that is renewed: a run that was killed pauses nobody for longer.
const PAUSE: Duration = Duration::from_secs(30);
/// How often it is renewed.
const RENEWAL: Duration = Duration::from_secs(5);
/// Between two looks whether inserts that had begun have ended.
const LOOK: Duration = Duration::from_millis(100);
/// How long they may take.
const PATIENCE: Duration = Duration::from_secs(900);

/// A pause of the inserts. It ends soon after this is dropped.
pub(super) struct Pause {
    state: Option<Arc<State>>,
    renewal: Option<JoinHandle<()>>,
}

struct State {
    queue: Arc<Queue>,
    until_ms: AtomicU64,
    was_over: AtomicBool,
}

impl State {
    async fn renew(&self) -> Result<(), QueueError> {
        let now = now();
        if now.0 >= self.until_ms.load(Ordering::Relaxed) {
            // This process stood still: consumers may have inserted meanwhile.
            self.was_over.store(true, Ordering::Relaxed);
        }
        let until = after(now, PAUSE);
        self.queue.pause_inserts(until).await?;
        self.until_ms.store(until.0, Ordering::Relaxed);
        Ok(())
    }
}

impl Pause {
    /// Begins it. Without a ledger there is nobody to pause.
    pub(super) async fn begin(queue: Option<&Arc<Queue>>) -> Result<Self, RebuildError> {
        let Some(queue) = queue else { return Ok(Self { state: None, renewal: None }) };
        let until_ms = AtomicU64::new(after(now(), PAUSE).0);
        let state = Arc::new(State { queue: Arc::clone(queue), until_ms, was_over: AtomicBool::new(false) });
        state.renew().await?;
        let renewed = Arc::clone(&state);
        let renewal = tokio::spawn(async move {
            loop {
                tokio::time::sleep(RENEWAL).await;
                if let Err(error) = renewed.renew().await {
                    tracing::warn!(%error, "the pause of the inserts could not be renewed");
                }
            }
        });
        Ok(Self { state: Some(state), renewal: Some(renewal) })
    }

    /// Renews it. An error where it was over meanwhile.
    pub(super) async fn hold(&self) -> Result<(), RebuildError> {
        let Some(state) = &self.state else { return Ok(()) };
        state.renew().await?;
        match state.was_over.load(Ordering::Relaxed) {
            true => {
                Err(RebuildError::Unsettled("the pause of the inserts was over before its time".to_owned()))
            }
            false => Ok(()),
        }
    }

    /// Ends it.
    pub(super) async fn end(self) -> Result<(), RebuildError> {
        if let (Some(state), Some(renewal)) = (&self.state, &self.renewal) {
            renewal.abort();
            state.queue.resume_inserts(UnixMillis(state.until_ms.load(Ordering::Relaxed))).await?;
        }
        Ok(())
    }
}

impl Drop for Pause {
    fn drop(&mut self) {
        if let Some(renewal) = &self.renewal {
            renewal.abort();
        }
    }
}

impl Rebuild {
    /// Returns once no insert of a consumer is under way, and none can begin as long as the pause lasts.
    pub(super) async fn await_quiet(&self) -> Result<(), RebuildError> {
        let (began, mut is_told) = (Instant::now(), false);
        loop {
            self.server.go_on()?;
            let begun = match &self.queue {
                Some(queue) => queue.inserts_begun(now()).await?,
                None => 0,
            };
            // After the ledger: a batch that was given back may have left an insert behind, and a replay a deletion.
            let sql = format!("SELECT count() FROM system.processes WHERE {OUR_INSERTS}");
            let running: u64 = self.server.ask(&sql).fetch_one().await?;
            let mutations = mutations(&self.server, &self.names.table).await?;
            if begun + running + mutations == 0 {
                return Ok(());
            }
            if !is_told {
                self.progress.say(&format!(
                    "inserts are paused; {begun} batches, {running} inserts and {mutations} mutations are to end"
                ));
                is_told = true;
            }
            if began.elapsed() > PATIENCE {
                return Err(RebuildError::Unsettled(format!("inserts did not end within {PATIENCE:?}")));
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}
