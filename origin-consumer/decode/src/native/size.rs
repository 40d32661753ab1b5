//! How much memory columns take, and will take.

use std::iter::Sum;
use std::ops::Add;

/// Bytes of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Size {
    /// What there is takes so many.
    pub used: usize,
    /// So many are kept for it, and for more.
    pub held: usize,
}

/// Memory that is expected to be needed is taken with so much more of it, since objects differ. Pages that are not touched cost
/// nothing.
pub const SLACK: f64 = 1.125;

/// What takes more memory as spans are added.
pub trait Grows {
    /// How much memory it takes.
    fn size(&self) -> Size;

    /// Takes memory for `times` what there is, and [`SLACK`], where that much does not fit: what grows bit by bit is copied with each
    /// bit, and what it lay in is touched for nothing.
    fn expect(&mut self, times: f64);
}

impl<T> Grows for Vec<T> {
    fn size(&self) -> Size {
        Size { used: self.len() * size_of::<T>(), held: self.capacity() * size_of::<T>() }
    }

    fn expect(&mut self, times: f64) {
        let expected = self.len() as f64 * times;
        if expected <= self.capacity() as f64 {
            return;
        }
        // Not reserved in its place, where all that a reused one has held would be copied, and not what it holds.
        let mut larger = Self::new();
        // If it cannot be had, what really comes may still find room.
        if larger.try_reserve_exact((expected * SLACK) as usize).is_ok() {
            larger.append(self);
            *self = larger;
        }
    }
}

impl Add for Size {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { used: self.used + other.used, held: self.held + other.held }
    }
}

impl Sum for Size {
    fn sum<I: Iterator<Item = Self>>(sizes: I) -> Self {
        sizes.fold(Self::default(), Add::add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_expected_finds_room_and_what_fits_is_left_where_it_is() {
        let mut numbers: Vec<u64> = (0..100).collect();
        numbers.expect(16.0);
        assert_eq!(numbers.capacity(), 1_800);
        let place = numbers.as_ptr();
        numbers.expect(18.0);
        assert_eq!((numbers.as_ptr(), numbers.capacity()), (place, 1_800));
        numbers.expect(f64::INFINITY);
        assert_eq!((numbers.as_ptr(), numbers.capacity()), (place, 1_800));
        assert!(numbers.into_iter().eq(0..100));
    }
}
