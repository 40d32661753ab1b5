//! `Map`, of texts.

use std::ops::Range;

use super::{Grows, Size};

/// A column of `Map(LowCardinality(String), String)`: the numbers of the maps' keys in a [`super::Dictionary`], and their
/// values as `String` writes them.
#[derive(Debug, Default)]
pub struct Maps {
    keys: Vec<u32>,
    values: Vec<u8>,
    ends: Vec<End>,
}

#[derive(Debug, Clone, Copy, Default)]
struct End {
    keys: usize,
    values: usize,
}

impl Maps {
    /// Adds a key to the map that is not ended; its value is to be appended to what is returned, by [`super::put_text`].
    #[inline]
    pub fn pair(&mut self, key: u32) -> &mut Vec<u8> {
        self.keys.push(key);
        &mut self.values
    }

    /// Ends a map.
    #[inline]
    pub fn end(&mut self) {
        self.ends.push(End { keys: self.keys.len(), values: self.values.len() });
    }

    /// How many maps were ended.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether none was.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Leaves the first `len` maps, and none that is not ended.
    #[inline]
    pub fn truncate(&mut self, len: usize) {
        self.ends.truncate(len);
        let End { keys, values } = self.ends.last().copied().unwrap_or_default();
        self.keys.truncate(keys);
        self.values.truncate(values);
    }

    #[inline]
    fn start(&self, map: usize) -> End {
        map.checked_sub(1).map_or(End::default(), |before| self.ends[before])
    }

    /// Where the keys of a map are.
    #[inline]
    pub(super) fn pairs(&self, map: usize) -> Range<usize> {
        self.start(map).keys..self.ends[map].keys
    }

    pub(super) fn keys(&self) -> &[u32] {
        &self.keys
    }

    /// The values of a map, one after another.
    #[inline]
    pub(super) fn values(&self, map: usize) -> &[u8] {
        &self.values[self.start(map).values..self.ends[map].values]
    }
}

impl Grows for Maps {
    fn size(&self) -> Size {
        self.keys.size() + self.values.size() + self.ends.size()
    }

    fn expect(&mut self, times: f64) {
        self.keys.expect(times);
        self.values.expect(times);
        self.ends.expect(times);
    }
}

/// A column of `Map(LowCardinality(String), LowCardinality(String))`: the numbers of the maps' keys in a
/// [`super::Dictionary`], and those of their values in another.
#[derive(Debug, Default)]
pub struct CommonMaps {
    keys: Vec<u32>,
    values: Vec<u32>,
    ends: Vec<usize>,
}

impl CommonMaps {
    /// Adds a key and its value to the map that is not ended.
    #[inline]
    pub fn pair(&mut self, key: u32, value: u32) {
        self.keys.push(key);
        self.values.push(value);
    }

    /// Ends a map.
    pub fn end(&mut self) {
        self.ends.push(self.keys.len());
    }

    /// How many maps were ended.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether none was.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Leaves the first `len` maps, and none that is not ended.
    pub fn truncate(&mut self, len: usize) {
        self.ends.truncate(len);
        let end = self.ends.last().copied().unwrap_or_default();
        self.keys.truncate(end);
        self.values.truncate(end);
    }

    /// Where the keys and the values of a map are.
    #[inline]
    pub(super) fn pairs(&self, map: usize) -> Range<usize> {
        map.checked_sub(1).map_or(0, |before| self.ends[before])..self.ends[map]
    }

    pub(super) fn keys(&self) -> &[u32] {
        &self.keys
    }

    pub(super) fn values(&self) -> &[u32] {
        &self.values
    }
}

impl Grows for CommonMaps {
    fn size(&self) -> Size {
        self.keys.size() + self.values.size() + self.ends.size()
    }

    fn expect(&mut self, times: f64) {
        self.keys.expect(times);
        self.values.expect(times);
        self.ends.expect(times);
    }
}
