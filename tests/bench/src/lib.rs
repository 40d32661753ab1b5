//! What the benchmarks have in common.

pub mod cpu;
pub mod figures;
pub mod objects;
pub mod payloads;
