//! Spillway's edge.
//!
//! Reads OTLP/HTTP trace exports, decides whether they may be stored, puts them into R2, answers the exporter, and
//! tells the origin. [`ingest`] is the pipeline; its modules are named after its steps, in the order in which a request
//! meets them. None of it knows Cloudflare: it works on the [`ports`], whose implementations for a Worker are in
//! `adapters`, which is compiled for wasm only.

pub mod allowance;
pub mod auth;
pub mod background;
pub mod body_budget;
pub mod canary;
pub mod config;
pub mod cors;
pub mod discard;
pub mod grpc;
pub mod guard;
pub mod ingest;
pub mod isolate;
pub mod key_cache;
pub mod mesh;
pub mod notify;
pub mod operator;
pub mod payload;
pub mod ports;
pub mod probe;
pub mod quota;
pub mod rate_limit;
pub mod reject;
pub mod request;
pub mod response;
pub mod shown;
mod signed_request;
pub mod steps;
pub mod store;
pub mod telemetry;
pub mod usage;

#[cfg(target_arch = "wasm32")]
mod adapters;
