//! Tasks that go on when they are told to, up to their next step. Between two steps one can crash or stand still.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use spillway_proto::UnixMillis;

/// Where a task may stop for ever.
#[derive(Default)]
pub struct Steps(Cell<bool>);

impl Steps {
    /// Lets the others go on.
    pub async fn step(&self) {
        let mut was_here = false;
        poll_fn(|_| {
            if was_here {
                return Poll::Ready(());
            }
            was_here = true;
            self.0.set(true);
            Poll::Pending
        })
        .await;
    }
}

/// A process that is at work, or was.
pub struct Task<'w> {
    work: Pin<Box<dyn Future<Output = ()> + 'w>>,
    pub paused_until: UnixMillis,
}

impl<'w> Task<'w> {
    pub fn new(work: impl Future<Output = ()> + 'w) -> Self {
        Self { work: Box::pin(work), paused_until: UnixMillis(0) }
    }

    /// Goes on to the next step; true at its end. What the ledger does meanwhile is waited for.
    pub async fn go_on(&mut self, steps: &Steps) -> bool {
        steps.0.set(false);
        poll_fn(|context| match self.work.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(true),
            Poll::Pending if steps.0.get() => Poll::Ready(false),
            Poll::Pending => Poll::Pending,
        })
        .await
    }
}
