//! Content encodings, decoded within bounds.

use std::borrow::Cow;
use std::io::{self, Read};

use flate2::bufread::GzDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{FrameDecoder, StreamingDecoder};

/// How a request body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    Identity,
    /// RFC 1952, the one encoding that the specification names.
    Gzip,
    /// RFC 8878.
    Zstd,
}

impl Compression {
    /// The compression that a `Content-Encoding` header asks for, if it is one that we know.
    pub fn from_header(header: Option<&str>) -> Option<Self> {
        let name = header.unwrap_or_default().trim();
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        match () {
            () if name.is_empty() || is("identity") => Some(Self::Identity),
            () if is("gzip") => Some(Self::Gzip),
            () if is("zstd") => Some(Self::Zstd),
            () => None,
        }
    }
}

/// What a body may grow to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecompressLimits {
    /// The most bytes after decompression.
    pub max_bytes: usize,
    /// The most bytes after decompression for one byte before; a body below 64 KiB may always grow to that.
    pub max_ratio: usize,
}

/// Below this size, in bytes, the ratio does not matter: small repetitive batches compress very well.
const RATIO_FREE_BYTES: usize = 64 * 1024;

/// How many gzip members or zstd frames a body may be made of. One is usual; each costs time, however little it holds.
const MAX_MEMBERS: usize = 1_000;

/// The window, in bytes, that a zstd decoder has to be ready to keep, whatever comes:
/// <https://www.rfc-editor.org/rfc/rfc8878.html#section-3.1.1.1.2>.
const ZSTD_WINDOW_BYTES: usize = 8 << 20;

/// Why a body could not be decompressed.
#[derive(Debug, thiserror::Error)]
pub enum DecompressError {
    /// It grows over the limit.
    #[error("the body grows over {max_bytes} bytes when decompressed")]
    TooLarge {
        /// The limit that it met, in bytes.
        max_bytes: usize,
    },
    /// Not what `Content-Encoding` says.
    #[error("the body is not what Content-Encoding says: {0}")]
    Corrupt(#[source] io::Error),
}

/// The body as it was before compression. Memory is taken as the output grows, and never above the limits; zstd takes a
/// window of up to 8 MiB besides.
pub fn decompress(
    body: &[u8],
    compression: Compression,
    limits: DecompressLimits,
) -> Result<Cow<'_, [u8]>, DecompressError> {
    let by_ratio = body.len().saturating_mul(limits.max_ratio).max(RATIO_FREE_BYTES);
    let max_bytes = limits.max_bytes.min(by_ratio);
    let mut output = Output { bytes: Vec::new(), max_bytes };
    match compression {
        Compression::Identity if body.len() <= limits.max_bytes => return Ok(Cow::Borrowed(body)),
        Compression::Identity => return Err(DecompressError::TooLarge { max_bytes: limits.max_bytes }),
        Compression::Gzip => gunzip(body, &mut output)?,
        Compression::Zstd => unzstd(body, &mut output)?,
    }
    Ok(Cow::Owned(output.bytes))
}

struct Output {
    bytes: Vec<u8>,
    max_bytes: usize,
}

impl Output {
    /// Takes in all that `member` decompresses to.
    fn read(&mut self, member: &mut impl Read) -> Result<(), DecompressError> {
        let room = (self.max_bytes - self.bytes.len()) as u64;
        member.take(room + 1).read_to_end(&mut self.bytes).map_err(DecompressError::Corrupt)?;
        if self.bytes.len() > self.max_bytes {
            return Err(DecompressError::TooLarge { max_bytes: self.max_bytes });
        }
        Ok(())
    }
}

fn corrupt(problem: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> DecompressError {
    DecompressError::Corrupt(io::Error::new(io::ErrorKind::InvalidData, problem))
}

fn gunzip(mut body: &[u8], output: &mut Output) -> Result<(), DecompressError> {
    for _ in 0..MAX_MEMBERS {
        let mut member = GzDecoder::new(body);
        output.read(&mut member)?;
        body = member.into_inner();
        if body.is_empty() {
            return Ok(());
        }
    }
    Err(corrupt("too many gzip members"))
}

fn unzstd(mut body: &[u8], output: &mut Output) -> Result<(), DecompressError> {
    let mut decoder = FrameDecoder::new();
    decoder.set_max_window_size(output.max_bytes.max(ZSTD_WINDOW_BYTES) as u64);
    for _ in 0..MAX_MEMBERS {
        match StreamingDecoder::new_with_decoder(&mut body, &mut decoder) {
            Ok(mut frame) => {
                output.read(&mut frame)?;
                let written = decoder.get_checksum_from_data();
                if written.is_some() && written != decoder.get_calculated_checksum() {
                    return Err(corrupt("the zstd checksum is wrong"));
                }
            }
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                length, ..
            })) => {
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                body = body.get(length..).ok_or_else(|| corrupt("a zstd frame ends early"))?;
            }
            Err(error) => return Err(corrupt(error)),
        }
        if body.is_empty() {
            return Ok(());
        }
    }
    Err(corrupt("too many zstd frames"))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::write::GzEncoder;

    use super::*;

    const LIMITS: DecompressLimits = DecompressLimits { max_bytes: 1_000_000, max_ratio: 100 };

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn gzip_comes_back() {
        let body: Vec<u8> = (0..10_000u32).flat_map(u32::to_le_bytes).collect();
        assert_eq!(decompress(&gzip(&body), Compression::Gzip, LIMITS).unwrap(), body);
        assert_eq!(decompress(&body, Compression::Identity, LIMITS).unwrap(), body);
    }

    #[test]
    fn a_bomb_meets_the_ratio_and_a_large_body_the_limit() {
        let bomb = gzip(&vec![0; 900_000]);
        let error = decompress(&bomb, Compression::Gzip, LIMITS).unwrap_err();
        assert!(matches!(error, DecompressError::TooLarge { max_bytes } if max_bytes < 1_000_000), "{error}");
        let error = decompress(&vec![1; 1_000_001], Compression::Identity, LIMITS).unwrap_err();
        assert!(matches!(error, DecompressError::TooLarge { max_bytes: 1_000_000 }), "{error}");
    }

    #[test]
    fn what_is_no_gzip_is_corrupt() {
        let whole = gzip(b"some bytes");
        for bad in [&b"plain"[..], &whole[..whole.len() - 4]] {
            assert!(matches!(decompress(bad, Compression::Gzip, LIMITS), Err(DecompressError::Corrupt(_))));
        }
    }

    fn zstd(bytes: &[u8]) -> Vec<u8> {
        ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
    }

    #[test]
    fn zstd_comes_back_frames_and_skippable_ones_in_a_row() {
        let body: Vec<u8> = (0..10_000u32).flat_map(u32::to_le_bytes).collect();
        assert_eq!(decompress(&zstd(&body), Compression::Zstd, LIMITS).unwrap(), body);
        let mut frames = zstd(b"one");
        frames.extend([0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 9, 9, 9]);
        frames.extend(zstd(b"two"));
        assert_eq!(decompress(&frames, Compression::Zstd, LIMITS).unwrap(), b"onetwo".to_vec());
    }

    #[test]
    fn zstd_has_the_same_bounds() {
        let error = decompress(&zstd(&vec![0; 900_000]), Compression::Zstd, LIMITS).unwrap_err();
        assert!(matches!(error, DecompressError::TooLarge { .. }), "{error}");
        let whole = zstd(b"some bytes, some bytes, some bytes");
        // A window of a gigabyte, which no byte follows.
        let window = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa0];
        for bad in [&b"plain"[..], &whole[..whole.len() - 4], &window, b""] {
            let error = decompress(bad, Compression::Zstd, LIMITS).unwrap_err();
            assert!(matches!(error, DecompressError::Corrupt(_)), "{error}");
        }
    }

    #[test]
    fn a_body_of_a_million_members_is_not_worked_through() {
        for (compression, member) in [(Compression::Gzip, gzip(b"")), (Compression::Zstd, zstd(b""))] {
            let error = decompress(&member.repeat(MAX_MEMBERS + 1), compression, LIMITS).unwrap_err();
            assert!(matches!(error, DecompressError::Corrupt(_)), "{error}");
            assert_eq!(
                decompress(&member.repeat(MAX_MEMBERS), compression, LIMITS).unwrap(),
                Vec::<u8>::new()
            );
        }
    }

    #[test]
    fn only_known_encodings_are_taken() {
        assert_eq!(Compression::from_header(None), Some(Compression::Identity));
        assert_eq!(Compression::from_header(Some("GZIP")), Some(Compression::Gzip));
        assert_eq!(Compression::from_header(Some(" zstd")), Some(Compression::Zstd));
        for unknown in ["br", "deflate", "gzip, gzip"] {
            assert_eq!(Compression::from_header(Some(unknown)), None);
        }
    }
}
