//! Step 1: read the request, and bound its body before memory is taken.

use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, Method};
use spillway_proto::otlp::{Compression, Encoding};
use spillway_proto::trace_context::{TRACEPARENT, TraceContext};

use crate::ports::Body;
use crate::reject::Rejection;

/// The paths that take traces: `/` is what becomes of an endpoint that was configured without a path.
const PATHS: [&str; 3] = ["/v1/traces", "/v1/traces/", "/"];

/// All of a request but its body.
#[derive(Debug, Clone)]
pub struct Head {
    /// The method.
    pub method: Method,
    /// The path, without the query.
    pub path: String,
    /// What follows the question mark.
    pub query: Option<String>,
    /// The headers.
    pub headers: HeaderMap,
}

impl Head {
    /// A header's value, if it is there and readable.
    pub fn header(&self, name: impl http::header::AsHeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The encoding that the answer is written in: the request's, else JSON, which a person can read.
    pub fn answer_encoding(&self) -> Encoding {
        self.header(CONTENT_TYPE).and_then(Encoding::from_header).unwrap_or(Encoding::Json)
    }
}

/// An export request that was read, and not yet decoded.
#[derive(Debug)]
pub struct ExportRequest {
    /// How the message is written.
    pub encoding: Encoding,
    /// How the body is compressed.
    pub compression: Compression,
    /// The body as received.
    pub body: Vec<u8>,
    /// The caller's trace, if it sent one.
    pub caller: Option<TraceContext>,
}

/// Reads the request.
pub async fn read(head: &Head, body: &mut impl Body, max_bytes: usize) -> Result<ExportRequest, Rejection> {
    if !PATHS.contains(&head.path.as_str()) {
        return Err(Rejection::UnknownPath);
    }
    if head.method != Method::POST {
        return Err(Rejection::MethodNotAllowed);
    }
    let content_type = head.header(CONTENT_TYPE).unwrap_or_default();
    let encoding = Encoding::from_header(content_type).ok_or(Rejection::UnsupportedType)?;
    let compression =
        Compression::from_header(head.header(CONTENT_ENCODING)).ok_or(Rejection::UnsupportedEncoding)?;
    let body = bounded(body, announced_bytes(head), max_bytes).await?;
    let caller = head.header(HeaderName::from_static(TRACEPARENT)).and_then(|header| header.parse().ok());
    Ok(ExportRequest { encoding, compression, body, caller })
}

fn announced_bytes(head: &Head) -> Option<u64> {
    head.header(CONTENT_LENGTH)?.parse().ok()
}

async fn bounded(
    body: &mut impl Body,
    announced: Option<u64>,
    max_bytes: usize,
) -> Result<Vec<u8>, Rejection> {
    if announced.is_some_and(|bytes| bytes > max_bytes as u64) {
        return Err(Rejection::BodyTooLarge { max_bytes });
    }
    let mut read = Vec::new();
    while let Some(chunk) = body.next_chunk().await.map_err(Rejection::BodyUnreadable)? {
        if read.len() + chunk.len() > max_bytes {
            return Err(Rejection::BodyTooLarge { max_bytes });
        }
        read.extend_from_slice(&chunk);
    }
    Ok(read)
}
