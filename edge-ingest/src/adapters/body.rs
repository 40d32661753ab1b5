//! A request's body.

use worker::js_sys::Uint8Array;
use worker::wasm_bindgen::JsCast;
use worker::wasm_bindgen_futures::JsFuture;
use worker::web_sys::Request;

use super::bridge::{self, BodyReader};
use super::fault;
use crate::config::Config;
use crate::discard::DiscardConfig;
use crate::ports::{Body, PortError};
use crate::request::Head;

/// One whose length is announced, and was found to be within its bound, comes in one piece: the runtime reads
/// it several times faster than piece by piece. One without a length is counted as it comes.
pub(super) enum WorkerBody {
    Announced(Request),
    Chunked(Request),
    InPieces(BodyReader),
    AtEnd,
}

impl WorkerBody {
    /// The body of `request`, whose head is `head`.
    pub(super) fn of(request: Request, head: &Head, config: &Config) -> Self {
        match head.announced_bytes() {
            Some(bytes) if bytes <= config.body.max_bytes as u64 => Self::Announced(request),
            _ => Self::Chunked(request),
        }
    }

    /// What there is left to read, if anything is.
    pub(super) fn rest(self) -> Option<Rest> {
        match self {
            Self::Announced(request) | Self::Chunked(request) => {
                bridge::reader_of(&request).ok().flatten().map(Rest)
            }
            Self::InPieces(reader) => Some(Rest(reader)),
            Self::AtEnd => None,
        }
    }
}

impl Body for WorkerBody {
    async fn next_chunk(&mut self) -> Result<Option<Vec<u8>>, PortError> {
        let unreadable = |error| fault("request body")(worker::Error::from(error));
        loop {
            match self {
                Self::Announced(request) => {
                    let bytes = request.array_buffer();
                    *self = Self::AtEnd;
                    let bytes = JsFuture::from(bytes.map_err(unreadable)?).await.map_err(unreadable)?;
                    return Ok(Some(Uint8Array::new(&bytes).to_vec()));
                }
                Self::Chunked(request) => {
                    let reader = bridge::reader_of(request).map_err(unreadable)?;
                    *self = reader.map_or(Self::AtEnd, Self::InPieces);
                }
                Self::InPieces(reader) => {
                    let piece = JsFuture::from(reader.next()).await.map_err(unreadable)?;
                    let piece = piece.dyn_ref().map(Uint8Array::to_vec);
                    if piece.is_none() {
                        *self = Self::AtEnd;
                    }
                    return Ok(piece);
                }
                Self::AtEnd => return Ok(None),
            }
        }
    }
}

/// What is left of a body that nobody wants.
pub(super) struct Rest(BodyReader);

impl Rest {
    /// Reads it, within its bounds, and throws it away.
    pub(super) async fn discard(self, config: &DiscardConfig) {
        let (max_bytes, max_millis) = (config.max_bytes as f64, config.timeout.as_millis() as f64);
        // It fails where the client has gone away.
        let _ = JsFuture::from(self.0.discard(max_bytes, max_millis)).await;
    }
}
