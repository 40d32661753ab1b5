//! What every call from the Worker to something else has in common, and which handler a request goes to.
//!
//! Each thing that is called has a [`link::Link`]: a timeout, a retry policy and a circuit breaker. What happens where a
//! call fails all the same is written in one table in ARCHITECTURE.md, "When a call fails".

pub mod breaker;
pub mod link;
pub mod retry;
pub mod router;
