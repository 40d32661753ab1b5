//! What `decompress` takes of memory, measured by the allocator. One test, since the allocator counts for the whole process.
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::io::Write;

use flate2::write::{GzEncoder, ZlibEncoder};
use peak_alloc::PeakAlloc;
use spillway_proto::otlp::{Compression, DecompressLimits, decompress};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

type Encoder<'a> = &'a dyn Fn(&[u8]) -> Vec<u8>;

const MIB: usize = 1 << 20;
const LIMITS: DecompressLimits = DecompressLimits { max_bytes: 2 * MIB };
/// What decoders take for their tables and their own windows, zstd's apart.
const TABLES: usize = MIB / 2;

/// The most that was allocated at a time while `body` was decompressed, in bytes; and how many bytes came of it, where that went well.
fn peak_of(body: &[u8], compression: Compression) -> (usize, Option<usize>) {
    let before = ALLOCATOR.current_usage();
    ALLOCATOR.reset_peak_usage();
    let bytes = decompress(body, compression, LIMITS).map(|bytes| bytes.len()).ok();
    (ALLOCATOR.peak_usage() - before, bytes)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn snappy_frames(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = snap::write::FrameEncoder::new(Vec::new());
    encoder.write_all(bytes).unwrap();
    encoder.into_inner().unwrap()
}

/// A frame with a window of 8 MiB, of blocks that repeat one byte: <https://www.rfc-editor.org/rfc/rfc8878.html#section-3.1.1>.
fn zstd(bytes: &[u8]) -> Vec<u8> {
    const BLOCK_BYTES: usize = 128 << 10;
    const REPEATED: usize = 1;
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 13 << 3];
    let blocks: Vec<_> = bytes.chunks(BLOCK_BYTES).collect();
    for (n, block) in blocks.iter().enumerate() {
        let is_last = usize::from(n + 1 == blocks.len());
        frame.extend_from_slice(&(block.len() << 3 | REPEATED << 1 | is_last).to_le_bytes()[..3]);
        frame.push(block[0]);
    }
    frame
}

#[test]
fn memory_is_taken_as_the_output_grows_and_up_to_the_limit() {
    let snappy_block = |bytes: &[u8]| snap::raw::Encoder::new().compress_vec(bytes).unwrap();
    let encoders: [(Compression, Encoder<'_>, usize); 5] = [
        (Compression::Gzip, &gzip, 0),
        (Compression::Deflate, &zlib, 0),
        (Compression::Snappy, &snappy_frames, 0),
        (Compression::Snappy, &snappy_block, 0),
        // Its window, in a ring that doubles.
        (Compression::Zstd, &zstd, 16 * MIB),
    ];
    for (compression, encode, window) in encoders {
        let small = encode(&[7; 1_000]);
        assert!(small.len() < 500);
        let (peak, bytes) = peak_of(&small, compression);
        assert!(bytes == Some(1_000) && peak < TABLES, "{compression:?}: {peak} bytes for a small body");
        // As it doubles, a buffer of half the size is there beside it.
        let at_most = LIMITS.max_bytes * 3 / 2 + window + TABLES;
        for grown in [LIMITS.max_bytes, LIMITS.max_bytes + 1, 3 * LIMITS.max_bytes] {
            let (peak, bytes) = peak_of(&encode(&vec![0; grown]), compression);
            assert_eq!(bytes, (grown <= LIMITS.max_bytes).then_some(grown), "{compression:?}");
            assert!(peak <= at_most, "{compression:?}: {peak} bytes for {grown}");
        }
    }
    // What announces much, and holds little.
    for (compression, body) in [
        (Compression::Zstd, zstd(&[7])),
        (Compression::Zstd, zstd(&[7]).repeat(100)),
        (Compression::Snappy, [&[0x80, 0x80, 0x80, 0x01][..], &[0; 100]].concat()),
    ] {
        let (peak, _) = peak_of(&body, compression);
        assert!(peak < TABLES, "{compression:?}: {peak} bytes");
    }
}
