//! Which way notifications come, as far as their headers tell; and that the way has changed.
//!
//! Cloudflare promises no way for a Worker's requests to its own zone, and has changed it once without a word. The headers
//! with which a notification arrives are all that the origin sees of its way, so they are compared with those of before.

mod canaries;
mod fingerprint;
mod seen;

pub use canaries::Canaries;
pub use fingerprint::of;
pub use seen::{Carried, RouteChange, Routes, latest_change};
