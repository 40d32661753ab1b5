//! From a decompressed body to the request it holds.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;

use super::json::{JsonError, transcode};
use super::wire::WireError;

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
    /// Not the protobuf message.
    #[error("not an ExportTraceServiceRequest in protobuf: {0}")]
    Wire(#[from] Box<WireError>),
    /// The wire was judged to be well formed, and `prost` does not read it all the same.
    #[error("not an ExportTraceServiceRequest in protobuf: {0}")]
    Prost(#[from] prost::DecodeError),
    /// Not the JSON mapping of the message.
    #[error("not an ExportTraceServiceRequest in JSON: {0}")]
    Json(#[from] Box<JsonError>),
}

impl DecodeError {
    /// The path of the field that is bad, as far as it is known; `.` is the whole request.
    pub fn field(&self) -> String {
        match self {
            Self::Wire(error) => error.field(),
            Self::Prost(_) => ".".to_owned(),
            Self::Json(error) => error.field(),
        }
    }
}

/// The request that `body` holds, all of its spans included, as messages. Nothing that takes requests in asks for them: tests
/// and tools do.
pub fn decode(body: &[u8], encoding: Encoding) -> Result<ExportTraceServiceRequest, DecodeError> {
    match encoding {
        Encoding::Protobuf => Ok(ExportTraceServiceRequest::decode(body)?),
        Encoding::Json => Ok(ExportTraceServiceRequest::decode(&*transcode(body)?.message)?),
    }
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
