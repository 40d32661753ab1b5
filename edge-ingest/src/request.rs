//! Step 1: read the head of the request; and the body, within its bounds, once it is known whose it is.

use std::time::Duration;

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

/// The headers that are looked at. A Worker reads no others: each costs a call.
pub const HEADERS: [&str; 9] = [
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
        self.header(CONTENT_TYPE.as_str()).and_then(Encoding::from_header).unwrap_or(Encoding::Json)
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
    let encoding = Encoding::from_header(content_type).ok_or(Rejection::UnsupportedType)?;
    let compression = Compression::from_header(head.header(CONTENT_ENCODING.as_str()))
        .ok_or(Rejection::UnsupportedEncoding)?;
    let length = head.announced_bytes();
    match length {
        Some(bytes) if bytes > config.max_bytes as u64 => {
            Err(Rejection::BodyTooLarge { max_bytes: config.max_bytes })
        }
        _ => Ok(Announced {
            bytes: length.and_then(|bytes| usize::try_from(bytes).ok()),
            encoding,
            compression,
        }),
    }
}

/// How long the rest of a refused body is read, so that its client comes to read the answer.
const DISCARD_TIME: Duration = Duration::from_secs(2);

/// How much of it is read, in bytes; the batches of exporters are smaller.
const DISCARD_BYTES: usize = 2 << 20;

/// Reads what a refused request has left of its body, within bounds: the runtime closes a connection whose upload nobody
/// takes, and the client would see a broken pipe instead of the answer.
pub async fn discard(body: &mut impl Body, status: u16, config: &BodyConfig, runtime: &impl Runtime) {
    // Whoever sends too much has to hear that, else it sends the same again.
    let max_bytes = if status == 413 { 2 * config.max_bytes } else { DISCARD_BYTES };
    let mut discarded = 0;
    let reading = async {
        while let Ok(Some(chunk)) = body.next_chunk().await {
            discarded += chunk.len();
            if discarded > max_bytes {
                break;
            }
        }
    };
    Link::within_time(DISCARD_TIME, runtime, reading).await;
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
                return Err(Rejection::BodyTooLarge { max_bytes: config.max_bytes });
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
