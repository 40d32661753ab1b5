//! Why a request is not stored. Exactly one of these is the outcome of every request that is refused.

use spillway_proto::api_key::MistypedKey;
use spillway_proto::key_record::KeyRefusal;
use spillway_proto::otlp::answer::{FieldViolation, RpcCode, Status};
use spillway_proto::otlp::{DecodeError, DecompressError};

use crate::allowance::Kind;
use crate::auth::MalformedKey;
use crate::config::SizeLimit;
use crate::mesh::router::Signal;
use crate::ports::PortError;
use crate::shown::Shown;

/// What exporters are told to wait after a fault of ours, in seconds. They have 10 s, and five or six tries: with 1 s, those of
/// Python, JavaScript and Java have used up their tries after 4 to 5 s; with 2 s they go on for 8 s (`make interop` shows it). With a
/// wait beyond their whole budget they drop the batch at once.
const FAULT_RETRY_AFTER: u64 = 2;

/// How a client makes smaller batches, whatever it is.
const SMALLER_BATCHES: &str = "send smaller batches (OTEL_BSP_MAX_EXPORT_BATCH_SIZE of an SDK, \
                               sending_queue.batch.max_size of a Collector's exporter)";

/// A refusal.
#[derive(Debug, thiserror::Error)]
pub enum Rejection {
    /// No route has this path.
    #[error("no such path; traces go to /v1/traces")]
    UnknownPath,
    /// A path of OTLP's other signals. Agents send them without being asked to.
    #[error(
        "this ingress takes traces only, and no {signal}: set OTEL_METRICS_EXPORTER=none and OTEL_LOGS_EXPORTER=none"
    )]
    OtherSignal {
        /// What was sent.
        signal: Signal,
    },
    /// The path is right, the method is not.
    #[error("no such method here; there are {allow}")]
    MethodNotAllowed {
        /// The value of `Allow`.
        allow: &'static str,
    },
    /// `Content-Type` is neither of OTLP's, or names both.
    #[error("Content-Type must be application/x-protobuf or application/json, and is {found}")]
    UnsupportedType {
        /// What it is.
        found: Shown,
    },
    /// `Content-Encoding` is not one that we decompress, or several.
    #[error(
        "Content-Encoding must be one of gzip, deflate, zstd, snappy and identity, or absent, and is {found}"
    )]
    UnsupportedEncoding {
        /// What it is.
        found: Shown,
    },
    /// The body is over the limit as it was sent.
    #[error(
        "the body as sent is larger than {limit}: {SMALLER_BATCHES}, or compress them (OTEL_EXPORTER_OTLP_COMPRESSION=gzip)"
    )]
    BodyTooLarge {
        /// The limit.
        limit: SizeLimit,
    },
    /// The body is over the limit once it is decompressed.
    #[error("the body after decompression is larger than {limit}: {SMALLER_BATCHES}")]
    DecompressedTooLarge {
        /// The limit.
        limit: SizeLimit,
    },
    /// The client ended in the middle of its body.
    #[error("the body ended early")]
    BodyUnreadable(#[source] PortError),
    /// The client took too long to send its body; it may be faster the next time.
    #[error("the body did not arrive within {seconds} s")]
    BodyTimeout {
        /// The limit.
        seconds: u64,
    },
    /// The isolate has as many bodies in hand as it can hold.
    #[error("too much is under way; try again")]
    Busy,
    /// No key in any of the accepted places.
    #[error("no API key: send it as `Authorization: Bearer KEY` or in the header `x-api-key`")]
    MissingKey,
    /// There may be a key, in a form that is not taken.
    #[error(transparent)]
    MalformedKey(#[from] MalformedKey),
    /// A key whose checksum is wrong.
    #[error("this API key is mistyped or cut off: {0}")]
    MistypedKey(#[from] MistypedKey),
    /// A key that is not known.
    #[error("this API key is not known")]
    UnknownKey,
    /// A key that was taken back.
    #[error("this API key was revoked")]
    RevokedKey,
    /// A key whose time is still to come.
    #[error("this API key is not valid yet")]
    KeyNotYetValid,
    /// A key whose time has passed.
    #[error("this API key has expired")]
    KeyExpired,
    /// The key is not for pages of this web origin.
    #[error("this API key may not be used by pages of this origin")]
    OriginNotAllowed,
    /// The tenant has stored its quota for this month.
    #[error("the monthly quota of {quota} {unit} is used up; it begins anew on {resets_on} (UTC)")]
    QuotaExceeded {
        /// `spans` or `bytes`.
        unit: &'static str,
        /// So many a month.
        quota: u64,
        /// `YYYY-MM-DD`.
        resets_on: String,
    },
    /// The tenant sends too much.
    #[error("the limit of {per_second} {unit} per second is reached; come back in {retry_after_seconds} s", unit = kind.name())]
    RateLimited {
        /// The limit that it met.
        kind: Kind,
        /// So many a second.
        per_second: u32,
        /// When it is worth to try again.
        retry_after_seconds: u64,
    },
    /// The body does not decompress.
    #[error(transparent)]
    CorruptCompression(DecompressError),
    /// The body is no export request.
    #[error(transparent)]
    Malformed(#[from] DecodeError),
    /// A request of an operator is not signed with the key that both sides share, or cannot be read.
    #[error("not a signed request of this kind")]
    BadSignature,
    /// A part of ours failed; the exporter keeps the batch and tries again.
    #[error("a part of the ingress is unavailable; try again")]
    Fault(#[source] PortError),
}

impl Rejection {
    /// Why a body was not decompressed, whose limit was `limit`.
    pub fn of_decompression(error: DecompressError, limit: SizeLimit) -> Self {
        match error {
            DecompressError::TooLarge { .. } => Self::DecompressedTooLarge { limit },
            DecompressError::Corrupt(_) => Self::CorruptCompression(error),
        }
    }

    /// The status of the answer. Clients keep the batch on 429, 502, 503 and 504, and drop it on all others:
    /// <https://opentelemetry.io/docs/specs/otlp/#failures-1>.
    pub fn status(&self) -> u16 {
        match self {
            Self::UnknownPath | Self::OtherSignal { .. } => 404,
            Self::MethodNotAllowed { .. } => 405,
            Self::UnsupportedType { .. } | Self::UnsupportedEncoding { .. } => 415,
            Self::BodyTooLarge { .. } | Self::DecompressedTooLarge { .. } => 413,
            Self::MissingKey
            | Self::MalformedKey(_)
            | Self::MistypedKey(_)
            | Self::UnknownKey
            | Self::RevokedKey
            | Self::KeyNotYetValid
            | Self::KeyExpired
            | Self::BadSignature => 401,
            Self::OriginNotAllowed | Self::QuotaExceeded { .. } => 403,
            Self::RateLimited { .. } => 429,
            Self::BodyUnreadable(_) | Self::CorruptCompression(_) | Self::Malformed(_) => 400,
            Self::BodyTimeout { .. } | Self::Busy | Self::Fault(_) => 503,
        }
    }

    /// The stable name of the outcome, for logs and metrics. The message may change, this may not.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownPath => "unknown_path",
            Self::OtherSignal { .. } => "other_signal",
            Self::MethodNotAllowed { .. } => "method_not_allowed",
            Self::UnsupportedType { .. } => "unsupported_content_type",
            Self::UnsupportedEncoding { .. } => "unsupported_content_encoding",
            Self::BodyTooLarge { .. } => "body_too_large",
            Self::BodyUnreadable(_) => "body_unreadable",
            Self::BodyTimeout { .. } => "body_timeout",
            Self::Busy => "busy",
            Self::MissingKey => "missing_key",
            Self::MalformedKey(_) => "malformed_key",
            Self::MistypedKey(_) => "mistyped_key",
            Self::UnknownKey => "unknown_key",
            Self::RevokedKey => "revoked_key",
            Self::KeyNotYetValid => "key_not_yet_valid",
            Self::KeyExpired => "key_expired",
            Self::OriginNotAllowed => "origin_not_allowed",
            Self::QuotaExceeded { .. } => "quota_exceeded",
            Self::RateLimited { .. } => "rate_limited",
            Self::DecompressedTooLarge { .. } => "decompressed_too_large",
            Self::CorruptCompression(_) => "corrupt_compression",
            Self::Malformed(_) => "malformed",
            Self::BadSignature => "bad_signature",
            Self::Fault(_) => "fault",
        }
    }

    /// Seconds that the client should wait, where it is worth to come back.
    pub fn retry_after_seconds(&self) -> Option<u64> {
        match self {
            Self::RateLimited { retry_after_seconds, .. } => Some(*retry_after_seconds),
            Self::BodyTimeout { .. } | Self::Busy | Self::Fault(_) => Some(FAULT_RETRY_AFTER),
            _ => None,
        }
    }

    /// What a port said, where one failed.
    pub fn fault(&self) -> Option<&PortError> {
        match self {
            Self::Fault(fault) | Self::BodyUnreadable(fault) => Some(fault),
            _ => None,
        }
    }

    /// The body of the answer.
    pub fn to_status(&self) -> Status {
        let violation = match self {
            Self::Malformed(error) => {
                Some(FieldViolation { field: error.field(), description: error.to_string() })
            }
            Self::CorruptCompression(_) | Self::BodyUnreadable(_) => {
                Some(FieldViolation { field: ".".to_owned(), description: self.to_string() })
            }
            _ => None,
        };
        Status { code: self.rpc_code(), message: self.to_string(), violation }
    }

    fn rpc_code(&self) -> RpcCode {
        match self {
            Self::UnknownPath | Self::OtherSignal { .. } => RpcCode::NotFound,
            Self::MethodNotAllowed { .. } => RpcCode::Unimplemented,
            Self::UnsupportedType { .. }
            | Self::UnsupportedEncoding { .. }
            | Self::BodyUnreadable(_)
            | Self::CorruptCompression(_)
            | Self::Malformed(_) => RpcCode::InvalidArgument,
            Self::BodyTooLarge { .. } | Self::DecompressedTooLarge { .. } | Self::RateLimited { .. } => {
                RpcCode::ResourceExhausted
            }
            Self::MissingKey
            | Self::MalformedKey(_)
            | Self::MistypedKey(_)
            | Self::UnknownKey
            | Self::RevokedKey
            | Self::KeyNotYetValid
            | Self::KeyExpired
            | Self::BadSignature => RpcCode::Unauthenticated,
            Self::OriginNotAllowed | Self::QuotaExceeded { .. } => RpcCode::PermissionDenied,
            Self::BodyTimeout { .. } | Self::Busy | Self::Fault(_) => RpcCode::Unavailable,
        }
    }
}

impl From<KeyRefusal> for Rejection {
    fn from(refusal: KeyRefusal) -> Self {
        match refusal {
            KeyRefusal::Revoked => Self::RevokedKey,
            KeyRefusal::NotYetValid => Self::KeyNotYetValid,
            KeyRefusal::Expired => Self::KeyExpired,
        }
    }
}
