//! What the end-to-end tests share: a stack of real parts for each test, and exports to send to it.

pub mod batch;
pub mod bucket;
pub mod cloudflare;
pub mod cloudflare_queue;
pub mod command;
pub mod document;
pub mod export;
pub mod faults;
pub mod first_version;
mod forward;
pub mod http2_front;
pub mod lone_edge;
pub mod lone_origin;
pub mod metrics;
pub mod neighbour;
pub mod notification;
pub mod old_table;
pub mod proxy;
pub mod raw;
pub mod rebuild;
pub mod replay;
pub mod rows;
pub mod stack;
pub mod verifier;
