//! Payloads as they were before compression, with libdeflate where that is possible: it takes a third of what others take.

use std::borrow::Cow;

use libdeflater::Decompressor;
use spillway_proto::otlp::{Compression, DecompressError, DecompressLimits, decompress};

/// What a member of gzip begins with: <https://www.rfc-editor.org/rfc/rfc1952#section-2.3.1>.
const MAGIC: [u8; 3] = [0x1f, 0x8b, 8];
/// The flag that the header has a check sum of its own, which libdeflate does not look at.
const FHCRC: u8 = 1 << 1;
/// Deflate makes no more of a byte.
const MOST_OF_A_BYTE: usize = 1_032;

/// Decompresses one payload after another, into the same memory.
#[derive(Default)]
pub struct Unzip {
    decompressor: Decompressor,
    buffer: Vec<u8>,
}

impl Unzip {
    /// The payload as it was before compression. Memory is taken up to the limits, and up to what so many bytes can grow to.
    ///
    /// What follows a member is refused by the reference, and so by the edge, and is not seen here if it looks like its end:
    /// libdeflate does not tell how far it has read. Only who writes into the bucket can make such an object, and its spans are
    /// those of the member.
    pub fn payload<'p>(
        &'p mut self,
        payload: &'p [u8],
        compression: Compression,
        limits: DecompressLimits,
    ) -> Result<Cow<'p, [u8]>, DecompressError> {
        if compression == Compression::Gzip
            && let Some(bytes) = size_of_only_member(payload)
            && bytes <= limits.max_bytes
            && bytes <= payload.len().saturating_mul(MOST_OF_A_BYTE)
        {
            if self.buffer.len() < bytes {
                self.buffer.resize(bytes, 0);
            }
            let whole = self.decompressor.gzip_decompress(payload, &mut self.buffer[..bytes]);
            if whole == Ok(bytes) {
                return Ok(Cow::Borrowed(&self.buffer[..bytes]));
            }
        }
        // Some members, or something that is wrong: the reference knows what.
        decompress(payload, compression, limits)
    }
}

/// How large the content says that it is, if there is one member only: libdeflate does not tell where a member ends. Of a few
/// bodies with one member it is not known, since the same bytes may stand anywhere.
fn size_of_only_member(payload: &[u8]) -> Option<usize> {
    let (_, size) = payload.split_last_chunk::<4>()?;
    if payload.get(3).is_none_or(|flags| flags & FHCRC != 0) {
        return None;
    }
    let others = memchr::memmem::find(payload.get(1..)?, &MAGIC);
    others.is_none().then(|| u32::from_le_bytes(*size) as usize)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::write::GzEncoder;

    use super::*;

    const LIMITS: DecompressLimits = DecompressLimits { max_bytes: 1 << 20 };

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn each_payload_is_what_the_reference_makes_of_it() {
        let text: Vec<u8> = (0..20_000_u32).flat_map(|n| format!("{} ", n * n % 977).into_bytes()).collect();
        let (one, two) = (gzip(&text), gzip(b"two"));
        let cut = one[..one.len() - 9].to_vec();
        let mut wrong = one.clone();
        wrong[one.len() / 2] ^= 1;
        let (members, with_rubbish) =
            ([one.clone(), two.clone(), two.clone()].concat(), [&two, &text[..9]].concat());
        let mut with_wrong_header = gzip(b"two");
        with_wrong_header[3] |= FHCRC;
        with_wrong_header.splice(10..10, [1, 2]);
        let mut too_large = gzip(b"");
        let end = too_large.len() - 4;
        too_large[end..].copy_from_slice(&u32::MAX.to_le_bytes());
        let mut unzip = Unzip::default();
        for body in [
            one,
            two,
            members,
            gzip(b""),
            gzip(&vec![0; 1 << 20]),
            gzip(&vec![0; (1 << 20) + 1]),
            cut,
            wrong,
            with_rubbish,
            with_wrong_header,
            too_large,
            vec![],
        ] {
            for compression in Compression::ALL {
                let found = unzip.payload(&body, compression, LIMITS).map_err(|error| error.to_string());
                let expected = decompress(&body, compression, LIMITS).map_err(|error| error.to_string());
                assert_eq!(found, expected);
            }
        }
        assert!(unzip.buffer.capacity() <= LIMITS.max_bytes);
    }
}
