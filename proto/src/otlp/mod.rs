//! OTLP/HTTP as the ingress reads and answers it: <https://opentelemetry.io/docs/specs/otlp/#otlphttp>.

pub mod answer;
mod compression;
mod criteria;
mod decode;
mod json;
mod judge;
mod limits;
pub mod nested;
mod repair;
mod rules;
mod usual;
mod utf8;
mod verdict;
pub mod visit;
mod wire;

pub use compression::{Compression, DecompressError, DecompressLimits, decompress};
pub use criteria::{Criteria, RulesVersion};
pub use decode::{DecodeError, Encoding, decode};
pub use json::{JsonError, Transcoded, transcode};
pub use judge::{Mended, judge, judge_and_visit};
pub use limits::SpanLimits;
pub use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest,
};
pub use opentelemetry_proto::tonic::{common, resource, trace};
pub use repair::{Repair, RepairedRun, RepairedRuns, Repairs};
pub use rules::SpanRejection;
pub use verdict::{Reason, Repaired, SpanPath, Verdict};
pub use wire::WireError;
