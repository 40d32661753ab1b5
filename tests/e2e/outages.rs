//! Something that Spillway needs is away for a while: exporters are answered as ever, the memory and the batches that are
//! open stay few, and all is well when it is back, without a hand.

mod bench;
mod bucket;
mod clickhouse;
mod clock;
mod deadly;
mod disk;
