//! A panic costs its own request, and no other.
//!
//! An isolate serves many requests at a time. Where the wasm is built to unwind, a panic ends at the request that it
//! happened in, as a fault of ours, and what other requests have in hand stays whole.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

use crate::ports::PortError;

/// Runs `future` to its end, or to its panic.
///
/// A future that panicked is not polled again. What it shares with other requests lies in `RefCell`s, whose guards are
/// given back by unwinding, and is right between any two of its statements; hence the assertion.
pub async fn guarded<F: Future>(future: F) -> Result<F::Output, PortError> {
    let mut future = pin!(future);
    std::future::poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
        Ok(poll) => poll.map(Ok),
        Err(panic) => Poll::Ready(Err(fault(panic.as_ref()))),
    })
    .await
}

fn fault(panic: &(dyn Any + Send)) -> PortError {
    let message = panic.downcast_ref::<&str>().copied();
    let message = message.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    PortError { what: "panic", detail: message.unwrap_or("without a message").to_owned() }
}
