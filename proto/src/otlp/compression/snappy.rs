//! `Content-Encoding: snappy`, in both of its formats.

use snap::raw::{Decoder, decompress_len};
use snap::read::FrameDecoder;

use super::{DecompressError, Output, corrupt};

/// The chunk that a framed stream begins with:
/// <https://github.com/google/snappy/blob/main/framing_format.txt>, section 4.1. No block begins so: it would copy from before its
/// beginning.
const STREAM_IDENTIFIER: &[u8] = b"\xff\x06\x00\x00sNaPpY";

/// The most that a block grows: a copy of three bytes makes 64.
/// <https://github.com/google/snappy/blob/main/format_description.txt>, section 2.2.
const MOST_BYTES: (usize, usize) = (64, 3);

/// Takes in what a framed stream or a block decompresses to.
///
/// Under the name `snappy` the OpenTelemetry Collector sends framed streams by default, and others send blocks.
pub(super) fn unsnap(body: &[u8], output: &mut Output) -> Result<(), DecompressError> {
    if body.starts_with(STREAM_IDENTIFIER) {
        return output.read(&mut FrameDecoder::new(body));
    }
    let announced = decompress_len(body).map_err(corrupt)?;
    if announced > output.max_bytes {
        return Err(DecompressError::TooLarge { max_bytes: output.max_bytes });
    }
    let (most, of) = MOST_BYTES;
    if announced > body.len().saturating_mul(most) / of {
        return Err(corrupt("the snappy block announces more than it can hold"));
    }
    output.bytes.resize(announced, 0);
    Decoder::new().decompress(body, &mut output.bytes).map(drop).map_err(corrupt)
}
