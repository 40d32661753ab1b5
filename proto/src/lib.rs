//! The contract between Spillway's edge and its consumer.
//!
//! Everything that both sides must agree on lives here, once: where an object lies ([`object_key`]), what it holds
//! ([`record`]), how the origin is told of it ([`notification`], [`signature`]), what a key is and may do ([`api_key`], [`key_record`]), and
//! which spans of a request are valid ([`otlp`]). The crate does no I/O, reads no clock and builds for wasm.

pub mod api_key;
mod generated;
pub mod ids;
pub mod key_record;
pub mod notification;
pub mod object_key;
pub mod otlp;
pub mod probe;
pub mod record;
pub mod signature;
pub mod trace_context;
pub mod usage;

pub use ids::{KeyId, ObjectId, ProjectId, Sha256Digest, TenantId, UnixMillis};
pub use object_key::ObjectKey;
