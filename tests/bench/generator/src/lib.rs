//! Seeded spans of three shapes, in requests as exporters send them and in objects as the edge stores them.

pub mod objects;
pub mod order;
pub mod payloads;
mod shapes;
pub mod written;
