//! Content encodings, decoded within bounds.

use std::borrow::Cow;
use std::io::Read;

use flate2::bufread::MultiGzDecoder;

/// How a request body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    Identity,
    /// RFC 1952, the one encoding that the specification names.
    Gzip,
}

impl Compression {
    /// The compression that a `Content-Encoding` header asks for, if it is one that we know.
    pub fn from_header(header: Option<&str>) -> Option<Self> {
        match header.map(str::trim) {
            None | Some("") => Some(Self::Identity),
            Some(name) if name.eq_ignore_ascii_case("identity") => Some(Self::Identity),
            Some(name) if name.eq_ignore_ascii_case("gzip") => Some(Self::Gzip),
            Some(_) => None,
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
    #[error("the body is not valid gzip: {0}")]
    Corrupt(#[source] std::io::Error),
}

/// The body as it was before compression. Memory is taken as the output grows, and never above the limits.
pub fn decompress(
    body: &[u8],
    compression: Compression,
    limits: DecompressLimits,
) -> Result<Cow<'_, [u8]>, DecompressError> {
    match compression {
        Compression::Identity if body.len() <= limits.max_bytes => Ok(Cow::Borrowed(body)),
        Compression::Identity => Err(DecompressError::TooLarge { max_bytes: limits.max_bytes }),
        Compression::Gzip => {
            let by_ratio = body.len().saturating_mul(limits.max_ratio).max(RATIO_FREE_BYTES);
            let max_bytes = limits.max_bytes.min(by_ratio);
            let mut output = Vec::new();
            MultiGzDecoder::new(body)
                .take(max_bytes as u64 + 1)
                .read_to_end(&mut output)
                .map_err(DecompressError::Corrupt)?;
            if output.len() > max_bytes {
                return Err(DecompressError::TooLarge { max_bytes });
            }
            Ok(Cow::Owned(output))
        }
    }
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

    #[test]
    fn only_known_encodings_are_taken() {
        assert_eq!(Compression::from_header(None), Some(Compression::Identity));
        assert_eq!(Compression::from_header(Some("GZIP")), Some(Compression::Gzip));
        for unknown in ["br", "deflate", "gzip, gzip"] {
            assert_eq!(Compression::from_header(Some(unknown)), None);
        }
    }
}
