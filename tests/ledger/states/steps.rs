//! What may be done with the ledger.

use std::time::Duration;

use origin_consumer::queue::{Fault, Finding};
use proptest::prelude::*;

pub const WINDOW: Duration = Duration::from_secs(10);
/// How many objects there are.
pub const OBJECTS: usize = 15;
/// Failures after which poison is dead.
pub const TRIES: u32 = 3;

/// Objects go by their number.
#[derive(Debug, Clone)]
pub enum Step {
    Wait(u16),
    Notify(usize),
    Sweep(Vec<usize>),
    /// Of objects that have waited for others, or of any.
    Claim {
        waits: bool,
    },
    Adopt(Vec<usize>),
    RetryDead(usize),
    Discard(usize),
    Audit(usize, Finding),
    Expire(usize),
    /// With one of the batches that were ever claimed.
    Work(usize, Work),
}

#[derive(Debug, Clone)]
pub enum Work {
    BeginInsert,
    BeginAlone,
    Renew,
    Ack,
    Release(u16),
    Split,
    /// The fault of each object that has one.
    SetBack(Vec<Option<Fault>>),
}

pub fn any_step() -> impl Strategy<Value = Step> {
    let object = 0..OBJECTS;
    let objects = prop::collection::vec(0..OBJECTS, 1..5);
    let finding = prop_oneof![Just(Finding::Whole), Just(Finding::Short), Just(Finding::Doubled)];
    prop_oneof![
        3 => any::<u16>().prop_map(Step::Wait),
        4 => object.clone().prop_map(Step::Notify),
        2 => objects.clone().prop_map(Step::Sweep),
        6 => any::<bool>().prop_map(|waits| Step::Claim { waits }),
        1 => objects.prop_map(Step::Adopt),
        1 => object.clone().prop_map(Step::RetryDead),
        1 => object.clone().prop_map(Step::Discard),
        2 => (object.clone(), finding).prop_map(|(object, finding)| Step::Audit(object, finding)),
        1 => object.prop_map(Step::Expire),
        // Mostly the last ones: the others have lost their leases.
        9 => (any_batch(), any_work()).prop_map(|(batch, work)| Step::Work(batch, work)),
    ]
}

fn any_batch() -> impl Strategy<Value = usize> {
    0..1_000usize
}

fn any_work() -> impl Strategy<Value = Work> {
    let fault = prop_oneof![Just(Fault::Poison), Just(Fault::Fatal), Just(Fault::Passing)];
    prop_oneof![
        3 => Just(Work::BeginInsert),
        1 => Just(Work::BeginAlone),
        1 => Just(Work::Renew),
        3 => Just(Work::Ack),
        2 => any::<u16>().prop_map(Work::Release),
        1 => Just(Work::Split),
        3 => prop::collection::vec(prop::option::of(fault), 3).prop_map(Work::SetBack),
    ]
}
