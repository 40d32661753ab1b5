//! How many bytes of bodies an isolate holds at a time, over all of its requests: it has 128 MB for everything.

use std::cell::Cell;
use std::rc::Rc;

/// The bytes that are in hand.
#[derive(Debug, Clone, Default)]
pub struct BodyBudget(Rc<Cell<usize>>);

/// Bytes that a request has in hand; they are given back when it is over, however it ends.
#[derive(Debug)]
pub struct InHand {
    budget: BodyBudget,
    bytes: usize,
}

impl BodyBudget {
    /// A request that has nothing in hand yet.
    pub fn begin(&self) -> InHand {
        InHand { budget: self.clone(), bytes: 0 }
    }
}

impl InHand {
    /// Takes `bytes` more, unless all requests together would hold more than `max_bytes`.
    #[must_use]
    pub fn take(&mut self, bytes: usize, max_bytes: usize) -> bool {
        let in_hand = self.budget.0.get().saturating_add(bytes);
        let fits = in_hand <= max_bytes;
        if fits {
            self.budget.0.set(in_hand);
            self.bytes += bytes;
        }
        fits
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        self.budget.0.set(self.budget.0.get().saturating_sub(self.bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_hand_is_given_back() {
        let budget = BodyBudget::default();
        let mut one = budget.begin();
        assert!(one.take(60, 100) && !one.take(41, 100));
        assert!(!budget.begin().take(41, 100) && budget.begin().take(40, 100));
        drop(one);
        assert!(budget.begin().take(100, 100));
    }
}
