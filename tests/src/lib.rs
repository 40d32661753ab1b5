//! What the end-to-end tests share: a stack of real parts for each test, and exports to send to it.

pub mod bucket;
pub mod export;
pub mod proxy;
pub mod rows;
pub mod stack;
