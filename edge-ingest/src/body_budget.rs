//! How many bytes of bodies an isolate holds at a time, over all of its requests: it has 128 MB for everything.

use std::cell::Cell;
use std::rc::Rc;

/// The bytes that are in hand.
#[derive(Debug, Clone, Default)]
pub struct BodyBudget(Rc<Cell<usize>>);

/// Bytes that a request has in hand; they are given back when it is over, however it ends.
#[derive(Debug)]
pub struct InHand {
    /// Of the isolate.
    budget: BodyBudget,
    /// Of the tenant, which may have half of what there is: its neighbours must not wait for it.
    of_tenant: BodyBudget,
    bytes: usize,
}

impl BodyBudget {
    /// A request that has nothing in hand yet, of a tenant whose requests share `of_tenant`.
    pub fn begin(&self, of_tenant: &Self) -> InHand {
        InHand { budget: self.clone(), of_tenant: of_tenant.clone(), bytes: 0 }
    }

    fn has_room(&self, bytes: usize, max_bytes: usize) -> bool {
        self.0.get().saturating_add(bytes) <= max_bytes
    }
}

impl InHand {
    /// Takes `bytes` more, unless all requests together would hold more than `max_bytes`, or those of the tenant half of it. One
    /// request alone is always taken.
    #[must_use]
    pub fn take(&mut self, bytes: usize, max_bytes: usize) -> bool {
        let is_alone = self.of_tenant.0.get() == self.bytes;
        let of_tenant = if is_alone { max_bytes } else { max_bytes / 2 };
        let fits = self.budget.has_room(bytes, max_bytes) && self.of_tenant.has_room(bytes, of_tenant);
        if fits {
            for budget in [&self.budget, &self.of_tenant] {
                budget.0.set(budget.0.get() + bytes);
            }
            self.bytes += bytes;
        }
        fits
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        for budget in [&self.budget, &self.of_tenant] {
            budget.0.set(budget.0.get().saturating_sub(self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_hand_is_given_back() {
        let (budget, tenant) = (BodyBudget::default(), BodyBudget::default());
        let mut one = budget.begin(&tenant);
        assert!(one.take(60, 100) && !one.take(41, 100) && one.take(40, 100));
        assert!(!budget.begin(&BodyBudget::default()).take(1, 100));
        drop(one);
        assert!(budget.begin(&tenant).take(100, 100));
    }

    #[test]
    fn a_tenant_with_many_requests_leaves_half_to_the_others() {
        let (budget, greedy, neighbour) = <(BodyBudget, BodyBudget, BodyBudget)>::default();
        let mut taken: Vec<_> = (0..10).map(|_| budget.begin(&greedy)).collect();
        let count = taken.iter_mut().filter_map(|in_hand| in_hand.take(10, 100).then_some(())).count();
        assert_eq!(count, 5);
        assert!(budget.begin(&neighbour).take(50, 100));
    }
}
