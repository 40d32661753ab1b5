//! How much memory columns take.

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

impl Size {
    /// Of elements that lie one after another.
    pub fn of<T>(elements: &Vec<T>) -> Self {
        Self { used: elements.len() * size_of::<T>(), held: elements.capacity() * size_of::<T>() }
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
