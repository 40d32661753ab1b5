//! Content encodings of HTTP, decoded within bounds.

mod deflate;
mod snappy;
#[cfg(test)]
mod tests;

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
    /// RFC 1952, the one encoding that OTLP names.
    Gzip,
    /// RFC 8878.
    Zstd,
    /// RFC 1950 (zlib), which is what HTTP calls `deflate`; or RFC 1951 without that envelope, which some clients send under the
    /// same name. The first two bytes tell them apart.
    Deflate,
    /// Snappy, as one block or as a framed stream. The stream's first chunk tells them apart.
    Snappy,
}

impl Compression {
    /// Every encoding, once.
    pub const ALL: [Self; 5] = [Self::Identity, Self::Gzip, Self::Zstd, Self::Deflate, Self::Snappy];

    /// The compression that a `Content-Encoding` header names; `None` for an encoding that is not taken, and for more than one.
    ///
    /// `x-gzip` is `gzip` (RFC 9110, 8.4.1.3). `zlib` and `x-snappy-framed` are names that the OpenTelemetry Collector sends:
    /// <https://github.com/open-telemetry/opentelemetry-collector/blob/main/config/confighttp/compression.go>.
    pub fn from_header(header: Option<&str>) -> Option<Self> {
        let name = header.unwrap_or_default().trim();
        let is = |known: &[&str]| known.iter().any(|known| name.eq_ignore_ascii_case(known));
        match () {
            () if is(&["", "identity"]) => Some(Self::Identity),
            () if is(&["gzip", "x-gzip"]) => Some(Self::Gzip),
            () if is(&["zstd"]) => Some(Self::Zstd),
            () if is(&["deflate", "zlib"]) => Some(Self::Deflate),
            () if is(&["snappy", "x-snappy-framed"]) => Some(Self::Snappy),
            () => None,
        }
    }
}

/// What a body may grow to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecompressLimits {
    /// The most bytes after decompression.
    pub max_bytes: usize,
}

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

/// The body as it was before compression.
///
/// Memory is taken as the output grows, whatever sizes the body announces, and up to the limit; zstd takes a window of up to the
/// limit, and at least 8 MiB, besides. A block of snappy is the exception, whose decoder wants the whole output: that is taken at
/// once, up to the limit and up to 64/3 of the body, which no block exceeds.
///
/// # Errors
///
/// [`DecompressError::TooLarge`] beyond the limit; [`DecompressError::Corrupt`] for a body that is not, from its first byte to its
/// last, what `compression` says.
pub fn decompress(
    body: &[u8],
    compression: Compression,
    limits: DecompressLimits,
) -> Result<Cow<'_, [u8]>, DecompressError> {
    let max_bytes = limits.max_bytes;
    let mut output = Output { bytes: Vec::new(), max_bytes };
    match compression {
        Compression::Identity if body.len() <= max_bytes => return Ok(Cow::Borrowed(body)),
        Compression::Identity => return Err(DecompressError::TooLarge { max_bytes }),
        Compression::Gzip => gunzip(body, &mut output)?,
        Compression::Zstd => unzstd(body, &mut output)?,
        Compression::Deflate => deflate::inflate(body, &mut output)?,
        Compression::Snappy => snappy::unsnap(body, &mut output)?,
    }
    Ok(Cow::Owned(output.bytes))
}

struct Output {
    bytes: Vec<u8>,
    max_bytes: usize,
}

/// The least by which the output grows, in bytes.
const STEP_BYTES: usize = 32 << 10;

impl Output {
    /// Takes in all that `member` decompresses to.
    fn read(&mut self, member: &mut impl Read) -> Result<(), DecompressError> {
        loop {
            let room = self.grow()?;
            let read = member.by_ref().take(room as u64).read_to_end(&mut self.bytes);
            if read.map_err(DecompressError::Corrupt)? < room {
                return self.check();
            }
        }
    }

    /// Makes room where there is none, for as much as there is already: within the limit and one byte above it, by which a body
    /// that is too large is told. The room in bytes, at least one.
    fn grow(&mut self) -> Result<usize, DecompressError> {
        self.check()?;
        let Self { bytes, max_bytes } = self;
        if bytes.len() == bytes.capacity() {
            let (step, most) = (bytes.len().max(STEP_BYTES), (*max_bytes - bytes.len()).saturating_add(1));
            // No last step for a few bytes: it would copy all the others.
            bytes.reserve_exact(if most < step + STEP_BYTES { most } else { step });
        }
        Ok(bytes.capacity() - bytes.len())
    }

    fn check(&self) -> Result<(), DecompressError> {
        match self.max_bytes {
            max_bytes if self.bytes.len() > max_bytes => Err(DecompressError::TooLarge { max_bytes }),
            _ => Ok(()),
        }
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

/// What is wrong with the beginning of a frame. The library's own texts are for its developers.
fn zstd_problem(error: &FrameDecoderError) -> &'static str {
    match error {
        FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::BadMagicNumber(_)) => {
            "no zstd frame begins with these bytes"
        }
        FrameDecoderError::WindowSizeTooBig { .. } => {
            "the window of a zstd frame is larger than the limit of the body"
        }
        FrameDecoderError::DictNotProvided { .. } => "a zstd frame needs a dictionary",
        _ => "the header of a zstd frame is damaged, or ends early",
    }
}

fn unzstd(mut body: &[u8], output: &mut Output) -> Result<(), DecompressError> {
    let max_window_bytes = output.max_bytes.max(ZSTD_WINDOW_BYTES) as u64;
    for _ in 0..MAX_MEMBERS {
        // A decoder that was used before takes the window that a frame announces at once; a new one takes it as it fills.
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(max_window_bytes);
        match StreamingDecoder::new_with_decoder(&mut body, &mut decoder) {
            Ok(mut frame) => {
                output.read(&mut frame).map_err(|error| match error {
                    DecompressError::Corrupt(_) => corrupt("a zstd frame is damaged, or ends early"),
                    too_large => too_large,
                })?;
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
            Err(error) => return Err(corrupt(zstd_problem(&error))),
        }
        if body.is_empty() {
            return Ok(());
        }
    }
    Err(corrupt("too many zstd frames"))
}
