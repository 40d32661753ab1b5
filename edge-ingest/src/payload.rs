//! Step 5: decompress, decode, validate, and choose the bytes to store.

use prost::Message;
use spillway_proto::otlp::{
    Compression, DecompressLimits, Encoding, Verdict, decode, decompress, retain_valid_spans,
};

use crate::reject::Rejection;
use crate::request::ExportRequest;

/// What a request holds.
#[derive(Debug)]
pub struct Payload {
    /// How many spans are valid.
    pub verdict: Verdict,
    /// The request in protobuf: as received, or transcoded from JSON.
    pub bytes: Vec<u8>,
    /// How many bytes the request in protobuf has when it is not compressed.
    pub decompressed_bytes: u64,
    /// How `bytes` is compressed.
    pub compression: Compression,
}

/// Checks the request's body and hands it on.
pub fn check(request: ExportRequest, limits: DecompressLimits) -> Result<Payload, Rejection> {
    let body = decompress(&request.body, request.compression, limits)?;
    let mut message = decode(&body, request.encoding)?;
    match request.encoding {
        Encoding::Protobuf => {
            let verdict = retain_valid_spans(&mut message);
            let decompressed_bytes = body.len() as u64;
            drop(body);
            Ok(Payload { verdict, bytes: request.body, decompressed_bytes, compression: request.compression })
        }
        Encoding::Json => {
            let bytes = message.encode_to_vec();
            let verdict = retain_valid_spans(&mut message);
            let decompressed_bytes = bytes.len() as u64;
            Ok(Payload { verdict, bytes, decompressed_bytes, compression: Compression::Identity })
        }
    }
}
