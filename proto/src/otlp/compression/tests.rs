use std::io::Write;

use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

use super::*;

const LIMITS: DecompressLimits = DecompressLimits { max_bytes: 200_000 };

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}

fn zlib(bytes: &[u8], level: u32) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), flate2::Compression::new(level));
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn raw_deflate(bytes: &[u8], level: u32) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), flate2::Compression::new(level));
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn snappy_block(bytes: &[u8]) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(bytes).unwrap()
}

fn snappy_frames(bytes: &[u8]) -> Vec<u8> {
    if bytes.is_empty() {
        // `snap` writes nothing at all.
        return b"\xff\x06\x00\x00sNaPpY".to_vec();
    }
    let mut encoder = snap::write::FrameEncoder::new(Vec::new());
    encoder.write_all(bytes).unwrap();
    encoder.into_inner().unwrap()
}

/// The same bytes in every encoding, and in each of its forms.
fn compressed(bytes: &[u8]) -> Vec<(Compression, Vec<u8>)> {
    use Compression::{Deflate, Gzip, Identity, Snappy, Zstd};
    let of_levels =
        |encode: fn(&[u8], u32) -> Vec<u8>| (0..10).map(move |level| (Deflate, encode(bytes, level)));
    let others = [
        (Identity, bytes.to_vec()),
        (Gzip, gzip(bytes)),
        (Zstd, zstd(bytes)),
        (Snappy, snappy_block(bytes)),
        (Snappy, snappy_frames(bytes)),
    ];
    others.into_iter().chain(of_levels(zlib)).chain(of_levels(raw_deflate)).collect()
}

fn numbers() -> Vec<u8> {
    (0..40_000_u32).flat_map(u32::to_le_bytes).collect()
}

fn max_bytes_of(error: DecompressError) -> usize {
    match error {
        DecompressError::TooLarge { max_bytes } => max_bytes,
        DecompressError::Corrupt(problem) => panic!("{problem}"),
    }
}

#[test]
fn every_encoding_comes_back() {
    for bytes in [numbers(), b"some bytes".to_vec(), Vec::new(), vec![0; 99_999]] {
        for (compression, body) in compressed(&bytes) {
            assert!(
                decompress(&body, compression, LIMITS).unwrap() == bytes,
                "{compression:?}: {} bytes",
                bytes.len()
            );
        }
    }
}

#[test]
fn no_growth_is_refused_below_the_limit_and_none_is_allowed_above_it() {
    let limit = LIMITS.max_bytes;
    for (compression, body) in compressed(&vec![0; limit]) {
        assert_eq!(decompress(&body, compression, LIMITS).unwrap().len(), limit, "{compression:?}");
    }
    for (compression, body) in compressed(&vec![0; limit + 1]) {
        let error = decompress(&body, compression, LIMITS).unwrap_err();
        assert_eq!(max_bytes_of(error), limit, "{compression:?}");
    }
    // Each part alone would be allowed.
    for (compression, body) in [
        (Compression::Gzip, gzip(&vec![0; limit]).repeat(2)),
        (Compression::Zstd, zstd(&vec![0; limit]).repeat(2)),
        (Compression::Snappy, snappy_frames(&vec![0; limit]).repeat(2)),
    ] {
        let error = decompress(&body, compression, LIMITS).unwrap_err();
        assert_eq!(max_bytes_of(error), limit, "{compression:?}");
    }
}

#[test]
fn memory_follows_the_output_and_not_what_a_body_announces() {
    // One byte, in a frame with a window of 8 MiB; and the same frame behind another one.
    let window = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 13 << 3, 0x09, 0x00, 0x00, 7];
    for body in [window.to_vec(), window.repeat(2)] {
        let bytes = decompress(&body, Compression::Zstd, LIMITS).unwrap();
        assert!(bytes.iter().all(|byte| *byte == 7) && bytes.len() == body.len() / window.len());
    }
    // Some bytes that announce as many as are allowed, and one more.
    let announces = [&[0xc0, 0x9a, 0x0c][..], &snappy_block(b"bytes")[1..]].concat();
    let error = decompress(&announces, Compression::Snappy, LIMITS).unwrap_err();
    assert!(error.to_string().contains("announces more"), "{error}");
    let announces = [&[0xc1, 0x9a, 0x0c][..], &snappy_block(b"bytes")[1..]].concat();
    assert_eq!(
        max_bytes_of(decompress(&announces, Compression::Snappy, LIMITS).unwrap_err()),
        LIMITS.max_bytes
    );
}

#[test]
fn what_is_cut_continued_or_of_another_encoding_is_corrupt() {
    let bytes = b"some bytes, some bytes, some bytes, some bytes, and no more".repeat(9);
    for (compression, body) in
        compressed(&bytes).into_iter().filter(|(known, _)| *known != Compression::Identity)
    {
        let is_corrupt =
            |body: &[u8]| matches!(decompress(body, compression, LIMITS), Err(DecompressError::Corrupt(_)));
        for end in 0..body.len() {
            // A framed stream may end after each of its chunks, and the first one holds nothing.
            let ends_well = compression == Compression::Snappy && end == 10 && body.starts_with(b"\xff\x06");
            assert!(is_corrupt(&body[..end]) || ends_well, "{compression:?} cut to {end}");
        }
        assert!(is_corrupt(&[&body, &b"\x7frubbish"[..]].concat()), "{compression:?} and rubbish");
        assert!(is_corrupt(b"plain text") && is_corrupt(&bytes), "{compression:?}");
    }
}

#[test]
fn a_wrong_checksum_is_corrupt() {
    let bytes = b"some bytes, some bytes, some bytes";
    let spoilt = |mut body: Vec<u8>, at: usize| {
        body[at] ^= 1;
        body
    };
    let (gzip, zlib, frames) = (gzip(bytes), zlib(bytes, 6), snappy_frames(bytes));
    for (compression, body) in [
        (Compression::Gzip, spoilt(gzip.clone(), gzip.len() - 8)),
        (Compression::Deflate, spoilt(zlib.clone(), zlib.len() - 1)),
        (Compression::Snappy, spoilt(frames, 14)),
    ] {
        let error = decompress(&body, compression, LIMITS).unwrap_err();
        assert!(matches!(error, DecompressError::Corrupt(_)), "{compression:?}: {error}");
    }
}

#[test]
fn what_could_be_zlib_and_a_bare_stream_is_zlib_and_fails() {
    // A stored block whose unused bits are set, behind which another block follows: RFC 1951 takes it, RFC 1950 sees its own header.
    let stored = |first: u8, bytes: &[u8]| {
        let length = bytes.len() as u16;
        [&[first][..], &length.to_le_bytes(), &(!length).to_le_bytes(), bytes].concat()
    };
    let bare = |first: u8| [stored(first, &[7; 0x9c]), stored(1, b"the end")].concat();
    assert_eq!(decompress(&bare(0), Compression::Deflate, LIMITS).unwrap().len(), 0x9c + 7);
    // 0x789c is the header that zlib writes by default.
    assert!(decompress(&bare(0x78), Compression::Deflate, LIMITS).is_err());
}

#[test]
fn zstd_frames_and_skippable_ones_may_stand_in_a_row() {
    let mut frames = zstd(b"one");
    frames.extend([0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 9, 9, 9]);
    frames.extend(zstd(b"two"));
    assert_eq!(decompress(&frames, Compression::Zstd, LIMITS).unwrap(), b"onetwo".to_vec());
    // A window of a gigabyte, which no byte follows.
    let window = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa0];
    let error = decompress(&window, Compression::Zstd, LIMITS).unwrap_err();
    assert!(matches!(error, DecompressError::Corrupt(_)), "{error}");
}

#[test]
fn a_framed_stream_may_hold_padding_and_begin_anew() {
    let padding = [0xfe, 2, 0, 0, 9, 9];
    let body = [&snappy_frames(b"one")[..], &padding, &snappy_frames(b"two")].concat();
    assert_eq!(decompress(&body, Compression::Snappy, LIMITS).unwrap(), b"onetwo".to_vec());
    let reserved = [&snappy_frames(b"one")[..], &[0x02, 0, 0, 0]].concat();
    assert!(decompress(&reserved, Compression::Snappy, LIMITS).is_err());
}

#[test]
fn a_body_of_a_million_members_is_not_worked_through() {
    for (compression, member) in [(Compression::Gzip, gzip(b"")), (Compression::Zstd, zstd(b""))] {
        let error = decompress(&member.repeat(MAX_MEMBERS + 1), compression, LIMITS).unwrap_err();
        assert!(matches!(error, DecompressError::Corrupt(_)), "{error}");
        assert_eq!(decompress(&member.repeat(MAX_MEMBERS), compression, LIMITS).unwrap(), Vec::<u8>::new());
    }
}

#[test]
fn only_known_encodings_are_taken_and_one_at_a_time() {
    for (header, compression) in [
        (None, Compression::Identity),
        (Some(""), Compression::Identity),
        (Some("GZIP"), Compression::Gzip),
        (Some("x-gzip"), Compression::Gzip),
        (Some(" zstd"), Compression::Zstd),
        (Some("deflate"), Compression::Deflate),
        (Some("zlib"), Compression::Deflate),
        (Some("snappy"), Compression::Snappy),
        (Some("x-snappy-framed"), Compression::Snappy),
    ] {
        assert_eq!(Compression::from_header(header), Some(compression), "{header:?}");
    }
    for unknown in ["br", "lz4", "compress", "gzip, gzip", "gzip,", "identity, gzip"] {
        assert_eq!(Compression::from_header(Some(unknown)), None, "{unknown}");
    }
}
