//! A block as it is written.
//!
//! The numbers of columns and of rows, then of each column its name, its type and its data. Without a version of the
//! protocol, as over HTTP, there is nothing else. All numbers are little-endian.

use std::ops::Range;

use super::texts::put_number;
use super::{CommonMaps, Dictionary, Maps, Texts, put_text};

/// What takes the bytes has gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("nobody takes the block any more")]
pub struct Gone;

/// Takes bytes of a block, in their order; whether it takes more.
pub type Take<'t> = dyn FnMut(&[u8]) -> Result<(), Gone> + 't;

/// A block that is being written. Its bytes are handed on whenever there are so many.
pub struct Block<'t> {
    bytes: Vec<u8>,
    piece_bytes: usize,
    take: &'t mut Take<'t>,
}

/// No piece is larger than so many usual ones.
const LARGEST_PIECE: usize = 4;
/// So many numbers are written before it is looked whether the bytes are enough for a piece.
const AT_ONCE: usize = 512;
/// The text of 16 bytes, with its length before it.
const LONGEST_HEX: usize = 33;
/// How the dictionaries of a column are written: `SharedDictionariesWithAdditionalKeys`.
const DICTIONARY_VERSION: u64 = 1;
/// A dictionary stands before the numbers, and is the only one.
const HAS_ADDITIONAL_KEYS: u64 = 1 << 9 | 1 << 10;

impl<'t> Block<'t> {
    /// Begins a block, of which `take` is handed pieces of about `piece_bytes`.
    pub fn new(columns: usize, rows: usize, piece_bytes: usize, take: &'t mut Take<'t>) -> Self {
        let mut bytes = Vec::with_capacity(piece_bytes + piece_bytes / 4);
        put_number(&mut bytes, columns);
        put_number(&mut bytes, rows);
        Self { bytes, piece_bytes, take }
    }

    /// Begins a column.
    pub fn column(&mut self, name: &str, column_type: &str) {
        put_text(&mut self.bytes, name.as_bytes());
        put_text(&mut self.bytes, column_type.as_bytes());
    }

    /// Hands on what is left.
    pub fn finish(mut self) -> Result<(), Gone> {
        self.hand_on()
    }

    #[inline(never)]
    fn hand_on(&mut self) -> Result<(), Gone> {
        // A text may be as long as all the rest, and a frame has a most that the server takes.
        self.bytes.chunks(LARGEST_PIECE * self.piece_bytes).try_for_each(&mut self.take)?;
        self.bytes.clear();
        Ok(())
    }

    #[inline]
    fn put(&mut self, bytes: &[u8]) -> Result<(), Gone> {
        self.bytes.extend_from_slice(bytes);
        if self.bytes.len() >= self.piece_bytes { self.hand_on() } else { Ok(()) }
    }

    /// Numbers of any type.
    pub fn numbers<const BYTES: usize>(
        &mut self,
        mut numbers: impl Iterator<Item = [u8; BYTES]>,
    ) -> Result<(), Gone> {
        loop {
            let start = self.bytes.len();
            self.bytes.resize(start + AT_ONCE * BYTES, 0);
            let (places, _) = self.bytes[start..].as_chunks_mut();
            let mut written = 0;
            for (place, number) in places.iter_mut().zip(numbers.by_ref()) {
                *place = number;
                written += 1;
            }
            self.bytes.truncate(start + written * BYTES);
            self.put(&[])?;
            if written < AT_ONCE {
                return Ok(());
            }
        }
    }

    /// `String`: those of `texts` that are named, in that order.
    pub fn texts(&mut self, texts: &Texts, which: impl Iterator<Item = usize>) -> Result<(), Gone> {
        for index in which {
            self.put(texts.written(index))?;
        }
        Ok(())
    }

    /// `String`: ids of up to 16 bytes in lower-case hex, and no text for those that are all zero.
    pub fn hex<const BYTES: usize>(&mut self, ids: impl Iterator<Item = [u8; BYTES]>) -> Result<(), Gone> {
        const { assert!(2 * BYTES < LONGEST_HEX) }
        for id in ids {
            if id == [0; BYTES] {
                self.put(&[0])?;
                continue;
            }
            let mut text = [2 * BYTES as u8; LONGEST_HEX];
            let (places, _) = text[1..].as_chunks_mut();
            for (place, byte) in places.iter_mut().zip(id) {
                *place = HEX[usize::from(byte)];
            }
            self.put(&text[..=2 * BYTES])?;
        }
        Ok(())
    }

    /// What stands at the beginning of a column that has `LowCardinality` anywhere in it.
    pub fn low_cardinality_prefix(&mut self) {
        self.bytes.extend_from_slice(&DICTIONARY_VERSION.to_le_bytes());
    }

    /// `LowCardinality(String)`: the texts that are there, and the number of each row's. No rows have no dictionary.
    pub fn low_cardinality(
        &mut self,
        dictionary: &Dictionary,
        numbers: impl Iterator<Item = u32> + Clone,
    ) -> Result<(), Gone> {
        let (mut used, mut rows) = (Renumbered::new(dictionary), 0);
        for number in numbers.clone() {
            used.add(number);
            rows += 1;
        }
        if rows == 0 {
            return Ok(());
        }
        let width = self.dictionary(dictionary, &used, rows)?;
        let places = numbers.map(|number| used.places[number as usize]);
        match width {
            Width::One => self.numbers(places.map(|place| [place as u8])),
            Width::Two => self.numbers(places.map(|place| (place as u16).to_le_bytes())),
            Width::Four => self.numbers(places.map(u32::to_le_bytes)),
        }
    }

    fn dictionary(&mut self, dictionary: &Dictionary, used: &Renumbered, rows: usize) -> Result<Width, Gone> {
        let width = match used.texts.len() {
            0..=0x100 => Width::One,
            0x101..=0x1_0000 => Width::Two,
            _ => Width::Four,
        };
        self.bytes.extend_from_slice(&(width as u64 | HAS_ADDITIONAL_KEYS).to_le_bytes());
        self.bytes.extend_from_slice(&(used.texts.len() as u64).to_le_bytes());
        for number in &used.texts {
            let text = dictionary.text(*number);
            put_number(&mut self.bytes, text.len());
            self.put(text)?;
        }
        self.bytes.extend_from_slice(&(rows as u64).to_le_bytes());
        Ok(width)
    }

    /// The offsets of an `Array` or a `Map`: where the elements of each row end.
    pub fn offsets(&mut self, lengths: impl Iterator<Item = usize>) -> Result<(), Gone> {
        let mut end = 0u64;
        self.numbers(lengths.map(|length| {
            end += length as u64;
            end.to_le_bytes()
        }))
    }

    /// `Map(LowCardinality(String), String)`, without its prefix: those of `maps` that are named, in that order.
    pub fn maps(
        &mut self,
        keys: &Dictionary,
        maps: &Maps,
        which: impl Iterator<Item = usize> + Clone,
    ) -> Result<(), Gone> {
        self.offsets(which.clone().map(|map| maps.pairs(map).len()))?;
        self.runs(keys, maps.keys(), maps.len(), which.clone(), |map| maps.pairs(map))?;
        for map in which {
            self.put(maps.values(map))?;
        }
        Ok(())
    }

    /// `Map(LowCardinality(String), LowCardinality(String))`, without its two prefixes: those of `maps` that are named, in
    /// that order.
    pub fn common_maps(
        &mut self,
        [keys, values]: [&Dictionary; 2],
        maps: &CommonMaps,
        which: impl Iterator<Item = usize> + Clone,
    ) -> Result<(), Gone> {
        self.offsets(which.clone().map(|map| maps.pairs(map).len()))?;
        self.runs(keys, maps.keys(), maps.len(), which.clone(), |map| maps.pairs(map))?;
        self.runs(values, maps.values(), maps.len(), which, |map| maps.pairs(map))
    }

    /// `LowCardinality(String)`, of runs of `numbers`, of which there are `runs`, those that are named. One that is named
    /// often is numbered once.
    fn runs(
        &mut self,
        dictionary: &Dictionary,
        numbers: &[u32],
        runs: usize,
        which: impl Iterator<Item = usize> + Clone,
        range: impl Fn(usize) -> Range<usize>,
    ) -> Result<(), Gone> {
        let (mut used, mut seen) = (Renumbered::new(dictionary), vec![false; runs]);
        let mut rows = 0;
        for run in which.clone() {
            let range = range(run);
            rows += range.len();
            if !std::mem::replace(&mut seen[run], true) {
                numbers[range].iter().for_each(|number| used.add(*number));
            }
        }
        if rows == 0 {
            return Ok(());
        }
        let width = self.dictionary(dictionary, &used, rows)?;
        let mut named = Vec::new();
        let mut run = 0;
        for neighbours in seen.chunk_by(|one, next| one == next) {
            let (first, last) = (run, run + neighbours.len() - 1);
            if neighbours[0] {
                named.push(range(first).start..range(last).end);
            }
            run = last + 1;
        }
        let ranges = which.map(range);
        match width {
            Width::One => self.ranges(&used.written(numbers, &named, |place| [place as u8]), ranges),
            Width::Two => {
                self.ranges(&used.written(numbers, &named, |place| (place as u16).to_le_bytes()), ranges)
            }
            Width::Four => self.ranges(&used.written(numbers, &named, u32::to_le_bytes), ranges),
        }
    }

    fn ranges<const BYTES: usize>(
        &mut self,
        of: &[[u8; BYTES]],
        mut ranges: impl Iterator<Item = Range<usize>>,
    ) -> Result<(), Gone> {
        ranges.try_for_each(|range| self.put(of[range].as_flattened()))
    }
}

const HEX: [[u8; 2]; 256] = {
    let (digits, mut table, mut byte) = (b"0123456789abcdef", [[0; 2]; 256], 0);
    while byte < 256 {
        table[byte] = [digits[byte >> 4], digits[byte & 15]];
        byte += 1;
    }
    table
};

/// How many bytes the number of a text takes; the value is the server's `KeysSerializationVersion::Type`.
#[derive(Debug, Clone, Copy)]
enum Width {
    One = 0,
    Two = 1,
    Four = 2,
}

/// The texts of a dictionary that a column has, numbered anew, so that no other text comes with them.
struct Renumbered {
    /// By their old numbers.
    places: Vec<u32>,
    /// Their old numbers.
    texts: Vec<u32>,
}

const UNUSED: u32 = u32::MAX;

impl Renumbered {
    fn new(dictionary: &Dictionary) -> Self {
        Self { places: vec![UNUSED; dictionary.len()], texts: Vec::new() }
    }

    #[inline]
    fn add(&mut self, number: u32) {
        let place = &mut self.places[number as usize];
        if *place == UNUSED {
            *place = self.texts.len() as u32;
            self.texts.push(number);
        }
    }

    /// The new numbers in place of `numbers`, where they are named: of a batch of many days those of one. Elsewhere are zeros.
    fn written<const BYTES: usize>(
        &self,
        numbers: &[u32],
        named: &[Range<usize>],
        write: impl Fn(u32) -> [u8; BYTES],
    ) -> Vec<[u8; BYTES]> {
        let mut written = vec![[0; BYTES]; numbers.len()];
        for range in named {
            for (place, number) in written[range.clone()].iter_mut().zip(&numbers[range.clone()]) {
                *place = write(self.places[*number as usize]);
            }
        }
        written
    }
}
