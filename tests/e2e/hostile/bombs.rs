//! Bodies that are small, or allowed, and would become large.

use std::io::Write;

use anyhow::Result;
use flate2::write::ZlibEncoder;
use spillway_tests::export::gzipped;

use super::MIB;

/// A name, headers, a body, and the status that it deserves.
pub type Bomb = (&'static str, Vec<(&'static str, &'static str)>, Vec<u8>, u16);

/// All of them.
pub fn bombs() -> Result<Vec<Bomb>> {
    /// A little less than the edge takes.
    const LARGEST: usize = 8 * MIB - 1_000;
    let gzip = || vec![("content-type", "application/x-protobuf"), ("content-encoding", "gzip")];
    let zstd = || vec![("content-type", "application/x-protobuf"), ("content-encoding", "zstd")];
    let deflate = || vec![("content-type", "application/x-protobuf"), ("content-encoding", "deflate")];
    let snappy = || vec![("content-type", "application/x-protobuf"), ("content-encoding", "snappy")];
    let json = || vec![("content-type", "application/json")];
    let protobuf = || vec![("content-type", "application/x-protobuf")];
    let filled = |open: &str, unit: &str, close: &str| {
        let units = (LARGEST - open.len() - close.len()) / unit.len();
        [open, &unit.repeat(units), close].concat().into_bytes()
    };
    let span = |open: &str| format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{{open}"#);
    let value = span(r#""attributes":[{"key":"k","value":{"#);
    // Up to what is allowed, and nothing in it.
    let patient = gzipped(&[&vec![0; 170_000][..], &noise(2_000)].concat())?.repeat(96);
    Ok(vec![
        ("zeros in gzip", gzip(), gzipped(&vec![0; 20 * MIB])?, 413),
        ("a gigabyte of zeros", gzip(), gzipped(&vec![0; MIB])?.repeat(1_000), 413),
        ("zeros in zstd", zstd(), zstd::bulk::compress(&vec![0; 20 * MIB], 1)?, 413),
        ("zeros in deflate", deflate(), zlib(&vec![0; 20 * MIB])?, 413),
        ("zeros in snappy", snappy(), snap::raw::Encoder::new().compress_vec(&vec![0; 20 * MIB])?, 413),
        ("a block that announces 16 MiB", snappy(), [&[0x80, 0x80, 0x80, 0x08][..], &[0; 100]].concat(), 400),
        (
            "padding without end",
            snappy(),
            [&b"\xff\x06\x00\x00sNaPpY"[..], &[0xfe, 0, 0, 0].repeat(2_000_000)].concat(),
            200,
        ),
        ("gzip up to the limit", gzip(), patient, 400),
        ("members without end", gzip(), gzipped(b"")?.repeat(LARGEST / gzipped(b"")?.len()), 400),
        ("empty elements", json(), filled(r#"{"resourceSpans":["#, "{},", "{}]}"), 200),
        ("nulls", json(), filled(r#"{"resourceSpans":["#, "null,", "null]}"), 200),
        (
            "nulls as values",
            json(),
            filled(&format!(r#"{value}"arrayValue":{{"values":["#), "null,", "null]}}}]}]}]}]}"),
            200,
        ),
        (
            "long numbers as keys",
            json(),
            filled(&span(r#""attributes":["#), r#"{"key":1e308  },"#, "{}]}]}]}]}"),
            200,
        ),
        ("a long id", json(), filled(&span(r#""traceId":""#), "\\\"", r#""}]}]}]}"#), 400),
        ("a long unknown name", json(), filled("{\"", "\\\"", "\":x}"), 400),
        ("lists in lists", json(), filled(r#"{"x":"#, "[", ""), 400),
        (
            "values in values",
            json(),
            filled(&format!("{value}\"arrayValue\":{{"), r#""values":[{"arrayValue":{"#, ""),
            400,
        ),
        ("groups in groups", protobuf(), vec![0x1b; LARGEST], 400),
        ("messages in messages", protobuf(), nested(400), 200),
        ("empty resources", protobuf(), [0x0a, 0].repeat(LARGEST / 2), 200),
        ("empty spans", protobuf(), within(0x0a, &within(0x12, &[0x12, 0].repeat(LARGEST / 2))), 200),
    ])
}

fn zlib(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?)
}

/// Bytes that do not compress.
fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    };
    std::iter::repeat_with(next).take(bytes).collect()
}

/// A protobuf message in a field of another one.
fn within(key: u8, message: &[u8]) -> Vec<u8> {
    let mut outer = vec![key];
    let mut length = message.len();
    while length >= 0x80 {
        outer.push(length as u8 | 0x80);
        length >>= 7;
    }
    outer.push(length as u8);
    outer.extend_from_slice(message);
    outer
}

/// A span with an attribute whose value is a list in a list, and so on.
fn nested(levels: usize) -> Vec<u8> {
    let value = (0..levels).fold(Vec::new(), |inner, _| within(0x2a, &within(0x0a, &inner)));
    [0x12, 0x4a, 0x12, 0x12, 0x0a].iter().fold(value, |inner, key| within(*key, &inner))
}
