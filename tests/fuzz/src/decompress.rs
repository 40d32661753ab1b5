//! Content encodings, beside other implementations of them.

use std::io::{self, Read, Write};

use flate2::bufread::MultiGzDecoder;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use flate2::{Decompress, FlushDecompress};
use spillway_proto::otlp::{Compression, DecompressError, DecompressLimits, decompress};

const WIDE: DecompressLimits = DecompressLimits { max_bytes: 128 << 10 };
const NARROW: [DecompressLimits; 3] = [
    DecompressLimits { max_bytes: 64 << 10 },
    DecompressLimits { max_bytes: 100 },
    DecompressLimits { max_bytes: 0 },
];

/// `body` decompresses to no more than it may, and comes back where it is the plain one.
pub fn check(body: &[u8]) {
    comes_back(body).expect("memory can be written to");
    for compression in Compression::ALL {
        let whole = decompress(body, compression, WIDE);
        match &whole {
            Ok(whole) => {
                assert!(whole.len() <= WIDE.max_bytes);
                is_what_flate2_reads(body, compression, whole);
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
        for limits in NARROW {
            match (decompress(body, compression, limits), &whole) {
                (Ok(bytes), Ok(whole)) => {
                    assert_eq!(&bytes, whole);
                    assert!(bytes.len() <= limits.max_bytes);
                }
                (Err(DecompressError::TooLarge { max_bytes }), Ok(whole)) => {
                    assert!(whole.len() > max_bytes && max_bytes == limits.max_bytes);
                }
                (Err(_), Err(_)) => {}
                (narrow, whole) => panic!("{limits:?}: {narrow:?}, but {WIDE:?}: {whole:?}"),
            }
        }
    }
}

/// Gzip and deflate: what a damaged zstd frame without a checksum decompresses to, differs between versions of libzstd, and snappy
/// has no second implementation here.
fn is_what_flate2_reads(body: &[u8], compression: Compression, whole: &[u8]) {
    let mut other = Vec::new();
    match compression {
        Compression::Gzip => {
            MultiGzDecoder::new(body).read_to_end(&mut other).expect("flate2 reads all members");
        }
        Compression::Deflate => {
            let reads = [true, false].into_iter().find_map(|zlib| inflated(body, zlib, whole.len()));
            other = reads.expect("flate2 reads it as zlib, or as a bare stream");
        }
        Compression::Identity | Compression::Zstd | Compression::Snappy => return,
    }
    assert!(whole == other, "{compression:?}: {} bytes, flate2 reads {}", whole.len(), other.len());
}

/// The body in one call, where it is a stream of that kind.
fn inflated(body: &[u8], zlib: bool, bytes: usize) -> Option<Vec<u8>> {
    let (mut stream, mut output) = (Decompress::new(zlib), Vec::with_capacity(bytes + 1));
    let ended = stream.decompress_vec(body, &mut output, FlushDecompress::Finish);
    matches!(ended, Ok(flate2::Status::StreamEnd)).then_some(output)
}

/// What real encoders make of the bytes, at a level that changes with them.
fn comes_back(bytes: &[u8]) -> io::Result<()> {
    let choice = bytes.iter().fold(0_u8, |sum, byte| sum.wrapping_mul(31).wrapping_add(*byte));
    let level = flate2::Compression::new(u32::from(choice % 10));
    let mut gzip = GzEncoder::new(Vec::new(), level);
    gzip.write_all(bytes)?;
    let mut zlib = ZlibEncoder::new(Vec::new(), level);
    zlib.write_all(bytes)?;
    let mut bare = DeflateEncoder::new(Vec::new(), level);
    bare.write_all(bytes)?;
    let mut zstd = zstd::bulk::Compressor::new(i32::from(choice % 10) - 3)?;
    zstd.include_checksum(choice & 0x10 != 0)?;
    zstd.include_contentsize(choice & 0x20 != 0)?;
    for (body, compression) in [
        (gzip.finish()?, Compression::Gzip),
        (zlib.finish()?, Compression::Deflate),
        (bare.finish()?, Compression::Deflate),
        (zstd.compress(bytes)?, Compression::Zstd),
        (snap::raw::Encoder::new().compress_vec(bytes)?, Compression::Snappy),
        (snappy_frames(bytes)?, Compression::Snappy),
    ] {
        let limits = DecompressLimits { max_bytes: bytes.len() };
        assert_eq!(decompress(&body, compression, limits).expect("it was compressed"), bytes);
    }
    Ok(())
}

/// A framed stream; of nothing, `snap` would write nothing at all.
fn snappy_frames(bytes: &[u8]) -> io::Result<Vec<u8>> {
    if bytes.is_empty() {
        return Ok(b"\xff\x06\x00\x00sNaPpY".to_vec());
    }
    let mut frames = snap::write::FrameEncoder::new(Vec::new());
    frames.write_all(bytes)?;
    frames.into_inner().map_err(|error| error.error().kind().into())
}
