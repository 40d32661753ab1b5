//! What the benchmarks have in common.

pub mod consumers;
pub mod cpu;
pub mod figures;
pub mod ledgers;
pub mod machine;
pub mod memory;
pub mod merges;
pub mod rig;
pub mod send;
pub mod server_rows;
pub mod variants;
pub mod workload;
