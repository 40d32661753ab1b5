//! ClickHouse's compressed frames: a checksum of what follows (CityHash 1.0.2, 128 bits), the method, the sizes of the frame
//! without the checksum and of the data, and the data,
//! <https://clickhouse.com/docs/development/compression/compression-format>.

use bytes::Bytes;

const CHECKSUM_BYTES: usize = 16;
const HEADER_BYTES: usize = 9;
const LZ4: u8 = 0x82;

/// Compresses by LZ4, and keeps its memory from frame to frame.
#[derive(Default)]
pub struct Compressor {
    frame: Vec<u8>,
}

impl Compressor {
    /// A frame that holds `data`, of no more than 1 GiB.
    pub fn frame(&mut self, data: &[u8]) -> Bytes {
        let start = CHECKSUM_BYTES + HEADER_BYTES;
        let most = start + lz4_flex::block::get_maximum_output_size(data.len());
        if self.frame.len() < most {
            self.frame.resize(most, 0);
        }
        let compressed = lz4_flex::block::compress_into(data, &mut self.frame[start..]);
        let end = start + compressed.expect("the buffer is as large as the output may be");
        let (checksum, rest) = self.frame[..end].split_at_mut(CHECKSUM_BYTES);
        let frame_bytes = rest.len() as u32;
        rest[0] = LZ4;
        rest[1..5].copy_from_slice(&frame_bytes.to_le_bytes());
        rest[5..9].copy_from_slice(&(data.len() as u32).to_le_bytes());
        let hash = cityhash_rs::cityhash_102_128(rest);
        checksum[..8].copy_from_slice(&((hash >> 64) as u64).to_le_bytes());
        checksum[8..].copy_from_slice(&(hash as u64).to_le_bytes());
        Bytes::copy_from_slice(&self.frame[..end])
    }
}
