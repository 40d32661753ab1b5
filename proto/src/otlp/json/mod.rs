//! OTLP's JSON mapping, as exporters really write it, transcoded straight to protobuf:
//! <https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding>.
//!
//! More is read than the mapping allows: nulls for missing values, snake_case names, enum names, NaN as text or null, 64-bit
//! integers as numbers or text, integers beyond 64 bits (which become doubles), the names that scopes had before 2022. What is
//! wrong with a value costs no more than the value, and is noted as a [`Repair`](super::Repair); what is wrong with a span's id
//! costs the span. Only JSON that cannot be parsed, and lists of spans, scopes and resources that are none, make a request
//! malformed.
//!
//! The protobuf has each message's fields in ascending order without those that hold the default, as SDKs write it. It is never
//! much longer than the JSON, and no tree of either is built.

mod attributes;
mod error;
mod number;
mod reader;
mod span;
mod text;
mod transcoder;
mod writer;

pub use error::JsonError;
pub use transcoder::{Transcoded, transcode};

#[cfg(test)]
mod tests;
