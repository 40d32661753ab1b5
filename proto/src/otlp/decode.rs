//! From a decompressed body to the request it holds.

use std::borrow::Cow;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;

use super::filter::keep_valid;
use super::json;
use super::judge::judge_each;
use super::limits::SpanLimits;
use super::verdict::Verdict;
use super::wire::WireError;
use crate::ids::UnixMillis;

/// How a message is written: the two encodings of OTLP/HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// `application/x-protobuf`
    Protobuf,
    /// `application/json`
    Json,
}

impl Encoding {
    /// The encoding that a `Content-Type` header names, if it is one of OTLP's; parameters are ignored.
    pub fn from_header(header: &str) -> Option<Self> {
        let essence = header.split(';').next().unwrap_or_default().trim();
        if essence.eq_ignore_ascii_case(Self::Protobuf.content_type()) {
            Some(Self::Protobuf)
        } else if essence.eq_ignore_ascii_case(Self::Json.content_type()) {
            Some(Self::Json)
        } else {
            None
        }
    }

    /// The value of `Content-Type`.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Protobuf => "application/x-protobuf",
            Self::Json => "application/json",
        }
    }
}

/// A body is no `ExportTraceServiceRequest`.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Not the protobuf message, a string that is not UTF-8 included.
    #[error("not an ExportTraceServiceRequest in protobuf: {0}")]
    Wire(#[from] Box<WireError>),
    /// The wire was judged to be well formed, and `prost` does not read it all the same.
    #[error("not an ExportTraceServiceRequest in protobuf: {0}")]
    Prost(#[from] prost::DecodeError),
    /// Not the JSON mapping of the message.
    #[error("not an ExportTraceServiceRequest in JSON, at `{path}`: {source}")]
    Json {
        /// Where in the request, such as `resourceSpans[0].scopeSpans[0].spans[3].traceId`.
        path: String,
        /// What is wrong there.
        source: serde_json::Error,
    },
}

impl DecodeError {
    /// The path of the field that is bad, as far as it is known; `.` is the whole request.
    pub fn field(&self) -> String {
        match self {
            Self::Wire(error) => error.field(),
            Self::Prost(_) => ".".to_owned(),
            Self::Json { path, .. } => path.clone(),
        }
    }
}

/// The request that `body` holds, all of its spans included.
pub fn decode(body: &[u8], encoding: Encoding) -> Result<ExportTraceServiceRequest, DecodeError> {
    match encoding {
        Encoding::Protobuf => Ok(ExportTraceServiceRequest::decode(body)?),
        Encoding::Json => json::decode(body),
    }
}

/// The request that a protobuf `body` holds, without the spans that [`super::judge()`] rejects, and without
/// resources and scopes that have no others.
pub fn decode_valid(
    body: &[u8],
    limits: &SpanLimits,
    received_at: UnixMillis,
) -> Result<(ExportTraceServiceRequest, Verdict), DecodeError> {
    let mut valid = Vec::new();
    let verdict = judge_each(body, limits, received_at, |is_valid| valid.push(is_valid))?;
    let mut valid = valid.into_iter();
    let kept = match verdict.rejected {
        0 => Cow::Borrowed(body),
        _ => Cow::Owned(keep_valid(body, || valid.next() == Some(true))?),
    };
    let request = ExportTraceServiceRequest::decode(&*kept)?;
    Ok((request, verdict))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_types_may_have_parameters_and_any_case() {
        assert_eq!(Encoding::from_header("application/json; charset=utf-8"), Some(Encoding::Json));
        assert_eq!(Encoding::from_header("Application/X-Protobuf"), Some(Encoding::Protobuf));
        assert_eq!(Encoding::from_header("text/plain"), None);
        assert_eq!(Encoding::from_header(""), None);
    }
}
