//! Step 5: decompress, decode, validate, and choose the bytes to store.

use prost::Message;
use prost::bytes::Bytes;
use spillway_proto::UnixMillis;
use spillway_proto::otlp::{
    Compression, DecompressLimits, Encoding, SpanLimits, Verdict, decode, decompress, judge,
};

use crate::config::BodyConfig;
use crate::reject::Rejection;
use crate::request::Announced;

/// What a request holds.
#[derive(Debug)]
pub struct Payload {
    /// How many spans are valid.
    pub verdict: Verdict,
    /// The body as received.
    pub received: Bytes,
    /// The request in protobuf: as received, or transcoded from JSON.
    pub bytes: Bytes,
    /// How many bytes the request in protobuf has when it is not compressed.
    pub decompressed_bytes: u64,
    /// How `bytes` is compressed.
    pub compression: Compression,
}

/// Checks a request's body, received at `received_at`, and hands it on.
pub fn check(
    received: Vec<u8>,
    announced: Announced,
    config: &BodyConfig,
    limits: &SpanLimits,
    received_at: UnixMillis,
) -> Result<Payload, Rejection> {
    let Announced { encoding, compression, .. } = announced;
    let limit = config.decompressed_limit(encoding);
    let body = decompress(&received, compression, DecompressLimits { max_bytes: limit.max_bytes });
    let body = body.map_err(|error| Rejection::of_decompression(error, limit))?;
    let judged = |message: &[u8]| {
        judge(message, limits, received_at).map_err(|error| Rejection::Malformed(error.into()))
    };
    match encoding {
        Encoding::Protobuf => {
            let (verdict, decompressed_bytes) = (judged(&body)?, body.len() as u64);
            drop(body);
            let received = Bytes::from(received);
            Ok(Payload { verdict, bytes: received.clone(), received, decompressed_bytes, compression })
        }
        Encoding::Json => {
            let message = decode(&body, Encoding::Json)?;
            drop(body);
            let bytes = message.encode_to_vec();
            let (verdict, decompressed_bytes) = (judged(&bytes)?, bytes.len() as u64);
            Ok(Payload {
                verdict,
                received: received.into(),
                bytes: bytes.into(),
                decompressed_bytes,
                compression: Compression::Identity,
            })
        }
    }
}
