//! When each step of a request began and ended: for its log line, and for its spans.

use std::cell::RefCell;

use spillway_proto::UnixMillis;

use crate::ports::Runtime;

/// A step that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Its name: that of its module.
    pub name: &'static str,
    /// When it began. A Worker's clock moves with I/O only: work between is in the next step that waits.
    pub began: UnixMillis,
    /// When it ended.
    pub ended: UnixMillis,
    /// Whether it ended the request.
    pub failed: bool,
}

impl Step {
    /// How long it took.
    pub fn millis(&self) -> u64 {
        self.ended.0.saturating_sub(self.began.0)
    }
}

/// The steps of a request, as they end.
#[derive(Debug, Default)]
pub struct Steps(RefCell<Vec<Step>>);

impl Steps {
    /// Does `work` as the step `name`.
    pub async fn step<T, E>(
        &self,
        name: &'static str,
        runtime: &impl Runtime,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let began = runtime.now();
        let done = work.await;
        self.0.borrow_mut().push(Step { name, began, ended: runtime.now(), failed: done.is_err() });
        done
    }

    /// All that have ended.
    pub fn into_vec(self) -> Vec<Step> {
        self.0.into_inner()
    }
}
