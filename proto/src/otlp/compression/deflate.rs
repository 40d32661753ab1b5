//! `Content-Encoding: deflate`, in both of its meanings.

use flate2::{Decompress, FlushDecompress, Status};

use super::{DecompressError, Output, corrupt};

/// Takes in what a zlib stream (RFC 1950) or a bare deflate stream (RFC 1951) decompresses to. The stream ends where the body does.
///
/// HTTP means zlib (RFC 9110, 8.4.1.2), and notes that some send the bare stream. Both are taken, since no encoder makes a body that
/// can be read both ways: a bare stream with a zlib header's first byte would begin with a stored block and set one of the bits that
/// RFC 1951 passes over. Such a body is taken for zlib, and fails by its Adler-32.
pub(super) fn inflate(body: &[u8], output: &mut Output) -> Result<(), DecompressError> {
    let mut stream = Decompress::new(has_zlib_header(body));
    loop {
        output.grow()?;
        let (read, written) = (stream.total_in(), stream.total_out());
        let rest = usize::try_from(read).ok().and_then(|read| body.get(read..)).unwrap_or_default();
        match stream.decompress_vec(rest, &mut output.bytes, FlushDecompress::None) {
            Ok(Status::StreamEnd) if stream.total_in() == body.len() as u64 => return output.check(),
            Ok(Status::StreamEnd) => return Err(corrupt("bytes follow the deflate stream")),
            Ok(_) if (stream.total_in(), stream.total_out()) == (read, written) => {
                return Err(corrupt("the deflate stream ends early"));
            }
            Ok(_) => {}
            Err(error) => return Err(corrupt(error)),
        }
    }
}

/// Compression method 8 with a window of 32 KiB at most, no preset dictionary, and the check bits:
/// <https://www.rfc-editor.org/rfc/rfc1950#section-2.2>.
fn has_zlib_header(body: &[u8]) -> bool {
    const PRESET_DICTIONARY: u8 = 1 << 5;
    match body {
        [cmf, flags, ..] => {
            cmf & 0x0f == 8
                && cmf >> 4 <= 7
                && flags & PRESET_DICTIONARY == 0
                && u16::from_be_bytes([*cmf, *flags]).is_multiple_of(31)
        }
        _ => false,
    }
}
