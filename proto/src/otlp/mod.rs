//! OTLP/HTTP as the ingress reads and answers it: <https://opentelemetry.io/docs/specs/otlp/#otlphttp>.

pub mod answer;
mod compression;
mod decode;
mod json;
mod validate;

pub use compression::{Compression, DecompressError, DecompressLimits, decompress};
pub use decode::{DecodeError, Encoding, decode};
pub use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest,
};
pub use opentelemetry_proto::tonic::{common, resource, trace};
pub use validate::{SpanRejection, Verdict, retain_valid_spans};
