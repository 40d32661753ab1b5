//! From the bytes of a request to its message.

use std::io::Read;

use anyhow::{Context, Result, bail};
use flate2::read::{MultiGzDecoder, ZlibDecoder};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;

use super::json;
use crate::proxy::Try;

/// The message that a try holds.
pub(super) fn decode(sent: &Try) -> Result<ExportTraceServiceRequest> {
    let body = decompress(sent.content_encoding(), &sent.body)?;
    match sent.content_type() {
        "application/x-protobuf" => Ok(ExportTraceServiceRequest::decode(&*body)?),
        // What `sendBeacon` sends of a Blob has the type that the page gave it.
        "application/json" => json::request(&serde_json::from_slice(&body).context("the body is not JSON")?),
        other => bail!("Content-Type {other} is none of OTLP"),
    }
}

fn decompress(encoding: &str, body: &[u8]) -> Result<Vec<u8>> {
    let mut plain = Vec::new();
    match encoding {
        "" | "identity" => plain.extend_from_slice(body),
        "gzip" => drop(MultiGzDecoder::new(body).read_to_end(&mut plain)?),
        "deflate" | "zlib" => drop(ZlibDecoder::new(body).read_to_end(&mut plain)?),
        "zstd" => plain = zstd::decode_all(body)?,
        "snappy" => plain = snap::raw::Decoder::new().decompress_vec(body)?,
        "x-snappy-framed" => drop(snap::read::FrameDecoder::new(body).read_to_end(&mut plain)?),
        other => bail!("the verifier does not know Content-Encoding {other}"),
    }
    Ok(plain)
}
