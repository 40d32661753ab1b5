//! All that happens by chance, from a seed.

use std::cell::Cell;

/// SplitMix64: <https://prng.di.unimi.it/splitmix64.c>.
pub struct Chance(Cell<u64>);

impl Chance {
    pub fn new(seed: u64) -> Self {
        Self(Cell::new(seed))
    }

    fn next(&self) -> u64 {
        let state = self.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.0.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to before `end`.
    pub fn below(&self, end: u64) -> u64 {
        self.next() % end
    }

    /// One of so many.
    pub fn index(&self, length: usize) -> usize {
        self.below(length as u64) as usize
    }

    /// Whether something happens that does so often of a thousand times.
    pub fn in_thousand(&self, often: u64) -> bool {
        self.below(1_000) < often
    }
}
