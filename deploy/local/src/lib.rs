//! The real parts of Spillway on one machine: the ClickHouse engine, the Worker in workerd with its R2, KV and Durable
//! Objects, the origin and the consumer; and PostgreSQL, for tests.
//!
//! `make run` and the end-to-end tests start them in this one way: on free ports of loopback, in a folder of their own,
//! with readiness awaited. Every part ends with the process that started it, however that ends: it holds the other end
//! of a pipe whose closing is their signal.

pub mod command;
pub mod demo;
mod descendants;
pub mod edge;
pub mod engine;
pub mod http;
pub mod keys;
pub mod origin;
pub mod ports;
pub mod postgres;
pub mod process;
pub mod stack;
pub mod tools;
pub mod trace_tree;
