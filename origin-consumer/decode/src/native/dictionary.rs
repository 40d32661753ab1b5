//! The texts of `LowCardinality` columns, each of them once.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

use super::{Grows, Size};

/// Texts, numbered from 0 in the order in which they first came.
#[derive(Debug, Default)]
pub struct Dictionary {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    numbers: HashTable<u32>,
    hasher: DefaultHashBuilder,
    /// What came after each, the last time: attributes come in the same order in most spans, and a comparison is cheaper than
    /// a hash.
    followers: Vec<u32>,
    last: u32,
}

impl<'t> FromIterator<&'t str> for Dictionary {
    /// Of texts that are all different, so that each has the number of its place.
    fn from_iter<T: IntoIterator<Item = &'t str>>(texts: T) -> Self {
        let mut dictionary = Self::default();
        for (place, text) in texts.into_iter().enumerate() {
            let number = dictionary.number(text.as_bytes());
            debug_assert_eq!(number as usize, place, "{text} is there twice");
        }
        dictionary
    }
}

impl Dictionary {
    /// The number of a text, which is a new one if it was not there.
    #[inline]
    pub fn number(&mut self, text: &[u8]) -> u32 {
        if let Some(&guess) = self.followers.get(self.last as usize)
            && text_at(&self.bytes, &self.ends, guess) == text
        {
            self.last = guess;
            return guess;
        }
        self.look_up(text)
    }

    fn look_up(&mut self, text: &[u8]) -> u32 {
        let Self { bytes, ends, numbers, hasher, followers, last } = self;
        let hash = hasher.hash_one(text);
        let known = numbers.find(hash, |number| text_at(bytes, ends, *number) == text).copied();
        let number = known.unwrap_or_else(|| {
            // A batch has not so many bytes.
            let number = u32::try_from(ends.len()).unwrap_or(u32::MAX);
            bytes.extend_from_slice(text);
            ends.push(bytes.len());
            followers.push(number);
            numbers.insert_unique(hash, number, |number| hasher.hash_one(text_at(bytes, ends, *number)));
            number
        });
        if let Some(follower) = followers.get_mut(*last as usize) {
            *follower = number;
        }
        *last = number;
        number
    }

    /// The text that has a number.
    #[inline]
    pub fn text(&self, number: u32) -> &[u8] {
        text_at(&self.bytes, &self.ends, number)
    }

    /// How much memory it takes.
    pub fn size(&self) -> Size {
        let numbers = self.numbers.allocation_size();
        let table = Size { used: numbers, held: numbers };
        self.bytes.size() + self.ends.size() + self.followers.size() + table
    }

    /// How many texts there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The place of each text in their order by bytes, which is ClickHouse's.
    pub fn ranks(&self) -> Vec<u32> {
        let mut sorted: Vec<u32> = (0..self.len() as u32).collect();
        sorted.sort_unstable_by_key(|number| self.text(*number));
        let mut ranks = vec![0; sorted.len()];
        for (rank, number) in (0..).zip(sorted) {
            ranks[number as usize] = rank;
        }
        ranks
    }
}

#[inline]
fn text_at<'t>(bytes: &'t [u8], ends: &[usize], number: u32) -> &'t [u8] {
    let number = number as usize;
    let start = number.checked_sub(1).map_or(0, |before| ends[before]);
    &bytes[start..ends[number]]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_one_number_whatever_came_before_it() {
        let mut dictionary = Dictionary::default();
        let numbers: Vec<_> =
            ["b", "", "a", "b", "", "b", "b", "a", ""].map(|text| dictionary.number(text.as_bytes())).into();
        assert_eq!(numbers, [0, 1, 2, 0, 1, 0, 0, 2, 1]);
        assert_eq!(dictionary.ranks(), [2, 0, 1]);
        let many: Vec<_> = (0..1_000).map(|number: u32| format!("text {number}")).collect();
        for _ in 0..2 {
            for (number, text) in (3..).zip(&many) {
                assert_eq!(dictionary.number(text.as_bytes()), number);
                assert_eq!(dictionary.text(number), text.as_bytes());
            }
        }
    }
}
