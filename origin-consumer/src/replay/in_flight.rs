//! The objects that are being worked on, and how far all before them are done.

use std::collections::VecDeque;
use std::ops::AddAssign;

use serde::{Deserialize, Serialize};
use spillway_proto::ObjectKey;

use super::totals::Tally;

/// What has become of objects.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Those that were replayed.
    pub replayed: Tally,
    /// How many were passed over: they are of tenants that were not asked for.
    pub of_others: u64,
    /// How many cannot be read.
    pub unreadable: u64,
    /// How many are resends: another object holds the same request.
    pub resends: u64,
    /// How many a consumer had in hand, and was left to store.
    pub in_hand: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.replayed += other.replayed;
        self.of_others += other.of_others;
        self.unreadable += other.unreadable;
        self.resends += other.resends;
        self.in_hand += other.in_hand;
    }
}

/// How far it has come: nothing at or below `through` is left to do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// The last key of which, and of all before it, that holds.
    pub through: Option<ObjectKey>,
    /// What has become of those.
    pub counts: Counts,
}

/// An object that was begun.
#[derive(Debug, PartialEq, Eq)]
pub struct Ticket(u64);

/// Objects begin in the order of their keys and end in any.
#[derive(Debug, Default)]
pub struct InFlight {
    /// The number of the first object of `open`.
    first: u64,
    open: VecDeque<(ObjectKey, Option<Counts>)>,
    done: Done,
}

impl InFlight {
    /// None yet, after what a checkpoint has as done.
    pub fn after(done: Done) -> Self {
        Self { done, ..Self::default() }
    }

    /// An object begins, whose key is behind those of all that began before.
    pub fn begin(&mut self, key: ObjectKey) -> Ticket {
        self.open.push_back((key, None));
        Ticket(self.first + self.open.len() as u64 - 1)
    }

    /// It has ended, and is to be counted so.
    pub fn end(&mut self, Ticket(number): Ticket, counts: Counts) {
        let slot = usize::try_from(number - self.first).ok().and_then(|at| self.open.get_mut(at));
        if let Some((_, ended)) = slot {
            *ended = Some(counts);
        }
        while let Some((key, counts)) = self.open.pop_front_if(|(_, ended)| ended.is_some()) {
            self.first += 1;
            self.done.through = Some(key);
            self.done.counts += counts.unwrap_or_default();
        }
    }

    /// How far all is done.
    pub fn done(&self) -> &Done {
        &self.done
    }

    /// How many have begun, and are not done or wait for others before them.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether all that began are done.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::samples::object;
    use proptest::prelude::*;

    fn one(spans: u64) -> Counts {
        Counts { replayed: Tally { objects: 1, spans, bytes: 100 * spans }, ..Counts::default() }
    }

    proptest! {
        /// Each step begins the next object, or ends one of those that have begun.
        #[test]
        fn nothing_at_or_below_the_mark_is_left(steps in proptest::collection::vec(any::<Option<u8>>(), 1..200)) {
            let mut in_flight = InFlight::default();
            let (mut begun, mut open) = (Vec::new(), Vec::new());
            let mut ended = Vec::new();
            for step in steps {
                match step {
                    None => {
                        let key = object("acme", 60_000 * begun.len() as u64, 1).0;
                        open.push((begun.len(), in_flight.begin(key.clone())));
                        begun.push(key);
                        ended.push(false);
                    }
                    Some(_) if open.is_empty() => {}
                    Some(which) => {
                        let (number, ticket) = open.swap_remove(usize::from(which) % open.len());
                        in_flight.end(ticket, one(number as u64));
                        ended[number] = true;
                    }
                }
                let done = ended.iter().take_while(|ended| **ended).count();
                let mut counts = Counts::default();
                (0..done).for_each(|number| counts += one(number as u64));
                let expected = Done { through: done.checked_sub(1).map(|last| begun[last].clone()), counts };
                prop_assert_eq!(in_flight.done(), &expected);
                prop_assert_eq!(in_flight.len(), begun.len() - done);
            }
        }
    }

    #[test]
    fn goes_on_from_where_it_was() {
        let (first, second) = (object("acme", 0, 1).0, object("acme", 60_000, 1).0);
        let mut in_flight = InFlight::after(Done { through: Some(first.clone()), counts: one(4) });
        let ticket = in_flight.begin(second.clone());
        assert_eq!(in_flight.done().through, Some(first));
        in_flight.end(ticket, one(5));
        assert_eq!(in_flight.done().through, Some(second));
        assert_eq!(in_flight.done().counts.replayed.spans, 9);
        assert!(in_flight.is_empty());
    }
}
