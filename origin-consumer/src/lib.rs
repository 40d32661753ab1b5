#![doc = include_str!("../../ARCHITECTURE.md")]
//!
//! # This crate
//!
//! The origin ([`http`]) takes notifications into the [`queue`]; the consumer ([`consume`]) brings the objects that
//! they name into ClickHouse, in the steps that the picture above letters. Beside them, [`keys`] is what an operator manages
//! the edge's keys with.

pub mod audit;
pub mod clickhouse;
pub mod cloudflare;
pub mod config;
pub mod consume;
pub mod dead_letters;
pub mod dlq;
pub mod doctor;
pub mod engine;
pub mod failpoints;
pub mod fetch;
pub mod http;
pub mod insert;
pub mod intake;
pub mod keys;
pub mod meter;
pub mod metrics;
pub mod migrate;
pub mod objects;
mod output;
mod panics;
pub mod queue;
pub mod queue_pull;
pub mod rebuild;
pub mod replay;
mod retry;
mod rounds;
pub mod route;
pub mod serve;
pub mod shutdown;
pub mod sweep;
pub mod telemetry;
mod time;
pub mod tls;

/// What programs that decode take their memory from.
pub type Allocator = mimalloc::MiMalloc;
/// For `#[global_allocator]`.
pub const ALLOCATOR: Allocator = mimalloc::MiMalloc;
