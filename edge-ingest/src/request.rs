//! Step 1: read the head of the request; and the body, within its bounds, once it is known whose it is.

use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ORIGIN};
use http::{HeaderMap, Method};
use spillway_proto::otlp::{Compression, Encoding};
use spillway_proto::signature;
use spillway_proto::trace_context::{TRACEPARENT, TraceContext};

use crate::body_budget::InHand;
use crate::config::BodyConfig;
use crate::mesh::link::Link;
use crate::ports::{Body, Runtime};
use crate::reject::Rejection;
use crate::shown::Shown;

/// The headers that are looked at. A Worker reads no others: each costs a call.
pub const HEADERS: [&str; 10] = [
    "access-control-request-headers",
    "authorization",
    "content-encoding",
    "content-length",
    "content-type",
    "origin",
    "x-api-key",
    "x-api-token",
    signature::HEADER,
    TRACEPARENT,
];

/// All of a request but its body.
#[derive(Debug, Clone)]
pub struct Head {
    /// The method.
    pub method: Method,
    /// The path, without the query.
    pub path: String,
    /// What follows the question mark.
    pub query: Option<String>,
    /// Those of [`HEADERS`] that are there.
    pub headers: HeaderMap,
}

impl Head {
    /// The value of one of [`HEADERS`], if it is there and readable.
    pub fn header(&self, name: &str) -> Option<&str> {
        debug_assert!(HEADERS.contains(&name), "`{name}` is not among the headers that a Worker reads");
        self.headers.get(name)?.to_str().ok()
    }

    /// The encoding that the answer is written in: the request's, else JSON, which a person can read.
    pub fn answer_encoding(&self) -> Encoding {
        self.header(CONTENT_TYPE.as_str()).and_then(encoding_of).unwrap_or(Encoding::Json)
    }

    /// The caller's trace, if it sent one.
    pub fn caller(&self) -> Option<TraceContext> {
        self.header(TRACEPARENT).and_then(|header| header.parse().ok())
    }

    /// The body's size, where it is said.
    pub fn announced_bytes(&self) -> Option<u64> {
        self.header(CONTENT_LENGTH.as_str())?.parse().ok()
    }

    /// The web origin of the page that a browser sends from.
    pub fn origin(&self) -> Option<&str> {
        self.header(ORIGIN.as_str())
    }
}

/// What the head of an export request says of its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Announced {
    /// The body's size, where it is said.
    pub bytes: Option<usize>,
    /// How the message is written.
    pub encoding: Encoding,
    /// How the body is compressed.
    pub compression: Compression,
}

/// Step 1: what the head says, before anything of the body is read.
pub fn announced(head: &Head, config: &BodyConfig) -> Result<Announced, Rejection> {
    let content_type = head.header(CONTENT_TYPE.as_str()).unwrap_or_default();
    let unsupported = || Rejection::UnsupportedType { found: Shown::of(content_type) };
    let encoding = encoding_of(content_type).ok_or_else(unsupported)?;
    let content_encoding = head.header(CONTENT_ENCODING.as_str());
    let compression = Compression::from_header(content_encoding).ok_or_else(|| {
        Rejection::UnsupportedEncoding { found: Shown::of(content_encoding.unwrap_or_default()) }
    })?;
    let length = head.announced_bytes();
    match length {
        Some(bytes) if bytes > config.max_bytes as u64 => {
            Err(Rejection::BodyTooLarge { limit: config.sent_limit() })
        }
        _ => Ok(Announced {
            bytes: length.and_then(|bytes| usize::try_from(bytes).ok()),
            encoding,
            compression,
        }),
    }
}

/// The encoding that a `Content-Type` names. One that was sent twice arrives as one with a comma between both; it counts where both
/// name the same type.
fn encoding_of(content_type: &str) -> Option<Encoding> {
    let mut is_quoted = false;
    let is_between = |char: char| {
        is_quoted ^= char == '"';
        char == ',' && !is_quoted
    };
    let mut encodings = content_type.split(is_between).map(Encoding::from_header);
    let first = encodings.next()??;
    encodings.all(|other| other == Some(first)).then_some(first)
}

/// Reads a body, as long as it keeps to its size and its time.
pub async fn read(
    body: &mut impl Body,
    announced_bytes: Option<usize>,
    in_hand: &mut InHand,
    config: &BodyConfig,
    runtime: &impl Runtime,
) -> Result<Vec<u8>, Rejection> {
    if !in_hand.take(announced_bytes.unwrap_or(0), config.max_in_hand) {
        return Err(Rejection::Busy);
    }
    let reading = async {
        let mut read = Vec::new();
        while let Some(chunk) = body.next_chunk().await.map_err(Rejection::BodyUnreadable)? {
            if read.len() + chunk.len() > config.max_bytes {
                return Err(Rejection::BodyTooLarge { limit: config.sent_limit() });
            }
            if announced_bytes.is_none() && !in_hand.take(chunk.len(), config.max_in_hand) {
                return Err(Rejection::Busy);
            }
            // Most come in one piece.
            if read.is_empty() {
                read = chunk;
            } else {
                read.extend_from_slice(&chunk);
            }
        }
        Ok(read)
    };
    let timed_out = || Err(Rejection::BodyTimeout { seconds: config.timeout.as_secs() });
    Link::within_time(config.timeout, runtime, reading).await.unwrap_or_else(timed_out)
}
