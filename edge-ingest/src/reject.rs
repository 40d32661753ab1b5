//! Why a request is not stored. Exactly one of these is the outcome of every request that is refused.

use spillway_proto::otlp::answer::{FieldViolation, RpcCode, Status};
use spillway_proto::otlp::{DecodeError, DecompressError};

use crate::ports::PortError;

/// What exporters are told to wait after a fault of ours, in seconds. Their whole budget is about 10 s: with a longer
/// wait they drop the batch at once.
const FAULT_RETRY_AFTER: u64 = 1;

/// A refusal.
#[derive(Debug, thiserror::Error)]
pub enum Rejection {
    /// No route has this path.
    #[error("no such path; traces go to /v1/traces")]
    UnknownPath,
    /// The path is right, the method is not.
    #[error("traces are sent with POST")]
    MethodNotAllowed,
    /// `Content-Type` is neither of OTLP's.
    #[error("Content-Type must be application/x-protobuf or application/json")]
    UnsupportedType,
    /// `Content-Encoding` is not one that we decompress.
    #[error("Content-Encoding must be gzip, identity or absent")]
    UnsupportedEncoding,
    /// The body is over the limit as it was sent.
    #[error("the body is larger than {max_bytes} bytes")]
    BodyTooLarge {
        /// The limit.
        max_bytes: usize,
    },
    /// The client ended in the middle of its body.
    #[error("the body ended early")]
    BodyUnreadable(#[source] PortError),
    /// No key in any of the accepted places.
    #[error("no API key: send it as `Authorization: Bearer KEY` or in the header `x-api-key`")]
    MissingKey,
    /// A key that is not known.
    #[error("this API key is not known")]
    UnknownKey,
    /// A key that was taken back.
    #[error("this API key was revoked")]
    RevokedKey,
    /// The tenant has stored its spans for this month.
    #[error("the monthly quota of {quota} spans is used up; it begins anew on {resets_on} (UTC)")]
    QuotaExceeded {
        /// Spans a month.
        quota: u64,
        /// `YYYY-MM-DD`.
        resets_on: String,
    },
    /// The key is used too often.
    #[error("more than {requests_per_second} requests per second; come back in {retry_after_seconds} s")]
    RateLimited {
        /// The limit that it met.
        requests_per_second: u32,
        /// When it is worth to try again.
        retry_after_seconds: u64,
    },
    /// The body does not decompress, or grows too large.
    #[error(transparent)]
    Decompress(#[from] DecompressError),
    /// The body is no export request.
    #[error(transparent)]
    Malformed(#[from] DecodeError),
    /// A part of ours failed; the exporter keeps the batch and tries again.
    #[error("a part of the ingress is unavailable; try again")]
    Fault(#[source] PortError),
}

impl Rejection {
    /// The status of the answer. Clients keep the batch on 429, 502, 503 and 504, and drop it on all others:
    /// <https://opentelemetry.io/docs/specs/otlp/#failures-1>.
    pub fn status(&self) -> u16 {
        match self {
            Self::UnknownPath => 404,
            Self::MethodNotAllowed => 405,
            Self::UnsupportedType | Self::UnsupportedEncoding => 415,
            Self::BodyTooLarge { .. } | Self::Decompress(DecompressError::TooLarge { .. }) => 413,
            Self::MissingKey | Self::UnknownKey | Self::RevokedKey => 401,
            Self::QuotaExceeded { .. } => 403,
            Self::RateLimited { .. } => 429,
            Self::BodyUnreadable(_) | Self::Decompress(DecompressError::Corrupt(_)) | Self::Malformed(_) => {
                400
            }
            Self::Fault(_) => 503,
        }
    }

    /// The stable name of the outcome, for logs and metrics. The message may change, this may not.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownPath => "unknown_path",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::UnsupportedType => "unsupported_content_type",
            Self::UnsupportedEncoding => "unsupported_content_encoding",
            Self::BodyTooLarge { .. } => "body_too_large",
            Self::BodyUnreadable(_) => "body_unreadable",
            Self::MissingKey => "missing_key",
            Self::UnknownKey => "unknown_key",
            Self::RevokedKey => "revoked_key",
            Self::QuotaExceeded { .. } => "quota_exceeded",
            Self::RateLimited { .. } => "rate_limited",
            Self::Decompress(DecompressError::TooLarge { .. }) => "decompressed_too_large",
            Self::Decompress(DecompressError::Corrupt(_)) => "corrupt_compression",
            Self::Malformed(_) => "malformed",
            Self::Fault(_) => "fault",
        }
    }

    /// Seconds that the client should wait, where it is worth to come back.
    pub fn retry_after_seconds(&self) -> Option<u64> {
        match self {
            Self::RateLimited { retry_after_seconds, .. } => Some(*retry_after_seconds),
            Self::Fault(_) => Some(FAULT_RETRY_AFTER),
            _ => None,
        }
    }

    /// The body of the answer.
    pub fn to_status(&self) -> Status {
        let violation = match self {
            Self::Malformed(error) => {
                Some(FieldViolation { field: error.field().to_owned(), description: error.to_string() })
            }
            _ => None,
        };
        Status { code: self.rpc_code(), message: self.to_string(), violation }
    }

    fn rpc_code(&self) -> RpcCode {
        match self {
            Self::UnknownPath => RpcCode::NotFound,
            Self::MethodNotAllowed => RpcCode::Unimplemented,
            Self::UnsupportedType
            | Self::UnsupportedEncoding
            | Self::BodyUnreadable(_)
            | Self::Decompress(DecompressError::Corrupt(_))
            | Self::Malformed(_) => RpcCode::InvalidArgument,
            Self::BodyTooLarge { .. }
            | Self::Decompress(DecompressError::TooLarge { .. })
            | Self::RateLimited { .. } => RpcCode::ResourceExhausted,
            Self::MissingKey | Self::UnknownKey | Self::RevokedKey => RpcCode::Unauthenticated,
            Self::QuotaExceeded { .. } => RpcCode::PermissionDenied,
            Self::Fault(_) => RpcCode::Unavailable,
        }
    }
}
