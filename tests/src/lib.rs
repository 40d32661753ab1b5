//! What the end-to-end tests share: a stack of real parts for each test, and exports to send to it.

pub mod bucket;
pub mod export;
pub mod metrics;
pub mod notification;
pub mod stack;
