//! The Worker's clock and randomness.

use std::time::Duration;

use spillway_proto::UnixMillis;
use worker::{Date, Delay};

use crate::ports::Runtime;

pub(super) struct WorkerRuntime;

impl Runtime for WorkerRuntime {
    fn now(&self) -> UnixMillis {
        UnixMillis(Date::now().as_millis())
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        // The runtime's crypto.getRandomValues fails for requests over 64 KiB only; ids are tiny.
        #[expect(
            clippy::expect_used,
            reason = "it cannot fail for so few bytes, and an id must never be guessable"
        )]
        getrandom::fill(bytes).expect("the Workers runtime has randomness");
    }

    async fn sleep(&self, duration: Duration) {
        Delay::from(duration).await;
    }
}
