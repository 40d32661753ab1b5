//! What every call from the Worker to something else has in common.

pub mod retry;
