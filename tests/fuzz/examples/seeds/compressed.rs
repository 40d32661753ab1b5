//! Bodies in gzip, zstd, deflate and snappy.

use std::io::{self, Write};

use flate2::GzBuilder;
use flate2::write::{DeflateEncoder, ZlibEncoder};
use prost::Message;
use zstd::zstd_safe::CParameter;

use crate::{Seeds, wire};

pub fn seeds() -> io::Result<Seeds> {
    let body = wire::whole().encode_to_vec();
    let (plain_gzip, plain_zstd) = (gzip(&body, 6)?, zstd(&body, 3, &[])?);
    let spoilt = |whole: &[u8], from_end: usize| {
        let mut bytes = whole.to_vec();
        let place = bytes.len() - from_end;
        bytes[place] ^= 1;
        bytes
    };
    let with_checksum = zstd(&body, 3, &[CParameter::ChecksumFlag(true)])?;
    let skippable = [0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 9, 9, 9];
    let words: Vec<u8> = (0..1_000_u32).flat_map(|n| format!("{} ", n * n % 977).into_bytes()).collect();
    let (plain_zlib, plain_frames) = (zlib(&body, 6)?, snappy_frames(&body)?);
    let stored = |first: u8, bytes: &[u8]| {
        let length = bytes.len() as u16;
        [&[first][..], &length.to_le_bytes(), &(!length).to_le_bytes(), bytes].concat()
    };
    Ok(vec![
        ("empty", vec![]),
        ("plain", body.clone()),
        ("gzip", plain_gzip.clone()),
        ("gzip-of-nothing", gzip(b"", 6)?),
        ("gzip-stored", gzip(&body[..200], 0)?),
        ("gzip-dynamic", gzip(&words, 9)?),
        ("gzip-every-header", every_header(&body)?),
        ("gzip-members", [gzip(b"one", 6)?, gzip(b"", 6)?, gzip(b"two", 1)?].concat()),
        ("gzip-and-rubbish", [plain_gzip.as_slice(), b"rubbish"].concat()),
        ("gzip-bad-checksum", spoilt(&plain_gzip, 8)),
        ("gzip-bad-length", spoilt(&plain_gzip, 4)),
        ("gzip-cut", plain_gzip[..plain_gzip.len() - 4].to_vec()),
        ("gzip-bomb", gzip(&vec![0; 200_000], 9)?),
        ("zstd", plain_zstd.clone()),
        ("zstd-of-nothing", zstd(b"", 3, &[])?),
        ("zstd-raw", zstd(&[0, 1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233], 3, &[])?),
        ("zstd-best", zstd(&words, 19, &[])?),
        ("zstd-fastest", zstd(&words, -5, &[])?),
        ("zstd-unsized", zstd(&body, 3, &[CParameter::ContentSizeFlag(false)])?),
        ("zstd-window", zstd(&words, 3, &[CParameter::WindowLog(10), CParameter::ContentSizeFlag(false)])?),
        ("zstd-checksum", with_checksum.clone()),
        ("zstd-bad-checksum", spoilt(&with_checksum, 1)),
        ("zstd-frames", [zstd(b"one", 3, &[])?, skippable.to_vec(), zstd(b"two", 3, &[])?].concat()),
        ("zstd-skippable-cut", skippable[..9].to_vec()),
        ("zstd-and-rubbish", [plain_zstd.as_slice(), b"rubbish"].concat()),
        ("zstd-cut", plain_zstd[..plain_zstd.len() - 4].to_vec()),
        ("zstd-bomb", zstd(&vec![0; 200_000], 3, &[])?),
        ("zstd-window-of-a-gigabyte", vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa0]),
        ("zlib", plain_zlib.clone()),
        ("zlib-of-nothing", zlib(b"", 6)?),
        ("zlib-stored", zlib(&body[..200], 0)?),
        ("zlib-best", zlib(&words, 9)?),
        ("zlib-bad-checksum", spoilt(&plain_zlib, 1)),
        ("zlib-and-rubbish", [plain_zlib.as_slice(), b"rubbish"].concat()),
        ("zlib-cut", plain_zlib[..plain_zlib.len() - 4].to_vec()),
        ("zlib-bomb", zlib(&vec![0; 200_000], 9)?),
        ("zlib-dictionary", vec![0x78, 0xbb, 0, 0, 0, 1, 3, 0]),
        ("deflate", raw_deflate(&body, 6)?),
        ("deflate-of-nothing", raw_deflate(b"", 6)?),
        ("deflate-stored", raw_deflate(&body[..200], 0)?),
        ("deflate-and-rubbish", [&raw_deflate(&body, 6)?[..], b"rubbish"].concat()),
        ("deflate-like-zlib", [stored(0x78, &[7; 0x9c]), stored(1, b"the end")].concat()),
        ("deflate-bomb", raw_deflate(&vec![0; 200_000], 9)?),
        ("snappy-block", snappy_block(&body)?),
        ("snappy-block-of-nothing", snappy_block(b"")?),
        ("snappy-block-bomb", snappy_block(&vec![0; 200_000])?),
        ("snappy-block-announces-a-gigabyte", [&[0x80, 0x80, 0x80, 0x80, 0x04][..], b"\x08abc"].concat()),
        ("snappy-block-without-length", vec![0x80; 12]),
        ("snappy-frames", plain_frames.clone()),
        ("snappy-frames-of-nothing", plain_frames[..10].to_vec()),
        ("snappy-frames-padded", [&plain_frames[..], &[0xfe, 2, 0, 0, 9, 9], &plain_frames].concat()),
        ("snappy-frames-reserved", [&plain_frames[..], &[0x02, 0, 0, 0]].concat()),
        ("snappy-frames-bad-checksum", spoilt(&plain_frames, plain_frames.len() - 14)),
        ("snappy-frames-cut", plain_frames[..plain_frames.len() - 4].to_vec()),
        ("snappy-frames-bomb", snappy_frames(&vec![0; 200_000])?),
        ("zstd-dictionary", vec![0x28, 0xb5, 0x2f, 0xfd, 0x21, 0x07, 0x01, 0x09, 0x00, 0x00, 0x78]),
    ])
}

fn gzip(bytes: &[u8], level: u32) -> io::Result<Vec<u8>> {
    let mut encoder = GzBuilder::new().write(Vec::new(), flate2::Compression::new(level));
    encoder.write_all(bytes)?;
    encoder.finish()
}

fn every_header(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let header = GzBuilder::new().filename("name").comment("comment").extra(*b"ex\x02\x00tr").mtime(1);
    let mut encoder = header.write(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes)?;
    encoder.finish()
}

fn zlib(bytes: &[u8], level: u32) -> io::Result<Vec<u8>> {
    let mut encoder = ZlibEncoder::new(Vec::new(), flate2::Compression::new(level));
    encoder.write_all(bytes)?;
    encoder.finish()
}

fn raw_deflate(bytes: &[u8], level: u32) -> io::Result<Vec<u8>> {
    let mut encoder = DeflateEncoder::new(Vec::new(), flate2::Compression::new(level));
    encoder.write_all(bytes)?;
    encoder.finish()
}

fn snappy_block(bytes: &[u8]) -> io::Result<Vec<u8>> {
    Ok(snap::raw::Encoder::new().compress_vec(bytes)?)
}

fn snappy_frames(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = snap::write::FrameEncoder::new(Vec::new());
    encoder.write_all(bytes)?;
    encoder.into_inner().map_err(|error| error.error().kind().into())
}

fn zstd(bytes: &[u8], level: i32, parameters: &[CParameter]) -> io::Result<Vec<u8>> {
    let mut encoder = zstd::Encoder::new(Vec::new(), level)?;
    encoder.set_pledged_src_size(Some(bytes.len() as u64))?;
    for parameter in parameters {
        encoder.set_parameter(*parameter)?;
    }
    encoder.write_all(bytes)?;
    encoder.finish()
}
