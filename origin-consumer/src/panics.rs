//! A round of work that panics costs itself, and not the rounds after it.

use std::future::Future;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;

/// The outcome of `round`; none where it has panicked. What rounds share must bear that.
pub(crate) async fn caught<T>(what: &'static str, round: impl Future<Output = T>) -> Option<T> {
    let done = AssertUnwindSafe(round).catch_unwind().await;
    done.map_err(|_| tracing::error!("{what} panicked; it goes on with the next round")).ok()
}

#[cfg(test)]
mod tests {
    use super::caught;

    #[tokio::test]
    async fn a_panic_is_no_more_than_a_round_without_an_outcome() {
        assert_eq!(caught("a test", async { 1 }).await, Some(1));
        assert_eq!(caught("a test", async { panic!("on purpose") }).await, None::<()>);
    }
}
