//! Content encodings, beside other implementations of them.

use std::io::{self, Read, Write};

use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;
use spillway_proto::otlp::{Compression, DecompressError, DecompressLimits, decompress};

const WIDE: DecompressLimits = DecompressLimits { max_bytes: 128 << 10, max_ratio: 1_000 };
const NARROW: [DecompressLimits; 3] = [
    DecompressLimits { max_bytes: 128 << 10, max_ratio: 1 },
    DecompressLimits { max_bytes: 100, max_ratio: 1_000 },
    DecompressLimits { max_bytes: 0, max_ratio: 0 },
];
/// What may come of any body, whatever the ratio.
const RATIO_FREE_BYTES: usize = 64 * 1024;

/// `body` decompresses to no more than it may, and comes back where it is the plain one.
pub fn check(body: &[u8]) {
    comes_back(body).expect("memory can be written to");
    for compression in [Compression::Identity, Compression::Gzip, Compression::Zstd] {
        let whole = decompress(body, compression, WIDE);
        match &whole {
            Ok(whole) => {
                assert!(whole.len() <= WIDE.max_bytes);
                if compression == Compression::Gzip {
                    is_what_flate2_reads(body, whole);
                }
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
        for limits in NARROW {
            let most = limits.max_bytes.min(most_by_ratio(body, compression, limits));
            match (decompress(body, compression, limits), &whole) {
                (Ok(bytes), Ok(whole)) => {
                    assert_eq!(&bytes, whole);
                    assert!(bytes.len() <= most);
                }
                (Err(DecompressError::TooLarge { .. }), Ok(whole)) => assert!(whole.len() > most),
                (Err(_), Err(_)) => {}
                (narrow, whole) => panic!("{limits:?}: {narrow:?}, but {WIDE:?}: {whole:?}"),
            }
        }
    }
}

fn most_by_ratio(body: &[u8], compression: Compression, limits: DecompressLimits) -> usize {
    match compression {
        Compression::Identity => usize::MAX,
        _ => (body.len() * limits.max_ratio).max(RATIO_FREE_BYTES),
    }
}

/// Gzip alone: what a damaged zstd frame without a checksum decompresses to, differs between versions of libzstd.
fn is_what_flate2_reads(body: &[u8], whole: &[u8]) {
    let mut other = Vec::new();
    MultiGzDecoder::new(body).read_to_end(&mut other).expect("flate2 reads all members");
    assert!(whole == other, "{} bytes, flate2 reads {}", whole.len(), other.len());
}

/// What real encoders make of the bytes, at a level that changes with them.
fn comes_back(bytes: &[u8]) -> io::Result<()> {
    let choice = bytes.iter().fold(0_u8, |sum, byte| sum.wrapping_mul(31).wrapping_add(*byte));
    let mut gzip = GzEncoder::new(Vec::new(), flate2::Compression::new(u32::from(choice % 10)));
    gzip.write_all(bytes)?;
    let mut zstd = zstd::bulk::Compressor::new(i32::from(choice % 10) - 3)?;
    zstd.include_checksum(choice & 0x10 != 0)?;
    zstd.include_contentsize(choice & 0x20 != 0)?;
    let zstd = zstd.compress(bytes)?;
    for (body, compression) in [(gzip.finish()?, Compression::Gzip), (zstd, Compression::Zstd)] {
        let limits = DecompressLimits { max_bytes: bytes.len(), max_ratio: usize::MAX };
        assert_eq!(decompress(&body, compression, limits).expect("it was compressed"), bytes);
    }
    Ok(())
}
