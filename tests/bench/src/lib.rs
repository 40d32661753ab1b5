//! What the benchmarks have in common.

pub mod cpu;
pub mod objects;
pub mod payloads;
