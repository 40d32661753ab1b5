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

/// What takes more memory with each span.
pub trait Grows {
    /// How much memory it takes.
    fn size(&self) -> Size;

    /// Takes memory for `times` what there is: what grows bit by bit is copied with each bit, and what it lay in is touched for
    /// nothing.
    fn expect(&mut self, times: f64);
}

impl<T> Grows for Vec<T> {
    fn size(&self) -> Size {
        Size { used: self.len() * size_of::<T>(), held: self.capacity() * size_of::<T>() }
    }

    fn expect(&mut self, times: f64) {
        let expected = (self.len() as f64 * times) as usize;
        // If it cannot be had, what really comes may still find room.
        let _ = self.try_reserve_exact(expected.saturating_sub(self.len()));
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
