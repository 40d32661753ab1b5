//! OTLP/HTTP as the ingress reads and answers it: <https://opentelemetry.io/docs/specs/otlp/#otlphttp>.

pub mod answer;
mod compression;
mod decode;
mod filter;
mod json;
mod judge;
mod limits;
pub mod nested;
mod rules;
mod usual;
mod verdict;
pub mod visit;
mod wire;

pub use compression::{Compression, DecompressError, DecompressLimits, decompress};
pub use decode::{DecodeError, Encoding, decode, decode_valid};
pub use judge::{judge, judge_and_visit};
pub use limits::SpanLimits;
pub use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest,
};
pub use opentelemetry_proto::tonic::{common, resource, trace};
pub use rules::SpanRejection;
pub use verdict::{Reason, SpanPath, Verdict};
pub use wire::WireError;
