//! A request's body.

use futures_util::StreamExt;
use worker::ByteStream;
use worker::js_sys::Uint8Array;
use worker::wasm_bindgen_futures::JsFuture;
use worker::web_sys::Request;

use super::fault;
use crate::config::Config;
use crate::ports::{Body, PortError};
use crate::request::Head;

/// One whose length is announced, and was found to be within its bound, comes in one piece: the runtime reads
/// it several times faster than chunk by chunk. One without a length is counted as it comes.
pub(super) enum WorkerBody<'a> {
    Announced(&'a Request),
    Chunked(ByteStream),
    AtEnd,
}

impl<'a> WorkerBody<'a> {
    /// The body of `request`, whose head is `head`.
    pub(super) fn of(request: &'a Request, head: &Head, config: &Config) -> Self {
        if head.announced_bytes().is_some_and(|bytes| bytes <= config.body.max_bytes as u64) {
            return Self::Announced(request);
        }
        Self::chunks_of(request)
    }

    fn chunks_of(request: &Request) -> Self {
        if request.body_used() {
            return Self::AtEnd;
        }
        // Not the request's own `clone`, which makes a second body.
        worker::Request::from(Clone::clone(request)).stream().map_or(Self::AtEnd, Self::Chunked)
    }
}

impl WorkerBody<'_> {
    /// The rest of it, chunk by chunk: to be passed over without being held.
    pub(super) fn in_chunks(self) -> Self {
        match self {
            Self::Announced(request) => Self::chunks_of(request),
            other => other,
        }
    }
}

impl Body for WorkerBody<'_> {
    async fn next_chunk(&mut self) -> Result<Option<Vec<u8>>, PortError> {
        match self {
            Self::Announced(request) => {
                let bytes = async { JsFuture::from(request.array_buffer()?).await };
                let bytes = bytes.await;
                *self = Self::AtEnd;
                let bytes = bytes.map_err(|error| fault("request body")(worker::Error::from(error)))?;
                Ok(Some(Uint8Array::new(&bytes).to_vec()))
            }
            Self::Chunked(stream) => stream.next().await.transpose().map_err(fault("request body")),
            Self::AtEnd => Ok(None),
        }
    }
}
